//! The envelope of everything that is signed offline: DSSE, over the bytes as they are.
//!
//! Signed is `PAE(type, bytes)`; the bytes that were checked are the bytes that are read, and nobody
//! decodes the envelope a second time. A key id in it is a hint. What the bytes say is the papers' matter.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    json::{self, JsonError},
    key::{KeyId, Signer, SignerError},
    limits,
};

/// What can be in an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Whose signatures count.
    Keyring,
    /// A version that may run.
    Release,
    /// What holds for all versions of an app.
    Policy,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Keyring, Self::Release, Self::Policy];

    /// The DSSE payload type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Keyring => "application/vnd.huidu.keyring.v1+json",
            Self::Release => "application/vnd.huidu.release.v1+json",
            Self::Policy => "application/vnd.huidu.policy.v1+json",
        }
    }

    /// As people call it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keyring => "keyring",
            Self::Release => "release record",
            Self::Policy => "app policy",
        }
    }
}

/// The bytes that are signed: type and payload with their lengths, so that neither can pass for the other.
pub fn pae(media_type: &str, payload: &[u8]) -> Vec<u8> {
    let (kind, length) = (media_type.len(), payload.len());
    let mut bytes = format!("DSSEv1 {kind} {media_type} {length} ").into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Somebody's signature, with the hint which key made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Which key says it is its own.
    pub key: KeyId,
    /// The signature.
    pub signature: Vec<u8>,
}

/// Bytes and who signed them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    kind: Kind,
    payload: Vec<u8>,
    signatures: Vec<Signed>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(rename = "payloadType")]
    media_type: String,
    payload: String,
    signatures: Vec<WireSigned>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSigned {
    keyid: KeyId,
    sig: String,
}

/// Why bytes are no envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not the JSON of one.
    #[error("not an envelope: {0}")]
    Json(#[from] JsonError),
    /// Of no type that there is, or not of the one expected.
    #[error("an envelope of type `{given}` where another was expected")]
    Type {
        /// The type it names, shortened.
        given: String,
    },
    /// Not base64, or not its one canonical spelling.
    #[error("the envelope's {part} is not canonical base64")]
    Base64 {
        /// Which part.
        part: &'static str,
    },
    /// More signatures than anybody needs.
    #[error(
        "{count} signatures, at most {} are looked at; drop those that do not count",
        limits::SIGNATURES
    )]
    Many {
        /// How many there are.
        count: usize,
    },
}

impl Envelope {
    /// Unsigned bytes.
    pub const fn new(kind: Kind, payload: Vec<u8>) -> Self {
        Self {
            kind,
            payload,
            signatures: Vec::new(),
        }
    }

    /// Reads an envelope of any kind. Whoever relies on it must still check the signatures.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let wire: Wire = json::read(bytes, limits::ENVELOPE_BYTES)?;
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.media_type() == wire.media_type);
        let kind = kind.ok_or_else(|| EnvelopeError::Type {
            given: wire.media_type.chars().take(80).collect(),
        })?;
        let count = wire.signatures.len();
        if count > limits::SIGNATURES {
            return Err(EnvelopeError::Many { count });
        }
        let decoded = |text: &str, part| {
            let bytes = BASE64.decode(text.as_bytes());
            bytes.map_err(|_| EnvelopeError::Base64 { part })
        };
        let mut signatures = Vec::with_capacity(count);
        for one in wire.signatures {
            signatures.push(Signed {
                key: one.keyid,
                signature: decoded(&one.sig, "signature")?,
            });
        }
        Ok(Self {
            kind,
            payload: decoded(&wire.payload, "payload")?,
            signatures,
        })
    }

    /// The envelope as JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        let signatures = self.signatures.iter().map(|one| WireSigned {
            keyid: one.key.clone(),
            sig: BASE64.encode(&one.signature),
        });
        let wire = Wire {
            media_type: self.kind.media_type().to_owned(),
            payload: BASE64.encode(&self.payload),
            signatures: signatures.collect(),
        };
        // Serialising to memory fails only for maps whose keys are no text; there is none here.
        serde_json::to_vec(&wire).unwrap_or_else(|error| unreachable!("{error}"))
    }

    /// What kind of paper is in it, as it says.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The bytes that are signed about.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Who signed, as they say.
    pub fn signatures(&self) -> &[Signed] {
        &self.signatures
    }

    /// What the paper is called: the digest of its bytes, whoever signed them.
    pub fn address(&self) -> Digest {
        Digest::of(&self.payload)
    }

    /// The bytes that are signed.
    pub fn message(&self) -> Vec<u8> {
        pae(self.kind.media_type(), &self.payload)
    }

    /// Adds a signature; one by the same key takes the place of that before.
    pub fn sign(&mut self, signer: &dyn Signer) -> Result<(), SignerError> {
        let key = signer.public_key().id();
        let signature = signer.sign(&self.message())?;
        self.signatures.retain(|one| one.key != key);
        self.signatures.push(Signed { key, signature });
        Ok(())
    }

    /// Adds what others signed of the same bytes.
    pub fn join(&mut self, others: &[Signed]) {
        for one in others {
            if !self.signatures.contains(one) {
                self.signatures.push(one.clone());
            }
        }
    }

    /// Drops the signatures that `counts` says no of.
    pub(crate) fn keep(&mut self, counts: impl FnMut(&Signed) -> bool) {
        self.signatures.retain(counts);
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    #[test]
    fn what_is_signed_is_as_dsse_says() {
        // The example of the DSSE protocol document.
        let bytes = pae("http://example.com/HelloWorld", b"hello world");
        assert_eq!(
            bytes,
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn an_envelope_is_read_back_as_it_was_written() {
        let mut envelope = Envelope::new(Kind::Policy, b"{}".to_vec());
        for seed in [1, 2, 1] {
            envelope.sign(&SigningKey::from_bytes(&[seed; 32])).unwrap();
        }
        assert_eq!(envelope.signatures().len(), 2, "the same key signs once");
        assert_eq!(Envelope::parse(&envelope.to_bytes()), Ok(envelope));
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        let envelope = Envelope::new(Kind::Release, b"{}x".to_vec());
        let text = String::from_utf8(envelope.to_bytes()).unwrap();
        assert!(text.contains(r#""payload":"e314""#), "{text}");
        let one = r#"{"keyid":"aab53bf186c65dff","sig":""}"#;
        let many = format!("[{}]", vec![one; limits::SIGNATURES + 1].join(","));
        for (change, why) in [
            (text.replace("release", "realise"), "where another"),
            (text.replace("e314", "e31"), "payload is not canonical"),
            (text.replace("e314", "e31="), "payload is not canonical"),
            (
                text.replace("\"signatures\"", "\"x\":1,\"signatures\""),
                "unknown field",
            ),
            (
                text.replace("\"signatures\"", "\"payload\":\"\",\"signatures\""),
                "twice",
            ),
            (text.replace("[]", &many), "33 signatures"),
            (
                text.replace("[]", r#"[{"keyid":"x","sig":""}]"#),
                "not a key id",
            ),
            (format!("{text}."), "trailing"),
            (
                text.replace("[]", &format!("\"{}\"", "a".repeat(65_536))),
                "over the limit",
            ),
        ] {
            let told = Envelope::parse(change.as_bytes()).unwrap_err().to_string();
            assert!(told.contains(why), "{told} for {why}");
        }
    }
}
