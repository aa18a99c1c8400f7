//! `next`: what happens to a ramp now, if anything, and what it waits for if not.
//!
//! A pure function of plan, ramp, findings and time. Every node asks it, whichever is first writes the answer down, and
//! every node that reads the answer asks it once more: what does not follow from its own findings counts nowhere. Stopping
//! waits for no window, no sample and nobody.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    judge::{Findings, Found, Verdict},
    plan::{Action, GuardPlan, Plan},
    state::{Phase, Ramp, Why},
};
use crate::{name::Measure, time::Timestamp};

/// What happens to a ramp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum Act {
    /// The next step begins.
    Advance,
    /// The last step is over.
    Finish,
    /// Harm is written down.
    Note {
        /// Of what.
        measures: BTreeSet<Measure>,
    },
    /// It grows no more until it is resumed.
    Hold {
        /// Why.
        why: Why,
    },
    /// It goes on; what is counted begins anew.
    Resume,
    /// Somebody let the next step begin.
    Approve,
    /// It is back at the step before, and held there.
    Abort,
    /// It takes nobody any more.
    RollBack,
    /// The same, and the version is killed.
    Kill,
}

impl Act {
    /// Its name.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Advance => "advance",
            Self::Finish => "finish",
            Self::Note { .. } => "note",
            Self::Hold { .. } => "hold",
            Self::Resume => "resume",
            Self::Approve => "approve",
            Self::Abort => "abort",
            Self::RollBack => "roll-back",
            Self::Kill => "kill",
        }
    }
}

/// What people do to a ramp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Steer {
    /// It stays where it is. Its guards go on watching.
    Pause,
    /// It goes on; what is counted begins anew.
    Resume,
    /// Back to the step before, and held there.
    Abort,
    /// It takes nobody any more.
    RollBack,
    /// The next step may begin.
    Approve,
}

impl Steer {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Pause,
        Self::Resume,
        Self::Abort,
        Self::RollBack,
        Self::Approve,
    ];

    /// What is asked for, as an error says it.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Pause => "pause a ramp",
            Self::Resume => "resume a ramp",
            Self::Abort => "abort a step of a ramp",
            Self::RollBack => "roll a ramp back",
            Self::Approve => "let a step of a ramp begin",
        }
    }

    /// True of what never lets more devices have a new version.
    pub const fn stops(self) -> bool {
        matches!(self, Self::Pause | Self::Abort | Self::RollBack)
    }

    /// What happens.
    pub const fn act(self) -> Act {
        match self {
            Self::Pause => Act::Hold { why: Why::Paused },
            Self::Resume => Act::Resume,
            Self::Abort => Act::Abort,
            Self::RollBack => Act::RollBack,
            Self::Approve => Act::Approve,
        }
    }

    /// What somebody asked for whose doing led to `act`.
    pub fn of(act: &Act) -> Option<Self> {
        Self::ALL.into_iter().find(|steer| steer.act() == *act)
    }
}

/// What a ramp waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "kebab-case")]
pub enum Wait {
    /// The step's hold.
    Hold {
        /// Until then.
        until: Timestamp,
    },
    /// The step's minimum sample.
    Units {
        /// So many in each cohort.
        least: u64,
        /// The smaller one has.
        have: u64,
    },
    /// A guard that has not passed.
    Guard {
        /// Which.
        measure: Measure,
        /// What it says.
        verdict: Verdict,
    },
    /// Units that arrive as they are drawn.
    Ratio,
    /// A change window.
    Window,
    /// The end of a freeze.
    Freeze,
    /// Somebody who lets the next step begin.
    Approval,
    /// Somebody who resumes it.
    Resume {
        /// Why it is held.
        why: Why,
    },
    /// A rule that is not paused.
    Rule,
    /// What was counted, which is not known now.
    Counts,
}

/// What happens at `now`; nothing: it goes on waiting.
pub fn next(plan: &Plan, ramp: &Ramp, findings: &Findings, now: Timestamp) -> Option<Act> {
    if ramp.phase.is_over() {
        return None;
    }
    if let Some(stop) = stop(plan, ramp, findings) {
        return Some(stop);
    }
    match ramp.phase {
        Phase::Running if findings.skewed => Some(Act::Hold { why: Why::Ratio }),
        Phase::Held(Why::Ratio) if !findings.skewed => Some(Act::Resume),
        Phase::Running if waits(plan, ramp, findings, now).is_empty() => {
            let is_last = ramp.step + 1 >= plan.steps.len();
            Some(if is_last { Act::Finish } else { Act::Advance })
        }
        _ => None,
    }
}

