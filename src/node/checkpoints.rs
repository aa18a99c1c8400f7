//! When a checkpoint is written: beside everything else, one at a time, after as many changes as were asked for.
//!
//! A checkpoint only makes later starts shorter. Whatever becomes of one, changes go on meanwhile and after.

use tokio::task::JoinHandle;

use super::fold::Folded;
use crate::{
    ledger::{Ledger, LedgerError, Written},
    metrics::Metrics,
    store::{Place, StoreError},
};

/// The checkpoints of one node.
pub(super) struct Checkpoints {
    /// Changes between two.
    every: u64,
    /// Changes since the last one was begun; not 0 at the beginning, so that nodes that were started together do
    /// not write theirs together.
    since: u64,
    /// The one that is being written.
    writing: Option<JoinHandle<Result<Written, LedgerError>>>,
}

impl Checkpoints {
    /// One after every `every` changes.
    pub(super) fn new(every: u64) -> Self {
        Self {
            every,
            since: fastrand::u64(0..=every / 4),
            writing: None,
        }
    }

    /// So many changes more.
    pub(super) const fn grew(&mut self, records: u64) {
        self.since = self.since.saturating_add(records);
    }

    /// What was written before is not gone on from; the one under way is not announced.
    pub(super) fn begin_anew(&mut self) {
        if let Some(writing) = self.writing.take() {
            writing.abort();
        }
        self.since = self.every;
    }

    /// Begins to write one, when one is due and none is being written.
    pub(super) fn begin_if_due(&mut self, ledger: &Ledger<Folded>) {
        if self.since < self.every || self.writing.is_some() {
            return;
        }
        // A ledger that has forked writes nothing.
        if let Ok(draft) = ledger.draft_checkpoint() {
            self.since = 0;
            self.writing = Some(tokio::spawn(draft.write()));
        }
    }

    /// How the one that is being written ended; waits for ever while there is none.
    pub(super) async fn ended(&mut self) -> Result<Written, LedgerError> {
        let Some(writing) = &mut self.writing else {
            return std::future::pending().await;
        };
        let ended = writing.await;
        self.writing = None;
        match ended {
            Ok(result) => result,
            Err(error) => Err(StoreError::unavailable(Place::Store, error).into()),
        }
    }

    /// Takes note of how it ended.
    pub(super) fn note(
        &mut self,
        ended: Result<Written, LedgerError>,
        ledger: Option<&mut Ledger<Folded>>,
        metrics: &Metrics,
    ) {
        let outcome = match ended {
            Ok(written) => {
                tracing::debug!(apps = written.apps, "a checkpoint was written");
                if let Some(ledger) = ledger {
                    let name = ledger.note_checkpoint(written);
                    let revision = i64::try_from(name.rev.get()).unwrap_or(i64::MAX);
                    metrics.ledger_checkpoint_revision.set(revision);
                }
                "written"
            }
            Err(error) => {
                tracing::warn!(%error, "no checkpoint was written; starting takes longer");
                // The next change tries again.
                self.since = self.every;
                "failed"
            }
        };
        metrics
            .ledger_checkpoints
            .with_label_values(&[outcome])
            .inc();
    }
}
