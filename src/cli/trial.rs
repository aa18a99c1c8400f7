//! `huidu trial`: versions under review, on named test devices and behind links that expire.

use clap::Subcommand;
use huidu_core::{
    digest::Digest,
    name::{AppId, HostId},
    time::Timestamp,
    version::Number,
};
use serde_json::json;

use super::{
    context::{Basis, Context, app_path},
    output::{Done, cell, outlined},
};
use crate::client::control::Content;

/// Versions under review, in sandboxes.
#[derive(Debug, Subcommand)]
pub(super) enum Trial {
    /// Who may run a version under review
    #[command(after_help = "Example:\n  huidu trial show pingan/travel 2.4.0")]
    Show {
        /// `tenant/app`
        app: AppId,
        /// The version
        version: Number,
    },
    /// Name the devices that may run it, in place of those named before; none: no device any more
    #[command(
        after_help = "Examples:\n  huidu trial devices pingan/travel 2.4.0 --host retail-test --device t-17 --device t-18\n  huidu trial devices pingan/travel 2.4.0"
    )]
    Devices {
        /// `tenant/app`
        app: AppId,
        /// The version
        version: Number,
        /// A sandbox they are served in; may be repeated
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<HostId>,
        /// A device, as it names itself in polls; may be repeated
        #[arg(long = "device", value_name = "UNIT")]
        devices: Vec<String>,
    },
    /// Give out a signed link that expires; it is shown once
    #[command(
        after_help = "Example:\n  huidu trial invite pingan/travel 2.4.0 --host retail-test --until 2026-12-01T18:00:00+08:00"
    )]
    Invite {
        /// `tenant/app`
        app: AppId,
        /// The version
        version: Number,
        /// The sandbox it opens in
        #[arg(long)]
        host: HostId,
        /// From then on it opens nothing; two weeks ahead at most
        #[arg(long)]
        until: Timestamp,
    },
    /// Take a link back
    #[command(after_help = "Example:\n  huidu trial uninvite pingan/travel 2.4.0 ba7816bf…")]
    Uninvite {
        /// `tenant/app`
        app: AppId,
        /// The version
        version: Number,
        /// What `show` names it
        id: Digest,
    },
}

fn path_of(app: &AppId, version: &Number, what: &str) -> String {
    format!("{}/versions/{version}/{what}", app_path(app))
}

impl Trial {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::Show { app, version } => {
                context.show(&path_of(&app, &version, "trial"), outlined)
            }
            Self::Devices {
                app,
                version,
                hosts,
                devices,
            } => {
                let done = format!(
                    "{} device(s) try version {version} of `{app}`",
                    devices.len()
                );
                let content = Content::Json(json!({ "hosts": hosts, "devices": devices }));
                let path = path_of(&app, &version, "trial");
                context.change("PUT", &path, content, &Basis::App(&app), &done)
            }
            Self::Invite {
                app,
                version,
                host,
                until,
            } => {
                let content = Content::Json(json!({ "host": host, "until": until }));
                let path = path_of(&app, &version, "previews");
                let reply = context.ask("POST", &path, content, &Basis::Nothing, &|_| {})?;
                context.answer(&reply.document, |given| {
                    let link = given["link"]
                        .as_str()
                        .unwrap_or("(shown when it was first given out)");
                    format!(
                        "{link}\nid {}; keep the link now, it is not shown again",
                        cell(&given["id"])
                    )
                });
                Ok(0)
            }
            Self::Uninvite { app, version, id } => {
                let path = path_of(&app, &version, &format!("previews/{id}"));
                let done = "the link opens nothing any more";
                context.change("DELETE", &path, Content::None, &Basis::Nothing, done)
            }
        }
    }
}
