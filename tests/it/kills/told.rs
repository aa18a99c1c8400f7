//! How a kill is told: to people in a terminal, and to nodes whose private port speaks TLS.

use std::{fs, process::Command};

use rcgen::{CertifiedKey, generate_simple_self_signed};

use super::*;

/// What somebody types, and what is said: the exit code and what is written to stdout.
fn types(world: &World, args: &[&str]) -> (Option<i32>, String) {
    let typed = Command::new(env!("CARGO_BIN_EXE_huidu"))
        .args(args)
        .args(["--server", &world.cluster.nodes[0].control_url()])
        .args(["--token", world.cluster.token()])
        .output()
        .unwrap();
    let said = String::from_utf8(typed.stdout).unwrap();
    (typed.status.code(), said)
}

/// The store is down: the terminal says that it is killed, that the ledger does not have it, on which nodes, and
/// how to look again; and says so until the ledger has it.
#[test]
fn a_terminal_says_what_is_provisional_and_where_it_is_in_force() {
    let (world, store) = world_and_store();
    let app = world.app(&["1.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");
    down(&store);
    world.store_answers(false);
    let (code, said) = types(&world, &["kill", &app, "--reason", "fraud", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("is killed: PROVISIONAL"), "{said}");
    for node in ["node-0", "node-1", "node-2"] {
        assert!(
            said.contains(&format!("  {node}: refuses it after ")),
            "{said}"
        );
    }
    assert!(
        !said.contains("NOT REACHED") && !said.contains("NOT on its disk"),
        "{said}"
    );
    let again = said.lines().last().unwrap();
    let op = again
        .strip_prefix("how it stands: huidu kill --receipt ")
        .unwrap();
    let (code, said) = types(&world, &["kill", "--receipt", op]);
    assert!(
        code == Some(0) && said.starts_with("PROVISIONAL\n"),
        "{said}"
    );
    let (code, said) = types(&world, &["kill", "--receipt", op, "--json"]);
    let told: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &told["state"]), (Some(0), &json!("provisional")));

    store.set(Weather::Clear);
    until("the ledger has it", || {
        let (_, said) = types(&world, &["kill", "--receipt", op]);
        said.starts_with("COMMITTED (revision ") && said.contains("no older answer is valid after ")
    });
    let (code, _) = types(&world, &["kill", "--receipt", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]);
    assert_ne!(code, Some(0), "nobody asked for that");
}

/// One node's private port speaks TLS. Who trusts its certificate tells it; who does not says why it could not.
#[test]
fn a_node_is_told_over_tls_by_whoever_trusts_its_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (chain, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    fs::write(&chain, cert.pem()).unwrap();
    fs::write(&key, signing_key.serialize_pem()).unwrap();
    let named = |n: usize, url: &str| match n {
        1 => url.replace("http://", "https://"),
        _ => url.to_owned(),
    };
    let (world, store) = world_with(named, |n, node| match n {
        1 => {
            let plain = format!("[control]\nlisten = \"{}\"\n", node.control);
            let (chain, key) = (chain.display(), key.display());
            let tls = format!("{plain}tls.cert = \"{chain}\"\ntls.key = \"{key}\"\n");
            node.reroute(&plain, &tls);
        }
        2 => node.set(&format!("peers_ca_file = \"{}\"", chain.display())),
        _ => {}
    });
    let (app, other) = (world.app(&["1.0.0"]), world.app(&["1.0.0"]));
    for app in [&app, &other] {
        world.rollout(app, "stable = \"1.0.0\"\n");
    }
    world.cluster.redis.as_ref().unwrap().pause();
    down(&store);
    world.store_answers(false);
    let receipt = world.kills(&app).json()["receipt"].clone();
    let nodes = receipt["nodes"].as_array().unwrap().iter();
    let nodes: Vec<&Value> = nodes.map(|node| &node["node"]).collect();
    assert_eq!(nodes, ["node-0", "node-1", "node-2"], "{receipt}");
    assert_eq!(world.state(1, &app), "killed");

    let asking = world.by(&world.ada, "POST", &format!("/apps/{other}/kill"));
    let receipt = asking.json(&json!({"reason": "fraud"})).send().json()["receipt"].clone();
    let nodes = receipt["nodes"].as_array().unwrap().iter();
    let nodes: Vec<&Value> = nodes.map(|node| &node["node"]).collect();
    assert_eq!(nodes, ["node-0", "node-2"], "{receipt}");
    let unreached = receipt["unreached"].as_array().unwrap();
    let [one] = unreached.as_slice() else {
        panic!("{receipt}");
    };
    assert!(
        one["address"].as_str().unwrap().starts_with("https://"),
        "{one}"
    );
    assert!(
        one["why"].as_str().unwrap().contains("certificate"),
        "{one}"
    );
    assert_eq!(world.state(1, &other), "run");
    world.cluster.redis.as_ref().unwrap().resume();
}
