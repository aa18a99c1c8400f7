//! Kills before their order: in force here, on this disk, on every node that can be reached, and then in the
//! ledger.
//!
//! ```text
//! take: draft, sign ─▶ in force in memory ─┬▶ on this disk
//!                                          ├▶ on the bus, and to every known node by itself
//!                                          └▶ append to the ledger, as every change
//! hear: read, judge ─▶ in force in memory ─▶ on this disk ─▶ acknowledged
//! ```
//! None of these waits for another, and a kill that the ledger does not have yet is *provisional*: it is said to
//! be so, it survives the end of the process, every node that holds it goes on trying to append it under its own
//! name, and only the ledger takes it away: by its record, or by a void. Whoever hears a notice tells nobody.
//! The opposite of a kill never comes this way.
//!
//! ```text
//! asked.rs    what is asked of a node about kills
//! disk.rs     what survives the end of the process
//! receipt.rs  what is known of one kill
//! ```

mod asked;
mod disk;
mod receipt;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use huidu_core::{
    catalogue::Catalogue,
    key::{PublicKey, Signer, SignerError},
    notice::{Ack, Notice, Sealed, Unheeded},
    op::{OpId, Settled},
    revision::Revision,
    time::Timestamp,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

pub use asked::Killed;
pub use disk::{Directory, Keep};
pub use receipt::{Reached, Receipt, State};

use super::{
    Change, Parts, Shared, WriteError,
    apart::apart,
    decided::urgent,
    front::{Cleared, Front, Held, Hold},
    pace::Pace,
    peers::Peers,
};
use crate::bus::Notices;
#[cfg(test)]
use crate::planted::{self, Bug};

/// Receipts that are remembered; the oldest are forgotten.
const RECEIPTS: usize = 1_024;
/// Notices that are looked at within a second, from the bus and from other nodes each: a signature costs up to a
/// quarter of a millisecond.
const HEARD_A_SECOND: u64 = 500;
/// How long a kill that another node took waits here before this node appends it as well: its taker may be gone.
const TAKER_PATIENCE: Duration = Duration::from_secs(5);

/// Pause before nodes that were not reached are told again.
const INSIST: Duration = Duration::from_secs(2);

/// The kills of one node that the ledger does not have yet, and what is known of the latest ones.
pub(super) struct Kills {
    parts: Arc<Parts>,
    shared: Arc<Shared>,
    front: Arc<Front>,
    disk: Option<Arc<dyn Keep>>,
    peers: Arc<Peers>,
    receipts: Mutex<VecDeque<Receipt>>,
    /// Notices from the bus that are looked at, and from other nodes.
    by_bus: Pace,
    by_post: Pace,
    /// What a node that was started by a test gets wrong.
    #[cfg(test)]
    planted: Option<Bug>,
}

/// When a kill was in force here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun(Instant);

/// Why a notice was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotHeard {
    /// It is not to be heeded.
    #[error(transparent)]
    Unheeded(#[from] Unheeded),
    /// Too many come.
    #[error("more kills are told than this node looks at; tell it again in a second")]
    Busy,
    /// More kills wait for the ledger than this node holds.
    #[error("as many kills wait for the ledger as this node holds")]
    Full,
    /// This node cannot sign what it answers.
    #[error("this node has no log key, or it does not sign: {detail}")]
    Mute {
        /// What its holder said.
        detail: String,
    },
}

impl From<SignerError> for NotHeard {
    fn from(error: SignerError) -> Self {
        Self::Mute {
            detail: error.to_string(),
        }
    }
}

impl Kills {
    /// None yet; `disk` says what was in force when the process ended.
    pub(super) fn new(
        parts: Arc<Parts>,
        shared: Arc<Shared>,
        front: Arc<Front>,
        disk: Option<Arc<dyn Keep>>,
        peers: Arc<Peers>,
    ) -> Self {
        Self {
            parts,
            shared,
            front,
            disk,
            peers,
            receipts: Mutex::default(),
            by_bus: Pace::new(HEARD_A_SECOND),
            by_post: Pace::new(HEARD_A_SECOND),
            #[cfg(test)]
            planted: planted::planted(),
        }
    }

