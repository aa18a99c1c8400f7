//! Ramps: how far each has come, what it waits for and what that rests on; and what people do to one.
//!
//! Evidence is computed from the counts when somebody reads it. Stopping needs no `If-Match`: whoever must stop something
//! does not first read it.

use axum::{extract::State, http::StatusCode, response::Response};
use huidu_core::{
    catalogue::App,
    command::Command,
    name::{AppId, Measure, RuleName},
    ramp::{Cohorts, Phase, Plan, Steer, Verdict, Wait, judge},
    revision::Revision,
    share::Share,
    stats::{guard::Evidence, ratio::Ratio},
    time::Timestamp,
    version::Number,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Control,
    auth::{AppParams, NamedApp},
    body::Json,
    error::ApiError,
    openapi::{ChangeRefusals, ReadRefusals},
    precondition::{ChangeParams, Intent, MayMatchParams, WhyParams},
    wire::{self, Changed},
};
use crate::node::ramps::Looked;

/// A ramp as people look at it.
#[derive(Debug, Serialize)]
struct Shown {
    rule: RuleName,
    version: Option<Number>,
    stable: Number,
    /// In words: running, paused, rolled back, …
    state: &'static str,
    /// From 1.
    step: usize,
    steps: usize,
    since: Timestamp,
    share: Share,
    control: Share,
    /// The revision that last moved it.
    moved: Revision,
    /// What happens at the next look, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'static str>,
    waits: Vec<Wait>,
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<Cohorts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<Ratio>,
    guards: Vec<Guarded>,
    plan: Plan,
}

/// What a guard says, and why.
#[derive(Debug, Serialize)]
struct Guarded {
    measure: Measure,
    action: &'static str,
    verdict: Verdict,
    events: Cohorts,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence>,
}

/// The ramps of an app.
#[derive(Debug, Serialize)]
struct Ramps {
    app: AppId,
    ramps: Vec<Shown>,
}

impl Shown {
    fn of(looked: Looked) -> Self {
        let Looked {
            rule,
            plan,
            ramp,
            stable,
            drawn,
            findings,
            act,
            waits,
        } = looked;
        let found = findings.iter().flat_map(|findings| {
            let guards = plan.guards_of(ramp.step).iter().zip(&findings.guards);
            guards.map(|(guard, found)| Guarded {
                measure: found.measure.clone(),
                action: guard.action.word(),
                verdict: found.verdict,
                events: found.events,
                evidence: found.evidence(&plan, ramp.step, drawn, findings.units),
            })
        });
        let guards = found.collect();
        let units = findings.as_ref().map(|findings| findings.units);
        Self {
            version: rule.arms().first().map(|(_, _, arm)| arm.version.clone()),
            state: ramp.phase.word(),
            step: ramp.step + 1,
            steps: plan.steps.len(),
            since: ramp.since,
            share: rule.share,
            control: rule.control(),
            moved: ramp.moved,
            next: act.map(|act| act.word()),
            waits,
            units,
            ratio: units.and_then(|units| judge::skew(drawn, units).ok()),
            guards,
            rule: rule.name,
            stable,
            plan,
        }
    }
}

/// How far an app's ramps have come, what they wait for, and what that rests on
///
/// As this node would decide now. `guards` say `pass`, `fail`, `inconclusive` or `error`; their evidence is what a coin laid
/// on harm has become, and `needed` is where it stops a ramp.
#[utoipa::path(get, path = "/api/v1/apps/{tenant}/{app}/ramp", tag = "rollouts", security(("token" = [])),
    params(AppParams),
    responses((status = 200, description = "The ramps, one for each rule that has a plan.", body = Object,
        headers(("ETag" = String, description = "The app's revision, for `If-Match`."))), ReadRefusals))]
pub(super) async fn show(
    State(control): State<Control>,
    named: NamedApp,
) -> Result<Response, ApiError> {
    // Judged without the catalogue's lock: it is an app alone.
    let app = named
        .caller
        .app(&control.node.catalogue(), &named.app)?
        .clone();
    let ramps = control.node.ramps_of(&app);
    let ramps = Ramps {
        app: app.id.clone(),
        ramps: ramps.into_iter().map(Shown::of).collect(),
    };
    Ok(wire::json_at(StatusCode::OK, app.revision, &ramps))
}

