//! Mistakes that tests plant into the product, by name: each is one that somebody could make, and the simulation is
//! shown to find it; the tests of kills and the model of the ledger plant theirs as well. Test code alone; nothing
//! here is part of any build that serves.
//!
//! A mistake is planted for one thread, because a simulation is one thread.

use std::cell::Cell;

/// A planted mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A slot that is taken is somebody else's, whatever lies in it: attempts are not compared.
    OwnWriteUnseen,
    /// What was read is applied, whichever slot it came from and whatever was applied meanwhile.
    SlotIgnored,
    /// A write without an answer counts as done.
    AcknowledgedBeforeDurable,
    /// A write without an answer counts as failed.
    TimeoutIsFailure,
    /// A write without an answer is tried again in the slot behind.
    RetryInAnotherSlot,
    /// A checkpoint counts although nobody of ours vouches for it.
    CheckpointUnchecked,
    /// A chain that is not the one known is followed and written to all the same.
    ForkIgnored,
    /// Whoever can write to the store can write the ledger.
    JudgeBlind,
    /// What a node finds on its own disk is served as if it had been proved now.
    CopyServedAsProved,
    /// `asof` is now, whether the store was asked or not.
    AsofMintedNow,
    /// A snapshot of before a kill is put back: a change is taken back by a lower revision.
    OlderSnapshotServed,
    /// A device takes every answer for one that it has just been given.
    LeaseNotCounted,
    /// What lies on the disk of kills is not taken up at a start.
    KillForgottenAtStart,
    /// How a want ended is not asked before its kill is put in force.
    SettledKillUnseen,
    /// Whoever sends a notice of a kill is believed.
    UnsignedNoticeBelieved,
    /// What is offered to the ledger is taken in whether or not its turn has come. The ledger's own model finds it.
    TakenOutOfTurn,
}

impl Bug {
    /// Those that the simulation finds.
    pub(crate) const ALL: [Self; 15] = [
        Self::OwnWriteUnseen,
        Self::SlotIgnored,
        Self::AcknowledgedBeforeDurable,
        Self::TimeoutIsFailure,
        Self::RetryInAnotherSlot,
        Self::CheckpointUnchecked,
        Self::ForkIgnored,
        Self::JudgeBlind,
        Self::CopyServedAsProved,
        Self::AsofMintedNow,
        Self::OlderSnapshotServed,
        Self::LeaseNotCounted,
        Self::KillForgottenAtStart,
        Self::SettledKillUnseen,
        Self::UnsignedNoticeBelieved,
    ];
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants `bug`, or none, in place of what was planted on this thread.
pub(crate) fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// What is planted on this thread: for what goes on on others.
pub(crate) fn planted() -> Option<Bug> {
    PLANTED.get()
}

/// True while `bug` is planted on this thread.
pub(crate) fn is_planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}
