//! What the control plane hands to a node, and what it gets back.
//!
//! An answer is one of three: it happened (and this node serves it), it was refused (and nothing
//! happened), or nobody knows yet (and the op id will tell). Never "failed" while it may have landed.

use std::time::Duration;

use huidu_core::{
    authority::Forbidden, command::Command, decide::Refusal, event::Actor, op::OpId,
    revision::Revision, time::Timestamp,
};

use crate::ledger::LedgerError;

/// Something to be written.
#[derive(Debug, Clone)]
pub struct Change {
    /// Who asks.
    pub actor: Actor,
    /// For what.
    pub command: Command,
    /// The name of this want, the same over every retry.
    pub op: OpId,
    /// The revision that what is changed must be at; none: any.
    pub expected: Option<Revision>,
    /// When it shall happen; none: now.
    pub enact_at: Option<Timestamp>,
    /// Why, for the history.
    pub why: Option<String>,
    /// How long to wait for the store before the answer is "unknown".
    pub patience: Duration,
}

/// It happened, and this node serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// In force since this revision.
    pub revision: Revision,
    /// The want.
    pub op: OpId,
    /// True when an earlier try of the same want had done it already.
    pub repeated: bool,
    /// The name of the change that waits, where it was not made but kept back.
    pub waits: Option<String>,
}

/// Why a change was not made, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The actor may not ask for it.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The state does not allow it.
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
    /// The store did not answer in time: it may happen yet.
    #[error(
        "the store has not answered yet; ask for op `{op}`, or repeat the request with the same idempotency key"
    )]
    Unknown {
        /// The want.
        op: OpId,
    },
    /// It was cancelled, and shall never happen.
    #[error("op `{op}` was cancelled by revision {revision}; use a new idempotency key")]
    Cancelled {
        /// The want.
        op: OpId,
        /// The revision that cancelled it.
        revision: Revision,
    },
    /// The name stands for another change, which was made or is under way; nothing of this one was.
    #[error(
        "this `Idempotency-Key` stands for another change already, op `{op}`; use a new key for a new change"
    )]
    OtherAsk {
        /// The want that has the name.
        op: OpId,
    },
    /// The ledger cannot be read or written now; nothing of this change was written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// This node runs from its last-known-good copy, because the store does not answer.
    #[error(
        "this node serves its last-known-good copy and cannot write until the store answers; try another node, or later"
    )]
    ReadOnly,
    /// Other nodes came to another state than this one, which looks who is right.
    #[error(
        "other nodes came to another state than this one, which goes through the ledger again; until it knows who is right it changes nothing but what stops; try another node, or later"
    )]
    InDoubt,
    /// Too many changes wait already.
    #[error("{waiting} changes wait already; try again in a second")]
    Busy {
        /// How many.
        waiting: usize,
    },
    /// The node is shutting down.
    #[error("this node is shutting down; try another")]
    Stopping,
}

/// How a want ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpState {
    /// In force since this revision.
    Committed(Revision),
    /// Cancelled by this revision; it shall never happen.
    Cancelled(Revision),
    /// Sent to the store, which has not said yet.
    Unknown,
    /// Not among the wants that this node remembers.
    Absent,
}
