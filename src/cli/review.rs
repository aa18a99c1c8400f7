//! `huidu review`: what is in a version, how it differs from the one before, and what people decide.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use huidu_core::{
    digest::Digest,
    name::{AppId, Permission},
    version::Number,
};
use serde_json::{Value, json};

use super::{
    context::{Basis, Context, app_path, query},
    keys::files,
    output::{Done, Failure, cell, listed, outlined, rows, table},
};
use crate::{client::control::Content, settings::units};

/// Review of versions.
#[derive(Debug, Subcommand)]
pub(super) enum Review {
    /// How a version differs from the one before
    #[command(after_help = "Example:\n  huidu review show pingan/travel 2.4.0")]
    Show {
        /// `tenant/app`
        app: AppId,
        /// The version
        version: Number,
    },
    /// The files of a version, with the digest of each
    #[command(after_help = "Example:\n  huidu review files pingan/travel 2.4.0")]
    Files {
        /// `tenant/app`
        app: AppId,
        /// The version
        version: Number,
    },
    /// Begin to review a version: others see that somebody does
    #[command(after_help = "Example:\n  huidu review begin pingan/travel 2.4.0")]
    Begin {
        /// `tenant/app`
        app: AppId,
        /// The version
        version: Number,
    },
    /// Approve a version
    #[command(
        after_help = "Examples:\n  huidu review approve pingan/travel 2.4.0\n  huidu review approve pingan/travel 2.4.0 --bundle \"$(sha256sum < reviewed.zip | cut -c-64)\" --yes"
    )]
    Approve {
        /// `tenant/app`
        app: AppId,
        /// The version
        version: Number,
        /// SHA-256 of the bundle that was reviewed; left out, the one that is shown before asking
        #[arg(long)]
        bundle: Option<Digest>,
        /// The release record, signed: needed where customers are served by keys
        #[arg(long, value_name = "FILE")]
        signed: Option<PathBuf>,
        /// A permission it asks for and is not granted; may be repeated. The first who approves decides it, and a
        /// signed record says it already
        #[arg(long, value_name = "PERMISSION", conflicts_with = "signed")]
        without: Vec<Permission>,
    },
    /// Fetch the bundle of a version as devices would get it, checked against its digest
    #[command(
        after_help = "Example:\n  huidu review fetch pingan/travel 2.4.0 --output travel-2.4.0.zip"
    )]
    Fetch {
        /// `tenant/app`
        app: AppId,
        /// The version
        version: Number,
        /// Where to write it
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
    /// Write the release record of a version, to be signed
    #[command(
        after_help = "Example:\n  huidu review record pingan/travel 2.4.0 --output travel-2.4.0.json\n  huidu review record pingan/travel 2.4.0 --without camera --output travel-2.4.0.json"
    )]
    Record {
        /// `tenant/app`
        app: AppId,
        /// The version
        version: Number,
        /// A permission it asks for and is not granted; may be repeated
        #[arg(long, value_name = "PERMISSION")]
        without: Vec<Permission>,
        /// Where to write it
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
    /// Replace a release record by the same one, signed by those who sign from now on
    #[command(
        after_help = "Example:\n  huidu review resign pingan/travel 2.4.0 travel-2.4.0.signed.json"
    )]
    Resign {
        /// `tenant/app`
        app: AppId,
        /// The version
        version: Number,
        /// The signed record
        file: PathBuf,
    },
    /// Refuse a version, and say why
    #[command(
        after_help = "Example:\n  huidu review reject pingan/travel 2.4.0 --reason 'it reads contacts'"
    )]
    Reject {
        /// `tenant/app`
        app: AppId,
        /// The version
        version: Number,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// How versions come to be approved; with flags, decide it
    #[command(
        after_help = "Examples:\n  huidu review policy\n  huidu review policy --approvals 2 --filing-required true"
    )]
    Policy {
        /// How many people approve a version
        #[arg(long)]
        approvals: Option<u8>,
        /// Whether a version needs a filing number to be listed
        #[arg(long, requires = "approvals")]
        filing_required: Option<bool>,
    },
}

