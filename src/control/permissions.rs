//! Permissions: the bank's catalogue of graded APIs and pages, what each tenant and app may have, and what
//! an app has no more.
//!
//! Revoking needs no `If-Match`, as a kill needs none: whoever must stop something does not first read it.

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use huidu_core::{
    command::Command,
    grade::{Grade, PermissionCatalogue},
    limits,
    name::{AppId, Permission},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Control,
    auth::{AppParams, Caller, NamedApp, NamedTenant, TenantParams},
    body::{self, At, Json},
    error::ApiError,
    openapi::{ChangeRefusals, NewRefusals, ReadRefusals},
    precondition::{ChangeParams, Intent, MayMatchParams, NewParams, WhyParams},
    wire::{self, Changed, Why},
};

/// The permission that a path names.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct PermissionParams {
    /// The API or page.
    permission: String,
}

impl PermissionParams {
    fn name(self) -> Result<Permission, ApiError> {
        let parsed = self.permission.parse::<Permission>();
        parsed.map_err(|error| ApiError::field("permission", error.to_string()))
    }
}

/// Every API and page that a mini-program can be allowed.
#[derive(ToSchema)]
#[schema(as = PermissionCatalogue)]
#[expect(
    dead_code,
    reason = "read by the document generator alone; the core has the shape"
)]
pub(crate) struct CatalogueSchema {
    /// By name: `{"grade": "basic|personal|sensitive|critical", "surface": "api|page", "title": …}`.
    #[schema(value_type = Object)]
    permissions: (),
}

/// A tenant's grade.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGrade {
    /// `basic`, `personal`, `sensitive` or `critical`.
    #[schema(value_type = String, example = "personal")]
    grade: Grade,
}

/// What an app may have.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppPermissions {
    /// `tenant/app`.
    #[schema(value_type = String)]
    app: AppId,
    /// The grade of its tenant: it may ask for everything up to it.
    #[schema(value_type = String)]
    grade: Grade,
    /// What is granted to it above that grade.
    #[schema(value_type = Vec<String>)]
    grants: Vec<Permission>,
    /// What it has no more.
    revoked: Vec<RevokedLine>,
}

/// A permission that an app has no more.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevokedLine {
    /// The permission.
    #[schema(value_type = String)]
    permission: Permission,
    /// Why.
    reason: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    at: huidu_core::time::Timestamp,
}

/// The catalogue of permissions
///
/// Everybody may read it: partners ask for what it names.
#[utoipa::path(get, path = "/api/v1/permissions", tag = "permissions", security(("token" = [])),
    responses((status = 200, body = CatalogueSchema), ReadRefusals))]
pub(super) async fn catalogue(State(control): State<Control>, _: Caller) -> Response {
    wire::json(StatusCode::OK, &control.node.catalogue().trust.permissions)
}

/// Put the catalogue of permissions in place, whole
#[utoipa::path(put, path = "/api/v1/permissions", tag = "permissions", security(("token" = [])),
    params(NewParams, WhyParams),
    request_body(content((CatalogueSchema = "application/json"), (String = "application/toml"))),
    responses((status = 200, body = Changed), NewRefusals))]
pub(super) async fn put_catalogue(
    State(control): State<Control>,
    intent: Intent,
    request: Request,
) -> Result<Response, ApiError> {
    let is_toml = match body::media_type(&request).as_deref() {
        None | Some("application/json") => false,
        Some("application/toml") => true,
        Some(_) => {
            return Err(ApiError::MediaType {
                wanted: "application/json or application/toml",
            });
        }
    };
    let bytes = body::whole(request, limits::RULE_FILE_BYTES as u64).await?;
    let catalogue = if is_toml {
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| ApiError::field("body", "the catalogue is not UTF-8; save it as UTF-8"))?;
        PermissionCatalogue::from_toml(text)
            .map_err(|error| ApiError::field("body", error.to_string()))?
    } else {
        body::parse(&bytes)?
    };
    let command = Command::PutPermissions {
        catalogue: Box::new(catalogue),
    };
    let written = control.write(intent, None, command).await?;
    Ok(wire::json(StatusCode::OK, &Changed::from(&written)))
}

/// Give a tenant a grade
#[utoipa::path(put, path = "/api/v1/tenants/{tenant}/grade", tag = "permissions", security(("token" = [])),
    params(TenantParams, NewParams, WhyParams), request_body = NewGrade,
    responses((status = 200, body = Changed), NewRefusals))]
