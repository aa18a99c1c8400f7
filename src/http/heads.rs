//! What the head of one request may be, on both planes.
//!
//! The transport allows more headers, because a smaller limit there costs an allocation per request; so it is held
//! here, before anything else of the request is looked at. How many bytes a head may have is the transport's to
//! hold. A body that says twice that it comes in chunks is one message to some readers and two to others: it is
//! refused, and the connection with it.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::body::Body;

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

/// The refusal of a body whose end readers could see in different places.
pub fn ambiguous(headers: &HeaderMap, body: &impl Body) -> Option<Problem> {
    // Nearly every request has no body, and then nothing is looked up.
    if body.is_end_stream() {
        return None;
    }
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_plain = match (encodings.next(), encodings.next()) {
        (None, _) => true,
        (Some(one), None) => one.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    };
    let refusal = || {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "ambiguous-body",
            "Ambiguous body",
            "the body's end can be read in two ways; send a Content-Length, or `Transfer-Encoding: chunked` once",
        )
        .with_header(header::CONNECTION, HeaderValue::from_static("close"))
    };
    (!is_plain).then(refusal)
}
