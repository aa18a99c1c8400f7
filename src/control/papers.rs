//! What people sign offline, as it comes in and goes out: keyrings, release records, app policies.
//!
//! Envelopes are handed on byte for byte; whether they are believed the core decides, for every node alike.

use axum::{
    body::Body,
    extract::{FromRequest, Query, Request, State, rejection::QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use huidu_core::{
    command::Command, keyring::Role, limits, paper, paper::Paper as _, policy::Policy,
    release::Release, version::Version,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Control,
    auth::{AppParams, Caller, NamedApp},
    body::{self, At},
    error::ApiError,
    openapi::{ChangeRefusals, NewRefusals, ReadRefusals},
    precondition::{ChangeParams, Intent, MayMatchParams, NewParams, WhyParams},
    versions::{VersionParams, words},
    wire::{self, Changed},
};

/// A signed paper as it was sent: the text of its envelope.
pub(super) struct Signed(String);

impl FromRequest<Control> for Signed {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Control) -> Result<Self, ApiError> {
        body::must_be(&request, "application/json")?;
        let bytes = body::whole(request, limits::ENVELOPE_BYTES as u64).await?;
        let text = String::from_utf8(bytes);
        text.map(Self)
            .map_err(|_| ApiError::field("body", "an envelope is JSON, and JSON is UTF-8"))
    }
}

/// An envelope of DSSE.
#[derive(ToSchema)]
#[schema(as = Envelope)]
#[expect(
    dead_code,
    reason = "read by the document generator alone; the core has the shape"
)]
pub(crate) struct EnvelopeSchema {
    /// `application/vnd.huidu.keyring.v1+json`, `…release…` or `…policy…`.
    #[schema(rename = "payloadType")]
    payload_type: String,
    /// The paper's bytes in base64.
    payload: String,
    /// `{"keyid": key id, "sig": base64}`.
    #[schema(value_type = Vec<Object>)]
    signatures: Vec<()>,
}

/// The keyring in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyringPage {
    /// Its number.
    version: u64,
    /// `prod`: customers are served; `dev`: developers alone.
    trust: &'static str,
    /// From then on it must have been followed by another, Unix seconds.
    expires: u64,
    /// The epoch of the servers' keys.
    epoch: u64,
    /// Who signs what.
    roles: Vec<RoleLine>,
    /// True when the key of the node that answers is one of the servers' keys.
    knows_this_node: bool,
    /// Listed versions whose record is not signed by enough of those who sign records now: devices do not
    /// believe them until they are signed again.
    unbelieved: Vec<String>,
}

/// Who signs what.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RoleLine {
    /// The role.
    role: &'static str,
    /// Of every group so many must sign.
    threshold: u32,
    /// Of these keys.
    keys: Vec<String>,
}

/// The keyring in force
#[utoipa::path(get, path = "/api/v1/keyring", tag = "keys", security(("token" = [])),
    responses((status = 200, body = KeyringPage), ReadRefusals))]
pub(super) async fn keyring(
    State(control): State<Control>,
    _: Caller,
) -> Result<Response, ApiError> {
    let catalogue = control.node.catalogue();
    let keyring = catalogue.trust.chain.newest.as_deref();
    let keyring = keyring.ok_or(ApiError::Unknown {
        kind: "keyring",
        name: "1".into(),
        help: "`huidu keys init` makes one, `huidu keys put` puts it in force",
    })?;
    let roles = Role::ALL.into_iter().flat_map(|role| {
        let groups = keyring.quorum(role).groups.iter();
        groups.map(move |group| RoleLine {
            role: role.word(),
            threshold: group.threshold,
            keys: group.kids.iter().map(ToString::to_string).collect(),
        })
    });
    let listed = catalogue.apps.values().flat_map(|app| {
        let versions = app.versions.values();
        versions
            .filter(|version| version.life.is_listed())
            .map(move |version| (app, version))
    });
    let unbelieved = listed.filter(|(_, version)| {
        let record = version.dossier.open().release;
        record.is_none_or(|record| {
            paper::open::<Release>(keyring, record.envelope.as_bytes()).is_err()
        })
    });
    let page = KeyringPage {
        version: keyring.version,
        trust: keyring.trust.word(),
        expires: keyring.expires,
        epoch: keyring.online.epoch,
        roles: roles.collect(),
        knows_this_node: keyring
            .signers(Role::Online)
            .contains(&control.node.online_key()),
        unbelieved: unbelieved
            .map(|(app, version)| format!("{}@{}", app.id, version.number))
            .collect(),
    };
    Ok(wire::json(StatusCode::OK, &page))
}

/// Put the next keyring in force
///
/// Signed by the root of the one before and by its own. The first one is believed on the caller's word.
#[utoipa::path(post, path = "/api/v1/keyring", tag = "keys", security(("token" = [])),
    params(NewParams, WhyParams), request_body = EnvelopeSchema,
    responses((status = 200, body = Changed), NewRefusals))]
