//! Trials: versions under review, on named test devices and behind links that expire. Only in sandboxes.
//!
//! The secret of a link is in one answer and never again: the ledger keeps its hash, as it does of tokens.

use std::collections::BTreeSet;

use axum::{extract::State, http::StatusCode, response::Response};
use huidu_core::{
    command::Command,
    digest::Digest,
    name::HostId,
    preview::{FORM, PreviewLink},
    time::Timestamp,
    trust::{Preview, Trial},
    version::Number,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Control,
    auth::{AppParams, NamedApp},
    body::{At, Json},
    error::ApiError,
    openapi::{ChangeRefusals, NewRefusals, ReadRefusals},
    precondition::{ChangeParams, Intent, NewParams, WhyParams},
    token,
    versions::VersionParams,
    wire::{self, Changed},
};

/// Who may run a version under review.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrialOrder {
    /// The sandboxes that the devices are served in.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    hosts: BTreeSet<HostId>,
    /// The devices, as they name themselves in polls; none: no device any more.
    devices: BTreeSet<String>,
}

/// Who may run a version under review, as it stands. No secret is in it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrialPage {
    /// The version.
    #[schema(value_type = String)]
    version: Number,
    /// Named test devices.
    devices: Vec<TrialDevice>,
    /// Links that were given out.
    previews: Vec<PreviewLine>,
}

/// A test device.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrialDevice {
    /// As it names itself in polls.
    device: String,
    /// The sandboxes it is served in.
    #[schema(value_type = Vec<String>)]
    hosts: Vec<HostId>,
}

/// A link that was given out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreviewLine {
    /// What it is taken back by: SHA-256 of its secret.
    #[schema(value_type = String)]
    id: Digest,
    /// Where it opens.
    #[schema(value_type = String)]
    host: HostId,
    /// From then on it opens nothing.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

/// A link to give out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPreview {
    /// The sandbox it opens in.
    #[schema(value_type = String)]
    host: HostId,
    /// From then on it opens nothing; two weeks ahead at most.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

/// A link that was given out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GivenPreview {
    /// The change.
    #[serde(flatten)]
    changed: Changed,
    /// What it is taken back by.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    id: Option<Digest>,
    /// The link. Shown this once; a repeated request does not show it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

/// The link that a path names.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct PreviewParams {
    /// SHA-256 of its secret.
    id: String,
}

/// Who may run a version under review
#[utoipa::path(get, path = "/api/v1/apps/{tenant}/{app}/versions/{version}/trial", tag = "trials", security(("token" = [])),
    params(AppParams, VersionParams),
    responses((status = 200, body = TrialPage, headers(("ETag" = String, description = "The app's revision."))), ReadRefusals))]
pub(super) async fn show(
    State(control): State<Control>,
    named: NamedApp,
    At(version): At<VersionParams>,
) -> Result<Response, ApiError> {
    let version = version.number(&named.app)?;
    let catalogue = control.node.catalogue();
    let app = named.caller.app(&catalogue, &named.app)?;
    if !app.versions.contains_key(&version) {
        return Err(ApiError::Unknown {
            kind: "version",
            name: format!("{}@{version}", named.app),
            help: "`huidu version list` shows them",
        });
    }
    let nobody = Trial::default();
    let trial = app.trust.trials.get(&version).unwrap_or(&nobody);
    let device = |(device, hosts): (&String, &BTreeSet<HostId>)| TrialDevice {
        device: device.clone(),
        hosts: hosts.iter().cloned().collect(),
    };
    let preview = |(id, preview): (&Digest, &Preview)| PreviewLine {
        id: *id,
        host: preview.host.clone(),
        until: preview.until,
    };
    let page = TrialPage {
        version,
        devices: trial.devices.iter().map(device).collect(),
        previews: trial.previews.iter().map(preview).collect(),
    };
    Ok(wire::json_at(StatusCode::OK, app.revision, &page))
}

