//! `check`: what is wrong with a rollout that can be read, all of it at once.
//!
//! One list of checks for everybody who may write a rollout: `rules check` on a file alone, the control
//! plane on a body, `decide` before an event. What is known of the world is optional, so a file can be
//! checked without a server; what is not known is not complained about. It must never change anything
//! and never stop at the first finding.

mod audience;
mod history;
pub(crate) mod layers;
mod ramps;
mod rules;
mod versions;

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{
    catalogue::{App, SegmentRef},
    limits,
    name::{HostId, SegmentName},
    rollout::Rollout,
    version::Number,
};

/// What is known beside the rollout itself; what is left out is not checked.
#[derive(Debug, Clone, Copy, Default)]
pub struct World<'a> {
    /// The app with its versions and their life.
    pub app: Option<&'a App>,
    /// The bank apps there are.
    pub hosts: Option<&'a BTreeMap<HostId, String>>,
    /// The segments there are.
    pub segments: Option<&'a BTreeMap<SegmentName, SegmentRef>>,
    /// Listed versions that no device would run, with the reason.
    pub barred: Option<&'a BTreeMap<Number, String>>,
    /// The rollout that is live now.
    pub previous: Option<&'a Rollout>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The rollout is refused.
    Error,
    /// The rollout is taken, and somebody should look.
    Warning,
}

/// Something wrong with a rollout: a fact and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Finding {
    /// Where, as a JSON pointer into the written form, such as `/rule/2/split/one-page/serve`.
    pub path: String,
    /// The value at fault.
    pub value: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do.
    pub help: String,
    /// How bad it is.
    pub severity: Severity,
}

impl Finding {
    /// True when the rollout is refused for it.
    pub const fn is_error(&self) -> bool {
        matches!(self.severity, Severity::Error)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            value,
            message,
            help,
            ..
        } = self;
        write!(f, "{path}: `{value}` {message}; {help}")
    }
}

/// Everything wrong with `rollout`, errors and warnings, in the order of the checks.
pub fn check(rollout: &Rollout, world: &World<'_>) -> Vec<Finding> {
    check_part(rollout, &Numbering::default(), world)
}

/// Where the rules and holdouts of a rollout stood in its written form: a file with unreadable rules is
/// checked for its readable ones, and these keep their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Numbering {
    /// The written number of each rule; beyond its end, a rule's number is its index.
    pub(crate) rules: Vec<usize>,
    /// The written number of each holdout, likewise.
    pub(crate) holdouts: Vec<usize>,
}

/// Checks a rollout that may be only a part of what was written. Leaving rules out never adds a finding.
pub(crate) fn check_part(
    rollout: &Rollout,
    numbering: &Numbering,
    world: &World<'_>,
) -> Vec<Finding> {
    let mut checker = Checker {
        rollout,
        numbering,
        findings: Vec::new(),
    };
    checker.sizes();
    checker.hosts(world);
    checker.versions(world);
    checker.floors();
    checker.pins();
    checker.names();
    checker.schedules();
    checker.arms();
    checker.ramps();
    checker.shadows();
    checker.layers();
    checker.audiences(world);
    checker.history(world);
    checker.findings
}

/// The checks share what they look at and where they write.
struct Checker<'a> {
    rollout: &'a Rollout,
    numbering: &'a Numbering,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    fn rule(&self, index: usize) -> String {
        let number = self.numbering.rules.get(index).copied().unwrap_or(index);
        format!("/rule/{number}")
    }

    fn holdout(&self, index: usize) -> String {
        let number = self.numbering.holdouts.get(index).copied().unwrap_or(index);
        format!("/holdout/{number}")
    }

    fn error(
        &mut self,
        path: String,
        value: impl fmt::Display,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.find(Severity::Error, path, &value, message.into(), help.into());
    }

    fn warn(
        &mut self,
        path: String,
        value: impl fmt::Display,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.find(Severity::Warning, path, &value, message.into(), help.into());
    }

    fn find(
        &mut self,
        severity: Severity,
        path: String,
        value: &dyn fmt::Display,
        message: String,
        help: String,
    ) {
        let value = shown(&value.to_string());
        self.findings.push(Finding {
            path,
            value,
            message,
            help,
            severity,
        });
    }

    fn at_most(&mut self, path: String, count: usize, limit: usize, what: &str, help: &str) {
        if count > limit {
            let message = format!("{what} are more than the {limit} that fit");
            self.error(path, count, message, help);
        }
    }

    fn sizes(&mut self) {
        let rollout = self.rollout;
        let sizes = [
            ("/hosts", rollout.hosts.len(), limits::HOSTS, "hosts"),
            ("/rule", rollout.rules.len(), limits::RULES, "rules"),
            (
                "/holdout",
                rollout.holdouts.len(),
                limits::RULES,
                "holdouts",
            ),
            ("/pins", rollout.pins.len(), limits::PINS, "pins"),
            ("/floors", rollout.floors.len(), limits::FLOORS, "floors"),
        ];
        for (path, count, limit, what) in sizes {
            let help = match what {
                "pins" => "upload the units as a segment and serve it by a rule",
                _ => "take some out",
            };
            self.at_most(path.to_owned(), count, limit, what, help);
        }
    }

    fn hosts(&mut self, world: &World<'_>) {
        if self.rollout.hosts.is_empty() {
            let (message, help) = ("names no host", "name at least one bank app");
            self.error("/hosts".to_owned(), "[]", message, help);
        }
        // A set forgets the order it was written in, so its members are found by their value.
        for host in &self.rollout.hosts {
            if world.hosts.is_some_and(|hosts| !hosts.contains_key(host)) {
                let help = "add it by `huidu host add`, or correct its name";
                self.error("/hosts".to_owned(), host, "is not a known host", help);
            }
        }
    }

    fn pins(&mut self) {
        for unit in self.rollout.pins.keys() {
            if let Err(message) = unit_fault(unit) {
                let path = child("/pins", unit);
                let help = format!(
                    "write a device id or pseudonymous user id of 1 to {} bytes",
                    limits::UNIT_BYTES
                );
                self.error(path, unit, message, help);
            }
        }
    }
}

/// Why a text cannot be a unit.
pub(crate) fn unit_fault(unit: &str) -> Result<(), &'static str> {
    if unit.is_empty() {
        return Err("is an empty unit");
    }
    if unit.len() > limits::UNIT_BYTES {
        return Err("is too long for a unit");
    }
    if unit.contains(char::is_control) {
        return Err("holds a control character");
    }
    Ok(())
}

/// One step down in a JSON pointer.
pub(crate) fn child(path: &str, key: &str) -> String {
    format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// A value as a message shows it: on one line and not longer than people read.
pub(crate) fn shown(value: &str) -> String {
    const SHOWN_CHARS: usize = 64;
    let mut text: String = value
        .chars()
        .take(SHOWN_CHARS)
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = escaped.is_none().then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect();
    if value.chars().nth(SHOWN_CHARS).is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
