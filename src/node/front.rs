//! The front: what is served, and the one place where it is swapped.
//!
//! What is true comes from the ledger, by the engine; what stops without waiting for the ledger is laid on top
//! here: stops behind a record that cannot be read, and kills that the ledger does not have yet. A kill is put
//! in force under one lock in memory and waits for no store, no disk and no other task; whatever the engine was
//! compiling meanwhile is served with the kill on top of it. Only the ledger takes one away again.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use huidu_core::{
    ahead::{self, Stop},
    catalogue::{Catalogue, Touched},
    compile::Context,
    key::Signer as _,
    keyring::{self, Keyring},
    limits,
    name::AppId,
    notice::{self, Notice, Sealed},
    op::{OpId, RecentOps, Settled},
    revision::Revision,
    time::Timestamp,
};
use tokio::{sync::OnceCell, time::Instant};

use super::{
    Parts, Shared,
    compiling::Compiling,
    fold::{Changed, End},
    live::Live,
    segments::Segments,
};

/// What is served, and what lies on top of what is true.
pub(super) struct Front {
    parts: Arc<Parts>,
    shared: Arc<Shared>,
    top: Mutex<Top>,
}

struct Top {
    /// What was served before: kept until the next change, so that no poll is ever the last to hold it and
    /// has to take it down.
    retired: Arc<Live>,
    /// What stops behind a record that this build cannot read.
    stops: Vec<Stop>,
    /// Kills that the ledger does not have yet.
    held: BTreeMap<OpId, Held>,
    /// How the latest wants ended.
    ended: RecentOps,
    /// As the engine last had them.
    segments: Arc<Segments>,
    /// Nothing but what stops is served.
    withdrawn: bool,
}

/// A kill that is in force here and not in the ledger.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) sealed: Sealed,
    /// Whether this node took it.
    pub(super) is_own: bool,
    pub(super) since: Instant,
    /// No answer without it has a later time.
    pub(super) asof: Timestamp,
    /// Whether it outlasts this process, once that is known.
    pub(super) kept: Arc<OnceCell<bool>>,
}

/// What became of a kill that was to be put in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// It is in force; no answer without it has a later time than this.
    InForce(Timestamp),
    /// It was in force already, since that time.
    Already(Timestamp),
    /// The ledger has settled it: that governs.
    Settled(Settled),
    /// More kills wait for the ledger than a node holds.
    Full,
}

/// Kills that the ledger has settled.
#[derive(Debug, Default)]
pub(super) struct Cleared {
    pub(super) ops: Vec<(OpId, Settled, Held)>,
    /// What must be compiled again because of it.
    pub(super) touched: Touched,
}

impl Top {
    fn notices(&self) -> Vec<Notice> {
        let held = self.held.values();
        held.map(|held| held.sealed.notice().clone()).collect()
    }
}

/// What is true, with what stops on top of it.
fn with<'a>(stops: &[Stop], held: &[Notice], catalogue: &'a Catalogue) -> Cow<'a, Catalogue> {
    if stops.is_empty() && held.is_empty() {
        return Cow::Borrowed(catalogue);
    }
    Cow::Owned(notice::with(&ahead::stopped(catalogue, stops), held))
}

impl Front {
    pub(super) fn new(parts: Arc<Parts>, shared: Arc<Shared>) -> Self {
        Self {
            parts,
            shared,
            top: Mutex::new(Top {
                retired: Arc::new(Live::empty()),
                stops: Vec::new(),
                held: BTreeMap::new(),
                ended: RecentOps::default(),
                segments: Arc::default(),
                withdrawn: false,
            }),
        }
    }

