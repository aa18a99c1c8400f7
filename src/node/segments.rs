//! The segments that rollouts ask about, in memory, each once.
//!
//! A segment's units lie in the store under their digest, so they are loaded once and never change. A
//! segment that cannot be loaded now matches nobody, is said so in the log, and is tried again; it never
//! holds up a kill. Segments nobody refers to any more are let go.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use huidu_core::{
    catalogue::SegmentRef,
    digest::Digest,
    name::SegmentName,
    segment::{Segment, SegmentError},
};
use tokio::time::timeout;

use crate::store::{Key, Store, StoreError};

/// How long one segment may take to load: 10 million units are 80 MB.
const LOAD_PATIENCE: Duration = Duration::from_secs(30);

/// Segments by the digest of their units. A clone shares them.
#[derive(Clone, Default)]
pub(super) struct Segments {
    loaded: HashMap<Digest, Arc<Segment>>,
    by_name: BTreeMap<SegmentName, Digest>,
}

/// Why a segment is not in memory.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("the store did not give it: {0}")]
    Store(#[from] StoreError),
    #[error("its bytes are no segment: {0}; upload it again")]
    Encoding(#[from] SegmentError),
    #[error("the store took longer than {} s", LOAD_PATIENCE.as_secs())]
    Slow,
}

impl Segments {
    /// The segment with this name, if it is in memory.
    pub(super) fn get(&self, name: &SegmentName) -> Option<Arc<Segment>> {
        self.loaded.get(self.by_name.get(name)?).cloned()
    }

    /// Learns which segments there are; lets go of what none of them names.
    pub(super) fn know(&mut self, segments: &BTreeMap<SegmentName, SegmentRef>) {
        self.by_name = segments
            .iter()
            .map(|(name, at)| (name.clone(), at.sha256))
            .collect();
        let named = self
            .by_name
            .values()
            .copied()
            .collect::<std::collections::HashSet<_>>();
        self.loaded.retain(|digest, _| named.contains(digest));
    }

    /// Whether `name` exists but is not in memory.
    pub(super) fn is_missing(&self, name: &SegmentName) -> bool {
        self.by_name
            .get(name)
            .is_some_and(|digest| !self.loaded.contains_key(digest))
    }

    /// Takes in a segment that this node has just made.
    pub(super) fn keep(&mut self, digest: Digest, segment: Arc<Segment>) {
        self.loaded.insert(digest, segment);
    }

    /// Loads `name`, from the first of `stores` that has it.
    pub(super) async fn load(
        &mut self,
        name: &SegmentName,
        stores: &[Arc<dyn Store>],
    ) -> Result<(), LoadError> {
        let Some(digest) = self.by_name.get(name).copied() else {
            return Ok(());
        };
        let mut failure = LoadError::Slow;
        for store in stores {
            match timeout(LOAD_PATIENCE, store.get(&Key::Cas(digest))).await {
                Ok(Ok(bytes)) => {
                    let segment =
                        tokio::task::spawn_blocking(move || Segment::from_bytes(&bytes)).await;
                    let segment = segment.map_err(|_| LoadError::Slow)??;
                    self.loaded.insert(digest, Arc::new(segment));
                    return Ok(());
                }
                Ok(Err(error)) => failure = error.into(),
                Err(_) => failure = LoadError::Slow,
            }
        }
        Err(failure)
    }

    /// The segment with this name as the store keeps it, if it is in memory.
    pub(super) fn encoded(&self, name: &SegmentName) -> Option<(Digest, Bytes)> {
        let digest = *self.by_name.get(name)?;
        Some((digest, self.loaded.get(&digest)?.to_bytes().into()))
    }

    /// Bytes and units in memory, for metrics.
    pub(super) fn size(&self) -> (usize, usize) {
        let segments = self.loaded.values();
        segments.fold((0, 0), |(bytes, units), segment| {
            (bytes + segment.heap_bytes(), units + segment.len())
        })
    }
}
