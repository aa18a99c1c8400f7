//! `Catalogue`: everything that is true at one revision: the fold of all events.
//!
//! [`Catalogue::apply`] is total: whatever could be refused was refused in `decide`, and an event about
//! something unknown changes nothing. It never looks at a clock; time comes with the event.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    authority::Role,
    digest::Digest,
    event::{Event, Stamped},
    name::{AppId, HostId, LayerName, SegmentName, TenantId},
    revision::Revision,
    rollout::Rollout,
    slots::Slots,
    time::Timestamp,
    version::{Life, Number, Review, Version},
};

/// Everything that is true at one revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// The revision this is true at.
    pub revision: Revision,
    /// What manifests are addressed to, `bank/environment`; empty before the founding.
    pub audience: String,
    /// Whether versions must be approved before they are listed.
    pub review: Review,
    /// Credentials by public name.
    pub tokens: BTreeMap<String, Token>,
    /// Tenants and their titles.
    pub tenants: BTreeMap<TenantId, String>,
    /// Bank apps and their titles.
    pub hosts: BTreeMap<HostId, String>,
    /// Mini-programs.
    pub apps: BTreeMap<AppId, App>,
    /// Uploaded lists of units.
    pub segments: BTreeMap<SegmentName, SegmentRef>,
}

/// A credential: never its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// SHA-256 of its secret.
    pub sha256: Digest,
    /// What it may do.
    pub role: Role,
    /// Who or what it is for.
    pub note: String,
}

/// A mini-program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Its name.
    pub id: AppId,
    /// Its name as people read it.
    pub title: String,
    /// The last revision that changed it, or a segment it asks about: what `If-Match` compares and what
    /// its manifests carry.
    pub revision: Revision,
    /// Its versions.
    pub versions: BTreeMap<Number, Version>,
    /// Which version each device gets; none: no device gets any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// Set while the whole app must not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub killed: Option<AppKill>,
}

/// Why and since when a whole app must not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppKill {
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// Where a segment's units are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRef {
    /// SHA-256 of its encoded units: its name in the store.
    pub sha256: Digest,
    /// How many units it holds.
    pub units: u64,
    /// The revision that put it there.
    pub revision: Revision,
}

/// What a revision touched: what a node must compile again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Touched {
    /// Apps whose answers may differ.
    pub apps: BTreeSet<AppId>,
    /// Segments put or removed.
    pub segments: BTreeSet<SegmentName>,
    /// True when the list of kills changed.
    pub kills: bool,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self {
            revision: Revision::ZERO,
            audience: String::new(),
            review: Review::Required,
            tokens: BTreeMap::new(),
            tenants: BTreeMap::new(),
            hosts: BTreeMap::new(),
            apps: BTreeMap::new(),
            segments: BTreeMap::new(),
        }
    }
}
