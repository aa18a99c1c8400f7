//! `huidu change`: changes that people agree on, and which kinds of change take it.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    context::{Basis, Context},
    output::{Done, Failure, cell, outlined, remark, rows, table},
};
use crate::client::control::Content;

/// Changes that people agree on.
#[derive(Debug, Subcommand)]
pub(super) enum Change {
    /// What waits to be agreed on, or for its time
    #[command(after_help = "Example:\n  huidu change list")]
    List,
    /// Show a change, and agree to it
    #[command(
        after_help = "Examples:\n  huidu change approve 3f0c9a1d5e7b2468\n  huidu change approve 3f0c9a1d5e7b2468 --hash ba7816bf… --yes"
    )]
    Approve {
        /// Its name
        id: String,
        /// The hash of the change that was looked at; left out, that of the one that is shown before asking
        #[arg(long)]
        hash: Option<String>,
    },
    /// Take back a change that waits
    #[command(
        after_help = "Example:\n  huidu change withdraw 3f0c9a1d5e7b2468 --reason 'wrong rule'"
    )]
    Withdraw {
        /// Its name
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Which kinds of change people agree on; with a file, decide it
    #[command(
        after_help = "Examples:\n  huidu change policy\n  huidu change policy --json > eyes.json\n  huidu change policy eyes.json"
    )]
    Policy {
        /// A JSON document as this verb writes it
        file: Option<PathBuf>,
    },
}

impl Change {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::List => context.show("/api/v1/changes", |list| {
                let lines: Vec<Vec<String>> = rows(list).iter().map(short).collect();
                table(
                    &[
                        "CHANGE",
                        "WHAT",
                        "APP",
                        "BY",
                        "LACKS",
                        "NOT BEFORE",
                        "VOID FROM",
                    ],
                    &lines,
                )
            }),
            Self::Approve { id, hash } => {
                let hash = match hash {
                    Some(hash) => json!(hash),
                    None => {
                        let change = find(context, &id)?;
                        remark(&outlined(&change));
                        context.confirm("Agree to this change.")?;
                        change["hash"].clone()
                    }
                };
                let path = format!("/api/v1/changes/{id}/approve");
                let content = Content::Json(json!({ "hash": hash }));
                let done = format!("change `{id}` has your approval");
                context.change("POST", &path, content, &Basis::Nothing, &done)
            }
            Self::Withdraw { id, reason } => {
                let path = format!("/api/v1/changes/{id}/withdraw");
                let content = Content::Json(json!({ "reason": reason }));
                let done = format!("change `{id}` is taken back");
                context.change("POST", &path, content, &Basis::Nothing, &done)
            }
            Self::Policy { file: None } => context.show("/api/v1/eyes", outlined),
            Self::Policy { file: Some(file) } => {
                let name = file.display().to_string();
                let text = fs::read(&file).with_context(|| format!("`{name}` cannot be read"))?;
                let policy: Value = serde_json::from_slice(&text)
                    .map_err(|error| Failure::Usage(format!("`{name}` is not JSON: {error}")))?;
                let done = "people agree on these kinds of change";
                let content = Content::Json(policy);
                context.change("PUT", "/api/v1/eyes", content, &Basis::Nothing, done)
            }
        }
    }
}

fn short(change: &Value) -> Vec<String> {
    ["id", "verb", "app", "by", "lacks", "enact_at", "until"]
        .map(|field| cell(&change[field]))
        .to_vec()
}

fn find(context: &Context, id: &str) -> Result<Value, Failure> {
    let list = context.control()?.get("/api/v1/changes")?.document;
    let found = rows(&list).iter().find(|change| change["id"] == id);
    found.cloned().ok_or_else(|| {
        Failure::Refused(format!(
            "no change `{id}` waits; `huidu change list` shows them"
        ))
    })
}
