//! Versions of a mini-program: handed in as a streamed archive, listed, delisted.
//!
//! A bundle is hashed and counted while it comes in, judged by `archive`, stored under its digest, and
//! only then named in the ledger. A bundle that nobody names afterwards harms nobody: it is stored by
//! what it is, and no device is ever told of it.

use std::{fmt::Display, fs::File, io::Write as _, str::FromStr};

use axum::{
    extract::{Query, Request, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use huidu_core::{
    command::Command,
    digest::Digest,
    dossier::{Dossier, Origin, Reach},
    files::{FileLine, FileList},
    name::AppId,
    time::Timestamp,
    version::{Bundle, BundleFormat, Number, Review, Version},
    version_range::DottedRange,
};
use serde::Deserialize;
use tokio::task::spawn_blocking;
use utoipa::IntoParams;

use super::{
    Control,
    auth::{AppParams, NamedApp},
    body::{At, Json, Pieces},
    error::ApiError,
    openapi::{ChangeRefusals, NewRefusals, ReadRefusals},
    precondition::{ChangeParams, Intent, MayMatchParams, WhyParams},
    spool::{Spool, Spooled},
    wire::{self, Changed, Stopped, Submitted, VersionLine, Why},
};
use crate::archive::{self, ArchiveError, ArchiveFormat, ArchiveLimits, Canonical, CanonicalError};

/// What a new version is.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct SubmitParams {
    /// Its number, semantic versioning without build metadata.
    #[param(value_type = String)]
    version: Number,
    /// What changed.
    #[serde(default)]
    #[param(required = false)]
    notes: String,
    /// The host APIs and pages it asks to be allowed, separated by commas.
    #[serde(default)]
    #[param(required = false)]
    permissions: String,
    /// The number under which the mini-program is filed with the authority.
    #[serde(default)]
    filing: Option<String>,
    /// The platforms it is made for, separated by commas; left out: all.
    #[serde(default)]
    #[param(required = false)]
    platforms: String,
    /// The versions of the bank app it is made for, such as `>=8.2, <9`; left out: all.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    host_version: Option<DottedRange>,
    /// From when on it may run, RFC 3339.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    not_before: Option<Timestamp>,
    /// Until when it may run, RFC 3339.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    not_after: Option<Timestamp>,
    /// True: list it at once, where review is skipped.
    #[serde(default)]
    #[param(required = false)]
    list: bool,
    /// Why, in the words that the history keeps; read with the other changes' `why`.
    #[serde(default, rename = "why")]
    #[param(ignore)]
    _why: Option<String>,
}

/// The version that a path names.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct VersionParams {
    /// The version.
    version: String,
}

impl VersionParams {
    /// The number. What is no number cannot exist.
    pub(super) fn number(self, app: &AppId) -> Result<Number, ApiError> {
        self.version.parse().map_err(|_| ApiError::Unknown {
            kind: "version",
            name: format!(
                "{app}@{}",
                self.version.chars().take(64).collect::<String>()
            ),
            help: "`huidu version list` shows them",
        })
    }
}

/// An app's versions, lowest first
#[utoipa::path(get, path = "/api/v1/apps/{tenant}/{app}/versions", tag = "versions", security(("token" = [])),
    params(AppParams),
    responses((status = 200, body = [VersionLine], headers(("ETag" = String, description = "The app's revision."))), ReadRefusals))]
pub(super) async fn list(
    State(control): State<Control>,
    named: NamedApp,
) -> Result<Response, ApiError> {
    let catalogue = control.node.catalogue();
    let app = named.caller.app(&catalogue, &named.app)?;
    let versions: Vec<&Version> = app.versions.values().map(|version| &**version).collect();
    Ok(wire::json_at(StatusCode::OK, app.revision, &versions))
}

/// Hand in a version: the body is its bundle, zip or tar.gz
///
/// The bundle is streamed and judged; every reason to refuse it is listed. The same bytes are stored
/// once, however often they come.
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/versions", tag = "versions", security(("token" = [])),
    params(AppParams, SubmitParams, MayMatchParams, WhyParams),
    request_body(content_type = "application/octet-stream", description = "The archive's bytes."),
    responses((status = 201, body = Submitted, headers(("ETag" = String), ("Location" = String))), NewRefusals))]
