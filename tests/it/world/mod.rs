//! The world: a bank with people of every role, its running nodes, and the phones of its customers.
//!
//! Stories read like what happens in a bank. Each story brings its own app, so that many can happen in one
//! world, and each is told twice: on one node with a directory, and on three nodes with a real S3 and a
//! real Redis. What they assert is what a person outside would see: replies on the two ports, log files.

mod devices;
mod faults;
mod network;
mod offline;
mod refused;
pub(crate) mod signed;
mod stories;
mod thief;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};

use crate::support::{
    server::{Backing, Cluster, Node, until},
    wire::{Reply, Wire},
};

pub(crate) const HOST: &str = "retail-bank";

/// The bank.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    /// Everything.
    pub(crate) ada: Person,
    /// Release manager.
    pub(crate) maya: Person,
    /// Release manager too, on another node where there is one.
    pub(crate) mo: Person,
    /// Keeps it running.
    pub(crate) sven: Person,
    /// Submits for the tenant `pingan`.
    pub(crate) ping: Person,
    next: AtomicUsize,
}

/// Somebody with a credential, who works at one of the nodes.
#[derive(Clone)]
pub(crate) struct Person {
    token: String,
    node: usize,
}

/// A request under way.
#[derive(Clone)]
pub(crate) struct Asking<'a> {
    node: &'a Node,
    method: &'a str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl World {
    pub(crate) fn new(backing: Backing) -> Self {
        Self::with(backing, "")
    }

    /// A world with these settings of the device plane.
    pub(crate) fn with(backing: Backing, device: &str) -> Self {
        Self::of(Cluster::start(
            Path::new(env!("CARGO_BIN_EXE_huidu")),
            backing,
            device,
        ))
    }

    /// The world of a cluster that was just founded.
    pub(crate) fn of(cluster: Cluster) -> Self {
        let last = cluster.nodes.len() - 1;
        let ada = Person {
            token: cluster.token().to_owned(),
            node: 0,
        };
        let person = |role: Value, node: usize| {
            let given = ada
                .ask(&cluster, "POST", "/tokens")
                .json(&json!({"role": role}))
                .send();
            assert_eq!(given.status, 201, "{}", given.text());
            let token = given.json()["token"].as_str().unwrap().to_owned();
            Person { token, node }
        };
        let (maya, mo) = (
            person(json!("release-manager"), 0),
            person(json!("release-manager"), last),
        );
        let (sven, ping) = (
            person(json!("sre"), last),
            person(json!({"partner": "pingan"}), 0),
        );
        let world = Self {
            cluster,
            ada,
            maya,
            mo,
            sven,
            ping,
            next: AtomicUsize::new(1),
        };
        let host = world
            .by(&world.ada, "POST", "/hosts")
            .json(&json!({"host": HOST, "title": "零售银行"}));
        world.done(&host.send());
        world
    }

    /// A token that is given out as `asked`.
    pub(crate) fn given(&self, asked: &Value) -> String {
        let given = self.by(&self.ada, "POST", "/tokens");
        let given = given.json(asked).send();
        assert_eq!(given.status, 201, "{}", given.text());
        given.json()["token"].as_str().unwrap().to_owned()
    }

    /// A request of `person`.
    pub(crate) fn by<'a>(&'a self, person: &'a Person, method: &'a str, path: &str) -> Asking<'a> {
        person.ask(&self.cluster, method, path)
    }

    /// Asserts that a change was made, and waits until every node serves it.
    pub(crate) fn done(&self, reply: &Reply) -> u64 {
        assert!(
            matches!(reply.status, 200 | 201),
            "{}: {}",
            reply.status,
            reply.text()
        );
        let revision = reply.json()["revision"].as_u64().unwrap();
        for node in &self.cluster.nodes {
            let mut wire = node.wire();
            until("a node follows", || {
                wire.get("/readyz", &[]).unwrap().json()["revision"].as_u64() >= Some(revision)
            });
        }
        revision
    }

    /// A new app of Ping An, admitted and with `versions` listed.
    pub(crate) fn app(&self, versions: &[&str]) -> String {
        let app = format!("pingan/app-{}", self.next.fetch_add(1, Ordering::Relaxed));
        self.done(
            &self
                .by(&self.maya, "POST", "/apps")
                .json(&json!({"app": app}))
                .send(),
        );
        for version in versions {
            self.publish(&app, version);
        }
        app
    }

    /// Ping hands in a version, and it is listed.
    pub(crate) fn publish(&self, app: &str, version: &str) {
        let path = format!("/apps/{app}/versions?version={version}&list=true");
        let archive = fs::read(self.archive(app, version)).unwrap();
        let asking = self
            .by(&self.ping, "POST", &path)
            .body("application/gzip", archive);
        self.done(&asking.send());
    }

    /// Ping hands in a version, and nobody has listed it.
    pub(crate) fn hand_in(&self, app: &str, version: &str) {
        let path = format!("/apps/{app}/versions?version={version}");
        let archive = fs::read(self.archive(app, version)).unwrap();
        let asking = self.by(&self.ping, "POST", &path);
        self.done(&asking.body("application/gzip", archive).send());
    }

    /// The archive of a version: its own bytes, the same whenever they are asked for.
    pub(crate) fn archive(&self, app: &str, version: &str) -> PathBuf {
        let path = self
            .cluster
            .path()
            .join(format!("{}-{version}.tgz", app.replace('/', "-")));
        if !path.exists() {
            let gzip = flate2::write::GzEncoder::new(
                fs::File::create(&path).unwrap(),
                flate2::Compression::fast(),
            );
            let mut tar = tar::Builder::new(gzip);
            let app_js = format!("App({{ version: '{app} {version}' }})\n");
            // Enough that a download can break off in the middle, and nothing that packs well.
            let mut noise = fastrand::Rng::with_seed(version.len() as u64);
            let picture: Vec<u8> = std::iter::repeat_with(|| noise.u8(..))
                .take(200_000)
                .collect();
            for (name, bytes) in [("app.js", app_js.as_bytes()), ("picture.png", &picture)] {
                let mut header = tar::Header::new_ustar();
                header.set_size(bytes.len() as u64);
                header.set_mode(0o644);
                header.set_cksum();
                tar.append_data(&mut header, name, bytes).unwrap();
            }
            tar.into_inner().unwrap().finish().unwrap();
        }
        path
    }

    /// What devices get of it: the files that were handed in, packed in the one way there is.
    pub(crate) fn bundle(&self, app: &str, version: &str) -> Vec<u8> {
        let mut uploaded = fs::File::open(self.archive(app, version)).unwrap();
        let mut packed = std::io::Cursor::new(Vec::new());
        let limits = huidu::archive::ArchiveLimits::default();
        huidu::archive::canonicalise(&mut uploaded, &mut packed, &limits).unwrap();
        packed.into_inner()
    }

    /// Maya puts a rollout in place: `rest` of the file, after app and host.
    pub(crate) fn rollout(&self, app: &str, rest: &str) {
        let text = format!("app = \"{app}\"\nhosts = [\"{HOST}\"]\n{rest}");
        let asking = self
            .by(&self.maya, "PUT", &format!("/apps/{app}/rollout"))
            .if_match("*");
        self.done(&asking.body("application/toml", text.into_bytes()).send());
    }

    /// What the phone `unit` is told about `app` by every node, which must all tell the same.
    pub(crate) fn told(&self, app: &str, unit: &str, more: &str) -> Value {
        let path = format!("/v1/manifest/{HOST}/{app}?u={unit}{more}");
        let told: Vec<Reply> = (self.cluster.nodes.iter())
            .map(|node| node.wire().get(&path, &[]).unwrap())
            .collect();
        for reply in &told {
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert_eq!(reply.body, told[0].body, "two nodes tell different things");
        }
        told[0].json()
    }

    /// Versions that many phones get, by phone.
    pub(crate) fn versions(
        &self,
        app: &str,
        units: &[String],
        more: &str,
    ) -> Vec<(String, String)> {
        let mut wires: Vec<Wire> = self.cluster.nodes.iter().map(Node::wire).collect();
        let nodes = wires.len();
        let told = units.iter().enumerate().map(|(n, unit)| {
            let path = format!("/v1/manifest/{HOST}/{app}?u={unit}{more}");
            let told = wires[n % nodes].get(&path, &[]).unwrap().json();
            let text = |field: &str| told[field].as_str().unwrap_or_default().to_owned();
            (text("version"), text("arm"))
        });
        told.collect()
    }

    /// Nothing that a phone says about itself is in any log.
    pub(crate) fn logs_hold_nobody(&self) {
        for node in &self.cluster.nodes {
            let log = node.log();
            assert!(!log.is_empty(), "there is no log to look at");
            for secret in ["phone-", "CN-31", &self.ping.token, self.cluster.token()] {
                // The first token is printed once, by the node that founded.
                let told = log.lines().filter(|line| line.contains(secret));
                let told: Vec<_> = told
                    .filter(|line| !line.starts_with("admin token: "))
                    .collect();
                assert!(told.is_empty(), "`{secret}` is in the log: {told:?}");
            }
        }
    }
}

