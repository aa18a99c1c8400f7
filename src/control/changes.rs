//! Changes that people agree on: what waits, who agrees, and which kinds of change take it.
//!
//! An agreement names the hash of the change that was shown. Who may agree the core decides, for every node
//! alike.

use axum::{extract::State, http::StatusCode, response::Response};
use huidu_core::{
    command::Command,
    digest::Digest,
    event::Actor,
    eyes::{Agreement, EyesPolicy, Proposal, required},
    rules::Rules,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    Control,
    auth::Caller,
    body::{At, Json},
    error::ApiError,
    openapi::{NewRefusals, ReadRefusals},
    precondition::{Intent, NewParams, WhyParams},
    wire::{self, Changed, Why},
};

/// A change that waits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangeLine {
    /// Its name.
    id: String,
    /// What kind of change it is; none: it waits for its time alone.
    kind: Option<&'static str>,
    /// In a few words.
    verb: &'static str,
    /// The app it changes.
    app: Option<String>,
    /// All of it.
    #[schema(value_type = Object)]
    change: Value,
    /// What an approval names.
    #[schema(value_type = String)]
    hash: Digest,
    /// Who asked: `member/<id>`.
    by: String,
    /// With which credential.
    #[schema(value_type = Object)]
    actor: Actor,
    /// When it was asked for.
    #[schema(value_type = String)]
    at: Timestamp,
    /// From then on it is void.
    #[schema(value_type = String)]
    until: Timestamp,
    /// It happens then, not before.
    #[schema(value_type = Option<String>)]
    enact_at: Option<Timestamp>,
    /// Who agreed: `{"by", "at"}`.
    #[schema(value_type = Vec<Object>)]
    approvals: Vec<Agreement>,
    /// How many more must.
    lacks: usize,
    /// What they must be.
    #[schema(value_type = Vec<Object>)]
    roles: Vec<huidu_core::authority::Role>,
}

/// What an approval names.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shown {
    /// The hash of the change that was shown.
    #[schema(value_type = String)]
    hash: Digest,
}

/// Which kinds of change people agree on.
#[derive(ToSchema)]
#[schema(as = EyesPolicy)]
#[expect(
    dead_code,
    reason = "read by the document generator alone; the core has the shape"
)]
pub(crate) struct EyesSchema {
    /// By kind (`list`, `rollout`, `raise-share`, `resume`, `unkill`, `restore-permission`, `review-policy`,
    /// `eyes`, `keyring`, `app-policy`, `people`, `segment`, `grades`, `permissions`): `{"approvals": 1, "roles": ["admin"]}`.
    #[schema(value_type = Object)]
    kinds: (),
    /// Up to this share one person may raise a rule.
    #[schema(required = false)]
    free_share: String,
}

/// The name of a change.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ChangeId {
    /// As the answer to the request named it.
    id: String,
}

fn line(control: &Control, id: &str, proposal: &Proposal) -> ChangeLine {
    let catalogue = control.node.catalogue();
    let required = required(&catalogue, Rules::NEWEST, &proposal.command);
    ChangeLine {
        id: id.to_owned(),
        kind: proposal.kind.map(huidu_core::eyes::Kind::word),
        verb: proposal.command.verb(),
        app: proposal.command.app().map(ToString::to_string),
        change: serde_json::to_value(&proposal.command).unwrap_or_default(),
        hash: proposal.hash,
        by: proposal.by.clone(),
        actor: proposal.actor.clone(),
        at: proposal.at,
        until: proposal.until,
        enact_at: proposal.enact_at,
        approvals: proposal.approvals.clone(),
        lacks: proposal.lacks(&catalogue, Rules::NEWEST),
        roles: required
            .map(|(_, one)| one.roles.clone())
            .unwrap_or_default(),
    }
}

/// What waits to be agreed on, or for its time
#[utoipa::path(get, path = "/api/v1/changes", tag = "changes", security(("token" = [])),
    responses((status = 200, body = [ChangeLine]), ReadRefusals))]
pub(super) async fn list(
    State(control): State<Control>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.of_the_bank("see what waits")?;
    let now = control.node.now();
    let open = control.node.catalogue().trust.proposals.clone();
    let mut open: Vec<_> = open.iter().filter(|(_, one)| now < one.until).collect();
    open.sort_by_key(|(_, one)| one.at);
    let lines: Vec<_> = (open.into_iter())
        .map(|(id, proposal)| line(&control, id, proposal))
        .collect();
    Ok(wire::json(StatusCode::OK, &lines))
}

/// Agree to a change
///
/// By a member who did not ask for it. With the last agreement it happens, unless it waits for its time.
#[utoipa::path(post, path = "/api/v1/changes/{id}/approve", tag = "changes", security(("token" = [])),
    params(ChangeId, NewParams, WhyParams), request_body = Shown,
    responses((status = 200, body = Changed), NewRefusals))]
pub(super) async fn approve(
    State(control): State<Control>,
    At(ChangeId { id }): At<ChangeId>,
    intent: Intent,
    Json(Shown { hash }): Json<Shown>,
) -> Result<Response, ApiError> {
    let command = Command::ApproveProposal { id, hash };
    let written = control.write(intent, None, command).await?;
    Ok(wire::json(StatusCode::OK, &Changed::from(&written)))
}

/// Take back a change that waits
#[utoipa::path(post, path = "/api/v1/changes/{id}/withdraw", tag = "changes", security(("token" = [])),
    params(ChangeId, NewParams, WhyParams), request_body = Why,
    responses((status = 200, body = Changed), NewRefusals))]
pub(super) async fn withdraw(
    State(control): State<Control>,
    At(ChangeId { id }): At<ChangeId>,
    intent: Intent,
    Json(Why { reason }): Json<Why>,
) -> Result<Response, ApiError> {
    let command = Command::WithdrawProposal { id, reason };
    let written = control.write(intent, None, command).await?;
    Ok(wire::json(StatusCode::OK, &Changed::from(&written)))
}

/// Which kinds of change people agree on
#[utoipa::path(get, path = "/api/v1/eyes", tag = "changes", security(("token" = [])),
    responses((status = 200, body = EyesSchema), ReadRefusals))]
pub(super) async fn policy(State(control): State<Control>, _: Caller) -> Response {
    wire::json(StatusCode::OK, &control.node.catalogue().trust.eyes)
}

/// Decide which kinds of change people agree on
///
/// Stopping is never one: a kill, a pause, a lower share and a revocation take one person, always.
#[utoipa::path(put, path = "/api/v1/eyes", tag = "changes", security(("token" = [])),
    params(NewParams, WhyParams), request_body = EyesSchema,
    responses((status = 200, body = Changed), NewRefusals))]
pub(super) async fn put_policy(
    State(control): State<Control>,
    intent: Intent,
    Json(policy): Json<EyesPolicy>,
) -> Result<Response, ApiError> {
    let written = control.write(intent, None, Command::SetEyes { policy });
    Ok(wire::json(StatusCode::OK, &Changed::from(&written.await?)))
}
