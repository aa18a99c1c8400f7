//! What does a segment of ten million units cost? `cargo bench -p huidu-core --bench segment`
//!
//! Bytes a unit, the time to read it back from its stored form, and the time of a hit and of a miss, beside
//! a `HashSet<u64>` of the standard library with the same keys in the same run.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads a clock, prints, and stops at the first surprise"
)]

#[path = "rows.rs"]
mod rows;

use std::{collections::HashSet, hint::black_box, process::ExitCode, time::Instant};

use huidu_core::segment::{Segment, SegmentBuilder, key};
use rows::Bar;

const UNITS: u64 = 10_000_000;
/// Units asked for in one stretch; another load comes between some stretches, not between all.
const ASKED: usize = 200_000;
const STRETCHES: usize = 5;

/// Nanoseconds of asking for each of `keys`.
fn nanos(keys: &[u64], has: impl Fn(u64) -> bool, expected: bool) -> f64 {
    let begun = Instant::now();
    for key in keys {
        assert_eq!(has(black_box(*key)), expected);
    }
    begun.elapsed().as_nanos() as f64 / keys.len() as f64
}

/// The time of `segment` and of `set`, the least of some stretches that are taken in turn.
fn both(keys: &[Vec<u64>], segment: &Segment, set: &HashSet<u64>, expected: bool) -> (f64, f64) {
    let mut least = (f64::MAX, f64::MAX);
    for keys in keys {
        let ours = nanos(keys, |key| segment.contains_key(key), expected);
        let theirs = nanos(keys, |key| set.contains(&key), expected);
        least = (least.0.min(ours), least.1.min(theirs));
    }
    least
}

fn main() -> ExitCode {
    let of = |n: u64| key(&format!("unit-{n:08}"));
    let mut builder = SegmentBuilder::new();
    let mut set = HashSet::with_capacity(usize::try_from(UNITS).unwrap());
    for n in 0..UNITS {
        let key = of(n);
        builder.push_key(key).unwrap();
        set.insert(key);
    }
    let segment = builder.finish().unwrap();
    let bytes = segment.to_bytes();
    let mut loads = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        let read = Segment::from_bytes(&bytes).unwrap();
        loads.push(begun.elapsed().as_secs_f64());
        assert!(read == segment);
    }
    drop(bytes);
    let a_unit = segment.heap_bytes() as f64 / UNITS as f64;
    let mut random = 7_u64;
    let mut next = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        random >> 33
    };
    let mut stretches = |of_random: &dyn Fn(u64) -> u64| -> Vec<Vec<u64>> {
        let keys = |_| (0..ASKED).map(|_| of_random(next())).collect();
        (0..STRETCHES).map(keys).collect()
    };
    let hits = stretches(&|n| of(n % UNITS));
    let misses = stretches(&|n| of(UNITS + n));
    let (mut hit, mut miss) = (Vec::new(), Vec::new());
    for _ in 0..rows::REPETITIONS {
        hit.push(both(&hits, &segment, &set, true));
        miss.push(both(&misses, &segment, &set, false));
    }
    for (what, times) in [("hit", &hit), ("miss", &miss)] {
        let (ours, theirs) = rows::medians(times);
        println!("a {what} takes {ours:.1} ns, in a HashSet {theirs:.1} ns");
    }
    let mut rows = rows::Rows::default();
    rows.row(
        "segment bytes a unit",
        "one byte",
        &[a_unit],
        Bar::AtMost(8.0),
    );
    let reference = "HashSet<u64> of the standard library with the same keys";
    rows.row(
        "segment hit / HashSet",
        reference,
        &rows::ratios(&hit),
        Bar::AtMost(1.7),
    );
    rows.row(
        "segment miss / HashSet",
        reference,
        &rows::ratios(&miss),
        Bar::AtMost(1.0),
    );
    rows.row("segment load", "one second", &loads, Bar::AtMost(5.0));
    rows.end()
}
