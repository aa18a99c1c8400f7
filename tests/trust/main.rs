//! Who agrees to what before a device runs it: stories with named people over a ledger in memory, and
//! properties that hold whatever is asked for.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod commands;
mod credentials;
mod experiments;
mod eyes;
mod forged;
mod golden;
mod history;
mod kinds;
mod mutated;
mod people;
mod permissions;
mod ramps;
mod records;
mod review;
mod seals;
mod signed;
mod trials;
mod world;
