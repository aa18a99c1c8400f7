//! `huidu history`: what was changed, by whom and why.

use clap::Args;
use huidu_core::name::AppId;
use serde_json::Value;

use super::{
    context::{Context, query},
    output::{Done, cell, rows, table},
};

/// What was changed, by whom and why.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  huidu history --limit 20\n  huidu history pingan/travel --before 1200 --json"
)]
pub(super) struct History {
    /// Of this app alone
    app: Option<AppId>,
    /// How many, newest first
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// Older than this revision
    #[arg(long)]
    before: Option<u64>,
}

impl History {
    pub(super) fn run(self, context: &Context) -> Done {
        let before = self.before.map(|revision| revision.to_string());
        let asked = query(&[
            ("app", self.app.as_ref().map(AppId::as_str)),
            ("limit", Some(&self.limit.to_string())),
            ("before", before.as_deref()),
        ]);
        context.show(&format!("/api/v1/history?{asked}"), shown)
    }
}

fn shown(history: &Value) -> String {
    let lines: Vec<Vec<String>> = rows(history)
        .iter()
        .map(|change| {
            let events: Vec<String> = rows(&change["events"]).iter().map(event).collect();
            vec![
                cell(&change["revision"]),
                cell(&change["at"]),
                cell(&change["actor"]["id"]),
                events.join("; "),
                cell(&change["why"]),
            ]
        })
        .collect();
    table(&["REVISION", "WHEN", "WHO", "WHAT", "WHY"], &lines)
}

/// An event in a few words: its kind, then whatever of its fields is short.
pub(super) fn event(event: &Value) -> String {
    let mut words = vec![cell(&event["event"])];
    for field in [
        "app", "version", "rule", "share", "tenant", "host", "segment", "id", "reason",
    ] {
        match &event[field] {
            Value::Null => {}
            Value::Object(version) => words.extend(version.get("number").map(cell)),
            value => words.push(cell(value)),
        }
    }
    if let Some(app) = event["rollout"]["app"].as_str() {
        words.push(app.to_owned());
    }
    words.join(" ")
}
