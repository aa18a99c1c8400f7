//! `huidu rules test`: devices and what they must be told, as data.

use std::path::Path;

use huidu_core::{
    cases::{Case, CaseFile, Expect},
    manifest::State,
    poll::PollLine,
    resolve::Outcome,
    rollout::Rollout,
};
use serde_json::{Value, json};

use super::{
    load::{self, RuleFile},
    local::Local,
};
use crate::cli::output::Failure;

/// Runs every case; how many there are, or every one that fails.
pub(super) fn run(dir: &Path, files: &[RuleFile]) -> Result<usize, Failure> {
    let (mut passed, mut failed) = (0, Vec::new());
    for path in load::cases(dir)? {
        let name = path.display().to_string();
        let cases = CaseFile::parse(&name, &load::text(&path)?)
            .map_err(|problems| Failure::Refused(problems.to_string()))?;
        let Some(file) = files.iter().find(|file| file.rollout.app == cases.app) else {
            failed.push(format!(
                "{name}: there is no rule file of app `{}`",
                cases.app
            ));
            continue;
        };
        let local = Local::new(&file.rollout)?;
        for case in &cases.cases {
            match check(&local, &file.rollout, case) {
                Ok(()) => passed += 1,
                Err(why) => failed.push(format!("{name}: case `{}`: {why}", case.name)),
            }
        }
    }
    if failed.is_empty() {
        Ok(passed)
    } else {
        let count = failed.len();
        Err(Failure::Refused(format!(
            "{count} cases fail, {passed} pass\n{}",
            failed.join("\n")
        )))
    }
}

fn check(local: &Local, rollout: &Rollout, case: &Case) -> Result<(), String> {
    let line = poll_line(rollout, case).to_string();
    let poll = PollLine::from_json(line.as_bytes()).map_err(|error| error.to_string())?;
    let outcome = local.answer(&poll);
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
