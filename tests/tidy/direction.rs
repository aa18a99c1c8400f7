//! Which room may name which, and which crate may be named where: ARCHITECTURE.md's picture as data.
//!
//! A room is a module under `src/` with all below it. Test code (under `#[cfg(test)]`) may name a little
//! more, also as data. A row that nothing uses any more is a fault too: the tables say what is, not what
//! once was.

use std::collections::BTreeSet;

use crate::{
    scan::{Named, scan},
    tree::{Fault, Tree},
};

/// A room, the rooms it may name, and those its tests may name beside them. `huidu_core` is open to all.
type Room = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

/// The rooms of the shell. What is not listed is refused.
const ROOMS: &[Room] = &[
    // Leaves: they know the core at most.
    ("archive", &[], &[]),
    ("backoff", &[], &[]),
    ("clock", &[], &[]),
    ("console", &[], &[]),
    ("http", &[], &[]),
    ("metrics", &[], &[]),
    ("logging", &["settings"], &[]),
    ("settings", &["logging", "signin"], &[]),
    ("outward", &[], &[]),
    ("signin", &["outward"], &[]),
    // The edges, each of its own kind.
    ("store", &[], &[]),
    ("bus", &["backoff"], &[]),
    // Whoever looks at a copy of the store, without any server.
    ("audit", &["store"], &[]),
    ("ledger", &["store", "clock", "backoff"], &["planted"]),
    // Where they meet.
    (
        "node",
        &["ledger", "store", "bus", "clock", "backoff", "metrics"],
        &["planted"],
    ),
    // The two planes: neither names the other, and the public one names no edge.
    ("device", &["node", "http", "metrics"], &["store"]),
    // Of the edges the private one knows the errors, to say them (see ONLY).
    (
        "control",
        &[
            "node", "http", "archive", "ledger", "store", "signin", "console",
        ],
        &["bus", "clock", "metrics"],
    ),
    // What stands outside: a device and an operator.
    ("client", &["archive", "clock", "settings"], &[]),
    // What puts it all together.
    (
        "cli",
        &[
            "settings", "client", "control", "device", "node", "store", "bus", "http", "clock",
            "logging", "metrics", "backoff", "signin", "audit", "outward",
        ],
        &[],
    ),
    // Test code alone: mistakes by name, and whole stories that find them.
    ("planted", &[], &[]),
    (
        "sim",
        &[],
        &[
            "node", "device", "ledger", "store", "bus", "clock", "metrics", "planted",
        ],
    ),
    ("main", &["cli"], &[]),
    ("lib", &[], &[]),
];

/// What may be named only in these places, and why. A place is a path under `src/` without `.rs`.
type Only = (
    &'static [&'static str],
    &'static [&'static str],
    &'static str,
);

