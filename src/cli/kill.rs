//! `huidu kill` and `huidu unkill`: stop a version, or a whole app, now; and take it back.

use clap::Args;
use huidu_core::{name::AppId, version::Number};
use serde_json::json;

use super::{
    context::{Basis, Context, app_path},
    output::Done,
    version::stopped,
};
use crate::client::control::Content;

/// Stop a version, or a whole app, now.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  huidu kill pingan/travel 2.4.0 --reason 'leaks account numbers'\n  huidu kill pingan/travel --reason R-17 --yes"
)]
pub(super) struct Kill {
    /// `tenant/app`
    app: AppId,
    /// The version; left out: the whole app
    version: Option<Number>,
    /// Why; devices and the history show it
    #[arg(long)]
    reason: String,
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
        let what = named(&self.app, self.version.as_ref());
        if self.version.is_none() {
            context.confirm(&format!("Kill {what}: it stops on every device."))?;
        }
        let content = Content::Json(json!({ "version": self.version, "reason": self.reason }));
        let path = format!("{}/kill", app_path(&self.app));
        // A kill never waits for a revision: it must not be refused because somebody moved a share.
        let reply = context.ask("POST", &path, content, &Basis::Nothing, &|_| {})?;
        let done = stopped(&format!("{what} is killed"), &reply.document);
        context.changed(&reply.document, &done);
        Ok(0)
    }
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
