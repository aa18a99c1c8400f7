//! `Event`: what happened, for ever. The ledger keeps events; the catalogue is their fold.
//!
//! Tags and fields are stable: an old record must be readable by every later version, so an event is
//! only ever added or given optional fields. An event says what is true from now on, never what somebody
//! asked for (that is a command).

use serde::{Deserialize, Serialize};

use crate::{
    authority::Role,
    digest::Digest,
    name::{AppId, HostId, RuleName, SegmentName, TenantId},
    rollout::Rollout,
    share::Share,
    time::Timestamp,
    version::{Number, Review, Version},
};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The cluster came into being: always and only the first event of a ledger.
    Founded {
        /// What its manifests are addressed to, `bank/environment`.
        audience: String,
        /// Whether versions must be approved before they are listed.
        review: Review,
    },
    /// A credential was given out.
    TokenAdded {
        /// Its public name.
        id: String,
        /// SHA-256 of its secret.
        sha256: Digest,
        /// What it may do.
        role: Role,
        /// Who or what it is for.
        note: String,
    },
    /// A credential was taken back.
    TokenRevoked {
        /// Its public name.
        id: String,
    },
    /// A tenant was admitted.
    TenantAdded {
        /// The tenant.
        tenant: TenantId,
        /// Its name as people read it.
        title: String,
    },
    /// A bank app was admitted.
    HostAdded {
        /// The host.
        host: HostId,
        /// Its name as people read it.
        title: String,
    },
    /// A mini-program was admitted.
    AppAdded {
        /// The app.
        app: AppId,
        /// Its name as people read it.
        title: String,
    },
    /// A version was handed in.
    VersionSubmitted {
        /// The app.
        app: AppId,
        /// The version, in state `submitted`.
        version: Version,
    },
    /// A version may be rolled out.
    VersionListed {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
    },
    /// A version may not be offered any more; devices that run it may go on.
    VersionDelisted {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// Why.
        reason: String,
    },
    /// A version, or the whole app, must stop running now.
    Killed {
        /// The app.
        app: AppId,
        /// The version; none: the whole app.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<Number>,
        /// Why.
        reason: String,
    },
    /// A kill was taken back.
    Unkilled {
        /// The app.
        app: AppId,
        /// The version; none: the whole app.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<Number>,
        /// Why.
        reason: String,
    },
    /// The rollout of an app was put in place, whole, with every slot given.
    RolloutPut {
        /// The rollout; names its app.
        rollout: Box<Rollout>,
    },
    /// The share of one rule was moved.
    ShareSet {
        /// The app.
        app: AppId,
        /// The rule.
        rule: RuleName,
        /// Its share from now on.
        share: Share,
        /// The slots of its layer from now on, when it has one.
        #[serde(default, skip_serializing_if = "crate::slots::Slots::is_empty")]
        slots: crate::slots::Slots,
    },
    /// A rule was paused or resumed.
    PauseSet {
        /// The app.
        app: AppId,
        /// The rule.
        rule: RuleName,
        /// True: it takes nobody.
        paused: bool,
    },
    /// A segment was uploaded, or replaced.
    SegmentPut {
        /// The segment.
        segment: SegmentName,
        /// SHA-256 of its encoded units.
        sha256: Digest,
        /// How many units it holds.
        units: u64,
    },
    /// A segment was taken away.
    SegmentRemoved {
        /// The segment.
        segment: SegmentName,
    },
}

impl Event {
    /// The app this event changes, if it changes one.
    pub fn app(&self) -> Option<&AppId> {
        match self {
            Self::AppAdded { app, .. }
            | Self::VersionSubmitted { app, .. }
            | Self::VersionListed { app, .. }
            | Self::VersionDelisted { app, .. }
            | Self::Killed { app, .. }
            | Self::Unkilled { app, .. }
            | Self::ShareSet { app, .. }
            | Self::PauseSet { app, .. } => Some(app),
            Self::RolloutPut { rollout } => Some(&rollout.app),
            _ => None,
        }
    }
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The credential's public name, or `huidu` for what a node does by itself.
    pub id: String,
    /// What it may do.
    pub role: Role,
}

/// A revision's time and author, as history shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    /// When the writer appended it, by the writer's clock.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
}
