//! Following: one record after the other, each verified against the one before it.
//!
//! A record is taken in by its slot and never twice, however often it was read and by how many readers. One that
//! does not count is passed over; what may be a later build's is never passed over.

use std::time::Duration;

use bytes::Bytes;
use huidu_core::{
    digest::Digest,
    record::{Found, Record},
    revision::Revision,
    time::Timestamp,
    validity::{Invalid, Verdict},
};
use tokio::time::Instant;

use super::{Fold, Fork, Ledger, LedgerError, Position, checkpoint::Likeness};
#[cfg(test)]
use crate::planted::{Bug, is_planted};
use crate::store::{Key, StoreError};

/// What lies behind the last revision taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// The next revision; it is taken in.
    Record(Box<Record>),
    /// The next revision does not count; it is passed over.
    Void(Revision),
    /// Nothing yet: what is true here was true at `probed_at`.
    AtTail {
        /// A time at which the store had nothing more, by its own clock where it tells one.
        probed_at: Timestamp,
    },
}

/// What became of what lay in a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It counts.
    Record(Box<Record>),
    /// It does not.
    Void(Revision),
}

/// The most that a store's time is believed to be ahead of this node's, in milliseconds.
const STORE_AHEAD_MS: u64 = 300_000;

/// A time at which something was absent that a store was asked for at `asked_at`, by this node's clock, and
/// that it said to be absent after `took`.
///
/// Where the store tells its time, that counts: it is one for all nodes, however wrong their own clocks are.
/// It told it when it answered and may have looked earlier, by `took` at most. A store that is far ahead
/// is not believed: times that lie in the future would make old answers look fresh.
fn absent_since(asked_at: Timestamp, said_at: Option<Timestamp>, took: Duration) -> Timestamp {
    let Some(said_at) = said_at else {
        return asked_at;
    };
    let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let looked = said_at.unix_ms().saturating_sub(took.saturating_add(1));
    Timestamp::from_unix_ms(looked).min(asked_at.plus_ms(STORE_AHEAD_MS))
}

