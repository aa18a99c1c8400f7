//! Bank apps that run mini-programs.

use axum::{extract::State, http::StatusCode, response::Response};
use huidu_core::command::Command;

use super::{
    Control,
    auth::Caller,
    body::Json,
    error::ApiError,
    openapi::{NewRefusals, ReadRefusals},
    precondition::{Intent, NewParams, WhyParams},
    wire::{self, Changed, Host},
};

/// The bank apps
#[utoipa::path(get, path = "/api/v1/hosts", tag = "hosts", security(("token" = [])),
    responses((status = 200, body = [Host]), ReadRefusals))]
pub(super) async fn list(State(control): State<Control>, _: Caller) -> Response {
    let catalogue = control.node.catalogue();
    let line = |(host, title): (&huidu_core::name::HostId, &String)| Host {
        host: host.clone(),
        title: title.clone(),
        sandbox: catalogue.trust.sandboxes.contains(host),
    };
    wire::json(
        StatusCode::OK,
        &catalogue.hosts.iter().map(line).collect::<Vec<_>>(),
    )
}

/// Admit a bank app
#[utoipa::path(post, path = "/api/v1/hosts", tag = "hosts", security(("token" = [])),
    params(NewParams, WhyParams), request_body = Host,
    responses((status = 201, body = Changed), NewRefusals))]
pub(super) async fn add(
    State(control): State<Control>,
    intent: Intent,
    Json(Host {
        host,
        title,
        sandbox,
    }): Json<Host>,
) -> Result<Response, ApiError> {
    let command = Command::AddHost {
        host,
        title,
        sandbox,
    };
    let written = control.write(intent, None, command).await?;
    Ok(wire::json(StatusCode::CREATED, &Changed::from(&written)))
}
