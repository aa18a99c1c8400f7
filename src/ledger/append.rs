//! Appending: decide against exactly the prefix that is extended, then win its slot, or know why not.
//!
//! ```text
//! catch up
//! until the want is settled:
//!     decide against this prefix; a refusal is the answer
//!     until the next slot is known to be taken:
//!         create it                 Ok: ours
//!         anything else: read it    taken: take it in, whoever wrote it
//!                                   absent or no answer: wait, then the same bytes to the same slot
//! ```
//! Whose record is in the slot is told by the want it carries: our own, or the same want through another
//! node, settle it; any other means deciding again. Only a refusal is a failure. When patience ends first
//! the answer is *unknown*, the record stays pending, and this node appends nothing else before it is
//! known who has the slot: its own bytes may land there at any time, and nowhere else.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use huidu_core::{
    digest::Digest,
    event::{Actor, Event},
    op::{OpId, Settled},
    record::{Approval, Record},
    revision::Revision,
    rules::Rules,
    time::Timestamp,
    validity,
};
use tokio::time::{Instant, sleep, timeout_at};

use super::{Fold, Ledger, LedgerError, Pending, Tail, Taken};
#[cfg(test)]
use crate::planted::{Bug, is_planted};
use crate::store::{Key, Place, StoreError};

/// What came of creating a record's object in time.
#[cfg(test)]
type Created = Result<Result<(), StoreError>, tokio::time::error::Elapsed>;

/// What somebody wants written.
#[derive(Debug, Clone)]
pub struct Want {
    /// Its name: the same over every retry.
    pub op: OpId,
    /// The digest of what was said; none: nobody compares.
    pub ask: Option<Digest>,
    /// Who wants it.
    pub actor: Actor,
    /// Who else agreed.
    pub approvals: Vec<Approval>,
    /// Why.
    pub why: Option<String>,
}

/// How an append ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended<R> {
    /// It is in force since this revision, by this call.
    Committed(Revision),
    /// It was in force already, since this revision, by an earlier try or through another node; this call
    /// wrote nothing.
    Repeated(Revision),
    /// It was cancelled by this revision and shall never happen.
    Voided(Revision),
    /// There was nothing to change.
    Unchanged,
    /// It was refused at the revision that this node is at; nothing was written.
    Refused(R),
    /// Nobody knows yet. Ask again with the same op, or cancel it.
    Unknown {
        /// The want.
        op: OpId,
    },
}

/// What goes into a record.
enum Content {
    Events(Vec<Event>),
    Void(OpId),
}

/// True, when what this node wrote counts. It was held against the same rule before, so a no is a defect; writing
/// the same again would not mend it.
fn counted(slot: Revision, taken: Option<&Taken>) -> Result<bool, LedgerError> {
    match taken {
        Some(Taken::Void(_)) => Err(LedgerError::Void { rev: slot }),
        _ => Ok(true),
    }
}

impl<F: Fold> Ledger<F> {
    /// Makes `want` happen. `decide` is asked at each prefix that the record might extend, with what is
    /// true there and the time of day, and answers what happens or why not.
    ///
    /// May be dropped at any point: what was sent stays pending.
    pub async fn append<R>(
        &mut self,
        want: Want,
        patience: Duration,
        mut decide: impl FnMut(&F, Timestamp) -> Result<Vec<Event>, R>,
    ) -> Result<Appended<R>, LedgerError> {
        let deadline = Instant::now() + patience;
        if let Some(op) = self.settle_until(deadline).await? {
            return if op == want.op {
                Ok(Appended::Unknown { op })
            } else {
                Err(LedgerError::Busy { op })
            };
        }
        self.write(want.op, &want, deadline, |fold, now| {
            decide(fold, now).map(Content::Events)
        })
        .await
    }

