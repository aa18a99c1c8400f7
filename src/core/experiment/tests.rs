//! What a test says, by tables and for any counts; and how many units a change of weights moves, by drawing them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    name::ArmName,
    rollout::{Arm, Rollout, Rule, Serve, Weighted},
    time::Timestamp,
};

const BEGUN: Timestamp = Timestamp::from_unix_ms(1_795_521_600_000);
const DAY: u64 = 24 * 60 * 60 * 1_000;

fn rollout(split: &str) -> Rollout {
    let text = format!(
        "app = \"pingan/travel\"\nhosts = [\"retail\"]\nstable = \"1.0.0\"\n\
         [[rule]]\nname = \"staff\"\nserve = \"1.0.0\"\nshare = \"1%\"\n\
         [[rule]]\nname = \"copy\"\nshare = \"20%\"\n[rule.split]\n{split}"
    );
    toml::from_str(&text).unwrap()
}

const EVEN: &str =
    "a = { serve = \"1.0.0\", weight = 50 }\nb = { serve = \"1.1.0\", weight = 50 }\n";

fn design(more: &str) -> Design {
    let text = format!(
        "rule = \"copy\"\ncontrol = \"a\"\nprimary = {{ measure = \"converted\" }}\n{more}"
    );
    toml::from_str(&text).unwrap()
}

fn experiment(split: &str, more: &str) -> Experiment {
    Experiment::begun(design(more), Some(&rollout(split)), BEGUN)
}

/// Arms in order: arrivals, conversions, crashes.
fn counts(arms: &[(u64, u64, u64)]) -> BTreeMap<ArmName, Counted> {
    let names = ["a", "b", "c"].into_iter().zip(arms);
    let counted = names.map(|(name, (arrivals, converted, crashed))| {
        let event = |name: &str, number| (name.parse().unwrap(), number);
        let counted = Counted {
            arrivals: *arrivals,
            events: [event("converted", *converted), event("crashed", *crashed)].into(),
        };
        (name.parse().unwrap(), counted)
    });
    counted.collect()
}

fn later(days: u64) -> Timestamp {
    BEGUN.plus_ms(days * DAY)
}

fn arm(name: &str) -> ArmName {
    name.parse().unwrap()
}

#[test]
fn the_verdict_by_table() {
    let usual = experiment(EVEN, "");
    for (what, days, counted, verdict) in [
        ("nothing arrived", 8, &[(0, 0, 0), (0, 0, 0)][..], "running"),
        (
            "a clear difference before a week",
            6,
            &[(9_000, 900, 0), (9_000, 1_300, 0)],
            "too-early",
        ),
        (
            "after it",
            7,
            &[(9_000, 900, 0), (9_000, 1_300, 0)],
            "shown",
        ),
        (
            "worse is shown, too",
            7,
            &[(9_000, 1_300, 0), (9_000, 900, 0)],
            "shown",
        ),
        (
            "few units and no difference",
            8,
            &[(1_000, 100, 0), (1_000, 101, 0)],
            "running",
        ),
        (
            "as many as planned",
            8,
            &[(2_500, 250, 0), (2_500, 252, 0)],
            "not-shown",
        ),
        (
            "others than drawn, and a clear difference",
            8,
            &[(9_000, 900, 0), (8_000, 1_300, 0)],
            "ratio-alarm",
        ),
        (
            "others than drawn, before a week",
            1,
            &[(9_000, 900, 0), (8_000, 1_300, 0)],
            "ratio-alarm",
        ),
        (
            "more conversions than units",
            8,
            &[(1_000, 1_001, 0), (1_000, 3, 0)],
            "unfit",
        ),
        (
            "counts that are forgotten",
            31,
            &[(9_000, 900, 0), (9_000, 1_300, 0)],
            "too-long",
        ),
    ] {
        let read = read(&usual, Some(&counts(counted)), later(days));
        assert_eq!(read.verdict.word(), verdict, "{what}");
        assert_eq!(read.unfit.is_some(), verdict == "unfit", "{what}");
        assert_eq!(read.not_before, later(7));
    }
    let blind = read(&usual, None, later(8));
    assert_eq!(blind.verdict, Verdict::Unknown);
    assert!(
        blind
            .objection(&arm("b"))
            .unwrap()
            .contains("does not know")
    );
}

