//! `LiveAnswer`: one prepared body with the headers it is sent with, stamped and ready to be cloned.
//!
//! What differs between answers (entity tag, stamp, body) lies in one piece of memory with one count of
//! its users, so that a poll of an app that nobody asked for lately waits for few lines of it. What is the
//! same for all answers of a kind is one header map, cloned whole: a sixth of the instructions of setting
//! headers one by one. Counters are resolved here, once, so that no poll looks up a label.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use arc_swap::{ArcSwapOption, Guard};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use huidu_core::{
    compile::Answer,
    digest::Digest,
    manifest::State,
    name::{AppId, ArmName, RuleName},
    revision::Revision,
    seal::{self, Stamp},
    time::Timestamp,
};
use prometheus::IntCounter;

use super::{Stamper, stamper::Current};
use crate::metrics::Metrics;

/// The header that stamps travel in.
pub const HUIDU_STAMP: HeaderName = HeaderName::from_static("huidu-stamp");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What an answer says, and how it may be kept.
pub(super) struct Subject {
    pub(super) body: Bytes,
    pub(super) digest: Digest,
    pub(super) revision: Revision,
    pub(super) scope: Digest,
    /// Headers that say how it may be kept.
    pub(super) kept: &'static Kept,
}

/// The headers that all answers of a kind have, with empty values where each has its own.
pub(super) struct Kept {
    ok: HeaderMap,
    not_modified: HeaderMap,
}

impl Kept {
    /// The headers of answers that say `cache`, and `vary` where they depend on a header.
    pub(super) fn new(cache: &'static str, vary: Option<&'static str>) -> Self {
        let own = HeaderValue::from_static("");
        let mut not_modified = HeaderMap::with_capacity(5);
        not_modified.insert(header::ETAG, own.clone());
        not_modified.insert(HUIDU_STAMP, own);
        not_modified.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        if let Some(vary) = vary {
            not_modified.insert(header::VARY, HeaderValue::from_static(vary));
        }
        let mut ok = not_modified.clone();
        ok.insert(header::CONTENT_TYPE, JSON);
        Self { ok, not_modified }
    }
}

/// What an answer is sent with, for one stamp; the three texts lie side by side.
pub struct Head {
    /// The entity tag, quoted.
    pub etag: HeaderValue,
    /// The stamp.
    pub stamp: HeaderValue,
    /// The body.
    pub body: Bytes,
    asof: u64,
    kept: &'static Kept,
}

impl Head {
    fn new(etag: &[u8], stamp: &[u8], body: &[u8], asof: u64, kept: &'static Kept) -> Self {
        let mut together = Vec::with_capacity(etag.len() + stamp.len() + body.len());
        for part in [etag, stamp, body] {
            together.extend_from_slice(part);
        }
        let mut rest = Bytes::from(together.into_boxed_slice());
        let etag = rest.split_to(etag.len());
        let stamp = rest.split_to(stamp.len());
        // Both are printable ASCII: hexadecimal digits in quotes, and base64url behind two names.
        let value = |bytes| {
            HeaderValue::from_maybe_shared(bytes).unwrap_or(HeaderValue::from_static("\"\""))
        };
        Self {
            etag: value(etag),
            stamp: value(stamp),
            body: rest,
            asof,
            kept,
        }
    }

    /// The headers of the answer, or those that say that the device has it already.
    pub fn headers(&self, not_modified: bool) -> HeaderMap {
        let kept = self.kept;
        let mut headers = if not_modified {
            kept.not_modified.clone()
        } else {
            kept.ok.clone()
        };
        // Its own are the first two: headers come in the order in which they were put in.
        let mut values = headers.values_mut();
        for own in [&self.etag, &self.stamp] {
            if let Some(value) = values.next() {
                value.clone_from(own);
            }
        }
        headers
    }
}

