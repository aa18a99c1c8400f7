//! What must hold when the last change is made: on every node, after one more start, and in the bytes that
//! the store holds.

use std::sync::Arc;

use bytes::Bytes;
use huidu::store::{Folder, Store};
use serde_json::Value;

use super::{
    APP,
    check::{faults, without},
    run::Run,
};
use crate::support::server::{Node, until};

impl Run {
    /// Everything holds, on every node, and once more after all of them were started again.
    pub(super) fn end(&mut self, seed: u64) {
        let last = self.last_revision();
        self.expect_everywhere(last);
        let before = self.page(0);
        self.cluster.restart();
        self.expect_everywhere(last);
        assert_eq!(self.page(0), before, "a start changes nothing");

        self.cluster.nodes.iter_mut().for_each(Node::terminate);
        for node in &self.cluster.nodes {
            let left = node.litter();
            assert_eq!(
                left,
                Vec::<String>::new(),
                "a start sweeps what a crash left"
            );
        }
        let slots = read_ledger(&self.cluster.store());
        let found = faults(&slots, self.since, &self.tried, &self.looks);
        assert_eq!(found, [], "HUIDU_SEED={seed}");
        assert_eq!(slots.len() as u64, last, "no revision more than was told");
        // And had the store lost any single one of them, it would have been noticed.
        for gone in (self.since + 1..=last).rev().step_by(9) {
            let slots = without(&slots, gone);
            let found = faults(&slots, self.since, &self.tried, &self.looks);
            assert!(!found.is_empty(), "nobody would notice the loss of {gone}");
        }
    }

    /// Every node serves `revision`, and what it says about the app is what was asked for.
    fn expect_everywhere(&self, revision: u64) {
        for n in 0..self.cluster.nodes.len() {
            until("a node follows", || {
                let status = self.send(n, "GET", "/api/v1/status", &[], b"").unwrap();
                status.json()["revision"] == revision
            });
            let page = self.page(n);
            let mut lives: Vec<(String, String)> = (page["versions"].as_array().unwrap().iter())
                .map(|version| {
                    let life = &version["life"];
                    let word = if life["killed"] == true {
                        "killed"
                    } else {
                        life["state"].as_str().unwrap()
                    };
                    (
                        version["number"].as_str().unwrap().to_owned(),
                        word.to_owned(),
                    )
                })
                .collect();
            lives.sort();
            let mut expected: Vec<(String, String)> = (1..=self.published)
                .map(|n| format!("1.0.{n}"))
                .map(|version| {
                    let word = if self.alive.contains(&version) {
                        "listed"
                    } else {
                        "killed"
                    };
                    (version, word.to_owned())
                })
                .collect();
            expected.sort();
            assert_eq!(lives, expected, "node {n}");
        }
    }

    fn page(&self, node: usize) -> Value {
        let path = format!("/api/v1/apps/{APP}");
        self.send(node, "GET", &path, &[], b"").unwrap().json()
    }
}

/// Every slot of the ledger, from the first, as the store holds it.
fn read_ledger(store: &Arc<dyn Store>) -> Vec<Bytes> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        let keys = store.list(Folder::Log, None).await.unwrap();
        let mut slots = Vec::new();
        for key in keys {
            slots.push(store.get(&key).await.unwrap());
        }
        slots
    })
}