    /// Puts in force again what was so when the process ended and the ledger has not settled since.
    pub(super) fn take_up(&self) -> io::Result<()> {
        let Some(disk) = &self.disk else {
            return Ok(());
        };
        #[cfg(test)]
        if self.planted == Some(Bug::KillForgottenAtStart) {
            return Ok(());
        }
        for sealed in disk.load()? {
            let notice = sealed.notice().clone();
            let (op, app) = (notice.op, &notice.app);
            if let Err(why) = self.heeds(&sealed) {
                tracing::error!(%op, %app, %why, "a kill on this disk is not in force here any more; look at the history whether it is to be repeated");
                continue;
            }
            let is_own = notice.node == self.parts.settings.name;
            match self.front.hold(sealed, is_own) {
                Hold::Settled(end) => {
                    tell_end(&notice, end);
                    disk.forget(&op);
                }
                Hold::InForce(_) | Hold::Already(_) => {
                    tracing::warn!(%op, %app, "a kill that the ledger does not have yet is in force here again");
                    self.note(&notice, State::Provisional, |_| {});
                }
                Hold::Full => {}
            }
        }
        Ok(())
    }

    fn own_key(&self) -> Option<PublicKey> {
        self.parts.log_key.as_ref().map(|key| key.public_key())
    }

    /// The notice of a change that need not wait, if it is one.
    pub(super) fn draft(&self, change: &Change) -> Option<Sealed> {
        let log_key = self.parts.log_key.as_ref()?;
        let known = self.front.ended(&change.op).is_some();
        if known || self.front.holds(&change.op).is_some() {
            return None;
        }
        let now = self.parts.clock.now();
        let drafted = {
            let catalogue = self.shared.catalogue.read();
            urgent(&catalogue, change, now, &log_key.public_key())
        };
        let mut notice = drafted?;
        notice.node.clone_from(&self.parts.settings.name);
        let sealed = notice.seal(&**log_key).inspect_err(|error| {
            tracing::error!(%error, "a kill cannot be told to other nodes before the ledger has it");
        });
        sealed.ok()
    }

    /// Puts a kill that this node takes in force here. Nothing is told to anybody before that, the ledger included.
    pub(super) async fn begin(self: &Arc<Self>, sealed: &Sealed) -> Result<Begun, NotHeard> {
        let at = Instant::now();
        let (this, taken) = (Arc::clone(self), sealed.clone());
        let held = apart(move || this.front.hold(taken, true)).await;
        let asof = match held {
            Ok(Hold::InForce(asof) | Hold::Already(asof)) => asof,
            Ok(Hold::Settled(_)) => self.shared.stamper.asof(),
            Ok(Hold::Full) | Err(_) => return Err(NotHeard::Full),
        };
        let ack = self.ack(sealed, asof, self.disk.is_some());
        self.note(sealed.notice(), State::Provisional, |receipt| {
            receipt.heard(None, &ack, ms_since(at));
        });
        Ok(Begun(at))
    }

    /// Keeps it on this disk, and tells everybody. Comes back when it is kept and everybody has answered or had the
    /// time to.
    pub(super) async fn spread(self: &Arc<Self>, sealed: &Sealed, begun: Begun) {
        self.parts.bus.spread(sealed.bytes().clone());
        tokio::join!(self.lasts(sealed), self.tell_all(sealed, begun.0));
    }

    /// Whether a kill that is in force here lasts. Whoever asks while it is being written waits for that.
    async fn lasts(&self, sealed: &Sealed) -> bool {
        match self.front.holds(&sealed.notice().op) {
            Some(held) => *held.kept.get_or_init(|| self.keep(sealed)).await,
            // The ledger has it.
            None => true,
        }
    }

    /// Puts a kill on this disk. A disk that fails costs the kill nothing but that it does not outlast the process.
    async fn keep(&self, sealed: &Sealed) -> bool {
        let Some(disk) = self.disk.clone() else {
            return false;
        };
        let (kept, op) = (sealed.clone(), sealed.notice().op);
        let done = apart(move || disk.keep(&kept)).await;
        let error = match done {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(gone) => Some(io::Error::other(gone)),
        };
        if let Some(error) = error {
            self.parts.metrics.kill_disk_failures.inc();
            tracing::error!(%op, %error, "a kill is in force here and cannot be kept on this disk: it would not survive the end of this process");
            self.change(&op, |receipt| {
                let own = receipt.nodes.get_mut(&self.parts.settings.name);
                if let Some(own) = own {
                    own.kept = false;
                }
            });
            return false;
        }
        let now = self.parts.clock.now();
        self.change(&op, |receipt| {
            receipt.kept_at.get_or_insert(now);
        });
        // The ledger may have been quicker than the disk.
        if self.front.ended(&op).is_some()
            && let Some(disk) = &self.disk
        {
            disk.forget(&op);
        }
        true
    }

