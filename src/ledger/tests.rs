//! The ledger on a store in memory: what each answer means, how a node begins, and what a fork is.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use ed25519_dalek::SigningKey;
use huidu_core::{
    authority::Role,
    event::{Actor, Event},
    rules::Rules,
    time::Timestamp,
};

use super::*;
use crate::{
    clock::{CountedIds, Manual},
    store::{
        Folder, Key,
        faulty::{Call, Fault, FaultyStore, Verb},
        memory::MemoryStore,
    },
};

mod checkpoints;
mod pieces;

const PATIENCE: Duration = Duration::from_secs(2);

/// A cluster on one store; each node it gives has ids of its own.
struct Cluster {
    store: Arc<dyn Store>,
    wants: CountedIds,
}

impl Cluster {
    fn new() -> Self {
        Self::on(Arc::new(MemoryStore::new()))
    }

    fn on(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            wants: CountedIds::series(1),
        }
    }

    fn parts(&self, node: u64) -> Parts {
        Parts {
            store: Arc::clone(&self.store),
            clock: Arc::new(Manual::at(Timestamp::from_unix_ms(1_795_000_000_000))),
            ids: Arc::new(CountedIds::series(1_000 + node)),
            backoff: Backoff::new(Duration::from_millis(1), Duration::from_millis(10), node),
            node: format!("node-{node}"),
            signer: Some(Arc::new(log_key())),
        }
    }

    async fn open(&self, node: u64) -> Result<Ledger<Seen>, LedgerError> {
        self.begin(node, Start::default()).await
    }

    async fn begin(&self, node: u64, start: Start) -> Result<Ledger<Seen>, LedgerError> {
        Ledger::open(self.parts(node), Seen::default(), start).await
    }

    async fn node(&self, node: u64) -> Ledger<Seen> {
        self.open(node).await.unwrap()
    }

    fn want(&self) -> Want {
        Want {
            op: self.wants.op(),
            ask: None,
            actor: actor(),
            approvals: Vec::new(),
            why: None,
        }
    }

    /// A node that appends `count` changes.
    async fn grown(&self, node: u64, count: u64) -> Ledger<Seen> {
        let mut ledger = self.node(node).await;
        for _ in 0..count {
            self.grow(&mut ledger).await;
        }
        ledger
    }

    async fn grow(&self, ledger: &mut Ledger<Seen>) -> Revision {
        let title = format!("after {}", ledger.revision());
        match add(ledger, self.want(), &title).await.unwrap() {
            Appended::Committed(rev) | Appended::Repeated(rev) => rev,
            other => panic!("{other:?}"),
        }
    }

    async fn put(&self, key: &Key, bytes: impl Into<Bytes>) {
        self.store.put_new(key, bytes.into()).await.unwrap();
    }

    async fn log(&self) -> Vec<Key> {
        self.store.list(Folder::Log, None).await.unwrap()
    }
}

/// The catalogue, and how it came to be.
#[derive(Debug, Default)]
struct Seen {
    catalogue: Catalogue,
    restored: Option<Revision>,
    applied: Vec<u64>,
}

impl Fold for Seen {
    fn restore(&mut self, catalogue: Catalogue, name: CheckpointRef) {
        self.catalogue = catalogue;
        self.restored = Some(name.rev);
    }

    fn apply(&mut self, record: &Record, _: &Bytes) {
        self.catalogue.apply(record.rev, record.at, &record.events);
        self.applied.push(record.rev.get());
    }

    fn skip(&mut self, rev: Revision, _: &Bytes, _: &Invalid) {
        self.catalogue.apply(rev, Timestamp::EPOCH, &[]);
    }

    type View<'a> = &'a Catalogue;

    fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }
}

/// Every node of the cluster signs with it.
fn log_key() -> SigningKey {
    SigningKey::from_bytes(&[41; 32])
}

fn actor() -> Actor {
    Actor {
        id: "lin".into(),
        role: Role::Admin,
    }
}

fn added(title: &str) -> Vec<Event> {
    vec![Event::TenantAdded {
        tenant: "pingan".parse().unwrap(),
        title: title.into(),
    }]
}

async fn add(
    ledger: &mut Ledger<Seen>,
    want: Want,
    title: &str,
) -> Result<Appended<Infallible>, LedgerError> {
    ledger.append(want, PATIENCE, |_, _| Ok(added(title))).await
}

/// A record that would fit behind `at`.
fn record(at: Position) -> Record {
    let ids = CountedIds::series(9_999);
    Record {
        v: Rules::NEWEST,
        rev: at.rev.next(),
        prev: at.head,
        op: ids.op(),
        ask: None,
        put: ids.put(),
        node: "elsewhere".into(),
        at: Timestamp::EPOCH,
        actor: actor(),
        approvals: Vec::new(),
        why: None,
        events: added("elsewhere"),
        void: None,
        ck: None,
    }
}

