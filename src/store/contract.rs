//! The contract of [`Store`]: the suite that *is* the definition of the trait.
//!
//! Every store and every decorator passes all of it: those in this crate by unit tests, the S3 one
//! against a real server by integration tests (which is why the suite is no test module itself).
//! A failed clause panics with a sentence. Nothing outside tests ever calls it.

use std::{collections::BTreeSet, fmt::Debug, io::Write as _, sync::Arc};

use bytes::Bytes;
use huidu_core::digest::Digest;
use tokio::{sync::Barrier, task::JoinSet};

use super::{Folder, Key, Store, StoreError};

mod clauses;

/// Writers in one race.
const WRITERS: usize = 16;
/// Races.
const ROUNDS: u64 = 8;
/// More than one page of any S3 listing.
const MANY: u64 = 1_050;
/// Writes under way at once while the long listing is filled.
const AT_ONCE: u64 = 50;

/// Runs every clause, each on a new, empty store that `make` gives.
pub async fn all<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Store>>,
{
    clauses::what_was_put_is_read_back(&*make().await).await;
    clauses::what_is_absent_is_not_found(&*make().await).await;
    clauses::a_created_object_is_never_created_again(&*make().await).await;
    clauses::of_racing_writers_exactly_one_wins(make().await).await;
    clauses::put_replaces_the_whole_object(&*make().await).await;
    clauses::ranges_are_cut_at_the_end(&*make().await).await;
    clauses::a_listing_is_sorted_and_begins_behind(&*make().await).await;
    clauses::a_long_listing_is_complete(make().await).await;
    clauses::a_file_is_stored_as_its_bytes(&*make().await).await;
    clauses::bytes_never_lie_under_a_name_they_do_not_have(&*make().await).await;
    assert!(!make().await.describe().is_empty(), "a store has a name");
}

/// The value, or a panic that says which promise was broken.
fn kept<T>(result: Result<T, StoreError>, promise: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{promise}: {}", chain(&error)),
    }
}

fn broken<T: Debug>(result: Result<T, StoreError>, promise: &str) -> StoreError {
    match result {
        Ok(value) => panic!("{promise}: succeeded with {value:?}"),
        Err(error) => error,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

fn probe(name: &str) -> super::ProbeName {
    name.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// A file of `bytes` that goes away with the value.
fn written(bytes: &[u8]) -> Scratch {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("huidu-contract-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let result = std::fs::File::create_new(&path).and_then(|mut file| file.write_all(bytes));
    match result {
        Ok(()) => Scratch(path),
        Err(error) => panic!("cannot write `{}`: {error}", path.display()),
    }
}

struct Scratch(std::path::PathBuf);

impl Scratch {
    fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{faulty::FaultyStore, memory::MemoryStore};

    #[tokio::test(flavor = "multi_thread")]
    async fn memory_keeps_the_contract() {
        all(|| async { Arc::new(MemoryStore::new()) as Arc<dyn Store> }).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_without_faults_keeps_the_contract() {
        let make = || async {
            let inner = Arc::new(MemoryStore::new());
            Arc::new(FaultyStore::new(inner)) as Arc<dyn Store>
        };
        all(make).await;
    }
}
