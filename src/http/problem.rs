//! `Problem`: a refusal as RFC 9457 problem details, the same on both planes.
//!
//! A problem says what is wrong, where, and what to do. It never repeats a value that a device sent:
//! what devices say about people must reach neither a log line nor a reply that a proxy may keep.

use std::borrow::Cow;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;

use super::body::Body;

/// The media type of a problem.
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Why a request was refused. Boxed, so that a result that may be one stays small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
    field: Option<Cow<'static, str>>,
    errors: Vec<serde_json::Value>,
    headers: HeaderMap,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [serde_json::Value],
}

impl Problem {
    /// A problem. `code` is stable and kebab-case; `title` is the same for every problem of that code;
    /// `detail` is one sentence about this one: what, where, what to do.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Parts {
            status,
            code,
            title,
            detail: detail.into(),
            field: None,
            errors: Vec::new(),
            headers: HeaderMap::new(),
        }))
    }

    /// Names the field that is wrong.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Adds the single mistakes, where there are several.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<serde_json::Value>) -> Self {
        self.0.errors = errors;
        self
    }

    /// Adds a header of the reply (`Allow`, `WWW-Authenticate`, `ETag`).
    #[must_use]
    pub fn with_header(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn with_retry_after(self, seconds: u64) -> Self {
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The status of the reply.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The field that is wrong, where one is.
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// The sentence for people.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The document.
    pub fn to_json(&self) -> Bytes {
        let document = Document {
            kind: format!("urn:huidu:problem:{}", self.0.code),
            title: self.0.title,
            status: self.0.status.as_u16(),
            detail: &self.0.detail,
            code: self.0.code,
            field: self.0.field.as_deref(),
            errors: &self.0.errors,
        };
        // Texts and JSON values always serialise; an empty document would still carry the status.
        serde_json::to_vec(&document).unwrap_or_default().into()
    }

    /// The reply with a body of any kind: the control plane's differs from the device plane's.
    pub fn into_response_with<B: From<Bytes>>(mut self) -> Response<B> {
        let json = self.to_json();
        let mut headers = std::mem::take(&mut self.0.headers);
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let mut response = Response::new(B::from(json));
        *response.status_mut() = self.0.status;
        *response.headers_mut() = headers;
        response
    }

    /// The reply.
    pub fn into_response(self) -> Response<Body> {
        self.into_response_with()
    }
}

impl axum::response::IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        self.into_response_with()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_a_whole_reply() {
        let problem = Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "bad-field",
            "A field is wrong",
            "field `hv` must be a version; send `8.2.1`",
        )
        .with_field("hv")
        .with_retry_after(3);
        let reply = problem.clone().into_response();
        assert_eq!(reply.status(), 422);
        assert_eq!(reply.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(reply.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(reply.headers()[RETRY_AFTER], "3");
        insta::assert_snapshot!(
            String::from_utf8(problem.to_json().to_vec()).unwrap(),
            @r#"{"type":"urn:huidu:problem:bad-field","title":"A field is wrong","status":422,"detail":"field `hv` must be a version; send `8.2.1`","code":"bad-field","field":"hv"}"#
        );
    }
}
