//! Kills on real nodes, a real S3 and a real Redis, of which some are dead or slow: how long until the last node
//! refuses, and what outlasts what.

mod feed;
mod lasting;
mod speed;
mod told;

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use crate::{
    support::{
        proxy::{Proxy, Weather},
        server::{Backing, Cluster, Node, until},
        wire::Reply,
    },
    world::{HOST, World},
};

/// A bank whose nodes know one another, and reach their store through a network that can be broken.
fn world_and_store() -> (World, Proxy) {
    world_with(|_, url| url.to_owned(), |_, _| {})
}

/// The same. `named`: how nodes name node `n`, whose private port is at that URL. `node`: what else is set at it.
fn world_with(
    named: impl Fn(usize, &str) -> String,
    node: impl Fn(usize, &Node),
) -> (World, Proxy) {
    let program = Path::new(env!("CARGO_BIN_EXE_huidu"));
    let mut cluster = Cluster::unstarted(program, Backing::S3Redis, "");
    let store = cluster.weed.as_ref().unwrap().endpoint();
    let proxy = Proxy::start(store.trim_start_matches("http://").parse().unwrap());
    let all = cluster.nodes.iter().enumerate();
    let all: Vec<String> = all.map(|(n, node)| named(n, &node.control_url())).collect();
    for (n, one) in cluster.nodes.iter().enumerate() {
        one.reroute(&store, &format!("http://{}", proxy.address()));
        let others = all.iter().enumerate().filter(|(other, _)| *other != n);
        let others: Vec<String> = others.map(|(_, url)| format!("{url:?}")).collect();
        one.set(&format!("peers = [{}]", others.join(", ")));
        node(n, one);
    }
    cluster.found();
    (World::of(cluster), proxy)
}

impl World {
    /// Sven kills a whole app, at his node.
    fn kills(&self, app: &str) -> Reply {
        let asking = self.by(&self.sven, "POST", &format!("/apps/{app}/kill"));
        asking.json(&json!({"reason": "fraud"})).send()
    }

    /// What a node tells a phone about an app.
    fn state(&self, node: usize, app: &str) -> Value {
        let path = format!("/v1/manifest/{HOST}/{app}?u=phone-0001");
        let mut wire = self.cluster.nodes[node].wire();
        wire.get(&path, &[]).unwrap().json()["state"].clone()
    }

    fn receipt(&self, op: &str) -> Value {
        let asking = self.by(&self.sven, "GET", &format!("/kills/{op}"));
        asking.send().json()
    }

    /// Waits until no node serves from anything but the store.
    fn store_answers(&self, answers: bool) {
        for node in &self.cluster.nodes {
            until("the nodes notice", || {
                let ready = node.wire().get("/readyz", &[]).unwrap().json();
                ready["store"] == answers
            });
        }
    }
}

/// How long what is dead may stay unnoticed.
const SOON: Duration = Duration::from_secs(15);
const _: () = assert!(SOON.as_secs() > 3, "longer than the store is waited for");

fn down(proxy: &Proxy) {
    proxy.set(Weather::Refused);
}
