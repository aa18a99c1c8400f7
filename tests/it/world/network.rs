//! What happens in a bank when nobody is dead and somebody does not answer: replies that are lost, requests
//! that arrive late, programs that hang. Here a guess would be wrong half of the time.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use huidu::client::{
    Patience,
    device::{Device, DeviceConfig, What},
    profile::Profile,
    root::Root,
    uptime,
};
use serde_json::{Value, json};

use super::{HOST, Person, World, stories::Runs};
use crate::support::{
    proxy::{Proxy, Weather},
    server::{Backing, Cluster, Node, until},
    wire::Reply,
};

const RAMP: &str =
    "stable = \"1.0.0\"\n[[rule]]\nname = \"ramp\"\nshare = \"1%\"\nserve = \"1.1.0\"\n";
/// A follower looks every second, give or take a fifth; the rest is for reading and compiling on a machine
/// that does other things too.
const TICK_AND_A_BIT: Duration = Duration::from_secs(3);

/// Three nodes, the first of which reaches its store through a network that can be broken.
fn world_and_network() -> (World, Proxy) {
    let program = Path::new(env!("CARGO_BIN_EXE_huidu"));
    let mut cluster = Cluster::unstarted(program, Backing::S3Redis, "");
    let store = cluster.weed.as_ref().unwrap().endpoint();
    let proxy = Proxy::start(store.trim_start_matches("http://").parse().unwrap());
    cluster.nodes[0].reroute(&store, &format!("http://{}", proxy.address()));
    cluster.found();
    (World::of(cluster), proxy)
}

impl World {
    fn raise(&self, person: &Person, app: &str, share: &str, key: &str) -> Reply {
        let path = format!("/apps/{app}/rollout/rules/ramp/share");
        let asking = self.by(person, "PUT", &path).if_match("*");
        let asking = asking.header("idempotency-key", key);
        asking.json(&json!({"share": share})).send()
    }

    fn kill(&self, person: &Person, app: &str, version: &str) -> Reply {
        let asking = self.by(person, "POST", &format!("/apps/{app}/kill"));
        asking
            .json(&json!({"version": version, "reason": "fraud"}))
            .send()
    }

    fn op(&self, person: &Person, op: &str) -> Value {
        self.by(person, "GET", &format!("/ops/{op}")).send().json()
    }

    fn share(&self, person: &Person, app: &str) -> String {
        let rollout = self.by(person, "GET", &format!("/apps/{app}/rollout"));
        let share = rollout.send().json()["rule"][0]["share"].clone();
        share.as_str().unwrap_or_default().to_owned()
    }

    fn revision(&self, person: &Person) -> u64 {
        let status = self.by(person, "GET", "/status").send().json();
        status["revision"].as_u64().unwrap()
    }

    /// How long until `node` tells that `version` of `app` is killed.
    fn until_killed(&self, node: usize, app: &str, version: &str) -> Duration {
        let mut wire = self.cluster.nodes[node].wire();
        until("a node refuses what was killed", || {
            let kills = wire.get("/v1/kills", &[]).unwrap().json()["kills"].to_string();
            kills.contains(app) && kills.contains(version)
        })
    }
}

/// The store keeps the append, and its answer is lost: the change was made, once, and that is what the
/// person hears.
#[test]
fn an_append_whose_answer_is_lost_was_made_and_is_made_once() {
    let (world, network) = world_and_network();
    let app = world.app(&["1.0.0", "1.1.0"]);
    world.rollout(&app, RAMP);
    let begun = world.revision(&world.maya);
    network.set(Weather::AnswersLost);
    for n in 1..=10 {
        let raised = world.raise(&world.maya, &app, &format!("{n}.5%"), &format!("raise {n}"));
        let op = raised.json()["op"].clone();
        assert_eq!(
            (raised.status, raised.json()),
            (200, json!({"revision": begun + n, "op": op}))
        );
    }
    network.set(Weather::Clear);
    assert!(network.struck() >= 10, "no answer was lost");
    assert_eq!(world.revision(&world.maya), begun + 10);
    let history = world
        .by(&world.ada, "GET", &format!("/history?app={app}&limit=10"))
        .send()
        .json();
    let shares: Vec<_> = (history.as_array().unwrap().iter())
        .map(|line| line["events"][0]["share"].clone())
        .collect();
    let expected: Vec<_> = (1..=10).rev().map(|n| json!(format!("{n}.5%"))).collect();
    assert_eq!(shares, expected);
}

