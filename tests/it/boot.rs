//! Starting and stopping: the real binary on both backings.

use std::{fs, path::Path, sync::Arc, time::Duration};

use huidu::{
    bus::local::LocalBus,
    clock::{RandomIds, System},
    metrics::Metrics,
    node::{Node, NodeParts, NodeSettings},
    store::memory::MemoryStore,
};
use huidu_core::{digest::Digest, version::Review};

use crate::support::server::{Backing, Cluster, Node as Process};

fn huidu() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_huidu"))
}

#[test]
fn a_node_ends_when_it_is_asked_to_and_starts_again_on_what_it_kept() {
    let mut cluster = Cluster::start(huidu(), Backing::Embedded, "");
    let admin = cluster.control(0);
    let before = admin.get("/api/v1/status").unwrap().document;
    cluster.nodes[0].terminate();
    cluster.nodes[0].start_again();
    let after = admin.get("/api/v1/status").unwrap().document;
    assert_eq!(before["revision"], after["revision"]);
    assert_eq!(after["revision"], 1);
}

#[test]
fn three_nodes_found_one_installation() {
    let cluster = Cluster::start(huidu(), Backing::S3Redis, "");
    for node in 0..3 {
        let status = cluster
            .control(node)
            .get("/api/v1/status")
            .unwrap()
            .document;
        assert_eq!(
            (&status["revision"], &status["from"]),
            (&1.into(), &"store".into())
        );
    }
}

/// All nodes of a new installation start in the same moment, again and again: one founds it, one token is
/// left, and it opens every node.
#[test]
fn three_nodes_that_start_at_once_agree_on_who_founded() {
    let mut cluster = Cluster::unstarted(huidu(), Backing::S3Redis, "");
    for round in 0..4 {
        cluster.restart();
        let token = |node: &Process| fs::read_to_string(node.dir.join("admin.token")).ok();
        let tokens: Vec<_> = cluster.nodes.iter().filter_map(token).collect();
        assert_eq!(tokens.len(), 1, "round {round}");
        for node in 0..3 {
            let ada = cluster.control_as(node, tokens[0].trim());
            let status = ada.get("/api/v1/status").unwrap().document;
            assert_eq!(status["revision"], 1, "round {round}: {status}");
        }
        // The next round finds another place in the bucket, and nothing on disk.
        for node in &mut cluster.nodes {
            node.kill();
            node.reroute("prefix = \"", "prefix = \"r");
            fs::remove_dir_all(node.dir.join("last-known-good")).unwrap();
            let _only_one_has_it = fs::remove_file(node.dir.join("admin.token"));
        }
    }
}

/// A node sends the founding, dies, starts again and finds nothing; then what it had sent lands. Its token
/// is on disk, so it sends the same one again, and must learn that it counts.
#[tokio::test]
async fn a_founding_that_lands_late_leaves_its_token_valid() {
    let store = Arc::new(MemoryStore::new());
    let node = |name: &str| {
        Node::start(NodeParts {
            store: Arc::<MemoryStore>::clone(&store),
            unproved: Vec::new(),
            mirror: None,
            bus: Arc::new(LocalBus::new()),
            clock: Arc::new(System),
            ids: Arc::new(RandomIds::new().unwrap()),
            key: ed25519_dalek::SigningKey::from_bytes(&[7; 32]),
            metrics: Arc::new(Metrics::new()),
            settings: NodeSettings {
                name: name.into(),
                // It learns of nothing by itself.
                tick: Duration::from_secs(3_600),
                checkpoint_every: 1_000,
                poll_after_ms: 60_000,
                poll_spread_ms: 30_000,
                lease_ms: 60_000,
                bundle_memory: 1 << 20,
            },
        })
    };
    let (before, after) = (node("before").await.unwrap(), node("after").await.unwrap());
    let token = |id: &str| (id.to_owned(), Digest::of(id.as_bytes()));
    for (node, id, counts) in [
        (&before, "first", true),
        (&after, "first", true),
        (&after, "first", true),
        (&after, "other", false),
    ] {
        let found = node.found("bank/dev", Review::Skipped, token(id)).await;
        assert_eq!(found.unwrap(), counts, "{id}");
    }
}
