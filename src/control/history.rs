//! What was changed, when, by whom and why; and what became of one change.

use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use huidu_core::{event::Event, name::AppId, op::OpId, record::Record, revision::Revision};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    Control,
    auth::{Caller, Known},
    body::At,
    error::ApiError,
    openapi::ReadRefusals,
    precondition::op_of,
    wire::{self, HistoryLine, OpAnswer, OpWord},
};
use crate::node::OpState;

/// Revisions in one answer.
const MOST: usize = 500;
/// Revisions where nobody says how many.
const USUAL: usize = 50;

/// Which part of the history.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryParams {
    /// Of this app alone, `tenant/app`. A partner must say which of its own.
    app: Option<String>,
    /// At most so many, newest first: 1 to 500, usually 50.
    limit: Option<usize>,
    /// Older than this revision.
    before: Option<u64>,
}

/// Changes, newest first
#[utoipa::path(get, path = "/api/v1/history", tag = "history", security(("token" = [])),
    params(HistoryParams),
    responses((status = 200, body = [HistoryLine]), ReadRefusals))]
pub(super) async fn list(
    State(control): State<Control>,
    caller: Caller,
    query: Result<Query<HistoryParams>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) = query.map_err(|error| ApiError::field("query", error.body_text()))?;
    let app = asked
        .app
        .map(|app| app.parse::<AppId>().map_err(|_| ApiError::no_app(&app)));
    let app = app.transpose()?;
    match &app {
        Some(app) => {
            caller.app(&control.node.catalogue(), app)?;
        }
        None => caller.of_the_bank("read the whole history")?,
    }
    let limit = asked.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(ApiError::field(
            "limit",
            format!("`limit` is 1 to {MOST}; ask for older ones with `before`"),
        ));
    }
    if asked
        .before
        .is_some_and(|before| i64::try_from(before).is_err())
    {
        let detail = "`before` is a revision; take one from an answer";
        return Err(ApiError::field("before", detail));
    }
    let before = asked.before.map(Revision::new);
    let history = control.node.history(app.as_ref(), before, limit).await?;
    let lines = history
        .records
        .into_iter()
        .map(|record| line(record, app.as_ref()));
    Ok(wire::json(StatusCode::OK, &lines.collect::<Vec<_>>()))
}

/// A record, of which only what concerns `app` is shown when one was asked for.
fn line(record: Record, app: Option<&AppId>) -> HistoryLine {
    let concerns = |event: &huidu_core::event::Event| app.is_none() || event.app() == app;
    HistoryLine {
        revision: record.rev,
        at: record.at,
        actor: record.actor,
        op: record.op.to_string(),
        why: record.why,
        events: record.events.into_iter().filter(concerns).collect(),
    }
}

/// What became of a change
#[utoipa::path(get, path = "/api/v1/ops/{op}", tag = "history", security(("token" = [])),
    params(("op" = String, Path, description = "The op id that the change's answer named, or the `Idempotency-Key` it was asked under by the same caller.")),
    responses((status = 200, body = OpAnswer), ReadRefusals))]
pub(super) async fn op(
    State(control): State<Control>,
    Known(caller): Known,
    At(op): At<String>,
) -> Result<Response, ApiError> {
    let own = op_of(&caller.actor.id, &op);
    let (op, state) = match (control.node.op(own).await, op.parse::<OpId>()) {
        (OpState::Absent, Ok(named)) => (named, named_state(&control, &caller, named).await?),
        // No op id: a key of the caller's own, or nothing.
        (OpState::Absent, Err(_)) => return Err(no_op(&op)),
        (state, _) => (own, state),
    };
    let (state, revision) = match state {
        OpState::Committed(revision) => (OpWord::Committed, Some(revision)),
        OpState::Cancelled(revision) => (OpWord::Cancelled, Some(revision)),
        OpState::Unknown => (OpWord::Unknown, None),
        OpState::Absent => (OpWord::Absent, None),
    };
    Ok(wire::json(
        StatusCode::OK,
        &OpAnswer {
            op: op.to_string(),
            state,
            revision,
        },
    ))
}

/// How `op` ended, for a caller who may know: whoever reads the history, whoever asked for it, the tenant whose
/// app it changed. For everybody else there is no such op, whether or not there is.
async fn named_state(control: &Control, caller: &Caller, op: OpId) -> Result<OpState, ApiError> {
    caller.may_see(&control.node.catalogue())?;
    let Some(tenant) = caller.actor.role.tenant() else {
        return Ok(control.node.op(op).await);
    };
    let (state, record) = control.node.op_with_record(op).await?;
    let theirs = |record: &Record| {
        let mut apps = record.events.iter().filter_map(Event::app);
        record.actor.id == caller.actor.id || apps.any(|app| app.tenant() == tenant.as_str())
    };
    match record {
        Some(record) if theirs(&record) => Ok(state),
        _ => Err(no_op(op.as_str())),
    }
}

pub(super) fn no_op(op: &str) -> ApiError {
    ApiError::Unknown {
        kind: "op",
        name: op.chars().take(40).collect(),
        help: "name the op id of a change's answer, or the `Idempotency-Key` that you asked under",
    }
}
