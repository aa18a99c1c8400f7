//! A version of an app and its life: submitted → in review → approved | rejected → listed → delisted.
//!
//! The states are types' values and the legal moves are the methods here; nothing else changes a state.
//! A version that is not `Listed` can never be prepared as an answer.

use std::{ops::Deref, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{digest::Digest, dossier::PackedDossier, name::Permission, time::Timestamp};

/// The number of a version: semantic versioning, without build metadata (two builds of one number would
/// have no order, and a device could not tell them apart).
pub type Number = semver::Version;

/// How a bundle's bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BundleFormat {
    /// A ZIP archive.
    Zip,
    /// A gzip-compressed tar archive.
    TarGz,
}

/// The archive a device runs, named by the SHA-256 of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// SHA-256 of the archive's bytes.
    pub sha256: Digest,
    /// Length of the archive in bytes.
    pub bytes: u64,
    /// How it is packed.
    pub format: BundleFormat,
    /// Number of regular files in it.
    pub files: u32,
    /// Sum of the files' lengths in bytes.
    pub unpacked_bytes: u64,
}

/// Where a version stands in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Life {
    /// Begun by the partner, not yet handed in. Read for what it is and never written: what is not handed in
    /// is the partner's own matter.
    Draft,
    /// Handed in for review.
    Submitted,
    /// Somebody is reviewing it.
    InReview,
    /// Reviewed and found fit.
    Approved,
    /// Reviewed and refused.
    Rejected {
        /// Why, in the reviewer's words.
        reason: String,
    },
    /// May be rolled out.
    Listed,
    /// Taken out of circulation; never offered again unless listed again.
    Delisted {
        /// Why, in the words of whoever did it.
        reason: String,
        /// True when devices that run it must stop now.
        killed: bool,
        /// When.
        at: Timestamp,
        /// What it was when it was killed, where that was not listed: taking the kill back must not list
        /// what nobody approved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Box<Life>>,
    },
}

impl Life {
    /// The state's name as people read it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Draft => "a draft",
            Self::Submitted => "submitted",
            Self::InReview => "in review",
            Self::Approved => "approved",
            Self::Rejected { .. } => "rejected",
            Self::Listed => "listed",
            Self::Delisted { killed: true, .. } => "killed",
            Self::Delisted { .. } => "delisted",
        }
    }

    /// True when the version may be offered to devices.
    pub const fn is_listed(&self) -> bool {
        matches!(self, Self::Listed)
    }

    /// True when devices that run it must stop.
    pub const fn is_killed(&self) -> bool {
        matches!(self, Self::Delisted { killed: true, .. })
    }

    /// True while reviewers have not decided.
    pub const fn is_under_review(&self) -> bool {
        matches!(self, Self::Submitted | Self::InReview)
    }

    /// True when test devices may run it.
    pub const fn may_be_tried(&self) -> bool {
        matches!(
            self,
            Self::Submitted | Self::InReview | Self::Approved | Self::Listed
        )
    }

    /// True when it passed its review, whatever became of it.
    pub const fn has_passed(&self) -> bool {
        matches!(
            self,
            Self::Approved | Self::Listed | Self::Delisted { before: None, .. }
        )
    }

    /// True when the version may become `Listed`. In development mode review may be skipped.
    pub const fn may_list(&self, review: Review) -> bool {
        match self {
            Self::Approved | Self::Delisted { killed: false, .. } => true,
            Self::Submitted | Self::InReview => matches!(review, Review::Skipped),
            _ => false,
        }
    }
}

/// Whether a version must be approved before it is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Review {
    /// A reviewer approves first.
    Required,
    /// Development mode: a submitter lists directly.
    Skipped,
}

/// The host APIs and pages a version asks to be allowed. Nearly every version of an app asks for the same, so
/// an app's versions hold one list together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permissions(Arc<[Permission]>);

impl Permissions {
    /// Holds on to `other` in place of its own, where they are the same.
    pub fn share(&mut self, other: &Self) {
        if self == other {
            self.0 = Arc::clone(&other.0);
        }
    }
}

impl Deref for Permissions {
    type Target = [Permission];

    fn deref(&self) -> &[Permission] {
        &self.0
    }
}

impl From<Vec<Permission>> for Permissions {
    fn from(permissions: Vec<Permission>) -> Self {
        Self(permissions.into())
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().collect())
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

/// Everything kept about one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Its number.
    pub number: Number,
    /// What a device runs.
    pub bundle: Bundle,
    /// The host APIs and pages it asks to be allowed.
    #[serde(default, skip_serializing_if = "no_permissions")]
    pub permissions: Permissions,
    /// What changed, in the submitter's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// Where it stands.
    pub life: Life,
    /// When it was handed in.
    pub submitted_at: Timestamp,
    /// What reviewers have to go by.
    #[serde(default, skip_serializing_if = "PackedDossier::is_empty")]
    pub dossier: PackedDossier,
}

fn no_permissions(permissions: &Permissions) -> bool {
    permissions.is_empty()
}

impl Version {
    /// What it asks for and may have: all of it, but for what those who approved it withheld.
    pub fn granted(&self) -> impl Iterator<Item = &Permission> {
        let withheld = self.dossier.withheld();
        self.permissions
            .iter()
            .filter(move |one| !withheld.contains(*one))
    }
}