    fn top(&self) -> MutexGuard<'_, Top> {
        self.top.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a kill in force, unless the ledger has settled it.
    pub(super) fn hold(&self, sealed: Sealed, is_own: bool) -> Hold {
        let op = sealed.notice().op;
        let app = sealed.notice().app.clone();
        let mut top = self.top();
        if let Some(end) = top.ended.get(&op) {
            return Hold::Settled(end);
        }
        if let Some(held) = top.held.get_mut(&op) {
            // The taker's own word again, with a later base.
            if sealed.notice().base > held.sealed.notice().base {
                held.sealed = sealed;
            }
            return Hold::Already(held.asof);
        }
        if top.held.len() >= limits::NOTICES {
            return Hold::Full;
        }
        let asof = self.shared.stamper.asof();
        let held = Held {
            sealed,
            is_own,
            since: Instant::now(),
            asof,
            kept: Arc::default(),
        };
        top.held.insert(op, held);
        self.parts
            .metrics
            .provisional_kills
            .set(i64::try_from(top.held.len()).unwrap_or(i64::MAX));
        let live = self.shared.live.load_full();
        live.retire([&app], asof);
        let live = self.over(Live::clone(&live), &top, &BTreeSet::from([app]));
        self.serve(&mut top, live);
        Hold::InForce(asof)
    }

    /// The kills that are in force here and not in the ledger.
    pub(super) fn held(&self) -> Vec<Held> {
        self.top().held.values().cloned().collect()
    }

    /// One of them.
    pub(super) fn holds(&self, op: &OpId) -> Option<Held> {
        self.top().held.get(op).cloned()
    }

    #[cfg(test)]
    pub(super) fn forget_ends(&self) {
        self.top().ended = RecentOps::default();
    }

    /// How `op` ended, as far as it is remembered here.
    pub(super) fn ended(&self, op: &OpId) -> Option<Settled> {
        self.top().ended.get(op)
    }

    /// Learns how wants ended, and lets go of the kills among them: from now on the ledger governs. `all` is
    /// everything that is remembered, where the ledger was opened anew.
    pub(super) fn settle(&self, all: Option<RecentOps>, ends: &[End]) -> Cleared {
        let mut cleared = Cleared::default();
        if all.is_none() && ends.is_empty() {
            return cleared;
        }
        let mut top = self.top();
        if let Some(all) = all {
            top.ended = all;
        }
        for (op, end) in ends {
            top.ended.note_end(*op, *end);
        }
        if top.held.is_empty() {
            return cleared;
        }
        // A want may be settled and forgotten within one stretch of records.
        let told: BTreeMap<OpId, Settled> = ends.iter().copied().collect();
        let ops: Vec<OpId> = top.held.keys().copied().collect();
        for op in ops {
            let end = told.get(&op).copied().or_else(|| top.ended.get(&op));
            if let Some(end) = end
                && let Some(held) = top.held.remove(&op)
            {
                cleared
                    .touched
                    .apps
                    .insert(held.sealed.notice().app.clone());
                cleared.touched.kills = true;
                cleared.ops.push((op, end, held));
            }
        }
        self.parts
            .metrics
            .provisional_kills
            .set(i64::try_from(top.held.len()).unwrap_or(i64::MAX));
        cleared
    }

    /// Lays these stops on top from now on, in place of those before. Answers those, when they differ.
    pub(super) fn put_stops(&self, stops: Vec<Stop>) -> Option<Vec<Stop>> {
        let mut top = self.top();
        if stops.len() == top.stops.len() {
            return None;
        }
        Some(std::mem::replace(&mut top.stops, stops))
    }

    /// `live` with what stops on top, and `apps` compiled anew.
    fn over(&self, live: Live, top: &Top, apps: &BTreeSet<AppId>) -> Live {
        let known = self.shared.catalogue.read();
        let catalogue = &*with(&top.stops, &top.notices(), &known);
        let work = self.work(&top.segments, catalogue);
        let found = apps.iter().filter_map(|id| catalogue.apps.get(id));
        let revision = live.revision;
        let live = live.with_apps(revision, found.filter_map(|app| work.one(app)));
        live.with_kills(catalogue, &self.shared.stamper, &self.parts.metrics)
    }

    fn work<'a>(&'a self, segments: &'a Segments, catalogue: &Catalogue) -> Compiling<'a> {
        Compiling {
            context: Context {
                audience: catalogue.audience.clone(),
                poll_after_ms: self.parts.settings.poll_after_ms,
                poll_spread_ms: self.parts.settings.poll_spread_ms,
                keyring: catalogue.trust.chain.version(),
            },
            segments,
            stamper: &self.shared.stamper,
            metrics: &self.parts.metrics,
            revision: catalogue.revision,
        }
    }

