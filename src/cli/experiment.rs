//! `huidu experiment`: A/B tests: what each says, and the acts that begin one, promote an arm, or end it.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use huidu_core::{
    experiment::Design,
    name::{AppId, ArmName, ExperimentName},
};
use serde_json::{Value, json};

use super::{
    context::{Basis, Context, app_path, query},
    output::{Done, Failure, cell, rows, say, table},
};
use crate::client::control::{Content, ControlError};

/// A/B tests.
#[derive(Debug, Subcommand)]
pub(super) enum Experiment {
    /// The experiments of an app, and what each says
    #[command(after_help = "Example:\n  huidu experiment list pingan/travel")]
    List {
        /// `tenant/app`
        app: AppId,
    },
    /// One experiment: its arms with their intervals, and its guards
    #[command(after_help = "Example:\n  huidu experiment show pingan/travel checkout-copy")]
    Show(Named),
    /// Begin one over a rule with several arms, from a file (.toml or .json)
    #[command(
        after_help = "Example:\n  huidu experiment begin pingan/travel checkout-copy design.toml\n\ndesign.toml:\n  rule = \"checkout\"\n  control = \"today\"\n  at_least = \"14d\"\n  primary = { measure = \"converted\" }\n  guard = [{ measure = \"crashed\" }]"
    )]
    Begin {
        #[command(flatten)]
        named: Named,
        /// What it compares
        file: PathBuf,
    },
    /// Everything that was counted and what it says, for a spreadsheet or a program
    #[command(
        after_help = "Examples:\n  huidu experiment export pingan/travel checkout-copy > checkout-copy.csv\n  huidu experiment export pingan/travel --format json"
    )]
    Export {
        /// `tenant/app`
        app: AppId,
        /// The experiment; left out, all of them
        experiment: Option<ExperimentName>,
        /// In which form
        #[arg(long, value_enum, default_value = "csv")]
        format: Format,
    },
    /// Let an arm become the stable version; the experiment is over
    #[command(
        after_help = "Example:\n  huidu experiment promote pingan/travel checkout-copy one-page --reason '8 % more orders'"
    )]
    Promote {
        #[command(flatten)]
        named: Named,
        /// The arm
        arm: ArmName,
        /// Why
        #[arg(long)]
        reason: String,
        /// Also when the experiment has not shown that it is better
        #[arg(long)]
        anyway: bool,
    },
    /// End it without promoting an arm: its rule is gone
    #[command(
        after_help = "Example:\n  huidu experiment end pingan/travel checkout-copy --reason 'no difference'"
    )]
    End {
        #[command(flatten)]
        named: Named,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// An experiment.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// `tenant/app`
    app: AppId,
    /// Its name
    experiment: ExperimentName,
}

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One line for each arm and measure.
    Csv,
    /// Everything.
    Json,
}

impl Named {
    fn path(&self) -> String {
        format!("{}/experiments/{}", app_path(&self.app), self.experiment)
    }
}

impl Experiment {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::List { app } => context.show(&format!("{}/experiments", app_path(&app)), listed),
            Self::Show(named) => context.show(&named.path(), shown),
            Self::Begin { named, file } => {
                let design = read(&file)?;
                let Named { app, experiment } = &named;
                let done = format!("experiment `{experiment}` of `{app}` has begun");
                let content = Content::Json(json!(design));
                context.change("PUT", &named.path(), content, &Basis::App(app), &done)
            }
            Self::Export {
                app,
                experiment,
                format,
            } => export(context, &app, experiment.as_ref(), format),
            Self::Promote {
                named,
                arm,
                reason,
                anyway,
            } => {
                look(context, &named, Some(&arm))?;
                let Named { app, experiment } = &named;
                let path = format!("{}/promote", named.path());
                let body = json!({ "arm": arm, "reason": reason, "anyway": anyway });
                let done = format!(
                    "arm `{arm}` of `{app}` is the stable version; experiment `{experiment}` is over"
                );
                context.change("POST", &path, Content::Json(body), &Basis::App(app), &done)
            }
            Self::End { named, reason } => {
                look(context, &named, None)?;
                let Named { app, experiment } = &named;
                let path = format!("{}/end", named.path());
                let content = Content::Json(json!({ "reason": reason }));
                let done = format!("experiment `{experiment}` of `{app}` is over");
                context.change("POST", &path, content, &Basis::App(app), &done)
            }
        }
    }
}

/// Says whom the end of an experiment moves, and asks back.
fn look(context: &Context, named: &Named, arm: Option<&ArmName>) -> Result<(), Failure> {
    let arm = query(&[("arm", arm.map(|arm| arm.as_str()))]);
    let path = format!("{}/plan?{arm}", named.path());
    let path = path.trim_end_matches('?');
    // Whether it can be is for the change itself to say, which may be the second time.
    match context.control()?.find(path) {
        Ok(Some(plan)) if !context.is_json() => {
            let text = plan.document["text"].as_str().unwrap_or_default();
            say(text.trim_end());
        }
        Ok(_) => {}
        Err(ControlError::Refused(problem)) if problem.status == 409 => {}
        Err(error) => return Err(error.into()),
    }
    context.confirm("Shall it happen?")
}