fn rev(number: u64) -> Revision {
    Revision::new(number)
}

#[tokio::test]
async fn what_one_node_appends_every_node_reads() {
    let cluster = Cluster::new();
    let (mut one, mut other) = (cluster.node(1).await, cluster.node(2).await);
    assert_eq!(cluster.grow(&mut one).await, rev(1));
    assert_eq!(
        cluster.grow(&mut other).await,
        rev(2),
        "the other one catches up first"
    );
    assert!(matches!(one.next().await.unwrap(), Tail::Record(record) if record.rev == rev(2)));
    assert!(matches!(one.next().await.unwrap(), Tail::AtTail { .. }));
    assert_eq!(one.position(), other.position());
    assert_eq!(one.fold().catalogue, other.fold().catalogue);
    assert_eq!(one.fold().catalogue.revision, rev(2));
}

#[tokio::test]
async fn a_retry_through_any_node_is_the_same_change() {
    let cluster = Cluster::new();
    let (mut one, mut other) = (cluster.node(1).await, cluster.node(2).await);
    let want = cluster.want();
    let first = add(&mut one, want.clone(), "once").await.unwrap();
    assert_eq!(first, Appended::Committed(rev(1)));
    for ledger in [&mut one, &mut other] {
        // The other one has not followed yet: it finds out on the way.
        let answer = add(ledger, want.clone(), "once").await.unwrap();
        assert_eq!(answer, Appended::Repeated(rev(1)));
    }
    assert_eq!(cluster.log().await, [Key::Log(1)]);
}

#[tokio::test]
async fn a_want_is_decided_against_exactly_the_prefix_it_extends() {
    let cluster = Cluster::new();
    let mut slow = cluster.node(1).await;
    let mut asked_at = Vec::new();
    // While the slow node decides, another one writes: a hook in `decide` is the race.
    let quick = Key::Log(1);
    let bytes = record(Position::GENESIS).encode().unwrap();
    let store = Arc::clone(&cluster.store);
    let answer = slow
        .append(cluster.want(), PATIENCE, |seen: &Seen, _| {
            asked_at.push(seen.catalogue.revision.get());
            if asked_at.len() == 1 {
                futures_now(store.put_new(&quick, bytes.clone())).unwrap();
                return Ok(added("slow"));
            }
            Err("taken")
        })
        .await
        .unwrap();
    assert_eq!(answer, Appended::Refused("taken"));
    assert_eq!(asked_at, [0, 1], "asked again at the new prefix");
    assert_eq!(cluster.log().await, [Key::Log(1)]);
}

/// Runs a future that is ready at once.
fn futures_now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("a store in memory answers at once"),
    }
}

#[tokio::test]
async fn what_changes_nothing_takes_no_revision() {
    let cluster = Cluster::new();
    let mut ledger = cluster.node(1).await;
    let nothing = ledger
        .append(cluster.want(), PATIENCE, |_, _| Ok::<_, ()>(Vec::new()))
        .await;
    assert_eq!(nothing.unwrap(), Appended::Unchanged);
    assert!(cluster.log().await.is_empty());
}

#[tokio::test]
async fn a_cancelled_want_never_happens_and_a_committed_one_cannot_be_cancelled() {
    let cluster = Cluster::new();
    let mut ledger = cluster.grown(1, 1).await;
    let committed = cluster.wants.op();
    let want = Want {
        op: committed,
        ..cluster.want()
    };
    add(&mut ledger, want, "there").await.unwrap();
    let answer = ledger
        .cancel(committed, cluster.want(), PATIENCE)
        .await
        .unwrap();
    assert_eq!(answer, Appended::Repeated(rev(2)));

    let unseen = cluster.want();
    let answer = ledger
        .cancel(unseen.op, cluster.want(), PATIENCE)
        .await
        .unwrap();
    assert_eq!(answer, Appended::Voided(rev(3)));
    let mut other = cluster.node(2).await;
    let answer = add(&mut other, unseen, "too late").await.unwrap();
    assert_eq!(answer, Appended::Voided(rev(3)), "also elsewhere");
}

/// A store on which nothing can be created while `off`, and no one can look.
fn switched(off: &Arc<AtomicBool>, fault: Fault) -> Arc<dyn Store> {
    let off = Arc::clone(off);
    let script = move |call: &Call| match call.verb {
        Verb::PutNew if off.load(Ordering::Relaxed) => fault,
        _ => Fault::None,
    };
    Arc::new(FaultyStore::scripted(Arc::new(MemoryStore::new()), script))
}

