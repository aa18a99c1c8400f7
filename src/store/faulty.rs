//! `FaultyStore`: a store that misbehaves on request, around any other store.
//!
//! Tests hand in a script that is asked before every operation; a [`Switch`] takes the whole store
//! down and up while nodes run. It exists because the hard cases of the ledger are all of one kind:
//! the write landed and nobody was told. It is never built from settings.

use std::{
    fmt,
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

use super::{BoxFuture, Folder, Key, Place, Store, StoreError};

/// What goes wrong with one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The request never reaches the store; the caller is told that it is unavailable.
    RequestLost,
    /// The store does it; the caller is told that it is unavailable.
    ReplyLost,
    /// The caller is told that it is unavailable; the store does it this much later.
    LandsLater(Duration),
    /// The store does it and answers, this much later.
    Slow(Duration),
    /// No answer ever comes, and nothing is done.
    Hangs,
}

/// The method that was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// [`Store::get`].
    Get,
    /// [`Store::get_range`].
    GetRange,
    /// [`Store::head`].
    Head,
    /// [`Store::put_new`].
    PutNew,
    /// [`Store::put`].
    Put,
    /// [`Store::put_file`].
    PutFile,
    /// [`Store::list`].
    List,
}

/// One operation, as the script sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// How many operations came before it.
    pub number: u64,
    /// What is asked.
    pub verb: Verb,
    /// About what.
    pub place: Place,
}

/// Asked before every operation.
pub type Script = Arc<dyn Fn(&Call) -> Fault + Send + Sync>;

/// Takes the store down and up; clones switch the same store.
#[derive(Debug, Clone, Default)]
pub struct Switch {
    down: Arc<AtomicBool>,
}

/// A store with faults.
#[derive(Clone)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    script: Script,
    switch: Switch,
    calls: Arc<AtomicU64>,
}

/// The fault that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Injected {
    /// By the switch.
    #[error("the store was switched off by a test")]
    SwitchedOff,
    /// By the script.
    #[error("a test asked for `{0:?}`")]
    Scripted(Fault),
}

impl Switch {
    /// From now on every operation is refused as unavailable.
    pub fn down(&self) {
        self.down.store(true, Ordering::SeqCst);
    }

    /// From now on operations reach the store again.
    pub fn up(&self) {
        self.down.store(false, Ordering::SeqCst);
    }

    /// True while operations reach the store.
    pub fn is_up(&self) -> bool {
        !self.down.load(Ordering::SeqCst)
    }
}

impl FaultyStore {
    /// `inner` without faults, until its switch says otherwise.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self::scripted(inner, |_| Fault::None)
    }

    /// `inner` with the faults that `script` asks for.
    pub fn scripted(
        inner: Arc<dyn Store>,
        script: impl Fn(&Call) -> Fault + Send + Sync + 'static,
    ) -> Self {
        Self {
            inner,
            script: Arc::new(script),
            switch: Switch::default(),
            calls: Arc::default(),
        }
    }

    /// The switch of this store.
    pub fn switch(&self) -> Switch {
        self.switch.clone()
    }

    /// How many operations were asked for so far, those that failed included.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Runs `work` on the inner store as the script wishes. Owned arguments, because a request that
    /// lands later outlives its caller.
    async fn run<T, F>(
        &self,
        verb: Verb,
        place: Place,
        work: impl FnOnce(Arc<dyn Store>) -> F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        if !self.switch.is_up() {
            return Err(StoreError::unavailable(place, Injected::SwitchedOff));
        }
        let call = Call {
            number,
            verb,
            place,
        };
        let fault = (self.script)(&call);
        let lost = StoreError::unavailable(call.place, Injected::Scripted(fault));
        let work = work(Arc::clone(&self.inner));
        match fault {
            Fault::None => work.await,
            Fault::RequestLost => Err(lost),
            Fault::ReplyLost => {
                let _ = work.await;
                Err(lost)
            }
            Fault::LandsLater(delay) => {
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    work.await
                });
                Err(lost)
            }
            Fault::Slow(delay) => {
                tokio::time::sleep(delay).await;
                work.await
            }
            Fault::Hangs => std::future::pending().await,
        }
    }
}

