//! Checkpoints: how a node starts in one read, and what it leaves for the nodes after it.
//!
//! A checkpoint counts when a later record names it that this node itself signed, or another with the same key:
//! nothing else in the store says more than whoever can write there wants it to say. Any other (its writer died
//! before announcing it, somebody forged it, its bytes are damaged, its shape is of another build) is passed over
//! with a warning, down to the first record, which needs none.

use std::borrow::Cow;

use bytes::Bytes;
use huidu_core::{
    checkpoint::Checkpoint,
    digest::Digest,
    record::{CheckpointRef, Found, V1},
    revision::Revision,
};

use super::{Fold, Fork, Ledger, LedgerError, Parts, Position};
use crate::store::{Folder, Key};

/// How many records behind a checkpoint are looked at for one that names it. Its writer's next record does.
const BEHIND: usize = 4_096;

/// How to begin.
#[derive(Debug, Clone, Copy, Default)]
pub struct Start {
    /// What this node has seen before: a ledger that does not hold it has forked.
    pub known: Option<Position>,
    /// Which checkpoints count.
    pub trust: Trust,
}

/// Which checkpoints count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those that a record vouches for which this node's own key signed: a store that others write to.
    #[default]
    Vouched,
    /// Every one that the records after it follow: this node's own copy on disk, which may begin in the
    /// middle of the ledger.
    OwnCopy,
}

/// A checkpoint that counts, and the records behind it that had to be read to know.
struct Base {
    name: CheckpointRef,
    checkpoint: Checkpoint<'static>,
    bytes: Bytes,
    tail: Vec<Bytes>,
}

impl<F: Fold> Ledger<F> {
    /// Opens the ledger in `parts.store` and catches up, in front of what this build cannot read. Reads only.
    pub async fn open(parts: Parts, fold: F, start: Start) -> Result<Self, LedgerError> {
        let mut ledger = Self::new(parts, fold);
        let newest = ledger.begin(start.trust).await?;
        match ledger.catch_up().await {
            // Following says so again; what is known up to there can be served meanwhile.
            Err(LedgerError::Unreadable { rev, source }) => {
                tracing::error!(revision = %rev, error = %source, "the ledger cannot be read further");
                return Ok(ledger);
            }
            reached => reached?,
        };
        let ours = start.known.map_or(newest, |known| known.rev.max(newest));
        if ledger.at.rev < ours {
            return Err(ledger.forked(Fork::Shorter { ours }));
        }
        if let Some(known) = start.known {
            ledger.verify_at(known).await?;
        }
        Ok(ledger)
    }

    /// Writes what is true now as a checkpoint. The next record that this node appends announces it; until then
    /// it counts for nobody.
    pub async fn checkpoint(&mut self) -> Result<CheckpointRef, LedgerError> {
        self.sound()?;
        let (name, bytes) = {
            let catalogue = self.fold.catalogue();
            let checkpoint = Checkpoint {
                v: V1,
                rev: self.at.rev,
                head: self.at.head,
                catalogue: Cow::Borrowed(&*catalogue),
                ops: Cow::Borrowed(&self.ops),
            };
            checkpoint.encode().map_err(LedgerError::Unwritable)?
        };
        match self.parts.store.put_new(&key(name), bytes).await {
            Err(error) if !error.is_already_exists() => Err(error.into()),
            // Named by its bytes: whoever wrote it wrote the same.
            Ok(()) | Err(_) => {
                self.unannounced |= self.checkpoint != Some(name);
                self.checkpoint = Some(name);
                Ok(name)
            }
        }
    }

    /// Takes in the newest checkpoint that counts. Answers the newest revision of which any readable
    /// checkpoint tells: the ledger cannot end before it.
    async fn begin(&mut self, trust: Trust) -> Result<Revision, LedgerError> {
        let mut newest = Revision::ZERO;
        for name in self.names().await? {
            let Some((checkpoint, bytes)) = self.load(name).await? else {
                continue;
            };
            newest = newest.max(name.rev);
            let Some(tail) = self.vouched(name, &checkpoint, trust).await? else {
                tracing::warn!(rev = %name.rev, root = %name.root, "passing over a checkpoint that the ledger does not vouch for");
                continue;
            };
            self.begin_at(Base {
                name,
                checkpoint,
                bytes,
                tail,
            })?;
            break;
        }
        Ok(newest)
    }

