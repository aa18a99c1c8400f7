//! The JSON shapes of the control plane, and nothing else: no decision is taken here.
//!
//! Types of the core appear in their own serialised form and are described to the document beside them,
//! so that the core stays free of OpenAPI. Every shape that is read refuses fields it does not know.

use std::{collections::BTreeSet, fmt::Display};

use axum::{
    body::Body,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, ETAG, LOCATION},
    },
    response::Response,
};
use huidu_core::{
    authority::Role,
    catalogue::{App, AppKill, Catalogue, SegmentRef},
    credential::Scope,
    digest::Digest,
    eyes::Proposal,
    name::{AppId, HostId, MemberId, SegmentName, TenantId},
    revision::Revision,
    rollout::Rollout,
    share::Share,
    time::Timestamp,
    version::{Bundle, Number, Version},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::overview::Standing;
use crate::node::Written;

/// A mistake or a refusal, RFC 9457.
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(
    dead_code,
    reason = "read by the document generator alone; `http::problem` has the shape"
)]
pub(crate) struct ProblemSchema {
    /// `urn:huidu:problem:<code>`.
    r#type: String,
    /// The code in words.
    title: String,
    /// The status again.
    status: u16,
    /// What, where, and what to do.
    detail: String,
    /// For programs; never changes its meaning.
    code: String,
    /// The field, header or parameter at fault.
    field: Option<String>,
    /// Every mistake, where there can be several.
    #[schema(required = false)]
    errors: Vec<Mistake>,
}

/// One mistake among several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Mistake {
    /// Where in the document, as a JSON pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pointer: Option<String>,
    /// Line in a TOML body, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u32>,
    /// Column in that line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<u32>,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) help: Option<String>,
}

impl Mistake {
    /// A mistake whose sentence says everything.
    pub(crate) fn plain(fact: &impl Display) -> Self {
        Self {
            message: fact.to_string(),
            ..Self::default()
        }
    }
}

/// A change that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Changed {
    /// In force since this revision, on this node too.
    #[schema(value_type = u64)]
    pub(crate) revision: Revision,
    /// What the change is recognised by.
    pub(crate) op: String,
    /// True when an earlier request with this key had made it already.
    #[serde(skip_serializing_if = "is_false")]
    #[schema(required = false)]
    pub(crate) repeated: bool,
}

impl From<&Written> for Changed {
    fn from(written: &Written) -> Self {
        Self {
            revision: written.revision,
            op: written.op.to_string(),
            repeated: written.repeated,
        }
    }
}

/// What was stopped, for the report to the authority.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stopped {
    /// The change.
    #[serde(flatten)]
    changed: Changed,
    /// The numbers under which what was stopped is filed: of the version, or of every version of the app.
    filings: BTreeSet<String>,
}

impl Stopped {
    pub(super) fn of(
        control: &super::Control,
        written: &Written,
        app: &AppId,
        version: Option<&Number>,
    ) -> Self {
        Self {
            changed: Changed::from(written),
            filings: filings(&control.node.catalogue(), app, version),
        }
    }
}

/// The numbers under which what was stopped is filed: of the version, or of every version of the app.
pub(super) fn filings(
    catalogue: &Catalogue,
    app: &AppId,
    version: Option<&Number>,
) -> BTreeSet<String> {
    let versions = catalogue.apps.get(app).map(|app| app.versions.values());
    let stopped = versions.into_iter().flatten();
    let stopped = stopped.filter(|known| version.is_none_or(|number| known.number == *number));
    let filed = stopped.filter_map(|version| version.dossier.open().filing);
    filed.collect()
}

/// A change that was not made: people agree on it first, or it waits for its time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Waits {
    /// It waits since this revision.
    #[schema(value_type = u64)]
    revision: Revision,
    /// What the asking is recognised by.
    op: String,
    /// What waits.
    waits: Waiting,
}

