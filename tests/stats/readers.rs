//! Readers of experiments over whole streams: how often two equal arms seem to differ, how often the true difference is
//! outside its interval at any look, and how often the sample ratio rings falsely.

use huidu_core::stats::{
    alpha::Alpha,
    experiment::difference,
    ratio,
    sample::Sample,
    sequence::{PLANNED_UNITS, Sequence},
};
use serde_json::json;

use crate::streams::{Counts, Failing, LOOKS, PER_LOOK, Steady, keep, run, streams};

fn sample(counts: &Counts, events: u64) -> Sample {
    Sample::Events {
        units: counts.units,
        events,
    }
}

#[test]
fn the_true_difference_is_in_its_interval_at_every_look_of_95_of_100_experiments() {
    let sequence = Sequence::new(Alpha::FIVE_PERCENT, PLANNED_UNITS);
    for (name, control, variant) in [("equal arms", 0.3, 0.3), ("arms of 30 and 33 %", 0.3, 0.33)] {
        let stops = run(streams(), &mut Steady::rates(variant, control), |counts| {
            let (new, old) = (sample(counts, counts.new), sample(counts, counts.control));
            let truth = variant - control;
            difference(&sequence, &new, &old).is_some_and(|it| it.low > truth || it.high < truth)
        });
        println!(
            "figure: experiments whose interval ever leaves the truth out, {name}: {:.2} % of {} streams",
            stops.percent(),
            stops.streams()
        );
        assert!(stops.percent() <= 5.0, "{name}: {} %", stops.percent());
    }
}

/// Both alarms of the sample ratio at every look over arms that are as they should be: what chi-square costs by being
/// looked at 800 times, and that the sequential test keeps its word.
#[test]
fn sample_ratios_that_are_right_hardly_ever_ring() {
    // Of both cohorts' devices at a look each goes to the first with a half.
    let mut arriving = Steady(Failing::of(2 * PER_LOOK, 0.5), Failing::of(1, 0.0));
    let streams = streams() / 2;
    let (mut alarms, mut shown) = (Vec::new(), Vec::new());
    run(streams, &mut arriving, |counts| {
        if counts.units == PER_LOOK {
            alarms.push(false);
            shown.push(false);
        }
        let counted = [counts.new, 2 * counts.units - counts.new];
        let ratio = ratio::check(&counted, &[1, 1]).unwrap();
        *alarms.last_mut().unwrap() |= ratio.is_alarm;
        *shown.last_mut().unwrap() |= ratio.is_shown;
        false
    });
    let percent =
        |rang: &[bool]| 100.0 * rang.iter().filter(|rang| **rang).count() as f64 / streams as f64;
    let (alarm, shown) = (percent(&alarms), percent(&shown));
    println!(
        "figure: right sample ratios that ring within {LOOKS} looks: chi-square {alarm:.2} %, sequential {shown:.2} %"
    );
    // One look rings one time in a thousand, so many looks more often; ten times in a hundred would be useless.
    assert!((0.1..=5.0).contains(&alarm), "{alarm}");
    assert!(shown <= 0.3, "{shown}");
}

/// One stream as people would see it, for the pictures: the sequence beside intervals made for one look.
#[test]
fn the_interval_of_one_stream_narrows_around_the_truth() {
    let sequence = Sequence::new(Alpha::FIVE_PERCENT, PLANNED_UNITS);
    let mut rows = Vec::new();
    run(1, &mut Steady::rates(0.04, 0.02), |counts| {
        let (new, old) = (sample(counts, counts.new), sample(counts, counts.control));
        if let Some(interval) = difference(&sequence, &new, &old) {
            let n = counts.units as f64;
            let of = |events: u64| events as f64 / n * (1.0 - events as f64 / n);
            let once = 1.96 * ((of(counts.new) + of(counts.control)) / n).sqrt();
            rows.push((
                counts.units,
                interval.estimate,
                interval.low,
                interval.high,
                once,
            ));
        }
        false
    });
    let width = |row: &(u64, f64, f64, f64, f64)| row.3 - row.2;
    assert!(rows.iter().all(|row| (row.2..row.3).contains(&0.02)));
    assert!(width(rows.last().unwrap()) < width(&rows[0]) / 3.0);
    assert!(
        rows.iter().all(|row| width(row) > 2.0 * row.4),
        "anytime is wider than once"
    );
    keep("interval", &json!({ "name": "interval", "rows": rows }));
}