impl<F: Fold> Ledger<F> {
    /// Reads the next slot, once, and takes in what is there.
    pub async fn next(&mut self) -> Result<Tail, LedgerError> {
        self.sound()?;
        let slot = self.at.rev.next();
        let (asked_at, asked) = (self.parts.clock.now(), Instant::now());
        match self.parts.store.get(&Key::Log(slot.get())).await {
            #[cfg(test)]
            Ok(bytes) if is_planted(Bug::SlotIgnored) && self.late.is_some() => {
                let late = self.late.replace(bytes.clone()).unwrap_or_default();
                self.take_in(slot, &bytes).await?;
                if let Ok(late) = Record::decode(&late) {
                    self.fold.apply(&late, &bytes);
                }
                Ok(Tail::Void(slot))
            }
            Ok(bytes) => Ok(match self.take_in(slot, &bytes).await? {
                Some(Taken::Record(record)) => Tail::Record(record),
                Some(Taken::Void(rev)) => Tail::Void(rev),
                None => Tail::AtTail {
                    probed_at: asked_at,
                },
            }),
            Err(StoreError::NotFound { said_at, .. }) => Ok(Tail::AtTail {
                probed_at: absent_since(asked_at, said_at, asked.elapsed()),
            }),
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
            #[cfg(test)]
            Ok(_) if is_planted(Bug::ForkIgnored) => Ok(()),
            Ok(bytes) if Digest::of(&bytes) == known.head => Ok(()),
            Ok(_) => Err(self.forked(Fork::Rewritten { rev: known.rev })),
            Err(error) if error.is_not_found() => {
                Err(self.forked(Fork::Shorter { ours: known.rev }))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes in what the store keeps in `slot`. A record that vouches for our checkpoint in the shape of
    /// another build is no fork, nor is one that this build cannot read.
    pub(super) async fn take_in(
        &mut self,
        slot: Revision,
        bytes: &Bytes,
    ) -> Result<Option<Taken>, LedgerError> {
        let offered = self.offer(slot, bytes);
        let Err(LedgerError::Fork(Fork::Diverged {
            rev,
            ours,
            announced,
        })) = offered
        else {
            return offered;
        };
        // Not before it is known is it a fork: a store that does not answer now is asked again.
        self.fork = None;
        match self.likeness(rev, [ours, announced]).await? {
            Likeness::Same => {
                tracing::info!(%rev, %announced, "it is the same checkpoint in the shape of another build");
            }
            Likeness::Unknown => {
                tracing::warn!(%rev, %announced, "a checkpoint in a shape that this build does not know; nothing follows from it");
            }
            Likeness::Other => {
                return Err(self.forked(Fork::Diverged {
                    rev,
                    ours,
                    announced,
                }));
            }
        }
        self.alias = Some(announced);
        self.offer(slot, bytes)
    }

    /// Takes in `bytes`, which the store keeps in `slot`; none when that slot is not the next one: it was
    /// taken in already, or its turn has not come.
    pub fn offer(&mut self, slot: Revision, bytes: &Bytes) -> Result<Option<Taken>, LedgerError> {
        self.sound()?;
        #[cfg(test)]
        if is_planted(Bug::TakenOutOfTurn) {
            return self.take_blindly(slot, bytes);
        }
        if slot != self.at.rev.next() {
            return Ok(None);
        }
        let found = Found::read(bytes);
        let verdict = self.fold.judge(&found);
        let record = match (found.into_record(), &verdict) {
            (Err(source), Verdict::Counts | Verdict::Unreadable) => {
                return Err(LedgerError::Unreadable { rev: slot, source });
            }
            // Whoever wrote it is no server: not even which record it follows is believed.
            (_, Verdict::Nobody(why)) | (Err(_), Verdict::Void(why)) => {
                self.pass(slot, bytes, why);
                return Ok(Some(Taken::Void(slot)));
            }
            (Ok(record), _) => record,
        };
        self.check(slot, &record)?;
        if let Verdict::Void(why) = &verdict {
            self.pass(slot, bytes, why);
            return Ok(Some(Taken::Void(slot)));
        }
        self.check_checkpoint(&record)?;
        self.take(&record, bytes);
        Ok(Some(Taken::Record(Box::new(record))))
    }

    /// Whether a record is in its slot and follows the one before it.
    fn check(&mut self, slot: Revision, record: &Record) -> Result<(), LedgerError> {
        if record.rev != slot {
            return Err(self.forked(Fork::Misplaced {
                slot,
                rev: record.rev,
            }));
        }
        let (expected, found) = (self.at.head, record.prev);
        #[cfg(test)]
        if is_planted(Bug::ForkIgnored) {
            return Ok(());
        }
        if found != expected {
            return Err(self.forked(Fork::Broken {
                rev: slot,
                expected,
                found,
            }));
        }
        Ok(())
    }

    /// Whether a record that counts vouches for the checkpoint that this node came to as well.
    fn check_checkpoint(&mut self, record: &Record) -> Result<(), LedgerError> {
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
        Ok(())
    }

    fn take(&mut self, record: &Record, bytes: &Bytes) {
        #[cfg(test)]
        self.late.replace(bytes.clone());
        self.fold.apply(record, bytes);
        self.ops.note(record);
        self.ask = record.ask;
        self.stand(record.rev, bytes);
        let announced = record.ck.map(|name| name.rev);
        if announced >= self.checkpoint.map(|name| name.rev) {
            self.unannounced = false;
        }
    }

    /// Passes over what does not count: it has its slot, and settles nobody's want.
    fn pass(&mut self, slot: Revision, bytes: &Bytes, why: &Invalid) {
        self.fold.skip(slot, bytes, why);
        self.stand(slot, bytes);
    }

    fn stand(&mut self, rev: Revision, bytes: &Bytes) {
        self.at = Position {
            rev,
            head: Digest::of(bytes),
        };
        // Whoever has the slot, what was on its way to it has arrived or never will.
        self.pending = self.pending.take().filter(|pending| pending.slot > rev);
    }

    #[cfg(test)]
    fn take_blindly(
        &mut self,
        slot: Revision,
        bytes: &Bytes,
    ) -> Result<Option<Taken>, LedgerError> {
        let record = Record::decode(bytes)
            .map_err(|source| LedgerError::Unreadable { rev: slot, source })?;
        self.take(&record, bytes);
        Ok(Some(Taken::Record(Box::new(record))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_store_counts_and_never_one_at_which_it_had_not_looked() {
        const NOON: u64 = 1_800_000_000_000;
        let took = Duration::from_millis(40);
        for (asked_at, said_at, proved, what) in [
            (500, None, NOON + 500, "a store without a clock"),
            (500, Some(0), NOON - 41, "the second that had begun"),
            (600_000, Some(0), NOON - 41, "a node that is ahead"),
            (0, Some(120_000), NOON + 119_959, "a node that is behind"),
            (
                0,
                Some(9_000_000),
                NOON + 300_000,
                "a store that is far ahead",
            ),
        ] {
            let at = |ms: u64| Timestamp::from_unix_ms(NOON + ms);
            let since = absent_since(at(asked_at), said_at.map(at), took);
            assert_eq!(since.unix_ms(), proved, "{what}");
        }
        let (asked_at, said_at) = (Timestamp::from_unix_ms(NOON), NOON + 2_000);
        let said_at = Some(Timestamp::from_unix_ms(said_at));
        let slow = absent_since(asked_at, said_at, Duration::from_secs(2));
        assert!(slow < asked_at, "it may have looked at once: {slow}");
    }
}
