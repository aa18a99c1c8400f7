//! Ramps over a ledger in memory: how they grow, what stops them, and who may.
//!
//! Nodes are played by the same question that they ask (`ramp::judge`, `ramp::next`); what they ask for is decided and judged
//! like everything else.

use std::collections::BTreeMap;

use huidu_core::{
    command::Command,
    compile::{Context, compile, no_segments},
    event::Event,
    manifest::Manifest,
    poll::{Device, Installed},
    ramp::{self, Act, Cohorts, Counted, Findings, Phase, Ramp, Steer, Verdict, Why},
    rollout::Rollout,
    rulefile,
    share::Share,
    time::Timestamp,
    validity,
    version::Review,
};

use crate::world::*;

const MINUTE: u64 = 60_000;

const FILE: &str = r#"
app = "pingan/travel"
hosts = ["retail"]
stable = "1.0.0"

[[rule]]
name = "next"
serve = "2.0.0"

[rule.ramp]

[[rule.ramp.step]]
share = "5%"
hold = "30m"
units = 100

[[rule.ramp.step]]
share = "20%"
hold = "1h"

[[rule.ramp.step]]
share = "100%"

[[rule.ramp.guard]]
measure = "crashed"
action = "roll-back"
"#;

fn read(file: &str) -> Rollout {
    match rulefile::parse_toml("next.toml", file) {
        Ok(parsed) => parsed.rollout,
        Err(problems) => panic!("{problems}"),
    }
}

fn put(file: &str) -> Command {
    let rollout = Box::new(read(file));
    Command::PutRollout { rollout }
}

fn steer(act: Steer) -> Command {
    Command::SteerRamp {
        app: app(),
        rule: "next".parse().unwrap(),
        act,
        reason: "because".into(),
    }
}

fn counted(units: (u64, u64), crashed: (u64, u64)) -> Counted {
    let cohorts = |(candidate, control)| Cohorts { candidate, control };
    Counted {
        units: cohorts(units),
        events: BTreeMap::from([("crashed".parse().unwrap(), cohorts(crashed))]),
    }
}

/// Three versions and a rollout.
fn ramping(file: &str) -> World {
    let mut world = World::new(Review::Skipped);
    for version in ["1.0.0", "2.0.0", "2.0.1"] {
        world.submit("ping", version, &[]);
        world.ok("ping", list(version));
    }
    world.ok("maya", put(file));
    world
}

impl World {
    fn ramp(&self, rule: &str) -> &Ramp {
        &self.catalogue.apps[&app()].ramps[rule]
    }

    fn share(&self, rule: &str) -> String {
        let rule = rule.parse().unwrap();
        let app = &self.catalogue.apps[&app()];
        app.rule(&rule).unwrap().share.to_string()
    }

    fn judged(&self, counted: &Counted) -> (Findings, Option<Act>) {
        let app = &self.catalogue.apps[&app()];
        let rule = app.rule(&"next".parse().unwrap()).unwrap();
        let (plan, ramp) = (rule.ramp.as_ref().unwrap(), &app.ramps["next"]);
        let findings = ramp::judge(plan, ramp.step, rule.share, counted);
        let act = ramp::next(plan, ramp, &findings, self.now);
        (findings, act)
    }

    /// What a node asks for when it has counted this.
    fn asks(&self, act: Act, findings: Findings) -> Command {
        Command::DecideRamp {
            app: app(),
            rule: "next".parse().unwrap(),
            from: self.ramp("next").moved,
            act,
            findings: Box::new(findings),
        }
    }

    /// A node looks: what it does, if anything.
    fn looks(&mut self, counted: &Counted) -> Option<&'static str> {
        let (findings, act) = self.judged(counted);
        let act = act?;
        let word = act.word();
        let asks = self.asks(act, findings);
        self.ok(validity::NODE, asks);
        Some(word)
    }

    fn after(&mut self, minutes: u64) {
        self.now = self.now.plus_ms(minutes * MINUTE);
    }

    /// Who gets what of 4 000 units: version and arm.
    fn all(&self) -> Vec<(String, Option<String>)> {
        let context = Context {
            audience: "bank/test".into(),
            poll_after_ms: 1,
            poll_spread_ms: 1,
            keyring: None,
        };
        let compiled = compile(&self.catalogue.apps[&app()], &context, &no_segments);
        let told = |unit: u32| {
            let (unit, installed) = (format!("d-{unit}"), Installed::default());
            let device = Device::new(&unit);
            let outcome = compiled.resolve("retail", &device, &installed, self.now);
            let said: Manifest = serde_json::from_slice(&outcome.answer.body).unwrap();
            let told = compiled.explain("retail", &device, &installed, self.now);
            assert_eq!(
                (told.arm.clone(), told.index),
                (said.arm.clone(), outcome.index)
            );
            let since = said.arm.as_ref().map(|_| self.ramp("next").since);
            assert_eq!(
                said.since, since,
                "both cohorts hear since when they are counted"
            );
            let arm = said.arm.map(|arm| arm.to_string());
            (said.version.unwrap().to_string(), arm)
        };
        (0..4_000).map(told).collect()
    }
}

