//! Tests with a mistake in them, tried by the streams that the right ones pass: a harness that lets these pass would be worth
//! nothing. Each is a mistake that people make.

use huidu_core::stats::{
    alpha::Alpha,
    guard::{Guard, Harm},
    sequence::{PLANNED_UNITS, Sequence},
};

use crate::{
    guards::{Outage, fails},
    streams::{Counts, Steady, Stops, World, run},
};

/// Enough to tell what is far above the bar.
const STREAMS: u64 = 1_000;

fn tried(world: &mut impl World, mistake: impl Fn(&Counts) -> bool) -> Stops {
    run(STREAMS, world, mistake)
}

/// Difference and standard error, once there are ten of everything.
fn seen(counts: &Counts) -> Option<(f64, f64)> {
    let n = counts.units as f64;
    let (p, q) = (counts.new as f64 / n, counts.control as f64 / n);
    let is_enough = counts.new.min(counts.control) >= 10;
    is_enough.then(|| (p - q, ((p * (1.0 - p) + q * (1.0 - q)) / n).sqrt()))
}

fn caught(mistake: &str, stops: &Stops) {
    println!(
        "figure: planted mistake, {mistake}: {:.1} % of {} streams stopped",
        stops.percent(),
        stops.streams()
    );
    assert!(
        stops.percent() > 5.0,
        "{mistake} is not noticed: {} %",
        stops.percent()
    );
}

#[test]
fn a_test_for_one_look_asked_at_every_look_is_noticed() {
    let stops = tried(&mut Steady::rates(0.02, 0.02), |counts| {
        seen(counts).is_some_and(|(difference, se)| difference > 1.645 * se)
    });
    stops.keep("planted-z");
    caught("a z-test for one look", &stops);
}

#[test]
fn one_sided_bounds_on_both_sides_are_noticed() {
    let sequence = Sequence::new(Alpha::FIVE_PERCENT, PLANNED_UNITS);
    let stops = run(10 * STREAMS, &mut Steady::rates(0.3, 0.3), |counts| {
        seen(counts).is_some_and(|(difference, se)| {
            difference.abs() > sequence.half_width_one_sided(se, 2 * counts.units)
        })
    });
    caught("two sides at the price of one", &stops);
}

#[test]
fn a_guard_that_looks_past_its_control_is_noticed() {
    let sequence = Sequence::new(Alpha::FIVE_PERCENT, PLANNED_UNITS);
    let stops = tried(&mut Outage::new(), |counts| {
        let n = counts.units as f64;
        let p = counts.new as f64 / n;
        let se = (p * (1.0 - p) / n).sqrt();
        counts.new >= 10 && p - 0.005 > sequence.half_width_one_sided(se, counts.units)
    });
    stops.keep("planted-no-control");
    caught("the control is not looked at", &stops);
}

#[test]
fn a_draw_that_is_not_what_the_guard_was_told_is_noticed() {
    // Told that the new version has two fifths, while it has half.
    let watch = Guard::against(Harm::More).ready(0.4).unwrap();
    let stops = tried(&mut Steady::rates(0.02, 0.02), |counts| {
        fails(&watch, counts)
    });
    caught(
        "the shares of the cohorts are not those of the draw",
        &stops,
    );
}
