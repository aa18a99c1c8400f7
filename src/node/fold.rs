//! What a node folds the ledger into: the catalogue that the control plane reads, what must be compiled
//! again, and a copy for the mirror.
//!
//! Called by the ledger once for each revision, in order, whoever wrote it: a node learns of its own
//! changes the same way as of everybody's.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use huidu_core::{
    catalogue::{Catalogue, Touched},
    event::Event,
    record::{CheckpointRef, Found, Record},
    revision::Revision,
    time::Timestamp,
    validity::{self, Invalid, Verdict},
};

use tokio::time::Instant;

use super::mirror::Copies;
use crate::{ledger::Fold, store::Key};

/// The catalogue, shared between the task that changes it and those that read it.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared(Arc<RwLock<Catalogue>>);

impl Shared {
    /// The catalogue at this moment. Held for as short as possible; never on the poll path.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Catalogue> {
        // A poisoned lock means that a reader panicked; the catalogue itself is only changed by `apply`,
        // which is total, so what is in it is whole.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Catalogue> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one node makes of the ledger.
#[derive(Debug)]
pub(super) struct Folded {
    shared: Shared,
    mirror: Option<Arc<dyn Copies>>,
    changed: Changed,
}

/// What has changed since it was last asked.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// What must be compiled again.
    pub(super) touched: Touched,
    /// True when everything must be: the fold began anew.
    pub(super) everything: bool,
    /// When the kills among it were written.
    pub(super) killed_at: Vec<Timestamp>,
    /// How many records it was.
    pub(super) records: u64,
    /// How many of them do not count.
    pub(super) invalid: u64,
    /// When this node had each of them in hand.
    pub(super) known_at: Vec<Instant>,
}

impl Folded {
    /// Begins from nothing, seen by nobody, with copies to `mirror`.
    pub(super) fn new(mirror: Option<Arc<dyn Copies>>) -> Self {
        let changed = Changed {
            everything: true,
            ..Changed::default()
        };
        Self {
            shared: Shared::default(),
            mirror,
            changed,
        }
    }

    /// Lets everybody see it from now on, in place of what `shared` showed. A ledger that could not be
    /// opened to its end is thus never seen half read.
    pub(super) fn show(&mut self, shared: &Shared) {
        let catalogue = std::mem::take(&mut *self.shared.write());
        *shared.write() = catalogue;
        self.shared = shared.clone();
    }

    /// What has changed since the last call.
    pub(super) fn take_changed(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }
}

impl Fold for Folded {
    type View<'a> = RwLockReadGuard<'a, Catalogue>;

    fn restore(&mut self, catalogue: Catalogue, _: CheckpointRef) {
        *self.shared.write() = catalogue;
        self.changed.everything = true;
    }

    fn copy(&mut self, key: &Key, bytes: &Bytes) {
        if let Some(mirror) = &self.mirror {
            mirror.put(key.clone(), bytes.clone());
        }
    }

    fn judge(&self, found: &Found) -> Verdict {
        #[cfg(test)]
        if crate::planted::is_planted(crate::planted::Bug::JudgeBlind) {
            return found
                .record()
                .map_or(Verdict::Unreadable, |_| Verdict::Counts);
        }
        validity::judge(&self.shared.read(), found)
    }

    // A record that may not count takes its place in the ledger and changes nothing, on every node alike.
    fn skip(&mut self, rev: Revision, bytes: &Bytes, why: &Invalid) {
        tracing::error!(revision = %rev, %why, "a record in the store does not count: somebody wrote it past the servers");
        self.shared.write().apply(rev, Timestamp::EPOCH, &[]);
        self.changed.invalid += 1;
        self.changed.records += 1;
        if let Some(mirror) = &self.mirror {
            mirror.put(Key::Log(rev.get()), bytes.clone());
        }
    }

    fn apply(&mut self, record: &Record, bytes: &Bytes) {
        self.changed.known_at.push(Instant::now());
        let touched = record.make_true(&mut self.shared.write());
        self.changed.touched.apps.extend(touched.apps);
        self.changed.touched.segments.extend(touched.segments);
        self.changed.touched.kills |= touched.kills;
        self.changed.records += 1;
        if record.events.iter().any(Event::is_stop) {
            self.changed.killed_at.push(record.at);
        }
        if let Some(mirror) = &self.mirror {
            mirror.put(Key::Log(record.rev.get()), bytes.clone());
        }
    }

    fn catalogue(&self) -> Self::View<'_> {
        self.shared.read()
    }
}