    /// Tells every node that is known, each by itself: a dead one delays nobody.
    async fn tell_all(self: &Arc<Self>, sealed: &Sealed, begun: Instant) {
        let addresses = self.peers.addresses();
        let Some(reach) = self.peers.reach().filter(|_| !addresses.is_empty()) else {
            return;
        };
        let op = sealed.notice().op;
        self.change(&op, |receipt| {
            let waited = addresses.iter();
            let waited = waited.map(|address| (address.clone(), "no answer yet".to_owned()));
            receipt.unreached.extend(waited);
        });
        let mut telling = JoinSet::new();
        for address in addresses {
            let (this, sealed) = (Arc::clone(self), sealed.clone());
            let reach = Arc::clone(&reach);
            telling.spawn(async move {
                let answer = reach.tell(&address, sealed.bytes().clone()).await;
                this.told(&address, &sealed, answer, begun);
            });
        }
        while telling.join_next().await.is_some() {}
    }

    fn told(&self, address: &str, sealed: &Sealed, answer: Result<Bytes, String>, begun: Instant) {
        let ack = answer.and_then(|bytes| {
            let own = self.own_key();
            let ack = Ack::read(&bytes, sealed, &self.shared.catalogue.read(), own.as_ref());
            ack.ok_or_else(|| "its answer is not signed by a server of this installation".into())
        });
        let ack = ack.and_then(|ack| {
            let refuses = ack.in_force;
            refuses
                .then_some(ack)
                .ok_or_else(|| "it does not refuse what was killed".into())
        });
        let told = &self.parts.metrics.kill_peers;
        match ack {
            Ok(ack) => {
                told.with_label_values(&["reached"]).inc();
                let ms = ms_since(begun);
                self.change(&ack.op, |receipt| receipt.heard(Some(address), &ack, ms));
            }
            Err(why) => {
                told.with_label_values(&["unreached"]).inc();
                tracing::warn!(peer = address, %why, "a node was not reached with a kill");
                self.change(&sealed.notice().op, |receipt| {
                    receipt.unreached.insert(address.to_owned(), why);
                });
            }
        }
    }

    /// Takes in a notice that another node sent, and answers it: the kill is in force when the answer leaves.
    pub(super) async fn hear(self: &Arc<Self>, bytes: Bytes) -> Result<Bytes, NotHeard> {
        let key = self.parts.log_key.clone().ok_or_else(|| NotHeard::Mute {
            detail: "there is none".into(),
        })?;
        if !self.by_post.take(self.parts.clock.now()) {
            return Err(NotHeard::Busy);
        }
        let sealed = Sealed::read(&bytes)?;
        let (asof, kept) = self.heed(sealed.clone()).await?;
        let ack = self.ack(&sealed, asof, kept);
        Ok(apart(move || ack.seal(&*key))
            .await
            .map_err(|gone| NotHeard::Mute {
                detail: gone.to_string(),
            })??)
    }

    /// Puts a notice in force; answers since when, and whether it lasts.
    async fn heed(self: &Arc<Self>, sealed: Sealed) -> Result<(Timestamp, bool), NotHeard> {
        let this = Arc::clone(self);
        let heard = sealed.clone();
        // A signature, and an app compiled: not on a thread that answers.
        let held = apart(move || {
            this.heeds(&heard)?;
            #[cfg(test)]
            if this.planted == Some(Bug::SettledKillUnseen) {
                this.front.forget_ends();
            }
            Ok::<_, Unheeded>(this.front.hold(heard, false))
        });
        let held = held.await.map_err(|_| NotHeard::Full)?;
        let held = held.inspect_err(|why| {
            self.count("refused");
            if let Unheeded::Actor { behind: true, .. } = why {
                self.shared.behind.notify_one();
            }
        })?;
        match held {
            Hold::InForce(asof) => {
                self.count("in-force");
                let notice = sealed.notice();
                tracing::warn!(op = %notice.op, app = %notice.app, by = %notice.node, "a kill is in force here before the ledger has it");
                self.note(notice, State::Provisional, |_| {});
                Ok((asof, self.lasts(&sealed).await))
            }
            Hold::Already(asof) => {
                self.count("known");
                Ok((asof, self.lasts(&sealed).await))
            }
            Hold::Settled(_) => {
                self.count("settled");
                Ok((self.shared.stamper.asof(), true))
            }
            Hold::Full => Err(NotHeard::Full),
        }
    }

