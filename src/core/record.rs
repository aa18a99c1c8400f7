//! `Record`: one revision of the ledger as bytes, for ever.
//!
//! A record holds what happened, who asked, and the hash of the record before it, so that the ledger is
//! one chain. It is written once and read by every node that ever comes: what it means may only be added
//! to, and a change of shape gets a new number in `v`. Unknown fields are refused, because a node that
//! overlooked one would come to another truth than its writer. The hash of a record is the hash of its
//! bytes as they were read, never of bytes encoded again.
//!
//! From form 2 on a record is its JSON in one line, and a second line with the writer's signature over exactly
//! the bytes of the first: what was checked is what is read, and nobody encodes anything again to check it.

use bytes::Bytes;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    catalogue::{Catalogue, Touched},
    digest::Digest,
    envelope::pae,
    event::{Actor, Event},
    key::{KeyId, PublicKey, Signer, SignerError},
    limits,
    op::{OpId, PutId},
    revision::Revision,
    rules::Rules,
    time::Timestamp,
};

/// What the first record names as the one before it.
pub const GENESIS: Digest = Digest::from_bytes([0; 32]);

/// What is signed of a record, with its bytes.
pub const MEDIA_TYPE: &str = "application/vnd.huidu.record+json";

/// One revision of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The form of this record, and the rules it is judged by.
    pub v: Rules,
    /// Its revision: its place in the ledger.
    pub rev: Revision,
    /// SHA-256 of the bytes of the record before it; [`GENESIS`] for the first.
    pub prev: Digest,
    /// What somebody wanted.
    pub op: OpId,
    /// The digest of it as it was said, so that another want under the same name is told apart ([`crate::ask`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<Digest>,
    /// The attempt that wrote it.
    pub put: PutId,
    /// The node that wrote it.
    pub node: String,
    /// When, by that node's clock.
    pub at: Timestamp,
    /// Who wanted it.
    pub actor: Actor,
    /// Who else agreed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// Why, in the words of whoever wanted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What happened. Empty only in a record that voids a want.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// A want that shall never happen from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub void: Option<OpId>,
    /// A checkpoint that the writer vouches for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ck: Option<CheckpointRef>,
}

/// Somebody who agreed to a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Who.
    pub actor: Actor,
    /// When, by the clock of the node that was told.
    pub at: Timestamp,
}

/// Which checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointRef {
    /// The last revision it holds.
    pub rev: Revision,
    /// SHA-256 of its bytes.
    pub root: Digest,
}

/// The number 1: the first and so far only shape of a checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct V1;

/// The number 2: the second shape of a checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct V2;

/// Why bytes are not a record (or a checkpoint), or a record has no bytes.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Larger than any node reads.
    #[error(
        "a record of {bytes} bytes is over the limit of {}; split the change",
        limits::RECORD_BYTES
    )]
    TooLarge {
        /// How large.
        bytes: usize,
    },
    /// Of a shape that this build does not know.
    #[error("shape {v} is unknown to this build; upgrade this node")]
    Shape {
        /// The number it carries.
        v: u64,
    },
    /// Neither a change nor a void, or both.
    #[error(
        "a record holds events or voids a want, one of both; this one was not written by huidu"
    )]
    Idle,
    /// Not the packed bytes of it.
    #[error("{source}; restore the object from another copy")]
    Packed {
        /// What does not read.
        #[from]
        source: crate::pack::Unpackable,
    },
    /// Whoever writes it could not sign it.
    #[error("the record cannot be signed: {detail}")]
    Signer {
        /// What the holder of the key said.
        detail: String,
    },
    /// Not the JSON of it.
    #[error("not the JSON of it: {source}; restore the object from another copy")]
    Json {
        /// What does not fit.
        #[from]
        source: serde_json::Error,
    },
}

impl Record {
    /// Makes a record that counts true.
    pub fn make_true(&self, catalogue: &mut Catalogue) -> Touched {
        catalogue.reach(self.v, self.at);
        catalogue.apply(self.rev, self.at, &self.events)
    }

    /// The record that nobody signed, as it is stored: compact JSON, fields in this order.
    pub fn encode(&self) -> Result<Bytes, RecordError> {
        let bytes = serde_json::to_vec(self)?;
        check_size(bytes.len())?;
        Ok(bytes.into())
    }

    /// The record as it is stored, with the signature of whoever writes it.
    pub fn seal(&self, signer: &dyn Signer) -> Result<Bytes, RecordError> {
        let sealed = seal_line(MEDIA_TYPE, &self.encode()?, signer);
        sealed.map_err(|error| RecordError::Signer {
            detail: error.to_string(),
        })
    }

