//! Compiling: apps of the catalogue made ready to be served, one of them or all side by side.
//!
//! Never on the way of a poll, and never the reason that something stops being served: an app that cannot be
//! compiled stays as it was.

use std::{panic::AssertUnwindSafe, sync::Arc, thread};

use huidu_core::{
    catalogue::App,
    compile::{Context, compile},
    predicate::Membership,
    revision::Revision,
};

use super::{
    live::{LiveApp, Stamper},
    segments::Segments,
};
use crate::metrics::Metrics;

/// Fewer apps than this are not worth a thread.
const WORTH: usize = 64;

/// What apps are compiled with.
pub(super) struct Compiling<'a> {
    pub(super) context: Context,
    pub(super) segments: &'a Segments,
    pub(super) stamper: &'a Arc<Stamper>,
    pub(super) metrics: &'a Metrics,
    /// For the log.
    pub(super) revision: Revision,
}

impl Compiling<'_> {
    /// The app, ready; none when it cannot be compiled.
    pub(super) fn one(&self, app: &Arc<App>) -> Option<Arc<LiveApp>> {
        let work = || {
            compile(app, &self.context, &|name: &_| {
                let segment = self.segments.get(name);
                segment.map(|segment| segment as Arc<dyn Membership>)
            })
        };
        // A defect in the compiler must not take down what is served: the app stays as it was.
        match std::panic::catch_unwind(AssertUnwindSafe(work)) {
            Ok(compiled) => {
                let live = LiveApp::new(compiled, self.stamper, self.metrics);
                Some(Arc::new(live.knowing(app)))
            }
            Err(_) => {
                tracing::error!(app.id = %app.id, revision = %self.revision, "this revision cannot be compiled; the app stays as it was");
                None
            }
        }
    }

    /// All of `apps`, on all cores.
    pub(super) fn side_by_side(&self, apps: &[&Arc<App>]) -> Vec<Arc<LiveApp>> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let part = apps.len().div_ceil(cores).max(WORTH);
        let of = |part: &[&Arc<App>]| -> Vec<Arc<LiveApp>> {
            part.iter().filter_map(|app| self.one(app)).collect()
        };
        thread::scope(|scope| {
            let mut parts = apps.chunks(part);
            // The first part is this thread's own.
            let own = parts.next().unwrap_or_default();
            let others: Vec<_> = parts.map(|part| scope.spawn(move || of(part))).collect();
            let mut all = of(own);
            for other in others {
                match other.join() {
                    Ok(part) => all.extend(part),
                    // As it would be on this thread: nothing is left out unsaid.
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            all
        })
    }
}
