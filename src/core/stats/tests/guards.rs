//! Guards and the sample ratio: verdicts by table, and what holds for any counts.

use proptest::prelude::*;

use super::{any_events, events, few, totals};
use crate::stats::{
    guard::{Guard, Harm, Verdict},
    ratio,
    sample::{Sample, Unfit},
};

fn verdict(guard: &Guard, new: Sample, control: Sample) -> Verdict {
    guard.ready(0.5).unwrap().judge(&new, &control)
}

#[test]
fn verdicts_by_table() {
    use Verdict::{Fail, Inconclusive, Pass};
    let more = Guard::against(Harm::More);
    let less = Guard::against(Harm::Less);
    let spared = Guard {
        tolerated: 0.01,
        margin: Some(0.01),
        ..more
    };
    let passing = Guard {
        margin: Some(0.01),
        least_units: 2_000,
        ..more
    };
    let activations = Guard {
        margin: Some(0.02),
        ..less
    };
    for (guard, new, control, should) in [
        // Nothing is known of nobody, and nothing shown by the first failures.
        (more, events(0, 0), events(0, 0), Inconclusive),
        (more, events(50, 3), events(50, 0), Inconclusive),
        // Eight failures against none are enough, and also against one in ten times as many units.
        (more, events(250, 8), events(250, 0), Fail),
        (more, events(4_000, 80), events(4_000, 20), Fail),
        (more, events(4_000, 20), events(4_000, 80), Inconclusive),
        // A percentage point is put up with.
        (spared, events(4_000, 80), events(4_000, 60), Inconclusive),
        (spared, events(4_000, 200), events(4_000, 80), Fail),
        (spared, events(20_000, 20), events(20_000, 20), Pass),
        // Without events at all it takes units to rule a percentage point out.
        (passing, events(1_000, 0), events(1_000, 0), Inconclusive),
        (passing, events(2_000, 0), events(2_000, 0), Pass),
        // Too small a sample passes nothing, and does not delay a stop.
        (
            Guard {
                least_units: 20_001,
                ..spared
            },
            events(20_000, 20),
            events(20_000, 20),
            Inconclusive,
        ),
        (
            Guard {
                least_units: 20_001,
                ..spared
            },
            events(250, 40),
            events(250, 0),
            Fail,
        ),
        // Where less is worse: conversions that vanish, activations that fail a little.
        (less, events(2_000, 20), events(2_000, 80), Fail),
        (less, events(500, 475), events(500, 499), Fail),
        (less, events(500, 499), events(500, 475), Inconclusive),
        (
            activations,
            events(5_000, 4_950),
            events(5_000, 4_950),
            Pass,
        ),
    ] {
        assert_eq!(
            verdict(&guard, new, control),
            should,
            "{guard:?} {new:?} {control:?}"
        );
    }
}

#[test]
fn means_are_judged_once_there_are_enough_units() {
    let slow: Vec<f64> = (0..400).map(|n| 130.0 + f64::from(n % 40)).collect();
    let quick: Vec<f64> = (0..400).map(|n| 100.0 + f64::from(n % 40)).collect();
    let guard = Guard {
        margin: Some(5.0),
        ..Guard::against(Harm::More)
    };
    assert_eq!(
        verdict(&guard, totals(&slow), totals(&quick)),
        Verdict::Fail
    );
    assert_eq!(
        verdict(&guard, totals(&quick), totals(&slow)),
        Verdict::Pass
    );
    assert_eq!(
        verdict(&guard, totals(&slow[..90]), totals(&quick[..90])),
        Verdict::Inconclusive
    );
    assert_eq!(
        verdict(&guard, totals(&quick), totals(&quick)),
        Verdict::Pass
    );
    // What varies in nobody is no evidence.
    let same = totals(&[5.0; 500]);
    assert_eq!(
        verdict(&guard, same, totals(&[1.0; 500])),
        Verdict::Inconclusive
    );
}

#[test]
fn what_cannot_be_judged_says_why() {
    let guard = Guard::against(Harm::More);
    for (new, control, why) in [
        (
            events(5, 6),
            events(5, 0),
            Unfit::MoreEventsThanUnits {
                units: 5,
                events: 6,
            },
        ),
        (events(5, 0), totals(&[1.0]), Unfit::TwoKinds),
        (
            events(u64::MAX, 0),
            events(5, 0),
            Unfit::TooManyUnits { units: u64::MAX },
        ),
        (
            Sample::Totals {
                units: 2,
                sum: 10.0,
                squares: 1.0,
            },
            totals(&[1.0]),
            Unfit::Impossible { units: 2 },
        ),
        (
            totals(&[1.0]),
            Sample::Totals {
                units: 2,
                sum: f64::NAN,
                squares: 1.0,
            },
            Unfit::Impossible { units: 2 },
        ),
    ] {
        assert_eq!(verdict(&guard, new, control), Verdict::Error(why.clone()));
        assert_eq!(guard.ready(0.5).unwrap().evidence(&new, &control), Err(why));
    }
    for share in [0.0, 1.0, -0.1, f64::NAN] {
        assert_eq!(guard.ready(share), Err(Unfit::NoControl));
    }
    for (tolerated, margin) in [
        (-0.1, None),
        (f64::NAN, None),
        (0.1, Some(0.05)),
        (0.0, Some(f64::NAN)),
    ] {
        assert_eq!(
            Guard {
                tolerated,
                margin,
                ..guard
            }
            .ready(0.5),
            Err(Unfit::Tolerance)
        );
    }
}

