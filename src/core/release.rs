//! The release record: what the bank's reviewers sign about a version, offline.
//!
//! It names the exact archive and the permissions that were granted. A server can choose among records;
//! it can make none, and cannot widen one.

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    envelope::Kind,
    keyring::Role,
    limits,
    name::{AppId, Permission, Platform},
    paper::{self, Paper, PaperError, field},
    time::Timestamp,
    version::{Number, Version},
    version_range::DottedRange,
};

/// A version that may run, as it was reviewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The form of this document: 1.
    pub v: u32,
    /// The installation, `bank/environment`.
    pub aud: String,
    /// The app, `tenant/app`.
    pub app: AppId,
    /// Rises with every approval of the app; a policy's floor counts in it.
    pub seq: u64,
    /// The version.
    pub version: Number,
    /// Its archive.
    pub bundle: SignedBundle,
    /// SHA-256 of the list of its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_sha256: Option<Digest>,
    /// The versions of the bank app that may run it; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_version: Option<DottedRange>,
    /// The platforms that may run it; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
    /// The host APIs and pages that were granted to it.
    pub permissions: Vec<Permission>,
    /// Where it is filed with the authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filing: Option<Filing>,
    /// From when on it may run, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
    /// Until when it may run, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<u64>,
    /// How it was reviewed, where whoever drew the record up knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Reviewed>,
}

/// An archive as it was reviewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedBundle {
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Length in bytes.
    pub len: u64,
}

/// Where a mini-program is filed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filing {
    /// The number of the filing.
    pub icp: String,
}

/// How a version was reviewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewed {
    /// The review, as the bank calls it.
    pub id: String,
    /// Who approved, as digests: a record goes to every phone, names do not.
    pub approvers: Vec<Digest>,
}

impl Release {
    /// The record of a version as reviewers sign it: a function of what was submitted and of what the first
    /// of them withheld, so that everybody signs the same bytes, whenever.
    pub fn draft(aud: &str, app: &AppId, version: &Version) -> Self {
        let dossier = version.dossier.open();
        Self {
            v: paper::FORM,
            aud: aud.to_owned(),
            app: app.clone(),
            seq: dossier.seq,
            version: version.number.clone(),
            bundle: SignedBundle {
                sha256: version.bundle.sha256,
                len: version.bundle.bytes,
            },
            files_sha256: dossier.files,
            host_version: dossier.reach.host_version,
            platforms: dossier.reach.platforms,
            permissions: version.granted().cloned().collect(),
            filing: dossier.filing.map(|icp| Filing { icp }),
            not_before: dossier.reach.not_before.map(seconds),
            not_after: dossier.reach.not_after.map(seconds),
            // Who approves is not known yet when the first of them signs; the ledger says it (decision 0017).
            review: None,
        }
    }
}

const fn seconds(at: Timestamp) -> u64 {
    at.unix_ms() / 1_000
}

impl Paper for Release {
    const KIND: Kind = Kind::Release;
    const ROLE: Role = Role::Release;

    fn audience(&self) -> &str {
        &self.aud
    }

    fn check(&self) -> Result<(), PaperError> {
        paper::check_head(self.v, &self.aud)?;
        if self.seq == 0 {
            return Err(field("seq", "is 0; the first release of an app is 1"));
        }
        if !self.version.build.is_empty() {
            return Err(field("version", "carries build metadata"));
        }
        if !(1..=limits::BUNDLE_BYTES).contains(&self.bundle.len) {
            return Err(field("len", "is 0, or more than any bundle has"));
        }
        paper::check_set("permissions", &self.permissions, limits::PERMISSIONS)?;
        paper::check_set("platforms", &self.platforms, limits::PLATFORMS)?;
        if let (Some(from), Some(to)) = (self.not_before, self.not_after)
            && from >= to
        {
            return Err(field("not_after", "is not after `not_before`"));
        }
        let texts = [
            ("icp", self.filing.as_ref().map(|filing| &filing.icp)),
            ("id", self.review.as_ref().map(|review| &review.id)),
        ];
        for (name, text) in texts {
            if text.is_some_and(|text| text.is_empty() || text.len() > limits::ATTR_BYTES) {
                return Err(field(name, "is empty or too long"));
            }
        }
        self.review.as_ref().map_or(Ok(()), |review| {
            paper::check_set("approvers", &review.approvers, limits::APPROVERS)
        })
    }
}