fn version_path(app: &AppId, version: &Number) -> String {
    format!("{}/versions/{version}", app_path(app))
}

impl Review {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::Show { app, version } => {
                let path = format!("{}/review", version_path(&app, &version));
                context.show(&path, difference)
            }
            Self::Files { app, version } => {
                let path = format!("{}/files", version_path(&app, &version));
                context.show(&path, |list| {
                    listed(
                        list,
                        &[("SHA256", "sha256"), ("BYTES", "len"), ("PATH", "p")],
                    )
                })
            }
            Self::Begin { app, version } => {
                let path = format!("{}/review", version_path(&app, &version));
                let done = format!("version {version} of `{app}` is in review");
                context.change("POST", &path, Content::None, &Basis::Nothing, &done)
            }
            Self::Approve {
                app,
                version,
                bundle,
                signed,
                without,
            } => approve(context, &app, &version, bundle, signed.as_deref(), &without),
            Self::Fetch {
                app,
                version,
                output,
            } => fetch(context, &app, &version, &output),
            Self::Record {
                app,
                version,
                without,
                output,
            } => {
                let without: Vec<&str> = without.iter().map(Permission::as_str).collect();
                let without = without.join(",");
                let asked = query(&[("without", Some(&*without).filter(|text| !text.is_empty()))]);
                let path = format!("{}/record?{asked}", version_path(&app, &version));
                let path = path.trim_end_matches('?');
                let record = context.control()?.get(path)?;
                files::write_new(&output, &record.bytes)?;
                context.answer(&json!({ "file": output }), |_| {
                    format!(
                        "`{}` is what reviewers sign, byte for byte",
                        output.display()
                    )
                });
                Ok(0)
            }
            Self::Resign { app, version, file } => {
                let path = format!("{}/record", version_path(&app, &version));
                let content = Content::Signed(files::read_paper(&file)?);
                let done = format!("the record of version {version} of `{app}` is signed anew");
                context.change("PUT", &path, content, &Basis::App(&app), &done)
            }
            Self::Reject {
                app,
                version,
                reason,
            } => {
                let path = format!("{}/reject", version_path(&app, &version));
                let content = Content::Json(json!({ "reason": reason }));
                let done = format!("version {version} of `{app}` is rejected");
                context.change("POST", &path, content, &Basis::App(&app), &done)
            }
            Self::Policy {
                approvals: None, ..
            } => context.show("/api/v1/review-policy", outlined),
            Self::Policy {
                approvals: Some(approvals),
                filing_required,
            } => {
                let content = Content::Json(json!({
                    "approvals": approvals, "filing_required": filing_required.unwrap_or_default(),
                }));
                let path = "/api/v1/review-policy";
                let done = format!("{approvals} approval(s) make a version approved");
                context.change("PUT", path, content, &Basis::Nothing, &done)
            }
        }
    }
}

fn approve(
    context: &Context,
    app: &AppId,
    version: &Number,
    bundle: Option<Digest>,
    signed: Option<&Path>,
    without: &[Permission],
) -> Done {
    let signed = signed.map(files::read_text).transpose()?;
    let path = version_path(app, version);
    let bundle = match bundle {
        Some(bundle) => json!(bundle),
        None => {
            let shown = context.control()?.get(&format!("{path}/review"))?.document;
            super::output::remark(&difference(&shown));
            context.confirm(&format!("Approve version {version} of `{app}`."))?;
            shown["bundle"].clone()
        }
    };
    let mut approval = json!({ "bundle": bundle });
    if let Some(signed) = signed {
        approval["signed"] = json!(signed);
    }
    if !without.is_empty() {
        approval["withheld"] = json!(without);
    }
    let content = Content::Json(approval);
    let done = format!("version {version} of `{app}` has your approval");
    context.change(
        "POST",
        &format!("{path}/approve"),
        content,
        &Basis::App(app),
        &done,
    )
}