/// The append stays on the way: the person hears that nobody knows, with the op id; phones are served; and
/// when it arrives at last, the op id says so and the same wish again changes nothing.
#[test]
fn an_append_that_arrives_late_is_unknown_until_it_is_known() {
    let (world, network) = world_and_network();
    let app = world.app(&["1.0.0", "1.1.0", "1.2.0"]);
    world.rollout(&app, RAMP);
    let before = world.told(&app, "phone-0001", "");
    network.set(Weather::AppendsHeld);
    let unknown = world.raise(&world.maya, &app, "2%", "late");
    let op = unknown.json()["op"].as_str().unwrap().to_owned();
    assert_eq!(
        (unknown.status, unknown.header("location"), unknown.json()),
        (
            202,
            &*format!("/api/v1/ops/{op}"),
            json!({"op": op, "state": "unknown"})
        )
    );
    assert_eq!(
        world.op(&world.maya, &op),
        json!({"op": op, "state": "unknown"})
    );
    assert_eq!(world.told(&app, "phone-0001", ""), before);
    network.set(Weather::Clear);
    until("the op is known where it was asked for", || {
        world.op(&world.maya, &op)["state"] == "committed"
    });
    let revision = world.op(&world.maya, &op)["revision"].clone();
    until("the op is known at another node", || {
        world.op(&world.mo, &op) == json!({"op": op, "state": "committed", "revision": revision})
    });
    let again = world.raise(&world.maya, &app, "2%", "late");
    assert_eq!(
        (again.status, again.json()),
        (
            200,
            json!({"revision": revision, "op": op, "repeated": true})
        )
    );
    assert_eq!(world.share(&world.mo, &app), "2%");

    // Once more, and this time somebody else is faster: a kill, at another node. It is in force
    // everywhere although the first node still cannot write, and the late append finds its place taken.
    network.set(Weather::AppendsHeld);
    let unknown = world.raise(&world.maya, &app, "3%", "too late");
    assert_eq!(unknown.status, 202, "{}", unknown.text());
    let op = unknown.json()["op"].as_str().unwrap().to_owned();
    let killed = world.kill(&world.sven, &app, "1.2.0");
    assert_eq!(killed.status, 200, "{}", killed.text());
    world.until_killed(0, &app, "1.2.0");
    network.set(Weather::Clear);
    let revision = world.done(&killed);
    until("the op of the late one is settled", || {
        world.op(&world.maya, &op)["state"] != "unknown"
    });
    let state = world.op(&world.maya, &op);
    assert_eq!(
        (
            state["state"].as_str(),
            world.share(&world.mo, &app).as_str()
        ),
        (Some("absent"), "2%"),
        "it never happened, and its op id says so"
    );
    let again = world.raise(&world.maya, &app, "3%", "too late");
    assert_eq!(
        (again.status, again.json()),
        (200, json!({"revision": revision + 1, "op": op}))
    );
    assert_eq!(world.revision(&world.maya), revision + 1);
}

/// A hanging store: phones are served, changes end without a false success, `/readyz` says what is wrong;
/// and it is as if nothing had been when the store goes on.
#[test]
fn programs_that_hang_harm_nobody_who_does_not_need_them() {
    let world = World::new(Backing::S3Redis);
    let app = world.app(&["1.0.0", "1.1.0", "1.2.0", "1.3.0"]);
    world.rollout(&app, RAMP);
    redis_is_gone(&world, &app);
    a_node_sleeps(&world, &app);
    the_store_hangs(&world, &app);
}

/// Redis takes everything and answers nothing. A change does not wait for it, and arrives by the tick.
fn redis_is_gone(world: &World, app: &str) {
    let redis = world.cluster.redis.as_ref().unwrap();
    redis.pause();
    let since = Instant::now();
    let killed = world.kill(&world.sven, app, "1.1.0");
    assert_eq!(killed.status, 200, "{}", killed.text());
    let answered = since.elapsed();
    let slowest = (0..3)
        .map(|node| world.until_killed(node, app, "1.1.0"))
        .sum::<Duration>();
    println!(
        "Redis hangs: a kill is answered in {answered:.1?}, in force everywhere {slowest:.1?} later"
    );
    assert!(
        answered < TICK_AND_A_BIT,
        "a kill waited for Redis: {answered:?}"
    );
    assert!(
        slowest < TICK_AND_A_BIT,
        "a kill was in force {slowest:?} later"
    );
    redis.resume();
    let bus = |node: &Node| node.wire().get("/readyz", &[]).unwrap().json()["bus"] == true;
    until("the nodes find Redis again", || {
        world.cluster.nodes.iter().all(bus)
    });
    // With hints, nobody waits for a tick.
    let since = Instant::now();
    let unkilled = world
        .by(&world.maya, "POST", &format!("/apps/{app}/unkill"))
        .if_match("*");
    let body = json!({"version": "1.1.0", "reason": "no fraud"});
    world.done(&unkilled.json(&body).send());
    println!(
        "Redis goes on: a change is in force everywhere in {:.1?}",
        since.elapsed()
    );
}

/// A node sleeps through a kill. When it wakes, it learns of it.
fn a_node_sleeps(world: &World, app: &str) {
    let node = &world.cluster.nodes[1];
    node.pause();
    let killed = world.kill(&world.sven, app, "1.2.0");
    assert_eq!(killed.status, 200, "{}", killed.text());
    world.until_killed(0, app, "1.2.0");
    node.resume();
    let late = world.until_killed(1, app, "1.2.0");
    println!("a node that slept refuses {late:.1?} after it woke");
    assert!(late < TICK_AND_A_BIT, "{late:?}");
}

