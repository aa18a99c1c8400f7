//! The probe against stores that are known to be bad, each in its own way.

use std::{
    collections::HashMap,
    ops::Range,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::*;
use crate::store::{
    BoxFuture, Place,
    faulty::{Fault, FaultyStore, Verb},
    memory::MemoryStore,
    s3::Failure,
};

/// What is wrong with a double.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// `If-None-Match` is an unknown header.
    IgnoresTheCondition,
    /// Looks first and writes then, with a moment between.
    ChecksThenWrites,
    /// Keeps the first object but answers 200 to everybody.
    ConfirmsRepeats,
    /// Creating an object again with its own bytes is confirmed.
    ConfirmsRepeatsOfTheSameBytes,
    /// Remembers the first answer to each read, a 404 too.
    StaleReads,
    /// Remembers only objects, so that replaced ones are old.
    StaleObjects,
    /// Listings are old.
    StaleLists,
    /// Drops the end of objects.
    CutsObjects,
    /// Answers that it does not implement the condition.
    RefusesTheCondition,
}

struct Double {
    inner: MemoryStore,
    flaw: Flaw,
    reads: Mutex<HashMap<Key, Option<Bytes>>>,
    lists: Mutex<Option<Vec<Key>>>,
}

fn double(flaw: Flaw) -> Arc<dyn Store> {
    Arc::new(Double {
        inner: MemoryStore::new(),
        flaw,
        reads: Mutex::default(),
        lists: Mutex::default(),
    })
}

impl Store for Double {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        Box::pin(async move {
            let now = self.inner.get(key).await;
            let seen = match self.flaw {
                Flaw::CutsObjects => now.as_ref().ok().map(|b| b.slice(..b.len().min(3))),
                Flaw::StaleReads => {
                    let mut reads = self.reads.lock().unwrap();
                    reads.entry(key.clone()).or_insert(now.ok()).clone()
                }
                Flaw::StaleObjects => match now {
                    Ok(bytes) => {
                        let mut reads = self.reads.lock().unwrap();
                        reads.entry(key.clone()).or_insert(Some(bytes)).clone()
                    }
                    Err(_) => None,
                },
                _ => now.ok(),
            };
            seen.ok_or_else(|| StoreError::not_found(key))
        })
    }

    fn get_range<'a>(
        &'a self,
        key: &'a Key,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        self.inner.get_range(key, range)
    }

    fn head<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.inner.head(key)
    }

    fn put_new<'a>(&'a self, key: &'a Key, bytes: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            match self.flaw {
                Flaw::IgnoresTheCondition => self.inner.put(key, bytes).await,
                Flaw::ChecksThenWrites => {
                    if self.inner.head(key).await.is_ok() {
                        return Err(StoreError::AlreadyExists { key: key.clone() });
                    }
                    tokio::task::yield_now().await;
                    self.inner.put(key, bytes).await
                }
                Flaw::ConfirmsRepeats => match self.inner.put_new(key, bytes).await {
                    Err(StoreError::AlreadyExists { .. }) => Ok(()),
                    other => other,
                },
                Flaw::ConfirmsRepeatsOfTheSameBytes => {
                    match self.inner.put_new(key, bytes.clone()).await {
                        Err(StoreError::AlreadyExists { .. })
                            if self.inner.get(key).await.is_ok_and(|found| found == bytes) =>
                        {
                            Ok(())
                        }
                        other => other,
                    }
                }
                Flaw::RefusesTheCondition => Err(StoreError::unavailable(
                    key.clone(),
                    Failure::Answered {
                        status: 501,
                        code: "NotImplemented".into(),
                        message: "no condition on PUT".into(),
                    },
                )),
                _ => self.inner.put_new(key, bytes).await,
            }
        })
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
        Box::pin(async move {
            let now = self.inner.list(folder, after).await?;
            if self.flaw != Flaw::StaleLists {
                return Ok(now);
            }
            Ok(self.lists.lock().unwrap().get_or_insert(now).clone())
        })
    }

    fn describe(&self) -> String {
        format!("{:?}", self.flaw)
    }
}

