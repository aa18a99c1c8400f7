//! The integration tests: huidu against the real things, one binary.

#[path = "../support/mod.rs"]
mod support;

mod components;
mod s3;
