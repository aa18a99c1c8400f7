//! What must stop now, and what may run again.
//!
//! A kill does not need `If-Match`: whoever must stop something does not first read it.

use axum::{extract::State, http::StatusCode, response::Response};
use huidu_core::command::Command;

use super::{
    Control,
    auth::{AppParams, NamedApp},
    body::Json,
    error::ApiError,
    openapi::ChangeRefusals,
    precondition::{ChangeParams, Intent, MayMatchParams, WhyParams},
    wire::{self, Changed, KillOrder, Stopped},
};

/// Stop a version, or the whole app, now
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/kill", tag = "kills", security(("token" = [])),
    params(AppParams, MayMatchParams, WhyParams), request_body = KillOrder,
    responses((status = 200, body = Stopped, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn kill(
    State(control): State<Control>,
    named: NamedApp,
    intent: Intent,
    Json(KillOrder { version, reason }): Json<KillOrder>,
) -> Result<Response, ApiError> {
    let expected = intent.may_match();
    let command = Command::Kill {
        app: named.app.clone(),
        version: version.clone(),
        reason,
    };
    let written = control.write(intent, expected, command).await?;
    let stopped = Stopped::of(&control, &written, &named.app, version.as_ref());
    Ok(wire::json_at(StatusCode::OK, written.revision, &stopped))
}

/// Let a killed version, or the whole app, run again
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/unkill", tag = "kills", security(("token" = [])),
    params(AppParams, ChangeParams, WhyParams), request_body = KillOrder,
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn unkill(
    State(control): State<Control>,
    named: NamedApp,
    intent: Intent,
    Json(KillOrder { version, reason }): Json<KillOrder>,
) -> Result<Response, ApiError> {
    let expected = intent.must_match()?;
    let command = Command::Unkill {
        app: named.app,
        version,
        reason,
    };
    let written = control.write(intent, expected, command).await?;
    Ok(wire::json_at(
        StatusCode::OK,
        written.revision,
        &Changed::from(&written),
    ))
}
