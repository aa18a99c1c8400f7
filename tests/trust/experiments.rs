//! Experiments over a ledger in memory: how one begins, what may not be done to it unseen, and how it ends.

use std::collections::BTreeSet;

use huidu_core::{
    command::Command,
    compile::{Context, compile, no_segments},
    event::Event,
    experiment::Experiment,
    eyes::{EyesPolicy, Kind},
    manifest::Manifest,
    poll::{Device, Installed},
    rulefile,
    time::Timestamp,
    version::Review,
};

use crate::world::*;

const FILE: &str = r#"
app = "pingan/travel"
hosts = ["retail"]
stable = "1.0.0"

[[holdout]]
layer = "checkout"
share = "10%"

[[rule]]
name = "copy"
layer = "checkout"
share = "20%"
paused = true

[rule.split]
today = { serve = "1.0.0", weight = 1 }
one-page = { serve = "2.0.0", weight = 1 }
"#;

fn put(file: &str) -> Command {
    match rulefile::parse_toml("copy.toml", file) {
        Ok(parsed) => Command::PutRollout {
            rollout: Box::new(parsed.rollout),
        },
        Err(problems) => panic!("{problems}"),
    }
}

/// The same, where units of these experiments may be drawn anew.
fn redraw(file: &str, experiments: &[&str]) -> Command {
    let Command::PutRollout { rollout } = put(file) else {
        unreachable!("a rollout")
    };
    let experiments = experiments.iter().map(|name| name.parse().unwrap());
    Command::RedrawRollout {
        rollout,
        experiments: experiments.collect(),
    }
}

fn begin(name: &str, rule: &str, control: &str) -> Command {
    let design = format!(
        "rule = \"{rule}\"\ncontrol = \"{control}\"\nprimary = {{ measure = \"converted\" }}"
    );
    Command::BeginExperiment {
        app: app(),
        experiment: name.parse().unwrap(),
        design: Box::new(toml::from_str(&design).unwrap()),
    }
}

fn end(name: &str, arm: Option<&str>) -> Command {
    Command::EndExperiment {
        app: app(),
        experiment: name.parse().unwrap(),
        arm: arm.map(|arm| arm.parse().unwrap()),
        reason: "it was seen".into(),
    }
}

fn tested() -> World {
    let mut world = World::new(Review::Skipped);
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        world.submit("ping", version, &[]);
        world.ok("ping", list(version));
    }
    world.ok("maya", put(FILE));
    world
}

fn running() -> World {
    let mut world = tested();
    world.ok("maya", begin("copy-1", "copy", "today"));
    world
}

/// The lives of two experiments, in which everything happens that is written of one: what a ledger may hold.
pub(crate) fn history() -> World {
    let mut world = running();
    world.later();
    let other = FILE.replace(
        "one-page = { serve = \"2.0.0\", weight = 1 }",
        "one-page = { serve = \"2.0.0\", weight = 3 }",
    );
    let other = other.replace("paused = true\n", "");
    world.ok("maya", redraw(&other, &["copy-1"]));
    world.later();
    world.ok("maya", end("copy-1", Some("one-page")));
    world.ok("maya", put(FILE));
    world.ok("maya", begin("copy-2", "copy", "today"));
    world.later();
    world.ok("maya", end("copy-2", None));
    world
}

impl World {
    fn experiment(&self, name: &str) -> &Experiment {
        &self.catalogue.apps[&app()].experiments[name]
    }

    fn later(&mut self) {
        self.now = self.now.plus_ms(60_000);
    }

    /// Since when those in an arm hear that they are counted; all the same.
    fn told_since(&self) -> Option<Timestamp> {
        let context = Context {
            audience: "bank/test".into(),
            poll_after_ms: 1,
            poll_spread_ms: 1,
            keyring: None,
        };
        let compiled = compile(&self.catalogue.apps[&app()], &context, &no_segments);
        let told = (0..400).filter_map(|unit| {
            let unit = format!("d-{unit}");
            let outcome = compiled.resolve(
                "retail",
                &Device::new(&unit),
                &Installed::default(),
                self.now,
            );
            let said: Manifest = serde_json::from_slice(&outcome.answer.body).unwrap();
            said.arm.is_some().then_some(said.since)
        });
        let told: BTreeSet<Option<Timestamp>> = told.collect();
        assert_eq!(told.len(), 1, "{told:?}");
        told.into_iter().next().flatten()
    }

    /// What units get: the version of each of a few.
    fn versions(&self) -> Vec<String> {
        let units = (0..200).map(|unit| self.told("retail", &format!("d-{unit}"), None, self.now));
        units
            .map(|told| told.split(' ').next().unwrap().into())
            .collect()
    }
}

