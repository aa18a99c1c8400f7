//! Three nodes of a bank, every link of which can be broken: to the store, to Redis, to each other.
//!
//! The phones and the people reach the nodes directly, so what is seen is what the node does.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use huidu::{clock::derived_op, control::token::Token};
use huidu_core::op::OpId;
use serde_json::{Value, json};
use ulid::Ulid;

use crate::{
    journal::{Entry, State, Told, Way},
    load::{Targets, now_ms},
    support::{
        archives,
        components::Redis,
        proxy::{Proxy, Weather},
        server::{Backing, Cluster, Node, until},
        wire::{Reply, Wire, send},
    },
};

const HOST: &str = "retail-bank";
/// How long an answer may be trusted: short, so that a campaign sees leases run out.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

/// The nodes and what lies between them and the rest of the world.
pub(crate) struct Fleet {
    pub(crate) cluster: Cluster,
    pub(crate) links: Vec<Links>,
    /// A second Redis: the replica of the first, or that of another region.
    pub(crate) second: Redis,
    pub(crate) apps: Vec<String>,
    pub(crate) targets: Targets,
    pub(crate) journal: Mutex<Vec<Entry>>,
}

/// What leads from one node to the others.
pub(crate) struct Links {
    pub(crate) store: Proxy,
    pub(crate) bus: Proxy,
    /// To the private ports of the other nodes, in their order.
    pub(crate) peers: Vec<Proxy>,
}

/// A kill as it was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) op: OpId,
    pub(crate) told: Told,
    pub(crate) asked: Instant,
    pub(crate) answered: Instant,
    /// Unix ms.
    pub(crate) answered_ms: u64,
    /// What its receipt promises, where it has one; Unix ms.
    pub(crate) complete_by: Option<u64>,
}

impl Links {
    /// All of them, alike.
    pub(crate) fn set(&self, weather: Weather) {
        for link in [&self.store, &self.bus].into_iter().chain(&self.peers) {
            link.set(weather);
        }
    }
}

impl Fleet {
    /// Starts everything, with `apps` apps that run.
    pub(crate) fn start(apps: usize) -> Self {
        let device = format!("lease = \"{}s\"\npoll_after = \"30s\"", LEASE.as_secs());
        let program = Path::new(env!("CARGO_BIN_EXE_huidu"));
        let mut cluster = Cluster::unstarted(program, Backing::S3Redis, &device);
        let second = Redis::start();
        second.follow(cluster.redis.as_ref().unwrap());
        let links = (0..cluster.nodes.len()).map(|n| lead(&cluster, n));
        let links = links.collect();
        cluster.found();
        let apps: Vec<String> = (0..apps).map(|n| format!("pingan/c-{n}")).collect();
        let (targets, last) = settle(cluster.nodes[0].control, cluster.token(), &apps);
        let fleet = Self {
            cluster,
            links,
            second,
            apps,
            targets,
            journal: Mutex::default(),
        };
        fleet.at(last);
        fleet
    }

    /// The weather between node `n` and everybody else, both ways.
    pub(crate) fn around(&self, n: usize, weather: Weather) {
        self.links[n].set(weather);
        for (other, links) in self.links.iter().enumerate() {
            if other != n {
                links.peers[if n < other { n } else { n - 1 }].set(weather);
            }
        }
    }

    /// Waits until every node serves `revision`.
    pub(crate) fn at(&self, revision: u64) {
        for node in &self.cluster.nodes {
            until("a node follows", || {
                ready(node).is_some_and(|said| said["revision"].as_u64() >= Some(revision))
            });
        }
    }

    /// Waits until every node says that it has store and bus.
    pub(crate) fn is_well(&self) {
        for node in &self.cluster.nodes {
            until("a node is well again", || {
                ready(node).is_some_and(|said| {
                    said["store"] == true && said["bus"] == true && said["from"] == "store"
                })
            });
        }
    }

