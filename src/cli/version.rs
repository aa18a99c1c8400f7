//! `huidu version`: hand versions in, list them, take them out of circulation.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use huidu_core::{
    name::{AppId, Platform},
    time::Timestamp,
    version::Number,
    version_range::DottedRange,
};
use serde_json::{Value, json};

use super::{
    context::{Basis, Context, app_path, query},
    output::{Done, Failure, cell, outlined, rows, table},
    progress,
};
use crate::{client::control::Content, settings::units};

/// Versions of a mini-program.
#[derive(Debug, Subcommand)]
pub(super) enum Version {
    /// Upload a bundle (zip or tar.gz) as a new version
    #[command(
        after_help = "Examples:\n  huidu version submit pingan/travel 2.4.0 travel-2.4.0.zip --notes 'new checkout'\n  huidu version submit pingan/travel 2.4.1 travel-2.4.1.tgz --permission camera --list\n  huidu version submit pingan/travel 2.4.2 travel.zip --platform android --platform harmony --host-version '>=8.2' --filing ICP-1"
    )]
    Submit {
        /// `tenant/app`
        app: AppId,
        /// Its number
        version: Number,
        /// The bundle
        file: PathBuf,
        /// What changed
        #[arg(long)]
        notes: Option<String>,
        /// A host API or page it asks to be allowed; may be repeated
        #[arg(long = "permission", value_name = "NAME")]
        permissions: Vec<String>,
        /// The number under which the mini-program is filed with the authority
        #[arg(long)]
        filing: Option<String>,
        /// A platform it is made for; may be repeated. Left out: all
        #[arg(long = "platform", value_name = "NAME")]
        platforms: Vec<Platform>,
        /// The versions of the bank app it is made for, such as `>=8.2, <9`
        #[arg(long, value_name = "RANGE")]
        host_version: Option<DottedRange>,
        /// From when on it may run
        #[arg(long, value_name = "TIME")]
        not_before: Option<Timestamp>,
        /// Until when it may run
        #[arg(long, value_name = "TIME")]
        not_after: Option<Timestamp>,
        /// List it at once, where review is skipped
        #[arg(long)]
        list: bool,
    },
    /// List an app's versions
    #[command(after_help = "Example:\n  huidu version list pingan/travel")]
    List {
        /// `tenant/app`
        app: AppId,
    },
    /// Show one version
    #[command(after_help = "Example:\n  huidu version show pingan/travel 2.4.0")]
    Show {
        /// `tenant/app`
        app: AppId,
        /// The version
        version: Number,
    },
    /// Let a version be rolled out
    #[command(after_help = "Example:\n  huidu version enlist pingan/travel 2.4.0")]
    Enlist {
        /// `tenant/app`
        app: AppId,
        /// The version
        version: Number,
    },
    /// Offer a version no more; devices that run it may go on
    #[command(
        after_help = "Example:\n  huidu version delist pingan/travel 2.3.0 --reason 'superseded'"
    )]
    Delist {
        /// `tenant/app`
        app: AppId,
        /// The version
        version: Number,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

impl Version {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::Submit {
                app,
                version,
                file,
                notes,
                permissions,
                filing,
                platforms,
                host_version,
                not_before,
                not_after,
                list,
            } => {
                let permissions = permissions.join(",");
                let platforms: Vec<&str> = platforms.iter().map(Platform::as_str).collect();
                let platforms = platforms.join(",");
                let host_version = host_version.map(|range| range.to_string());
                let not_before = not_before.map(|at| at.to_string());
                let not_after = not_after.map(|at| at.to_string());
                let asked = query(&[
                    ("version", Some(&version.to_string())),
                    ("notes", notes.as_deref()),
                    (
                        "permissions",
                        Some(permissions.as_str()).filter(|text| !text.is_empty()),
                    ),
                    ("filing", filing.as_deref()),
                    (
                        "platforms",
                        Some(platforms.as_str()).filter(|text| !text.is_empty()),
                    ),
                    ("host_version", host_version.as_deref()),
                    ("not_before", not_before.as_deref()),
                    ("not_after", not_after.as_deref()),
                    ("list", list.then_some("true")),
                ]);
                let path = format!("{}/versions?{asked}", app_path(&app));
                let bytes = file
                    .metadata()
                    .with_context(|| format!("the bundle `{}` cannot be read", file.display()))?
                    .len();
                let bar = progress::bar(&format!("{app} {version}"), bytes);
                let content = Content::File {
                    path: &file,
                    media: "application/octet-stream",
                };
                // A new version takes nothing away from anybody: it fits any revision.
                let reply = context.ask("POST", &path, content, &Basis::Any, &|sent| {
                    bar.set_position(sent);
                });
                bar.finish_and_clear();
                let reply = reply?;
                context.answer(&reply.document, |document| {
                    submitted(&app, &version, document)
                });
                Ok(0)
            }
            Self::List { app } => context.show(&format!("{}/versions", app_path(&app)), listed),
            Self::Show { app, version } => {
                let list = context
                    .control()?
                    .get(&format!("{}/versions", app_path(&app)))?;
                let number = version.to_string();
                let found = rows(&list.document)
                    .iter()
                    .find(|row| row["number"] == number.as_str());
                let found = found.ok_or_else(|| {
                    Failure::Refused(format!("app `{app}` has no version {version}; `huidu version list {app}` shows what it has"))
                })?;
                context.answer(found, outlined);
                Ok(0)
            }
            Self::Enlist { app, version } => {
                let path = format!("{}/versions/{version}/list", app_path(&app));
                let done = format!("version {version} of `{app}` is listed");
                context.change("POST", &path, Content::None, &Basis::App(&app), &done)
            }
            Self::Delist {
                app,
                version,
                reason,
            } => {
                let path = format!("{}/versions/{version}/delist", app_path(&app));
                let content = Content::Json(json!({ "reason": reason }));
                let done = format!("version {version} of `{app}` is delisted");
                let reply = context.ask("POST", &path, content, &Basis::App(&app), &|_| {})?;
                context.changed(&reply.document, &stopped(&done, &reply.document));
                Ok(0)
            }
        }
    }
}

