//! Real OpenFeature clients against a real node: npm's `@openfeature/ofrep-provider` and `@openfeature/ofrep-web-provider`,
//! `PyPI`'s `openfeature-provider-ofrep`. They read the variant that a phone is told; what is killed reads as the default in
//! their code; and a page learns of a change and of a kill by events alone.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    support::{
        components::Leash,
        server::{Backing, until},
    },
    world::{HOST, World, phones},
};

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/openfeature/clients");
/// Where `tests/setup.sh` puts it.
const PYTHON: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/target/tools/openfeature/bin/python"
);
const MISSING: &str =
    "the OpenFeature clients are missing; install them with `tests/setup.sh test`";

/// What the code of an application says where a flag has no value.
const DEFAULT: &str = "code-default";

const SKINS: &str = r#"
stable = "1.0.0"
[[rule]]
name = "skins"
split = { plain = { serve = "1.0.0", weight = 1 }, festive = { serve = "2.0.0", weight = 1 } }
"#;

/// An application in JavaScript, as a server or as a page.
fn javascript(kind: &str) -> Vec<String> {
    let provider = Path::new(CLIENTS).join("node_modules/@openfeature/ofrep-web-provider");
    assert!(provider.is_dir(), "{MISSING}");
    ["node", &format!("{CLIENTS}/client.mjs"), kind]
        .map(ToOwned::to_owned)
        .into()
}

/// An application in Python.
fn python() -> Vec<String> {
    assert!(Path::new(PYTHON).exists(), "{MISSING}");
    [PYTHON, &format!("{CLIENTS}/client.py")]
        .map(ToOwned::to_owned)
        .into()
}

/// What an application reads of `app` for each of `units`.
fn read(program: &[String], base: &str, app: &str, units: &[String]) -> BTreeMap<String, Value> {
    let output = Command::new(&program[0])
        .args(&program[1..])
        .args([base, app, HOST])
        .args(units)
        .output()
        .expect(MISSING);
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program:?}: {said}{errors}");
    let lines = said
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let read: BTreeMap<String, Value> = lines
        .map(|line: Value| (line["unit"].as_str().unwrap().to_owned(), line))
        .collect();
    assert_eq!(read.len(), units.len(), "{program:?}: {said}{errors}");
    read
}

#[test]
fn clients_read_what_a_phone_is_told_and_their_own_default_of_what_is_killed() {
    let world = World::new(Backing::Embedded);
    let app = world.app(&["1.0.0", "2.0.0"]);
    world.rollout(&app, SKINS);
    let units = phones(40);
    let told = world.versions(&app, &units, "");
    let arms: Vec<&str> = told.iter().map(|(_, arm)| arm.as_str()).collect();
    assert!(
        arms.contains(&"plain") && arms.contains(&"festive"),
        "{arms:?}"
    );
    let base = world.cluster.nodes[0].device_url();
    let (server, python) = (javascript("server"), python());
    let mut read_right = 0;
    for program in [&server, &python] {
        let flags = read(program, &base, &app, &units);
        for (unit, arm) in units.iter().zip(&arms) {
            let flag = &flags[unit];
            let said = [&flag["value"], &flag["variant"], &flag["reason"]];
            assert_eq!(
                said,
                [&json!(arm), &json!(arm), &json!("SPLIT")],
                "{program:?}"
            );
            read_right += 1;
        }
        // There is no such app: the default, and why.
        let none = read(program, &base, "pingan/none", &units[..1]);
        let none = &none[&units[0]];
        assert_eq!(
            [&none["value"], &none["error"]],
            [DEFAULT, "FLAG_NOT_FOUND"]
        );
    }
    let kill = world.by(&world.sven, "POST", &format!("/apps/{app}/kill"));
    world.done(&kill.json(&json!({"reason": "fraud"})).send());
    for program in [&server, &python] {
        for (unit, flag) in read(program, &base, &app, &units) {
            assert_eq!(flag["value"], DEFAULT, "{program:?} {unit}: {flag}");
        }
    }
    println!("figure: flags read by OpenFeature clients {read_right}, wrong: 0");
    world.logs_hold_nobody();
}

/// A page that keeps one flag.
struct Page {
    log: PathBuf,
    _leash: Leash,
}

impl Page {
    fn open(world: &World, node: usize, app: &str, unit: &str) -> Self {
        let mut words = javascript("web");
        words.extend([world.cluster.nodes[node].device_url(), app.to_owned()]);
        words.extend([HOST, unit].map(ToOwned::to_owned));
        let log = world.cluster.path().join(format!("page-{node}-{unit}.log"));
        let leash = Leash::start(Path::new(&words[0]), &words[1..], &log);
        Self { log, _leash: leash }
    }

    /// What it shows now.
    fn shows(&self) -> Option<Value> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let mut lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines.next_back()
    }

    /// Waits until it shows `value` for `reason`; how long that took.
    fn comes_to(&self, value: &str, reason: &str) -> std::time::Duration {
        let is_there = || {
            let shown = self.shows().unwrap_or_default();
            shown["value"] == value && shown["reason"] == reason
        };
        until(&format!("a page shows {value} for {reason}"), is_there)
    }
}

#[test]
fn a_page_sees_a_change_and_a_kill_by_events_alone() {
    let world = World::new(Backing::S3Redis);
    let app = world.app(&["1.0.0", "2.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");
    let pages = [0, 1].map(|node| Page::open(&world, node, &app, "phone-0001"));
    for page in &pages {
        page.comes_to("1.0.0", "STATIC");
    }
    // Asked at one node, heard of at the others.
    world.rollout(&app, "stable = \"2.0.0\"\n");
    let changed = pages
        .each_ref()
        .map(|page| page.comes_to("2.0.0", "STATIC"));
    let kill = world.by(&world.sven, "POST", &format!("/apps/{app}/kill"));
    world.done(&kill.json(&json!({"reason": "fraud"})).send());
    let killed = pages
        .each_ref()
        .map(|page| page.comes_to(DEFAULT, "DISABLED"));
    let slowest = |waits: [std::time::Duration; 2]| waits.iter().max().unwrap().as_millis();
    println!(
        "figure: OpenFeature pages at two nodes saw a change after {} ms and a kill after {} ms",
        slowest(changed),
        slowest(killed)
    );
    // What runs again is seen, too.
    let unkill = world.by(&world.maya, "POST", &format!("/apps/{app}/unkill"));
    let unkill = unkill.if_match("*").json(&json!({"reason": "fixed"}));
    world.done(&unkill.send());
    for page in &pages {
        page.comes_to("2.0.0", "STATIC");
    }
}