    /// `live` with `apps` compiled anew from the catalogue.
    pub(super) fn compiled(
        &self,
        segments: &Segments,
        live: &Live,
        apps: &BTreeSet<AppId>,
        changed: &Changed,
    ) -> Live {
        // Never both locks in this order: see `over`.
        let (stops, held) = {
            let top = self.top();
            (top.stops.clone(), top.notices())
        };
        let known = self.shared.catalogue.read();
        let catalogue = &*with(&stops, &held, &known);
        let (stamper, metrics) = (&self.shared.stamper, &*self.parts.metrics);
        stamper.address(&catalogue.audience);
        if let Some(keyring) = &catalogue.trust.chain.newest {
            self.heed(keyring);
        }
        let work = self.work(segments, catalogue);
        let found = apps.iter().filter_map(|id| catalogue.apps.get(id));
        if changed.everything {
            // Apps are never taken away, so compiling all of them replaces all of them; nobody is served
            // yet, so all cores may.
            let compiled = work.side_by_side(&found.collect::<Vec<_>>());
            let live = Live::empty().with_apps(known.revision, compiled);
            return live.with_kills(catalogue, stamper, metrics);
        }
        let compiled = found.filter_map(|app| work.one(app));
        let live = live.clone().with_apps(known.revision, compiled);
        // Stops on top of what is true come and go without any record that says so.
        if changed.touched.kills || !stops.is_empty() {
            live.with_kills(catalogue, stamper, metrics)
        } else {
            live.with_same_kills(catalogue, stamper, metrics)
        }
    }

    /// Serves `live` from now on, with every kill on top of it that was put in force while it was compiled.
    pub(super) fn swap(&self, live: Live, revision: Revision, segments: &Segments) {
        let mut top = self.top();
        top.segments = Arc::new(segments.clone());
        let live = if top.held.is_empty() {
            live
        } else {
            let held = top.held.values();
            let apps: BTreeSet<_> = held.map(|held| held.sealed.notice().app.clone()).collect();
            self.shared
                .live
                .load()
                .retire(&apps, self.shared.stamper.asof());
            self.over(live, &top, &apps)
        };
        self.serve(&mut top, live);
        self.shared.revision.send_replace(revision);
        self.parts
            .metrics
            .ledger_revision
            .set(i64::try_from(revision.get()).unwrap_or(i64::MAX));
    }

    /// Whether nothing but what stops is served from the next swap on. Answers how it was.
    pub(super) fn withdraw(&self, everything: bool) -> bool {
        std::mem::replace(&mut self.top().withdrawn, everything)
    }

    fn serve(&self, top: &mut Top, live: Live) {
        let live = if top.withdrawn {
            live.withdrawn()
        } else {
            live
        };
        let mark = live.kills_mark();
        top.retired = self.shared.live.swap(Arc::new(live));
        self.shared.kills.send_if_modified(|known| {
            let is_new = *known != mark;
            *known = mark;
            is_new
        });
    }

    /// Keeps to what the root allows, and says when devices will not believe this node.
    fn heed(&self, keyring: &Keyring) {
        let stamper = &self.shared.stamper;
        stamper.limit_lease(keyring.online.max_lease_ms);
        let key = stamper.public_key();
        let is_known = keyring.signers(keyring::Role::Online).contains(&key);
        let metrics = &self.parts.metrics;
        let version = i64::try_from(keyring.version).unwrap_or(i64::MAX);
        if !is_known && metrics.keyring_version.get() != version {
            tracing::error!(keyring = keyring.version, key = %key.id(), "the keyring does not list this node's online key: devices will not believe it; give the node a key of role `online`");
        }
        let own = self.parts.log_key.as_ref().map(|key| key.public_key());
        let writes = own.is_some_and(|own| keyring.signers(keyring::Role::Log).contains(&own));
        if !writes && metrics.keyring_version.get() != version {
            tracing::error!(
                keyring = keyring.version,
                "the keyring does not list this node's log key: it serves, and writes nothing; give the node a key of role `log`"
            );
        }
        metrics.keyring_version.set(version);
        metrics.online_key_trusted.set(i64::from(is_known));
    }
}
