//! A store that does not enforce what the ledger stands on: `huidu store check` says which promise it
//! breaks, and `huidu serve` does not start on it.

use std::process::{Command, Output};

use crate::support::components::{Forgetful, Weed};

/// Runs the binary on an S3.
fn huidu(verb: &[&str], endpoint: &str, bucket: &str, key: &str, secret: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let [endpoint, bucket, key] = [
        format!("store.endpoints={endpoint}"),
        format!("store.bucket={bucket}"),
        format!("store.access_key={key}"),
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_huidu"));
    command.args(verb).arg("--data-dir").arg(dir.path());
    for setting in ["store.kind=s3", &endpoint, &bucket, &key] {
        command.args(["--set", setting]);
    }
    command
        .env("HUIDU_STORE__SECRET_KEY", secret)
        .output()
        .unwrap()
}

#[test]
fn a_store_that_ignores_conditions_is_found_out_and_not_served_from() {
    let store = Forgetful::start();
    let run = |verb: &[&str]| {
        huidu(
            verb,
            &store.endpoint(),
            Forgetful::BUCKET,
            Forgetful::KEY,
            Forgetful::KEY,
        )
    };
    let checked = run(&["store", "check", "--quick"]);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    let broken: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("BROKEN"))
        .collect();
    assert!(
        matches!(broken[..], [repeated, racing] if repeated.starts_with("repeated create") && racing.starts_with("racing creates")),
        "{said}"
    );
    assert!(
        said.ends_with("unusable: choose a store that enforces `If-None-Match: *`\n"),
        "{said}"
    );

    let served = run(&[
        "serve",
        "--device-listen",
        "127.0.0.1:0",
        "--control-listen",
        "127.0.0.1:0",
    ]);
    let said = String::from_utf8(served.stderr).unwrap();
    assert_eq!(served.status.code(), Some(1), "{said}");
    assert!(said.contains("the store is unusable"), "{said}");
}

#[test]
fn a_store_that_enforces_them_passes() {
    let weed = Weed::start();
    let s3 = weed.settings();
    let checked = huidu(
        &["store", "check", "--quick"],
        &s3.endpoint,
        &s3.bucket,
        &s3.access_key,
        &s3.secret_key,
    );
    let said = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(0), "{said}");
    assert!(said.contains("multi-writer"), "{said}");
}
