//! The engine: the one task of a node that reads and writes the ledger.
//!
//! It sleeps until a hint, a tick, or somebody's change wakes it; reads the ledger to its tail; compiles
//! what changed; swaps the snapshot; and only then answers whoever asked for the change. One task, so
//! that no two catch-ups of a node interleave. A hint is only a reason to look; the tick makes every hint
//! dispensable.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use huidu_core::{
    authority::Role,
    command::Command,
    compile::Context,
    event::Actor,
    key::PublicKey,
    keyring::{self, Keyring},
    name::AppId,
    op::{OpId, Settled},
    revision::Revision,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};

use super::{
    Parts, Shared,
    checkpoints::Checkpoints,
    compiling::Compiling,
    decided::{decided, waiting},
    fold::{Changed, Folded},
    live::Live,
    segments::Segments,
    write::{Change, OpState, WriteError, Written},
};
use crate::{
    bus::{Hint, Wake},
    clock::derived_op,
    ledger::{Appended, Ledger, LedgerError, Position, Start, Tail, Trust, Want},
    store::{
        Key, Place, Store, StoreError,
        probe::{self, Depth, Verdict},
    },
};

/// How long one look at the store may take: whoever asks for something waits behind it.
const LOOK: Duration = Duration::from_secs(3);

/// Something asked of the engine.
pub(super) enum Ask {
    /// Make a change, and say by then how it ended.
    Write(
        Box<Change>,
        Instant,
        oneshot::Sender<Result<Written, WriteError>>,
    ),
    /// How a want ended.
    Op(OpId, oneshot::Sender<OpState>),
    /// Look at the ledger now.
    Look,
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
    /// What was served before: kept until the next change, so that no poll is ever the last to hold it and
    /// has to take it down.
    retired: Arc<Live>,
    storing: bool,
}

