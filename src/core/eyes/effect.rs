//! Which kinds of change a command is, by what it does where it is asked for.
//!
//! A command is of every kind that describes what it leads to, whatever it is called: a whole rollout that raises a
//! share is a raise, a pause of a rule that holds devices back sends them on. What stops something is of no kind.

use super::Kind;
use crate::{
    authority::Role,
    catalogue::{App, Catalogue},
    command::Command,
    envelope::Envelope,
    experiment,
    keyring::Trust,
    name::{AppId, MemberId, RuleName},
    paper::Paper as _,
    policy::Policy,
    ramp::{self, Steer},
    rollout::{Rollout, Rule},
    rules::Rules,
    share::Share,
    slots::Slots,
    version::Life,
};

/// Every kind that `command` is of, where it is one that people may have to agree on. Never a stop.
pub fn kinds_of(catalogue: &Catalogue, rules: Rules, command: &Command) -> Vec<Kind> {
    match rules {
        Rules::One => by_name(catalogue, command).into_iter().collect(),
        Rules::Two => by_effect(catalogue, command),
    }
}

/// As the first rules had it. Records of that time are judged by it for ever.
fn by_name(catalogue: &Catalogue, command: &Command) -> Option<Kind> {
    match command {
        Command::List { .. } => Some(Kind::List),
        Command::PutRollout { .. } => Some(Kind::Rollout),
        Command::SetPause { paused: false, .. } => Some(Kind::Resume),
        Command::Unkill { .. } => Some(Kind::Unkill),
        Command::RestorePermission { .. } => Some(Kind::RestorePermission),
        Command::SetReviewPolicy { .. } => Some(Kind::ReviewPolicy),
        Command::SetEyes { .. } => Some(Kind::Eyes),
        Command::PutKeyring { .. } => Some(Kind::Keyring),
        Command::PutPolicy { .. } => Some(Kind::AppPolicy),
        Command::PutMember { .. } | Command::AddToken { .. } => Some(Kind::People),
        Command::SetShare { app, rule, share } => {
            let is = catalogue.apps.get(app)?.rule(rule)?.share;
            raises(catalogue, is, *share).then_some(Kind::RaiseShare)
        }
        _ => None,
    }
}

fn by_effect(catalogue: &Catalogue, command: &Command) -> Vec<Kind> {
    let app = |app: &AppId| catalogue.apps.get(app);
    let when = |is: bool, kind| if is { vec![kind] } else { Vec::new() };
    match command {
        Command::List { app: id, version } => {
            let life = app(id).and_then(|app| app.versions.get(version));
            // Listed again is brought back.
            match life.map(|version| &version.life) {
                Some(Life::Delisted { .. }) => vec![Kind::Unkill, Kind::List],
                _ => vec![Kind::List],
            }
        }
        Command::PutRollout { rollout } | Command::RedrawRollout { rollout, .. } => {
            let known = app(&rollout.app);
            let before = known.and_then(|app| app.rollout.as_ref());
            let after = known.map(|app| ramp::state::settled(before, &app.ramps, rollout));
            put_rollout(catalogue, before, after.as_ref().unwrap_or(rollout))
        }
        Command::BeginExperiment {
            app: id, design, ..
        } => {
            // A paused rule takes its units from then on.
            let rule = app(id).and_then(|app| app.rule(&design.rule));
            when(rule.is_some_and(|rule| rule.paused), Kind::Resume)
        }
        // It is a rollout in place of another, and goes by what that does.
        Command::EndExperiment {
            app: id,
            experiment,
            arm,
            ..
        } => {
            let after = app(id).and_then(|app| {
                let rule = &app.experiments.get(experiment)?.design.rule;
                let before = app.rollout.as_ref()?;
                let after = experiment::concluded(before, rule, arm.as_ref()).ok()?;
                let after = ramp::state::settled(Some(before), &app.ramps, &after);
                Some(put_rollout(catalogue, Some(before), &after))
            });
            after.unwrap_or_else(|| vec![Kind::Rollout])
        }
        Command::SetShare {
            app: id,
            rule,
            share,
        }
        | Command::LowerShare {
            app: id,
            rule,
            share,
        } => {
            let found = app(id).and_then(|app| app.rule(rule).map(|rule| (app, rule)));
            let sends_on = found.is_some_and(|(app, rule)| {
                raises(catalogue, rule.share, *share)
                    || (*share < rule.share && holds_back(app, rule))
            });
            when(sends_on, Kind::RaiseShare)
        }
        Command::SetPause {
            app: id,
            rule,
            paused,
        } => {
            let sends_on = !paused || app(id).is_some_and(|app| holds(app, rule));
            when(sends_on, Kind::Resume)
        }
        Command::SteerRamp {
            app: id, rule, act, ..
        } => match act {
            // The plan was agreed on; that it goes on after it was stopped was not.
            Steer::Resume => vec![Kind::Resume],
            Steer::Abort | Steer::RollBack => {
                let sends_on = app(id).is_some_and(|app| holds(app, rule));
                when(sends_on, Kind::RaiseShare)
            }
            Steer::Pause | Steer::Approve => Vec::new(),
        },
        Command::Unkill { .. } => vec![Kind::Unkill],
        Command::RestorePermission { .. } => vec![Kind::RestorePermission],
        Command::SetReviewPolicy { .. } => vec![Kind::ReviewPolicy],
        Command::SetEyes { .. } => vec![Kind::Eyes],
        Command::PutKeyring { .. } => vec![Kind::Keyring],
        Command::PutPolicy { app: id, envelope } => {
            let loosens = app(id).is_none_or(|app| loosens(catalogue, app, envelope));
            when(loosens, Kind::AppPolicy)
        }
        Command::PutMember { member, role, .. } => when(
            is_closed(catalogue) && admits(catalogue, Some(member), role),
            Kind::People,
        ),
        Command::AddToken { member, role, .. } => when(
            is_closed(catalogue) && admits(catalogue, member.as_ref(), role),
            Kind::People,
        ),
        Command::PutSegment { segment, .. } => when(
            catalogue.asking_about(segment).next().is_some(),
            Kind::Segment,
        ),
        Command::SetGrade { tenant, grade } => {
            let is = catalogue.trust.grade_of(tenant.as_str());
            when(*grade > is, Kind::Grades)
        }
        Command::PutPermissions { .. } | Command::Grant { .. } => vec![Kind::Permissions],
        _ => Vec::new(),
    }
}

