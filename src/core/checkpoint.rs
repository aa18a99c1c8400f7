//! `Checkpoint`: everything that is true at one revision, as bytes, so that a node starts in one read.
//!
//! A checkpoint is named by its digest and means nothing until a record of the ledger names it: the
//! ledger stays the only truth. Two nodes write the same bytes at the same revision, because all that is
//! in it has an order. A change of shape gets a new number in `v`; a checkpoint of an unknown shape is
//! passed over, which costs time and nothing else.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    catalogue::Catalogue,
    digest::Digest,
    op::RecentOps,
    record::{CheckpointRef, RecordError, V1, decode_versioned},
    revision::Revision,
};

/// Everything that is true at one revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint<'a> {
    /// The shape of this checkpoint.
    pub v: V1,
    /// The last revision it holds.
    pub rev: Revision,
    /// SHA-256 of that revision's record.
    pub head: Digest,
    /// What is true.
    pub catalogue: Cow<'a, Catalogue>,
    /// How the latest wants ended.
    pub ops: Cow<'a, RecentOps>,
}

impl Checkpoint<'_> {
    /// The checkpoint as it is stored, and its name.
    pub fn encode(&self) -> Result<(CheckpointRef, Bytes), RecordError> {
        let bytes = Bytes::from(serde_json::to_vec(self)?);
        Ok((
            CheckpointRef {
                rev: self.rev,
                root: Digest::of(&bytes),
            },
            bytes,
        ))
    }

    /// Reads the checkpoint of which `name` is the name; none when these bytes are not it.
    pub fn decode(
        name: CheckpointRef,
        bytes: &[u8],
    ) -> Result<Option<Checkpoint<'static>>, RecordError> {
        if Digest::of(bytes) != name.root {
            return Ok(None);
        }
        let checkpoint: Checkpoint<'static> = decode_versioned(bytes)?;
        let belongs = checkpoint.rev == name.rev && checkpoint.catalogue.revision == name.rev;
        Ok(belongs.then_some(checkpoint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{record::tests::record, time::Timestamp};

    fn checkpoint() -> Checkpoint<'static> {
        let mut record = record();
        record.events.push(crate::event::Event::AppAdded {
            app: "pingan/travel".parse().unwrap(),
            title: "Travel".into(),
        });
        let mut catalogue = Catalogue::default();
        catalogue.apply(record.rev, Timestamp::EPOCH, &record.events);
        let mut ops = RecentOps::default();
        ops.note(&record);
        Checkpoint {
            v: V1,
            rev: record.rev,
            head: Digest::of(b"head"),
            catalogue: Cow::Owned(catalogue),
            ops: Cow::Owned(ops),
        }
    }

    #[test]
    fn decoding_is_the_inverse_of_encoding() {
        let (name, bytes) = checkpoint().encode().unwrap();
        assert_eq!(
            Checkpoint::decode(name, &bytes).unwrap(),
            Some(checkpoint())
        );
        assert_eq!(
            checkpoint().encode().unwrap(),
            (name, bytes),
            "the same state, the same bytes"
        );
    }

    #[test]
    fn bytes_that_do_not_have_the_name_are_not_it() {
        let (name, bytes) = checkpoint().encode().unwrap();
        let mut flipped = bytes.to_vec();
        flipped[20] ^= 1;
        assert_eq!(Checkpoint::decode(name, &flipped).unwrap(), None);
        let earlier = CheckpointRef {
            rev: Revision::new(6),
            ..name
        };
        assert_eq!(Checkpoint::decode(earlier, &bytes).unwrap(), None);
    }

    #[test]
    fn another_shape_is_told_apart() {
        let (_, bytes) = checkpoint().encode().unwrap();
        let text = String::from_utf8(bytes.to_vec())
            .unwrap()
            .replacen(r#""v":1"#, r#""v":2"#, 1);
        let name = CheckpointRef {
            rev: Revision::new(7),
            root: Digest::of(text.as_bytes()),
        };
        assert!(matches!(
            Checkpoint::decode(name, text.as_bytes()),
            Err(RecordError::Shape { v: 2 })
        ));
    }
}
