//! What every file carries and how long it may be, what the top holds, and words that do not belong.

use std::collections::BTreeSet;

use crate::{
    scan::code,
    tree::{Fault, Tree},
};

/// Lines a Rust file may have.
const LINES: usize = 700;

/// Longer files, each with the lines it may have and why it is one file.
const LONGER: &[(&str, usize, &str)] = &[
    (
        "src/archive/tests/hostile_zip.rs",
        760,
        "one table of hostile archives, read against the list of threats",
    ),
    (
        "src/device/tests.rs",
        1_200,
        "every route of the public port over one plane, whole replies",
    ),
];

/// What the top of the repository may hold.
const TOP: &[&str] = &[
    ".ci",
    ".config",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "Makefile",
    "README.md",
    "benches",
    "clippy.toml",
    "console",
    "deploy",
    "docs",
    "rollout-rules",
    "rustfmt.toml",
    "src",
    "tests",
];

/// What must be there.
const NEEDED: &[&str] = &[
    "Cargo.toml",
    "README.md",
    "ARCHITECTURE.md",
    "benches",
    "deploy",
    "rollout-rules",
    "src",
    "tests",
];

/// Pieces of text that belong nowhere in the repository, in two halves so that this file holds none.
const WORDS: &[(&str, &str, &str)] = &[
    ("/wo", "rk/", "is a path of one machine"),
    ("/ho", "me/", "is a path of one machine"),
    ("/ro", "ot/", "is a path of one machine"),
    ("/Us", "ers/", "is a path of one machine"),
    ("crates", ".io", "is a registry's host"),
    ("registry.npm", "js", "is a registry's host"),
    ("npm", "js.org", "is a registry's host"),
    ("pypi", ".org", "is a registry's host"),
    (
        "TO",
        "DO",
        "is a promise nobody keeps; do it, or write down why not",
    ),
    (
        "FIX",
        "ME",
        "is a promise nobody keeps; do it, or write down why not",
    ),
    (
        "XX",
        "X",
        "is a promise nobody keeps; do it, or write down why not",
    ),
    ("<<<<", "<<<", "is a merge that was not finished"),
];

/// Files that tools write and we do not word.
const WRITTEN_BY_TOOLS: &[&str] = &["Cargo.lock", "package-lock.json"];

fn fault(file: &str, line: usize, what: impl Into<String>) -> Fault {
    Fault {
        file: file.to_owned(),
        line,
        what: what.into(),
    }
}

/// Every Rust file opens by saying what it is.
pub(crate) fn docs(tree: &Tree) -> Vec<Fault> {
    let says = |text: &str| {
        text.strip_prefix("//! ").is_some_and(|rest| {
            rest.lines()
                .next()
                .is_some_and(|line| line.trim().len() >= 10)
        })
    };
    let mute = tree.rust().filter(|(_, text)| !says(text));
    mute.map(|(path, _)| fault(path, 1, "does not open with `//!` and what it is"))
        .collect()
}

/// No file is longer than can be read in one sitting, but for those that say why.
pub(crate) fn lengths(tree: &Tree) -> Vec<Fault> {
    lengths_with(tree, LONGER)
}

pub(crate) fn lengths_with(tree: &Tree, longer: &[(&str, usize, &str)]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (path, text) in tree.rust() {
        let lines = text.lines().count();
        let most = longer
            .iter()
            .find(|(file, ..)| *file == path)
            .map_or(LINES, |(_, most, _)| *most);
        if lines > most {
            faults.push(fault(
                path,
                0,
                format!("has {lines} lines, more than {most}; make it a folder of the same name"),
            ));
        }
    }
    for (path, most, why) in longer {
        let lines = tree.0.get(*path).map_or(0, |text| text.lines().count());
        if lines <= LINES || *most <= LINES || why.is_empty() {
            faults.push(fault(
                path,
                0,
                format!("has {lines} lines and needs no exception from {LINES}; take it out"),
            ));
        }
    }
    faults
}

