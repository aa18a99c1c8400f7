//! `huidu fleet`: the nodes, and whether they agree.

use clap::Args;
use serde_json::Value;

use super::{
    context::Context,
    output::{Done, cell, rows, table},
};

/// The nodes of this installation, and whether they came to the same.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  huidu fleet\n  huidu fleet --json | jq '.nodes[] | select(.agrees == false)'\n\n\
A `!` marks what is an alarm: another state at the same revision, or a node that cannot read what this one writes."
)]
pub(super) struct Fleet {}

impl Fleet {
    pub(super) fn run(self, context: &Context) -> Done {
        context.show("/api/v1/fleet", shown)
    }
}

fn shown(fleet: &Value) -> String {
    let lines: Vec<Vec<String>> = rows(&fleet["nodes"]).iter().map(line).collect();
    let mut text = table(
        &[
            "NODE", "STANDING", "VERSION", "REVISION", "BEHIND", "AS OF", "STATE", "AT", "STARTED",
            "ADDRESS",
        ],
        &lines,
    );
    if fleet["agrees"] == false {
        text.push_str("\n\nALARM: nodes came to different states; each goes through the ledger again (docs/operations/fleet.md)");
    }
    text
}

fn line(node: &Value) -> Vec<String> {
    let mark = |is_alarm: bool| if is_alarm { "!" } else { "" };
    let state = node["state"].as_str().unwrap_or("-");
    let state: String = state.chars().take(12).collect();
    let star = if node["self"] == true { "*" } else { "" };
    vec![
        format!("{}{star}", cell(&node["node"])),
        cell(&node["standing"]),
        format!(
            "{}{}",
            cell(&node["version"]),
            mark(node["left_behind"] == true)
        ),
        cell(&node["revision"]),
        cell(&node["behind"]),
        cell(&node["asof"]),
        format!("{state}{}", mark(node["agrees"] == false)),
        cell(&node["state_revision"]),
        cell(&node["started"]),
        cell(&node["address"]),
    ]
}
