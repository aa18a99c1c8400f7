//! `FsStore`: a directory as a store, durable when it says so.
//!
//! An object is written aside, synced, and then *linked* to its name: `link` is the create-if-absent
//! of a file system, and it never shows half an object. An answer is given only after the folder is
//! synced too; until then readers of that key wait, so nobody ever acts on an object that a power
//! cut could take back. After a failed sync nothing is written any more: the kernel forgets such an
//! error once it has told it, so a second sync would lie. One process owns the directory (a lock
//! says so). It never edits a file in place and never removes one that has a name.

use std::{
    fs::{self, File, TryLockError},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use bytes::Bytes;
use huidu_core::time::Timestamp;

use super::{BoxFuture, Folder, Key, Place, Store, StoreError, check_name};
use disk::{Disk, Step};
use slots::{Slots, Standing};
use write::Body;

mod disk;
mod slots;
mod write;

/// Objects in a directory.
#[derive(Debug, Clone)]
pub struct FsStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    disk: Disk,
    slots: Slots,
    /// Locked for as long as the store lives; the lock goes with the process, however it ends.
    _lock: File,
}

/// Why a directory cannot be a store.
#[derive(Debug, thiserror::Error)]
pub enum FsOpenError {
    /// Another process (or another store of this one) has it open.
    #[error("`{}` is in use by another process; stop that one, or give this one its own directory", root.display())]
    Locked {
        /// The directory.
        root: PathBuf,
    },
    /// The directory cannot be made, read or synced.
    #[error("cannot open `{}` as a store; check that it exists, is writable and has space", root.display())]
    Io {
        /// The directory.
        root: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FsStore {
    /// Opens `root`, making it if need be. Sweeps what a crash left half done, and syncs every folder
    /// first, so that whatever can be read afterwards is durable. Blocks: call it at start.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, FsOpenError> {
        Self::open_on(root.into(), Disk::default())
    }

    fn open_on(root: PathBuf, disk: Disk) -> Result<Self, FsOpenError> {
        let failed = |source| FsOpenError::Io {
            root: root.clone(),
            source,
        };
        fs::create_dir_all(&root).map_err(failed)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FsOpenError::Locked { root }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        write::prepare(&root, &disk).map_err(failed)?;
        Ok(Self {
            inner: Arc::new(Inner {
                root,
                disk,
                slots: Slots::default(),
                _lock: lock,
            }),
        })
    }

    /// Where the object of `key` lies, for serving it without copying it. It is only sure to be
    /// durable once `get`, `get_range` or `head` has answered for it.
    pub fn path_of(&self, key: &Key) -> PathBuf {
        self.inner.path_of(key)
    }

    /// The disk blocks; the executor must not.
    async fn blocking<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(result) => result,
            Err(source) => Err(StoreError::unavailable(place, source)),
        }
    }
}

impl Inner {
    fn path_of(&self, key: &Key) -> PathBuf {
        self.root.join(key.path())
    }

    /// Opens an object whose name is durable.
    fn open(&self, key: &Key) -> Result<File, StoreError> {
        if self.slots.settled(key) == Standing::Doubtful {
            return Err(StoreError::unavailable(key, disk::Poisoned));
        }
        match File::open(self.path_of(key)) {
            Ok(file) => Ok(file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(StoreError::not_found(key)),
            Err(e) => Err(StoreError::unavailable(key, e)),
        }
    }

    fn read(&self, key: &Key) -> Result<Bytes, StoreError> {
        use io::Read as _;
        let mut file = self.open(key)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|e| StoreError::unavailable(key, e))?;
        check_name(key, &bytes)?;
        Ok(bytes.into())
    }

    fn read_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        use io::{Read as _, Seek as _};
        let failed = |e| StoreError::unavailable(key, e);
        let mut file = self.open(key)?;
        file.seek(io::SeekFrom::Start(range.start.min(i64::MAX as u64)))
            .map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(range.end.saturating_sub(range.start))
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        Ok(bytes.into())
    }

    fn size(&self, key: &Key) -> Result<u64, StoreError> {
        let data = self.open(key)?.metadata();
        Ok(data.map_err(|e| StoreError::unavailable(key, e))?.len())
    }

    fn written(&self, key: &Key) -> Result<Option<Timestamp>, StoreError> {
        let data = self.open(key)?.metadata();
        let data = data.map_err(|e| StoreError::unavailable(key, e))?;
        let since = data
            .modified()
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let ms = since.and_then(|since| u64::try_from(since.as_millis()).ok());
        Ok(ms.map(Timestamp::from_unix_ms))
    }

    fn list(&self, folder: Folder, after: Option<&Key>) -> Result<Vec<Key>, StoreError> {
        let failed = |e| StoreError::unavailable(folder, e);
        // What is being written now is either acknowledged later, and then listed, or never was.
        let unsettled = self.slots.unsettled();
        let mut keys = Vec::new();
        for entry in fs::read_dir(self.root.join(folder.path())).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(name) = name.to_str().filter(|name| !disk::is_aside(name)) else {
                continue;
            };
            match format!("{}{name}", folder.path()).parse::<Key>() {
                Ok(key) if after.is_none_or(|after| key > *after) => keys.push(key),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "skipped a foreign file"),
            }
        }
        keys.retain(|key| !unsettled.contains(key));
        keys.sort_unstable();
        Ok(keys)
    }
}

impl Store for FsStore {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        let wanted = key.clone();
        Box::pin(self.blocking(key.into(), move |store| store.read(&wanted)))
    }

    fn get_range<'a>(
        &'a self,
        key: &'a Key,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        let wanted = key.clone();
        Box::pin(self.blocking(key.into(), move |store| store.read_range(&wanted, range)))
    }

    fn head<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<u64, StoreError>> {
        let wanted = key.clone();
        Box::pin(self.blocking(key.into(), move |store| store.size(&wanted)))
    }

    fn kept_since<'a>(
        &'a self,
        key: &'a Key,
    ) -> BoxFuture<'a, Result<Option<Timestamp>, StoreError>> {
        let wanted = key.clone();
        Box::pin(self.blocking(key.into(), move |store| store.written(&wanted)))
    }

    fn put_new<'a>(&'a self, key: &'a Key, bytes: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
        let to = key.clone();
        Box::pin(self.blocking(key.into(), move |store| {
            store.create(&to, &Body::Bytes(bytes))
        }))
    }

    fn put<'a>(&'a self, key: &'a Key, bytes: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
        let to = key.clone();
        Box::pin(self.blocking(key.into(), move |store| {
            store.replace(&to, &Body::Bytes(bytes))
        }))
    }

    fn put_file<'a>(
        &'a self,
        key: &'a Key,
        path: &'a Path,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let (to, path) = (key.clone(), path.to_path_buf());
        Box::pin(self.blocking(key.into(), move |store| {
            if to.digest().is_some() && store.size(&to).is_ok() {
                return Ok(());
            }
            match store.create(&to, &Body::File(path)) {
                Err(StoreError::AlreadyExists { .. }) if to.digest().is_some() => Ok(()),
                other => other,
            }
        }))
    }

    fn list<'a>(
        &'a self,
        folder: Folder,
        after: Option<&'a Key>,
    ) -> BoxFuture<'a, Result<Vec<Key>, StoreError>> {
        let after = after.cloned();
        Box::pin(self.blocking(folder.into(), move |store| {
            store.list(folder, after.as_ref())
        }))
    }

    fn describe(&self) -> String {
        format!("directory {}", self.inner.root.display())
    }
}

#[cfg(test)]
mod tests;
