//! A node as the device plane sees it: what is served, and nothing else of it.

use std::sync::Arc;

use arc_swap::Guard;
use ed25519_dalek::VerifyingKey;
use huidu_core::time::Timestamp;

use super::{Origin, Readiness, Rhythm};
use crate::{
    metrics::Metrics,
    node::{Node, bundles::Bundles, feedback::Feedback, live::Live},
};

impl Origin for Node {
    fn live(&self) -> Guard<Arc<Live>> {
        Self::live(self)
    }

    fn now(&self) -> Timestamp {
        Self::now(self)
    }

    fn bundles(&self) -> &Bundles {
        Self::bundles(self)
    }

    fn feedback(&self) -> &Feedback {
        Self::feedback(self)
    }

    fn metrics(&self) -> &Metrics {
        Self::metrics(self)
    }

    fn readiness(&self) -> Readiness {
        let health = self.health();
        Readiness {
            revision: health.revision,
            asof: health.asof,
            store: health.store,
            bus: health.bus,
            from_store: health.from_store,
            signs: health.signs,
            ready: health.is_ready(),
            why: health.why(),
        }
    }

    fn rhythm(&self) -> Rhythm {
        let settings = self.settings();
        Rhythm {
            after_ms: settings.poll_after_ms,
            spread_ms: settings.poll_spread_ms,
        }
    }

    fn seen(&self, revision: u64) {
        self.heard_of(huidu_core::revision::Revision::new(revision));
    }

    fn may_sign(&self) -> bool {
        self.may_sign_now()
    }

    fn is_draining(&self) -> bool {
        Self::is_draining(self)
    }

    fn development_key(&self) -> Option<VerifyingKey> {
        Self::development_key(self)
    }
}
