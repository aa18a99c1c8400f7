//! The archives that devices run: hot ones whole in memory, others streamed from the store.
//!
//! A bundle is named by its bytes and never changes, so a cached one is never stale. What is kept in
//! memory was checked against its name when it was loaded, once, however many asked at that moment. What
//! is streamed is not checked on its way, because nothing could be taken back when the last byte shows a
//! fault: the device checks every bundle. Memory is bounded by bytes, never by number.

use std::{error::Error, ops::Range, path::Path, sync::Arc};

use bytes::Bytes;
use huidu_core::digest::Digest;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter, sync::Cache};
use tokio::sync::mpsc;

use crate::{
    metrics::Metrics,
    store::{Key, Store, StoreError},
};

/// Larger bundles are never held whole.
pub const MEMORY_OBJECT_BYTES: u64 = 16 * 1024 * 1024;
/// What memory is given to bundles when nothing else is said.
pub const MEMORY_BYTES: u64 = 256 * 1024 * 1024;
/// Bytes read from the store at a time.
const CHUNK_BYTES: u64 = 512 * 1024;
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

/// A bundle ready to be read.
#[derive(Clone)]
pub enum OpenBundle {
    /// Whole, in memory, checked.
    Hot(Bytes),
    /// In the store.
    Cold(ColdBundle),
}

impl OpenBundle {
    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Hot(bytes) => bytes.len() as u64,
            Self::Cold(cold) => cold.bytes,
        }
    }
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

