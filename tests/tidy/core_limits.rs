//! What the core may depend on and may call: its Cargo.toml and its clippy.toml are held to a list.

use std::{fs, process::Command};

use toml::Table;

use crate::tree::{Fault, Tree, top};

/// The crates the core may know. Each is pure: no runtime, no socket, no clock, no randomness.
const CRATES: &[&str] = &[
    "bytes",
    "data-encoding",
    "ed25519-dalek",
    "jiff",
    "libm",
    "murmur3",
    "schemars",
    "semver",
    "serde",
    "serde_json",
    "sha2",
    "strsim",
    "thiserror",
    "toml",
];

/// Features that would bring the outside in.
const FEATURES: &[&str] = &["rand_core", "tz-system", "tzdb-zoneinfo", "js", "rt", "net"];

/// What the core's clippy.toml must forbid at least.
const BANS: &[&str] = &[
    "std::env::args",
    "std::env::var",
    "std::fs::File",
    "std::fs::read",
    "std::fs::write",
    "std::io::stdout",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::process::Command",
    "std::thread::sleep",
    "std::thread::spawn",
    "std::time::Instant::now",
    "std::time::SystemTime::now",
];

fn fault(file: &str, what: String) -> Fault {
    Fault {
        file: file.to_owned(),
        line: 0,
        what,
    }
}

