//! A plan's numbers are the numbers: against people counted one by one, and as operators read them.

use std::collections::BTreeMap;

use huidu_core::{
    plan::{Change, Part, Plan, SamplePoll, WalkMoves, plan},
    poll::{Device, Installed, PollLine},
    rollout::Rollout,
    share::Share,
};
use proptest::prelude::*;

use crate::world::{self, Segments};

const LISTED: [&str; 5] = ["1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0"];

fn rollout(rules: &str) -> Rollout {
    let head = "app = \"pingan/travel\"\nhosts = [\"retail-bank\"]\nstable = \"1.0.0\"\n";
    world::rollout(&format!("{head}{rules}"))
}

fn planned(old: Option<&Rollout>, new: &Rollout, sample: &[SamplePoll]) -> Plan {
    plan(&Change {
        app: &world::app(&LISTED, old.cloned()),
        old,
        new,
        now: world::noon(),
        members: &|_| None,
        sample,
    })
}

/// What the walk says goes from which version to which.
fn flows(plan: &Plan) -> BTreeMap<(String, String), Part> {
    let WalkMoves::Exact { flows, .. } = &plan.walk else {
        panic!("{plan}");
    };
    let word = |version: &Option<_>| version.as_ref().map_or("none".into(), ToString::to_string);
    flows
        .iter()
        .map(|flow| ((word(&flow.from), word(&flow.to)), flow.part))
        .collect()
}

/// Counts `units` units one by one and compares.
fn compare_with_people(old: &str, new: &str, units: u32) {
    let (old, new) = (rollout(old), rollout(new));
    let exact = flows(&planned(Some(&old), &new, &[]));
    let total = exact.values().fold(Part::NONE, |sum, part| sum.plus(*part));
    assert!(Part::ALL.less(total).fraction() < 1e-20, "{total}");

    let compiled = |rollout| world::compiled(&world::app(&LISTED, Some(rollout)), &Segments::new());
    let (old, new) = (compiled(old), compiled(new));
    let mut counted: BTreeMap<(String, String), u32> = BTreeMap::new();
    for unit in 0..units {
        let unit = format!("cust-{unit:08}");
        let got = |app: &huidu_core::compile::CompiledApp| {
            let answer = app.resolve(
                "retail-bank",
                &Device::new(&unit),
                &Installed::default(),
                world::noon(),
            );
            answer
                .answer
                .version
                .as_ref()
                .map_or("none".to_owned(), ToString::to_string)
        };
        *counted.entry((got(&old), got(&new))).or_default() += 1;
    }
    assert!(
        counted.keys().all(|flow| exact.contains_key(flow)),
        "{counted:?} {exact:?}"
    );
    for (flow, part) in exact {
        let (p, n) = (part.fraction(), f64::from(units));
        let found = f64::from(counted.get(&flow).copied().unwrap_or(0));
        // Five standard deviations and one person.
        let allowed = 5.0 * (n * p * (1.0 - p)).sqrt() + 1.0;
        assert!(
            (found - n * p).abs() <= allowed,
            "{flow:?}: {found} of {units}, planned {part}"
        );
    }
}

const RAMP: &str = "[[rule]]\nname = \"ramp\"\nshare = \"10%\"\nserve = \"1.1.0\"\n";
const NEXT: &str = "[[rule]]\nname = \"next\"\nshare = \"30%\"\nserve = \"1.2.0\"\n";
const SPLIT: &str = "[[rule]]\nname = \"ab\"\nshare = \"50%\"\n\
    split = { a = { serve = \"1.3.0\", weight = 1 }, b = { serve = \"1.4.0\", weight = 3 } }\n";

#[test]
fn a_control_cohort_is_counted_as_the_stable_version_that_it_is_held_on() {
    let ramp = |share: &str| {
        format!(
            "[[rule]]\nname = \"next\"\nshare = \"{share}\"\nserve = \"1.1.0\"\n\
             ramp = {{ step = [{{ share = \"10%\" }}, {{ share = \"70%\" }}] }}\n\
             [[rule]]\nname = \"rest\"\nserve = \"1.2.0\"\n"
        )
    };
    compare_with_people(&ramp("10%"), &ramp("70%"), 20_000);
    let (old, new) = (rollout(&ramp("10%")), rollout(&ramp("70%")));
    let planned = planned(Some(&old), &new, &[]);
    let held = planned.rules[0].control.fraction();
    assert!((held - 0.3).abs() < 1e-6, "{held}");
    let text = planned.to_string();
    assert!(text.contains(" held on stable to compare with"), "{text}");
}