/// What waits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Waiting {
    /// Its name: somebody else approves it by `POST /api/v1/changes/{id}/approve`.
    id: String,
    /// What an approval names.
    #[schema(value_type = Option<String>)]
    hash: Option<Digest>,
    /// How many people must agree.
    lacks: usize,
    /// It happens then, not before.
    #[schema(value_type = Option<String>)]
    enact_at: Option<Timestamp>,
}

impl Waits {
    pub(crate) fn new(
        written: &Written,
        id: &str,
        proposal: Option<&Proposal>,
        catalogue: &Catalogue,
    ) -> Self {
        Self {
            revision: written.revision,
            op: written.op.to_string(),
            waits: Waiting {
                id: id.to_owned(),
                hash: proposal.map(|proposal| proposal.hash),
                lacks: proposal.map_or(0, |proposal| {
                    proposal.lacks(catalogue, huidu_core::rules::Rules::NEWEST)
                }),
                enact_at: proposal.and_then(|proposal| proposal.enact_at),
            },
        }
    }
}

/// How a change ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpAnswer {
    /// What the change is recognised by.
    pub(crate) op: String,
    /// How it ended.
    pub(crate) state: OpWord,
    /// Since, or by, which revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub(crate) revision: Option<Revision>,
}

/// How a change ended, in one word.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OpWord {
    /// It is in force.
    Committed,
    /// It shall never happen.
    Cancelled,
    /// The store has not said yet; ask again.
    Unknown,
    /// Nobody asked for it, or too long ago to be remembered.
    Absent,
}

/// A partner merchant.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tenant {
    /// Its name.
    #[schema(value_type = String)]
    pub(crate) tenant: TenantId,
    /// Its name as people read it.
    #[serde(default)]
    pub(crate) title: String,
}

/// A bank app that runs mini-programs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Host {
    /// Its name.
    #[schema(value_type = String)]
    pub(crate) host: HostId,
    /// Its name as people read it.
    #[serde(default)]
    pub(crate) title: String,
    /// True: no customer has it, and versions under review are delivered there.
    #[serde(default, skip_serializing_if = "is_false")]
    #[schema(required = false)]
    pub(crate) sandbox: bool,
}

/// A mini-program to admit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewApp {
    /// `tenant/app`; a new tenant is admitted with it.
    #[schema(value_type = String, example = "pingan/travel")]
    pub(crate) app: AppId,
    /// Its name as people read it.
    #[serde(default)]
    pub(crate) title: String,
}

/// A mini-program in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppLine {
    /// `tenant/app`.
    #[schema(value_type = String)]
    app: AppId,
    /// Its name as people read it.
    title: String,
    /// The last revision that changed it.
    #[schema(value_type = u64)]
    revision: Revision,
    /// How many versions it has.
    versions: usize,
    /// What devices fall back to; none: no rollout yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    stable: Option<Number>,
    /// True while the whole app must not run.
    killed: bool,
    /// How it stands, in one word.
    standing: Standing,
}

impl AppLine {
    /// The line of one app, as it stands at `now`.
    pub(crate) fn new(app: &App, now: Timestamp) -> Self {
        Self {
            standing: Standing::of(app, now),
            app: app.id.clone(),
            title: app.title.clone(),
            revision: app.revision,
            versions: app.versions.len(),
            stable: app.rollout.as_ref().map(|rollout| rollout.stable.clone()),
            killed: app.killed.is_some(),
        }
    }
}

/// A mini-program.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppPage {
    /// `tenant/app`.
    #[schema(value_type = String)]
    app: AppId,
    /// Its name as people read it.
    title: String,
    /// The last revision that changed it: what `If-Match` takes.
    #[schema(value_type = u64)]
    revision: Revision,
    /// Since when and why the whole app must not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Kill>)]
    killed: Option<AppKill>,
    /// True: the bank's own, listed without the number of a filing.
    #[serde(skip_serializing_if = "is_false")]
    #[schema(required = false)]
    internal: bool,
    /// Its versions, lowest first.
    #[schema(value_type = Vec<VersionLine>)]
    versions: Vec<Version>,
    /// Which version each device gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::openapi::RolloutSchema>)]
    rollout: Option<Rollout>,
}

