//! What a test says at an instant, given what was counted: the sample ratio first, then time, then the arms.
//!
//! Intervals hold at every look, so looking is free. What is said is said of all arms together only when it may be
//! believed: not while units arrive otherwise than drawn, not before the least time, not from counts that cannot be. It
//! decides nothing: [`Reading::objection`] is what a person should hear before promoting an arm.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    design::{Better, Watched},
    state::{Experiment, Side},
};
use crate::{
    limits,
    name::{ArmName, Measure},
    stats::{
        experiment::{self as stats, Beside, Interval},
        guard::{self, Evidence},
        ratio::{self, Ratio},
        sample::Sample,
    },
    time::Timestamp,
    version::Number,
};

/// What was counted of one arm.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted {
    /// Units that arrived: that said they run it, or that it did not start.
    pub arrivals: u64,
    /// Units to which it happened, by measure.
    pub events: BTreeMap<Measure, u64>,
}

/// What a test says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// What was counted is not known on this node now.
    Unknown,
    /// Units do not arrive in the arms as they are drawn: no comparison means anything.
    RatioAlarm,
    /// The counts cannot be read.
    Unfit,
    /// The first of its counts are forgotten.
    TooLong,
    /// The least time is not over.
    TooEarly,
    /// An arm is shown to be better or worse than the control.
    Shown,
    /// As many units as were planned for arrived, and nothing is shown.
    NotShown,
    /// Nothing is shown yet.
    Running,
}

impl Verdict {
    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::RatioAlarm => "ratio-alarm",
            Self::Unfit => "unfit",
            Self::TooLong => "too-long",
            Self::TooEarly => "too-early",
            Self::Shown => "shown",
            Self::NotShown => "not-shown",
            Self::Running => "running",
        }
    }
}

/// What an arm is, beside the control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// Shown to be better.
    Better,
    /// Shown to be worse.
    Worse,
    /// Neither is shown.
    Open,
}

impl Says {
    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Open => "open",
        }
    }
}

/// A test, read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reading {
    /// What it says.
    pub verdict: Verdict,
    /// Why the counts cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfit: Option<String>,
    /// Whether units arrive as they are drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Ratio>,
    /// Nothing is called shown before.
    pub not_before: Timestamp,
    /// The arms, the control first.
    pub arms: Vec<ArmReading>,
}

/// An arm, read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmReading {
    /// The arm.
    pub arm: ArmName,
    /// True of the one that the others are held against.
    pub is_control: bool,
    /// What it serves.
    pub version: Number,
    /// Its tickets among all.
    pub weight: u32,
    /// Units that arrived.
    pub units: u64,
    /// Of those, to which the primary measure happened.
    pub events: u64,
    /// Events per unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// With an interval, once there are ten events and ten units without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// Less the control.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Interval>,
    /// Over the control, less one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lift: Option<Interval>,
    /// The Bayesian chance that it is better than the control. No test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chance_to_win: Option<f64>,
    /// What choosing it would lose on average, a unit, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_loss: Option<f64>,
    /// What it is beside the control.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub says: Option<Says>,
    /// What must not get worse.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<GuardReading>,
}

/// A guard of an arm, read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GuardReading {
    /// What it watches.
    pub measure: Measure,
    /// `pass`, `fail`, `inconclusive` or `error`.
    pub verdict: &'static str,
    /// Units of the arm to which it happened.
    pub events: u64,
    /// Units of the control to which it happened.
    pub control_events: u64,
    /// What that rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// Reads a test at `now`; without counts, that they are not known.