    /// Makes sure that `op` never happens, or learns that it did: wins a slot with a record that voids
    /// it. `want` names this cancelling, not what is cancelled.
    pub async fn cancel(
        &mut self,
        op: OpId,
        want: Want,
        patience: Duration,
    ) -> Result<Appended<Infallible>, LedgerError> {
        let deadline = Instant::now() + patience;
        // The void goes for the slot that the want may still land in; any other want is settled first.
        if self.pending() != Some(op)
            && let Some(op) = self.settle_until(deadline).await?
        {
            return Err(LedgerError::Busy { op });
        }
        self.write(op, &want, deadline, |_, _| Ok(Content::Void(op)))
            .await
    }

    /// Finds out who has the slot of the pending record: the same bytes go to the same slot. Answers the
    /// want that is still unknown when patience ends.
    pub async fn settle(&mut self, patience: Duration) -> Result<Option<OpId>, LedgerError> {
        self.settle_until(Instant::now() + patience).await
    }

    async fn settle_until(&mut self, deadline: Instant) -> Result<Option<OpId>, LedgerError> {
        self.sound()?;
        match self.pending.clone() {
            Some(pending) if !self.win(&pending, deadline).await? => Ok(Some(pending.op)),
            _ => Ok(None),
        }
    }

    /// Writes until `op` is settled.
    async fn write<R>(
        &mut self,
        op: OpId,
        want: &Want,
        deadline: Instant,
        mut content: impl FnMut(&F, Timestamp) -> Result<Content, R>,
    ) -> Result<Appended<R>, LedgerError> {
        self.reach_tail(deadline).await?;
        let mut is_sent = false;
        loop {
            match self.settled(&op) {
                Some(Settled::Committed(rev)) if is_sent => return Ok(Appended::Committed(rev)),
                Some(Settled::Committed(rev)) => return Ok(Appended::Repeated(rev)),
                Some(Settled::Voided(rev)) => return Ok(Appended::Voided(rev)),
                None => {}
            }
            let (now, decided) = self.decide_in_time(&mut content);
            let content = match decided {
                Ok(Content::Events(events)) if events.is_empty() => return Ok(Appended::Unchanged),
                Ok(content) => content,
                Err(refusal) => return Ok(Appended::Refused(refusal)),
            };
            let bytes = self.draft(want, now, content)?;
            let pending = Pending {
                op,
                slot: self.at.rev.next(),
                bytes,
            };
            is_sent = true;
            if !self.win(&pending, deadline).await? {
                return Ok(Appended::Unknown { op });
            }
        }
    }

    /// Decides at a time that is not before that of the last record, whatever this node's clock says: time in the
    /// ledger never runs backwards, but with the root's word.
    fn decide_in_time<R>(
        &self,
        content: &mut impl FnMut(&F, Timestamp) -> Result<Content, R>,
    ) -> (Timestamp, Result<Content, R>) {
        let (clock, floor) = (self.parts.clock.now(), self.fold.catalogue().written_at());
        let decided = content(&self.fold, clock);
        match &decided {
            Ok(Content::Events(events)) if clock < floor && !validity::resets_time(events) => {
                (floor, content(&self.fold, floor))
            }
            Ok(Content::Events(_)) => (clock, decided),
            Ok(Content::Void(_)) => (clock.max(floor), decided),
            Err(_) if clock < floor => (floor, content(&self.fold, floor)),
            Err(_) => (clock, decided),
        }
    }

    fn draft(&self, want: &Want, at: Timestamp, content: Content) -> Result<Bytes, LedgerError> {
        let (events, void) = match content {
            Content::Events(events) => (events, None),
            Content::Void(op) => (Vec::new(), Some(op)),
        };
        let record = Record {
            v: Rules::NEWEST,
            rev: self.at.rev.next(),
            prev: self.at.head,
            op: want.op,
            ask: want.ask,
            put: self.parts.ids.put(),
            node: self.parts.node.clone(),
            at,
            actor: want.actor.clone(),
            approvals: want.approvals.clone(),
            why: want.why.clone(),
            events,
            void,
            ck: self.checkpoint.filter(|_| self.unannounced),
        };
        let bytes = match &self.parts.signer {
            Some(signer) => record.seal(&**signer),
            None => record.encode(),
        };
        bytes.map_err(LedgerError::Unwritable)
    }