pub(super) async fn put_keyring(
    State(control): State<Control>,
    intent: Intent,
    Signed(envelope): Signed,
) -> Result<Response, ApiError> {
    let written = (control.write(intent, None, Command::PutKeyring { envelope })).await?;
    Ok(wire::json(StatusCode::OK, &Changed::from(&written)))
}

/// The policy of an app
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyPage {
    /// What it says.
    #[schema(value_type = Object)]
    policy: Policy,
    /// The number of the app's newest release: what `floor_seq` counts in.
    seq: u64,
    /// As it was signed.
    envelope: String,
}

/// The app's policy as it was signed
#[utoipa::path(get, path = "/api/v1/apps/{tenant}/{app}/policy", tag = "keys", security(("token" = [])),
    params(AppParams),
    responses((status = 200, body = PolicyPage, headers(("ETag" = String, description = "The app's revision."))), ReadRefusals))]
pub(super) async fn policy(
    State(control): State<Control>,
    named: NamedApp,
) -> Result<Response, ApiError> {
    let catalogue = control.node.catalogue();
    let app = named.caller.app(&catalogue, &named.app)?;
    let signed = app.trust.signed.clone().ok_or_else(|| ApiError::Unknown {
        kind: "app policy",
        name: named.app.to_string(),
        help: "`huidu policy draft` writes one to sign",
    })?;
    let page = PolicyPage {
        policy: signed.policy,
        seq: app.trust.seq,
        envelope: signed.envelope,
    };
    Ok(wire::json_at(StatusCode::OK, app.revision, &page))
}

/// Put an app's policy in force
///
/// What it lets run no more is stopped at once, and nobody brings it back.
#[utoipa::path(put, path = "/api/v1/apps/{tenant}/{app}/policy", tag = "keys", security(("token" = [])),
    params(AppParams, MayMatchParams, WhyParams), request_body = EnvelopeSchema,
    responses((status = 200, body = Changed, headers(("ETag" = String))), NewRefusals))]
pub(super) async fn put_policy(
    State(control): State<Control>,
    named: NamedApp,
    intent: Intent,
    Signed(envelope): Signed,
) -> Result<Response, ApiError> {
    let (expected, app) = (intent.may_match(), named.app);
    let command = Command::PutPolicy { app, envelope };
    let written = control.write(intent, expected, command).await?;
    Ok(wire::json_at(
        StatusCode::OK,
        written.revision,
        &Changed::from(&written),
    ))
}

/// What a record leaves out of all that a version asks for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct WithoutParams {
    /// Permissions that are not to be granted, separated by commas; left out: as those who approved so far decided.
    #[serde(default)]
    without: Option<String>,
}

/// The release record of a version, to be signed: these very bytes
#[utoipa::path(get, path = "/api/v1/apps/{tenant}/{app}/versions/{version}/record", tag = "keys", security(("token" = [])),
    params(AppParams, VersionParams, WithoutParams),
    responses((status = 200, body = Object), ReadRefusals))]
pub(super) async fn record(
    State(control): State<Control>,
    named: NamedApp,
    At(version): At<VersionParams>,
    query: Result<Query<WithoutParams>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) = query.map_err(|error| ApiError::field("query", error.body_text()))?;
    let number = version.number(&named.app)?;
    let catalogue = control.node.catalogue();
    let app = named.caller.app(&catalogue, &named.app)?;
    let version = app.versions.get(&number).ok_or_else(|| ApiError::Unknown {
        kind: "version",
        name: format!("{}@{number}", named.app),
        help: "`huidu version list` shows them",
    })?;
    let mut version = Version::clone(version);
    if let Some(without) = &asked.without {
        let withheld = words("without", without)?.into_iter().collect();
        version
            .dossier
            .change(|dossier| dossier.withheld = withheld);
    }
    let record = Release::draft(&catalogue.audience, &app.id, &version);
    let mut reply = Response::new(Body::from(record.to_payload()));
    let json = HeaderValue::from_static("application/json");
    reply.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(reply)
}

/// Put the same record, signed by others, in place of the one there is
///
/// For when other people sign records from now on: what was approved stays approved.
#[utoipa::path(put, path = "/api/v1/apps/{tenant}/{app}/versions/{version}/record", tag = "keys", security(("token" = [])),
    params(AppParams, VersionParams, ChangeParams, WhyParams), request_body = EnvelopeSchema,
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn put_record(
    State(control): State<Control>,
    named: NamedApp,
    At(version): At<VersionParams>,
    intent: Intent,
    Signed(signed): Signed,
) -> Result<Response, ApiError> {
    let expected = intent.must_match()?;
    let command = Command::SignRelease {
        version: version.number(&named.app)?,
        app: named.app,
        signed,
    };
    let written = control.write(intent, expected, command).await?;
    Ok(wire::json_at(
        StatusCode::OK,
        written.revision,
        &Changed::from(&written),
    ))
}
