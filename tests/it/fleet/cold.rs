//! A node that starts while the store and Redis are both gone: how soon it answers, how many it answers, and that
//! it is honest about how old that is.

use std::time::{Duration, Instant};

use huidu_core::seal::SignedStamp;

use crate::{
    support::{
        server::{Backing, Node},
        wire::Wire,
    },
    world::{HOST, World},
};

/// Polls of one look, by two phones.
const POLLS: usize = 15_000;

/// Polls that a node answers for a second of processor time, at best of three looks. Time on the wall would tell
/// what else the machine does.
fn polls_of_a_cpu_second(node: &Node, path: &str) -> f64 {
    let once = || {
        let before = node.cpu();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut wire = node.wire();
                    for _ in 0..POLLS / 2 {
                        assert_eq!(wire.get(path, &[]).unwrap().status, 200);
                    }
                });
            }
        });
        POLLS as f64 / (node.cpu() - before).as_secs_f64()
    };
    (0..3).map(|_| once()).fold(0.0, f64::max)
}

#[test]
fn a_node_starts_with_nothing_but_its_copy_and_answers_as_before() {
    let mut world = World::new(Backing::S3Redis);
    let app = world.app(&["1.0.0", "1.1.0"]);
    world.rollout(
        &app,
        "stable = \"1.0.0\"\n[[rule]]\nname = \"ramp\"\nshare = \"50%\"\nserve = \"1.1.0\"\n",
    );
    let path = format!("/v1/manifest/{HOST}/{app}?u=phone-1");
    let device = world.cluster.nodes[2].device;
    let poll = || Wire::connect(device).and_then(|mut wire| wire.get(&path, &[]));
    let before = poll().unwrap();
    let healthy = polls_of_a_cpu_second(&world.cluster.nodes[2], &path);
    // What it knows is on its disk when it ends.
    world.cluster.nodes[2].terminate();
    world.cluster.weed.as_mut().unwrap().kill();
    world.cluster.redis.as_mut().unwrap().kill();
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let since = Instant::now();
        world.cluster.nodes[2].launch();
        let answer = loop {
            match poll() {
                Ok(reply) if reply.status == 200 => break reply,
                _ => assert!(
                    since.elapsed() < Duration::from_secs(60),
                    "{}",
                    world.cluster.nodes[2].log()
                ),
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        best = best.min(since.elapsed());
        assert_eq!(
            answer.body, before.body,
            "the first answer is the right one"
        );
    }
    let said = Wire::connect(device).unwrap().get("/readyz", &[]).unwrap();
    assert_eq!(
        (said.status, said.json()["from"].as_str()),
        (200, Some("last-known-good"))
    );
    let why = said.json()["why"].to_string();
    assert_eq!(why, r#"["last-known-good","store-down","bus-down"]"#);
    let alone = polls_of_a_cpu_second(&world.cluster.nodes[2], &path);
    // A device reads in the stamp that nobody has known since: it is bounded by its lease, not by our word.
    let asof = |reply: &crate::support::wire::Reply| {
        let stamp = SignedStamp::parse(reply.header("huidu-stamp")).unwrap();
        stamp.stamp().unwrap().asof
    };
    for _ in 0..10 {
        assert!(
            asof(&poll().unwrap()) <= asof(&before),
            "no time was invented"
        );
    }
    println!(
        "figure: cold start without store and Redis, first right answer after {} ms; polls of a healthy node {:.2}",
        best.as_millis(),
        alone / healthy
    );
    assert!(best < Duration::from_secs(30), "{best:?}");
    assert!(alone > healthy * 0.5, "{alone} of {healthy}");
}
