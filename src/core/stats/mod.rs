//! Statistics: whether two cohorts differ by more than chance, however often somebody looks.
//!
//! A guard of a ramp is asked every few seconds for days, and an experiment is read whenever somebody is
//! curious. Tests made for one look stop harmless releases when they are looked at often, so everything here that decides
//! is anytime-valid: its promise holds for all looks together. Nothing in here does I/O, reads a clock or draws
//! a random number, and no NaN or infinity leaves a public function.
//!
//! Floats are the same on every machine: addition to division and the square root are exact by IEEE 754, and `exp`, `ln`,
//! `lgamma` and `erfc` come from the `libm` crate, which is software, and not from the system's library, which differs
//! between platforms. Even if two nodes computed different numbers they could not disagree: a decision is an event of the
//! ledger, made by one decider, with its evidence in it; the others read what was decided.
//!
//! What each formula means for people, its sources and its limits: `docs/statistics.md`.

// The mathematics, from the ground up.
pub mod normal;
pub mod special;
// What is counted, and how sure one wants to be.
pub mod alpha;
pub mod sample;
// Tests that hold at every look.
pub mod betting;
pub mod sequence;
// What is asked of them.
pub mod chance;
pub mod experiment;
pub mod guard;
pub mod planning;
pub mod ratio;

#[cfg(test)]
mod tests;
