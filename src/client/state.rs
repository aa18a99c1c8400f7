//! What a device must still know after its battery died: one JSON file, replaced whole.
//!
//! Written aside, synced, renamed over: a reader finds the old state or the new one. A file that cannot be
//! read is refused and not begun anew, because a device that forgets would accept yesterday's answers.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use huidu_core::{
    digest::Digest,
    manifest::Manifest,
    name::{ArmName, RuleName},
    time::Timestamp,
    verify::State,
    version::Number,
};
use serde::{Deserialize, Serialize};

/// Events kept while nobody can be told.
const PENDING: usize = 200;
/// Failed releases kept for one app: what a poll may name.
const FAILED: usize = huidu_core::limits::POLL_FAILED;
/// How much one event can stand for.
const COUNT: u64 = 1_000;
/// The event of a doubt.
pub(crate) const DOUBTED: &str = "doubted";
/// Tries to start a release before it counts as failed: one may have been cut short by a dead battery.
const TRIES: u32 = 2;

/// Everything a device keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeviceState {
    /// The form of this file.
    pub v: u32,
    /// Whom it believes and what it believed: what no attacker can make it forget.
    #[serde(default)]
    pub trusted: Option<State>,
    /// What must not run, as last heard.
    #[serde(default)]
    pub kills: KillState,
    /// Apps by `tenant/app`.
    #[serde(default)]
    pub apps: BTreeMap<String, AppState>,
    /// What nobody could be told yet.
    #[serde(default)]
    pub pending: Vec<Event>,
}

/// The kill list as last heard.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KillState {
    /// Its entity tag.
    pub etag: Option<String>,
    /// Its bytes.
    pub body: String,
}

/// What a device knows of one app.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AppState {
    /// The newest answer's entity tag.
    pub etag: Option<String>,
    /// Releases on this device, by the digest of their archive.
    #[serde(default)]
    pub releases: BTreeMap<Digest, Number>,
    /// The release that runs.
    pub running: Option<Digest>,
    /// The one before it, to fall back to.
    pub previous: Option<Digest>,
    /// A release that is being started, and how often it was tried. Still here after a restart: the start
    /// ended the process.
    pub starting: Option<(Digest, u32)>,
    /// Versions that failed here: never installed again.
    #[serde(default)]
    pub failed: Vec<String>,
    /// By what it was last told to run what it runs, or was to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
}

/// What a release was given by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct By {
    /// The rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleName>,
    /// Its arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<ArmName>,
    /// Since when its units are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl By {
    /// What `manifest` gives by.
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            rule: manifest.rule.clone(),
            arm: manifest.arm.clone(),
            since: manifest.since,
        }
    }

    /// True when it is compared with others who get something else.
    pub const fn is_compared(&self) -> bool {
        self.arm.is_some() || self.since.is_some()
    }
}

/// Something that happened here. Never who.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its name, the same with every try; none: it needs none, or is from before events had one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// When somebody was first told of it, or it was tried, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried_ms: Option<u64>,
    /// `tenant/app`; empty: of the device as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub app: String,
    /// The version it happened to; empty: of none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The rule that gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The arm of its split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// `downloaded`, `activated`, `crashed`, `rolled-back`, `load-failed`, `doubted`.
    pub event: String,
    /// Of what was doubted or taken back: why, as a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// How often.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub count: u64,
}

const fn once() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_once(count: &u64) -> bool {
    *count == 1
}

/// Why the state cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The disk.
    #[error("`{}`: {error}; make the directory writable", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The content.
    #[error("`{}` is no state of a device ({error}); restore it, or remove the whole directory to begin anew", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: serde_json::Error,
    },
}

