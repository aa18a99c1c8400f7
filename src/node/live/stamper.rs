//! `Stamper`: signs what a node answers, with the time at which it last knew everything.
//!
//! The time in a stamp is never now: it is when this node last proved that it held the end of the log, so
//! a node that is cut off ages honestly. Stamps are signed when first asked for and renewed at half their
//! lease while they are asked for: thousands of answers that nobody wants cost nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use huidu_core::{
    digest::Digest,
    key::{PublicKey, Signer, SignerError},
    preview::PreviewLink,
    seal::{self, Stamp},
    time::Timestamp,
};

use tokio::sync::Notify;

use super::Live;

/// Whether an answer is what is in force, and if not, until when it was.
///
/// A poll may hold an answer while the next one takes its place, and sign it then. So an answer is retired
/// before what replaces it is served, and that is served before the node's time is moved on: nobody can
/// put a time on an answer at which it was known to be over.
#[derive(Debug)]
pub(super) struct Current(AtomicU64);

impl Default for Current {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl Current {
    /// It was in force at `asof`; whether it was later is not known. The first word counts.
    pub(super) fn retire(&self, asof: Timestamp) {
        self.0.fetch_min(asof.unix_ms(), Ordering::Release);
    }

    fn until(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.load(Ordering::Acquire))
    }
}

/// The online key, whom it speaks for, and how fresh the node is.
pub struct Stamper {
    key: Arc<dyn Signer + Send + Sync>,
    /// A key in memory, which anybody may wait for.
    is_quick: bool,
    is_failing: AtomicBool,
    /// Somebody waits for a signature that is not made by whoever answers.
    wanted: Notify,
    lease_ms: AtomicU32,
    audience: ArcSwap<String>,
    asof: AtomicU64,
}

impl Stamper {
    /// A stamper of nobody yet.
    pub fn new(key: impl Signer + Send + Sync + 'static, lease_ms: u32) -> Self {
        Self {
            is_quick: key.is_quick(),
            key: Arc::new(key),
            is_failing: AtomicBool::new(false),
            wanted: Notify::new(),
            lease_ms: AtomicU32::new(lease_ms),
            audience: ArcSwap::default(),
            asof: AtomicU64::new(0),
        }
    }

    /// Whom it speaks for, from now on.
    pub fn address(&self, audience: &str) {
        if **self.audience.load() != audience {
            self.audience.store(Arc::new(audience.to_owned()));
        }
    }

    /// A lease is never longer than the root allows, from now on.
    pub fn limit_lease(&self, most_ms: u32) {
        self.lease_ms.fetch_min(most_ms, Ordering::Relaxed);
    }

    /// The node has proved that what it served at `asof` was everything.
    pub fn prove(&self, asof: Timestamp) {
        // Whoever sees this sees what was retired before it: see `Current`.
        self.asof.fetch_max(asof.unix_ms(), Ordering::Release);
    }

    /// When it last did.
    pub fn asof(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.asof.load(Ordering::Acquire))
    }

    /// Until when `current` was known to be everything: what is in force is as fresh as the node, what
    /// was replaced stays as old as it was then.
    pub(super) fn asof_of(&self, current: &Current) -> Timestamp {
        // The node's own time first: who sees the proof of what came later sees that this was retired.
        let known = self.asof();
        known.min(current.until())
    }

    /// The key that devices check stamps with.
    pub fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    /// True when whoever answers polls may sign: the key is in memory. Any other signs behind the polls.
    pub fn is_quick(&self) -> bool {
        self.is_quick
    }

    /// True while the last signature that was asked for was not made.
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Has the stamps that are asked for signed soon, by whoever waits in [`Stamper::wanted`].
    pub(super) fn want(&self) {
        self.wanted.notify_one();
    }

    /// Ends when somebody wants signatures.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// How long an answer may be trusted, in milliseconds.
    pub fn lease_ms(&self) -> u32 {
        self.lease_ms.load(Ordering::Relaxed)
    }

    /// How often stamps are renewed: twice in every lease.
    pub fn refresh_every(&self) -> Duration {
        Duration::from_millis(u64::from(self.lease_ms() / 2).max(100))
    }

    /// True when a stamp made at `asof` should not be given out any more, because a much fresher one may
    /// be had. While nothing fresher can be made, an old one is as good.
    pub(super) fn is_old(&self, asof: u64) -> bool {
        let newest = self.asof.load(Ordering::Relaxed);
        newest.saturating_sub(asof) > u64::from(self.lease_ms() / 4 * 3)
    }

    pub(super) fn scope(&self, of: &str) -> Digest {
        seal::scope(&self.audience.load(), of)
    }

    /// A preview link, signed.
    pub fn sign_preview(&self, link: &PreviewLink) -> Result<String, SignerError> {
        link.sign(&*self.key)
    }

    pub(super) fn sign(&self, stamp: &Stamp) -> Result<String, SignerError> {
        let signed = stamp.sign_by(&*self.key);
        let fails = signed.is_err();
        if self.is_failing.swap(fails, Ordering::Relaxed) != fails {
            match &signed {
                Err(error) => {
                    tracing::error!(%error, "answers keep the stamps they have, and age; it is tried again");
                }
                Ok(_) => tracing::info!("answers are stamped again"),
            }
        }
        signed
    }
}

/// Renews the stamps of all answers of `live` that were asked for since the last call. Returns how many.
pub fn refresh(live: &Live) -> usize {
    let answers = live.apps().flat_map(|app| app.answers.iter());
    answers
        .chain(live.kills())
        .filter(|answer| answer.renew())
        .count()
}
