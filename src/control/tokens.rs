//! Credentials: given out, listed, taken back. A secret is shown once and kept nowhere.

use axum::{extract::State, http::StatusCode, response::Response};
use huidu_core::{command::Command, credential::Expiry};

use super::{
    Control,
    auth::Caller,
    body::{At, Json},
    error::ApiError,
    openapi::{NewRefusals, ReadRefusals},
    precondition::{Intent, NewParams, WhyParams},
    token::{Kind, Token},
    wire::{self, Changed, GivenToken, NewToken, TokenLine, TokenState},
};

/// The credentials, without their secrets
///
/// When each was last shown is what this very node saw since it was started; another one may have seen more.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", security(("token" = [])),
    responses((status = 200, body = [TokenLine]), ReadRefusals))]
pub(super) async fn list(
    State(control): State<Control>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.sees_tokens()?;
    let catalogue = control.node.catalogue();
    let (now, used) = (control.node.now(), control.used.of(&catalogue));
    let lines = catalogue.tokens.iter().map(|(id, token)| TokenLine {
        id: id.clone(),
        role: token.role.clone(),
        note: token.note.clone(),
        member: token.member.clone(),
        scopes: token.scopes.clone(),
        expires: token.expires,
        state: match (token.holds(now), token.expires_soon(now)) {
            (false, _) => TokenState::Expired,
            (true, true) => TokenState::ExpiresSoon,
            (true, false) => TokenState::Holds,
        },
        last_used: used.get(id).copied(),
    });
    Ok(wire::json(StatusCode::OK, &lines.collect::<Vec<_>>()))
}

/// Give out a credential
///
/// The secret is in this answer and never again: a repeated request leaves it out. It holds for 90 days where
/// nothing else is said, and for 366 at most.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", security(("token" = [])),
    params(NewParams, WhyParams), request_body = NewToken,
    responses((status = 201, body = GivenToken), NewRefusals))]
pub(super) async fn add(
    State(control): State<Control>,
    intent: Intent,
    Json(asked): Json<NewToken>,
) -> Result<Response, ApiError> {
    let NewToken {
        role,
        note,
        member,
        expires,
        scopes,
    } = asked;
    let token = Token::generate_for(Kind::of(&role), intent.op.as_str())
        .map_err(|_| ApiError::NoRandomness)?;
    let id = token.id().to_owned();
    let command = Command::AddToken {
        id: id.clone(),
        sha256: token.sha256(),
        role,
        note,
        member,
        expires: expires.map_or(Expiry::Usual, Expiry::At),
        scopes,
    };
    let written = control.write(intent, None, command).await?;
    let token = (!written.repeated).then(|| token.to_string());
    let expires = (control.node.catalogue().tokens.get(&id)).and_then(|token| token.expires);
    Ok(wire::json(
        StatusCode::CREATED,
        &GivenToken {
            changed: Changed::from(&written),
            id,
            token,
            expires,
        },
    ))
}

/// Take a credential back
///
/// From then on it is nobody's. The last admin token stays.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", security(("token" = [])),
    params(("id" = String, Path, description = "The token's public name."), NewParams, WhyParams),
    responses((status = 200, body = Changed), NewRefusals))]
pub(super) async fn revoke(
    State(control): State<Control>,
    intent: Intent,
    At(id): At<String>,
) -> Result<Response, ApiError> {
    let written = control
        .write(intent, None, Command::RevokeToken { id })
        .await?;
    Ok(wire::json(StatusCode::OK, &Changed::from(&written)))
}
