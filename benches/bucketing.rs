//! What does a unit's place in the order of a salt cost? `cargo bench -p huidu-core --bench bucketing`
//!
//! Salt, colon and unit of 24 bytes together, from the plain texts, beside one hash of the same bytes by the
//! `murmur3` crate in the same run.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads a clock, prints, and stops at the first surprise"
)]

#[path = "rows.rs"]
mod rows;

use std::{hint::black_box, process::ExitCode};

use huidu_core::bucket;

const SALT: &str = "pingan/travel";
const UNIT: &str = "device-001";

fn main() -> ExitCode {
    let reference = rows::murmur3_by_calls;
    assert_eq!(bucket::position_hash(SALT, UNIT), reference());
    let ours = || bucket::fine(black_box(SALT), black_box(UNIT));
    let seen = rows::medians(&rows::nanos(rows::murmur3_seen_through, ours)).0;
    let times = rows::nanos(ours, reference);
    let (ours, reference) = rows::medians(&times);
    println!(
        "a position takes {ours:.1} ns, one hash by the murmur3 crate {reference:.1} ns ({seen:.1} ns seen through)"
    );
    let mut rows = rows::Rows::default();
    rows.row(
        "bucketing / murmur3",
        "one hash of 24 bytes by the murmur3 crate",
        &rows::ratios(&times),
        rows::Bar::AtMost(1.0),
    );
    rows.end()
}
