//! What a device must still know after its battery died. A value: the shell keeps it, whole and in one
//! piece, before it acts on a verdict.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Now;
use crate::{
    digest::Digest,
    keyring::{Guard, Keyring},
    manifest::KillList,
    name::{AppId, Permission},
    policy::Policy,
    release::Release,
    time::Timestamp,
};

/// Everything a device knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The form of this document.
    pub(super) v: u32,
    /// What it lets itself in for.
    pub(super) guard: Guard,
    /// No instant before this can be now: whoever made the device knew it.
    pub(super) born: Timestamp,
    /// No instant before this can be now: the latest that a trusted stamp spoke of.
    pub(super) floor: Timestamp,
    /// Whose signatures count.
    pub(super) keyring: Keyring,
    /// What must not run, as last heard.
    pub(super) kills: Option<Kills>,
    /// Apps.
    pub(super) apps: BTreeMap<AppId, AppState>,
}

/// A count that a stolen key cannot spoil for ever: a new epoch of online keys begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Count {
    /// The epoch of the online keys.
    pub epoch: u64,
    /// The revision within it.
    pub rev: u64,
}

/// A list of kills that was believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kills {
    pub(super) count: Count,
    pub(super) asof: Timestamp,
    pub(super) sha256: Digest,
    pub(super) list: KillList,
}

/// What a device knows of one app.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AppState {
    /// The newest answer.
    pub heard: Option<Heard>,
    /// What the newest answer offers to run.
    pub offered: Option<Offer>,
    /// What runs: an offer that was installed.
    pub running: Option<Offer>,
    /// The app's policy.
    pub policy: Option<Policy>,
    /// The release record last believed, by its address.
    pub release: Option<(Digest, Release)>,
    /// Archives that were stopped, and when; nothing not newer brings one back.
    #[serde(default)]
    pub stopped: BTreeMap<Digest, Count>,
    /// When the whole app was stopped.
    pub all_stopped: Option<Count>,
}

/// An answer that was believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Its place in time.
    pub count: Count,
    /// When it was true.
    pub asof: Timestamp,
    /// Its bytes: an answer that nothing changed confirms these.
    pub body: String,
    /// True when another answer of the same revision said what cannot be true beside it: somebody signs
    /// two histories.
    #[serde(default, skip_serializing_if = "is_false")]
    pub equivocal: bool,
    /// How long it may be trusted.
    pub lease: Lease,
}

/// How long an answer may be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// From here on, by the device's own clock since its start.
    pub from_mono_ms: u64,
    /// In this run.
    pub boot: u64,
    /// For this long.
    pub length_ms: u64,
    /// And in a later run until here.
    pub until: Timestamp,
}

/// Something to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The archive.
    pub bundle: Digest,
    /// The number it was approved as; 0 without a record.
    pub seq: u64,
    /// What it may use.
    pub permissions: Vec<Permission>,
    /// True when it must not start on an old answer.
    pub block: bool,
    /// The answer that offered it.
    pub count: Count,
    /// True when it is tried before its review is over, and so has no record and no number.
    #[serde(default, skip_serializing_if = "is_false")]
    pub trial: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Offer {
    /// True when `policy` lets it run. What is on trial has no number that could be below a floor.
    pub(super) fn is_let_by(&self, policy: &Policy) -> bool {
        let seq = if self.trial { u64::MAX } else { self.seq };
        policy.lets(&self.bundle, seq)
    }
}

impl State {
    /// Whose signatures count.
    pub const fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// What it lets itself in for.
    pub const fn guard(&self) -> Guard {
        self.guard
    }

    /// No instant before this can be now.
    pub const fn floor(&self) -> Timestamp {
        self.floor
    }

    /// What is known of `app`.
    pub fn app(&self, app: &AppId) -> Option<&AppState> {
        self.apps.get(app)
    }

    /// The offer of `app` was installed and runs.
    #[must_use]
    pub fn activated(mut self, app: &AppId) -> Self {
        if let Some(known) = self.apps.get_mut(app) {
            known.running.clone_from(&known.offered);
        }
        self
    }

    /// True when `bundle` of `app` may not run on the word of an answer that is not newer.
    pub(super) fn is_stopped(&self, app: &AppId, bundle: &Digest, word: Count) -> bool {
        let known = self.apps.get(app);
        let single = known.and_then(|known| known.stopped.get(bundle).copied());
        let whole = known.and_then(|known| known.all_stopped);
        let listed = self.kills.as_ref().filter(|kills| {
            (kills.list.kills.iter())
                .any(|kill| kill.app == *app && kill.sha256.is_none_or(|one| one == *bundle))
        });
        let since = single.max(whole).max(listed.map(|kills| kills.count));
        since.is_some_and(|since| word <= since)
    }

    /// True when `permission` was taken back from `app`.
    pub(super) fn is_taken_back(&self, app: &AppId, permission: &Permission) -> bool {
        let list = self.kills.iter().flat_map(|kills| &kills.list.permissions);
        list.into_iter()
            .any(|one| one.app == *app && one.permission == *permission)
    }
}

impl Lease {
    /// True while the answer may be trusted. In a later run only the wall clock can tell, and only when it
    /// is not before anything known.
    pub(super) fn holds(&self, now: Now, floor: Timestamp) -> bool {
        if self.boot == now.boot {
            return now.mono_ms.saturating_sub(self.from_mono_ms) < self.length_ms;
        }
        now.wall >= floor && now.wall < self.until
    }
}
