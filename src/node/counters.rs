//! What devices reported, counted in memory and flushed to whoever adds up the nodes.
//!
//! A count is kept per app, version, rule, arm and kind of event; never per person. The node that counts
//! hands on its own absolute numbers under its own name, so a flush that is repeated, or whose answer is
//! lost, changes nothing. A node that starts anew counts from zero and so needs a new name for its counts.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus::IntCounter;
use serde::{Deserialize, Serialize};

use crate::metrics::{Metrics, OTHER, SERIES};

/// What can happen to a release on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Happened {
    /// Its bundle was downloaded and checked.
    Download,
    /// It was switched to.
    Activate,
    /// It crashed.
    Crash,
    /// The device went back to another one.
    Rollback,
    /// It did what it is there for.
    Conversion,
    /// Its bundle could not be loaded.
    LoadFailed,
}

impl Happened {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Download,
        Self::Activate,
        Self::Crash,
        Self::Rollback,
        Self::Conversion,
        Self::LoadFailed,
    ];

    /// The word in reports, metrics and counters.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Activate => "activate",
            Self::Crash => "crash",
            Self::Rollback => "rollback",
            Self::Conversion => "conversion",
            Self::LoadFailed => "load-failed",
        }
    }
}

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series<'a> {
    /// `tenant/app`.
    pub app: &'a str,
    /// The version that ran.
    pub version: &'a str,
    /// The rule that served it; empty: none.
    pub rule: &'a str,
    /// The arm of its split; empty: none.
    pub arm: &'a str,
    /// What happened.
    pub happened: Happened,
}

impl Series<'_> {
    /// The name in counters: the parts with `|` between them, which no name holds.
    pub fn name(&self) -> String {
        let Self {
            app,
            version,
            rule,
            arm,
            happened,
        } = self;
        format!("{app}|{version}|{rule}|{arm}|{}", happened.word())
    }
}

/// Why a flush did not succeed; the next one carries the same numbers and more.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// What a sink held of a run before a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remembered {
    /// What was flushed before.
    All,
    /// Nothing: it was the first flush, or the sink has forgotten.
    Nothing,
}

/// Whoever adds up the counts of all nodes.
pub trait CounterSink: Send + Sync + 'static {
    /// Keeps `values`, absolute numbers of `node`, in place of what it said before.
    fn flush<'a>(
        &'a self,
        node: &'a str,
        values: &'a [(String, u64)],
    ) -> Pin<Box<dyn Future<Output = Result<Remembered, SinkError>> + Send + 'a>>;
}

struct Count {
    value: AtomicU64,
    flushed: AtomicU64,
    shown: IntCounter,
}

/// The counts of this node. At most [`SERIES`] and one per kind of event.
pub struct Counters {
    metrics: Arc<Metrics>,
    counts: RwLock<HashMap<String, Arc<Count>>>,
}

