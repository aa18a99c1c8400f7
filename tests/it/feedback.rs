//! What devices reported, on three real nodes with a real Redis and a real S3, of which one node and Redis are killed
//! in the middle: what was acknowledged long enough before counts, once; and it outlasts every process.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use huidu::client::control::Control;
use serde_json::json;

use crate::{
    support::{
        server::{Backing, Cluster, until},
        wire::Wire,
    },
    world::{HOST, World},
};

/// What a process that is killed may lose: what it acknowledged within this time.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// One device after the other that tells one node of one crash each, and remembers when it was acknowledged.
struct Phones {
    over: Arc<AtomicBool>,
    told: Arc<Mutex<Vec<(u128, Instant)>>>,
    /// Told, and never acknowledged.
    unknown: Arc<Mutex<BTreeSet<u128>>>,
    thread: Option<thread::JoinHandle<()>>,
}

fn report(app: &str, ids: impl Iterator<Item = u128>) -> serde_json::Value {
    let event = |id| json!({"id": format!("{id:032x}"), "app": app, "version": "1.0.0", "event": "crashed"});
    json!({"host": HOST, "events": ids.map(event).collect::<Vec<_>>()})
}

impl Phones {
    fn start(mut wire: Wire, app: &str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::new(Mutex::new(Vec::new()));
        let unknown = Arc::new(Mutex::new(BTreeSet::new()));
        let thread = {
            let (over, told, unknown) =
                (Arc::clone(&over), Arc::clone(&told), Arc::clone(&unknown));
            let app = app.to_owned();
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let id = fastrand::u128(..);
                    unknown.lock().unwrap().insert(id);
                    let Ok(reply) = wire.post("/v1/events", &report(&app, [id].into_iter())) else {
                        return;
                    };
                    assert_eq!(
                        (reply.status, reply.text()),
                        (202, r#"{"accepted":1}"#.to_owned())
                    );
                    unknown.lock().unwrap().remove(&id);
                    told.lock().unwrap().push((id, Instant::now()));
                    thread::sleep(Duration::from_millis(2));
                }
            })
        };
        Self {
            over,
            told,
            unknown,
            thread: Some(thread),
        }
    }

    fn acknowledged(&self) -> u64 {
        self.told.lock().unwrap().len() as u64
    }

    /// Of them, those before `at`.
    fn before(&self, at: Instant) -> u64 {
        let told = self.told.lock().unwrap();
        told.iter().filter(|(_, when)| *when < at).count() as u64
    }

    fn unknown(&self) -> u64 {
        self.unknown.lock().unwrap().len() as u64
    }

    fn end(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn crashes(control: &Control, app: &str) -> u64 {
    let health = control.get(&format!("/api/v1/apps/{app}/health")).unwrap();
    let arms = health.document["arms"].as_array().unwrap().clone();
    let crashed = arms
        .iter()
        .filter_map(|arm| arm["events"]["crashed"].as_u64());
    crashed.sum()
}

/// Waits until `node` knows of `least`; it must not know of more than `most`.
fn settles(cluster: &Cluster, node: usize, app: &str, least: u64, most: u64) -> u64 {
    let control = cluster.control(node);
    let mut known = 0;
    until(&format!("node {node} knows of {least}"), || {
        known = crashes(&control, app);
        known >= least
    });
    assert!(
        known <= most,
        "node {node} counted {known}, and {most} happened"
    );
    known
}

/// Tells three nodes of crashes, kills one of them, and Redis so long before; counts.
fn counts_through(name: &str, redis_before: Option<Duration>) {
    let mut world = World::new(Backing::S3Redis);
    let app = world.app(&["1.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");
    let nodes = world.cluster.nodes.iter();
    let mut phones: Vec<Phones> = nodes.map(|node| Phones::start(node.wire(), &app)).collect();
    let told = |phones: &Phones, n: u64| until("enough is told", || phones.acknowledged() >= n);
    for one in &phones {
        told(one, 400);
    }
    if let Some(before) = redis_before {
        world.cluster.redis.as_mut().unwrap().kill();
        let since = Instant::now();
        until("it goes on without Redis", || since.elapsed() >= before);
    }
    let killed = Instant::now();
    world.cluster.nodes[1].kill();
    for one in [&phones[0], &phones[2]] {
        told(one, one.acknowledged() + 200);
    }
    phones.iter_mut().for_each(Phones::end);
    let all: u64 = phones.iter().map(Phones::acknowledged).sum();
    let unknown: u64 = phones.iter().map(Phones::unknown).sum();
    let last = phones[1].acknowledged() - phones[1].before(killed - FLUSH_INTERVAL);
    assert!(last > 20, "the node had something to lose: {last}");
    let (least, most) = (all - last, all + unknown);
    let known = settles(&world.cluster, 0, &app, least, most);
    settles(&world.cluster, 2, &app, least, most);
    println!(
        "figure: {name}: {all} events acknowledged, {known} counted; the killed node had acknowledged {last} within its last second; lost of these {:.2}",
        all.saturating_sub(known) as f64 / last as f64
    );
    // Everything ends; what is known then lies in the store alone.
    if redis_before.is_none() {
        world.cluster.redis.as_mut().unwrap().kill();
    }
    world
        .cluster
        .nodes
        .iter_mut()
        .for_each(|node| node.terminate());
    world.cluster.redis.as_mut().unwrap().start_again();
    world.cluster.restart();
    for node in 0..3 {
        settles(&world.cluster, node, &app, known, known.max(most));
    }
}

#[test]
fn counts_are_off_by_what_a_killed_node_took_in_its_last_second() {
    counts_through("a node killed", None);
}

#[test]
fn counts_are_off_by_no_more_when_redis_was_killed_before() {
    counts_through(
        "Redis killed, and a node three seconds later",
        Some(Duration::from_secs(3)),
    );
}

#[test]
fn counts_are_off_by_no_more_when_both_are_killed_at_once() {
    counts_through("Redis and a node killed at once", Some(Duration::ZERO));
}

#[test]
fn one_node_alone_loses_no_more_either() {
    let mut world = World::new(Backing::Embedded);
    let app = world.app(&["1.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");
    let mut phones = Phones::start(world.cluster.nodes[0].wire(), &app);
    until("enough is told", || phones.acknowledged() >= 800);
    let killed = Instant::now();
    world.cluster.nodes[0].kill();
    phones.end();
    let all = phones.acknowledged();
    let last = all - phones.before(killed - FLUSH_INTERVAL);
    world.cluster.nodes[0].start_again();
    let known = settles(&world.cluster, 0, &app, all - last, all + phones.unknown());
    println!(
        "figure: one node alone killed: {all} events acknowledged, {known} counted; {last} within its last second"
    );
}
