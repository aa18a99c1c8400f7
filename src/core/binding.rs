//! What binds an answer: the signed papers it rests on, and the devices it is for.
//!
//! A device checks that it is one of them, by its own hash, so an answer for a few cannot be handed to
//! all. What only the server knows (segments, tags, regions) cannot be checked there and is not stated.

use serde::{Deserialize, Serialize};

use crate::{
    bucket::{self, Salt},
    digest::Digest,
    limits,
    name::{HostId, Platform},
    version_range::DottedRange,
};

/// What binds an answer. Part of a manifest; empty: bound to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Binding {
    /// The release record of what is to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Digest>,
    /// The newest policy of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<u64>,
    /// The newest keyring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyring: Option<u64>,
    /// Whom it is for; none: everybody.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub whom: Option<Whom>,
    /// Of an answer that stops: the archives that must stop; none: every one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stops: Vec<Digest>,
}

/// Whom an answer is for. Everything that is stated must fit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whom {
    /// These bank apps; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostId>,
    /// These platforms; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
    /// These versions of the bank app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_version: Option<DottedRange>,
    /// Units at these positions; several: at a position of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cohorts: Vec<Cohort>,
    /// Units that draw these tickets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<Tickets>,
}

/// Units by their position in the order of a salt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cohort {
    /// The salt.
    pub salt: Salt,
    /// Fine positions from the first up to, and without, the second.
    pub fine: Vec<(u64, u64)>,
}

/// Units by the ticket they draw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tickets {
    /// The salt.
    pub salt: Salt,
    /// How many tickets there are.
    pub total: u32,
    /// From the first to the second, both included; the first ticket is 1.
    pub range: (u32, u32),
}

/// What a device knows of itself that an answer can be bound to.
#[derive(Debug, Clone, Copy)]
pub struct Bearer<'a> {
    /// What is hashed.
    pub unit: &'a str,
    /// Its platform.
    pub platform: &'a str,
    /// The bank app.
    pub host: &'a str,
    /// The bank app's version.
    pub host_version: &'a str,
}

impl Whom {
    /// True when it states no more than a device is willing to compute.
    pub fn is_bounded(&self) -> bool {
        let ranges: usize = self.cohorts.iter().map(|cohort| cohort.fine.len()).sum();
        self.cohorts.len() <= limits::COHORTS
            && ranges <= limits::COHORT_RANGES
            && self.hosts.len() <= limits::HOSTS
            && self.platforms.len() <= limits::PLATFORMS
    }

    /// True when the answer is for this device.
    pub fn admits(&self, bearer: &Bearer<'_>) -> bool {
        let host =
            self.hosts.is_empty() || self.hosts.iter().any(|host| host.as_str() == bearer.host);
        let platform = fits_platform(&self.platforms, bearer.platform);
        let version = fits_version(self.host_version.as_ref(), bearer.host_version);
        let cohorts = self.cohorts.iter().all(|cohort| cohort.holds(bearer.unit));
        let arm = self.arm.as_ref().is_none_or(|arm| arm.holds(bearer.unit));
        host && platform && version && cohorts && arm
    }
}

/// True when `platform` is among these; none: all are.
pub fn fits_platform(platforms: &[Platform], platform: &str) -> bool {
    platforms.is_empty() || platforms.iter().any(|known| known.as_str() == platform)
}

/// True when `version` of the bank app lies in the range; none: all do.
pub fn fits_version(range: Option<&DottedRange>, version: &str) -> bool {
    range.is_none_or(|range| range.matches(version))
}

impl Cohort {
    fn holds(&self, unit: &str) -> bool {
        let fine = bucket::fine(self.salt.as_str(), unit).get();
        self.fine
            .iter()
            .any(|(from, to)| (*from..*to).contains(&fine))
    }
}

impl Tickets {
    fn holds(&self, unit: &str) -> bool {
        let ticket = bucket::ticket(self.salt.as_str(), unit, self.total);
        (self.range.0..=self.range.1).contains(&ticket)
    }
}