impl Counters {
    /// Everything at zero.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            counts: RwLock::default(),
        }
    }

    /// Counts `times` of one series; beyond the limit, of the series `other` of the same event.
    pub fn add(&self, series: Series<'_>, times: u64) {
        let count = self.count(series);
        count.value.fetch_add(times, Ordering::Relaxed);
        count.shown.inc_by(times);
    }

    fn count(&self, series: Series<'_>) -> Arc<Count> {
        let name = series.name();
        let counts = self.counts.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get(&name) {
            return Arc::clone(count);
        }
        let full = counts.len() >= SERIES && series.app != OTHER;
        drop(counts);
        if full {
            let other = Series {
                app: OTHER,
                version: OTHER,
                rule: OTHER,
                arm: OTHER,
                ..series
            };
            return self.count(other);
        }
        let Series {
            app,
            version,
            rule,
            arm,
            happened,
        } = series;
        let labels = [app, version, rule, arm, happened.word()];
        let mut counts = self.counts.write().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(name).or_insert_with(|| {
            Arc::new(Count {
                value: AtomicU64::new(0),
                flushed: AtomicU64::new(0),
                shown: self.metrics.reported_of(labels),
            })
        });
        Arc::clone(count)
    }

    /// Every series and its count, sorted by name.
    pub fn snapshot(&self) -> Vec<(String, u64)> {
        let counts = self.counts.read().unwrap_or_else(PoisonError::into_inner);
        let value = |count: &Count| count.value.load(Ordering::Relaxed);
        let mut all: Vec<_> = counts
            .iter()
            .map(|(name, c)| (name.clone(), value(c)))
            .collect();
        all.sort_unstable();
        all
    }

    /// Hands what has changed since the last success to `sink`, under the name of this node's run; all of
    /// it when the sink turns out to have forgotten what it was given before.
    pub async fn flush(&self, node: &str, sink: &dyn CounterSink) -> Result<(), SinkError> {
        if self.flush_changed(node, sink).await? == Remembered::Nothing {
            self.forget_flushes();
            self.flush_changed(node, sink).await?;
        }
        Ok(())
    }

    /// Every count is above zero, so none counts as flushed.
    fn forget_flushes(&self) {
        let counts = self.counts.read().unwrap_or_else(PoisonError::into_inner);
        for count in counts.values() {
            count.flushed.store(0, Ordering::Relaxed);
        }
    }

    async fn flush_changed(
        &self,
        node: &str,
        sink: &dyn CounterSink,
    ) -> Result<Remembered, SinkError> {
        let changed: Vec<(String, Arc<Count>, u64)> = {
            let counts = self.counts.read().unwrap_or_else(PoisonError::into_inner);
            let news = |(name, count): (&String, &Arc<Count>)| {
                let value = count.value.load(Ordering::Relaxed);
                let known = count.flushed.load(Ordering::Relaxed);
                (value != known).then(|| (name.clone(), Arc::clone(count), value))
            };
            counts.iter().filter_map(news).collect()
        };
        if changed.is_empty() {
            return Ok(Remembered::All);
        }
        let values: Vec<_> = changed
            .iter()
            .map(|(name, _, value)| (name.clone(), *value))
            .collect();
        let remembered = sink.flush(node, &values).await?;
        for (_, count, value) in changed {
            count.flushed.store(value, Ordering::Relaxed);
        }
        Ok(remembered)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn series<'a>(app: &'a str, happened: Happened) -> Series<'a> {
        Series {
            app,
            version: "1.2.0",
            rule: "ramp",
            arm: "",
            happened,
        }
    }

    #[derive(Default)]
    struct Kept {
        values: Mutex<HashMap<String, u64>>,
        calls: AtomicU64,
        down: std::sync::atomic::AtomicBool,
    }

    impl CounterSink for Kept {
        fn flush<'a>(
            &'a self,
            node: &'a str,
            values: &'a [(String, u64)],
        ) -> Pin<Box<dyn Future<Output = Result<Remembered, SinkError>> + Send + 'a>> {
            Box::pin(async move {
                self.calls.fetch_add(1, Ordering::Relaxed);
                if self.down.load(Ordering::Relaxed) {
                    return Err("down".into());
                }
                let named = values
                    .iter()
                    .map(|(name, value)| (format!("{node}:{name}"), *value));
                let mut kept = self.values.lock().unwrap();
                let remembered = if kept.is_empty() {
                    Remembered::Nothing
                } else {
                    Remembered::All
                };
                kept.extend(named);
                Ok(remembered)
            })
        }
    }

    #[tokio::test]
    async fn a_failed_flush_loses_nothing_and_a_quiet_one_says_nothing() {
        let (counters, sink) = (Counters::new(Arc::default()), Kept::default());
        counters.add(series("t/a", Happened::Crash), 2);
        sink.down.store(true, Ordering::Relaxed);
        assert!(counters.flush("n1", &sink).await.is_err());
        sink.down.store(false, Ordering::Relaxed);
        counters.add(series("t/a", Happened::Crash), 1);
        counters.flush("n1", &sink).await.unwrap();
        counters.flush("n1", &sink).await.unwrap();
        // One that failed, the first that did not, and all of it again because it was the first.
        assert_eq!(sink.calls.load(Ordering::Relaxed), 3);
        let kept = sink.values.lock().unwrap().clone();
        assert_eq!(
            kept,
            HashMap::from([("n1:t/a|1.2.0|ramp||crash".to_owned(), 3)])
        );
    }

    #[tokio::test]
    async fn a_sink_that_has_forgotten_is_told_everything_again() {
        let (counters, sink) = (Counters::new(Arc::default()), Kept::default());
        counters.add(series("t/a", Happened::Crash), 2);
        counters.add(series("t/b", Happened::Crash), 5);
        counters.flush("n1", &sink).await.unwrap();
        sink.values.lock().unwrap().clear();
        counters.add(series("t/a", Happened::Crash), 1);
        counters.flush("n1", &sink).await.unwrap();
        let mut kept: Vec<u64> = sink.values.lock().unwrap().values().copied().collect();
        kept.sort_unstable();
        assert_eq!(kept, [3, 5]);
    }

    #[test]
    fn beyond_the_limit_events_are_counted_under_other() {
        let metrics = Arc::new(Metrics::new());
        let counters = Counters::new(Arc::clone(&metrics));
        for n in 0..SERIES + 7 {
            counters.add(series(&format!("t/a{n}"), Happened::Activate), 1);
        }
        counters.add(series("t/a0", Happened::Activate), 1);
        let all = counters.snapshot();
        let of = |name: &str| {
            all.iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| *value)
        };
        assert_eq!(of("other|other|other|other|activate"), Some(7));
        assert_eq!(of("t/a0|1.2.0|ramp||activate"), Some(2));
        assert_eq!(all.len(), SERIES + 1);
        assert!(
            metrics
                .render()
                .contains(r#"huidu_reported_total{app="other""#)
        );
    }

    #[test]
    fn the_words_are_those_of_the_json() {
        for happened in Happened::ALL {
            let json = serde_json::to_string(&happened).unwrap();
            assert_eq!(json, format!("\"{}\"", happened.word()));
        }
    }
}
