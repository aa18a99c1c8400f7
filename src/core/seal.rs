//! The stamp: 96 signed bytes beside every manifest that say how fresh it is and whose it is.
//!
//! The manifest's body stays byte-identical while nothing changes; freshness rides in the
//! `Huidu-Stamp` header, on a 304 too. Layout, big-endian:
//!
//! ```text
//!  0  4  "HDS1"              24  4  lease in milliseconds
//!  4  1  flags               28  4  length of the body in bytes
//!  5  3  zero                32 32  SHA-256 of the body (before any Content-Encoding)
//!  8  8  revision            64 32  scope: SHA-256("huidu.scope.v1\0" audience "\0" app)
//! 16  8  as of, Unix ms
//! ```
//!
//! Flag 1 (challenge): the answer was made for one request, and the last 32 bytes are instead
//! SHA-256("huidu.challenge.v1\0" nonce, SHA-256 of the request), with a nonce of 32 bytes that the device
//! chose: nobody can have kept that answer.
//!
//! Signed is `PAE(type, stamp)` of DSSE. A device trusts the signature and the digest, never the
//! connection. Which keys count is the keyring's matter, not this module's.

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::{
    digest::Digest,
    envelope::{self, Signed},
    key::{self, KeyId, PublicKey, SignerError},
    limits,
    revision::Revision,
    time::Timestamp,
};

/// DSSE payload type of a stamp.
pub const STAMP_TYPE: &str = "application/vnd.huidu.stamp.v1";
/// What the list of kills is scoped to, where a manifest has its app. No app can have this name.
pub const KILLS_SCOPE: &str = "#kills";
/// Length of a stamp in bytes.
pub const STAMP_BYTES: usize = 96;
/// Length of a `Huidu-Stamp` header value with one ed25519 signature.
pub const HEADER_BYTES: usize = 3 + 16 + 1 + 128 + 1 + 86;

const MAGIC: &[u8; 4] = b"HDS1";
/// Flag: made for one request.
const CHALLENGE: u8 = 1;

/// What is said, and signed, about a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The app's revision that the body tells of.
    pub revision: Revision,
    /// When the node last proved that it knew everything.
    pub asof: Timestamp,
    /// How long after `asof` the body may be trusted, in milliseconds.
    pub lease_ms: u32,
    /// Length of the body.
    pub body_len: u32,
    /// Digest of the body.
    pub body: Digest,
    /// Whose body it is: [`scope`], or [`challenge`] where it was made for one request.
    pub scope: Digest,
    /// True when it was made for one request.
    pub challenge: bool,
}

/// The scope of `app`'s manifests for `audience`.
pub fn scope(audience: &str, app: &str) -> Digest {
    let mut hasher = Sha256::new();
    for part in [
        b"huidu.scope.v1\0".as_slice(),
        audience.as_bytes(),
        b"\0",
        app.as_bytes(),
    ] {
        hasher.update(part);
    }
    Digest::from_hasher(hasher)
}

/// What the answer to one request is bound to: `nonce` is the device's choice, `request` the SHA-256 of
/// the request line, the headers that are signed and the body.
pub fn challenge(nonce: &[u8; 32], request: &Digest) -> Digest {
    let hasher = Sha256::new()
        .chain_update(b"huidu.challenge.v1\0")
        .chain_update(nonce)
        .chain_update(request.as_bytes());
    Digest::from_hasher(hasher)
}

/// The SHA-256 of a poll, as challenges are bound to it: `METHOD SP target LF`, then the `Huidu-Device` and the
/// `If-None-Match` header as they were sent, each followed by LF, empty where it was not sent.
pub fn request(method: &str, target: &str, device: &str, if_none_match: &str) -> Digest {
    let hasher = Sha256::new()
        .chain_update(method)
        .chain_update(b" ")
        .chain_update(target);
    let parts = [device, if_none_match].into_iter();
    let hasher = parts.fold(hasher.chain_update(b"\n"), |hasher, part| {
        hasher.chain_update(part).chain_update(b"\n")
    });
    Digest::from_hasher(hasher)
}

