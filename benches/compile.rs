//! What does one change cost among 10 000 apps? `cargo bench -p huidu-core --bench compile`
//!
//! A catalogue of 10 000 apps with 100 versions and a rollout of 5 rules each; one share is moved: decide,
//! apply, compile the app that changed. Beside it the same in a catalogue of that one app alone: a change
//! must cost what the app costs, whatever else there is.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads a clock, prints, and stops at the first surprise"
)]

#[path = "../tests/rules/world.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared with the tests of rules"
)]
mod world;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use huidu_core::{
    authority::{Role, authorise},
    catalogue::Catalogue,
    command::Command,
    compile::{compile, no_segments},
    decide::decide,
    event::Actor,
    name::AppId,
    share::Share,
    version::Review,
};

const VERSIONS: usize = 100;
const ROUNDS: u32 = 200;

fn catalogue(apps: usize) -> Catalogue {
    let numbers: Vec<String> = (0..VERSIONS).map(|n| format!("1.{n}.0")).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let mut catalogue = Catalogue {
        audience: "bank/bench".into(),
        review: Review::Skipped,
        ..Catalogue::default()
    };
    catalogue
        .hosts
        .insert("retail-bank".parse().unwrap(), String::new());
    for n in 0..apps {
        let rules: String = (0..5)
            .map(|rule| format!("[[rule]]\nname = \"rule-{rule}\"\nwhen = {{ region = \"CN-{}\" }}\nshare = \"5%\"\nserve = \"1.9{rule}.0\"\n", 11 + rule))
            .collect();
        let text = format!(
            "app = \"tenant/app-{n}\"\nhosts = [\"retail-bank\"]\nstable = \"1.0.0\"\n{rules}"
        );
        let app = world::app(&numbers, Some(world::rollout(&text)));
        catalogue.apps.insert(app.id.clone(), app.into());
    }
    catalogue.revision = huidu_core::revision::Revision::new(7);
    catalogue
}

/// Moves a share once, and compiles what changed.
fn change(catalogue: &mut Catalogue, id: &AppId, round: u32) {
    let admin = Actor {
        id: "bench".into(),
        role: Role::Admin,
    };
    let command = Command::SetShare {
        app: id.clone(),
        rule: "rule-3".parse().unwrap(),
        share: Share::from_millionths(5_000_000 + round + 1).unwrap(),
    };
    let authorised = authorise(command, &admin, catalogue, world::noon()).unwrap();
    let events = decide(catalogue, &authorised, world::noon()).unwrap();
    let revision = catalogue.revision.next();
    catalogue.apply(revision, world::noon(), &events);
    black_box(compile(
        &catalogue.apps[id],
        &world::context(),
        &no_segments,
    ));
}

/// The median of many changes.
fn median(catalogue: &mut Catalogue, id: &AppId) -> Duration {
    let mut took: Vec<Duration> = (0..ROUNDS)
        .map(|round| {
            let begun = Instant::now();
            change(catalogue, id, round);
            begun.elapsed()
        })
        .collect();
    took.sort();
    took[took.len() / 2]
}

fn main() {
    let (mut alone, mut among) = (catalogue(1), catalogue(10_000));
    let first: AppId = "tenant/app-0".parse().unwrap();
    let last: AppId = "tenant/app-9999".parse().unwrap();
    // Once each to warm up.
    median(&mut alone, &first);
    median(&mut among, &last);
    let (alone, among) = (median(&mut alone, &first), median(&mut among, &last));
    println!("one change of the only app           {alone:>12.1?}");
    println!("one change of one app among 10 000   {among:>12.1?}");
    println!(
        "ratio {:.2} (a change costs what its app costs)",
        among.as_secs_f64() / alone.as_secs_f64()
    );
}
