//! A node: where the edges meet. The only folder that knows both the store and the bus.
//!
//! ```text
//! front.rs        what is served, and what stops on top of what is true; the one place where it is swapped
//! kills/          kills before the ledger has them: memory, disk, the other nodes, receipts
//! peers.rs        the other nodes this one knows
//! live.rs         the snapshot that polls are answered from; swapped whole, read without a lock
//! engine.rs       the one task that follows and writes the ledger
//! checkpoints.rs  when a checkpoint is written
//! compiling.rs    apps made ready to be served, one or all side by side
//! fold.rs         what the ledger is folded into
//! write.rs        what the control plane hands in and gets back
//! history.rs      what happened to an app, or at all, read from the ledger
//! heads.rs        signed heads of the ledger, for whoever audits it
//! decided.rs      what a change is held against
//! segments.rs     uploaded lists of units, in memory
//! bundles.rs      the archives devices run: files of this disk, hot ones in memory
//! feedback/       what devices reported: counted, told to the other nodes, kept in the store
//! fleet.rs        the other nodes, as this one hears of them
//! beats.rs        what this node says of itself, once a second
//! standing.rs     whether devices may be sent here, and what is not as it should be
//! metered.rs      the store, counted and timed
//! mirror.rs       the last-known-good copy on this node's disk
//! ramps.rs        rules that grow by themselves: what follows for each
//! webhooks/       receivers outside, told of kills and of what guards did
//! told.rs         the metrics of a node as a whole
//! pace.rs         so many a second and no more
//! honesty.rs      tests: no answer is stamped with a time at which it was known to be over
//! ```
//!
//! A node has one way to learn of a change, also of its own: following the ledger. It never answers a
//! change before it serves it, and it goes on serving what it last knew whatever is down.

mod apart;
pub mod beats;
pub mod bundles;
mod checkpoints;
mod compiling;
#[cfg(test)]
mod copies;
mod decided;
#[cfg(test)]
mod doubting;
mod engine;
pub mod feedback;
pub mod fleet;
mod fold;
mod front;
mod heads;
mod history;
#[cfg(test)]
mod honesty;
pub mod kills;
pub mod live;
mod metered;
mod mirror;
mod pace;
pub mod peers;
#[cfg(test)]
mod ramping;
pub mod ramps;
mod segments;
mod standing;
mod told;
pub mod webhooks;
mod write;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLockReadGuard, atomic::Ordering},
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use huidu_core::{
    authority::Role,
    catalogue::Catalogue,
    command::Command,
    digest::Digest,
    event::Actor,
    eyes::EyesPolicy,
    key::{PublicKey, Signer, SignerError},
    name::SegmentName,
    op::OpId,
    preview::PreviewLink,
    record::Record,
    revision::Revision,
    segment::Segment,
    time::Timestamp,
    trust::ReviewPolicy,
    version::Review,
};
use tokio::sync::{Notify, mpsc, oneshot, watch};

pub use crate::clock::derived_op;
pub use history::History;
pub use mirror::{Copies, End, Shelf};
pub use standing::{Health, Soundness};
pub use write::{Change, OpState, WriteError, Written};

use self::{
    bundles::Bundles,
    engine::{Ask, Engine},
    feedback::{Exchange, Feedback},
    fleet::{Fleet, Opinion},
    front::Front,
    kills::Kills,
    live::{Live, Stamper},
    metered::Metered,
    pace::{Gap, Pace},
    peers::Peers,
    standing::Flags,
};
use crate::{
    backoff::Backoff,
    bus::Bus,
    clock::{Clock, Ids},
    ledger::{self, LedgerError},
    metrics::Metrics,
    store::{Key, Place, Store, StoreError},
};

/// The actor of what a node does by itself.
pub const SELF: &str = huidu_core::validity::NODE;
/// Changes that may wait for the engine.
const WAITING: usize = 1_024;

/// What a node is made of, besides its store and bus: values.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// Its name, in records and metrics.
    pub name: String,
    /// How often it looks at the ledger without being told.
    pub tick: Duration,
    /// Revisions between two checkpoints.
    pub checkpoint_every: u64,
    /// When devices poll again, in milliseconds.
    pub poll_after_ms: u64,
    /// Over how many milliseconds they spread.
    pub poll_spread_ms: u64,
    /// How long an answer may be trusted, in milliseconds.
    pub lease_ms: u32,
    /// Bytes of hot bundles in memory.
    pub bundle_memory: u64,
}

