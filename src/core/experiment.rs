//! Experiments: a rule with several arms that is read as an A/B test, from the act that begins it to the one that ends it.
//!
//! A [`Design`] says, before anything is counted, what is compared and how sure one wants to be; an [`Experiment`] is a fold
//! of the ledger. What it says at an instant ([`read`]) is a function of both, of counts and of that instant. It changes
//! nothing by itself: people end a test. Which changes of a rollout would spoil one is said in [`change`]. Nothing here
//! reads a clock, counts a device or knows a store.

pub mod change;
pub mod csv;
pub mod design;
pub mod reading;
pub mod state;

#[cfg(test)]
mod tests;

pub use change::{Disturbance, concluded, disturbed};
pub use design::{Better, Design, Primary, Watched};
pub use reading::{Counted, Reading, Verdict, read};
pub use state::{End, Experiment, Experiments, Side};
