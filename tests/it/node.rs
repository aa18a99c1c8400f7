//! A node by itself, over a store that misbehaves: no process, no port, and time that is only counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use huidu::{
    bus::local::LocalBus,
    clock::{Ids as _, RandomIds, System},
    ledger::LedgerError,
    metrics::Metrics,
    node::{Change, Node, NodeParts, NodeSettings, WriteError, Written},
    store::{
        Key, Store,
        faulty::{Fault, FaultyStore},
        memory::MemoryStore,
    },
};
use huidu_core::{
    authority::Role, command::Command, digest::Digest, event::Actor, eyes::EyesPolicy, name::AppId,
    version::Review,
};
use tokio::time::Instant;

/// How long a change waits for the store.
const PATIENCE: Duration = Duration::from_secs(10);

async fn start(store: Arc<dyn Store>, name: &str, tick: Duration) -> Arc<Node> {
    let parts = NodeParts {
        store,
        unproved: Vec::new(),
        mirror: None,
        bundle_disk: None,
        bus: Arc::new(LocalBus::new()),
        clock: Arc::new(System),
        ids: Arc::new(RandomIds::new().unwrap()),
        key: Arc::new(ed25519_dalek::SigningKey::from_bytes(&[7; 32])),
        log_key: None,
        metrics: Arc::new(Metrics::new()),
        kills: None,
        peers: Arc::new(huidu::node::peers::Peers::none()),
        settings: NodeSettings {
            name: name.into(),
            tick,
            checkpoint_every: 1_000,
            poll_after_ms: 60_000,
            poll_spread_ms: 30_000,
            lease_ms: 60_000,
            bundle_memory: 1 << 20,
        },
    };
    Node::start(parts).await.unwrap()
}

fn token(id: &str) -> (String, Digest) {
    (id.to_owned(), Digest::of(id.as_bytes()))
}

async fn add_host(node: Arc<Node>, n: usize) -> Result<Written, WriteError> {
    let change = Change {
        actor: Actor {
            id: "first".into(),
            role: Role::Admin,
        },
        command: Command::AddHost {
            host: format!("host-{n}").parse().unwrap(),
            title: String::new(),
            sandbox: false,
        },
        op: RandomIds::new().unwrap().op(),
        expected: None,
        enact_at: None,
        why: None,
        patience: PATIENCE,
    };
    node.write(change).await
}

/// A node sends the founding, dies, starts again and finds nothing; then what it had sent lands. Its token
/// is on disk, so it sends the same one again, and must learn that it counts.
#[tokio::test]
async fn a_founding_that_lands_late_leaves_its_token_valid() {
    let store = Arc::new(MemoryStore::new());
    // They learn of nothing by themselves.
    let tick = Duration::from_secs(3_600);
    let before = start(Arc::<MemoryStore>::clone(&store), "before", tick).await;
    let after = start(store, "after", tick).await;
    for (node, id, counts) in [
        (&before, "first", true),
        (&after, "first", true),
        (&after, "first", true),
        (&after, "other", false),
    ] {
        let found = node
            .found(
                "bank/dev",
                Review::Skipped,
                token(id),
                None,
                EyesPolicy::default(),
            )
            .await;
        assert_eq!(found.unwrap(), counts, "{id}");
    }
}

