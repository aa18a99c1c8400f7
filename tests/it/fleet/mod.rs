//! Many nodes as one: who is there, who is wrong, one that stops, one that starts with nothing but its copy, one that
//! is asked for more than it can. Real processes on a real S3 and a real Redis.

mod cold;
mod drain;
mod overload;

use std::{fs, process::Command, sync::Arc, time::Duration};

use ed25519_dalek::SigningKey;
use huidu::{
    backoff::Backoff,
    clock::{Ids as _, RandomIds, System},
    ledger::{Appended, Ledger, Parts, Start, Want},
};
use huidu_core::{authority::Role, catalogue::Catalogue, event::Actor};
use serde_json::{Value, json};

use crate::{
    support::{
        server::{Backing, Node, until},
        wire::Wire,
    },
    world::{HOST, World},
};

impl World {
    fn fleet(&self, node: usize) -> Value {
        let reply = self.by(&self.sven.at(node), "GET", "/fleet").send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// Waits until every node sees all of them ready, and in one state.
    fn agrees(&self) {
        // What nodes said a second ago may all be of a revision ago.
        let status = self.by(&self.maya, "GET", "/status").send().json();
        for node in 0..self.cluster.nodes.len() {
            until("the fleet agrees", || {
                let fleet = self.fleet(node);
                let nodes = fleet["nodes"].as_array().unwrap();
                nodes.len() == self.cluster.nodes.len()
                    && nodes.iter().all(|one| {
                        one["standing"] == "ready"
                            && one["agrees"] == true
                            && one["state_revision"] == status["revision"]
                    })
            });
        }
    }
}

fn metric(node: &Node, name: &str) -> i64 {
    let mut wire = Wire::connect(node.control).unwrap();
    let text = wire.get("/metrics", &[]).unwrap().text();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

fn standing(fleet: &Value, node: &str) -> Value {
    let nodes = fleet["nodes"].as_array().unwrap();
    let found = nodes.iter().find(|one| one["node"] == node);
    found.map_or(Value::Null, |one| one["standing"].clone())
}

#[test]
fn everybody_sees_every_node_and_who_is_silent() {
    let mut world = World::new(Backing::S3Redis);
    world.app(&["1.0.0"]);
    world.agrees();
    let fleet = world.fleet(0);
    let states: Vec<&Value> = (fleet["nodes"].as_array().unwrap().iter())
        .map(|one| &one["state"])
        .collect();
    assert!(
        states[0].is_string() && states.iter().all(|one| *one == states[0]),
        "{fleet}"
    );
    assert_eq!(
        (&fleet["agrees"], &fleet["node"]),
        (&json!(true), &json!("node-0"))
    );
    assert!(
        fleet["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["signed"] == true)
    );
    let typed = Command::new(env!("CARGO_BIN_EXE_huidu"))
        .args(["fleet", "--server", &world.cluster.nodes[1].control_url()])
        .args(["--token", world.cluster.token()])
        .output()
        .unwrap();
    let said = String::from_utf8(typed.stdout).unwrap();
    assert!(
        typed.status.success(),
        "{}",
        String::from_utf8_lossy(&typed.stderr)
    );
    assert!(
        said.contains("node-1*  ready") && said.lines().count() == 4,
        "{said}"
    );
    let refused = world.by(&world.ping, "GET", "/fleet").send();
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(metric(&world.cluster.nodes[0], "huidu_fleet_nodes "), 3);

    // Redis dies: each node still says what it is, and the others ask it themselves.
    world.cluster.redis.as_mut().unwrap().kill();
    until("the node notices", || {
        metric(&world.cluster.nodes[0], "huidu_bus_up ") == 0
    });
    let heard = || {
        let fleet = world.fleet(0);
        let nodes = fleet["nodes"].as_array().unwrap().iter();
        let others = nodes.filter(|one| one["node"] != "node-0");
        let told = others.map(|one| (one["standing"].clone(), one["asof"].to_string()));
        told.collect::<Vec<_>>()
    };
    let amiss = |told: &(Value, String)| told.0 == "degraded";
    until("the others say themselves that something is amiss", || {
        heard().iter().all(amiss)
    });
    let before = heard();
    until("they are heard again and again", || {
        let now = heard();
        let mut both = before.iter().zip(&now);
        now.iter().all(amiss) && both.all(|(before, now)| before.1 < now.1)
    });
    let mut wire = Wire::connect(world.cluster.nodes[2].control).unwrap();
    let beat = wire.get("/peer/v1/beat", &[]).unwrap();
    assert_eq!(beat.status, 200);
    assert!(
        beat.text().starts_with("{\"node\":\"node-2\""),
        "{}",
        beat.text()
    );
    world.cluster.redis.as_mut().unwrap().start_again();
    world.agrees();

    // A node dies.
    world.cluster.nodes[2].kill();
    until("it is silent", || {
        standing(&world.fleet(0), "node-2") == "silent"
    });
    assert_eq!(
        metric(&world.cluster.nodes[0], "huidu_fleet_silent_nodes "),
        1
    );
    assert_eq!(world.fleet(0)["agrees"], true);
    world.cluster.nodes[2].start_again();
    world.agrees();
}

/// Somebody with our log key writes a checkpoint that is not what the ledger says, and vouches for it.
async fn plant(world: &World) {
    let key = fs::read_to_string(world.cluster.nodes[0].dir.join("log.key")).unwrap();
    let bytes: Vec<u8> = (0..32)
        .map(|n| u8::from_str_radix(&key[2 * n..2 * n + 2], 16).unwrap())
        .collect();
    let key = SigningKey::from_bytes(&bytes.try_into().unwrap());
    let ids = Arc::new(RandomIds::new().unwrap());
    let want = Want {
        op: ids.op(),
        ask: None,
        actor: Actor {
            id: huidu::node::SELF.into(),
            role: Role::Admin,
        },
        approvals: Vec::new(),
        why: None,
    };
    let nobody = ids.op();
    let parts = Parts {
        store: world.cluster.store(),
        clock: Arc::new(System),
        ids,
        backoff: Backoff::new(Duration::from_millis(5), Duration::from_secs(1), 1),
        node: "somebody".into(),
        signer: Some(Arc::new(key)),
    };
    let mut ledger = Ledger::open(parts, Catalogue::default(), Start::default())
        .await
        .unwrap();
    let hosts = &mut ledger.fold_mut().hosts;
    *hosts.get_mut(HOST).unwrap() = "somebody else's".into();
    ledger.checkpoint().await.unwrap();
    let ended = ledger.cancel(nobody, want, Duration::from_secs(10)).await;
    assert!(matches!(ended, Ok(Appended::Voided(_))), "{ended:?}");
}

#[test]
fn a_node_that_begins_from_a_wrong_checkpoint_is_found_and_repairs_itself() {
    let mut world = World::new(Backing::S3Redis);
    let app = world.app(&["1.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");
    world.agrees();
    let told = world.told(&app, "phone-1", "");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(plant(&world));
    world.agrees();
    world.cluster.nodes[1].start_again();
    let log = |node: &Node| fs::read_to_string(node.dir.join("huidu.log")).unwrap();
    until("it is found and repaired", || {
        log(&world.cluster.nodes[1]).contains("this node has what the ledger says again")
    });
    let said = log(&world.cluster.nodes[1]);
    assert!(said.contains("ALARM: this node is quarantined"), "{said}");
    world.agrees();
    let node = &world.cluster.nodes[1];
    assert_eq!(
        metric(node, "huidu_state_verifications_total{outcome=\"wrong\"} "),
        1
    );
    assert_eq!(metric(node, "huidu_quarantined "), 0);
    for n in [0, 2] {
        let node = &world.cluster.nodes[n];
        assert!(!log(node).contains("quarantined"), "the others go on");
    }
    let hosts = world.by(&world.sven.at(1), "GET", "/hosts").send().json();
    assert_eq!(hosts[0]["title"], "零售银行", "{hosts}");
    assert_eq!(world.told(&app, "phone-1", ""), told);
    // And it writes again.
    let ada = world.ada.at(1);
    let added = world.by(&ada, "POST", "/hosts");
    world.done(&added.json(&json!({"host": "other", "title": ""})).send());
    world.agrees();
}
