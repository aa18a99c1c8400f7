//! Checkpoints: how a node starts in one read, and what it leaves for the nodes after it.
//!
//! A checkpoint counts when a later record names it that this node itself signed, or another with the same key:
//! nothing else in the store says more than whoever can write there wants it to say. Any other (its writer died
//! before announcing it, somebody forged it, its bytes are damaged, its shape is of another build) is passed over
//! with a warning, down to the first record, which needs none.

use std::sync::Arc;

use bytes::Bytes;
use huidu_core::{
    catalogue::Catalogue,
    checkpoint::{Kept, Outline},
    digest::Digest,
    op::RecentOps,
    record::{CheckpointRef, Found},
    revision::Revision,
    validity,
};

use super::{
    Fold, Fork, Ledger, LedgerError, Parts, Position,
    pieces::{self, Draft, PieceError, Pieces, Written},
};
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
    kept: Kept,
    bytes: Bytes,
    tail: Vec<Bytes>,
}

/// How two checkpoints of one revision compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// They say the same in two shapes.
    Same,
    /// They say different things, or one of them is not there to be read.
    Other,
    /// The other is of a shape that this build does not know.
    Unknown,
}

/// A checkpoint as far as it can be read.
enum Whole {
    /// Whether it is in one piece, and what it says.
    Read(Box<(bool, (Digest, Catalogue, RecentOps))>),
    /// It, or a piece of it, is of another shape.
    Strange,
    /// It, or a piece of it, is gone or damaged.
    Absent,
}

/// The pieces of an outline.
enum Gathered {
    All(Box<Catalogue>),
    /// One is of another shape.
    Strange,
    /// One is gone or damaged.
    Incomplete,
}

impl<F: Fold> Ledger<F> {
    /// The ledger in `parts.store` in front of its first record: whoever follows it from there believes no checkpoint.
    pub fn from_the_first(parts: Parts, fold: F) -> Self {
        Self::new(parts, fold)
    }

    /// The ledger in `parts.store` at the newest checkpoint that counts and lies before `rev`, or in front of its first
    /// record: whoever wants to know what has happened since follows it from there.
    pub async fn from_before(parts: Parts, fold: F, rev: Revision) -> Result<Self, LedgerError> {
        let mut ledger = Self::new(parts, fold);
        ledger.begin(Trust::Vouched, |name| name.rev < rev).await?;
        Ok(ledger)
    }