/// The top holds what people expect there, and nothing else.
pub(crate) fn top(tree: &Tree) -> Vec<Fault> {
    let mut here: Vec<&str> = tree
        .0
        .keys()
        .map(|path| path.split('/').next().unwrap_or(path))
        .collect();
    here.dedup();
    let strange = here.iter().filter(|name| !TOP.contains(name));
    let mut faults: Vec<Fault> = strange
        .map(|name| fault(name, 0, "does not belong at the top"))
        .collect();
    faults.extend(
        NEEDED
            .iter()
            .filter(|name| !here.contains(name))
            .map(|name| fault(name, 0, "is missing at the top")),
    );
    faults
}

/// Nothing speaks of one machine, of a registry's host, or of what somebody meant to do later.
pub(crate) fn words(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    let words: Vec<(String, &str)> = WORDS
        .iter()
        .map(|(first, second, why)| (format!("{first}{second}"), *why))
        .collect();
    for (path, text) in &tree.0 {
        if WRITTEN_BY_TOOLS
            .iter()
            .any(|name| path.rsplit('/').next() == Some(name))
        {
            continue;
        }
        for (at, line) in text.lines().enumerate() {
            for (word, why) in &words {
                if line
                    .match_indices(word)
                    .any(|(from, _)| stands_alone(line, from, word))
                {
                    faults.push(fault(path, at + 1, format!("`{word}` {why}")));
                }
            }
        }
    }
    faults
}

/// False when `word` is only the middle of a longer word or path.
fn stands_alone(line: &str, from: usize, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let before = line[..from].chars().next_back().is_some_and(is_part);
    let after = line[from + word.len()..]
        .chars()
        .next()
        .is_some_and(is_part);
    let letters = |text: Option<char>| text.is_some_and(char::is_alphanumeric);
    !(before && (letters(word.chars().next()) || word.starts_with('/')))
        && !(after && letters(word.chars().next_back()))
}

/// Every file is a target or declared as a module: a file that nothing declares is never compiled, and its
/// tests never run.
pub(crate) fn modules(tree: &Tree) -> Vec<Fault> {
    let mut declared = BTreeSet::new();
    for (path, text) in tree.rust() {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let stem = path.trim_end_matches(".rs");
        let last = stem.rsplit('/').next().unwrap_or(stem);
        let home = if matches!(last, "mod" | "lib" | "main") || is_target(tree, path) {
            folder
        } else {
            stem
        };
        let code = code(text);
        let words: Vec<&str> = code
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .filter(|word| !word.is_empty())
            .collect();
        for pair in words.windows(2).filter(|pair| pair[0] == "mod") {
            declared.insert(format!("{home}/{}", pair[1]));
        }
        for line in text.lines() {
            let by_path = line
                .trim()
                .strip_prefix("#[path = \"")
                .and_then(|rest| rest.strip_suffix("\"]"));
            declared.extend(by_path.map(|by_path| below(folder, by_path.trim_end_matches(".rs"))));
        }
    }
    let mut faults = Vec::new();
    for (path, _) in tree.rust() {
        let stem = path.trim_end_matches(".rs");
        let named = [stem, stem.strip_suffix("/mod").unwrap_or(stem)];
        let is_root = stem.ends_with("/main") || stem.ends_with("/lib") || is_target(tree, path);
        if !is_root && !named.iter().any(|stem| declared.contains(*stem)) {
            faults.push(fault(
                path,
                0,
                "is declared by no module, so it is never compiled",
            ));
        }
    }
    faults
}

/// `path` as seen from `folder`: `../a` from `tests/it` is `tests/a`.
fn below(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// True when a Cargo.toml names the file as a target of its own.
fn is_target(tree: &Tree, path: &str) -> bool {
    tree.files("", "Cargo.toml").any(|(manifest, text)| {
        let folder = manifest.rsplit_once('/').map_or("", |(folder, _)| folder);
        let named = text
            .lines()
            .filter_map(|line| line.strip_prefix("path = \""));
        let mut named = named.map(|named| below(folder, named.trim_end_matches('"')));
        named.any(|named| named == path)
    })
}
