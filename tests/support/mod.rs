//! What tests, demos and benches share. Included by `#[path]`, so each uses only a part of it.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every binary that includes this module uses another part of it"
)]

pub mod components;
