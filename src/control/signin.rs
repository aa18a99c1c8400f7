//! Sign-in of people: there to the identity provider, back, out again, and who one is.
//!
//! What a provider vouches for is decided in `crate::signin`; who of the catalogue that is, here. The answer to
//! the browser that comes back is a page, not a redirect: to the browser a redirect would still be the
//! provider's doing, and it would keep the strict cookie to itself.

use axum::{
    body::Body,
    extract::{Query, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE},
    },
    response::Response,
};
use huidu_core::{authority::Role, name::MemberId, time::Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Control,
    auth::Known,
    body::Json,
    door,
    error::ApiError,
    openapi::{ReadRefusals, SignInRefusals},
    session::{self, BEARER, STATE},
    wire,
};
use crate::signin::{Finished, Machine, Return, SignIn, Wish};

/// Where one goes on to when nobody says.
const WHOAMI: &str = "/api/v1/whoami";

/// How to sign in.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct BeginParams {
    /// Prove anew who you are, whatever the provider remembers; needed for what answers `sign-in-again`.
    fresh: Option<String>,
    /// The path of this server to go on to afterwards.
    next: Option<String>,
    /// A command line's port on loopback; together with `challenge` and `state`.
    port: Option<u16>,
    /// SHA-256, in base64url, of the verifier that the command line will show.
    challenge: Option<String>,
    /// What the command line knows its answer by.
    state: Option<String>,
}

/// What the provider sends back.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct BackParams {
    /// What stands for the sign-in until it is exchanged.
    code: Option<String>,
    /// The state it was sent with.
    state: Option<String>,
    /// The provider, as it names itself.
    iss: Option<String>,
    /// Why there is no code.
    error: Option<String>,
}

/// What a command line claims its session with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    /// What the browser brought.
    grant: String,
    /// What its challenge was made of.
    verifier: String,
}

/// The session of a command line.
#[derive(Debug, Serialize, ToSchema)]
struct Claimed {
    /// To be sent as `Authorization: Bearer hs_…`.
    token: String,
    /// Until when it holds.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// Whom it stands for.
    #[schema(value_type = String)]
    member: MemberId,
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
struct Whoami {
    /// The credential's public name, or `member/<id>` for whoever signed in.
    id: String,
    /// What they may do.
    #[schema(schema_with = super::openapi::role)]
    role: Role,
    /// The person, where the credential is a person's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    member: Option<MemberId>,
    /// The name people know.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// The session, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionLine>,
}

/// A session as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
struct SessionLine {
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    begun: Timestamp,
    /// Until when it holds when it is not used again.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// When the person last proved who they are, where the provider says so.
    #[schema(value_type = Option<String>, format = DateTime)]
    auth_time: Option<Timestamp>,
    /// Whether that is fresh enough for what is grave.
    fresh: bool,
}

fn signin(control: &Control) -> Result<&SignIn, ApiError> {
    control.signin.as_deref().ok_or(ApiError::NoSignIn)
}

fn answer(status: StatusCode, headers: Vec<(HeaderName, Option<HeaderValue>)>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let no_referrer = Some(HeaderValue::from_static("no-referrer"));
    let all = headers.into_iter().chain([(REFERRER_POLICY, no_referrer)]);
    for (name, value) in all {
        if let Some(value) = value {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// Begin to sign in: leads to the identity provider
#[utoipa::path(get, path = "/api/v1/signin", tag = "signin", params(BeginParams),
    responses((status = 303, description = "To the identity provider.",
        headers(("Location" = String), ("Set-Cookie" = String, description = "`__Host-huidu-signin`, for ten minutes."))),
        SignInRefusals))]
pub(super) async fn begin(
    State(control): State<Control>,
    query: Result<Query<BeginParams>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    let signin = signin(&control)?;
    let Query(asked) = query.map_err(|_| unreadable())?;
    let machine = match (asked.port, asked.challenge, asked.state) {
        (None, None, None) => None,
        (Some(port), Some(challenge), Some(state)) => Some(Machine {
            port,
            challenge,
            state,
        }),
        _ => {
            let detail =
                "`port`, `challenge` and `state` belong together; give all of them or none";
            return Err(ApiError::field("port", detail));
        }
    };
    let wish = Wish {
        fresh: asked.fresh.is_some(),
        next: asked.next,
        machine,
    };
    let begun = signin.begin(wish, control.node.now()).await?;
    let location = HeaderValue::try_from(begun.location).ok();
    Ok(answer(
        StatusCode::SEE_OTHER,
        vec![
            (LOCATION, location),
            (SET_COOKIE, session::state_cookie(&begun.cookie)),
        ],
    ))
}

fn unreadable() -> ApiError {
    ApiError::field(
        "query",
        "the query does not parse; percent-encode it as UTF-8",
    )
}

/// Come back from the identity provider: the end of a sign-in
#[utoipa::path(get, path = "/api/v1/signin/callback", tag = "signin", params(BackParams),
    responses(
        (status = 200, description = "Signed in; the page leads on.", content_type = "text/html", body = String,
            headers(("Set-Cookie" = String, description = "`__Host-huidu`: the session."))),
        (status = 303, description = "Signed in; to the command line that waits.", headers(("Location" = String))),
        SignInRefusals))]
