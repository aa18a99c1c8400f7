//! Who asks: a bearer token or a session becomes an [`Actor`], or nobody.
//!
//! What an actor may *change* is decided in the core (`authorise`); what it may *see* is decided here,
//! because seeing is not a command. A partner sees its own tenant and nothing else, and what it may not
//! see looks exactly as what does not exist.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, header::AUTHORIZATION, request::Parts},
};
use huidu_core::{
    authority::{Forbidden, Role},
    catalogue::{App, Catalogue},
    digest::Digest,
    event::Actor,
    name::{AppId, TenantId},
    time::Timestamp,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    Control,
    body::At,
    door,
    error::ApiError,
    session,
    token::{Kind, Token, TokenFault},
};
use crate::signin::{SessionOver, SignedIn};

/// Somebody who showed a token that this node knows, or signed in.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Who.
    pub(crate) actor: Actor,
    /// The session, for whoever signed in.
    pub(crate) signed_in: Option<SignedIn>,
}

/// Why nobody is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    /// No token at all.
    #[error("this needs a token; send `Authorization: Bearer hd_…`")]
    Missing,
    /// Something that is no token.
    #[error(transparent)]
    Fault(#[from] TokenFault),
    /// A token that was never given out, or was revoked.
    #[error("this token is not known; it was revoked, or belongs to another installation")]
    Unknown,
    /// A token whose time is over.
    #[error(
        "this token expired at {at}; an administrator gives out the next one with `huidu token add`"
    )]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// A person's token, where people sign in.
    #[error(
        "people sign in here, and their tokens open nothing; run `huidu login`, or open `/api/v1/signin`"
    )]
    OfAPerson,
    /// A session that counts for nothing.
    #[error(transparent)]
    Session(SessionOver),
    /// A session of somebody who is no member any more, or is known otherwise to the provider.
    #[error("whom this session stands for is not a member any more; ask an administrator")]
    NoMember,
}

impl Caller {
    /// The app, when it is there and may be seen.
    pub(crate) fn app<'a>(
        &self,
        catalogue: &'a Catalogue,
        app: &AppId,
    ) -> Result<&'a App, ApiError> {
        self.may_name(app)?;
        catalogue
            .apps
            .get(app)
            .map(|app| &**app)
            .ok_or_else(|| ApiError::no_app(app.as_str()))
    }

    /// Lets a name of the caller's own tenant through, whether or not it exists.
    pub(crate) fn may_name(&self, app: &AppId) -> Result<(), ApiError> {
        if self.sees_tenant(app.tenant()) {
            Ok(())
        } else {
            Err(ApiError::no_app(app.as_str()))
        }
    }

    /// True when what belongs to `tenant` may be seen.
    pub(crate) fn sees_tenant(&self, tenant: &str) -> bool {
        self.actor
            .role
            .tenant()
            .is_none_or(|own| own.as_str() == tenant)
    }

    /// Lets a look through: a credential may be narrowed to changing things.
    pub(crate) fn may_see(&self, catalogue: &Catalogue) -> Result<(), ApiError> {
        let token = catalogue.tokens.get(&self.actor.id);
        Ok(token.map_or(Ok(()), huidu_core::catalogue::Token::lets_see)?)
    }

    /// Lets everybody of the bank through, no partner.
    pub(crate) fn of_the_bank(&self, verb: &'static str) -> Result<(), ApiError> {
        self.unless(matches!(self.actor.role, Role::Partner(_)), verb)
    }

    /// Lets through who may know which credentials there are.
    pub(crate) fn sees_tokens(&self) -> Result<(), ApiError> {
        let sees = matches!(
            self.actor.role,
            Role::Admin | Role::Security | Role::Auditor
        );
        self.unless(!sees, "see tokens")
    }

    /// Lets through who may know which people there are.
    pub(crate) fn sees_people(&self) -> Result<(), ApiError> {
        let sees = matches!(
            self.actor.role,
            Role::Admin | Role::Security | Role::Auditor
        );
        self.unless(!sees, "see members")
    }

    fn unless(&self, refused: bool, verb: &'static str) -> Result<(), ApiError> {
        if refused {
            let role = self.actor.role.word();
            return Err(Forbidden::Role { role, verb }.into());
        }
        Ok(())
    }
}

/// Somebody with a credential, whatever it was narrowed to: for what concerns nobody but the caller.
#[derive(Debug, Clone)]
pub(crate) struct Known(pub(crate) Caller);

