//! Decisions about ramps: what people do to one, and what its plan says.
//!
//! What a node asks for must be exactly what follows from the plan, the ramp, the time and its own findings, for the very
//! moment they were found at: so of two nodes that decide, one does. Stopping a ramp asks nothing of its version.

use super::{
    Decision, Refusal,
    rollouts::{Day, may_grow, rule_of},
    text, trust, why,
};
use crate::{
    authority::Authorised,
    catalogue::{App, Catalogue},
    event::Event,
    limits,
    name::RuleName,
    ramp::{self, Act, Findings, Phase, Plan, Ramp, Steer},
    revision::Revision,
    rollout::{Rule, Serve},
    time::Timestamp,
};

/// A rule with its plan and how far it has come.
fn ramped<'a>(app: &'a App, name: &RuleName) -> Result<(&'a Rule, &'a Plan, &'a Ramp), Refusal> {
    let (rollout, at) = rule_of(app, name)?;
    let rule = &rollout.rules[at];
    match (&rule.ramp, app.ramps.get(name)) {
        (Some(plan), Some(ramp)) => Ok((rule, plan, ramp)),
        _ => Err(Refusal::Unknown {
            kind: "ramp",
            name: format!("{}#{name}", app.id),
            help: "give the rule a plan with `huidu rollout put`",
        }),
    }
}

pub(super) fn steer(
    catalogue: &Catalogue,
    app: &App,
    name: &RuleName,
    steer: Steer,
    reason: &str,
    authorised: &Authorised,
    now: Timestamp,
) -> Decision {
    let (rule, plan, ramp) = ramped(app, name)?;
    let ramped = |help| {
        Err(Refusal::Ramped {
            rule: name.clone(),
            help,
        })
    };
    match &ramp.phase {
        Phase::RolledBack => return ramped("it is rolled back; put another plan in place"),
        Phase::Finished if steer != Steer::RollBack => {
            return ramped("it is finished; put the version in place as the stable one");
        }
        Phase::Running if steer == Steer::Resume => return ramped("it is running already"),
        Phase::Held(ramp::Why::Paused) if steer == Steer::Pause => {
            return ramped("it is paused already");
        }
        _ => {}
    }
    let mut by = None;
    match steer {
        Steer::Resume => may_grow(
            catalogue,
            app,
            rule,
            Day {
                now,
                rules: authorised.rules(),
            },
        )?,
        Steer::Approve => {
            let gate = plan.steps.get(ramp.step + 1);
            if gate.is_none_or(|gate| !gate.approval) || ramp.approved {
                return ramped("its next step waits for nobody");
            }
            by = Some(trust::reviewer(catalogue, authorised.actor())?);
        }
        Steer::Pause | Steer::Abort | Steer::RollBack => {}
    }
    let reason = if steer.stops() {
        why(reason)?
    } else {
        text("reason", reason)?
    };
    Ok(vec![moved(
        app,
        rule,
        plan,
        ramp,
        Said {
            act: steer.act(),
            by,
            reason,
            findings: None,
        },
    )])
}

pub(super) fn go_on(
    catalogue: &Catalogue,
    app: &App,
    name: &RuleName,
    (from, act, findings): (Revision, &Act, &Findings),
    day: Day,
) -> Decision {
    let (rule, plan, ramp) = ramped(app, name)?;
    let follows = ramp.moved == from
        && !rule.paused
        && findings.guards.len() <= limits::RAMP_GUARDS
        && is_about(plan, ramp, findings)
        && ramp::next(plan, ramp, findings, day.now).as_ref() == Some(act);
    if !follows {
        return Err(Refusal::NotNow {
            rule: name.clone(),
            act: act.word(),
        });
    }
    if matches!(act, Act::Advance | Act::Resume | Act::Finish) {
        may_grow(catalogue, app, rule, day)?;
        is_listed(app, rule)?;
    }
    let mut events = vec![moved(
        app,
        rule,
        plan,
        ramp,
        Said {
            act: act.clone(),
            by: None,
            reason: String::new(),
            findings: Some(Box::new(findings.clone())),
        },
    )];
    if let (Act::Kill, Serve::One(arm)) = (act, &rule.serve)
        && let Some(version) = app.versions.get(&arm.version)
        && !version.life.is_killed()
    {
        let life = &version.life;
        events.push(Event::Killed {
            app: app.id.clone(),
            version: Some(arm.version.clone()),
            reason: format!("a guard of rule `{name}` saw harm"),
            before: (!life.is_listed()).then(|| Box::new(life.clone())),
        });
    }
    Ok(events)
}

/// True when the findings are of the step's guards, in their order.
fn is_about(plan: &Plan, ramp: &Ramp, findings: &Findings) -> bool {
    let guards = plan.guards_of(ramp.step);
    let pairs = guards.iter().zip(&findings.guards);
    findings.guards.len() <= guards.len()
        && pairs
            .into_iter()
            .all(|(guard, found)| guard.measure == found.measure)
}

fn is_listed(app: &App, rule: &Rule) -> Result<(), Refusal> {
    let listed = |arm: &crate::rollout::Arm| {
        let version = app.versions.get(&arm.version);
        version.is_some_and(|version| version.life.is_listed())
    };
    if rule.arms().iter().all(|(_, _, arm)| listed(arm)) {
        return Ok(());
    }
    Err(Refusal::Ramped {
        rule: rule.name.clone(),
        help: "its version is not listed; it does not grow",
    })
}

struct Said {
    act: Act,
    by: Option<String>,
    reason: String,
    findings: Option<Box<Findings>>,
}

fn moved(app: &App, rule: &Rule, plan: &Plan, ramp: &Ramp, said: Said) -> Event {
    // When it happens, and under which revision, changes no share.
    let after = ramp.after(&said.act, ramp.since, ramp.moved);
    let moves = !matches!(
        said.act,
        Act::Note { .. } | Act::Hold { .. } | Act::Approve | Act::Finish
    );
    Event::RampMoved {
        app: app.id.clone(),
        rule: rule.name.clone(),
        from: ramp.moved,
        share: if moves { after.share(plan) } else { rule.share },
        act: said.act,
        by: said.by,
        reason: said.reason,
        findings: said.findings,
    }
}
