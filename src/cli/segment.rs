//! `huidu segment`: uploaded lists of units.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use huidu_core::name::SegmentName;

use super::{
    context::{Basis, Context},
    output::{Done, cell, listed, outlined},
    progress,
};
use crate::client::control::Content;

/// Uploaded lists of units.
#[derive(Debug, Subcommand)]
pub(super) enum Segment {
    /// Upload a list, one unit a line; it replaces the one before
    #[command(after_help = "Example:\n  huidu segment put bank-staff staff.txt")]
    Put {
        /// The segment
        segment: SegmentName,
        /// The list
        file: PathBuf,
    },
    /// List segments
    #[command(after_help = "Example:\n  huidu segment list")]
    List,
    /// Show one; its units are never shown
    #[command(after_help = "Example:\n  huidu segment show bank-staff")]
    Show {
        /// The segment
        segment: SegmentName,
    },
    /// Take a segment away
    #[command(after_help = "Example:\n  huidu segment remove old-staff --yes")]
    Remove {
        /// The segment
        segment: SegmentName,
    },
}

impl Segment {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::Put { segment, file } => {
                let path = format!("/api/v1/segments/{segment}");
                let bytes = file
                    .metadata()
                    .with_context(|| format!("the list `{}` cannot be read", file.display()))?
                    .len();
                let bar = progress::bar(segment.as_str(), bytes);
                let content = Content::File {
                    path: &file,
                    media: "text/plain; charset=utf-8",
                };
                let reply = context.ask("PUT", &path, content, &Basis::At(&path), &|sent| {
                    bar.set_position(sent);
                });
                bar.finish_and_clear();
                let reply = reply?;
                let done = format!(
                    "segment `{segment}` holds {} units",
                    cell(&reply.document["units"])
                );
                context.changed(&reply.document, &done);
                Ok(0)
            }
            Self::List => context.show("/api/v1/segments", |list| {
                let columns = [
                    ("SEGMENT", "segment"),
                    ("UNITS", "units"),
                    ("REVISION", "revision"),
                    ("SHA256", "sha256"),
                ];
                listed(list, &columns)
            }),
            Self::Show { segment } => {
                context.show(&format!("/api/v1/segments/{segment}"), outlined)
            }
            Self::Remove { segment } => {
                context.confirm(&format!(
                    "Remove segment `{segment}`: rules that ask about it take nobody by it."
                ))?;
                let path = format!("/api/v1/segments/{segment}");
                let done = format!("segment `{segment}` is removed");
                context.change("DELETE", &path, Content::None, &Basis::At(&path), &done)
            }
        }
    }
}
