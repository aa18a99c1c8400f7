//! The only place where a refusal becomes a status and a stable code.
//!
//! Everything that is not a success leaves through [`ApiError`], as RFC 9457 `application/problem+json`.
//! Codes are for programs and never change; sentences are for people and may. What a caller may not see
//! leaves exactly as what does not exist, so both are made by one function, [`ApiError::no_app`].

use axum::{
    http::{HeaderValue, StatusCode, header::WWW_AUTHENTICATE},
    response::{IntoResponse, Response},
};
use huidu_core::{
    authority::Forbidden,
    check::Finding,
    decide::Refusal,
    notice::Unheeded,
    op::OpId,
    rulefile::{self, Places, Problems},
    segment::SegmentTextError,
    trust::Identity,
};

use super::{
    auth::Denied,
    wire::{self, Mistake},
};
use crate::{
    archive::ArchiveError,
    http::problem::Problem,
    ledger::LedgerError,
    node::{WriteError, kills::NotHeard},
    signin::{ProviderFault, SignInFault},
    store::StoreError,
};

/// Seconds after which a caller whose trouble is not its own may try again.
const RETRY_AFTER_S: u64 = 2;

/// Why there is no success to answer with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    // The request itself.
    /// No such path.
    #[error("there is nothing here; `/api/v1/openapi.json` lists what there is")]
    NoRoute,
    /// The path is there, the method is not.
    #[error("this path does not take that method; `/api/v1/openapi.json` lists those it takes")]
    NoMethod,
    /// A field that does not fit.
    #[error("{detail}")]
    Field { field: String, detail: String },
    /// A header that does not fit.
    #[error("{detail}")]
    Header {
        header: &'static str,
        detail: &'static str,
    },
    /// A body that is not JSON.
    #[error("the body is not JSON: {detail}")]
    NotJson { detail: String },
    /// A body of some other kind.
    #[error("the body's `Content-Type` must be {wanted}")]
    MediaType { wanted: &'static str },
    /// A body beyond the limit.
    #[error("the body is limited to {limit} bytes")]
    TooLarge { limit: u64 },
    /// A body that does not come.
    #[error("the body stopped arriving; send it again, without pauses")]
    Slow,
    /// A body that broke off.
    #[error("the body broke off; send it again")]
    BrokenBody,
    /// No `If-Match` where one is required.
    #[error(
        "this changes something that exists; read it and send its ETag as `If-Match`, or `*` to change whichever it is at"
    )]
    PreconditionRequired,
    // Who asks.
    /// Nobody that is known.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Somebody who may not.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// People cannot sign in here.
    #[error("nobody signs in here: setting `signin.issuer` is not set; use a token")]
    NoSignIn,
    /// A sign-in that came to nothing.
    #[error(transparent)]
    SignIn(#[from] SignInFault),
    /// Somebody whom the provider knows and huidu does not.
    #[error("you are nobody here yet; ask an administrator for `huidu member put NAME ROLE --issuer {} --subject {}`", typed(&.0.issuer), typed(&.0.subject))]
    UnknownPerson(Box<Identity>),
    /// A cookie that another page made the browser send.
    #[error("a change by cookie comes from a page of this very server; send `Origin`, or a token")]
    CrossSite,
    /// A proof that is too old for what is asked.
    #[error(
        "this takes a sign-in of the last five minutes; open `/api/v1/signin?fresh`, or run `huidu login --fresh`, and ask again"
    )]
    SignInAgain,
    // What is asked for.
    /// Not there.
    #[error("there is no {kind} `{name}`; {help}")]
    Unknown {
        kind: &'static str,
        name: String,
        help: &'static str,
    },
    /// The state does not allow it.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// An arm of which nothing was shown.
    #[error(
        "arm `{arm}` is not promoted: {why}; end the experiment without it, or say `anyway` to promote it all the same"
    )]
    NotShown { arm: String, why: String },
    /// A rollout that cannot be read, or with mistakes.
    #[error("the rollout has {} mistake(s); each names its place and what to do", .0.len())]
    Rollout(Vec<Mistake>),
    /// A rollout for another app than the path names.
    #[error("the rollout is for `{written}` and the path names `{app}`; correct one of them")]
    OtherApp { app: String, written: String },
    /// A bundle that no device should unpack.
    #[error("the bundle is refused for {} reason(s)", .0.len())]
    Archive(Vec<ArchiveError>),
    /// A list that is not a list of units.
    #[error(transparent)]
    Segment(#[from] SegmentTextError),
    // What is around us.
    /// Nobody knows yet whether it happened.
    #[error("the store has not answered yet")]
    Undecided { op: OpId },
    /// People agree on it first, or it waits for its time.
    #[error("the change waits")]
    Waits(Box<wire::Waits>),
    /// The want was cancelled.
    #[error("op `{op}` was cancelled; use a new idempotency key")]
    Cancelled { op: OpId },
    /// The key of one change with another.
    #[error(
        "this `Idempotency-Key` stands for another change already, op `{op}`; use a new key for a new change"
    )]
    OtherAsk { op: OpId },
    /// The ledger does not answer, or not as it should.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What another node said is not taken in.
    #[error(transparent)]
    NotHeard(#[from] NotHeard),
    /// Something of this node's own.
    #[error("{detail}")]
    Unavailable { code: &'static str, detail: String },
    /// The system gives no randomness.
    #[error("this node has no randomness to make a secret from; use another node")]
    NoRandomness,
    /// This node's disk does not take it.
    #[error("this node cannot keep the upload ({0}); use another node, or make room")]
    Disk(std::io::ErrorKind),
}

impl ApiError {
    /// There is no such app, or none that the caller may see.
    pub(crate) fn no_app(app: &str) -> Self {
        let name = app.chars().take(130).collect();
        Self::Unknown {
            kind: "app",
            name,
            help: "`huidu app list` shows them",
        }
    }

    /// A field that does not fit.
    pub(crate) fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Field {
            field: field.into(),
            detail: detail.into(),
        }
    }

    /// A header that does not fit.
    pub(crate) const fn header(header: &'static str, detail: &'static str) -> Self {
        Self::Header { header, detail }
    }

    fn facts(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NoRoute => (StatusCode::NOT_FOUND, "no-route", "No such path"),
            Self::NoMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                "no-method",
                "No such method",
            ),
            Self::Field { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "bad-field",
                "A field does not fit",
            ),
            Self::Header { .. } => (
                StatusCode::BAD_REQUEST,
                "bad-header",
                "A header does not fit",
            ),
            Self::NotJson { .. } => (StatusCode::BAD_REQUEST, "bad-json", "Not JSON"),
            Self::MediaType { .. } => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media-type",
                "Another media type",
            ),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large"),
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, "slow-body", "Body too slow"),
            Self::BrokenBody => (StatusCode::BAD_REQUEST, "broken-body", "Body broke off"),
            Self::PreconditionRequired => (
                StatusCode::PRECONDITION_REQUIRED,
                "if-match-required",
                "If-Match required",
            ),
            Self::Denied(denied) => (StatusCode::UNAUTHORIZED, denied_code(*denied), "Not let in"),
            Self::Forbidden(Forbidden::Expired { .. }) => {
                (StatusCode::UNAUTHORIZED, "token-expired", "Not let in")
            }
            Self::Forbidden(Forbidden::Scope { .. }) => {
                (StatusCode::FORBIDDEN, "scope", "Not within its scopes")
            }
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
            Self::NoSignIn => (StatusCode::NOT_FOUND, "no-signin", "No sign-in"),
            Self::SignIn(fault) => signin_facts(fault),
            Self::UnknownPerson(_) => (StatusCode::FORBIDDEN, "unknown-person", "Not a member"),
            Self::CrossSite => (StatusCode::FORBIDDEN, "cross-site", "Not from here"),
            Self::SignInAgain => (StatusCode::FORBIDDEN, "sign-in-again", "Sign in again"),
            Self::Unknown { kind, .. } => (StatusCode::NOT_FOUND, unknown_code(kind), "Not there"),
            Self::Refused(refusal) => refusal_facts(refusal),
            Self::NotShown { .. } => (StatusCode::CONFLICT, "not-shown", "Not shown"),
            Self::Rollout(_) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "rollout",
                "Mistakes in the rollout",
            ),
            Self::OtherApp { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "other-app",
                "Rollout of another app",
            ),
            Self::Archive(_) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "archive",
                "Bundle refused",
            ),
            Self::Segment(_) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "segment",
                "Segment refused",
            ),
            Self::Undecided { .. } => (StatusCode::ACCEPTED, "unknown", "Not decided yet"),
            Self::Waits(_) => (StatusCode::ACCEPTED, "waits", "It waits"),
            Self::Cancelled { .. } => (StatusCode::CONFLICT, "cancelled", "Cancelled"),
            Self::OtherAsk { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "key-reused",
                "A key of another change",
            ),
            Self::Ledger(error) => ledger_facts(error),
            Self::NotHeard(why) => not_heard_facts(why),
            Self::Unavailable { code, .. } => (StatusCode::SERVICE_UNAVAILABLE, code, "Not now"),
            Self::NoRandomness => (StatusCode::SERVICE_UNAVAILABLE, "no-randomness", "Not now"),
            Self::Disk(_) => (StatusCode::SERVICE_UNAVAILABLE, "disk", "Not now"),
        }
    }

    fn field_name(&self) -> Option<String> {
        match self {
            Self::Field { field, .. } => Some(field.clone()),
            Self::Header { header, .. } => Some((*header).to_owned()),
            Self::PreconditionRequired => Some("If-Match".to_owned()),
            Self::OtherAsk { .. } => Some("Idempotency-Key".to_owned()),
            Self::SignIn(SignInFault::Wish(field)) => Some((*field).to_owned()),
            Self::Refused(refusal) => match &**refusal {
                Refusal::Empty { field, .. } => Some((*field).to_owned()),
                Refusal::BuildMetadata { .. } => Some("version".to_owned()),
                Refusal::TokenTime => Some("expires".to_owned()),
                Refusal::Design { fault } => Some(fault.field.to_owned()),
                Refusal::PreviewTime => Some("until".to_owned()),
                Refusal::MemberRole { .. } => Some("role".to_owned()),
                Refusal::NotASandbox { .. } => Some("host".to_owned()),
                _ => None,
            },
            _ => None,
        }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        match self {
            Self::Rollout(mistakes) => mistakes.clone(),
            Self::Archive(errors) => errors.iter().map(Mistake::plain).collect(),
            Self::Refused(refusal) => match &**refusal {
                Refusal::Rollout { findings } => findings.iter().map(Mistake::from).collect(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn detail(&self) -> String {
        match self {
            // The mistakes are listed beside it; once is enough.
            Self::Refused(refusal) => match &**refusal {
                Refusal::Rollout { findings } => {
                    Self::Rollout(findings.iter().map(Mistake::from).collect()).to_string()
                }
                refusal => refusal.to_string(),
            },
            error => error.to_string(),
        }
    }
}

/// A text as a shell takes it for one word: what the provider says is pasted by an administrator.
fn typed(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/@".contains(&byte);
    if text.bytes().all(is_plain) && !text.starts_with('-') {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

const fn not_heard_facts(why: &NotHeard) -> (StatusCode, &'static str, &'static str) {
    match why {
        NotHeard::Unheeded(Unheeded::Form { .. }) => {
            (StatusCode::BAD_REQUEST, "bad-notice", "No notice")
        }
        NotHeard::Unheeded(Unheeded::Audience | Unheeded::Unsigned) => {
            (StatusCode::FORBIDDEN, "not-a-server", "Not of a server")
        }
        NotHeard::Unheeded(Unheeded::Old { .. } | Unheeded::Ahead { .. }) => {
            (StatusCode::CONFLICT, "old-notice", "Not of now")
        }
        NotHeard::Unheeded(Unheeded::Actor { .. }) => {
            (StatusCode::CONFLICT, "unknown-actor", "Not known here")
        }
        NotHeard::Busy | NotHeard::Full => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Not now"),
        NotHeard::Mute { .. } => (StatusCode::SERVICE_UNAVAILABLE, "mute", "Not now"),
    }
}

const fn denied_code(denied: Denied) -> &'static str {
    match denied {
        Denied::Missing => "no-token",
        Denied::Fault(_) => "bad-token",
        Denied::Unknown => "unknown-token",
        Denied::Expired { .. } => "token-expired",
        Denied::OfAPerson => "sign-in",
        Denied::Session(_) => "session-over",
        Denied::NoMember => "no-member",
    }
}

const fn signin_facts(fault: &SignInFault) -> (StatusCode, &'static str, &'static str) {
    const AGAIN: (StatusCode, &str, &str) =
        (StatusCode::BAD_REQUEST, "sign-in-state", "Begin again");
    match fault {
        SignInFault::State | SignInFault::Late | SignInFault::Again => AGAIN,
        SignInFault::Provider(ProviderFault::Code) => AGAIN,
        SignInFault::Grant => (StatusCode::FORBIDDEN, "grant", "Not yours"),
        SignInFault::Denied { .. } => (StatusCode::FORBIDDEN, "sign-in-denied", "Not vouched for"),
        SignInFault::Statement(_) => (StatusCode::FORBIDDEN, "statement", "Not believed"),
        SignInFault::Wish(_) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "bad-field",
            "A field does not fit",
        ),
        SignInFault::Provider(ProviderFault::Busy) => {
            (StatusCode::SERVICE_UNAVAILABLE, "busy", "Not now")
        }
        SignInFault::Provider(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "identity-provider",
            "Not now",
        ),
        SignInFault::NoRandomness => (StatusCode::SERVICE_UNAVAILABLE, "no-randomness", "Not now"),
    }
}

fn unknown_code(kind: &str) -> &'static str {
    match kind {
        "app" => "unknown-app",
        "version" => "unknown-version",
        "rule" => "unknown-rule",
        "rollout" => "unknown-rollout",
        "segment" => "unknown-segment",
        "token" => "unknown-token-id",
        "host" => "unknown-host",
        "tenant" => "unknown-tenant",
        "member" => "unknown-member",
        "permission" | "grant" => "unknown-permission",
        "preview" => "unknown-preview",
        "op" => "unknown-op",
        "change" => "unknown-change",
        "ramp" => "unknown-ramp",
        "experiment" => "unknown-experiment",
        _ => "unknown",
    }
}

fn refusal_facts(refusal: &Refusal) -> (StatusCode, &'static str, &'static str) {
    const CONFLICT: StatusCode = StatusCode::CONFLICT;
    const INVALID: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
    match refusal {
        Refusal::TokenTime => (INVALID, "bad-field", "A field does not fit"),
        Refusal::NotFounded => (
            StatusCode::SERVICE_UNAVAILABLE,
            "not-founded",
            "Not founded",
        ),
        Refusal::AlreadyFounded { .. } => (CONFLICT, "exists", "There already"),
        Refusal::Unknown { kind, .. } => (StatusCode::NOT_FOUND, unknown_code(kind), "Not there"),
        Refusal::Exists { .. } => (CONFLICT, "exists", "There already"),
        Refusal::Life { .. } => (CONFLICT, "life", "Not in this state"),
        Refusal::Served { .. } => (CONFLICT, "served", "Still served"),
        Refusal::SegmentInUse { .. } => (CONFLICT, "segment-in-use", "Still asked about"),
        Refusal::Nothing { .. } => (CONFLICT, "nothing", "Nothing to change"),
        Refusal::Ramped { .. } => (CONFLICT, "ramped", "It has a ramp"),
        Refusal::Design { .. } => (INVALID, "design", "No such experiment can be"),
        Refusal::Experiment { .. } => (CONFLICT, "experiment", "An experiment is in the way"),
        Refusal::Redraws { .. } => (CONFLICT, "redraws", "Units would change arms"),
        Refusal::NotNow { .. } => (CONFLICT, "not-now", "Not now"),
        Refusal::NotLower { .. } => (CONFLICT, "not-lower", "Not lower"),
        // Nothing is too large here: there is just none of it to spare.
        Refusal::Limit { limit: 0, .. } => (CONFLICT, "limit", "Not the last"),
        Refusal::Limit { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "limit", "Beyond a limit"),
        Refusal::MemberRole { .. } => (INVALID, "member-role", "Another role"),
        Refusal::NotAMember { .. } => (StatusCode::FORBIDDEN, "not-a-member", "Not a person"),
        Refusal::SamePerson { .. } => (CONFLICT, "same-person", "Not somebody else"),
        Refusal::OtherBundle { .. } => (CONFLICT, "other-bundle", "Another bundle"),
        Refusal::NotGranted { .. } => (CONFLICT, "not-granted", "Asks for too much"),
        Refusal::Reach { .. } => (INVALID, "reach", "It would run nowhere"),
        Refusal::Over { .. } => (CONFLICT, "over", "Its time is over"),
        Refusal::OtherGrant { .. } => (CONFLICT, "other-grant", "Granted otherwise"),
        Refusal::NotFiled { .. } => (CONFLICT, "not-filed", "Not filed"),
        Refusal::OtherChange { .. } => (CONFLICT, "other-change", "Another change"),
        Refusal::SameEyes { .. } => (CONFLICT, "same-person", "Not somebody else"),
        Refusal::NotTheirs { .. } => (StatusCode::FORBIDDEN, "not-theirs", "Another role"),
        Refusal::NotYours { .. } => (StatusCode::FORBIDDEN, "not-yours", "Somebody else's"),
        Refusal::Moved { .. } => (CONFLICT, "moved", "Changed meanwhile"),
        Refusal::AuthorGone { .. } => (CONFLICT, "author-gone", "The author may not any more"),
        Refusal::ChangeTime => (INVALID, "change-time", "Another time"),
        Refusal::Eyes { .. } => (INVALID, "eyes", "A mistake in the policy"),
        Refusal::Paper(_) => (INVALID, "not-believed", "Not believed"),
        Refusal::Expired { .. } => (INVALID, "expired", "Expired"),
        Refusal::NoKeyring => (CONFLICT, "no-keyring", "No keyring"),
        Refusal::NotALogKey { .. } => (CONFLICT, "not-a-log-key", "This node has no voice"),
        Refusal::OtherRecord { .. } => (CONFLICT, "other-record", "Another record"),
        Refusal::Unsigned { .. } => (CONFLICT, "unsigned", "Not signed"),
        Refusal::NoPolicy { .. } => (CONFLICT, "no-policy", "No policy"),
        Refusal::PolicyForbids { .. } => (CONFLICT, "policy", "Forbidden by policy"),
        Refusal::NotASandbox { .. } => (INVALID, "not-a-sandbox", "Not a sandbox"),
        Refusal::PreviewTime => (INVALID, "preview-time", "Another time"),
        Refusal::Permissions(_) => (INVALID, "permissions", "Mistakes in the catalogue"),
        Refusal::Empty { .. } => (INVALID, "empty", "A text is missing"),
        Refusal::BuildMetadata { .. } => (INVALID, "build-metadata", "No order among versions"),
        Refusal::Stale { .. } => (
            StatusCode::PRECONDITION_FAILED,
            "stale",
            "Changed meanwhile",
        ),
        Refusal::Rollout { .. } => (INVALID, "rollout", "Mistakes in the rollout"),
    }
}

const fn ledger_facts(error: &LedgerError) -> (StatusCode, &'static str, &'static str) {
    match error {
        LedgerError::Fork(_) => (StatusCode::SERVICE_UNAVAILABLE, "fork", "Ledger forked"),
        LedgerError::Unwritable(_) => (StatusCode::PAYLOAD_TOO_LARGE, "limit", "Beyond a limit"),
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            "store-unavailable",
            "Not now",
        ),
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        let code = match error {
            WriteError::Forbidden(forbidden) => return forbidden.into(),
            WriteError::Refused(refusal) => return (*refusal).into(),
            WriteError::Unknown { op } => return Self::Undecided { op },
            WriteError::Cancelled { op, .. } => return Self::Cancelled { op },
            WriteError::OtherAsk { op } => return Self::OtherAsk { op },
            WriteError::Ledger(error) => return error.into(),
            WriteError::ReadOnly => "read-only",
            WriteError::InDoubt => "in-doubt",
            WriteError::Busy { .. } => "busy",
            WriteError::Stopping => "stopping",
        };
        Self::Unavailable {
            code,
            detail: error.to_string(),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown {
                kind: "app", name, ..
            } => Self::no_app(&name),
            refusal => Self::Refused(Box::new(refusal)),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Ledger(error.into())
    }
}

impl From<Problems> for ApiError {
    fn from(problems: Problems) -> Self {
        let untold = problems.untold();
        let mut mistakes: Vec<_> = problems.list().iter().map(Mistake::from).collect();
        if untold > 0 {
            mistakes.push(Mistake::plain(&format!("and {untold} more")));
        }
        Self::Rollout(mistakes)
    }
}

impl From<&rulefile::Problem> for Mistake {
    fn from(problem: &rulefile::Problem) -> Self {
        Self {
            pointer: Some(problem.place.path.clone()),
            line: problem.place.line,
            column: problem.place.column,
            message: format!("`{}` {}", problem.value, problem.message),
            help: Some(problem.help.clone()),
        }
    }
}

impl ApiError {
    /// The same, with where each mistake of a rollout stands in the text that was sent.
    pub(crate) fn placed(self, places: &Places) -> Self {
        let Self::Refused(refusal) = self else {
            return self;
        };
        let Refusal::Rollout { findings } = *refusal else {
            return Self::Refused(refusal);
        };
        let placed = |finding: &Finding| {
            let place = places.of_value(&finding.path, &finding.value);
            Mistake {
                line: place.line,
                column: place.column,
                ..Mistake::from(finding)
            }
        };
        Self::Rollout(findings.iter().map(placed).collect())
    }
}

impl From<&Finding> for Mistake {
    fn from(finding: &Finding) -> Self {
        Self {
            pointer: Some(finding.path.clone()),
            message: format!("`{}` {}", finding.value, finding.message),
            help: Some(finding.help.clone()),
            ..Self::default()
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match &self {
            Self::Undecided { op } => return undecided(op),
            Self::Waits(waits) => {
                return wire::located(wire::json(StatusCode::ACCEPTED, waits), "/api/v1/changes");
            }
            // A foreign thing and a missing one are told in the same words.
            Self::Forbidden(Forbidden::Foreign { what }) => {
                return Self::no_app(what).into_response();
            }
            _ => {}
        }
        let (status, code, title) = self.facts();
        let mut problem = Problem::new(status, code, title, self.detail());
        if let Some(field) = self.field_name() {
            problem = problem.with_field(field);
        }
        let mistakes = self.mistakes();
        let mistakes = mistakes
            .iter()
            .filter_map(|mistake| serde_json::to_value(mistake).ok());
        problem = problem.with_errors(mistakes.collect());
        match status {
            StatusCode::UNAUTHORIZED => {
                let scheme = HeaderValue::from_static("Bearer realm=\"huidu\"");
                problem = problem.with_header(WWW_AUTHENTICATE, scheme);
            }
            StatusCode::SERVICE_UNAVAILABLE => problem = problem.with_retry_after(RETRY_AFTER_S),
            _ => {}
        }
        problem.into_response_with()
    }
}

/// 202: it may have happened. The op id will tell.
fn undecided(op: &OpId) -> Response {
    let body = wire::OpAnswer {
        op: op.to_string(),
        state: wire::OpWord::Unknown,
        revision: None,
    };
    wire::located(
        wire::json(StatusCode::ACCEPTED, &body),
        &format!("/api/v1/ops/{op}"),
    )
}