impl FromRequestParts<Control> for Known {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, control: &Control) -> Result<Self, ApiError> {
        if let Some(caller) = session::caller(control, &parts.method, &parts.headers)? {
            return Ok(Self(caller));
        }
        let token = match door::carried(&parts.method, &parts.headers)? {
            Some(token) => token,
            None => bearer(&parts.headers)?,
        };
        Self::by_token(control, &token)
    }
}

impl Known {
    /// Whom a token stands for, now.
    pub(crate) fn by_token(control: &Control, token: &Token) -> Result<Self, ApiError> {
        let now = control.node.now();
        let catalogue = control.node.catalogue();
        let actor = actor_of(&catalogue, token, now)?;
        control.used.note(&actor.id, now);
        let demanding = catalogue.trust.chain.is_for_customers();
        let people_sign_in =
            (control.signin.as_ref()).is_some_and(|signin| signin.is_required(demanding));
        let owner = (catalogue.tokens.get(&actor.id)).and_then(|token| token.member.as_ref());
        if people_sign_in && owner.is_some() {
            return Err(Denied::OfAPerson.into());
        }
        Ok(Self(Caller {
            actor,
            signed_in: None,
        }))
    }
}

impl FromRequestParts<Control> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, control: &Control) -> Result<Self, ApiError> {
        let Known(caller) = Known::from_request_parts(parts, control).await?;
        if matches!(parts.method, Method::GET | Method::HEAD) {
            caller.may_see(&control.node.catalogue())?;
        }
        Ok(caller)
    }
}

fn bearer(headers: &HeaderMap) -> Result<Token, Denied> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let value = given.next().ok_or(Denied::Missing)?;
    if given.next().is_some() {
        return Err(TokenFault::NotAToken.into());
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or(TokenFault::NotAToken)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Denied::Missing);
    }
    Ok(token.trim().parse::<Token>()?)
}

fn actor_of(catalogue: &Catalogue, token: &Token, now: Timestamp) -> Result<Actor, Denied> {
    // An unknown id is compared too, so that the time taken says nothing about which ids exist.
    const NOBODY: Digest = Digest::from_bytes([0; 32]);
    let kept = catalogue.tokens.get(token.id());
    let proven = token.proves(kept.map_or(&NOBODY, |kept| &kept.sha256));
    let kept = kept
        .filter(|kept| proven && Kind::of(&kept.role) == token.kind())
        .ok_or(Denied::Unknown)?;
    if let Some(at) = kept.expires.filter(|_| !kept.holds(now)) {
        return Err(Denied::Expired { at });
    }
    Ok(Actor {
        id: token.id().to_owned(),
        role: kept.role.clone(),
    })
}

/// The app that a path names.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AppParams {
    /// The app's tenant.
    tenant: String,
    /// The app's name within its tenant.
    app: String,
}

/// The app that a path names, of a tenant that the caller may name. Whether it exists is not asked: this
/// node may be a moment behind, and the writer looks anyway.
#[derive(Debug, Clone)]
pub(crate) struct NamedApp {
    /// Who asks.
    pub(crate) caller: Caller,
    /// The app.
    pub(crate) app: AppId,
}

impl FromRequestParts<Control> for NamedApp {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, control: &Control) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, control).await?;
        let At(AppParams { tenant, app }) = At::from_request_parts(parts, control).await?;
        let written = format!("{tenant}/{app}");
        // What is not a name cannot exist; the answer is the same as for a name nobody uses.
        let app = written.parse().map_err(|_| ApiError::no_app(&written))?;
        caller.may_name(&app)?;
        Ok(Self { caller, app })
    }
}

/// The tenant that a path names.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct TenantParams {
    /// The tenant.
    tenant: String,
}

/// The tenant that a path names, which the caller may name. A foreign one does not exist.
#[derive(Debug, Clone)]
pub(crate) struct NamedTenant(pub(crate) TenantId);

impl FromRequestParts<Control> for NamedTenant {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, control: &Control) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, control).await?;
        let At(TenantParams { tenant }) = At::from_request_parts(parts, control).await?;
        let parsed = tenant.parse::<TenantId>().ok();
        let named = parsed.filter(|tenant| caller.sees_tenant(tenant.as_str()));
        named.map(Self).ok_or_else(|| ApiError::Unknown {
            kind: "tenant",
            name: tenant.chars().take(64).collect(),
            help: "`huidu tenant list` shows them",
        })
    }
}