impl Store for FaultyStore {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        let k = key.clone();
        Box::pin(self.run(
            Verb::Get,
            key.into(),
            |store| async move { store.get(&k).await },
        ))
    }

    fn get_range<'a>(
        &'a self,
        key: &'a Key,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        let k = key.clone();
        Box::pin(self.run(Verb::GetRange, key.into(), |store| async move {
            store.get_range(&k, range).await
        }))
    }

    fn head<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<u64, StoreError>> {
        let k = key.clone();
        Box::pin(self.run(Verb::Head, key.into(), |store| async move {
            store.head(&k).await
        }))
    }

    fn put_new<'a>(&'a self, key: &'a Key, bytes: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
        let k = key.clone();
        Box::pin(self.run(Verb::PutNew, key.into(), |store| async move {
            store.put_new(&k, bytes).await
        }))
    }

    fn put<'a>(&'a self, key: &'a Key, bytes: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
        let k = key.clone();
        Box::pin(self.run(Verb::Put, key.into(), |store| async move {
            store.put(&k, bytes).await
        }))
    }

    fn put_file<'a>(
        &'a self,
        key: &'a Key,
        path: &'a Path,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let (k, path) = (key.clone(), path.to_path_buf());
        Box::pin(self.run(Verb::PutFile, key.into(), |store| async move {
            store.put_file(&k, &path).await
        }))
    }

    fn list<'a>(
        &'a self,
        folder: Folder,
        after: Option<&'a Key>,
    ) -> BoxFuture<'a, Result<Vec<Key>, StoreError>> {
        let after = after.cloned();
        Box::pin(
            self.run(Verb::List, folder.into(), move |store| async move {
                store.list(folder, after.as_ref()).await
            }),
        )
    }

    fn describe(&self) -> String {
        format!("faulty {}", self.inner.describe())
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore")
            .field("inner", &self.inner.describe())
            .field("switch", &self.switch)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;

    const KEY: Key = Key::Log(1);
    const SOON: Duration = Duration::from_millis(1);

    fn faulty(fault: Fault) -> (Arc<MemoryStore>, FaultyStore) {
        let inner = Arc::new(MemoryStore::new());
        let store = FaultyStore::scripted(inner.clone(), move |_| fault);
        (inner, store)
    }

    /// Waits until the object is there; a bound instead of a sleep.
    async fn lands(store: &MemoryStore) {
        for _ in 0..10_000 {
            if store.get(&KEY).await.is_ok() {
                return;
            }
            tokio::time::sleep(SOON).await;
        }
        panic!("the object never landed");
    }

    #[tokio::test]
    async fn each_fault_tells_the_caller_and_does_what_it_says() {
        let table = [
            (Fault::None, true, true),
            (Fault::RequestLost, false, false),
            (Fault::ReplyLost, false, true),
            (Fault::Slow(SOON), true, true),
        ];
        for (fault, told, landed) in table {
            let (inner, store) = faulty(fault);
            let answer = store.put_new(&KEY, Bytes::from_static(b"x")).await;
            assert_eq!(answer.is_ok(), told, "{fault:?}");
            assert_eq!(inner.get(&KEY).await.is_ok(), landed, "{fault:?}");
        }
    }

    #[tokio::test]
    async fn a_request_may_land_after_its_caller_was_told_otherwise() {
        let (inner, store) = faulty(Fault::LandsLater(SOON));
        let answer = store.put_new(&KEY, Bytes::from_static(b"x")).await;
        assert!(answer.is_err_and(|e| e.is_unavailable()));
        lands(&inner).await;
    }

    #[tokio::test]
    async fn a_store_that_hangs_never_answers_and_does_nothing() {
        let (inner, store) = faulty(Fault::Hangs);
        let asked = store.put_new(&KEY, Bytes::from_static(b"x"));
        assert!(tokio::time::timeout(SOON, asked).await.is_err());
        assert!(inner.get(&KEY).await.is_err_and(|e| e.is_not_found()));
    }

    #[tokio::test]
    async fn the_switch_takes_everything_down_and_up_again() {
        let (_, store) = faulty(Fault::None);
        let switch = store.switch();
        switch.down();
        let refused = store.list(Folder::Log, None).await.unwrap_err();
        insta::assert_snapshot!(refused, @"the store did not settle `log/`; read it before trying again");
        switch.up();
        assert!(store.list(Folder::Log, None).await.is_ok());
        assert_eq!(store.calls(), 2);
    }

    #[tokio::test]
    async fn a_script_sees_what_is_asked_and_may_choose() {
        let inner = Arc::new(MemoryStore::new());
        let store = FaultyStore::scripted(inner, |call| match call {
            Call {
                verb: Verb::Put,
                number: 1,
                place: Place::Key(KEY),
            } => Fault::RequestLost,
            _ => Fault::None,
        });
        let mut told = Vec::new();
        for _ in 0..3 {
            told.push(store.put(&KEY, Bytes::new()).await.is_ok());
        }
        assert_eq!(told, [true, false, true]);
    }
}
