//! Doubt: other nodes came to another state at the same revision. Who is right is what the ledger says.
//!
//! The node goes through the ledger again from the first record on, believing no checkpoint, beside everything
//! else. Meanwhile it changes nothing but what stops; and when it is outvoted, or turns out to be wrong, it serves
//! nothing but what stops and says that it is not ready. What it came to anew then takes the place of what it had.
//! Nothing is ever decided by what others say: they only make it look.

use std::{sync::Arc, time::Duration};

use huidu_core::{
    command::Command,
    fingerprint::{Fingerprint, Fingerprints},
    revision::Revision,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{Engine, LOOK, Source};
use crate::{
    ledger::{Ledger, LedgerError, Parts, Tail},
    node::{
        fold::{Changed, Folded},
        live::Live,
        mirror::Copies,
        standing::Soundness,
    },
    store::{Place, StoreError},
};

/// The least time between two, where the one before found this node right; doubles with each that does.
const PAUSE: Duration = Duration::from_secs(60);
/// The most.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// After one that could not be finished.
const AGAIN: Duration = Duration::from_secs(1);

/// What a node does about doubts.
pub(super) struct Doubts {
    under_way: Option<JoinHandle<Result<Refolded, LedgerError>>>,
    not_before: Instant,
    pause: Duration,
    /// What the ledger says, until it can take the place of what this node has.
    right: Option<Box<Ledger<Folded>>>,
}

/// The ledger gone through again.
pub(super) struct Refolded {
    /// What is true at the revision that was asked about.
    truth: Fingerprint,
    ledger: Box<Ledger<Folded>>,
}

impl Doubts {
    pub(super) fn new() -> Self {
        Self {
            under_way: None,
            not_before: Instant::now(),
            pause: PAUSE,
            right: None,
        }
    }

    /// How the one that is under way ended; waits for ever while there is none.
    pub(super) async fn ended(&mut self) -> Result<Refolded, LedgerError> {
        let Some(under_way) = &mut self.under_way else {
            return std::future::pending().await;
        };
        let ended = under_way.await;
        self.under_way = None;
        ended.unwrap_or_else(|error| Err(StoreError::unavailable(Place::Store, error).into()))
    }
}

/// Goes through the ledger from the first record to its end; what is true at `rev` is fingerprinted.
async fn refold(
    parts: Parts,
    mirror: Option<Arc<dyn Copies>>,
    rev: Revision,
) -> Result<Refolded, LedgerError> {
    let mut ledger = Ledger::from_the_first(parts, Folded::marking(mirror, rev));
    loop {
        let next = timeout(LOOK, ledger.next()).await;
        match next.map_err(|hangs| StoreError::unavailable(Place::Store, hangs))? {
            Ok(Tail::Record(_) | Tail::Void(_)) => {}
            // In front of what cannot be read it is as right as it can be.
            Ok(Tail::AtTail { .. }) | Err(LedgerError::Unreadable { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    let Some(marked) = ledger.fold_mut().take_marked() else {
        let nothing = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        return Err(StoreError::unavailable(Place::Store, nothing).into());
    };
    // With 10 000 apps this takes seconds: not on a thread that answers.
    let hashing = tokio::task::spawn_blocking(move || Fingerprints::default().of(&marked));
    let truth = hashing
        .await
        .map_err(|error| StoreError::unavailable(Place::Store, error))?
        .map_err(LedgerError::Unwritable)?;
    Ok(Refolded {
        truth,
        ledger: Box::new(ledger),
    })
}

impl Engine {
    /// Whether `command` may be written by a node that is in doubt of itself: what stops may.
    pub(super) fn may_write(&self, command: &Command) -> bool {
        self.shared.health.soundness() == Soundness::Sound
            || matches!(
                command,
                Command::Kill { .. } | Command::RevokePermission { .. }
            )
    }

    /// Others came to another state at `rev`.
    pub(super) fn doubt(&mut self, rev: Revision, outvoted: bool) {
        if self.doubts.right.is_some() || Instant::now() < self.doubts.not_before {
            return;
        }
        let known = self.shared.health.soundness();
        if outvoted {
            self.quarantine();
        } else if known == Soundness::Sound {
            self.shared.health.set_soundness(Soundness::Doubting);
        }
        if known == Soundness::Sound {
            tracing::error!(revision = %rev, outvoted, "ALARM: other nodes came to another state; this node goes through the ledger again, and meanwhile changes nothing but what stops");
        }
        if self.doubts.under_way.is_none() {
            let parts = self.parts.ledger_parts(Arc::clone(&self.parts.store));
            let mirror = self.parts.mirror.clone();
            self.doubts.under_way = Some(tokio::spawn(refold(parts, mirror, rev)));
        }
    }

    /// Nobody came to another state any more.
    pub(super) async fn no_doubt(&mut self) {
        if self.doubts.under_way.is_none() && self.doubts.right.is_none() {
            self.be_sound().await;
        }
    }

    /// Takes note of what the ledger says.
    pub(super) async fn refolded(&mut self, ended: Result<Refolded, LedgerError>) {
        let outcomes = &self.parts.metrics.state_verified;
        let Refolded { truth, ledger } = match ended {
            Ok(refolded) => refolded,
            Err(error) => {
                outcomes.with_label_values(&["failed"]).inc();
                tracing::error!(%error, "the ledger cannot be gone through again now; it is tried again");
                self.doubts.not_before = Instant::now() + AGAIN;
                return;
            }
        };
        if self.shared.fleet.verified(truth) {
            outcomes.with_label_values(&["right"]).inc();
            tracing::error!(revision = %truth.rev, hash = %truth.hash, "ALARM: this node came to what the ledger says; the nodes that differ are wrong");
            self.doubts.not_before = Instant::now() + self.doubts.pause;
            self.doubts.pause = (self.doubts.pause * 2).min(LONGEST_PAUSE);
            self.be_sound().await;
            return;
        }
        outcomes.with_label_values(&["wrong"]).inc();
        tracing::error!(revision = %truth.rev, hash = %truth.hash, "ALARM: this node did not come to what the ledger says; another state takes the place of its own");
        self.quarantine();
        self.doubts.right = Some(ledger);
        self.replace().await;
    }

    /// Puts what the ledger says in the place of what this node has, once nothing of its own is on its way.
    pub(super) async fn replace(&mut self) {
        let Some(mut right) = self.doubts.right.take() else {
            return;
        };
        let pending = match &self.source {
            Source::Store(ledger) => ledger.pending().is_some(),
            Source::Mirror { .. } => false,
        };
        let reached = if pending {
            None
        } else {
            timeout(LOOK, right.catch_up()).await.ok()
        };
        match reached {
            // In front of what cannot be read it is as right as it can be.
            Some(Ok(_) | Err(LedgerError::Unreadable { .. })) => {}
            _ => {
                // The next tick tries again.
                self.doubts.right = Some(right);
                return;
            }
        }
        right.fold_mut().show(&self.shared.catalogue);
        // What this node wrote of the state it had is in nobody's way, and started from by nobody here.
        if let Some(mirror) = &self.parts.mirror {
            mirror.forget_checkpoints();
        }
        self.checkpoints.begin_anew();
        let ops = right.ops().clone();
        self.source = Source::Store(right);
        let cleared = self.front.settle(Some(ops), &[]);
        self.kills.cleared(&cleared);
        self.shared.health.set_fork(false);
        self.front.withdraw(false);
        // Everything is compiled anew, and served before the node says that it is ready.
        self.follow().await;
        let revision = self.shared.live.load().revision;
        tracing::error!(revision = %revision, "this node has what the ledger says again");
        self.say_sound();
    }

    /// From now on this node serves nothing but what stops.
    fn quarantine(&mut self) {
        self.shared.health.set_soundness(Soundness::Quarantined);
        self.parts.metrics.quarantined.set(1);
        if self.front.withdraw(true) {
            return;
        }
        tracing::error!(
            "ALARM: this node is quarantined: it serves nothing but what stops, and is not ready"
        );
        let live = Live::clone(&self.shared.live.load());
        let revision = live.revision;
        self.front.swap(live, revision, &self.segments);
    }

    async fn be_sound(&mut self) {
        if self.front.withdraw(false) {
            // Everything that was taken away is there again, and only then is the node ready.
            self.refresh(Changed {
                everything: true,
                ..Changed::default()
            })
            .await;
        }
        self.say_sound();
    }

    fn say_sound(&self) {
        self.shared.health.set_soundness(Soundness::Sound);
        self.parts.metrics.quarantined.set(0);
    }
}
