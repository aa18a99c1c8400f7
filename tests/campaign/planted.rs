//! The harness finds what it is for: real nodes with a lie planted between them and the rest of the world.
//!
//! Doctored histories are in the tests beside `ages` and `journal`; here real processes are lied to, and what
//! the campaign looks at must not hold.

use crate::{
    ages::{self, Fault},
    ending,
    fleet::{Fleet, ready},
    journal::{self, Entry, Told, Way},
    load::{answer, now_ms},
    support::{
        proxy::{Proxy, Weather},
        server::until,
        wire::Wire,
    },
    watch::{self, Kills},
};

#[test]
fn what_is_planted_is_found() {
    let mut fleet = Fleet::start(4);
    doctored_history(&fleet);
    answer_given_again(&mut fleet);
    weather(&fleet);
    store_that_forgets(&fleet);
}

/// A store that acknowledges an append and throws it away: the node that asked serves the kill, and the ledger
/// does not have it.
fn store_that_forgets(fleet: &Fleet) {
    fleet.links[0].store.set(Weather::Forgets);
    let killed = fleet.ask(0, 2, Way::Kill);
    assert!(matches!(killed.told, Told::Made(_)), "{killed:?}");
    assert!(fleet.links[0].store.struck() > 0, "nothing was forgotten");
    let entries = fleet.journal.lock().unwrap().clone();
    let slots = ending::read(fleet);
    let found = journal::faults(&slots, &entries, &fleet.states());
    let lost = journal::Fault::Lost { op: killed.op };
    assert!(
        found.contains(&lost),
        "nobody saw that it is lost: {found:?}"
    );
}

/// Somebody between a node and its phones who answers what was answered once: the kill never arrives, and the
/// watch says so; the lease bounds how long it is believed, and the check of ages agrees.
fn answer_given_again(fleet: &mut Fleet) {
    let honest = fleet.cluster.nodes[1].device;
    let liar = Proxy::start(honest);
    liar.set(Weather::Repeats);
    // Whoever watches node 1 watches it through the liar.
    fleet.cluster.nodes[1].device = liar.address();
    let path = format!("{}?u=watch-1", fleet.targets[0]);
    let first = Wire::connect(liar.address()).unwrap().get(&path, &[]);
    assert_eq!(first.unwrap().status, 200);
    let mut kills = Kills::default();
    watch::kill(fleet, 0, 0, &[0, 1], &mut kills);
    assert!(liar.struck() > 0, "nothing was repeated");
    assert_eq!((kills.never, kills.spread.len()), (1, 0), "{kills:?}");
    let seen = ages::look(&kills.answers, &kills.stopped);
    assert_eq!(seen.faults, [], "an old stamp is old, whoever repeats it");
    assert!(seen.stale > 0 && seen.over > 0, "{seen:?}");
    // The same answers with their stamps made new are what no node may ever say.
    let minted: Vec<_> = (kills.answers.iter())
        .map(|one| ages::Answer {
            stamp: one.stamp.map(|(_, lease)| (one.came, lease)),
            ..*one
        })
        .collect();
    let seen = ages::look(&minted, &kills.stopped);
    assert!(
        seen.faults
            .iter()
            .any(|fault| matches!(fault, Fault::Invented { .. })),
        "{seen:?}"
    );
    fleet.cluster.nodes[1].device = honest;
    kills.again(fleet);
}

/// A history of a real fleet, doctored in every way that the check of the ledger is for.
fn doctored_history(fleet: &Fleet) {
    for app in [0, 1] {
        fleet.ask(app, app, Way::Kill);
    }
    fleet.ask(2, 0, Way::Unkill);
    let entries = fleet.journal.lock().unwrap().clone();
    let slots = ending::read(fleet);
    fleet.at(slots.len() as u64);
    let ends = fleet.states();
    let faults =
        |entries: &[Entry], ends: &[journal::State]| journal::faults(&slots, entries, ends);
    assert_eq!(faults(&entries, &ends), [], "the honest one");
    let told = |at: usize, told: Told| {
        let mut entries = entries.clone();
        entries[at].told = told;
        faults(&entries, &ends)
    };
    let op = entries[0].op;
    assert_eq!(
        told(0, Told::Refused),
        [journal::Fault::FalseFailure { op }]
    );
    assert_eq!(told(0, Told::Made(1)), [journal::Fault::Lost { op }]);
    assert_eq!(told(0, Told::Unknown), []);
    let unasked = faults(&entries[..2], &ends);
    assert!(
        matches!(unasked[..], [journal::Fault::Unasked { .. }]),
        "{unasked:?}"
    );
    let mut lying = ends.clone();
    for (app, killed) in &ends[1] {
        lying[1].insert(app.clone(), !killed);
    }
    let lied = faults(&entries, &lying);
    assert_eq!(lied.len(), ends[1].len(), "{lied:?}");
    let resurrected = journal::Fault::Resurrected {
        app: fleet.apps[1].clone(),
        node: 1,
    };
    assert!(lied.contains(&resurrected), "{lied:?}");
    for gone in 1..slots.len() {
        let found = journal::faults(&journal::without(&slots, gone), &entries, &ends);
        assert!(
            !found.is_empty(),
            "nobody would notice the loss of {}",
            gone + 1
        );
    }
}

/// The weather is what it says: hints are lost, a node in the dark knows nothing, says so, and ages.
fn weather(fleet: &Fleet) {
    const APP: usize = 3;
    let killed = || fleet.states()[1][&fleet.apps[APP]];
    fleet.links[1].bus.set(Weather::LosesHints(1));
    fleet.ask(0, APP, Way::Kill);
    until("the hint is lost and the tick brings the kill", || {
        fleet.links[1].bus.struck() > 0 && killed()
    });
    fleet.links[1].bus.set(Weather::Clear);
    fleet.around(1, Weather::Dark);
    let unkilled = fleet.ask(0, APP, Way::Unkill);
    assert!(matches!(unkilled.told, Told::Made(_)), "{unkilled:?}");
    until("a node that is cut off says that the store is away", || {
        ready(&fleet.cluster.nodes[1]).is_some_and(|said| said["store"] == false)
    });
    assert!(killed(), "it cannot know");
    let path = format!("{}?u=phone-0000", fleet.targets[APP]);
    let mut wire = fleet.cluster.nodes[1].wire();
    until("what it says is over", || {
        let asked = now_ms();
        let told = answer(APP, false, asked, &wire.get(&path, &[]).unwrap());
        told.stamp.is_some_and(|(asof, lease)| asof + lease < asked)
    });
    fleet.around(1, Weather::Clear);
    fleet.is_well();
    until("it learns of it", || !killed());
}