    fn begin_at(&mut self, base: Base) -> Result<(), LedgerError> {
        let Base {
            name,
            checkpoint,
            bytes,
            tail,
        } = base;
        self.at = Position {
            rev: checkpoint.rev,
            head: checkpoint.head,
        };
        self.ops = checkpoint.ops.into_owned();
        self.checkpoint = Some(name);
        self.unannounced = false;
        self.fold
            .restore(checkpoint.catalogue.into_owned(), name, &bytes);
        for bytes in tail {
            self.offer(self.at.rev.next(), &bytes)?;
        }
        Ok(())
    }

    /// The names of all checkpoints, newest first.
    async fn names(&self) -> Result<Vec<CheckpointRef>, LedgerError> {
        let keys = self.parts.store.list(Folder::Checkpoints, None).await?;
        let mut names: Vec<_> = keys
            .into_iter()
            .filter_map(|key| match key {
                Key::Checkpoint { rev, digest } => Some(CheckpointRef {
                    rev: Revision::new(rev),
                    root: digest,
                }),
                _ => None,
            })
            .collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.rev));
        Ok(names)
    }

    /// Reads a checkpoint; none when it is damaged, gone, or of another shape.
    async fn load(
        &self,
        name: CheckpointRef,
    ) -> Result<Option<(Checkpoint<'static>, Bytes)>, LedgerError> {
        let bytes = match self.parts.store.get(&key(name)).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_unavailable() => return Err(error.into()),
            Err(error) => {
                tracing::warn!(rev = %name.rev, %error, "passing over a checkpoint that cannot be read");
                return Ok(None);
            }
        };
        match Checkpoint::decode(name, &bytes) {
            Ok(Some(checkpoint)) => Ok(Some((checkpoint, bytes))),
            Ok(None) => {
                tracing::warn!(rev = %name.rev, root = %name.root, "passing over a damaged checkpoint");
                Ok(None)
            }
            Err(error) => {
                tracing::warn!(rev = %name.rev, root = %name.root, %error, "passing over a checkpoint of another shape");
                Ok(None)
            }
        }
    }

    /// The records behind a checkpoint up to the one that names it, when the checkpoint counts.
    async fn vouched(
        &self,
        name: CheckpointRef,
        checkpoint: &Checkpoint<'_>,
        trust: Trust,
    ) -> Result<Option<Vec<Bytes>>, LedgerError> {
        let store = &self.parts.store;
        let own = self.parts.own_key();
        let (mut rev, mut head, mut tail) = (name.rev, checkpoint.head, Vec::new());
        while tail.len() < BEHIND {
            let bytes = match store.get(&Key::Log(rev.next().get())).await {
                Ok(bytes) => bytes,
                Err(error) if error.is_not_found() => break,
                Err(error) => return Err(error.into()),
            };
            rev = rev.next();
            let found = Found::read(&bytes);
            let is_own = found.is_by(&own);
            // What nobody of ours signed may stand there and say anything; following will judge it.
            let follows = found.record().map_or(true, |record| record.prev == head);
            if !follows && (is_own || trust == Trust::OwnCopy) {
                return Ok(None);
            }
            let names = found.record().is_ok_and(|record| record.ck == Some(name));
            head = Digest::of(&bytes);
            tail.push(bytes);
            if names && follows && is_own {
                return Ok(Some(tail));
            }
        }
        Ok((trust == Trust::OwnCopy).then_some(tail))
    }
}

const fn key(name: CheckpointRef) -> Key {
    Key::Checkpoint {
        rev: name.rev.get(),
        digest: name.root,
    }
}