/// Name the devices that may run a version under review, in place of those named before
#[utoipa::path(put, path = "/api/v1/apps/{tenant}/{app}/versions/{version}/trial", tag = "trials", security(("token" = [])),
    params(AppParams, VersionParams, ChangeParams, WhyParams), request_body = TrialOrder,
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn put(
    State(control): State<Control>,
    named: NamedApp,
    At(version): At<VersionParams>,
    intent: Intent,
    Json(TrialOrder { hosts, devices }): Json<TrialOrder>,
) -> Result<Response, ApiError> {
    let expected = intent.must_match()?;
    let command = Command::PutTrial {
        version: version.number(&named.app)?,
        app: named.app,
        hosts,
        devices,
    };
    let written = control.write(intent, expected, command).await?;
    Ok(wire::json_at(
        StatusCode::OK,
        written.revision,
        &Changed::from(&written),
    ))
}

/// Give out a signed link to a version under review
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/versions/{version}/previews", tag = "trials", security(("token" = [])),
    params(AppParams, VersionParams, NewParams, WhyParams), request_body = NewPreview,
    responses((status = 201, body = GivenPreview, headers(("ETag" = String))), NewRefusals))]
pub(super) async fn invite(
    State(control): State<Control>,
    named: NamedApp,
    At(version): At<VersionParams>,
    intent: Intent,
    Json(NewPreview { host, until }): Json<NewPreview>,
) -> Result<Response, ApiError> {
    let version = version.number(&named.app)?;
    let secret = token::secret().map_err(|_| ApiError::NoRandomness)?;
    let id = Digest::of(secret.as_bytes());
    let app = named.app;
    let command = Command::AddPreview {
        app: app.clone(),
        version: version.clone(),
        id,
        preview: Preview {
            host: host.clone(),
            until,
        },
    };
    let written = control.write(intent, None, command).await?;
    // A repeat did not keep this secret but an earlier one.
    let link = (!written.repeated).then(|| {
        let catalogue = control.node.catalogue();
        let bundle = (catalogue.apps.get(&app)).and_then(|app| app.versions.get(&version));
        Some(PreviewLink {
            v: FORM,
            aud: catalogue.audience.clone(),
            sha256: bundle.map(|version| version.bundle.sha256)?,
            app,
            version,
            host,
            until,
            secret,
        })
    });
    let link = match link.flatten() {
        Some(link) => {
            let signed = control.node.sign_preview(link).await;
            Some(signed.map_err(|error| ApiError::Unavailable {
                code: "not-signed",
                detail: format!("{error}; the link is taken back with the trial, ask for another"),
            })?)
        }
        None => None,
    };
    let given = GivenPreview {
        changed: Changed::from(&written),
        id: (!written.repeated).then_some(id),
        link,
    };
    Ok(wire::json_at(StatusCode::CREATED, written.revision, &given))
}

/// Take a link back
#[utoipa::path(delete, path = "/api/v1/apps/{tenant}/{app}/versions/{version}/previews/{id}", tag = "trials", security(("token" = [])),
    params(AppParams, VersionParams, PreviewParams, NewParams, WhyParams),
    responses((status = 200, body = Changed, headers(("ETag" = String))), NewRefusals))]
pub(super) async fn take_back(
    State(control): State<Control>,
    named: NamedApp,
    At(version): At<VersionParams>,
    At(PreviewParams { id }): At<PreviewParams>,
    intent: Intent,
) -> Result<Response, ApiError> {
    let (expected, version) = (intent.may_match(), version.number(&named.app)?);
    let id = id.parse().map_err(|_| ApiError::Unknown {
        kind: "preview",
        name: id.chars().take(64).collect(),
        help: "the version's trial lists its links",
    })?;
    let command = Command::RemovePreview {
        app: named.app,
        version,
        id,
    };
    let written = control.write(intent, expected, command).await?;
    Ok(wire::json_at(
        StatusCode::OK,
        written.revision,
        &Changed::from(&written),
    ))
}
