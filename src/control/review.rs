//! Review: what is in a version, how it differs from the one before, and what people decide about it.
//!
//! A reviewer approves the bundle whose digest the difference showed, and no other. Nothing is judged
//! here; the core does that, for every node alike.

use std::collections::BTreeSet;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use huidu_core::{
    command::Command,
    digest::Digest,
    files::FileList,
    name::{AppId, Permission},
    review,
    version::{Number, Version},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Control,
    auth::{AppParams, Caller, NamedApp},
    body::{At, Json},
    error::ApiError,
    openapi::{ChangeRefusals, NewRefusals, ReadRefusals},
    precondition::{ChangeParams, Intent, MayMatchParams, NewParams, WhyParams},
    versions::VersionParams,
    wire::{self, Changed, Why},
};
use crate::{
    http,
    node::bundles::{BundleError, OpenBundle, Way},
};

/// What a reviewer approves.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approval {
    /// SHA-256 of the bundle that was reviewed, as the difference shows it.
    #[schema(value_type = String)]
    bundle: Digest,
    /// The release record, signed offline: the text of its envelope. Needed where customers are served by
    /// keys; the last approval is the one that reaches the threshold.
    #[serde(default)]
    #[schema(required = false)]
    signed: Option<String>,
    /// What the version asks for and is not granted. The first who approves decides it; left out: nothing, what
    /// those before withheld, or what the signed record leaves out.
    #[serde(default)]
    #[schema(required = false, value_type = Option<Vec<String>>)]
    withheld: Option<BTreeSet<Permission>>,
}

/// How versions come to be approved.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReviewPolicy {
    /// How many people, none of them the submitter, approve a version; 1 to 10.
    approvals: u8,
    /// True: a version without the number of its filing cannot be listed.
    #[serde(default)]
    #[schema(required = false)]
    filing_required: bool,
}

/// The files of a version.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "read by the document generator alone; the core has the shape"
)]
pub(crate) struct Files {
    /// The form of this document: 1.
    v: u32,
    /// Its files, sorted by path: `{"p": path, "sha256": digest, "len": bytes}`.
    #[schema(value_type = Vec<Object>)]
    files: Vec<()>,
}

/// A version beside the one before it.
#[derive(ToSchema)]
#[schema(as = Difference)]
#[expect(
    dead_code,
    reason = "read by the document generator alone; the core has the shape"
)]
pub(crate) struct DifferenceSchema {
    /// `tenant/app`.
    app: String,
    /// The version.
    version: String,
    /// SHA-256 of its bundle: what an approval names.
    bundle: String,
    /// Where it stands.
    #[schema(value_type = Object)]
    life: (),
    /// The highest version below it that passed its review.
    previous: Option<String>,
    /// Who handed it in: `member/<id>` or `token/<id>`.
    submitted_by: Option<String>,
    /// The number of its filing.
    filing: Option<String>,
    /// What changed, in the words of whoever handed it in.
    notes: Option<String>,
    /// Where and when it may run: `{"platforms"?, "host_version"?, "not_before"?, "not_after"?}`.
    #[schema(value_type = Option<Object>)]
    reach: Option<()>,
    /// Who approved it so far: `{"by": …, "at": …}`.
    #[schema(value_type = Vec<Object>)]
    approvals: Vec<()>,
    /// How many approvals it takes.
    approvals_needed: u8,
    /// The grade of its tenant.
    grade: String,
    /// Every permission that one of both versions asks for: `{"permission", "change", "grade"?, "surface"?,
    /// "title"?, "standing", "revoked", "withheld"?}`.
    #[schema(value_type = Vec<Object>)]
    permissions: Vec<()>,
    /// True when nothing it asks for stands in the way.
    may_be_approved: bool,
    /// What differs in its files: `{"added", "removed", "changed", "same"}`.
    #[schema(value_type = Option<Object>)]
    files: Option<()>,
}

