//! Ramps: a rule whose share grows step by step, guarded by a control cohort of the same audience.
//!
//! A [`Plan`] is written into a rule; a [`Ramp`] is how far it has come, a fold of the ledger. Which step is in force,
//! and so who gets what, follows from the ledger alone: every node at one revision says the same, whatever its clock.
//! The clock and what devices reported decide only what happens *next* ([`next()`]), and that becomes an event, written by
//! whichever node is first. Nothing here reads a clock, counts a device or knows a store.

pub mod calendar;
pub mod judge;
pub mod next;
pub mod plan;
pub mod state;
pub mod text;

#[cfg(test)]
mod tests;

pub use calendar::{Freeze, Window};
pub use judge::{Cohorts, Counted, Findings, Found, Verdict, judge};
pub use next::{Act, Steer, Wait, next, waits};
pub use plan::{Action, GuardPlan, Plan, Step};
pub use state::{Phase, Ramp, Why};
