//! Bets: nobody can expect to win while the difference is what is tolerated, shown without drawing a single number.

use proptest::prelude::*;

use super::few;
use crate::stats::{
    betting::{Bets, Tally},
    normal::ln_sum,
};

fn wealth(bets: &Bets, first: u64, second: u64, neither: u64) -> f64 {
    bets.ln_wealth(&Tally {
        first,
        second,
        neither,
    })
    .exp()
}

#[test]
fn the_first_failures_are_seen_where_the_control_has_none() {
    let bets = Bets::new(0.5, 0.0).unwrap();
    let stops = (1..).find(|failures| wealth(&bets, *failures, 0, 0) >= 20.0);
    assert_eq!(stops, Some(6));
    // And whoever has no events has no evidence, either way.
    assert!((wealth(&bets, 0, 0, 1_000_000) - 1.0).abs() < 1e-12);
    assert!(wealth(&bets, 0, 6, 0) < 1.0);
}

/// How likely it is that wealth ever reaches `1/α` within `events` events that fall into the first cohort with probability
/// `share`: by walking over every count there can be.
fn ever_reaches(bets: &Bets, share: f64, alpha: f64, events: u64) -> f64 {
    let mut alive = vec![1.0];
    let mut stopped = 0.0;
    for total in 1..=events {
        let mut next = vec![0.0; total as usize + 1];
        for (first, chance) in alive.iter().enumerate() {
            next[first] += chance * (1.0 - share);
            next[first + 1] += chance * share;
        }
        for (first, chance) in next.iter_mut().enumerate() {
            if wealth(bets, first as u64, total - first as u64, 0) >= 1.0 / alpha {
                stopped += *chance;
                *chance = 0.0;
            }
        }
        alive = next;
    }
    stopped
}

#[test]
fn what_is_harmless_reaches_the_bar_less_often_than_alpha_counted_over_every_course_of_events() {
    for share in [0.05, 0.2, 0.5, 0.8] {
        let bets = Bets::new(share, 0.0).unwrap();
        for alpha in [0.01, 0.05, 0.2] {
            let wrong = ever_reaches(&bets, share, alpha, 300);
            assert!(
                wrong > 0.0 && wrong <= alpha,
                "share {share}, α {alpha}: {wrong}"
            );
        }
    }
    // It would notice: bets that think the first cohort smaller than it is are reached too often.
    let blind = Bets::new(0.4, 0.0).unwrap();
    assert!(ever_reaches(&blind, 0.5, 0.05, 300) > 0.05);
}

proptest! {
    #![proptest_config(few())]

    /// The mean of wealth after `n` units over all that can happen is at most what it began with, whatever the rates,
    /// as long as they differ by at most what is tolerated.
    #[test]
    fn nobody_expects_to_win_against_what_is_harmless(
        share in 0.02..0.98_f64, second in 0.0..1.0_f64, less in 0.0..1.0_f64, tolerated in -0.3..0.3_f64, n in 1_u64..14
    ) {
        let first = ((second + tolerated) * less).clamp(0.0, 1.0);
        prop_assume!(first - second <= tolerated);
        let bets = Bets::new(share, tolerated).unwrap();
        let [a, b] = [share * first, (1.0 - share) * second];
        let ln_fact = |n: u64| (1..=n).map(|k| (k as f64).ln()).sum::<f64>();
        let mut mean = f64::NEG_INFINITY;
        for x in 0..=n {
            for y in 0..=n - x {
                let z = n - x - y;
                let ways = ln_fact(n) - ln_fact(x) - ln_fact(y) - ln_fact(z);
                let power = |p: f64, k: u64| if k == 0 { 0.0 } else { k as f64 * p.ln() };
                let chance = ways + power(a, x) + power(b, y) + power((1.0 - a - b).max(0.0), z);
                mean = ln_sum(mean, chance + bets.ln_wealth(&Tally { first: x, second: y, neither: z }));
            }
        }
        prop_assert!(mean <= 1e-9, "{mean}");
    }

    /// Two cohorts of fixed size, as experiments that fill both in turn: also then.
    #[test]
    fn nor_with_cohorts_of_fixed_size(rate in 0.0..1.0_f64, n in 1_u64..30) {
        let bets = Bets::new(0.5, 0.0).unwrap();
        let chances: Vec<f64> = (0..=n)
            .map(|k| {
                let ways: f64 = (1..=k).map(|i| ((n - k + i) as f64 / i as f64).ln()).sum();
                (ways + k as f64 * rate.max(1e-300).ln() + (n - k) as f64 * (1.0 - rate).ln()).exp()
            })
            .collect();
        let mut mean = 0.0;
        for (x, p) in chances.iter().enumerate() {
            for (y, q) in chances.iter().enumerate() {
                mean += p * q * wealth(&bets, x as u64, y as u64, 2 * n - x as u64 - y as u64);
            }
        }
        prop_assert!(mean <= 1.0 + 1e-9, "{mean}");
    }

    #[test]
    fn an_event_more_in_the_first_raises_it_and_one_in_the_second_lowers_it(
        share in 0.02..0.98_f64, tolerated in -0.3..0.3_f64, x in 0_u64..100_000, y in 0_u64..100_000, z in 0_u64..10_000_000
    ) {
        let bets = Bets::new(share, tolerated).unwrap();
        let ln = |first, second| bets.ln_wealth(&Tally { first, second, neither: z });
        prop_assert!(ln(x + 1, y) > ln(x, y) && ln(x, y + 1) < ln(x, y));
    }
}

#[test]
fn what_cannot_be_bet_on_has_no_bets() {
    for (share, tolerated) in [
        (0.0, 0.0),
        (1.0, 0.0),
        (f64::NAN, 0.0),
        (0.5, 1.0),
        (0.5, -1.0),
        (0.5, f64::NAN),
    ] {
        assert_eq!(Bets::new(share, tolerated), None);
    }
}
