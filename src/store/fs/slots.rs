//! `Slots`: which keys are being named right now, so that readers wait until the name is durable.
//!
//! Between `link` and the sync of the folder an object can be read although a power cut could still
//! take it back. Nobody may act on it in that moment, so a reader of that key waits, and a second
//! writer too. A key whose sync failed stays doubtful until the next start.

use std::{
    collections::{HashMap, HashSet},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use super::Key;

/// How far a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Whatever is on disk is durable.
    Settled,
    /// A write is under way.
    Writing,
    /// A write was not confirmed by the disk.
    Doubtful,
}

/// The keys that are not settled.
#[derive(Debug, Default)]
pub(super) struct Slots {
    unsettled: Mutex<HashMap<Key, Standing>>,
    changed: Condvar,
}

/// The right to name one key. Dropping it settles the key.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    slots: &'a Slots,
    key: &'a Key,
    leaves: Option<Standing>,
}

impl Slots {
    /// Waits until nobody else writes `key`, then claims it.
    pub(super) fn claim<'a>(&'a self, key: &'a Key) -> Claim<'a> {
        let mut unsettled = self.wait(key);
        let before = unsettled.insert(key.clone(), Standing::Writing);
        Claim {
            slots: self,
            key,
            leaves: before,
        }
    }

    /// Waits until nobody writes `key`, and says whether what is there can be trusted.
    pub(super) fn settled(&self, key: &Key) -> Standing {
        let unsettled = self.wait(key);
        unsettled.get(key).copied().unwrap_or(Standing::Settled)
    }

    /// All keys whose name may not be durable.
    pub(super) fn unsettled(&self) -> HashSet<Key> {
        self.lock().keys().cloned().collect()
    }

    fn wait(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, Standing>> {
        let writing =
            |slots: &mut HashMap<Key, Standing>| slots.get(key) == Some(&Standing::Writing);
        let guard = self.changed.wait_while(self.lock(), writing);
        guard.unwrap_or_else(PoisonError::into_inner)
    }

    /// The map is whole between any two statements, so a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Standing>> {
        self.unsettled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim<'_> {
    /// The name may exist without being durable: nobody may trust this key before the next start.
    pub(super) fn doubt(&mut self) {
        self.leaves = Some(Standing::Doubtful);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut unsettled = self.slots.lock();
        match self.leaves {
            Some(standing) => unsettled.insert(self.key.clone(), standing),
            None => unsettled.remove(self.key),
        };
        self.slots.changed.notify_all();
    }
}
