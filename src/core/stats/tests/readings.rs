//! Sequences, experiments, chances and plans: by table, and what holds for any counts.

use proptest::prelude::*;

use super::{any_events, events, few, near, totals};
use crate::stats::{
    alpha::Alpha,
    chance::chance,
    experiment::{Reading, read},
    guard::{Guard, Harm},
    planning::{least_days, units_per_arm, units_until_fail},
    sequence::Sequence,
};

/// The formula as it is written, without anything cancelled.
fn as_written(se: f64, units: f64, alpha: f64, planned: f64) -> f64 {
    let twice = -2.0 * alpha.ln();
    let rho2 = (twice + (twice + 1.0).ln()) / planned;
    let inside = 2.0 * (units * rho2 + 1.0) / (units * units * rho2);
    se * units.sqrt() * (inside * ((units * rho2 + 1.0).sqrt() / alpha).ln()).sqrt()
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn the_sequence_is_the_formula(se in 1e-9..1e3_f64, units in 1_u64..100_000_000, alpha in 1e-4..0.5_f64, planned in 100_u64..100_000) {
        let sequence = Sequence::new(Alpha::try_from(alpha).unwrap(), planned);
        let wide = sequence.half_width(se, units);
        let should = as_written(se, units as f64, alpha, planned as f64);
        prop_assert!((wide - should).abs() <= 1e-12 * should, "{wide} {should}");
        // One side is narrower, both scale with the error, and less α is wider.
        prop_assert!(alpha > 0.3 || sequence.half_width_one_sided(se, units) < wide);
        prop_assert!((sequence.half_width(se * 8.0, units) - wide * 8.0).abs() <= 1e-12 * wide * 8.0);
        let surer = Sequence::new(Alpha::try_from(alpha / 2.0).unwrap(), planned);
        prop_assert!(surer.half_width(se, units) > wide);
    }

    /// Where the one-sided interval leaves a value out the evidence against it suffices, and hardly ever elsewhere.
    #[test]
    fn one_sided_intervals_and_evidence_say_the_same(units in 10_u64..10_000_000, se in 1e-6..10.0_f64, z in -8.0..8.0_f64, alpha in 1e-3..0.3_f64) {
        let alpha = Alpha::try_from(alpha).unwrap();
        let sequence = Sequence::new(alpha, 5_000);
        let wide = sequence.half_width_one_sided(se, units);
        let evidence = |difference: f64| sequence.ln_evidence_above(difference, 0.0, se, units);
        prop_assert!(evidence(wide * 1.000_001) >= alpha.ln_needed());
        if alpha.get() <= 0.1 {
            prop_assert!(evidence(wide * 0.95) < alpha.ln_needed());
        }
        // More of a difference is more evidence, and only the difference from what is tolerated counts.
        prop_assert!(evidence(z * se) <= evidence((z + 0.1) * se));
        let moved = sequence.ln_evidence_above(z * se + 3.0, 3.0, se, units);
        prop_assert!((moved - evidence(z * se)).abs() <= 1e-4 * evidence(z * se).abs().max(1.0));
    }

    #[test]
    fn chances_of_two_arms_are_those_of_the_other_way_round(a in any_events(), b in any_events()) {
        let (ab, ba) = (chance(&a, &b).unwrap(), chance(&b, &a).unwrap());
        prop_assert!((ab.above + ba.above - 1.0).abs() < 1e-7, "{ab:?} {ba:?}");
        prop_assert!((ab.loss_if_more - ba.loss_if_less).abs() < 1e-9);
        let numbers = [ab.above, ab.loss_if_more, ab.loss_if_less];
        prop_assert!(numbers.iter().all(|number| (0.0..=1.0).contains(number)), "{ab:?}");
        // What is lost one way less what is lost the other way is the difference of the means.
        let mean = |sample: &crate::stats::sample::Sample| (sample.mean() * sample.units() as f64 + 1.0) / (sample.units() as f64 + 2.0);
        prop_assert!((ab.loss_if_less - ab.loss_if_more - (mean(&a) - mean(&b))).abs() < 1e-7);
    }

    #[test]
    fn an_experiment_says_numbers_whatever_is_counted(control in any_events(), variants in prop::collection::vec(any_events(), 0..4)) {
        let (arm, beside) = read(&control, &variants, &Reading::default()).unwrap();
        prop_assert_eq!(arm.units, control.units());
        prop_assert_eq!(beside.len(), variants.len());
        for one in beside {
            for interval in [one.difference, one.lift, one.arm.interval].into_iter().flatten() {
                prop_assert!(interval.low.is_finite() && interval.high.is_finite());
                prop_assert!(interval.low <= interval.estimate && interval.estimate <= interval.high);
            }
            prop_assert!(!one.is_shown || one.difference.is_some());
        }
    }
}