/// One of the kept cases of gbstats (`SequentialTwoSidedTTest`), here as a whole experiment.
#[test]
fn the_interval_is_the_one_that_gbstats_gives() {
    let experiment = experiment(EVEN, "planned_units = 20000");
    let read = read(
        &experiment,
        Some(&counts(&[(2_577, 793, 0), (2_682, 1_340, 0)])),
        later(9),
    );
    let difference = read.arms[1].difference.unwrap();
    let gbstats = [
        0.191_904_986_374_910_05,
        0.148_870_312_680_385_64,
        0.234_939_660_069_434_45,
    ];
    for (is, should) in [difference.estimate, difference.low, difference.high]
        .into_iter()
        .zip(gbstats)
    {
        assert!((is - should).abs() <= 1e-9, "{is} is not {should}");
    }
    assert_eq!(read.verdict, Verdict::Shown);
}

#[test]
fn less_may_be_better_and_a_guard_speaks_against_an_arm_that_wins() {
    let counted = counts(&[(9_000, 1_300, 9), (9_000, 900, 90)]);
    let guard = "guard = [{ measure = \"crashed\" }]";
    for (better, says, won) in [("more", "worse", false), ("less", "better", true)] {
        let mut experiment = experiment(EVEN, guard);
        experiment.design.primary.better = serde_json::from_str(&format!("\"{better}\"")).unwrap();
        let read = read(&experiment, Some(&counted), later(9));
        let b = &read.arms[1];
        assert_eq!(b.says.unwrap().word(), says);
        assert_eq!(b.chance_to_win.unwrap() > 0.5, won);
        assert_eq!(b.guards[0].verdict, "fail");
        assert_eq!(
            read.objection(&arm("b")).unwrap(),
            "guard `crashed` shows harm"
        );
        assert_eq!(read.objection(&arm("a")), None, "back to what it was");
    }
    let calm = counts(&[(9_000, 900, 9), (9_000, 1_300, 9)]);
    let read = read(&experiment(EVEN, guard), Some(&calm), later(9));
    assert_eq!(read.arms[1].guards[0].verdict, "inconclusive");
    assert_eq!(read.objection(&arm("b")), None);
}

#[test]
fn an_arm_that_nobody_draws_is_not_read_and_three_share_the_risk() {
    let split = format!("{EVEN}c = {{ serve = \"1.1.0\", weight = 0 }}\n");
    let counted = counts(&[(9_000, 900, 0), (9_000, 1_010, 0), (0, 0, 0)]);
    let two = read(&experiment(&split, ""), Some(&counted), later(9));
    assert_eq!(two.arms.len(), 2);
    let even = split.replace("weight = 0", "weight = 50");
    let counted = counts(&[(9_000, 900, 0), (9_000, 1_010, 0), (9_000, 900, 0)]);
    let three = read(&experiment(&even, ""), Some(&counted), later(9));
    let wide = |read: &Reading| {
        let it = read.arms[1].difference.unwrap();
        it.high - it.low
    };
    assert!(
        wide(&three) > wide(&two),
        "each of two variants has half of the risk"
    );
}

#[test]
fn a_table_has_a_line_for_each_arm_and_measure_and_as_many_cells_in_each() {
    let name = "copy-1".parse().unwrap();
    let experiment = experiment(EVEN, "guard = [{ measure = \"crashed\" }]");
    let mut table = String::from(csv::HEAD);
    let read = read(
        &experiment,
        Some(&counts(&[(9_000, 900, 9), (9_000, 1_300, 0)])),
        later(9),
    );
    csv::rows(&mut table, &name, &experiment, &read, later(9));
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split(',').collect())
        .collect();
    assert_eq!(lines.len(), 4);
    assert!(
        lines.iter().all(|cells| cells.len() == lines[0].len()),
        "{table}"
    );
    let column = |name: &str| lines[0].iter().position(|head| *head == name).unwrap();
    for (line, expected) in [
        (1, ["a", "primary", "900", ""]),
        (2, ["b", "primary", "1300", "better"]),
        (3, ["b", "guard", "0", "inconclusive"]),
    ] {
        let cells = ["arm", "role", "events", "says"].map(|name| lines[line][column(name)]);
        assert_eq!(cells, expected);
    }
}