/// The parts a node is put together from.
pub struct NodeParts {
    /// The only truth.
    pub store: Arc<dyn Store>,
    /// Its endpoints, when it has not shown yet that it keeps its promises, because it does not answer:
    /// it is asked before anything is read from it. Else empty.
    pub unproved: Vec<Arc<dyn Store>>,
    /// Where the last-known-good copy lies, and the same place as a store; none: no copy, because the
    /// store is this disk already.
    pub mirror: Option<(Shelf, Arc<dyn Store>)>,
    /// Where copies of a distant store's bundles are kept on this disk; none: no copies.
    pub bundle_disk: Option<bundles::Disk>,
    /// Hints.
    pub bus: Arc<dyn Bus>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn Ids>,
    /// Holds the online key that stamps are signed with: in memory, or elsewhere.
    pub key: Arc<dyn Signer + Send + Sync>,
    /// Signs the records this node writes, and heads of the ledger; none: it signs neither, and writes nothing once
    /// a keyring is in force.
    pub log_key: Option<Arc<dyn Signer + Send + Sync>>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Where kills are kept until the ledger has them; none: nowhere, because nothing shall outlast the process.
    pub kills: Option<Arc<dyn kills::Keep>>,
    /// The other nodes.
    pub peers: Arc<Peers>,
    /// Values.
    pub settings: NodeSettings,
}

/// The parts as the engine holds them.
struct Parts {
    store: Arc<dyn Store>,
    mirror: Option<Arc<dyn Copies>>,
    mirror_store: Option<Arc<dyn Store>>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    metrics: Arc<Metrics>,
    settings: NodeSettings,
    log_key: Option<Arc<dyn Signer + Send + Sync>>,
}

impl Parts {
    fn ledger_parts(&self, store: Arc<dyn Store>) -> ledger::Parts {
        ledger::Parts {
            store,
            clock: Arc::clone(&self.clock),
            ids: Arc::clone(&self.ids),
            backoff: Backoff::new(
                Duration::from_millis(5),
                Duration::from_secs(1),
                fastrand::u64(..),
            ),
            node: self.settings.name.clone(),
            signer: self.log_key.clone(),
        }
    }
}

/// What the engine and everybody else look at together.
struct Shared {
    catalogue: fold::Shared,
    live: ArcSwap<Live>,
    stamper: Arc<Stamper>,
    revision: watch::Sender<Revision>,
    health: Flags,
    /// What the list of kills says that is served now; see [`Live::kills_mark`].
    kills: watch::Sender<u64>,
    /// Somebody has told this node something that it will understand once it has looked at the ledger.
    behind: Notify,
    fleet: Fleet,
    /// Segments this node has just made, by digest: the engine need not load them again.
    made: Mutex<HashMap<Digest, Arc<Segment>>>,
    /// Whoever counted what ramps are judged by; unset: nobody does.
    step_counts: OnceLock<Arc<dyn ramps::StepCounts>>,
    /// What receivers outside are to be told.
    news: webhooks::News,
}

impl Shared {
    /// The same, where it was read at all.
    fn proved_if(&self, at: Option<Timestamp>) {
        if let Some(at) = at {
            self.proved(at);
        }
    }

    /// The log's tail was read at `at`: what is served was all there was.
    fn proved(&self, at: Timestamp) {
        self.health.asof.fetch_max(at.unix_ms(), Ordering::Relaxed);
        self.health.from_store.store(true, Ordering::Relaxed);
        self.stamper.prove(at);
    }

    fn take_made(&self, name: &SegmentName) -> Option<(Digest, Arc<Segment>)> {
        let digest = self.catalogue.read().segments.get(name)?.sha256;
        let segment = self
            .made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&digest)?;
        Some((digest, segment))
    }
}

impl live::Served for Shared {
    fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    fn stamper(&self) -> Arc<Stamper> {
        Arc::clone(&self.stamper)
    }
}

/// Milliseconds between two looks at the ledger because devices heard of more: ten a second, at most.
const LOOK_GAP_MS: u64 = 100;
/// Signatures for one request alone a second, at most: 2 000 are about a twentieth of a core.
const SIGNATURES: u64 = 2_000;

/// One running node. Dropping the last handle stops it.
pub struct Node {
    shared: Arc<Shared>,
    parts: Arc<Parts>,
    bundles: Arc<Bundles>,
    feedback: Arc<Feedback>,
    asks: mpsc::Sender<Ask>,
    kills: Arc<Kills>,
    peers: Arc<Peers>,
    /// Looks at the ledger because devices heard of more.
    looks: Gap,
    /// Signatures for one request alone.
    signatures: Pace,
}