pub fn read(
    experiment: &Experiment,
    counted: Option<&BTreeMap<ArmName, Counted>>,
    now: Timestamp,
) -> Reading {
    let until = experiment.until(now);
    let not_before = experiment.since.plus_ms(experiment.design.at_least.ms());
    let mut reading = Reading {
        verdict: Verdict::Unknown,
        unfit: None,
        ratio: None,
        not_before,
        arms: Vec::new(),
    };
    let Some(counted) = counted else {
        return reading;
    };
    let nothing = Counted::default();
    let sides = Sides::of(experiment, counted, &nothing);
    let compared = compared(experiment, &sides);
    reading.arms = arms(experiment, &sides, compared.as_ref().ok());
    reading.ratio = sides.ratio();
    let kept_ms = u64::from(limits::FEEDBACK_MINUTES) * 60_000;
    reading.verdict = match &compared {
        _ if reading.ratio.is_some_and(|ratio| ratio.is_alarm) => Verdict::RatioAlarm,
        Err(why) => {
            reading.unfit = Some(why.clone());
            Verdict::Unfit
        }
        Ok(_) if now.ms_since(experiment.since) > kept_ms => Verdict::TooLong,
        Ok(_) if until < not_before => Verdict::TooEarly,
        Ok((_, beside)) if beside.iter().any(|one| one.is_shown) => Verdict::Shown,
        Ok(_) if sides.is_enough(experiment.design.planned_units) => Verdict::NotShown,
        Ok(_) => Verdict::Running,
    };
    reading
}

/// One arm with what was counted of it.
type Sided<'a> = (&'a ArmName, &'a Side, &'a Counted);

/// The arms that are drawn, the control first.
struct Sides<'a> {
    control: Option<Sided<'a>>,
    variants: Vec<Sided<'a>>,
}

impl<'a> Sides<'a> {
    fn of(
        experiment: &'a Experiment,
        counted: &'a BTreeMap<ArmName, Counted>,
        nothing: &'a Counted,
    ) -> Self {
        let drawn = experiment.arms.iter().filter(|(_, side)| side.weight > 0);
        let sided = drawn.map(|(name, side)| (name, side, counted.get(name).unwrap_or(nothing)));
        let (control, variants): (Vec<_>, Vec<_>) =
            sided.partition(|(name, ..)| **name == experiment.design.control);
        Self {
            control: control.first().copied(),
            variants,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Sided<'a>> {
        self.control.iter().chain(&self.variants)
    }

    fn ratio(&self) -> Option<Ratio> {
        let counts: Vec<u64> = self.all().map(|(.., counted)| counted.arrivals).collect();
        let weights: Vec<u32> = self.all().map(|(_, side, _)| side.weight).collect();
        ratio::check(&counts, &weights).ok()
    }

    /// True when as many units as were planned for arrived in each pair.
    fn is_enough(&self, planned: u64) -> bool {
        let Some((.., control)) = self.control else {
            return false;
        };
        let mut variants = self.variants.iter();
        variants.all(|(.., arm)| arm.arrivals.saturating_add(control.arrivals) >= planned)
    }
}

type Compared = (stats::Arm, Vec<Beside>);

fn happened(counted: &Counted, measure: &Measure) -> u64 {
    counted.events.get(measure).copied().unwrap_or_default()
}

fn compared(experiment: &Experiment, sides: &Sides<'_>) -> Result<Compared, String> {
    let design = &experiment.design;
    let sample = |(.., counted): &Sided<'_>| Sample::Events {
        units: counted.arrivals,
        events: happened(counted, &design.primary.measure),
    };
    let Some(control) = &sides.control else {
        return Err("the control arm is gone; end the test".into());
    };
    let variants: Vec<Sample> = sides.variants.iter().map(sample).collect();
    let how = stats::Reading {
        alpha: design.alpha(),
        planned_units: design.planned_units,
    };
    stats::read(&sample(control), &variants, &how)
        .map_err(|unfit| format!("`{}`: {unfit}", design.primary.measure))
}

fn arms(
    experiment: &Experiment,
    sides: &Sides<'_>,
    compared: Option<&Compared>,
) -> Vec<ArmReading> {
    let Some(control) = &sides.control else {
        return Vec::new();
    };
    let first = bare(experiment, control, compared.map(|(arm, _)| arm));
    let mut arms = vec![ArmReading {
        is_control: true,
        ..first
    }];
    for (nth, sided) in sides.variants.iter().enumerate() {
        let beside = compared.and_then(|(_, beside)| beside.get(nth));
        let mut arm = bare(experiment, sided, beside.map(|one| &one.arm));
        if let Some(one) = beside {
            compare(&mut arm, one, experiment.design.primary.better);
        }
        let guards = experiment.design.guards.iter();
        arm.guards = guards
            .map(|guard| watched(experiment, guard, sided, control, sides.variants.len()))
            .collect();
        arms.push(arm);
    }
    arms
}

