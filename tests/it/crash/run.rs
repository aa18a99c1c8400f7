//! The client: it asks for one change after the other, of nodes that may be killed meanwhile, and writes
//! down what it was told.

use std::{
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use huidu::{clock::derived_op, control::token::Token};
use huidu_core::op::OpId;
use serde_json::json;
use ulid::Ulid;

use super::{
    APP, CHECKPOINT_EVERY,
    check::{Change, Look, Told, Tried},
    request::{Request, kind, made},
};
use crate::support::{
    server::{Backing, Cluster, until},
    wire::{self, Reply},
};

/// A client, what it was told, and the nodes it talks to.
pub(super) struct Run {
    pub(super) cluster: Cluster,
    pub(super) rng: fastrand::Rng,
    /// The revision at which it began.
    pub(super) since: u64,
    pub(super) tried: Vec<Tried>,
    pub(super) looks: Vec<Look>,
    /// Versions that are published and not killed.
    pub(super) alive: Vec<String>,
    pub(super) published: usize,
    /// How long an answer to either kind of change and a start take, so that kills are spread over it.
    pub(super) answers: [Mean; 2],
    pub(super) starts: Mean,
    pub(super) tally: Tally,
}

/// When the kills came.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) crashes: usize,
    pub(super) while_starting: usize,
    pub(super) before_anything: usize,
    pub(super) half_way: usize,
    pub(super) unanswered: usize,
    pub(super) answered: usize,
    pub(super) elsewhere: usize,
    pub(super) landed_late: usize,
}

/// A running mean.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mean(pub(super) Duration);

impl Run {
    pub(super) fn begin(backing: Backing, seed: u64) -> Self {
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
    pub(super) fn choose(&mut self) -> Change {
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
    pub(super) fn make(&mut self, change: Change) {
        let op: Ulid = fresh(&mut self.rng);
        let node = self.rng.usize(..self.cluster.nodes.len());
        let since = Instant::now();
        let told = self.ask_until_made(node, op, &change);
        self.answers[kind(&change)].take(since.elapsed());
        self.tried.push(Tried {
            op: self.op_of(op),
            change,
            told: vec![told],
        });
    }

    /// Asks for a change of a node that is killed meanwhile, looks at what it is when it is back, and asks
    /// again.
    pub(super) fn make_through_a_crash(&mut self, during: usize, change: Change) {
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
            op: self.op_of(op),
            change,
            told,
        });
    }

    /// The op id that the server makes of the key a change is asked under.
    fn op_of(&self, key: Ulid) -> OpId {
        let token: Token = self.cluster.token().parse().unwrap();
        derived_op(&["huidu op", token.id(), &key.to_string()])
    }

    pub(super) fn last_revision(&self) -> u64 {
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

    pub(super) fn send(
        &self,
        node: usize,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Reply> {
        let to = self.cluster.nodes[node].control;
        wire::send(to, self.cluster.token(), method, path, headers, body)
    }
}

impl Mean {
    fn take(&mut self, one: Duration) {
        self.0 = self.0.mul_f64(0.9) + one.mul_f64(0.1);
    }
}

fn fresh(rng: &mut fastrand::Rng) -> Ulid {
    Ulid::from_bytes((rng.u128(..) >> 1).to_be_bytes())
}
