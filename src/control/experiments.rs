//! Experiments: what each says now, as JSON and as a table; and the acts that begin one, promote an arm, or end it.
//!
//! Results are computed from the counts when somebody reads them, on any node. Promoting an arm that nothing was shown of is
//! refused here, unless whoever asks says that it shall happen anyway: the ledger does not judge counts.

use axum::{
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::Response,
};
use huidu_core::{
    catalogue::App,
    command::Command,
    experiment::{Design, End, Experiment, Reading, concluded, csv, read},
    name::{AppId, ArmName, ExperimentName},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Control,
    auth::{AppParams, NamedApp},
    body::{At, Json},
    error::ApiError,
    openapi::{ChangeRefusals, ReadRefusals},
    plan,
    precondition::{ChangeParams, Intent, WhyParams},
    wire::{self, Changed},
};

/// The experiment that a path names.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ExperimentParams {
    /// The experiment.
    experiment: String,
}

impl ExperimentParams {
    /// The name. What is no name cannot exist.
    fn name(&self, app: &AppId) -> Result<ExperimentName, ApiError> {
        (self.experiment.parse()).map_err(|_| unknown(app, &self.experiment))
    }
}

fn unknown(app: &AppId, name: &str) -> ApiError {
    ApiError::Unknown {
        kind: "experiment",
        name: format!("{app}#{}", name.chars().take(64).collect::<String>()),
        help: "`huidu experiment list` shows them",
    }
}

/// In which form results are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct FormParams {
    /// `json`, or `csv`: one line for each arm and measure. Left out: as `Accept` says.
    format: Option<String>,
}

/// In which form results are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Csv,
}

type Asked = Result<Query<FormParams>, QueryRejection>;

fn form(query: Asked, headers: &HeaderMap) -> Result<Form, ApiError> {
    let Query(asked) = query.map_err(|error| ApiError::field("query", error.body_text()))?;
    match asked.format.as_deref() {
        Some("json") => Ok(Form::Json),
        Some("csv") => Ok(Form::Csv),
        Some(_) => Err(ApiError::field("format", "`format` is `json` or `csv`")),
        None => {
            let accepts = headers.get_all(ACCEPT).iter();
            let mut accepts = accepts.filter_map(|value| value.to_str().ok());
            let is_csv = |accept: &str| {
                let kind = accept.split([',', ';']).next().unwrap_or_default();
                kind.trim().eq_ignore_ascii_case("text/csv")
            };
            Ok(if accepts.any(is_csv) {
                Form::Csv
            } else {
                Form::Json
            })
        }
    }
}

/// An experiment as people look at it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    experiment: &'a ExperimentName,
    /// `running`, `paused`, `promoted` or `ended`.
    state: &'static str,
    begun: Timestamp,
    since: Timestamp,
    until: Timestamp,
    #[serde(skip_serializing_if = "is_never")]
    redrawn: u32,
    design: &'a Design,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<&'a End>,
    #[serde(flatten)]
    reading: Reading,
    /// The verdict, for people.
    text: String,
}

/// The experiments of an app.
#[derive(Debug, Serialize)]
struct Page<'a> {
    app: &'a AppId,
    experiments: Vec<Shown<'a>>,
}

impl<'a> Shown<'a> {
    fn of(
        control: &Control,
        app: &'a App,
        (name, experiment): (&'a ExperimentName, &'a Experiment),
        now: Timestamp,
    ) -> Self {
        let rule = app.rule(&experiment.design.rule);
        let state = match &experiment.end {
            Some(End { arm: Some(_), .. }) => "promoted",
            Some(_) => "ended",
            None if rule.is_some_and(|rule| rule.paused) => "paused",
            None => "running",
        };
        let reading = reading(control, app, experiment, now);
        Self {
            experiment: name,
            state,
            begun: experiment.begun,
            since: experiment.since,
            until: experiment.until(now),
            redrawn: experiment.redrawn,
            design: &experiment.design,
            end: experiment.end.as_ref(),
            text: reading.verdict_in_words().to_owned(),
            reading,
        }
    }
}

