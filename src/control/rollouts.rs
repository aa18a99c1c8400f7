//! Which version each device gets: a rollout as a whole, or one number of one rule.

use std::collections::BTreeSet;

use axum::{
    extract::{Query, Request, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use huidu_core::{
    authority::{Forbidden, Role},
    command::Command,
    limits,
    name::{AppId, ExperimentName, RuleName},
    rulefile::{self, Parsed, Problems},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    Control,
    auth::{AppParams, NamedApp},
    body::{self, At, Json},
    error::ApiError,
    openapi::{ChangeRefusals, ReadRefusals, RolloutSchema},
    precondition::{ChangeParams, Intent, WhyParams},
    wire::{self, Changed, NewPause, NewShare},
};

/// What a TOML body is called in messages.
const BODY: &str = "body";

/// The rule that a path names.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct RuleParams {
    /// The rule.
    rule: String,
}

impl RuleParams {
    /// The name. What is no name cannot exist.
    fn name(self, app: &AppId) -> Result<RuleName, ApiError> {
        self.rule.parse().map_err(|_| ApiError::Unknown {
            kind: "rule",
            name: format!("{app}#{}", self.rule.chars().take(64).collect::<String>()),
            help: "`huidu rollout show` lists the rules",
        })
    }
}

/// What a rollout may draw anew.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RedrawParams {
    /// Experiments, separated by commas, whose units may change arms; their counting begins anew. A rollout that moves the units
    /// of any other is refused.
    redraw: Option<String>,
}

impl RedrawParams {
    fn names(&self) -> Result<BTreeSet<ExperimentName>, ApiError> {
        let names = self.redraw.as_deref().unwrap_or_default().split(',');
        let names = names.map(str::trim).filter(|name| !name.is_empty());
        let names = names.map(str::parse).collect::<Result<_, _>>();
        names.map_err(|_| {
            let detail =
                "names of experiments, separated by commas; `huidu experiment list` shows them";
            ApiError::field("redraw", detail)
        })
    }
}

/// An app's rollout
#[utoipa::path(get, path = "/api/v1/apps/{tenant}/{app}/rollout", tag = "rollouts", security(("token" = [])),
    params(AppParams),
    responses((status = 200, body = RolloutSchema, headers(("ETag" = String, description = "The app's revision, for `If-Match`."))), ReadRefusals))]
pub(super) async fn show(
    State(control): State<Control>,
    named: NamedApp,
) -> Result<Response, ApiError> {
    let catalogue = control.node.catalogue();
    let app = named.caller.app(&catalogue, &named.app)?;
    let rollout = app.rollout.as_ref().ok_or_else(|| ApiError::Unknown {
        kind: "rollout",
        name: app.id.to_string(),
        help: "put one in place with `huidu rollout put`",
    })?;
    Ok(wire::json_at(StatusCode::OK, app.revision, rollout))
}

/// Put a rollout in place, whole
///
/// As JSON, or as TOML in the form of a rule file. Every mistake is told at once, with where it stands. Units of a running
/// experiment change arms only where `redraw` names it.
#[utoipa::path(put, path = "/api/v1/apps/{tenant}/{app}/rollout", tag = "rollouts", security(("token" = [])),
    params(AppParams, RedrawParams, ChangeParams, WhyParams),
    request_body(content((RolloutSchema = "application/json"), (String = "application/toml"))),
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn put(
    State(control): State<Control>,
    named: NamedApp,
    query: Result<Query<RedrawParams>, QueryRejection>,
    intent: Intent,
    request: Request,
) -> Result<Response, ApiError> {
    let expected = intent.must_match()?;
    let Query(asked) = query.map_err(|error| ApiError::field("query", error.body_text()))?;
    let experiments = asked.names()?;
    let Parsed {
        rollout, places, ..
    } = parse(request).await?;
    if rollout.app != named.app {
        return Err(ApiError::OtherApp {
            app: named.app.to_string(),
            written: rollout.app.to_string(),
        });
    }
    let rollout = Box::new(rollout);
    let command = if experiments.is_empty() {
        Command::PutRollout { rollout }
    } else {
        Command::RedrawRollout {
            rollout,
            experiments,
        }
    };
    let written = control.write(intent, expected, command).await;
    let written = written.map_err(|error| error.placed(&places))?;
    Ok(wire::json_at(
        StatusCode::OK,
        written.revision,
        &Changed::from(&written),
    ))
}

async fn parse(request: Request) -> Result<Parsed, ApiError> {
    let read: fn(&str) -> Result<Parsed, Problems> = match body::media_type(&request).as_deref() {
        None | Some("application/json") => rulefile::parse_json,
        Some("application/toml") => |text| rulefile::parse_toml(BODY, text),
        Some(_) => {
            return Err(ApiError::MediaType {
                wanted: "application/json or application/toml",
            });
        }
    };
    let bytes = body::whole(request, limits::RULE_FILE_BYTES as u64).await?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| ApiError::field("body", "the rollout is not UTF-8; save it as UTF-8"))?;
    Ok(read(text)?)
}

/// Move the share of one rule
///
/// An SRE, and a token narrowed to `kill`, may only lower it.
#[utoipa::path(put, path = "/api/v1/apps/{tenant}/{app}/rollout/rules/{rule}/share", tag = "rollouts", security(("token" = [])),
    params(AppParams, RuleParams, ChangeParams, WhyParams), request_body = NewShare,
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn share(
    State(control): State<Control>,
    named: NamedApp,
    At(rule): At<RuleParams>,
    intent: Intent,
    Json(NewShare { share }): Json<NewShare>,
) -> Result<Response, ApiError> {
    let expected = intent.must_match()?;
    let (app, rule) = (named.app.clone(), rule.name(&named.app)?);
    let set = Command::SetShare {
        app: app.clone(),
        rule: rule.clone(),
        share,
    };
    // Who may only stop things is taken to mean it downwards.
    let command = match (&intent.actor.role, control.may(set.clone(), &intent.actor)) {
        (Role::Sre, _) | (_, Err(ApiError::Forbidden(Forbidden::Scope { .. }))) => {
            Command::LowerShare { app, rule, share }
        }
        _ => set,
    };
    let written = control.write(intent, expected, command).await?;
    Ok(wire::json_at(
        StatusCode::OK,
        written.revision,
        &Changed::from(&written),
    ))
}

/// Pause or resume one rule
#[utoipa::path(put, path = "/api/v1/apps/{tenant}/{app}/rollout/rules/{rule}/paused", tag = "rollouts", security(("token" = [])),
    params(AppParams, RuleParams, ChangeParams, WhyParams), request_body = NewPause,
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn pause(
    State(control): State<Control>,
    named: NamedApp,
    At(rule): At<RuleParams>,
    intent: Intent,
    Json(NewPause { paused }): Json<NewPause>,
) -> Result<Response, ApiError> {
    let expected = intent.must_match()?;
    let rule = rule.name(&named.app)?;
    let command = Command::SetPause {
        app: named.app,
        rule,
        paused,
    };
    let written = control.write(intent, expected, command).await?;
    Ok(wire::json_at(
        StatusCode::OK,
        written.revision,
        &Changed::from(&written),
    ))
}
