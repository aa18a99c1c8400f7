//! The floor under both planes: listeners and limits, bodies, conditional requests, problem documents.
//!
//! It knows HTTP and nothing of huidu's trade: no app, no rollout, no ledger. Both planes stand on it,
//! so what protects one protects the other.

mod addresses;
pub mod body;
pub mod carrier;
pub mod conditional;
mod gather;
pub mod heads;
pub mod problem;
mod seldom;
mod sendfile;
pub mod serve;
mod stall;
pub mod tls;
mod watch;
