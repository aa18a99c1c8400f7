//! Planted mistakes: every check finds each kind it is there for, and lets its harmless neighbour pass.

use crate::{
    CHECKS, files,
    tree::{Fault, Tree},
};

/// What the check `name` says about a tree of these files, stale rows aside.
fn told(name: &str, planted: &[(&str, &str)]) -> Vec<String> {
    let (_, check) = CHECKS.iter().find(|(known, _)| *known == name).unwrap();
    let faults = check(&Tree::of(planted));
    let here = |fault: &&Fault| planted.iter().any(|(path, _)| fault.file == *path);
    faults
        .iter()
        .filter(here)
        .map(ToString::to_string)
        .collect()
}

/// One row: the check, a file and its text, and how what is said of it begins ("" when nothing is).
type Row = (&'static str, &'static str, &'static str, &'static str);

const ROWS: &[Row] = &[
    (
        "rooms",
        "src/store/x.rs",
        "use crate::node::Node;",
        "1: names `crate::node::Node`: `store` does not know `node`",
    ),
    (
        "rooms",
        "src/store/x.rs",
        "fn f() { super::super::device::g() }",
        "1: names `crate::device::g`: `store` does not know `device`",
    ),
    (
        "rooms",
        "src/store/x.rs",
        "use crate::*;",
        "1: names `crate::*`: `store` does not know `*`",
    ),
    (
        "rooms",
        "src/store/x.rs",
        "use super::*;\nuse crate::store::Key;\n// use crate::node::Node;",
        "",
    ),
    (
        "rooms",
        "src/device/x.rs",
        "use crate::{\n    http::problem,\n    store::Key,\n};",
        "3: names `crate::store::Key`: `device` does not know `store`",
    ),
    (
        "rooms",
        "src/device/x.rs",
        "use crate::ledger::Follow;",
        "1: names `crate::ledger::Follow`: `device` does not know `ledger`",
    ),
    (
        "rooms",
        "src/device/x.rs",
        "use crate::bus::Bus;",
        "1: names `crate::bus::Bus`: `device` does not know `bus`",
    ),
    (
        "rooms",
        "src/device/x.rs",
        "use crate::control::wire;",
        "1: names `crate::control::wire`: `device` does not know `control`",
    ),
    (
        "rooms",
        "src/device/x.rs",
        "#[cfg(test)]\nmod tests { use crate::store::Key; }",
        "",
    ),
    (
        "rooms",
        "src/device/x.rs",
        "#[cfg(test)]\nmod tests { use crate::control::wire; }",
        "2: names `crate::control::wire`: `device` does not know `control` even in tests",
    ),
    (
        "rooms",
        "src/control/x.rs",
        "use crate::device::Origin;",
        "1: names `crate::device::Origin`: `control` does not know `device`",
    ),
    (
        "rooms",
        "src/control/x.rs",
        "use crate::bus::Bus;",
        "1: names `crate::bus::Bus`: `control` does not know `bus`",
    ),
    (
        "rooms",
        "src/node/x.rs",
        "use crate::http::serve;",
        "1: names `crate::http::serve`: `node` does not know `http`",
    ),
    (
        "rooms",
        "src/ledger/x.rs",
        "use crate::bus::Bus;",
        "1: names `crate::bus::Bus`: `ledger` does not know `bus`",
    ),
    (
        "rooms",
        "src/client/x.rs",
        "use crate::node::Node;",
        "1: names `crate::node::Node`: `client` does not know `node`",
    ),
    (
        "rooms",
        "src/main.rs",
        "use huidu::node::Node;",
        "1: names `crate::node::Node`: `main` does not know `node`",
    ),
    ("rooms", "src/main.rs", "use huidu::cli::run;", ""),
    (
        "rooms",
        "src/attic.rs",
        "",
        "0: is in no room; give it a row in tests/tidy/direction.rs",
    ),
    (
        "core rooms",
        "src/core/name.rs",
        "use crate::rollout::Rollout;",
        "1: names `crate::rollout::Rollout`: `words` does not know `written`",
    ),
    (
        "core rooms",
        "src/core/resolve.rs",
        "use crate::decide::decide;",
        "1: names `crate::decide::decide`: `told` does not know `judged`",
    ),
    (
        "core rooms",
        "src/core/rulefile/walk.rs",
        "use crate::compile::compile;",
        "1: names `crate::compile::compile`: `judged` does not know `told`",
    ),
    (
        "core rooms",
        "src/core/rulefile/walk.rs",
        "use crate::rollout::Rollout;",
        "",
    ),
    (
        "core rooms",
        "src/core/attic.rs",
        "",
        "0: is in no room; give it a row in tests/tidy/direction.rs",
    ),
    (
        "only",
        "src/node/x.rs",
        "use aws_sdk_s3::Client;",
        "1: names `aws_sdk_s3::Client`: one file knows S3: store/s3",
    ),
    (
        "only",
        "src/store/s3_more.rs",
        "use aws_sdk_s3::Client;",
        "1: names `aws_sdk_s3::Client`: one file knows S3: store/s3",
    ),
    ("only", "src/store/s3/x.rs", "use aws_sdk_s3::Client;", ""),
    (
        "only",
        "src/node/feedback/registers.rs",
        "fn f() { redis::cmd(\"GET\"); }",
        "1: names `redis::cmd`",
    ),
    (
        "only",
        "src/device/x.rs",
        "use axum::Router;",
        "1: names `axum::Router`",
    ),
    (
        "only",
        "src/device/x.rs",
        "#[derive(utoipa::ToSchema)]\nstruct A;",
        "1: names `utoipa::ToSchema`",
    ),
    (
        "only",
        "src/control/x.rs",
        "use hyper::Request;",
        "1: names `hyper::Request`",
    ),
    (
        "only",
        "src/node/x.rs",
        "use std::time::SystemTime;",
        "1: names `std::time::SystemTime`",
    ),
    (
        "only",
        "src/node/x.rs",
        "use std::{time::{Duration, SystemTime}};",
        "1: names `std::time::SystemTime`",
    ),
    (
        "only",
        "src/node/x.rs",
        "// std::time::SystemTime\nconst A: &str = \"redis::cmd\";",
        "",
    ),
    (
        "only",
        "src/cli/serve.rs",
        "use crate::store::s3::S3Store;",
        "1: names `crate::store::s3::S3Store`",
    ),
    ("only", "src/store/mod.rs", "pub use self::fs::FsStore;", ""),
    (
        "only",
        "src/control/x.rs",
        "use huidu_core::decide::decide;",
        "1: names `huidu_core::decide::decide`",
    ),
    (
        "only",
        "src/control/x.rs",
        "use crate::store::Key;",
        "1: names `crate::store::Key`",
    ),
    (
        "only",
        "src/control/mod.rs",
        "fn f(r: Router) { r.route(\"/x\", axum::routing::get(x)); }",
        "1: names `axum::routing::get`: every route is a line of the table",
    ),
    (
        "only",
        "src/control/x.rs",
        "use axum::{Router, routing::get};",
        "1: names `axum::routing::get`",
    ),
    (
        "core",
        "src/core/x.rs",
        "use std::fs;",
        "1: names `std::fs`: the core decides; it does not hear, say, wait or guess",
    ),
    (
        "core",
        "src/core/x.rs",
        "fn f() { std::env::var_os(\"A\"); }",
        "1: names `std::env::var_os`: the core decides; it does not hear, say, wait or guess",
    ),
    (
        "core",
        "src/core/x.rs",
        "use std::{time::{Duration, Instant}};",
        "1: names `std::time::Instant`: the core decides; it does not hear, say, wait or guess",
    ),
    (
        "core",
        "src/core/x.rs",
        "use huidu::node;",
        "1: names `huidu::node`: the core decides; it does not hear, say, wait or guess",
    ),
    (
        "core",
        "src/core/x.rs",
        "#[cfg(test)]\nmod tests { use std::fs; }",
        "",
    ),
    (
        "core",
        "tests/rules/x.rs",
        "use huidu::node;",
        "1: names `huidu::node`: the core is tested without the shell",
    ),
    (
        "core dependencies",
        "src/core/Cargo.toml",
        "[dependencies]\ntokio = \"1\"",
        "0: depends on `tokio`, which pure code may not know",
    ),
    (
        "core dependencies",
        "src/core/Cargo.toml",
        "[dependencies]\nserde = { package = \"reqwest\", version = \"1\" }",
        "0: depends on `serde`, which pure code may not know",
    ),
    (
        "core dependencies",
        "src/core/Cargo.toml",
        "[dependencies]\njiff = { version = \"1\", features = [\"tz-system\"] }",
        "0: asks `jiff` for `tz-system`, which brings the outside in",
    ),
    (
        "core dependencies",
        "src/core/Cargo.toml",
        "[dependencies]\nserde = \"1\"\n[build-dependencies]\ncc = \"1\"",
        "0: has `build-dependencies`; the core has plain dependencies alone",
    ),
    (
        "core dependencies",
        "src/core/Cargo.toml",
        "[dependencies]\nserde = \"1\"",
        "0: no longer depends on `toml`; take it off the list",
    ),
    (
        "core dependencies",
        "src/core/Cargo.toml",
        "",
        "0: has no dependencies at all; is it still the core's?",
    ),
    (
        "core bans",
        "src/core/clippy.toml",
        "",
        "0: does not forbid `std::thread::spawn`",
    ),
    (
        "core bans",
        "src/core/clippy.toml",
        "disallowed-methods = [{ path = \"std::thread::spawn\" }]",
        "0: does not say why it forbids `std::thread::spawn`",
    ),
    (
        "core bans",
        "src/core/x.rs",
        "#![allow(clippy::disallowed_methods)]",
        "1: lifts a ban of the core",
    ),
    (
        "docs",
        "src/x.rs",
        "use std::fmt;",
        "1: does not open with `//!` and what it is",
    ),
    (
        "docs",
        "tests/x.rs",
        "//!\nuse std::fmt;",
        "1: does not open with `//!` and what it is",
    ),
    (
        "docs",
        "benches/x.rs",
        "// A comment that is no documentation.",
        "1: does not open with `//!` and what it is",
    ),
    ("docs", "src/x.rs", "//! The thing that does it.", ""),
    ("top", "Justfile", "", "0: does not belong at the top"),
    (
        "words",
        "docs/x.md",
        concat!("see /wo", "rk/main for more"),
        concat!("1: `/wo", "rk/` is a path of one machine"),
    ),
    (
        "words",
        "src/x.rs",
        concat!("\n// TO", "DO later"),
        concat!(
            "2: `TO",
            "DO` is a promise nobody keeps; do it, or write down why not"
        ),
    ),
    (
        "words",
        "docs/x.md",
        concat!("from https://crates", ".io"),
        concat!("1: `crates", ".io` is a registry's host"),
    ),
    (
        "words",
        "src/x.rs",
        concat!("<<<<", "<<< ours"),
        concat!("1: `<<<<", "<<<` is a merge that was not finished"),
    ),
    (
        "words",
        "docs/x.md",
        "a frame/work/item and a METHODODS and XXXL",
        "",
    ),
    (
        "words",
        "Cargo.lock",
        concat!("https://example.org/crates", ".io-index"),
        "",
    ),
    (
        "modules",
        "src/a/orphan.rs",
        "",
        "0: is declared by no module, so it is never compiled",
    ),
];

