//! A preview link: lets whoever has it run one version under review, in one sandbox, for a while.
//!
//! The link is a statement signed by the online key, so a host app that scans one knows whose it is
//! before it asks anybody; and it holds a secret of which the ledger keeps the hash, so a link ends when
//! its time is over or when somebody takes it back, on every node, and is in the history. Signature and
//! secret are both needed: a signature alone is refused by the origin, a secret alone by the host app.
//!
//! ```text
//! huidu-preview:v1.<base64url of the JSON>.<key id>.<base64url of the signature over PAE(type, JSON)>
//! ```

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    envelope::{self, Signed},
    key::{self, SignerError},
    keyring::{Keyring, Role},
    name::{AppId, HostId},
    time::Timestamp,
    version::Number,
};

/// DSSE payload type of a preview.
pub const PREVIEW_TYPE: &str = "application/vnd.huidu.preview.v1+json";
/// The form of a statement.
pub const FORM: u32 = 1;
const SCHEME: &str = "huidu-preview:v1.";
/// Bytes of a link: names of 63 bytes, a long version, a signature.
const MOST_BYTES: usize = 2_048;

/// What a link states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewLink {
    /// The form of this statement: 1.
    pub v: u32,
    /// The installation it is of, `bank/environment`.
    pub aud: String,
    /// The app.
    pub app: AppId,
    /// The version.
    pub version: Number,
    /// Its bundle.
    pub sha256: Digest,
    /// The sandbox it opens in.
    pub host: HostId,
    /// From then on it opens nothing.
    pub until: Timestamp,
    /// What the origin asks for.
    pub secret: String,
}

/// Why a link is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PreviewError {
    /// Not a link.
    #[error("this is no preview link; one begins with `huidu-preview:v1.`")]
    Form,
    /// No signature by those who may stamp.
    #[error("the preview link carries no valid signature by a trusted key")]
    Signature,
    /// Of another installation.
    #[error("the preview link is of another installation")]
    Audience,
    /// Its time is over.
    #[error("the preview link has expired; ask for another")]
    Expired,
}

impl PreviewLink {
    /// The link as text, signed by whoever holds the key; that can fail.
    pub fn sign<S>(&self, signer: &S) -> Result<String, SignerError>
    where
        S: key::Signer + ?Sized,
    {
        // Serialising to memory fails only for maps whose keys are no text; there is none here.
        let payload = serde_json::to_vec(self).unwrap_or_else(|error| unreachable!("{error}"));
        let signature = key::sign_64(signer, &envelope::pae(PREVIEW_TYPE, &payload))?;
        Ok(format!(
            "{SCHEME}{}.{}.{}",
            BASE64URL_NOPAD.encode(&payload),
            key::Signer::public_key(signer).id(),
            BASE64URL_NOPAD.encode(&signature),
        ))
    }

    /// Reads a link that the online role of `keyring` signed for its installation and that is open at `now`.
    pub fn verify(link: &str, keyring: &Keyring, now: Timestamp) -> Result<Self, PreviewError> {
        let parts = link
            .strip_prefix(SCHEME)
            .filter(|_| link.len() <= MOST_BYTES)
            .ok_or(PreviewError::Form)?;
        let mut parts = parts.split('.');
        let (Some(payload), Some(key), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(PreviewError::Form);
        };
        let decoded = |text: &str| {
            let bytes = BASE64URL_NOPAD.decode(text.as_bytes());
            bytes.map_err(|_| PreviewError::Form)
        };
        let payload = decoded(payload)?;
        let signed = Signed {
            key: key.parse().map_err(|_| PreviewError::Form)?,
            signature: decoded(signature)?,
        };
        let message = envelope::pae(PREVIEW_TYPE, &payload);
        (keyring.check_signed(Role::Online, &message, &[signed]))
            .map_err(|_| PreviewError::Signature)?;
        let read: Self = serde_json::from_slice(&payload).map_err(|_| PreviewError::Form)?;
        if read.v != FORM {
            return Err(PreviewError::Form);
        }
        if read.aud != keyring.aud {
            return Err(PreviewError::Audience);
        }
        if read.until <= now {
            return Err(PreviewError::Expired);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::keyring::{Online, Quorum, Roles, Trust};

    fn link() -> PreviewLink {
        PreviewLink {
            v: FORM,
            aud: "bank/prod".into(),
            app: "pingan/travel".parse().unwrap(),
            version: Number::new(2, 4, 0),
            sha256: Digest::of(b"abc"),
            host: "retail-test".parse().unwrap(),
            until: Timestamp::from_unix_ms(1_767_225_600_000),
            secret: "s".repeat(43),
        }
    }

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    const BEFORE: Timestamp = Timestamp::from_unix_ms(1_767_225_599_999);

    fn keyring(aud: &str, online: u8) -> Keyring {
        let public =
            |seed| key::PublicKey::from(&SigningKey::from_bytes(&[seed; 32]).verifying_key());
        let role = |seed| Quorum::of(1, vec![public(seed).id()]);
        Keyring {
            v: 1,
            aud: aud.into(),
            version: 1,
            expires: 2_000_000_000,
            trust: Trust::Prod,
            online: Online {
                epoch: 1,
                max_lease_ms: 1,
            },
            keys: [1, online]
                .map(|seed| (public(seed).id(), public(seed)))
                .into(),
            roles: Roles {
                root: role(1),
                release: role(1),
                policy: role(1),
                online: role(online),
                log: role(1),
            },
        }
    }

    fn verify(link: &str) -> Result<PreviewLink, PreviewError> {
        PreviewLink::verify(link, &keyring("bank/prod", 7), BEFORE)
    }

    #[test]
    fn a_link_is_followed_until_its_time_is_over_and_only_where_it_belongs() {
        let text = link().sign(&key()).unwrap();
        assert_eq!(verify(&text), Ok(link()));
        for (online, aud, now, expected) in [
            (7, "bank/prod", link().until, PreviewError::Expired),
            (7, "bank/test", BEFORE, PreviewError::Audience),
            (8, "bank/prod", BEFORE, PreviewError::Signature),
        ] {
            let keyring = keyring(aud, online);
            assert_eq!(PreviewLink::verify(&text, &keyring, now), Err(expected));
        }
        // The keys of people sign no links.
        let by_root = link().sign(&SigningKey::from_bytes(&[1; 32])).unwrap();
        assert_eq!(verify(&by_root), Err(PreviewError::Signature));
    }

    #[test]
    fn no_single_changed_byte_is_accepted() {
        let text = link().sign(&key()).unwrap();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert!(
                verify(&String::from_utf8(bytes).unwrap()).is_err(),
                "byte {at}"
            );
        }
    }

    #[test]
    fn what_is_no_link_is_said_to_be_none() {
        let text = link().sign(&key()).unwrap();
        let long = format!("{text}{}", "A".repeat(MOST_BYTES));
        for wrong in [
            "",
            "huidu-preview:v1.",
            "huidu-preview:v1.a.b",
            &text[1..],
            &long,
            &format!("{text}.x"),
        ] {
            assert_eq!(verify(wrong), Err(PreviewError::Form), "{wrong}");
        }
    }
}
