//! `Dossier`: what is kept about a version for those who judge it.
//!
//! Facts only: what was uploaded, what is in it, who handed it in and who approved. Left out of a record
//! while it is empty, so versions from before there were any keep their bytes.

mod packed;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use packed::PackedDossier;
pub(crate) use packed::{format_byte, format_of};

use crate::{
    digest::Digest,
    name::{Permission, Platform},
    time::Timestamp,
    version::BundleFormat,
    version_range::DottedRange,
};

/// What is kept about a version for those who judge it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Dossier {
    /// The archive as it was uploaded, before it was packed canonically.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// SHA-256 of the list of its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Digest>,
    /// The number under which the mini-program is filed with the authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filing: Option<String>,
    /// Where and when it may run, as it was handed in.
    #[serde(default, skip_serializing_if = "Reach::is_everywhere")]
    pub reach: Reach,
    /// What it asks for and was not granted by those who approved it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub withheld: BTreeSet<Permission>,
    /// Who handed it in: `member/<id>` or `token/<id>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<String>,
    /// Who approved it so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Vote>,
    /// Its number among the app's releases: what a policy's floor counts in. 0: from before there were any.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seq: u64,
    /// Its release record as it was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<SignedRelease>,
}

/// Where and when a version may run. Devices hold themselves against it, because its release record says so.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reach {
    /// The platforms it is made for; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
    /// The versions of the bank app it is made for; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_version: Option<DottedRange>,
    /// From when on it may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Until when it may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
}

impl Reach {
    /// True when it says nothing.
    pub fn is_everywhere(&self) -> bool {
        *self == Self::default()
    }

    /// True when no device may run it at `now` or later.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.not_after.is_some_and(|end| end <= now)
    }
}

/// A release record as it was signed: what devices are handed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRelease {
    /// The digest of its bytes.
    pub address: Digest,
    /// Its envelope.
    pub envelope: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Dossier {
    /// True of versions from before there were any.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// An archive as it was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Length in bytes.
    pub bytes: u64,
    /// How it was packed.
    pub format: BundleFormat,
}

/// Somebody's approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// Who: `member/<id>`.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// The release record with this person's signatures, in its envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<String>,
}