impl Node {
    /// Opens the ledger, serves what is in it, and follows it from then on.
    pub async fn start(parts: NodeParts) -> Result<Arc<Self>, LedgerError> {
        let NodeParts {
            store,
            unproved,
            mirror,
            bundle_disk,
            bus,
            clock,
            ids,
            key,
            log_key,
            metrics,
            kills,
            peers,
            settings,
        } = parts;
        let store: Arc<dyn Store> = Arc::new(Metered::new(store, Arc::clone(&metrics)));
        let (mirror, mirror_store) = match mirror {
            Some((shelf, copy)) => (Some(open_mirror(shelf)?), Some(copy)),
            None => (None, None),
        };
        let stamper = Arc::new(Stamper::new(key, settings.lease_ms));
        // Names this run of the node, to other nodes and in its counts.
        let run = ids.op();
        let life = run.as_str().to_ascii_lowercase();
        let shared = Arc::new(Shared {
            catalogue: fold::Shared::default(),
            live: ArcSwap::from_pointee(Live::empty()),
            stamper,
            revision: watch::Sender::new(Revision::ZERO),
            health: Flags::default(),
            kills: watch::Sender::new(0),
            behind: Notify::new(),
            fleet: Fleet::new(settings.name.clone(), run.to_string(), clock.now()),
            made: Mutex::default(),
            step_counts: OnceLock::new(),
            news: webhooks::News::new(),
        });
        let memory = settings.bundle_memory;
        let bundles = Bundles::new(Arc::clone(&store), memory, Arc::clone(&metrics));
        let bundles = Arc::new(bundles.keeping(bundle_disk));
        let life = life
            .parse()
            .map_err(|_| unusable(std::io::Error::other("no name for this run")))?;
        let feedback = Arc::new(Feedback::new(Arc::clone(&metrics), life));
        let parts = Arc::new(Parts {
            store,
            mirror,
            mirror_store,
            bus,
            clock,
            ids,
            metrics,
            settings,
            log_key: log_key.clone(),
        });
        let front = Arc::new(Front::new(Arc::clone(&parts), Arc::clone(&shared)));
        let kills = Arc::new(Kills::new(
            Arc::clone(&parts),
            Arc::clone(&shared),
            Arc::clone(&front),
            kills,
            Arc::clone(&peers),
        ));
        // Heard from now on, so that nothing is missed while the ledger is read.
        let notices = parts.bus.notices();
        let engine = Engine::open(
            Arc::clone(&parts),
            Arc::clone(&shared),
            unproved,
            (front, Arc::clone(&kills)),
        )
        .await?;
        kills.take_up().map_err(unusable)?;
        tokio::spawn(kills::listen(notices, Arc::downgrade(&kills)));
        tokio::spawn(kills::insist(Arc::downgrade(&kills)));
        let (asks, inbox) = mpsc::channel(WAITING);
        tokio::spawn(engine.run(inbox));
        let served: std::sync::Weak<dyn live::Served> = Arc::<Shared>::downgrade(&shared);
        tokio::spawn(live::refresh_stamps(served));
        if let Some(log_key) = log_key {
            let seen = Arc::downgrade(&shared);
            tokio::spawn(heads::keep(seen, Arc::clone(&parts), log_key));
        }
        Ok(Arc::new(Self {
            shared,
            parts,
            bundles,
            feedback,
            asks,
            kills,
            peers,
            looks: Gap::new(LOOK_GAP_MS),
            signatures: Pace::new(SIGNATURES),
        }))
    }

    /// The snapshot polls are answered from. No lock.
    pub fn live(&self) -> arc_swap::Guard<Arc<Live>> {
        self.shared.live.load()
    }

