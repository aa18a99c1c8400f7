//! The archives that devices run: as files of this machine, whole in memory, or streamed from the store.
//!
//! A bundle is named by its bytes and never changes, so a cached one is never stale. What is kept in
//! memory or opened as a file was checked against its name then, once, however many asked at that moment.
//! What is streamed is not checked on its way, because nothing could be taken back when the last byte shows
//! a fault: the device checks every bundle. Memory and disk are bounded by bytes, open files by number.
//!
//! A connection that can send from a file is given one, and no byte of the bundle passes through here;
//! others are given memory.

mod files;

use std::{error::Error, fs::File, ops::Range, path::Path, sync::Arc};

use bytes::Bytes;
use huidu_core::digest::Digest;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter, sync::Cache};
use tokio::sync::mpsc;

pub use files::Disk;

use crate::{
    metrics::Metrics,
    store::{Key, Store, StoreError},
};
use files::Files;

/// Larger bundles are never held whole.
pub const MEMORY_OBJECT_BYTES: u64 = 16 * 1024 * 1024;
/// What memory is given to bundles when nothing else is said.
pub const MEMORY_BYTES: u64 = 256 * 1024 * 1024;
/// Bytes up to which copying from memory costs less than telling the kernel to send a file.
const SMALL_BYTES: u64 = 32 * 1024;
/// Bytes read from the store at a time.
const CHUNK_BYTES: u64 = 512 * 1024;
/// Bytes read from a file at a time, for connections that cannot send it by themselves: there may be many,
/// and slow.
const FILE_CHUNK_BYTES: u64 = 64 * 1024;
/// Chunks read ahead of a slow connection.
const CHUNKS_AHEAD: usize = 2;
/// Sizes remembered of bundles that are not in memory.
const SIZES: usize = 100_000;
/// How many bundles are expected in memory; only a hint for its tables.
const EXPECTED: usize = 1_000;

/// Why a bundle cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// There is none.
    #[error("there is no bundle {digest}")]
    Absent {
        /// What was asked for.
        digest: Digest,
    },
    /// The store gave other bytes.
    #[error(
        "the store gave other bytes than bundle {digest}; restore the object from another copy"
    )]
    Damaged {
        /// What was asked for.
        digest: Digest,
    },
    /// The store did not give it.
    #[error("the store did not give bundle {digest}; try again")]
    Store {
        /// What was asked for.
        digest: Digest,
        /// Why.
        #[source]
        source: StoreError,
    },
}

impl BundleError {
    fn of(digest: Digest, source: StoreError) -> Self {
        if source.is_not_found() {
            Self::Absent { digest }
        } else {
            Self::Store { digest, source }
        }
    }
}

/// How the bytes are to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As a file where there is one: the connection sends it by itself.
    File,
    /// As bytes.
    Bytes,
}

/// A bundle ready to be read.
#[derive(Clone)]
pub enum OpenBundle {
    /// Whole, in memory, checked.
    Hot(Bytes),
    /// An open file, checked.
    File(BundleFile),
    /// In the store.
    Cold(ColdBundle),
}

impl OpenBundle {
    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Hot(bytes) => bytes.len() as u64,
            Self::File(file) => file.bytes,
            Self::Cold(cold) => cold.bytes,
        }
    }
}

/// A bundle as an open file that nobody ever writes to.
#[derive(Debug, Clone)]
pub struct BundleFile {
    file: Arc<File>,
    bytes: u64,
}

/// A bundle that is read piece by piece.
#[derive(Clone)]
pub struct ColdBundle {
    store: Arc<dyn Store>,
    digest: Digest,
    bytes: u64,
}

/// A piece of a bundle, or why there are no more.
pub type Piece = Result<Bytes, Box<dyn Error + Send + Sync>>;

impl BundleFile {
    /// The file.
    pub fn into_file(self) -> Arc<File> {
        self.file
    }

    /// The bytes of `range` in pieces. Reading stops when the receiver is dropped, and waits while it is
    /// slow.
    pub fn pieces(self, range: Range<u64>) -> mpsc::Receiver<Piece> {
        pieces(range, FILE_CHUNK_BYTES, 1, move |part| {
            let file = Arc::clone(&self.file);
            async move {
                let read = tokio::task::spawn_blocking(move || files::read(&file, part)).await;
                Ok(read??)
            }
        })
    }
}

impl ColdBundle {
    /// The bytes of `range` in pieces. Reading stops when the receiver is dropped, and waits while it is
    /// slow.
    pub fn pieces(self, range: Range<u64>) -> mpsc::Receiver<Piece> {
        pieces(range, CHUNK_BYTES, CHUNKS_AHEAD, move |part| {
            let (store, key) = (Arc::clone(&self.store), Key::Cas(self.digest));
            async move { Ok(store.get_range(&key, part).await?) }
        })
    }
}