pub(super) async fn callback(
    State(control): State<Control>,
    headers: HeaderMap,
    query: Result<Query<BackParams>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    let signin = signin(&control)?;
    let Query(back) = query.map_err(|_| unreadable())?;
    let back = Return {
        code: back.code,
        state: back.state,
        iss: back.iss,
        error: back.error,
    };
    let cookie = session::cookie(&headers, STATE);
    let finished = signin.finish(cookie, back, control.node.now()).await;
    let finished = finished.inspect_err(|fault| tracing::warn!(%fault, "sign-in refused"))?;
    let Finished {
        identity,
        auth_time,
        next,
        machine,
    } = finished;
    let known = {
        let catalogue = control.node.catalogue();
        let known = catalogue.trust.member_who_is(&identity);
        known.map(|(member, _)| member.clone())
    };
    let Some(member) = known else {
        tracing::warn!("sign-in refused: the provider vouches for somebody who is no member");
        return Err(ApiError::UnknownPerson(Box::new(identity)));
    };
    tracing::info!(%member, "signed in");
    let now = control.node.now();
    let session = signin.begin_session(member, identity, auth_time, now)?;
    if let Some(machine) = machine {
        let grant = signin.grant(session, machine.challenge, now)?;
        let (port, state) = (machine.port, machine.state);
        let location = format!("http://127.0.0.1:{port}/?grant={grant}&state={state}");
        return Ok(answer(
            StatusCode::SEE_OTHER,
            vec![
                (LOCATION, HeaderValue::try_from(location).ok()),
                (SET_COOKIE, session::no_state_cookie()),
            ],
        ));
    }
    let mut response = answer(
        StatusCode::OK,
        vec![
            (
                SET_COOKIE,
                session::session_cookie(&signin.cookie(&session)?),
            ),
            (SET_COOKIE, session::no_state_cookie()),
            (
                CONTENT_TYPE,
                Some(HeaderValue::from_static("text/html; charset=utf-8")),
            ),
            (
                CONTENT_SECURITY_POLICY,
                Some(HeaderValue::from_static(
                    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
                )),
            ),
        ],
    );
    *response.body_mut() = Body::from(page(next.as_deref().unwrap_or(WHOAMI)));
    Ok(response)
}

/// The page that leads on. `next` was checked when the sign-in began: it holds no letter that means
/// something in HTML but `&`.
fn page(next: &str) -> String {
    let next = next.replace('&', "&amp;");
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>huidu</title>\n<meta http-equiv=\"refresh\" content=\"0;url={next}\">\n<p>Signed in. <a href=\"{next}\">Go on</a></p>\n"
    )
}

/// Claim the session of a command line
///
/// With what the browser brought, and what the challenge was made of; once, within a minute.
#[utoipa::path(post, path = "/api/v1/signin/token", tag = "signin", request_body = Claim,
    responses((status = 200, body = Claimed), SignInRefusals))]
pub(super) async fn token(
    State(control): State<Control>,
    Json(Claim { grant, verifier }): Json<Claim>,
) -> Result<Response, ApiError> {
    let signin = signin(&control)?;
    let session = signin.claim(&grant, &verifier, control.node.now())?;
    let (text, until) = signin.bearer(&session)?;
    let claimed = Claimed {
        token: format!("{BEARER}{text}"),
        until,
        member: session.member,
    };
    Ok(wire::json(StatusCode::OK, &claimed))
}

/// Sign out: ends the session that the request carries
#[utoipa::path(post, path = "/api/v1/signout", tag = "signin",
    responses((status = 204, description = "Signed out, or never signed in.",
        headers(("Set-Cookie" = String, description = "Takes `__Host-huidu` away."))), SignInRefusals))]
pub(super) async fn signout(
    State(control): State<Control>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if door::is_carried(&headers) {
        if !door::is_our_page(&headers) {
            return Err(ApiError::CrossSite);
        }
        let gone = [door::no_cookie(), session::no_session_cookie()];
        let gone = gone.map(|cookie| (SET_COOKIE, cookie));
        return Ok(answer(StatusCode::NO_CONTENT, gone.into()));
    }
    let signin = signin(&control)?;
    let carries_cookie = session::cookie(&headers, session::SESSION).is_some();
    if carries_cookie && !session::is_ours(&headers, signin.origin()) {
        return Err(ApiError::CrossSite);
    }
    // A session that is over already needs no ending.
    if let Ok(Some(signed_in)) = session::carried(signin, &headers, &control) {
        signin.end(&signed_in.session, control.node.now());
    }
    let gone = session::no_session_cookie();
    Ok(answer(StatusCode::NO_CONTENT, vec![(SET_COOKIE, gone)]))
}

/// Who you are to huidu
#[utoipa::path(get, path = "/api/v1/whoami", tag = "signin", security(("token" = [])),
    responses((status = 200, body = Whoami), ReadRefusals))]
pub(super) async fn whoami(State(control): State<Control>, Known(caller): Known) -> Response {
    let now = control.node.now();
    let catalogue = control.node.catalogue();
    let of_token = || catalogue.tokens.get(&caller.actor.id)?.member.clone();
    let member = match &caller.signed_in {
        Some(signed_in) => Some(signed_in.session.member.clone()),
        None => of_token(),
    };
    let known = member
        .as_ref()
        .and_then(|member| catalogue.trust.members.get(member));
    let title = known.map(|known| known.title.clone());
    let session = caller.signed_in.map(|signed_in| SessionLine {
        begun: signed_in.session.begun,
        until: signed_in.until,
        auth_time: signed_in.session.auth_time,
        fresh: signed_in.session.is_fresh(now),
    });
    let whoami = Whoami {
        id: caller.actor.id,
        role: caller.actor.role,
        member,
        title: title.filter(|title| !title.is_empty()),
        session,
    };
    wire::json(StatusCode::OK, &whoami)
}
