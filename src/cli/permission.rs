//! `huidu permission`: what mini-programs may do, and what one has no more.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use huidu_core::{
    grade::PermissionCatalogue,
    name::{AppId, Permission as Name},
};
use serde_json::{Value, json};

use super::{
    context::{Basis, Context, app_path},
    output::{Done, Failure, cell, outlined, table},
};
use crate::client::control::Content;

/// What mini-programs may do.
#[derive(Debug, Subcommand)]
pub(super) enum Permission {
    /// The catalogue of host APIs and pages, with their grades
    #[command(after_help = "Example:\n  huidu permission list")]
    List,
    /// Put the catalogue in place, whole, from a TOML file
    #[command(
        after_help = "Example:\n  huidu permission put permissions.toml\n\nThe file:\n  [permissions]\n  storage = { grade = \"basic\" }\n  \"location.precise\" = { grade = \"sensitive\", title = \"where somebody is\" }\n  \"transfer.confirm\" = { grade = \"critical\", surface = \"page\" }"
    )]
    Put {
        /// The file
        file: PathBuf,
    },
    /// What an app may have, and what it has no more
    #[command(after_help = "Example:\n  huidu permission show pingan/travel")]
    Show {
        /// `tenant/app`
        app: AppId,
    },
    /// Let an app be allowed a permission above its tenant's grade
    #[command(after_help = "Example:\n  huidu permission grant pingan/travel location.precise")]
    Grant {
        /// `tenant/app`
        app: AppId,
        /// The API or page
        permission: Name,
    },
    /// Withdraw a grant: nothing will be approved on it any more
    #[command(after_help = "Example:\n  huidu permission withdraw pingan/travel location.precise")]
    Withdraw {
        /// `tenant/app`
        app: AppId,
        /// The API or page
        permission: Name,
    },
    /// Take a permission from every version of an app, now
    #[command(
        after_help = "Example:\n  huidu permission revoke pingan/travel location.precise --reason 'sells it on'"
    )]
    Revoke {
        /// `tenant/app`
        app: AppId,
        /// The API or page
        permission: Name,
        /// Why; devices and the history show it
        #[arg(long)]
        reason: String,
    },
    /// Give a revoked permission back
    #[command(
        after_help = "Example:\n  huidu permission restore pingan/travel location.precise --reason 'false alarm'"
    )]
    Restore {
        /// `tenant/app`
        app: AppId,
        /// The API or page
        permission: Name,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

fn path_of(app: &AppId, permission: &Name, verb: &str) -> String {
    format!("{}/permissions/{permission}/{verb}", app_path(app))
}

impl Permission {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::List => context.show("/api/v1/permissions", catalogue),
            Self::Put { file } => {
                let text = fs::read_to_string(&file).with_context(|| {
                    format!("the catalogue `{}` cannot be read", file.display())
                })?;
                PermissionCatalogue::from_toml(&text)
                    .map_err(|error| Failure::Refused(format!("`{}`: {error}", file.display())))?;
                let done = "the catalogue of permissions is in place";
                let path = "/api/v1/permissions";
                context.change("PUT", path, Content::Toml(text), &Basis::Nothing, done)
            }
            Self::Show { app } => {
                context.show(&format!("{}/permissions", app_path(&app)), outlined)
            }
            Self::Grant { app, permission } => {
                let path = path_of(&app, &permission, "grant");
                let done = format!("`{permission}` is granted to `{app}`");
                context.change("PUT", &path, Content::None, &Basis::App(&app), &done)
            }
            Self::Withdraw { app, permission } => {
                let path = path_of(&app, &permission, "grant");
                let done = format!("the grant of `{permission}` to `{app}` is withdrawn");
                context.change("DELETE", &path, Content::None, &Basis::App(&app), &done)
            }
            Self::Revoke {
                app,
                permission,
                reason,
            } => {
                let content = Content::Json(json!({ "reason": reason }));
                let path = path_of(&app, &permission, "revoke");
                let done = format!("`{app}` has `{permission}` no more");
                // As a kill: it must not be refused because somebody moved a share.
                context.change("POST", &path, content, &Basis::Nothing, &done)
            }
            Self::Restore {
                app,
                permission,
                reason,
            } => {
                context.confirm(&format!("Give `{permission}` back to `{app}`."))?;
                let content = Content::Json(json!({ "reason": reason }));
                let path = path_of(&app, &permission, "restore");
                let done = format!("`{app}` has `{permission}` again");
                context.change("POST", &path, content, &Basis::App(&app), &done)
            }
        }
    }
}

fn catalogue(document: &Value) -> String {
    let known = document["permissions"].as_object();
    let lines: Vec<Vec<String>> = known
        .into_iter()
        .flatten()
        .map(|(name, graded)| {
            vec![
                name.clone(),
                cell(&graded["grade"]),
                graded["surface"].as_str().unwrap_or("api").into(),
                graded["title"].as_str().unwrap_or_default().into(),
            ]
        })
        .collect();
    if lines.is_empty() {
        return "no catalogue yet: nothing is graded".into();
    }
    table(&["PERMISSION", "GRADE", "SURFACE", "TITLE"], &lines)
}
