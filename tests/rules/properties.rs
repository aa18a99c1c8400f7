//! What holds for any rollout: the same device gets the same answer, ramps are monotone, arms are kept,
//! and an explanation tells what was answered.

use std::fmt::Write as _;

use huidu_core::{
    compile::CompiledApp,
    name::ArmName,
    poll::{Device, Installed, Poll, Scratch},
    share::Share,
};
use proptest::prelude::*;

use crate::world::{self, Segments};

fn share(millionths: u32) -> Share {
    Share::from_millionths(millionths).unwrap()
}

fn ramp(at: Share, other: Share) -> CompiledApp {
    let text = format!(
        "app = \"pingan/travel\"\nhosts = [\"retail-bank\"]\nstable = \"1.0.0\"\n\
         [[rule]]\nname = \"ramp\"\nshare = \"{at}\"\n\
         split = {{ a = {{ serve = \"1.1.0\", weight = 1 }}, b = {{ serve = \"1.2.0\", weight = 2 }} }}\n\
         [[rule]]\nname = \"next\"\nshare = \"{other}\"\nserve = \"1.3.0\"\n"
    );
    let app = world::app(
        &["1.0.0", "1.1.0", "1.2.0", "1.3.0"],
        Some(world::rollout(&text)),
    );
    world::compiled(&app, &Segments::new())
}

/// The arm of the ramp that `unit` is in.
fn arm(app: &CompiledApp, unit: &str) -> Option<ArmName> {
    let outcome = app.resolve(
        "retail-bank",
        &Device::new(unit),
        &Installed::default(),
        world::noon(),
    );
    outcome.answer.arm.clone()
}

proptest! {
    #[test]
    fn a_ramp_up_keeps_everybody_it_had_and_in_their_arm(
        unit in "\\PC{1,30}", a in 0..=100_000_000_u32, b in 0..=100_000_000_u32, other in 0..=100_000_000_u32
    ) {
        let small = arm(&ramp(share(a.min(b)), share(other)), &unit);
        let large = arm(&ramp(share(a.max(b)), share(other)), &unit);
        // Up: who was in stays in the same arm. Down: who is in was in before, in the same arm.
        prop_assert!(small.is_none() || small == large, "{small:?} then {large:?}");
    }

    #[test]
    fn nobody_is_in_at_nothing_and_everybody_at_all(unit in "\\PC{1,30}") {
        prop_assert_eq!(arm(&ramp(Share::NONE, Share::NONE), &unit), None);
        prop_assert!(arm(&ramp(Share::ALL, Share::NONE), &unit).is_some());
    }

    #[test]
    fn any_rollout_answers_any_device_always_the_same_and_explains_that_answer(
        rules in proptest::collection::vec(any_rule(), 0..8), shared_salt: bool, query in any_device()
    ) {
        let mut text = String::from(
            "app = \"pingan/travel\"\nhosts = [\"retail-bank\"]\nstable = \"1.0.0\"\nfloors = [\"0.9.0\", \"1.1.0\"]\n"
        );
        if shared_salt {
            text.push_str("salt = \"ring\"\n");
        }
        text.push_str("pins = { d7 = \"1.2.0\", d8 = \"1.9.0\" }\n");
        for (at, rule) in rules.iter().enumerate() {
            write!(text, "[[rule]]\nname = \"r{at}\"\n{rule}").unwrap();
        }
        let mut app = world::app(&["0.9.0", "1.0.0", "1.1.0", "1.2.0"], Some(world::rollout(&text)));
        world::delist(&mut app, "1.9.0", false);
        world::delist(&mut app, "1.8.0", true);
        let segments = [("staff".to_owned(), world::segment(&["d1".into(), "d2".into()]))].into();
        let (first, second) = (world::compiled(&app, &segments), world::compiled(&app, &segments));
        prop_assert_eq!(first.answers(), second.answers());

        let mut scratch = Scratch::default();
        let poll = Poll::from_query(&query, &mut scratch).unwrap();
        let resolve = |app: &CompiledApp| {
            let outcome = app.resolve("retail-bank", &poll.device, &poll.installed, world::noon());
            (outcome.index, outcome.reason, outcome.rule)
        };
        let (index, reason, rule) = resolve(&first);
        prop_assert_eq!((index, reason, rule), resolve(&second));

        let told = first.explain("retail-bank", &poll.device, &poll.installed, world::noon());
        prop_assert_eq!((told.index, told.reason), (index, reason));
        prop_assert_eq!(&told.etag, &*first.answers()[index].etag);
        prop_assert_eq!(told.steps.iter().filter(|step| step.took).count(), usize::from(told.version.is_some()));
        prop_assert_eq!(told.to_string().lines().count(), told.steps.len() + 1);
        serde_json::to_string(&told).unwrap();

        // Never what failed, never what is not listed.
        if let Some(version) = &first.answers()[index].version {
            prop_assert!(!poll.installed.failed.names(&version.to_string(), ""));
            prop_assert!(app.versions[version].life.is_listed());
        }
    }
}

fn any_rule() -> impl Strategy<Value = String> {
    let when = proptest::sample::select(vec![
        "{}",
        "{ platform = \"ios\" }",
        "{ not = { tag = \"slow\" } }",
        "{ segment = \"staff\" }",
        "{ any = [{ region = { prefix = \"CN\" } }, { attr = { age = { min = 18 } } }] }",
        "{ app_version = \"<1.1\" }",
    ]);
    let draw = proptest::sample::select(vec![
        "",
        "share = \"50%\"\n",
        "share = \"0.000001%\"\n",
        "layer = \"l\"\nslots = \"0-4999\"\n",
        "salt = \"own\"\nshare = \"80%\"\n",
        "paused = true\n",
    ]);
    let serve = proptest::sample::select(vec![
        "serve = \"1.2.0\"\n",
        "serve = \"1.9.0\"\n",
        "split = { a = { serve = \"1.1.0\", weight = 1 }, b = { serve = \"1.9.0\", weight = 1 } }\n",
        "split = { a = { serve = \"1.1.0\", weight = 3 }, b = { serve = \"1.2.0\", weight = 5 } }\n",
    ]);
    (when, draw, serve).prop_map(|(when, draw, serve)| format!("when = {when}\n{draw}{serve}"))
}

fn any_device() -> impl Strategy<Value = String> {
    let rest =
        proptest::sample::select(vec!["", "&p=ios", "&t=slow&r=CN-31", "&a.age=20&p=android"]);
    let runs = proptest::sample::select(vec!["", "&v=0.8.0", "&v=1.0.0", "&v=1.8.0", "&v=odd"]);
    let failed = proptest::sample::select(vec![
        "",
        "&x=1.0.0",
        "&x=1.0.0,1.1.0,1.2.0,0.9.0",
        "&x=1.1.0",
    ]);
    (0..10_u32, rest, runs, failed).prop_map(|(unit, a, b, c)| format!("u=d{unit}{a}{b}{c}"))
}
