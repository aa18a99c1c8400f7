//! What rules mean, as data: `cases/*.toml` read like a specification, and properties that hold for any
//! rollout.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod naive;
mod plans;
mod properties;
mod world;

use std::collections::BTreeMap;

use huidu_core::{
    audience::Audience,
    compile::CompiledApp,
    manifest::Manifest,
    name::SegmentName,
    poll::{Poll, Scratch},
    predicate::Predicate,
    rollout::{Param, Rollout},
    time::Timestamp,
};
use serde::Deserialize;

/// One file of cases.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Book {
    versions: Versions,
    rollout: Option<Rollout>,
    #[serde(default)]
    segments: BTreeMap<String, Vec<String>>,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Versions {
    listed: Vec<String>,
    delisted: Vec<String>,
    killed: Vec<String>,
    app_killed: bool,
}

/// A device and what it gets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    device: String,
    #[serde(default = "retail")]
    host: String,
    now: Option<Timestamp>,
    /// A version, `none` or `killed`.
    gets: String,
    /// Left out: `rule` where a rule is named, else what it gets.
    reason: Option<String>,
    rule: Option<String>,
    arm: Option<String>,
    #[serde(default)]
    params: BTreeMap<String, Param>,
}

fn retail() -> String {
    "retail-bank".into()
}

impl Book {
    fn open(text: &str) -> (CompiledApp, Vec<Case>) {
        let book: Self = toml::from_str(text).unwrap_or_else(|error| panic!("{error}"));
        let listed: Vec<&str> = book.versions.listed.iter().map(String::as_str).collect();
        let mut app = world::app(&listed, book.rollout);
        book.versions
            .delisted
            .iter()
            .for_each(|n| world::delist(&mut app, n, false));
        book.versions
            .killed
            .iter()
            .for_each(|n| world::delist(&mut app, n, true));
        if book.versions.app_killed {
            world::kill(&mut app);
        }
        let segments = book
            .segments
            .iter()
            .map(|(name, units)| (name.clone(), world::segment(units)))
            .collect();
        (world::compiled(&app, &segments), book.case)
    }
}

/// What a device got, in the words of a case.
#[derive(Debug, PartialEq)]
struct Got {
    gets: String,
    reason: String,
    rule: Option<String>,
    arm: Option<String>,
    params: BTreeMap<String, Param>,
}

fn ask(app: &CompiledApp, case: &Case) -> Got {
    let mut scratch = Scratch::default();
    let poll = Poll::from_query(&case.device, &mut scratch).unwrap();
    let now = case.now.unwrap_or_else(world::noon);
    let outcome = app.resolve(&case.host, &poll.device, &poll.installed, now);
    // What counts is what the device reads.
    let read: Manifest = serde_json::from_slice(&outcome.answer.body).unwrap();
    assert_eq!(read.reason, outcome.reason, "{}", case.name);
    assert_eq!(read.version, outcome.answer.version, "{}", case.name);
    let explained = app.explain(&case.host, &poll.device, &poll.installed, now);
    assert_eq!(explained.index, outcome.index, "{}", case.name);
    Got {
        gets: match &read.version {
            Some(version) => version.to_string(),
            None => outcome.reason.word().to_owned(),
        },
        reason: read.reason.word().to_owned(),
        rule: read.rule.map(String::from),
        arm: read.arm.map(String::from),
        params: read
            .params
            .into_iter()
            .map(|(k, v)| (k.into(), v))
            .collect(),
    }
}

fn check(text: &str) {
    let (app, cases) = Book::open(text);
    assert!(!cases.is_empty());
    let wrong: Vec<String> = (cases.iter())
        .filter_map(|case| {
            let implied = if case.rule.is_some() {
                "rule"
            } else {
                &case.gets
            };
            let wanted = Got {
                gets: case.gets.clone(),
                reason: case.reason.as_deref().unwrap_or(implied).to_owned(),
                rule: case.rule.clone(),
                arm: case.arm.clone(),
                params: case.params.clone(),
            };
            let mut got = ask(&app, case);
            if case.params.is_empty() {
                got.params.clear();
            }
            (got != wanted).then(|| format!("{}\n  wanted {wanted:?}\n  got    {got:?}", case.name))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

macro_rules! books {
    ($($sentence:ident $file:literal;)*) => {$(
        #[test]
        fn $sentence() {
            check(include_str!(concat!("cases/", $file)));
        }
    )*};
}

books! {
    ramps_run_beside_each_other "ramps.toml";
    rules_hold_from_start_to_end "schedule.toml";
    experiments_of_one_layer_share_no_unit "layers.toml";
    pins_come_first_and_floors_are_not_skipped "pins_floors.toml";
    what_is_gone_is_not_offered "gone.toml";
    a_killed_app_stops_everybody "killed_app.toml";
    an_app_without_rollout_is_given_to_nobody "no_rollout.toml";
    one_salt_is_one_order_of_units "one_ring.toml";
}

#[derive(Deserialize)]
struct Operators {
    meets: Vec<Meets>,
}

#[derive(Deserialize)]
struct Meets {
    when: toml::Table,
    #[serde(default)]
    yes: Vec<String>,
    #[serde(default)]
    no: Vec<String>,
}

#[test]
fn every_operator_means_these_devices_and_not_those() {
    let book: Operators = toml::from_str(include_str!("cases/operators.toml")).unwrap();
    let staff = world::segment(&["staff-1".into(), "staff-2".into()]);
    let members = |name: &SegmentName| (name.as_str() == "staff").then(|| staff.clone());
    let mut asked = 0;
    for Meets { when, yes, no } in book.meets {
        let shown = when.to_string();
        let audience: Audience = when.try_into().unwrap();
        let predicate = Predicate::compile(&audience, &members);
        for (device, meant) in yes
            .iter()
            .map(|d| (d, true))
            .chain(no.iter().map(|d| (d, false)))
        {
            let mut scratch = Scratch::default();
            let Poll {
                device: d,
                installed,
            } = Poll::from_query(device, &mut scratch).unwrap();
            assert_eq!(predicate.matches(&d, &installed), meant, "{shown} {device}");
            // What does not match says why, and only then.
            assert_eq!(
                predicate.mismatch(&d, &installed).is_none(),
                meant,
                "{shown} {device}"
            );
            asked += 1;
        }
    }
    assert!(asked >= 80, "{asked}");
}
