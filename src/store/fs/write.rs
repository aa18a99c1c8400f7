//! How an object gets its name: aside, sync, link, sync the folder, tidy up.
//!
//! The order is the whole point of this file. Before the link a failure leaves nothing behind; after
//! it a failure leaves a doubt, which is said. No step is ever tried twice.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use huidu_core::digest::Digest;
use sha2::{Digest as _, Sha256};

use super::{Disk, Inner, Key, Step, StoreError, disk};
use crate::store::check_digest;

/// Bytes read from a file at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Everything there can be a file in.
const FOLDERS: [&str; 7] = [
    "cas/sha256",
    "counts",
    "head",
    "hook",
    "log",
    "probe",
    "snap",
];

/// What is to be written.
pub(super) enum Body {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A file elsewhere.
    File(PathBuf),
}

/// Makes the folders, removes what was written aside and never named, and makes what is there durable.
pub(super) fn prepare(root: &Path, disk: &Disk) -> io::Result<()> {
    for folder in FOLDERS {
        let folder = root.join(folder);
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(disk::is_aside) {
                fs::remove_file(entry.path())?;
            }
        }
        disk.take(Step::SyncFolder, || sync_folder(&folder))?;
    }
    sync_folder(&root.join("cas"))?;
    sync_folder(root)
}

impl Inner {
    /// Creates the object of `key` if it is absent.
    pub(super) fn create(&self, key: &Key, body: &Body) -> Result<(), StoreError> {
        self.name(key, body, |aside, named| fs::hard_link(aside, named))
    }

    /// Writes the object of `key`, whatever was there.
    pub(super) fn replace(&self, key: &Key, body: &Body) -> Result<(), StoreError> {
        self.name(key, body, |aside, named| fs::rename(aside, named))
    }

    /// Writes `body` aside and then gives it the name of `key` by `give`.
    fn name(
        &self,
        key: &Key,
        body: &Body,
        give: fn(&Path, &Path) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let unavailable = |e: io::Error| StoreError::unavailable(key, e);
        let poisoned = |e: disk::Poisoned| StoreError::unavailable(key, e);
        self.disk.check().map_err(poisoned)?;
        let named = self.path_of(key);
        let folder = named.parent().unwrap_or(&self.root);
        let aside = Aside {
            path: folder.join(self.disk.aside()),
        };
        self.write_aside(key, body, &aside.path)?;

        let mut claim = self.slots.claim(key);
        // While this writer waited for its turn another one may have found the disk broken.
        self.disk.check().map_err(poisoned)?;
        match self.disk.take(Step::Link, || give(&aside.path, &named)) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(StoreError::AlreadyExists { key: key.clone() });
            }
            Err(e) => return Err(unavailable(e)),
        }
        if let Err(e) = self.disk.take(Step::SyncFolder, || sync_folder(folder)) {
            self.disk.poison();
            claim.doubt();
            return Err(unavailable(e));
        }
        drop(claim);
        self.tidy(aside, folder);
        Ok(())
    }

    /// Writes and syncs `body` under a name that nobody reads.
    fn write_aside(&self, key: &Key, body: &Body, aside: &Path) -> Result<(), StoreError> {
        let unavailable = |e: io::Error| StoreError::unavailable(key, e);
        let disk = &self.disk;
        let (file, digest) = disk
            .take(Step::Write, || copy(body, aside))
            .map_err(unavailable)?;
        check_digest(key, digest)?;
        disk.take(Step::SyncFile, || file.sync_all()).map_err(|e| {
            // A full disk is no broken disk: nothing has a name yet, and space may come back.
            if !matches!(
                e.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ) {
                disk.poison();
            }
            unavailable(e)
        })
    }

    /// The object is durable by now, so a failure here is not the caller's: the next start sweeps.
    /// A failed sync is still a failed sync, though.
    fn tidy(&self, aside: Aside, folder: &Path) {
        let removed = self.disk.take(Step::Unlink, || {
            drop(aside);
            Ok(())
        });
        let again = || sync_folder(folder);
        if removed.is_ok() && self.disk.take(Step::SyncFolderAgain, again).is_err() {
            self.disk.poison();
        }
    }
}

/// A file that has no name of its own yet; removed when dropped, however the write ends.
struct Aside {
    path: PathBuf,
}

impl Drop for Aside {
    fn drop(&mut self) {
        // After a rename it is gone already; after a failure the next start sweeps.
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes `body` to a new file at `to`, hashing it on the way.
fn copy(body: &Body, to: &Path) -> io::Result<(File, Digest)> {
    let mut file = File::options().write(true).create_new(true).open(to)?;
    let mut hasher = Sha256::new();
    match body {
        Body::Bytes(bytes) => {
            hasher.update(bytes);
            file.write_all(bytes)?;
        }
        Body::File(path) => {
            let mut from = File::open(path)?;
            let mut chunk = vec![0; CHUNK_BYTES];
            loop {
                let read = from.read(&mut chunk)?;
                if read == 0 {
                    break;
                }
                hasher.update(&chunk[..read]);
                file.write_all(&chunk[..read])?;
            }
        }
    }
    Ok((file, Digest::from_hasher(hasher)))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