fn of<'a>(all: &'a [(String, Option<String>)], arm: &'a str) -> Vec<usize> {
    let is = |(_, (_, known)): &(usize, &(String, Option<String>))| known.as_deref() == Some(arm);
    all.iter()
        .enumerate()
        .filter(is)
        .map(|(at, _)| at)
        .collect()
}

/// The life of three ramps, in which everything happens that is written of one: what a ledger may hold.
pub(crate) fn history() -> World {
    let mut world = ramping(&FILE.replace(
        "share = \"20%\"\nhold = \"1h\"",
        "share = \"20%\"\nhold = \"1h\"\napproval = true",
    ));
    let enough = counted((200, 210), (1, 1));
    world.after(30);
    // It waits for somebody, grows, is paused, goes on, is aborted, and goes on again.
    world.ok("maya", steer(Steer::Approve));
    assert_eq!(world.looks(&enough), Some("advance"));
    world.ok("sven", steer(Steer::Pause));
    world.ok("maya", steer(Steer::Resume));
    world.ok("sven", steer(Steer::Abort));
    world.ok("maya", steer(Steer::Resume));
    // Units arrive as they are not drawn, then as they are.
    assert_eq!(world.looks(&counted((400, 90), (1, 1))), Some("hold"));
    assert_eq!(world.looks(&counted((400, 395), (1, 1))), Some("resume"));
    // The new version crashes.
    assert_eq!(
        world.looks(&counted((400, 395), (60, 1))),
        Some("roll-back")
    );
    // Another one notes what it sees, reaches its end, and a third is killed by its guard.
    world.ok(
        "maya",
        put(&FILE.replace("roll-back", "note").replace("2.0.0", "2.0.1")),
    );
    assert_eq!(world.looks(&counted((400, 395), (60, 1))), Some("note"));
    for minutes in [30, 60] {
        world.after(minutes);
        assert_eq!(world.looks(&enough), Some("advance"));
    }
    assert_eq!(world.looks(&enough), Some("finish"));
    world.ok("maya", put(&FILE.replace("roll-back", "kill")));
    assert_eq!(world.looks(&counted((400, 395), (60, 1))), Some("kill"));
    world
}

#[test]
fn a_ramp_grows_when_its_hold_and_its_sample_are_there_and_never_before() {
    let mut world = ramping(FILE);
    assert_eq!(
        world.share("next"),
        "5%",
        "it begins with its first step, whatever `share` says"
    );
    let enough = counted((200, 210), (1, 1));
    assert_eq!(world.looks(&enough), None, "its hold is not over");
    world.after(29);
    assert_eq!(world.looks(&enough), None);
    world.after(1);
    assert_eq!(
        world.looks(&counted((99, 105), (0, 0))),
        None,
        "too few units"
    );
    assert_eq!(world.looks(&enough), Some("advance"));
    assert_eq!(
        (world.share("next").as_str(), world.ramp("next").step),
        ("20%", 1)
    );
    assert_eq!(world.ramp("next").since, world.now, "counting begins anew");
    assert_eq!(world.looks(&enough), None);
    world.after(60);
    assert_eq!(world.looks(&enough), Some("advance"));
    assert_eq!(
        world.looks(&enough),
        Some("finish"),
        "nothing is left to compare with"
    );
    assert_eq!(world.ramp("next").phase, Phase::Finished);
    assert_eq!(world.share("next"), "100%");
    assert_eq!(
        world.looks(&counted((9_000, 0), (9_000, 0))),
        None,
        "over is over"
    );
}

