//! What applying rule files would change: the difference in the written form, and the devices it moves.

use std::{fs, path::Path};

use anyhow::Context as _;
use huidu_core::rollout::Rollout;
use serde_json::{Value, json};

use super::load::RuleFile;
use crate::{
    cli::{
        context::{Context, app_path},
        output::{Done, Failure, cell, remark, say},
    },
    client::control::Content,
};

/// One app's file beside what is live.
pub(super) struct Planned {
    rollout: Rollout,
    revision: String,
    diff: Vec<String>,
    /// How many devices it moves, as the server counts it; none where nothing changes.
    moves: Option<Value>,
}

impl Planned {
    pub(super) fn changes(&self) -> bool {
        !self.diff.is_empty()
    }
}

/// Reads recorded polls, one JSON document a line; none where no file is named.
pub(super) fn sample(file: Option<&Path>) -> Result<Vec<Value>, Failure> {
    let Some(file) = file else {
        return Ok(Vec::new());
    };
    let text = fs::read_to_string(file)
        .with_context(|| format!("the sample `{}` cannot be read", file.display()))?;
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let polls = lines.map(|(at, line)| {
        let about = || format!("{}:{}: not a poll in JSON", file.display(), at + 1);
        Ok(serde_json::from_str(line).with_context(about)?)
    });
    polls.collect()
}

/// Compares every file with what is live; polls of `sample` are counted where they are about its app.
pub(super) fn of(
    context: &Context,
    files: &[RuleFile],
    sample: &[Value],
) -> Result<Vec<Planned>, Failure> {
    let control = context.control()?;
    let mut plans = Vec::new();
    for file in files {
        let app = &file.rollout.app;
        let Some(found) = control.find(&app_path(app))? else {
            let what = format!(
                "{}: app `{app}` does not exist; add it with `huidu app add {app}`",
                file.path.display()
            );
            return Err(Failure::Refused(what));
        };
        let live: Option<Rollout> = serde_json::from_value(found.document["rollout"].clone())
            .with_context(|| format!("the live rollout of `{app}` cannot be read"))?;
        let told = found.document["revision"]
            .as_u64()
            .map(|number| number.to_string());
        let revision = found
            .revision
            .clone()
            .or(told)
            .unwrap_or_else(|| "*".into());
        let rollout = with_live_slots(&file.rollout, live.as_ref());
        let before = live.as_ref().map(written).transpose()?.unwrap_or_default();
        let diff = diff(&before, &written(&rollout)?);
        let moves = if diff.is_empty() {
            None
        } else {
            let own = |poll: &&Value| poll["app"] == app.as_str();
            let polls: Vec<&Value> = sample.iter().filter(own).collect();
            let asked = json!({ "rollout": file.rollout, "sample": polls });
            Some(
                control
                    .query(&format!("{}/plan", app_path(app)), asked)?
                    .document,
            )
        };
        plans.push(Planned {
            rollout: file.rollout.clone(),
            revision,
            diff,
            moves,
        });
    }
    Ok(plans)
}

/// Says what would change.
pub(super) fn show(context: &Context, plans: &[Planned]) {
    if context.is_json() {
        let list: Vec<Value> = plans
            .iter()
            .map(|plan| {
                json!({
                    "app": plan.rollout.app,
                    "revision": plan.revision,
                    "changes": plan.changes(),
                    "diff": plan.diff,
                    "plan": plan.moves,
                })
            })
            .collect();
        say(&format!("{:#}", Value::Array(list)));
        return;
    }
    for plan in plans {
        if !plan.changes() {
            say(&format!("{}: nothing changes", plan.rollout.app));
            continue;
        }
        say(&format!(
            "{}: from revision {}",
            plan.rollout.app, plan.revision
        ));
        for line in &plan.diff {
            say(&format!("  {line}"));
        }
        if let Some(moves) = &plan.moves {
            say("  what moves:");
            for line in cell(&moves["text"]).lines() {
                say(&format!("    {line}"));
            }
        }
    }
}

/// Applies what changes, each for the revision that was looked at.
pub(super) fn apply(context: &Context, plans: &[Planned]) -> Done {
    let changing: Vec<&Planned> = plans.iter().filter(|plan| plan.changes()).collect();
    if changing.is_empty() {
        context.answer(&json!([]), |_| "nothing changes".into());
        return Ok(0);
    }
    if !context.is_json() {
        show(context, plans);
    }
    let noun = if changing.len() == 1 {
        "rollout"
    } else {
        "rollouts"
    };
    context.confirm(&format!("Apply {} {noun}?", changing.len()))?;
    let mut done = Vec::new();
    for plan in changing {
        let app = &plan.rollout.app;
        let document =
            serde_json::to_value(&plan.rollout).context("the rollout has no JSON form")?;
        let path = format!("{}/rollout", app_path(app));
        let reply = context.ask_at("PUT", &path, Content::Json(document), &plan.revision)?;
        remark(&format!(
            "{app}: applied (revision {})",
            reply.document["revision"]
        ));
        done.push(reply.document);
    }
    if context.is_json() {
        say(&format!("{:#}", Value::Array(done)));
    }
    Ok(0)
}

/// The file's rollout with the slots huidu gave the same rules before: leaving them out is no change.
fn with_live_slots(rollout: &Rollout, live: Option<&Rollout>) -> Rollout {
    let mut rollout = rollout.clone();
    let Some(live) = live else {
        return rollout;
    };
    for rule in rollout
        .rules
        .iter_mut()
        .filter(|rule| rule.slots.is_empty())
    {
        let same = |old: &&huidu_core::rollout::Rule| {
            old.name == rule.name && old.layer == rule.layer && old.share == rule.share
        };
        if let Some(old) = live.rules.iter().find(same) {
            rule.slots = old.slots.clone();
        }
    }
    for holdout in rollout
        .holdouts
        .iter_mut()
        .filter(|holdout| holdout.slots.is_empty())
    {
        let same = |old: &&huidu_core::rollout::Holdout| {
            old.layer == holdout.layer && old.share == holdout.share
        };
        if let Some(old) = live.holdouts.iter().find(same) {
            holdout.slots = old.slots.clone();
        }
    }
    rollout
}

fn written(rollout: &Rollout) -> Result<String, Failure> {
    Ok(toml::to_string(rollout).context("the rollout has no written form")?)
}

/// The lines that differ, `-` before, `+` after, in the order of the text (longest common subsequence).
pub(super) fn diff(before: &str, after: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    // Rules seldom differ in many places: what is the same at both ends needs no table.
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - head;
    let tail = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take(most)
        .take_while(|(a, b)| a == b)
        .count();
    let (old, new) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let mut common = vec![vec![0_u32; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(format!("- {}", old[i]));
            i += 1;
        } else {
            lines.push(format!("+ {}", new[j]));
            j += 1;
        }
    }
    lines.retain(|line| line.len() > 2);
    lines
}

#[cfg(test)]
mod tests {
    use super::diff;

    #[test]
    fn a_difference_is_the_lines_that_differ_in_order() {
        let before = "a\nb\nc\nd\n";
        assert!(diff(before, before).is_empty());
        assert_eq!(diff(before, "a\nc\nd\n"), ["- b"]);
        assert_eq!(diff(before, "a\nx\nc\nd\ne\n"), ["- b", "+ x", "+ e"]);
        assert_eq!(diff("", "a\n"), ["+ a"]);
        assert_eq!(diff("a\na\n", "a\n"), ["- a"]);
    }
}