/// The store takes requests and answers none. Everybody hears within their own patience, and a little for
/// the look that was under way, that nothing was done; nobody waits for those before them.
#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_hanging_store_do_not_wait_for_one_another() {
    let hangs = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&hangs);
    let store = FaultyStore::scripted(Arc::new(MemoryStore::new()), move |_| {
        if told.load(Ordering::SeqCst) {
            Fault::Hangs
        } else {
            Fault::None
        }
    });
    let node = start(Arc::new(store), "node", Duration::from_secs(1)).await;
    let first = token("first");
    assert!(
        node.found(
            "bank/dev",
            Review::Skipped,
            first,
            None,
            EyesPolicy::default()
        )
        .await
        .unwrap()
    );
    hangs.store(true, Ordering::SeqCst);
    let since = Instant::now();
    let asked: Vec<_> = (0..20)
        .map(|n| tokio::spawn(add_host(Arc::clone(&node), n)))
        .collect();
    for answer in asked {
        let answer = answer.await.unwrap();
        assert!(matches!(answer, Err(WriteError::Ledger(_))), "{answer:?}");
    }
    let waited = since.elapsed();
    assert!(
        waited < PATIENCE + Duration::from_secs(5),
        "the last of them waited {waited:?}"
    );
    hangs.store(false, Ordering::SeqCst);
    let made = add_host(Arc::clone(&node), 20).await.unwrap();
    assert_eq!(made.revision.get(), 2, "nothing of the others was done");
}

/// Something that a later huidu wrote lies in the way. The node stays in front of it and says so, and what was
/// killed behind it stops here all the same.
#[tokio::test]
async fn a_kill_flows_past_a_record_that_cannot_be_read() {
    let store = Arc::new(MemoryStore::new());
    let node = start(
        Arc::<MemoryStore>::clone(&store),
        "node",
        Duration::from_millis(50),
    )
    .await;
    let first = token("first");
    let founded = node.found(
        "bank/dev",
        Review::Skipped,
        first,
        None,
        EyesPolicy::default(),
    );
    assert!(founded.await.unwrap());
    let ask = async |command| {
        let change = Change {
            actor: Actor {
                id: "first".into(),
                role: Role::Admin,
            },
            command,
            op: RandomIds::new().unwrap().op(),
            expected: None,
            enact_at: None,
            why: None,
            patience: PATIENCE,
        };
        node.write(change).await
    };
    let app: AppId = "pingan/travel".parse().unwrap();
    let title = String::new();
    let app_added = Command::AddApp {
        app: app.clone(),
        title,
    };
    let last = ask(app_added).await.unwrap().revision;
    let is_killed = || {
        let live = node.live();
        live.kills()
            .is_some_and(|kills| String::from_utf8_lossy(kills.body()).contains("pingan/travel"))
    };
    assert!(!is_killed());
    let later = |rev: u64, prev: Digest, events: serde_json::Value| {
        let record = serde_json::json!({
            "v": 9, "rev": rev, "prev": prev, "at": "2026-11-24T12:00:00Z", "of-later": true,
            "actor": { "id": "first", "role": "admin" }, "events": events,
        });
        bytes::Bytes::from(record.to_string())
    };
    let before = store.get(&Key::Log(last.get())).await.unwrap();
    let strange = later(
        last.get() + 1,
        Digest::of(&before),
        serde_json::json!([{ "event": "something-new" }]),
    );
    let kill = serde_json::json!([{ "event": "killed", "app": app, "reason": "fraud" }]);
    let kill = later(last.get() + 2, Digest::of(&strange), kill);
    for (rev, bytes) in [(last.get() + 1, strange), (last.get() + 2, kill)] {
        store.put_new(&Key::Log(rev), bytes).await.unwrap();
    }
    let since = Instant::now();
    while !is_killed() {
        assert!(since.elapsed() < PATIENCE, "the kill is not in force");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let health = node.health();
    assert_eq!(
        health.revision, last,
        "it stays in front of what it cannot read"
    );
    assert!(!health.store, "and says so");
    assert!(
        matches!(
            add_host(Arc::clone(&node), 1).await,
            Err(WriteError::Ledger(LedgerError::Unreadable { .. }))
        ),
        "and writes nothing on top of what it does not know"
    );
    // One that starts here does as much.
    let restarted = start(store, "again", Duration::from_millis(50)).await;
    let since = Instant::now();
    loop {
        let live = restarted.live();
        let kills = live
            .kills()
            .map(|kills| String::from_utf8_lossy(kills.body()).into_owned());
        if kills.is_some_and(|kills| kills.contains("pingan/travel")) {
            break;
        }
        assert!(
            since.elapsed() < PATIENCE,
            "the kill is not in force after a start"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
