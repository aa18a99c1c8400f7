//! What statistics promise, tried: by simulated streams of devices, whose harm is known because it was planted, and against
//! what scipy and gbstats say of the same counts.
//!
//! Each question about guards is asked of 10 000 streams, unless `HUIDU_STREAMS` says how many. `make statistics` also draws
//! the pictures of docs/statistics.md.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]
#![allow(
    clippy::print_stdout,
    reason = "what was measured is said: tests/figures.py reads it"
)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "these tests read vectors, ask other programs and keep what they measured"
)]

mod guards;
mod oracle;
mod planted;
mod readers;
mod streams;
