//! There to the provider, and back: a state, a nonce and a verifier drawn for each sign-in, sealed into a
//! cookie of the browser that began it.
//!
//! Whoever comes back must bring that cookie and the same state; the code is worth nothing without the
//! verifier, the statement nothing without the nonce. A state ends once.

use huidu_core::{time::Timestamp, trust::Identity};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::{
    SignIn, SignInFault, StatementFault, chance,
    provider::{encoded, redirect},
    seal::Purpose,
    session::challenge_of,
    statement::{Expected, Unproved},
};

/// How long a person may take at the provider.
const STATE_MS: u64 = 10 * 60 * 1_000;
/// Bytes of a code.
const CODE_BYTES: usize = 2_048;
/// Bytes of a path to go on to.
const NEXT_BYTES: usize = 512;
/// The age of a proof that is asked for where it must be fresh.
const FRESH_S: &str = "300";

/// What somebody who begins wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// To prove anew who they are, whatever the provider remembers.
    pub fresh: bool,
    /// A path of ours to go on to.
    pub next: Option<String>,
    /// A command line that waits.
    pub machine: Option<Machine>,
}

/// A command line that waits on this machine's loopback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its port.
    pub port: u16,
    /// SHA-256 of what it will show, in base64url.
    pub challenge: String,
    /// What it knows its answer by.
    pub state: String,
}

/// A sign-in that was begun.
#[derive(Debug)]
pub struct Begun {
    /// Where the browser goes.
    pub location: String,
    /// What it keeps until it is back.
    pub cookie: String,
}

/// What a browser comes back with.
#[derive(Debug, Default)]
pub struct Return {
    /// The provider's code.
    pub code: Option<String>,
    /// The state it was sent with.
    pub state: Option<String>,
    /// Who sends it back.
    pub iss: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
}

/// A sign-in that ended well.
#[derive(Debug)]
pub struct Finished {
    /// Who the provider vouches for.
    pub identity: Identity,
    /// When they proved it, where it says so.
    pub auth_time: Option<Timestamp>,
    /// Where to go on to.
    pub next: Option<String>,
    /// The command line that waits.
    pub machine: Option<Machine>,
}

/// What the browser keeps meanwhile.
#[derive(Serialize, Deserialize)]
struct State {
    state: String,
    nonce: String,
    verifier: String,
    begun: Timestamp,
    fresh: bool,
    next: Option<String>,
    machine: Option<Machine>,
}

impl SignIn {
    /// Begins a sign-in.
    pub async fn begin(&self, wish: Wish, now: Timestamp) -> Result<Begun, SignInFault> {
        wish.check()?;
        let discovery = self.provider.discovery(now).await?;
        let state = State {
            state: chance()?,
            nonce: chance()?,
            verifier: chance()?,
            begun: now,
            fresh: wish.fresh,
            next: wish.next,
            machine: wish.machine,
        };
        let (redirect, challenge) = (redirect(&self.settings), challenge_of(&state.verifier));
        let mut fields = vec![
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", &redirect),
            ("scope", &self.settings.scopes),
            ("state", &state.state),
            ("nonce", &state.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        if state.fresh {
            fields.extend([("prompt", "login"), ("max_age", FRESH_S)]);
        }
        let there = discovery.authorization.as_str();
        let joint = if there.contains('?') { '&' } else { '?' };
        Ok(Begun {
            location: format!("{there}{joint}{}", encoded(&fields)),
            cookie: self.sealer.seal(Purpose::State, &state)?,
        })
    }

    /// Ends a sign-in: who it is that came back.
    pub async fn finish(
        &self,
        cookie: Option<&str>,
        back: Return,
        now: Timestamp,
    ) -> Result<Finished, SignInFault> {
        let state: Option<State> = cookie.and_then(|text| self.sealer.open(Purpose::State, text));
        let (Some(state), Some(given)) = (state, &back.state) else {
            return Err(SignInFault::State);
        };
        if !bool::from(given.as_bytes().ct_eq(state.state.as_bytes())) {
            return Err(SignInFault::State);
        }
        let until = Timestamp::from_unix_ms(state.begun.unix_ms() + STATE_MS);
        if now >= until {
            return Err(SignInFault::Late);
        }
        if !self.spent.spend(&state.state, until, now) {
            return Err(SignInFault::Again);
        }
        let discovery = self.provider.discovery(now).await?;
        let issuer = self.settings.issuer.as_str();
        // An answer that names its sender names ours (RFC 9207).
        match &back.iss {
            Some(iss) if iss != issuer => return Err(StatementFault::Issuer.into()),
            None if discovery.names_issuer => return Err(StatementFault::Issuer.into()),
            _ => {}
        }
        if let Some(error) = &back.error {
            return Err(SignInFault::Denied {
                code: harmless(error),
            });
        }
        let code = back
            .code
            .filter(|code| !code.is_empty() && code.len() <= CODE_BYTES);
        let code = code.ok_or(SignInFault::State)?;
        let text = self
            .provider
            .exchange(&discovery, &code, &state.verifier)
            .await?;
        let expected = Expected {
            issuer,
            client_id: &self.settings.client_id,
            nonce: &state.nonce,
            anew_since: state.fresh.then_some(state.begun),
            now,
        };
        let unproved = Unproved::read(&text)?;
        let mut keys = self.provider.keys(&discovery, false, now).await?;
        if unproved.misses_its_key(&keys) {
            keys = self.provider.keys(&discovery, true, now).await?;
        }
        let statement = unproved.proved(&keys, &expected)?;
        Ok(Finished {
            identity: Identity {
                issuer: issuer.to_owned(),
                subject: statement.subject,
            },
            auth_time: statement.auth_time,
            next: state.next,
            machine: state.machine,
        })
    }
}

impl Wish {
    fn check(&self) -> Result<(), SignInFault> {
        if self.next.as_deref().is_some_and(|next| !is_ours(next)) {
            return Err(SignInFault::Wish("next"));
        }
        let Some(machine) = &self.machine else {
            return Ok(());
        };
        let letters = |text: &str, least, most| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            (least..=most).contains(&text.len()) && text.bytes().all(fits)
        };
        for (name, fits) in [
            ("port", machine.port >= 1_024),
            ("challenge", letters(&machine.challenge, 43, 43)),
            ("state", letters(&machine.state, 16, 128)),
        ] {
            if !fits {
                return Err(SignInFault::Wish(name));
            }
        }
        Ok(())
    }
}

/// True for a path of this very server; browsers take `//` and `/\` for another one.
fn is_ours(next: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\\\"'<>`".contains(&byte);
    next.len() <= NEXT_BYTES
        && next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(plain)
}

/// A provider's code in letters that are harmless everywhere.
fn harmless(code: &str) -> String {
    let letters = code
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_');
    letters.take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_on_to_a_path_of_ours_and_nowhere_else() {
        for (next, fits) in [
            ("/", true),
            ("/console/apps?x=1#a", true),
            ("", false),
            ("console", false),
            ("//evil.example", false),
            ("/\\evil.example", false),
            ("https://evil.example", false),
            ("/a\"><script>", false),
            ("/a b", false),
            ("/a\r\nset-cookie: x", false),
        ] {
            assert_eq!(is_ours(next), fits, "{next}");
        }
        assert!(!is_ours(&format!("/{}", "a".repeat(NEXT_BYTES))));
    }

    #[test]
    fn a_code_of_the_provider_is_harmless_when_it_is_shown() {
        assert_eq!(harmless("access_denied"), "access_denied");
        assert_eq!(harmless("<b>\r\nx\"é"), "bx");
    }
}