const ONLY: &[Only] = &[
    (
        &[
            "aws_sdk_s3",
            "aws_smithy_http_client",
            "aws_credential_types",
        ],
        &["store/s3"],
        "one file knows S3",
    ),
    (
        &["redis"],
        &["bus/redis", "bus/counts", "bus/beats", "bus/turns"],
        "hints, live counts, beats and turns, and nothing else, go through Redis",
    ),
    (
        &["rust_embed"],
        &["console"],
        "one file knows what was built into the binary",
    ),
    (
        &["utoipa", "utoipa_axum"],
        &["control"],
        "only the control plane documents itself",
    ),
    (
        &["axum"],
        &["control", "http/problem"],
        "the device plane is raw hyper; axum is the control plane's, who serves it, and the reply both refuse with",
    ),
    (
        &["hyper", "hyper_util", "socket2"],
        &["http", "device", "control/service"],
        "the floor under both ports speaks HTTP, and what stands on it",
    ),
    (
        &["tokio_rustls", "rustls"],
        &["http/tls"],
        "one file knows how connections are encrypted",
    ),
    (
        &["rustix"],
        &["http/sendfile"],
        "one file asks the system for what the standard library does not",
    ),
    (
        &["http_body_util"],
        &["control/body"],
        "bodies are read at the door",
    ),
    (
        &["prometheus"],
        &["metrics", "node/feedback/registers", "node/live/answer"],
        "every metric is in one struct; the node keeps handles of a few",
    ),
    (
        &["clap", "clap_complete", "anyhow", "indicatif"],
        &["cli", "main"],
        "what people type and read is the command line's",
    ),
    (
        &["ureq"],
        &["client", "outward", "signin/fetch"],
        "the blocking client belongs to devices and operators; a server asks its identity provider, the other nodes and receivers of webhooks",
    ),
    (
        &["unicode_normalization", "unicase"],
        &["archive"],
        "only the validator judges names of files",
    ),
    (
        &["flate2"],
        &["archive", "control/token"],
        "only the validator opens archives; a token borrows the checksum",
    ),
    (
        &["std::time::SystemTime", "jiff"],
        &["clock"],
        "the time of day is handed in",
    ),
    (
        &["ulid"],
        &["clock", "control/spool"],
        "ids are handed in; the door reads them and names its spool",
    ),
    (
        &["toml"],
        &["settings", "cli/rollout", "cli/rules", "cli/experiment"],
        "files are read at the door",
    ),
    (
        &["tracing_subscriber"],
        &["logging"],
        "where lines go is set up once",
    ),
    (
        &["arc_swap"],
        &["node", "device/mod", "device/origin"],
        "the one swap is the node's; the public port loads it",
    ),
    (
        &["quick_cache"],
        &["node/bundles"],
        "hot bundles are the node's",
    ),
    (
        &["fastrand"],
        &["backoff", "node", "device", "http", "cli/parts"],
        "jitter only",
    ),
    (
        &["getrandom"],
        &[
            "clock",
            "control/token",
            "control/spool",
            "cli",
            "client/control",
            "client/device",
            "store/probe",
            "signin",
        ],
        "chance comes in at few places",
    ),
    (
        &["subtle"],
        &["control", "signin"],
        "secrets are compared at the control plane's door",
    ),
    (
        &["ring"],
        &["signin", "http/tls", "outward/hook"],
        "providers' signatures, sealed sessions, what TLS on our ports is made with, signed webhooks, nothing else",
    ),
    (
        &[
            "crate::store::fs",
            "crate::store::memory",
            "crate::store::s3",
            "crate::bus::local",
            "crate::bus::redis",
        ],
        &["cli/parts"],
        "one file builds the concrete parts",
    ),
    (
        &["crate::store", "crate::ledger"],
        &["store", "ledger", "node", "audit", "cli", "control/error"],
        "the planes ask the node; one file of the control plane says the errors of what is below",
    ),
    (
        &["huidu_core::decide::decide"],
        &["node/decided", "control/plan"],
        "a change is decided by the one task that writes it; a plan asks what it would say",
    ),
    (
        &["huidu_core::authority::authorise"],
        &["node/decided", "control/mod", "control/plan"],
        "who may is asked before anything is kept",
    ),
    (
        &["axum::routing"],
        &[],
        "every route is a line of the table in control/mod.rs, so that the document and the tests over it know it; nobody makes one by hand",
    ),
];

/// What the core may name of the outside world: nothing of it.
const NOT_IN_CORE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io::stderr",
    "std::io::stdin",
    "std::io::stdout",
    "std::net",
    "std::os",
    "std::process",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::sync::mpsc",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "huidu",
];

/// The core's modules by what they are for, in reading order.
const CORE_GROUPS: &[(&str, &[&str])] = &[
    (
        "words",
        &[
            "rules",
            "digest",
            "dossier",
            "files",
            "grade",
            "limits",
            "name",
            "pack",
            "revision",
            "segment",
            "share",
            "slots",
            "time",
            "version",
            "version_range",
        ],
    ),
    ("heard", &["poll"]),
    ("written", &["audience", "bucket", "rollout"]),
    (
        "happens",
        &[
            "ask",
            "authority",
            "catalogue",
            "command",
            "credential",
            "event",
            "eyes",
            "trust",
        ],
    ),
    ("measured", &["feedback", "stats"]),
    ("grown", &["experiment", "ramp"]),
    (
        "kept",
        &["beat", "checkpoint", "fingerprint", "op", "record"],
    ),
    (
        "judged",
        &[
            "ahead",
            "asked",
            "cases",
            "check",
            "decide",
            "notice",
            "review",
            "rulefile",
            "slots_assign",
            "validity",
        ],
    ),
    (
        "signed",
        &[
            "envelope", "json", "judge", "key", "keyring", "paper", "policy", "release", "merkle",
            "treehead",
        ],
    ),
    ("bound", &["binding"]),
    (
        "told",
        &[
            "compile",
            "explain",
            "flag",
            "index",
            "manifest",
            "plan",
            "predicate",
            "preview",
            "resolve",
            "seal",
        ],
    ),
    ("believed", &["verify"]),
    ("said", &["webhook"]),
    ("lib", &["lib"]),
];

