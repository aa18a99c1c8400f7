//! The OpenAPI document against the running server, by a program that knows nothing else of it.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    support::{server::Backing, wire::Wire},
    world::World,
};

/// Where `tests/setup.sh` puts it.
const TOOL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/target/tools/schemathesis/bin/schemathesis"
);

/// What it says of a server that serves this document, and whether it found nothing.
fn tried(dir: &Path, document: &str, token: &str, more: &[&str]) -> (bool, String) {
    let tool = if Path::new(TOOL).exists() {
        TOOL
    } else {
        "schemathesis"
    };
    let output = Command::new(tool)
        .args(["run", document, "--header"])
        .arg(format!("Authorization: Bearer {token}"))
        .args([
            "--checks",
            "not_a_server_error,response_schema_conformance,content_type_conformance,status_code_conformance",
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "8",
            "--suppress-health-check",
            "all",
            "--workers",
            "2",
            "--seed",
            "7",
            "--no-color",
        ])
        .args(more)
        .current_dir(dir)
        .output()
        .expect("schemathesis is missing; install it with `tests/setup.sh test`");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), said)
}

#[test]
fn every_answer_is_one_that_the_document_names() {
    let world = World::new(Backing::Embedded);
    let app = world.app(&["1.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");
    let node = &world.cluster.nodes[0];
    let document = format!("{}/api/v1/openapi.json", node.control_url());
    let (sound, said) = tried(world.cluster.path(), &document, world.cluster.token(), &[]);
    assert!(sound, "{said}");
    let cases = said.lines().skip_while(|line| !line.contains("Test cases"));
    println!(
        "schemathesis: {}",
        cases.skip(1).take(1).collect::<String>().trim()
    );
    assert!(!node.log().contains("panicked"), "{}", node.log());

    // It would notice: a document that promises more than the server answers.
    let mut promised = node_document(&node.control_url());
    promised["components"]["schemas"]["EyesPolicy"]["required"] = json!(["kinds", "more"]);
    let file = world.cluster.path().join("promised.json");
    fs::write(&file, promised.to_string()).unwrap();
    let url = node.control_url();
    let more = ["--url", &url, "--include-path", "/api/v1/eyes"];
    let (sound, said) = tried(
        world.cluster.path(),
        file.to_str().unwrap(),
        world.cluster.token(),
        &more,
    );
    assert!(
        !sound && said.contains("\"more\" is a required property"),
        "{said}"
    );
}

fn node_document(server: &str) -> Value {
    let address = server.trim_start_matches("http://").parse().unwrap();
    let mut wire = Wire::connect(address).unwrap();
    wire.get("/api/v1/openapi.json", &[]).unwrap().json()
}
