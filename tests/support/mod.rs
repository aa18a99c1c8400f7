//! What tests, demos and benches share. Included by `#[path]`, so each uses only a part of it.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "test code: each binary that includes it uses another part, and a panic is its report"
)]

pub mod archives;
pub mod components;
pub mod dialects;
pub mod packages;
pub mod proxy;
pub mod server;
pub mod wire;