fn broken(report: &Report) -> Vec<&'static str> {
    let broken = report.checks.iter().filter(|check| !check.passed);
    broken.map(|check| check.name).collect()
}

#[tokio::test]
async fn a_store_that_keeps_every_promise_takes_any_number_of_writers() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    for depth in [Depth::Quick, Depth::Full] {
        let report = check(&[Arc::clone(&store), Arc::clone(&store)], depth).await;
        assert_eq!(report.verdict, Verdict::MultiWriter, "{report}");
    }
}

#[tokio::test]
async fn each_bad_store_is_found_out_by_the_promise_it_breaks() {
    use Verdict::{SingleWriter, Unusable};
    let table = [
        (
            Flaw::IgnoresTheCondition,
            Unusable,
            vec!["repeated create", "racing creates"],
        ),
        (Flaw::ChecksThenWrites, SingleWriter, vec!["racing creates"]),
        (
            Flaw::ConfirmsRepeats,
            Unusable,
            vec!["repeated create", "racing creates"],
        ),
        (
            Flaw::ConfirmsRepeatsOfTheSameBytes,
            Unusable,
            vec!["repeated create"],
        ),
        (
            Flaw::StaleReads,
            Unusable,
            vec!["get after put", "get after replace"],
        ),
        (Flaw::StaleObjects, Unusable, vec!["get after replace"]),
        (Flaw::StaleLists, Unusable, vec!["list after put"]),
        (
            Flaw::RefusesTheCondition,
            Unusable,
            vec![
                "get after put",
                "list after put",
                "repeated create",
                "racing creates",
            ],
        ),
        (
            Flaw::CutsObjects,
            Unusable,
            vec![
                "get after put",
                "get after replace",
                "repeated create",
                "racing creates",
            ],
        ),
    ];
    for (flaw, verdict, names) in table {
        for depth in [Depth::Quick, Depth::Full] {
            let report = check(&[double(flaw)], depth).await;
            assert_eq!(broken(&report), names, "{report}");
            assert_eq!(report.verdict, verdict, "{report}");
        }
    }
}

#[tokio::test]
async fn endpoints_that_lead_to_different_stores_are_found_out() {
    let endpoint = || Arc::new(MemoryStore::new()) as Arc<dyn Store>;
    let report = check(&[endpoint(), endpoint()], Depth::Quick).await;
    assert_eq!(report.verdict, Verdict::Unusable, "{report}");
}

#[tokio::test]
async fn of_a_store_that_is_down_or_silent_nothing_is_known_and_none_at_all_is_unusable() {
    let down = FaultyStore::new(Arc::new(MemoryStore::new()));
    down.switch().down();
    let report = check(&[Arc::new(down)], Depth::Quick).await;
    assert_eq!(report.verdict, Verdict::Silent, "{report}");
    assert_eq!(broken(&report), ["answer"], "{report}");

    let inner = Arc::new(MemoryStore::new());
    let silent = FaultyStore::scripted(inner, |_| Fault::Hangs);
    let soon = Duration::from_millis(10);
    let report = check_within(&[Arc::new(silent)], Depth::Quick, soon).await;
    assert_eq!(broken(&report), ["time"], "{report}");
    assert_eq!(report.verdict, Verdict::Silent, "{report}");

    let inner = Arc::new(MemoryStore::new());
    let silent = FaultyStore::scripted(inner, |_| Fault::Hangs);
    let asked = tokio::time::Instant::now();
    tokio::time::pause();
    let report = check(&[Arc::new(silent)], Depth::Quick).await;
    tokio::time::resume();
    assert_eq!(broken(&report), ["answer"], "{report}");
    assert_eq!(report.verdict, Verdict::Silent, "{report}");
    let took = asked.elapsed();
    assert!(
        took < Depth::Quick.patience() / 2,
        "a start is not held up by silence: {took:?}"
    );

    // Slow, and not bad: what was heard in time was as it should be.
    let slow = FaultyStore::scripted(Arc::new(MemoryStore::new()), |call| {
        if call.verb == Verb::List {
            Fault::Hangs
        } else {
            Fault::None
        }
    });
    let report = check_within(&[Arc::new(slow)], Depth::Quick, soon * 20).await;
    assert_eq!(broken(&report), ["time"], "{report}");
    assert_eq!(
        (report.checks.len(), report.verdict),
        (3, Verdict::Silent),
        "{report}"
    );

    let report = check(&[], Depth::Quick).await;
    assert_eq!(broken(&report), ["endpoints"], "{report}");
    assert_eq!(report.verdict, Verdict::Unusable, "{report}");
}

