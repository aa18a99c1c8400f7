//! The probe: does this store keep the promises that the ledger stands on?
//!
//! "Speaks S3" says nothing about conditional writes: some servers ignore the condition, some check
//! and then write. So a node asks the store itself, at every start and through every endpoint, and
//! refuses to write to one that fails. It leaves small objects under `probe/`; nobody reads them
//! later, so a life-cycle rule of the bucket may remove them. It never touches any other object.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::Serialize;
use tokio::{sync::Barrier, task::JoinSet};

use super::{Folder, Key, ProbeName, Store, StoreError};

mod checks;

/// How hard to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// A few rounds, for every start.
    Quick,
    /// Enough rounds to meet a rare race, for `store check`.
    Full,
}

/// What the store may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Any number of nodes may write.
    MultiWriter,
    /// It refuses to create what exists, but racing writers may both be told that they won: one node
    /// alone may write.
    SingleWriter,
    /// No node may write.
    Unusable,
    /// It did not answer every request, so some promise is unknown: no node may write before it has been asked again.
    Silent,
}

/// One promise, and whether it was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The promise in a few words.
    pub name: &'static str,
    /// True when it was kept.
    pub passed: bool,
    /// False when a request had no answer, so that nothing is known of this promise.
    pub answered: bool,
    /// What should have been seen.
    pub expected: &'static str,
    /// What was seen.
    pub seen: String,
}

/// Everything the probe found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The endpoints, as they describe themselves.
    pub endpoints: Vec<String>,
    /// One line per promise.
    pub checks: Vec<Check>,
    /// What follows from them.
    pub verdict: Verdict,
}

impl Depth {
    fn rounds(self) -> usize {
        match self {
            Self::Quick => 4,
            Self::Full => 20,
        }
    }

    /// Writers of one race. A store may make those wait who lose it, a second each time they do, and
    /// a start waits for all of them.
    fn writers(self) -> usize {
        match self {
            Self::Quick => 4,
            Self::Full => 16,
        }
    }

    /// Races that run beside one another, so that nobody waits for each in turn: 320 writers one race
    /// after the other took minutes where losers wait.
    fn races_at_once(self) -> usize {
        match self {
            Self::Quick => 4,
            Self::Full => 10,
        }
    }

    /// How long the very first answer may take: a node with a copy of what it last knew serves that when there is
    /// none, so silence is not waited for any longer than a slow store takes.
    fn first_word(self) -> Duration {
        match self {
            Self::Quick => Duration::from_secs(5),
            Self::Full => Duration::from_secs(30),
        }
    }

    /// A store that takes longer is of no use either.
    fn patience(self) -> Duration {
        match self {
            Self::Quick => Duration::from_secs(30),
            Self::Full => Duration::from_secs(180),
        }
    }
}

/// Asks the store behind `endpoints`, which must all lead to the same objects.
pub async fn check(endpoints: &[Arc<dyn Store>], depth: Depth) -> Report {
    check_within(endpoints, depth, depth.patience()).await
}

async fn check_within(endpoints: &[Arc<dyn Store>], depth: Depth, patience: Duration) -> Report {
    let mut checks = Vec::new();
    if endpoints.is_empty() {
        checks.push(Check::no_endpoint());
    } else {
        let asking = checks::all(endpoints, depth, &mut checks);
        if tokio::time::timeout(patience, asking).await.is_err() {
            checks.push(Check::out_of_time(patience));
        }
    }
    Report {
        endpoints: endpoints.iter().map(|store| store.describe()).collect(),
        verdict: verdict(&checks),
        checks,
    }
}

fn verdict(checks: &[Check]) -> Verdict {
    let broken = |check: &Check| !check.passed && check.answered;
    if checks
        .iter()
        .any(|check| broken(check) && check.name != checks::RACE)
    {
        Verdict::Unusable
    } else if checks.iter().any(|check| !check.answered) {
        // However many were kept: what nobody answered may be broken.
        Verdict::Silent
    } else if checks.iter().any(broken) {
        Verdict::SingleWriter
    } else {
        Verdict::MultiWriter
    }
}

impl Check {
    fn no_endpoint() -> Self {
        Self {
            name: "endpoints",
            passed: false,
            answered: true,
            expected: "at least one",
            seen: "none".into(),
        }
    }

    fn out_of_time(patience: Duration) -> Self {
        Self {
            name: "time",
            passed: false,
            answered: false,
            expected: "an answer to every request",
            seen: format!("not all within {} s", patience.as_secs_f32()),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MultiWriter => "multi-writer: any number of nodes may write",
            Self::SingleWriter => "single-writer: run one writing node, or fix the store",
            Self::Unusable => "unusable: choose a store that enforces `If-None-Match: *`",
            Self::Silent => "silent: start it, or check endpoint, bucket and credentials",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for endpoint in &self.endpoints {
            writeln!(f, "store   {endpoint}")?;
        }
        for check in &self.checks {
            let Check {
                name,
                expected,
                seen,
                passed,
                answered,
            } = check;
            let mark = match (passed, answered) {
                (true, _) => "ok    ",
                (false, true) => "BROKEN",
                (false, false) => "SILENT",
            };
            writeln!(f, "{mark}  {name}: expected {expected}; saw {seen}")?;
        }
        write!(f, "verdict {}", self.verdict)
    }
}

#[cfg(test)]
mod tests;
