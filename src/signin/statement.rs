//! A provider's statement, an ID token: read strictly, and believed only when everything holds.
//!
//! The order is fixed: the form, the algorithm against the list of ours, the key by its name, the signature
//! over the bytes as they came, and only then what is stated. Nothing that a statement says about how to
//! check it is followed beyond the choice among the provider's own keys.

use data_encoding::BASE64URL_NOPAD;
use huidu_core::time::Timestamp;
use serde::Deserialize;

use super::{
    SKEW_MS,
    jwk::{Algorithm, Found, Keys},
};

/// Bytes of a statement.
const BYTES: usize = 16 * 1024;
/// Bytes of who is meant.
const SUBJECT_BYTES: usize = 255;
/// How old a statement may be when it comes: it was made for this very exchange.
const AGE_MS: u64 = 10 * 60 * 1_000;

/// Why a statement is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatementFault {
    /// Not three parts of base64url with JSON in them.
    #[error("the identity provider's statement is not a signed token")]
    Form,
    /// `none`, something symmetric, something unknown.
    #[error("the identity provider's statement is signed in a way that is not taken")]
    Algorithm,
    /// It wants to be checked in a way that we do not know.
    #[error("the identity provider's statement has critical parts that are not known here")]
    Critical,
    /// No such key.
    #[error(
        "the identity provider's statement is signed by a key that the provider does not publish"
    )]
    UnknownKey,
    /// A key for something else.
    #[error("the identity provider's statement is signed by a key that is not for it")]
    OtherKey,
    /// Somebody else's.
    #[error("the identity provider's statement has a wrong signature")]
    Signature,
    /// By another provider.
    #[error("the statement is by another identity provider")]
    Issuer,
    /// For somebody else.
    #[error("the identity provider's statement is for another application")]
    Audience,
    /// Handed to somebody else.
    #[error("the identity provider's statement was made for another application")]
    Party,
    /// Over.
    #[error("the identity provider's statement has expired; begin again")]
    Expired,
    /// Not yet.
    #[error("the identity provider's statement is from the future; compare the clocks of both")]
    Early,
    /// Not for this exchange.
    #[error("the identity provider's statement belongs to another sign-in; begin again")]
    Nonce,
    /// About nobody.
    #[error("the identity provider's statement names nobody")]
    Subject,
    /// The person did not prove anew who they are.
    #[error(
        "the identity provider did not let you sign in anew; it must support `prompt=login` and state `auth_time`"
    )]
    NotAnew,
}

/// What a statement is measured by.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    /// When the person had to prove anew who they are, if they had to.
    pub(super) anew_since: Option<Timestamp>,
    pub(super) now: Timestamp,
}

/// What is believed.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) subject: String,
    pub(super) auth_time: Option<Timestamp>,
}

/// Everything of a statement that is looked at before its signature.
pub(super) struct Unproved<'a> {
    algorithm: Algorithm,
    kid: Option<String>,
    signed: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: Seconds,
    nbf: Option<Seconds>,
    iat: Seconds,
    nonce: Option<String>,
    auth_time: Option<Seconds>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Seconds since 1970; some providers write fractions.
#[derive(Clone, Copy, Deserialize)]
#[serde(transparent)]
struct Seconds(f64);

impl Seconds {
    /// The instant; what is before 1970 or not a number is 1970.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and that is what is meant"
    )]
    fn instant(self) -> Timestamp {
        Timestamp::from_unix_ms((self.0 * 1_000.0) as u64)
    }
}

impl<'a> Unproved<'a> {
    /// Reads the form and nothing else.
    pub(super) fn read(text: &'a str) -> Result<Self, StatementFault> {
        if text.len() > BYTES {
            return Err(StatementFault::Form);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(StatementFault::Form)?;
        let (head, claims) = signed.split_once('.').ok_or(StatementFault::Form)?;
        if claims.contains('.') {
            return Err(StatementFault::Form);
        }
        let head: Head = json(head)?;
        let algorithm = Algorithm::named(&head.alg).ok_or(StatementFault::Algorithm)?;
        if head.crit.is_some() {
            return Err(StatementFault::Critical);
        }
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes());
        Ok(Self {
            algorithm,
            kid: head.kid,
            signed,
            claims,
            signature: signature.map_err(|_| StatementFault::Form)?,
        })
    }

    /// True when a newer set of keys may hold the one that is named.
    pub(super) fn misses_its_key(&self, keys: &Keys) -> bool {
        matches!(
            keys.find(self.kid.as_deref(), self.algorithm),
            Found::Unknown
        )
    }

    /// Believes it when it is by one of `keys` and states what is expected.
    pub(super) fn proved(
        &self,
        keys: &Keys,
        expected: &Expected<'_>,
    ) -> Result<Statement, StatementFault> {
        let key = match keys.find(self.kid.as_deref(), self.algorithm) {
            Found::Key(key) => key,
            Found::Unknown => return Err(StatementFault::UnknownKey),
            Found::Unfit => return Err(StatementFault::OtherKey),
        };
        if !key.signed(self.signed.as_bytes(), &self.signature) {
            return Err(StatementFault::Signature);
        }
        let claims: Claims = json(self.claims)?;
        believed(claims, expected)
    }
}

fn believed(claims: Claims, expected: &Expected<'_>) -> Result<Statement, StatementFault> {
    if claims.iss != expected.issuer {
        return Err(StatementFault::Issuer);
    }
    let (is_for_us, is_for_others) = match &claims.aud {
        Audience::One(one) => (one == expected.client_id, false),
        Audience::Many(many) => (
            many.iter().any(|one| one == expected.client_id),
            many.iter().any(|one| one != expected.client_id),
        ),
    };
    if !is_for_us {
        return Err(StatementFault::Audience);
    }
    match claims.azp.as_deref() {
        Some(party) if party != expected.client_id => return Err(StatementFault::Party),
        None if is_for_others => return Err(StatementFault::Party),
        _ => {}
    }
    let now = expected.now.unix_ms();
    let at = |seconds: Seconds| seconds.instant().unix_ms();
    if at(claims.exp).saturating_add(SKEW_MS) <= now || at(claims.iat).saturating_add(AGE_MS) <= now
    {
        return Err(StatementFault::Expired);
    }
    let earliest = [Some(claims.iat), claims.nbf, claims.auth_time];
    if earliest
        .into_iter()
        .flatten()
        .any(|instant| at(instant) > now.saturating_add(SKEW_MS))
    {
        return Err(StatementFault::Early);
    }
    if claims.nonce.as_deref() != Some(expected.nonce) {
        return Err(StatementFault::Nonce);
    }
    if claims.sub.is_empty() || claims.sub.len() > SUBJECT_BYTES {
        return Err(StatementFault::Subject);
    }
    let auth_time = claims.auth_time.map(Seconds::instant);
    if let Some(since) = expected.anew_since
        && auth_time.is_none_or(|at| at.unix_ms().saturating_add(SKEW_MS) < since.unix_ms())
    {
        return Err(StatementFault::NotAnew);
    }
    Ok(Statement {
        subject: claims.sub,
        auth_time,
    })
}

fn json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, StatementFault> {
    let bytes = BASE64URL_NOPAD.decode(part.as_bytes());
    let bytes = bytes.map_err(|_| StatementFault::Form)?;
    serde_json::from_slice(&bytes).map_err(|_| StatementFault::Form)
}
