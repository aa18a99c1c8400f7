//! The OpenAPI document against the running server, by a program that knows nothing else of it, as people of
//! several roles; and planted mistakes that it must find.
//!
//! It runs every check of schemathesis but these, each for a reason:
//! - `positive_data_acceptance`: a body that fits its shape may be refused for what is true by then (no such
//!   version, nothing to change, a share that is not lower); the codes of such refusals are in the document.
//! - `missing_required_header`: it wants 406 or the like for a missing `If-Match`; the answer is 428, as RFC 6585 has it.
//! - `use_after_free`, `ensure_resource_availability`: they follow a create to its delete, and here nothing that is
//!   created is ever deleted but tokens, segments, members and previews, whose ids are no links in the document.
//! - `object_level_authorization`: two users of one role; whose things are whose is by tenant here, and
//!   `src/control/tests/isolation.rs` asks every route for foreign ones and compares.
//!
//! The phase `stateful` follows links from answer to answer; the document has none, so there is nothing to follow.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::Command,
    thread,
    time::Instant,
};

use huidu::clock::{Clock as _, System};
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

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance,ignored_auth";

/// What it says of a server.
struct Tried {
    /// It found nothing.
    is_sound: bool,
    /// All that it said.
    said: String,
    /// Requests it sent, and the statuses of the answers by operation.
    sent: usize,
    answers: BTreeMap<String, BTreeSet<u64>>,
}

/// Tries the server that `document` describes, by `token`.
fn tried(dir: &Path, document: &Path, url: &str, token: &str, more: &[&str]) -> Tried {
    let tool = if Path::new(TOOL).exists() {
        TOOL
    } else {
        "schemathesis"
    };
    let report = dir.join("sent.har");
    let output = Command::new(tool)
        .arg("run")
        .arg(document)
        .args(["--url", url, "--header"])
        .arg(format!("Authorization: Bearer {token}"))
        .args(["--checks", CHECKS])
        // One worker: two race in CPython's own parser, and then the tool fails instead of the server.
        .args(["--suppress-health-check", "all", "--workers", "1"])
        .args(["--seed", "7", "--no-color", "--generation-database", "none"])
        .args(["--report", "har", "--report-har-path"])
        .arg(&report)
        .args(more)
        .current_dir(dir)
        .output()
        .expect("schemathesis is missing; install it with `tests/setup.sh test`");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let har: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    let document: Value = serde_json::from_slice(&fs::read(document).unwrap()).unwrap();
    let entries = har["log"]["entries"].as_array().unwrap();
    let mut answers: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for entry in entries {
        let method = entry["request"]["method"].as_str().unwrap();
        let path = entry["request"]["url"].as_str().unwrap();
        let status = entry["response"]["status"].as_u64().unwrap();
        if let Some(operation) = operation(&document, method, path) {
            answers.entry(operation).or_default().insert(status);
        }
    }
    Tried {
        is_sound: output.status.success(),
        sent: entries.len(),
        answers,
        said,
    }
}

/// The operation of the document that a request went to.
fn operation(document: &Value, method: &str, url: &str) -> Option<String> {
    let path = url.split_once("://")?.1;
    let path = &path[path.find('/')?..];
    let path = path.split('?').next()?;
    let fits = |template: &str| {
        let parts = template.split('/').collect::<Vec<_>>();
        let given = path.split('/').collect::<Vec<_>>();
        parts.len() == given.len()
            && parts
                .iter()
                .zip(&given)
                .all(|(part, given)| part.starts_with('{') || part == given)
    };
    let paths = document["paths"].as_object()?;
    // A path without a name in it goes before one with.
    let mut templates: Vec<_> = paths.keys().filter(|path| fits(path)).collect();
    templates.sort_by_key(|path| path.matches('{').count());
    let template = templates.first()?;
    let method = method.to_lowercase();
    paths[*template].get(&method)?;
    Some(format!("{} {template}", method.to_uppercase()))
}

