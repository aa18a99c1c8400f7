//! Sign-in of people by an OpenID provider: code flow with PKCE, state and nonce, and the sessions it begins.
//!
//! The provider is pinned in the settings; nothing that a request says is ever fetched. This folder knows no
//! route, no header and no catalogue: it is handed texts and a time, and says who the provider vouches for.
//! Nothing here is kept that a node could not lose: a session travels sealed with whoever has it. It must
//! never log a code, a token, a subject or a secret.
//!
//! ```text
//! address.rs   which addresses are safe to send secrets to
//! fetch.rs     the one way out: bounded in time and bytes, no redirects
//! provider.rs  discovery, keys and codes, each kept or refused for a while
//! jwk.rs       public keys, and signatures by them
//! statement.rs an ID token: what the provider states
//! seal.rs      texts that only our nodes can write and read
//! session.rs   who signed in, and for how long
//! spent.rs     what may not be used again
//! flow.rs      there to the provider, and back
//! ```

pub mod address;
mod fetch;
mod flow;
mod jwk;
mod provider;
pub mod seal;
mod session;
mod spent;
mod statement;

use std::{fmt, time::Duration};

pub use flow::{Begun, Finished, Machine, Return, Wish};
pub use provider::ProviderFault;
pub use session::{Grant, Session, SessionOver, SignedIn};
pub use statement::StatementFault;

use address::Address;
use provider::Provider;
use seal::{Sealer, Unsealable};
use session::Sessions;
use spent::Spent;

/// How far the provider's clock may be from ours.
const SKEW_MS: u64 = 60_000;

/// The pinned provider, and what sessions may be.
#[derive(Clone)]
pub struct SignInSettings {
    /// The provider, exactly as it names itself.
    pub issuer: Address,
    /// Who we are to it.
    pub client_id: String,
    /// How we prove it; none: a public client.
    pub client_secret: Option<String>,
    /// What is asked for: `openid`, and whatever the provider wants beside it.
    pub scopes: String,
    /// Certificates that the provider's must lead to, as PEM; none: those that browsers trust.
    pub authorities: Option<Vec<u8>>,
    /// The control plane as browsers reach it.
    pub home: Address,
    /// After how long without a request a browser's session ends.
    pub idle: Duration,
    /// After how long it ends in any case.
    pub longest: Duration,
    /// How long the session of a command line lasts.
    pub command_line: Duration,
    /// Whether tokens that belong to people open anything.
    pub required: Required,
}

/// When people must sign in: when tokens that belong to them open nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    /// Where customers are served: while the keyring in force is one for them.
    ForCustomers,
    /// Never: whoever has a person's token acts as that person, without a proof of theirs.
    Never,
    /// Always.
    Always,
}

impl fmt::Debug for SignInSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignInSettings")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// Why nobody was signed in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInFault {
    /// What came back does not belong to what this browser began.
    #[error("this is not the end of a sign-in that this browser began here; begin again")]
    State,
    /// The browser took its time.
    #[error("this sign-in was begun too long ago; begin again")]
    Late,
    /// A sign-in ends once.
    #[error("this sign-in has ended already; begin again")]
    Again,
    /// The provider said no.
    #[error("the identity provider refused: `{code}`; begin again, or ask whoever runs it")]
    Denied {
        /// Its code, of few harmless letters.
        code: String,
    },
    /// The provider does not answer, or not as one.
    #[error(transparent)]
    Provider(#[from] ProviderFault),
    /// What it states does not hold.
    #[error(transparent)]
    Statement(#[from] StatementFault),
    /// Whoever claims the grant did not ask for it.
    #[error("this grant is not for whoever claims it, or too old; run `huidu login` again")]
    Grant,
    /// Where to go afterwards is no path of ours.
    #[error("`{0}` does not fit; leave it out, or correct it")]
    Wish(&'static str),
    /// The system gives no randomness.
    #[error("this node has no randomness for a sign-in; use another node")]
    NoRandomness,
}

impl From<getrandom::Error> for SignInFault {
    fn from(_: getrandom::Error) -> Self {
        Self::NoRandomness
    }
}

impl From<Unsealable> for SignInFault {
    fn from(_: Unsealable) -> Self {
        Self::NoRandomness
    }
}

/// Sign-in by one pinned provider.
#[derive(Debug)]
pub struct SignIn {
    settings: SignInSettings,
    provider: Provider,
    sealer: Sealer,
    sessions: Sessions,
    /// States of sign-ins that ended, and sessions that were ended.
    spent: Spent,
}

impl SignIn {
    /// Sign-in as `settings` say, with texts sealed by `sealer`.
    pub fn new(settings: SignInSettings, sealer: Sealer) -> Result<Self, ProviderFault> {
        Ok(Self {
            provider: Provider::new(&settings)?,
            sessions: Sessions::new(&settings),
            spent: Spent::default(),
            sealer,
            settings,
        })
    }

    /// The control plane as browsers reach it, as they write it in `Origin`.
    pub fn origin(&self) -> &str {
        self.settings.home.origin()
    }

    /// True when tokens that belong to people open nothing; `for_customers`: customers are served.
    pub const fn is_required(&self, for_customers: bool) -> bool {
        match self.settings.required {
            Required::ForCustomers => for_customers,
            Required::Never => false,
            Required::Always => true,
        }
    }
}

/// 256 bits that nobody guesses, as text.
pub(crate) fn chance() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(data_encoding::BASE64URL_NOPAD.encode(&bytes))
}
