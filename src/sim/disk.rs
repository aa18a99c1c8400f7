//! The disk of a node: what was written and not synced is gone after a crash, or not, as chance has it.
//!
//! Behind [`Copies`](crate::node::Copies) it takes the node's last-known-good copy; read as a store, it is what a
//! node finds that starts while the store is down.

use std::{
    collections::BTreeMap, fmt, ops::Range, path::Path, sync::Arc, sync::Mutex, time::Duration,
};

use bytes::Bytes;
use huidu_core::op::OpId;
use tokio::time::Instant;

use super::{
    process::Gate,
    world::{World, locked},
};
use crate::{
    node::{Copies, End},
    store::{BoxFuture, Folder, Key, Store, StoreError},
};

/// How long the disk may keep something to itself before it is safe, in milliseconds.
const UNSYNCED_MS: u64 = 1_200;

/// A disk. It survives its node.
#[derive(Debug, Default)]
pub(super) struct Disk {
    kept: Mutex<Kept>,
    /// Kills that wait for the ledger, as they were signed: safe from the moment that the node was told so.
    pub(super) kills: Mutex<BTreeMap<OpId, Bytes>>,
}

#[derive(Debug, Default)]
struct Kept {
    files: BTreeMap<Key, (Bytes, Safe)>,
}

/// When a file is safe.
#[derive(Debug, Clone, Copy)]
struct Safe(Option<Instant>);

impl Disk {
    fn put(&self, key: Key, bytes: Bytes, safe_after: Duration) {
        let safe = Safe(Some(Instant::now() + safe_after));
        locked(&self.kept).files.entry(key).or_insert((bytes, safe));
    }

    fn get(&self, key: &Key) -> Option<Bytes> {
        let kept = locked(&self.kept);
        kept.files.get(key).map(|(bytes, _)| bytes.clone())
    }

    /// Its machine loses power: what was not safe yet stays or goes, each by its own chance.
    pub(super) fn crash(&self, world: &World) -> usize {
        let now = Instant::now();
        let mut kept = locked(&self.kept);
        let before = kept.files.len();
        kept.files.retain(|_, (_, safe)| {
            let is_safe = safe.0.is_none_or(|safe| safe <= now);
            safe.0 = None;
            is_safe || world.draw(|rng| rng.bool())
        });
        before - kept.files.len()
    }
}

/// One life of a node at its disk.
pub(super) struct Hand {
    pub(super) world: Arc<World>,
    pub(super) disk: Arc<Disk>,
    pub(super) gate: Gate,
}

impl fmt::Debug for Hand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hand")
    }
}

impl Copies for Hand {
    fn put(&self, key: Key, bytes: Bytes) {
        if !self.gate.is_dead() {
            self.disk.put(key, bytes, self.world.up_to(UNSYNCED_MS));
        }
    }

    fn end_at_start(&self) -> End {
        // A disk of this kind loses files whole, and damages none.
        End::Unsaid
    }

    fn forget_checkpoints(&self) {
        let mut kept = locked(&self.disk.kept);
        kept.files
            .retain(|key, _| key.folder() != Some(Folder::Checkpoints));
    }

    fn end(&self) {}
}

impl Store for Hand {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        Box::pin(async move {
            self.gate.pass().await;
            self.disk.get(key).ok_or_else(|| StoreError::not_found(key))
        })
    }

    fn list<'a>(
        &'a self,
        folder: Folder,
        after: Option<&'a Key>,
    ) -> BoxFuture<'a, Result<Vec<Key>, StoreError>> {
        Box::pin(async move {
            self.gate.pass().await;
            let kept = locked(&self.disk.kept);
            let names = kept.files.keys().filter(|key| key.folder() == Some(folder));
            let names = names.filter(|name| after.is_none_or(|after| *name > after));
            Ok(names.cloned().collect())
        })
    }

    fn get_range<'a>(
        &'a self,
        key: &'a Key,
        _: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        self.get(key)
    }

    fn head<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move { Ok(self.get(key).await?.len() as u64) })
    }

    fn put_new<'a>(&'a self, key: &'a Key, _: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { panic!("a copy is only read as a store, but for {key}") })
    }

    fn put<'a>(&'a self, key: &'a Key, _: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { panic!("a copy is only read as a store, but for {key}") })
    }

    fn put_file<'a>(&'a self, key: &'a Key, _: &'a Path) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { panic!("a copy is only read as a store, but for {key}") })
    }

    fn describe(&self) -> String {
        "simulated disk".into()
    }
}
