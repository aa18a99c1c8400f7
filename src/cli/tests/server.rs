//! Verbs against a server that does as it is told: what is sent, and how they end.

use std::{fs, net::TcpListener};

use clap::Parser as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    cli::{Cli, code},
    client::double::{Double, Request, Response},
};

const RULES: &str = "app = \"pingan/travel\"\nhosts = [\"retail-bank\"]\nstable = \"2.3.1\"\n\n[[rule]]\nname = \"ramp\"\nshare = \"5%\"\nserve = \"2.4.0\"\n";

fn huidu(server: &Double, words: &[&str]) -> u8 {
    let mut line = vec!["huidu", "--server", &server.url, "--token", "hd_t"];
    line.extend(words);
    code(Cli::try_parse_from(line).unwrap())
}

fn rules() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("pingan")).unwrap();
    fs::create_dir_all(dir.path().join("cases")).unwrap();
    fs::write(dir.path().join("pingan/travel.toml"), RULES).unwrap();
    dir
}

fn live(share: &str) -> Value {
    json!({"app": "pingan/travel", "title": "", "revision": 17, "versions": [], "rollout": {
        "app": "pingan/travel", "hosts": ["retail-bank"], "stable": "2.3.1", "bucketing": "huidu/1",
        "rule": [{"name": "ramp", "share": share, "serve": "2.4.0"}]}})
}