fn reading(control: &Control, app: &App, experiment: &Experiment, now: Timestamp) -> Reading {
    let feedback = control.node.feedback();
    let counted = feedback.of_arms(&app.id, experiment, now);
    read(experiment, counted.as_ref(), now)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_never(times: &u32) -> bool {
    *times == 0
}

fn table(app: &App, shown: &[Shown<'_>], now: Timestamp) -> Response {
    let mut text = String::from(csv::HEAD);
    for one in shown {
        if let Some(experiment) = app.experiments.get(one.experiment) {
            csv::rows(&mut text, one.experiment, experiment, &one.reading, now);
        }
    }
    let mut response = Response::new(Body::from(text));
    let kind = HeaderValue::from_static("text/csv; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// The experiments of an app, and what each says now
///
/// `verdict` is `ratio-alarm` first, then `unfit`, `too-long`, `too-early`, `shown`, `not-shown`, `running`; `unknown` while
/// this node does not know the counts. Intervals hold at every look.
#[utoipa::path(get, path = "/api/v1/apps/{tenant}/{app}/experiments", tag = "experiments", security(("token" = [])),
    params(AppParams, FormParams),
    responses((status = 200, description = "The experiments, under way and over.", content((Object = "application/json"), (String = "text/csv")),
        headers(("ETag" = String, description = "The app's revision, for `If-Match`."))), ReadRefusals))]
pub(super) async fn list(
    State(control): State<Control>,
    named: NamedApp,
    query: Asked,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    // Read without the catalogue's lock: it is an app alone.
    let app = named
        .caller
        .app(&control.node.catalogue(), &named.app)?
        .clone();
    let (form, now) = (form(query, &headers)?, control.node.now());
    let shown = app.experiments.iter();
    let shown = shown.map(|one| Shown::of(&control, &app, one, now));
    let experiments: Vec<_> = shown.collect();
    Ok(match form {
        Form::Csv => table(&app, &experiments, now),
        Form::Json => {
            let page = Page {
                app: &app.id,
                experiments,
            };
            wire::json_at(StatusCode::OK, app.revision, &page)
        }
    })
}

/// One experiment, and what it says now
#[utoipa::path(get, path = "/api/v1/apps/{tenant}/{app}/experiments/{experiment}", tag = "experiments", security(("token" = [])),
    params(AppParams, ExperimentParams, FormParams),
    responses((status = 200, description = "The experiment.", content((Object = "application/json"), (String = "text/csv")),
        headers(("ETag" = String, description = "The app's revision, for `If-Match`."))), ReadRefusals))]
pub(super) async fn show(
    State(control): State<Control>,
    named: NamedApp,
    At(asked): At<ExperimentParams>,
    query: Asked,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let app = named
        .caller
        .app(&control.node.catalogue(), &named.app)?
        .clone();
    let (form, now) = (form(query, &headers)?, control.node.now());
    let name = asked.name(&app.id)?;
    let known = app.experiments.get_key_value(&name);
    let known = known.ok_or_else(|| unknown(&app.id, name.as_str()))?;
    let shown = Shown::of(&control, &app, known, now);
    Ok(match form {
        Form::Csv => table(&app, &[shown], now),
        Form::Json => wire::json_at(StatusCode::OK, app.revision, &shown),
    })
}

/// What an experiment compares. It is fixed when it begins.
#[derive(ToSchema)]
#[schema(as = ExperimentDesign)]
#[expect(dead_code, reason = "read by the document generator alone")]
pub(super) struct DesignSchema {
    /// The rule whose arms are compared; one that is paused begins with it.
    rule: String,
    /// The arm that the others are held against.
    control: String,
    /// What decides: `{"measure": "converted", "better": "more"}`. Each unit counts once.
    #[schema(value_type = Object)]
    primary: (),
    /// What must not get worse: `{"measure", "harm": "more" | "less", "tolerated"?: "0.5%", "margin"?: "1%"}`.
    #[schema(required = false, value_type = Vec<Object>)]
    guard: (),
    /// How long at least before anything counts as shown, such as `14d`; a week, and 28d at most.
    #[schema(required = false)]
    at_least: String,
    /// How often any interval may be wrong, at any look; 5%.
    #[schema(required = false)]
    alpha: String,
    /// Units of an arm and the control at which intervals are narrowest; 5 000.
    #[schema(required = false)]
    planned_units: u64,
    /// What is expected, for people.
    #[schema(required = false)]
    hypothesis: String,
}

/// Begin an experiment over a rule with several arms
///
/// Devices say anew that they run an arm, so that every unit's arrival is counted. A rule that is paused goes on with it.
#[utoipa::path(put, path = "/api/v1/apps/{tenant}/{app}/experiments/{experiment}", tag = "experiments", security(("token" = [])),
    params(AppParams, ExperimentParams, ChangeParams, WhyParams), request_body = DesignSchema,
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn begin(
    State(control): State<Control>,
    named: NamedApp,
    At(asked): At<ExperimentParams>,
    intent: Intent,
    Json(design): Json<Design>,
) -> Result<Response, ApiError> {
    let expected = intent.must_match()?;
    let experiment = asked.experiment.parse();
    let experiment = experiment.map_err(|_| {
        let detail = "an experiment is named with 1 to 63 of a-z 0-9 . _ -, beginning with a letter or digit";
        ApiError::field("experiment", detail)
    })?;
    let command = Command::BeginExperiment {
        app: named.app,
        experiment,
        design: Box::new(design),
    };
    let written = control.write(intent, expected, command).await?;
    Ok(wire::json_at(
        StatusCode::OK,
        written.revision,
        &Changed::from(&written),
    ))
}

/// Which arm is promoted, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromoteOrder {
    /// The arm.
    #[schema(value_type = String)]
    arm: ArmName,
    /// Why.
    reason: String,
    /// True: also when the experiment has not shown that it is better.
    #[serde(default)]
    #[schema(required = false)]
    anyway: bool,
}

