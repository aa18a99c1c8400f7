//! Mini-programs.

use axum::{extract::State, http::StatusCode, response::Response};
use huidu_core::command::Command;

use super::{
    Control,
    auth::{AppParams, Caller, NamedApp},
    body::Json,
    error::ApiError,
    openapi::{NewRefusals, ReadRefusals},
    precondition::{Intent, MayMatchParams, NewParams, WhyParams},
    wire::{self, AppLine, AppPage, Changed, NewApp, NewInternal},
};

/// The apps that the caller may see
#[utoipa::path(get, path = "/api/v1/apps", tag = "apps", security(("token" = [])),
    responses((status = 200, body = [AppLine]), ReadRefusals))]
pub(super) async fn list(State(control): State<Control>, caller: Caller) -> Response {
    let catalogue = control.node.catalogue();
    let seen = catalogue
        .apps
        .values()
        .filter(|app| caller.sees_tenant(app.id.tenant()));
    wire::json(
        StatusCode::OK,
        &seen.map(|app| AppLine::from(&**app)).collect::<Vec<_>>(),
    )
}

/// Admit a mini-program, and its tenant when that is new
#[utoipa::path(post, path = "/api/v1/apps", tag = "apps", security(("token" = [])),
    params(NewParams, WhyParams), request_body = NewApp,
    responses((status = 201, body = Changed, headers(("ETag" = String), ("Location" = String))), NewRefusals))]
pub(super) async fn add(
    State(control): State<Control>,
    intent: Intent,
    Json(NewApp { app, title }): Json<NewApp>,
) -> Result<Response, ApiError> {
    let location = format!("/api/v1/apps/{app}");
    let written = control
        .write(intent, None, Command::AddApp { app, title })
        .await?;
    let response = wire::json_at(
        StatusCode::CREATED,
        written.revision,
        &Changed::from(&written),
    );
    Ok(wire::located(response, &location))
}

/// One app with its versions and its rollout
#[utoipa::path(get, path = "/api/v1/apps/{tenant}/{app}", tag = "apps", security(("token" = [])),
    params(AppParams),
    responses((status = 200, body = AppPage, headers(("ETag" = String, description = "The app's revision, for `If-Match`."))), ReadRefusals))]
pub(super) async fn show(
    State(control): State<Control>,
    named: NamedApp,
) -> Result<Response, ApiError> {
    let catalogue = control.node.catalogue();
    let app = named.caller.app(&catalogue, &named.app)?;
    Ok(wire::json_at(
        StatusCode::OK,
        app.revision,
        &AppPage::from(app),
    ))
}

/// Say whether an app is the bank's own: such are listed without the number of a filing
#[utoipa::path(put, path = "/api/v1/apps/{tenant}/{app}/internal", tag = "apps", security(("token" = [])),
    params(AppParams, MayMatchParams, WhyParams), request_body = NewInternal,
    responses((status = 200, body = Changed, headers(("ETag" = String))), NewRefusals))]
pub(super) async fn internal(
    State(control): State<Control>,
    named: NamedApp,
    intent: Intent,
    Json(NewInternal { internal, reason }): Json<NewInternal>,
) -> Result<Response, ApiError> {
    let expected = intent.may_match();
    let command = Command::SetInternal {
        app: named.app,
        internal,
        reason,
    };
    let written = control.write(intent, expected, command).await?;
    Ok(wire::json_at(
        StatusCode::OK,
        written.revision,
        &Changed::from(&written),
    ))
}
