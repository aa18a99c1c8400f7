//! How fast do others decide the same? `cargo run --release --manifest-path benches/evaluators/Cargo.toml`
//!
//! The same twenty rules in huidu and in three published evaluators, one device that no rule takes, in one run. Before
//! the clock starts the engines must agree: all of them on who is meant, and huidu with Unleash also on
//! every unit of every share, because their bucketing is the same at whole percents. The other two hash in
//! another way, so that their shares hold other units.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark stops at the first surprise"
)]

mod engines;
mod rules;

#[path = "../rows.rs"]
mod rows;
#[path = "../../tests/rules/world.rs"]
#[allow(dead_code, reason = "shared with the tests of rules")]
mod world;

use std::{hint::black_box, process::ExitCode};

use engines::{Growthbook, Huidu, LaunchDarkly, Yggdrasil, stated};
use rows::{Bar, Rows};
use rules::{many, polling, rules};

/// Devices on which the engines must agree.
const DEVICES: usize = 30_000;

/// All engines choose the same rule where no share decides, and huidu and Unleash everywhere.
fn agree() {
    let whole = rules(Some(100));
    let (huidu, growthbook) = (Huidu::new(&whole), Growthbook::new(&whole));
    let (launchdarkly, yggdrasil) = (LaunchDarkly::new(&whole), Yggdrasil::new(&whole));
    let shares = rules(None);
    let (drawn, theirs) = (Huidu::new(&shares), Yggdrasil::new(&shares));
    let (mut took, mut in_share) = (0, 0);
    for device in many(DEVICES) {
        let chosen = huidu.ask(&stated(&device));
        let others = Some(chosen.unwrap_or(whole.len()));
        let unit = &device.unit;
        assert_eq!(
            launchdarkly.ask(&LaunchDarkly::context(&device)),
            others,
            "{unit}"
        );
        assert_eq!(
            growthbook.ask(&Growthbook::attributes(&device)),
            others,
            "{unit}"
        );
        let context = Yggdrasil::context(&device);
        assert_eq!(yggdrasil.ask(&context), chosen.is_some(), "{unit}");
        let drawn = drawn.ask(&stated(&device));
        assert_eq!(theirs.ask(&context), drawn.is_some(), "{unit}");
        took += usize::from(chosen.is_some());
        in_share += usize::from(drawn.is_some_and(|rule| shares[rule].percent < 100));
    }
    assert!(took > DEVICES / 10 && took < DEVICES && in_share > DEVICES / 100);
    println!("the engines agree on {DEVICES} devices, {took} of which a rule means");
}

fn main() -> ExitCode {
    agree();
    let rules = rules(None);
    let device = polling();
    let huidu = Huidu::new(&rules);
    let asked = stated(&device);
    assert_eq!(huidu.ask(&asked), None);
    let ours = || huidu.ask(black_box(&asked));
    let mut all = Rows::default();
    let mut row = |name: &str, version: &str, times: &[(f64, f64)]| {
        let (theirs, ours) = rows::medians(times);
        println!("{name} {version} takes {theirs:.0} ns, huidu {ours:.1} ns");
        let work = format!("resolve 20 rules / {name}");
        all.row(&work, version, &rows::ratios(times), Bar::AtLeast(5.0));
    };

    let (engine, context) = (Yggdrasil::new(&rules), Yggdrasil::context(&device));
    assert!(!engine.ask(&context));
    row(
        "yggdrasil",
        "unleash-yggdrasil 0.21",
        &rows::nanos(|| engine.ask(black_box(&context)), ours),
    );

    let (engine, context) = (LaunchDarkly::new(&rules), LaunchDarkly::context(&device));
    assert_eq!(engine.ask(&context), Some(rules.len()));
    let version = "launchdarkly-server-sdk-evaluation 2";
    row(
        "launchdarkly",
        version,
        &rows::nanos(|| engine.ask(black_box(&context)), ours),
    );

    let (engine, attributes) = (Growthbook::new(&rules), Growthbook::attributes(&device));
    assert_eq!(engine.ask(&attributes), Some(rules.len()));
    row(
        "growthbook",
        "growthbook-rust 0.4",
        &rows::nanos(|| engine.ask(black_box(&attributes)), ours),
    );
    all.end()
}