/// The files of a version, with the digest of each
#[utoipa::path(get, path = "/api/v1/apps/{tenant}/{app}/versions/{version}/files", tag = "review", security(("token" = [])),
    params(AppParams, VersionParams),
    responses((status = 200, body = Files), ReadRefusals))]
pub(super) async fn files(
    State(control): State<Control>,
    named: NamedApp,
    At(version): At<VersionParams>,
) -> Result<Response, ApiError> {
    let number = version.number(&named.app)?;
    let version = seen(&control, &named.caller, &named.app, &number)?;
    match files_of(&control, &version).await? {
        Some(files) => Ok(wire::json(StatusCode::OK, &files)),
        None => Err(ApiError::Unknown {
            kind: "list of files",
            name: format!("{}@{number}", named.app),
            help: "it was submitted before lists were kept; submit the next number",
        }),
    }
}

/// The bundle of a version, byte for byte: what reviewers look into, before any device may have it
#[utoipa::path(get, path = "/api/v1/apps/{tenant}/{app}/versions/{version}/bundle", tag = "review", security(("token" = [])),
    params(AppParams, VersionParams),
    responses((status = 200, content_type = "application/octet-stream", description = "The archive's bytes."), ReadRefusals))]
pub(super) async fn bundle(
    State(control): State<Control>,
    named: NamedApp,
    At(version): At<VersionParams>,
) -> Result<Response, ApiError> {
    let number = version.number(&named.app)?;
    let version = seen(&control, &named.caller, &named.app, &number)?;
    let bundles = control.node.bundles();
    let opened = bundles.open(version.bundle.sha256, Way::Bytes).await;
    let opened = opened.map_err(|error: BundleError| ApiError::Unavailable {
        code: "store-unavailable",
        detail: error.to_string(),
    })?;
    let bytes = opened.bytes();
    let body = match opened {
        OpenBundle::Hot(bytes) => Body::from(bytes),
        OpenBundle::File(file) => Body::new(http::body::Body::pieces(file.pieces(0..bytes), bytes)),
        OpenBundle::Cold(cold) => Body::new(http::body::Body::pieces(cold.pieces(0..bytes), bytes)),
    };
    let mut reply = Response::new(body);
    let headers = reply.headers_mut();
    let octets = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, octets);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    Ok(reply)
}

/// How a version differs from the one before: permissions against grade and grants, files by digest
#[utoipa::path(get, path = "/api/v1/apps/{tenant}/{app}/versions/{version}/review", tag = "review", security(("token" = [])),
    params(AppParams, VersionParams),
    responses((status = 200, body = DifferenceSchema, headers(("ETag" = String, description = "The app's revision."))), ReadRefusals))]
pub(super) async fn show(
    State(control): State<Control>,
    named: NamedApp,
    At(version): At<VersionParams>,
) -> Result<Response, ApiError> {
    let number = version.number(&named.app)?;
    let version = seen(&control, &named.caller, &named.app, &number)?;
    let before = {
        let catalogue = control.node.catalogue();
        let app = named.caller.app(&catalogue, &named.app)?;
        review::previous(app, &number).cloned()
    };
    let now = files_of(&control, &version).await?;
    let old = match &before {
        Some(before) => files_of(&control, before).await?,
        None => Some(FileList::new(Vec::new())),
    };
    let catalogue = control.node.catalogue();
    let app = named.caller.app(&catalogue, &named.app)?;
    // Versions never go away and never change their files: what was read above still belongs to it.
    let version = app.versions.get(&number).map_or(&version, |known| known);
    let difference = review::difference(&catalogue, app, version, now.as_ref().zip(old.as_ref()));
    Ok(wire::json_at(StatusCode::OK, app.revision, &difference))
}

fn seen(
    control: &Control,
    caller: &Caller,
    app: &AppId,
    number: &Number,
) -> Result<Version, ApiError> {
    let catalogue = control.node.catalogue();
    let kept = caller.app(&catalogue, app)?.versions.get(number);
    kept.map(|kept| Version::clone(kept))
        .ok_or_else(|| ApiError::Unknown {
            kind: "version",
            name: format!("{app}@{number}"),
            help: "`huidu version list` shows them",
        })
}

