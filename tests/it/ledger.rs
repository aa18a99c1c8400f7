//! The ledger on real stores: nodes that write at the same time, on a directory and on a bucket.

use std::{sync::Arc, time::Duration};

use huidu::{
    backoff::Backoff,
    clock::{Ids as _, RandomIds, System},
    ledger::{Appended, Ledger, Parts, Start, Want},
    store::{Folder, Key, Store, fs::FsStore, s3::S3Store},
};
use huidu_core::{
    authority::Role,
    catalogue::Catalogue,
    event::{Actor, Event},
    op::OpId,
    revision::Revision,
};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::components::Weed;

const NODES: u64 = 3;
const WANTS: u64 = 8;
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_race_in_a_directory_write_one_history() {
    let dir = TempDir::new().unwrap();
    nodes_that_race_write_one_history(&(Arc::new(FsStore::open(dir.path()).unwrap()) as _)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_race_in_a_bucket_write_one_history() {
    let weed = tokio::task::spawn_blocking(Weed::shared).await.unwrap();
    nodes_that_race_write_one_history(&(Arc::new(S3Store::new(weed.settings())) as _)).await;
}

async fn nodes_that_race_write_one_history(store: &Arc<dyn Store>) {
    let mut nodes = JoinSet::new();
    for node in 0..NODES {
        nodes.spawn(write(open(store, node).await, node));
    }
    let mut revisions: Vec<_> = nodes.join_all().await.concat();
    revisions.sort_unstable();
    let expected: Vec<_> = (1..=NODES * WANTS).map(Revision::new).collect();
    assert_eq!(
        revisions, expected,
        "every want has a revision of its own, without a gap"
    );
    let log = store.list(Folder::Log, None).await.unwrap();
    assert_eq!(log, (1..=NODES * WANTS).map(Key::Log).collect::<Vec<_>>());

    let mut replayed = open(store, 10).await;
    assert_eq!(replayed.fold().tenants.len() as u64, NODES * WANTS);
    replayed.checkpoint().await.unwrap();
    append(&mut replayed, RandomIds::new().unwrap().op(), "announces").await;
    let begun = open(store, 11).await;
    assert_eq!(begun.fold(), replayed.fold());
    assert_eq!(begun.position(), replayed.position());
}

async fn open(store: &Arc<dyn Store>, node: u64) -> Ledger<Catalogue> {
    let parts = Parts {
        store: Arc::clone(store),
        clock: Arc::new(System),
        ids: Arc::new(RandomIds::new().unwrap()),
        backoff: Backoff::new(Duration::from_millis(5), Duration::from_millis(200), node),
        node: format!("node-{node}"),
        signer: Some(Arc::new(ed25519_dalek::SigningKey::from_bytes(&[41; 32]))),
    };
    Ledger::open(parts, Catalogue::default(), Start::default())
        .await
        .unwrap()
}

/// Appends all wants of a node, each twice: a retry is the same change.
async fn write(mut ledger: Ledger<Catalogue>, node: u64) -> Vec<Revision> {
    let ids = RandomIds::new().unwrap();
    let mut revisions = Vec::new();
    for want in 0..WANTS {
        let (op, tenant) = (ids.op(), format!("n{node}-{want}"));
        let Appended::Committed(first) = append(&mut ledger, op, &tenant).await else {
            panic!("{tenant} is not committed")
        };
        let again = append(&mut ledger, op, &tenant).await;
        assert_eq!(again, Appended::Repeated(first));
        revisions.push(first);
    }
    revisions
}

async fn append(ledger: &mut Ledger<Catalogue>, op: OpId, tenant: &str) -> Appended<&'static str> {
    let actor = Actor {
        id: "lin".into(),
        role: Role::Admin,
    };
    let want = Want {
        op,
        ask: None,
        actor,
        approvals: Vec::new(),
        why: None,
    };
    let event = Event::TenantAdded {
        tenant: tenant.parse().unwrap(),
        title: tenant.into(),
    };
    let decide = |catalogue: &Catalogue, _| {
        let there = catalogue.tenants.contains_key(tenant);
        if there {
            Err("there already")
        } else {
            Ok(vec![event.clone()])
        }
    };
    ledger.append(want, PATIENCE, decide).await.unwrap()
}
