//! What a node folds the ledger into: the catalogue that the control plane reads, what must be compiled
//! again, and a copy for the mirror.
//!
//! Called by the ledger once for each revision, in order, whoever wrote it: a node learns of its own
//! changes the same way as of everybody's.

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use huidu_core::{
    catalogue::{Catalogue, Touched},
    event::Event,
    fingerprint::MARK_EVERY,
    op::{OpId, Settled},
    record::{CheckpointRef, Found, Record},
    revision::Revision,
    time::Timestamp,
    validity::{self, Invalid, Verdict},
    webhook,
};

use tokio::time::Instant;

use super::{mirror::Copies, webhooks::Said};
use crate::{ledger::Fold, store::Key};

/// The catalogue, shared between the task that changes it and those that read it.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    catalogue: Arc<RwLock<Catalogue>>,
    /// What was true at the latest marks, until a fingerprint was taken of it.
    marks: Arc<Mutex<Vec<Catalogue>>>,
}

/// The most marks that wait for a fingerprint: more are passed only by a node that catches up.
const MARKS: usize = 4;

impl Shared {
    /// The catalogue at this moment. Held for as short as possible; never on the poll path.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Catalogue> {
        // A poisoned lock means that a reader panicked; the catalogue itself is only changed by `apply`,
        // which is total, so what is in it is whole.
        self.catalogue
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What was true at marks that were passed since the last call.
    pub(super) fn take_marks(&self) -> Vec<Catalogue> {
        std::mem::take(&mut *self.marks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps what is true now, which shares all apps with what will be.
    fn mark(&self) {
        let now = self.read().clone();
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if marks.len() == MARKS {
            marks.remove(0);
        }
        marks.push(now);
    }

    /// Changes what is true here and nowhere else, as memory does that goes bad.
    #[cfg(test)]
    pub(super) fn spoil(&self, how: impl FnOnce(&mut Catalogue)) {
        how(&mut self.write());
    }

    fn write(&self) -> RwLockWriteGuard<'_, Catalogue> {
        self.catalogue
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one node makes of the ledger.
#[derive(Debug)]
pub(super) struct Folded {
    shared: Shared,
    mirror: Option<Arc<dyn Copies>>,
    changed: Changed,
    marking: Marking,
}

/// At which revisions what is true is kept for a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marking {
    /// At none, as long as nobody sees it.
    Nothing,
    /// At every mark.
    Marks,
    /// At this one alone.
    At(Revision),
}

/// How a want ended.
pub(super) type End = (OpId, Settled);

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
    /// How wants ended by them.
    pub(super) ends: Vec<End>,
    /// When this node had each of them in hand.
    pub(super) known_at: Vec<Instant>,
    /// What receivers outside are to be told of them.
    pub(super) said: Said,
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
            marking: Marking::Nothing,
        }
    }

    /// The same, to see what is true at `rev`.
    pub(super) fn marking(mirror: Option<Arc<dyn Copies>>, rev: Revision) -> Self {
        Self {
            marking: Marking::At(rev),
            ..Self::new(mirror)
        }
    }

    /// What was true at the revision that it was made for.
    pub(super) fn take_marked(&mut self) -> Option<Catalogue> {
        self.shared.take_marks().pop()
    }

    fn mark_if_due(&self, rev: Revision) {
        let is_due = match self.marking {
            Marking::Nothing => false,
            Marking::Marks => rev.get().is_multiple_of(MARK_EVERY),
            Marking::At(at) => at == rev,
        };
        if is_due {
            self.shared.mark();
        }
    }

    /// Lets everybody see it from now on, in place of what `shared` showed. A ledger that could not be
    /// opened to its end is thus never seen half read.
    pub(super) fn show(&mut self, shared: &Shared) {
        let catalogue = std::mem::take(&mut *self.shared.write());
        *shared.write() = catalogue;
        self.shared = shared.clone();
        self.marking = Marking::Marks;
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
        self.mark_if_due(rev);
        self.changed.said.reach(rev, Vec::new());
        self.changed.invalid += 1;
        self.changed.records += 1;
        if let Some(mirror) = &self.mirror {
            mirror.put(Key::Log(rev.get()), bytes.clone());
        }
    }

    fn apply(&mut self, record: &Record, bytes: &Bytes) {
        self.changed.known_at.push(Instant::now());
        self.changed
            .ends
            .push((record.op, Settled::Committed(record.rev)));
        if let Some(voided) = record.void {
            self.changed
                .ends
                .push((voided, Settled::Voided(record.rev)));
        }
        let mut catalogue = self.shared.write();
        let touched = record.make_true(&mut catalogue);
        let said = webhook::of(record, &catalogue);
        drop(catalogue);
        self.changed.said.reach(record.rev, said);
        self.mark_if_due(record.rev);
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
