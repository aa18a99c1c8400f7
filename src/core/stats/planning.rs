//! Before it starts: how many units until an effect of a stated size would be seen, and how many days that takes.
//!
//! These plan and never decide: they put the expected counts into the same tests and look for the first size at which the
//! test would speak. Half of all runs speak sooner, about half later.

use super::{
    alpha::Alpha,
    guard::{Guard, Verdict},
    sample::{Sample, Unfit},
    sequence::Sequence,
};
use crate::limits::STATS_UNITS;

/// Units that the control cohort and the new version need together until a guard is expected to fail, if the event rate is
/// `from` in the control and `to` in the new version, which has the `share` of the units. Nothing if it never would
/// within the largest countable sample.
///
/// # Errors
/// Those of [`Guard::ready`].
pub fn units_until_fail(
    guard: &Guard,
    from: f64,
    to: f64,
    share: f64,
) -> Result<Option<u64>, Unfit> {
    let watch = guard.ready(share)?;
    let expected = |units: u64, rate: f64, part: f64| {
        let units = (units as f64 * part).round();
        Sample::Events {
            units: units as u64,
            events: (units * rate.clamp(0.0, 1.0)).round() as u64,
        }
    };
    let fails = |units: u64| {
        let new = expected(units, to, share);
        watch.judge(&new, &expected(units, from, 1.0 - share)) == Verdict::Fail
    };
    Ok(first(fails))
}

/// Units of each of two equal arms until the interval of a difference is expected to leave zero out: a mean that differs by
/// `effect` (≠ 0), units of which have the variances `va` and `vb`. With a `reserve` of 0.84 standard errors four of five
/// runs have spoken by then, with 0 half of them.
pub fn units_per_arm(
    effect: f64,
    va: f64,
    vb: f64,
    alpha: Alpha,
    planned: u64,
    reserve: f64,
) -> Option<u64> {
    let variance = va + vb;
    let is_asked = effect.is_finite() && variance.is_finite() && variance >= 0.0 && reserve >= 0.0;
    if !is_asked {
        return None;
    }
    let sequence = Sequence::new(alpha, planned);
    first(|units| {
        let se = (variance / units as f64).sqrt();
        sequence.half_width(se, 2 * units) + reserve * se < effect.abs()
    })
}

/// Days until `needed` units have arrived at `per_day` of them, in whole weeks and at least one: people behave otherwise at
/// weekends, so part of a week is not a fair sample of it. Nothing if none arrive.
pub fn least_days(needed: u64, per_day: u64) -> Option<u64> {
    let days = (per_day > 0).then(|| needed.div_ceil(per_day))?;
    Some(days.div_ceil(7).max(1) * 7)
}

/// The first number for which it is so, where it stays so but for rounding; nothing beyond what can be counted.
fn first(is_so: impl Fn(u64) -> bool) -> Option<u64> {
    let mut high = 1;
    while !is_so(high) {
        high *= 2;
        if high > STATS_UNITS / 2 {
            return None;
        }
    }
    let mut low = high / 2;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if is_so(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}
