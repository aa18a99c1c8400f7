//! `huidu ramp`: rules that grow by themselves: how far they have come, and what people do to one.

use clap::{Args, Subcommand};
use huidu_core::name::{AppId, RuleName};
use serde_json::{Value, json};

use super::{
    context::{Basis, Context, app_path},
    output::{Done, cell, rows, table},
};
use crate::client::control::Content;

/// Rules that grow by themselves.
#[derive(Debug, Subcommand)]
pub(super) enum Ramp {
    /// How far it has come, what it waits for, and what its guards say
    #[command(
        after_help = "Examples:\n  huidu ramp show pingan/travel\n  huidu ramp show pingan/travel --json"
    )]
    Show {
        /// `tenant/app`
        app: AppId,
    },
    /// Let it grow no more; its guards go on watching
    #[command(
        after_help = "Example:\n  huidu ramp pause pingan/travel --reason 'calls at the hotline'"
    )]
    Pause(Stop),
    /// Let it go on; counting begins anew
    #[command(after_help = "Example:\n  huidu ramp resume pingan/travel")]
    Resume(Go),
    /// Take it back to the step before, and hold it there
    #[command(
        after_help = "Example:\n  huidu ramp abort pingan/travel --reason 'slow on old phones'"
    )]
    Abort(Stop),
    /// Let its rule take nobody any more
    #[command(
        after_help = "Example:\n  huidu ramp roll-back pingan/travel --reason 'wrong prices'"
    )]
    RollBack(Stop),
    /// Let the next step begin, where its plan waits for somebody
    #[command(after_help = "Example:\n  huidu ramp approve pingan/travel")]
    Approve(Go),
}

/// What stops.
#[derive(Debug, Args)]
pub(super) struct Stop {
    /// `tenant/app`
    app: AppId,
    /// The rule; left out, the one whose ramp is under way
    #[arg(long)]
    rule: Option<RuleName>,
    /// Why
    #[arg(long)]
    reason: String,
}

/// What goes on.
#[derive(Debug, Args)]
pub(super) struct Go {
    /// `tenant/app`
    app: AppId,
    /// The rule; left out, the one whose ramp is under way
    #[arg(long)]
    rule: Option<RuleName>,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
}

impl From<Go> for Stop {
    fn from(Go { app, rule, reason }: Go) -> Self {
        Self { app, rule, reason }
    }
}

impl Ramp {
    pub(super) fn run(self, context: &Context) -> Done {
        let (act, stops, order, done) = match self {
            Self::Show { app } => {
                let path = format!("{}/ramp", app_path(&app));
                return context.show(&path, shown);
            }
            Self::Pause(order) => ("pause", true, order, "is paused"),
            Self::Abort(order) => ("abort", true, order, "is back at the step before"),
            Self::RollBack(order) => ("roll-back", true, order, "is rolled back"),
            Self::Resume(order) => ("resume", false, order.into(), "goes on"),
            Self::Approve(order) => ("approve", false, order.into(), "may go on to its next step"),
        };
        let Stop { app, rule, reason } = order;
        let path = format!("{}/ramp/{act}", app_path(&app));
        let mut body = json!({ "reason": reason });
        if let Some(rule) = rule {
            body["rule"] = json!(rule);
        }
        // Whoever must stop something does not first read it.
        let basis = if stops {
            Basis::Nothing
        } else {
            Basis::App(&app)
        };
        let done = format!("the ramp of `{app}` {done}");
        context.change("POST", &path, Content::Json(body), &basis, &done)
    }
}

fn shown(document: &Value) -> String {
    let ramps = rows(&document["ramps"]);
    if ramps.is_empty() {
        return "no rule has a ramp".to_owned();
    }
    let one = |ramp: &Value| {
        let text = |field: &str| cell(&ramp[field]);
        let mut lines = vec![format!(
            "{}: {} beside {}, step {} of {}, {} since {}",
            text("rule"),
            text("version"),
            text("stable"),
            text("step"),
            text("steps"),
            text("state"),
            text("since"),
        )];
        lines.push(format!(
            "  takes {}, holds {} to compare with; {} and {} units",
            text("share"),
            text("control"),
            cell(&ramp["units"]["candidate"]),
            cell(&ramp["units"]["control"]),
        ));
        let guards: Vec<Vec<String>> = rows(&ramp["guards"]).iter().map(guard).collect();
        if !guards.is_empty() {
            let heads = [
                "GUARD", "SAYS", "THEN", "NEW", "CONTROL", "EVIDENCE", "NEEDED",
            ];
            lines.extend(
                table(&heads, &guards)
                    .lines()
                    .map(|line| format!("  {line}")),
            );
        }
        lines.extend(
            rows(&ramp["waits"])
                .iter()
                .map(|wait| format!("  waits for {}", waits(wait))),
        );
        if let Some(next) = ramp["next"].as_str() {
            lines.push(format!("  next: {next}"));
        }
        lines.join("\n")
    };
    ramps.iter().map(one).collect::<Vec<_>>().join("\n\n")
}

fn guard(guard: &Value) -> Vec<String> {
    let evidence = |field: &str| match guard["evidence"][field].as_f64() {
        Some(number) => format!("{number:.2}"),
        None => "-".to_owned(),
    };
    vec![
        cell(&guard["measure"]),
        cell(&guard["verdict"]),
        cell(&guard["action"]),
        cell(&guard["events"]["candidate"]),
        cell(&guard["events"]["control"]),
        evidence("harm"),
        evidence("needed"),
    ]
}

/// What is waited for, in words.
fn waits(wait: &Value) -> String {
    let text = |field: &str| cell(&wait[field]);
    match wait["for"].as_str().unwrap_or_default() {
        "hold" => format!("its hold, until {}", text("until")),
        "units" => format!(
            "{} units in each cohort; the smaller one has {}",
            text("least"),
            text("have")
        ),
        "guard" => format!(
            "guard `{}`, which says {}",
            text("measure"),
            text("verdict")
        ),
        "ratio" => "units that arrive in the cohorts as they are drawn".into(),
        "window" => "a change window".into(),
        "freeze" => "the end of a freeze".into(),
        "approval" => "somebody who lets the next step begin: huidu ramp approve".into(),
        "resume" => format!(
            "somebody who resumes it ({}): huidu ramp resume",
            text("why")
        ),
        "rule" => "its rule, which is paused: huidu rollout resume".into(),
        "counts" => "what devices reported, which this node does not know now".into(),
        other => other.to_owned(),
    }
}
