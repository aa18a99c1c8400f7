//! Members: the people whose tokens and sign-ins there are. Four eyes are theirs.

use axum::{extract::State, http::StatusCode, response::Response};
use huidu_core::{authority::Role, command::Command, name::MemberId, trust::Identity};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Control,
    auth::Caller,
    body::{At, Json},
    error::ApiError,
    openapi::{NewRefusals, ReadRefusals},
    precondition::{Intent, NewParams, WhyParams},
    wire::{self, Changed},
};

/// What is known of a person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    /// The name people know.
    #[serde(default)]
    #[schema(required = false)]
    title: String,
    /// What the person may do; the person's tokens have this role.
    #[schema(schema_with = super::openapi::role)]
    role: Role,
    /// Who the person is to the identity provider: `{"issuer": …, "subject": …}`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    identity: Option<Identity>,
}

/// A person in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberLine {
    /// The person.
    #[schema(value_type = String)]
    member: MemberId,
    /// The name people know.
    title: String,
    /// What the person may do; the person's tokens have this role.
    #[schema(schema_with = super::openapi::role)]
    role: Role,
    /// Who the person is to the identity provider: `{"issuer": …, "subject": …}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    identity: Option<Identity>,
    /// How many tokens the person has.
    tokens: usize,
}

/// The person that a path names.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct MemberParams {
    /// The person.
    member: String,
}

impl MemberParams {
    fn name(self) -> Result<MemberId, ApiError> {
        let parsed = self.member.parse::<MemberId>();
        parsed.map_err(|error| ApiError::field("member", error.to_string()))
    }
}

/// The people
#[utoipa::path(get, path = "/api/v1/members", tag = "members", security(("token" = [])),
    responses((status = 200, body = [MemberLine]), ReadRefusals))]
pub(super) async fn list(
    State(control): State<Control>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.sees_people()?;
    let catalogue = control.node.catalogue();
    let line = |(member, known): (&MemberId, &huidu_core::trust::Member)| MemberLine {
        member: member.clone(),
        title: known.title.clone(),
        role: known.role.clone(),
        identity: known.identity.clone(),
        tokens: (catalogue.tokens.values())
            .filter(|token| token.member.as_ref() == Some(member))
            .count(),
    };
    let lines: Vec<_> = catalogue.trust.members.iter().map(line).collect();
    Ok(wire::json(StatusCode::OK, &lines))
}

/// Admit a person, or change what is known of one
///
/// Another role takes the person's tokens back.
#[utoipa::path(put, path = "/api/v1/members/{member}", tag = "members", security(("token" = [])),
    params(MemberParams, NewParams, WhyParams), request_body = Member,
    responses((status = 200, body = Changed), NewRefusals))]
pub(super) async fn put(
    State(control): State<Control>,
    At(member): At<MemberParams>,
    intent: Intent,
    Json(Member {
        title,
        role,
        identity,
    }): Json<Member>,
) -> Result<Response, ApiError> {
    let command = Command::PutMember {
        member: member.name()?,
        title,
        role,
        identity,
    };
    let written = control.write(intent, None, command).await?;
    Ok(wire::json(StatusCode::OK, &Changed::from(&written)))
}

/// Let a person go, and take the person's tokens back
#[utoipa::path(delete, path = "/api/v1/members/{member}", tag = "members", security(("token" = [])),
    params(MemberParams, NewParams, WhyParams),
    responses((status = 200, body = Changed), NewRefusals))]
pub(super) async fn remove(
    State(control): State<Control>,
    At(member): At<MemberParams>,
    intent: Intent,
) -> Result<Response, ApiError> {
    let member = member.name()?;
    let written = control
        .write(intent, None, Command::RemoveMember { member })
        .await?;
    Ok(wire::json(StatusCode::OK, &Changed::from(&written)))
}