/// Whichever request is lost, nothing is known of the promise that it asked for; no promise is broken.
#[tokio::test]
async fn a_request_that_nobody_answers_breaks_no_promise() {
    let mut silent = 0;
    for lost in 0.. {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let store = FaultyStore::scripted(Arc::new(MemoryStore::new()), move |_| {
            if counted.fetch_add(1, Ordering::Relaxed) == lost {
                Fault::RequestLost
            } else {
                Fault::None
            }
        });
        let report = check(&[Arc::new(store)], Depth::Quick).await;
        if asked.load(Ordering::Relaxed) <= lost {
            break;
        }
        // A race goes on without one of its writers.
        let heard = report.verdict == Verdict::MultiWriter;
        assert!(
            heard || report.verdict == Verdict::Silent,
            "{lost}: {report}"
        );
        silent += usize::from(!heard);
    }
    assert!(silent > 30, "only {silent} requests mattered");

    // What is known to be broken stays known, whatever else nobody answered.
    let store = FaultyStore::scripted(double(Flaw::ConfirmsRepeats), |call| {
        if call.verb == Verb::List {
            Fault::RequestLost
        } else {
            Fault::None
        }
    });
    let report = check(&[Arc::new(store)], Depth::Quick).await;
    assert_eq!(report.verdict, Verdict::Unusable, "{report}");
}

#[tokio::test]
async fn a_winner_whose_reply_was_lost_is_no_broken_promise() {
    let store = FaultyStore::scripted(Arc::new(MemoryStore::new()), |call| match &call.place {
        Place::Key(key) if call.verb == Verb::PutNew && key.path().contains("-race-") => {
            Fault::ReplyLost
        }
        _ => Fault::None,
    });
    let report = check(&[Arc::new(store)], Depth::Quick).await;
    assert_eq!(report.verdict, Verdict::MultiWriter, "{report}");
}

#[tokio::test]
async fn a_report_says_in_one_line_each_what_was_expected_and_seen() {
    let report = check(&[double(Flaw::ConfirmsRepeats)], Depth::Quick).await;
    let text = report.to_string();
    let id = text
        .split_once("`probe/")
        .unwrap()
        .1
        .split_once("-race")
        .unwrap()
        .0;
    insta::assert_snapshot!(text.replace(id, "ID"), @r"
    store   ConfirmsRepeats
    ok      get after put: expected the same bytes through every endpoint, also where it was absent a moment ago; saw the same bytes in 1 reads
    ok      get after replace: expected the new bytes through every endpoint; saw the new bytes in 4 reads
    ok      list after put: expected every new object at once, in order; saw all of 4 objects
    BROKEN  repeated create: expected a definite refusal through every endpoint, and the first bytes kept; saw an existing object was created again
    BROKEN  racing creates: expected exactly one winner per round, and the winner's bytes; saw 4 winners of `probe/ID-race-0000`
    verdict unusable: choose a store that enforces `If-None-Match: *`
    ");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["verdict"], "unusable");
    assert_eq!(json["checks"][3]["passed"], false);
}
