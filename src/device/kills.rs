//! The list of what must not run: short, signed, the same for everybody, cacheable for seconds.

use http::{HeaderMap, Response};

use super::{Origin, poll, reply, said::Said};
use crate::http::body::Body;

/// The list, or 304.
pub(super) fn list<O: Origin>(origin: &O, headers: &HeaderMap) -> Response<Body> {
    let live = origin.live();
    let said = Said::of(headers);
    poll::news(origin, &live, &said);
    match live.kills() {
        Some(kills) => {
            kills.count();
            match reply::prepared(kills, &said) {
                Some(reply) => reply,
                None => reply::not_signed(origin.rhythm()).into_response(),
            }
        }
        None => reply::not_ready(origin.rhythm()).into_response(),
    }
}
