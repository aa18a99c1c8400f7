//! What does a unit's place in the order of a salt cost? `cargo bench -p huidu-core --bench bucketing`
//!
//! Salt, colon and unit of 24 bytes together, from the plain texts, beside one hash of the same bytes by the
//! `murmur3` crate in the same run.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads a clock, prints, and stops at the first surprise"
)]

#[path = "rows.rs"]
mod rows;

use std::{hint::black_box, io::Cursor, process::ExitCode};

use huidu_core::bucket;

const SALT: &str = "pingan/travel";
const UNIT: &str = "device-001";
const BYTES: &[u8; 24] = b"pingan/travel:device-001";

fn main() -> ExitCode {
    let reference = || murmur3::murmur3_32(&mut Cursor::new(black_box(BYTES)), 0).unwrap();
    let ours = || bucket::position_hash(black_box(SALT), black_box(UNIT));
    assert_eq!(ours(), reference());
    let times = rows::nanos(|| bucket::fine(black_box(SALT), black_box(UNIT)), reference);
    let (ours, reference) = rows::medians(&times);
    println!("a position takes {ours:.1} ns, one hash by the murmur3 crate {reference:.1} ns");
    let mut rows = rows::Rows::default();
    rows.row(
        "bucketing / murmur3",
        "one hash of 24 bytes by the murmur3 crate",
        &rows::ratios(&times),
        rows::Bar::AtMost(0.5),
    );
    rows.end()
}
