//! `huidu kill` and `huidu unkill`: stop a version, or a whole app, now; and take it back.

use clap::Args;
use huidu_core::{name::AppId, version::Number};
use serde_json::{Value, json};

use super::{
    context::{Basis, Context, app_path},
    output::{Done, Failure},
    version::stopped,
};
use crate::client::control::Content;

/// Stop a version, or a whole app, now.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  huidu kill pingan/travel 2.4.0 --reason 'leaks account numbers'\n  huidu kill pingan/travel --reason R-17 --yes\n  huidu kill --receipt 01ARZ3NDEKTSV4RRFFQ69G5FAV"
)]
pub(super) struct Kill {
    /// `tenant/app`
    #[arg(required_unless_present = "receipt")]
    app: Option<AppId>,
    /// The version; left out: the whole app
    version: Option<Number>,
    /// Why; devices and the history show it
    #[arg(long, required_unless_present = "receipt")]
    reason: Option<String>,
    /// Shows where the kill with this op id is in force, and kills nothing
    #[arg(long, value_name = "OP", conflicts_with_all = ["app", "version", "reason"])]
    receipt: Option<String>,
}

/// Take a kill back.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  huidu unkill pingan/travel 2.4.0 --reason 'false alarm'")]
pub(super) struct Unkill {
    /// `tenant/app`
    app: AppId,
    /// The version; left out: the whole app
    version: Option<Number>,
    /// Why
    #[arg(long)]
    reason: String,
}

fn named(app: &AppId, version: Option<&Number>) -> String {
    version.map_or_else(
        || format!("the whole app `{app}`"),
        |version| format!("version {version} of `{app}`"),
    )
}

impl Kill {
    pub(super) fn run(self, context: &Context) -> Done {
        if let Some(op) = &self.receipt {
            return Self::receipt(context, op);
        }
        let (Some(app), Some(reason)) = (self.app, self.reason) else {
            return Err(Failure::Usage("name the app and give --reason".into()));
        };
        let what = named(&app, self.version.as_ref());
        if self.version.is_none() {
            context.confirm(&format!("Kill {what}: it stops on every device."))?;
        }
        let content = Content::Json(json!({ "version": self.version, "reason": reason }));
        let path = format!("{}/kill", app_path(&app));
        // A kill never waits for a revision: it must not be refused because somebody moved a share.
        let reply = context.ask("POST", &path, content, &Basis::Nothing, &|_| {})?;
        let done = stopped(&format!("{what} is killed"), &reply.document);
        let receipt = told(&reply.document["receipt"]);
        if reply.document["state"] == "provisional" {
            // In force, so no failure; and not in the ledger, which whoever asks must see.
            context.answer(&reply.document, |document| {
                let op = document["op"].as_str().unwrap_or_default();
                format!("{done}: PROVISIONAL, the ledger does not have it yet; it outlasts restarts, and the node goes on trying\n{receipt}\nhow it stands: huidu kill --receipt {op}")
            });
            return Ok(0);
        }
        if receipt.is_empty() {
            context.changed(&reply.document, &done);
            return Ok(0);
        }
        context.answer(&reply.document, |document| {
            let repeated = if document["repeated"] == true {
                ", as before"
            } else {
                ""
            };
            format!(
                "{done} (revision {}{repeated})\n{receipt}",
                document["revision"]
            )
        });
        Ok(0)
    }

    /// Shows where a kill is in force, now.
    fn receipt(context: &Context, op: &str) -> Done {
        let path = format!("/api/v1/kills/{}", crate::client::escaped(op));
        let reply = context.control()?.get(&path)?;
        context.answer(&reply.document, |document| {
            let state = document["state"]
                .as_str()
                .unwrap_or_default()
                .to_uppercase();
            let rev = document["revision"].as_u64();
            let rev = rev
                .map(|rev| format!(" (revision {rev})"))
                .unwrap_or_default();
            format!("{state}{rev}\n{}", told(document))
        });
        Ok(0)
    }
}

/// A receipt as people read it: a line for each node, those not reached, and the instant of completeness.
fn told(receipt: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut lines = Vec::new();
    for node in receipt["nodes"].as_array().into_iter().flatten() {
        let kept = if node["kept"] == true {
            ""
        } else {
            ", NOT on its disk"
        };
        lines.push(format!(
            "  {}: refuses it after {} ms (revision {}, as of {}{kept})",
            text(&node["node"]),
            node["ms"],
            node["revision"],
            text(&node["asof"]),
        ));
    }
    for node in receipt["unreached"].as_array().into_iter().flatten() {
        let (address, why) = (text(&node["address"]), text(&node["why"]));
        lines.push(format!("  NOT REACHED: {address} ({why})"));
    }
    if let Some(by) = receipt["complete_by"].as_str() {
        lines.push(format!("  no older answer is valid after {by}"));
    } else if receipt.is_object() {
        lines.push("  until when older answers are valid is not known yet".into());
    }
    lines.join("\n")
}

impl Unkill {
    pub(super) fn run(self, context: &Context) -> Done {
        let what = named(&self.app, self.version.as_ref());
        context.confirm(&format!("Let {what} run again."))?;
        let content = Content::Json(json!({ "version": self.version, "reason": self.reason }));
        let path = format!("{}/unkill", app_path(&self.app));
        context.change(
            "POST",
            &path,
            content,
            &Basis::App(&self.app),
            &format!("{what} may run again"),
        )
    }
}
