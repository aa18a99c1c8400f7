//! The pinned provider: its discovery document, its keys, and the exchange of a code.
//!
//! The document must name the pinned issuer, and everything it leads to must be as safe to speak to as the
//! issuer itself. What was read is kept for a while; so is the news that it cannot be read, so that a
//! silent provider is not asked once for every request. One reader at a time asks, the others wait for it.

use std::sync::Arc;

use data_encoding::BASE64;
use huidu_core::time::Timestamp;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{
    SignInSettings,
    address::Address,
    fetch::{Fetch, Form},
    jwk::{Algorithm, JwkSet, Keys},
};

/// How long a discovery document holds.
const DISCOVERY_MS: u64 = 60 * 60 * 1_000;
/// How long keys hold.
const KEYS_MS: u64 = 10 * 60 * 1_000;
/// How long keys hold when one is missing among them: whoever invents key names makes us ask no oftener.
const MISSING_MS: u64 = 30 * 1_000;
/// How long a failure holds.
const FAILURE_MS: u64 = 5 * 1_000;

/// Why the provider cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProviderFault {
    /// No answer, or a broken one.
    #[error("the identity provider does not answer; try again in a moment, or ask whoever runs it")]
    Silent,
    /// Something else than success.
    #[error("the identity provider answers {status}; ask whoever runs it")]
    Status {
        /// The status.
        status: u16,
    },
    /// More than any honest answer.
    #[error("the identity provider's answer is too long to be one")]
    TooLong,
    /// Not what was asked for.
    #[error("the identity provider's answer is not the document that was asked for")]
    NotADocument,
    /// Another provider's document.
    #[error(
        "the discovery document names another issuer than setting `signin.issuer`; correct the setting to the letter"
    )]
    Issuer,
    /// It leads somewhere unsafe.
    #[error("the discovery document leads to an address that is not https")]
    Endpoint,
    /// It does not do what is needed.
    #[error("the identity provider does not support {0}")]
    Lacks(&'static str),
    /// No keys that could be used.
    #[error("the identity provider publishes no key that can be used")]
    NoKeys,
    /// It does not know the code.
    #[error("the identity provider does not take the code; begin again")]
    Code,
    /// It does not know us.
    #[error(
        "the identity provider does not know us; correct settings `signin.client_id` and `signin.client_secret`"
    )]
    Client,
    /// It answered without a statement.
    #[error("the identity provider states nothing; setting `signin.scopes` must have `openid`")]
    NoStatement,
    /// Too many at once.
    #[error("as many sign-ins as this node takes are under way; try again in a moment")]
    Busy,
    /// The certificates are none.
    #[error("setting `signin.ca_file` holds no certificates; name a file of PEM")]
    Authorities,
}

/// What a provider says of itself.
#[derive(Debug, Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    response_types_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

/// What of it is used.
#[derive(Debug)]
pub(super) struct Discovery {
    /// Where people are sent.
    pub(super) authorization: Address,
    token: Address,
    keys: Address,
    /// True where the secret travels in the form and not in the header.
    secret_in_form: bool,
    /// True when every answer names its issuer.
    pub(super) names_issuer: bool,
}

/// A provider.
#[derive(Debug)]
pub(super) struct Provider {
    fetch: Fetch,
    issuer: Address,
    client_id: String,
    client_secret: Option<super::seal::Hidden>,
    redirect: String,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    discovery: Option<(Timestamp, Result<Arc<Discovery>, ProviderFault>)>,
    keys: Option<(Timestamp, Result<Arc<Keys>, ProviderFault>)>,
}

/// What the exchange of a code brings; the access token is not for us and is not read.
#[derive(Deserialize)]
struct Exchanged {
    id_token: Option<String>,
}

fn holds(read: Timestamp, now: Timestamp, ms: u64) -> bool {
    // A clock that was set back makes everything old.
    now >= read && now.unix_ms() - read.unix_ms() < ms
}

impl Provider {
    pub(super) fn new(settings: &SignInSettings) -> Result<Self, ProviderFault> {
        Ok(Self {
            fetch: Fetch::new(settings.authorities.as_deref())?,
            issuer: settings.issuer.clone(),
            client_id: settings.client_id.clone(),
            client_secret: settings.client_secret.clone().map(super::seal::Hidden),
            redirect: redirect(settings),
            known: Mutex::default(),
        })
    }

    /// The discovery document.
    pub(super) async fn discovery(&self, now: Timestamp) -> Result<Arc<Discovery>, ProviderFault> {
        let mut known = self.known.lock().await;
        if let Some((read, kept)) = &known.discovery {
            let ms = if kept.is_ok() {
                DISCOVERY_MS
            } else {
                FAILURE_MS
            };
            if holds(*read, now, ms) {
                return kept.clone();
            }
        }
        let read = self.read_discovery().await.map(Arc::new);
        remark("discovery", read.as_ref().err());
        known.discovery = Some((now, read.clone()));
        read
    }