/// What is done to a ramp.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SteerOrder {
    /// The rule; left out, the one whose ramp is not over.
    #[serde(default)]
    #[schema(value_type = String, required = false)]
    rule: Option<RuleName>,
    /// Why; needed for what stops.
    #[serde(default)]
    #[schema(required = false)]
    reason: String,
}

/// Let a ramp grow no more
///
/// Its guards go on watching.
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/ramp/pause", tag = "rollouts", security(("token" = [])),
    params(AppParams, MayMatchParams, WhyParams), request_body = SteerOrder,
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn pause(
    State(control): State<Control>,
    named: NamedApp,
    intent: Intent,
    Json(order): Json<SteerOrder>,
) -> Result<Response, ApiError> {
    steer(&control, named, intent, Steer::Pause, order).await
}

/// Let a ramp go on
///
/// Counting, and the hold of its step, begin anew.
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/ramp/resume", tag = "rollouts", security(("token" = [])),
    params(AppParams, ChangeParams, WhyParams), request_body = SteerOrder,
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn resume(
    State(control): State<Control>,
    named: NamedApp,
    intent: Intent,
    Json(order): Json<SteerOrder>,
) -> Result<Response, ApiError> {
    steer(&control, named, intent, Steer::Resume, order).await
}

/// Take a ramp back to the step before, and hold it there
///
/// At its first step: it is rolled back.
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/ramp/abort", tag = "rollouts", security(("token" = [])),
    params(AppParams, MayMatchParams, WhyParams), request_body = SteerOrder,
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn abort(
    State(control): State<Control>,
    named: NamedApp,
    intent: Intent,
    Json(order): Json<SteerOrder>,
) -> Result<Response, ApiError> {
    steer(&control, named, intent, Steer::Abort, order).await
}

/// Take a ramp back whole
///
/// Its rule takes nobody any more, and the ramp is over.
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/ramp/roll-back", tag = "rollouts", security(("token" = [])),
    params(AppParams, MayMatchParams, WhyParams), request_body = SteerOrder,
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn roll_back(
    State(control): State<Control>,
    named: NamedApp,
    intent: Intent,
    Json(order): Json<SteerOrder>,
) -> Result<Response, ApiError> {
    steer(&control, named, intent, Steer::RollBack, order).await
}

/// Let the next step of a ramp begin, where its plan waits for somebody
///
/// By a person: a member who signed in, or whose token it is.
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/ramp/approve", tag = "rollouts", security(("token" = [])),
    params(AppParams, ChangeParams, WhyParams), request_body = SteerOrder,
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn approve(
    State(control): State<Control>,
    named: NamedApp,
    intent: Intent,
    Json(order): Json<SteerOrder>,
) -> Result<Response, ApiError> {
    steer(&control, named, intent, Steer::Approve, order).await
}

async fn steer(
    control: &Control,
    named: NamedApp,
    intent: Intent,
    act: Steer,
    SteerOrder { rule, reason }: SteerOrder,
) -> Result<Response, ApiError> {
    let expected = match act.stops() {
        true => intent.may_match(),
        false => intent.must_match()?,
    };
    let rule = match rule {
        Some(rule) => rule,
        None => only(named.caller.app(&control.node.catalogue(), &named.app)?)?,
    };
    let command = Command::SteerRamp {
        app: named.app,
        rule,
        act,
        reason,
    };
    let written = control.write(intent, expected, command).await?;
    Ok(wire::json_at(
        StatusCode::OK,
        written.revision,
        &Changed::from(&written),
    ))
}

/// The only rule whose ramp is not over; of none, the only one there is.
fn only(app: &App) -> Result<RuleName, ApiError> {
    let going = |phase: &Phase| !phase.is_over();
    let open: Vec<_> = app
        .ramps
        .iter()
        .filter(|(_, ramp)| going(&ramp.phase))
        .collect();
    let all: Vec<_> = app.ramps.iter().collect();
    match (&open[..], &all[..]) {
        ([(rule, _)], _) | ([], [(rule, _)]) => Ok((*rule).clone()),
        ([], []) => Err(ApiError::Unknown {
            kind: "ramp",
            name: app.id.to_string(),
            help: "give a rule a plan with `huidu rollout put`",
        }),
        _ => Err(ApiError::field(
            "rule",
            "several ramps are under way; name the rule of one",
        )),
    }
}
