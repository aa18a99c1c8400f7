//! Bundles as open files: the store's own where it is a directory of this machine, else copies on this disk.
//!
//! A file that is handed out is never written to again by anybody: copies are made whole under another
//! name, checked against the bundle's digest, and only then given theirs. So whoever sends one needs no
//! lock, and removing one that is being sent takes nothing away from it. The copies are bounded by bytes, the
//! longest unused goes first; what goes wrong with them costs speed and never an answer, because the store
//! holds the truth.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Write as _},
    ops::Range,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use huidu_core::digest::Digest;
use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use super::{BundleError, BundleFile, CHUNK_BYTES};
use crate::{
    metrics::Metrics,
    store::{Key, Store},
};

/// Files open at a time, besides those that are being sent.
const OPEN: usize = 256;
/// Digests of files that were checked by this process.
const CHECKED: usize = 100_000;
/// Bytes hashed at a time.
const HASH_BYTES: usize = 256 * 1024;
/// What a copy is called until it is whole.
const ASIDE: &str = ".tmp.";

/// Open files of bundles.
pub(super) struct Files {
    open: Cache<Digest, BundleFile>,
    checked: Cache<Digest, ()>,
    pub(super) disk: Option<Disk>,
    metrics: Arc<Metrics>,
}

/// A directory of this machine for copies of what a distant store holds.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    most: u64,
    kept: Mutex<Kept>,
    named: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    files: HashMap<Digest, Copy>,
    bytes: u64,
    uses: u64,
}

#[derive(Debug, Clone, Copy)]
struct Copy {
    bytes: u64,
    used: u64,
}

impl Files {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            open: Cache::new(OPEN),
            checked: Cache::new(CHECKED),
            disk: None,
            metrics,
        }
    }

    /// The file, if it is open.
    pub(super) fn ready(&self, digest: &Digest) -> Option<BundleFile> {
        let file = self.open.get(digest)?;
        if let Some(disk) = &self.disk {
            disk.touch(digest);
        }
        Some(file)
    }

    /// Tells how much disk is used.
    pub(super) fn tell(&self) {
        let bytes = self.disk.as_ref().map_or(0, Disk::bytes);
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.metrics.bundle_disk_bytes.set(bytes);
    }

    /// The bundle of `bytes` bytes as a file; none where this machine cannot keep it as one. However many
    /// ask, it is opened and copied once.
    pub(super) async fn open(
        &self,
        store: &Arc<dyn Store>,
        digest: Digest,
        bytes: u64,
    ) -> Result<Option<BundleFile>, BundleError> {
        let opened = self.open.get_or_insert_async(&digest, async {
            let file = self.find(store, digest, bytes).await.map_err(Some)?;
            file.ok_or(None)
        });
        match opened.await {
            Ok(file) => Ok(Some(file)),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    async fn find(
        &self,
        store: &Arc<dyn Store>,
        digest: Digest,
        bytes: u64,
    ) -> Result<Option<BundleFile>, BundleError> {
        let own = store.file(&Key::Cas(digest)).await;
        let own = own.map_err(|error| BundleError::of(digest, error))?;
        if let Some(file) = own {
            let file = Arc::new(file);
            return match self.is_sound(&file, digest).await {
                Ok(true) => Ok(Some(BundleFile { file, bytes })),
                Ok(false) => Err(BundleError::Damaged { digest }),
                Err(_) => Ok(None),
            };
        }
        let Some(disk) = self.disk.as_ref().filter(|disk| bytes <= disk.most) else {
            return Ok(None);
        };
        if let Some(file) = disk.open_copy(&digest).map(Arc::new) {
            if let Ok(true) = self.is_sound(&file, digest).await {
                return Ok(Some(BundleFile { file, bytes }));
            }
            // Half written before a power cut, or worn out: another copy takes its place.
            disk.forget(&digest);
        }
        let copied = self.copy(disk, store, digest, bytes).await;
        self.tell();
        match copied {
            Ok(file) => Ok(Some(BundleFile {
                file: Arc::new(file),
                bytes,
            })),
            Err(CopyError::Bundle(error)) => Err(error),
            Err(CopyError::Disk(error)) => {
                self.metrics.bundle_disk_failures.inc();
                tracing::warn!(%error, dir = %disk.dir.display(), "a bundle cannot be kept on this disk; it is sent from the store");
                Ok(None)
            }
        }
    }

    /// True when the file's bytes have this digest; looked at once.
    async fn is_sound(&self, file: &Arc<File>, digest: Digest) -> io::Result<bool> {
        if self.checked.get(&digest).is_some() {
            return Ok(true);
        }
        let file = Arc::clone(file);
        let found = spawn_blocking(move || hash(&file)).await??;
        if found == digest {
            self.checked.insert(digest, ());
        }
        Ok(found == digest)
    }

    /// Copies the bundle from the store and makes room for it.
    async fn copy(
        &self,
        disk: &Disk,
        store: &Arc<dyn Store>,
        digest: Digest,
        bytes: u64,
    ) -> Result<File, CopyError> {
        for gone in disk.make_room(bytes) {
            self.open.remove(&gone);
        }
        let aside = Aside(disk.dir.join(format!(
            "{ASIDE}{}",
            disk.named.fetch_add(1, Ordering::Relaxed)
        )));
        let mut writing = Writing {
            file: File::create_new(&aside.0)?,
            hasher: Sha256::new(),
        };
        let key = Key::Cas(digest);
        let mut at = 0;
        while at < bytes {
            let until = bytes.min(at + CHUNK_BYTES);
            let piece = store.get_range(&key, at..until).await;
            let piece = piece.map_err(|error| BundleError::of(digest, error))?;
            if piece.len() as u64 != until - at {
                return Err(BundleError::Damaged { digest }.into());
            }
            writing = spawn_blocking(move || writing.append(&piece))
                .await
                .map_err(io::Error::from)??;
            at = until;
        }
        if Digest::from_hasher(writing.hasher) != digest {
            return Err(BundleError::Damaged { digest }.into());
        }
        drop(writing.file);
        let named = disk.path(&digest);
        fs::rename(&aside.0, &named)?;
        let file = File::open(&named)?;
        disk.keep(digest, bytes);
        self.checked.insert(digest, ());
        Ok(file)
    }
}

/// A copy that is being written.
struct Writing {
    file: File,
    hasher: Sha256,
}

impl Writing {
    fn append(mut self, piece: &[u8]) -> io::Result<Self> {
        self.hasher.update(piece);
        self.file.write_all(piece)?;
        Ok(self)
    }
}

/// A file without its name; removed when dropped, however the copy ends.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        // After the rename it is gone already; after a failure the next start sweeps.
        let _gone = fs::remove_file(&self.0);
    }
}