    fn count(&self, outcome: &str) {
        let heard = &self.parts.metrics.kill_notices;
        heard.with_label_values(&[outcome]).inc();
    }

    fn heeds(&self, sealed: &Sealed) -> Result<(), Unheeded> {
        let own = self.own_key();
        let heeds = sealed.heed(&self.shared.catalogue.read(), own.as_ref());
        #[cfg(test)]
        if self.planted == Some(Bug::UnsignedNoticeBelieved) && heeds == Err(Unheeded::Unsigned) {
            return Ok(());
        }
        heeds
    }

    fn ack(&self, sealed: &Sealed, asof: Timestamp, kept: bool) -> Ack {
        let notice = sealed.notice();
        let in_force = {
            let catalogue = self.shared.catalogue.read();
            notice.is_said_by(&catalogue) || self.front.holds(&notice.op).is_some()
        };
        Ack {
            v: Ack::FORM,
            op: notice.op,
            of: sealed.digest(),
            node: self.parts.settings.name.clone(),
            revision: self.shared.live.load().revision,
            asof,
            lease_ms: self.shared.stamper.lease_ms(),
            in_force,
            kept,
        }
    }

    /// What the engine has taken in settles kills; says so, and answers what must be compiled again.
    pub(super) fn cleared(&self, cleared: &Cleared) {
        for (op, end, held) in &cleared.ops {
            tell_end(held.sealed.notice(), *end);
            let word = match end {
                Settled::Committed(_) => "committed",
                Settled::Voided(_) => "voided",
            };
            (self.parts.metrics.kills_settled)
                .with_label_values(&[word])
                .inc();
            self.settled(op, *end);
        }
        if let (Some(disk), false) = (self.disk.clone(), cleared.ops.is_empty()) {
            let ops: Vec<OpId> = cleared.ops.iter().map(|(op, ..)| *op).collect();
            // Nobody waits for a file to go: one that stays is settled again at the next start.
            tokio::spawn(apart(move || {
                for op in &ops {
                    disk.forget(op);
                }
            }));
        }
    }

    /// The ledger settled a want: whoever has its receipt hears of it.
    pub(super) fn settled(&self, op: &OpId, end: Settled) {
        let now = self.parts.clock.now();
        self.change(op, |receipt| {
            receipt.state = end.into();
            receipt.ledger_at.get_or_insert(now);
        });
    }

    /// This node has held the end of the ledger at `revision`, and the store said so no later than at `by`, by the
    /// store's own clock.
    pub(super) fn proved(&self, revision: Revision, by: Timestamp) {
        for receipt in self.receipts().iter_mut() {
            if let State::Committed(rev) = receipt.state
                && rev <= revision
            {
                receipt.known_by.get_or_insert(by);
            }
        }
    }

    /// Kills that this node shall append now, of its own or because whoever took them may be gone.
    pub(super) fn due(&self) -> Vec<Held> {
        let mut held = self.front.held();
        held.retain(|held| held.is_own || held.since.elapsed() > TAKER_PATIENCE);
        held
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> Vec<OpId> {
        let held = self.front.held();
        held.iter().map(|held| held.sealed.notice().op).collect()
    }

    /// True while a kill is in force here and not in the ledger.
    pub(super) fn is_held(&self, op: &OpId) -> bool {
        self.front.holds(op).is_some()
    }

    /// The refusal of a change whose name stands for another kill.
    pub(super) fn other_ask(&self, change: &Change) -> Option<WriteError> {
        let held = self.front.holds(&change.op)?;
        let is_other = held.sealed.notice().command() != change.command;
        is_other.then_some(WriteError::OtherAsk { op: change.op })
    }

    /// What is known of a kill.
    pub(super) fn receipt(&self, op: &OpId) -> Option<Receipt> {
        self.receipts().iter().find(|one| one.op == *op).cloned()
    }

    /// The receipt of a kill that came by the ledger alone.
    pub(super) fn note_written(&self, change: &Change, revision: Revision) {
        let Some(mut notice) = Notice::of(&change.command, change.op, &change.actor) else {
            return;
        };
        notice.at = self.parts.clock.now();
        let (asof, lease_ms) = (self.shared.stamper.asof(), self.shared.stamper.lease_ms());
        let own = Reached {
            revision,
            asof,
            lease_ms,
            ms: 0,
            kept: true,
        };
        self.note(&notice, State::Committed(revision), |receipt| {
            receipt.state = State::Committed(revision);
            receipt.ledger_at.get_or_insert(notice.at);
            let name = self.parts.settings.name.clone();
            receipt.nodes.entry(name).or_insert(own);
        });
    }

    fn receipts(&self) -> MutexGuard<'_, VecDeque<Receipt>> {
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, op: &OpId, change: impl FnOnce(&mut Receipt)) {
        if let Some(receipt) = self.receipts().iter_mut().find(|one| one.op == *op) {
            change(receipt);
        }
    }