#[tokio::test(start_paused = true)]
async fn an_unknown_want_stands_in_the_way_until_it_is_settled() {
    let off = Arc::new(AtomicBool::new(true));
    let cluster = Cluster::on(switched(&off, Fault::RequestLost));
    let mut ledger = cluster.node(1).await;
    let want = cluster.want();
    let op = want.op;
    assert_eq!(
        add(&mut ledger, want, "first").await.unwrap(),
        Appended::Unknown { op }
    );
    assert_eq!(ledger.pending(), Some(op));
    let busy = add(&mut ledger, cluster.want(), "second")
        .await
        .unwrap_err();
    assert!(
        matches!(busy, LedgerError::Busy { op: way } if way == op),
        "{busy}"
    );
    assert_eq!(ledger.settle(PATIENCE).await.unwrap(), Some(op));

    off.store(false, Ordering::Relaxed);
    assert_eq!(ledger.settle(PATIENCE).await.unwrap(), None);
    assert_eq!(ledger.settled(&op), Some(Settled::Committed(rev(1))));
    assert_eq!(ledger.pending(), None);
    assert_eq!(cluster.grow(&mut ledger).await, rev(2));
}

#[tokio::test(start_paused = true)]
async fn an_append_that_is_dropped_leaves_what_it_sent_pending() {
    let off = Arc::new(AtomicBool::new(true));
    let cluster = Cluster::on(switched(&off, Fault::Hangs));
    let mut ledger = cluster.node(1).await;
    let want = cluster.want();
    let op = want.op;
    let dropped = tokio::time::timeout(PATIENCE / 10, add(&mut ledger, want, "first")).await;
    assert!(dropped.is_err());
    assert_eq!(ledger.pending(), Some(op));
    off.store(false, Ordering::Relaxed);
    assert_eq!(
        cluster.grow(&mut ledger).await,
        rev(2),
        "settled on the way"
    );
    assert_eq!(ledger.settled(&op), Some(Settled::Committed(rev(1))));
}

