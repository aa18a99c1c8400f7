//! Mini-programs.

use std::ops::Bound;

use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use huidu_core::{command::Command, name::AppId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    Control,
    auth::{AppParams, Caller, NamedApp},
    body::Json,
    error::ApiError,
    openapi::{NewRefusals, ReadRefusals},
    overview::Standing,
    precondition::{Intent, MayMatchParams, NewParams, WhyParams},
    wire::{self, AppLine, AppPage, Changed, NewApp, NewInternal},
};

/// Apps in one answer, where a part of them is asked for.
const MOST: usize = 1_000;

/// Which apps.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AppsParams {
    /// Those whose name or title holds this, in any case.
    search: Option<String>,
    /// Those that stand so.
    standing: Option<Standing>,
    /// Those behind this name, `tenant/app`; to go on from the last of an answer.
    after: Option<String>,
    /// At most so many, 1 to 1000; left out: all of them.
    limit: Option<usize>,
}

/// The apps that the caller may see, by name
#[utoipa::path(get, path = "/api/v1/apps", tag = "apps", security(("token" = [])), params(AppsParams),
    responses((status = 200, body = [AppLine]), ReadRefusals))]
pub(super) async fn list(
    State(control): State<Control>,
    caller: Caller,
    query: Result<Query<AppsParams>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) = query.map_err(|error| ApiError::field("query", error.body_text()))?;
    let limit = asked.limit.unwrap_or(usize::MAX);
    if asked
        .limit
        .is_some_and(|limit| !(1..=MOST).contains(&limit))
    {
        let detail = format!("`limit` is 1 to {MOST}; go on with `after`");
        return Err(ApiError::field("limit", detail));
    }
    let after = asked.after.map(|after| after.parse::<AppId>());
    let after = after
        .transpose()
        .map_err(|_| ApiError::field("after", "`after` is the name of an app, `tenant/app`"))?;
    let search = asked.search.map(|text| text.to_lowercase());
    let holds =
        |text: &str| (search.as_ref()).is_none_or(|part| text.to_lowercase().contains(part));
    let now = control.node.now();
    let catalogue = control.node.catalogue();
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let behind = catalogue.apps.range((from, Bound::Unbounded));
    let lines: Vec<_> = behind
        .map(|(_, app)| &**app)
        .filter(|app| caller.sees_tenant(app.id.tenant()))
        .filter(|app| holds(app.id.as_str()) || holds(&app.title))
        .filter(|app| (asked.standing).is_none_or(|word| Standing::of(app, now) == word))
        .take(limit)
        .map(|app| AppLine::new(app, now))
        .collect();
    Ok(wire::json(StatusCode::OK, &lines))
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