fn raises(catalogue: &Catalogue, from: Share, to: Share) -> bool {
    to > from && to > catalogue.trust.eyes.free_share
}

/// What a whole rollout does besides being one.
fn put_rollout(catalogue: &Catalogue, before: Option<&Rollout>, after: &Rollout) -> Vec<Kind> {
    let mut kinds = vec![Kind::Rollout];
    let Some(before) = before else {
        kinds.push(Kind::RaiseShare);
        return kinds;
    };
    let was = |rule: &Rule| before.rules.iter().find(|known| known.name == rule.name);
    let resumes = |rule: &Rule| was(rule).is_some_and(|was| was.paused && !rule.paused);
    if after.rules.iter().any(resumes) {
        kinds.push(Kind::Resume);
    }
    if !only_lowers(catalogue, before, after) {
        kinds.push(Kind::RaiseShare);
    }
    kinds
}

/// True when nothing differs but shares that fall, or rise within what one person may, and pauses.
fn only_lowers(catalogue: &Catalogue, before: &Rollout, after: &Rollout) -> bool {
    let bare = |rollout: &Rollout| {
        let mut rollout = rollout.clone();
        for rule in &mut rollout.rules {
            (rule.share, rule.paused, rule.slots) = (Share::NONE, false, Slots::default());
        }
        for holdout in &mut rollout.holdouts {
            holdout.slots = Slots::default();
        }
        rollout
    };
    let pairs = || before.rules.iter().zip(&after.rules);
    bare(before) == bare(after)
        && pairs().all(|(was, is)| {
            let stopped = is.share < was.share || (is.paused && !was.paused);
            let sends_on = stopped && serves_below(was, before);
            !(sends_on || raises(catalogue, was.share, is.share))
        })
}

fn holds(app: &App, rule: &RuleName) -> bool {
    app.rule(rule).is_some_and(|rule| holds_back(app, rule))
}

/// True of a rule that keeps its devices on something older than what they get without it.
fn holds_back(app: &App, rule: &Rule) -> bool {
    (app.rollout.as_ref()).is_some_and(|rollout| serves_below(rule, rollout))
}

fn serves_below(rule: &Rule, rollout: &Rollout) -> bool {
    rule.arms()
        .iter()
        .all(|(_, _, arm)| arm.version < rollout.stable)
}

/// True once people must agree on who joins them: from the first rollout on. Before it whoever founded names the
/// first people.
fn is_closed(catalogue: &Catalogue) -> bool {
    catalogue.apps.values().any(|app| app.rollout.is_some())
}

/// True when it lets in, or changes, somebody who can act for the bank.
fn admits(catalogue: &Catalogue, member: Option<&MemberId>, role: &Role) -> bool {
    let acts = |role: &Role| !matches!(role, Role::Partner(_) | Role::Auditor);
    let known = member.and_then(|member| catalogue.trust.members.get(member));
    acts(role) || known.is_some_and(|known| acts(&known.role))
}

/// True when a policy lets run what the one before did not.
fn loosens(catalogue: &Catalogue, app: &App, envelope: &str) -> bool {
    let read = Envelope::parse(envelope.as_bytes()).ok();
    let Some(next) = read.and_then(|read| Policy::read(read.payload()).ok()) else {
        return true;
    };
    match &app.trust.signed {
        Some(known) => next.lets_more_than(&known.policy),
        // Where customers are served nothing runs before the first one.
        None => {
            let keyring = catalogue.trust.chain.newest.as_ref();
            keyring.is_some_and(|keyring| keyring.trust == Trust::Prod)
        }
    }
}
