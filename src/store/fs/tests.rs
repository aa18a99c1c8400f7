//! Every step of a write made to fail, and the directory opened again afterwards.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use huidu_core::digest::Digest;
use tempfile::TempDir;

use super::*;
use crate::store::contract;

const KEY: Key = Key::Log(7);
const STEPS: [Step; 6] = [
    Step::Write,
    Step::SyncFile,
    Step::Link,
    Step::SyncFolder,
    Step::Unlink,
    Step::SyncFolderAgain,
];

fn record() -> Bytes {
    Bytes::from_static(b"record")
}

fn open(dir: &TempDir) -> FsStore {
    FsStore::open(dir.path()).unwrap()
}

/// A store whose `step` answers `error` while `broken` says so.
fn failing(dir: &TempDir, step: Step, error: io::ErrorKind) -> (FsStore, Arc<Mutex<bool>>) {
    let broken = Arc::new(Mutex::new(false));
    let seen = Arc::clone(&broken);
    let hook = move |at| match at == step && *seen.lock().unwrap() {
        true => Err(io::Error::from(error)),
        false => Ok(()),
    };
    let store = FsStore::open_on(dir.path().into(), Disk::with_hook(Arc::new(hook))).unwrap();
    *broken.lock().unwrap() = true;
    (store, broken)
}

