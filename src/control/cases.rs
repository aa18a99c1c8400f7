//! Tests of rules, run: a device and what it must be told, by a rollout that is compiled for it alone.
//!
//! The same for a file on somebody's disk and for a rollout that somebody is about to put in place. A segment holds
//! whoever a case says is on it; nothing is counted, nothing is kept, and no list that was uploaded is asked.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

use huidu_core::{
    cases::{Case, Expect},
    catalogue::App,
    compile::{CompiledApp, Context, compile},
    manifest::State,
    name::SegmentName,
    poll::PollLine,
    predicate::Membership,
    resolve::Outcome,
    rollout::Rollout,
    time::Timestamp,
};
use serde_json::{Value, json};

/// The segments that the poll at hand states its unit to be on.
type Stated = Arc<RwLock<BTreeSet<String>>>;

/// A compiled app whose segments hold whoever states to be on them.
pub(crate) struct Stating {
    app: CompiledApp,
    stated: Stated,
}

/// A segment that holds whoever states to be on it.
struct StatedSegment {
    name: String,
    stated: Stated,
}

impl Membership for StatedSegment {
    fn contains(&self, _: &str) -> bool {
        let stated = self.stated.read().unwrap_or_else(PoisonError::into_inner);
        stated.contains(&self.name)
    }
}

impl Stating {
    /// Compiles `app`.
    pub(crate) fn of(app: &App) -> Self {
        let context = Context {
            audience: "local/eval".into(),
            poll_after_ms: 0,
            poll_spread_ms: 0,
            keyring: None,
        };
        let stated = Stated::default();
        let find = |name: &SegmentName| -> Option<Arc<dyn Membership>> {
            Some(Arc::new(StatedSegment {
                name: name.to_string(),
                stated: Arc::clone(&stated),
            }))
        };
        let app = compile(app, &context, &find);
        Self { app, stated }
    }

    /// What one poll is told, when it says no time of its own at `now`.
    pub(crate) fn answer(&self, poll: &PollLine<'_>, now: Timestamp) -> Outcome<'_> {
        let segments = poll.segments().map(ToOwned::to_owned).collect();
        *self.stated.write().unwrap_or_else(PoisonError::into_inner) = segments;
        let now = poll.now().unwrap_or(now);
        self.app
            .resolve(poll.host(), &poll.device(), &poll.installed(), now)
    }
}

/// Whether `case` holds for `rollout` as it was compiled; else what it got instead, in words.
pub(crate) fn check(
    compiled: &Stating,
    rollout: &Rollout,
    case: &Case,
    now: Timestamp,
) -> Result<(), String> {
    let line = poll_line(rollout, case).to_string();
    let poll = PollLine::from_json(line.as_bytes()).map_err(|error| error.to_string())?;
    let outcome = compiled.answer(&poll, now);
    let is_as_expected = match &case.expect {
        Expect::Version(number) => outcome.answer.version.as_ref() == Some(number),
        Expect::None => outcome.answer.state == State::None,
        Expect::Killed => outcome.answer.state == State::Killed,
    };
    let rule = outcome.answer.rule.as_ref();
    if !is_as_expected {
        return Err(format!(
            "expected {}, got {}",
            expected(&case.expect),
            got(&outcome)
        ));
    }
    if case.rule.is_some() && case.rule.as_ref() != rule {
        let wanted = case
            .rule
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        return Err(format!("expected rule `{wanted}`, got {}", got(&outcome)));
    }
    if case.arm.is_some() && case.arm != outcome.answer.arm {
        let wanted = case
            .arm
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        return Err(format!("expected arm `{wanted}`, got {}", got(&outcome)));
    }
    Ok(())
}

fn expected(expect: &Expect) -> String {
    match expect {
        Expect::Version(number) => number.to_string(),
        Expect::None => "none".into(),
        Expect::Killed => "killed".into(),
    }
}

fn got(outcome: &Outcome<'_>) -> String {
    let answer = outcome.answer;
    let mut text = match (&answer.version, answer.state) {
        (Some(version), _) => version.to_string(),
        (None, State::Killed) => "killed".into(),
        (None, _) => "none".into(),
    };
    match &answer.rule {
        Some(rule) => text.push_str(&format!(" by rule `{rule}`")),
        None => text.push_str(&format!(" ({})", outcome.reason.word())),
    }
    if let Some(arm) = &answer.arm {
        text.push_str(&format!(", arm `{arm}`"));
    }
    text
}

/// The poll of a case, written as a device would write it, so that the same reader checks it.
fn poll_line(rollout: &Rollout, case: &Case) -> Value {
    let device = &case.device;
    let host = device.host.as_ref().or_else(|| rollout.hosts.first());
    let mut stated = json!({ "unit": device.unit.as_deref().unwrap_or("a-device") });
    let texts = [
        ("platform", &device.platform),
        ("region", &device.region),
        ("city", &device.city),
        ("language", &device.language),
        ("model", &device.model),
        ("channel", &device.channel),
        ("host_version", &device.host_version),
        ("os_version", &device.os_version),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            stated[name] = json!(value);
        }
    }
    stated["tags"] = json!(device.tags);
    stated["attr"] = json!(device.attr);
    let mut line = json!({
        "app": rollout.app,
        "host": host,
        "device": stated,
        "failed": device.failed,
        "segments": case.segments,
    });
    if let Some(version) = &device.app_version {
        line["version"] = json!(version);
    }
    if let Some(now) = case.now {
        line["now"] = json!(now);
    }
    line
}