#[tokio::test(start_paused = true)]
async fn the_pending_want_itself_can_be_cancelled() {
    let off = Arc::new(AtomicBool::new(true));
    let cluster = Cluster::on(switched(&off, Fault::RequestLost));
    let mut ledger = cluster.node(1).await;
    let want = cluster.want();
    let op = want.op;
    assert_eq!(
        add(&mut ledger, want, "first").await.unwrap(),
        Appended::Unknown { op }
    );
    off.store(false, Ordering::Relaxed);
    let answer = ledger.cancel(op, cluster.want(), PATIENCE).await.unwrap();
    assert_eq!(
        answer,
        Appended::Voided(rev(1)),
        "the void took the slot it was meant for"
    );
    assert_eq!(ledger.pending(), None);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_lands_late_is_found_and_not_written_again() {
    let off = Arc::new(AtomicBool::new(true));
    let late = Fault::LandsLater(Duration::from_millis(300));
    let cluster = Cluster::on(switched(&off, late));
    let mut ledger = cluster.node(1).await;
    assert_eq!(cluster.grow(&mut ledger).await, rev(1));
    assert_eq!(cluster.log().await, [Key::Log(1)]);
}

/// A fork is for good: nothing is read or written, and what was known stays.
async fn assert_forked(cluster: &Cluster, mut ledger: Ledger<Seen>, fork: Fork) {
    let before = (ledger.position(), cluster.log().await);
    let error = add(&mut ledger, cluster.want(), "no").await.unwrap_err();
    assert!(
        matches!(&error, LedgerError::Fork(found) if *found == fork),
        "{fork}: {error}"
    );
    assert_eq!(ledger.fork(), Some(&fork));
    assert!(matches!(ledger.next().await, Err(LedgerError::Fork(_))));
    assert!(matches!(
        ledger.checkpoint().await,
        Err(LedgerError::Fork(_))
    ));
    assert_eq!((ledger.position(), cluster.log().await), before);
}

#[tokio::test]
async fn a_record_that_does_not_follow_is_a_fork() {
    let cluster = Cluster::new();
    let ledger = cluster.grown(1, 2).await;
    let (expected, found) = (ledger.position().head, Digest::of(b"another chain"));
    let alien = record(Position {
        rev: rev(2),
        head: found,
    });
    cluster.put(&Key::Log(3), alien.encode().unwrap()).await;
    assert_forked(
        &cluster,
        ledger,
        Fork::Broken {
            rev: rev(3),
            expected,
            found,
        },
    )
    .await;
}

#[tokio::test]
async fn a_record_in_the_slot_of_another_is_a_fork() {
    let cluster = Cluster::new();
    let ledger = cluster.grown(1, 2).await;
    let alien = record(Position {
        rev: rev(6),
        head: ledger.position().head,
    });
    cluster.put(&Key::Log(3), alien.encode().unwrap()).await;
    assert_forked(
        &cluster,
        ledger,
        Fork::Misplaced {
            slot: rev(3),
            rev: rev(7),
        },
    )
    .await;
}

#[tokio::test]
async fn nothing_is_written_behind_a_gap_of_an_emptied_store() {
    let cluster = Cluster::new();
    let mut ledger = cluster.grown(1, 2).await;
    let emptied = Cluster::new();
    ledger.parts.store = Arc::clone(&emptied.store);
    assert_forked(&emptied, ledger, Fork::Shorter { ours: rev(2) }).await;
}

#[tokio::test]
async fn nothing_is_written_into_the_ledger_of_another_cluster() {
    let cluster = Cluster::new();
    let mut ledger = cluster.grown(1, 2).await;
    let other = Cluster::new();
    let mut there = other.node(2).await;
    for title in ["other", "history"] {
        add(&mut there, other.want(), title).await.unwrap();
    }
    ledger.parts.store = Arc::clone(&other.store);
    assert_forked(&other, ledger, Fork::Rewritten { rev: rev(2) }).await;
}

#[tokio::test]
async fn a_node_does_not_begin_behind_or_beside_what_it_has_seen() {
    let cluster = Cluster::new();
    let ledger = cluster.grown(1, 3).await;
    let known = ledger.position();
    let start = |known| Start {
        known: Some(known),
        trust: Trust::Vouched,
    };
    assert!(cluster.begin(1, start(known)).await.is_ok());
    let later = Position {
        rev: rev(4),
        ..known
    };
    let error = cluster.begin(1, start(later)).await.unwrap_err();
    assert!(matches!(error, LedgerError::Fork(Fork::Shorter { ours }) if ours == rev(4)));
    let beside = Position {
        rev: rev(2),
        ..known
    };
    let error = cluster.begin(1, start(beside)).await.unwrap_err();
    assert!(matches!(error, LedgerError::Fork(Fork::Rewritten { rev: at }) if at == rev(2)));
}

#[tokio::test]
async fn a_log_that_ends_before_its_checkpoints_is_not_begun_anew() {
    let cluster = Cluster::new();
    let name = cluster.grown(1, 3).await.checkpoint().await.unwrap();
    let restored = Cluster::new();
    let key = Key::Checkpoint {
        rev: 3,
        digest: name.root,
    };
    restored
        .put(&key, cluster.store.get(&key).await.unwrap())
        .await;
    let error = restored.open(1).await.unwrap_err();
    assert!(
        matches!(error, LedgerError::Fork(Fork::Shorter { ours }) if ours == rev(3)),
        "{error}"
    );
}

#[tokio::test]
async fn another_state_at_the_same_revision_is_a_fork() {
    let cluster = Cluster::new();
    let mut ledger = cluster.grown(1, 2).await;
    let ours = ledger.checkpoint().await.unwrap();
    let announced = Digest::of(b"another state");
    let mut alien = record(ledger.position());
    alien.ck = Some(CheckpointRef {
        root: announced,
        ..ours
    });
    cluster.put(&Key::Log(3), alien.encode().unwrap()).await;
    let fork = Fork::Diverged {
        rev: rev(2),
        ours: ours.root,
        announced,
    };
    assert_forked(&cluster, ledger, fork).await;
}

#[tokio::test]
async fn a_record_of_a_later_build_stops_a_node_where_it_is_without_a_fork() {
    let cluster = Cluster::new();
    let mut ledger = cluster.grown(1, 2).await;
    cluster.put(&Key::Log(3), &br#"{"v":3,"rev":3}"#[..]).await;
    for _ in 0..2 {
        let error = ledger.next().await.unwrap_err();
        assert!(
            matches!(error, LedgerError::Unreadable { rev: at, .. } if at == rev(3)),
            "{error}"
        );
    }
    assert_eq!((ledger.revision(), ledger.fork()), (rev(2), None));
}

#[tokio::test]
async fn a_slot_is_taken_in_once_and_in_its_turn() {
    let cluster = Cluster::new();
    let mut writer = cluster.grown(1, 3).await;
    let mut ledger = Ledger::new(cluster.parts(2), Seen::default());
    let read = async |slot| cluster.store.get(&Key::Log(slot)).await.unwrap();
    for (slot, taken) in [
        (2, false),
        (1, true),
        (1, false),
        (2, true),
        (2, false),
        (3, true),
    ] {
        let offered = ledger.offer(rev(slot), &read(slot).await).unwrap();
        assert_eq!(offered.is_some(), taken, "slot {slot}");
    }
    assert_eq!(ledger.fold().applied, [1, 2, 3]);
    assert!(writer.verify().await.is_ok() && ledger.verify().await.is_ok());
}
