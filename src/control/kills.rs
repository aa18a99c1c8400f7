//! What must stop now, and what may run again.
//!
//! A kill does not need `If-Match`: whoever must stop something does not first read it.

use axum::{extract::State, http::StatusCode, response::Response};
use huidu_core::{command::Command, op::OpId};

use super::{
    Control,
    auth::{AppParams, Caller, NamedApp},
    body::{At, Json},
    error::ApiError,
    history::no_op,
    openapi::{ChangeRefusals, KillRefusals, ReadRefusals},
    precondition::{ChangeParams, Intent, MayMatchParams, WhyParams, op_of},
    receipt::{KillReceipt, KillReport, Provisional},
    wire::{self, Changed, KillOrder, filings},
};

/// Stop a version, or the whole app, now
///
/// In force on this node and on every node that can be reached before the ledger has it; the receipt says where.
/// 202 with `"state": "provisional"`: it is in force and outlasts restarts, and the ledger does not have it yet;
/// this node goes on trying. `GET /api/v1/kills/{op}` tells how it stands.
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/kill", tag = "kills", security(("token" = [])),
    params(AppParams, MayMatchParams, WhyParams), request_body = KillOrder,
    responses((status = 200, body = KillReport, headers(("ETag" = String))), KillRefusals))]
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
    let op = intent.op;
    let killed = control.kill(intent, expected, command).await?;
    let filings = filings(&control.node.catalogue(), &named.app, version.as_ref());
    let receipt = killed.receipt.as_ref().map(KillReceipt::from);
    let Some(written) = &killed.written else {
        let provisional = Provisional::new(op, filings, receipt);
        let answer = wire::json(StatusCode::ACCEPTED, &provisional);
        return Ok(wire::located(answer, &format!("/api/v1/kills/{op}")));
    };
    let report = KillReport::new(written, filings, receipt);
    Ok(wire::json_at(StatusCode::OK, written.revision, &report))
}

/// Where a kill is in force, and when no older answer is valid any more
///
/// As this node knows it now: it remembers the latest thousand kills that it took or was told of.
#[utoipa::path(get, path = "/api/v1/kills/{op}", tag = "kills", security(("token" = [])),
    params(("op" = String, Path, description = "The op id that the kill's answer named, or the `Idempotency-Key` it was asked under by the same caller.")),
    responses((status = 200, body = KillReceipt), ReadRefusals))]
pub(super) async fn receipt(
    State(control): State<Control>,
    caller: Caller,
    At(op): At<String>,
) -> Result<Response, ApiError> {
    let named = op.parse::<OpId>().ok();
    let known = [Some(op_of(&caller.actor.id, &op)), named];
    let mut known = known.iter().flatten();
    let receipt = known.find_map(|op| control.node.receipt(op));
    // A foreign app's kill looks as one that never was.
    let receipt = receipt.filter(|receipt| caller.sees_tenant(receipt.app.tenant()));
    let receipt = receipt.ok_or_else(|| no_op(&op))?;
    Ok(wire::json(StatusCode::OK, &KillReceipt::from(&receipt)))
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
