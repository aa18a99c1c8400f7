//! `Checkpoint`: everything that is true at one revision, as bytes, so that a node need not read all records.
//!
//! A checkpoint is named by its digest and means nothing until a record of the ledger names it: the
//! ledger stays the only truth. Two nodes write the same bytes at the same revision, because all that is
//! in it has an order. There are two shapes. The first is one piece. The second, which is written, is an
//! [`Outline`] that names one object for each app: apps that did not change are the objects of the
//! checkpoint before. A checkpoint of an unknown shape is passed over, which costs time and nothing else.

mod part;

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use part::{pack_app, unpack_app};

use crate::{
    catalogue::Catalogue,
    digest::Digest,
    name::AppId,
    op::RecentOps,
    record::{CheckpointRef, RecordError, V1, V2, decode_versioned},
    revision::Revision,
};

/// Everything that is true at one revision, in one piece: the first shape.
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

    fn decode(
        name: CheckpointRef,
        bytes: &[u8],
    ) -> Result<Option<Checkpoint<'static>>, RecordError> {
        let checkpoint: Checkpoint<'static> = decode_versioned(bytes, 1)?;
        let belongs = checkpoint.rev == name.rev && checkpoint.catalogue.revision == name.rev;
        Ok(belongs.then_some(checkpoint))
    }
}

/// Everything that is true at one revision, where each app is an object of its own: the second shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outline<'a> {
    /// The shape of this checkpoint.
    pub v: V2,
    /// The last revision it holds.
    pub rev: Revision,
    /// SHA-256 of that revision's record.
    pub head: Digest,
    /// What is true, but for the apps.
    pub catalogue: Cow<'a, Catalogue>,
    /// How the latest wants ended.
    pub ops: Cow<'a, RecentOps>,
    /// The objects of the apps, in the order of their names.
    pub apps: Cow<'a, [(AppId, Digest)]>,
}

impl Outline<'_> {
    /// The outline as it is stored, and its name, which is the checkpoint's.
    pub fn encode(&self) -> Result<(CheckpointRef, Bytes), RecordError> {
        let bytes = Bytes::from(serde_json::to_vec(self)?);
        let root = Digest::of(&bytes);
        Ok((
            CheckpointRef {
                rev: self.rev,
                root,
            },
            bytes,
        ))
    }
}

/// A checkpoint as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// In one piece.
    Whole(Box<Checkpoint<'static>>),
    /// In pieces that are to be read.
    Parted(Box<Outline<'static>>),
}

impl Kept {
    /// Reads the checkpoint of which `name` is the name; none when these bytes are not it.
    pub fn decode(name: CheckpointRef, bytes: &[u8]) -> Result<Option<Self>, RecordError> {
        if Digest::of(bytes) != name.root {
            return Ok(None);
        }
        // The fields have an order, so the shape is the first thing there.
        if !bytes.starts_with(br#"{"v":2,"#) {
            let whole = Checkpoint::decode(name, bytes)?;
            return Ok(whole.map(|whole| Self::Whole(Box::new(whole))));
        }
        let outline: Outline<'static> = decode_versioned(bytes, 2)?;
        let catalogue = &outline.catalogue;
        let belongs = outline.rev == name.rev
            && catalogue.revision == name.rev
            && catalogue.apps.is_empty()
            && outline.apps.windows(2).all(|pair| pair[0].0 < pair[1].0);
        Ok(belongs.then(|| Self::Parted(Box::new(outline))))
    }

    /// SHA-256 of the record of its last revision.
    pub const fn head(&self) -> Digest {
        match self {
            Self::Whole(whole) => whole.head,
            Self::Parted(outline) => outline.head,
        }
    }
}

#[cfg(test)]
mod tests;
