//! The list of what must not run: short, signed, the same for everybody, cacheable for seconds.

use http::{HeaderMap, Response};

use super::{Origin, poll, reply};
use crate::http::body::Body;

/// The list, or 304.
pub(super) fn list<O: Origin>(origin: &O, headers: &HeaderMap) -> Response<Body> {
    let live = origin.live();
    poll::news(origin, &live, headers);
    match live.kills() {
        Some(kills) => {
            kills.served.inc();
            match reply::prepared(kills, headers) {
                Some((reply, _)) => reply,
                None => reply::not_signed(origin.rhythm()).into_response(),
            }
        }
        None => reply::not_ready(origin.rhythm()).into_response(),
    }
}
