//! A store that fails as object stores do, by the seed: requests lost, replies lost, writes that land
//! after their writer gave up, errors after the commit, conflicts, reads that fail.
//!
//! The store itself is correct: of any racing creates one wins. Only what the caller hears is not.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::sleep;

use crate::store::{BoxFuture, Folder, Key, Place, Store, StoreError};

/// How long a client waits for an answer.
const CLIENT_TIMEOUT: Duration = Duration::from_millis(300);

/// The store, and the only chance of the whole run.
#[derive(Clone)]
pub(super) struct Shaky(Arc<Mutex<Inner>>);

struct Inner {
    objects: BTreeMap<Key, Bytes>,
    rng: fastrand::Rng,
    calm: bool,
    faults: u64,
}

#[derive(Clone, Copy)]
enum Fault {
    None,
    RequestLost,
    ReplyLost,
    LandsLate,
    ErrorAfterCommit,
    Conflict,
}

impl Shaky {
    pub(super) fn new(seed: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        Self(Arc::new(Mutex::new(Inner {
            objects: BTreeMap::new(),
            rng,
            calm: false,
            faults: 0,
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub(super) fn below(&self, end: u64) -> u64 {
        self.inner().rng.u64(0..end)
    }

    pub(super) fn up_to_ms(&self, ms: u64) -> Duration {
        Duration::from_millis(self.below(ms + 1))
    }

    /// No faults from now on.
    pub(super) fn calm_down(&self) {
        self.inner().calm = true;
    }

    pub(super) fn faults(&self) -> u64 {
        self.inner().faults
    }

    /// The log as it is, past all faults.
    pub(super) fn log(&self) -> Vec<(u64, Bytes)> {
        let inner = self.inner();
        let log = inner.objects.iter();
        log.filter_map(|(key, bytes)| match key {
            Key::Log(rev) => Some((*rev, bytes.clone())),
            _ => None,
        })
        .collect()
    }

    fn create(&self, key: &Key, bytes: Bytes) -> Result<(), StoreError> {
        let objects = &mut self.inner().objects;
        if objects.contains_key(key) {
            return Err(StoreError::AlreadyExists { key: key.clone() });
        }
        objects.insert(key.clone(), bytes);
        Ok(())
    }

    fn look(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        let mut inner = self.inner();
        if !inner.calm && inner.rng.u8(0..100) < 5 {
            inner.faults += 1;
            return Err(unavailable(key, "503"));
        }
        Ok(inner.objects.get(key).cloned())
    }

    fn fault(&self) -> Fault {
        let mut inner = self.inner();
        let fault = match inner.rng.u8(0..100) {
            _ if inner.calm => Fault::None,
            0..5 => Fault::RequestLost,
            5..13 => Fault::ReplyLost,
            13..18 => Fault::LandsLate,
            18..22 => Fault::ErrorAfterCommit,
            22..25 => Fault::Conflict,
            _ => Fault::None,
        };
        inner.faults += u64::from(!matches!(fault, Fault::None));
        fault
    }

    /// What happens at the store does not end with the caller, so it is a task of its own.
    async fn land(&self, after: Duration, key: &Key, bytes: Bytes) -> Result<(), StoreError> {
        let (store, key) = (self.clone(), key.clone());
        let landing = tokio::spawn(async move {
            sleep(after).await;
            store.create(&key, bytes)
        });
        landing.await.unwrap()
    }
}

fn unavailable(key: &Key, why: &str) -> StoreError {
    StoreError::unavailable(key, why.to_owned())
}

impl Store for Shaky {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        Box::pin(async move {
            sleep(self.up_to_ms(20)).await;
            let found = self.look(key)?;
            sleep(self.up_to_ms(20)).await;
            found.ok_or_else(|| StoreError::not_found(key))
        })
    }

    fn put_new<'a>(&'a self, key: &'a Key, bytes: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let way = self.up_to_ms(40);
            match self.fault() {
                Fault::None => self.land(way, key, bytes).await,
                Fault::RequestLost => {
                    sleep(CLIENT_TIMEOUT).await;
                    Err(unavailable(key, "timeout"))
                }
                Fault::ReplyLost => {
                    let _ = self.land(way, key, bytes).await;
                    sleep(CLIENT_TIMEOUT).await;
                    Err(unavailable(key, "timeout"))
                }
                Fault::LandsLate => {
                    let (store, key, late) = (self.clone(), key.clone(), self.up_to_ms(2_000));
                    tokio::spawn({
                        let key = key.clone();
                        async move { store.land(late, &key, bytes).await }
                    });
                    sleep(CLIENT_TIMEOUT).await;
                    Err(unavailable(&key, "timeout"))
                }
                Fault::ErrorAfterCommit => {
                    let _ = self.land(way, key, bytes).await;
                    Err(unavailable(key, "500"))
                }
                Fault::Conflict => {
                    sleep(way).await;
                    Err(unavailable(key, "409"))
                }
            }
        })
    }

    fn list<'a>(
        &'a self,
        folder: Folder,
        _: Option<&'a Key>,
    ) -> BoxFuture<'a, Result<Vec<Key>, StoreError>> {
        Box::pin(async move {
            let inner = self.inner();
            let keys = inner
                .objects
                .keys()
                .filter(|key| key.folder() == Some(folder));
            Ok(keys.cloned().collect())
        })
    }

    fn get_range<'a>(
        &'a self,
        key: &'a Key,
        _: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        self.get(key)
    }

    fn head<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move { Ok(self.get(key).await?.len() as u64) })
    }

    fn put<'a>(&'a self, _: &'a Key, _: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async {
            Err(StoreError::unavailable(
                Place::Store,
                "the ledger never overwrites",
            ))
        })
    }

    fn put_file<'a>(&'a self, _: &'a Key, _: &'a Path) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async {
            Err(StoreError::unavailable(
                Place::Store,
                "the ledger has no files",
            ))
        })
    }

    fn describe(&self) -> String {
        "shaky".into()
    }
}