/// A nonce as the `Huidu-Challenge` header carries it: base64url without padding.
pub fn nonce_to_text(nonce: &[u8; 32]) -> String {
    BASE64URL_NOPAD.encode(nonce)
}

/// Reads a `Huidu-Challenge` header.
pub fn nonce_of_text(text: &str) -> Option<[u8; 32]> {
    let mut nonce = [0; 32];
    if BASE64URL_NOPAD.decode_len(text.len()) != Ok(nonce.len()) {
        return None;
    }
    let decoded = BASE64URL_NOPAD.decode_mut(text.as_bytes(), &mut nonce);
    decoded.ok().map(|_| nonce)
}

/// A key's name: the first 8 bytes of SHA-256("ed25519" 0 public key), as 16 hexadecimal digits. A hint.
pub fn key_id(key: &VerifyingKey) -> String {
    PublicKey::from(key).id().into()
}

fn pae(stamp: &[u8; STAMP_BYTES]) -> Vec<u8> {
    envelope::pae(STAMP_TYPE, stamp)
}

/// A stamp as it came, with everybody who signed it. What it says is not believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedStamp {
    bytes: [u8; STAMP_BYTES],
    signatures: Vec<Signed>,
}

impl SignedStamp {
    /// Reads a header value: one stamp, signed by one or several, comma separated.
    pub fn parse(header: &str) -> Result<Self, StampError> {
        let mut read: Option<Self> = None;
        for (at, one) in header.split(',').enumerate() {
            let (key, bytes, signature) = parts(one.trim_matches(' '))?;
            let key: KeyId = key.parse().map_err(|_| StampError::Form)?;
            let stamp = read.get_or_insert_with(|| Self {
                bytes,
                signatures: Vec::new(),
            });
            if at == limits::SIGNATURES || stamp.bytes != bytes {
                return Err(StampError::Form);
            }
            let signature = signature.to_vec();
            stamp.signatures.push(Signed { key, signature });
        }
        read.ok_or(StampError::Form)
    }

    /// The bytes that are signed.
    pub fn message(&self) -> Vec<u8> {
        pae(&self.bytes)
    }

    /// Who signed, as they say.
    pub fn signatures(&self) -> &[Signed] {
        &self.signatures
    }

    /// What it says.
    pub fn stamp(&self) -> Result<Stamp, StampError> {
        Stamp::decode(&self.bytes)
    }
}

/// Why a `Huidu-Stamp` header was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// Not of the form `v1.<key id>.<stamp>.<signature>`.
    #[error("the Huidu-Stamp header is malformed")]
    Form,
    /// No signature by the key.
    #[error("the Huidu-Stamp header carries no valid signature by a trusted key")]
    Signature,
    /// Length or digest differ from the body's.
    #[error("the stamp is for another body")]
    Body,
    /// Another app's or audience's stamp.
    #[error("the stamp is for another app or audience")]
    Scope,
}

