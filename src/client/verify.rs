//! Whether a device may believe an answer: signed, whole, meant for it, and true recently enough.
//!
//! Pure: bytes, a key and a time in; what the answer says, or one named doubt, out. A doubt never stops
//! what runs: the device keeps its last good state and reports the code.

use ed25519_dalek::VerifyingKey;
use huidu_core::{
    limits,
    manifest::{KillList, Manifest},
    name::AppId,
    seal::{self, Stamp, StampError},
    time::Timestamp,
};

/// How wrong a device's clock may be before it doubts a fresh answer.
pub const SKEW_MS: u64 = 300_000;

/// Why an answer was not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// There is no stamp, or it cannot be read.
    #[error("the answer carries no readable stamp")]
    Stamp,
    /// Nobody this device trusts signed it.
    #[error("no key this device trusts signed the answer")]
    Signature,
    /// The bytes are not those that were signed.
    #[error("the answer is not the bytes that were signed")]
    Body,
    /// It is for another app or another installation.
    #[error("the answer is for another app or installation")]
    Scope,
    /// Signed and whole, but no manifest this device can read.
    #[error("the answer is signed but is no document this device can read")]
    Form,
    /// It was true too long ago.
    #[error("the answer was true until {0} and no longer")]
    Expired(Timestamp),
    /// A newer answer is known: this one comes from a node that lags, or from somebody who kept it.
    #[error("the answer is of revision {given}; this device has heard of {known}")]
    Older {
        /// The answer's revision.
        given: u64,
        /// The newest heard of.
        known: u64,
    },
    /// It would bring back what was killed.
    #[error("the answer offers a release that was killed at revision {0}")]
    Killed(u64),
}

impl Doubt {
    /// The word in reports.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Stamp => "stamp",
            Self::Signature => "sig",
            Self::Body => "hash",
            Self::Scope => "wrong-scope",
            Self::Form => "form",
            Self::Expired(_) => "freeze",
            Self::Older { .. } => "stale-node",
            Self::Killed(_) => "rollback",
        }
    }
}

impl From<StampError> for Doubt {
    fn from(error: StampError) -> Self {
        match error {
            StampError::Form => Self::Stamp,
            StampError::Signature => Self::Signature,
            StampError::Body => Self::Body,
            StampError::Scope => Self::Scope,
        }
    }
}

/// Whom a device believes, and about what.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The online key.
    pub key: VerifyingKey,
    /// The installation, `bank/environment`.
    pub audience: String,
}

impl Trust {
    /// Opens the answer about `app`: `now` is the device's clock, never before its time floor.
    pub fn manifest(
        &self,
        app: &AppId,
        stamp: Option<&str>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(Stamp, Manifest), Doubt> {
        let stamp = self.stamp(app.as_str(), stamp, body, now)?;
        let manifest: Manifest = serde_json::from_slice(body).map_err(|_| Doubt::Form)?;
        if manifest.aud != self.audience || manifest.app != *app {
            return Err(Doubt::Scope);
        }
        if manifest.rev != stamp.revision {
            return Err(Doubt::Form);
        }
        Ok((stamp, manifest))
    }

    /// Opens the list of kills.
    pub fn kills(
        &self,
        stamp: Option<&str>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(Stamp, KillList), Doubt> {
        let stamp = self.stamp(seal::KILLS_SCOPE, stamp, body, now)?;
        let list: KillList = serde_json::from_slice(body).map_err(|_| Doubt::Form)?;
        if list.aud != self.audience {
            return Err(Doubt::Scope);
        }
        if list.rev != stamp.revision {
            return Err(Doubt::Form);
        }
        Ok((stamp, list))
    }

    fn stamp(
        &self,
        scope: &str,
        stamp: Option<&str>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Stamp, Doubt> {
        let header = stamp.ok_or(Doubt::Stamp)?;
        if body.len() > limits::POLL_BODY_BYTES {
            return Err(Doubt::Body);
        }
        let scope = seal::scope(&self.audience, scope);
        let stamp = Stamp::verify(header, &self.key, body, &scope)?;
        if stamp.expires().plus_ms(SKEW_MS) < now {
            return Err(Doubt::Expired(stamp.expires()));
        }
        Ok(stamp)
    }
}