#[test]
fn the_control_cohort_is_as_large_told_to_devices_and_never_the_candidates() {
    let mut world = ramping(FILE);
    let first = world.all();
    let (new, control) = (of(&first, "candidate"), of(&first, "control"));
    for cohort in [new.len(), control.len()] {
        assert!(
            (150..=250).contains(&cohort),
            "5 % of 4 000, and not {cohort}"
        );
    }
    assert!(new.iter().all(|at| first[*at].0 == "2.0.0"));
    assert!(control.iter().all(|at| first[*at].0 == "1.0.0"));
    let rest = first.iter().filter(|(_, arm)| arm.is_none());
    assert!(rest.clone().count() > 3_000 && rest.clone().all(|(version, _)| version == "1.0.0"));
    world.after(30);
    assert_eq!(world.looks(&counted((200, 210), (1, 1))), Some("advance"));
    let second = world.all();
    assert!(
        new.iter().all(|at| second[*at] == first[*at]),
        "nobody loses the new version"
    );
    let control = of(&second, "control");
    assert!(
        (700..=900).contains(&control.len()),
        "20 %, and not {}",
        control.len()
    );
}

#[test]
fn more_than_half_leaves_the_rest_as_control() {
    let world = ramping(
        &FILE
            .replace("\"5%\"", "\"70%\"")
            .replace("\"20%\"", "\"80%\""),
    );
    let all = world.all();
    assert_eq!(
        of(&all, "candidate").len() + of(&all, "control").len(),
        4_000
    );
    assert!((1_100..=1_300).contains(&of(&all, "control").len()));
}

#[test]
fn harm_rolls_back_at_any_sample_and_once() {
    let mut world = ramping(FILE);
    let harm = counted((60, 60), (8, 0));
    let (findings, act) = world.judged(&harm);
    assert_eq!(findings.guards[0].verdict, Verdict::Fail);
    let asks = world.asks(act.unwrap(), findings);
    world.ok(validity::NODE, asks.clone());
    assert_eq!(
        (world.share("next").as_str(), &world.ramp("next").phase),
        ("0%", &Phase::RolledBack)
    );
    // Another node found the same at the same moment.
    world.no(
        validity::NODE,
        asks,
        "the ramp of rule `next` does not roll-back now",
    );
    assert!(
        world
            .all()
            .iter()
            .all(|(version, arm)| version == "1.0.0" && arm.is_none())
    );
    world.no(
        "maya",
        steer(Steer::Resume),
        "rule `next` has a ramp: it is rolled back; put another plan in place",
    );
}

#[test]
fn an_outage_of_both_cohorts_stops_nothing() {
    let mut world = ramping(FILE);
    world.after(30);
    assert_eq!(
        world.looks(&counted((1_000, 1_010), (420, 431))),
        Some("advance")
    );
}

#[test]
fn a_kill_is_in_the_same_record() {
    let mut world = ramping(&FILE.replace("roll-back", "kill"));
    let (findings, act) = world.judged(&counted((60, 60), (8, 0)));
    let asks = world.asks(act.unwrap(), findings);
    let events = world.ask(validity::NODE, asks).unwrap();
    assert!(matches!(
        &events[..],
        [
            Event::RampMoved { act: Act::Kill, .. },
            Event::Killed { .. }
        ]
    ));
    assert_eq!(world.life("2.0.0"), "killed");
}

#[test]
fn what_does_not_follow_from_its_own_findings_counts_nowhere() {
    let mut world = ramping(FILE);
    let fine = counted((200, 210), (1, 1));
    let (findings, _) = world.judged(&fine);
    for act in [Act::Advance, Act::RollBack, Act::Kill, Act::Resume] {
        let asks = world.asks(act.clone(), findings.clone());
        let says = format!("the ramp of rule `next` does not {} now", act.word());
        world.no(validity::NODE, asks, &says);
    }
    world.after(30);
    // Findings that leave the guard out do not let it grow.
    let blind = Findings {
        guards: Vec::new(),
        ..findings.clone()
    };
    let asks = world.asks(Act::Advance, blind);
    world.no(
        validity::NODE,
        asks,
        "the ramp of rule `next` does not advance now",
    );
    // Nobody but a node decides, whatever its role.
    let asks = world.asks(Act::Advance, findings);
    let actor = huidu_core::event::Actor {
        id: "root".into(),
        role: role("root"),
    };
    let authorised =
        huidu_core::authority::authorise(asks, &actor, &world.catalogue, world.now).unwrap();
    let events = huidu_core::decide::decide(&world.catalogue, &authorised, world.now).unwrap();
    assert!(validity::check(&world.catalogue, world.now, &actor, &events).is_err());
}