fn the_store_hangs(world: &World, app: &str) {
    let before = world.told(app, "phone-0001", "");
    let revision = world.revision(&world.maya);
    let weed = world.cluster.weed.as_ref().unwrap();
    weed.pause();
    let change = world.raise(&world.maya, app, "7%", "while it hangs");
    assert!(
        matches!(change.status, 202 | 503),
        "{}: {}",
        change.status,
        change.text()
    );
    let since = Instant::now();
    assert_eq!(world.told(app, "phone-0001", ""), before);
    assert!(since.elapsed() < Duration::from_secs(1), "phones waited");
    let mut ready = Value::Null;
    until("a node says that the store does not answer", || {
        ready = world.cluster.nodes[0]
            .wire()
            .get("/readyz", &[])
            .unwrap()
            .json();
        ready["store"] == false
    });
    let asof = ready["asof"].clone();
    assert_eq!(
        ready,
        json!({"ready": true, "revision": revision, "asof": asof, "store": false, "bus": true, "from": "store", "why": ["store-down"]})
    );
    weed.resume();
    until("the store answers again", || {
        let ready = world.cluster.nodes[0]
            .wire()
            .get("/readyz", &[])
            .unwrap()
            .json();
        ready["store"] == true
    });
    let again = world.raise(&world.maya, app, "7%", "while it hangs");
    assert_eq!(again.status, 200, "{}", again.text());
    let made = again.json()["revision"].as_u64().unwrap();
    assert_eq!(
        (world.done(&again), world.revision(&world.maya)),
        (made, revision + 1)
    );
    assert_eq!(world.share(&world.mo, app), "7%");
}

/// The line breaks in the middle of a bundle: the phone asks for the rest, and believes only the digest.
#[test]
fn a_phone_goes_on_where_its_download_broke_off() {
    let world = World::new(Backing::Embedded);
    let app = world.app(&["1.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");
    let line = Proxy::start(world.cluster.nodes[0].device);
    let server = format!("http://{}", line.address());
    let config = DeviceConfig {
        root: Root::of_server(&server, "bank/dev").unwrap(),
        challenges: false,
        preview: None,
        patience: Patience::default(),
        server,
        dir: world.cluster.path().join("phone"),
        host: HOST.parse().unwrap(),
        apps: vec![app.parse().unwrap()],
        profile: Profile {
            unit: "phone-0001".into(),
            ..Profile::default()
        },
    };
    let mut phone = Device::open(config).unwrap();
    line.set(Weather::CutAfter(100_000));
    let happened: Vec<What> = phone
        .cycle(uptime::now(), &mut Runs)
        .unwrap()
        .iter()
        .map(|one| one.what)
        .collect();
    assert_eq!(happened, [What::Downloaded, What::Activated]);
    assert_eq!(line.struck(), 1, "the line was not cut");
    let ranges = line.ranges();
    let from = ranges[0].trim_start_matches("bytes=").trim_end_matches('-');
    assert!(
        ranges.len() == 1 && (90_000..100_000).contains(&from.parse().unwrap_or(0)),
        "{ranges:?}"
    );
    let running = phone.running(&app.parse().unwrap());
    assert_eq!(running.map(ToString::to_string).as_deref(), Some("1.0.0"));
    world.logs_hold_nobody();
}

/// Redis is gone and the tick is long: nobody tells a node that something was killed, but a phone that has
/// heard of it from another node.
#[test]
fn a_phone_carries_news_to_a_node_that_nobody_tells() {
    let mut cluster =
        Cluster::unstarted(Path::new(env!("CARGO_BIN_EXE_huidu")), Backing::S3Redis, "");
    for node in &cluster.nodes {
        node.set("tick = \"60s\"");
        node.hides();
    }
    cluster.found();
    let mut world = World::of(cluster);
    let app = world.app(&["1.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");
    world.cluster.redis.as_mut().unwrap().kill();
    let kill = world.by(&world.ada, "POST", &format!("/apps/{app}/kill"));
    let killed = kill.json(&json!({ "reason": "fraud" })).send();
    assert_eq!(killed.status, 200, "{}", killed.text());
    let revision = killed.json()["revision"].as_u64().unwrap().to_string();

    let path = format!("/v1/manifest/{HOST}/{app}?u=phone-0001");
    let last = world.cluster.nodes.last().unwrap();
    let told = |headers: &[(&str, &str)]| {
        let reply = last.wire().get(&path, headers).unwrap();
        reply.json()["state"].clone()
    };
    assert_eq!(told(&[]), "run", "nobody told it");
    // A revision it knows makes it look at nothing.
    assert_eq!(told(&[("huidu-seen", "1")]), "run");
    assert_eq!(told(&[("huidu-seen", "nonsense")]), "run");
    told(&[("huidu-seen", &revision)]);
    until("the node looks", || told(&[]) == "killed");
}
