//! `Beat`: what a node says of itself once a second, for the other nodes and for people.
//!
//! A beat is one line of JSON and a second with the signature of its node's log key, as records are. It says what
//! is so and asks for nothing. What a later build adds is passed over, and what an earlier one did not say is
//! taken as unsaid: nodes of adjacent versions read each other. Who signed it is for the reader to ask.

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::{
    envelope::pae,
    fingerprint::Fingerprint,
    key::{KeyId, PublicKey, Signer, SignerError},
    revision::Revision,
    rules::Rules,
    time::Timestamp,
};

/// What is signed of a beat, with its bytes.
pub const MEDIA_TYPE: &str = "application/vnd.huidu.beat+json";
/// The most bytes a beat has.
pub const BEAT_BYTES: usize = 8 * 1024;

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// The node's name.
    pub node: String,
    /// Which run of it: it has another one after every start.
    #[serde(default)]
    pub run: String,
    /// Its build.
    #[serde(default)]
    pub version: String,
    /// What it reads.
    #[serde(default)]
    pub reads: Forms,
    /// What it writes.
    #[serde(default)]
    pub writes: Forms,
    /// The revision it serves.
    #[serde(default)]
    pub revision: Revision,
    /// When it last proved that this was all there is.
    #[serde(default)]
    pub asof: Timestamp,
    /// When it said this, by its own clock.
    #[serde(default)]
    pub at: Timestamp,
    /// When it was started, by its own clock.
    #[serde(default)]
    pub started: Timestamp,
    /// Its control plane, as other nodes reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How it is, in one word: `ready`, `degraded`, `draining`, `doubting`, `quarantined`.
    #[serde(default)]
    pub standing: String,
    /// Fingerprints of what was true, of its latest marks, the newest last.
    #[serde(default, deserialize_with = "understood")]
    pub states: Vec<Fingerprint>,
    /// Of these, the last one that it came to anew from the first record on.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "if_understood"
    )]
    pub verified: Option<Fingerprint>,
}

/// Those fingerprints that this build understands: a later one may write them otherwise.
fn understood<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Fingerprint>, D::Error> {
    let all: Vec<Value> = Vec::deserialize(from)?;
    Ok(all.into_iter().filter_map(read).collect())
}

fn if_understood<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Fingerprint>, D::Error> {
    Ok(read(Value::deserialize(from)?))
}

fn read(value: Value) -> Option<Fingerprint> {
    serde_json::from_value(value).ok()
}

/// Forms of what is kept, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forms {
    /// Of records, and by that the rules they are judged by.
    #[serde(default)]
    pub records: Vec<u64>,
    /// Of checkpoints.
    #[serde(default)]
    pub checkpoints: Vec<u64>,
}

impl Forms {
    /// What this build reads.
    pub fn read() -> Self {
        let known = |rules: &u64| Rules::try_from(*rules).is_ok();
        Self {
            records: (1..=u64::from(Rules::NEWEST)).filter(known).collect(),
            checkpoints: vec![1, 2],
        }
    }

    /// What this build writes; `signs`: its records.
    pub fn written(signs: bool) -> Self {
        let rules = if signs { Rules::NEWEST } else { Rules::One };
        Self {
            records: vec![rules.into()],
            checkpoints: vec![2],
        }
    }

    /// True when a reader of these reads what a writer of `written` writes. What was left unsaid is no reason
    /// to think otherwise.
    pub fn read_all(&self, written: &Self) -> bool {
        let all = |reads: &[u64], writes: &[u64]| {
            reads.is_empty() || writes.iter().all(|form| reads.contains(form))
        };
        all(&self.records, &written.records) && all(&self.checkpoints, &written.checkpoints)
    }
}

/// A beat as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// What it says.
    pub beat: Beat,
    /// The text, to hand on.
    pub text: String,
    seal: Option<(KeyId, Vec<u8>)>,
}

/// Why a text is no beat.
#[derive(Debug, thiserror::Error)]
pub enum BeatError {
    /// Longer than any beat.
    #[error("a beat of {bytes} bytes; the longest there is has {BEAT_BYTES}")]
    TooLong {
        /// How long.
        bytes: usize,
    },
    /// Not the JSON of one.
    #[error("not the JSON of a beat: {0}")]
    Json(#[from] serde_json::Error),
}

impl Beat {
    /// The text of it, signed where there is a key.
    pub fn seal(&self, signer: Option<&dyn Signer>) -> Result<String, SealError> {
        let mut text = serde_json::to_string(self)?;
        if let Some(signer) = signer {
            let signature = signer.sign(&pae(MEDIA_TYPE, text.as_bytes()))?;
            let (key, signature) = (signer.public_key().id(), BASE64.encode(&signature));
            text.push_str(&format!("\n{key} {signature}"));
        }
        Ok(text)
    }
}

/// Why a beat has no text.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Nobody signs.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// It cannot be written.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl Heard {
    /// Reads the text of a beat.
    pub fn read(text: String) -> Result<Self, BeatError> {
        let bytes = text.len();
        if bytes > BEAT_BYTES {
            return Err(BeatError::TooLong { bytes });
        }
        let (line, seal) = match text.split_once('\n') {
            Some((line, seal)) => (line, sealed(seal)),
            None => (text.as_str(), None),
        };
        let beat = serde_json::from_str(line)?;
        Ok(Self { beat, seal, text })
    }

