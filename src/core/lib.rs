//! `huidu-core`: what huidu decides. Pure, synchronous, total.
//!
//! Values in, values out: no I/O, clock, randomness, log line or metric. The shell (`huidu`) hears
//! events and says answers; this crate turns the one into the other and gives its reasons.

// The vocabulary.
pub mod digest;
pub mod dossier;
pub mod files;
pub mod grade;
pub mod limits;
pub mod merkle;
pub mod name;
pub mod pack;
pub mod revision;
pub mod segment;
pub mod share;
pub mod slots;
pub mod time;
pub mod version;
pub mod version_range;
// What people write.
pub mod audience;
pub mod bucket;
pub mod cases;
pub mod rollout;
pub mod rulefile;
// What is wrong with it, and which slots it gets.
pub mod check;
pub mod slots_assign;
// What is asked for, what happened, what is true.
pub mod ahead;
pub mod ask;
mod asked;
pub mod authority;
pub mod catalogue;
pub mod command;
pub mod credential;
pub mod decide;
pub mod event;
pub mod eyes;
pub mod review;
pub mod rules;
pub mod treehead;
pub mod trust;
// What was measured of it, and what that means.
pub mod feedback;
pub mod stats;
// How a rule grows by itself, and what stops it; how its arms are compared.
pub mod experiment;
pub mod ramp;
// What is kept of it.
pub mod beat;
pub mod checkpoint;
pub mod fingerprint;
pub mod op;
pub mod record;
// What is signed offline, and by whom.
pub mod envelope;
pub mod json;
mod judge;
pub mod key;
pub mod keyring;
pub mod paper;
pub mod policy;
pub mod release;
// What a device can trust.
pub mod binding;
pub mod notice;
pub mod preview;
pub mod seal;
pub mod validity;
pub mod verify;
// What receivers outside are told.
pub mod webhook;
// What a device is told, and why.
pub mod compile;
pub mod explain;
pub mod flag;
mod index;
pub mod manifest;
pub mod plan;
pub mod poll;
pub mod predicate;
pub mod resolve;
