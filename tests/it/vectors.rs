//! The golden vectors, held against a verifier in another language and by another cryptography.

use std::{fs, process::Command};

use serde_json::{Value, json};

const VERIFIER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/verify.py");
const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/verify.json");

/// What the verifier says of a file of vectors, and whether it agrees.
fn verified(vectors: &str) -> (bool, Value) {
    let output = Command::new("python3").args([VERIFIER, vectors]).output();
    let output = output.expect("python3 is missing; install it with `apt-get install python3`");
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(
        !why.contains("ModuleNotFoundError"),
        "the PyPI package is missing; install it with `pip install cryptography`: {why}"
    );
    let said = serde_json::from_slice(&output.stdout);
    (
        output.status.success(),
        said.unwrap_or_else(|_| panic!("{why}")),
    )
}

#[test]
fn a_verifier_in_another_language_comes_to_the_same_verdicts() {
    let (agrees, said) = verified(VECTORS);
    println!("{said}");
    assert!(agrees, "{said}");
    assert!(
        said["cases"].as_u64() > Some(140) && said["changed_bits"].as_u64() > Some(10_000),
        "{said}"
    );
    for (kind, least) in [
        ("hear", 60),
        ("follow", 25),
        ("kills", 8),
        ("start", 14),
        ("stamp", 1),
        ("encoding", 30),
    ] {
        assert!(
            said["kinds"][kind].as_u64() >= Some(least),
            "{kind}: {said}"
        );
    }
}

#[test]
fn it_would_notice_a_verdict_that_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let mut vectors: Value = serde_json::from_slice(&fs::read(VECTORS).unwrap()).unwrap();
    let cases = vectors.as_array_mut().unwrap();
    let thief = cases.iter_mut().rev();
    let mut thief = thief.filter(|case| case["verdict"]["doubted"] == "permissions");
    thief.next().unwrap()["verdict"] = json!({ "run": ["camera", "contacts"] });
    // And one of each other kind is told wrongly.
    for (kind, lie) in [
        ("follow", json!({ "followed": 99 })),
        ("kills", json!("nothing")),
        ("start", json!("forbidden")),
        ("stamp", json!({ "kid": "0000000000000000" })),
        ("encoding", json!({ "fine": 0 })),
    ] {
        let mut of_kind = cases.iter_mut().filter(|case| case["kind"] == kind);
        of_kind.next().unwrap()["verdict"] = lie;
    }
    let file = dir.path().join("planted.json");
    fs::write(&file, vectors.to_string()).unwrap();
    let (agrees, said) = verified(file.to_str().unwrap());
    assert!(!agrees && said["disagreements"] == 6, "{said}");
}