#[test]
fn an_experiment_by_table() {
    let read = |control, variants: &[_]| read(&control, variants, &Reading::default()).unwrap().1;
    let clear = read(events(10_000, 1_000), &[events(10_000, 1_300)])[0];
    assert!(clear.is_shown && clear.chance.above > 0.999_999 && clear.chance.loss_if_more < 1e-9);
    near(clear.lift.unwrap().estimate, 0.3, 1e-12);
    assert!(clear.lift.unwrap().low > 0.1 && clear.lift.unwrap().high < 0.5);
    // The same counts among four variants are judged harder; and none of zero events has an interval.
    let four = read(events(10_000, 1_000), &[events(10_000, 1_300); 4])[0];
    let wide = |interval: crate::stats::experiment::Interval| interval.high - interval.low;
    assert!(wide(four.difference.unwrap()) > wide(clear.difference.unwrap()));
    let none = read(events(10_000, 0), &[events(10_000, 9)])[0];
    assert!(
        none.difference.is_none()
            && none.lift.is_none()
            && !none.is_shown
            && none.chance.above > 0.99
    );
    // Means: ten milliseconds of forty are seen at once, and the Bayesian reading says so too.
    let quick: Vec<f64> = (0..2_000).map(|n| f64::from(n % 80)).collect();
    let slow: Vec<f64> = quick.iter().map(|ms| ms + 10.0).collect();
    let means = read(totals(&quick), &[totals(&slow)])[0];
    assert!(means.is_shown && means.chance.above > 0.999 && means.chance.loss_if_less > 9.9);
    let same = read(totals(&quick), &[totals(&quick)])[0];
    assert!(!same.is_shown && (same.chance.above - 0.5).abs() < 1e-12);
}

#[test]
fn plans_by_table() {
    let guard = Guard::against(Harm::More);
    let until = |from, to| {
        units_until_fail(&guard, from, to, 0.5)
            .unwrap()
            .map(|units| units / 2)
    };
    // Near the medians of the simulation (tests/stats), which looks every 50 units.
    for (from, to, least, most) in [
        (0.02, 0.1, 120, 300),
        (0.005, 0.05, 120, 300),
        (0.02, 0.04, 800, 1_500),
        (0.0, 0.03, 180, 300),
    ] {
        let units = until(from, to).unwrap();
        assert!((least..=most).contains(&units), "{from} → {to}: {units}");
    }
    assert_eq!(until(0.02, 0.02), None);
    assert_eq!(until(0.04, 0.02), None);
    // A control of a tenth of the units takes longer than one of half.
    let uneven = units_until_fail(&guard, 0.02, 0.04, 0.9).unwrap().unwrap();
    assert!(uneven > 2 * until(0.02, 0.04).unwrap());
    // An interval that is expected to leave zero out does so at the planned size and not one unit before.
    let variance = 0.03 * 0.97 + 0.04 * 0.96;
    let units = units_per_arm(
        0.01,
        0.03 * 0.97,
        0.04 * 0.96,
        Alpha::FIVE_PERCENT,
        5_000,
        0.0,
    )
    .unwrap();
    let wide = |units: u64| {
        Sequence::new(Alpha::FIVE_PERCENT, 5_000)
            .half_width((variance / units as f64).sqrt(), 2 * units)
    };
    assert!(wide(units) < 0.01 && wide(units - 1) >= 0.01);
    assert!(units_per_arm(0.01, 0.03, 0.04, Alpha::FIVE_PERCENT, 5_000, 0.84) > Some(units));
    for effect in [0.0, f64::NAN, f64::INFINITY] {
        assert_eq!(
            units_per_arm(effect, 1.0, 1.0, Alpha::FIVE_PERCENT, 5_000, 0.0),
            None
        );
    }
    for (needed, per_day, days) in [
        (0, 5, Some(7)),
        (700, 100, Some(7)),
        (701, 100, Some(14)),
        (10, 0, None),
    ] {
        assert_eq!(least_days(needed, per_day), days);
    }
}