#[test]
fn every_planted_mistake_is_found_and_its_neighbour_passes() {
    for (check, path, text, wanted) in ROWS {
        let told = told(check, &[(path, text)]);
        if wanted.is_empty() {
            assert_eq!(told, Vec::<String>::new(), "[{check}] {path}: {text}");
        } else {
            let wanted = format!("{path}:{wanted}");
            assert!(
                told.iter().any(|told| told.starts_with(&wanted)),
                "[{check}] {text:?}\nwanted {wanted}\ntold {told:#?}"
            );
        }
    }
    for (check, _) in CHECKS {
        assert!(
            ROWS.iter().any(|(tried, ..)| tried == check) || *check == "lengths",
            "`{check}` is never tried"
        );
    }
}

#[test]
fn a_row_that_nothing_uses_is_found() {
    for check in ["rooms", "core rooms", "only"] {
        let (_, check) = CHECKS.iter().find(|(known, _)| *known == check).unwrap();
        let faults = check(&Tree::of(&[("src/lib.rs", "")]));
        assert!(
            faults
                .iter()
                .any(|fault| fault.what.ends_with("it no longer does; take it out"))
        );
    }
}

#[test]
fn a_long_file_is_found_and_so_is_an_exception_nobody_needs() {
    let lines = |count: usize| "//! A file.\n".repeat(count);
    let told = |count: usize, longer: &[(&str, usize, &str)]| -> Vec<String> {
        let faults = files::lengths_with(&Tree::of(&[("src/a.rs", &lines(count))]), longer);
        faults.iter().map(ToString::to_string).collect()
    };
    assert_eq!(told(700, &[]), Vec::<String>::new());
    assert_eq!(
        told(701, &[]),
        ["src/a.rs:0: has 701 lines, more than 700; make it a folder of the same name"]
    );
    assert_eq!(told(750, &[("src/a.rs", 760, "why")]), Vec::<String>::new());
    assert_eq!(
        told(761, &[("src/a.rs", 760, "why")]),
        ["src/a.rs:0: has 761 lines, more than 760; make it a folder of the same name"]
    );
    assert_eq!(
        told(700, &[("src/a.rs", 760, "why")]),
        ["src/a.rs:0: has 700 lines and needs no exception from 700; take it out"]
    );
    assert_eq!(
        told(1, &[("src/gone.rs", 760, "why")]),
        ["src/gone.rs:0: has 0 lines and needs no exception from 700; take it out"]
    );
}

