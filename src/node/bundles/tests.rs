//! Bundles over stores that count, and over a disk that keeps.

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

    fn put_new<'a>(&'a self, key: &'a Key, bytes: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
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
        tokio::spawn(async move { bundles.open(digest, Way::Bytes).await.unwrap() })
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
    let OpenBundle::Cold(cold) = bundles.open(digest, Way::Bytes).await.unwrap() else {
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
        bundles.open(digest, Way::Bytes).await.unwrap();
    }
    assert!(bundles.memory_bytes() <= 10_000 && bundles.memory_bytes() > 5_000);
    let none = Bundles::new(store.clone(), 0, Arc::default());
    let (digest, _) = kept(&*store, 2_000).await;
    assert!(matches!(
        none.open(digest, Way::Bytes).await.unwrap(),
        OpenBundle::Cold(_)
    ));
}

#[tokio::test]
async fn an_absent_bundle_is_absent_and_may_come_later() {
    let store = Arc::new(Counted::default());
    let bundles = Bundles::new(store.clone(), MEMORY_BYTES, Arc::default());
    let digest = Digest::of(&(0..100).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    assert!(matches!(
        bundles.open(digest, Way::Bytes).await,
        Err(BundleError::Absent { .. })
    ));
    assert_eq!(kept(&*store, 100).await.0, digest);
    assert_eq!(bundles.open(digest, Way::Bytes).await.unwrap().bytes(), 100);
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
    let open = bundles
        .open(Digest::of(b"bundle"), Way::Bytes)
        .await
        .unwrap();
    assert!(matches!(open, OpenBundle::Hot(hot) if hot == "bundle"));
}

/// A distant store that counts, and a disk of `most` bytes.
fn distant(most: u64) -> (Arc<Counted>, tempfile::TempDir, Bundles) {
    let (store, dir) = (Arc::new(Counted::default()), tempfile::tempdir().unwrap());
    let bundles = over(&store, &dir, most);
    (store, dir, bundles)
}

fn over(store: &Arc<Counted>, dir: &tempfile::TempDir, most: u64) -> Bundles {
    let disk = Disk::open(dir.path().join("bundles"), most).unwrap();
    Bundles::new(store.clone(), MEMORY_BYTES, Arc::default()).keeping(Some(disk))
}

fn names(dir: &tempfile::TempDir) -> Vec<String> {
    let read = std::fs::read_dir(dir.path().join("bundles")).unwrap();
    let names = read.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

async fn file_of(bundles: &Bundles, digest: Digest) -> BundleFile {
    match bundles.open(digest, Way::File).await.unwrap() {
        OpenBundle::File(file) => file,
        _ => panic!("no file"),
    }
}

async fn bytes_of(file: BundleFile) -> Vec<u8> {
    let mut pieces = file.clone().pieces(0..file.bytes);
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.recv().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    bytes
}

#[tokio::test]
async fn a_distant_bundle_is_copied_once_however_many_ask_and_found_again_after_a_restart() {
    let (store, dir, bundles) = distant(10_000_000);
    let (digest, bytes) = kept(&*store, 1_500_000).await;
    let bundles = Arc::new(bundles);
    let asked = (0..20).map(|_| {
        let bundles = Arc::clone(&bundles);
        tokio::spawn(async move { file_of(&bundles, digest).await })
    });
    for file in asked.collect::<Vec<_>>() {
        assert!(bytes_of(file.await.unwrap()).await == bytes);
    }
    let reads = store.ranges.load(Ordering::Relaxed);
    assert_eq!(reads as u64, 1_500_000_u64.div_ceil(CHUNK_BYTES));
    assert!(matches!(
        bundles.ready(&digest, Way::File),
        Some(OpenBundle::File(_))
    ));
    let again = over(&store, &dir, 10_000_000);
    assert!(bytes_of(file_of(&again, digest).await).await == bytes);
    assert_eq!(store.ranges.load(Ordering::Relaxed), reads);
    // Over TLS and HTTP/2 it comes from memory.
    assert!(
        matches!(again.open(digest, Way::Bytes).await, Ok(OpenBundle::Hot(hot)) if hot == bytes)
    );
}

#[tokio::test]
async fn the_disk_is_bounded_by_bytes_and_the_longest_unused_goes_first() {
    let (store, dir, bundles) = distant(250_000);
    let mut digests = Vec::new();
    for bytes in [100_000, 100_001] {
        let (digest, _) = kept(&*store, bytes).await;
        file_of(&bundles, digest).await;
        digests.push(digest);
    }
    // The first is used again, so the second goes; whoever still sends that one loses nothing.
    bundles.ready(&digests[0], Way::File).unwrap();
    let sent = file_of(&bundles, digests[1]).await;
    bundles.ready(&digests[0], Way::File).unwrap();
    let (third, _) = kept(&*store, 100_002).await;
    file_of(&bundles, third).await;
    let mut expected = vec![digests[0].to_string(), third.to_string()];
    expected.sort();
    assert_eq!(names(&dir), expected);
    assert!(bundles.ready(&digests[1], Way::File).is_none());
    assert_eq!(bytes_of(sent).await.len(), 100_001);
    // What is larger than the disk may be is not kept, and served all the same.
    let (large, _) = kept(&*store, 300_000).await;
    assert!(matches!(
        bundles.open(large, Way::File).await,
        Ok(OpenBundle::Hot(_))
    ));
    assert_eq!(names(&dir), expected);
}

#[tokio::test]
async fn a_copy_that_is_not_what_its_name_says_is_made_anew_and_half_copies_are_swept() {
    let (store, dir, bundles) = distant(10_000_000);
    let (digest, bytes) = kept(&*store, 200_000).await;
    file_of(&bundles, digest).await;
    let path = dir.path().join("bundles");
    std::fs::write(path.join(".tmp.7"), "half").unwrap();
    // A power cut can leave a name without its bytes.
    File::create(path.join(digest.to_string())).unwrap();
    let again = over(&store, &dir, 10_000_000);
    assert_eq!(names(&dir), [digest.to_string()]);
    assert!(bytes_of(file_of(&again, digest).await).await == bytes);
}

#[tokio::test]
async fn a_disk_that_takes_nothing_costs_speed_and_no_answer() {
    let (store, dir, bundles) = distant(10_000_000);
    let (digest, bytes) = kept(&*store, 200_000).await;
    std::fs::remove_dir_all(dir.path().join("bundles")).unwrap();
    let open = bundles.open(digest, Way::File).await.unwrap();
    assert!(matches!(open, OpenBundle::Hot(hot) if hot == bytes));
    assert_eq!(bundles.metrics.bundle_disk_failures.get(), 1);
}

#[tokio::test]
async fn a_directory_gives_its_own_files_and_no_damaged_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(crate::store::fs::FsStore::open(dir.path()).unwrap());
    let (digest, bytes) = kept(&*store, 200_000).await;
    let bundles = Bundles::new(store.clone(), MEMORY_BYTES, Arc::default());
    assert!(bytes_of(file_of(&bundles, digest).await).await == bytes);
    assert_eq!(bundles.memory_bytes(), 0);
    let (damaged, _) = kept(&*store, 300_000).await;
    std::fs::write(store.path_of(&Key::Cas(damaged)), vec![1; 300_000]).unwrap();
    let refused = bundles.open(damaged, Way::File).await;
    assert!(matches!(refused, Err(BundleError::Damaged { .. })));
}