fn bare(
    experiment: &Experiment,
    (name, side, counted): &Sided<'_>,
    arm: Option<&stats::Arm>,
) -> ArmReading {
    ArmReading {
        arm: (*name).clone(),
        is_control: false,
        version: side.version.clone(),
        weight: side.weight,
        units: counted.arrivals,
        events: happened(counted, &experiment.design.primary.measure),
        mean: arm.map(|arm| arm.mean),
        interval: arm.and_then(|arm| arm.interval),
        difference: None,
        lift: None,
        chance_to_win: None,
        expected_loss: None,
        says: None,
        guards: Vec::new(),
    }
}

fn compare(arm: &mut ArmReading, one: &Beside, better: Better) {
    arm.difference = one.difference;
    arm.lift = one.lift;
    let (won, loss) = match better {
        Better::More => (one.chance.above, one.chance.loss_if_more),
        Better::Less => (1.0 - one.chance.above, one.chance.loss_if_less),
    };
    arm.chance_to_win = Some(won);
    arm.expected_loss = Some(loss);
    let is_more = one.difference.is_some_and(|it| it.low > 0.0);
    arm.says = Some(match (one.is_shown, is_more == (better == Better::More)) {
        (false, _) => Says::Open,
        (true, true) => Says::Better,
        (true, false) => Says::Worse,
    });
}

fn watched(
    experiment: &Experiment,
    guard: &Watched,
    (_, side, counted): &Sided<'_>,
    (_, control_side, control): &Sided<'_>,
    variants: usize,
) -> GuardReading {
    let (events, control_events) = (
        happened(counted, &guard.measure),
        happened(control, &guard.measure),
    );
    // A release that does nothing but fail is no blind spot: what it failed on counts as a unit.
    let sample = |counted: &Counted, events: u64| Sample::Events {
        units: counted.arrivals.max(events),
        events,
    };
    let (new, old) = (sample(counted, events), sample(control, control_events));
    let both = f64::from(side.weight) + f64::from(control_side.weight);
    let watch = experiment
        .design
        .test(guard, variants)
        .ready(f64::from(side.weight) / both);
    let verdict = match watch.as_ref().map(|watch| watch.judge(&new, &old)) {
        Ok(guard::Verdict::Pass) => "pass",
        Ok(guard::Verdict::Fail) => FAIL,
        Ok(guard::Verdict::Inconclusive) => "inconclusive",
        Ok(guard::Verdict::Error(_)) | Err(_) => "error",
    };
    GuardReading {
        measure: guard.measure.clone(),
        verdict,
        events,
        control_events,
        evidence: watch.ok().and_then(|watch| watch.evidence(&new, &old).ok()),
    }
}

const FAIL: &str = "fail";

impl Reading {
    /// Why promoting `arm` is not what the test says; none: it is. Going back to the control is never objected to.
    pub fn objection(&self, arm: &ArmName) -> Option<String> {
        let Some(read) = self.arms.iter().find(|known| known.arm == *arm) else {
            // Without counts no arm is read; whether there is one is for whoever decides.
            return Some(self.verdict_in_words().to_owned());
        };
        if read.is_control {
            return None;
        }
        if let Some(guard) = read.guards.iter().find(|guard| guard.verdict == FAIL) {
            return Some(format!("guard `{}` shows harm", guard.measure));
        }
        match (self.verdict, read.says) {
            (Verdict::Shown, Some(Says::Better)) => None,
            (Verdict::Shown, Some(Says::Worse)) => Some("it is shown to be worse".into()),
            (Verdict::Shown, _) => Some("it is not the arm that is shown to be better".into()),
            _ => Some(self.verdict_in_words().to_owned()),
        }
    }

    /// The verdict as a sentence goes on with it.
    pub const fn verdict_in_words(&self) -> &'static str {
        match self.verdict {
            Verdict::Unknown => "this node does not know what was counted",
            Verdict::RatioAlarm => "units do not arrive in the arms as they are drawn",
            Verdict::Unfit => "the counts cannot be read",
            Verdict::TooLong => "the first of its counts are forgotten after 30 days",
            Verdict::TooEarly => "its least time is not over",
            Verdict::Shown => "an arm is shown to differ",
            Verdict::NotShown => "as many units as planned arrived, and no difference is shown",
            Verdict::Running => "no difference is shown yet",
        }
    }
}
