//! What rule files say when they are wrong, and that nothing is lost when they are right.

use proptest::prelude::*;

use super::{
    generate, parse_json, parse_json_in, parse_toml, parse_toml_in,
    schema::{SCHEMA_COMMAND, schema},
};
use crate::{
    cases::CaseFile,
    check::World,
    limits,
    rollout::{Rollout, Serve},
};

/// The problems of a file whose head is right, one line each.
fn problems_of(rest: &str) -> String {
    let text =
        format!("app = \"pingan/travel\"\nhosts = [\"retail-bank\"]\nstable = \"2.3.1\"\n{rest}");
    match parse_toml("t.toml", &text) {
        Ok(parsed) => panic!("was taken: {:?}", parsed.rollout),
        Err(problems) => problems.to_string(),
    }
}

const LANGUAGE: &str = r#"
app = "pingan/travel"             # tenant/app
hosts = ["retail-bank"]           # which bank apps show it
stable = "2.3.1"                  # what every admitted device gets when no rule takes it (required)
salt = "travel-2026-11"

[[rule]]
name = "staff-first"
when = { segment = "bank-staff" }
serve = "2.5.0-rc.1"

[[rule]]
name = "ramp-2.4"
when = { platform = ["android", "harmony"], region = ["CN-31"], host_version = ">=8.2, <9", not = { tag = "slow-device" } }
share = "5%"
serve = "2.4.0"

[[rule]]
name = "checkout-ab"
layer = "checkout"
share = "20%"
split = { control = { serve = "2.3.1", weight = 1 }, one-page = { serve = "2.4.0", weight = 1, params = { skin = "b" } } }
"#;

#[test]
fn the_language_of_the_design_is_read() {
    let rollout = parse_toml("travel.toml", LANGUAGE).unwrap().rollout;
    assert_eq!(rollout.rules.len(), 3);
    assert_eq!(rollout.rules[1].share.to_string(), "5%");
    assert!(matches!(&rollout.rules[2].serve, Serve::Split(arms) if arms.len() == 2));
    assert_eq!(rollout.segments().len(), 1);
    let json = serde_json::to_string(&rollout).unwrap();
    assert_eq!(parse_json(&json).unwrap().rollout, rollout);
}

#[test]
fn instants_are_written_natively_or_as_text() {
    let text = LANGUAGE.replace(
        "name = \"ramp-2.4\"",
        "name = \"ramp-2.4\"\nstart = 2026-11-23T08:00:00+08:00\nend = \"2026-11-24T00:00:00Z\"",
    );
    let rollout = parse_toml("travel.toml", &text).unwrap().rollout;
    assert_eq!(
        rollout.rules[1].start.unwrap().to_string(),
        "2026-11-23T00:00:00Z"
    );
    assert_eq!(
        rollout.rules[1].end.unwrap().to_string(),
        "2026-11-24T00:00:00Z"
    );
}

