//! `LiveAnswer`: one prepared body with the headers it is sent with, stamped and ready to be cloned.
//!
//! A poll that gets this answer clones one header map whole and adds nothing. Counters are resolved here,
//! once, so that no poll looks up a label.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::{ArcSwapOption, Guard};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use huidu_core::{
    compile::Answer,
    digest::Digest,
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
    pub(super) cache: &'static str,
    pub(super) vary: Option<&'static str>,
}

/// The heads an answer is sent with, for one stamp.
pub struct Head {
    /// Of the answer itself.
    pub ok: HeaderMap,
    /// When the device has it already.
    pub not_modified: HeaderMap,
    /// The stamp alone, for a batch.
    pub stamp: HeaderValue,
    asof: u64,
}

/// One prepared answer.
pub struct LiveAnswer {
    /// The bytes that are sent.
    pub body: Bytes,
    /// Their entity tag, quoted.
    pub etag: HeaderValue,
    /// How often it was given.
    pub served: IntCounter,
    /// How often its kind of outcome was given.
    pub outcome: IntCounter,
    subject: Subject,
    stamper: Arc<Stamper>,
    current: Arc<Current>,
    head: ArcSwapOption<Head>,
    asked: AtomicBool,
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
                    metrics.outcome(answer.state, answer.reason),
                )
            }
            None => (metrics.kill_lists.clone(), metrics.kill_lists.clone()),
        };
        let etag = huidu_core::manifest::etag(&subject.digest);
        Self {
            body: subject.body.clone(),
            // Hexadecimal digits in quotes are a header value.
            etag: HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\"")),
            served,
            outcome,
            subject,
            stamper: Arc::clone(stamper),
            current: Arc::clone(current),
            head: ArcSwapOption::empty(),
            // Where whoever answers may not sign, it is signed before anybody asks.
            asked: AtomicBool::new(!stamper.is_quick()),
            stamped_inline: metrics.stamps.with_label_values(&["inline"]),
            stamped_ahead: metrics.stamps.with_label_values(&["ahead"]),
            unsigned: metrics.signer_failures.with_label_values(&["online"]),
        }
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
                self.stamped_inline.inc();
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
            self.stamped_ahead.inc();
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
        self.stamper.asof_of(&self.current)
    }

    /// Something else takes its place; see [`Current`].
    pub(super) fn retire(&self, asof: Timestamp) {
        self.current.retire(asof);
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
        self.signed(&stamp)
    }

    fn said_at(&self, asof: Timestamp) -> Stamp {
        let subject = &self.subject;
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

    fn signed(&self, stamp: &Stamp) -> Option<HeaderValue> {
        let signed = self.stamper.sign(stamp).ok();
        let value = signed.and_then(|text| HeaderValue::from_str(&text).ok());
        if value.is_none() {
            self.unsigned.inc();
        }
        value
    }

    fn made_at(&self, asof: Timestamp) -> Option<Head> {
        let subject = &self.subject;
        let stamp = self.signed(&self.said_at(asof))?;
        let mut not_modified = HeaderMap::with_capacity(4);
        not_modified.insert(header::ETAG, self.etag.clone());
        not_modified.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static(subject.cache),
        );
        if let Some(vary) = subject.vary {
            not_modified.insert(header::VARY, HeaderValue::from_static(vary));
        }
        not_modified.insert(HUIDU_STAMP, stamp.clone());
        let mut ok = not_modified.clone();
        ok.insert(header::CONTENT_TYPE, JSON);
        Some(Head {
            ok,
            not_modified,
            stamp,
            asof: asof.unix_ms(),
        })
    }
}