fn asides(dir: &TempDir) -> usize {
    let names = fs::read_dir(dir.path().join("log")).unwrap();
    names
        .filter(|entry| disk::is_aside(entry.as_ref().unwrap().file_name().to_str().unwrap()))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_keeps_the_contract() {
    let base = TempDir::new().unwrap();
    let count = AtomicUsize::new(0);
    contract::all(|| async {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let store = FsStore::open(base.path().join(number.to_string())).unwrap();
        Arc::new(store) as Arc<dyn Store>
    })
    .await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    store.put_new(&KEY, record()).await.unwrap();
    store.put(&Key::Log(8), record()).await.unwrap();
    drop(store);
    let store = open(&dir);
    assert_eq!(store.get(&KEY).await.unwrap(), record());
    let keys = store.list(Folder::Log, None).await.unwrap();
    assert_eq!(keys, [KEY, Key::Log(8)]);
    assert_eq!(asides(&dir), 0);
}

#[test]
fn a_second_process_is_told_that_the_directory_is_in_use() {
    let dir = TempDir::new().unwrap();
    let first = open(&dir);
    let refused = FsStore::open(dir.path()).unwrap_err();
    assert!(matches!(refused, FsOpenError::Locked { .. }), "{refused}");
    drop(first);
    open(&dir);
}

#[tokio::test]
async fn what_a_crash_left_aside_is_swept_and_never_listed() {
    let dir = TempDir::new().unwrap();
    drop(open(&dir));
    fs::write(dir.path().join("log/.tmp.0"), b"half").unwrap();
    fs::write(dir.path().join("log/notes.txt"), b"foreign").unwrap();
    let store = open(&dir);
    assert_eq!(asides(&dir), 0);
    store.put_new(&KEY, record()).await.unwrap();
    fs::write(dir.path().join("log/.tmp.99"), b"half").unwrap();
    assert_eq!(store.list(Folder::Log, None).await.unwrap(), [KEY]);
}

/// The heart of the matter: wherever a write breaks off, the caller is told the truth, and the next
/// start finds either the whole object or none.
#[tokio::test]
async fn wherever_a_write_breaks_off_the_next_start_finds_all_or_nothing() {
    for step in STEPS {
        let dir = TempDir::new().unwrap();
        let (store, _broken) = failing(&dir, step, io::ErrorKind::Other);
        let answer = store.put_new(&KEY, record()).await;
        let acknowledged = matches!(step, Step::Unlink | Step::SyncFolderAgain);
        let linked = acknowledged || step == Step::SyncFolder;
        match &answer {
            Ok(()) => assert!(acknowledged, "{step:?}"),
            Err(error) => assert!(error.is_unavailable() && !acknowledged, "{step:?}: {error}"),
        }
        drop(store);
        let store = open(&dir);
        match store.get(&KEY).await {
            Ok(bytes) => assert!(linked && bytes == record(), "{step:?}"),
            Err(error) => assert!(error.is_not_found() && !linked, "{step:?}: {error}"),
        }
        assert_eq!(asides(&dir), 0, "{step:?}");
    }
}

#[tokio::test]
async fn a_full_disk_fails_cleanly_and_writing_goes_on_once_there_is_space() {
    for step in [Step::Write, Step::SyncFile, Step::Link] {
        let dir = TempDir::new().unwrap();
        let (store, broken) = failing(&dir, step, io::ErrorKind::StorageFull);
        let error = store.put_new(&KEY, record()).await.unwrap_err();
        assert!(error.is_unavailable(), "{step:?}: {error}");
        assert!(store.get(&KEY).await.unwrap_err().is_not_found());
        assert_eq!(asides(&dir), 0, "{step:?}");
        *broken.lock().unwrap() = false;
        store.put_new(&KEY, record()).await.unwrap();
    }
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_written_until_a_restart() {
    for step in [Step::SyncFile, Step::SyncFolder, Step::SyncFolderAgain] {
        let dir = TempDir::new().unwrap();
        let (store, broken) = failing(&dir, step, io::ErrorKind::Other);
        let _ = store.put_new(&KEY, record()).await;
        *broken.lock().unwrap() = false;
        let (key, cas) = (Key::Log(8), Key::Cas(Digest::of(&record())));
        let file = dir.path().join("file");
        fs::write(&file, record()).unwrap();
        for answer in [
            store.put_new(&key, record()).await,
            store.put(&key, record()).await,
            store.put_file(&cas, &file).await,
        ] {
            let error = answer.unwrap_err();
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(
                source.ends_with("check the disk, then restart"),
                "{step:?}: {source}"
            );
        }
        drop(store);
        open(&dir).put_new(&key, record()).await.unwrap();
    }
}

#[tokio::test]
async fn an_object_whose_name_may_not_be_durable_is_not_shown_to_anybody() {
    let dir = TempDir::new().unwrap();
    let (store, _broken) = failing(&dir, Step::SyncFolder, io::ErrorKind::Other);
    assert!(store.put_new(&KEY, record()).await.is_err());
    assert!(store.get(&KEY).await.unwrap_err().is_unavailable());
    assert!(store.head(&KEY).await.unwrap_err().is_unavailable());
    assert_eq!(store.list(Folder::Log, None).await.unwrap(), []);
}

/// The writer is held between link and sync; the reader must not see the object before it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_waits_until_the_name_is_durable() {
    let dir = TempDir::new().unwrap();
    let armed = Arc::new(Mutex::new(false));
    let (reached, wait_reached) = std::sync::mpsc::channel();
    let (go, wait_go) = std::sync::mpsc::channel::<()>();
    let (gate, seen) = (Mutex::new((reached, wait_go)), Arc::clone(&armed));
    let hook = move |step| {
        if step == Step::SyncFolder && *seen.lock().unwrap() {
            let gate = gate.lock().unwrap();
            gate.0.send(()).unwrap();
            gate.1.recv().unwrap();
        }
        Ok(())
    };
    let store = FsStore::open_on(dir.path().into(), Disk::with_hook(Arc::new(hook))).unwrap();
    *armed.lock().unwrap() = true;
    let writer = tokio::spawn({
        let store = store.clone();
        async move { store.put_new(&KEY, record()).await }
    });
    tokio::task::spawn_blocking(move || wait_reached.recv().unwrap())
        .await
        .unwrap();
    assert!(store.path_of(&KEY).exists(), "the name exists already");
    assert_eq!(store.list(Folder::Log, None).await.unwrap(), []);
    let mut reader = tokio::spawn({
        let store = store.clone();
        async move { store.get(&KEY).await }
    });
    let early = tokio::time::timeout(std::time::Duration::from_millis(100), &mut reader).await;
    assert!(
        early.is_err(),
        "the reader was answered before the name was durable"
    );
    go.send(()).unwrap();
    writer.await.unwrap().unwrap();
    assert_eq!(reader.await.unwrap().unwrap(), record());
}

#[tokio::test]
async fn bytes_that_rotted_on_disk_are_never_handed_out() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let key = Key::Cas(Digest::of(b"good"));
    store
        .put_new(&key, Bytes::from_static(b"good"))
        .await
        .unwrap();
    fs::write(store.path_of(&key), b"evil").unwrap();
    let error = store.get(&key).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}