/// Which group may name which. What judges a change and what tells a device never name each other.
const CORE_ROOMS: &[Room] = &[
    ("words", &[], &[]),
    ("heard", &["words"], &[]),
    // A rule may have a plan, and a ramp is how far the plan of a rule has come.
    ("written", &["words", "grown"], &[]),
    ("grown", &["words", "written", "measured"], &[]),
    ("happens", &["words", "written", "grown", "signed"], &[]),
    // Sums in, verdicts out: statistics know no app and no rollout.
    ("measured", &["words"], &[]),
    ("kept", &["words", "happens", "signed"], &[]),
    (
        "judged",
        &[
            "words", "written", "grown", "measured", "happens", "signed", "kept",
        ],
        &[],
    ),
    ("signed", &["words"], &[]),
    ("bound", &["words", "written"], &[]),
    (
        "told",
        &["words", "heard", "written", "happens", "signed", "bound"],
        &[],
    ),
    (
        "believed",
        &["words", "signed", "bound", "told"],
        &["written"],
    ),
    // What receivers outside are told of what happened.
    ("said", &["words", "grown", "happens", "kept"], &["judged"]),
    ("lib", &[], &[]),
];

/// A file of source with what it names.
struct File<'a> {
    path: &'a str,
    room: String,
    named: Vec<Named>,
    is_test: bool,
}

/// The module path of a file under `under`: `store::fs` for `src/store/fs.rs`.
fn module(path: &str, under: &str) -> Vec<String> {
    let inside = path.trim_start_matches(under).trim_end_matches(".rs");
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    inside.split('/').map(str::to_owned).collect()
}

fn files<'a>(tree: &'a Tree, under: &'static str) -> Vec<File<'a>> {
    let mut tests: Vec<String> = Vec::new();
    let mut files = Vec::new();
    for (path, text) in tree.files(under, ".rs") {
        if under == "src/" && path.starts_with("src/core/") {
            continue;
        }
        let module = module(path, under);
        let is_root = matches!(module.as_slice(), [root] if root == "lib" || root == "main");
        let seen = scan(text, if is_root { &[] } else { &module });
        // Those of the root lie beside it.
        let folder = if is_root {
            String::new()
        } else {
            format!("{}/", module.join("/"))
        };
        for test in &seen.test_modules {
            tests.push(format!("{under}{folder}{test}"));
        }
        let mut named = seen.named;
        if path == "src/main.rs" {
            // The binary names the library by its name.
            let ours = named.iter_mut().filter(|named| named.path[0] == "huidu");
            ours.for_each(|named| named.path[0] = "crate".to_owned());
        }
        files.push(File {
            path,
            room: module[0].clone(),
            named,
            is_test: false,
        });
    }
    for file in &mut files {
        let stem = file.path.trim_end_matches(".rs");
        file.is_test = tests
            .iter()
            .any(|test| stem == test || stem.starts_with(&format!("{test}/")));
    }
    files
}