/// Why there is no copy.
enum CopyError {
    /// There is nothing to copy.
    Bundle(BundleError),
    /// This disk does not take it.
    Disk(io::Error),
}

impl From<BundleError> for CopyError {
    fn from(error: BundleError) -> Self {
        Self::Bundle(error)
    }
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl Disk {
    /// Opens `dir`, making it if need be, for `most` bytes of copies. Removes what a crash left half done and
    /// what is too much. Blocks: call it at start.
    pub fn open(dir: PathBuf, most: u64) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let disk = Self {
            dir,
            most,
            kept: Mutex::default(),
            named: AtomicU64::new(0),
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(&disk.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.starts_with(ASIDE) {
                fs::remove_file(entry.path())?;
            } else if let Ok(digest) = name.parse::<Digest>() {
                let data = entry.metadata()?;
                found.push((data.accessed().ok(), digest, data.len()));
            }
        }
        found.sort_unstable_by_key(|(used, ..)| *used);
        for (_, digest, bytes) in found {
            disk.keep(digest, bytes);
        }
        disk.make_room(0);
        Ok(disk)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(digest.to_string())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Counts at most are wrong after a panic, and the next start counts anew.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes(&self) -> u64 {
        self.kept().bytes
    }

    /// The copy, if there is one.
    fn open_copy(&self, digest: &Digest) -> Option<File> {
        self.touch(digest)
            .then(|| File::open(self.path(digest)))?
            .ok()
    }

    /// Remembers that it was used now; false: there is none.
    fn touch(&self, digest: &Digest) -> bool {
        let mut kept = self.kept();
        kept.uses += 1;
        let now = kept.uses;
        let copy = kept.files.get_mut(digest);
        copy.map(|copy| copy.used = now).is_some()
    }

    fn keep(&self, digest: Digest, bytes: u64) {
        let mut kept = self.kept();
        kept.uses += 1;
        let used = kept.uses;
        let before = kept.files.insert(digest, Copy { bytes, used });
        kept.bytes = kept.bytes + bytes - before.map_or(0, |copy| copy.bytes);
    }

    fn forget(&self, digest: &Digest) {
        let mut kept = self.kept();
        if let Some(copy) = kept.files.remove(digest) {
            kept.bytes -= copy.bytes;
        }
        // Whoever sends it has it open; without a name it goes with the last of them.
        let _gone_already = fs::remove_file(self.path(digest));
    }

    /// Removes the longest unused copies until `bytes` more fit, and says which.
    fn make_room(&self, bytes: u64) -> Vec<Digest> {
        let mut removed = Vec::new();
        loop {
            let longest_unused = {
                let kept = self.kept();
                if kept.bytes + bytes <= self.most {
                    return removed;
                }
                let oldest = kept.files.iter().min_by_key(|(_, copy)| copy.used);
                oldest.map(|(digest, _)| *digest)
            };
            let Some(digest) = longest_unused else {
                return removed;
            };
            self.forget(&digest);
            removed.push(digest);
        }
    }
}

/// Reads a part of a file. Blocks.
pub(super) fn read(file: &File, part: Range<u64>) -> io::Result<Bytes> {
    let bytes = usize::try_from(part.end - part.start).map_err(io::Error::other)?;
    let mut read = vec![0; bytes];
    file.read_exact_at(&mut read, part.start)?;
    Ok(read.into())
}

/// The digest of a file's bytes. Blocks.
fn hash(file: &File) -> io::Result<Digest> {
    let (mut hasher, mut chunk, mut at) = (Sha256::new(), vec![0; HASH_BYTES], 0);
    loop {
        let read = file.read_at(&mut chunk, at)?;
        if read == 0 {
            return Ok(Digest::from_hasher(hasher));
        }
        hasher.update(&chunk[..read]);
        at += read as u64;
    }
}