/// The document, with names that are there and bodies that can be meant beside the shapes.
fn exemplified(
    mut document: Value,
    app: &str,
    bundle: &Value,
    steered: &BTreeMap<&str, String>,
) -> Value {
    let (tenant, name) = app.split_once('/').unwrap();
    let names = json!({ "tenant": tenant, "app": name, "version": "1.0.0", "rule": "ramp",
        "permission": "camera", "member": "lin", "experiment": "copy", "segment": "staff", "revision": 1, "If-Match": "*" });
    // Two weeks ahead at most.
    let soon = System.now().plus_ms(86_400_000);
    let rollout = json!({ "app": app, "hosts": ["retail-bank"], "stable": "1.0.0" });
    let bodies = json!({
        "post kill": { "reason": "x" }, "post unkill": { "reason": "x" },
        "post delist": { "reason": "x" }, "post reject": { "reason": "x" },
        "post revoke": { "reason": "x" }, "post restore": { "reason": "x" },
        "put share": { "share": "1%" }, "put paused": { "paused": true },
        "put grade": { "grade": "personal" }, "put rollout": rollout.clone(),
        "post plan": { "rollout": rollout },
        "post explain": { "host": "retail-bank", "device": { "unit": "u" } },
        "put trial": { "hosts": ["lab"], "devices": ["t-1"] },
        "post approve": { "bundle": bundle },
        "post previews": { "host": "lab", "until": soon },
        "put eyes": { "kinds": {}, "free_share": "1%" },
        "put review-policy": { "approvals": 2 },
        "put permissions": { "permissions": { "camera": { "grade": "basic" } } },
        "put {member}": { "role": "sre" }, "post tokens": { "role": "sre", "scopes": ["read"] },
        "post tenants": { "tenant": "bare" }, "post hosts": { "host": "new" },
        "post apps": { "app": "new/new" }, "put {segment}": "u-1\n",
        "post ramp/pause": { "reason": "x" }, "post ramp/abort": { "reason": "x" },
        "post ramp/roll-back": { "reason": "x" }, "post ramp/resume": {}, "post ramp/approve": {},
        "put experiments/{experiment}": design(),
        "post experiments/promote": { "arm": "two", "reason": "x", "anyway": true },
        "post experiments/end": { "reason": "x" },
    });
    // What is done to a version is done to one that it can be done to.
    let version = |last: &str| match last {
        "delist" => "1.2.0",
        "approve" => UNDER_REVIEW[0],
        "reject" => UNDER_REVIEW[1],
        "review" => UNDER_REVIEW[2],
        "list" => UNDER_REVIEW[3],
        "trial" | "previews" => UNDER_REVIEW[4],
        _ => "1.0.0",
    };
    for (path, methods) in document["paths"].as_object_mut().unwrap() {
        let mut last = path.rsplit('/').next().unwrap_or_default().to_owned();
        // What is done to a ramp or an experiment is done to one of an app of its own.
        for of in ["ramp/", "experiments/"] {
            if path.contains(&format!("/{of}")) {
                last.insert_str(0, of);
            }
        }
        let steered = steered.get(last.as_str());
        for (method, operation) in methods.as_object_mut().unwrap() {
            if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
                for parameter in parameters {
                    let name = parameter["name"].as_str().unwrap_or_default();
                    if let Some(steered) = steered.filter(|_| name == "app") {
                        parameter["example"] = json!(steered);
                    } else if name == "version" && path.contains("{version}") {
                        parameter["example"] = json!(version(&last));
                    } else if let Some(example) = names.get(name) {
                        parameter["example"] = example.clone();
                    }
                }
            }
            let Some(body) = bodies.get(format!("{method} {last}")) else {
                continue;
            };
            let content = operation.pointer_mut("/requestBody/content");
            if let Some(kinds) = content.and_then(Value::as_object_mut) {
                for (kind, content) in kinds {
                    if kind != "application/toml" {
                        content["example"] = body.clone();
                    }
                }
            }
        }
    }
    document
}

