//! Guards over whole streams: how often the harmless is stopped, and how soon the harmful.

use huidu_core::stats::{
    guard::{Guard, Harm, Verdict, Watch},
    sample::Sample,
};

use crate::streams::{
    Chance, Counts, Failing, LOOKS, PER_LOOK, Steady, Stops, World, run, streams,
};

/// Whether a guard fails at a look.
pub(crate) fn fails(watch: &Watch, counts: &Counts) -> bool {
    let sample = |events| Sample::Events {
        units: counts.units,
        events,
    };
    watch.judge(&sample(counts.new), &sample(counts.control)) == Verdict::Fail
}

fn guarded(world: &mut impl World) -> Stops {
    let watch = Guard::against(Harm::More).ready(0.5).unwrap();
    run(streams(), world, |counts| fails(&watch, counts))
}

fn harmless(base: f64, name: &str) {
    let stops = guarded(&mut Steady::rates(base, base));
    stops.keep(name);
    println!(
        "figure: harmless releases stopped at {}: {:.2} % of {} streams, {LOOKS} looks",
        name.replace('-', " "),
        stops.percent(),
        stops.streams()
    );
    assert!(stops.percent() <= 5.0, "{} %", stops.percent());
}

#[test]
fn harmless_releases_that_never_fail_are_never_stopped() {
    harmless(0.0, "harmless-0");
}

#[test]
fn harmless_releases_that_fail_5_times_in_10_000_are_stopped_in_at_most_5_of_100() {
    harmless(0.0005, "harmless-0.05");
}

#[test]
fn harmless_releases_that_fail_5_times_in_1_000_are_stopped_in_at_most_5_of_100() {
    harmless(0.005, "harmless-0.5");
}

#[test]
fn harmless_releases_that_fail_2_times_in_100_are_stopped_in_at_most_5_of_100() {
    harmless(0.02, "harmless-2");
}

#[test]
fn harm_is_stopped_soon() {
    for (name, from, to, most) in [
        ("harm-2-10", 0.02, 0.10, 300),
        ("harm-0.5-5", 0.005, 0.05, 400),
        ("harm-2-4", 0.02, 0.04, 1_300),
        ("harm-0-3", 0.0, 0.03, 300),
    ] {
        let stops = guarded(&mut Steady::rates(to, from));
        stops.keep(name);
        println!(
            "figure: devices of each cohort until half of {} streams are stopped, {name}: {}",
            stops.streams(),
            stops.median()
        );
        assert!(stops.median() <= most, "{name}: {}", stops.median());
        assert!(
            stops.percent() >= 99.0,
            "{name}: {} % are ever stopped",
            stops.percent()
        );
    }
}

/// A backend that is down for 40 looks, at any time: nearly a third fails in both cohorts.
pub(crate) struct Outage {
    good: Failing,
    bad: Failing,
    from: u64,
}

impl Outage {
    pub(crate) fn new() -> Self {
        Self {
            good: Failing::of(PER_LOOK, 0.005),
            bad: Failing::of(PER_LOOK, 0.3),
            from: 0,
        }
    }
}

impl World for Outage {
    fn begin(&mut self, chance: &mut Chance) {
        self.from = 2 + chance.next() % (LOOKS / 2);
    }

    fn failing(&self, look: u64) -> (&Failing, &Failing) {
        let is_down = (self.from..self.from + 40).contains(&look);
        let rate = if is_down { &self.bad } else { &self.good };
        (rate, rate)
    }
}

#[test]
fn an_outage_that_hits_both_cohorts_stops_at_most_5_of_100() {
    let stops = guarded(&mut Outage::new());
    stops.keep("outage");
    println!(
        "figure: ramps stopped by an outage that hits both cohorts: {:.2} % of {} streams",
        stops.percent(),
        stops.streams()
    );
    assert!(stops.percent() <= 5.0, "{} %", stops.percent());
}
