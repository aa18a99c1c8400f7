//! `/healthz` and `/readyz`: what a supervisor and a balancer ask.
//!
//! 503 is for what makes another node the better one; everything else that is not as it should be is said with 200.
//! docs/operations/readiness.md says what each word means.

use http::{Response, StatusCode};
use huidu_core::{revision::Revision, time::Timestamp};
use serde::Serialize;

use super::reply;
use crate::http::body::Body;

/// How a node is, for a balancer. A node that serves an old copy is ready and says so: devices judge the
/// age of what they get by its stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// The revision it serves; zero: it has nothing to serve.
    pub revision: Revision,
    /// When it last proved that this was everything.
    pub asof: Timestamp,
    /// Whether the store answers.
    pub store: bool,
    /// Whether the bus is connected.
    pub bus: bool,
    /// Whether what it serves has been read from the store since the start.
    pub from_store: bool,
    /// Whether the holder of the online key signs.
    pub signs: bool,
    /// Whether devices may be sent here.
    pub ready: bool,
    /// What is not as it should be.
    pub why: Vec<&'static str>,
}

#[derive(Serialize)]
struct Document<'a> {
    ready: bool,
    revision: Revision,
    asof: Timestamp,
    store: bool,
    bus: bool,
    from: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    why: &'a [&'static str],
    #[serde(skip_serializing_if = "Clone::clone")]
    signs: bool,
}

/// The process runs.
pub(super) fn alive() -> Response<Body> {
    reply::json(StatusCode::OK, br#"{"status":"ok"}"#.to_vec())
}

/// Whether devices should be sent here.
pub(super) fn ready(readiness: &Readiness) -> Response<Body> {
    let (status, json) = readiness.to_json();
    reply::json(status, json)
}

impl Readiness {
    /// The reply's status and body, for both planes.
    pub fn to_json(&self) -> (StatusCode, Vec<u8>) {
        let ready = self.ready;
        let document = Document {
            ready,
            why: &self.why,
            revision: self.revision,
            asof: self.asof,
            store: self.store,
            bus: self.bus,
            from: if self.from_store {
                "store"
            } else {
                "last-known-good"
            },
            signs: self.signs,
        };
        let status = if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        // Numbers, flags and texts always serialise.
        (status, serde_json::to_vec(&document).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_whose_signer_fails_is_ready_and_says_so() {
        let told = |signs| {
            let readiness = Readiness {
                revision: Revision::new(7),
                asof: Timestamp::EPOCH,
                store: true,
                bus: true,
                from_store: true,
                signs,
                ready: true,
                why: Vec::new(),
            };
            let (status, json) = readiness.to_json();
            (status, String::from_utf8(json).unwrap())
        };
        let (status, fails) = told(false);
        assert_eq!(status, StatusCode::OK);
        assert!(
            fails.ends_with(r#""from":"store","signs":false}"#),
            "{fails}"
        );
        assert!(told(true).1.ends_with(r#""from":"store"}"#));
    }
}
