//! `Session`: who signed in, when, and for how long that holds.
//!
//! A session is a sealed text that its owner carries; no node keeps it, so any node can be asked and none can
//! lose it. It says who somebody is and never what they may do: that is read from the catalogue at every
//! request. It is drawn anew at every sign-in and can be ended before its time on the node that is told.

use huidu_core::{name::MemberId, time::Timestamp, trust::Identity};
use serde::{Deserialize, Serialize};

use super::{SignIn, SignInFault, SignInSettings, chance, seal::Purpose};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// A cookie is written anew when it was last written this long ago.
const RENEW_MS: u64 = 60 * 1_000;
/// How long a command line has to claim its session.
const GRANT_MS: u64 = 60 * 1_000;
/// How long ago somebody may have proved who they are, for what is grave.
const FRESH_MS: u64 = 5 * 60 * 1_000;

/// Who signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// 256 bits of chance.
    id: String,
    /// The member that the person was.
    pub member: MemberId,
    /// The person.
    pub identity: Identity,
    /// When the person last proved who they are, where the provider says so.
    pub auth_time: Option<Timestamp>,
    /// When the session began.
    pub begun: Timestamp,
    /// When it was last written.
    seen: Timestamp,
}

/// A session as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The session.
    pub session: Session,
    /// True when a browser sent it by itself, so that another page may have made it do so.
    pub by_cookie: bool,
    /// Until when it holds when it is not used again.
    pub until: Timestamp,
}

/// What a command line claims its session with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Grant {
    session: Session,
    challenge: String,
    at: Timestamp,
}

/// Why a session counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionOver {
    /// Not sealed by us, or for something else.
    #[error("this session is not known here; sign in again")]
    Unknown,
    /// Unused for too long, or simply long.
    #[error("this session is over; sign in again")]
    Expired,
    /// Signed out.
    #[error("this session was ended; sign in again")]
    Ended,
}

/// How long sessions hold.
#[derive(Debug)]
pub(super) struct Sessions {
    idle_ms: u64,
    longest_ms: u64,
    command_line_ms: u64,
}

impl Sessions {
    pub(super) fn new(settings: &SignInSettings) -> Self {
        let ms = |duration: std::time::Duration| duration.as_millis().try_into().unwrap_or(0);
        Self {
            idle_ms: ms(settings.idle),
            longest_ms: ms(settings.longest),
            command_line_ms: ms(settings.command_line),
        }
    }

    fn until(&self, session: &Session, by_cookie: bool) -> Timestamp {
        let (begun, seen) = (session.begun.unix_ms(), session.seen.unix_ms());
        Timestamp::from_unix_ms(if by_cookie {
            (begun + self.longest_ms).min(seen + self.idle_ms)
        } else {
            begun + self.command_line_ms
        })
    }
}

impl Session {
    /// Whether the person proved within the last five minutes who they are.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.auth_time
            .is_some_and(|at| now.unix_ms().saturating_sub(at.unix_ms()) <= FRESH_MS)
    }
}

impl SignIn {
    /// Begins a session of `member`.
    pub fn begin_session(
        &self,
        member: MemberId,
        identity: Identity,
        auth_time: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Session, SignInFault> {
        Ok(Session {
            id: chance()?,
            member,
            identity,
            auth_time,
            begun: now,
            seen: now,
        })
    }

    /// The session as a browser keeps it.
    pub fn cookie(&self, session: &Session) -> Result<String, SignInFault> {
        Ok(self.sealer.seal(Purpose::Cookie, session)?)
    }

    /// The session as a command line keeps it, and until when it holds.
    pub fn bearer(&self, session: &Session) -> Result<(String, Timestamp), SignInFault> {
        let text = self.sealer.seal(Purpose::Bearer, session)?;
        Ok((text, self.sessions.until(session, false)))
    }

    /// The session that a browser sent.
    pub fn of_cookie(&self, text: &str, now: Timestamp) -> Result<SignedIn, SessionOver> {
        self.opened(Purpose::Cookie, text, now)
    }

    /// The session that a command line sent.
    pub fn of_bearer(&self, text: &str, now: Timestamp) -> Result<SignedIn, SessionOver> {
        self.opened(Purpose::Bearer, text, now)
    }

    fn opened(
        &self,
        purpose: Purpose,
        text: &str,
        now: Timestamp,
    ) -> Result<SignedIn, SessionOver> {
        let session: Session = self
            .sealer
            .open(purpose, text)
            .ok_or(SessionOver::Unknown)?;
        let by_cookie = purpose == Purpose::Cookie;
        let until = self.sessions.until(&session, by_cookie);
        if now >= until {
            return Err(SessionOver::Expired);
        }
        if self.spent.is_spent(&session.id) {
            return Err(SessionOver::Ended);
        }
        Ok(SignedIn {
            session,
            by_cookie,
            until,
        })
    }

    /// The cookie as it is to be written anew, now and then, so that a session that is used goes on.
    pub fn renewed(&self, session: &Session, now: Timestamp) -> Option<String> {
        if now.unix_ms().saturating_sub(session.seen.unix_ms()) < RENEW_MS {
            return None;
        }
        let seen = Session {
            seen: now,
            ..session.clone()
        };
        self.cookie(&seen).ok()
    }

    /// Ends a session on this node before its time.
    pub fn end(&self, session: &Session, now: Timestamp) {
        let longest = self.sessions.longest_ms.max(self.sessions.command_line_ms);
        let until = Timestamp::from_unix_ms(session.begun.unix_ms() + longest);
        self.spent.spend(&session.id, until, now);
    }

    /// What the command line that asked with `challenge` claims `session` with.
    pub fn grant(
        &self,
        session: Session,
        challenge: String,
        now: Timestamp,
    ) -> Result<String, SignInFault> {
        let grant = Grant {
            session,
            challenge,
            at: now,
        };
        Ok(self.sealer.seal(Purpose::Grant, &grant)?)
    }

    /// The session of a grant, for whoever knows what it was asked with; once.
    pub fn claim(
        &self,
        grant: &str,
        verifier: &str,
        now: Timestamp,
    ) -> Result<Session, SignInFault> {
        let grant: Grant = self
            .sealer
            .open(Purpose::Grant, grant)
            .ok_or(SignInFault::Grant)?;
        let until = Timestamp::from_unix_ms(grant.at.unix_ms() + GRANT_MS);
        let asked = challenge_of(verifier);
        let is_theirs: bool = asked.as_bytes().ct_eq(grant.challenge.as_bytes()).into();
        let name = format!("grant {}", grant.session.id);
        if !is_theirs || now >= until || !self.spent.spend(&name, until, now) {
            return Err(SignInFault::Grant);
        }
        Ok(grant.session)
    }
}

/// What stands for a verifier until it is shown (PKCE, S256).
pub(super) fn challenge_of(verifier: &str) -> String {
    BASE64URL_NOPAD.encode(&Sha256::digest(verifier.as_bytes()))
}
