//! `Metered`: a store that counts and times what is asked of the store behind it.
//!
//! It changes no answer and adds none: what `Ok` and every error mean is the inner store's matter.

use std::{fs::File, ops::Range, path::Path, sync::Arc, time::Instant};

use bytes::Bytes;

use crate::{
    metrics::Metrics,
    store::{BoxFuture, Folder, Key, Store, StoreError},
};

/// A store and its metrics.
pub(super) struct Metered {
    inner: Arc<dyn Store>,
    metrics: Arc<Metrics>,
}

impl Metered {
    /// Counts what is asked of `inner`.
    pub(super) fn new(inner: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }

    fn timed<'a, T: Send + 'a>(
        &'a self,
        verb: &'static str,
        operation: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        Box::pin(async move {
            let begun = Instant::now();
            let result = operation.await;
            // Absence and presence are answers, not failures: the ledger asks for what is not there yet.
            let outcome = match &result {
                Ok(_) => "ok",
                Err(StoreError::NotFound { .. }) => "not-found",
                Err(StoreError::AlreadyExists { .. }) => "exists",
                Err(StoreError::Unavailable { .. }) => "unavailable",
                Err(StoreError::Corrupt { .. }) => "corrupt",
            };
            self.metrics.store_operation(verb, outcome, begun.elapsed());
            result
        })
    }
}

impl Store for Metered {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        self.timed("get", self.inner.get(key))
    }

    fn get_range<'a>(
        &'a self,
        key: &'a Key,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        self.timed("get-range", self.inner.get_range(key, range))
    }

    fn head<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.timed("head", self.inner.head(key))
    }

    fn put_new<'a>(&'a self, key: &'a Key, bytes: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
        self.timed("put-new", self.inner.put_new(key, bytes))
    }

    fn put<'a>(&'a self, key: &'a Key, bytes: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
        self.timed("put", self.inner.put(key, bytes))
    }

    fn put_file<'a>(
        &'a self,
        key: &'a Key,
        path: &'a Path,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.timed("put-file", self.inner.put_file(key, path))
    }

    fn list<'a>(
        &'a self,
        folder: Folder,
        after: Option<&'a Key>,
    ) -> BoxFuture<'a, Result<Vec<Key>, StoreError>> {
        self.timed("list", self.inner.list(folder, after))
    }

    fn file<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<File>, StoreError>> {
        self.timed("file", self.inner.file(key))
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{contract, memory::MemoryStore};

    #[tokio::test]
    async fn is_a_store() {
        contract::all(|| async {
            let inner = Arc::new(MemoryStore::new());
            Arc::new(Metered::new(inner, Arc::default())) as Arc<dyn Store>
        })
        .await;
    }

    #[tokio::test]
    async fn operations_are_counted_by_verb_and_by_how_they_ended() {
        let metrics = Arc::new(Metrics::new());
        let store = Metered::new(Arc::new(MemoryStore::new()), Arc::clone(&metrics));
        let key = Key::Log(1);
        assert!(store.get(&key).await.is_err());
        store.put_new(&key, Bytes::from_static(b"x")).await.unwrap();
        assert!(
            store
                .put_new(&key, Bytes::new())
                .await
                .unwrap_err()
                .is_already_exists()
        );
        assert_eq!(store.get(&key).await.unwrap(), "x");
        let text = metrics.render();
        for (verb, outcome) in [
            ("get", "not-found"),
            ("get", "ok"),
            ("put-new", "ok"),
            ("put-new", "exists"),
        ] {
            let line =
                format!(r#"huidu_store_operations_total{{outcome="{outcome}",verb="{verb}"}} 1"#);
            assert!(text.contains(&line), "{line}\n{text}");
        }
        assert!(text.contains(r#"huidu_store_operation_seconds_count{verb="get"} 2"#));
    }
}
