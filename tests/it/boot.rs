//! Starting and stopping: the real binary on both backings.

use std::{fs, path::Path};

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
