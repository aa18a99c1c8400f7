//! `Stamper`: signs what a node answers, with the time at which it last knew everything.
//!
//! The time in a stamp is never now: it is when this node last proved that it held the end of the log, so
//! a node that is cut off ages honestly. Stamps are signed when first asked for and renewed at half their
//! lease while they are asked for: thousands of answers that nobody wants cost nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use ed25519_dalek::SigningKey;
use huidu_core::{
    digest::Digest,
    seal::{self, Stamp},
    time::Timestamp,
};

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
    key: SigningKey,
    lease_ms: AtomicU32,
    audience: ArcSwap<String>,
    asof: AtomicU64,
}

impl Stamper {
    /// A stamper of nobody yet.
    pub fn new(key: SigningKey, lease_ms: u32) -> Self {
        Self {
            key,
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
    pub fn public_key(&self) -> ed25519_dalek::VerifyingKey {
        self.key.verifying_key()
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
    pub fn sign_preview(&self, link: &huidu_core::preview::PreviewLink) -> String {
        link.sign(&self.key)
    }

    pub(super) fn sign(&self, stamp: &Stamp) -> String {
        stamp.sign(&self.key)
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