/// Why an experiment is ended.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndOrder {
    /// Why.
    reason: String,
}

/// Promote an arm: its version becomes the stable one, and the experiment is over
///
/// A rollout like any other: it takes what its effect takes. `/plan` beside it says whom it moves.
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/experiments/{experiment}/promote", tag = "experiments", security(("token" = [])),
    params(AppParams, ExperimentParams, ChangeParams, WhyParams), request_body = PromoteOrder,
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn promote(
    State(control): State<Control>,
    named: NamedApp,
    At(asked): At<ExperimentParams>,
    intent: Intent,
    Json(order): Json<PromoteOrder>,
) -> Result<Response, ApiError> {
    let PromoteOrder {
        arm,
        reason,
        anyway,
    } = order;
    let name = asked.name(&named.app)?;
    let command = Command::EndExperiment {
        app: named.app.clone(),
        experiment: name.clone(),
        arm: Some(arm.clone()),
        reason,
    };
    control.may(command.clone(), &intent.actor)?;
    let expected = intent.must_match()?;
    if !anyway && let Some(why) = objection(&control, &named.app, &name, &arm) {
        return Err(ApiError::NotShown {
            arm: arm.to_string(),
            why,
        });
    }
    let written = control.write(intent, expected, command).await?;
    Ok(wire::json_at(
        StatusCode::OK,
        written.revision,
        &Changed::from(&written),
    ))
}

/// What speaks against promoting an arm. Of what is unknown or over nothing: whoever decides says that.
fn objection(
    control: &Control,
    app: &AppId,
    name: &ExperimentName,
    arm: &ArmName,
) -> Option<String> {
    let app = control.node.catalogue().apps.get(app.as_str())?.clone();
    let experiment = app.experiments.get(name).filter(|one| one.is_running())?;
    let reading = reading(control, &app, experiment, control.node.now());
    experiment.arms.get(arm)?;
    reading.objection(arm)
}

/// End an experiment: its rule is gone, and its units get what the rules behind it give them
///
/// Whoever must stop it at once pauses its rule.
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/experiments/{experiment}/end", tag = "experiments", security(("token" = [])),
    params(AppParams, ExperimentParams, ChangeParams, WhyParams), request_body = EndOrder,
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn end(
    State(control): State<Control>,
    named: NamedApp,
    At(asked): At<ExperimentParams>,
    intent: Intent,
    Json(EndOrder { reason }): Json<EndOrder>,
) -> Result<Response, ApiError> {
    let expected = intent.must_match()?;
    let command = Command::EndExperiment {
        experiment: asked.name(&named.app)?,
        app: named.app,
        arm: None,
        reason,
    };
    let written = control.write(intent, expected, command).await?;
    Ok(wire::json_at(
        StatusCode::OK,
        written.revision,
        &Changed::from(&written),
    ))
}

/// How an experiment might end.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EndingParams {
    /// The arm that would be promoted; left out: none.
    arm: Option<String>,
}

/// Whom promoting an arm, or ending the experiment, would move now
#[utoipa::path(get, path = "/api/v1/apps/{tenant}/{app}/experiments/{experiment}/plan", tag = "experiments", security(("token" = [])),
    params(AppParams, ExperimentParams, EndingParams),
    responses((status = 200, description = "As the plan of a rollout.", body = Object,
        headers(("ETag" = String, description = "The app's revision that the plan was made for."))), ReadRefusals))]
pub(super) async fn ending(
    State(control): State<Control>,
    named: NamedApp,
    At(asked): At<ExperimentParams>,
    query: Result<Query<EndingParams>, QueryRejection>,
) -> Result<Response, ApiError> {
    named.caller.of_the_bank("plan a rollout")?;
    let Query(EndingParams { arm }) =
        query.map_err(|error| ApiError::field("query", error.body_text()))?;
    let arm: Option<ArmName> = (arm.map(|arm| arm.parse()).transpose()).map_err(|_| {
        ApiError::field(
            "arm",
            "no arm has such a name; `huidu experiment show` lists them",
        )
    })?;
    let name = asked.name(&named.app)?;
    named.caller.may_see(&control.node.catalogue())?;
    let app = named
        .caller
        .app(&control.node.catalogue(), &named.app)?
        .clone();
    let known = app.experiments.get(&name);
    let rule = &known
        .ok_or_else(|| unknown(&app.id, name.as_str()))?
        .design
        .rule;
    let before = app.rollout.as_ref();
    let after = before.and_then(|before| concluded(before, rule, arm.as_ref()).ok());
    let command = Command::EndExperiment {
        app: named.app,
        experiment: name,
        arm,
        reason: "plan".into(),
    };
    // Of one that cannot end so, whoever decides says why.
    let after = after
        .or_else(|| app.rollout.clone())
        .ok_or_else(|| ApiError::Unknown {
            kind: "rollout",
            name: app.id.to_string(),
            help: "put one in place with `huidu rollout put`",
        })?;
    plan::of_command(&control, app, command, after).await
}