#[test]
fn the_top_is_held_to_its_list() {
    let told = |planted| -> Vec<String> {
        let (_, check) = CHECKS.iter().find(|(known, _)| *known == "top").unwrap();
        check(&Tree::of(planted))
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    let strange = told(&[("scratch/a.txt", "")]);
    assert!(
        strange.contains(&"scratch:0: does not belong at the top".to_owned()),
        "{strange:?}"
    );
    assert!(
        strange.contains(&"rollout-rules:0: is missing at the top".to_owned()),
        "{strange:?}"
    );
}

#[test]
fn a_module_is_declared_beside_below_or_by_a_path() {
    let tree = [
        (
            "Cargo.toml",
            "path = \"tests/it/main.rs\"\npath = \"benches/poll.rs\"",
        ),
        ("src/lib.rs", "pub mod a;"),
        ("src/a.rs", "mod b;\n// mod gone;"),
        ("src/a/b.rs", ""),
        ("src/a/gone.rs", ""),
        (
            "tests/it/main.rs",
            "#[path = \"../support/mod.rs\"]\nmod support;",
        ),
        ("tests/support/mod.rs", ""),
        ("benches/poll.rs", ""),
    ];
    assert_eq!(
        told("modules", &tree),
        ["src/a/gone.rs:0: is declared by no module, so it is never compiled"]
    );
}
