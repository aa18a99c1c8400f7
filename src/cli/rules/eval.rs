//! `huidu rules eval`: polls in, outcomes with reasons out, by one rule file and nothing else.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write as _},
    path::Path,
};

use anyhow::Context as _;
use huidu_core::{name::AppId, poll::PollLine, resolve::Outcome};
use serde_json::{Value, json};

use super::{load, local::Local};
use crate::cli::output::{Done, Failure};

pub(super) fn run(file: &Path, polls: Option<&Path>) -> Done {
    let rollout = load::one(file)?.rollout;
    let local = Local::new(&rollout)?;
    let reader: Box<dyn BufRead> = match polls {
        Some(path) => {
            let opened = File::open(path);
            let opened = opened.with_context(|| format!("`{}` cannot be read", path.display()))?;
            Box::new(BufReader::new(opened))
        }
        None => Box::new(io::stdin().lock()),
    };
    let mut out = BufWriter::new(io::stdout().lock());
    for (number, line) in reader.lines().enumerate() {
        let line = line.context("the polls cannot be read")?;
        if line.trim().is_empty() {
            continue;
        }
        let told = one(&local, &rollout.app, &line)
            .map_err(|why| Failure::Refused(format!("poll {}: {why}", number + 1)))?;
        if writeln!(out, "{told}").is_err() {
            // Whoever stopped reading does not want the rest.
            return Ok(0);
        }
    }
    let _ = out.flush();
    Ok(0)
}

/// What one line's device is told.
pub(super) fn one(local: &Local, app: &AppId, line: &str) -> Result<Value, String> {
    let poll = PollLine::from_json(line.as_bytes()).map_err(|error| error.to_string())?;
    if poll.app() != app.as_str() {
        return Err(format!(
            "it is about `{}`; the rule file is of `{app}`",
            poll.app()
        ));
    }
    Ok(outcome(&local.answer(&poll)))
}

fn outcome(outcome: &Outcome<'_>) -> Value {
    let answer = outcome.answer;
    let mut told = json!({ "state": answer.state, "reason": outcome.reason });
    if let Some(version) = &answer.version {
        told["version"] = json!(version);
    }
    if let Some(rule) = &answer.rule {
        told["rule"] = json!(rule);
    }
    if let Some(arm) = &answer.arm {
        told["arm"] = json!(arm);
    }
    told
}

#[cfg(test)]
mod tests {
    use huidu_core::rulefile;

    use super::*;

    const RULES: &str = r#"
        app = "pingan/travel"
        hosts = ["retail-bank"]
        stable = "2.3.1"
        floors = ["2.0.0"]

        [[rule]]
        name = "staff"
        when = { segment = "bank-staff" }
        serve = "2.5.0-rc.1"

        [[rule]]
        name = "harmony"
        when = { platform = "harmony" }
        layer = "checkout"
        share = "100%"
        split = { a = { serve = "2.4.0", weight = 1 }, b = { serve = "2.4.1", weight = 1 } }
    "#;

    fn told(more: &Value) -> Result<Value, String> {
        let rollout = rulefile::parse_toml("travel.toml", RULES).unwrap().rollout;
        let mut line = json!({
            "app": "pingan/travel", "host": "retail-bank", "device": { "unit": "u1" },
        });
        for (name, value) in more.as_object().unwrap() {
            line[name] = value.clone();
        }
        one(
            &Local::new(&rollout).unwrap(),
            &rollout.app,
            &line.to_string(),
        )
    }

    #[test]
    fn polls_are_answered_without_a_server_and_segments_are_what_the_poll_states() {
        assert_eq!(
            told(&json!({})).unwrap(),
            json!({"state": "run", "reason": "stable", "version": "2.3.1"})
        );
        assert_eq!(
            told(&json!({"segments": ["bank-staff"]})).unwrap(),
            json!({"state": "run", "reason": "rule", "version": "2.5.0-rc.1", "rule": "staff"})
        );
        assert_eq!(
            told(&json!({"version": "1.0.0"})).unwrap()["reason"],
            "floor"
        );
        assert_eq!(
            told(&json!({"host": "other"})).unwrap(),
            json!({"state": "none", "reason": "none"})
        );
    }

    #[test]
    fn a_layer_has_slots_as_a_first_apply_would_give_them() {
        let told = told(&json!({"device": {"unit": "u1", "platform": "harmony"}})).unwrap();
        assert_eq!(told["rule"], "harmony");
        assert!(told["arm"].is_string());
    }

    #[test]
    fn a_poll_of_another_app_is_refused() {
        assert!(
            told(&json!({"app": "pingan/loan"}))
                .unwrap_err()
                .contains("pingan/loan")
        );
    }
}