fn origin(share: &'static str) -> Double {
    Double::start(
        move |request| match (request.method.as_str(), request.path()) {
            ("GET", "/api/v1/apps/pingan/travel") => {
                Response::new(200, live(share).to_string()).with("etag", "\"17\"")
            }
            ("GET", _) => Response::new(404, r#"{"code":"unknown","detail":"no such thing"}"#),
            ("POST", "/api/v1/apps/pingan/travel/plan") => Response::new(200, r#"{"gained":"4%"}"#),
            _ => Response::new(200, r#"{"revision":18,"op":"x"}"#).with("etag", "\"18\""),
        },
    )
}

fn changes(server: &Double) -> Vec<Request> {
    let seen = server.seen().into_iter();
    seen.filter(|request| request.method != "GET" && !request.path().ends_with("/plan"))
        .collect()
}

#[test]
fn a_change_is_made_for_the_revision_that_was_read_just_before() {
    let server = origin("1%");
    assert_eq!(
        huidu(
            &server,
            &[
                "rollout",
                "share",
                "pingan/travel",
                "ramp",
                "50%",
                "--why",
                "going well"
            ]
        ),
        0
    );
    let sent = &changes(&server)[0];
    assert_eq!(
        sent.target,
        "/api/v1/apps/pingan/travel/rollout/rules/ramp/share?why=going%20well"
    );
    assert_eq!(sent.header("if-match"), Some("\"17\""));
    assert_eq!(sent.header("idempotency-key").map(str::len), Some(26));
    assert_eq!(sent.body, br#"{"share":"50%"}"#);
}

#[test]
fn a_revision_and_an_op_can_be_named() {
    let server = origin("1%");
    let words = [
        "rollout",
        "pause",
        "pingan/travel",
        "ramp",
        "--if-match",
        "12",
        "--op",
        "01J",
    ];
    assert_eq!(huidu(&server, &words), 0);
    let sent = &changes(&server)[0];
    assert_eq!(sent.header("if-match"), Some("\"12\""));
    assert_eq!(sent.header("idempotency-key"), Some("01J"));
}

#[test]
fn a_kill_waits_for_no_revision() {
    let server = origin("1%");
    assert_eq!(
        huidu(
            &server,
            &["kill", "pingan/travel", "2.4.0", "--reason", "R-17"]
        ),
        0
    );
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("if-match"), None);
    assert_eq!(seen[0].body, br#"{"reason":"R-17","version":"2.4.0"}"#);
}

#[test]
fn a_plan_tells_by_its_exit_code_whether_something_would_change() {
    let dir = rules();
    let dir = dir.path().to_str().unwrap();
    let same = origin("5%");
    assert_eq!(
        huidu(&same, &["rules", "plan", dir, "--detailed-exitcode"]),
        0
    );
    let other = origin("1%");
    assert_eq!(
        huidu(&other, &["rules", "plan", dir, "--detailed-exitcode"]),
        2
    );
    assert_eq!(huidu(&other, &["rules", "plan", dir]), 0);
    assert!(changes(&other).is_empty());
}

#[test]
fn an_apply_asks_and_sends_only_what_changes_for_the_revision_it_planned() {
    let dir = rules();
    let dir = dir.path().to_str().unwrap();
    let same = origin("5%");
    assert_eq!(huidu(&same, &["rules", "apply", dir, "--yes"]), 0);
    assert!(changes(&same).is_empty());
    let other = origin("1%");
    assert_eq!(huidu(&other, &["rules", "apply", dir, "--yes"]), 0);
    let sent = changes(&other);
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (sent[0].method.as_str(), sent[0].path()),
        ("PUT", "/api/v1/apps/pingan/travel/rollout")
    );
    assert_eq!(sent[0].header("if-match"), Some("\"17\""));
    let body: Value = serde_json::from_slice(&sent[0].body).unwrap();
    assert_eq!(body["rule"][0]["share"], "5%");
}

#[test]
fn a_case_that_fails_stops_an_apply() {
    let dir = rules();
    let case = "app = \"pingan/travel\"\n[[case]]\nname = \"everybody has the old one\"\ndevice = { unit = \"u1\" }\nexpect = \"9.9.9\"\n";
    fs::write(dir.path().join("cases/travel.toml"), case).unwrap();
    let server = origin("1%");
    let path = dir.path().to_str().unwrap();
    assert_eq!(huidu(&server, &["rules", "test", path]), 1);
    assert_eq!(huidu(&server, &["rules", "apply", path, "--yes"]), 1);
    assert!(changes(&server).is_empty());
    fs::write(
        dir.path().join("cases/travel.toml"),
        case.replace("9.9.9", "2.3.1"),
    )
    .unwrap();
    assert_eq!(huidu(&server, &["rules", "test", path]), 0);
}

#[test]
fn a_rule_file_that_is_wrong_is_told_before_anything_is_asked() {
    let dir = rules();
    fs::write(dir.path().join("wrong.toml"), "app = \"x\"\nshar = 5\n").unwrap();
    let server = origin("1%");
    assert_eq!(
        huidu(
            &server,
            &["rules", "apply", dir.path().to_str().unwrap(), "--yes"]
        ),
        1
    );
    assert!(server.seen().is_empty());
}

#[test]
fn exit_codes_say_how_it_went() {
    let server = Double::start(|_| {
        Response::new(
            412,
            r#"{"code":"stale","detail":"the app is at revision 18"}"#,
        )
    });
    assert_eq!(
        huidu(
            &server,
            &["rollout", "share", "a/b", "r", "5%", "--if-match", "3"]
        ),
        1
    );
    assert_eq!(huidu(&server, &["rules", "plan", "/nowhere"]), 1);
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let line = ["huidu", "--server", &format!("http://{closed}"), "status"];
    assert_eq!(code(Cli::try_parse_from(line).unwrap()), 3);
    let server = Double::start(|_| Response::new(200, r#"{"op":"x","state":"unknown"}"#));
    assert_eq!(huidu(&server, &["op", "x"]), 4);
}

#[test]
fn a_bundle_is_streamed_with_what_it_asks_for() {
    let server = origin("1%");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("b.zip");
    fs::write(&file, vec![1; 70_000]).unwrap();
    let words = [
        "version",
        "submit",
        "pingan/travel",
        "2.4.1",
        file.to_str().unwrap(),
        "--notes",
        "a & b",
        "--permission",
        "camera",
        "--permission",
        "scan",
        "--list",
    ];
    assert_eq!(huidu(&server, &words), 0);
    let sent = &changes(&server)[0];
    assert_eq!(
        sent.target,
        "/api/v1/apps/pingan/travel/versions?version=2.4.1&notes=a%20%26%20b&permissions=camera%2Cscan&list=true"
    );
    assert_eq!(sent.body.len(), 70_000);
}

#[test]
fn a_segment_that_is_new_needs_no_revision_and_an_old_one_names_it() {
    let server = origin("1%");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("staff.txt");
    fs::write(&file, "u1\nu2\n").unwrap();
    let words = ["segment", "put", "bank-staff", file.to_str().unwrap()];
    assert_eq!(huidu(&server, &words), 0);
    assert_eq!(changes(&server)[0].header("if-match"), None);
    server.now(|request| match request.method.as_str() {
        "GET" => Response::new(200, r#"{"segment":"bank-staff","revision":9}"#),
        _ => Response::new(200, r#"{"revision":10,"op":"x","units":2}"#),
    });
    assert_eq!(huidu(&server, &words), 0);
    assert_eq!(changes(&server)[0].header("if-match"), Some("\"9\""));
}
