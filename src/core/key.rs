//! Keys: what a signature is checked with, how a key is called, and who can sign.
//!
//! The algorithm is a property of the key as the keyring lists it. No message names one, so nobody can
//! talk a reader into another. Checking is strict: one signature, one key, one message.

use std::{fmt, str::FromStr, sync::Arc};

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Alg {
    /// Ed25519, strict.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// ECDSA on P-256 with SHA-256. Known by name: this build checks none, so none counts.
    #[serde(rename = "p256-sha256")]
    P256,
    /// SM2 with SM3. Known by name: this build checks none, so none counts.
    #[serde(rename = "sm2-sm3")]
    Sm2,
}

impl Alg {
    /// True when this build checks its signatures; others count for nothing.
    pub const fn is_checked(self) -> bool {
        matches!(self, Self::Ed25519)
    }

    /// Its name in keyrings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::P256 => "p256-sha256",
            Self::Sm2 => "sm2-sm3",
        }
    }
}

/// What a key is called: the first 8 bytes of SHA-256(algorithm 0 public key), as 16 hexadecimal digits.
///
/// A hint that says which key to try. What counts is the key itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(Box<str>);

/// Why a text calls no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a key id; one is 16 lowercase hexadecimal digits")]
pub struct KeyIdError {
    /// What was given, shortened.
    pub given: String,
}

impl KeyId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        let fits = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(KeyIdError {
                given: text.chars().take(32).collect(),
            })
        }
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyIdError;

    fn try_from(text: String) -> Result<Self, KeyIdError> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0.into()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "KeyText", into = "KeyText")]
pub struct PublicKey {
    alg: Alg,
    bytes: Box<[u8]>,
}

#[derive(Serialize, Deserialize)]
struct KeyText {
    alg: Alg,
    r#pub: String,
}

/// Why bytes are no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not hexadecimal, or of the wrong length.
    #[error("a public key of `{}` is written in lowercase hexadecimal digits, 64 for ed25519", alg.name())]
    Form {
        /// Of which algorithm.
        alg: Alg,
    },
    /// A point that anybody can sign for, or a second way to write another point.
    #[error("this public key is weak or not canonical; make a new one with `huidu keys add`")]
    Weak,
}

/// Bytes of the longest key there may be.
const MOST_BYTES: usize = 128;

impl PublicKey {
    /// An ed25519 key from its 32 bytes; weak points and second spellings are refused.
    pub fn ed25519(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Weak)?;
        if key.is_weak() || key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::Weak);
        }
        Ok(Self {
            alg: Alg::Ed25519,
            bytes: bytes.as_slice().into(),
        })
    }

    /// Reads a key as keyrings write it.
    pub fn from_hex(alg: Alg, text: &str) -> Result<Self, KeyError> {
        let wrong = KeyError::Form { alg };
        if text.is_empty() || text.len() > 2 * MOST_BYTES {
            return Err(wrong);
        }
        let bytes = HEXLOWER
            .decode(text.as_bytes())
            .map_err(|_| wrong.clone())?;
        match alg {
            Alg::Ed25519 => Self::ed25519(&bytes.try_into().map_err(|_| wrong)?),
            Alg::P256 | Alg::Sm2 => Ok(Self {
                alg,
                bytes: bytes.into(),
            }),
        }
    }

    /// How it signs.
    pub const fn alg(&self) -> Alg {
        self.alg
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its bytes in hexadecimal.
    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.bytes)
    }

    /// What it is called.
    pub fn id(&self) -> KeyId {
        let digest = Sha256::new()
            .chain_update(self.alg.name())
            .chain_update(b"\0")
            .chain_update(&self.bytes)
            .finalize();
        KeyId(HEXLOWER.encode(&digest[..8]).into())
    }

    /// True when `signature` is this key's over exactly `message`. An algorithm that this build does not
    /// check verifies nothing.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        if !self.alg.is_checked() {
            return false;
        }
        let Ok(key) = <&[u8; 32]>::try_from(&*self.bytes) else {
            return false;
        };
        let (Ok(key), Ok(signature)) = (
            VerifyingKey::from_bytes(key),
            Signature::from_slice(signature),
        ) else {
            return false;
        };
        key.verify_strict(message, &signature).is_ok()
    }
}

impl From<&VerifyingKey> for PublicKey {
    fn from(key: &VerifyingKey) -> Self {
        Self {
            alg: Alg::Ed25519,
            bytes: key.as_bytes().as_slice().into(),
        }
    }
}

impl TryFrom<KeyText> for PublicKey {
    type Error = KeyError;

