//! How long from a kill's answer until the last of three nodes refuses, and how long from its asking.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use super::*;

/// Kills of one row.
const KILLS: usize = 50;

/// A phone at each node that asks about one app without a pause until it is told that it is killed.
fn refusals(world: &World, app: &str) -> mpsc::Receiver<Instant> {
    let (tell, told) = mpsc::channel();
    for node in &world.cluster.nodes {
        let (tell, mut wire) = (tell.clone(), node.wire());
        let path = format!("/v1/manifest/{HOST}/{app}?u=phone-0001");
        thread::spawn(move || {
            let since = Instant::now();
            while since.elapsed() < SOON {
                let reply = wire.get(&path, &[]).unwrap();
                if reply.json()["state"] == "killed" {
                    let _gone = tell.send(Instant::now());
                    return;
                }
                thread::sleep(Duration::from_micros(300));
            }
        });
    }
    told
}

/// Of each kill: from its answer to the last refusal, and from its asking, in milliseconds.
fn row(world: &World, apps: &[String], status: u16) -> Vec<(f64, f64)> {
    let measured = apps.iter().map(|app| {
        let told = refusals(world, app);
        let asked = Instant::now();
        let reply = world.kills(app);
        let answered = Instant::now();
        assert_eq!(reply.status, status, "{}", reply.text());
        let last = (0..world.cluster.nodes.len())
            .map(|_| told.recv_timeout(SOON).unwrap())
            .max()
            .unwrap();
        let ms = |since: Instant| last.saturating_duration_since(since).as_secs_f64() * 1e3;
        (ms(answered), ms(asked))
    });
    measured.collect()
}

fn quantile(of: &[f64], part: f64) -> f64 {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

/// Prints a row; answers the 99th percentile from the answer on.
fn say(name: &str, row: &[(f64, f64)]) -> f64 {
    let (after, whole): (Vec<f64>, Vec<f64>) = row.iter().copied().unzip();
    let p99 = quantile(&after, 0.99);
    println!(
        "figure: {name}: {} kills, answered to last refusal p50 {:.1} ms, p99 {p99:.1} ms; asked to last refusal p50 {:.1} ms, p99 {:.1} ms",
        row.len(),
        quantile(&after, 0.5),
        quantile(&whole, 0.5),
        quantile(&whole, 0.99),
    );
    p99
}

/// Polls of other devices meanwhile, without a pause, on every node.
struct Load {
    over: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<u64>>,
}

impl Load {
    fn start(nodes: &[Node]) -> Self {
        let over = Arc::<AtomicBool>::default();
        let threads = nodes.iter().map(|node| {
            let (over, mut wire) = (Arc::clone(&over), node.wire());
            thread::spawn(move || {
                let mut polls = 0;
                while !over.load(Ordering::Relaxed) {
                    wire.get("/v1/kills", &[]).unwrap();
                    polls += 1;
                    thread::sleep(Duration::from_micros(500));
                }
                polls
            })
        });
        let threads = threads.collect();
        Self { over, threads }
    }

    fn end(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.threads
            .into_iter()
            .map(|one| one.join().unwrap())
            .sum()
    }
}

#[test]
fn the_last_of_three_nodes_refuses_in_milliseconds_whatever_is_dead() {
    let (mut world, store) = world_and_store();
    let app = |n: usize| {
        let app = format!("pingan/kill-{n}");
        let added = world
            .by(&world.maya, "POST", "/apps")
            .json(&json!({"app": app}));
        assert!(added.send().status < 300);
        app
    };
    let apps: Vec<String> = (0..4 * KILLS).map(app).collect();
    let settled = world
        .by(&world.maya, "POST", "/apps")
        .json(&json!({"app": "pingan/last"}));
    world.done(&settled.send());
    let mut rows = apps.chunks(KILLS);
    let mut next = || rows.next().unwrap();

    let load = Load::start(&world.cluster.nodes);
    let healthy = say("healthy", &row(&world, next(), 200));
    world.cluster.redis.as_mut().unwrap().kill();
    let no_redis = say("Redis dead", &row(&world, next(), 200));
    store.set(Weather::Late(Duration::from_secs(2)));
    let slow = say("store +2 s, Redis dead", &row(&world, next(), 202));
    down(&store);
    world.store_answers(false);
    let silent = say("store down, Redis dead", &row(&world, next(), 202));
    println!("polls beside them: {}", load.end());

    for (name, p99, bar) in [
        ("healthy", healthy, 50.0),
        ("Redis dead", no_redis, 1_200.0),
        ("store +2 s", slow, 50.0),
        ("store down", silent, 50.0),
    ] {
        assert!(p99 <= bar, "{name}: {p99} ms");
    }
    // And all of them are in the ledger once it can be written again, each once.
    store.set(Weather::Clear);
    world.store_answers(true);
    for node in &world.cluster.nodes {
        until("all kills are in the ledger", || {
            let metrics = node_metrics(node);
            metrics.contains("huidu_provisional_kills 0\n")
        });
    }
    for app in &apps {
        assert!(
            (0..3).all(|node| world.state(node, app) == "killed"),
            "{app}"
        );
    }
    let history = world
        .by(&world.ada, "GET", "/history?limit=400")
        .send()
        .json();
    let kills = history.as_array().unwrap().iter();
    let kills = kills.filter(|line| line["events"][0]["event"] == "killed");
    assert_eq!(kills.count(), apps.len());
}

fn node_metrics(node: &Node) -> String {
    let mut wire = crate::support::wire::Wire::connect(node.control).unwrap();
    wire.get("/metrics", &[]).unwrap().text()
}

/// The same look at nodes that do not know one another, with Redis dead and the store down: nobody hears of the
/// kill but who took it.
#[test]
fn the_same_look_finds_nodes_that_tell_nobody() {
    let program = Path::new(env!("CARGO_BIN_EXE_huidu"));
    let mut cluster = Cluster::unstarted(program, Backing::S3Redis, "");
    let weed = cluster.weed.as_ref().unwrap().endpoint();
    let store = Proxy::start(weed.trim_start_matches("http://").parse().unwrap());
    for node in &cluster.nodes {
        node.reroute(&weed, &format!("http://{}", store.address()));
        node.hides();
    }
    cluster.found();
    let mut world = World::of(cluster);
    let app = world.app(&[]);
    world.cluster.redis.as_mut().unwrap().kill();
    down(&store);
    world.store_answers(false);
    let told = refusals(&world, &app);
    let reply = world.kills(&app);
    assert_eq!(reply.status, 202, "{}", reply.text());
    let heard = (0..3).filter(|_| told.recv_timeout(Duration::from_secs(3)).is_ok());
    assert_eq!(heard.count(), 1);
    let receipt = &reply.json()["receipt"];
    assert_eq!(receipt["nodes"].as_array().unwrap().len(), 1);
}
