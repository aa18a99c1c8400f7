//! Decisions about rollouts: what they may name, and how far a rule may grow.
//!
//! A rollout is put with every slot given, or refused with all its mistakes. Lowering and pausing tolerate what
//! is wrong already, because stopping must not wait for repairs; growing never goes towards what no device runs.

use std::collections::BTreeMap;

use super::{Decision, Refusal, signed};
use crate::{
    catalogue::{App, Catalogue},
    check::{self, Finding, World},
    event::Event,
    name::RuleName,
    ramp,
    rollout::{Rollout, Rule},
    rules::Rules,
    share::Share,
    slots::Slots,
    slots_assign,
    time::Timestamp,
    version::Number,
};

/// When something is decided, and by which rules.
#[derive(Clone, Copy)]
pub(super) struct Day {
    pub(super) now: Timestamp,
    pub(super) rules: Rules,
}

/// Where a rollout serves a version, for an error.
pub(super) fn served_by(rollout: &Rollout, number: &Number) -> Option<String> {
    if rollout.stable == *number {
        return Some("`stable`".into());
    }
    let serves = |rule: &&Rule| rule.arms().iter().any(|(_, _, arm)| arm.version == *number);
    let rule = rollout
        .rules
        .iter()
        .find(serves)
        .map(|rule| format!("rule `{}`", rule.name));
    let pin = || {
        rollout
            .pins
            .values()
            .any(|pinned| pinned == number)
            .then(|| "a pin".to_owned())
    };
    let floor = || {
        rollout
            .floors
            .contains(number)
            .then(|| "a floor".to_owned())
    };
    rule.or_else(pin).or_else(floor)
}

pub(super) fn put_rollout(
    catalogue: &Catalogue,
    app: &App,
    rollout: &Rollout,
    tolerated: &[Finding],
    day: Day,
) -> Decision {
    let rollout = ramp::state::settled(app.rollout.as_ref(), &app.ramps, rollout);
    let rollout = checked(catalogue, app, &rollout, tolerated, day)?;
    if app.rollout.as_ref() == Some(&rollout) {
        return Err(Refusal::Nothing {
            what: format!("the rollout of `{}` is this very one", app.id),
        });
    }
    Ok(vec![Event::RolloutPut {
        rollout: Box::new(rollout),
    }])
}

/// The rollout with every slot given, or all its mistakes but the `tolerated` ones.
fn checked(
    catalogue: &Catalogue,
    app: &App,
    rollout: &Rollout,
    tolerated: &[Finding],
    day: Day,
) -> Result<Rollout, Refusal> {
    let mut mistakes = mistakes(catalogue, app, rollout, day);
    mistakes.retain(|mistake| !tolerated.contains(mistake));
    if !mistakes.is_empty() {
        return Err(Refusal::Rollout { findings: mistakes });
    }
    let is_layered =
        !rollout.holdouts.is_empty() || rollout.rules.iter().any(|r| r.layer.is_some());
    let others = if is_layered {
        catalogue.slots_of_others(&app.id)
    } else {
        // What nobody asks about need not be gathered from all apps of the tenant.
        BTreeMap::new()
    };
    slots_assign::assign(rollout, app.rollout.as_ref(), &others)
        .map_err(|findings| Refusal::Rollout { findings })
}

pub(super) fn mistakes(
    catalogue: &Catalogue,
    app: &App,
    rollout: &Rollout,
    day: Day,
) -> Vec<Finding> {
    let barred = barred(catalogue, app, rollout, day);
    let world = World {
        barred: Some(&barred),
        app: Some(app),
        hosts: Some(&catalogue.hosts),
        segments: Some(&catalogue.segments),
        previous: app.rollout.as_ref(),
    };
    check::check(rollout, &world)
        .into_iter()
        .filter(Finding::is_error)
        .collect()
}