    fn try_from(text: KeyText) -> Result<Self, KeyError> {
        Self::from_hex(text.alg, &text.r#pub)
    }
}

impl From<PublicKey> for KeyText {
    fn from(key: PublicKey) -> Self {
        Self {
            alg: key.alg,
            r#pub: key.to_hex(),
        }
    }
}

/// Who can sign: a key in memory, a smart card, an HSM.
pub trait Signer {
    /// What its signatures are checked with; answered from memory.
    fn public_key(&self) -> PublicKey;
    /// True when it signs in microseconds, whatever happens: a key in memory. Nobody who answers others waits
    /// for any other.
    fn is_quick(&self) -> bool {
        false
    }
    /// Signs the bytes; they are already what is signed, with nothing to be added.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError>;
}

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key {key} did not sign: {detail}")]
pub struct SignerError {
    /// Which key.
    pub key: KeyId,
    /// What its holder said.
    pub detail: String,
}

impl<S: Signer + ?Sized> Signer for Arc<S> {
    fn public_key(&self) -> PublicKey {
        (**self).public_key()
    }

    fn is_quick(&self) -> bool {
        (**self).is_quick()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        (**self).sign(message)
    }
}

/// An ed25519 signature of `signer` over `message`; one of another length is none.
pub(crate) fn sign_64<S>(signer: &S, message: &[u8]) -> Result<[u8; 64], SignerError>
where
    S: Signer + ?Sized,
{
    let signature = signer.sign(message)?;
    let length = signature.len();
    signature.try_into().map_err(|_| SignerError {
        key: signer.public_key().id(),
        detail: format!("it gave {length} bytes where a signature has 64"),
    })
}

impl Signer for SigningKey {
    fn public_key(&self) -> PublicKey {
        PublicKey::from(&self.verifying_key())
    }

    fn is_quick(&self) -> bool {
        true
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.try_sign(message).map_or_else(
            |_| unreachable!("a key in memory always signs"),
            |signature| signature.to_bytes().to_vec(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    #[test]
    fn a_key_is_called_by_its_algorithm_and_bytes() {
        let key = signer().public_key();
        assert_eq!(key.id().as_str(), "aab53bf186c65dff");
        let text = serde_json::to_string(&key).unwrap();
        assert!(
            text.starts_with(r#"{"alg":"ed25519","pub":"ea4a6c63"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<PublicKey>(&text).unwrap(), key);
        let other = PublicKey::from_hex(Alg::Sm2, &key.to_hex()).unwrap();
        assert_ne!(other.id(), key.id());
    }

    #[test]
    fn weak_and_second_spellings_are_no_keys() {
        let one = "0100000000000000000000000000000000000000000000000000000000000000";
        let zero = "0000000000000000000000000000000000000000000000000000000000000000";
        let minus_one = "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f";
        // p + 3 is 3 written a second way; where that is a point at all, it is no key.
        let second = "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f";
        for hex in [one, zero, minus_one, second] {
            assert_eq!(
                PublicKey::from_hex(Alg::Ed25519, hex),
                Err(KeyError::Weak),
                "{hex}"
            );
        }
        for hex in ["", "ab", &"A".repeat(64), &"g".repeat(64), &"a".repeat(66)] {
            let wrong = Err(KeyError::Form { alg: Alg::Ed25519 });
            assert_eq!(PublicKey::from_hex(Alg::Ed25519, hex), wrong, "{hex}");
        }
    }

    #[test]
    fn a_signature_is_checked_strictly() {
        let key = signer().public_key();
        let signature = Signer::sign(&signer(), b"message").unwrap();
        assert!(key.verifies(b"message", &signature));
        assert!(!key.verifies(b"message.", &signature));
        assert!(!key.verifies(b"message", &signature[..63]));
        assert!(!key.verifies(b"message", &[signature.as_slice(), &[0]].concat()));
        // S + L says the same to a lenient reader.
        let order = HEXLOWER
            .decode(b"edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
            .unwrap();
        let mut second = signature.clone();
        let mut carry = 0_u16;
        for (byte, add) in second[32..].iter_mut().zip(&order) {
            let sum = u16::from(*byte) + u16::from(*add) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert!(!key.verifies(b"message", &second));
        // A small-order R with S = 0 satisfies the cofactored equation for a small-order key.
        let mut small = [0; 64];
        small[0] = 1;
        assert!(!key.verifies(b"message", &small));
        let unchecked = PublicKey::from_hex(Alg::Sm2, &key.to_hex()).unwrap();
        assert!(!unchecked.verifies(b"message", &signature));
    }
}