fn submitted(app: &AppId, version: &Number, document: &Value) -> String {
    let bundle = &document["bundle"];
    let state = if document["listed"] == true {
        "listed"
    } else {
        "submitted"
    };
    format!(
        "version {version} of `{app}` is {state} (revision {})\nbundle {} ({}, {} files)",
        cell(&document["revision"]),
        cell(&bundle["sha256"]),
        units::bytes(bundle["bytes"].as_u64().unwrap_or_default()),
        cell(&bundle["files"]),
    )
}

/// What was stopped, with the numbers it is filed under: the report to the authority names them.
pub(super) fn stopped(done: &str, document: &Value) -> String {
    let filings = cell(&document["filings"]);
    if filings.is_empty() || filings == "-" {
        return done.to_owned();
    }
    format!("{done}, filed under {filings}")
}

/// Versions as a table.
pub(super) fn listed(versions: &Value) -> String {
    let lines: Vec<Vec<String>> = rows(versions)
        .iter()
        .map(|version| {
            let life = &version["life"];
            let state = match (life["state"].as_str(), life["killed"] == true) {
                (_, true) => "KILLED".to_owned(),
                (Some(state), _) => state.to_owned(),
                (None, _) => cell(life),
            };
            vec![
                cell(&version["number"]),
                state,
                version["bundle"]["bytes"]
                    .as_u64()
                    .map_or_else(|| "-".into(), units::bytes),
                cell(&version["bundle"]["files"]),
                version["bundle"]["sha256"]
                    .as_str()
                    .unwrap_or("-")
                    .chars()
                    .take(16)
                    .collect(),
                cell(&version["dossier"]["filing"]),
                cell(&version["submitted_at"]),
                cell(&life["reason"]),
            ]
        })
        .collect();
    if lines.is_empty() {
        return "no versions yet".into();
    }
    table(
        &[
            "VERSION",
            "STATE",
            "SIZE",
            "FILES",
            "SHA256",
            "FILING",
            "SUBMITTED",
            "REASON",
        ],
        &lines,
    )
}
