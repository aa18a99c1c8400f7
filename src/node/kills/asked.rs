//! What is asked of a node about kills: to make one, what is known of one, and to take in what another node says.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use huidu_core::op::OpId;
use tokio::sync::{oneshot, watch};

use super::{NotHeard, Receipt};
use crate::node::{Change, Node, WriteError, Written, engine::Ask, peers::Peers};

/// How long whoever kills waits for the ledger before being told that it does not have the kill yet.
const KILL_PATIENCE: Duration = Duration::from_secs(2);
/// The same, while the store is known not to answer.
const SILENT_PATIENCE: Duration = Duration::from_millis(50);

/// A kill that is in force here.
#[derive(Debug, Clone)]
pub struct Killed {
    /// How it stands in the ledger; none: it does not yet.
    pub written: Option<Written>,
    /// What is known of it; none: it was made so long ago that this is forgotten.
    pub receipt: Option<Receipt>,
}

impl Node {
    /// Makes a kill: in force here and on every node that can be reached before the ledger has it, then in the
    /// ledger. Answers with what is known of it: an error only when nothing is in force because of it.
    pub async fn kill(&self, change: Change) -> Result<Killed, WriteError> {
        let begun = tokio::time::Instant::now();
        let killed = self.killed(change).await;
        let took = begun.elapsed().as_secs_f64();
        self.parts.metrics.kill_seconds.observe(took);
        killed
    }

    async fn killed(&self, change: Change) -> Result<Killed, WriteError> {
        let op = change.op;
        if let Some(known) = self.kills.other_ask(&change) {
            return Err(known);
        }
        let begun = match self.kills.draft(&change) {
            // In force here before anybody is told; as many as a node holds already: in its order then.
            Some(sealed) => {
                let begun = self.kills.begin(&sealed).await.ok();
                begun.map(|begun| (sealed, begun))
            }
            None => None,
        };
        if begun.is_none() && !self.kills.is_held(&op) {
            let written = self.write(change.clone()).await?;
            self.kills.note_written(&change, written.revision);
            let receipt = self.kills.receipt(&op);
            return Ok(Killed {
                written: Some(written),
                receipt,
            });
        }
        let spread = async {
            if let Some((sealed, begun)) = &begun {
                self.kills.spread(sealed, *begun).await;
            }
        };
        // In the ledger for as long as it takes; whoever asked is answered sooner.
        let (by, answer) = (
            tokio::time::Instant::now() + change.patience,
            oneshot::channel(),
        );
        let (tell, wait) = answer;
        let append = async {
            let ask = Ask::Write(Box::new(change.clone()), by, tell);
            if self.asks.try_send(ask).is_err() {
                return None;
            }
            // A store that is known not to answer is not waited for.
            let answers = self.shared.health.store.load(Ordering::Relaxed);
            let patience = if answers {
                KILL_PATIENCE
            } else {
                SILENT_PATIENCE
            };
            let patience = patience.min(change.patience);
            tokio::time::timeout(patience, wait).await.ok()?.ok()
        };
        let ((), appended) = tokio::join!(spread, append);
        let written = match appended {
            Some(Ok(written)) => Some(written),
            // The ledger has said no, and voided it: nothing is in force because of it.
            Some(Err(
                refused @ (WriteError::Refused(_)
                | WriteError::Forbidden(_)
                | WriteError::OtherAsk { .. }
                | WriteError::Cancelled { .. }),
            )) => return Err(refused),
            Some(Err(_)) | None => None,
        };
        if let Some(written) = &written {
            self.kills.note_written(&change, written.revision);
        }
        Ok(Killed {
            written,
            receipt: self.kills.receipt(&op),
        })
    }

    /// What is known of a kill, now.
    pub fn receipt(&self, op: &OpId) -> Option<Receipt> {
        self.kills.receipt(op)
    }

    /// Takes in a notice of a kill that another node sent; answers with this node's signed word.
    pub async fn hear_kill(&self, notice: Bytes) -> Result<Bytes, NotHeard> {
        self.kills.hear(notice).await
    }

    /// What the list of kills that is served says: whoever holds this hears of every change of it.
    pub fn kill_marks(&self) -> watch::Receiver<u64> {
        self.shared.kills.subscribe()
    }

    /// The other nodes this one knows.
    pub const fn peers(&self) -> &Arc<Peers> {
        &self.peers
    }
}
