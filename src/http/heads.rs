//! How many headers one request may have, on both planes.
//!
//! The transport allows more, because a smaller limit there costs an allocation per request; so it is held here,
//! before anything else of the request is looked at. How many bytes a head may have is the transport's to hold.

use http::{HeaderMap, StatusCode};

use super::problem::Problem;

/// Headers of one request.
pub const HEADERS: usize = 64;

/// The refusal of a request with more headers than any honest one.
pub fn too_many(headers: &HeaderMap) -> Option<Problem> {
    (headers.len() > HEADERS).then(|| {
        Problem::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "too-many-headers",
            "Too many headers",
            "the request has more than 64 headers; send fewer",
        )
    })
}
