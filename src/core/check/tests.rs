//! What the checks find, one table per kind, and that sound rollouts pass.

use std::collections::BTreeMap;

use super::{World, check};
use crate::{
    catalogue::App,
    rollout::Rollout,
    rulefile::parse_toml,
    version::{Bundle, BundleFormat, Life, Permissions, Version},
};

const HEAD: &str = "app = \"pingan/travel\"\nhosts = [\"retail-bank\"]\nstable = \"2.3.1\"\n";

fn rollout(rest: &str) -> Rollout {
    let text = format!("{HEAD}{rest}");
    parse_toml("t.toml", &text)
        .unwrap_or_else(|p| panic!("{p}"))
        .rollout
}

fn rule(name: &str, rest: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\nserve = \"2.3.1\"\n{rest}\n")
}

/// What is wrong with the rules, when nothing but the rules is known.
fn found(rules: &[String]) -> String {
    let text = format!("{HEAD}{}", rules.concat());
    parse_toml("t.toml", &text).map_or_else(|problems| problems.to_string(), |_| "sound".to_owned())
}

fn told(rollout: &Rollout, world: &World<'_>) -> String {
    let findings = check(rollout, world);
    let line = |finding: &super::Finding| format!("{:?} {finding}", finding.severity);
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn app() -> App {
    let delisted = |killed| Life::Delisted {
        reason: "crashes".to_owned(),
        killed,
        at: crate::time::Timestamp::EPOCH,
        before: None,
    };
    let lives = [
        ("2.3.0", Life::Draft),
        ("2.3.1", Life::Listed),
        ("2.3.2", Life::Submitted),
        ("2.3.3", Life::Approved),
        ("2.3.4", delisted(false)),
        ("2.3.5", delisted(true)),
        (
            "2.3.6",
            Life::Rejected {
                reason: "no".to_owned(),
            },
        ),
        ("2.4.0", Life::Listed),
    ];
    let mut app = App::new("pingan/travel".parse().unwrap(), "Travel".to_owned());
    for (number, life) in lives {
        let bundle = Bundle {
            sha256: crate::digest::Digest::of(b"bundle"),
            bytes: 6,
            format: BundleFormat::Zip,
            files: 1,
            unpacked_bytes: 6,
        };
        let version = Version {
            number: number.parse().unwrap(),
            bundle,
            permissions: Permissions::default(),
            notes: String::new(),
            life,
            submitted_at: crate::time::Timestamp::EPOCH,
            dossier: Default::default(),
        };
        app.versions.insert(version.number.clone(), version.into());
    }
    app
}

#[test]
fn only_listed_versions_may_be_named() {
    let app = app();
    let rollout = rollout(
        r#"floors = ["2.3.0"]
pins = { u1 = "2.3.2" }
[[rule]]
name = "ab"
share = "10%"
split = { a = { serve = "2.3.3", weight = 1 }, b = { serve = "2.3.4", weight = 1 }, c = { serve = "2.4.0", weight = 1 } }
[[rule]]
name = "killed"
share = "10%"
serve = "2.3.5"
[[rule]]
name = "rejected"
share = "10%"
serve = "2.3.6"
[[rule]]
name = "unknown"
serve = "9.0.0"
"#,
    );
    let world = World {
        app: Some(&app),
        ..World::default()
    };
    insta::assert_snapshot!(told(&rollout, &world), @"
        Error /pins/u1: `2.3.2` is submitted, not listed; have it approved and list it first
        Error /floors: `2.3.0` is a draft, not listed; submit it, have it approved and list it first
        Error /rule/0/split/a/serve: `2.3.3` is approved, not listed; list it first
        Error /rule/0/split/b/serve: `2.3.4` is delisted, not listed; list it again, or serve another version
        Error /rule/1/serve: `2.3.5` is killed, not listed; take the kill back first, or serve another version
        Error /rule/2/serve: `2.3.6` is rejected, not listed; submit the next number
        Error /rule/3/serve: `9.0.0` is not a version of `pingan/travel`; submit and list it first, or take a listed one such as `2.4.0`, `2.3.1`
        ");
    assert_eq!(told(&rollout, &World::default()), "");
}

#[test]
fn a_rollout_of_another_app_or_of_a_killed_one_is_told() {
    let mut app = app();
    app.id = "pingan/hotel".parse().unwrap();
    app.killed = Some(crate::catalogue::AppKill {
        reason: "breach".to_owned(),
        at: crate::time::Timestamp::EPOCH,
    });
    let world = World {
        app: Some(&app),
        ..World::default()
    };
    insta::assert_snapshot!(told(&rollout(""), &world), @"
        Error /app: `pingan/travel` is not the app this rollout is put to, `pingan/hotel`; put each rollout to its own app
        Warning /app: `pingan/hotel` is killed as a whole, so no device gets any version; take the kill back when it is over
        ");
}

#[test]
fn hosts_and_segments_must_exist() {
    let (hosts, segments) = (BTreeMap::new(), BTreeMap::new());
    let world = World {
        hosts: Some(&hosts),
        segments: Some(&segments),
        ..World::default()
    };
    let when = "when = { any = [{ segment = [\"a\", \"b\"] }, { not = { segment = \"c\" } }] }";
    insta::assert_snapshot!(told(&rollout(&rule("r", when)), &world), @"
        Error /hosts: `retail-bank` is not a known host; add it by `huidu host add`, or correct its name
        Error /rule/0/when/any/0/segment/0: `a` is not a known segment; upload it by `huidu segment put`, or correct its name
        Error /rule/0/when/any/0/segment/1: `b` is not a known segment; upload it by `huidu segment put`, or correct its name
        Error /rule/0/when/any/1/not/segment: `c` is not a known segment; upload it by `huidu segment put`, or correct its name
        ");
}

#[test]
fn rules_that_no_device_reaches_are_found() {
    let everyone = rule("everyone", "");
    let ios = "when = { platform = \"ios\" }";
    let hidden = [
        (vec![everyone.clone(), rule("late", "share = \"1%\"")], true),
        (vec![everyone.clone(), rule("late", ios)], true),
        (vec![rule("a", ios), rule("b", ios)], true),
        (vec![rule("a", ios), rule("b", "")], false),
        (
            vec![rule("a", "share = \"99.999999%\""), rule("b", "")],
            false,
        ),
        (vec![rule("a", "paused = true"), rule("b", "")], false),
        (
            vec![rule("a", "start = 2026-01-01T00:00:00Z"), rule("b", "")],
            false,
        ),
        (
            vec![rule("a", "end = 2026-01-01T00:00:00Z"), rule("b", "")],
            false,
        ),
        (
            vec![
                rule("a", "salt = \"s\"\nshare = \"20%\""),
                rule("b", "salt = \"s\"\nshare = \"20%\""),
            ],
            true,
        ),
        (
            vec![
                rule("a", "salt = \"s\"\nshare = \"20%\""),
                rule("b", "salt = \"s\"\nshare = \"21%\""),
            ],
            false,
        ),
        (
            vec![
                rule("a", "salt = \"s\"\nshare = \"20%\""),
                rule("b", "salt = \"t\"\nshare = \"20%\""),
            ],
            false,
        ),
        (
            vec![
                rule("a", "salt = \"s\"\nshare = \"20%\""),
                rule("b", &format!("salt = \"s\"\nshare = \"20%\"\n{ios}")),
            ],
            true,
        ),
        (
            vec![rule("a", "share = \"20%\""), rule("b", "share = \"20%\"")],
            false,
        ),
    ];
    for (rules, is_hidden) in hidden {
        let found = found(&rules);
        assert_eq!(
            found.contains("is never reached"),
            is_hidden,
            "{rules:?}\n{found}"
        );
    }
    insta::assert_snapshot!(found(&[everyone, rule("late", "")]), @"t.toml:8:1: `late` is never reached, because rule `everyone` before it takes all of its devices; move it before that rule, or take it out");
}

#[test]
fn layers_are_whole_slots_none_twice_none_too_many() {
    let layer =
        |share: &str, rest: &str| format!("layer = \"checkout\"\nshare = \"{share}\"\n{rest}");
    let holdout = "[[holdout]]\nlayer = \"checkout\"\nshare = \"5%\"\n".to_owned();
    let rows = [
        vec![rule("a", &layer("0.005%", ""))],
        vec![
            holdout.clone(),
            rule("a", &layer("60%", "")),
            rule("b", &layer("35.01%", "")),
        ],
        vec![
            rule("a", &layer("1%", "slots = \"0-99\"")),
            rule("b", &layer("1%", "slots = \"99-198\"")),
        ],
        vec![rule("a", &layer("1%", "slots = \"0-98\""))],
        vec![rule("a", &layer("1%", "salt = \"s\""))],
        vec![rule("a", "share = \"1%\"\nslots = \"0-99\"")],
        vec![
            holdout,
            rule("a", &layer("60%", "")),
            rule("b", &layer("35%", "")),
        ],
    ];
    let told: Vec<String> = rows.iter().map(|rules| found(rules)).collect();
    insta::assert_snapshot!(told.join("\n"), @"
        t.toml:8:9: `0.005%` is not a whole number of slots of 0.01%; round the share of a layer to two decimals
        t.toml:17:9: `35.01%` is more than the 35% left of layer `checkout`; lower it, or lower another share of the layer
        t.toml:15:9: `99-198` shares slots of layer `checkout` with rule `a`; leave out `slots`, and huidu gives each its own
        t.toml:9:9: `0-98` is 99 slots, but 1% is 100; leave out `slots`, and huidu gives and takes them as the share moves
        t.toml:9:8: `s` is a salt beside a layer, whose name is the salt already; leave out `salt` or `layer`
        t.toml:8:9: `0-99` stands without a layer; name the `layer` they belong to, or leave them out
        sound
        ");
}

#[test]
fn weights_must_add_up() {
    let split = |a: u32, b: u32| {
        format!(
            "[[rule]]\nname = \"s\"\nsplit = {{ a = {{ serve = \"2.3.1\", weight = {a} }}, b = {{ serve = \"2.4.0\", weight = {b} }} }}\n"
        )
    };
    let rows = [
        split(0, 0),
        split(9_999, 2),
        split(u32::MAX, u32::MAX),
        split(9_999, 1),
    ];
    let told: Vec<String> = rows.into_iter().map(|rule| found(&[rule])).collect();
    insta::assert_snapshot!(told.join("\n"), @"
        t.toml:6:9: `0` is the sum of all weights, so no arm takes anybody; give at least one arm a weight of 1 or more
        t.toml:6:9: `10001` is the sum of all weights and more than 10000; divide all weights by the same number
        t.toml:6:9: `8589934590` is the sum of all weights and more than 10000; divide all weights by the same number
        sound
        ");
    insta::assert_snapshot!(told_alone(&split(1, 0)), @"Warning /rule/0/split/b/weight: `0` lets arm `b` take nobody; give it a weight, or take it out when it is over");
}

fn told_alone(rest: &str) -> String {
    told(&rollout(rest), &World::default())
}

#[test]
fn a_live_rule_keeps_its_draw() {
    let before = rollout(
        &[
            rule("kept", "share = \"10%\""),
            rule("salted", "share = \"10%\"\nsalt = \"one\""),
            rule("layered", "share = \"10%\"\nlayer = \"checkout\""),
            "[[rule]]\nname = \"ab\"\nshare = \"1%\"\nsplit = { a = { serve = \"2.3.1\", weight = 1 } }\n".to_owned(),
        ]
        .concat(),
    );
    let world = World {
        previous: Some(&before),
        ..World::default()
    };
    assert_eq!(told(&before, &world), "");
    let after = rollout(
        &[
            rule("kept", "share = \"20%\"\nsalt = \"pingan/travel/kept\""),
            rule("salted", "share = \"10%\"\nsalt = \"two\""),
            rule("layered", "share = \"10%\""),
            rule("fresh", "share = \"10%\"\nsalt = \"three\""),
            "[[rule]]\nname = \"ab\"\nshare = \"1%\"\nsplit = { a = { serve = \"2.3.1\", weight = 2 } }\n".to_owned(),
        ]
        .concat(),
    );
    insta::assert_snapshot!(told(&after, &world), @"
        Error /rule/1/salt: `two` is another salt than `one`, which live rule `salted` draws with; give the rule a new name, or keep its draw
        Error /rule/2/layer: `no layer` moves live rule `layered` to another layer; give the rule a new name, or keep its draw
        Warning /rule/4/split: `ab` moves enrolled units between its arms: the weights or arms differ; give the rule a new name when the experiment must stay clean
        ");
}

#[test]
fn names_are_given_once() {
    let rules = ["a", "b", "a", "a"].map(|name| rule(name, "share = \"1%\""));
    insta::assert_snapshot!(found(&rules), @"
        t.toml:13:8: `a` is the name of an earlier rule too; give every rule its own name, because the name is its salt
        t.toml:17:8: `a` is the name of an earlier rule too; give every rule its own name, because the name is its salt
        ");
}

#[test]
fn limits_are_kept() {
    let mut large = rollout("");
    large.hosts = (0..65)
        .map(|n| format!("host-{n}").parse().unwrap())
        .collect();
    large.pins = (0..10_001)
        .map(|n| (format!("u{n}"), large.stable.clone()))
        .collect();
    let mut pattern = rollout(&rule("r", "share = \"1%\"")).rules.remove(0);
    pattern.when.segment = Some(crate::audience::OneOrMany::Many(vec![
        "s".parse().unwrap();
        1_001
    ]));
    for n in 0..1_001 {
        pattern.name = format!("r{n}").parse().unwrap();
        large.rules.push(pattern.clone());
    }
    large.rules[0].when.any = vec![large.rules[1].when.clone(); 300];
    large.pins.insert("x".repeat(129), large.stable.clone());
    let told = told(&large, &World::default());
    let mut kinds: Vec<&str> = told
        .lines()
        .filter_map(|line| line.split_once("` ")?.1.split_once(';'))
        .map(|(message, _)| message)
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    insta::assert_snapshot!(kinds.join("\n"), @"
        conditions are more than the 256 that fit
        hosts are more than the 64 that fit
        is too long for a unit
        pins are more than the 10000 that fit
        rules are more than the 1000 that fit
        values are more than the 1000 that fit
        ");
}