/// Reads `range` by `read`, `most` bytes at a time and `ahead` times ahead.
fn pieces<F>(
    range: Range<u64>,
    most: u64,
    ahead: usize,
    read: impl Fn(Range<u64>) -> F + Send + 'static,
) -> mpsc::Receiver<Piece>
where
    F: Future<Output = Piece> + Send,
{
    let (send, receive) = mpsc::channel(ahead);
    tokio::spawn(async move {
        let mut at = range.start;
        while at < range.end {
            let until = range.end.min(at + most);
            // Room first: a piece is read only when somebody will take it.
            let Ok(room) = send.reserve().await else {
                return;
            };
            match read(at..until).await {
                Ok(bytes) if bytes.len() as u64 == until - at => room.send(Ok(bytes)),
                Ok(_) => return room.send(Err("the object is shorter than it was".into())),
                Err(error) => return room.send(Err(error)),
            }
            at = until;
        }
    });
    receive
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Digest, Bytes> for ByBytes {
    fn weight(&self, _: &Digest, bytes: &Bytes) -> u64 {
        bytes.len().max(1) as u64
    }
}

/// The bundles of a node.
pub struct Bundles {
    store: Arc<dyn Store>,
    memory: Cache<Digest, Bytes, ByBytes>,
    largest_hot: u64,
    sizes: Cache<Digest, u64>,
    files: Files,
    metrics: Arc<Metrics>,
}

impl Bundles {
    /// Bundles in `store`, at most `memory` bytes of them in memory; 0: none.
    pub fn new(store: Arc<dyn Store>, memory: u64, metrics: Arc<Metrics>) -> Self {
        // Few shards: each holds only its part of the budget, and a bundle must fit one.
        let shards = usize::try_from((memory / MEMORY_OBJECT_BYTES).clamp(1, 8)).unwrap_or(1);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(EXPECTED)
            .weight_capacity(memory.max(1))
            .shards(shards)
            .build();
        let memory_of_bundles = match options {
            Ok(options) => Cache::with_options(
                options,
                ByBytes,
                DefaultHashBuilder::default(),
                quick_cache::sync::DefaultLifecycle::default(),
            ),
            Err(_) => Cache::with_weighter(EXPECTED, memory.max(1), ByBytes),
        };
        let largest_hot = memory_of_bundles.shard_capacity().min(MEMORY_OBJECT_BYTES);
        let largest_hot = if memory == 0 { 0 } else { largest_hot };
        Self {
            store,
            memory: memory_of_bundles,
            largest_hot,
            sizes: Cache::new(SIZES),
            files: Files::new(Arc::clone(&metrics)),
            metrics,
        }
    }

    /// The same, with `disk` to keep what a distant store holds.
    #[must_use]
    pub fn keeping(mut self, disk: Option<Disk>) -> Self {
        self.files.disk = disk;
        self.files.tell();
        self
    }

    /// The bundle, if nothing has to be waited for.
    pub fn ready(&self, digest: &Digest, way: Way) -> Option<OpenBundle> {
        if way == Way::File
            && let Some(file) = self.files.ready(digest)
        {
            return Some(OpenBundle::File(file));
        }
        let hot = self.memory.get(digest)?;
        // A larger one is opened as a file once, and found above from then on.
        let is_welcome = way == Way::Bytes || hot.len() as u64 <= SMALL_BYTES;
        is_welcome.then_some(OpenBundle::Hot(hot))
    }

    /// The bundle named `digest`. Whether devices may have it is not asked here.
    pub async fn open(&self, digest: Digest, way: Way) -> Result<OpenBundle, BundleError> {
        if let Some(ready) = self.ready(&digest, way) {
            return Ok(ready);
        }
        let bytes = self.size(digest).await?;
        let fits_memory = bytes <= self.largest_hot;
        let wants_memory = way == Way::Bytes || bytes <= SMALL_BYTES;
        if !(fits_memory && wants_memory)
            && let Some(file) = self.files.open(&self.store, digest, bytes).await?
        {
            return Ok(OpenBundle::File(file));
        }
        if !fits_memory {
            let store = Arc::clone(&self.store);
            return Ok(OpenBundle::Cold(ColdBundle {
                store,
                digest,
                bytes,
            }));
        }
        if let Some(bytes) = self.memory.get(&digest) {
            return Ok(OpenBundle::Hot(bytes));
        }
        // One load for all who ask now: the others wait for it, and try themselves when it fails.
        let load = async { self.store.get(&Key::Cas(digest)).await };
        let loaded = self.memory.get_or_insert_async(&digest, load).await;
        let held = i64::try_from(self.memory.weight()).unwrap_or(i64::MAX);
        self.metrics.bundle_memory_bytes.set(held);
        loaded
            .map(OpenBundle::Hot)
            .map_err(|error| BundleError::of(digest, error))
    }

    async fn size(&self, digest: Digest) -> Result<u64, BundleError> {
        if let Some(bytes) = self.sizes.get(&digest) {
            return Ok(bytes);
        }
        let head = self.store.head(&Key::Cas(digest)).await;
        let bytes = head.map_err(|error| BundleError::of(digest, error))?;
        self.sizes.insert(digest, bytes);
        Ok(bytes)
    }

    /// All bytes of a small object named `digest`, checked against its name.
    pub async fn read(&self, digest: Digest) -> Result<Bytes, BundleError> {
        let read = self.store.get(&Key::Cas(digest)).await;
        let bytes = read.map_err(|error| BundleError::of(digest, error))?;
        if Digest::of(&bytes) == digest {
            Ok(bytes)
        } else {
            Err(BundleError::Damaged { digest })
        }
    }

    /// Keeps the file at `path`, whose bytes hash to `digest`. The same bytes twice are kept once.
    pub async fn store(&self, path: &Path, digest: Digest) -> Result<(), StoreError> {
        self.store.put_file(&Key::Cas(digest), path).await
    }

    /// Bytes held in memory.
    pub fn memory_bytes(&self) -> u64 {
        self.memory.weight()
    }
}

#[cfg(test)]
mod tests;