#[test]
fn designs_by_table() {
    for (more, field) in [
        ("", None),
        ("at_least = \"28d\"", None),
        ("at_least = \"29d\"", Some("at_least")),
        ("alpha = \"0%\"", Some("alpha")),
        ("alpha = \"51%\"", Some("alpha")),
        ("planned_units = 99", Some("planned_units")),
        ("guard = [{ measure = \"converted\" }]", Some("guard")),
        (
            "guard = [{ measure = \"x\", tolerated = \"2%\", margin = \"1%\" }]",
            Some("guard"),
        ),
    ] {
        let fault = design(more).fault();
        assert_eq!(fault.map(|fault| fault.field), field, "{more}");
    }
    assert!(toml::from_str::<Design>("rule = \"copy\"").is_err());
    let kept = serde_json::to_string(&design("guard = [{ measure = \"x\" }]")).unwrap();
    assert_eq!(
        serde_json::from_str::<Design>(&kept).unwrap(),
        design("guard = [{ measure = \"x\" }]")
    );
}

fn said(split: &str) -> String {
    let after = rollout(split);
    match disturbed(&"copy".parse().unwrap(), &arm("a"), &rollout(EVEN), &after) {
        None => "nothing".into(),
        Some(Disturbance::Ends(why)) => why.split(';').next().unwrap().into(),
        Some(Disturbance::Redraws(redraw)) => redraw.to_string(),
    }
}

#[test]
fn what_a_change_does_to_a_test_by_table() {
    let one = |name: &str, weight: u32, version: &str| {
        format!("{name} = {{ serve = \"{version}\", weight = {weight} }}\n")
    };
    let (a, b) = (one("a", 50, "1.0.0"), one("b", 50, "1.1.0"));
    for (split, expected) in [
        (format!("{a}{b}"), "nothing"),
        (format!("{a}{b}{}", one("c", 0, "1.1.0")), "nothing"),
        (
            format!("{}{}", one("a", 25, "1.0.0"), one("b", 75, "1.1.0")),
            "moves 25% of its units to another arm",
        ),
        (
            format!("{a}{}", one("b", 50, "1.2.0")),
            "lets arm `b` serve something else",
        ),
        (
            format!("{a}{b}{}", one("c", 100, "1.1.0")),
            "moves 49.999999% of its units to another arm",
        ),
        (a.clone(), "fewer than two arms are left"),
        (
            format!("{}{b}{}", one("a", 0, "1.0.0"), one("c", 50, "1.1.0")),
            "the control arm is gone",
        ),
    ] {
        assert_eq!(said(&split), expected, "{split}");
    }
    let mut gone = rollout(EVEN);
    gone.rules.pop();
    let ends = disturbed(&"copy".parse().unwrap(), &arm("a"), &rollout(EVEN), &gone);
    assert!(matches!(ends, Some(Disturbance::Ends(_))));
    // More of its audience, and fewer again: nobody changes arms.
    let mut grown = rollout(EVEN);
    grown.rules[1].share = "90%".parse().unwrap();
    assert_eq!(
        disturbed(&"copy".parse().unwrap(), &arm("a"), &rollout(EVEN), &grown),
        None
    );
}