#[test]
fn every_mistake_is_told_at_once_in_the_order_of_the_file() {
    let text = r#"app = "Travel"
hosts = []
stabel = "2.3.1"
salt = "a:b"
bucketing = "huidu/2"
floors = ["2.0.0", "2.0"]
pins = { device-1 = 2.4, device-2 = "2.4.0+build.7" }

[[rule]]
name = "Staff First"
when = { segmnet = "bank-staff", platform = 3, region = [] }
share = 6
serve = "2.5.0-rc.1"
paused = "yes"

[[rule]]
nmae = "ramp"
when = { host_version = ">=9, <8", os_version = { dotted = "8.x" }, any = [{ tag = ["a", 1] }] }
share = "101%"
start = 2026-01-01
end = 2026-01-01T08:00:00
slots = "5-4"
serve = "2.4"
split = { a = { serve = "2.4.0", weight = 1 } }

[[rule]]
name = "ab"
params = { skin = "b" }
split = { "One Page" = { serve = "2.4.0", weight = -1 }, b = { weight = 1.5, extra = true } }

[[rule]]
name = "nothing"
when = { attr = { vip = true, born = 2000-01-01T00:00:00Z, level = { min = 1, prefix = "a" }, city = {} } }
layer = ["checkout"]

[[holdout]]
share = "5%"
slots = 7
"#;
    let problems = parse_toml("rollout-rules/pingan/travel.toml", text).unwrap_err();
    assert!(problems.list().len() >= 30, "{}", problems.list().len());
    insta::assert_snapshot!(problems, @r#"
        rollout-rules/pingan/travel.toml:1:1: `stable` is missing; add `stable = …`: the version every device gets when no rule takes it
        rollout-rules/pingan/travel.toml:1:7: `Travel` is not an app; write `tenant/app`, each half a name of a-z 0-9 . _ -
        rollout-rules/pingan/travel.toml:2:9: `[]` names no host; name at least one bank app
        rollout-rules/pingan/travel.toml:3:1: `stabel` is an unknown key; did you mean `stable`?
        rollout-rules/pingan/travel.toml:4:8: `a:b` is not a salt; use 1 to 128 bytes of text without `:` or control characters
        rollout-rules/pingan/travel.toml:5:13: `huidu/2` is not a bucketing this version knows; write "huidu/1", or leave it out
        rollout-rules/pingan/travel.toml:6:20: `2.0` is not a version; write three numbers in quotes, such as "2.4.0" or "2.5.0-rc.1"
        rollout-rules/pingan/travel.toml:7:21: `2.4` is a number with a fraction; write three numbers in quotes, such as "2.4.0" or "2.5.0-rc.1"
        rollout-rules/pingan/travel.toml:7:37: `2.4.0+build.7` carries build metadata, which has no order; leave out `+build.7`
        rollout-rules/pingan/travel.toml:10:8: `Staff First` is no rule name; use 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit
        rollout-rules/pingan/travel.toml:11:10: `segmnet` is an unknown key; did you mean `segment`?
        rollout-rules/pingan/travel.toml:11:45: `3` is a whole number; write text in quotes, a list of texts, or { prefix = "…" }
        rollout-rules/pingan/travel.toml:11:57: `[]` is an empty list; write text in quotes, a list of texts, or { prefix = "…" }, or leave the key out
        rollout-rules/pingan/travel.toml:12:9: `6` is not a share; write it in quotes with a percent sign: "6%"
        rollout-rules/pingan/travel.toml:14:10: `yes` is text; write `true` or `false` without quotes
        rollout-rules/pingan/travel.toml:16:1: `name` is missing; add `name = …`: a name of its own, because it is the rule's salt
        rollout-rules/pingan/travel.toml:17:1: `nmae` is an unknown key; did you mean `name`?
        rollout-rules/pingan/travel.toml:18:25: `>=9, <8` matches no version at all; check the order of its bounds
        rollout-rules/pingan/travel.toml:18:60: `8.x` is not a range of dotted versions; write comparators such as ">=8.0.40.1, <8.1" with at most 8 fields
        rollout-rules/pingan/travel.toml:18:90: `1` is a whole number; write a name in quotes
        rollout-rules/pingan/travel.toml:19:9: `101%` is not a share; write a percentage from "0%" to "100%" with at most six decimals, such as "5%" or "0.000001%"
        rollout-rules/pingan/travel.toml:20:9: `2026-01-01` is not an instant; add a time and an offset, such as 2026-01-01T00:00:00+08:00
        rollout-rules/pingan/travel.toml:21:7: `2026-01-01T08:00:00` is not an instant; add an offset, such as 2026-01-01T08:00:00+08:00
        rollout-rules/pingan/travel.toml:22:9: `5-4` is not a set of slots; write rising ranges of 0 to 9999, such as "0-499,700"
        rollout-rules/pingan/travel.toml:23:9: `2.4` is not a version; write three numbers in quotes, such as "2.4.0" or "2.5.0-rc.1"
        rollout-rules/pingan/travel.toml:24:9: `{…}` is a split beside `serve`; keep one of `serve` and `split`
        rollout-rules/pingan/travel.toml:28:10: `{…}` stands beside `split`; give each arm its own `params`
        rollout-rules/pingan/travel.toml:29:11: `One Page` is no arm name; use 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit
        rollout-rules/pingan/travel.toml:29:52: `-1` is not a weight; write a whole number from 0 to 10000
        rollout-rules/pingan/travel.toml:29:62: `serve` is missing; add `serve = …`: the version this arm serves
        rollout-rules/pingan/travel.toml:29:73: `1.5` is a number with a fraction; write a whole number without quotes
        rollout-rules/pingan/travel.toml:29:78: `extra` is an unknown key; known here: serve, weight, params
        rollout-rules/pingan/travel.toml:31:1: `{…}` serves nothing; add `serve = "…"` with a version, or `split` with arms
        rollout-rules/pingan/travel.toml:33:25: `true` is a flag; write it as text: "true"
        rollout-rules/pingan/travel.toml:33:38: `2000-01-01T00:00:00Z` is a single instant; write a range, such as { since = 2000-01-01T00:00:00Z }
        rollout-rules/pingan/travel.toml:33:68: `{…}` mixes `prefix` and `min`/`max`; keep one; join two by `all = [{ attr = … }, { attr = … }]`
        rollout-rules/pingan/travel.toml:33:102: `{}` says nothing of the attribute; write text in quotes, a whole number, a list of texts, or a table with `prefix`, `min` and `max`, `since` and `until`, `semver`, or `dotted`
        rollout-rules/pingan/travel.toml:34:9: `[…]` is a list; write the name of a layer in quotes
        rollout-rules/pingan/travel.toml:36:1: `layer` is missing; add `layer = …`: the layer it holds a part of
        rollout-rules/pingan/travel.toml:38:9: `7` is a whole number; write rising ranges in quotes, such as "0-499,700"
        "#);
}

#[test]
fn what_can_be_read_but_not_be_meant_is_told_too() {
    let rest = r#"floors = ["2.4.0"]
pins = { "" = "2.3.1" }

[[rule]]
name = "a"
when = { attr = { level = { min = 5, max = 3 } }, region = { prefix = "" }, not = {} }
start = 2026-02-01T00:00:00Z
end = 2026-01-01T00:00:00Z
serve = "2.4.0"

[[rule]]
name = "unreadable"
serve = 3

[[rule]]
name = "everyone"
split = { x = { serve = "2.4.0", weight = 0 }, y = { serve = "2.3.1", weight = 0 } }

[[rule]]
name = "a"
share = "20.005%"
layer = "checkout"
salt = "s"
serve = "2.4.0"
"#;
    insta::assert_snapshot!(problems_of(rest), @r#"
        t.toml:4:11: `2.4.0` is a floor above `stable` 2.3.1; name versions that every device passes on its way to `stable`
        t.toml:5:15: `` is an empty unit; write a device id or pseudonymous user id of 1 to 128 bytes
        t.toml:9:44: `3` is `max`, but `min` is 5, so nothing matches; let `min` come before `max`
        t.toml:9:71: `` is an empty prefix, which every text has; write the beginning to look for, or leave it out
        t.toml:9:83: `{}` is an empty condition, which every device fulfils; say something about the device, or leave it out
        t.toml:11:7: `2026-01-01T00:00:00Z` is not later than the start 2026-02-01T00:00:00Z; let the rule end after it starts
        t.toml:16:9: `3` is a whole number; write three numbers in quotes, such as "2.4.0" or "2.5.0-rc.1"
        t.toml:20:9: `0` is the sum of all weights, so no arm takes anybody; give at least one arm a weight of 1 or more
        t.toml:22:1: `a` is never reached, because rule `everyone` before it takes all of its devices; move it before that rule, or take it out
        t.toml:23:8: `a` is the name of an earlier rule too; give every rule its own name, because the name is its salt
        t.toml:24:9: `20.005%` is not a whole number of slots of 0.01%; round the share of a layer to two decimals
        t.toml:26:8: `s` is a salt beside a layer, whose name is the salt already; leave out `salt` or `layer`
        "#);
}

#[test]
fn single_mistakes_and_what_they_say() {
    let rows = [
        "rule = 3",
        "[[rule]]\nname = \"a\"\nserve = \"1.0.0\"\nshare = 5.5",
        "[[rule]]\nname = \"a\"\nserve = \"1.0.0\"\nshare = \"5\"",
        "[[rule]]\nname = \"a\"\nserve = \"1.0.0\"\nplatform = \"ios\"",
        "[[rule]]\nname = \"a\"\nserve = \"1.0.0\"\nwhen = \"ios\"",
        "[[rule]]\nname = \"a\"\nserve = \"1.0.0\"\nwhen = { host_version = \"8.2\" }",
        "[[rule]]\nname = \"a\"\nserve = \"1.0.0\"\nwhen = { attr = { d = { since = 2026-01-01 } } }",
        "[[rule]]\nname = \"a\"\nserve = \"1.0.0\"\nwhen = { tag = { any = [\"x\"] } }",
        "[[rule]]\nname = \"a\"\nserve = \"1.0.0\"\nforce = 1",
        "[[rule]]\nname = \"a\"\nsplit = {}",
        "[[rule]]\nname = \"a\"\nname = \"b\"",
        "[[rule]\n",
        "hosts = [\"other\"]",
    ];
    let told: Vec<String> = rows.iter().map(|row| problems_of(row)).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
        t.toml:4:8: `3` is a whole number; write `[[rule]]` tables
        t.toml:7:9: `5.5` is not a share; write it in quotes with a percent sign: "5.5%"
        t.toml:7:9: `5` is not a share; write a percentage from "0%" to "100%" with at most six decimals, such as "5%" or "0.000001%"
        t.toml:7:1: `platform` is an unknown key; known here: name, when, share, layer, slots, salt, start, end, paused, force, ramp, serve, params, split
        t.toml:7:8: `ios` is text; write a table of conditions, such as { platform = "ios" }
        t.toml:7:25: `8.2` is not a range of versions; write comparators such as ">=8.2, <9"
        t.toml:7:33: `2026-01-01` is not an instant; add a time and an offset, such as 2026-01-01T00:00:00+08:00
        t.toml:7:16: `all` is missing; add `all = …`: a list of tags
        t.toml:7:18: `any` is an unknown key; known here: all
        t.toml:7:9: `1` is a whole number; write `true` or `false` without quotes
        t.toml:6:9: `{}` is a split without arms; name at least one arm
        t.toml:6:1: `name` is where TOML breaks off: duplicate key; mend this, and everything after it is read
        t.toml:4:8: `[[rule]` is where TOML breaks off: unclosed array table, expected `]`; mend this, and everything after it is read
        t.toml:4:1: `hosts` is where TOML breaks off: duplicate key; mend this, and everything after it is read
        "#);
}

#[test]
fn a_body_of_the_control_plane_is_located_by_pointers() {
    let text = r#"{"app": "pingan/travel", "hosts": ["retail-bank"], "stable": null, "pins": {"a/b~c": 1},
        "rule": [{"name": "a", "share": 6, "serve": "1.0.0"}, {"name": "b", "when": {"platfrom": "ios"}, "serve": "1.0.0"}]}"#;
    let problems = parse_json(text).unwrap_err();
    insta::assert_snapshot!(problems, @r#"
        /stable: `null` is no value; write three numbers in quotes, such as "2.4.0" or "2.5.0-rc.1"
        /pins/a~1b~0c: `1` is a whole number; write three numbers in quotes, such as "2.4.0" or "2.5.0-rc.1"
        /rule/0/share: `6` is not a share; write it in quotes with a percent sign: "6%"
        /rule/1/when/platfrom: `platfrom` is an unknown key; did you mean `platform`?
        "#);
    insta::assert_snapshot!(serde_json::to_string(&problems.list()[1]).unwrap(), @r#"{"path":"/pins/a~1b~0c","value":"1","message":"is a whole number","help":"write three numbers in quotes, such as \"2.4.0\" or \"2.5.0-rc.1\""}"#);
    let twice = parse_json("{\"app\": \"a/b\",\n \"app\": \"a/c\"}").unwrap_err();
    insta::assert_snapshot!(twice, @r#"line 2, column 14: `"app": "a/c"}` is where JSON breaks off: duplicate key `app`; mend this, and everything after it is read"#);
    insta::assert_snapshot!(parse_json("[1, 2").unwrap_err(), @"line 1, column 5: `[1, 2` is where JSON breaks off: EOF while parsing a list; mend this, and everything after it is read");
    insta::assert_snapshot!(parse_json("7").unwrap_err(), @"/: `7` is a whole number; write a rollout with `app`, `hosts`, `stable` and rules");
}

#[test]
fn a_finding_in_a_file_is_told_with_its_line() {
    let hosts = std::collections::BTreeMap::new();
    let segments = std::collections::BTreeMap::new();
    let world = World {
        hosts: Some(&hosts),
        segments: Some(&segments),
        ..World::default()
    };
    let problems = parse_toml_in("travel.toml", LANGUAGE, &world).unwrap_err();
    insta::assert_snapshot!(problems, @"
        travel.toml:3:10: `retail-bank` is not a known host; add it by `huidu host add`, or correct its name
        travel.toml:9:20: `bank-staff` is not a known segment; upload it by `huidu segment put`, or correct its name
        ");
    let json =
        serde_json::to_string(&parse_toml("travel.toml", LANGUAGE).unwrap().rollout).unwrap();
    insta::assert_snapshot!(parse_json_in(&json, &world).unwrap_err(), @"
        /hosts/0: `retail-bank` is not a known host; add it by `huidu host add`, or correct its name
        /rule/0/when/segment: `bank-staff` is not a known segment; upload it by `huidu segment put`, or correct its name
        ");
}

#[test]
fn what_is_too_large_or_too_deep_is_refused_and_never_breaks_the_reader() {
    let large = "#".repeat(limits::RULE_FILE_BYTES + 1);
    insta::assert_snapshot!(parse_toml("t.toml", &large).unwrap_err(), @"t.toml: `1048577 bytes` are more than the 1048576 of a rule file; move long lists of units into segments");
    for text in [
        format!("{}a = 1", "a.".repeat(100_000)),
        format!("a = {}", "[".repeat(500_000)),
        format!("a = {}", "{ a = ".repeat(100_000)),
        format!("[{}]", "a.".repeat(100_000)),
        "[[rule]]\n".repeat(100_000),
        "\u{feff}\0".to_owned(),
    ] {
        let problems = parse_toml("t.toml", &text).unwrap_err();
        assert!(!problems.is_empty() && problems.list().len() <= 1_000);
    }
    for text in ["[".repeat(500_000), "{\"a\":".repeat(100_000)] {
        assert_eq!(parse_json(&text).unwrap_err().list().len(), 1);
    }
    let nested = |depth| {
        let (open, close) = ("{ not = ".repeat(depth), " }".repeat(depth));
        format!(
            "[[rule]]\nname = \"a\"\nserve = \"1.0.0\"\nwhen = {open}{{ tag = \"x\" }}{close}\n"
        )
    };
    insta::assert_snapshot!(problems_of(&nested(9)), @"t.toml:7:8: `9` levels are more than the 8 that fit; write the same with fewer `any`, `all` and `not` inside each other");
    assert_eq!(
        problems_of(&format!("{}[[rule]]", nested(8)))
            .lines()
            .count(),
        2
    );
}

#[test]
fn columns_count_characters() {
    let problems = problems_of("pins = { \"设备一\" = 1 }");
    assert!(problems.starts_with("t.toml:4:18: `1`"), "{problems}");
}

#[test]
fn the_committed_examples_are_read_and_sound() {
    let rules = include_str!("../../../rollout-rules/pingan/travel.toml");
    let parsed = parse_toml("rollout-rules/pingan/travel.toml", rules)
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(parsed.warnings, []);
    let cases = include_str!("../../../rollout-rules/cases/travel.toml");
    let cases = CaseFile::parse("rollout-rules/cases/travel.toml", cases)
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(cases.app, parsed.rollout.app);
    let names: Vec<_> = parsed.rollout.rules.iter().map(|rule| &rule.name).collect();
    for rule in cases.cases.iter().filter_map(|case| case.rule.as_ref()) {
        assert!(names.contains(&rule), "no rule `{rule}`");
    }
    let asked = parsed.rollout.segments();
    for segment in cases.cases.iter().flat_map(|case| &case.segments) {
        assert!(
            asked.contains(segment),
            "no rule asks about segment `{segment}`"
        );
    }
}

/// Every block of the manual that begins with `app` is a whole file, every other one the rest of a file.
#[test]
fn every_example_of_the_manual_is_read() {
    let manual = include_str!("../../../rollout-rules/README.md");
    let mut seen = 0;
    for block in manual.split("```toml\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        if block.contains("[[case]]") {
            CaseFile::parse("README.md", block)
                .unwrap_or_else(|problems| panic!("{block}\n{problems}"));
        } else {
            let head = "app = \"pingan/travel\"\nhosts = [\"retail-bank\"]\nstable = \"2.3.1\"\n";
            let head = if block.contains("app = \"") { "" } else { head };
            let whole = format!("{head}{block}");
            parse_toml("README.md", &whole)
                .unwrap_or_else(|problems| panic!("{block}\n{problems}"));
        }
        seen += 1;
    }
    assert!(seen >= 8, "{seen} examples");
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "this test is the one that writes the schema"
)]
fn the_committed_schema_is_that_of_the_types() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../rollout-rules/schema.json"
    );
    let now = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var("HUIDU_BLESS").is_ok_and(|bless| bless == "1") {
        std::fs::write(path, &now).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == now,
        "rollout-rules/schema.json is out of date; run `{SCHEMA_COMMAND}`"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_read_back_the_same(rollout in generate::rollout()) {
        let json = serde_json::to_string(&rollout).unwrap();
        let read = parse_json(&json).map_err(|problems| TestCaseError::fail(problems.to_string()))?;
        prop_assert_eq!(&read.rollout, &rollout);
        prop_assert_eq!(&serde_json::from_str::<Rollout>(&json).unwrap(), &rollout);
        let text = toml::to_string(&rollout).unwrap();
        let read = parse_toml("t.toml", &text).map_err(|problems| TestCaseError::fail(problems.to_string()))?;
        prop_assert_eq!(&read.rollout, &rollout);
    }

    #[test]
    fn any_text_is_read_or_refused_with_a_place(text in "(\\PC|[\\n\\[\\]{}=\",.a-f0-9]){0,200}") {
        if let Err(problems) = parse_toml("t.toml", &text) {
            prop_assert!(problems.list().iter().all(|problem| problem.place.line.is_some()));
            prop_assert!(!problems.is_empty());
        }
        prop_assert!(parse_json(&text).is_ok() || !parse_json(&text).unwrap_err().is_empty());
    }
}