pub(super) async fn grade(
    State(control): State<Control>,
    NamedTenant(tenant): NamedTenant,
    intent: Intent,
    Json(NewGrade { grade }): Json<NewGrade>,
) -> Result<Response, ApiError> {
    let command = Command::SetGrade { tenant, grade };
    let written = control.write(intent, None, command).await?;
    Ok(wire::json(StatusCode::OK, &Changed::from(&written)))
}

/// What an app may have, and what it has no more
#[utoipa::path(get, path = "/api/v1/apps/{tenant}/{app}/permissions", tag = "permissions", security(("token" = [])),
    params(AppParams),
    responses((status = 200, body = AppPermissions, headers(("ETag" = String, description = "The app's revision."))), ReadRefusals))]
pub(super) async fn show(
    State(control): State<Control>,
    named: NamedApp,
) -> Result<Response, ApiError> {
    let catalogue = control.node.catalogue();
    let app = named.caller.app(&catalogue, &named.app)?;
    let revoked = app
        .trust
        .revoked
        .iter()
        .map(|(permission, kill)| RevokedLine {
            permission: permission.clone(),
            reason: kill.reason.clone(),
            at: kill.at,
        });
    let page = AppPermissions {
        app: app.id.clone(),
        grade: catalogue.trust.grade_of(app.id.tenant()),
        grants: app.trust.grants.iter().cloned().collect(),
        revoked: revoked.collect(),
    };
    Ok(wire::json_at(StatusCode::OK, app.revision, &page))
}

async fn changed(
    control: &Control,
    intent: Intent,
    expected: Option<huidu_core::revision::Revision>,
    command: Command,
) -> Result<Response, ApiError> {
    let written = control.write(intent, expected, command).await?;
    Ok(wire::json_at(
        StatusCode::OK,
        written.revision,
        &Changed::from(&written),
    ))
}

/// Let an app be allowed a permission above its tenant's grade
#[utoipa::path(put, path = "/api/v1/apps/{tenant}/{app}/permissions/{permission}/grant", tag = "permissions", security(("token" = [])),
    params(AppParams, PermissionParams, ChangeParams, WhyParams),
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn grant(
    State(control): State<Control>,
    named: NamedApp,
    At(permission): At<PermissionParams>,
    intent: Intent,
) -> Result<Response, ApiError> {
    let (expected, app) = (intent.must_match()?, named.app);
    let permission = permission.name()?;
    changed(
        &control,
        intent,
        expected,
        Command::Grant { app, permission },
    )
    .await
}

/// Withdraw a grant: versions that were approved on it keep it until it is revoked
#[utoipa::path(delete, path = "/api/v1/apps/{tenant}/{app}/permissions/{permission}/grant", tag = "permissions", security(("token" = [])),
    params(AppParams, PermissionParams, ChangeParams, WhyParams),
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn withdraw(
    State(control): State<Control>,
    named: NamedApp,
    At(permission): At<PermissionParams>,
    intent: Intent,
) -> Result<Response, ApiError> {
    let (expected, app) = (intent.must_match()?, named.app);
    let permission = permission.name()?;
    changed(
        &control,
        intent,
        expected,
        Command::WithdrawGrant { app, permission },
    )
    .await
}

/// Take a permission from every version of an app, now
///
/// It reaches devices by the same way and as far as a kill does.
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/permissions/{permission}/revoke", tag = "permissions", security(("token" = [])),
    params(AppParams, PermissionParams, MayMatchParams, WhyParams), request_body = Why,
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn revoke(
    State(control): State<Control>,
    named: NamedApp,
    At(permission): At<PermissionParams>,
    intent: Intent,
    Json(Why { reason }): Json<Why>,
) -> Result<Response, ApiError> {
    let expected = intent.may_match();
    let command = Command::RevokePermission {
        app: named.app,
        permission: permission.name()?,
        reason,
    };
    changed(&control, intent, expected, command).await
}

/// Give a revoked permission back
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/permissions/{permission}/restore", tag = "permissions", security(("token" = [])),
    params(AppParams, PermissionParams, ChangeParams, WhyParams), request_body = Why,
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn restore(
    State(control): State<Control>,
    named: NamedApp,
    At(permission): At<PermissionParams>,
    intent: Intent,
    Json(Why { reason }): Json<Why>,
) -> Result<Response, ApiError> {
    let expected = intent.must_match()?;
    let command = Command::RestorePermission {
        app: named.app,
        permission: permission.name()?,
        reason,
    };
    changed(&control, intent, expected, command).await
}