impl DeviceState {
    /// Reads the state in `dir`; there being none is a new device.
    pub fn read(dir: &Path) -> Result<Self, StateError> {
        let path = dir.join("state.json");
        match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| StateError::Content { path, error })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self {
                v: 1,
                ..Self::default()
            }),
            Err(error) => Err(StateError::Io { path, error }),
        }
    }

    /// Keeps the state in `dir`, for good.
    pub fn write(&self, dir: &Path) -> Result<(), StateError> {
        let path = dir.join("state.json");
        let failed = |error: io::Error| StateError::Io {
            path: path.clone(),
            error,
        };
        let bytes = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        write_aside(&path, &bytes).map_err(failed)
    }

    /// Notes a doubt. The same again is counted: whoever keeps lying fills nothing up.
    pub fn note_doubt(&mut self, app: Option<&str>, code: &str) {
        let app = app.unwrap_or_default();
        let mut known = self.pending.iter_mut();
        let known = known.find(|one| one.app == app && one.code.as_deref() == Some(code));
        if let Some(known) = known {
            known.count = (known.count + 1).min(COUNT);
            return;
        }
        self.note(Event {
            id: String::new(),
            tried_ms: None,
            app: app.to_owned(),
            version: String::new(),
            rule: None,
            arm: None,
            event: DOUBTED.to_owned(),
            code: Some(code.to_owned()),
            count: 1,
        });
    }

    /// Marks what is told now for the first time; the report of everything, as it is sent at `now_ms`.
    pub fn report(&mut self, now_ms: u64) -> Vec<serde_json::Value> {
        let said = |event: &mut Event| {
            let first = event.tried_ms.replace(event.tried_ms.unwrap_or(now_ms));
            let mut said = serde_json::to_value(&*event).unwrap_or_default();
            if let Some(fields) = said.as_object_mut() {
                fields.remove("tried_ms");
                if let Some(first) = first {
                    let seconds = now_ms.saturating_sub(first) / 1_000;
                    fields.insert("sent".to_owned(), seconds.into());
                    fields.insert("ago".to_owned(), seconds.into());
                }
            }
            said
        };
        self.pending.iter_mut().map(said).collect()
    }

    /// What was to be told for the first time at `now_ms` has reached nobody.
    pub fn not_tried(&mut self, now_ms: u64) {
        let tried = self.pending.iter_mut();
        for event in tried.filter(|event| event.tried_ms == Some(now_ms)) {
            event.tried_ms = None;
        }
    }

    /// Notes something to be told, dropping the oldest when too much has gathered.
    pub fn note(&mut self, event: Event) {
        if self.pending.len() == PENDING {
            self.pending.remove(0);
        }
        self.pending.push(event);
    }
}

impl AppState {
    /// The version that runs.
    pub fn version(&self) -> Option<&Number> {
        self.running.and_then(|digest| self.releases.get(&digest))
    }

    /// Remembers that `version` failed here.
    pub fn fail(&mut self, version: &Number) {
        let version = version.to_string();
        if !self.failed.contains(&version) {
            if self.failed.len() == FAILED {
                self.failed.remove(0);
            }
            self.failed.push(version);
        }
    }

    /// True when `version` failed here.
    pub fn has_failed(&self, version: &Number) -> bool {
        self.failed.contains(&version.to_string())
    }

    /// Counts a try to start `digest`.
    pub fn begin_start(&mut self, digest: Digest) {
        let tries = self
            .starting
            .filter(|(same, _)| *same == digest)
            .map_or(0, |(_, tries)| tries);
        self.starting = Some((digest, tries + 1));
    }

    /// A release whose starts ended the process too often.
    pub fn start_that_never_ended(&self) -> Option<Digest> {
        self.starting
            .filter(|(_, tries)| *tries >= TRIES)
            .map(|(digest, _)| digest)
    }
}

/// Replaces a file whole: written aside, synced, renamed over, the directory synced.
pub(crate) fn write_aside(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // The parent of a bare name is the empty path, which is no directory.
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    let aside = path.with_extension("new");
    let mut file = File::create(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    File::open(dir)?.sync_all()
}
