//! The floor under both planes: listeners and limits, bodies, conditional requests, problem documents.
//!
//! It knows HTTP and nothing of huidu's trade: no app, no rollout, no ledger. Both planes stand on it,
//! so what protects one protects the other.

mod addresses;
pub mod body;
pub mod conditional;
pub mod heads;
pub mod problem;
pub mod serve;
mod stall;
