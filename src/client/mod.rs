//! Huidu from the other side: a device, and whoever operates it. Used by the command line, by tests and by
//! the demo; the place to look when writing a client in another language.
//!
//! Blocking on purpose: neither a device nor a command has anything else to do meanwhile. Nothing here
//! trusts a connection: a device believes signatures and digests, an operator believes a revision.

pub mod control;
pub mod device;
pub mod download;
mod http;

pub use http::Patience;
pub(crate) use http::{escaped, query};
pub mod install;
pub mod profile;
pub mod root;
pub mod state;
pub mod uptime;

#[cfg(test)]
pub(crate) mod double;
#[cfg(test)]
mod tests;
