//! What was changed, when, by whom and why; and what became of one change.

use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use huidu_core::{name::AppId, op::OpId, record::Record, revision::Revision};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    Control,
    auth::Caller,
    body::At,
    error::ApiError,
    openapi::ReadRefusals,
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
    params(("op" = String, Path, description = "The op id that the change's answer named.")),
    responses((status = 200, body = OpAnswer), ReadRefusals))]
pub(super) async fn op(
    State(control): State<Control>,
    _: Caller,
    At(op): At<String>,
) -> Result<Response, ApiError> {
    let state = match op.parse::<OpId>() {
        Ok(op) => control.node.op(op).await,
        Err(_) => {
            let name = op.chars().take(40).collect();
            let help = "an op id is a ULID, as the change's answer named it";
            return Err(ApiError::Unknown {
                kind: "op",
                name,
                help,
            });
        }
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
            op,
            state,
            revision,
        },
    ))
}