impl Stamp {
    /// The 96 bytes.
    pub fn encode(&self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4] = if self.challenge { CHALLENGE } else { 0 };
        bytes[8..16].copy_from_slice(&self.revision.get().to_be_bytes());
        bytes[16..24].copy_from_slice(&self.asof.unix_ms().to_be_bytes());
        bytes[24..28].copy_from_slice(&self.lease_ms.to_be_bytes());
        bytes[28..32].copy_from_slice(&self.body_len.to_be_bytes());
        bytes[32..64].copy_from_slice(self.body.as_bytes());
        bytes[64..].copy_from_slice(self.scope.as_bytes());
        bytes
    }

    /// Reads 96 bytes; flags this version does not know are refused.
    pub fn decode(bytes: &[u8; STAMP_BYTES]) -> Result<Self, StampError> {
        let (head, rest) = bytes.split_at(8);
        let flags = head[4];
        if !head.starts_with(MAGIC) || flags & !CHALLENGE != 0 || head[5..] != [0; 3] {
            return Err(StampError::Form);
        }
        let number = |at: usize, len: usize| {
            rest[at..at + len]
                .iter()
                .fold(0_u64, |n, b| n << 8 | u64::from(*b))
        };
        let digest = |at: usize| {
            let mut bytes = [0; 32];
            bytes.copy_from_slice(&rest[at..at + 32]);
            Digest::from_bytes(bytes)
        };
        let asof = Timestamp::from_unix_ms(number(8, 8));
        if asof.unix_ms() != number(8, 8) {
            // Later than any instant there is: it would be written differently than it was read.
            return Err(StampError::Form);
        }
        Ok(Self {
            revision: Revision::new(number(0, 8)),
            asof,
            lease_ms: number(16, 4) as u32,
            body_len: number(20, 4) as u32,
            body: digest(24),
            scope: digest(56),
            challenge: flags == CHALLENGE,
        })
    }

    /// The `Huidu-Stamp` header value, signed.
    pub fn sign(&self, key: &SigningKey) -> String {
        let bytes = self.encode();
        let signature = key.sign(&pae(&bytes));
        let (stamp, signature) = (
            BASE64URL_NOPAD.encode(&bytes),
            BASE64URL_NOPAD.encode(&signature.to_bytes()),
        );
        format!("v1.{}.{stamp}.{signature}", key_id(&key.verifying_key()))
    }

    /// The `Huidu-Stamp` header value, signed by whoever holds the key; that can fail.
    pub fn sign_by<S>(&self, signer: &S) -> Result<String, SignerError>
    where
        S: key::Signer + ?Sized,
    {
        let bytes = self.encode();
        let signature = key::sign_64(signer, &pae(&bytes))?;
        let (stamp, signature) = (
            BASE64URL_NOPAD.encode(&bytes),
            BASE64URL_NOPAD.encode(&signature),
        );
        let kid = key::Signer::public_key(signer).id();
        Ok(format!("v1.{kid}.{stamp}.{signature}"))
    }

    /// Checks a header value: signed by `key`, about exactly `body`, in `scope`. Freshness is the caller's.
    pub fn verify(
        header: &str,
        key: &VerifyingKey,
        body: &[u8],
        scope: &Digest,
    ) -> Result<Self, StampError> {
        let signed = header.split(',').map(str::trim);
        let stamp = signed
            .map(|one| opened(one, key))
            .find(Result::is_ok)
            .unwrap_or_else(|| {
                header
                    .split(',')
                    .map(str::trim)
                    .map(|one| opened(one, key))
                    .next()
                    .unwrap_or(Err(StampError::Form))
            })?;
        if u64::from(stamp.body_len) != body.len() as u64 || stamp.body != Digest::of(body) {
            return Err(StampError::Body);
        }
        if stamp.challenge || stamp.scope != *scope {
            return Err(StampError::Scope);
        }
        Ok(stamp)
    }

    /// The last instant at which the body may be trusted.
    pub const fn expires(&self) -> Timestamp {
        self.asof.plus_ms(self.lease_ms as u64)
    }
}

/// Key id, stamp and signature of one part of a header.
fn parts(header: &str) -> Result<(&str, [u8; STAMP_BYTES], [u8; 64]), StampError> {
    let mut parts = header.split('.');
    let (Some("v1"), Some(key), Some(stamp), Some(signature), None) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return Err(StampError::Form);
    };
    let mut bytes = [0; STAMP_BYTES];
    let mut signed = [0; 64];
    for (text, into) in [
        (stamp, bytes.as_mut_slice()),
        (signature, signed.as_mut_slice()),
    ] {
        if BASE64URL_NOPAD.decode_len(text.len()) != Ok(into.len()) {
            return Err(StampError::Form);
        }
        BASE64URL_NOPAD
            .decode_mut(text.as_bytes(), into)
            .map_err(|_| StampError::Form)?;
    }
    Ok((key, bytes, signed))
}

