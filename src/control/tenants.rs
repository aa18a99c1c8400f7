//! Partner merchants.

use axum::{extract::State, http::StatusCode, response::Response};
use huidu_core::command::Command;

use super::{
    Control,
    auth::Caller,
    body::Json,
    error::ApiError,
    openapi::{NewRefusals, ReadRefusals},
    precondition::{Intent, NewParams, WhyParams},
    wire::{self, Changed, Tenant},
};

/// The tenants
///
/// A partner sees its own.
#[utoipa::path(get, path = "/api/v1/tenants", tag = "tenants", security(("token" = [])),
    responses((status = 200, body = [Tenant]), ReadRefusals))]
pub(super) async fn list(State(control): State<Control>, caller: Caller) -> Response {
    let catalogue = control.node.catalogue();
    let seen = catalogue
        .tenants
        .iter()
        .filter(|(tenant, _)| caller.sees_tenant(tenant.as_str()));
    let line = |(tenant, title): (&_, &String)| Tenant {
        tenant: Clone::clone(tenant),
        title: title.clone(),
    };
    wire::json(StatusCode::OK, &seen.map(line).collect::<Vec<_>>())
}

/// Admit a tenant
#[utoipa::path(post, path = "/api/v1/tenants", tag = "tenants", security(("token" = [])),
    params(NewParams, WhyParams), request_body = Tenant,
    responses((status = 201, body = Changed), NewRefusals))]
pub(super) async fn add(
    State(control): State<Control>,
    intent: Intent,
    Json(Tenant { tenant, title }): Json<Tenant>,
) -> Result<Response, ApiError> {
    let written = control
        .write(intent, None, Command::AddTenant { tenant, title })
        .await?;
    Ok(wire::json(StatusCode::CREATED, &Changed::from(&written)))
}
