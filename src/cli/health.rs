//! `huidu health`: what devices reported of an app.

use std::{thread, time::Duration};

use clap::Args;
use huidu_core::name::AppId;
use serde_json::Value;

use super::{
    context::{Context, app_path},
    output::{Done, cell, rows, say, table},
};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);

/// What devices reported of an app, by version, rule and arm.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  huidu health pingan/travel\n  huidu health pingan/travel --since 2026-11-27T08:00:00+08:00 --json\n  huidu health pingan/travel --watch"
)]
pub(super) struct Health {
    /// `tenant/app`
    app: AppId,
    /// From when on, RFC 3339; usually a day ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Until when; usually now
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Look again every two seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

impl Health {
    pub(super) fn run(self, context: &Context) -> Done {
        let bounds = [("since", &self.since), ("until", &self.until)];
        let bounds: Vec<String> = bounds
            .iter()
            .filter_map(|(name, at)| at.as_ref().map(|at| (name, at.replace('+', "%2B"))))
            .map(|(name, at)| format!("{name}={at}"))
            .collect();
        let path = format!("{}/health?{}", app_path(&self.app), bounds.join("&"));
        let path = path.trim_end_matches('?');
        loop {
            let done = context.show(path, shown);
            if !self.watch || done.is_err() {
                return done;
            }
            thread::sleep(LOOK);
            say("");
        }
    }
}

fn shown(health: &Value) -> String {
    let arms: Vec<Vec<String>> = rows(&health["arms"]).iter().map(line).collect();
    let since = format!("{} to {}", cell(&health["since"]), cell(&health["until"]));
    if arms.is_empty() {
        return format!("{since}: no device reported anything");
    }
    let columns = [
        "VERSION",
        "RULE",
        "ARM",
        "DOWNLOADED",
        "ACTIVATED",
        "LOAD FAILED",
        "SCRIPT ERRORS",
        "CRASHED",
        "ROLLED BACK",
        "CONVERTED",
        "COUNTERS",
    ];
    format!("{since}\n{}", table(&columns, &arms))
}

fn line(arm: &Value) -> Vec<String> {
    let count = |event: &str| arm["events"][event].as_u64().unwrap_or(0).to_string();
    let pairs = |of: &Value| {
        let pairs = of.as_object().into_iter().flatten();
        let pairs: Vec<String> = pairs.map(|(name, n)| format!("{name} {n}")).collect();
        pairs.join(", ")
    };
    let why = pairs(&arm["rolled_back"]);
    let back = match why.is_empty() {
        true => count("rolled-back"),
        false => format!("{} ({why})", count("rolled-back")),
    };
    vec![
        cell(&arm["version"]),
        cell(&arm["rule"]),
        cell(&arm["arm"]),
        count("downloaded"),
        count("activated"),
        count("load-failed"),
        count("script-error"),
        count("crashed"),
        back,
        count("converted"),
        pairs(&arm["counters"]),
    ]
}
