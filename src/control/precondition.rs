//! What a change is asked under: by whom, against which revision, under which id, and why.
//!
//! `If-Match` keeps two people from undoing each other's work unseen, and `Idempotency-Key` makes a retry
//! harmless. Both are read here and nowhere else; whether they hold is decided by the node, against the
//! very revision that the change extends.

use axum::{
    extract::{FromRequestParts, Query},
    http::{HeaderMap, header::IF_MATCH, request::Parts},
};
use huidu_core::{event::Actor, limits, op::OpId, revision::Revision, time::Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Control, auth::Caller, error::ApiError};
use crate::{node::derived_op, signin::SignedIn};

/// Bytes of an `Idempotency-Key`.
const KEY_BYTES: usize = 128;

/// The revision a change was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// `*`: whichever it is at.
    Any,
    /// `"<revision>"`.
    Revision(Revision),
}

impl IfMatch {
    /// What the node compares; none for `*`.
    pub(crate) const fn expected(self) -> Option<Revision> {
        match self {
            Self::Any => None,
            Self::Revision(revision) => Some(revision),
        }
    }
}

/// What a change is asked under.
#[derive(Debug, Clone)]
pub(crate) struct Intent {
    /// Who asks.
    pub(crate) actor: Actor,
    /// The session, for whoever signed in.
    pub(crate) signed_in: Option<SignedIn>,
    /// What the change is recognised by over every retry.
    pub(crate) op: OpId,
    /// The revision it was made for, where one was named.
    pub(crate) if_match: Option<IfMatch>,
    /// When it shall happen; none: now.
    pub(crate) enact_at: Option<Timestamp>,
    /// Why, for the history.
    pub(crate) why: Option<String>,
}

impl Intent {
    /// The revision that a change of something existing must name.
    pub(crate) fn must_match(&self) -> Result<Option<Revision>, ApiError> {
        self.if_match
            .map(IfMatch::expected)
            .ok_or(ApiError::PreconditionRequired)
    }

    /// The revision where one was named.
    pub(crate) fn may_match(&self) -> Option<Revision> {
        self.if_match.and_then(IfMatch::expected)
    }

    /// The same intent's `n`th change, recognisable on its own.
    pub(crate) fn derived(&self, n: u8) -> Self {
        let op = derived_op(&["huidu derived op", self.op.as_str(), &n.to_string()]);
        Self { op, ..self.clone() }
    }
}

/// Headers and query of a change of something new.
#[derive(IntoParams, Deserialize)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the document generator alone")]
pub(crate) struct NewParams {
    /// 1 to 128 printable ASCII characters. The same key again, by the same token, is the same change: it
    /// answers as the first one did, with `"repeated": true`; with another change it is refused. Whoever chose it
    /// asks `/api/v1/ops/{key}` what became of it.
    #[serde(rename = "Idempotency-Key")]
    #[param(required = false)]
    idempotency_key: Option<String>,
}

/// Headers and query of a change of something existing.
#[derive(IntoParams, Deserialize)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the document generator alone")]
pub(crate) struct ChangeParams {
    /// The revision the change was made for, as its `ETag` gave it (`"17"`), or `*` for whichever.
    #[serde(rename = "If-Match")]
    if_match: String,
    /// 1 to 128 printable ASCII characters. The same key again, by the same token, is the same change: it
    /// answers as the first one did, with `"repeated": true`; with another change it is refused. Whoever chose it
    /// asks `/api/v1/ops/{key}` what became of it.
    #[serde(rename = "Idempotency-Key")]
    #[param(required = false)]
    idempotency_key: Option<String>,
}

/// Like [`ChangeParams`], where naming the revision is left to the caller.
#[derive(IntoParams, Deserialize)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the document generator alone")]
pub(crate) struct MayMatchParams {
    /// The revision the change was made for, as its `ETag` gave it (`"17"`), or `*`. Left out: whichever.
    #[serde(rename = "If-Match")]
    #[param(required = false)]
    if_match: Option<String>,
    /// 1 to 128 printable ASCII characters. The same key again, by the same token, is the same change: it
    /// answers as the first one did, with `"repeated": true`; with another change it is refused. Whoever chose it
    /// asks `/api/v1/ops/{key}` what became of it.
    #[serde(rename = "Idempotency-Key")]
    #[param(required = false)]
    idempotency_key: Option<String>,
}

/// The query that every change understands.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WhyParams {
    /// Why, in the words that the history keeps.
    why: Option<String>,
    /// Let it happen at this later time, once people agreed where that is needed.
    #[param(value_type = Option<String>)]
    at: Option<String>,
}

