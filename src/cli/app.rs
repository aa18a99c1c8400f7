//! `huidu app`: mini-programs.

use clap::Subcommand;
use huidu_core::name::AppId;
use serde_json::{Value, json};

use super::{
    context::{Basis, Context, app_path},
    output::{Done, cell, listed},
    version,
};
use crate::client::control::Content;

/// Mini-programs.
#[derive(Debug, Subcommand)]
pub(super) enum App {
    /// Admit a mini-program, and its tenant when that is new
    #[command(after_help = "Example:\n  huidu app add pingan/travel --title 旅行")]
    Add {
        /// `tenant/app`
        app: AppId,
        /// Its name as people read it
        #[arg(long, default_value = "")]
        title: String,
    },
    /// Say that an app is the bank's own: its versions are listed without the number of a filing
    #[command(
        after_help = "Examples:\n  huidu app internal bank/branches --reason 'staff only'\n  huidu app internal bank/branches --off --reason 'customers use it now'"
    )]
    Internal {
        /// `tenant/app`
        app: AppId,
        /// It is not, or not any more
        #[arg(long)]
        off: bool,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// List mini-programs
    #[command(after_help = "Example:\n  huidu app list")]
    List,
    /// Show one with its versions
    #[command(after_help = "Example:\n  huidu app show pingan/travel")]
    Show {
        /// `tenant/app`
        app: AppId,
    },
}

impl App {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::Add { app, title } => {
                let content = Content::Json(json!({ "app": app, "title": title }));
                let done = format!("app `{app}` admitted");
                context.change("POST", "/api/v1/apps", content, &Basis::Nothing, &done)
            }
            Self::Internal { app, off, reason } => {
                let content = Content::Json(json!({ "internal": !off, "reason": reason }));
                let done = if off {
                    format!("versions of `{app}` need the number of a filing")
                } else {
                    format!("versions of `{app}` are listed without the number of a filing")
                };
                let path = format!("{}/internal", app_path(&app));
                context.change("PUT", &path, content, &Basis::App(&app), &done)
            }
            Self::List => context.show("/api/v1/apps", |list| {
                let columns = [
                    ("APP", "app"),
                    ("TITLE", "title"),
                    ("STABLE", "stable"),
                    ("VERSIONS", "versions"),
                    ("KILLED", "killed"),
                    ("REVISION", "revision"),
                ];
                listed(list, &columns)
            }),
            Self::Show { app } => context.show(&app_path(&app), shown),
        }
    }
}

fn shown(app: &Value) -> String {
    let mut lines = vec![
        format!("app       {}", cell(&app["app"])),
        format!("title     {}", cell(&app["title"])),
        format!("revision  {}", cell(&app["revision"])),
    ];
    if let Some(reason) = app["killed"]["reason"].as_str() {
        lines.push(format!(
            "KILLED    since {}: {reason}",
            cell(&app["killed"]["at"])
        ));
    }
    if app["internal"] == true {
        lines.push("internal  listed without the number of a filing".into());
    }
    let stable = &app["rollout"]["stable"];
    if !stable.is_null() {
        lines.push(format!("stable    {}", cell(stable)));
    }
    lines.push(String::new());
    lines.push(version::listed(&app["versions"]));
    lines.join("\n")
}