#[test]
fn plans_agree_with_two_hundred_thousand_people() {
    let split = "[[rule]]\nname = \"ab\"\nshare = \"60%\"\n\
        split = { a = { serve = \"1.3.0\", weight = 2 }, b = { serve = \"1.4.0\", weight = 3 }, c = { serve = \"1.1.0\", weight = 2 } }\n";
    let old = format!("{RAMP}{NEXT}{SPLIT}");
    let new = format!("{}{split}{NEXT}", RAMP.replace("10%", "25%"));
    compare_with_people(&old, &new, 200_000);
}

#[test]
fn plans_agree_with_people_on_rings_layers_and_absent_versions() {
    let ring = "salt = \"ring\"\n";
    let layers = "[[rule]]\nname = \"x\"\nlayer = \"l\"\nslots = \"0-1999\"\nserve = \"1.1.0\"\n\
        [[rule]]\nname = \"y\"\nlayer = \"l\"\nslots = \"2000-4999\"\nserve = \"1.2.0\"\n";
    let moved = layers
        .replace("2000-4999", "3000-6999")
        .replace("0-1999", "0-999,1500-2999");
    let gone = SPLIT.replace("1.4.0", "9.9.9");
    for (old, new) in [
        (
            format!("{ring}{RAMP}{NEXT}{SPLIT}"),
            format!("{ring}{NEXT}{RAMP}{SPLIT}"),
        ),
        (format!("{layers}{RAMP}"), format!("{RAMP}{moved}")),
        (format!("{gone}{NEXT}"), format!("{SPLIT}{NEXT}")),
        (
            format!("{ring}{gone}{SPLIT}").replacen("\"ab\"", "\"cd\"", 1),
            format!("{ring}{SPLIT}{RAMP}"),
        ),
        (RAMP.to_owned(), format!("{RAMP}salt = \"other\"\n")),
        (
            format!("{RAMP}paused = true\n{NEXT}"),
            format!("{RAMP}{NEXT}end = \"2026-01-01T00:00:00Z\"\n"),
        ),
    ] {
        compare_with_people(&old, &new, 20_000);
    }
}

