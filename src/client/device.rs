//! A device: asks, checks, fetches, switches, obeys, reports. One [`Device::cycle`] is one waking up.
//!
//! Kills are looked at first and obeyed before anything else is done. What fails leaves the last good state
//! running and is told as a named code. A version that failed here is remembered, named in every poll and
//! never installed again, whatever anybody says.

mod cycle;
mod start;

use std::{path::PathBuf, time::Duration};

use huidu_core::{
    bucket,
    manifest::{Manifest, OnStale},
    name::{AppId, HostId},
    time::Timestamp,
    version::Number,
};
use serde::Serialize;
use ureq::Agent;

use super::{
    http,
    install::{InstallError, Place},
    profile::Profile,
    state::{AppState, DeviceState, StateError},
    verify::{SKEW_MS, Trust},
};

pub use cycle::{fetch_development_key, parse_key};
pub use start::Starter;

/// What a device is.
#[derive(Debug, Clone)]
pub struct DeviceConfig {
    /// The data plane, `http://…`, without a slash at its end.
    pub server: String,
    /// Where it keeps everything.
    pub dir: PathBuf,
    /// The bank app it runs.
    pub host: HostId,
    /// The mini-programs it wants.
    pub apps: Vec<AppId>,
    /// What it says about itself.
    pub profile: Profile,
    /// Whom it believes.
    pub trust: Trust,
}

/// A device.
#[derive(Debug)]
pub struct Device {
    config: DeviceConfig,
    agent: Agent,
    state: DeviceState,
}

/// One thing that happened in a cycle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Happened {
    /// The app; none: the device as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// What.
    pub what: What,
    /// The version it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// More, for people; for a doubt its code comes first.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Nothing to do.
    Unchanged,
    /// There is nothing to offer.
    Nothing,
    /// A bundle was fetched and is right.
    Downloaded,
    /// A release runs now.
    Activated,
    /// A release did not start; it is remembered as failed.
    Crashed,
    /// The release before it runs again.
    RolledBack,
    /// Stopped because it was killed.
    Stopped,
    /// Not installed: it failed here before.
    FailedBefore,
    /// An answer was not believed.
    Doubted,
    /// A bundle could not be fetched or unpacked.
    LoadFailed,
    /// The server does not know the app.
    Unknown,
}

/// Why a cycle could not be done.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Nobody answered.
    #[error("`{url}` cannot be reached ({why}); what runs goes on")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// Why.
        why: String,
    },
    /// The server asks for patience, or refuses.
    #[error("`{url}` was answered with status {status}: {detail}")]
    Status {
        /// What was asked for.
        url: String,
        /// The answer.
        status: u16,
        /// Seconds to wait, where the server names them.
        retry_after: Option<u64>,
        /// In its words.
        detail: String,
    },
    /// The device's own files.
    #[error(transparent)]
    State(#[from] StateError),
    /// The device's own releases.
    #[error(transparent)]
    Install(#[from] InstallError),
}

/// Whether an app may be started now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Yes.
    Run {
        /// The version.
        version: Number,
        /// Its files.
        path: PathBuf,
        /// Milliseconds since its answer was last known to be true.
        age_ms: u64,
    },
    /// There is no release that may run.
    Nothing,
    /// The answer is too old, and the app must not run on an old one.
    Stale {
        /// Milliseconds since its answer was last known to be true.
        age_ms: u64,
    },
}

impl Device {
    /// Wakes a device up from what it keeps. What a crash left half done is undone here.
    pub fn open(config: DeviceConfig) -> Result<Self, DeviceError> {
        let state = DeviceState::read(&config.dir)?;
        let mut device = Self {
            agent: http::agent(),
            config,
            state,
        };
        device.mend()?;
        Ok(device)
    }

    /// What it keeps.
    pub const fn state(&self) -> &DeviceState {
        &self.state
    }

    /// The version of `app` that runs.
    pub fn running(&self, app: &AppId) -> Option<&Number> {
        self.state.apps.get(app.as_str())?.version()
    }

    /// Whether `app` may be started at `now`.
    pub fn may_start(&self, app: &AppId, now: Timestamp) -> Start {
        let Some(kept) = self.state.apps.get(app.as_str()) else {
            return Start::Nothing;
        };
        let (Some(digest), Some(version)) = (kept.running, kept.version()) else {
            return Start::Nothing;
        };
        let now = self.not_before_floor(now);
        let age_ms = now.ms_since(Timestamp::from_unix_ms(kept.asof_ms));
        let must_be_fresh = told(kept).is_some_and(|manifest| manifest.on_stale == OnStale::Block);
        if must_be_fresh && age_ms > kept.lease_ms + SKEW_MS {
            return Start::Stale { age_ms };
        }
        Start::Run {
            version: version.clone(),
            path: self.place(app).release(&digest),
            age_ms,
        }
    }

    /// When to wake up again: as told, at this device's own point of the spread.
    pub fn next_poll(&self) -> Duration {
        let told: Vec<Manifest> = self.state.apps.values().filter_map(told).collect();
        let point = u64::from(bucket::position_hash("poll", &self.config.profile.unit));
        told.iter()
            .map(|manifest| manifest.poll_after_ms + ((manifest.poll_spread_ms * point) >> 32))
            .min()
            .map_or(Duration::from_secs(60), Duration::from_millis)
    }

    fn place(&self, app: &AppId) -> Place {
        Place::of(&self.config.dir, app)
    }

    /// The clock, never before what a trusted stamp spoke of: a clock set back revives nothing.
    fn not_before_floor(&self, now: Timestamp) -> Timestamp {
        now.max(Timestamp::from_unix_ms(self.state.time_floor_ms))
    }

    fn keep(&self) -> Result<(), DeviceError> {
        Ok(self.state.write(&self.config.dir)?)
    }

    fn app_state(&mut self, app: &AppId) -> &mut AppState {
        self.state.apps.entry(app.to_string()).or_default()
    }
}

/// The newest answer about an app.
fn told(kept: &AppState) -> Option<Manifest> {
    serde_json::from_str(&kept.body).ok()
}

impl Happened {
    fn to(app: &AppId, what: What, version: Option<&Number>, detail: impl Into<String>) -> Self {
        Self {
            app: Some(app.to_string()),
            what,
            version: version.map(ToString::to_string),
            detail: detail.into(),
        }
    }
}
