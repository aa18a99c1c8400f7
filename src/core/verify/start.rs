//! Whether an app may be started now, from what is known and the time alone.

use super::{Now, State};
use crate::{digest::Digest, name::AppId, name::Permission};

/// Whether an app may be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Yes.
    Run {
        /// The archive.
        bundle: Digest,
        /// What it may use.
        permissions: Vec<Permission>,
        /// True while its answer may be trusted; otherwise it goes on by choice of the bank.
        is_fresh: bool,
    },
    /// Nothing is installed that may run.
    Nothing,
    /// Its answer is too old, and the app must not run on an old one.
    Stale,
    /// The policy lets it run no more.
    Forbidden,
}

impl State {
    /// Whether `app` may be started.
    pub fn start(&self, app: &AppId, now: Now) -> Start {
        let Some((known, offer)) = self
            .apps
            .get(app)
            .and_then(|known| Some((known, known.running.as_ref()?)))
        else {
            return Start::Nothing;
        };
        if self.is_stopped(app, &offer.bundle, offer.count) {
            return Start::Nothing;
        }
        let policy = known.policy.as_ref();
        if policy.is_some_and(|policy| !offer.is_let_by(policy)) {
            return Start::Forbidden;
        }
        let lease = known.heard.as_ref().map(|heard| heard.lease);
        let is_fresh = lease.is_some_and(|lease| lease.holds(now, self.floor));
        if offer.block && !is_fresh {
            let grace_ms = policy.map_or(0, |policy| u64::from(policy.stale_grace_s) * 1_000);
            let in_grace = lease.is_some_and(|mut lease| {
                lease.length_ms = lease.length_ms.saturating_add(grace_ms);
                lease.until = lease.until.plus_ms(grace_ms);
                lease.holds(now, self.floor)
            });
            if !in_grace {
                return Start::Stale;
            }
        }
        let left = offer.permissions.iter();
        Start::Run {
            bundle: offer.bundle,
            permissions: left
                .filter(|one| !self.is_taken_back(app, one))
                .cloned()
                .collect(),
            is_fresh,
        }
    }
}
