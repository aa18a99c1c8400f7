//! What every bench that judges has in common: two works timed in turn, their ratio, and one line a machine can read.
//!
//! Ratios are taken between stretches that stand beside each other, so that other load touches both sides. A
//! bench that does not hold its bar must not end well.

use std::{
    hint::black_box,
    io::{Cursor, Read},
    process::ExitCode,
    time::{Duration, Instant},
};

/// Repetitions of which the median counts.
pub(crate) const REPETITIONS: usize = 9;
/// Stretches of each side in one repetition; the shortest counts, because other load only adds.
const STRETCHES: usize = 8;

/// What a ratio is held against.
#[derive(Clone, Copy)]
pub(crate) enum Bar {
    AtMost(f64),
    #[allow(dead_code, reason = "not every bench wants more of something")]
    AtLeast(f64),
}

/// The rows of one bench.
#[derive(Default)]
pub(crate) struct Rows {
    missed: Vec<String>,
}

impl Rows {
    /// Prints the row of `work`: the median of `ratios` against its bar.
    pub(crate) fn row(&mut self, work: &str, reference: &str, ratios: &[f64], bar: Bar) {
        let (ratio, spread) = (median(ratios), spread(ratios));
        let (sign, bound, holds) = match bar {
            Bar::AtMost(bound) => ("<=", bound, ratio <= bound),
            Bar::AtLeast(bound) => (">=", bound, ratio >= bound),
        };
        println!(
            "row {{\"work\": \"{work}\", \"reference\": \"{reference}\", \"ratio\": {ratio:.4}, \
             \"spread\": {spread:.4}, \"bar\": \"{sign}{bound}\", \"holds\": {holds}}}"
        );
        if !holds {
            self.missed.push(work.to_owned());
        }
    }

    /// Success when every bar held.
    pub(crate) fn end(self) -> ExitCode {
        if self.missed.is_empty() {
            return ExitCode::SUCCESS;
        }
        println!("does not hold: {}", self.missed.join(", "));
        ExitCode::FAILURE
    }
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The middle half of the values, as a part of the median.
fn spread(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    (sorted[sorted.len() * 3 / 4] - sorted[sorted.len() / 4]) / median(values)
}

/// Nanoseconds of one call of each, in repetitions that time both in turn.
#[allow(dead_code, reason = "not every bench compares two calls")]
pub(crate) fn nanos<A, B>(
    mut one: impl FnMut() -> A,
    mut other: impl FnMut() -> B,
) -> Vec<(f64, f64)> {
    let repetition = |_| {
        let mut least = (f64::MAX, f64::MAX);
        for _ in 0..STRETCHES {
            least.0 = least.0.min(stretch(&mut one));
            least.1 = least.1.min(stretch(&mut other));
        }
        least
    };
    (0..REPETITIONS).map(repetition).collect()
}

/// The first of each pair by the second.
#[allow(dead_code, reason = "not every bench compares two calls")]
pub(crate) fn ratios(times: &[(f64, f64)]) -> Vec<f64> {
    times.iter().map(|(one, other)| one / other).collect()
}

/// The median of each side.
#[allow(dead_code, reason = "not every bench compares two calls")]
pub(crate) fn medians(times: &[(f64, f64)]) -> (f64, f64) {
    let (one, other): (Vec<f64>, Vec<f64>) = times.iter().copied().unzip();
    (median(&one), median(&other))
}

/// Nanoseconds of one call over a stretch that is short enough to pass between two interruptions.
fn stretch<T>(call: &mut impl FnMut() -> T) -> f64 {
    let (begun, mut calls) = (Instant::now(), 0_u32);
    while begun.elapsed() < Duration::from_millis(2) {
        for _ in 0..64 {
            black_box(call());
        }
        calls += 64;
    }
    begun.elapsed().as_nanos() as f64 / f64::from(calls)
}

/// Salt, colon and unit, as they are hashed.
pub(crate) const HASHED: &[u8; 24] = b"pingan/travel:device-001";

/// One hash of 24 bytes by the `murmur3` crate, which reads them through a `Read`. Whether the compiler sees through
/// those reads is a matter of luck (18 ns where it does and up to 57 ns where each is a copy, on one machine), so
/// here they are calls: the same in every build.
#[allow(dead_code, reason = "not every bench hashes")]
pub(crate) fn murmur3_by_calls() -> u32 {
    struct Calls<'a>(Cursor<&'a [u8]>);
    impl Read for Calls<'_> {
        #[inline(never)]
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(to)
        }
    }
    let bytes: &[u8] = black_box(HASHED);
    murmur3::murmur3_32(&mut Calls(Cursor::new(bytes)), 0).unwrap_or(0)
}

/// The same hash where the compiler sees all of it.
#[allow(dead_code, reason = "not every bench hashes")]
pub(crate) fn murmur3_seen_through() -> u32 {
    murmur3::murmur3_32(&mut Cursor::new(black_box(HASHED)), 0).unwrap_or(0)
}
