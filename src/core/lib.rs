//! `huidu-core`: what huidu decides. Pure, synchronous, total.
//!
//! Values in, values out: no I/O, clock, randomness, log line or metric. The shell (`huidu`) hears
//! events and says answers; this crate turns the one into the other and gives its reasons.

pub mod digest;
pub mod limits;
pub mod name;
pub mod segment;
pub mod share;
pub mod time;