impl Person {
    fn ask<'a>(&'a self, cluster: &'a Cluster, method: &'a str, path: &str) -> Asking<'a> {
        Asking {
            node: &cluster.nodes[self.node],
            method,
            path: format!("/api/v1{path}"),
            headers: vec![("authorization".into(), format!("Bearer {}", self.token))],
            body: Vec::new(),
        }
    }

    /// The same person, working at another node.
    pub(crate) fn at(&self, node: usize) -> Self {
        Self {
            node,
            ..self.clone()
        }
    }
}

impl Asking<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn if_match(self, revision: &str) -> Self {
        let value = if revision == "*" {
            "*".to_owned()
        } else {
            format!("\"{revision}\"")
        };
        self.header("if-match", &value)
    }

    pub(crate) fn json(self, document: &Value) -> Self {
        self.body("application/json", document.to_string().into_bytes())
    }

    pub(crate) fn body(mut self, media: &str, body: Vec<u8>) -> Self {
        self.body = body;
        self.header("content-type", media)
    }

    pub(crate) fn send(self) -> Reply {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let mut wire = Wire::connect(self.node.control).unwrap();
        wire.ask(self.method, &self.path, &headers, &self.body)
            .unwrap()
    }
}

/// Phones by number.
pub(crate) fn phones(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("phone-{n:04}")).collect()
}
