//! `judge`: what the counts of a step say, guard by guard.
//!
//! Findings keep whole numbers and words alone: a float may lose its last digit on the way through the ledger, a count does
//! not. What a verdict rests on is computed from them again for whoever reads it ([`Found::evidence`]). A node that reads a
//! decision does not judge its counts once more: formulas may be sharpened, and what counted once counts for ever.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::plan::{self, GuardPlan, Plan};
use crate::{
    name::Measure,
    share::Share,
    stats::{
        guard::{self, Evidence},
        ratio::{self, Ratio},
        sample::{Sample, Unfit},
    },
};

/// A number for each cohort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cohorts {
    /// Of the new version.
    pub candidate: u64,
    /// Of those held on the stable version.
    pub control: u64,
}

/// What was counted since a step began: each unit once, however often something happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// Units.
    pub units: Cohorts,
    /// Units to which it happened, by measure.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<Measure, Cohorts>,
}

/// What a guard says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Harm beyond the margin is ruled out.
    Pass,
    /// Harm beyond what is tolerated is shown.
    Fail,
    /// Neither is shown yet.
    Inconclusive,
    /// The counts cannot be judged.
    Error,
}

impl Verdict {
    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
        }
    }
}

/// What one guard found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// What it watches.
    pub measure: Measure,
    /// Units to which it happened.
    pub events: Cohorts,
    /// What it says.
    pub verdict: Verdict,
}

/// What was found at a step: what a decision rests on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Findings {
    /// Units of both cohorts.
    pub units: Cohorts,
    /// True when they do not arrive as they are drawn.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skewed: bool,
    /// The guards of the step, in the order of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<Found>,
}

/// Judges what was counted at a step of a rule that takes `share`.
pub fn judge(plan: &Plan, step: usize, share: Share, counted: &Counted) -> Findings {
    let units = counted.units;
    let found = |guard: &GuardPlan| {
        let events = counted.events.get(&guard.measure).copied();
        let events = events.unwrap_or_default();
        let (new, control) = samples(units, events);
        let verdict = match plan.test(step, guard).ready(weight(share)) {
            Err(_) => Verdict::Error,
            Ok(watch) => match watch.judge(&new, &control) {
                guard::Verdict::Pass => Verdict::Pass,
                guard::Verdict::Fail => Verdict::Fail,
                guard::Verdict::Inconclusive => Verdict::Inconclusive,
                guard::Verdict::Error(_) => Verdict::Error,
            },
        };
        Found {
            measure: guard.measure.clone(),
            events,
            verdict,
        }
    };
    // Without a control cohort there is nothing to compare with.
    let guards = plan.guards_of(step).iter().map(found);
    let compares = plan::control(share) > Share::NONE;
    Findings {
        units,
        skewed: compares && skew(share, units).is_ok_and(|ratio| ratio.is_alarm),
        guards: if compares {
            guards.collect()
        } else {
            Vec::new()
        },
    }
}

/// The part of the new version among both cohorts, by the draw.
fn weight(share: Share) -> f64 {
    let control = plan::control(share).fraction();
    share.fraction() / (share.fraction() + control)
}

/// Whether units arrive in the cohorts as they are drawn.
///
/// # Errors
/// As [`ratio::check`].
pub fn skew(share: Share, units: Cohorts) -> Result<Ratio, Unfit> {
    let weights = [share.millionths(), plan::control(share).millionths()];
    ratio::check(&[units.candidate, units.control], &weights)
}

fn samples(units: Cohorts, events: Cohorts) -> (Sample, Sample) {
    let new = Sample::Events {
        units: units.candidate,
        events: events.candidate,
    };
    let control = Sample::Events {
        units: units.control,
        events: events.control,
    };
    (new, control)
}

impl Found {
    /// What the verdict rests on, for people to read.
    pub fn evidence(
        &self,
        plan: &Plan,
        step: usize,
        share: Share,
        units: Cohorts,
    ) -> Option<Evidence> {
        let mut guards = plan.guards_of(step).iter();
        let guard = guards.find(|guard| guard.measure == self.measure)?;
        let watch = plan.test(step, guard).ready(weight(share)).ok()?;
        let (new, control) = samples(units, self.events);
        watch.evidence(&new, &control).ok()
    }
}
