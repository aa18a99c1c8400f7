//! The engine: the one task of a node that reads and writes the ledger.
//!
//! It sleeps until a hint, a tick, or somebody's change wakes it; reads the ledger to its tail; compiles
//! what changed; swaps the snapshot; and only then answers whoever asked for the change. One task, so
//! that no two catch-ups of a node interleave. A hint is only a reason to look; the tick makes every hint
//! dispensable.

mod ahead;
mod doubt;
mod ramps;
mod serving;
mod writing;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use huidu_core::{
    command::Command, name::AppId, op::OpId, record::Record, revision::Revision, time::Timestamp,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until, timeout},
};

use doubt::Doubts;

use super::{
    Parts, Shared,
    checkpoints::Checkpoints,
    fold::Folded,
    front::Front,
    kills::Kills,
    mirror::End,
    segments::Segments,
    standing::Soundness,
    write::{Change, OpState, WriteError, Written},
};
use crate::{
    bus::{Hint, Wake},
    ledger::{Fork, Ledger, LedgerError, Position, Start, Tail, Trust},
    store::{
        Place, Store, StoreError,
        probe::{self, Depth, Verdict},
    },
};

/// How long one look at the store may take: whoever asks for something waits behind it.
const LOOK: Duration = Duration::from_secs(3);

/// How many ticks long a node that has nothing else to begin with asks the store for the beginning, twice in each.
const EMPTY_HANDED: u32 = 5;

/// The ledger in the store, and since when it is known to have been all there was.
type Opened = Result<(Ledger<Folded>, Option<Timestamp>), LedgerError>;

/// Something asked of the engine.
pub(super) enum Ask {
    /// Make a change, and say by then how it ended.
    Write(
        Box<Change>,
        Instant,
        oneshot::Sender<Result<Written, WriteError>>,
    ),
    /// How a want ended; the record of one that is on its way.
    Op(OpId, oneshot::Sender<(OpState, Option<Box<Record>>)>),
    /// Look at the ledger now.
    Look,
    /// Other nodes came to another state at this revision; more of them than to this node's.
    Doubt(Revision, bool),
    /// Nobody did.
    NoDoubt,
}

/// Where what this node serves comes from.
enum Source {
    /// The store.
    Store(Box<Ledger<Folded>>),
    /// The mirror, because the store did not answer when the node started.
    Mirror { at: Position },
}

pub(super) struct Engine {
    parts: Arc<Parts>,
    shared: Arc<Shared>,
    /// Endpoints of the store that have not shown yet what they keep; empty: they have.
    unproved: Vec<Arc<dyn Store>>,
    source: Source,
    segments: Segments,
    /// Apps that wait for a segment.
    waiting: BTreeSet<AppId>,
    checkpoints: Checkpoints,
    front: Arc<Front>,
    kills: Arc<Kills>,
    storing: bool,
    doubts: Doubts,
}