impl Engine {
    /// Opens the ledger in the store; when the store does not answer, its last-known-good copy.
    pub(super) async fn open(
        parts: Arc<Parts>,
        shared: Arc<Shared>,
        unproved: Vec<Arc<dyn Store>>,
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
            retired: Arc::new(Live::empty()),
            storing: true,
        };
        let opened = if engine.unproved.is_empty() {
            engine.open_store(None).await
        } else {
            Err(silent())
        };
        match opened {
            Ok(ledger) => engine.source = Source::Store(Box::new(ledger)),
            Err(error @ LedgerError::Fork(_)) => return Err(error),
            Err(error) => {
                let Some(copy) = engine.parts.mirror_store.clone() else {
                    return Err(error);
                };
                tracing::error!(%error, "the store does not answer; serving the last-known-good copy");
                let fold = Folded::new(None);
                let start = Start {
                    known: None,
                    trust: Trust::OwnCopy,
                };
                let mut ledger = Ledger::open(engine.parts.ledger_parts(copy), fold, start).await?;
                if ledger.revision() == Revision::ZERO {
                    return Err(error);
                }
                engine.source = Source::Mirror {
                    at: ledger.position(),
                };
                engine.storing = false;
                engine.shared.health.set_store(false);
                ledger.fold_mut().show(&engine.shared.catalogue);
                let changed = ledger.fold_mut().take_changed();
                engine.refresh(changed).await;
            }
        }
        if let Source::Store(_) = engine.source {
            engine.caught_up().await;
        }
        Ok(engine)
    }

    /// Opens the ledger in the store, which must hold what is `known` already.
    async fn open_store(&self, known: Option<Position>) -> Result<Ledger<Folded>, LedgerError> {
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
        let proved_at = ledger.catch_up().await?;
        ledger.fold_mut().show(&self.shared.catalogue);
        self.shared.proved(proved_at);
        Ok(ledger)
    }

    /// Runs until every asker is gone.
    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let mut wakes = self.parts.bus.subscribe();
        let mut hinted = true;
        let mut next_tick = Instant::now();
        loop {
            tokio::select! {
                biased;
                ask = asks.recv() => match ask {
                    Some(Ask::Write(change, by, answer)) => {
                        let result = self.write(*change, by).await;
                        let _asker_gone = answer.send(result);
                        if let Source::Store(ledger) = &self.source {
                            self.checkpoints.begin_if_due(ledger);
                        }
                    }
                    Some(Ask::Op(op, answer)) => {
                        let _asker_gone = answer.send(self.op(&op));
                    }
                    Some(Ask::Look) => self.follow().await,
                    None => return,
                },
                wake = wakes.recv(), if hinted => match wake {
                    Some(Wake::Hint(Hint { rev, .. })) if rev <= self.shared.live.load().revision => {}
                    Some(_) => self.follow().await,
                    // A bus that is gone for good leaves the tick, which is enough.
                    None => hinted = false,
                },
                ended = self.checkpoints.ended() => {
                    let ledger = match &mut self.source {
                        Source::Store(ledger) => Some(&mut **ledger),
                        Source::Mirror { .. } => None,
                    };
                    self.checkpoints.note(ended, ledger, &self.parts.metrics);
                }
                () = sleep_until(next_tick) => {
                    self.settle().await;
                    self.follow().await;
                    self.enact_due().await;
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

    /// Goes on with a change whose asker was told that its end is not known, so that it has one without
    /// anybody asking for it.
    async fn settle(&mut self) {
        let Source::Store(ledger) = &mut self.source else {
            return;
        };
        let Some(op) = ledger.pending() else { return };
        // No longer than a tick at a time: whoever asks for something waits behind this.
        let result = ledger.settle(self.parts.settings.tick).await;
        if let (Ok(None), Some(Settled::Committed(rev))) = (&result, ledger.settled(&op)) {
            let metrics = &self.parts.metrics;
            metrics.ledger_appends.with_label_values(&["settled"]).inc();
            self.parts.bus.publish(Hint { rev, urgent: false });
        }
        if let Err(error) = result {
            self.note_store(Some(&error));
        }
        self.caught_up().await;
    }

    /// Lets changes happen whose time has come. Every node tries, and the op that all derive from the
    /// change's name lets it happen once.
    async fn enact_due(&mut self) {
        let now = self.parts.clock.now();
        let due: Vec<String> = {
            let catalogue = self.shared.catalogue.read();
            let open = catalogue.trust.proposals.iter();
            let due = open.filter(|(_, proposal)| {
                proposal.enact_at.is_some() && proposal.is_due(&catalogue, now)
            });
            due.map(|(id, _)| id.clone()).collect()
        };
        for id in due {
            let change = Change {
                actor: Actor {
                    id: super::SELF.into(),
                    role: Role::Admin,
                },
                op: derived_op(&["huidu enact", &id]),
                command: Command::EnactProposal { id: id.clone() },
                expected: None,
                enact_at: None,
                why: None,
                patience: self.parts.settings.tick,
            };
            let by = Instant::now() + self.parts.settings.tick;
            if let Err(error) = self.write(change, by).await {
                tracing::warn!(%error, change = %id, "a change whose time has come is tried again at the next tick");
            }
        }
    }

    /// Reads the ledger to its tail and serves what is new.
    async fn follow(&mut self) {
        match &mut self.source {
            Source::Store(ledger) => {
                let result = loop {
                    match timeout(LOOK, ledger.next()).await {
                        Ok(Ok(Tail::Record(_))) => {}
                        Ok(Ok(Tail::AtTail { probed_at })) => break Ok(probed_at),
                        Ok(Err(error)) => break Err(error),
                        Err(hangs) => {
                            break Err(StoreError::unavailable(Place::Store, hangs).into());
                        }
                    }
                };
                if let Ok(proved_at) = &result {
                    self.shared.proved(*proved_at);
                }
                self.note_store(result.err().as_ref());
                self.caught_up().await;
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
            Ok(ledger) => {
                tracing::info!(
                    revision = ledger.revision().get(),
                    "the store answers again"
                );
                self.source = Source::Store(Box::new(ledger));
                self.note_store(None);
                self.caught_up().await;
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
            Verdict::Silent => false,
            Verdict::Unusable => {
                tracing::error!(store = %report.endpoints.join(","), "the store is {}", report.verdict);
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
        if matches!(error, Some(LedgerError::Fork(_))) {
            self.shared.health.set_fork(true);
        }
    }

    /// Serves what the fold has taken in since the last call.
    async fn caught_up(&mut self) {
        let Source::Store(ledger) = &mut self.source else {
            return;
        };
        let changed = ledger.fold_mut().take_changed();
        self.parts.metrics.ledger_invalid.inc_by(changed.invalid);
        if changed.records > 0 || changed.everything {
            self.checkpoints.grew(changed.records);
            self.refresh(changed).await;
        }
    }

    /// Makes a change. Patience began when it was asked for, so that those who wait in line behind a
    /// store that hangs do not wait for one another as well.
    async fn write(&mut self, change: Change, by: Instant) -> Result<Written, WriteError> {
        let Source::Store(ledger) = &mut self.source else {
            return Err(WriteError::ReadOnly);
        };
        let want = Want {
            op: change.op,
            actor: change.actor.clone(),
            approvals: Vec::new(),
            why: change.why.clone(),
        };
        let result = ledger
            .append(
                want,
                by.saturating_duration_since(Instant::now()),
                |fold, now| decided(fold, &change, now),
            )
            .await;
        let metrics = &self.parts.metrics;
        let answer = match result {
            Ok(Appended::Repeated(revision)) => {
                metrics
                    .ledger_appends
                    .with_label_values(&["repeated"])
                    .inc();
                Ok(Written {
                    revision,
                    op: change.op,
                    repeated: true,
                    waits: waiting(&self.shared.catalogue.read(), &change),
                })
            }
            Ok(Appended::Committed(revision)) => {
                metrics
                    .ledger_appends
                    .with_label_values(&["committed"])
                    .inc();
                let urgent = matches!(change.command, Command::Kill { .. });
                self.parts.bus.publish(Hint {
                    rev: revision,
                    urgent,
                });
                Ok(Written {
                    revision,
                    op: change.op,
                    repeated: false,
                    waits: waiting(&self.shared.catalogue.read(), &change),
                })
            }
            Ok(Appended::Voided(revision)) => Err(WriteError::Cancelled {
                op: change.op,
                revision,
            }),
            Ok(Appended::Unchanged) => {
                let revision = ledger.revision();
                Ok(Written {
                    revision,
                    op: change.op,
                    repeated: false,
                    waits: waiting(&self.shared.catalogue.read(), &change),
                })
            }
            Ok(Appended::Refused(refused)) => {
                metrics.ledger_appends.with_label_values(&["refused"]).inc();
                Err(refused)
            }
            Ok(Appended::Unknown { op }) => {
                metrics.ledger_appends.with_label_values(&["unknown"]).inc();
                Err(WriteError::Unknown { op })
            }
            Err(error) => {
                metrics
                    .ledger_appends
                    .with_label_values(&["unavailable"])
                    .inc();
                self.note_store(Some(&error));
                Err(error.into())
            }
        };
        // Whatever came of it, records of others may have been taken in on the way; and an answer goes
        // out only when this node serves what it says.
        self.caught_up().await;
        answer
    }

    fn op(&self, op: &OpId) -> OpState {
        let Source::Store(ledger) = &self.source else {
            return OpState::Absent;
        };
        match ledger.settled(op) {
            Some(Settled::Committed(revision)) => OpState::Committed(revision),
            Some(Settled::Voided(revision)) => OpState::Cancelled(revision),
            None if ledger.pending() == Some(*op) => OpState::Unknown,
            None => OpState::Absent,
        }
    }

    /// Compiles what changed and swaps the snapshot. Kills first, and without waiting for anything.
    async fn refresh(&mut self, changed: Changed) {
        let (revision, apps) = {
            let catalogue = self.shared.catalogue.read();
            if changed.everything || !changed.touched.segments.is_empty() {
                self.segments.know(&catalogue.segments);
            }
            let apps: BTreeSet<AppId> = if changed.everything {
                catalogue.apps.keys().cloned().collect()
            } else {
                changed.touched.apps.clone()
            };
            (catalogue.revision, apps)
        };
        let at_once = changed.touched.kills || changed.everything;
        if at_once {
            let live = self.compiled(&self.shared.live.load(), &apps, &changed);
            self.swap(live, revision);
        }
        let missing = self.missing(&apps);
        if !missing.is_empty() {
            self.load(&missing).await;
        }
        let later = if at_once {
            self.asking(&apps, &missing)
        } else {
            apps
        };
        if !at_once || !later.is_empty() {
            let live = self.compiled(&self.shared.live.load(), &later, &Changed::default());
            self.swap(live, revision);
        }
        // At a start everything was known long before it could be served.
        for known_at in changed.known_at.iter().filter(|_| !changed.everything) {
            let took = known_at.elapsed().as_secs_f64();
            self.parts.metrics.apply_seconds.observe(took);
        }
        let now = self.parts.clock.now();
        for killed_at in changed.killed_at {
            let seconds = now.ms_since(killed_at) as f64 / 1_000.0;
            self.parts.metrics.kill_propagation_seconds.observe(seconds);
        }
    }

    /// `live` with `apps` compiled anew from the catalogue.
    fn compiled(&self, live: &Live, apps: &BTreeSet<AppId>, changed: &Changed) -> Live {
        let catalogue = self.shared.catalogue.read();
        let (stamper, metrics) = (&self.shared.stamper, &*self.parts.metrics);
        stamper.address(&catalogue.audience);
        if let Some(keyring) = &catalogue.trust.chain.newest {
            self.heed(keyring);
        }
        let work = Compiling {
            context: Context {
                audience: catalogue.audience.clone(),
                poll_after_ms: self.parts.settings.poll_after_ms,
                poll_spread_ms: self.parts.settings.poll_spread_ms,
                keyring: catalogue.trust.chain.version(),
            },
            segments: &self.segments,
            stamper,
            metrics,
            revision: catalogue.revision,
        };
        let found = apps.iter().filter_map(|id| catalogue.apps.get(id));
        if changed.everything {
            // Apps are never taken away, so compiling all of them replaces all of them; nobody is served
            // yet, so all cores may.
            let compiled = work.side_by_side(&found.collect::<Vec<_>>());
            let live = Live::empty().with_apps(catalogue.revision, compiled);
            return live.with_kills(&catalogue, stamper, metrics);
        }
        let compiled = found.filter_map(|app| work.one(app));
        let live = live.clone().with_apps(catalogue.revision, compiled);
        if changed.touched.kills {
            live.with_kills(&catalogue, stamper, metrics)
        } else {
            live.with_same_kills(&catalogue, stamper, metrics)
        }
    }

    /// Keeps to what the root allows, and says when devices will not believe this node.
    fn heed(&self, keyring: &Keyring) {
        let stamper = &self.shared.stamper;
        stamper.limit_lease(keyring.online.max_lease_ms);
        let key = PublicKey::from(&stamper.public_key());
        let is_known = keyring.signers(keyring::Role::Online).contains(&key);
        let metrics = &self.parts.metrics;
        let version = i64::try_from(keyring.version).unwrap_or(i64::MAX);
        if !is_known && metrics.keyring_version.get() != version {
            tracing::error!(keyring = keyring.version, key = %key.id(), "the keyring does not list this node's online key: devices will not believe it; give the node a key of role `online`");
        }
        metrics.keyring_version.set(version);
        metrics.online_key_trusted.set(i64::from(is_known));
    }

    fn swap(&mut self, live: Live, revision: Revision) {
        self.retired = self.shared.live.swap(Arc::new(live));
        self.shared.revision.send_replace(revision);
        self.parts
            .metrics
            .ledger_revision
            .set(i64::try_from(revision.get()).unwrap_or(i64::MAX));
    }

    /// Segments that `apps` ask about and that are not in memory.
    fn missing(&mut self, apps: &BTreeSet<AppId>) -> BTreeSet<huidu_core::name::SegmentName> {
        let catalogue = self.shared.catalogue.read();
        let rollouts = apps
            .iter()
            .filter_map(|app| catalogue.apps.get(app)?.rollout.as_ref());
        let asked = rollouts.flat_map(huidu_core::rollout::Rollout::segments);
        asked
            .filter(|name| self.segments.is_missing(name))
            .cloned()
            .collect()
    }

    /// Those of `apps` that ask about any of `segments`.
    fn asking(
        &self,
        apps: &BTreeSet<AppId>,
        segments: &BTreeSet<huidu_core::name::SegmentName>,
    ) -> BTreeSet<AppId> {
        if segments.is_empty() {
            return BTreeSet::new();
        }
        let catalogue = self.shared.catalogue.read();
        let asks = |id: &&AppId| {
            let rollout = catalogue.apps.get(*id).and_then(|app| app.rollout.as_ref());
            rollout.is_some_and(|rollout| {
                let asked = rollout.segments();
                asked.into_iter().any(|name| segments.contains(name))
            })
        };
        apps.iter().filter(asks).cloned().collect()
    }

    async fn load(&mut self, names: &BTreeSet<huidu_core::name::SegmentName>) {
        let mut stores = vec![Arc::clone(&self.parts.store)];
        stores.extend(self.parts.mirror_store.clone());
        for name in names {
            if let Some((digest, segment)) = self.shared.take_made(name) {
                self.segments.keep(digest, segment);
            } else if let Err(error) = self.segments.load(name, &stores).await {
                tracing::error!(segment = %name, %error, "a segment cannot be loaded; it matches nobody until it can");
                self.waiting
                    .extend(self.shared.catalogue.read().asking_about(name).cloned());
            } else if let (Some(mirror), Some((digest, bytes))) =
                (&self.parts.mirror, self.segments.encoded(name))
            {
                mirror.put(Key::Cas(digest), bytes);
            }
        }
        let (bytes, units) = self.segments.size();
        self.parts
            .metrics
            .segment_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.parts
            .metrics
            .segment_units
            .set(i64::try_from(units).unwrap_or(i64::MAX));
    }

    async fn retry_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let apps = std::mem::take(&mut self.waiting);
        let touched = huidu_core::catalogue::Touched {
            apps,
            ..Default::default()
        };
        self.refresh(Changed {
            touched,
            ..Changed::default()
        })
        .await;
    }
}

/// The store has not answered at all.
fn silent() -> LedgerError {
    let nothing = std::io::Error::from(std::io::ErrorKind::NotConnected);
    StoreError::unavailable(Place::Store, nothing).into()
}
