//! The pieces of a checkpoint: one object for each app, read and written side by side.
//!
//! An app that has not changed since the checkpoint before is the same object and is not written again, so a
//! checkpoint costs what has changed. Pieces are written before the outline that names them: an outline that
//! can be read has all of them, or the store has lost one.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use huidu_core::{
    catalogue::{App, Catalogue},
    checkpoint::{Outline, pack_app, unpack_app},
    digest::Digest,
    name::AppId,
    op::RecentOps,
    record::{CheckpointRef, RecordError, V2},
    revision::Revision,
};
use tokio::task::JoinSet;

use super::{LedgerError, Position};
use crate::store::{Key, Place, Store, StoreError};

/// Pieces on their way at a time: a store that answers after milliseconds is then not waited for.
const READS: usize = 32;
/// Likewise, where each is synced to a disk.
const WRITES: usize = 4;

/// The objects of the last checkpoint.
#[derive(Debug)]
pub(super) struct Pieces {
    /// Its revision: an app that is not newer is that object.
    pub(super) rev: Revision,
    pub(super) objects: BTreeMap<AppId, Digest>,
}

/// What is true at one revision, on its way into a checkpoint.
pub struct Draft {
    pub(super) store: Arc<dyn Store>,
    pub(super) at: Position,
    pub(super) catalogue: Catalogue,
    pub(super) ops: RecentOps,
    pub(super) before: Option<Arc<Pieces>>,
}

/// A checkpoint that is in the store.
#[derive(Debug)]
pub struct Written {
    pub(super) name: CheckpointRef,
    pub(super) pieces: Arc<Pieces>,
    /// Apps that had to be written: all others are objects of the checkpoint before.
    pub apps: usize,
}

impl Draft {
    /// Writes it: what is new of it, and then the outline.
    pub async fn write(self) -> Result<Written, LedgerError> {
        let (mut objects, mut apps) = (BTreeMap::new(), 0);
        let mut writing = JoinSet::new();
        for (id, app) in &self.catalogue.apps {
            if let Some(known) = self.known(app) {
                objects.insert(id.clone(), known);
                continue;
            }
            let bytes = Bytes::from(pack_app(app).map_err(LedgerError::Unwritable)?);
            let digest = Digest::of(&bytes);
            objects.insert(id.clone(), digest);
            apps += 1;
            if writing.len() >= WRITES {
                ended(writing.join_next().await)?;
            }
            let store = Arc::clone(&self.store);
            writing.spawn(async move { put(&*store, &Key::Cas(digest), bytes).await });
        }
        while let Some(end) = writing.join_next().await {
            ended(Some(end))?;
        }
        let pieces: Vec<(AppId, Digest)> = objects.iter().map(|(id, d)| (id.clone(), *d)).collect();
        let outline = Outline {
            v: V2,
            rev: self.at.rev,
            head: self.at.head,
            catalogue: Cow::Owned(self.catalogue.without_apps()),
            ops: Cow::Borrowed(&self.ops),
            apps: Cow::Owned(pieces),
        };
        let (name, bytes) = outline.encode().map_err(LedgerError::Unwritable)?;
        put(&*self.store, &super::checkpoint::key(name), bytes).await?;
        let rev = self.at.rev;
        Ok(Written {
            name,
            pieces: Arc::new(Pieces { rev, objects }),
            apps,
        })
    }

    /// The object of `app`, when the checkpoint before holds it as it is.
    fn known(&self, app: &App) -> Option<Digest> {
        let before = self.before.as_ref()?;
        let is_same = app.revision <= before.rev;
        is_same.then(|| before.objects.get(&app.id).copied())?
    }
}

/// Named by its bytes: whoever wrote it before wrote the same.
async fn put(store: &dyn Store, key: &Key, bytes: Bytes) -> Result<(), StoreError> {
    match store.put_new(key, bytes).await {
        Err(error) if !error.is_already_exists() => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn ended(
    end: Option<Result<Result<(), StoreError>, tokio::task::JoinError>>,
) -> Result<(), StoreError> {
    match end {
        Some(Ok(result)) => result,
        Some(Err(error)) => Err(StoreError::unavailable(Place::Store, error)),
        None => Ok(()),
    }
}

/// Why a piece cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum PieceError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Shape(#[from] RecordError),
}

type Piece = Result<(Digest, Bytes, App), PieceError>;

/// Pieces as they come in, in no order.
pub(super) struct Reading<I> {
    store: Arc<dyn Store>,
    left: I,
    under_way: JoinSet<Piece>,
}

/// Begins to read `objects`.
pub(super) fn read<I: Iterator<Item = Digest>>(store: Arc<dyn Store>, objects: I) -> Reading<I> {
    Reading {
        store,
        left: objects,
        under_way: JoinSet::new(),
    }
}

impl<I: Iterator<Item = Digest>> Reading<I> {
    /// The next piece that is there; none when all have come.
    pub(super) async fn next(&mut self) -> Option<Piece> {
        while self.under_way.len() < READS
            && let Some(digest) = self.left.next()
        {
            let store = Arc::clone(&self.store);
            self.under_way.spawn(async move {
                let bytes = store.get(&Key::Cas(digest)).await?;
                let app = unpack_app(&bytes)?;
                Ok((digest, bytes, app))
            });
        }
        let joined = self.under_way.join_next().await?;
        Some(
            joined.unwrap_or_else(|error| Err(StoreError::unavailable(Place::Store, error).into())),
        )
    }
}
