//! `Plan`: the steps a rule grows by, what each takes, and what watches it. The written form.
//!
//! Amounts are shares, exact to a millionth of a percent: a float may lose its last digit on its way through the
//! ledger. A plan says nothing about how far it has come.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    calendar::{Freeze, Window},
    text::{Lasting, Offset},
};
use crate::{
    name::Measure,
    share::Share,
    stats::{
        alpha::Alpha,
        guard::{Guard, Harm},
    },
    time::Timestamp,
};

/// How a rule grows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Its steps, rising.
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
    /// What watches every step that names no guards of its own.
    #[serde(default, rename = "guard", skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<GuardPlan>,
    /// How often a harmless version may be stopped at a step, by all its guards together.
    #[serde(default = "five_percent", skip_serializing_if = "is_five_percent")]
    pub alpha: Share,
    /// It grows only in these; none: at any time.
    #[serde(default, rename = "window", skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// It does not grow in these.
    #[serde(default, rename = "freeze", skip_serializing_if = "Vec::is_empty")]
    pub freezes: Vec<Freeze>,
    /// How far the clocks that windows are meant for are ahead of UTC.
    #[serde(default, skip_serializing_if = "Offset::is_utc")]
    pub offset: Offset,
    /// True: guards note what they would have done, and do nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// How much of its audience the rule takes.
    pub share: Share,
    /// How long at least.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub hold: Lasting,
    /// How many units of each cohort at least.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub units: u64,
    /// True: somebody lets it begin.
    #[serde(default, skip_serializing_if = "is_false")]
    pub approval: bool,
    /// What watches this step, in place of the plan's guards.
    #[serde(default, rename = "guard", skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<GuardPlan>,
}

/// What is watched, what is too much of it, and what happens then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardPlan {
    /// What devices report.
    pub measure: Measure,
    /// Which way harm lies.
    #[serde(default = "more", skip_serializing_if = "is_more")]
    #[schemars(with = "String")]
    pub harm: Harm,
    /// How much more of all units it may be than in the control cohort.
    #[serde(default = "nothing", skip_serializing_if = "is_no_share")]
    pub tolerated: Share,
    /// What must be ruled out for a pass; none: the guard never passes by evidence, and is not waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Share>,
    /// What happens when harm is shown.
    pub action: Action,
}

/// What happens when harm is shown, from the mildest on.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is written down.
    Note,
    /// The ramp grows no more until somebody resumes it.
    Hold,
    /// The rule takes nobody any more.
    RollBack,
    /// The version is killed, too: devices stop running it.
    Kill,
}

impl Action {
    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Hold => "hold",
            Self::RollBack => "roll-back",
            Self::Kill => "kill",
        }
    }
}

/// How much of its audience is held on the stable version to compare with, while a rule takes `share`: as many, where
/// there is room.
pub fn control(share: Share) -> Share {
    let room = Share::ALL.millionths() - share.millionths();
    Share::from_millionths(share.millionths().min(room)).unwrap_or(Share::NONE)
}

impl Plan {
    /// The share it begins with.
    pub fn first(&self) -> Share {
        self.steps.first().map_or(Share::NONE, |step| step.share)
    }

    /// What watches a step.
    pub fn guards_of(&self, step: usize) -> &[GuardPlan] {
        match self.steps.get(step) {
            Some(step) if !step.guards.is_empty() => &step.guards,
            _ => &self.guards,
        }
    }

    /// True when it may grow at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        let open = |window: &Window| window.is_open(now, self.offset);
        (self.windows.is_empty() || self.windows.iter().any(open)) && !self.is_frozen(now)
    }

    /// True when a freeze holds.
    pub fn is_frozen(&self, now: Timestamp) -> bool {
        self.freezes.iter().any(|freeze| freeze.holds(now))
    }

    /// The test of one of a step's guards.
    pub fn test(&self, step: usize, guard: &GuardPlan) -> Guard {
        let alpha = Alpha::try_from(self.alpha.fraction()).unwrap_or(Alpha::FIVE_PERCENT);
        Guard {
            alpha: alpha.among(self.guards_of(step).len()),
            tolerated: guard.tolerated.fraction(),
            margin: guard.margin.map(Share::fraction),
            least_units: self.steps.get(step).map_or(0, |step| step.units),
            ..Guard::against(guard.harm)
        }
    }
}

const fn five_percent() -> Share {
    match Share::percent(5) {
        Some(share) => share,
        None => Share::NONE,
    }
}

fn is_five_percent(share: &Share) -> bool {
    *share == five_percent()
}

const fn more() -> Harm {
    Harm::More
}

fn is_more(harm: &Harm) -> bool {
    *harm == Harm::More
}

const fn nothing() -> Share {
    Share::NONE
}

fn is_no_share(share: &Share) -> bool {
    *share == Share::NONE
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_nothing(lasting: &Lasting) -> bool {
    *lasting == Lasting::default()
}