    /// Reads a record. Whether it belongs where it was found, and who signed it, is for the reader to check.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let (payload, seal) = split(bytes);
        Self::read(payload, seal.is_some())
    }

    fn read(payload: &[u8], is_sealed: bool) -> Result<Self, RecordError> {
        check_size(payload.len())?;
        let record: Self = decode_record(payload)?;
        if record.events.is_empty() != record.void.is_some() || (is_sealed && record.v.is_first()) {
            return Err(RecordError::Idle);
        }
        Ok(record)
    }
}

/// Who says that a line is theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seal {
    key: KeyId,
    signature: Vec<u8>,
}

impl Seal {
    /// True when one of `keys` signed `line`, as what `media` calls it.
    pub(crate) fn is_by<'a>(
        &self,
        media: &str,
        line: &[u8],
        keys: impl IntoIterator<Item = &'a PublicKey>,
    ) -> bool {
        let mut named = keys.into_iter().filter(|key| key.id() == self.key);
        let message = pae(media, line);
        named.any(|key| key.verifies(&message, &self.signature))
    }
}

/// A line, and behind it a second one with the signature of whoever says it.
pub(crate) fn seal_line(
    media: &str,
    line: &[u8],
    signer: &dyn Signer,
) -> Result<Bytes, SignerError> {
    let signature = signer.sign(&pae(media, line))?;
    let key = signer.public_key().id();
    let mut bytes = line.to_vec();
    bytes.extend_from_slice(format!("\n{key} {}\n", BASE64.encode(&signature)).as_bytes());
    Ok(bytes.into())
}

/// The line that is signed, and who signed it. What has no second line in exactly one spelling is all one.
pub(crate) fn split(bytes: &[u8]) -> (&[u8], Option<Seal>) {
    let read = || {
        let at = bytes.iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(&bytes[at + 1..]).ok()?;
        let (key, signature) = line.strip_suffix('\n')?.split_once(' ')?;
        let key = key.parse().ok()?;
        let signature = BASE64.decode(signature.as_bytes()).ok()?;
        Some((at, Seal { key, signature }))
    };
    match read() {
        Some((at, seal)) => (&bytes[..at], Some(seal)),
        None => (bytes, None),
    }
}

/// What lies in a slot of the ledger, read as far as it can be.
#[derive(Debug)]
pub struct Found {
    bytes: Bytes,
    payload: usize,
    seal: Option<Seal>,
    record: Result<Record, RecordError>,
}

impl Found {
    /// Reads what lies in a slot.
    pub fn read(bytes: &Bytes) -> Self {
        let (payload, seal) = split(bytes);
        Self {
            record: Record::read(payload, seal.is_some()),
            payload: payload.len(),
            bytes: bytes.clone(),
            seal,
        }
    }

    /// The record, or why there is none.
    pub const fn record(&self) -> Result<&Record, &RecordError> {
        self.record.as_ref()
    }

    /// The same, taken out.
    pub fn into_record(self) -> Result<Record, RecordError> {
        self.record
    }

    /// Everything, as the store keeps it.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The line that is signed.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[..self.payload]
    }

    /// True when one of `keys` signed it.
    pub fn is_by<'a>(&self, keys: impl IntoIterator<Item = &'a PublicKey>) -> bool {
        let seal = self.seal.as_ref();
        seal.is_some_and(|seal| seal.is_by(MEDIA_TYPE, self.payload(), keys))
    }
}

const fn check_size(bytes: usize) -> Result<(), RecordError> {
    if bytes > limits::RECORD_BYTES {
        return Err(RecordError::TooLarge { bytes });
    }
    Ok(())
}

impl RecordError {
    /// True of what no build ever wrote: not JSON at all. What merely does not fit may be a later build's.
    pub fn is_garbage(&self) -> bool {
        use serde_json::error::Category;
        matches!(self, Self::Json { source } if source.classify() != Category::Data)
    }
}

#[derive(Deserialize)]
struct Shape {
    v: u64,
}

/// Reads a record; one of a form that this build does not know is told apart from a broken one.
fn decode_record(bytes: &[u8]) -> Result<Record, RecordError> {
    serde_json::from_slice(bytes).map_err(|source| match serde_json::from_slice(bytes) {
        Ok(Shape { v }) if Rules::try_from(v).is_err() => RecordError::Shape { v },
        _ => RecordError::Json { source },
    })
}

