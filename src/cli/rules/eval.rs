//! `huidu rules eval`: polls in, outcomes with reasons out, by one rule file and nothing else.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write as _},
    path::Path,
};

use anyhow::Context as _;
#[cfg(test)]
use huidu_core::rollout::Rollout;
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

/// The rollout a line is of, for tests of whole files.
#[cfg(test)]
pub(super) fn evaluated(rollout: &Rollout, line: &str) -> Result<Value, String> {
    one(
        &Local::new(rollout).map_err(|error| error.to_string())?,
        &rollout.app,
        line,
    )
}
