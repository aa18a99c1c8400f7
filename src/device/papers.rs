//! What people signed offline, as devices fetch it: byte for byte, to whoever asks.
//!
//! A device believes these for their signatures alone, so any cache on the way may keep them: a keyring for
//! ever, a record for minutes because the same one may be signed by others, a policy never unasked.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use huidu_core::digest::Digest;

use super::Origin;
use crate::http::{body::Body, problem::Problem};

const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const MINUTES: HeaderValue = HeaderValue::from_static("public, max-age=300");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// Keyring `version`.
pub(super) fn keyring<O: Origin>(origin: &O, version: &str) -> Response<Body> {
    // One spelling: a cache keeps each answer once.
    let number = version.parse().ok();
    let number = number.filter(|number: &u64| number.to_string() == version);
    let live = origin.live();
    let envelope = number.and_then(|number| live.keyring(number).cloned());
    reply(envelope, FOR_EVER)
}

/// The release record of `app` called `hex`.
pub(super) fn release<O: Origin>(origin: &O, app: &str, hex: &str) -> Response<Body> {
    let live = origin.live();
    let address: Option<Digest> = hex.parse().ok();
    let envelope = live.app(app).zip(address);
    let envelope = envelope.and_then(|(app, address)| app.release(&address));
    if live.is_withdrawn() {
        return super::reply::not_ready(origin.rhythm()).into_response();
    }
    reply(envelope, MINUTES)
}

/// The policy of `app`.
pub(super) fn policy<O: Origin>(origin: &O, app: &str) -> Response<Body> {
    let live = origin.live();
    if live.is_withdrawn() {
        return super::reply::not_ready(origin.rhythm()).into_response();
    }
    reply(
        live.app(app).and_then(|app| app.policy().cloned()),
        ASK_AGAIN,
    )
}

fn reply(envelope: Option<Bytes>, cache: HeaderValue) -> Response<Body> {
    let Some(envelope) = envelope else {
        return Problem::new(
            StatusCode::NOT_FOUND,
            "no-such-paper",
            "No such paper",
            "nothing with this name is signed and in force here",
        )
        .into_response();
    };
    let mut reply = Response::new(Body::from(envelope));
    let headers = reply.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(header::CACHE_CONTROL, cache);
    reply
}
