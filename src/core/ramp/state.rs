//! `Ramp`: how far a plan has come, folded from the ledger. Total: no event can be refused here.
//!
//! `moved` is the revision that last changed it, and names the moment: whoever decides something about a ramp names the
//! moment it was decided for, so what was decided about another moment happens never.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{next::Act, plan::Plan};
use crate::{
    name::{Measure, RuleName},
    revision::Revision,
    rollout::{Rollout, Rule},
    share::Share,
    time::Timestamp,
};

/// How far a ramp has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// The step in force, from 0.
    pub step: usize,
    /// When it began: what is counted for it began then, and so did its hold.
    pub since: Timestamp,
    /// The revision that last moved it.
    pub moved: Revision,
    /// What it does.
    pub phase: Phase,
    /// Whether somebody let the next step begin.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approved: bool,
    /// Harm that was written down at this step.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub noted: BTreeSet<Measure>,
}

/// What a ramp does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It goes on once everything is there that it waits for.
    Running,
    /// It stays where it is until somebody resumes it.
    Held(Why),
    /// It takes nobody any more. Over.
    RolledBack,
    /// It has reached its end. Over.
    Finished,
}

/// Why a ramp is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Somebody paused it.
    Paused,
    /// Somebody aborted its step: it is back at the one before.
    Aborted,
    /// A guard holds it.
    Guard,
    /// Units do not arrive in the cohorts as they are drawn; it goes on by itself once they do.
    Ratio,
    /// Another rule came before it, or the stable version is another: its audience, or what it is compared with, is.
    Overtaken,
    /// Somebody moved its share by hand.
    ByHand,
}

impl Why {
    /// As people read it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Aborted => "aborted",
            Self::Guard => "held by a guard",
            Self::Ratio => "held: units do not arrive as drawn",
            Self::Overtaken => "overtaken",
            Self::ByHand => "moved by hand",
        }
    }
}

impl Phase {
    /// True when nothing more comes of it.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::RolledBack | Self::Finished)
    }

    /// As people read it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Held(why) => why.word(),
            Self::RolledBack => "rolled back",
            Self::Finished => "finished",
        }
    }
}

/// The ramps of an app, by rule.
pub type Ramps = BTreeMap<RuleName, Ramp>;

impl Ramp {
    /// At its first step.
    pub const fn begun(at: Timestamp, revision: Revision) -> Self {
        Self {
            step: 0,
            since: at,
            moved: revision,
            phase: Phase::Running,
            approved: false,
            noted: BTreeSet::new(),
        }
    }

    /// The share of its rule, by its plan.
    pub fn share(&self, plan: &Plan) -> Share {
        match self.phase {
            Phase::RolledBack => Share::NONE,
            _ => plan
                .steps
                .get(self.step)
                .map_or(Share::NONE, |step| step.share),
        }
    }

    /// After `act`.
    #[must_use]
    pub fn after(&self, act: &Act, at: Timestamp, revision: Revision) -> Self {
        let mut ramp = Self {
            moved: revision,
            ..self.clone()
        };
        let mut enter = |step: usize, phase: Phase| {
            ramp.step = step;
            ramp.since = at;
            ramp.phase = phase;
            ramp.approved = false;
            ramp.noted.clear();
        };
        match act {
            Act::Advance => enter(self.step + 1, Phase::Running),
            Act::Finish => ramp.phase = Phase::Finished,
            Act::Note { measures } => ramp.noted.extend(measures.iter().cloned()),
            Act::Hold { why } => ramp.phase = Phase::Held(*why),
            // What was counted before does not count for the step anew.
            Act::Resume => enter(self.step, Phase::Running),
            Act::Approve => ramp.approved = true,
            Act::Abort => match self.step.checked_sub(1) {
                Some(before) => enter(before, Phase::Held(Why::Aborted)),
                None => ramp.phase = Phase::RolledBack,
            },
            Act::RollBack | Act::Kill => ramp.phase = Phase::RolledBack,
        }
        ramp
    }
}

/// What becomes of the ramps when a rollout is put in place of another: one whose rule and plan stay goes on, and is held
/// where something else comes before it or the stable version is another; any other begins.
pub fn carried(
    before: Option<&Rollout>,
    ramps: &Ramps,
    after: &Rollout,
    at: Timestamp,
    revision: Revision,
) -> Ramps {
    let ramped = after.rules.iter().enumerate();
    let ramped = ramped.filter(|(_, rule)| rule.ramp.is_some());
    let carried = ramped.map(|(place, rule)| {
        let known = before.and_then(|before| {
            let was = before.rules.iter().position(|was| was.name == rule.name)?;
            let ramp = ramps.get(&rule.name)?;
            is_same(before, &before.rules[was], after, rule).then_some((before, was, ramp))
        });
        let ramp = match known {
            None => Ramp::begun(at, revision),
            Some((before, was, ramp)) => {
                let undisturbed = before.stable == after.stable
                    && is_alike(&before.rules[..was], &after.rules[..place]);
                if undisturbed || ramp.phase.is_over() {
                    ramp.clone()
                } else {
                    let why = Why::Overtaken;
                    ramp.after(&Act::Hold { why }, at, revision)
                }
            }
        };
        (rule.name.clone(), ramp)
    });
    carried.collect()
}

/// True when a ramp goes on: the same plan for the same draw of the same audience.
fn is_same(before: &Rollout, was: &Rule, after: &Rollout, rule: &Rule) -> bool {
    was.ramp == rule.ramp
        && was.when == rule.when
        && was.serve == rule.serve
        && before.salt_of(was) == after.salt_of(rule)
}

/// True when the same rules come before, however far their own shares have come.
fn is_alike(before: &[Rule], after: &[Rule]) -> bool {
    let bare = |rule: &Rule| {
        let share = if rule.ramp.is_some() {
            Share::NONE
        } else {
            rule.share
        };
        Rule {
            share,
            ..rule.clone()
        }
    };
    before.len() == after.len() && before.iter().zip(after).all(|(a, b)| bare(a) == bare(b))
}

/// `rollout` with the shares of its ramps as they are in force once it is put in place.
#[must_use]
pub fn settled(before: Option<&Rollout>, ramps: &Ramps, rollout: &Rollout) -> Rollout {
    if rollout.rules.iter().all(|rule| rule.ramp.is_none()) {
        return rollout.clone();
    }
    let carried = carried(before, ramps, rollout, Timestamp::EPOCH, Revision::ZERO);
    let mut settled = rollout.clone();
    for rule in &mut settled.rules {
        let Some(plan) = &rule.ramp else { continue };
        let was = before.and_then(|was| was.rules.iter().find(|was| was.name == rule.name));
        rule.share = match (carried.get(&rule.name), was) {
            // It goes on from where it is, also when somebody moved it by hand.
            (Some(ramp), Some(was)) if ramp.since > Timestamp::EPOCH => was.share,
            _ => plan.first(),
        };
    }
    settled
}
