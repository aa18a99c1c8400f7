//! The key of a development server, so that a device can be tried without handing it one.
//!
//! A production server has no such page: a device that asks the server whom to believe believes anybody.

use data_encoding::HEXLOWER;
use http::{Response, StatusCode};
use huidu_core::seal;
use serde::Serialize;

use super::{Origin, reply};
use crate::http::body::Body;

#[derive(Serialize)]
struct Document {
    kid: String,
    r#pub: String,
    development: bool,
}

/// The key, where this server gives it out.
pub(super) fn development<O: Origin>(origin: &O) -> Option<Response<Body>> {
    let key = origin.development_key()?;
    let document = Document {
        kid: seal::key_id(&key),
        r#pub: HEXLOWER.encode(key.as_bytes()),
        development: true,
    };
    // Two texts and a flag always serialise.
    let json = serde_json::to_vec(&document).unwrap_or_default();
    Some(reply::json(StatusCode::OK, json))
}