#[test]
fn a_plan_reads_like_this() {
    let old = rollout(&format!("{RAMP}{SPLIT}{NEXT}"));
    let new = RAMP.replace("10%", "25%").replace("1.1.0", "1.2.0");
    let split = SPLIT
        .replace("weight = 3", "weight = 1")
        .replace("50%", "40%");
    let added = "[[rule]]\nname = \"first\"\nwhen = { tag = \"beta\" }\nshare = \"20%\"\nserve = \"1.4.0\"\n";
    let new = rollout(&format!("{added}{split}{new}"));
    let line = |unit: u32, segments: &str| {
        let line = format!(
            r#"{{"host":"retail-bank","app":"pingan/travel","device":{{"unit":"cust-{unit:08}"{segments}}}}}"#
        );
        PollLine::from_json(line.as_bytes()).unwrap().into_owned()
    };
    let sample: Vec<_> = (0..100)
        .map(|unit| line(unit, if unit < 10 { r#","tags":["beta"]"# } else { "" }))
        .collect();
    let plan = planned(Some(&old), &new, &sample);
    insta::assert_snapshot!(plan.to_string(), @r"
    pingan/travel
    rule     takes       gains  loses  other arm
    + first  20%         20%    0%     0%
      ab     50% -> 40%  0%     10%    10%
      ramp   10% -> 25%  15%    0%     0%         1.1.0 -> 1.2.0
    - next   30%         0%     30%    0%
    in another place: ab, ramp

    a device that every rule means: 48.85% get something else
    1.0.0  ->  1.0.0  21%
    1.0.0  ->  1.2.0  4.2%
    1.0.0  ->  1.4.0  6.3%
    1.1.0  ->  1.2.0  4.8%
    1.1.0  ->  1.3.0  1.6%
    1.1.0  ->  1.4.0  3.6%
    1.2.0  ->  1.0.0  9%
    1.2.0  ->  1.2.0  1.8%
    1.2.0  ->  1.4.0  2.7%
    1.3.0  ->  1.0.0  1.5%
    1.3.0  ->  1.2.0  0.3%
    1.3.0  ->  1.3.0  7.2%
    1.3.0  ->  1.4.0  2.25%
    1.4.0  ->  1.0.0  4.5%
    1.4.0  ->  1.2.0  0.9%
    1.4.0  ->  1.3.0  7.2%
    1.4.0  ->  1.4.0  21.15%

    of 100 sampled polls: 0 gain, 0 lose, 43 switch
    1.0.0  ->  1.2.0  5
    1.0.0  ->  1.4.0  1
    1.1.0  ->  1.2.0  5
    1.1.0  ->  1.4.0  2
    1.2.0  ->  1.0.0  13
    1.3.0  ->  1.0.0  3
    1.4.0  ->  1.0.0  6
    1.4.0  ->  1.3.0  8
    ");
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["rules"][2]["gained"], "15%");
    assert_eq!(json["rules"][2]["versions"][0]["to"], "1.2.0");
    assert_eq!(json["walk"]["kind"], "exact");
}

#[test]
fn the_first_rollout_of_an_app_is_planned_too() {
    let plan = planned(None, &rollout(RAMP), &[]);
    let expected: [((String, String), Part); 2] = [
        (("none".into(), "1.0.0".into()), Part::of_hashes(0)),
        (("none".into(), "1.1.0".into()), Part::of_hashes(0)),
    ];
    assert_eq!(
        flows(&plan).keys().collect::<Vec<_>>(),
        expected.iter().map(|(flow, _)| flow).collect::<Vec<_>>()
    );
    assert_eq!(plan.rules[0].gained.to_string(), "10%");
}

#[test]
fn a_thousand_rules_are_counted_and_woven_rings_are_refused() {
    use std::fmt::Write as _;
    let many = |share: &str| {
        (0..1_000).fold(String::new(), |mut text, n| {
            write!(
                text,
                "[[rule]]\nname = \"r{n}\"\nshare = \"{share}\"\nserve = \"1.{}.0\"\n",
                n % 4 + 1
            )
            .unwrap();
            text
        })
    };
    let plan = planned(
        Some(&rollout(&many("0.1%"))),
        &rollout(&many("0.1%").replacen("0.1%", "50%", 1)),
        &[],
    );
    let WalkMoves::Exact { moved, .. } = &plan.walk else {
        panic!("{plan}")
    };
    assert!((0.37..0.5).contains(&moved.fraction()), "{moved}");

    // Forty rings, each cut by twenty rules that serve nothing listed: 20 to the 40 states.
    let woven = (0..800).fold(String::new(), |mut text, n| {
        let (ring, share) = (n % 40, n / 40 + 1);
        write!(text, "[[rule]]\nname = \"r{n}\"\nsalt = \"s{ring}\"\nshare = \"{share}%\"\nserve = \"9.9.9\"\n").unwrap();
        text
    });
    let plan = planned(None, &rollout(&woven), &[]);
    assert!(
        matches!(plan.walk, WalkMoves::TooIntertwined { .. }),
        "{plan}"
    );
    assert!(plan.to_string().contains("look at a sample"));
}

proptest! {
    #[test]
    fn a_ramp_gains_the_difference_loses_nothing_and_moves_no_arm(a in 0..=100_000_000_u32, b in 0..=100_000_000_u32) {
        let at = |millionths: u32| {
            let share = Share::from_millionths(millionths).unwrap();
            rollout(&SPLIT.replace("50%", &share.to_string()))
        };
        let plan = planned(Some(&at(a.min(b))), &at(a.max(b)), &[]);
        let moves = &plan.rules[0];
        prop_assert_eq!((moves.lost, moves.switched), (Part::NONE, Part::NONE));
        prop_assert_eq!(moves.before.unwrap().plus(moves.gained), moves.after.unwrap());
        let WalkMoves::Exact { moved, .. } = plan.walk else { panic!() };
        prop_assert_eq!(moved, moves.gained);
    }
}
