//! The browser's door for tokens: a token is shown once and becomes a cookie that no script can read.
//!
//! A page that held a token in its own memory would hand it to whatever script gets in. The cookie carries the
//! token itself, so it is worth what the token is, for as long, and ends with the browser; a change by it comes
//! from a page of this very server. Where people must sign in by their provider, no person's token opens anything,
//! by cookie or otherwise.

use axum::{
    body::Body,
    extract::State,
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{AUTHORIZATION, SET_COOKIE},
    },
    response::Response,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Control,
    auth::{Denied, Known},
    body::Json,
    error::ApiError,
    openapi::SignInRefusals,
    session,
    token::Token,
    wire,
};

/// The cookie of a token.
const TOKEN: &str = "__Host-huidu-token";

/// How one gets in.
#[derive(Debug, Serialize, ToSchema)]
struct Doors {
    /// By the bank's identity provider, at `/api/v1/signin`.
    provider: bool,
    /// By a person's token.
    token: bool,
}

/// A token to be shown once.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ShownToken {
    /// `hd_…`.
    token: String,
}

/// How one signs in here
#[utoipa::path(get, path = "/api/v1/session", tag = "signin",
    responses((status = 200, body = Doors)))]
pub(super) async fn doors(State(control): State<Control>) -> Response {
    let demanding = control.node.catalogue().trust.chain.is_for_customers();
    let signin = control.signin.as_ref();
    let doors = Doors {
        provider: signin.is_some(),
        token: !signin.is_some_and(|signin| signin.is_required(demanding)),
    };
    wire::json(StatusCode::OK, &doors)
}

/// Sign a browser in by a token: answers with a cookie that no script reads
///
/// From a page of this server alone. The cookie ends with the browser, with the token, or with
/// `POST /api/v1/signout`.
#[utoipa::path(post, path = "/api/v1/session", tag = "signin", request_body = ShownToken,
    responses((status = 204, description = "Signed in.",
        headers(("Set-Cookie" = String, description = "`__Host-huidu-token`."))), SignInRefusals))]
pub(super) async fn enter(
    State(control): State<Control>,
    headers: HeaderMap,
    Json(ShownToken { token }): Json<ShownToken>,
) -> Result<Response, ApiError> {
    if !is_our_page(&headers) {
        return Err(ApiError::CrossSite);
    }
    let token = token.trim().parse::<Token>().map_err(Denied::from)?;
    Known::by_token(&control, &token)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Some(cookie) = session::strict_cookie(TOKEN, &token.to_string()) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Takes the cookie of a token away.
pub(super) fn no_cookie() -> Option<HeaderValue> {
    session::no_strict_cookie(TOKEN)
}

/// True when the request carries one.
pub(super) fn is_carried(headers: &HeaderMap) -> bool {
    session::cookie(headers, TOKEN).is_some()
}

/// The token that a browser carries, where nothing was said by hand.
pub(super) fn carried(method: &Method, headers: &HeaderMap) -> Result<Option<Token>, ApiError> {
    if headers.contains_key(AUTHORIZATION) {
        return Ok(None);
    }
    let Some(text) = session::cookie(headers, TOKEN) else {
        return Ok(None);
    };
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if !reads && !is_our_page(headers) {
        return Err(ApiError::CrossSite);
    }
    Ok(Some(text.parse().map_err(Denied::from)?))
}

/// Whether a page of this very server asks. Browsers say so in a header that no page can write, wherever they
/// keep such a cookie at all; who says nothing is not let in.
pub(super) fn is_our_page(headers: &HeaderMap) -> bool {
    let mut said = headers.get_all("sec-fetch-site").iter();
    let first = said.next().is_some_and(|site| site == "same-origin");
    first && said.next().is_none()
}