#[test]
fn every_answer_is_one_that_the_document_names() {
    let begun = Instant::now();
    let world = World::new(Backing::Embedded);
    let app = world.app(&["1.0.0", "1.1.0", "1.2.0"]);
    for version in UNDER_REVIEW {
        world.hand_in(&app, version);
    }
    let lab = json!({ "host": "lab", "sandbox": true });
    world.done(&world.by(&world.ada, "POST", "/hosts").json(&lab).send());
    for (member, role) in [("rui", "reviewer"), ("mei", "release-manager")] {
        let put = world.by(&world.ada, "PUT", &format!("/members/{member}"));
        world.done(&put.json(&json!({ "role": role })).send());
    }
    let steered = steered(&world);
    world.rollout(
        &app,
        "stable = \"1.0.0\"\n[[rule]]\nname = \"ramp\"\nshare = \"2%\"\nserve = \"1.1.0\"\n",
    );
    let node = &world.cluster.nodes[0];
    let url = node.control_url();
    let dir = world.cluster.path();
    let document = node_document(&url);
    let shown = world.by(&world.ada, "GET", &format!("/apps/{app}"));
    let shown = shown.send().json();
    let mut versions = shown["versions"].as_array().unwrap().iter();
    let judged = versions.find(|one| one["number"] == UNDER_REVIEW[0]);
    let bundle = judged.unwrap()["bundle"]["sha256"].clone();
    let exemplified = exemplified(document.clone(), &app, &bundle, &steered);
    let mut exemplified = exemplified;
    let endless = exemplified["paths"].as_object_mut().unwrap();
    endless.remove("/api/v1/events");
    let file = dir.join("document.json");
    fs::write(&file, exemplified.to_string()).unwrap();

    // Those who see without changing much first: what an admin tries ends apps.
    let tenant = app.split_once('/').unwrap().0;
    let auditor = world.given(&json!({ "role": "auditor" }));
    let partner = world.given(&json!({ "role": { "partner": tenant } }));
    let reviewer = world.given(&json!({ "role": "reviewer", "member": "rui" }));
    let sre = world.given(&json!({ "role": "sre" }));
    let manager = world.given(&json!({ "role": "release-manager", "member": "mei" }));
    let admin = world.cluster.token();
    let (mut sent, mut answers) = (0, BTreeMap::<String, BTreeSet<u64>>::new());
    for (who, token, phases, examples) in [
        ("auditor", auditor.as_str(), "examples,fuzzing", "1"),
        ("partner", partner.as_str(), "examples,fuzzing", "1"),
        ("reviewer", reviewer.as_str(), "examples", "1"),
        ("sre", sre.as_str(), "examples", "1"),
        ("manager", manager.as_str(), "examples", "1"),
        ("admin", admin, "examples,coverage,fuzzing", "2"),
    ] {
        let more = ["--phases", phases, "--max-examples", examples];
        let run = tried(dir, &file, &url, token, &more);
        assert!(run.is_sound, "as {who}: {}", run.said);
        println!(
            "as {who}: {} requests, {:?} so far",
            run.sent,
            begun.elapsed()
        );
        sent += run.sent;
        for (operation, statuses) in run.answers {
            answers.entry(operation).or_default().extend(statuses);
        }
    }
    println!("schemathesis: {sent} generated, in {:?}", begun.elapsed());
    assert!(sent >= 1_000, "only {sent} requests");
    let failed: Vec<_> = answers
        .iter()
        .filter(|(_, all)| all.iter().any(|status| *status >= 500 && *status != 503))
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    let operations = document["paths"].as_object().unwrap();
    let all = operations.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    let succeeds = |operation: &String| {
        let all = answers.get(operation);
        all.is_some_and(|all| all.iter().any(|status| *status < 400))
    };
    let may_fail = |operation: &String| NEVER.contains(&operation.as_str());
    let never = all.filter(|operation| !succeeds(operation) && !may_fail(operation));
    let never: Vec<_> = never.collect();
    assert!(
        never.is_empty(),
        "operations that never succeeded: {never:?}"
    );
    assert!(!node.log().contains("panicked"), "{}", node.log());

    it_would_notice(&document, dir, &url, world.cluster.token());
}

/// What an experiment over a rule with arms compares.
fn design() -> Value {
    json!({ "rule": "copy", "control": "one", "primary": { "measure": "converted" } })
}

/// An app with a ramp or an experiment for each thing that is done to one, by its name within the tenant.
fn steered(world: &World) -> BTreeMap<&'static str, String> {
    let steered = [
        "ramp/pause",
        "ramp/resume",
        "ramp/abort",
        "ramp/roll-back",
        "ramp/approve",
        "experiments/{experiment}",
        "experiments/plan",
        "experiments/promote",
        "experiments/end",
    ];
    let steered = steered.map(|what| {
        let app = world.app(&["1.0.0", "1.1.0"]);
        let rule = if what.starts_with("ramp/") {
            "name = \"ramp\"\nserve = \"1.1.0\"\n[rule.ramp]\n\
             step = [{ share = \"1%\", hold = \"1h\" }, { share = \"10%\", approval = true }]\n"
        } else {
            "name = \"copy\"\npaused = true\n[rule.split]\n\
             one = { serve = \"1.0.0\", weight = 1 }\ntwo = { serve = \"1.1.0\", weight = 1 }\n"
        };
        world.rollout(&app, &format!("stable = \"1.0.0\"\n[[rule]]\n{rule}"));
        match what {
            "ramp/resume" => {
                let pause = world.by(&world.ada, "POST", &format!("/apps/{app}/ramp/pause"));
                world.done(&pause.json(&json!({ "reason": "x" })).send());
            }
            "experiments/plan" | "experiments/promote" | "experiments/end" => {
                let path = format!("/apps/{app}/experiments/copy");
                let begin = world.by(&world.ada, "PUT", &path).if_match("*");
                world.done(&begin.json(&design()).send());
            }
            _ => {}
        }
        let name = app.split_once('/').unwrap().1.to_owned();
        (what, name)
    });
    steered.into()
}