impl From<&App> for AppPage {
    fn from(app: &App) -> Self {
        Self {
            app: app.id.clone(),
            title: app.title.clone(),
            revision: app.revision,
            killed: app.killed.clone(),
            internal: app.trust.internal,
            versions: (app.versions.values())
                .map(|version| Version::clone(version))
                .collect(),
            rollout: app.rollout.clone(),
        }
    }
}

/// Since when and why a whole app must not run.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "read by the document generator alone; the core has the shape"
)]
pub(crate) struct Kill {
    /// Why.
    reason: String,
    /// Since when.
    #[schema(format = DateTime)]
    at: String,
}

/// A version of a mini-program.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "read by the document generator alone; the core has the shape"
)]
pub(crate) struct VersionLine {
    /// Its number.
    number: String,
    /// The archive a device runs.
    #[schema(value_type = BundleLine)]
    bundle: Bundle,
    /// The host APIs and pages it asks to be allowed.
    #[schema(required = false)]
    permissions: Vec<String>,
    /// What changed, in the submitter's words.
    #[schema(required = false)]
    notes: String,
    /// Where it stands: `{"state": "listed"}`, `{"state": "delisted", "reason": …, "killed": …, "at": …}` …
    #[schema(value_type = Object)]
    life: (),
    /// When it was handed in.
    #[schema(format = DateTime)]
    submitted_at: String,
    /// What reviewers have to go by: `{"origin": the archive as it was uploaded, "files": digest of the list
    /// of files, "filing"?, "reach"?: where and when it may run, "withheld"?: what it was not granted, "submitted_by", "approvals"?}`.
    #[schema(value_type = Option<Object>)]
    dossier: Option<()>,
}

/// The archive a device runs.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "read by the document generator alone; the core has the shape"
)]
pub(crate) struct BundleLine {
    /// SHA-256 of its bytes, 64 lowercase hexadecimal digits: its name on the device plane.
    sha256: String,
    /// Its length in bytes.
    bytes: u64,
    /// `zip` or `tar-gz`.
    format: String,
    /// Files in it.
    files: u32,
    /// Sum of the files' lengths in bytes.
    unpacked_bytes: u64,
}

/// A version that was handed in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Submitted {
    /// The change.
    #[serde(flatten)]
    pub(crate) changed: Changed,
    /// Its number.
    #[schema(value_type = String)]
    pub(crate) version: Number,
    /// What was stored.
    #[schema(value_type = BundleLine)]
    pub(crate) bundle: Bundle,
    /// True when it may be rolled out at once.
    pub(crate) listed: bool,
}

/// Why, for the people who read the history.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Why {
    /// Why.
    pub(crate) reason: String,
}

/// What to stop, or to let run again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KillOrder {
    /// The version; left out: the whole app.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) version: Option<Number>,
    /// Why, for the people who read the history.
    pub(crate) reason: String,
}

/// Whether an app is the bank's own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInternal {
    /// True: it is listed without the number of a filing.
    pub(crate) internal: bool,
    /// Why, for the people who read the history.
    pub(crate) reason: String,
}

/// The share of a rule.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewShare {
    /// A percentage with at most six decimals.
    #[schema(value_type = String, example = "5%")]
    pub(crate) share: Share,
}

/// Whether a rule is paused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPause {
    /// True: it takes nobody.
    pub(crate) paused: bool,
}

/// A credential to give out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// `"admin"`, `"release-manager"`, `"sre"`, `"reviewer"`, `"security"`, `"auditor"`, or `{"partner": "<tenant>"}`.
    #[schema(schema_with = super::openapi::role)]
    pub(crate) role: Role,
    /// Who or what it is for.
    #[serde(default)]
    pub(crate) note: String,
    /// Whose it is; the role must be that person's.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) member: Option<MemberId>,
    /// From then on it opens nothing, 366 days ahead at most; left out: in 90 days.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) expires: Option<Timestamp>,
    /// What of its role it is narrowed to; left out: all of it.
    #[serde(default)]
    #[schema(schema_with = super::openapi::scopes)]
    pub(crate) scopes: BTreeSet<Scope>,
}

