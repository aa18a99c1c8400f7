//! The list of what must not run: short, signed, the same for everybody, cacheable for seconds.

use http::{HeaderMap, Response};

use super::{Origin, reply, said::Said};
use crate::http::body::Body;

/// The list, or 304.
pub(super) fn list<O: Origin>(origin: &O, headers: &HeaderMap) -> Response<Body> {
    let live = origin.live();
    match live.kills() {
        Some(kills) => {
            kills.served.inc();
            reply::prepared(kills, &Said::of(headers)).0
        }
        None => reply::not_ready(origin.rhythm()).into_response(),
    }
}
