//! `Design`: what an experiment compares, by which measure, and when it may be believed. The written form.
//!
//! It is fixed when the test begins and never changed: whoever may choose the measure afterwards finds one that says what was
//! hoped for. Amounts are shares, exact to a millionth of a percent. It says nothing about what was counted.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    limits,
    name::{ArmName, Measure, RuleName},
    ramp::text::Lasting,
    share::Share,
    stats::{
        alpha::Alpha,
        guard::{Guard, Harm},
        sequence::PLANNED_UNITS,
    },
};

/// The least and the most that `alpha` may be, with all arms sharing it.
const ALPHA: (u32, u32) = (10_000, 50_000_000);
/// The least and the most units that may be planned for.
const PLANNED: (u64, u64) = (100, 1_000_000_000);

/// What is compared, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Design {
    /// The rule whose arms are compared.
    pub rule: RuleName,
    /// The arm that the others are held against.
    pub control: ArmName,
    /// What decides.
    pub primary: Primary,
    /// What must not get worse.
    #[serde(default, rename = "guard", skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<Watched>,
    /// How long at least before anything counts as shown.
    #[serde(default = "a_week")]
    pub at_least: Lasting,
    /// How often any interval may be wrong at any look, all arms together; guards have as much for themselves.
    #[serde(default = "five_percent")]
    pub alpha: Share,
    /// Units of an arm and the control together at which intervals are narrowest, and from which on nothing shown is an
    /// answer too.
    #[serde(default = "planned_units")]
    pub planned_units: u64,
    /// What is expected, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hypothesis: String,
}

/// The measure that decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Primary {
    /// What devices report, once for a unit.
    pub measure: Measure,
    /// Which way is better.
    #[serde(default)]
    pub better: Better,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// More of it.
    #[default]
    More,
    /// Less of it.
    Less,
}

/// A measure that must not get worse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    /// What devices report.
    pub measure: Measure,
    /// Which way harm lies.
    #[serde(default = "more")]
    pub harm: Harm,
    /// How much more of all units it may be than in the control arm.
    #[serde(default = "nothing")]
    pub tolerated: Share,
    /// What must be ruled out for a pass; none: it never passes by evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Share>,
}

/// What is wrong with a design: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {what}")]
pub struct Fault {
    /// The field.
    pub field: &'static str,
    /// What is wrong, and what to do.
    pub what: String,
}

impl Design {
    /// What is wrong with it by itself, if anything.
    pub fn fault(&self) -> Option<Fault> {
        let fault = |field, what: String| Some(Fault { field, what });
        if self.guards.len() > limits::RAMP_GUARDS {
            let most = limits::RAMP_GUARDS;
            return fault("guard", format!("watch at most {most} measures"));
        }
        let mut seen = BTreeSet::from([&self.primary.measure]);
        for guard in &self.guards {
            let measure = &guard.measure;
            if !seen.insert(measure) {
                return fault("guard", format!("`{measure}` is named twice; name it once"));
            }
            if guard.margin.is_some_and(|margin| margin < guard.tolerated) {
                let what = format!(
                    "the margin of `{measure}` is below what is tolerated; let it be at least that"
                );
                return fault("guard", what);
            }
        }
        if self.at_least.ms() > limits::EXPERIMENT_LEAST_MS {
            return fault(
                "at_least",
                "at most 28d; counts are kept for 30 days".into(),
            );
        }
        if !(ALPHA.0..=ALPHA.1).contains(&self.alpha.millionths()) {
            return fault(
                "alpha",
                "a percentage from \"0.01%\" to \"50%\", such as \"5%\"".into(),
            );
        }
        if !(PLANNED.0..=PLANNED.1).contains(&self.planned_units) {
            let (least, most) = PLANNED;
            return fault("planned_units", format!("a number from {least} to {most}"));
        }
        (self.hypothesis.len() > limits::TEXT_BYTES)
            .then(|| {
                let what = format!("at most {} bytes; shorten it", limits::TEXT_BYTES);
                fault("hypothesis", what)
            })
            .flatten()
    }

    /// How often any interval may be wrong.
    pub fn alpha(&self) -> Alpha {
        Alpha::try_from(self.alpha.fraction()).unwrap_or(Alpha::FIVE_PERCENT)
    }

    /// The test of a guard, where `variants` arms are held against the control.
    pub fn test(&self, guard: &Watched, variants: usize) -> Guard {
        Guard {
            alpha: self.alpha().among(self.guards.len() * variants.max(1)),
            tolerated: guard.tolerated.fraction(),
            margin: guard.margin.map(Share::fraction),
            planned_units: self.planned_units,
            ..Guard::against(guard.harm)
        }
    }

    /// Every measure it asks about.
    pub fn measures(&self) -> impl Iterator<Item = &Measure> {
        let guards = self.guards.iter().map(|guard| &guard.measure);
        std::iter::once(&self.primary.measure).chain(guards)
    }
}

const fn a_week() -> Lasting {
    Lasting::seconds(7 * 24 * 60 * 60)
}

const fn five_percent() -> Share {
    match Share::percent(5) {
        Some(share) => share,
        None => Share::NONE,
    }
}

const fn planned_units() -> u64 {
    PLANNED_UNITS
}

const fn more() -> Harm {
    Harm::More
}

const fn nothing() -> Share {
    Share::NONE
}