/// The list of a version's files, where one was kept.
async fn files_of(control: &Control, version: &Version) -> Result<Option<FileList>, ApiError> {
    let Some(digest) = version.dossier.open().files else {
        return Ok(None);
    };
    let unavailable = |detail: String| ApiError::Unavailable {
        code: "store-unavailable",
        detail,
    };
    let read = control.node.bundles().read(digest).await;
    let bytes = read.map_err(|error: BundleError| unavailable(error.to_string()))?;
    let list = FileList::decode(&bytes).map_err(|error| unavailable(error.to_string()))?;
    Ok(Some(list))
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

/// Begin to review a version: others see that somebody does
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/versions/{version}/review", tag = "review", security(("token" = [])),
    params(AppParams, VersionParams, MayMatchParams, WhyParams),
    responses((status = 200, body = Changed, headers(("ETag" = String))), NewRefusals))]
pub(super) async fn begin(
    State(control): State<Control>,
    named: NamedApp,
    At(version): At<VersionParams>,
    intent: Intent,
) -> Result<Response, ApiError> {
    let (expected, version) = (intent.may_match(), version.number(&named.app)?);
    let app = named.app;
    changed(
        &control,
        intent,
        expected,
        Command::BeginReview { app, version },
    )
    .await
}

/// Approve a version
///
/// By a token that belongs to a member who is not the submitter. The version is approved once as many
/// people as the review policy asks for have done so.
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/versions/{version}/approve", tag = "review", security(("token" = [])),
    params(AppParams, VersionParams, ChangeParams, WhyParams), request_body = Approval,
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn approve(
    State(control): State<Control>,
    named: NamedApp,
    At(version): At<VersionParams>,
    intent: Intent,
    Json(Approval {
        bundle,
        signed,
        withheld,
    }): Json<Approval>,
) -> Result<Response, ApiError> {
    let expected = intent.must_match()?;
    let command = Command::Approve {
        version: version.number(&named.app)?,
        app: named.app,
        bundle,
        signed,
        withheld,
    };
    changed(&control, intent, expected, command).await
}

/// Refuse a version, and say why
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/versions/{version}/reject", tag = "review", security(("token" = [])),
    params(AppParams, VersionParams, ChangeParams, WhyParams), request_body = Why,
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn reject(
    State(control): State<Control>,
    named: NamedApp,
    At(version): At<VersionParams>,
    intent: Intent,
    Json(Why { reason }): Json<Why>,
) -> Result<Response, ApiError> {
    let expected = intent.must_match()?;
    let command = Command::Reject {
        version: version.number(&named.app)?,
        app: named.app,
        reason,
    };
    changed(&control, intent, expected, command).await
}

/// How versions come to be approved
#[utoipa::path(get, path = "/api/v1/review-policy", tag = "review", security(("token" = [])),
    responses((status = 200, body = ReviewPolicy), ReadRefusals))]
pub(super) async fn policy(State(control): State<Control>, _: Caller) -> Response {
    wire::json(StatusCode::OK, &control.node.catalogue().trust.policy)
}

/// Decide how versions come to be approved
#[utoipa::path(put, path = "/api/v1/review-policy", tag = "review", security(("token" = [])),
    params(NewParams, WhyParams), request_body = ReviewPolicy,
    responses((status = 200, body = Changed), NewRefusals))]
pub(super) async fn put_policy(
    State(control): State<Control>,
    intent: Intent,
    Json(ReviewPolicy {
        approvals,
        filing_required,
    }): Json<ReviewPolicy>,
) -> Result<Response, ApiError> {
    let policy = huidu_core::trust::ReviewPolicy {
        approvals,
        filing_required,
    };
    let command = Command::SetReviewPolicy { policy };
    let written = control.write(intent, None, command).await?;
    Ok(wire::json(StatusCode::OK, &Changed::from(&written)))
}