fn opened(header: &str, key: &VerifyingKey) -> Result<Stamp, StampError> {
    let (_hint, bytes, signature) = parts(header)?;
    key.verify_strict(&pae(&bytes), &Signature::from_bytes(&signature))
        .map_err(|_| StampError::Signature)?;
    Stamp::decode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] =
        br#"{"v":1,"aud":"bank/prod","app":"loan","rev":42,"state":"killed","reason":"R-17"}"#;
    const HEADER: &str = "v1.aab53bf186c65dff.SERTMQAAAAAAAAAAAAAAKgAAAZt22qgAAADqYAAAAFAL5mVmSDLBg0b2dGoLxwftrF3vs9TqFCHRow94SZB9Z_7DyW5DynV2mrBbhKUwcsh1aBAi7RLsBGjShOm9K9-r.eUjgsYMJKlVxO0yBP_GEMSe0QQiTI2HrcjfTKidBpRelj4QoC3GunJ5O-zhP9SjZHALbBLxvRzZUYQXjEsm-Cg";

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn stamp() -> Stamp {
        Stamp {
            revision: Revision::new(42),
            asof: Timestamp::from_unix_ms(1_767_225_600_000),
            lease_ms: 60_000,
            body_len: BODY.len() as u32,
            body: Digest::of(BODY),
            scope: scope("bank/prod", "loan"),
            challenge: false,
        }
    }

    #[test]
    fn the_published_vector_is_made_and_accepted() {
        assert_eq!(stamp().sign(&key()), HEADER);
        assert_eq!(HEADER.len(), HEADER_BYTES);
        let seen = Stamp::verify(
            HEADER,
            &key().verifying_key(),
            BODY,
            &scope("bank/prod", "loan"),
        );
        assert_eq!(seen, Ok(stamp()));
        assert_eq!(key_id(&key().verifying_key()), "aab53bf186c65dff");
    }

    #[test]
    fn an_instant_later_than_any_there_is_is_refused() {
        let mut bytes = stamp().encode();
        assert_eq!(Stamp::decode(&bytes), Ok(stamp()));
        bytes[16..24].fill(0x2c);
        assert_eq!(Stamp::decode(&bytes), Err(StampError::Form));
    }

    #[test]
    fn no_single_changed_byte_is_accepted() {
        let scope = scope("bank/prod", "loan");
        // The key id is a hint and deliberately not trusted: bytes 3 to 18.
        for at in (0..HEADER.len()).filter(|at| !(3..19).contains(at)) {
            let mut bytes = HEADER.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let header = String::from_utf8(bytes).unwrap();
            assert!(
                Stamp::verify(&header, &key().verifying_key(), BODY, &scope).is_err(),
                "byte {at}"
            );
        }
        for at in 0..BODY.len() {
            let mut body = BODY.to_vec();
            body[at] ^= 1;
            assert_eq!(
                Stamp::verify(HEADER, &key().verifying_key(), &body, &scope),
                Err(StampError::Body)
            );
        }
    }

    #[test]
    fn another_key_app_or_audience_is_refused() {
        let other = SigningKey::from_bytes(&[8; 32]).verifying_key();
        let verify =
            |key: &VerifyingKey, aud, app| Stamp::verify(HEADER, key, BODY, &scope(aud, app));
        assert_eq!(
            verify(&other, "bank/prod", "loan"),
            Err(StampError::Signature)
        );
        assert_eq!(
            verify(&key().verifying_key(), "bank/test", "loan"),
            Err(StampError::Scope)
        );
        assert_eq!(
            verify(&key().verifying_key(), "bank/prod", "pay"),
            Err(StampError::Scope)
        );
    }
}