impl ColdBundle {
    /// The bytes of `range` in pieces. Reading stops when the receiver is dropped, and waits while it is
    /// slow.
    pub fn pieces(self, range: Range<u64>) -> mpsc::Receiver<Piece> {
        let (send, receive) = mpsc::channel(CHUNKS_AHEAD);
        tokio::spawn(async move {
            let key = Key::Cas(self.digest);
            let mut at = range.start;
            while at < range.end {
                let until = range.end.min(at + CHUNK_BYTES);
                // Room first: a piece is read only when somebody will take it.
                let Ok(room) = send.reserve().await else {
                    return;
                };
                let piece = self.store.get_range(&key, at..until).await;
                match piece {
                    Ok(bytes) if bytes.len() as u64 == until - at => room.send(Ok(bytes)),
                    Ok(_) => return room.send(Err("the object is shorter than it was".into())),
                    Err(error) => return room.send(Err(error.into())),
                }
                at = until;
            }
        });
        receive
    }
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
            metrics,
        }
    }

    /// The bundle, if it is in memory: no waiting.
    pub fn hot(&self, digest: &Digest) -> Option<Bytes> {
        self.memory.get(digest)
    }

    /// The bundle named `digest`. Whether devices may have it is not asked here.
    pub async fn open(&self, digest: Digest) -> Result<OpenBundle, BundleError> {
        if let Some(bytes) = self.hot(&digest) {
            return Ok(OpenBundle::Hot(bytes));
        }
        let bytes = self.size(digest).await?;
        if bytes > self.largest_hot {
            let store = Arc::clone(&self.store);
            return Ok(OpenBundle::Cold(ColdBundle {
                store,
                digest,
                bytes,
            }));
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
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::store::{BoxFuture, Folder, memory::MemoryStore};

    /// A store that counts whole reads and reads of parts, and whose whole reads let others run first.
    #[derive(Default)]
    struct Counted {
        inner: MemoryStore,
        gets: AtomicUsize,
        ranges: AtomicUsize,
    }

    impl Store for Counted {
        fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Bytes, StoreError>> {
            Box::pin(async move {
                self.gets.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                self.inner.get(key).await
            })
        }

        fn get_range<'a>(
            &'a self,
            key: &'a Key,
            range: Range<u64>,
        ) -> BoxFuture<'a, Result<Bytes, StoreError>> {
            self.ranges.fetch_add(1, Ordering::Relaxed);
            self.inner.get_range(key, range)
        }

        fn head<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<u64, StoreError>> {
            self.inner.head(key)
        }

        fn put_new<'a>(
            &'a self,
            key: &'a Key,
            bytes: Bytes,
        ) -> BoxFuture<'a, Result<(), StoreError>> {
            self.inner.put_new(key, bytes)
        }

        fn put<'a>(&'a self, key: &'a Key, bytes: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
            self.inner.put(key, bytes)
        }

        fn put_file<'a>(
            &'a self,
            key: &'a Key,
            path: &'a Path,
        ) -> BoxFuture<'a, Result<(), StoreError>> {
            self.inner.put_file(key, path)
        }

        fn list<'a>(
            &'a self,
            folder: Folder,
            after: Option<&'a Key>,
        ) -> BoxFuture<'a, Result<Vec<Key>, StoreError>> {
            self.inner.list(folder, after)
        }

        fn describe(&self) -> String {
            self.inner.describe()
        }
    }

    async fn kept(store: &dyn Store, bytes: usize) -> (Digest, Bytes) {
        let bytes: Bytes = (0..bytes)
            .map(|n| (n % 251) as u8)
            .collect::<Vec<_>>()
            .into();
        let digest = Digest::of(&bytes);
        store
            .put_new(&Key::Cas(digest), bytes.clone())
            .await
            .unwrap();
        (digest, bytes)
    }

    #[tokio::test]
    async fn a_bundle_asked_for_by_many_is_loaded_once() {
        let store = Arc::new(Counted::default());
        let (digest, bytes) = kept(&*store, 1_000).await;
        let bundles = Arc::new(Bundles::new(store.clone(), MEMORY_BYTES, Arc::default()));
        let asked = (0..20).map(|_| {
            let bundles = Arc::clone(&bundles);
            tokio::spawn(async move { bundles.open(digest).await.unwrap() })
        });
        for open in asked.collect::<Vec<_>>() {
            assert!(matches!(open.await.unwrap(), OpenBundle::Hot(hot) if hot == bytes));
        }
        assert_eq!(store.gets.load(Ordering::Relaxed), 1);
        assert_eq!(bundles.memory_bytes(), 1_000);
    }

    #[tokio::test]
    async fn a_large_bundle_is_read_in_pieces_no_faster_than_it_is_taken() {
        let store = Arc::new(Counted::default());
        let size = MEMORY_OBJECT_BYTES as usize + 5;
        let (digest, bytes) = kept(&*store, size).await;
        let bundles = Bundles::new(store.clone(), MEMORY_BYTES, Arc::default());
        let OpenBundle::Cold(cold) = bundles.open(digest).await.unwrap() else {
            panic!("larger than what memory takes")
        };
        let mut pieces = cold.clone().pieces(3..size as u64 - 1);
        let first = pieces.recv().await.unwrap().unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(store.ranges.load(Ordering::Relaxed) <= CHUNKS_AHEAD + 2);
        let mut read = first.to_vec();
        while let Some(piece) = pieces.recv().await {
            read.extend_from_slice(&piece.unwrap());
        }
        assert!(read == bytes[3..size - 1], "the pieces are the range");
        assert_eq!(bundles.memory_bytes(), 0);
    }

    #[tokio::test]
    async fn memory_is_bounded_by_bytes() {
        let store = Arc::new(Counted::default());
        let bundles = Bundles::new(store.clone(), 10_000, Arc::default());
        for bytes in 1_000..1_030 {
            let (digest, _) = kept(&*store, bytes).await;
            bundles.open(digest).await.unwrap();
        }
        assert!(bundles.memory_bytes() <= 10_000 && bundles.memory_bytes() > 5_000);
        let none = Bundles::new(store.clone(), 0, Arc::default());
        let (digest, _) = kept(&*store, 2_000).await;
        assert!(matches!(
            none.open(digest).await.unwrap(),
            OpenBundle::Cold(_)
        ));
    }

    #[tokio::test]
    async fn an_absent_bundle_is_absent_and_may_come_later() {
        let store = Arc::new(Counted::default());
        let bundles = Bundles::new(store.clone(), MEMORY_BYTES, Arc::default());
        let digest = Digest::of(&(0..100).map(|n| (n % 251) as u8).collect::<Vec<_>>());
        assert!(matches!(
            bundles.open(digest).await,
            Err(BundleError::Absent { .. })
        ));
        assert_eq!(kept(&*store, 100).await.0, digest);
        assert_eq!(bundles.open(digest).await.unwrap().bytes(), 100);
    }

    #[tokio::test]
    async fn a_stored_file_can_be_opened() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"bundle").unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let bundles = Bundles::new(store, MEMORY_BYTES, Arc::default());
        for _ in 0..2 {
            bundles
                .store(file.path(), Digest::of(b"bundle"))
                .await
                .unwrap();
        }
        let open = bundles.open(Digest::of(b"bundle")).await.unwrap();
        assert!(matches!(open, OpenBundle::Hot(hot) if hot == "bundle"));
    }
}