impl Engine {
    /// Opens the ledger in the store; when the store does not answer, its last-known-good copy.
    pub(super) async fn open(
        parts: Arc<Parts>,
        shared: Arc<Shared>,
        unproved: Vec<Arc<dyn Store>>,
        (front, kills): (Arc<Front>, Arc<Kills>),
    ) -> Result<Self, LedgerError> {
        let checkpoints = Checkpoints::new(parts.settings.checkpoint_every);
        let mut engine = Self {
            unproved,
            source: Source::Mirror {
                at: Position::GENESIS,
            },
            parts,
            shared,
            segments: Segments::default(),
            waiting: BTreeSet::new(),
            checkpoints,
            front,
            kills,
            storing: true,
            doubts: Doubts::new(),
        };
        let mut opened = if engine.unproved.is_empty() {
            engine.open_store(None).await
        } else {
            Err(silent())
        };
        let mut copy = None;
        if let Err(error) = &opened
            && !matches!(error, LedgerError::Fork(_))
        {
            tracing::error!(%error, "the store does not answer");
            copy = match engine.parts.mirror_store.clone() {
                Some(copy) => engine.open_copy(copy).await,
                None => None,
            };
            if copy.is_none() {
                opened = engine.insist(opened).await;
            }
        }
        match opened {
            Ok((ledger, proved_at)) => {
                engine.front.settle(Some(ledger.ops().clone()), &[]);
                engine.source = Source::Store(Box::new(ledger));
                engine.caught_up().await;
                engine.shared.proved_if(proved_at);
            }
            Err(error @ LedgerError::Fork(_)) => return Err(error),
            Err(error) => {
                let Some(mut ledger) = copy else {
                    return Err(error);
                };
                tracing::error!("serving the last-known-good copy");
                engine.source = Source::Mirror {
                    at: ledger.position(),
                };
                engine.storing = false;
                engine.shared.health.set_store(false);
                ledger.fold_mut().show(&engine.shared.catalogue);
                engine.front.settle(Some(ledger.ops().clone()), &[]);
                let changed = ledger.fold_mut().take_changed();
                engine.refresh(changed).await;
                #[cfg(test)]
                if crate::planted::is_planted(crate::planted::Bug::CopyServedAsProved) {
                    engine.shared.proved(engine.parts.clock.now());
                }
            }
        }
        Ok(engine)
    }

    /// Asks the store again and again, for a while: a node that has no copy has nothing else to begin with, and
    /// one connection that breaks is no reason to end.
    async fn insist(&mut self, mut opened: Opened) -> Opened {
        let tick = self.parts.settings.tick;
        let until = Instant::now() + tick * EMPTY_HANDED;
        while matches!(opened, Err(LedgerError::Store(_))) && Instant::now() < until {
            sleep(tick / 2).await;
            opened = if self.proves().await {
                self.open_store(None).await
            } else {
                Err(silent())
            };
        }
        opened
    }

    /// Opens the last-known-good copy; none when there is nothing in it, or it is damaged: it is served to its
    /// last bit or not at all, because what is missing may be what must not run.
    async fn open_copy(&self, copy: Arc<dyn Store>) -> Option<Ledger<Folded>> {
        let end = self
            .parts
            .mirror
            .as_ref()
            .map(|mirror| mirror.end_at_start());
        let known = match end {
            Some(End::At(at)) => Some(at),
            Some(End::Damaged) => {
                tracing::error!(
                    "the last-known-good copy is DAMAGED: what says where it ends cannot be read; it is not served"
                );
                return None;
            }
            Some(End::Unsaid) | None => None,
        };
        let start = Start {
            known,
            trust: Trust::OwnCopy,
        };
        let opened = Ledger::open(self.parts.ledger_parts(copy), Folded::new(None), start).await;
        match opened {
            Ok(ledger) if known.is_some_and(|known| ledger.revision() < known.rev) => {
                tracing::error!(revision = %ledger.revision(), "the last-known-good copy is DAMAGED behind this revision; it is not served");
                None
            }
            Ok(ledger) => (ledger.revision() > Revision::ZERO).then_some(ledger),
            Err(error) => {
                tracing::error!(%error, "the last-known-good copy is DAMAGED; it is not served");
                None
            }
        }
    }

    /// Opens the ledger in the store, which must hold what is `known` already. Answers when it was proved
    /// that this is all there is; what is served may say so once it is served.
    async fn open_store(&self, known: Option<Position>) -> Opened {
        let fold = Folded::new(self.parts.mirror.clone());
        let parts = self.parts.ledger_parts(Arc::clone(&self.parts.store));
        let mut ledger = Ledger::open(
            parts,
            fold,
            Start {
                known,
                trust: Trust::Vouched,
            },
        )
        .await?;
        let proved_at = match ledger.catch_up().await {
            // What this build cannot read it stays in front of, and proves nothing.
            Err(LedgerError::Unreadable { .. }) => None,
            reached => Some(reached?),
        };
        ledger.fold_mut().show(&self.shared.catalogue);
        Ok((ledger, proved_at))
    }

