//! Following: one record after the other, each verified against the one before it.
//!
//! A record is taken in by its slot and never twice, however often it was read and by how many readers.

use bytes::Bytes;
use huidu_core::{digest::Digest, record::Record, revision::Revision, time::Timestamp};

use super::{Fold, Fork, Ledger, LedgerError, Position};
use crate::store::Key;

/// What lies behind the last revision taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// The next revision; it is taken in.
    Record(Box<Record>),
    /// Nothing yet: what is true here was true at `probed_at`.
    AtTail {
        /// The time just before the store was asked.
        probed_at: Timestamp,
    },
}

impl<F: Fold> Ledger<F> {
    /// Reads the next slot, once, and takes in what is there.
    pub async fn next(&mut self) -> Result<Tail, LedgerError> {
        self.sound()?;
        let slot = self.at.rev.next();
        let probed_at = self.parts.clock.now();
        match self.parts.store.get(&Key::Log(slot.get())).await {
            Ok(bytes) => Ok(match self.take_in(slot, &bytes).await? {
                Some(record) => Tail::Record(Box::new(record)),
                None => Tail::AtTail { probed_at },
            }),
            Err(error) if error.is_not_found() => Ok(Tail::AtTail { probed_at }),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes in everything up to the tail; answers the time at which that was all.
    pub async fn catch_up(&mut self) -> Result<Timestamp, LedgerError> {
        loop {
            if let Tail::AtTail { probed_at } = self.next().await? {
                return Ok(probed_at);
            }
        }
    }

    /// Checks that the store still has the last revision taken in. A store that was emptied or set back
    /// looks like a quiet one from [`next`](Self::next).
    pub async fn verify(&mut self) -> Result<(), LedgerError> {
        self.sound()?;
        self.verify_at(self.at).await
    }

    pub(super) async fn verify_at(&mut self, known: Position) -> Result<(), LedgerError> {
        if known.rev == Revision::ZERO {
            return Ok(());
        }
        match self.parts.store.get(&Key::Log(known.rev.get())).await {
            Ok(bytes) if Digest::of(&bytes) == known.head => Ok(()),
            Ok(_) => Err(self.forked(Fork::Rewritten { rev: known.rev })),
            Err(error) if error.is_not_found() => {
                Err(self.forked(Fork::Shorter { ours: known.rev }))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes in what the store keeps in `slot`. A record that vouches for our checkpoint in the shape of
    /// another build is no fork.
    pub(super) async fn take_in(
        &mut self,
        slot: Revision,
        bytes: &Bytes,
    ) -> Result<Option<Record>, LedgerError> {
        let offered = self.offer(slot, bytes);
        let Err(LedgerError::Fork(Fork::Diverged {
            rev,
            ours,
            announced,
        })) = offered
        else {
            return offered;
        };
        if !self.says_the_same(rev, [ours, announced]).await {
            return offered;
        }
        tracing::info!(%rev, %announced, "it is the same checkpoint in the shape of another build");
        self.alias = Some(announced);
        self.fork = None;
        self.offer(slot, bytes)
    }

    /// Takes in `bytes`, which the store keeps in `slot`; none when that slot is not the next one: it was
    /// taken in already, or its turn has not come.
    pub fn offer(&mut self, slot: Revision, bytes: &Bytes) -> Result<Option<Record>, LedgerError> {
        self.sound()?;
        #[cfg(test)]
        if self.mutations.slots_ignored {
            return self.take_blindly(slot, bytes);
        }
        if slot != self.at.rev.next() {
            return Ok(None);
        }
        let record = self.check(slot, bytes)?;
        self.take(&record, bytes);
        Ok(Some(record))
    }

    fn check(&mut self, slot: Revision, bytes: &Bytes) -> Result<Record, LedgerError> {
        let record = Record::decode(bytes)
            .map_err(|source| LedgerError::Unreadable { rev: slot, source })?;
        if record.rev != slot {
            return Err(self.forked(Fork::Misplaced {
                slot,
                rev: record.rev,
            }));
        }
        let (expected, found) = (self.at.head, record.prev);
        if found != expected {
            return Err(self.forked(Fork::Broken {
                rev: slot,
                expected,
                found,
            }));
        }
        if let (Some(ours), Some(theirs)) = (self.checkpoint, record.ck)
            && ours.rev == theirs.rev
            && ours.root != theirs.root
            && self.alias != Some(theirs.root)
        {
            let (rev, ours, announced) = (ours.rev, ours.root, theirs.root);
            return Err(self.forked(Fork::Diverged {
                rev,
                ours,
                announced,
            }));
        }
        Ok(record)
    }

    fn take(&mut self, record: &Record, bytes: &Bytes) {
        self.fold.apply(record, bytes);
        self.ops.note(record);
        self.at = Position {
            rev: record.rev,
            head: Digest::of(bytes),
        };
        // Whoever has the slot, what was on its way to it has arrived or never will.
        self.pending = self
            .pending
            .take()
            .filter(|pending| pending.slot > record.rev);
        let announced = record.ck.map(|name| name.rev);
        if announced >= self.checkpoint.map(|name| name.rev) {
            self.unannounced = false;
        }
    }

    #[cfg(test)]
    fn take_blindly(
        &mut self,
        slot: Revision,
        bytes: &Bytes,
    ) -> Result<Option<Record>, LedgerError> {
        let record = Record::decode(bytes)
            .map_err(|source| LedgerError::Unreadable { rev: slot, source })?;
        self.take(&record, bytes);
        Ok(Some(record))
    }
}
