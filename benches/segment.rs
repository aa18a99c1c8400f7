//! What does a segment of ten million units cost? `cargo bench -p huidu-core --bench segment`
//!
//! Bytes a unit, the time to read it back from its stored form, and the time of a hit and of a miss, beside
//! a `HashSet<u64>` of the standard library with the same keys in the same run.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark prints, measures, and stops at the first surprise"
)]

use std::{collections::HashSet, hint::black_box, time::Instant};

use huidu_core::segment::{Segment, SegmentBuilder, key};

const UNITS: u64 = 10_000_000;
const ASKED: usize = 2_000_000;

/// Nanoseconds of asking for each of `keys`.
fn nanos(keys: &[u64], mut has: impl FnMut(u64) -> bool, expected: bool) -> f64 {
    let begun = Instant::now();
    for key in keys {
        assert_eq!(has(black_box(*key)), expected);
    }
    begun.elapsed().as_nanos() as f64 / keys.len() as f64
}

fn main() {
    let of = |n: u64| key(&format!("unit-{n:08}"));
    let mut builder = SegmentBuilder::new();
    let mut set = HashSet::with_capacity(usize::try_from(UNITS).unwrap());
    for n in 0..UNITS {
        builder.push_key(of(n)).unwrap();
        set.insert(of(n));
    }
    let segment = builder.finish().unwrap();
    let bytes = segment.to_bytes();
    let begun = Instant::now();
    let read = Segment::from_bytes(&bytes).unwrap();
    let loaded = begun.elapsed();
    assert_eq!(read.len(), segment.len());
    println!(
        "{UNITS} units: {:.2} bytes a unit in memory, {:.2} stored, read back in {loaded:.2?}",
        segment.heap_bytes() as f64 / UNITS as f64,
        bytes.len() as f64 / UNITS as f64
    );
    let mut random = 7_u64;
    let mut next = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        random >> 33
    };
    let hits: Vec<u64> = (0..ASKED).map(|_| of(next() % UNITS)).collect();
    let misses: Vec<u64> = (0..ASKED).map(|_| of(UNITS + next())).collect();
    for round in 1..=3 {
        let ours = (
            nanos(&hits, |key| segment.contains_key(key), true),
            nanos(&misses, |key| segment.contains_key(key), false),
        );
        let std = (
            nanos(&hits, |key| set.contains(&key), true),
            nanos(&misses, |key| set.contains(&key), false),
        );
        println!(
            "round {round}: hit {:.1} ns, {:.2} x HashSet; miss {:.1} ns, {:.2} x HashSet",
            ours.0,
            ours.0 / std.0,
            ours.1,
            ours.1 / std.1
        );
    }
}