pub(super) async fn submit(
    State(control): State<Control>,
    named: NamedApp,
    intent: Intent,
    query: Result<Query<SubmitParams>, QueryRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let Query(asked) = query.map_err(|error| ApiError::field("query", error.body_text()))?;
    let app = named.app;
    let permissions = words("permissions", &asked.permissions)?;
    let reach = reach(&asked)?;
    let command = |bundle: Bundle, dossier: Dossier| Command::SubmitVersion {
        app: app.clone(),
        number: asked.version.clone(),
        bundle,
        permissions: permissions.clone(),
        notes: asked.notes.clone(),
        dossier: Box::new(Dossier {
            filing: asked.filing.clone(),
            reach: reach.clone(),
            ..dossier
        }),
    };
    // Whether the caller may is known before a byte is read: the core looks at who and which app.
    control.may(command(unseen(), Dossier::default()), &intent.actor)?;
    if asked.list {
        let list = Command::List {
            app: app.clone(),
            version: asked.version.clone(),
        };
        control.may(list, &intent.actor)?;
        if control.node.catalogue().review == Review::Required {
            let detail =
                "versions are reviewed here before they are listed; hand it in without `list`";
            return Err(ApiError::field("list", detail));
        }
    }
    let _place = control.upload()?;
    let (bundle, dossier) = receive(&control, request).await?;
    let expected = intent.may_match();
    let listing = intent.derived(1);
    let mut written = control
        .write(intent, expected, command(bundle.clone(), dossier))
        .await?;
    if asked.list {
        let command = Command::List {
            app: app.clone(),
            version: asked.version.clone(),
        };
        // A repeat is a repeat when its first half was: the second has then been tried as well.
        written = crate::node::Written {
            op: written.op,
            repeated: written.repeated,
            ..control.write(listing, None, command).await?
        };
    }
    let submitted = Submitted {
        changed: Changed::from(&written),
        version: asked.version,
        bundle,
        listed: asked.list,
    };
    let response = wire::json_at(StatusCode::CREATED, written.revision, &submitted);
    Ok(wire::located(
        response,
        &format!("/api/v1/apps/{app}/versions"),
    ))
}

/// A bundle of which nothing is known yet.
const fn unseen() -> Bundle {
    Bundle {
        sha256: Digest::from_bytes([0; 32]),
        bytes: 0,
        format: BundleFormat::Zip,
        files: 0,
        unpacked_bytes: 0,
    }
}

fn reach(asked: &SubmitParams) -> Result<Reach, ApiError> {
    Ok(Reach {
        platforms: words("platforms", &asked.platforms)?,
        host_version: asked.host_version.clone(),
        not_before: asked.not_before,
        not_after: asked.not_after,
    })
}

/// What is separated by commas.
pub(super) fn words<T>(field: &'static str, text: &str) -> Result<Vec<T>, ApiError>
where
    T: FromStr<Err: Display>,
{
    let words = text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty());
    words
        .map(|word| {
            word.parse()
                .map_err(|error: T::Err| ApiError::field(field, error.to_string()))
        })
        .collect()
}

/// Receives a bundle, judges it, packs it canonically, and stores that and the list of its files. What
/// was uploaded is kept as a digest alone.
async fn receive(control: &Control, request: Request) -> Result<(Bundle, Dossier), ApiError> {
    let settings = &control.settings;
    let mut pieces = Pieces::of_upload(request, settings.bundle_bytes)?;
    let uploaded = Spool::receive(&settings.spool, &mut pieces).await?;
    let origin = (uploaded.digest, uploaded.bytes);
    let (packed, list) = (
        Spool::fresh(&settings.spool)?,
        Spool::fresh(&settings.spool)?,
    );
    let limits = settings.archive.clone();
    let packing = spawn_blocking(move || pack(&uploaded, packed, list, &limits));
    let packed = packing.await.map_err(|_| ApiError::Unavailable {
        code: "stopping",
        detail: "this node is shutting down; try another".to_owned(),
    })??;
    let Canonical {
        inventory,
        bytes,
        digest,
        from,
    } = packed.canonical;
    let bundles = control.node.bundles();
    let (list, files) = packed.list;
    bundles.store(list.path(), files).await?;
    bundles.store(packed.archive.path(), digest).await?;
    let bundle = Bundle {
        sha256: digest,
        bytes,
        format: BundleFormat::Zip,
        files: u32::try_from(inventory.files.len()).unwrap_or(u32::MAX),
        unpacked_bytes: inventory.unpacked_bytes,
    };
    let origin = Origin {
        sha256: origin.0,
        bytes: origin.1,
        format: match from {
            ArchiveFormat::Zip => BundleFormat::Zip,
            ArchiveFormat::TarGz => BundleFormat::TarGz,
        },
    };
    let dossier = Dossier {
        origin: Some(origin),
        files: Some(files),
        ..Dossier::default()
    };
    Ok((bundle, dossier))
}

