//! The ledger: every change, in one order, in the object store. The only truth.
//!
//! Revision `n` is the object `log/{n}`, created if absent: the name of the slot is the compare-and-swap,
//! so any node may write and there is no leader. A want is decided against exactly the prefix that its
//! record extends. An answer of the store that leaves a doubt is never taken for a failure: the slot is
//! read until it is known who has it.
//!
//! A [`Ledger`] owns its place in the chain and the state that is folded from it, so the two cannot part;
//! `&mut` is what makes it one appender per node. It never deletes, never overwrites, never reads a
//! record from anywhere but the store, and when the chain does not fit what it knows it stops writing
//! ([`Fork`]) and keeps the last good state.
//!
//! ```text
//! mod.rs         the ledger, what it is made of, its errors
//! follow.rs      reading: one record after the other, each verified
//! ahead.rs       looking past what cannot be read, for stops
//! append.rs      writing: decide, win a slot, or know why not
//! checkpoint.rs  starting without reading all records: opening, and what later openings start from
//! pieces.rs      the objects that a checkpoint is made of
//! ```

mod ahead;
mod append;
mod checkpoint;
mod follow;
#[cfg(test)]
mod model_test;
mod pieces;
#[cfg(test)]
mod tests;

use std::{fmt, ops::Deref, sync::Arc};

use bytes::Bytes;
use huidu_core::{
    catalogue::Catalogue,
    digest::Digest,
    key::{PublicKey, Signer},
    op::{OpId, RecentOps, Settled},
    record::{CheckpointRef, Found, GENESIS, Record, RecordError},
    revision::Revision,
    time::Timestamp,
    validity::{Invalid, Verdict},
};

use crate::{
    backoff::Backoff,
    clock::{Clock, Ids},
    store::{Key, Store, StoreError},
};

pub use append::{Appended, Want};
pub use checkpoint::{Start, Trust};
pub use follow::{Tail, Taken};
pub use pieces::{Draft, Written};

use pieces::Pieces;

/// What the records of a ledger are folded into. Called once for each revision, in order.
pub trait Fold: Send {
    /// Begins anew from the checkpoint called `name`.
    fn restore(&mut self, catalogue: Catalogue, name: CheckpointRef);

    /// Sees an object of the checkpoint that it may begin from, as the store keeps it.
    fn copy(&mut self, _key: &Key, _bytes: &Bytes) {}

    /// Whether what lies in the next slot may count. A fold that does not ask lets everything that reads.
    fn judge(&self, found: &Found) -> Verdict {
        match found.record() {
            Ok(_) => Verdict::Counts,
            Err(_) => Verdict::Unreadable,
        }
    }

    /// Takes in the next revision, which counts: `bytes` are what the store keeps in its slot. Total.
    fn apply(&mut self, record: &Record, bytes: &Bytes);

    /// Passes over the next revision, which does not count: it changes nothing but the number.
    fn skip(&mut self, rev: Revision, bytes: &Bytes, why: &Invalid);

    /// How the fold lends out what it holds: a reference, or a guard where others read it too.
    type View<'a>: Deref<Target = Catalogue>
    where
        Self: 'a;

    /// What is true now. Held for as short as possible.
    fn catalogue(&self) -> Self::View<'_>;
}

impl Fold for Catalogue {
    fn restore(&mut self, catalogue: Catalogue, _: CheckpointRef) {
        *self = catalogue;
    }

    fn apply(&mut self, record: &Record, _: &Bytes) {
        let _touched = record.make_true(self);
    }

    fn skip(&mut self, rev: Revision, _: &Bytes, _: &Invalid) {
        let _touched = Self::apply(self, rev, Timestamp::EPOCH, &[]);
    }

    type View<'a> = &'a Self;

    fn catalogue(&self) -> &Self {
        self
    }
}

/// What a ledger works with.
#[derive(Clone)]
pub struct Parts {
    /// Where the records are.
    pub store: Arc<dyn Store>,
    /// The time of day, which records carry.
    pub clock: Arc<dyn Clock>,
    /// Names for attempts.
    pub ids: Arc<dyn Ids>,
    /// How long to wait between two tries.
    pub backoff: Backoff,
    /// The name of this node, which records carry.
    pub node: String,
    /// Signs what this node writes; none: nobody does, as between developers.
    pub signer: Option<Arc<dyn Signer + Send + Sync>>,
}

impl Parts {
    /// The key that this node's own records are told by.
    fn own_key(&self) -> Option<PublicKey> {
        self.signer.as_ref().map(|signer| signer.public_key())
    }
}

/// A place in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The last revision taken in.
    pub rev: Revision,
    /// SHA-256 of its record.
    pub head: Digest,
}

impl Position {
    /// Before the first record.
    pub const GENESIS: Self = Self {
        rev: Revision::ZERO,
        head: GENESIS,
    };
}

/// One node's view of the ledger, and its only way to write to it.
pub struct Ledger<F> {
    parts: Parts,
    fold: F,
    at: Position,
    /// What was asked for by the last record taken in.
    ask: Option<Digest>,
    ops: RecentOps,
    /// What was sent to a slot of which nobody knows yet who has it.
    pending: Option<Pending>,
    /// The last checkpoint that this node wrote or began from.
    checkpoint: Option<CheckpointRef>,
    /// The objects of that checkpoint.
    pieces: Option<Arc<Pieces>>,
    /// Another name of that checkpoint: of the same state, in another shape.
    alias: Option<Digest>,
    /// True until a record names that checkpoint.
    unannounced: bool,
    /// Why nothing is written any more.
    fork: Option<Fork>,
    /// What stops behind a record that cannot be read.
    ahead: ahead::Ahead,
    /// What was read last, for whoever applies it once more.
    #[cfg(test)]
    late: Option<Bytes>,
}

