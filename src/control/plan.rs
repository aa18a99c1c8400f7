//! What a change of a rollout would move, before it is made.
//!
//! The change is decided as if it were made, so a plan has the slots that it would get and the same
//! mistakes are found; nothing is written. Counting is done aside, because it may take a while.

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use huidu_core::{
    authority::{Role, authorise},
    cases::CaseFile,
    catalogue::{App, Catalogue},
    command::Command,
    compile::no_segments,
    decide::{Refusal, decide},
    event::{Actor, Event},
    experiment::{Disturbance, disturbed},
    name::{ExperimentName, RuleName},
    plan::{Change, Plan, SamplePoll, plan as count},
    poll::PollLine,
    rollout::Rollout,
    rulefile::{self, Parsed},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::{
    Control,
    auth::{AppParams, NamedApp},
    body,
    cases::{self, Stating},
    error::ApiError,
    explain::poll_error,
    openapi::{BodyRefusals, RolloutSchema},
    wire,
};
use crate::node::SELF;

/// Bytes of a plan's question: a rollout, and a sample beside it.
const PLAN_BYTES: u64 = 16 * 1024 * 1024;
/// Polls of one sample.
const SAMPLE: usize = 20_000;

/// A rollout that might be put in place.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    rollout: Box<RawValue>,
    #[serde(default)]
    sample: Vec<Box<RawValue>>,
    #[serde(default)]
    cases: Option<String>,
}

/// A rollout that might be put in place.
#[derive(ToSchema)]
#[schema(as = PlanQuestion)]
#[expect(dead_code, reason = "read by the document generator alone")]
pub(super) struct QuestionSchema {
    /// The rollout, whole.
    rollout: RolloutSchema,
    /// Recorded polls to try it on, at most 20 000: `{"host", "app", "device": {…}, "version"?, "failed"?,
    /// "now"?, "segments"?}`. A segment that is asked about holds those polls that name it.
    #[schema(required = false, value_type = Vec<Object>)]
    sample: (),
    /// Tests of rules to run on it, as a file of `rollout-rules/cases/` has them; answered with
    /// `"cases": {"passed": n, "failed": [{"case", "why"}]}`.
    #[schema(required = false)]
    cases: Option<String>,
}

/// How tests of rules ended.
#[derive(Serialize)]
struct Tried {
    passed: usize,
    failed: Vec<Failed>,
}

/// A test that does not hold.
#[derive(Serialize)]
struct Failed {
    case: String,
    why: String,
}

/// A plan, and how the tests ended, where there were any.
#[derive(Serialize)]
struct Answered {
    #[serde(flatten)]
    plan: Plan,
    #[serde(skip_serializing_if = "Option::is_none")]
    cases: Option<Tried>,
    /// Experiments whose counting would begin anew, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    redraws: Vec<Redrawn>,
}

/// An experiment whose counting would begin anew.
#[derive(Serialize)]
struct Redrawn {
    experiment: ExperimentName,
    rule: RuleName,
    why: String,
}

fn redraws(app: &App, new: &Rollout) -> Vec<Redrawn> {
    let running = app.experiments.iter().filter(|(_, one)| one.is_running());
    let redrawn = running.filter_map(|(name, one)| {
        let rule = &one.design.rule;
        match disturbed(rule, &one.design.control, app.rollout.as_ref()?, new)? {
            Disturbance::Redraws(redraw) => Some(Redrawn {
                experiment: name.clone(),
                rule: rule.clone(),
                why: redraw.to_string(),
            }),
            Disturbance::Ends(_) => None,
        }
    });
    redrawn.collect()
}

impl std::fmt::Display for Answered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.plan.fmt(f)?;
        for Redrawn {
            experiment,
            rule,
            why,
        } in &self.redraws
        {
            writeln!(
                f,
                "\nrule `{rule}`: this {why}; experiment `{experiment}` would begin to count anew"
            )?;
        }
        Ok(())
    }
}

/// Runs tests on an app as it would be.
fn tried(app: &App, new: &Rollout, cases: &CaseFile, now: Timestamp) -> Tried {
    let mut app = app.clone();
    app.rollout = Some(new.clone());
    let compiled = Stating::of(&app);
    let failed = cases.cases.iter().filter_map(|case| {
        let why = cases::check(&compiled, new, case, now).err()?;
        let case = case.name.clone();
        Some(Failed { case, why })
    });
    let failed: Vec<_> = failed.collect();
    let passed = cases.cases.len() - failed.len();
    Tried { passed, failed }
}

/// What a rollout would move if it were put in place now
///
/// Counted exactly, by buckets; and by polls, where a sample is given.
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/plan", tag = "rollouts", security(("token" = [])),
    params(AppParams), request_body = QuestionSchema,
    responses((status = 200, description = "Who gains, loses and switches, rule by rule; `redraws` names experiments whose counting would begin anew; `text` says the same in words.", body = Object,
        headers(("ETag" = String, description = "The app's revision that the plan was made for."))), BodyRefusals))]