/// One prepared answer. What a poll reads and writes of it lies in one line of memory; the rest is apart.
#[repr(align(64))]
pub struct LiveAnswer {
    head: ArcSwapOption<Head>,
    /// How often it was given since [`LiveAnswer::tell`], and how often the device had it already.
    given: AtomicU64,
    unchanged: AtomicU64,
    stamper: Arc<Stamper>,
    told: Box<Told>,
    /// The beginning of the body's digest, from which the entity tag is made.
    pub tag: [u8; 16],
    /// True when a device loses nothing by hearing it later: it says what to run, and stops nothing.
    pub may_wait: bool,
    asked: AtomicBool,
}

const _: () = assert!(size_of::<LiveAnswer>() == 64, "one line of memory");

/// What polls of one app alone do not come to.
struct Told {
    subject: Subject,
    etag: HeaderValue,
    current: Arc<Current>,
    served: IntCounter,
    /// None: a list of kills is no poll.
    outcome: Option<IntCounter>,
    not_modified: IntCounter,
    stamped_inline: IntCounter,
    stamped_ahead: IntCounter,
    unsigned: IntCounter,
}

impl LiveAnswer {
    pub(super) fn new(
        subject: Subject,
        stamper: &Arc<Stamper>,
        current: &Arc<Current>,
        metrics: &Metrics,
        manifest: Option<(&AppId, &Answer)>,
    ) -> Self {
        let may_wait = manifest.is_some_and(|(_, answer)| answer.state == State::Run);
        let (served, outcome) = match manifest {
            Some((app, answer)) => {
                let version = answer
                    .version
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                let rule = answer.rule.as_ref().map_or("", RuleName::as_str);
                let arm = answer.arm.as_ref().map_or("", ArmName::as_str);
                (
                    metrics.served_of(app.as_str(), &version, rule, arm),
                    Some(metrics.outcome(answer.state, answer.reason)),
                )
            }
            None => (metrics.kill_lists.clone(), None),
        };
        let etag = huidu_core::manifest::etag(&subject.digest);
        let mut tag = [0; 16];
        tag.copy_from_slice(&subject.digest.as_bytes()[..16]);
        let told = Told {
            // Hexadecimal digits in quotes are a header value.
            etag: HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\"")),
            subject,
            current: Arc::clone(current),
            served,
            outcome,
            not_modified: metrics.polls_not_modified.clone(),
            stamped_inline: metrics.stamps.with_label_values(&["inline"]),
            stamped_ahead: metrics.stamps.with_label_values(&["ahead"]),
            unsigned: metrics.signer_failures.with_label_values(&["online"]),
        };
        Self {
            head: ArcSwapOption::empty(),
            given: AtomicU64::new(0),
            unchanged: AtomicU64::new(0),
            stamper: Arc::clone(stamper),
            told: Box::new(told),
            tag,
            may_wait,
            // Where whoever answers may not sign, it is signed before anybody asks.
            asked: AtomicBool::new(!stamper.is_quick()),
        }
    }

    /// The bytes that are sent.
    pub fn body(&self) -> &Bytes {
        &self.told.subject.body
    }

    /// Their entity tag, quoted.
    pub fn etag(&self) -> &HeaderValue {
        &self.told.etag
    }

    /// It was given once more.
    pub fn count(&self) {
        self.given.fetch_add(1, Ordering::Relaxed);
    }

    /// It was given to a device that had it already.
    pub fn count_unchanged(&self) {
        self.unchanged.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells the metrics how often it was given since the last time. Polls count here, beside what they read
    /// anyway, and not in counters that every poll of every app would write to.
    pub fn tell(&self) {
        let (told, given) = (&self.told, self.given.swap(0, Ordering::Relaxed));
        told.served.inc_by(given);
        if let Some(outcome) = &told.outcome {
            outcome.inc_by(given);
        }
        told.not_modified
            .inc_by(self.unchanged.swap(0, Ordering::Relaxed));
    }

    /// The heads with a stamp as fresh as this node's knowledge allows, give or take a part of the lease.
    /// Signs only when nobody asked for it lately, and only with a key in memory. None: nothing is signed yet.
    pub fn head(&self) -> Guard<Option<Arc<Head>>> {
        let head = self.head.load();
        // Written only when it changes something: cores would else pass the line around on every poll.
        if !self.asked.load(Ordering::Relaxed) {
            self.asked.store(true, Ordering::Relaxed);
        }
        match &*head {
            Some(known) if !self.stamper.is_old(known.asof) || !self.is_fresher(known) => head,
            _ if !self.stamper.is_quick() => {
                self.stamper.want();
                head
            }
            _ => {
                self.told.stamped_inline.inc();
                self.stamp();
                self.head.load()
            }
        }
    }

    /// The stamp alone.
    pub fn stamp_value(&self) -> HeaderValue {
        self.head()
            .as_ref()
            .map_or(HeaderValue::from_static(""), |head| head.stamp.clone())
    }

    /// Signs anew if anybody asked since the last call and anything fresher can be said.
    pub(super) fn renew(&self) -> bool {
        if !self.asked.swap(false, Ordering::Relaxed) {
            return false;
        }
        let fresher = (self.head.load().as_ref()).is_none_or(|known| self.is_fresher(known));
        if !fresher {
            return false;
        }
        let signed = self.stamp();
        if signed {
            self.told.stamped_ahead.inc();
        } else {
            // Somebody wants it still.
            self.asked.store(true, Ordering::Relaxed);
        }
        signed
    }

    /// True when this answer can be given a later time than `known` has.
    fn is_fresher(&self, known: &Head) -> bool {
        known.asof < self.asof().unix_ms()
    }

    /// Until when this answer was known to be in force.
    fn asof(&self) -> Timestamp {
        self.stamper.asof_of(&self.told.current)
    }

    /// Something else takes its place; see [`Current`].
    pub(super) fn retire(&self, asof: Timestamp) {
        self.told.current.retire(asof);
    }

    /// Signs anew; where that fails, what was signed before stays.
    fn stamp(&self) -> bool {
        let asof = self.asof();
        let Some(head) = self.made_at(asof).map(Arc::new) else {
            return false;
        };
        // Two may sign at once: the fresher one stays.
        self.head.rcu(|known| match known {
            Some(known) if known.asof > head.asof => Some(Arc::clone(known)),
            _ => Some(Arc::clone(&head)),
        });
        true
    }

    /// A stamp for one request alone: signed now, whatever was signed before.
    /// None: it could not be.
    pub fn challenged(&self, nonce: &[u8; 32], request: &Digest) -> Option<HeaderValue> {
        let stamp = Stamp {
            scope: seal::challenge(nonce, request),
            challenge: true,
            ..self.said_at(self.asof())
        };
        HeaderValue::try_from(self.signed(&stamp)?).ok()
    }

    fn said_at(&self, asof: Timestamp) -> Stamp {
        let subject = &self.told.subject;
        Stamp {
            revision: subject.revision,
            asof,
            lease_ms: self.stamper.lease_ms(),
            // A manifest is at most 64 KiB; a list of kills cannot reach 4 GiB.
            body_len: u32::try_from(subject.body.len()).unwrap_or(u32::MAX),
            body: subject.digest,
            scope: subject.scope,
            challenge: false,
        }
    }

    fn signed(&self, stamp: &Stamp) -> Option<String> {
        let signed = self.stamper.sign(stamp).ok();
        if signed.is_none() {
            self.told.unsigned.inc();
        }
        signed
    }

    fn made_at(&self, asof: Timestamp) -> Option<Head> {
        let subject = &self.told.subject;
        let stamp = self.signed(&self.said_at(asof))?;
        Some(Head::new(
            self.told.etag.as_bytes(),
            stamp.as_bytes(),
            &subject.body,
            asof.unix_ms(),
            subject.kept,
        ))
    }
}

impl Drop for LiveAnswer {
    fn drop(&mut self) {
        self.tell();
    }
}
