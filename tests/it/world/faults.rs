//! What happens in a bank when something is broken: Redis, the object store, both, or too many phones.

use std::io::{Read as _, Write as _};

use serde_json::json;

use super::{HOST, World};
use crate::support::server::{Backing, until};

/// Redis is killed in the middle: changes still reach every node, only later; and it comes back by itself.
#[test]
fn redis_may_die_and_nothing_is_lost() {
    let mut world = World::new(Backing::S3Redis);
    let app = world.app(&["1.0.0", "1.1.0"]);
    world.rollout(
        &app,
        "stable = \"1.0.0\"\n[[rule]]\nname = \"ramp\"\nshare = \"1%\"\nserve = \"1.1.0\"\n",
    );
    world.cluster.redis.as_mut().unwrap().kill();
    let path = format!("/apps/{app}/kill");
    let kill = world
        .by(&world.sven, "POST", &path)
        .json(&json!({"version": "1.1.0", "reason": "R"}))
        .send();
    // `done` waits for every node: they look by themselves, at least once in 1.2 s.
    let revision = world.done(&kill);
    until("the nodes say that Redis is gone", || {
        let ready =
            |node: &crate::support::server::Node| node.wire().get("/readyz", &[]).unwrap().json();
        world
            .cluster
            .nodes
            .iter()
            .all(|node| ready(node)["bus"] == false)
    });
    world.cluster.redis.as_mut().unwrap().start_again();
    until("the nodes find Redis again", || {
        let ready =
            |node: &crate::support::server::Node| node.wire().get("/readyz", &[]).unwrap().json();
        world
            .cluster
            .nodes
            .iter()
            .all(|node| ready(node)["bus"] == true)
    });
    let unkill = world
        .by(&world.maya, "POST", &format!("/apps/{app}/unkill"))
        .if_match("*");
    assert!(
        world.done(
            &unkill
                .json(&json!({"version": "1.1.0", "reason": "R"}))
                .send()
        ) > revision
    );
}

/// The object store is killed: phones notice nothing, changes end as refused or unknown and never as a
/// false success; a node that starts without store and Redis serves what it last knew, and says so.
#[test]
fn the_store_may_die_and_phones_notice_nothing() {
    let mut world = World::new(Backing::S3Redis);
    let app = world.app(&["1.0.0", "1.1.0"]);
    world.rollout(
        &app,
        "stable = \"1.0.0\"\n[[rule]]\nname = \"ramp\"\nshare = \"1%\"\nserve = \"1.1.0\"\n",
    );
    let before = world.told(&app, "phone-0001", "");
    world.cluster.weed.as_mut().unwrap().kill();
    assert_eq!(world.told(&app, "phone-0001", ""), before);
    let path = format!("/apps/{app}/rollout/rules/ramp/share");
    let asking = world.by(&world.maya, "PUT", &path).if_match("*");
    let change = asking.json(&json!({"share": "2%"})).send();
    assert!(
        matches!(change.status, 202 | 503),
        "{}: {}",
        change.status,
        change.text()
    );

    // Everything is gone, and a node starts anew.
    world.cluster.redis.as_mut().unwrap().kill();
    world.cluster.nodes[2].kill();
    world.cluster.nodes[2].start_again();
    let ready = world.cluster.nodes[2].wire().get("/readyz", &[]).unwrap();
    let said = ready.json();
    assert_eq!(
        (ready.status, &said["from"], &said["store"], &said["bus"]),
        (200, &json!("last-known-good"), &json!(false), &json!(false)),
        "{said}"
    );
    assert_eq!(world.told(&app, "phone-0001", ""), before);
    let refused = world
        .by(&world.mo, "PUT", &path)
        .if_match("*")
        .json(&json!({"share": "3%"}))
        .send();
    assert_eq!(refused.status, 503, "{}", refused.text());

    // All comes back: whatever was unknown is known, and the next change is made everywhere.
    world.cluster.weed.as_mut().unwrap().start_again();
    world.cluster.redis.as_mut().unwrap().start_again();
    if change.status == 202 {
        let op = change.json()["op"].as_str().unwrap().to_owned();
        until("the unknown change is settled", || {
            let state = world
                .by(&world.sven.at(0), "GET", &format!("/ops/{op}"))
                .send()
                .json();
            state["state"] == "committed"
        });
    }
    until("the node goes on from the store", || {
        let ready = world.cluster.nodes[2]
            .wire()
            .get("/readyz", &[])
            .unwrap()
            .json();
        ready["from"] == "store" && ready["store"] == true
    });
    let raised = world
        .by(&world.mo, "PUT", &path)
        .if_match("*")
        .json(&json!({"share": "4%"}))
        .send();
    world.done(&raised);
}

/// More phones than a node takes are told to come back, each at its own time.
#[test]
fn too_many_phones_are_told_when_to_come_back() {
    let world = World::with(Backing::Embedded, "max_connections = 8");
    let node = &world.cluster.nodes[0];
    let mut taken = Vec::new();
    until("all places are taken", || {
        let mut wire = node.wire();
        // Until the server has seen that earlier connections are gone, theirs are taken too.
        if wire
            .get("/healthz", &[])
            .is_ok_and(|reply| reply.status == 200)
        {
            taken.push(wire);
        }
        taken.len() == 8
    });
    let refused = node.wire().get("/healthz", &[]).unwrap();
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert_eq!(
        (refused.status, refused.header("content-type")),
        (503, "application/problem+json")
    );
    assert!(
        (1..=10).contains(&seconds) && refused.json()["code"] == "too-many-connections",
        "{}",
        refused.text()
    );
    // Those who are in are served, and a place that is given up is taken by the next.
    assert_eq!(taken[0].get("/v1/kills", &[]).unwrap().status, 200);
    taken.pop();
    until("the place is free", || {
        node.wire()
            .get("/healthz", &[])
            .is_ok_and(|reply| reply.status == 200)
    });
}

/// A phone that says half a sentence is not waited for.
#[test]
fn a_head_that_never_ends_is_cut_off() {
    let world = World::new(Backing::Embedded);
    let mut slow = std::net::TcpStream::connect(world.cluster.nodes[0].device).unwrap();
    slow.write_all(
        format!("GET /v1/manifest/{HOST}/a/b?u=phone-1 HTTP/1.1\r\nhost: x\r\n").as_bytes(),
    )
    .unwrap();
    slow.set_read_timeout(Some(std::time::Duration::from_secs(30)))
        .unwrap();
    let mut rest = Vec::new();
    let _cut_off = slow.read_to_end(&mut rest);
    assert!(
        rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"),
        "{}",
        String::from_utf8_lossy(&rest)
    );
}
