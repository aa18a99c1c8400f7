//! What `deploy/` and the runbooks promise, held against the program, the schemas of Kubernetes and promtool.
//!
//! `tests/deploy/` looks; that it would find what is wrong is shown by planting mistakes. Settings and commands are
//! held against the program in `src/cli/tests/`.

use std::{path::Path, process::Command};

/// Where `tests/setup.sh` puts what reads YAML and knows the schemas.
const PYTHON: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/target/tools/deployment/bin/python"
);
const CHECK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/check.py");

/// Looks at one part; what it says of it.
fn sound(part: &str) {
    assert!(
        Path::new(PYTHON).exists(),
        "the Python package kubernetes-validate is missing; install it with `tests/setup.sh test`"
    );
    let looked = Command::new(PYTHON).args(["-B", CHECK, part]).output();
    let looked = looked.unwrap();
    let said = String::from_utf8_lossy(&looked.stdout);
    let why = String::from_utf8_lossy(&looked.stderr);
    assert!(looked.status.success(), "{said}{why}");
    println!("{said}");
}

#[test]
fn a_cluster_takes_the_manifests_and_they_mean_what_the_program_means() {
    sound("manifests");
}

#[test]
fn every_alert_fires_and_is_silent_when_it_should_and_has_a_page() {
    sound("rules");
}

#[test]
fn every_query_of_the_dashboard_asks_what_exists() {
    sound("dashboard");
}

#[test]
fn runbooks_and_the_plan_to_scale_name_what_exists() {
    sound("pages");
}

#[test]
fn every_mistake_planted_in_what_is_deployed_is_found() {
    sound("planted");
}
