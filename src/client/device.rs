//! A device: asks, checks, fetches, switches, obeys, reports. One [`Device::cycle`] is one waking up.
//!
//! Kills are looked at first and obeyed before anything else is done. What fails leaves the last good state
//! running and is told as a named code. A version that failed here is remembered, named in every poll and
//! never installed again, whatever anybody says.

mod cycle;
mod start;

use std::{path::PathBuf, time::Duration};

use huidu_core::{
    bucket, limits,
    manifest::Manifest,
    name::{AppId, HostId, Permission},
    preview::{PreviewError, PreviewLink},
    verify::{self, Need, Now},
    version::Number,
};
use serde::Serialize;
use ureq::Agent;

use super::{
    http::Patience,
    install::{InstallError, Place},
    profile::Profile,
    root::Root,
    state::{AppState, DeviceState, StateError},
};

pub(super) use cycle::read;
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
    /// Whom it believes from its birth.
    pub root: Root,
    /// Whether it asks for answers to its own requests alone, of which nobody can have kept one. Of single
    /// polls; one of several apps is answered as for everybody.
    pub challenges: bool,
    /// The app and the secret of a preview link it was opened by.
    pub preview: Option<(AppId, String)>,
    /// How long it waits.
    pub patience: Patience,
}

/// A device.
#[derive(Debug)]
pub struct Device {
    config: DeviceConfig,
    agent: Agent,
    loading: Agent,
    /// Keyrings it may still walk in this go.
    steps: u64,
    state: DeviceState,
    trusted: verify::State,
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
    /// An answer is older than one known: a node that lags. Ignored, and no attack.
    Lagging,
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
    /// It sends without end.
    #[error("`{url}` sends more than {most} bytes; what runs goes on")]
    Endless {
        /// What was asked for.
        url: String,
        /// How many are read.
        most: u64,
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
    /// Nobody to believe.
    #[error("what the server says of itself is no root to begin with: {why}")]
    Root {
        /// Why.
        why: String,
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
        /// What it may use.
        permissions: Vec<Permission>,
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
    /// Asks this data plane from now on. What it is told there it believes for the same reasons as anywhere.
    pub fn turn_to(&mut self, server: &str) {
        server.clone_into(&mut self.config.server);
    }

    /// Wakes a device up from what it keeps. What a crash left half done is undone here.
    pub fn open(config: DeviceConfig) -> Result<Self, DeviceError> {
        let mut state = DeviceState::read(&config.dir)?;
        let known = state.trusted.take();
        let trusted = known
            .filter(|known| config.root.led_to(known))
            .unwrap_or_else(|| config.root.begin());
        let mut device = Self {
            agent: config.patience.agent(),
            loading: config.patience.loading_agent(),
            steps: limits::KEYRING_STEPS,
            config,
            state,
            trusted,
        };
        device.mend()?;
        Ok(device)
    }

    /// What it keeps.
    pub const fn state(&self) -> &DeviceState {
        &self.state
    }

    /// What it believes.
    pub const fn trusted(&self) -> &verify::State {
        &self.trusted
    }

    /// The version of `app` that runs.
    pub fn running(&self, app: &AppId) -> Option<&Number> {
        self.state.apps.get(app.as_str())?.version()
    }

    /// Whether `app` may be started at `now`.
    pub fn may_start(&self, app: &AppId, now: Now) -> Start {
        let Some(kept) = self.state.apps.get(app.as_str()) else {
            return Start::Nothing;
        };
        let (Some(digest), Some(version)) = (kept.running, kept.version()) else {
            return Start::Nothing;
        };
        let heard = self.trusted.app(app).and_then(|app| app.heard.as_ref());
        let wall = self.trusted.not_before_floor(now.wall);
        let age_ms = heard.map_or(u64::MAX, |heard| wall.ms_since(heard.asof));
        match self.trusted.start(app, now) {
            verify::Start::Run {
                bundle,
                permissions,
                ..
            } if bundle == digest => Start::Run {
                version: version.clone(),
                path: self.place(app).release(&digest),
                permissions,
                age_ms,
            },
            verify::Start::Stale => Start::Stale { age_ms },
            _ => Start::Nothing,
        }
    }

    /// Reads a preview link, which the online keys of this device's newest keyring must have signed. Where
    /// they did not, keyrings that follow are asked for first.
    pub fn read_link(&mut self, link: &str, now: Now) -> Result<PreviewLink, PreviewError> {
        self.steps = limits::KEYRING_STEPS;
        loop {
            let keyring = self.trusted.keyring();
            let time = self.trusted.not_before_floor(now.wall);
            let read = PreviewLink::verify(link, keyring, time);
            let next = Need::Keyring(keyring.version + 1);
            if read != Err(PreviewError::Signature) || self.walk(&next).is_err() {
                return read;
            }
        }
    }

    /// When to wake up again: as told, at this device's own point of the spread.
    pub fn next_poll(&self) -> Duration {
        let apps = self.config.apps.iter();
        let told: Vec<Manifest> = apps.filter_map(|app| self.told(app)).collect();
        let point = u64::from(bucket::position_hash("poll", &self.config.profile.unit));
        told.iter()
            .map(|manifest| manifest.poll_after_ms + ((manifest.poll_spread_ms * point) >> 32))
            .min()
            .map_or(Duration::from_secs(60), Duration::from_millis)
    }

    fn place(&self, app: &AppId) -> Place {
        Place::of(&self.config.dir, app)
    }

    fn keep(&mut self) -> Result<(), DeviceError> {
        self.state.trusted = Some(self.trusted.clone());
        Ok(self.state.write(&self.config.dir)?)
    }

    /// The newest answer about an app.
    fn told(&self, app: &AppId) -> Option<Manifest> {
        let heard = self.trusted.app(app)?.heard.as_ref()?;
        serde_json::from_str(&heard.body).ok()
    }

    fn app_state(&mut self, app: &AppId) -> &mut AppState {
        self.state.apps.entry(app.to_string()).or_default()
    }
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
