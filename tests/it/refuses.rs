//! A store that does not enforce what the ledger stands on: `huidu store check` says which promise it
//! breaks, and `huidu serve` does not start on it.

use std::process::{Command, Output};

use crate::support::{
    components::{Forgetful, Weed},
    dialects::{self, Dialect},
};

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

/// Every way in which a store is known to have broken a promise: `huidu store check` names the promise and what
/// it saw, and takes no such store for one that any number of nodes may write to.
#[test]
fn every_dialect_of_a_bad_store_is_refused_by_the_name_of_its_fault() {
    const OVERWRITTEN: &str = "an existing object was created again";
    let (repeated, racing) = ("repeated create", "racing creates");
    let (unusable, single) = ("unusable: ", "single-writer: ");
    let table: &[(Dialect, usize, &[&str], &str, &str)] = &[
        (
            Dialect::Ignores,
            1,
            &[repeated, racing],
            OVERWRITTEN,
            unusable,
        ),
        (Dialect::LooksThenWrites, 1, &[racing], "winners of", single),
        (
            Dialect::LooksThenRenames,
            1,
            &[racing],
            "winners of",
            single,
        ),
        (
            Dialect::LooksAtOneGateway,
            2,
            &[racing],
            "winners of",
            single,
        ),
        (Dialect::Says304, 1, &[repeated], "304", unusable),
        (Dialect::Says409, 1, &[repeated], "409", unusable),
        (
            Dialect::OssHeader,
            1,
            &[repeated, racing],
            OVERWRITTEN,
            unusable,
        ),
        (
            Dialect::CosHeader,
            1,
            &[repeated, racing],
            OVERWRITTEN,
            unusable,
        ),
        (
            Dialect::StarIsATag,
            1,
            &[repeated, racing],
            OVERWRITTEN,
            unusable,
        ),
        (
            Dialect::Versioned,
            1,
            &[repeated, racing],
            OVERWRITTEN,
            unusable,
        ),
        (
            Dialect::StaleList,
            1,
            &["list after put"],
            "objects",
            unusable,
        ),
        (
            Dialect::Kept404,
            1,
            &["get after put"],
            "reading what was just written failed",
            unusable,
        ),
        (
            Dialect::ConfirmsRepeats,
            1,
            &[repeated, racing],
            OVERWRITTEN,
            unusable,
        ),
    ];
    let check = |dialect, gateways| {
        let store = dialects::Store::start(dialect, gateways);
        let checked = huidu(
            &["store", "check", "--quick"],
            &store.endpoints(),
            dialects::Store::BUCKET,
            "key",
            "secret",
        );
        let said = String::from_utf8(checked.stdout).unwrap();
        (checked.status.code(), said)
    };
    for gateways in [1, 2] {
        let (code, said) = check(Dialect::Honest, gateways);
        assert_eq!(code, Some(0), "the double itself is at fault: {said}");
        assert!(said.contains("multi-writer"), "{said}");
    }
    for (dialect, gateways, promises, seen, verdict) in table {
        let (code, said) = check(*dialect, *gateways);
        assert_eq!(code, Some(1), "{dialect:?}: {said}");
        let broken: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("BROKEN"))
            .collect();
        for promise in *promises {
            let named = broken.iter().any(|line| line.starts_with(promise));
            assert!(named, "{dialect:?} is not told by `{promise}`: {said}");
        }
        assert!(
            broken.iter().any(|line| line.contains(seen)),
            "{dialect:?}: `{seen}` is not said: {said}"
        );
        let last = said.lines().last().unwrap_or_default();
        assert!(last.starts_with(verdict), "{dialect:?}: {said}");
    }
    // Of one gateway alone this fault cannot be seen: it is exact.
    assert_eq!(check(Dialect::LooksAtOneGateway, 1).0, Some(0));
    println!(
        "figure: known-bad stores {} refused, taken for good: 0",
        table.len()
    );
}
