//! The object store as huidu needs it: seven small verbs behind one trait.
//!
//! The store is the only truth (the ledger and every bundle live in it), so what matters here is
//! what an answer *means*. `Ok` is durable. `AlreadyExists` is a definite no of the store. Everything
//! that leaves a doubt is `Unavailable`, and then the caller must look before it concludes anything.
//! The suite in [`contract`] is the definition of the trait; every store and every decorator passes
//! all of it. A store never interprets what it keeps, and never deletes.

pub mod contract;
pub mod faulty;
pub mod fs;
mod key;
pub mod memory;
pub mod probe;
pub mod s3;

use std::{error::Error, fmt, fs::File, ops::Range, path::Path, pin::Pin};

use bytes::Bytes;
use huidu_core::{digest::Digest, time::Timestamp};

pub use key::{Folder, HookName, Key, KeyError, KeyPrefix, KeyPrefixError, ProbeName};

/// A boxed future, so that the trait is object-safe: nodes hold `Arc<dyn Store>`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Objects under [`Key`]s. All methods may run at the same time from any number of tasks.
pub trait Store: Send + Sync + 'static {
    /// The whole object. An object named by its digest is checked against its name.
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Bytes, StoreError>>;

    /// The bytes `range.start .. range.end`, cut at the end of the object: a range that lies beyond
    /// it, or that is empty, is no bytes. The part is not checked against the object's name.
    fn get_range<'a>(
        &'a self,
        key: &'a Key,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, StoreError>>;

    /// The object's size in bytes.
    fn head<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Creates the object if it is absent, and never tries twice: of any number of racing writers
    /// exactly one is told `Ok`. `AlreadyExists` is returned only when the store said so definitely.
    fn put_new<'a>(&'a self, key: &'a Key, bytes: Bytes) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Writes the whole object, whatever was there before. Readers see the old or the new one.
    fn put<'a>(&'a self, key: &'a Key, bytes: Bytes) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Creates the object from a file on disk, for bodies too large to hold. An object named by its
    /// digest that is there already is `Ok`: it has the same bytes. Any other is `AlreadyExists`.
    fn put_file<'a>(
        &'a self,
        key: &'a Key,
        path: &'a Path,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Every key of `folder` that sorts behind `after`, in order, over all pages.
    fn list<'a>(
        &'a self,
        folder: Folder,
        after: Option<&'a Key>,
    ) -> BoxFuture<'a, Result<Vec<Key>, StoreError>>;

    /// The object as an open file of this machine, where the store keeps it as one that nobody ever writes
    /// to again: only objects named by their digest are. It is not checked against its name.
    fn file<'a>(&'a self, _key: &'a Key) -> BoxFuture<'a, Result<Option<File>, StoreError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Since when the store has the object, by its own clock; none where it does not say. A copy says when it was
    /// copied, unless whoever copied kept the times.
    fn kept_since<'a>(
        &'a self,
        _key: &'a Key,
    ) -> BoxFuture<'a, Result<Option<Timestamp>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    /// Which store this is, for logs and errors. Holds no secret.
    fn describe(&self) -> String;
}

/// What an operation was about: one object, a folder, or the store as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// One object.
    Key(Key),
    /// A listing.
    Folder(Folder),
    /// The store itself (its directory, its bucket).
    Store,
}

/// Why an operation on the store did not succeed. A kind exists only where a caller acts differently.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such object.
    #[error("the store has no `{key}`")]
    NotFound {
        /// The absent object.
        key: Key,
        /// What time it was for the store when it said so, where it tells: never before it looked.
        said_at: Option<Timestamp>,
    },
    /// The store refused to create the object because it exists.
    #[error("`{key}` exists already; read it and decide again")]
    AlreadyExists {
        /// The object that is there.
        key: Key,
    },
    /// The outcome is unknown: a timeout, a reset, a conflict, an error of the server. A write may
    /// have landed or may land yet; look before concluding.
    #[error("the store did not settle `{key}`; read it before trying again")]
    Unavailable {
        /// What the operation was about.
        key: Place,
        /// What the store, the network or the disk said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The bytes do not have the name under which they lie, or were to be laid.
    #[error("the bytes of `{key}` hash to {found}; restore the object from another copy")]
    Corrupt {
        /// The object, whose name holds the digest that was expected.
        key: Key,
        /// What its bytes hash to.
        found: Digest,
    },
}

impl StoreError {
    /// `Unavailable` at `place`, because of `source`.
    pub fn unavailable(
        place: impl Into<Place>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable {
            key: place.into(),
            source: source.into(),
        }
    }

    /// `NotFound`, of a store that tells no time of its own.
    pub fn not_found(key: &Key) -> Self {
        Self::NotFound {
            key: key.clone(),
            said_at: None,
        }
    }

    /// True when the store answered, and not that it is busy or that something is amiss with it: it takes no such request.
    pub fn is_refusal(&self) -> bool {
        let Self::Unavailable { source, .. } = self else {
            return false;
        };
        let answer = source.downcast_ref::<s3::Failure>();
        answer.is_some_and(s3::Failure::is_refusal)
    }

    /// True when the object is known to be absent.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// True when the store said definitely that the object exists.
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::AlreadyExists { .. })
    }

    /// True when the outcome is unknown.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl From<Key> for Place {
    fn from(key: Key) -> Self {
        Self::Key(key)
    }
}

impl From<&Key> for Place {
    fn from(key: &Key) -> Self {
        Self::Key(key.clone())
    }
}

impl From<Folder> for Place {
    fn from(folder: Folder) -> Self {
        Self::Folder(folder)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fmt(f),
            Self::Folder(folder) => folder.fmt(f),
            Self::Store => f.write_str("/"),
        }
    }
}

/// Refuses bytes that do not have the digest that `key` names. Keys that name none accept all bytes.
fn check_name(key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
    match key.digest() {
        Some(_) => check_digest(key, Digest::of(bytes)),
        None => Ok(()),
    }
}

/// The same, where the bytes were hashed while they passed.
fn check_digest(key: &Key, found: Digest) -> Result<(), StoreError> {
    match key.digest() {
        Some(named) if named != found => Err(StoreError::Corrupt {
            key: key.clone(),
            found,
        }),
        _ => Ok(()),
    }
}