#[test]
fn a_wrong_ratio_holds_and_lets_go() {
    let mut world = ramping(FILE);
    world.after(30);
    assert_eq!(world.looks(&counted((1_000, 1_400), (1, 1))), Some("hold"));
    assert_eq!(world.ramp("next").phase, Phase::Held(Why::Ratio));
    assert_eq!(world.looks(&counted((1_000, 1_400), (1, 1))), None);
    assert_eq!(
        world.looks(&counted((60, 110), (50, 1))),
        Some("roll-back"),
        "it never shields harm"
    );
    let mut world = ramping(FILE);
    assert_eq!(world.looks(&counted((1_000, 1_400), (1, 1))), Some("hold"));
    assert_eq!(
        world.looks(&counted((1_000, 1_010), (1, 1))),
        Some("resume")
    );
}

#[test]
fn margins_are_waited_for_and_dry_runs_only_note() {
    let file = FILE.replace("action =", "margin = \"1%\"\naction =");
    let mut world = ramping(&file);
    world.after(30);
    assert_eq!(
        world.looks(&counted((200, 210), (2, 2))),
        None,
        "nothing is ruled out yet"
    );
    assert_eq!(
        world.looks(&counted((9_000, 9_010), (9, 9))),
        Some("advance")
    );
    let mut world = ramping(&FILE.replace("[rule.ramp]", "[rule.ramp]\ndry_run = true"));
    assert_eq!(world.looks(&counted((60, 60), (8, 0))), Some("note"));
    assert_eq!(
        world.looks(&counted((60, 60), (9, 0))),
        None,
        "it is noted once"
    );
    assert_eq!(world.share("next"), "5%");
}

#[test]
fn windows_freezes_and_gates_hold_back_growth_alone() {
    // Noon is 12:00 of a Tuesday in UTC, 20:00 in Beijing.
    let window = "[rule.ramp]\noffset = \"+08:00\"\nwindow = [{ days = [\"wed\"], from = \"09:00\", to = \"17:00\" }]\n";
    let mut world = ramping(&FILE.replace("[rule.ramp]\n", window));
    let fine = counted((200, 210), (1, 1));
    world.after(60);
    assert_eq!(world.looks(&fine), None);
    world.after(12 * 60);
    assert_eq!(world.looks(&fine), Some("advance"), "Wednesday 09:00");
    let freeze =
        "[rule.ramp]\nfreeze = [{ from = 2026-11-24T00:00:00Z, to = 2026-11-25T00:00:00Z }]\n";
    let mut world = ramping(&FILE.replace("[rule.ramp]\n", freeze));
    world.after(60);
    assert_eq!(world.looks(&fine), None);
    assert_eq!(
        world.looks(&counted((60, 60), (8, 0))),
        Some("roll-back"),
        "stopping waits for no window"
    );
    let mut world = ramping(&FILE.replace("share = \"20%\"", "share = \"20%\"\napproval = true"));
    world.after(30);
    assert_eq!(world.looks(&fine), None);
    world.no(
        "sven",
        steer(Steer::Approve),
        "the role SRE may not let a step of a ramp begin; ask somebody whose role allows it",
    );
    world.no(
        "root",
        steer(Steer::Approve),
        "token `root` belongs to no member, and versions are judged by people; give the reviewer a token with `huidu token add --member`",
    );
    world.ok("maya", steer(Steer::Approve));
    assert_eq!(world.looks(&fine), Some("advance"));
    assert!(
        !world.ramp("next").approved,
        "the next gate waits for its own"
    );
}

#[test]
fn people_pause_resume_abort_and_roll_back() {
    let mut world = ramping(FILE);
    let fine = counted((200, 210), (1, 1));
    world.after(30);
    world.ok("sec", steer(Steer::Pause));
    assert_eq!(world.looks(&fine), None);
    world.no(
        "sven",
        steer(Steer::Resume),
        "the role SRE may not resume a ramp; ask somebody whose role allows it",
    );
    world.ok("maya", steer(Steer::Resume));
    assert_eq!(world.looks(&fine), None, "the hold begins anew");
    world.after(30);
    assert_eq!(world.looks(&fine), Some("advance"));
    world.no("sec", steer(Steer::Abort), "the role security officer may not abort a step of a ramp; ask somebody whose role allows it");
    world.ok("sven", steer(Steer::Abort));
    assert_eq!(
        (world.share("next").as_str(), &world.ramp("next").phase),
        ("5%", &Phase::Held(Why::Aborted))
    );
    world.after(90);
    assert_eq!(world.looks(&fine), None);
    assert_eq!(
        world.looks(&counted((60, 60), (8, 0))),
        Some("roll-back"),
        "what is held is guarded"
    );
    let mut world = ramping(FILE);
    world.ok("sven", steer(Steer::RollBack));
    assert_eq!(
        (world.share("next").as_str(), &world.ramp("next").phase),
        ("0%", &Phase::RolledBack)
    );
}

