//! An A/B test read at any time: each arm, and each variant beside the control.
//!
//! Intervals are confidence sequences: they hold at every look together, so a test may be ended the moment one of them leaves
//! zero out. With several variants each gets its part of `α`, so that all of them together keep it. While an arm
//! has too few events for the normal approximation there is no interval, and nothing is shown: never a narrow one around
//! zero events. Whether the sample ratio is right is asked of `ratio`, first.
//!
//! The relative lift `b/a − 1` has the variance `v_b/a² + v_a b²/a⁴` of the delta method, which takes a control mean that is well
//! away from zero: it is given where that is at least five standard errors.
//!
//! Sources: those of `sequence`; A. Deng, U. Knoblich, J. Lu, "Applying the Delta Method in Metric Analytics", KDD 2018.

use serde::{Deserialize, Serialize};

use super::{
    alpha::Alpha,
    chance::{Chance, chance},
    guard::NORMAL_FROM,
    sample::{Sample, Unfit, comparable, compared},
    sequence::{PLANNED_UNITS, Sequence},
};

/// How an experiment is read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// How often any interval may be wrong at any look.
    pub alpha: Alpha,
    /// `N*`: units of both arms at which intervals are narrowest.
    pub planned_units: u64,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            alpha: Alpha::FIVE_PERCENT,
            planned_units: PLANNED_UNITS,
        }
    }
}

/// An estimate with an interval that holds at every look.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// What was seen.
    pub estimate: f64,
    /// Not below this, but for `α`.
    pub low: f64,
    /// Not above this, but for `α`.
    pub high: f64,
}

impl Interval {
    fn around(estimate: f64, half_width: f64) -> Self {
        Self {
            estimate,
            low: (estimate - half_width).max(f64::MIN),
            high: (estimate + half_width).min(f64::MAX),
        }
    }

    /// True when zero is ruled out.
    pub fn leaves_zero_out(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// One arm by itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// Units.
    pub units: u64,
    /// Its mean.
    pub mean: f64,
    /// Its mean with an interval; nothing while the approximation is not fair.
    pub interval: Option<Interval>,
}

/// A variant beside the control.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// The variant by itself.
    pub arm: Arm,
    /// Variant less control, in the measure's own unit.
    pub difference: Option<Interval>,
    /// Variant over control less one: 0.1 is a tenth more.
    pub lift: Option<Interval>,
    /// The Bayesian reading.
    pub chance: Chance,
    /// True when the interval of the difference leaves zero out.
    pub is_shown: bool,
}

/// The control by itself and each variant beside it, in the order given.
///
/// # Errors
/// See [`Unfit`].
pub fn read(
    control: &Sample,
    variants: &[Sample],
    how: &Reading,
) -> Result<(Arm, Vec<Beside>), Unfit> {
    let alpha = how.alpha.among(variants.len());
    let sequence = Sequence::new(alpha, how.planned_units);
    let arm = |sample: &Sample| Arm {
        units: sample.units(),
        mean: sample.mean(),
        interval: sample.is_near_normal(NORMAL_FROM).then(|| {
            let se = sample.mean_variance().sqrt();
            Interval::around(sample.mean(), sequence.half_width(se, sample.units()))
        }),
    };
    let mut read = Vec::with_capacity(variants.len());
    for variant in variants {
        let (variant, control) = comparable(*variant, *control)?;
        let difference = difference(&sequence, &variant, &control);
        read.push(Beside {
            arm: arm(&variant),
            difference,
            lift: lift(&sequence, &variant, &control),
            chance: chance(&variant, &control)?,
            is_shown: difference.is_some_and(|interval| interval.leaves_zero_out()),
        });
    }
    Ok((arm(&control.checked()?), read))
}

/// The difference with its interval alone; nothing while the approximation is not fair, or of counts
/// that cannot be judged.
pub fn difference(sequence: &Sequence, variant: &Sample, control: &Sample) -> Option<Interval> {
    let (variant, control) = comparable(*variant, *control).ok()?;
    let is_fair = variant.is_near_normal(NORMAL_FROM) && control.is_near_normal(NORMAL_FROM);
    is_fair.then(|| {
        let (difference, se, units) = compared(&variant, &control);
        Interval::around(difference, sequence.half_width(se, units))
    })
}

fn lift(sequence: &Sequence, variant: &Sample, control: &Sample) -> Option<Interval> {
    let is_fair = variant.is_near_normal(NORMAL_FROM) && control.is_near_normal(NORMAL_FROM);
    let (a, b) = (control.mean(), variant.mean());
    let (va, vb) = (control.mean_variance(), variant.mean_variance());
    (is_fair && a.abs() >= 5.0 * va.sqrt()).then(|| {
        let se = (vb + va * (b / a) * (b / a)).sqrt() / a.abs();
        Interval::around(
            b / a - 1.0,
            sequence.half_width(se, control.units() + variant.units()),
        )
    })
}