/// A credential that was given out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GivenToken {
    /// The change.
    #[serde(flatten)]
    pub(crate) changed: Changed,
    /// Its public name.
    pub(crate) id: String,
    /// The credential. Shown this once: only its hash is kept. A repeated request does not show it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    /// From then on it opens nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) expires: Option<Timestamp>,
}

/// Whether a credential opens anything.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TokenState {
    /// It does.
    Holds,
    /// It does, for two weeks at most: somebody should see to the next one.
    ExpiresSoon,
    /// Not any more.
    Expired,
}

/// A credential in a list: never its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenLine {
    /// Its public name.
    pub(crate) id: String,
    /// What it may do.
    #[schema(schema_with = super::openapi::role)]
    pub(crate) role: Role,
    /// Who or what it is for.
    pub(crate) note: String,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) member: Option<MemberId>,
    /// What of its role it is narrowed to; none: all of it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    #[schema(schema_with = super::openapi::scopes)]
    pub(crate) scopes: BTreeSet<Scope>,
    /// From then on it opens nothing; none: it has no end, as the very first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) expires: Option<Timestamp>,
    /// Whether it opens anything.
    pub(crate) state: TokenState,
    /// When it was last shown to the node that answers, since that was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) last_used: Option<Timestamp>,
}

/// An uploaded list of units: never the units.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SegmentLine {
    /// Its name.
    #[schema(value_type = String)]
    segment: SegmentName,
    /// How many units it holds.
    units: u64,
    /// SHA-256 of its encoded units.
    sha256: String,
    /// The revision that put it there: what `If-Match` takes.
    #[schema(value_type = u64)]
    revision: Revision,
}

impl SegmentLine {
    /// The line of one segment.
    pub(crate) fn new(segment: &SegmentName, kept: &SegmentRef) -> Self {
        Self {
            segment: segment.clone(),
            units: kept.units,
            sha256: kept.sha256.to_string(),
            revision: kept.revision,
        }
    }
}

/// A segment that was uploaded.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UploadedSegment {
    /// The change.
    #[serde(flatten)]
    pub(crate) changed: Changed,
    /// How many different units it holds.
    pub(crate) units: u64,
    /// SHA-256 of its encoded units.
    pub(crate) sha256: String,
}

/// A revision of the ledger.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoryLine {
    /// Its number.
    #[schema(value_type = u64)]
    pub(crate) revision: Revision,
    /// When, by the clock of the node that wrote it.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) at: Timestamp,
    /// Who: `{"id": …, "role": …}`.
    #[schema(value_type = Object)]
    pub(crate) actor: huidu_core::event::Actor,
    /// What the change is recognised by.
    pub(crate) op: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// What happened: objects whose `event` names their kind.
    #[schema(value_type = Vec<Object>)]
    pub(crate) events: Vec<huidu_core::event::Event>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // These shapes have string keys and no failing serialiser, so there is always a body.
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// A JSON answer about something that has a revision.
pub(crate) fn json_at(status: StatusCode, revision: Revision, body: &impl Serialize) -> Response {
    let mut response = json(status, body);
    if let Ok(tag) = HeaderValue::try_from(format!("\"{revision}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// A document, and the same in words for people.
#[derive(Serialize)]
pub(crate) struct Narrated<'a, T> {
    #[serde(flatten)]
    document: &'a T,
    text: String,
}

impl<'a, T: std::fmt::Display> Narrated<'a, T> {
    pub(crate) fn of(document: &'a T) -> Self {
        Self {
            document,
            text: document.to_string(),
        }
    }
}

/// Says where the new thing is.
pub(crate) fn located(mut response: Response, path: &str) -> Response {
    if let Ok(path) = HeaderValue::try_from(path) {
        response.headers_mut().insert(LOCATION, path);
    }
    response
}