fn table(tree: &Tree, file: &str) -> Table {
    tree.0
        .get(file)
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

/// The core depends on nothing that is not listed, and on nothing under another name.
pub(crate) fn dependencies(tree: &Tree) -> Vec<Fault> {
    let file = "src/core/Cargo.toml";
    let manifest = table(tree, file);
    let mut faults = Vec::new();
    let sections = ["dependencies", "build-dependencies", "target"];
    let found = |section: &str| manifest.get(section).and_then(|found| found.as_table());
    if found("dependencies").is_none_or(Table::is_empty) {
        faults.push(fault(
            file,
            "has no dependencies at all; is it still the core's?".to_owned(),
        ));
    }
    for (section, table) in sections
        .iter()
        .filter_map(|section| Some((section, found(section)?)))
    {
        for (name, how) in table {
            if *section != "dependencies" {
                faults.push(fault(
                    file,
                    format!("has `{section}`; the core has plain dependencies alone"),
                ));
            } else if !CRATES.contains(&name.as_str()) || how.get("package").is_some() {
                faults.push(fault(
                    file,
                    format!("depends on `{name}`, which pure code may not know"),
                ));
            }
            let features = how.get("features").and_then(|list| list.as_array());
            for feature in features
                .into_iter()
                .flatten()
                .filter_map(|feature| feature.as_str())
            {
                if FEATURES.contains(&feature) {
                    faults.push(fault(
                        file,
                        format!("asks `{name}` for `{feature}`, which brings the outside in"),
                    ));
                }
            }
        }
    }
    let stale = CRATES
        .iter()
        .filter(|name| !found("dependencies").is_some_and(|table| table.contains_key(**name)));
    faults.extend(stale.map(|name| {
        fault(
            file,
            format!("no longer depends on `{name}`; take it off the list"),
        )
    }));
    faults
}

/// The core's clippy.toml forbids what it must, each with its reason.
pub(crate) fn bans(tree: &Tree) -> Vec<Fault> {
    let file = "src/core/clippy.toml";
    let settings = table(tree, file);
    let banned: Vec<(&str, &str)> = ["disallowed-methods", "disallowed-types"]
        .iter()
        .filter_map(|list| settings.get(*list)?.as_array())
        .flatten()
        .filter_map(|ban| {
            Some((
                ban.get("path")?.as_str()?,
                ban.get("reason").and_then(|why| why.as_str()).unwrap_or(""),
            ))
        })
        .collect();
    let missing = BANS
        .iter()
        .filter(|path| !banned.iter().any(|(banned, _)| banned == *path));
    let mute = banned.iter().filter(|(_, why)| why.is_empty());
    let mut faults: Vec<Fault> = missing
        .map(|path| fault(file, format!("does not forbid `{path}`")))
        .collect();
    faults
        .extend(mute.map(|(path, _)| fault(file, format!("does not say why it forbids `{path}`"))));
    let allows = "disallowed_methods";
    for (path, text) in tree
        .files("src/core/", ".rs")
        .filter(|(path, _)| *path != "src/core/rulefile/tests.rs")
    {
        if let Some(line) = text.lines().position(|line| line.contains(allows)) {
            faults.push(Fault {
                file: path.to_owned(),
                line: line + 1,
                what: "lifts a ban of the core".to_owned(),
            });
        }
    }
    faults
}

/// Clippy itself, with the core's settings, over one line for each ban: what it does not report is not in
/// force, whatever the file says.
#[test]
fn clippy_refuses_in_the_core_what_it_must_not_do() {
    let rows = [
        ("std::env::var(\"A\")", "std::env::var"),
        ("std::env::args()", "std::env::args"),
        ("std::fs::File::open(\"a\")", "std::fs::File"),
        ("std::fs::read(\"a\")", "std::fs::read"),
        ("std::fs::write(\"a\", \"b\")", "std::fs::write"),
        ("std::fs::create_dir(\"a\")", "std::fs::create_dir"),
        ("std::fs::remove_file(\"a\")", "std::fs::remove_file"),
        ("std::io::stdout()", "std::io::stdout"),
        ("std::net::TcpStream::connect(\"a\")", "std::net::TcpStream"),
        ("std::net::UdpSocket::bind(\"a\")", "std::net::UdpSocket"),
        ("std::process::Command::new(\"a\")", "std::process::Command"),
        (
            "std::thread::sleep(std::time::Duration::ZERO)",
            "std::thread::sleep",
        ),
        ("std::thread::spawn(|| ())", "std::thread::spawn"),
        ("std::time::Instant::now()", "std::time::Instant::now"),
        ("std::time::SystemTime::now()", "std::time::SystemTime::now"),
        ("println!(\"a\")", "print_stdout"),
        ("eprintln!(\"a\")", "print_stderr"),
        ("dbg!(1)", "dbg_macro"),
        ("Some(1).unwrap()", "unwrap_used"),
    ];
    for path in BANS {
        assert!(
            rows.iter().any(|(_, what)| what == path),
            "no row tries `{path}`"
        );
    }
    let mut text = "//! Everything the core must not do, a line each.\n".to_owned();
    for (row, (code, _)) in rows.iter().enumerate() {
        text.push_str(&format!("pub fn row_{row}() {{ let _ = {code}; }}\n"));
    }
    let scratch = tempdir();
    let file = scratch.join("lib.rs");
    fs::write(&file, text).unwrap();
    let mut clippy = Command::new("clippy-driver");
    clippy.args([
        "--edition",
        "2024",
        "--crate-type",
        "lib",
        "--emit",
        "metadata",
        "--error-format",
        "short",
    ]);
    // The lints that the workspace turns on; those of disallowed things are on by themselves.
    clippy.args([
        "-Wclippy::print_stdout",
        "-Wclippy::print_stderr",
        "-Wclippy::dbg_macro",
        "-Wclippy::unwrap_used",
    ]);
    clippy
        .arg("--out-dir")
        .arg(&scratch)
        .arg(&file)
        .env("CLIPPY_CONF_DIR", top().join("src/core"));
    let done = clippy
        .output()
        .expect("clippy-driver starts; `rustup component add clippy` installs it");
    let told = String::from_utf8(done.stderr).unwrap();
    fs::remove_dir_all(&scratch).unwrap();
    for (row, (code, _)) in rows.iter().enumerate() {
        let line = format!("lib.rs:{}:", row + 2);
        assert!(
            told.lines()
                .any(|told| told.contains(&line) && told.contains("warning")),
            "`{code}` passes:\n{told}"
        );
    }
}

/// The workspace's lints are those the test above turns on.
#[test]
fn the_workspace_turns_the_lints_of_printing_on() {
    let manifest: Table = fs::read_to_string(top().join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let lints = &manifest["workspace"]["lints"]["clippy"];
    for lint in ["print_stdout", "print_stderr", "dbg_macro", "unwrap_used"] {
        assert_eq!(lints[lint].as_str(), Some("warn"), "{lint}");
    }
    let core: Table = fs::read_to_string(top().join("src/core/Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(core["lints"]["workspace"].as_bool(), Some(true));
}

fn tempdir() -> std::path::PathBuf {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("tidy-{}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    path
}
