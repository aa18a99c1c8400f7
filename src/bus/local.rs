//! `LocalBus`: a bus within one process, for a node alone and for tests. Never leaves it.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::broadcast;

use super::{Bus, Counts, Hint, Notices, WAKES, Wake, Wakes, may_be_notice};

/// A bus within one process.
#[derive(Debug)]
pub struct LocalBus {
    wakes: broadcast::Sender<Wake>,
    notices: broadcast::Sender<Bytes>,
    published: AtomicU64,
}

impl LocalBus {
    /// A bus that nobody listens to yet.
    pub fn new() -> Self {
        Self {
            wakes: broadcast::Sender::new(WAKES),
            notices: broadcast::Sender::new(WAKES),
            published: AtomicU64::new(0),
        }
    }
}

impl Default for LocalBus {
    fn default() -> Self {
        Self::new()
    }
}

impl Bus for LocalBus {
    fn publish(&self, hint: Hint) {
        self.published.fetch_add(1, Ordering::Relaxed);
        let _nobody_listens = self.wakes.send(Wake::Hint(hint));
    }

    fn spread(&self, notice: Bytes) {
        if may_be_notice(&notice) {
            let _nobody_listens = self.notices.send(notice);
        }
    }

    fn notices(&self) -> Notices {
        Notices(self.notices.subscribe())
    }

    fn subscribe(&self) -> Wakes {
        Wakes::new(self.wakes.subscribe())
    }

    fn healthy(&self) -> bool {
        true
    }

    fn counts(&self) -> Counts {
        let published = self.published.load(Ordering::Relaxed);
        Counts {
            published,
            connected: 1,
            ..Counts::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::bus::contract;

    #[tokio::test]
    async fn the_local_bus_keeps_the_contract() {
        let bus: Arc<dyn Bus> = Arc::new(LocalBus::new());
        contract::all(&*bus, &*bus).await;
    }

    #[tokio::test]
    async fn a_bus_that_is_gone_ends_its_subscriptions() {
        let bus = LocalBus::new();
        let mut wakes = bus.subscribe();
        drop(bus);
        assert_eq!(wakes.recv().await, Some(Wake::Reconnected));
        assert_eq!(wakes.recv().await, None);
    }
}
