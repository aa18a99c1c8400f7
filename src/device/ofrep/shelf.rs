//! `Shelf`: what is found out once about everything that is served, for whoever asks for all flags of a bank app.
//!
//! Which apps a bank app has, and when answers turn by time alone, would take a walk over all apps for every request. It
//! is found out when the first one asks after a change, and all cores share it. Two cores that ask at once may both walk;
//! nobody waits for a walk. No poll comes here.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use huidu_core::time::Timestamp;

use crate::node::live::Live;

/// The names of a bank app's apps, sorted.
pub(in crate::device) type Keys = Arc<[Box<str>]>;

/// What was found out last.
#[derive(Debug, Default)]
pub(in crate::device) struct Shelf(Mutex<Option<Arc<Found>>>);

struct Found {
    /// What it is true of. While this is kept nothing else can lie at the same address.
    of: Weak<Live>,
    hosts: HashMap<Box<str>, Keys>,
    /// Rising.
    turns: Box<[Timestamp]>,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").finish_non_exhaustive()
    }
}

impl Shelf {
    /// The apps that are rolled out in the bank app `host`, killed ones too.
    pub(super) fn apps(&self, live: &Arc<Live>, host: &str) -> Keys {
        let found = self.found(live);
        found.hosts.get(host).cloned().unwrap_or_default()
    }

    /// How many of the instants have passed at which an answer may become another by time alone.
    pub(super) fn turned(&self, live: &Arc<Live>, now: Timestamp) -> usize {
        self.found(live).turns.partition_point(|at| *at <= now)
    }

    fn found(&self, live: &Arc<Live>) -> Arc<Found> {
        let known = self.held().clone();
        if let Some(found) = known.filter(|found| found.is_of(live)) {
            return found;
        }
        let found = Arc::new(Found::about(live));
        *self.held() = Some(Arc::clone(&found));
        found
    }

    fn held(&self) -> MutexGuard<'_, Option<Arc<Found>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    fn is_of(&self, live: &Arc<Live>) -> bool {
        std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(live))
    }

    fn about(live: &Arc<Live>) -> Self {
        let mut hosts: HashMap<Box<str>, Vec<Box<str>>> = HashMap::new();
        let mut turns = Vec::new();
        for app in live.apps() {
            let key = app.compiled.id().as_str();
            for host in app.hosts() {
                match hosts.get_mut(host) {
                    Some(keys) => keys.push(key.into()),
                    None => drop(hosts.insert(host.into(), vec![key.into()])),
                }
            }
            if app.compiled.asks_time() {
                turns.extend(app.compiled.turns());
            }
        }
        turns.sort_unstable();
        let sorted = |(host, mut keys): (_, Vec<Box<str>>)| {
            keys.sort_unstable();
            (host, keys.into())
        };
        Self {
            of: Arc::downgrade(live),
            hosts: hosts.into_iter().map(sorted).collect(),
            turns: turns.into(),
        }
    }
}