/// An upload made ready to be stored.
struct Packed {
    canonical: Canonical,
    archive: Spool,
    list: (Spool, Digest),
}

fn pack(
    uploaded: &Spooled,
    archive: Spool,
    list: Spool,
    limits: &ArchiveLimits,
) -> Result<Packed, ApiError> {
    let disk = |error: std::io::Error| ApiError::Disk(error.kind());
    let mut from = File::open(uploaded.file.path()).map_err(disk)?;
    let mut to = archive.create().map_err(disk)?;
    let packed = archive::canonicalise(&mut from, &mut to, limits);
    let canonical = packed.map_err(|error| match error {
        CanonicalError::Refused { errors } => ApiError::Archive(errors),
        CanonicalError::TooLarge { bytes, limit } => {
            ApiError::Archive(vec![ArchiveError::PackedTooLarge { bytes, limit }])
        }
        CanonicalError::Io { error } => disk(error),
        // Nobody else has these files.
        CanonicalError::NotEmpty | CanonicalError::Changed => {
            ApiError::Disk(std::io::ErrorKind::Other)
        }
    })?;
    let line = |file: &archive::FileEntry| FileLine {
        p: file.path.clone(),
        sha256: file.digest,
        len: file.bytes,
    };
    let files = FileList::new(canonical.inventory.files.iter().map(line).collect());
    let (digest, bytes) = files
        .encode()
        .map_err(|error| ApiError::field("body", error.to_string()))?;
    let written = list.create().and_then(|mut file| file.write_all(&bytes));
    written.map_err(disk)?;
    Ok(Packed {
        canonical,
        archive,
        list: (list, digest),
    })
}

/// Let a version be rolled out
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/versions/{version}/list", tag = "versions", security(("token" = [])),
    params(AppParams, VersionParams, ChangeParams, WhyParams),
    responses((status = 200, body = Changed, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn enlist(
    State(control): State<Control>,
    named: NamedApp,
    At(version): At<VersionParams>,
    intent: Intent,
) -> Result<Response, ApiError> {
    let expected = intent.must_match()?;
    let version = version.number(&named.app)?;
    let written = control
        .write(
            intent,
            expected,
            Command::List {
                app: named.app,
                version,
            },
        )
        .await?;
    Ok(wire::json_at(
        StatusCode::OK,
        written.revision,
        &Changed::from(&written),
    ))
}

/// Offer a version no more; devices that run it may go on
#[utoipa::path(post, path = "/api/v1/apps/{tenant}/{app}/versions/{version}/delist", tag = "versions", security(("token" = [])),
    params(AppParams, VersionParams, ChangeParams, WhyParams), request_body = Why,
    responses((status = 200, body = Stopped, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn delist(
    State(control): State<Control>,
    named: NamedApp,
    At(version): At<VersionParams>,
    intent: Intent,
    Json(Why { reason }): Json<Why>,
) -> Result<Response, ApiError> {
    let expected = intent.must_match()?;
    let version = version.number(&named.app)?;
    let command = Command::Delist {
        app: named.app.clone(),
        version: version.clone(),
        reason,
    };
    let written = control.write(intent, expected, command).await?;
    let stopped = Stopped::of(&control, &written, &named.app, Some(&version));
    Ok(wire::json_at(StatusCode::OK, written.revision, &stopped))
}
