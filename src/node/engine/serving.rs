//! Serving: what has changed is compiled and swapped in, kills first.
//!
//! Nothing here reads the ledger, and nothing is ever taken from what is served because something else failed.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};

use huidu_core::{
    catalogue::Touched,
    name::{AppId, SegmentName},
    rollout::Rollout,
};

use super::Engine;
use crate::{node::fold::Changed, store::Key};

impl Engine {
    /// Compiles what changed and swaps the snapshot. Kills first, and without waiting for anything.
    pub(super) async fn refresh(&mut self, changed: Changed) {
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
        // An app that cannot be compiled stays as it was, and as old.
        let asof = self.shared.stamper.asof();
        self.shared.live.load().retire(&apps, asof);
        let at_once = changed.touched.kills || changed.everything;
        if at_once {
            let live = self.shared.live.load_full();
            let live = self.front.compiled(&self.segments, &live, &apps, &changed);
            self.front.swap(live, revision, &self.segments);
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
            let live = self.shared.live.load_full();
            let changed = Changed::default();
            let live = self.front.compiled(&self.segments, &live, &later, &changed);
            self.front.swap(live, revision, &self.segments);
        }
        let lacks = &self.shared.health.lacks_segments;
        lacks.store(!self.waiting.is_empty(), Ordering::Relaxed);
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

    /// Segments that `apps` ask about and that are not in memory.
    fn missing(&mut self, apps: &BTreeSet<AppId>) -> BTreeSet<SegmentName> {
        let catalogue = self.shared.catalogue.read();
        let rollouts = apps
            .iter()
            .filter_map(|app| catalogue.apps.get(app)?.rollout.as_ref());
        let asked = rollouts.flat_map(Rollout::segments);
        asked
            .filter(|name| self.segments.is_missing(name))
            .cloned()
            .collect()
    }

    /// Those of `apps` that ask about any of `segments`.
    fn asking(&self, apps: &BTreeSet<AppId>, segments: &BTreeSet<SegmentName>) -> BTreeSet<AppId> {
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

    async fn load(&mut self, names: &BTreeSet<SegmentName>) {
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

    pub(super) async fn retry_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let apps = std::mem::take(&mut self.waiting);
        let touched = Touched {
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