pub(super) async fn plan(
    State(control): State<Control>,
    named: NamedApp,
    request: Request,
) -> Result<Response, ApiError> {
    named.caller.of_the_bank("plan a rollout")?;
    named.caller.may_see(&control.node.catalogue())?;
    body::must_be(&request, "application/json")?;
    let question: Question = body::parse(&body::whole(request, PLAN_BYTES).await?)?;
    let Parsed {
        rollout, places, ..
    } = rulefile::parse_json(question.rollout.get())?;
    if rollout.app != named.app {
        return Err(ApiError::OtherApp {
            app: named.app.to_string(),
            written: rollout.app.to_string(),
        });
    }
    let sample = sample(&question.sample)?;
    let cases = question.cases.map(|text| CaseFile::parse("cases", &text));
    let cases = cases.transpose()?;
    if let Some(cases) = cases.as_ref().filter(|cases| cases.app != named.app) {
        return Err(ApiError::OtherApp {
            app: named.app.to_string(),
            written: cases.app.to_string(),
        });
    }
    let now = control.node.now();
    let (app, rollout) = {
        let catalogue = control.node.catalogue();
        let app = named.caller.app(&catalogue, &named.app)?.clone();
        let rollout = as_if_put(&catalogue, &app, rollout, now);
        (app, rollout.map_err(|error| error.placed(&places))?)
    };
    let revision = app.revision;
    let counted = spawn_blocking(move || Answered {
        redraws: redraws(&app, &rollout),
        cases: cases.map(|cases| tried(&app, &rollout, &cases, now)),
        plan: counted(&app, &rollout, now, &sample),
    });
    let counted = counted.await.map_err(|_| stopping())?;
    Ok(wire::json_at(
        StatusCode::OK,
        revision,
        &wire::Narrated::of(&counted),
    ))
}

fn sample(lines: &[Box<RawValue>]) -> Result<Vec<SamplePoll>, ApiError> {
    if lines.len() > SAMPLE {
        let detail = format!("a sample is at most {SAMPLE} polls; send some of them");
        return Err(ApiError::field("sample", detail));
    }
    lines
        .iter()
        .map(|line| {
            PollLine::from_json(line.get().as_bytes())
                .map(PollLine::into_owned)
                .map_err(|error| poll_error(&error))
        })
        .collect()
}

/// What a change that leads to the rollout `after` would move now; what would be refused is refused.
pub(super) async fn of_command(
    control: &Control,
    app: App,
    command: Command,
    after: Rollout,
) -> Result<Response, ApiError> {
    let now = control.node.now();
    // Where people must agree first it would wait, which moves as many.
    by_bank(&control.node.catalogue(), command, now)??;
    let revision = app.revision;
    let counted = spawn_blocking(move || counted(&app, &after, now, &[])).await;
    let counted = counted.map_err(|_| stopping())?;
    Ok(wire::json_at(
        StatusCode::OK,
        revision,
        &wire::Narrated::of(&counted),
    ))
}

fn stopping() -> ApiError {
    ApiError::Unavailable {
        code: "stopping",
        detail: "this node is shutting down; try another".to_owned(),
    }
}

/// What happens if the bank itself asks for `command` now.
fn by_bank(
    catalogue: &Catalogue,
    command: Command,
    now: Timestamp,
) -> Result<Result<Vec<Event>, Refusal>, ApiError> {
    let huidu = Actor {
        id: SELF.to_owned(),
        role: Role::Admin,
    };
    let authorised = authorise(command, &huidu, catalogue, now)?;
    Ok(decide(catalogue, &authorised, now))
}

/// The rollout as it would be: checked, and with every slot given.
fn as_if_put(
    catalogue: &Catalogue,
    app: &App,
    rollout: Rollout,
    now: Timestamp,
) -> Result<Rollout, ApiError> {
    // A plan says what would be drawn anew, and is not refused for it.
    let put = Command::RedrawRollout {
        rollout: Box::new(rollout.clone()),
        experiments: app.experiments.keys().cloned().collect(),
    };
    match by_bank(catalogue, put, now)? {
        Ok(events) => Ok(events
            .into_iter()
            .find_map(|event| match event {
                Event::RolloutPut { rollout } => Some(*rollout),
                _ => None,
            })
            .unwrap_or(rollout)),
        // It is in place already: nothing moves, and that is an answer.
        Err(Refusal::Nothing { .. }) => Ok(app.rollout.clone().unwrap_or(rollout)),
        Err(refusal) => Err(refusal.into()),
    }
}

fn counted(app: &App, new: &Rollout, now: Timestamp, sample: &[SamplePoll]) -> Plan {
    count(&Change {
        app,
        old: app.rollout.as_ref(),
        new,
        now,
        members: &no_segments,
        sample,
    })
}
