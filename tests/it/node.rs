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
    metrics::Metrics,
    node::{Change, Node, NodeParts, NodeSettings, WriteError, Written},
    store::{
        Store,
        faulty::{Fault, FaultyStore},
        memory::MemoryStore,
    },
};
use huidu_core::{
    authority::Role, command::Command, digest::Digest, event::Actor, eyes::EyesPolicy,
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
        key: ed25519_dalek::SigningKey::from_bytes(&[7; 32]),
        log_key: None,
        metrics: Arc::new(Metrics::new()),
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