impl FromRequestParts<Control> for Intent {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, control: &Control) -> Result<Self, ApiError> {
        let Caller { actor, signed_in } = Caller::from_request_parts(parts, control).await?;
        let if_match = if_match(&parts.headers)?;
        let op = match idempotency_key(&parts.headers)? {
            Some(key) => op_of(&actor.id, key),
            None => control.node.new_op(),
        };
        let query = Query::<WhyParams>::try_from_uri(&parts.uri).map_err(|_| {
            ApiError::field(
                "why",
                "the query does not parse; percent-encode it as UTF-8",
            )
        })?;
        let WhyParams { why, at } = query.0;
        let why = why.filter(|why| !why.trim().is_empty());
        let enact_at = at
            .map(|at| at.parse().map_err(|_| bad_time()))
            .transpose()?;
        if why
            .as_ref()
            .is_some_and(|why| why.len() > limits::TEXT_BYTES)
        {
            let detail = format!(
                "`why` is limited to {} bytes; shorten it",
                limits::TEXT_BYTES
            );
            return Err(ApiError::field("why", detail));
        }
        Ok(Self {
            actor,
            signed_in,
            op,
            if_match,
            enact_at,
            why,
        })
    }
}

fn bad_time() -> ApiError {
    ApiError::field(
        "at",
        "`at` is an instant with its offset, such as 2026-12-01T08:00:00+08:00",
    )
}

fn if_match(headers: &HeaderMap) -> Result<Option<IfMatch>, ApiError> {
    let mut given = headers.get_all(IF_MATCH).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return if headers.contains_key(IF_MATCH) {
            Err(bad_if_match())
        } else {
            Ok(None)
        };
    };
    let text = value.to_str().map_err(|_| bad_if_match())?.trim();
    if text == "*" {
        return Ok(Some(IfMatch::Any));
    }
    let digits = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(bad_if_match)?;
    Ok(Some(IfMatch::Revision(Revision::new(number))))
}

fn bad_if_match() -> ApiError {
    let detail =
        "`If-Match` names one revision as its ETag gave it, such as \"17\" in quotes, or is `*`";
    ApiError::header("If-Match", detail)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    const NAME: &str = "Idempotency-Key";
    let mut given = headers.get_all(NAME).iter();
    let Some(value) = given.next() else {
        return Ok(None);
    };
    let printable = |key: &&str| {
        (1..=KEY_BYTES).contains(&key.len())
            && key.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    };
    match (value.to_str().ok().filter(printable), given.next()) {
        (Some(key), None) => Ok(Some(key)),
        _ => Err(ApiError::header(
            NAME,
            "`Idempotency-Key` is one value of 1 to 128 printable ASCII characters",
        )),
    }
}

/// The op of an idempotency key: by the hash of who says it, so that nobody meets a change of somebody else's
/// by repeating its name.
pub(super) fn op_of(actor: &str, key: &str) -> OpId {
    derived_op(&["huidu op", actor, key])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn if_match_is_one_quoted_revision_or_a_star() {
        for (values, expected) in [
            (&[][..], None),
            (&["*"], Some(IfMatch::Any)),
            (&["\"17\""], Some(IfMatch::Revision(Revision::new(17)))),
        ] {
            assert_eq!(
                if_match(&headers("if-match", values)).unwrap(),
                expected,
                "{values:?}"
            );
        }
        for values in [
            &["17"][..],
            &["\"\""],
            &["\"x\""],
            &["W/\"17\""],
            &["\"1\", \"2\""],
            &["*", "*"],
            &["\"+1\""],
        ] {
            assert!(
                if_match(&headers("if-match", values)).is_err(),
                "{values:?}"
            );
        }
    }

    #[test]
    fn a_key_is_an_op_of_its_actor_alone() {
        const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        assert_ne!(op_of("ann", ULID).as_str(), ULID);
        assert_ne!(op_of("ann", ULID), op_of("bob", ULID));
        assert_eq!(op_of("ann", "deploy 7"), op_of("ann", "deploy 7"));
        assert_ne!(op_of("ann", "deploy 7"), op_of("bob", "deploy 7"));
        assert_ne!(op_of("ann", "deploy 7"), op_of("annd", "eploy 7"));
        let longest = "k".repeat(KEY_BYTES);
        for (values, good) in [
            (&["a"][..], true),
            (&[&longest], true),
            (&[&(longest.clone() + "k")], false),
            (&[""], false),
            (&["a", "a"], false),
        ] {
            assert_eq!(
                idempotency_key(&headers("idempotency-key", values)).is_ok(),
                good,
                "{values:?}"
            );
        }
    }
}