fn read(file: &PathBuf) -> Result<Design, Failure> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("the design `{}` cannot be read", file.display()))?;
    let is_json = file
        .extension()
        .is_some_and(|extension| extension == "json");
    let wrong = |why: String| Failure::Refused(format!("`{}`: {}", file.display(), why.trim_end()));
    let design: Design = if is_json {
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?
    } else {
        toml::from_str(&text).map_err(|error| wrong(error.to_string()))?
    };
    match design.fault() {
        Some(fault) => Err(wrong(fault.to_string())),
        None => Ok(design),
    }
}

fn export(
    context: &Context,
    app: &AppId,
    experiment: Option<&ExperimentName>,
    format: Format,
) -> Done {
    let one = experiment.map_or_else(String::new, |name| format!("/{name}"));
    let (word, is_csv) = match format {
        _ if context.is_json() => ("json", false),
        Format::Csv => ("csv", true),
        Format::Json => ("json", false),
    };
    let path = format!("{}/experiments{one}?format={word}", app_path(app));
    let reply = context.control()?.get(&path)?;
    if is_csv {
        say(String::from_utf8_lossy(&reply.bytes).trim_end());
    } else {
        say(&format!("{:#}", reply.document));
    }
    Ok(0)
}

fn listed(page: &Value) -> String {
    let lines: Vec<Vec<String>> = rows(&page["experiments"])
        .iter()
        .map(|one| {
            let units: u64 = (rows(&one["arms"]).iter())
                .filter_map(|arm| arm["units"].as_u64())
                .sum();
            vec![
                cell(&one["experiment"]),
                cell(&one["state"]),
                cell(&one["verdict"]),
                cell(&one["design"]["rule"]),
                cell(&one["design"]["primary"]["measure"]),
                units.to_string(),
                cell(&one["since"]),
            ]
        })
        .collect();
    if lines.is_empty() {
        return "there is no experiment; begin one with `huidu experiment begin`".to_owned();
    }
    let heads = [
        "EXPERIMENT",
        "STATE",
        "VERDICT",
        "RULE",
        "MEASURE",
        "UNITS",
        "SINCE",
    ];
    table(&heads, &lines)
}

fn shown(one: &Value) -> String {
    let text = |field: &str| cell(&one[field]);
    let design = &one["design"];
    let mut lines = vec![
        format!(
            "{}: {}, {} ({})",
            text("experiment"),
            text("state"),
            text("verdict"),
            text("text")
        ),
        format!(
            "  rule {}, `{}`, {} is better; counted from {} to {}, shown not before {}",
            cell(&design["rule"]),
            cell(&design["primary"]["measure"]),
            cell(&design["primary"]["better"]),
            text("since"),
            text("until"),
            text("not_before"),
        ),
    ];
    if let Some(why) = one["unfit"].as_str() {
        lines.push(format!("  {why}"));
    }
    if let Some(p) = one["ratio"]["p"].as_f64() {
        let says = match one["ratio"]["is_alarm"] == true {
            true => "ALARM: units do not arrive as drawn; compare nothing",
            false => "as drawn",
        };
        lines.push(format!("  sample ratio: p = {p:.4}, {says}"));
    }
    let arms: Vec<Vec<String>> = rows(&one["arms"]).iter().map(arm).collect();
    if !arms.is_empty() {
        let heads = [
            "ARM",
            "VERSION",
            "WEIGHT",
            "UNITS",
            "EVENTS",
            "MEAN",
            "DIFFERENCE",
            "LIFT",
            "CHANCE",
            "SAYS",
        ];
        lines.extend(table(&heads, &arms).lines().map(|line| format!("  {line}")));
    }
    let guards: Vec<Vec<String>> = rows(&one["arms"])
        .iter()
        .flat_map(|arm| {
            rows_of(&arm["guards"])
                .iter()
                .map(|guard| watched(arm, guard))
        })
        .collect();
    if !guards.is_empty() {
        let heads = ["GUARD", "ARM", "SAYS", "EVENTS", "CONTROL"];
        lines.extend(
            table(&heads, &guards)
                .lines()
                .map(|line| format!("  {line}")),
        );
    }
    if let Some(reason) = one["end"]["reason"].as_str() {
        lines.push(format!("  {}: {reason}", text("state")));
    }
    lines.join("\n")
}

fn rows_of(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn arm(arm: &Value) -> Vec<String> {
    let percent = |value: &Value| match value.as_f64() {
        Some(number) => format!("{:.2}%", number * 100.0),
        None => "-".to_owned(),
    };
    let interval = |value: &Value| match value["estimate"].as_f64() {
        Some(_) => format!(
            "{} [{}, {}]",
            percent(&value["estimate"]),
            percent(&value["low"]),
            percent(&value["high"])
        ),
        None => "-".to_owned(),
    };
    vec![
        cell(&arm["arm"]),
        cell(&arm["version"]),
        cell(&arm["weight"]),
        cell(&arm["units"]),
        cell(&arm["events"]),
        percent(&arm["mean"]),
        interval(&arm["difference"]),
        interval(&arm["lift"]),
        percent(&arm["chance_to_win"]),
        match arm["is_control"] == true {
            true => "control".to_owned(),
            false => cell(&arm["says"]),
        },
    ]
}

fn watched(arm: &Value, guard: &Value) -> Vec<String> {
    vec![
        cell(&guard["measure"]),
        cell(&arm["arm"]),
        cell(&guard["verdict"]),
        cell(&guard["events"]),
        cell(&guard["control_events"]),
    ]
}
