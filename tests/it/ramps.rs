//! A ramp that stops itself, on three real nodes with a real Redis and a real S3: devices crash on the new version, and
//! nobody does anything. How long it takes from the crash that decides it until no node gives the version out.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    support::{
        server::{Backing, Node, until},
        wire::Wire,
    },
    world::{HOST, World},
};

/// How often it is measured, each time on an app of its own.
const ROUNDS: usize = 8;
/// From the crash that decides it to the last node.
const BAR: Duration = Duration::from_secs(6);
/// Phones in the story: about 80 in each cohort.
const PHONES: usize = 400;

const RAMP: &str = r#"
stable = "1.0.0"
[[rule]]
name = "next"
serve = "2.0.0"
[rule.ramp]
step = [{ share = "20%", hold = "1h", units = 500 }, { share = "50%", hold = "1h" }]
guard = [{ measure = "crashed", action = "roll-back" }]
"#;

/// Phones of both cohorts, as they are told where they belong.
struct Cohorts {
    candidates: Vec<String>,
    controls: Vec<String>,
}

fn drawn(world: &World, app: &str) -> Cohorts {
    let units: Vec<String> = (0..PHONES).map(|n| format!("phone-{n:04}")).collect();
    let told = world.versions(app, &units, "");
    let of = |version: &str, arm: &str| -> Vec<String> {
        let pairs = units.iter().zip(&told);
        let theirs = pairs.filter(|(_, told)| told.0 == version && told.1 == arm);
        theirs.map(|(unit, _)| unit.clone()).collect()
    };
    Cohorts {
        candidates: of("2.0.0", "candidate"),
        controls: of("1.0.0", "control"),
    }
}

/// Events of one cohort, each with a name of its own.
fn events(app: &str, version: &str, arm: &str, event: &str, times: usize) -> Vec<Value> {
    let one = || {
        json!({"id": format!("{:032x}", fastrand::u128(..)), "app": app, "version": version,
            "rule": "next", "arm": arm, "event": event})
    };
    std::iter::repeat_with(one).take(times).collect()
}

/// One of each in turn, then the rest of the longer.
fn alternately(one: Vec<Value>, other: Vec<Value>) -> Vec<Value> {
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let turn = || {
        let pair = [one.next(), other.next()];
        pair.iter().any(Option::is_some).then_some(pair)
    };
    std::iter::from_fn(turn).flatten().flatten().collect()
}

fn tell(wire: &mut Wire, events: &[Value]) {
    let reply = wire.post("/v1/events", &json!({"host": HOST, "events": events}));
    let reply = reply.unwrap();
    assert_eq!(reply.status, 202, "{}", reply.text());
    assert_eq!(reply.json()["accepted"], events.len(), "{}", reply.text());
}

/// The ramp of `app`, as a node would decide now.
fn shown(world: &World, node: usize, app: &str) -> Value {
    let maya = world.maya.at(node);
    let reply = world.by(&maya, "GET", &format!("/apps/{app}/ramp")).send();
    reply.json()["ramps"][0].clone()
}

/// One ramp from its first step to its end; how long from the deciding crash to the last node.
fn stopped_after(world: &World) -> Duration {
    let app = world.app(&["1.0.0", "2.0.0"]);
    world.rollout(&app, RAMP);
    let Cohorts {
        candidates,
        controls,
    } = drawn(world, &app);
    let (new, old) = (candidates.len(), controls.len());
    assert!(new >= 50 && old >= 50, "{new} and {old}");

    // Everybody starts, each at some node, and an outage hits both cohorts alike: that stops nothing.
    let mut wires: Vec<Wire> = world.cluster.nodes.iter().map(Node::wire).collect();
    let both = |event: &str, new: usize, old: usize| {
        let new = events(&app, "2.0.0", "candidate", event, new);
        // As devices come: neither cohort long before the other, which would be no fair draw.
        alternately(new, events(&app, "1.0.0", "control", event, old))
    };
    let started = both("activated", new - 5, old - 5);
    let (some, others) = started.split_at(started.len() / 2);
    tell(&mut wires[0], some);
    tell(&mut wires[1], others);
    tell(&mut wires[2], &both("crashed", 5, 5));
    for node in 0..wires.len() {
        until(&format!("node {node} knows of all"), || {
            let ramp = shown(world, node, &app);
            let knows = ramp["units"] == json!({"candidate": new, "control": old})
                && ramp["guards"][0]["events"] == json!({"candidate": 5, "control": 5});
            assert_eq!(ramp["state"], "running", "{ramp:#}");
            knows
        });
        let ramp = shown(world, node, &app);
        assert_eq!(ramp["guards"][0]["verdict"], "inconclusive", "{ramp:#}");
        assert_eq!(ramp["next"], Value::Null, "{ramp:#}");
    }

    // Then the new version crashes, and one node hears of it.
    tell(
        &mut wires[1],
        &events(&app, "2.0.0", "candidate", "crashed", 20),
    );
    let decided = Instant::now();
    let path = format!("/v1/manifest/{HOST}/{app}?u={}", candidates[0]);
    let back = wires.into_iter().map(|mut wire| {
        let path = path.clone();
        thread::spawn(move || {
            while decided.elapsed() < BAR * 5 {
                if wire.get(&path, &[]).unwrap().json()["version"] == "1.0.0" {
                    return decided.elapsed();
                }
                thread::sleep(Duration::from_millis(2));
            }
            panic!("the version is still given out after {:?}", BAR * 5);
        })
    });
    let back: Vec<_> = back.collect();
    let last = back.into_iter().map(|one| one.join().unwrap()).max();

    for node in 0..world.cluster.nodes.len() {
        let ramp = shown(world, node, &app);
        assert_eq!(ramp["state"], "rolled back", "{ramp:#}");
        assert_eq!(ramp["share"], "0%", "{ramp:#}");
    }
    assert_eq!(drawn(world, &app).candidates, Vec::<String>::new());
    // It was decided once, by no person, and the record says what it rests on.
    let path = format!("/history?app={app}");
    let history = world.by(&world.ada, "GET", &path).send().json();
    let records = history.as_array().unwrap().iter();
    let moved: Vec<&Value> = records
        .filter(|line| line["events"][0]["event"] == "ramp-moved")
        .collect();
    assert_eq!(moved.len(), 1, "{moved:#?}");
    assert_eq!(moved[0]["events"][0]["act"], "roll-back", "{moved:#?}");
    assert_eq!(
        moved[0]["events"][0]["findings"]["guards"][0]["events"],
        json!({"candidate": 25, "control": 5}),
        "{moved:#?}"
    );
    last.unwrap()
}

#[test]
fn a_crash_rolls_a_ramp_back_on_three_nodes_by_itself() {
    let world = World::new(Backing::S3Redis);
    let mut times: Vec<Duration> = (0..ROUNDS).map(|_| stopped_after(&world)).collect();
    times.sort_unstable();
    let (median, last) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "figure: crash signal at a node to the rollout back at the last of 3 nodes, once the test has decided, ms: \
         {} at most of {ROUNDS} ramps, half within {}",
        last.as_millis(),
        median.as_millis()
    );
    assert!(last <= BAR, "{times:?}");
    world.logs_hold_nobody();
}
