//! `huidu rollout`: which version each device gets, from the command line.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use huidu_core::{
    name::{AppId, ExperimentName, RuleName},
    rulefile,
    share::Share,
};
use serde_json::json;

use super::{
    context::{Basis, Context, app_path, query},
    output::{Done, Failure, say},
};
use crate::client::control::Content;

/// Which version each device gets.
#[derive(Debug, Subcommand)]
pub(super) enum Rollout {
    /// Show an app's rollout as a rule file
    #[command(
        after_help = "Examples:\n  huidu rollout show pingan/travel > rollout-rules/pingan/travel.toml\n  huidu rollout show pingan/travel --json"
    )]
    Show {
        /// `tenant/app`
        app: AppId,
    },
    /// Put a rollout in place, whole, from a rule file (.toml) or a document (.json)
    #[command(
        after_help = "Example:\n  huidu rollout put pingan/travel rollout-rules/pingan/travel.toml"
    )]
    Put {
        /// `tenant/app`
        app: AppId,
        /// The file
        file: PathBuf,
        /// An experiment whose units may change arms; its counting begins anew
        #[arg(long, value_name = "EXPERIMENT")]
        redraw: Vec<ExperimentName>,
    },
    /// Move the share of one rule
    #[command(after_help = "Example:\n  huidu rollout share pingan/travel ramp-2.4 50%")]
    Share {
        /// `tenant/app`
        app: AppId,
        /// The rule
        rule: RuleName,
        /// Its share from now on
        share: Share,
    },
    /// Let a rule take nobody
    #[command(after_help = "Example:\n  huidu rollout pause pingan/travel ramp-2.4")]
    Pause {
        /// `tenant/app`
        app: AppId,
        /// The rule
        rule: RuleName,
    },
    /// Let a paused rule take its devices again
    #[command(after_help = "Example:\n  huidu rollout resume pingan/travel ramp-2.4")]
    Resume {
        /// `tenant/app`
        app: AppId,
        /// The rule
        rule: RuleName,
    },
}

impl Rollout {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::Show { app } => {
                let reply = context
                    .control()?
                    .get(&format!("{}/rollout", app_path(&app)))?;
                if context.is_json() {
                    say(&format!("{:#}", reply.document));
                    return Ok(0);
                }
                let rollout: huidu_core::rollout::Rollout = serde_json::from_value(reply.document)
                    .context("the server's rollout cannot be read")?;
                say(toml::to_string_pretty(&rollout)
                    .context("the rollout has no written form")?
                    .trim_end());
                Ok(0)
            }
            Self::Put { app, file, redraw } => {
                let text = fs::read_to_string(&file)
                    .with_context(|| format!("the rollout `{}` cannot be read", file.display()))?;
                let is_json = file
                    .extension()
                    .is_some_and(|extension| extension == "json");
                let content = if is_json {
                    let document = serde_json::from_str(&text).context("this is no JSON")?;
                    Content::Json(document)
                } else {
                    // Mistakes are told here with file and line, where the server knows only the line.
                    let parsed = rulefile::parse_toml(&file.to_string_lossy(), &text)
                        .map_err(|problems| Failure::Refused(problems.to_string()))?;
                    if parsed.rollout.app != app {
                        let what = format!(
                            "`{}` is the rollout of `{}`, not of `{app}`",
                            file.display(),
                            parsed.rollout.app
                        );
                        return Err(Failure::Usage(what));
                    }
                    Content::Toml(text)
                };
                let names: Vec<&str> = redraw.iter().map(|name| name.as_str()).collect();
                let names = names.join(",");
                let redraw = query(&[("redraw", Some(&*names).filter(|names| !names.is_empty()))]);
                let path = format!("{}/rollout?{redraw}", app_path(&app));
                let path = path.trim_end_matches('?');
                let done = format!("the rollout of `{app}` is in place");
                context.change("PUT", path, content, &Basis::App(&app), &done)
            }
            Self::Share { app, rule, share } => {
                let path = format!("{}/rollout/rules/{rule}/share", app_path(&app));
                let content = Content::Json(json!({ "share": share }));
                let done = format!("rule `{rule}` of `{app}` takes {share}");
                context.change("PUT", &path, content, &Basis::App(&app), &done)
            }
            Self::Pause { app, rule } => pause(context, &app, &rule, true),
            Self::Resume { app, rule } => pause(context, &app, &rule, false),
        }
    }
}

fn pause(context: &Context, app: &AppId, rule: &RuleName, paused: bool) -> Done {
    let path = format!("{}/rollout/rules/{rule}/paused", app_path(app));
    let content = Content::Json(json!({ "paused": paused }));
    let state = if paused { "paused" } else { "running" };
    let done = format!("rule `{rule}` of `{app}` is {state}");
    context.change("PUT", &path, content, &Basis::App(app), &done)
}