/// Reads JSON whose field `v` must be `shape`; another number is told apart from a broken object.
pub(crate) fn decode_versioned<T: DeserializeOwned>(
    bytes: &[u8],
    shape: u64,
) -> Result<T, RecordError> {
    serde_json::from_slice(bytes).map_err(|source| match serde_json::from_slice(bytes) {
        Ok(Shape { v }) if v != shape => RecordError::Shape { v },
        _ => RecordError::Json { source },
    })
}

impl TryFrom<u64> for V1 {
    type Error = String;

    fn try_from(v: u64) -> Result<Self, String> {
        if v == 1 {
            Ok(Self)
        } else {
            Err(format!("shape {v} is unknown to this build"))
        }
    }
}

impl TryFrom<u64> for V2 {
    type Error = String;

    fn try_from(v: u64) -> Result<Self, String> {
        if v == 2 {
            Ok(Self)
        } else {
            Err(format!("shape {v} is unknown to this build"))
        }
    }
}

impl From<V2> for u64 {
    fn from(_: V2) -> Self {
        2
    }
}

impl From<V1> for u64 {
    fn from(_: V1) -> Self {
        1
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::authority::Role;

    pub(crate) fn record() -> Record {
        Record {
            v: Rules::One,
            rev: Revision::new(7),
            prev: Digest::of(b"the record before"),
            op: "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
            ask: None,
            put: "01ARZ3NDEKTSV4RRFFQ69G5FAW".parse().unwrap(),
            node: "node-a".into(),
            at: Timestamp::from_unix_ms(1_795_000_000_000),
            actor: Actor {
                id: "lin".into(),
                role: Role::ReleaseManager,
            },
            approvals: Vec::new(),
            why: Some("灰度 begins".into()),
            events: vec![Event::TenantAdded {
                tenant: "pingan".parse().unwrap(),
                title: "平安".into(),
            }],
            void: None,
            ck: Some(CheckpointRef {
                rev: Revision::new(6),
                root: Digest::of(b"a checkpoint"),
            }),
        }
    }

    /// These bytes are in ledgers out there. A change that breaks this test breaks them.
    #[test]
    fn a_record_has_exactly_these_bytes() {
        let golden = concat!(
            r#"{"v":1,"rev":7,"#,
            r#""prev":"abf4fed9093ff28acaab8981590a75c32ed74e48588982541454b7c8af2170f4","#,
            r#""op":"01ARZ3NDEKTSV4RRFFQ69G5FAV","put":"01ARZ3NDEKTSV4RRFFQ69G5FAW","#,
            r#""node":"node-a","at":"2026-11-18T11:06:40Z","#,
            r#""actor":{"id":"lin","role":"release-manager"},"why":"灰度 begins","#,
            r#""events":[{"event":"tenant-added","tenant":"pingan","title":"平安"}],"#,
            r#""ck":{"rev":6,"root":"8c51bcbcf387d1f00d73035db73bc8d356a5ad7b123e0af1d8cecb8107c58cd7"}}"#,
        );
        let bytes = record().encode().unwrap();
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), golden);
        assert_eq!(Record::decode(golden.as_bytes()).unwrap(), record());
        assert_eq!(
            Digest::of(&bytes).to_hex(),
            "6c973a8a7f795f1e14b917002220015201f6616b368851a2e0127b4fcb6ea111"
        );
    }

    /// As above, since what was asked for is kept with it.
    #[test]
    fn a_record_with_its_ask_has_exactly_these_bytes() {
        let mut asked = record();
        asked.ask = Some(Digest::of(b"what was said"));
        let text = String::from_utf8(asked.encode().unwrap().to_vec()).unwrap();
        let part = concat!(
            r#""op":"01ARZ3NDEKTSV4RRFFQ69G5FAV","#,
            r#""ask":"af80764144be61fb07d306066d961d02a7b3abcadbc62303722e99a2c2566006","#,
            r#""put":"01ARZ3NDEKTSV4RRFFQ69G5FAW","#,
        );
        assert!(text.contains(part), "{text}");
        assert_eq!(Record::decode(text.as_bytes()).unwrap(), asked);
    }

    /// These bytes are in ledgers out there, signature and all. A change that breaks this test breaks them.
    #[test]
    fn a_signed_record_has_exactly_these_bytes() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[41; 32]);
        let mut second = record();
        second.v = Rules::Two;
        let bytes = second.seal(&key).unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        let (line, seal) = text.split_once('\n').unwrap();
        assert!(line.starts_with(r#"{"v":2,"rev":7,"prev":"abf4"#), "{line}");
        assert_eq!(seal, SEAL);
        assert_eq!(Record::decode(&bytes).unwrap(), second);
        let found = Found::read(&bytes);
        let other = ed25519_dalek::SigningKey::from_bytes(&[42; 32]).public_key();
        assert!(found.is_by([&other, &key.public_key()]) && !found.is_by([&other]));
        assert_eq!(found.payload(), second.encode().unwrap());
        // Nobody signed it, and of the first form nobody ever did.
        assert!(!Found::read(&second.encode().unwrap()).is_by([&key.public_key()]));
        assert!(Record::decode(&record().seal(&key).unwrap()).is_err());
    }

    const SEAL: &str = "2619612bcc062f0f J2aTCZ94i9itQFiK7LDN24VUamct0A4kmVxJZCN1WE9WvC5s3APEqgz3k5kPZZHXqSt97+8blI5un3i7/hN6BA==\n";

    #[test]
    fn no_changed_bit_of_a_signed_record_is_believed() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[41; 32]);
        let mut second = record();
        second.v = Rules::Two;
        let bytes = second.seal(&key).unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.to_vec();
                changed[at] ^= 1 << bit;
                let found = Found::read(&changed.into());
                assert!(!found.is_by([&key.public_key()]), "byte {at} bit {bit}");
            }
        }
        let twice = [bytes.as_ref(), bytes.as_ref()].concat();
        assert!(!Found::read(&twice.into()).is_by([&key.public_key()]));
    }

    #[test]
    fn a_void_has_no_events_and_a_change_voids_nothing() {
        let mut both = record();
        both.void = Some(both.op);
        let mut neither = record();
        neither.events.clear();
        for wrong in [both, neither.clone()] {
            assert!(matches!(
                Record::decode(&wrong.encode().unwrap()),
                Err(RecordError::Idle)
            ));
        }
        neither.void = Some(neither.op);
        assert_eq!(Record::decode(&neither.encode().unwrap()).unwrap(), neither);
    }

    #[test]
    fn what_is_not_exactly_a_record_is_refused_with_its_reason() {
        let text = String::from_utf8(record().encode().unwrap().to_vec()).unwrap();
        for (wrong, reason) in [
            (text.replace(r#""v":1"#, r#""v":3"#), "shape 3 is unknown"),
            (
                text.replace(r#""v":1,"#, r#""v":3,"new":0,"#),
                "shape 3 is unknown",
            ),
            (text.replace(r#""v":1,"#, ""), "missing field `v`"),
            (
                text.replace(r#""v":1,"#, r#""v":1,"new":0,"#),
                "unknown field `new`",
            ),
            (
                text.replace("tenant-added", "tenant-eaten"),
                "unknown variant",
            ),
            (text[..text.len() - 1].to_owned(), "EOF"),
            (format!("{text}{text}"), "trailing characters"),
            (String::new(), "EOF"),
            (" ".repeat(limits::RECORD_BYTES + 1), "over the limit"),
        ] {
            let error = Record::decode(wrong.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{reason}: {error}");
        }
    }

    #[test]
    fn a_record_that_no_node_would_read_is_not_written() {
        let mut large = record();
        large.why = Some("a".repeat(limits::RECORD_BYTES));
        assert!(matches!(large.encode(), Err(RecordError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn decoding_is_the_inverse_of_encoding(
            rev in any::<u64>(),
            prev in any::<[u8; 32]>(),
            ids in "[0-7][0-9A-HJKMNP-TV-Z]{25}",
            node in ".{0,40}",
            at in 0..253_402_300_799_999u64,
            why in proptest::option::of(".{0,80}"),
            title in ".{0,80}",
            (voids, approved, announces) in any::<(bool, bool, bool)>(),
        ) {
            let mut record = Record { rev: Revision::new(rev), prev: Digest::from_bytes(prev), node, why, ..record() };
            record.op = ids.parse().unwrap();
            record.at = Timestamp::from_unix_ms(at);
            record.events = vec![Event::TenantAdded { tenant: "t".parse().unwrap(), title }];
            if voids {
                record.events.clear();
                record.void = Some(record.op);
            }
            if approved {
                record.approvals.push(Approval { actor: record.actor.clone(), at: record.at });
            }
            if !announces {
                record.ck = None;
            }
            let bytes = record.encode().unwrap();
            prop_assert_eq!(Record::decode(&bytes).unwrap(), record);
        }

        #[test]
        fn any_bytes_are_a_record_or_an_error_but_never_a_panic(bytes: Vec<u8>) {
            let _ = Record::decode(&bytes);
        }
    }
}
