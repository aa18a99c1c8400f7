//! The integration tests: huidu against the real things, one binary.
#![allow(clippy::unwrap_used, reason = "the steps of a test are tests too")]
#![allow(
    clippy::print_stdout,
    reason = "what a test drew by chance is shown when it fails"
)]

#[path = "../support/mod.rs"]
mod support;

mod abuse;
mod audit;
mod boot;
mod bundles;
mod components;
mod console;
mod crash;
mod deploy;
mod feedback;
mod fleet;
mod kills;
mod ledger;
mod node;
mod openfeature;
mod ramps;
mod redis;
mod refuses;
mod s3;
mod schema;
mod signin;
mod vectors;
mod webhooks;
mod world;
