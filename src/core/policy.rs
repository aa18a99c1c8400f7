//! The app policy: what operations and security sign about all versions of an app, offline.
//!
//! A floor below which nothing runs, single releases taken back, the most that may ever be permitted, and
//! the hard delisting: no server can undo any of it.

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    envelope::Kind,
    keyring::Role,
    limits,
    name::{AppId, Permission},
    paper::{self, Paper, PaperError, field},
    time::Timestamp,
};

/// What a device does when it cannot reach anybody for longer than its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnStale {
    /// Goes on.
    #[default]
    Run,
    /// Refuses to start.
    Block,
}

/// Whether an app may run at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It may.
    #[default]
    Live,
    /// It may not, in any version, whatever a server says.
    Delisted,
}

/// What holds for all versions of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The form of this document: 1.
    pub v: u32,
    /// The installation, `bank/environment`.
    pub aud: String,
    /// The app, `tenant/app`.
    pub app: AppId,
    /// Rises with every policy of the app.
    pub version: u64,
    /// From then on nothing new is installed by its word, Unix seconds.
    pub expires: u64,
    /// Whether it may run at all.
    #[serde(default, skip_serializing_if = "is_live")]
    pub state: Standing,
    /// The smallest `seq` of a release that may run.
    pub floor_seq: u64,
    /// Archives that may not run.
    pub revoked: Vec<Digest>,
    /// The most that any version may be permitted.
    pub max_permissions: Vec<Permission>,
    /// What to do when nobody can be asked.
    pub on_stale: OnStale,
    /// How long after the lease that takes effect, in seconds.
    pub stale_grace_s: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_live(standing: &Standing) -> bool {
    *standing == Standing::Live
}

impl Policy {
    /// The instant from which it is expired.
    pub const fn expires(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.expires.saturating_mul(1_000))
    }

    /// True when something may run by this policy that may not by `other`, or for longer without news.
    pub fn lets_more_than(&self, other: &Self) -> bool {
        let within =
            |these: &[Digest], those: &[Digest]| these.iter().all(|one| those.contains(one));
        (self.state == Standing::Live && other.state == Standing::Delisted)
            || self.floor_seq < other.floor_seq
            || !within(&other.revoked, &self.revoked)
            || !(self.max_permissions.iter()).all(|one| other.max_permissions.contains(one))
            || (other.on_stale == OnStale::Block
                && (self.on_stale == OnStale::Run || self.stale_grace_s > other.stale_grace_s))
    }

    /// True when the archive, approved as number `seq`, may run.
    pub fn lets(&self, bundle: &Digest, seq: u64) -> bool {
        self.state == Standing::Live
            && seq >= self.floor_seq
            && self.revoked.binary_search(bundle).is_err()
    }
}

impl Paper for Policy {
    const KIND: Kind = Kind::Policy;
    const ROLE: Role = Role::Policy;

    fn audience(&self) -> &str {
        &self.aud
    }

    fn check(&self) -> Result<(), PaperError> {
        paper::check_head(self.v, &self.aud)?;
        if self.version == 0 {
            return Err(field("version", "is 0; the first policy of an app is 1"));
        }
        paper::check_set("revoked", &self.revoked, limits::REVOKED)?;
        paper::check_set(
            "max_permissions",
            &self.max_permissions,
            limits::CATALOGUE_PERMISSIONS,
        )
    }
}