#[test]
fn a_test_begins_with_its_rule_so_that_every_arrival_is_counted() {
    let mut world = tested();
    world.no(
        "maya",
        begin("copy-1", "other", "today"),
        "there is no rule `pingan/travel#other`; `huidu rollout show` lists the rules",
    );
    world.no(
        "maya",
        begin("copy-1", "copy", "yesterday"),
        "experiment `copy-1` over rule `copy`: the rule has no such control arm, or it has no weight; name one that has",
    );
    assert!(!world.versions().contains(&"2.0.0".into()), "it is paused");
    world.later();
    world.ok("maya", begin("copy-1", "copy", "today"));
    assert!(world.versions().contains(&"2.0.0".into()));
    let experiment = world.experiment("copy-1");
    assert_eq!((experiment.begun, experiment.since), (world.now, world.now));
    assert_eq!(experiment.arms.len(), 2);
    world.no("maya", begin("copy-1", "copy", "today"), "experiment `pingan/travel#copy-1` exists already; what it found stays under that name; choose another");
    world.no(
        "maya",
        begin("copy-2", "copy", "today"),
        "experiment `copy-2` over rule `copy`: another one runs over this rule; end that first",
    );
    // Its rule is paused and goes on: the same test.
    for paused in [true, false] {
        let rule = "copy".parse().unwrap();
        world.ok(
            "maya",
            Command::SetPause {
                app: app(),
                rule,
                paused,
            },
        );
    }
    assert_eq!(world.experiment("copy-1").redrawn, 0);
}

#[test]
fn devices_are_told_since_when_they_are_counted() {
    let mut world = tested();
    world.ok("maya", put(&FILE.replace("paused = true", "")));
    assert_eq!(world.told_since(), None);
    world.later();
    // Over a rule that takes units already: nothing of it is resumed.
    let events = world.ask("maya", begin("copy-1", "copy", "today")).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(world.told_since(), Some(world.now));
    world.later();
    let drawn = FILE
        .replace("paused = true", "")
        .replacen("weight = 1", "weight = 2", 1);
    world.ok("maya", redraw(&drawn, &["copy-1"]));
    assert_eq!(
        world.told_since(),
        Some(world.now),
        "those who stay in their arm are counted anew"
    );
    let share = "30%".parse().unwrap();
    let rule = "copy".parse().unwrap();
    let since = world.now;
    world.later();
    world.ok(
        "maya",
        Command::SetShare {
            app: app(),
            rule,
            share,
        },
    );
    assert_eq!(world.told_since(), Some(since));
}

#[test]
fn no_unit_changes_arms_unseen() {
    let mut world = running();
    let live = FILE.replace("paused = true", "");
    let since = world.experiment("copy-1").since;
    world.later();
    // More units, and the same ones in the same arms.
    let before = world.versions();
    world.ok("maya", put(&live.replace("20%", "50%")));
    let after = world.versions();
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(was, is)| was == is || was == "1.0.0")
    );
    assert_ne!(before, after);
    assert_eq!(world.experiment("copy-1").since, since);
    let live = live.replace("20%", "50%");
    let uneven = live.replacen("weight = 1", "weight = 3", 1);
    world.no(
        "maya",
        put(&uneven),
        "this moves 25% of its units to another arm while experiment `copy-1` reads rule `copy`; grow the share of the rule instead, \
         give it a new name, or accept that counting begins anew (`redraw=copy-1`)",
    );
    let refused = world.ask("maya", put(&uneven)).unwrap_err();
    world.no("maya", redraw(&uneven, &["other"]), &refused);
    let other = live.replace("2.0.0", "3.0.0");
    assert!(
        world
            .ask("maya", put(&other))
            .unwrap_err()
            .contains("lets arm `one-page` serve something else")
    );
    let gone = live.split("[[rule]]").next().unwrap().to_owned();
    assert_eq!(
        world.ask("maya", put(&gone)).unwrap_err(),
        "experiment `copy-1` over rule `copy`: the rule is gone; end the test first, or pause the rule"
    );
    world.ok("maya", redraw(&uneven, &["copy-1"]));
    let experiment = world.experiment("copy-1");
    assert_eq!((experiment.since, experiment.redrawn), (world.now, 1));
    assert_eq!(
        experiment.arms["today"].weight + experiment.arms["one-page"].weight,
        4
    );
    assert!(experiment.begun < experiment.since);
    // Where nothing is drawn anew, what is allowed leaves no trace.
    world.later();
    world.ok("maya", redraw(&uneven.replace("50%", "60%"), &["copy-1"]));
    assert_eq!(world.experiment("copy-1").redrawn, 1);
}