    /// Sends `pending` to its slot until it is known that the slot is taken, and takes in what is there.
    /// False when the deadline comes first.
    async fn win(&mut self, pending: &Pending, deadline: Instant) -> Result<bool, LedgerError> {
        let Pending { slot, bytes, .. } = pending;
        let key = Key::Log(slot.get());
        self.pending = Some(pending.clone());
        for failures in 0.. {
            let created = timeout_at(deadline, self.parts.store.put_new(&key, bytes.clone())).await;
            #[cfg(test)]
            let created = self.misread(created, &key)?;
            if matches!(created, Ok(Ok(()))) {
                let taken = self.take_in(*slot, bytes).await?;
                return counted(*slot, taken.as_ref());
            }
            #[cfg(test)]
            if is_planted(Bug::RetryInAnotherSlot)
                && Instant::now() < deadline
                && !matches!(created, Ok(Err(StoreError::AlreadyExists { .. })))
            {
                self.at.rev = self.at.rev.next();
                return Ok(true);
            }
            // Taken, or nobody knows: look.
            if let Ok(Ok(found)) = timeout_at(deadline, self.parts.store.get(&key)).await {
                self.pending = None;
                let taken = self.take_in(*slot, &found).await?;
                if found == *bytes {
                    counted(*slot, taken.as_ref())?;
                }
                #[cfg(test)]
                if is_planted(Bug::OwnWriteUnseen) {
                    self.ops = huidu_core::op::RecentOps::default();
                }
                return Ok(true);
            }
            if !self.pause(failures, deadline).await {
                break;
            }
        }
        Ok(false)
    }

    /// What is made of an answer that leaves a doubt, where a mistake is planted.
    #[cfg(test)]
    fn misread(&mut self, created: Created, key: &Key) -> Result<Created, LedgerError> {
        if matches!(created, Ok(Ok(()) | Err(StoreError::AlreadyExists { .. }))) {
            return Ok(created);
        }
        if is_planted(Bug::AcknowledgedBeforeDurable) {
            return Ok(Ok(Ok(())));
        }
        if is_planted(Bug::TimeoutIsFailure) {
            self.pending = None;
            return Err(StoreError::unavailable(key, "given up").into());
        }
        Ok(created)
    }

    /// Catches up before the deadline, and makes sure that the store was not set back: a record must
    /// never be written behind a gap.
    async fn reach_tail(&mut self, deadline: Instant) -> Result<(), LedgerError> {
        let mut failures = 0;
        loop {
            let error = match timeout_at(deadline, self.next()).await {
                Ok(Ok(Tail::Record(_) | Tail::Void(_))) => continue,
                Ok(Ok(Tail::AtTail { .. })) => match timeout_at(deadline, self.verify()).await {
                    Ok(Ok(())) => return Ok(()),
                    Ok(Err(error)) => error,
                    Err(elapsed) => StoreError::unavailable(Place::Store, elapsed).into(),
                },
                Ok(Err(error)) => error,
                Err(elapsed) => StoreError::unavailable(Place::Store, elapsed).into(),
            };
            if !matches!(error, LedgerError::Store(_)) || !self.pause(failures, deadline).await {
                return Err(error);
            }
            failures += 1;
        }
    }

    /// Waits before the next try; false, at once, when the deadline would come first.
    async fn pause(&mut self, failures: u32, deadline: Instant) -> bool {
        let wait = self.parts.backoff.after(failures);
        let in_time = Instant::now() + wait < deadline;
        if in_time {
            sleep(wait).await;
        }
        in_time
    }
}
