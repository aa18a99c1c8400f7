//! Why a device gets what it gets: the walk of `resolve`, narrated.

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use huidu_core::{
    limits,
    poll::{PollError, PollLine},
};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    Control,
    auth::{AppParams, NamedApp},
    body,
    error::ApiError,
    openapi::BodyRefusals,
    wire,
};

/// A device that asks.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "read by the document generator alone; the core has the shape"
)]
pub(super) struct Question {
    /// The bank app it polls from.
    host: String,
    /// What it says it is: `{"unit": …, "platform"?, "region"?, "city"?, "language"?, "model"?, "channel"?,
    /// "host_version"?, "os_version"?, "tags"?: [], "attr"?: {}}`.
    #[schema(value_type = Object)]
    device: (),
    /// The version it runs.
    version: Option<String>,
    /// Releases that failed on it.
    #[schema(required = false)]
    failed: Vec<String>,
    /// When it asks; left out: now.
    #[schema(format = DateTime)]
    now: Option<String>,
}

/// Why a device gets what it gets
///
/// Answers with what the device would be told now, and with everything that was asked on the way. Nothing
/// is counted, and nothing is kept.
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/explain", tag = "rollouts", security(("token" = [])),
    params(AppParams), request_body = Question,
    responses((status = 200, description = "The answer and the steps to it; `text` says the same in words.", body = Object), BodyRefusals))]
pub(super) async fn explain(
    State(control): State<Control>,
    named: NamedApp,
    request: Request,
) -> Result<Response, ApiError> {
    // A partner could otherwise ask, unit by unit, who is on the bank's lists.
    named.caller.of_the_bank("explain what devices get")?;
    named.caller.may_see(&control.node.catalogue())?;
    body::must_be(&request, "application/json")?;
    let bytes = body::whole(request, limits::POLL_BODY_BYTES as u64).await?;
    let line = as_line(&bytes, named.app.as_str())?;
    let poll = PollLine::from_json(&line).map_err(|error| poll_error(&error))?;
    let live = control.node.live();
    let app = live
        .app(named.app.as_str())
        .ok_or_else(|| ApiError::no_app(named.app.as_str()))?;
    let now = poll.now().unwrap_or_else(|| control.node.now());
    let explanation = app
        .compiled
        .explain(poll.host(), &poll.device(), &poll.installed(), now);
    Ok(wire::json_at(
        StatusCode::OK,
        explanation.revision,
        &wire::Narrated::of(&explanation),
    ))
}

/// The question as the line of a recorded sample: the same, with the app that the path names.
fn as_line(bytes: &[u8], app: &str) -> Result<Vec<u8>, ApiError> {
    let mut question: Map<String, Value> = body::parse(bytes)?;
    const KNOWN: [&str; 5] = ["host", "device", "version", "failed", "now"];
    if let Some(field) = question
        .keys()
        .find(|field| !KNOWN.contains(&field.as_str()))
    {
        let detail = format!(
            "there is no field `{field}`; a question has {}",
            KNOWN.join(", ")
        );
        return Err(ApiError::field(field.clone(), detail));
    }
    question.insert("app".to_owned(), app.into());
    serde_json::to_vec(&question).map_err(|error| ApiError::NotJson {
        detail: error.to_string(),
    })
}

/// What is wrong with a poll; the core names the field and never repeats a value.
pub(super) fn poll_error(error: &PollError) -> ApiError {
    let field = match error {
        PollError::Field { field, .. } => field,
        _ => "body",
    };
    ApiError::field(field, error.to_string())
}