#[test]
fn one_act_promotes_an_arm_or_ends_the_test() {
    for (arm, stable) in [
        (Some("one-page"), "2.0.0"),
        (Some("today"), "1.0.0"),
        (None, "1.0.0"),
    ] {
        let mut world = running();
        world.later();
        world.ok("maya", end("copy-1", arm));
        let rollout = world.catalogue.apps[&app()].rollout.as_ref().unwrap();
        assert_eq!(
            (rollout.stable.to_string().as_str(), rollout.rules.len()),
            (stable, 0)
        );
        assert!(world.versions().iter().all(|version| version == stable));
        let experiment = world.experiment("copy-1");
        let over = experiment.end.as_ref().unwrap();
        assert_eq!(
            (over.at, over.arm.as_ref().map(|arm| arm.as_str())),
            (world.now, arm)
        );
        assert_eq!(experiment.arms.len(), 2, "what was compared is remembered");
        world.no(
            "maya",
            end("copy-1", arm),
            "nothing to change: experiment `copy-1` is over",
        );
        // Its rule's name is free, and its own is not.
        world.ok("maya", put(FILE));
        assert!(
            world
                .ask("maya", begin("copy-1", "copy", "today"))
                .unwrap_err()
                .contains("exists already")
        );
        world.ok("maya", begin("copy-2", "copy", "today"));
    }
    let mut world = running();
    assert!(
        world
            .ask("maya", end("copy-1", Some("nobody")))
            .unwrap_err()
            .contains("there is no such arm")
    );
    assert!(
        world
            .ask("maya", end("other", None))
            .unwrap_err()
            .contains("there is no experiment")
    );
    // A version that was killed since is not promoted, and the test ends all the same.
    world.ok("sven", kill("2.0.0"));
    assert!(
        world
            .ask("maya", end("copy-1", Some("one-page")))
            .unwrap_err()
            .contains("2.0.0")
    );
    world.ok("maya", end("copy-1", None));
}

#[test]
fn promoting_takes_as_many_people_as_the_rollout_it_leads_to() {
    let mut world = running();
    world.ok("root", put_member("mo", role("mo")));
    world.ok("root", add_token("mo", "mo"));
    world.ok(
        "sec",
        Command::SetEyes {
            policy: EyesPolicy::for_customers(),
        },
    );
    for (arm, done) in [(Some("one-page"), "2.0.0"), (None, "1.0.0")] {
        let mut world = World {
            catalogue: world.catalogue.clone(),
            touched: world.touched.clone(),
            now: world.now,
            log: Vec::new(),
        };
        let events = world.ask("maya", end("copy-1", arm)).unwrap();
        let [Event::Proposed { id, proposal }] = &events[..] else {
            panic!("{events:?}")
        };
        assert!(matches!(
            proposal.kind,
            Some(Kind::Rollout | Kind::RaiseShare)
        ));
        assert!(world.experiment("copy-1").is_running(), "one person asked");
        world.ok(
            "mo",
            Command::ApproveProposal {
                id: id.clone(),
                hash: proposal.hash,
            },
        );
        assert_eq!(
            world.catalogue.apps[&app()]
                .rollout
                .as_ref()
                .unwrap()
                .stable
                .to_string(),
            done
        );
        assert!(!world.experiment("copy-1").is_running());
    }
    // Beginning lets a paused rule go on, which is of that kind.
    let mut world = tested();
    world.ok(
        "sec",
        Command::SetEyes {
            policy: EyesPolicy::for_customers(),
        },
    );
    let events = world.ask("maya", begin("copy-1", "copy", "today")).unwrap();
    assert!(
        matches!(&events[..], [Event::Proposed { proposal, .. }] if proposal.kind == Some(Kind::Resume))
    );
}

#[test]
fn of_too_many_those_that_ended_first_are_forgotten() {
    let mut world = tested();
    for nth in 0..70 {
        world.ok("maya", begin(&format!("copy-{nth}"), "copy", "today"));
        world.later();
        world.ok("maya", end(&format!("copy-{nth}"), None));
        world.ok("maya", put(FILE));
    }
    let experiments = &world.catalogue.apps[&app()].experiments;
    assert_eq!(experiments.len(), huidu_core::limits::EXPERIMENTS);
    assert!(!experiments.contains_key("copy-5") && experiments.contains_key("copy-69"));
}
