//! `kill -9` at any moment: what was acknowledged is there, once, and what was under way can be asked about
//! and repeated.
//!
//! One client publishes and kills versions, 200 in all. At moments that a seed chooses, the node it talks
//! to is killed: before it has read the request, while it writes, after it has written, and while it
//! starts again. The seed is printed; `HUIDU_SEED` takes it back. What is right is said in [`check`].
//!
//! A killed process loses nothing that the kernel already has, so this shows the order of what a node does,
//! not that a disk was synced: the tests of the directory store do that.

mod check;

use std::{
    env, fs, io,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use huidu::store::{Folder, Store};
use serde_json::{Value, json};
use ulid::Ulid;

use self::check::{Change, Look, Told, Tried, faults, without};
use crate::support::{
    server::{Backing, Cluster, Node, until},
    wire::{Reply, Wire},
};

const CHANGES: usize = 200;
const APP: &str = "pingan/travel";
/// Few enough that crashes also hit the writing of checkpoints, and starts from them.
const CHECKPOINT_EVERY: &str = "checkpoint_every = 8";

/// How hard a run is.
struct Plan {
    backing: Backing,
    /// One change in so many is asked of a node that is about to be killed.
    one_in: usize,
    /// Nobody is killed any more after so long, on however slow a machine.
    crashing: Duration,
}

/// A client, what it was told, and the nodes it talks to.
struct Run {
    cluster: Cluster,
    rng: fastrand::Rng,
    /// The revision at which it began.
    since: u64,
    tried: Vec<Tried>,
    looks: Vec<Look>,
    /// Versions that are published and not killed.
    alive: Vec<String>,
    published: usize,
    /// How long an answer to either kind of change and a start take, so that kills are spread over it.
    answers: [Mean; 2],
    starts: Mean,
    tally: Tally,
}

/// When the kills came.
#[derive(Debug, Default)]
struct Tally {
    crashes: usize,
    while_starting: usize,
    before_anything: usize,
    half_way: usize,
    unanswered: usize,
    answered: usize,
    elsewhere: usize,
    landed_late: usize,
}

/// A running mean.
#[derive(Debug, Clone, Copy)]
struct Mean(Duration);

#[test]
fn a_node_on_a_directory_keeps_what_it_acknowledged_through_kill_9() {
    Plan {
        backing: Backing::Embedded,
        one_in: 4,
        crashing: Duration::from_secs(60),
    }
    .run();
}

#[test]
fn three_nodes_on_s3_keep_what_they_acknowledged_through_kill_9() {
    Plan {
        backing: Backing::S3Redis,
        one_in: 10,
        crashing: Duration::from_secs(60),
    }
    .run();
}

/// The first start writes a token to disk and its digest to the ledger. Killed in between, however often,
/// it must not leave an installation that nobody can enter.
#[test]
fn an_installation_that_is_killed_while_it_is_founded_can_be_entered() {
    let seed = seed();
    let mut rng = fastrand::Rng::with_seed(seed);
    let program = Path::new(env!("CARGO_BIN_EXE_huidu"));
    for round in 0..12 {
        let mut cluster = Cluster::unstarted(program, Backing::Embedded, "");
        let node = &mut cluster.nodes[0];
        for _ in 0..rng.usize(1..4) {
            node.launch();
            thread::sleep(Duration::from_micros(rng.u64(0..150_000)));
            node.kill();
        }
        node.start_again();
        let token = fs::read_to_string(node.dir.join("admin.token")).unwrap();
        let bearer = format!("Bearer {}", token.trim());
        let headers = [("authorization", bearer.as_str())];
        let mut wire = Wire::connect(node.control).unwrap();
        let status = wire.get("/api/v1/status", &headers).unwrap();
        assert_eq!(
            (status.status, &status.json()["revision"]),
            (200, &json!(1)),
            "round {round} of HUIDU_SEED={seed}: {}",
            status.text()
        );
    }
}

impl Plan {
    fn run(self) {
        let (seed, since) = (seed(), Instant::now());
        println!("{:?}: HUIDU_SEED={seed}", self.backing);
        let mut run = Run::begin(self.backing, seed);
        for n in 0..CHANGES {
            let change = run.choose();
            if run.rng.usize(..self.one_in) == 0 && since.elapsed() < self.crashing {
                run.make_through_a_crash(n, change);
            } else {
                run.make(change);
            }
        }
        run.end(seed);
        println!(
            "{CHANGES} changes in {:.1} s: {:?}\nan answer takes {:.1?}, a start {:.1?}",
            since.elapsed().as_secs_f32(),
            run.tally,
            run.answers.map(|mean| mean.0),
            run.starts.0
        );
        let under_way = run.tally.before_anything + run.tally.half_way + run.tally.unanswered;
        assert!(
            under_way > 0,
            "no kill came while a change was under way; HUIDU_SEED={seed}"
        );
    }
}

impl Run {
    fn begin(backing: Backing, seed: u64) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_huidu"));
        let mut cluster = Cluster::unstarted(program, backing, "");
        for node in &cluster.nodes {
            node.set(CHECKPOINT_EVERY);
        }
        let since = Instant::now();
        cluster.found();
        let starts = Mean(since.elapsed().div_f64(cluster.nodes.len() as f64));
        let mut run = Self {
            cluster,
            rng: fastrand::Rng::with_seed(seed),
            since: 0,
            tried: Vec::new(),
            looks: Vec::new(),
            alive: Vec::new(),
            published: 0,
            answers: [Mean(Duration::from_millis(20)); 2],
            starts,
            tally: Tally::default(),
        };
        for (path, body) in [
            ("/api/v1/hosts", json!({"host": "retail-bank"})),
            ("/api/v1/apps", json!({"app": APP})),
        ] {
            let body = body.to_string().into_bytes();
            let made = run
                .send(
                    0,
                    "POST",
                    path,
                    &[("content-type", "application/json")],
                    &body,
                )
                .unwrap();
            assert_eq!(made.status, 201, "{}", made.text());
            run.since = made.json()["revision"].as_u64().unwrap();
        }
        run
    }

    /// The next change: mostly something new, else the end of something that is there.
    fn choose(&mut self) -> Change {
        if self.alive.is_empty() || self.rng.usize(..5) < 3 {
            self.published += 1;
            let version = format!("1.0.{}", self.published);
            self.alive.push(version.clone());
            Change::Publish(version)
        } else {
            let one = self.rng.usize(..self.alive.len());
            Change::Kill(self.alive.swap_remove(one))
        }
    }

    /// Asks for a change and is told that it was made.
    fn make(&mut self, change: Change) {
        let op: Ulid = fresh(&mut self.rng);
        let node = self.rng.usize(..self.cluster.nodes.len());
        let since = Instant::now();
        let told = self.ask_until_made(node, op, &change);
        self.answers[kind(&change)].take(since.elapsed());
        self.tried.push(Tried {
            op: op.to_string().parse().unwrap(),
            change,
            told: vec![told],
        });
    }

    /// Asks for a change of a node that is killed meanwhile, looks at what it is when it is back, and asks
    /// again.
    fn make_through_a_crash(&mut self, during: usize, change: Change) {
        let op: Ulid = fresh(&mut self.rng);
        let count = self.cluster.nodes.len();
        let victim = self.rng.usize(..count);
        let answer = self.ask_and_kill(victim, op, &change);
        let mut told: Vec<Told> = answer.as_ref().and_then(made).into_iter().collect();
        let was_answered = !told.is_empty();
        let mut elsewhere = false;
        // Sometimes the client does not wait for that node, and goes to another one.
        if count > 1 && self.rng.usize(..3) == 0 {
            told.push(self.ask_until_made((victim + 1) % count, op, &change));
            self.tally.elsewhere += 1;
            elsewhere = true;
        }
        self.restart(victim);
        let look = self.look(victim, during, op, told.len());
        let (seen, before) = (look.revision, self.last_revision());
        self.looks.push(look);
        let again = self.ask_until_made(victim, op, &change);
        let whole = before + change.revisions().len() as u64;
        let tally = &mut self.tally;
        tally.crashes += 1;
        match seen {
            _ if was_answered => tally.answered += 1,
            _ if elsewhere => {}
            seen if seen == before => {
                tally.before_anything += 1;
                tally.landed_late += usize::from(again.repeated);
            }
            seen if seen < whole => tally.half_way += 1,
            _ => tally.unanswered += 1,
        }
        told.push(again);
        self.tried.push(Tried {
            op: op.to_string().parse().unwrap(),
            change,
            told,
        });
    }

    fn last_revision(&self) -> u64 {
        let told = self.tried.last().and_then(|tried| tried.told.last());
        told.map_or(self.since, |told| told.revision)
    }

    /// Asks while the node is killed, at a moment between before the first byte and after the answer.
    fn ask_and_kill(&mut self, victim: usize, op: Ulid, change: &Change) -> Option<Reply> {
        let longest = self.answers[kind(change)].0.mul_f64(1.1);
        let delay = longest.mul_f64(self.rng.f64());
        let request = Request::of(op, change, self.cluster.token());
        let node = &mut self.cluster.nodes[victim];
        let to = node.control;
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(delay);
                node.kill();
            });
            request.send(to).ok()
        })
    }

    /// Starts it again; sometimes it is killed once more before it is ready.
    fn restart(&mut self, victim: usize) {
        let node = &mut self.cluster.nodes[victim];
        if self.rng.usize(..4) == 0 {
            node.launch();
            thread::sleep(self.starts.0.mul_f64(self.rng.f64()));
            node.kill();
            self.tally.while_starting += 1;
        }
        let since = Instant::now();
        node.start_again();
        self.starts.take(since.elapsed());
    }

    /// What a node says that has just started.
    fn look(&self, node: usize, during: usize, op: Ulid, told: usize) -> Look {
        let read = |path: &str| {
            let reply = self.send(node, "GET", path, &[], b"").unwrap();
            assert_eq!(reply.status, 200, "{path}: {}", reply.text());
            reply.json()
        };
        // The op id first: whatever lands late in between is then in the revision alone.
        let state = read(&format!("/api/v1/ops/{op}"));
        let committed = match state["state"].as_str() {
            Some("committed") => Some(state["revision"].as_u64().unwrap()),
            Some("absent") => None,
            _ => panic!("a node that has just started knows no more than this: {state}"),
        };
        Look {
            during,
            told,
            revision: read("/api/v1/status")["revision"].as_u64().unwrap(),
            committed,
        }
    }

    /// Asks until the answer is that it was made.
    fn ask_until_made(&self, node: usize, op: Ulid, change: &Change) -> Told {
        let request = Request::of(op, change, self.cluster.token());
        let mut told = None;
        until("the change is made", || {
            let reply = request.send(self.cluster.nodes[node].control).unwrap();
            assert!(
                matches!(reply.status, 200..=202 | 503),
                "{change:?}: {} {}",
                reply.status,
                reply.text()
            );
            told = made(&reply);
            told.is_some()
        });
        told.unwrap()
    }

    fn send(
        &self,
        node: usize,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Reply> {
        let bearer = format!("Bearer {}", self.cluster.token());
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend(headers);
        Wire::connect(self.cluster.nodes[node].control)?.ask(method, path, &all, body)
    }

    /// Everything holds, on every node, and once more after all of them were started again.
    fn end(&mut self, seed: u64) {
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

impl Mean {
    fn take(&mut self, one: Duration) {
        self.0 = self.0.mul_f64(0.9) + one.mul_f64(0.1);
    }
}

/// Which of two kinds.
const fn kind(change: &Change) -> usize {
    match change {
        Change::Publish(_) => 0,
        Change::Kill(_) => 1,
    }
}

/// A change as it is sent, every time the same.
struct Request {
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Request {
    fn of(op: Ulid, change: &Change, token: &str) -> Self {
        let (path, media, body) = match change {
            Change::Publish(version) => (
                format!("/api/v1/apps/{APP}/versions?version={version}&list=true"),
                "application/gzip",
                archive(version),
            ),
            Change::Kill(version) => (
                format!("/api/v1/apps/{APP}/kill"),
                "application/json",
                json!({"version": version, "reason": "it loses orders"})
                    .to_string()
                    .into_bytes(),
            ),
        };
        let headers = vec![
            ("authorization", format!("Bearer {token}")),
            ("idempotency-key", op.to_string()),
            ("content-type", media.to_owned()),
        ];
        Self {
            path,
            headers,
            body,
        }
    }

    fn send(&self, to: std::net::SocketAddr) -> io::Result<Reply> {
        let headers: Vec<_> = (self.headers.iter())
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        Wire::connect(to)?.ask("POST", &self.path, &headers, &self.body)
    }
}

/// What an answer says, when it says that the change was made.
fn made(reply: &Reply) -> Option<Told> {
    let said = reply.json();
    matches!(reply.status, 200 | 201).then(|| Told {
        revision: said["revision"].as_u64().unwrap(),
        repeated: said["repeated"] == true,
    })
}

/// An archive whose bytes are those of `version` alone.
fn archive(version: &str) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    let app_js = format!("App({{ version: '{version}' }})\n");
    let mut header = tar::Header::new_ustar();
    header.set_size(app_js.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append_data(&mut header, "app.js", app_js.as_bytes())
        .unwrap();
    tar.into_inner().unwrap().finish().unwrap()
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

fn fresh(rng: &mut fastrand::Rng) -> Ulid {
    Ulid::from_bytes((rng.u128(..) >> 1).to_be_bytes())
}

/// From the environment, where a failure is to be looked at again; else a new one.
fn seed() -> u64 {
    env::var("HUIDU_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap())
}