    /// Changes the receipt of a kill, made where there is none.
    fn note(&self, notice: &Notice, state: State, change: impl FnOnce(&mut Receipt)) {
        let longest = self.longest_lease_ms();
        let mut receipts = self.receipts();
        if !receipts.iter().any(|one| one.op == notice.op) {
            if receipts.len() >= RECEIPTS {
                receipts.pop_front();
            }
            receipts.push_back(Receipt::new(notice, state, longest));
        }
        if let Some(receipt) = receipts.iter_mut().find(|one| one.op == notice.op) {
            change(receipt);
        }
    }

    /// How long the answer of any node may be trusted.
    fn longest_lease_ms(&self) -> u32 {
        let own = self.shared.stamper.lease_ms();
        let catalogue: &Catalogue = &self.shared.catalogue.read();
        let keyring = catalogue.trust.chain.newest.as_ref();
        keyring.map_or(own, |keyring| keyring.online.max_lease_ms.max(own))
    }

    /// Tells the nodes that were not reached once more, with a fresh word of this node: they may have come back.
    async fn tell_again(self: &Arc<Self>) {
        let Some(key) = self.parts.log_key.clone() else {
            return;
        };
        for held in self.front.held().into_iter().filter(|held| held.is_own) {
            let missing = self.receipt(&held.sealed.notice().op);
            if missing.is_none_or(|receipt| receipt.unreached.is_empty()) {
                continue;
            }
            let mut notice = held.sealed.notice().clone();
            notice.base = notice.base.max(self.shared.live.load().revision);
            // Between the two the ledger may have settled it: who hears of it then asks the same.
            if self.front.holds(&notice.op).is_none() {
                continue;
            }
            let key = Arc::clone(&key);
            let sealed = apart(move || notice.seal(&*key)).await;
            let Ok(Ok(sealed)) = sealed else { continue };
            self.front.hold(sealed.clone(), true);
            self.parts.bus.spread(sealed.bytes().clone());
            self.tell_all(&sealed, Instant::now()).await;
        }
    }
}

/// Hears what the bus brings, until the bus or the node is gone.
pub(super) async fn listen(mut notices: Notices, kills: Weak<Kills>) {
    while let Some(bytes) = notices.recv().await {
        let Some(kills) = kills.upgrade() else { return };
        // One that is being put on disk does not hold up the next; the pace bounds how many there are.
        tokio::spawn(async move { kills.hear_of(bytes).await });
    }
}

/// Tells again who was not reached, until the node is gone.
pub(super) async fn insist(kills: Weak<Kills>) {
    while let Some(kills) = kills.upgrade() {
        let pause = kills.parts.settings.tick.min(INSIST);
        kills.tell_again().await;
        drop(kills);
        sleep(pause).await;
    }
}

impl Kills {
    /// A notice that the bus brought: from anybody who can write to it.
    async fn hear_of(self: &Arc<Self>, bytes: Bytes) {
        let Ok(sealed) = Sealed::read(&bytes) else {
            return self.count("refused");
        };
        // This node's own, or one that came by another way: nothing to look at.
        let op = sealed.notice().op;
        if self.front.holds(&op).is_some() {
            return;
        }
        if !self.by_bus.take(self.parts.clock.now()) {
            return self.count("shed");
        }
        if let Err(why) = self.heed(sealed).await {
            tracing::debug!(%op, %why, "a notice of a kill from the bus is not heeded");
        }
    }
}

fn tell_end(notice: &Notice, end: Settled) {
    let (op, app) = (notice.op, &notice.app);
    match end {
        Settled::Committed(revision) => {
            tracing::info!(%op, %app, %revision, "the ledger has a kill that was in force here before");
        }
        Settled::Voided(revision) => {
            tracing::error!(%op, %app, %revision, "a kill that was in force here is over: the ledger says that it shall never happen");
        }
    }
}

fn ms_since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
