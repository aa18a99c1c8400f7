//! The shell of huidu: it hears events and says answers; what it decides, `huidu-core` decides.

pub mod archive;
pub mod audit;
pub mod backoff;
pub mod bus;
pub mod cli;
pub mod client;
pub mod clock;
pub mod console;
pub mod control;
pub mod device;
pub mod http;
pub mod ledger;
pub mod logging;
pub mod metrics;
pub mod node;
pub mod outward;
#[cfg(test)]
mod planted;
pub mod settings;
pub mod signin;
#[cfg(test)]
mod sim;
pub mod store;