/// Writes the bundle of a version, once its bytes are those that an approval names.
fn fetch(context: &Context, app: &AppId, version: &Number, output: &Path) -> Done {
    let (control, path) = (context.control()?, version_path(app, version));
    let shown = control.get(&format!("{path}/review"))?.document;
    let bundle = control.get(&format!("{path}/bundle"))?.bytes;
    let sha256 = Digest::of(&bundle);
    if shown["bundle"] != json!(sha256) {
        return Err(Failure::Refused(format!(
            "the server gave bytes of SHA-256 {sha256}, and version {version} of `{app}` is {}; nothing was written",
            cell(&shown["bundle"])
        )));
    }
    files::write_new(output, &bundle)?;
    let told = json!({ "file": output, "sha256": sha256, "bytes": bundle.len() });
    context.answer(&told, |_| {
        format!(
            "`{}` is version {version} of `{app}`: {}, SHA-256 {sha256}",
            output.display(),
            units::bytes(bundle.len() as u64)
        )
    });
    Ok(0)
}

/// A difference as people read it.
fn difference(document: &Value) -> String {
    let mut text = format!(
        "{} {}: {}\nbundle {}\nafter {}, by {}, filing {}\napprovals {} of {}, tenant's grade {}\n",
        cell(&document["app"]),
        cell(&document["version"]),
        cell(&document["life"]["state"]),
        cell(&document["bundle"]),
        cell(&document["previous"]),
        cell(&document["submitted_by"]),
        cell(&document["filing"]),
        rows(&document["approvals"]).len(),
        cell(&document["approvals_needed"]),
        cell(&document["grade"]),
    );
    let mark = |change: &Value| match change.as_str() {
        Some("added") => "+",
        Some("removed") => "-",
        _ => " ",
    };
    let permissions: Vec<Vec<String>> = rows(&document["permissions"])
        .iter()
        .map(|line| {
            vec![
                mark(&line["change"]).into(),
                cell(&line["permission"]),
                cell(&line["grade"]),
                cell(&line["standing"]),
                match (line["revoked"] == true, line["withheld"] == true) {
                    (true, _) => "REVOKED".into(),
                    (_, true) => "WITHHELD".into(),
                    _ => String::new(),
                },
                line["title"].as_str().unwrap_or_default().into(),
            ]
        })
        .collect();
    if let Some(notes) = document["notes"].as_str() {
        text += &format!("notes   {notes}\n");
    }
    if document["reach"].is_object() {
        text += &format!(
            "reach   {}\n",
            outlined(&document["reach"]).replace('\n', ", ")
        );
    }
    if !permissions.is_empty() {
        text.push('\n');
        text += &table(
            &["", "PERMISSION", "GRADE", "STANDING", "", "TITLE"],
            &permissions,
        );
        text.push('\n');
    }
    let files = &document["files"];
    if files.is_object() {
        text += &format!("\n{}", changed_files(files));
    }
    if document["may_be_approved"] != true {
        text += "\nIt cannot be approved as it stands.";
    }
    text
}

fn changed_files(files: &Value) -> String {
    let bytes = |value: &Value| units::bytes(value.as_u64().unwrap_or_default());
    let mut lines = Vec::new();
    for (mark, key) in [("+", "added"), ("-", "removed")] {
        for file in rows(&files[key]) {
            lines.push(vec![
                mark.into(),
                cell(&file["p"]),
                bytes(&file["len"]),
                cell(&file["sha256"]),
            ]);
        }
    }
    for file in rows(&files["changed"]) {
        let size = format!(
            "{} → {}",
            bytes(&file["from"]["len"]),
            bytes(&file["to"]["len"])
        );
        let digests = format!(
            "{} → {}",
            cell(&file["from"]["sha256"]),
            cell(&file["to"]["sha256"])
        );
        lines.push(vec!["~".into(), cell(&file["p"]), size, digests]);
    }
    let same = format!("{} file(s) are the same", cell(&files["same"]));
    if lines.is_empty() {
        return same;
    }
    format!("{}\n{same}", table(&["", "FILE", "SIZE", "SHA256"], &lines))
}