/// Handed in, and not listed.
const UNDER_REVIEW: [&str; 5] = ["2.1.0", "2.2.0", "2.3.0", "2.4.0", "2.5.0"];

/// Operations that no document can lead to a success, because they take what nobody draws by chance: a signature,
/// an archive, the secret name of a link, a change that waits, an identity provider, an exemption that is not as it
/// already is, the op of a kill, the word of another node.
const NEVER: [&str; 17] = [
    "PUT /api/v1/apps/{tenant}/{app}/internal",
    "GET /api/v1/apps/{tenant}/{app}/policy",
    "PUT /api/v1/apps/{tenant}/{app}/policy",
    "POST /api/v1/apps/{tenant}/{app}/versions",
    "DELETE /api/v1/apps/{tenant}/{app}/versions/{version}/previews/{id}",
    "PUT /api/v1/apps/{tenant}/{app}/versions/{version}/record",
    "POST /api/v1/changes/{id}/approve",
    "POST /api/v1/changes/{id}/withdraw",
    "POST /api/v1/keyring",
    "GET /api/v1/kills/{op}",
    "GET /api/v1/signin",
    "GET /api/v1/signin/callback",
    "POST /api/v1/signin/token",
    "POST /api/v1/signout",
    "POST /api/v1/session",
    // It goes on for as long as somebody listens, so it is not asked at all.
    "GET /api/v1/events",
    "POST /peer/v1/kills",
];

/// Mistakes that it must find: an answer that lacks what was promised, a status that was not, a header of another
/// kind, and a server that fails.
fn it_would_notice(document: &Value, dir: &Path, url: &str, token: &str) {
    let promised = |change: &dyn Fn(&mut Value)| {
        let mut promised = document.clone();
        change(&mut promised);
        let file = dir.join("promised.json");
        fs::write(&file, promised.to_string()).unwrap();
        file
    };
    let eyes = only("/api/v1/eyes");
    let more = promised(&|document| {
        document["components"]["schemas"]["EyesPolicy"]["required"] = json!(["kinds", "more"]);
    });
    let run = tried(dir, &more, url, token, &eyes);
    assert!(
        !run.is_sound && run.said.contains("\"more\" is a required property"),
        "{}",
        run.said
    );
    let header = promised(&|document| {
        let answer = &mut document["paths"]["/api/v1/eyes"]["get"]["responses"]["200"];
        answer["headers"] =
            json!({ "Huidu-Promised": { "required": true, "schema": { "type": "string" } } });
    });
    let run = tried(dir, &header, url, token, &eyes);
    assert!(
        !run.is_sound && run.said.to_lowercase().contains("huidu-promised"),
        "{}",
        run.said
    );
    let open = promised(&|document| {
        // A route that is open and is said not to be.
        document["paths"]["/healthz"]["get"]["security"] = json!([{ "token": [] }]);
    });
    let run = tried(dir, &open, url, token, &only("/healthz"));
    assert!(
        !run.is_sound && run.said.contains("without authentication"),
        "{}",
        run.said
    );
    let as_it_is = promised(&|_| {});
    let failing = failing_server();
    let run = tried(dir, &as_it_is, &failing, token, &eyes);
    assert!(
        !run.is_sound && run.said.contains("Server error"),
        "{}",
        run.said
    );
}

/// One path, a few times.
fn only(path: &'static str) -> [&'static str; 6] {
    let phases = "examples,coverage,fuzzing";
    [
        "--include-path",
        path,
        "--phases",
        phases,
        "--max-examples",
        "2",
    ]
}

/// A server that answers whatever it is asked with 500, until the test ends.
fn failing_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 8_192];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(
                b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/problem+json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
            );
        }
    });
    url
}

fn node_document(server: &str) -> Value {
    let address = server.trim_start_matches("http://").parse().unwrap();
    let mut wire = Wire::connect(address).unwrap();
    wire.get("/api/v1/openapi.json", &[]).unwrap().json()
}