    /// True when one of `keys` signed it.
    pub fn is_by<'a>(&self, keys: impl IntoIterator<Item = &'a PublicKey>) -> bool {
        let (Some((named, signature)), Some((line, _))) = (&self.seal, self.text.split_once('\n'))
        else {
            return false;
        };
        let message = pae(MEDIA_TYPE, line.as_bytes());
        let mut keys = keys.into_iter().filter(|key| key.id() == *named);
        keys.any(|key| key.verifies(&message, signature))
    }
}

fn sealed(line: &str) -> Option<(KeyId, Vec<u8>)> {
    let (key, signature) = line.trim_end().split_once(' ')?;
    let signature = BASE64.decode(signature.as_bytes()).ok()?;
    Some((key.parse().ok()?, signature))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    fn beat() -> Beat {
        Beat {
            node: "node-1".into(),
            run: "r".into(),
            version: "0.1.0".into(),
            reads: Forms::read(),
            writes: Forms::written(true),
            revision: Revision::new(7),
            asof: Timestamp::from_unix_ms(1_800_000_000_000),
            at: Timestamp::from_unix_ms(1_800_000_000_500),
            started: Timestamp::from_unix_ms(1_799_000_000_000),
            address: Some("http://10.0.0.1:8081".into()),
            standing: "ready".into(),
            states: Vec::new(),
            verified: None,
        }
    }

    #[test]
    fn a_beat_is_its_nodes_word_and_no_changed_byte_of_it_is() {
        let key = SigningKey::from_bytes(&[3; 32]);
        let ours = [Signer::public_key(&key)];
        let text = beat().seal(Some(&key)).unwrap();
        let heard = Heard::read(text.clone()).unwrap();
        assert_eq!(heard.beat, beat());
        assert!(heard.is_by(&ours));
        let other = Signer::public_key(&SigningKey::from_bytes(&[4; 32]));
        assert!(!heard.is_by([&other]));
        let mut tried = 0;
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            tried += 1;
            // Only what reads as the very same is by us.
            let by_us = Heard::read(changed).is_ok_and(|heard| heard.is_by(&ours));
            assert!(!by_us, "byte {at}");
        }
        assert!(tried > 300);
        assert!(
            !Heard::read(beat().seal(None).unwrap())
                .unwrap()
                .is_by(&ours)
        );
    }

    #[test]
    fn beats_of_an_earlier_and_of_a_later_version_are_read() {
        let earlier = Heard::read(r#"{"node":"old"}"#.into()).unwrap().beat;
        assert_eq!(
            (earlier.node.as_str(), earlier.revision),
            ("old", Revision::ZERO)
        );
        assert!(earlier.reads.read_all(&Forms::written(true)));
        let later = r#"{"node":"new","run":"x","version":"9.0.0","reads":{"records":[2,3],"checkpoints":[2,3],"bundles":[1]},"writes":{"records":[3],"checkpoints":[3]},"revision":9,"standing":"singing","states":[{"way":9,"rev":8,"hash":"sha256:00"}],"mood":{"of":["anything"]}}"#;
        let strange = Heard::read(later.into()).unwrap().beat;
        assert!(strange.states.is_empty() && strange.verified.is_none());
        let hash = serde_json::to_string(&crate::digest::Digest::of(b"x")).unwrap();
        let later = later.replace("\"sha256:00\"", &hash);
        let later = Heard::read(later).unwrap().beat;
        assert_eq!(later.states[0].way, 9);
        assert_eq!(
            (later.node.as_str(), later.standing.as_str()),
            ("new", "singing")
        );
        assert!(!Forms::read().read_all(&later.writes));
        assert!(!later.reads.read_all(&Forms {
            records: vec![1],
            checkpoints: vec![]
        }));
    }

    #[test]
    fn what_is_too_long_is_not_read() {
        let long = format!(r#"{{"node":"{}"}}"#, "x".repeat(BEAT_BYTES));
        assert!(matches!(Heard::read(long), Err(BeatError::TooLong { .. })));
    }
}