    /// Opens the ledger in `parts.store` and catches up, in front of what this build cannot read. Reads only.
    pub async fn open(parts: Parts, fold: F, start: Start) -> Result<Self, LedgerError> {
        let mut ledger = Self::new(parts, fold);
        let newest = ledger.begin(start.trust, |_| true).await?;
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
            ledger.came_of(known).await?;
        }
        Ok(ledger)
    }

    /// Checks that what was begun from a checkpoint behind `known` came of it, record by record. That the store
    /// still has `known` in its slot does not say so: where two writers won that slot, the checkpoint may be
    /// of the other one's history.
    async fn came_of(&mut self, known: Position) -> Result<(), LedgerError> {
        if self.checkpoint.is_none_or(|name| name.rev < known.rev) {
            return Ok(());
        }
        let store = Arc::clone(&self.parts.store);
        let own = self.parts.own_key();
        let keyring = self.fold.catalogue().trust.chain.newest.clone();
        let mut before = known;
        while before.rev < self.at.rev {
            let rev = before.rev.next();
            let bytes = store.get(&Key::Log(rev.get())).await?;
            let found = Found::read(&bytes);
            let listed = keyring
                .iter()
                .flat_map(|keyring| validity::signers(keyring));
            let is_ours = own.is_none() || found.is_by(own.iter().chain(listed));
            // What nobody of ours signed may say that it follows anything.
            if let Ok(record) = found.record()
                && is_ours
                && record.prev != before.head
            {
                let (expected, found) = (before.head, record.prev);
                return Err(self.forked(Fork::Broken {
                    rev,
                    expected,
                    found,
                }));
            }
            let head = Digest::of(&bytes);
            before = Position { rev, head };
        }
        if before.head != self.at.head {
            return Err(self.forked(Fork::Rewritten { rev: self.at.rev }));
        }
        Ok(())
    }

    /// Writes what is true now as a checkpoint. The next record that this node appends announces it; until then
    /// it counts for nobody.
    pub async fn checkpoint(&mut self) -> Result<CheckpointRef, LedgerError> {
        let written = self.draft_checkpoint()?.write().await?;
        Ok(self.note_checkpoint(written))
    }

    /// What is true now, to be written as a checkpoint while the ledger goes on. It shares all apps with
    /// the fold.
    pub fn draft_checkpoint(&self) -> Result<Draft, LedgerError> {
        self.sound()?;
        Ok(Draft {
            store: Arc::clone(&self.parts.store),
            at: self.at,
            catalogue: self.fold.catalogue().clone(),
            ops: self.ops.clone(),
            before: self.pieces.clone(),
        })
    }

    /// Remembers a checkpoint that was written, to announce it. One that comes after a later one is only
    /// named.
    pub fn note_checkpoint(&mut self, written: Written) -> CheckpointRef {
        let Written { name, pieces, .. } = written;
        if self.checkpoint.is_none_or(|known| known.rev <= name.rev) {
            self.unannounced |= self.checkpoint != Some(name);
            self.checkpoint = Some(name);
            self.pieces = Some(pieces);
        }
        name
    }

    /// Takes in the newest checkpoint that counts, of those that `fits`. Answers the newest revision of which any of
    /// these that is readable tells: the ledger cannot end before it.
    async fn begin(
        &mut self,
        trust: Trust,
        fits: impl Fn(&CheckpointRef) -> bool,
    ) -> Result<Revision, LedgerError> {
        let mut newest = Revision::ZERO;
        for name in self.names().await?.into_iter().filter(fits) {
            let Some((kept, bytes)) = self.load(name).await? else {
                continue;
            };
            newest = newest.max(name.rev);
            let Some(tail) = self.vouched(name, kept.head(), trust).await? else {
                tracing::warn!(rev = %name.rev, root = %name.root, "passing over a checkpoint that the ledger does not vouch for");
                continue;
            };
            let base = Base {
                name,
                kept,
                bytes,
                tail,
            };
            if self.begin_at(base).await? {
                break;
            }
        }
        Ok(newest)
    }

    /// False when a piece of it is gone or damaged.
    async fn begin_at(&mut self, base: Base) -> Result<bool, LedgerError> {
        let Base {
            name,
            kept,
            bytes,
            tail,
        } = base;
        let head = kept.head();
        let (catalogue, ops) = match kept {
            Kept::Whole(whole) => (whole.catalogue.into_owned(), whole.ops.into_owned()),
            Kept::Parted(outline) => {
                let Gathered::All(catalogue) = self.gather(name, &outline).await? else {
                    return Ok(false);
                };
                let objects = outline.apps.iter().cloned().collect();
                self.pieces = Some(Arc::new(Pieces {
                    rev: name.rev,
                    objects,
                }));
                (*catalogue, outline.ops.into_owned())
            }
        };
        let rev = name.rev;
        self.at = Position { rev, head };
        self.ops = ops;
        self.checkpoint = Some(name);
        self.unannounced = false;
        self.fold.copy(&key(name), &bytes);
        self.fold.restore(catalogue, name);
        for bytes in tail {
            self.take_in(self.at.rev.next(), &bytes).await?;
        }
        Ok(true)
    }

    /// The catalogue that an outline names the pieces of.
    async fn gather(
        &mut self,
        name: CheckpointRef,
        outline: &Outline<'static>,
    ) -> Result<Gathered, LedgerError> {
        let mut catalogue = outline.catalogue.clone().into_owned();
        let mut apps = Vec::with_capacity(outline.apps.len());
        let store = Arc::clone(&self.parts.store);
        let objects = outline.apps.iter().map(|(_, digest)| *digest);
        let mut reading = pieces::read(store, objects);
        while let Some(read) = reading.next().await {
            match read {
                Ok((digest, bytes, app)) => {
                    self.fold.copy(&Key::Cas(digest), &bytes);
                    apps.push((app.id.clone(), Arc::new(app)));
                }
                Err(PieceError::Store(error)) if error.is_unavailable() => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(rev = %name.rev, root = %name.root, %error, "passing over a checkpoint of which a piece cannot be read");
                    return Ok(match error {
                        PieceError::Shape(_) => Gathered::Strange,
                        PieceError::Store(_) => Gathered::Incomplete,
                    });
                }
            }
        }
        apps.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let named = outline.apps.iter().map(|(id, _)| id);
        if !apps.iter().map(|(id, _)| id).eq(named) {
            tracing::warn!(rev = %name.rev, root = %name.root, "passing over a checkpoint whose pieces are of other apps");
            return Ok(Gathered::Incomplete);
        }
        catalogue.apps = apps.into_iter().collect();
        Ok(Gathered::All(Box::new(catalogue)))
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
    async fn load(&self, name: CheckpointRef) -> Result<Option<(Kept, Bytes)>, LedgerError> {
        let bytes = match self.parts.store.get(&key(name)).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_unavailable() => return Err(error.into()),
            Err(error) => {
                tracing::warn!(rev = %name.rev, %error, "passing over a checkpoint that cannot be read");
                return Ok(None);
            }
        };
        match Kept::decode(name, &bytes) {
            Ok(Some(kept)) => Ok(Some((kept, bytes))),
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

    /// How two checkpoints of one revision, ours and another, compare: the other may have been written by another
    /// build. A store that does not answer says nothing about either.
    pub(super) async fn likeness(
        &mut self,
        rev: Revision,
        [ours, theirs]: [Digest; 2],
    ) -> Result<Likeness, LedgerError> {
        let ours = self.whole(CheckpointRef { rev, root: ours }).await?;
        let theirs = self.whole(CheckpointRef { rev, root: theirs }).await?;
        Ok(match (ours, theirs) {
            // What this build cannot read it neither believes nor holds against anybody.
            (_, Whole::Strange) => Likeness::Unknown,
            (Whole::Read(ours), Whole::Read(theirs)) => {
                let ((is_whole, ours), (other_is_whole, theirs)) = (*ours, *theirs);
                if is_whole != other_is_whole && ours == theirs {
                    Likeness::Same
                } else {
                    Likeness::Other
                }
            }
            _ => Likeness::Other,
        })
    }

    /// All that a checkpoint says.
    async fn whole(&mut self, name: CheckpointRef) -> Result<Whole, LedgerError> {
        let bytes = match self.parts.store.get(&key(name)).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_unavailable() => return Err(error.into()),
            Err(_) => return Ok(Whole::Absent),
        };
        let kept = match Kept::decode(name, &bytes) {
            Ok(Some(kept)) => kept,
            Ok(None) => return Ok(Whole::Absent),
            Err(_) => return Ok(Whole::Strange),
        };
        let (is_whole, head) = (matches!(kept, Kept::Whole(_)), kept.head());
        let (catalogue, ops) = match kept {
            Kept::Whole(whole) => (whole.catalogue.into_owned(), whole.ops),
            Kept::Parted(outline) => match self.gather(name, &outline).await? {
                Gathered::All(catalogue) => (*catalogue, outline.ops),
                Gathered::Strange => return Ok(Whole::Strange),
                Gathered::Incomplete => return Ok(Whole::Absent),
            },
        };
        let said = (head, catalogue, ops.into_owned());
        Ok(Whole::Read(Box::new((is_whole, said))))
    }

    /// The records behind a checkpoint up to the one that names it, when the checkpoint counts.
    async fn vouched(
        &self,
        name: CheckpointRef,
        head_of_it: Digest,
        trust: Trust,
    ) -> Result<Option<Vec<Bytes>>, LedgerError> {
        let store = &self.parts.store;
        let own = self.parts.own_key();
        let (mut rev, mut head, mut tail) = (name.rev, head_of_it, Vec::new());
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
        #[cfg(test)]
        if crate::planted::is_planted(crate::planted::Bug::CheckpointUnchecked) {
            return Ok(Some(tail));
        }
        Ok((trust == Trust::OwnCopy).then_some(tail))
    }
}

pub(super) const fn key(name: CheckpointRef) -> Key {
    Key::Checkpoint {
        rev: name.rev.get(),
        digest: name.root,
    }
}