    async fn read_discovery(&self) -> Result<Discovery, ProviderFault> {
        let issuer = self.issuer.as_str().trim_end_matches('/');
        let address = format!("{issuer}/.well-known/openid-configuration");
        let address = Address::parse(&address).map_err(|_| ProviderFault::Endpoint)?;
        let document: Document = self.fetch.get(&address).await?;
        if document.issuer != self.issuer.as_str() {
            return Err(ProviderFault::Issuer);
        }
        let lacks = |list: &Option<Vec<String>>, fits: &dyn Fn(&str) -> bool| {
            list.as_ref()
                .is_some_and(|list| !list.iter().any(|one| fits(one)))
        };
        for (lacks, what) in [
            (
                lacks(&document.response_types_supported, &|one| one == "code"),
                "the code flow",
            ),
            (
                lacks(&document.code_challenge_methods_supported, &|one| {
                    one == "S256"
                }),
                "PKCE with S256",
            ),
            (
                lacks(&document.id_token_signing_alg_values_supported, &|one| {
                    Algorithm::named(one).is_some()
                }),
                "any signature that is taken here",
            ),
        ] {
            if lacks {
                return Err(ProviderFault::Lacks(what));
            }
        }
        let methods = &document.token_endpoint_auth_methods_supported;
        let secret_in_form = lacks(methods, &|one| one == "client_secret_basic");
        if secret_in_form
            && self.client_secret.is_some()
            && lacks(methods, &|one| one == "client_secret_post")
        {
            return Err(ProviderFault::Lacks(
                "client secrets, in a header or in a form",
            ));
        }
        Ok(Discovery {
            authorization: self.endpoint(&document.authorization_endpoint)?,
            token: self.endpoint(&document.token_endpoint)?,
            keys: self.endpoint(&document.jwks_uri)?,
            secret_in_form,
            names_issuer: document.authorization_response_iss_parameter_supported == Some(true),
        })
    }

    /// An address that the provider names: as safe as its own.
    fn endpoint(&self, text: &str) -> Result<Address, ProviderFault> {
        let endpoint = Address::parse_endpoint(text).map_err(|_| ProviderFault::Endpoint)?;
        if endpoint.is_plain() && !self.issuer.is_plain() {
            return Err(ProviderFault::Endpoint);
        }
        Ok(endpoint)
    }

    /// The keys; `misses` when one is missing among those that are kept.
    pub(super) async fn keys(
        &self,
        discovery: &Discovery,
        misses: bool,
        now: Timestamp,
    ) -> Result<Arc<Keys>, ProviderFault> {
        let mut known = self.known.lock().await;
        if let Some((read, kept)) = &known.keys {
            let ms = match kept {
                Ok(_) if misses => MISSING_MS,
                Ok(_) => KEYS_MS,
                Err(_) => FAILURE_MS,
            };
            if holds(*read, now, ms) {
                return kept.clone();
            }
        }
        let read = self.read_keys(discovery).await.map(Arc::new);
        remark("keys", read.as_ref().err());
        known.keys = Some((now, read.clone()));
        read
    }

    async fn read_keys(&self, discovery: &Discovery) -> Result<Keys, ProviderFault> {
        let set: JwkSet = self.fetch.get(&discovery.keys).await?;
        let keys = Keys::from(set);
        if keys.is_empty() {
            return Err(ProviderFault::NoKeys);
        }
        Ok(keys)
    }

    /// Hands a code in and is given a statement, not yet believed.
    pub(super) async fn exchange(
        &self,
        discovery: &Discovery,
        code: &str,
        verifier: &str,
    ) -> Result<String, ProviderFault> {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect),
            ("code_verifier", verifier),
        ];
        let mut authorization = None;
        match &self.client_secret {
            Some(secret) if !discovery.secret_in_form => {
                let pair = format!("{}:{}", escaped(&self.client_id), escaped(&secret.0));
                authorization = Some(format!("Basic {}", BASE64.encode(pair.as_bytes())));
            }
            Some(secret) => {
                fields.extend([
                    ("client_id", &*self.client_id),
                    ("client_secret", &secret.0),
                ]);
            }
            None => fields.push(("client_id", &self.client_id)),
        }
        let form = Form {
            body: encoded(&fields),
            authorization,
        };
        let exchanged: Result<Exchanged, _> = self.fetch.post(&discovery.token, form).await;
        let exchanged = exchanged.map_err(|fault| match fault {
            ProviderFault::Status { status: 400 } => ProviderFault::Code,
            ProviderFault::Status { status: 401 } => ProviderFault::Client,
            fault => fault,
        });
        remark("code", exchanged.as_ref().err());
        exchanged?.id_token.ok_or(ProviderFault::NoStatement)
    }
}

/// Where the provider sends people back to.
pub(super) fn redirect(settings: &SignInSettings) -> String {
    format!("{}/api/v1/signin/callback", settings.home.origin())
}

/// Pairs as a form or a query has them.
pub(super) fn encoded(fields: &[(&str, &str)]) -> String {
    let pairs = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", escaped(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn escaped(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(byte).collect()
}

fn remark(what: &str, fault: Option<&ProviderFault>) {
    if let Some(fault) = fault {
        tracing::warn!(what, %fault, "identity provider");
    }
}