    /// Asks a node to kill an app, or to let it run again.
    pub(crate) fn ask(&self, node: usize, app: usize, way: Way) -> Asked {
        let key = Ulid::from_bytes((fastrand::u128(..) >> 1).to_be_bytes()).to_string();
        let token: Token = self.cluster.token().parse().unwrap();
        let op = derived_op(&["huidu op", token.id(), &key]);
        let app = &self.apps[app];
        let (verb, match_any) = match way {
            Way::Kill => ("kill", None),
            Way::Unkill => ("unkill", Some(("if-match", "*"))),
        };
        let path = format!("/api/v1/apps/{app}/{verb}");
        let headers: Vec<_> = [
            ("content-type", "application/json"),
            ("idempotency-key", key.as_str()),
        ]
        .into_iter()
        .chain(match_any)
        .collect();
        let asked = Instant::now();
        let reply = self.send(node, "POST", &path, &headers, br#"{"reason":"campaign"}"#);
        let (answered, answered_ms) = (Instant::now(), now_ms());
        let complete_by = reply.as_ref().ok().and_then(complete_by);
        let told = told(reply);
        self.journal.lock().unwrap().push(Entry {
            op,
            app: app.clone(),
            way,
            told,
        });
        Asked {
            op,
            told,
            asked,
            answered,
            answered_ms,
            complete_by,
        }
    }

    pub(crate) fn send(
        &self,
        node: usize,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Reply> {
        let to = self.cluster.nodes[node].control;
        send(to, self.cluster.token(), method, path, headers, body)
    }

    /// What a node says that became of a change.
    pub(crate) fn op(&self, node: usize, op: OpId) -> String {
        let said = self.send(node, "GET", &format!("/api/v1/ops/{op}"), &[], b"");
        let state = said.map(|reply| reply.json()["state"].as_str().map(str::to_owned));
        state.ok().flatten().unwrap_or_default()
    }

    /// What every node lets run.
    pub(crate) fn states(&self) -> Vec<State> {
        let state = |node: &Node| {
            let mut wire = node.wire();
            let apps = self.apps.iter().zip(self.targets.iter());
            let killed = apps.map(|(app, path)| {
                let reply = wire.get(&format!("{path}?u=phone-0000"), &[]).unwrap();
                (app.clone(), reply.json()["state"] == "killed")
            });
            killed.collect()
        };
        self.cluster.nodes.iter().map(state).collect()
    }
}

/// Makes a host, and `apps` that run there. Answers where phones poll for each, and the last revision.
pub(crate) fn settle(to: SocketAddr, token: &str, apps: &[String]) -> (Targets, u64) {
    let made = |method: &str, path: &str, media: &str, body: &[u8]| {
        let headers = [("content-type", media), ("if-match", "*")];
        let reply = send(to, token, method, path, &headers, body).unwrap();
        let is_made = matches!(reply.status, 200 | 201);
        assert!(is_made, "{path}: {} {}", reply.status, reply.text());
        reply.json()["revision"].as_u64().unwrap()
    };
    let json = |method: &str, path: &str, body: &Value| {
        made(
            method,
            path,
            "application/json",
            body.to_string().as_bytes(),
        )
    };
    let mut last = json("POST", "/api/v1/hosts", &json!({"host": HOST}));
    for app in apps {
        json("POST", "/api/v1/apps", &json!({"app": app}));
        let path = format!("/api/v1/apps/{app}/versions?version=1.0.0&list=true");
        made("POST", &path, "application/gzip", &archives::saying(app));
        let rollout = format!("app = \"{app}\"\nhosts = [\"{HOST}\"]\nstable = \"1.0.0\"\n");
        let path = format!("/api/v1/apps/{app}/rollout");
        last = made("PUT", &path, "application/toml", rollout.as_bytes());
    }
    let paths = apps.iter().map(|app| format!("/v1/manifest/{HOST}/{app}"));
    (paths.collect::<Vec<_>>().into(), last)
}

/// What an answer to a kill says.
fn told(reply: io::Result<Reply>) -> Told {
    let Ok(reply) = reply else {
        return Told::Unknown;
    };
    let said = reply.json();
    match reply.status {
        200 | 201 => Told::Made(said["revision"].as_u64().unwrap()),
        202 if said["state"] == "provisional" => Told::Provisional,
        202 => Told::Unknown,
        // Not now, or there is nothing left to do.
        409 | 412 | 422 | 503 => Told::Refused,
        status => panic!("a kill was answered {status}: {}", reply.text()),
    }
}

/// The instant that the receipt of a kill names, where this build gives receipts.
fn complete_by(reply: &Reply) -> Option<u64> {
    let said = reply.json()["receipt"]["complete_by"].clone();
    let at: jiff::Timestamp = said.as_str()?.parse().unwrap();
    u64::try_from(at.as_millisecond()).ok()
}

/// Breaks into every link of node `n`.
fn lead(cluster: &Cluster, n: usize) -> Links {
    let node = &cluster.nodes[n];
    let (weed, redis) = (
        cluster.weed.as_ref().unwrap(),
        cluster.redis.as_ref().unwrap(),
    );
    let (store, bus) = (
        Proxy::start(weed.address()),
        Proxy::of_redis(redis.address()),
    );
    let by = |proxy: &Proxy, scheme: &str| format!("{scheme}://{}", proxy.address());
    node.reroute(&weed.endpoint(), &by(&store, "http"));
    node.reroute(&redis.url(), &by(&bus, "redis"));
    let others = cluster.nodes.iter().enumerate().filter(|(at, _)| *at != n);
    let peers: Vec<Proxy> = others.map(|(_, node)| Proxy::start(node.control)).collect();
    let urls: Vec<String> = peers.iter().map(|peer| by(peer, "http")).collect();
    node.set(&format!("peers = {urls:?}"));
    // Nobody goes past the links.
    node.hides();
    Links { store, bus, peers }
}

/// What `/readyz` says; none: nobody answers.
pub(crate) fn ready(node: &Node) -> Option<Value> {
    let asked = Wire::connect(node.device).and_then(|mut wire| wire.get("/readyz", &[]));
    asked.ok().map(|reply| reply.json())
}
