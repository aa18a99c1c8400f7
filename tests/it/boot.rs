//! Starting and stopping: the real binary on both backings.

use std::path::Path;

use crate::support::server::{Backing, Cluster};

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
