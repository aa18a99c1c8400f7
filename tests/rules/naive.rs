//! `resolve` against the meaning of rules written down plainly: every rule in turn, its whole audience, the plain
//! hash. However rules are found and drawn, the first that takes a device is the same.

use std::{fmt::Write as _, sync::Arc};

use huidu_core::{
    bucket::{self, Salt},
    name::SegmentName,
    poll::{Device, Installed, Poll, Scratch},
    predicate::{Membership, Predicate},
    rollout::{Rollout, Rule},
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::world;

const LISTED: [&str; 3] = ["1.0.0", "1.1.0", "1.2.0"];

/// The first rule that takes the device, and its arm.
fn first(
    rollout: &Rollout,
    device: &Device<'_>,
    installed: &Installed<'_>,
    members: &dyn Fn(&SegmentName) -> Option<Arc<dyn Membership>>,
) -> Option<(usize, Option<String>)> {
    let takes = |rule: &Rule| -> Option<Option<String>> {
        let now = world::noon();
        let begun = rule.start.is_none_or(|start| start <= now);
        let over = rule.end.is_some_and(|end| end <= now);
        let meant = Predicate::compile(&rule.when, members).matches(device, installed);
        if rule.paused || !begun || over || !meant {
            return None;
        }
        let salt = rollout.salt_of(rule);
        let inside = match &rule.layer {
            None => bucket::fine(&salt, device.unit).is_in(rule.share),
            Some(layer) => {
                let fine = bucket::fine(Salt::of_layer(layer).as_str(), device.unit);
                rule.slots.contains(fine.slot())
            }
        };
        let arms = rule.arms();
        let total = arms.iter().map(|(_, weight, _)| weight).sum();
        let ticket = bucket::ticket(&salt, device.unit, total);
        let mut drawn = 0;
        let (name, _, arm) = arms.into_iter().find(|(_, weight, _)| {
            drawn += weight;
            ticket <= drawn
        })?;
        let number = arm.version.to_string();
        let listed = LISTED.contains(&number.as_str());
        let failed = installed.failed.names(&number, "");
        (inside && listed && !failed).then(|| name.map(ToString::to_string))
    };
    let mut rules = rollout.rules.iter().enumerate();
    rules.find_map(|(at, rule)| Some((at, takes(rule)?)))
}

fn when() -> impl Strategy<Value = String> {
    let term = || {
        prop_oneof![
            select(vec!["ios", "android", "harmony"]).prop_map(|p| format!("platform = {p:?}")),
            (0..12_u32).prop_map(|n| format!("region = [\"CN-{n}\", \"US-{n}\"]")),
            select(vec!["CN", "CN-1", "US"]).prop_map(|p| format!("region = {{ prefix = {p:?} }}")),
            (0..4_u32).prop_map(|n| format!("host_version = \">=8.{n}, <9\"")),
            (0..4_u32).prop_map(|n| format!("os_version = {{ dotted = \">14.0.{n}\" }}")),
            (0..3_u32).prop_map(|n| format!("app_version = \"<1.{n}\"")),
            select(vec!["a", "b"]).prop_map(|tag| format!("tag = {tag:?}")),
            select(vec!["a", "b"]).prop_map(|tag| format!("not = {{ tag = {tag:?} }}")),
            Just("tag = { all = [\"a\", \"b\"] }".to_owned()),
            Just("segment = \"staff\"".to_owned()),
            (0..40_i64).prop_map(|n| format!("attr = {{ age = {{ min = {n} }} }}")),
            (0..3_u32).prop_map(|n| format!("attr = {{ grade = \"g{n}\" }}")),
            Just("any = [{ platform = \"ios\" }, { tag = \"b\" }]".to_owned()),
        ]
    };
    let one = |term: &str| term.split(' ').next().map(str::to_owned);
    prop_oneof![
        1 => Just(String::new()),
        3 => term(),
        3 => (term(), term()).prop_map(move |(a, b)| {
            if one(&a) == one(&b) { a } else { format!("{a}, {b}") }
        }),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    let draw = prop_oneof![
        1 => Just(String::new()),
        4 => (0..1_000_000_u32).prop_map(|n| format!("share = \"0.{n:06}%\"\n")),
        4 => (0..30_u32).prop_map(|n| format!("share = \"{n}%\"\n")),
        1 => (0..30_u32).prop_map(|n| format!("share = \"{n}%\"\nsalt = \"{}\"\n", "s".repeat(n as usize + 1))),
        1 => (0..9_000_u32).prop_map(|n| format!("layer = \"l\"\nslots = \"{n}-{}\"\n", n + 700)),
        1 => Just("paused = true\n".to_owned()),
        1 => Just("start = \"2027-01-01T00:00:00Z\"\n".to_owned()),
        1 => Just("end = \"2026-11-23T00:00:00Z\"\n".to_owned()),
    ];
    let serve = select(vec![
        "serve = \"1.1.0\"\n",
        "serve = \"1.2.0\"\n",
        "serve = \"1.9.0\"\n",
        "split = { x = { serve = \"1.1.0\", weight = 3 }, y = { serve = \"1.9.0\", weight = 5 } }\n",
    ]);
    (when(), draw, serve)
        .prop_map(|(when, draw, serve)| format!("when = {{ {when} }}\n{draw}{serve}"))
}

fn device() -> impl Strategy<Value = String> {
    let unit = prop_oneof![
        "[a-z]{1,3}",
        "staff-[12]",
        (0..100_000_u32).prop_map(|n| format!("device-{n:08}")),
        "[0-9a-f]{32}",
        "[0-9a-f]{64,100}",
    ];
    let rest = (
        select(vec!["", "&p=ios", "&p=android"]),
        (0..14_u32).prop_map(|n| format!("&r=CN-{n}")),
        select(vec!["", "&hv=8.2.1", "&hv=9.0.0-rc.1", "&hv=x"]),
        select(vec!["", "&ov=14.0.1.9", "&ov=13"]),
        select(vec!["", "&t=a", "&t=b,a", "&t=c"]),
        select(vec!["", "&a.age=20", "&a.age=x&a.grade=g1"]),
        select(vec!["", "&v=1.0.0", "&x=1.1.0"]),
    );
    (unit, rest).prop_map(|(unit, (a, b, c, d, e, f, g))| format!("u={unit}{a}{b}{c}{d}{e}{f}{g}"))
}

/// Compares on every device, and that explanations come to the same.
fn compare(rules: &[String], shared_salt: bool, devices: &[String]) -> Result<(), TestCaseError> {
    let mut text =
        "app = \"pingan/travel\"\nhosts = [\"retail-bank\"]\nstable = \"1.0.0\"\n".to_owned();
    if shared_salt {
        text.push_str("salt = \"ring\"\n");
    }
    for (at, rule) in rules.iter().enumerate() {
        write!(text, "[[rule]]\nname = \"r{at}\"\n{rule}").unwrap();
    }
    let rollout = world::rollout(&text);
    let mut app = world::app(&LISTED, Some(rollout.clone()));
    world::delist(&mut app, "1.9.0", false);
    let staff = world::segment(&["staff-1".into()]);
    let segments = [("staff".to_owned(), staff.clone())].into();
    let app = world::compiled(&app, &segments);
    let members = |name: &SegmentName| (name.as_str() == "staff").then(|| staff.clone());
    for query in devices {
        let mut scratch = Scratch::default();
        let poll = Poll::from_query(query, &mut scratch).unwrap();
        let outcome = app.resolve("retail-bank", &poll.device, &poll.installed, world::noon());
        let got = outcome.rule.map(|rule| {
            let arm = outcome.answer.arm.as_ref();
            (rule, arm.map(ToString::to_string))
        });
        let wanted = first(&rollout, &poll.device, &poll.installed, &members);
        prop_assert_eq!(&got, &wanted, "{}", query);
        let told = app.explain("retail-bank", &poll.device, &poll.installed, world::noon());
        prop_assert_eq!(told.index, outcome.index);
        // Whoever asks why hears of every rule up to the one that took.
        let asked = told
            .steps
            .iter()
            .filter(|step| step.name.starts_with('r'))
            .count();
        prop_assert_eq!(asked, got.map_or(rules.len(), |(rule, _)| rule + 1));
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_first_rule_that_takes_a_device_is_the_first_asked_in_turn(
        rules in vec(rule(), 1..60), shared_salt: bool, devices in vec(device(), 1..20)
    ) {
        compare(&rules, shared_salt, &devices)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn so_it_is_in_rollouts_of_many_rules_and_more(
        rules in vec(rule(), 900..1_100), devices in vec(device(), 10)
    ) {
        compare(&rules, false, &devices)?;
    }
}
