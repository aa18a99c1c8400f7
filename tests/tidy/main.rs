//! The architecture as tests: who may name whom, what every file carries, what the repository holds.
//!
//! Every check is a function over a tree of texts. Each runs over the repository, where it must find
//! nothing, and over planted mistakes, where it must find each: a check that cannot fail is worth nothing.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "these tests read the repository"
)]

mod core_limits;
mod direction;
mod files;
mod planted;
mod scan;
mod tree;

use tree::{Fault, Tree};

/// A check by its name.
type Check = (&'static str, fn(&Tree) -> Vec<Fault>);

/// All checks of a tree.
const CHECKS: &[Check] = &[
    ("rooms", direction::rooms),
    ("core rooms", direction::core_rooms),
    ("only", direction::only),
    ("core", direction::core),
    ("core dependencies", core_limits::dependencies),
    ("core bans", core_limits::bans),
    ("docs", files::docs),
    ("lengths", files::lengths),
    ("top", files::top),
    ("words", files::words),
    ("modules", files::modules),
];

#[test]
fn the_repository_keeps_every_line_of_its_architecture() {
    let tree = Tree::of_the_repository();
    let mut faults = Vec::new();
    for (name, check) in CHECKS {
        let found = check(&tree);
        faults.extend(found.into_iter().map(|fault| format!("[{name}] {fault}")));
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
