//! `MemoryStore`: a store in one map, for tests and for trying things out.
//!
//! It is also the shortest correct implementation of the trait. It never outlives its process.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::{BoxFuture, Folder, Key, Store, StoreError, check_name};

/// Objects in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    objects: Mutex<BTreeMap<Key, Bytes>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The map is whole between any two statements, so a panic elsewhere leaves nothing half done.
    fn objects(&self) -> MutexGuard<'_, BTreeMap<Key, Bytes>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, key: &Key) -> Result<Bytes, StoreError> {
        let found = self.objects().get(key).cloned();
        found.ok_or_else(|| StoreError::not_found(key))
    }

    fn create(&self, key: &Key, bytes: Bytes) -> Result<(), StoreError> {
        check_name(key, &bytes)?;
        let mut objects = self.objects();
        if objects.contains_key(key) {
            return Err(StoreError::AlreadyExists { key: key.clone() });
        }
        objects.insert(key.clone(), bytes);
        Ok(())
    }
}

impl Store for MemoryStore {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        Box::pin(async move {
            let bytes = self.read(key)?;
            check_name(key, &bytes)?;
            Ok(bytes)
        })
    }

    fn get_range<'a>(
        &'a self,
        key: &'a Key,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        Box::pin(async move {
            let bytes = self.read(key)?;
            let cut = |at: u64| usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()));
            let (start, end) = (cut(range.start), cut(range.end));
            Ok(bytes.slice(start..end.max(start)))
        })
    }

    fn head<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move { Ok(self.read(key)?.len() as u64) })
    }

    fn put_new<'a>(&'a self, key: &'a Key, bytes: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.create(key, bytes) })
    }

    fn put<'a>(&'a self, key: &'a Key, bytes: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            check_name(key, &bytes)?;
            self.objects().insert(key.clone(), bytes);
            Ok(())
        })
    }

    fn put_file<'a>(
        &'a self,
        key: &'a Key,
        path: &'a Path,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let read = tokio::fs::read(path).await;
            let bytes = read.map_err(|source| StoreError::unavailable(key, source))?;
            match self.create(key, bytes.into()) {
                Err(StoreError::AlreadyExists { .. }) if key.digest().is_some() => Ok(()),
                other => other,
            }
        })
    }

    fn list<'a>(
        &'a self,
        folder: Folder,
        after: Option<&'a Key>,
    ) -> BoxFuture<'a, Result<Vec<Key>, StoreError>> {
        Box::pin(async move {
            let objects = self.objects();
            let behind = |key: &&Key| after.is_none_or(|after| *key > after);
            let keys = objects.keys().filter(|key| key.folder() == Some(folder));
            Ok(keys.filter(behind).cloned().collect())
        })
    }

    fn describe(&self) -> String {
        "memory".into()
    }
}