/// What guards do that see harm: the strictest first. A wrong ratio never shields it.
fn stop(plan: &Plan, ramp: &Ramp, findings: &Findings) -> Option<Act> {
    let failed = || {
        let pairs = guarded(plan, ramp, findings);
        pairs.filter(|(_, found)| found.verdict == Verdict::Fail)
    };
    let action = |guard: &GuardPlan| {
        if plan.dry_run {
            Action::Note
        } else {
            guard.action
        }
    };
    let strictest = failed().map(|(guard, _)| action(guard)).max()?;
    let is_held = matches!(ramp.phase, Phase::Held(why) if why != Why::Ratio);
    match strictest {
        Action::Kill => return Some(Act::Kill),
        Action::RollBack => return Some(Act::RollBack),
        Action::Hold if !is_held => return Some(Act::Hold { why: Why::Guard }),
        Action::Hold | Action::Note => {}
    }
    let noted = failed().map(|(_, found)| found.measure.clone());
    let new: BTreeSet<Measure> = noted.filter(|one| !ramp.noted.contains(one)).collect();
    (!new.is_empty()).then_some(Act::Note { measures: new })
}

/// The step's guards with what each found.
fn guarded<'a>(
    plan: &'a Plan,
    ramp: &Ramp,
    findings: &'a Findings,
) -> impl Iterator<Item = (&'a GuardPlan, &'a Found)> {
    let guards = plan.guards_of(ramp.step).iter();
    guards.zip(&findings.guards)
}

/// Everything that is waited for before the next step; nothing: it may begin.
pub fn waits(plan: &Plan, ramp: &Ramp, findings: &Findings, now: Timestamp) -> Vec<Wait> {
    let mut waits = Vec::new();
    match ramp.phase {
        Phase::RolledBack | Phase::Finished => return waits,
        Phase::Held(Why::Ratio) => waits.push(Wait::Ratio),
        Phase::Held(why) => waits.push(Wait::Resume { why }),
        Phase::Running => {}
    }
    let Some(step) = plan.steps.get(ramp.step) else {
        return waits;
    };
    let until = ramp.since.plus_ms(step.hold.ms());
    if now < until {
        waits.push(Wait::Hold { until });
    }
    let is_compared = super::plan::control(step.share) > crate::share::Share::NONE;
    let have = match is_compared {
        true => findings.units.candidate.min(findings.units.control),
        false => findings.units.candidate,
    };
    if have < step.units {
        let least = step.units;
        waits.push(Wait::Units { least, have });
    }
    if findings.skewed && ramp.phase == Phase::Running {
        waits.push(Wait::Ratio);
    }
    for (guard, found) in guarded(plan, ramp, findings) {
        let must_pass = guard.margin.is_some() && guard.action > Action::Note && !plan.dry_run;
        let is_past = match found.verdict {
            Verdict::Pass => true,
            Verdict::Inconclusive => !must_pass,
            Verdict::Fail => guard.action == Action::Note || plan.dry_run,
            Verdict::Error => plan.dry_run,
        };
        if !is_past {
            waits.push(Wait::Guard {
                measure: found.measure.clone(),
                verdict: found.verdict,
            });
        }
    }
    if is_compared && findings.guards.len() < plan.guards_of(ramp.step).len() {
        // Findings that leave guards out say nothing about them.
        let missing = &plan.guards_of(ramp.step)[findings.guards.len()..];
        waits.extend(missing.iter().map(|guard| Wait::Guard {
            measure: guard.measure.clone(),
            verdict: Verdict::Error,
        }));
    }
    if let Some(next) = plan.steps.get(ramp.step + 1) {
        if plan.is_frozen(now) {
            waits.push(Wait::Freeze);
        } else if !plan.is_open(now) {
            waits.push(Wait::Window);
        }
        if next.approval && !ramp.approved {
            waits.push(Wait::Approval);
        }
    }
    waits
}
