//! What events can count for: an app's version, rule and arm as the catalogue knows them, and what happened.
//!
//! Looked up by one text a event, made in a buffer that is used again. A device can make up no register: what the
//! catalogue does not know is refused, and there are so many of one app and no more.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use huidu_core::{
    feedback::{Cell, Kind, Told},
    limits,
};
use prometheus::IntCounter;

use crate::{
    metrics::{Metrics, OTHER},
    node::live::{Live, LiveApp},
};

/// What an event says it happened to.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// What is served.
    pub live: &'a Live,
    /// `tenant/app`.
    pub app: &'a str,
    /// The version.
    pub version: &'a str,
    /// The rule that served it; empty: none.
    pub rule: &'a str,
    /// The arm of its split; empty: none.
    pub arm: &'a str,
}

/// Why an event counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// There is no such app.
    App,
    /// It has no such version.
    Version,
    /// Its rollout has no such rule or arm, and none that was counted before.
    Arm,
    /// The app has as many cells or counters as are counted.
    TooMany,
}

impl Unknown {
    /// The code in answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::App => "unknown-app",
            Self::Version => "unknown-version",
            Self::Arm => "unknown-arm",
            Self::TooMany => "too-many",
        }
    }
}

/// One register.
pub(super) struct Entry {
    shown: IntCounter,
    value: AtomicU64,
    /// None: shown in metrics alone.
    counts_for: Option<(Cell, Kind)>,
}

impl Entry {
    pub(super) fn show(&self, times: u64) {
        self.shown.inc_by(times);
        self.value.fetch_add(times, Ordering::Relaxed);
    }

    pub(super) const fn counts_for(&self) -> Option<&(Cell, Kind)> {
        self.counts_for.as_ref()
    }
}

/// Registers of one app.
#[derive(Default)]
struct OfApp {
    cells: HashSet<Box<str>>,
    counters: HashSet<Box<str>>,
}

#[derive(Default)]
struct Known {
    entries: HashMap<Box<str>, Arc<Entry>>,
    apps: HashMap<Box<str>, OfApp>,
}

/// All registers of a node.
pub(super) struct Registers {
    metrics: Arc<Metrics>,
    known: RwLock<Known>,
}

/// Writes the name of a register: the parts with `|` between them, which no name holds.
fn name(key: &mut String, source: &Source<'_>, told: Told<'_>) {
    key.clear();
    for part in [
        source.app,
        source.version,
        source.rule,
        source.arm,
        told.word(),
    ] {
        key.push_str(part);
        key.push('|');
    }
    key.push_str(told.code());
}

impl Registers {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            known: RwLock::default(),
        }
    }

    /// The register of an event that counts. `before` says whether anybody ever counted for a cell.
    pub(super) fn entry(
        &self,
        key: &mut String,
        source: &Source<'_>,
        told: Told<'_>,
        before: &dyn Fn(&Cell) -> bool,
    ) -> Result<Arc<Entry>, Unknown> {
        name(key, source, told);
        if let Some(entry) = self.find(key) {
            return Ok(entry);
        }
        let app = source.live.app(source.app).ok_or(Unknown::App)?;
        let cell = cell(app, source, before)?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let of_app = known.apps.entry(source.app.into()).or_default();
        let of = format!("{}|{}|{}", source.version, source.rule, source.arm);
        if of_app.cells.len() >= limits::FEEDBACK_CELLS && !of_app.cells.contains(&*of) {
            return Err(Unknown::TooMany);
        }
        if let Told::Counter(name) = told {
            if of_app.counters.len() >= limits::FEEDBACK_COUNTERS && !of_app.counters.contains(name)
            {
                return Err(Unknown::TooMany);
            }
            of_app.counters.insert(name.into());
        }
        of_app.cells.insert(of.into());
        let made = || self.made(source, told, Some((cell, told.kept())));
        let entry = known
            .entries
            .entry(key.as_str().into())
            .or_insert_with(made);
        Ok(Arc::clone(entry))
    }

    /// The register that shows an event, `other` standing for what the catalogue does not know.
    pub(super) fn shown(
        &self,
        key: &mut String,
        source: &Source<'_>,
        told: Told<'_>,
    ) -> Arc<Entry> {
        let app = source.live.app(source.app);
        let has_version = app.is_some_and(|app| app.has_version(source.version));
        let states_arm = !(source.rule.is_empty() && source.arm.is_empty());
        let has_arm = !states_arm || app.is_some_and(|app| app.has_arm(source.rule, source.arm));
        let (rule, arm) = if has_arm {
            (source.rule, source.arm)
        } else {
            (OTHER, OTHER)
        };
        let source = Source {
            version: if has_version { source.version } else { OTHER },
            rule,
            arm,
            ..*source
        };
        name(key, &source, told);
        // Beside the register that counts, where there is one.
        key.push('?');
        if let Some(entry) = self.find(key) {
            return entry;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let made = || self.made(&source, told, None);
        Arc::clone(
            known
                .entries
                .entry(key.as_str().into())
                .or_insert_with(made),
        )
    }

    fn find(&self, key: &str) -> Option<Arc<Entry>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.entries.get(key).cloned()
    }

    fn made(
        &self,
        source: &Source<'_>,
        told: Told<'_>,
        counts_for: Option<(Cell, Kind)>,
    ) -> Arc<Entry> {
        // Names of counters are an app's own: they are counted, and no label.
        let labels = [
            source.app,
            source.version,
            source.rule,
            source.arm,
            told.word(),
        ];
        Arc::new(Entry {
            shown: self.metrics.reported_of(labels),
            value: AtomicU64::new(0),
            counts_for,
        })
    }

    pub(super) fn snapshot(&self) -> Vec<(String, u64)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut sums: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
        for (name, entry) in &known.entries {
            let name = name.trim_end_matches('?').trim_end_matches('|');
            *sums.entry(name.to_owned()).or_default() += entry.value.load(Ordering::Relaxed);
        }
        sums.into_iter().collect()
    }
}

fn cell(
    app: &LiveApp,
    source: &Source<'_>,
    before: &dyn Fn(&Cell) -> bool,
) -> Result<Cell, Unknown> {
    if !app.has_version(source.version) {
        return Err(Unknown::Version);
    }
    let cell = Cell {
        app: source.app.parse().map_err(|_| Unknown::App)?,
        version: source.version.parse().map_err(|_| Unknown::Version)?,
        rule: source.rule.into(),
        arm: source.arm.into(),
    };
    let of_none = source.rule.is_empty() && source.arm.is_empty();
    // A rule that is gone is still what a device was told by.
    if of_none || app.has_arm(source.rule, source.arm) || before(&cell) {
        Ok(cell)
    } else {
        Err(Unknown::Arm)
    }
}