/// A record on its way: the same bytes go to the same slot until it is known who has it.
#[derive(Debug, Clone)]
struct Pending {
    op: OpId,
    slot: Revision,
    bytes: Bytes,
}

/// The store's chain is not the one that this node knows. Nothing is written until people have looked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fork {
    /// A record does not follow the one before it.
    #[error("revision {rev} follows {found}, but revision {rev} - 1 is {expected}")]
    Broken {
        /// The record's slot.
        rev: Revision,
        /// The hash of the record before it.
        expected: Digest,
        /// The hash it names.
        found: Digest,
    },
    /// A record lies in the slot of another.
    #[error("slot {slot} holds the record of revision {rev}")]
    Misplaced {
        /// The slot.
        slot: Revision,
        /// The revision of the record in it.
        rev: Revision,
    },
    /// The store has lost revisions, or was set back.
    #[error("the store ends before revision {ours}, which is known here")]
    Shorter {
        /// The last revision known here.
        ours: Revision,
    },
    /// A revision is not what it was.
    #[error("revision {rev} in the store is not the one that is known here")]
    Rewritten {
        /// The revision.
        rev: Revision,
    },
    /// The same revisions led another node to another state.
    #[error("the checkpoint of revision {rev} is {ours} here and {announced} in the ledger")]
    Diverged {
        /// The revision.
        rev: Revision,
        /// What this node arrived at.
        ours: Digest,
        /// What the ledger says.
        announced: Digest,
    },
}

/// Why the ledger could not be read or written. Nothing of the want at hand was written, unless the
/// answer says so.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store did not answer; try again later.
    #[error("the ledger cannot be reached: {0}")]
    Store(#[from] StoreError),
    /// A record cannot be read; this node stays where it is.
    #[error("revision {rev} cannot be read: {source}")]
    Unreadable {
        /// Its slot.
        rev: Revision,
        /// What is wrong with it.
        source: RecordError,
    },
    /// What this node wrote is in the ledger and does not count, which it should have known.
    #[error("revision {rev} was written by this node and does not count; look at its log")]
    Void {
        /// Its slot.
        rev: Revision,
    },
    /// The change, or the state, has no bytes.
    #[error("cannot be written: {0}")]
    Unwritable(RecordError),
    /// The chain is not the one known here.
    #[error("the ledger has forked: {0}; nothing is written until it is restored or adopted")]
    Fork(#[from] Fork),
    /// An earlier want of this node is not settled; settle or cancel it, then try again.
    #[error("op `{op}` is not settled yet; try again, or cancel it")]
    Busy {
        /// The want in the way.
        op: OpId,
    },
}

impl<F: Fold> Ledger<F> {
    fn new(parts: Parts, fold: F) -> Self {
        Self {
            parts,
            fold,
            at: Position::GENESIS,
            ask: None,
            ops: RecentOps::default(),
            pending: None,
            checkpoint: None,
            pieces: None,
            alias: None,
            unannounced: false,
            fork: None,
            ahead: ahead::Ahead::default(),
            #[cfg(test)]
            late: None,
        }
    }

    /// What the records were folded into.
    pub const fn fold(&self) -> &F {
        &self.fold
    }

    /// The same, to take out what it gathered. What it is at this revision must stay.
    pub const fn fold_mut(&mut self) -> &mut F {
        &mut self.fold
    }

    /// The place in the chain.
    pub const fn position(&self) -> Position {
        self.at
    }

    /// The last revision taken in.
    pub const fn revision(&self) -> Revision {
        self.at.rev
    }

    /// The digest of what the last record taken in was asked as, where it is kept.
    pub const fn latest_ask(&self) -> Option<Digest> {
        self.ask
    }

    /// How a want ended, as far as it is remembered here.
    pub fn settled(&self, op: &OpId) -> Option<Settled> {
        self.ops.get(op)
    }

    /// How all wants ended that are remembered here.
    pub const fn ops(&self) -> &RecentOps {
        &self.ops
    }

    /// The want of this node of which nobody knows yet whether it happened.
    pub fn pending(&self) -> Option<OpId> {
        self.pending.as_ref().map(|pending| pending.op)
    }

    /// The record of it, as it was sent.
    pub fn pending_record(&self) -> Option<Record> {
        Record::decode(&self.pending.as_ref()?.bytes).ok()
    }

    /// Why nothing is written any more, if so.
    pub const fn fork(&self) -> Option<&Fork> {
        self.fork.as_ref()
    }

    fn sound(&self) -> Result<(), Fork> {
        self.fork.clone().map_or(Ok(()), Err)
    }

    /// Remembers that the chain is not ours, for good.
    fn forked(&mut self, fork: Fork) -> LedgerError {
        tracing::error!(%fork, store = self.parts.store.describe(), "the ledger has forked");
        #[cfg(test)]
        if crate::planted::is_planted(crate::planted::Bug::ForkIgnored) {
            return LedgerError::Fork(fork);
        }
        self.fork = Some(fork.clone());
        LedgerError::Fork(fork)
    }
}

impl<F> fmt::Debug for Ledger<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("at", &self.at)
            .field("pending", &self.pending)
            .field("fork", &self.fork)
            .finish_non_exhaustive()
    }
}