/// The listed versions that `rollout` names and no device would run, with the reason: the signatures, the
/// policy or the time is not what it was when they were listed.
fn barred(
    catalogue: &Catalogue,
    app: &App,
    rollout: &Rollout,
    day: Day,
) -> BTreeMap<Number, String> {
    let versions = app.versions.values();
    // By the first rules only listing asked this.
    let asks = !day.rules.is_first();
    let named = versions.filter(|version| {
        asks && version.life.is_listed() && served_by(rollout, &version.number).is_some()
    });
    named
        .filter_map(|version| {
            let refusal = signed::may_run(catalogue, app, version, day.now).err()?;
            Some((version.number.clone(), refusal.to_string()))
        })
        .collect()
}

/// What a rule serves must be what devices would run, for its share to grow.
pub(super) fn may_grow(
    catalogue: &Catalogue,
    app: &App,
    rule: &Rule,
    day: Day,
) -> Result<(), Refusal> {
    if day.rules.is_first() {
        return Ok(());
    }
    for (_, _, arm) in rule.arms() {
        if let Some(version) = app.versions.get(&arm.version)
            && version.life.is_listed()
        {
            signed::may_run(catalogue, app, version, day.now)?;
        }
    }
    Ok(())
}

pub(super) fn rule_of<'a>(app: &'a App, name: &RuleName) -> Result<(&'a Rollout, usize), Refusal> {
    let unknown = || Refusal::Unknown {
        kind: "rule",
        name: format!("{}#{name}", app.id),
        help: "`huidu rollout show` lists the rules",
    };
    let rollout = app.rollout.as_ref().ok_or_else(unknown)?;
    let at = rollout
        .rules
        .iter()
        .position(|rule| rule.name == *name)
        .ok_or_else(unknown)?;
    Ok((rollout, at))
}

pub(super) fn set_share(
    catalogue: &Catalogue,
    app: &App,
    name: &RuleName,
    share: Share,
    day: Day,
) -> Decision {
    let (rollout, at) = rule_of(app, name)?;
    let is = rollout.rules[at].share;
    if is == share {
        return Err(Refusal::Nothing {
            what: format!("the share of rule `{name}` is {share}"),
        });
    }
    if app.ramps.contains_key(name) && share > is {
        return Err(Refusal::Ramped {
            rule: name.clone(),
            help: "a plan raises it; put another plan in place, or a rollout without one",
        });
    }
    if share > is {
        may_grow(catalogue, app, &rollout.rules[at], day)?;
    }
    let mut changed = rollout.clone();
    changed.rules[at].share = share;
    if changed.rules[at].layer.is_some() {
        changed.rules[at].slots = Slots::default();
    }
    // The same checks as a whole rollout, but what is wrong already must not stop a share from moving:
    // after a kill the other ramps still have to be steered.
    let tolerated = mistakes(catalogue, app, rollout, day);
    let slots = checked(catalogue, app, &changed, &tolerated, day)?
        .rules
        .swap_remove(at)
        .slots;
    Ok(vec![Event::ShareSet {
        app: app.id.clone(),
        rule: name.clone(),
        share,
        slots,
    }])
}

pub(super) fn lower_share(
    catalogue: &Catalogue,
    app: &App,
    name: &RuleName,
    share: Share,
    day: Day,
) -> Decision {
    let (rollout, at) = rule_of(app, name)?;
    let is = rollout.rules[at].share;
    if share >= is {
        return Err(Refusal::NotLower {
            rule: name.clone(),
            is,
            asked: share,
        });
    }
    set_share(catalogue, app, name, share, day)
}

pub(super) fn set_pause(
    catalogue: &Catalogue,
    app: &App,
    name: &RuleName,
    paused: bool,
    day: Day,
) -> Decision {
    let (rollout, at) = rule_of(app, name)?;
    if rollout.rules[at].paused == paused {
        let is = if paused { "paused" } else { "running" };
        return Err(Refusal::Nothing {
            what: format!("rule `{name}` is {is}"),
        });
    }
    if !paused {
        may_grow(catalogue, app, &rollout.rules[at], day)?;
    }
    Ok(vec![Event::PauseSet {
        app: app.id.clone(),
        rule: name.clone(),
        paused,
    }])
}