#[test]
fn a_test_that_is_over_leaves_the_rollout_that_was_asked_for() {
    let (before, rule) = (rollout(EVEN), "copy".parse().unwrap());
    let ended = concluded(&before, &rule, None).unwrap();
    assert_eq!(
        (ended.stable.to_string(), ended.rules.len()),
        ("1.0.0".into(), 1)
    );
    let promoted = concluded(&before, &rule, Some(&arm("b"))).unwrap();
    assert_eq!(
        (promoted.stable.to_string(), promoted.rules.len()),
        ("1.1.0".into(), 1)
    );
    assert!(concluded(&before, &rule, Some(&arm("z"))).is_err());
    assert!(concluded(&before, &"other".parse().unwrap(), None).is_err());
    let split = EVEN.replace("weight = 50 }\n", "weight = 50, params = { page = 1 } }\n");
    let kept = concluded(&rollout(&split), &rule, Some(&arm("b"))).unwrap();
    let rule = &kept.rules[1];
    assert_eq!(
        (rule.name.as_str(), rule.share.to_string()),
        ("copy-b", "100%".into())
    );
    assert_eq!(
        rule.arms()[0].2.params.len(),
        1,
        "what it was started with stays"
    );
}

fn rule(weights: &[u32]) -> Rule {
    let arms = weights.iter().enumerate().map(|(nth, weight)| {
        let arm = Arm {
            version: "1.0.0".parse().unwrap(),
            params: BTreeMap::new(),
        };
        (
            format!("arm-{nth}").parse().unwrap(),
            Weighted {
                weight: *weight,
                arm,
            },
        )
    });
    Rule {
        serve: Serve::Split(arms.collect()),
        ..rollout(EVEN).rules.remove(1)
    }
}

proptest! {
    #[test]
    fn moved_units_are_those_that_draw_another_arm(a in prop::collection::vec(0..40_u32, 1..5), b in prop::collection::vec(0..40_u32, 1..5)) {
        prop_assume!(a.iter().sum::<u32>() > 0 && b.iter().sum::<u32>() > 0);
        let drawn = |weights: &[u32], hash: u64| {
            let ticket = hash % u64::from(weights.iter().sum::<u32>());
            let mut end = 0;
            weights.iter().position(|weight| { end += u64::from(*weight); ticket < end })
        };
        // Over one common period the part is exact, and 2^32 hashes are that many periods and a rest.
        let period = u64::from(a.iter().sum::<u32>()) * u64::from(b.iter().sum::<u32>());
        let tried = (0..period).filter(|hash| drawn(&a, *hash) != drawn(&b, *hash)).count() as f64;
        let moved = change::moved(&rule(&a), &rule(&b)) as f64;
        let part = tried / period as f64;
        prop_assert!((moved / 2_f64.powi(32) - part).abs() <= period as f64 / 2_f64.powi(32), "{moved} {part}");
        prop_assert_eq!(moved == 0.0, tried == 0.0);
    }

    #[test]
    fn whatever_was_counted_a_test_says_numbers_and_the_ratio_comes_first(
        a in (0_u64..1_000_000, 0_u64..1_000_000, 0_u64..1_000_000), b in (0_u64..1_000_000, 0_u64..1_000_000, 0_u64..1_000_000), days in 0_u64..40
    ) {
        let experiment = experiment(EVEN, "guard = [{ measure = \"crashed\" }]");
        let read = read(&experiment, Some(&counts(&[a, b])), later(days));
        prop_assert_eq!(read.ratio.unwrap().is_alarm, read.verdict == Verdict::RatioAlarm);
        if read.objection(&arm("b")).is_none() {
            prop_assert_eq!(read.verdict, Verdict::Shown);
            prop_assert!(days >= 7 && read.arms[1].difference.unwrap().low > 0.0);
        }
        for arm in &read.arms {
            let intervals = [arm.interval, arm.difference, arm.lift].into_iter().flatten();
            let numbers = intervals.flat_map(|it| [it.estimate, it.low, it.high]);
            let numbers = numbers.chain(arm.mean).chain(arm.chance_to_win).chain(arm.expected_loss);
            prop_assert!(numbers.into_iter().all(f64::is_finite), "{arm:?}");
        }
    }
}
