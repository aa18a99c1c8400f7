//! One harness per target: a function over bytes that panics when a promise is broken.
//!
//! A harness reads whatever it is given, never the disk, the clock or chance: the same bytes do the same
//! thing under libFuzzer and under proptest.

pub mod archive;
pub mod feedback;
pub mod paper;
pub mod poll;
pub mod range;
pub mod record;
pub mod rulefile;
pub mod stamp;
pub mod verify;

/// A target: its name, which is also its folder of the corpus, and its harness.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("poll", poll::run),
    ("rulefile", rulefile::run),
    ("record", record::run),
    ("archive", archive::run),
    ("stamp", stamp::run),
    ("range", range::run),
    ("verify", verify::run),
    ("paper", paper::run),
    ("feedback", feedback::run),
];
