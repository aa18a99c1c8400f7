//! What a kill outlasts: its taker, a peer, the store, Redis, and whoever writes into Redis.

use std::{fs, time::Duration};

use huidu::{
    backoff::Backoff,
    bus::{
        Bus as _, contract,
        redis::{RedisBus, RedisSettings},
    },
};

use super::*;

/// The store is down, then the taker and a peer are killed without warning and started again: the kill is in force
/// on both before anybody can ask them anything, and the ledger gets it once it can be written.
#[test]
fn a_provisional_kill_outlasts_kill_9_of_its_taker_and_of_a_peer() {
    let (mut world, store) = world_and_store();
    let (app, other) = (world.app(&["1.0.0"]), world.app(&["1.0.0"]));
    for app in [&app, &other] {
        world.rollout(app, "stable = \"1.0.0\"\n");
    }
    let ready = world
        .by(&world.maya, "POST", "/apps")
        .json(&json!({"app": "pingan/last"}));
    let before = world.done(&ready.send());
    down(&store);
    world.store_answers(false);
    let killed = world.kills(&app);
    assert_eq!(killed.status, 202, "{}", killed.text());
    let told = killed.json();
    let op = told["op"].as_str().unwrap().to_owned();
    assert_eq!(killed.header("location"), format!("/api/v1/kills/{op}"));
    let receipt = &told["receipt"];
    assert_eq!(
        (&told["state"], &receipt["state"]),
        (&json!("provisional"), &json!("provisional"))
    );
    let names: Vec<&str> = receipt["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["node"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["node-0", "node-1", "node-2"]);
    assert_eq!(receipt["unreached"], json!([]));
    assert!(
        receipt["kept_at"].is_string() && receipt["complete_by"].is_string(),
        "{receipt}"
    );

    for node in [2, 0] {
        world.cluster.nodes[node].start_again();
        assert_eq!(
            world.state(node, &app),
            "killed",
            "from its first answer on"
        );
    }
    assert!((0..3).all(|node| world.state(node, &other) == "run"));
    // What brings it back is not for the fast way.
    let unkill = world
        .by(&world.maya, "POST", &format!("/apps/{app}/unkill"))
        .if_match("*");
    let unkill = unkill.json(&json!({"reason": "no fraud"})).send();
    assert!(matches!(unkill.status, 202 | 503), "{}", unkill.text());
    assert!((0..3).all(|node| world.state(node, &app) == "killed"));

    store.set(Weather::Clear);
    world.store_answers(true);
    for node in 0..3 {
        until("the ledger has it", || {
            let sven = world.sven.at(node);
            let state = world.by(&sven, "GET", &format!("/ops/{op}")).send().json();
            state["state"] == "committed"
        });
        let kept = world.cluster.nodes[node].dir.join("kills");
        until("its file goes", || {
            fs::read_dir(&kept).unwrap().count() == 0
        });
    }
    let receipt = world.receipt(&op);
    assert_eq!(receipt["state"], "committed", "{receipt}");
    assert!(receipt["revision"].as_u64().unwrap() > before);
    let unkill = world
        .by(&world.maya, "POST", &format!("/apps/{app}/unkill"))
        .if_match("*");
    world.done(&unkill.json(&json!({"reason": "no fraud"})).send());
    assert!((0..3).all(|node| world.state(node, &app) == "run"));
}

/// The same look finds a node that forgets: here its disk is wiped between its end and its start.
#[test]
fn the_same_look_finds_a_node_that_forgets_what_was_provisional() {
    let (mut world, store) = world_and_store();
    let app = world.app(&["1.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");
    let ready = world
        .by(&world.maya, "POST", "/apps")
        .json(&json!({"app": "pingan/last"}));
    world.done(&ready.send());
    down(&store);
    world.store_answers(false);
    assert_eq!(world.kills(&app).status, 202);
    // Nobody is left who could tell it again.
    for node in [0, 2] {
        world.cluster.nodes[node].kill();
    }
    let node = &mut world.cluster.nodes[1];
    node.kill();
    for entry in fs::read_dir(node.dir.join("kills")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    node.start_again();
    assert_eq!(world.state(1, &app), "run");
}

/// Somebody writes into Redis, and has seen everything that ever went through it.
#[test]
fn a_hostile_redis_kills_nothing_and_brings_nothing_back() {
    let (world, _store) = world_and_store();
    let app = world.app(&["1.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let bus = RedisBus::start(RedisSettings {
        url: world.cluster.redis.as_ref().unwrap().url(),
        channel: "huidu:hints:bank/dev".into(),
        timeout: Duration::from_secs(2),
        ping_every: Duration::from_millis(200),
        backoff: Backoff::new(Duration::from_millis(20), Duration::from_millis(200), 9),
    });
    let bus = bus.unwrap();
    runtime.block_on(contract::becomes_healthy(&bus));
    let mut heard = bus.notices();
    let killed = world.kills(&app);
    world.done(&killed);
    let notice = runtime.block_on(heard.recv()).unwrap();
    let unkill = world
        .by(&world.maya, "POST", &format!("/apps/{app}/unkill"))
        .if_match("*");
    world.done(&unkill.json(&json!({"reason": "no fraud"})).send());
    // The same again, and every notice that differs from it in one place.
    let (mut forged, mut refused) = (0, 0);
    for _ in 0..5 {
        bus.spread(notice.clone());
    }
    for at in (0..notice.len()).step_by(5) {
        let mut changed = notice.to_vec();
        changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
        bus.spread(changed.clone().into());
        for node in &world.cluster.nodes {
            let mut wire = crate::support::wire::Wire::connect(node.control).unwrap();
            let reply = wire.ask("POST", "/peer/v1/kills", &[], &changed).unwrap();
            assert!(matches!(reply.status, 400 | 403 | 409), "{}", reply.text());
            refused += 1;
        }
        forged += 1;
    }
    let mut wire = crate::support::wire::Wire::connect(world.cluster.nodes[1].control).unwrap();
    let endless = vec![b'{'; 200_000];
    assert_eq!(
        wire.ask("POST", "/peer/v1/kills", &[], &endless)
            .unwrap()
            .status,
        413
    );
    // A kill behind them goes through all of that, so all of it was looked at.
    let other = world.app(&["1.0.0"]);
    world.done(&world.kills(&other));
    until("every node refuses it", || {
        (0..3).all(|node| world.state(node, &other) == "killed")
    });
    assert!((0..3).all(|node| world.state(node, &app) == "run"));
    println!("figure: forged notices by Redis {forged} and by posts {refused}, put in force: 0");
    world.logs_hold_nobody();
}