#[test]
fn a_guard_is_read_as_written_and_refuses_what_it_does_not_know() {
    let read: Guard = serde_json::from_str(r#"{"harm":"more"}"#).unwrap();
    assert_eq!(read, Guard::against(Harm::More));
    let text = serde_json::to_string(&Guard {
        margin: Some(0.01),
        ..read
    })
    .unwrap();
    assert_eq!(
        serde_json::from_str::<Guard>(&text).unwrap().margin,
        Some(0.01)
    );
    for wrong in [
        r#"{"harm":"more","alpha":0}"#,
        r#"{"harm":"more","alpha":1}"#,
        r#"{"harm":"more","margins":1}"#,
    ] {
        serde_json::from_str::<Guard>(wrong).unwrap_err();
    }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn evidence_is_finite_and_agrees_with_the_verdict(
        new in any_events(), control in any_events(), share in 0.001..0.999_f64, tolerated in 0.0..0.9_f64, over in 0.0..2.0_f64, is_more in any::<bool>()
    ) {
        let harm = if is_more { Harm::More } else { Harm::Less };
        let guard = Guard { tolerated, margin: Some(tolerated + over), ..Guard::against(harm) };
        let watch = guard.ready(share).unwrap();
        let told = watch.evidence(&new, &control).unwrap();
        let numbers = [told.new, told.control, told.difference, told.harm, told.harmless, told.needed, told.low.unwrap_or(0.0), told.high.unwrap_or(0.0)];
        prop_assert!(numbers.iter().all(|number| number.is_finite()), "{told:?}");
        let fails = told.harm >= told.needed * (1.0 + 1e-9);
        let passes = told.harmless >= told.needed * (1.0 + 1e-9);
        match watch.judge(&new, &control) {
            Verdict::Fail => prop_assert!(told.harm >= told.needed * (1.0 - 1e-9)),
            Verdict::Pass => prop_assert!(!fails && told.harmless >= told.needed * (1.0 - 1e-9)),
            Verdict::Inconclusive => prop_assert!(!fails && !passes),
            Verdict::Error(why) => prop_assert!(false, "{why}"),
        }
    }

    #[test]
    fn more_failures_never_undo_a_stop(units in 1_u64..20_000, x in 0_u64..2_000, y in 0_u64..2_000, more in 0_u64..500) {
        let (x, y) = (x.min(units), y.min(units));
        let watch = Guard::against(Harm::More).ready(0.5).unwrap();
        // The step at which the sequence begins to count is the one place where evidence may jump.
        prop_assume!(x >= 10 && y >= 10 && x + more + 10 <= units && y + 10 <= units);
        if watch.judge(&events(units, x), &events(units, y)) == Verdict::Fail {
            prop_assert_eq!(watch.judge(&events(units, x + more), &events(units, y)), Verdict::Fail);
        }
    }

    #[test]
    fn the_ratio_is_right_where_it_is_as_expected(weights in prop::collection::vec(1_u32..100, 2..8), times in 0_u64..1_000_000) {
        let counts: Vec<u64> = weights.iter().map(|weight| u64::from(*weight) * times).collect();
        let ratio = ratio::check(&counts, &weights).unwrap();
        prop_assert!(ratio.chi_square < 1e-6 && ratio.p > 0.999 && ratio.p_anytime > 0.999 && !ratio.is_alarm);
        // The order of arms and the scale of weights mean nothing.
        let twice: Vec<u32> = weights.iter().rev().map(|weight| weight * 2).collect();
        let turned: Vec<u64> = counts.iter().rev().map(|count| count + 7).collect();
        let plain: Vec<u64> = counts.iter().map(|count| count + 7).collect();
        let (one, other) = (ratio::check(&turned, &twice).unwrap(), ratio::check(&plain, &weights).unwrap());
        prop_assert!((one.p - other.p).abs() < 1e-9 && (one.p_anytime - other.p_anytime).abs() < 1e-6);
    }

    #[test]
    fn ratios_are_numbers_whatever_is_counted(counts in prop::collection::vec(0..=crate::limits::STATS_UNITS / 8, 2..8), weights in prop::collection::vec(0_u32..1_000, 8)) {
        let weights = &weights[..counts.len()];
        match ratio::check(&counts, weights) {
            Ok(ratio) => prop_assert!(ratio.chi_square.is_finite() && (0.0..=1.0).contains(&ratio.p) && (0.0..=1.0).contains(&ratio.p_anytime)),
            Err(why) => prop_assert_eq!(why, Unfit::Weights { counts: counts.len(), weights: weights.iter().filter(|weight| **weight > 0).count() }),
        }
    }
}

#[test]
fn mismatches_ring_by_table() {
    for (counts, weights, alarm, shown) in [
        (&[5_000, 5_000][..], &[1, 1][..], false, false),
        (&[5_000, 5_200], &[1, 1], false, false),
        (&[5_000, 5_400], &[1, 1], true, false),
        (&[5_000, 6_000], &[1, 1], true, true),
        (&[9_000, 500, 520], &[90, 5, 5], false, false),
        (&[9_000, 400, 600], &[90, 5, 5], true, true),
        (&[30, 0], &[1, 1], true, true),
        (&[4, 0], &[1, 1], false, false),
        (&[10, 10, 1], &[1, 1, 0], true, true),
    ] {
        let ratio = ratio::check(counts, weights).unwrap();
        assert_eq!(
            (ratio.is_alarm, ratio.is_shown),
            (alarm, shown),
            "{counts:?} {ratio:?}"
        );
    }
    for (counts, weights) in [
        (&[5][..], &[1][..]),
        (&[5, 5], &[1]),
        (&[5, 5], &[1, 0]),
        (&[], &[]),
    ] {
        assert!(matches!(
            ratio::check(counts, weights),
            Err(Unfit::Weights { .. })
        ));
    }
}