#[test]
fn a_hotfix_overtakes_and_holds_the_ramp_behind_it() {
    let mut world = ramping(FILE);
    world.after(30);
    assert_eq!(world.looks(&counted((200, 210), (1, 1))), Some("advance"));
    let hotfix = "[[rule]]\nname = \"hotfix\"\nserve = \"2.0.1\"\nshare = \"50%\"\n\n[[rule]]\nname = \"next\"";
    world.ok(
        "maya",
        put(&FILE.replacen("[[rule]]\nname = \"next\"", hotfix, 1)),
    );
    assert_eq!(world.ramp("next").phase, Phase::Held(Why::Overtaken));
    assert_eq!(
        (world.share("next").as_str(), world.ramp("next").step),
        ("20%", 1),
        "it stays where it is"
    );
    assert_eq!(world.looks(&counted((9_000, 9_010), (9, 9))), None);
    world.ok("maya", steer(Steer::Resume));
    assert_eq!(world.ramp("next").phase, Phase::Running);
    // The same file again is nothing; another version is another ramp.
    let again = put(&FILE.replacen("[[rule]]\nname = \"next\"", hotfix, 1));
    world.no(
        "maya",
        again,
        "nothing to change: the rollout of `pingan/travel` is this very one",
    );
    let other = FILE.replace("serve = \"2.0.0\"", "serve = \"2.0.1\"");
    world.ok("maya", put(&other));
    assert_eq!(
        (world.share("next").as_str(), world.ramp("next").step),
        ("5%", 0)
    );
}

#[test]
fn a_share_moved_by_hand_holds_and_never_rises_past_the_plan() {
    let mut world = ramping(FILE);
    let set = |share: &str| Command::SetShare {
        app: app(),
        rule: "next".parse().unwrap(),
        share: share.parse().unwrap(),
    };
    world.no("maya", set("6%"), "rule `next` has a ramp: a plan raises it; put another plan in place, or a rollout without one");
    world.ok("maya", set("2%"));
    assert_eq!(world.ramp("next").phase, Phase::Held(Why::ByHand));
    world.ok("maya", steer(Steer::Resume));
    assert_eq!(world.share("next"), "5%");
    assert_eq!(world.now, Timestamp::from_unix_ms(NOON.unix_ms()));
}

#[test]
fn a_version_that_is_not_listed_any_more_does_not_grow() {
    let mut world = ramping(FILE);
    world.ok("sven", kill("2.0.0"));
    world.after(30);
    let (findings, act) = world.judged(&counted((200, 210), (1, 1)));
    let asks = world.asks(act.unwrap(), findings);
    world.no(
        validity::NODE,
        asks,
        "rule `next` has a ramp: its version is not listed; it does not grow",
    );
}

#[test]
fn mistakes_of_a_plan_are_told_with_their_place() {
    let file = FILE
        .replace("share = \"20%\"", "share = \"4%\"")
        .replace("hold = \"1h\"", "hold = \"99d\"")
        .replace("action =", "tolerated = \"2%\"\nmargin = \"1%\"\naction =");
    let told = rulefile::parse_toml("next.toml", &file).unwrap_err();
    let told = told.to_string();
    for part in [
        "`4%` is not above 5%",
        "`99d` is longer than 31 days",
        "`1%` is below what is tolerated, 2%",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let odd = FILE.replace("roll-back", "panic").replace("30m", "soon");
    let problems = rulefile::parse_toml("next.toml", &odd)
        .unwrap_err()
        .to_string();
    assert!(
        problems.contains("one of note, hold, roll-back, kill"),
        "{problems}"
    );
    assert!(problems.contains("how long something lasts"), "{problems}");
}

#[test]
fn a_plan_is_written_back_as_it_was_read() {
    let rollout = read(FILE);
    let written = toml::to_string_pretty(&rollout).unwrap();
    assert_eq!(read(&written), rollout, "{written}");
    let json = serde_json::to_string(&rollout).unwrap();
    assert_eq!(rulefile::parse_json(&json).unwrap().rollout, rollout);
    assert_eq!(serde_json::from_str::<Rollout>(&json).unwrap(), rollout);
    assert_eq!(rollout.rules[0].control(), Share::percent(5).unwrap());
}