    /// The catalogue, for the control plane: hold it briefly, never across an await.
    pub fn catalogue(&self) -> RwLockReadGuard<'_, Catalogue> {
        self.shared.catalogue.read()
    }

    /// Names whoever counted what ramps are judged by; once, and before it nothing that is watched grows.
    pub fn count_steps_by(&self, counts: Arc<dyn ramps::StepCounts>) {
        let _named_already = self.shared.step_counts.set(counts);
    }

    /// The ramps of an app, as they stand now.
    pub fn ramps_of(&self, app: &huidu_core::catalogue::App) -> Vec<ramps::Looked> {
        let counts = self.shared.step_counts.get();
        ramps::look(app, counts.map(|counts| &**counts), self.now())
    }

    /// Makes a change; answers once this node serves it.
    pub async fn write(&self, change: Change) -> Result<Written, WriteError> {
        let (answer, wait) = oneshot::channel();
        let by = tokio::time::Instant::now() + change.patience;
        self.asks
            .try_send(Ask::Write(Box::new(change), by, answer))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => WriteError::Busy { waiting: WAITING },
                mpsc::error::TrySendError::Closed(_) => WriteError::Stopping,
            })?;
        wait.await.unwrap_or(Err(WriteError::Stopping))
    }

    /// Begins the ledger, if nobody has: the first token's id and the digest of its secret. True when it
    /// was begun with that token, now or by an earlier request of which nobody heard the end.
    pub async fn found(
        &self,
        audience: &str,
        review: Review,
        token: (String, Digest),
        keyring: Option<String>,
        eyes: EyesPolicy,
    ) -> Result<bool, WriteError> {
        let id = token.0.clone();
        if !self.catalogue().audience.is_empty() {
            return Ok(self.catalogue().tokens.contains_key(&id));
        }
        let change = Change {
            actor: Actor {
                id: SELF.into(),
                role: Role::Admin,
            },
            command: Command::Found {
                audience: audience.to_owned(),
                review,
                token,
                keyring,
                eyes,
                reviews: ReviewPolicy::beginning(review),
            },
            op: self.new_op(),
            expected: None,
            enact_at: None,
            why: None,
            patience: Duration::from_secs(30),
        };
        match self.write(change).await {
            // Refused: it has been begun. That may have been this node, before it was started again.
            Ok(_) | Err(WriteError::Refused(_)) => Ok(self.catalogue().tokens.contains_key(&id)),
            Err(error) => Err(error),
        }
    }

    /// A new name for a want.
    pub fn new_op(&self) -> OpId {
        self.parts.ids.op()
    }

    /// The time of day, as this node sees it.
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// How a want ended.
    pub async fn op(&self, op: OpId) -> OpState {
        self.op_and_pending(op).await.0
    }

    async fn op_and_pending(&self, op: OpId) -> (OpState, Option<Box<Record>>) {
        let (answer, wait) = oneshot::channel();
        if self.asks.send(Ask::Op(op, answer)).await.is_err() {
            return (OpState::Absent, None);
        }
        wait.await.unwrap_or((OpState::Absent, None))
    }

    /// How a want ended, and the record that says so: whose it was, and what it changed.
    pub async fn op_with_record(
        &self,
        op: OpId,
    ) -> Result<(OpState, Option<Box<Record>>), StoreError> {
        let (state, pending) = self.op_and_pending(op).await;
        let (OpState::Committed(revision) | OpState::Cancelled(revision)) = state else {
            return Ok((state, pending));
        };
        let bytes = self.record_bytes(revision.get()).await?;
        Ok((state, Record::decode(&bytes).ok().map(Box::new)))
    }

    /// Asks the engine to look at the ledger now.
    pub fn look(&self) {
        let _full_means_it_is_busy_looking = self.asks.try_send(Ask::Look);
    }

    /// A device has heard of `revision`. A node that has not looks at once, but not for every device.
    pub fn heard_of(&self, revision: Revision) {
        if revision > self.live().revision && self.looks.take(self.now()) {
            self.parts.metrics.looks.inc();
            self.look();
        }
    }

    /// True when one more signature for one request alone may be made.
    pub fn may_sign_now(&self) -> bool {
        // One that takes its time would hold up everybody who polls.
        self.shared.stamper.is_quick() && self.signatures.take(self.now())
    }

    /// Stores the units of a segment under their digest; `Command::PutSegment` then names it.
    pub async fn store_segment(&self, segment: Segment) -> Result<Digest, StoreError> {
        let bytes = Bytes::from(segment.to_bytes());
        let digest = Digest::of(&bytes);
        match self
            .parts
            .store
            .put_new(&Key::Cas(digest), bytes.clone())
            .await
        {
            Ok(()) | Err(StoreError::AlreadyExists { .. }) => {}
            Err(error) => return Err(error),
        }
        if let Some(mirror) = &self.parts.mirror {
            mirror.put(Key::Cas(digest), bytes);
        }
        self.shared
            .made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(digest, Arc::new(segment));
        Ok(digest)
    }

    /// How this node is; cheap.
    pub fn health(&self) -> Health {
        let flags = &self.shared.health;
        Health {
            revision: self.live().revision,
            asof: Timestamp::from_unix_ms(flags.asof.load(Ordering::Relaxed)),
            store: flags.store.load(Ordering::Relaxed),
            bus: self.parts.bus.healthy(),
            from_store: flags.from_store.load(Ordering::Relaxed),
            fork: flags.fork.load(Ordering::Relaxed),
            signs: !self.shared.stamper.is_failing(),
            soundness: flags.soundness(),
            draining: flags.draining.load(Ordering::Relaxed),
            left_behind: flags.left_behind.load(Ordering::Relaxed),
            lacks_segments: flags.lacks_segments.load(Ordering::Relaxed),
        }
    }

    /// From now on balancers are told to send devices elsewhere; whoever comes is served as before.
    pub fn drain(&self) {
        self.shared.health.draining.store(true, Ordering::Relaxed);
    }

    /// True since then.
    pub fn is_draining(&self) -> bool {
        self.shared.health.draining.load(Ordering::Relaxed)
    }

    /// The fleet, as this node knows it.
    pub fn fleet(&self) -> &Fleet {
        &self.shared.fleet
    }

    /// Has the engine look who is right, where that is not known.
    fn tell_opinion(&self, opinion: &Opinion) {
        let is_sound = self.shared.health.soundness() == Soundness::Sound;
        let ask = match opinion {
            Opinion::Doubt { rev, outvoted } => Ask::Doubt(*rev, *outvoted),
            Opinion::Agreed if !is_sound => Ask::NoDoubt,
            Opinion::Agreed | Opinion::Others(_) => return,
        };
        // Full: it is told again with the next beat.
        let _told = self.asks.try_send(ask);
    }

    /// The revision that this node serves, whenever it is another.
    pub fn revisions(&self) -> watch::Receiver<Revision> {
        self.shared.revision.subscribe()
    }

    /// Waits until this node serves `revision` or a later one.
    pub async fn serves(&self, revision: Revision) {
        let mut seen = self.shared.revision.subscribe();
        let _closed = seen.wait_for(|now| *now >= revision).await;
    }

    /// The bundles.
    pub const fn bundles(&self) -> &Arc<Bundles> {
        &self.bundles
    }

    /// What devices reported.
    pub const fn feedback(&self) -> &Arc<Feedback> {
        &self.feedback
    }

    /// Counts what devices report, tells the other nodes by `exchange` where there are some, and keeps it in the store,
    /// until `stopped` ends; then once more. Ramps are judged by it from now on.
    pub fn keep_counting(
        &self,
        exchange: Option<Arc<dyn Exchange>>,
        stopped: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        let (store, clock) = (Arc::clone(&self.parts.store), Arc::clone(&self.parts.clock));
        let keeper = feedback::Keeper::new(Arc::clone(&self.feedback), exchange, store, clock);
        self.count_steps_by(self.feedback.clone());
        tokio::spawn(keeper.run(stopped))
    }

    /// The metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    /// The metrics, to keep.
    pub fn metrics_handle(&self) -> Arc<Metrics> {
        Arc::clone(&self.parts.metrics)
    }

    /// The values this node runs with.
    pub fn settings(&self) -> &NodeSettings {
        &self.parts.settings
    }

    /// The public half of the online key, where versions are listed without review: in development.
    pub fn development_key(&self) -> Option<ed25519_dalek::VerifyingKey> {
        let is_development = self.catalogue().review == Review::Skipped;
        let key = is_development.then(|| self.shared.stamper.public_key())?;
        let bytes = <&[u8; 32]>::try_from(key.as_bytes()).ok()?;
        ed25519_dalek::VerifyingKey::from_bytes(bytes).ok()
    }

    /// The public half of the online key.
    pub fn online_key(&self) -> PublicKey {
        self.shared.stamper.public_key()
    }

    /// A preview link, signed by the online key; nobody else waits for it.
    pub async fn sign_preview(&self, link: PreviewLink) -> Result<String, SignerError> {
        let stamper = Arc::clone(&self.shared.stamper);
        let signed = tokio::task::spawn_blocking(move || stamper.sign_preview(&link)).await;
        signed.unwrap_or_else(|error| {
            Err(SignerError {
                key: self.online_key().id(),
                detail: error.to_string(),
            })
        })
    }

    /// Writes what must survive a stop.
    pub fn flush(&self) {
        if let Some(mirror) = &self.parts.mirror {
            mirror.end();
        }
    }
}

/// What only a simulation does to a node, to see that it would notice.
#[cfg(test)]
impl Node {
    /// Takes now for a time at which everything was known.
    pub(crate) fn mints_now(&self) {
        self.shared.proved(self.now());
    }

    /// Kills that are in force here and that the ledger does not have.
    pub(crate) fn held_kills(&self) -> Vec<OpId> {
        self.kills.held()
    }

    /// Serves once more what was served before.
    pub(crate) fn serves_again(&self, older: Arc<Live>) {
        self.shared.live.store(older);
    }
}

fn unusable(error: std::io::Error) -> StoreError {
    StoreError::unavailable(Place::Store, error)
}

fn open_mirror(shelf: Shelf) -> Result<Arc<dyn Copies>, StoreError> {
    shelf.open().map_err(unusable)
}
