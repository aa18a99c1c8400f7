//! Replies: prepared bytes with prepared headers, and the problems several routes share.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::Rhythm;
use crate::{
    http::{body::Body, conditional, problem::Problem},
    node::live::LiveAnswer,
};

/// `answer` whole, or 304 when `headers` say that the device has it. True: it was 304. None: it is not
/// signed yet, and nobody would believe it.
pub(super) fn prepared(answer: &LiveAnswer, headers: &HeaderMap) -> Option<(Response<Body>, bool)> {
    let head = answer.head();
    let head = head.as_ref()?;
    let has_it = conditional::lists_etag(headers, &header::IF_NONE_MATCH, answer.etag.as_bytes());
    let mut reply = Response::new(if has_it {
        Body::empty()
    } else {
        Body::from(answer.body.clone())
    });
    if has_it {
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
    }
    // One map is cloned whole: a sixth of the instructions of setting its headers one by one.
    let prepared = if has_it { &head.not_modified } else { &head.ok };
    reply.headers_mut().clone_from(prepared);
    Some((reply, has_it))
}

/// The holder of the online key has not signed this answer yet.
pub(super) fn not_signed(rhythm: Rhythm) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "not-signed",
        "Not signed yet",
        "this node cannot sign the answer yet; try again after Retry-After seconds",
    )
    .with_retry_after(retry_after(rhythm))
}

/// A small document made for this request.
pub(super) fn json(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut reply = Response::new(Body::from(Bytes::from(body)));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// The same head; the length of the body in place of the body.
pub(super) fn without_body(mut reply: Response<Body>) -> Response<Body> {
    if reply.status() != StatusCode::NOT_MODIFIED {
        let bytes = reply.body().bytes();
        reply
            .headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    }
    *reply.body_mut() = Body::empty();
    reply
}

/// Seconds after which a refused device shall try again: each its own, so that they do not all come back
/// at once.
pub(super) fn retry_after(rhythm: Rhythm) -> u64 {
    fastrand::u64(1..=(rhythm.spread_ms / 1_000).clamp(2, 300))
}

/// This core has as many requests waiting as it may.
pub(super) fn overloaded(rhythm: Rhythm) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "Overloaded",
        "this node answers as many requests as it can; try again after Retry-After seconds",
    )
    .with_retry_after(retry_after(rhythm))
}

/// Nothing has been read from the store yet, nor from a copy.
pub(super) fn not_ready(rhythm: Rhythm) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "not-ready",
        "Not ready",
        "this node has nothing to serve yet; try again after Retry-After seconds",
    )
    .with_retry_after(retry_after(rhythm))
}