    /// Runs until every asker is gone.
    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let mut wakes = self.parts.bus.subscribe();
        let shared = Arc::clone(&self.shared);
        let mut hinted = true;
        // A fleet that was started at once does not look at once: it has just read to the end.
        let mut next_ramps = ramps::next_look();
        let mut next_tick = Instant::now() + self.parts.settings.tick.mul_f64(fastrand::f64());
        loop {
            tokio::select! {
                biased;
                ask = asks.recv() => match ask {
                    Some(Ask::Write(change, by, answer)) => {
                        let result = if matches!(change.command, Command::Kill { .. }) {
                            self.write_kill(*change, by).await
                        } else {
                            self.write(*change, by).await
                        };
                        let _asker_gone = answer.send(result);
                        if let Source::Store(ledger) = &self.source
                            && self.shared.health.soundness() == Soundness::Sound
                            && self.shared.fleet.reads_checkpoints()
                        {
                            self.checkpoints.begin_if_due(ledger);
                        }
                    }
                    Some(Ask::Op(op, answer)) => {
                        let _asker_gone = answer.send(self.op(&op));
                    }
                    Some(Ask::Look) => self.follow().await,
                    Some(Ask::Doubt(rev, outvoted)) => self.doubt(rev, outvoted),
                    Some(Ask::NoDoubt) => self.no_doubt().await,
                    None => return,
                },
                wake = wakes.recv(), if hinted => match wake {
                    Some(Wake::Hint(Hint { rev, .. })) if rev <= self.shared.live.load().revision => {}
                    Some(_) => self.follow().await,
                    // A bus that is gone for good leaves the tick, which is enough.
                    None => hinted = false,
                },
                // Somebody who knows more than this node has told it something.
                () = shared.behind.notified() => self.follow().await,
                ended = self.checkpoints.ended() => {
                    let ledger = match &mut self.source {
                        Source::Store(ledger) => Some(&mut **ledger),
                        Source::Mirror { .. } => None,
                    };
                    self.checkpoints.note(ended, ledger, &self.parts.metrics);
                }
                ended = self.doubts.ended() => self.refolded(ended).await,
                () = sleep_until(next_ramps) => {
                    if self.shared.health.soundness() == Soundness::Sound {
                        self.decide_ramps().await;
                    }
                    next_ramps = ramps::next_look();
                }
                () = sleep_until(next_tick) => {
                    self.settle().await;
                    self.replace().await;
                    self.follow().await;
                    self.append_kills().await;
                    if self.shared.health.soundness() == Soundness::Sound {
                        self.enact_due().await;
                    }
                    self.retry_waiting().await;
                    next_tick = Instant::now() + self.jittered_tick();
                }
            }
        }
    }

    /// The tick, give or take a fifth, so that a fleet does not look all at once.
    fn jittered_tick(&self) -> Duration {
        self.parts
            .settings
            .tick
            .mul_f64(0.8 + 0.4 * fastrand::f64())
    }

    /// Reads the ledger to its tail and serves what is new.
    async fn follow(&mut self) {
        match &mut self.source {
            Source::Store(ledger) => {
                let mut asked;
                let result = loop {
                    asked = Instant::now();
                    match timeout(LOOK, ledger.next()).await {
                        Ok(Ok(Tail::Record(_) | Tail::Void(_))) => {}
                        Ok(Ok(Tail::AtTail { probed_at })) => break Ok(probed_at),
                        Ok(Err(error)) => break Err(error),
                        Err(hangs) => {
                            break Err(StoreError::unavailable(Place::Store, hangs).into());
                        }
                    }
                };
                let proved_at = result.as_ref().ok().copied();
                let took = asked.elapsed();
                let revision = ledger.revision();
                let error = result.err();
                self.note_store(error.as_ref());
                self.caught_up().await;
                // Only now is what was proved what is served.
                self.shared.proved_if(proved_at);
                if let Some(at) = proved_at {
                    self.kills.proved(revision, said_by(at, took));
                }
                self.look_ahead(error.as_ref()).await;
            }
            Source::Mirror { at } => {
                let at = *at;
                self.return_to_store(at).await;
            }
        }
    }

    /// The store answers again after a start from the mirror: goes on from the store, if it still holds
    /// what the mirror does.
    async fn return_to_store(&mut self, at: Position) {
        if !self.proves().await {
            return;
        }
        match self.open_store(Some(at)).await {
            Ok((ledger, proved_at)) => {
                tracing::info!(
                    revision = ledger.revision().get(),
                    "the store answers again"
                );
                // What waited for the store may be settled by what lies behind the copy.
                let ops = ledger.ops().clone();
                self.source = Source::Store(Box::new(ledger));
                self.note_store(None);
                let cleared = self.front.settle(Some(ops), &[]);
                self.kills.cleared(&cleared);
                self.caught_up().await;
                self.shared.proved_if(proved_at);
            }
            Err(error) => self.note_store(Some(&error)),
        }
    }

    /// True when the store has shown that it keeps its promises; asks it when it has not been asked.
    async fn proves(&mut self) -> bool {
        if self.unproved.is_empty() {
            return true;
        }
        let report = probe::check(&self.unproved, Depth::Quick).await;
        match report.verdict {
            Verdict::MultiWriter | Verdict::SingleWriter => {
                if report.verdict == Verdict::SingleWriter {
                    tracing::warn!(store = %report.endpoints.join(","), "{}", report.verdict);
                }
                self.unproved.clear();
                true
            }
            Verdict::Silent => {
                tracing::debug!(%report, "the store did not answer every request");
                false
            }
            Verdict::Unusable => {
                tracing::error!(%report, "the store is {}", report.verdict);
                false
            }
        }
    }

    fn note_store(&mut self, error: Option<&LedgerError>) {
        let storing = error.is_none();
        if self.storing != storing {
            match error {
                Some(error) => {
                    tracing::warn!(%error, "the ledger cannot be followed; serving what is known");
                }
                None => tracing::info!("the ledger is followed again"),
            }
        }
        self.storing = storing;
        self.shared.health.set_store(storing);
        let left_behind = matches!(error, Some(LedgerError::Unreadable { .. }));
        self.shared.health.set_left_behind(left_behind);
        if let Some(LedgerError::Fork(fork)) = error {
            self.shared.health.set_fork(true);
            // Somebody came to another state; it is not said that it is this node.
            if let Fork::Diverged { rev, .. } = fork {
                self.doubt(*rev, false);
            }
        }
    }

    /// Serves what the fold has taken in since the last call.
    async fn caught_up(&mut self) {
        let Source::Store(ledger) = &mut self.source else {
            return;
        };
        let mut changed = ledger.fold_mut().take_changed();
        // First the wants: a kill that is settled is not laid on top of what settles it.
        let cleared = self.front.settle(None, &changed.ends);
        for (op, end) in changed.ends.drain(..) {
            self.kills.settled(&op, end);
        }
        self.kills.cleared(&cleared);
        changed.touched.apps.extend(cleared.touched.apps);
        changed.touched.kills |= cleared.touched.kills;
        self.parts.metrics.ledger_invalid.inc_by(changed.invalid);
        let said = std::mem::take(&mut changed.said);
        if changed.records > 0 || changed.everything {
            self.checkpoints.grew(changed.records);
            self.refresh(changed).await;
        }
        // Who is told of it may ask here at once.
        self.shared.news.take_in(said);
    }
}

/// The latest that it can have been by the store's clock when it said what was noted as `at`, which is the earliest:
/// its clock has whole seconds, and `took` was taken off.
fn said_by(at: Timestamp, took: Duration) -> Timestamp {
    let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    at.plus_ms(took.saturating_add(1_001))
}

/// The store has not answered at all.
fn silent() -> LedgerError {
    let nothing = std::io::Error::from(std::io::ErrorKind::NotConnected);
    StoreError::unavailable(Place::Store, nothing).into()
}