/// True when the place `path` (a file under src/) lies in `place`.
fn lies_in(path: &str, place: &str) -> bool {
    let rest = path
        .strip_prefix("src/")
        .and_then(|path| path.strip_prefix(place));
    rest.is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

fn begins_with(path: &[String], prefix: &str) -> bool {
    let mut here = path.iter();
    prefix
        .split("::")
        .all(|part| here.next().is_some_and(|name| name == part))
}

fn fault(file: &File<'_>, named: &Named, why: &str) -> Fault {
    Fault {
        file: file.path.to_owned(),
        line: named.line,
        what: format!("names `{}`: {why}", named.path.join("::")),
    }
}

/// Every room names only the rooms it may.
pub(crate) fn rooms(tree: &Tree) -> Vec<Fault> {
    rooms_of(tree, "src/", ROOMS, |room| room)
}

/// The same inside the core, between its layers.
pub(crate) fn core_rooms(tree: &Tree) -> Vec<Fault> {
    rooms_of(tree, "src/core/", CORE_ROOMS, group_of)
}

fn group_of(module: &str) -> &str {
    let group = CORE_GROUPS
        .iter()
        .find(|(_, modules)| modules.contains(&module));
    group.map_or(module, |(group, _)| *group)
}

fn rooms_of(
    tree: &Tree,
    under: &'static str,
    rooms: &[Room],
    room_of: impl for<'m> Fn(&'m str) -> &'m str,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    for file in files(tree, under) {
        let room = room_of(&file.room);
        let Some((_, may, tests_may)) = rooms.iter().find(|(name, ..)| *name == room) else {
            let what = "is in no room; give it a row in tests/tidy/direction.rs".to_owned();
            faults.push(Fault {
                file: file.path.to_owned(),
                line: 0,
                what,
            });
            continue;
        };
        for named in file.named.iter().filter(|named| named.path[0] == "crate") {
            let other = named.path.get(1).map_or("*", |other| room_of(other));
            if other == room || (room == "lib" && named.path.len() == 1) {
                continue;
            }
            let in_test = file.is_test || named.in_test;
            if may.contains(&other) {
                used.insert((room.to_owned(), other.to_owned(), in_test));
            } else if in_test && tests_may.contains(&other) {
                used.insert((room.to_owned(), other.to_owned(), true));
            } else {
                let tests = if in_test { " even in tests" } else { "" };
                faults.push(fault(
                    &file,
                    named,
                    &format!("`{room}` does not know `{other}`{tests}"),
                ));
            }
        }
    }
    for (room, may, tests_may) in rooms {
        for (others, in_test) in [(may, false), (tests_may, true)] {
            let is_used =
                |other: &str| used.contains(&((*room).to_owned(), other.to_owned(), in_test));
            faults.extend(
                others
                    .iter()
                    .filter(|other| !is_used(other))
                    .map(|other| stale(room, other)),
            );
        }
    }
    faults
}

/// A row that nothing uses.
fn stale(place: &str, what: &str) -> Fault {
    let what = format!("lets `{place}` name {what}, and it no longer does; take it out");
    Fault {
        file: "tests/tidy/direction.rs".to_owned(),
        line: 0,
        what,
    }
}

/// What belongs to few places is named only there.
pub(crate) fn only(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    for file in files(tree, "src/").iter().filter(|file| !file.is_test) {
        for named in file.named.iter().filter(|named| !named.in_test) {
            for (row, (what, places, why)) in ONLY.iter().enumerate() {
                let Some(what) = what.iter().find(|what| begins_with(&named.path, what)) else {
                    continue;
                };
                let place = places.iter().find(|place| lies_in(file.path, place));
                if let Some(place) = place {
                    used.insert((row, *place));
                } else if !inside_itself(file.path, what) {
                    faults.push(fault(file, named, &format!("{why}: {}", places.join(", "))));
                }
            }
        }
    }
    for (row, (what, places, _)) in ONLY.iter().enumerate() {
        for place in places
            .iter()
            .filter(|place| !used.contains(&(row, **place)))
        {
            let what = format!(
                "lets `{place}` name {}, and it no longer does; take it out",
                what.join(", ")
            );
            faults.push(Fault {
                file: "tests/tidy/direction.rs".to_owned(),
                line: 0,
                what,
            });
        }
    }
    faults
}

/// A module may name what is below itself, and its parent may name it again for others.
fn inside_itself(path: &str, what: &str) -> bool {
    let Some(inside) = what.strip_prefix("crate::") else {
        return false;
    };
    lies_in(path, inside.split("::").next().unwrap_or(inside))
}

/// The core names nothing of the outside and nothing of the shell.
pub(crate) fn core(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in files(tree, "src/core/").iter().filter(|file| !file.is_test) {
        for named in file.named.iter().filter(|named| !named.in_test) {
            if NOT_IN_CORE
                .iter()
                .any(|what| begins_with(&named.path, what))
            {
                faults.push(fault(
                    file,
                    named,
                    "the core decides; it does not hear, say, wait or guess",
                ));
            }
        }
    }
    // The core's own tests may read and count, but never need the shell to be built.
    for file in files(tree, "tests/rules/") {
        let shell = |named: &&Named| named.path[0] == "huidu";
        for named in file.named.iter().filter(shell) {
            faults.push(fault(&file, named, "the core is tested without the shell"));
        }
    }
    faults
}
