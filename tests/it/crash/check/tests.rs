//! Every fault that the check is for, planted.

use huidu_core::{
    authority::Role,
    event::Actor,
    op::PutId,
    revision::Revision,
    rules::Rules,
    time::Timestamp,
    version::{Bundle, BundleFormat, Life, Permissions, Version},
};
use ulid::Ulid;

use super::*;

fn id(n: u128) -> String {
    Ulid::from_bytes(n.to_be_bytes()).to_string()
}

fn op(n: u128) -> OpId {
    id(n).parse().unwrap()
}

fn submitted(number: &str) -> Event {
    let bundle = Bundle {
        sha256: Digest::of(number.as_bytes()),
        bytes: 1,
        format: BundleFormat::TarGz,
        files: 1,
        unpacked_bytes: 1,
    };
    Event::VersionSubmitted {
        app: "pingan/travel".parse().unwrap(),
        version: Version {
            number: number.parse().unwrap(),
            bundle,
            permissions: Permissions::default(),
            notes: String::new(),
            life: Life::Submitted,
            submitted_at: Timestamp::EPOCH,
            dossier: Default::default(),
        },
    }
}

fn listed(number: &str) -> Event {
    Event::VersionListed {
        app: "pingan/travel".parse().unwrap(),
        version: number.parse().unwrap(),
    }
}

fn killed(number: &str) -> Event {
    Event::Killed {
        app: "pingan/travel".parse().unwrap(),
        version: Some(number.parse().unwrap()),
        reason: "it loses orders".into(),
        before: None,
    }
}

/// A chain of these wants.
fn chain(wants: &[(u128, Event)]) -> Vec<Bytes> {
    let mut before = GENESIS;
    let records = (1_u64..).zip(wants).map(|(rev, (want, event))| {
        let record = Record {
            v: Rules::NEWEST,
            rev: Revision::new(rev),
            prev: before,
            op: op(*want),
            ask: None,
            put: id(1_000 + u128::from(rev)).parse::<PutId>().unwrap(),
            node: "node-0".into(),
            at: Timestamp::EPOCH,
            actor: Actor {
                id: "maya".into(),
                role: Role::Admin,
            },
            approvals: Vec::new(),
            why: None,
            events: vec![event.clone()],
            void: None,
            ck: None,
        };
        let bytes = record.encode().unwrap();
        before = Digest::of(&bytes);
        bytes
    });
    records.collect()
}

/// Two versions are published, the second through a crash between its two halves, the first is killed.
fn honest() -> (Vec<(u128, Event)>, Vec<Tried>, Vec<Look>) {
    let wants = vec![
        (1, submitted("1.0.0")),
        (101, listed("1.0.0")),
        (2, submitted("1.0.1")),
        (102, listed("1.0.1")),
        (3, killed("1.0.0")),
    ];
    let told = |revision, repeated| Told { revision, repeated };
    let tried = vec![
        Tried {
            op: op(1),
            change: Change::Publish("1.0.0".into()),
            told: vec![told(2, false)],
        },
        Tried {
            op: op(2),
            change: Change::Publish("1.0.1".into()),
            told: vec![told(4, true)],
        },
        Tried {
            op: op(3),
            change: Change::Kill("1.0.0".into()),
            told: vec![told(5, false), told(5, true)],
        },
    ];
    let looks = vec![
        Look {
            during: 1,
            told: 0,
            revision: 3,
            committed: Some(3),
        },
        Look {
            during: 2,
            told: 1,
            revision: 5,
            committed: Some(5),
        },
    ];
    (wants, tried, looks)
}

#[test]
fn an_honest_ledger_has_no_fault() {
    let (wants, tried, looks) = honest();
    assert_eq!(faults(&chain(&wants), 0, &tried, &looks), []);
    // What nobody was told of may be there, half there, or absent.
    let (mut wants, mut tried, looks) = honest();
    tried.push(Tried {
        op: op(4),
        change: Change::Publish("1.0.2".into()),
        told: Vec::new(),
    });
    assert_eq!(faults(&chain(&wants), 0, &tried, &looks), []);
    wants.push((4, submitted("1.0.2")));
    assert_eq!(faults(&chain(&wants), 0, &tried, &looks), []);
    wants.push((104, listed("1.0.2")));
    assert_eq!(faults(&chain(&wants), 0, &tried, &looks), []);
}

#[test]
fn every_acknowledged_revision_that_is_lost_is_missed() {
    let (wants, tried, looks) = honest();
    let slots = chain(&wants);
    for gone in 1..=5 {
        let found = faults(&without(&slots, gone), 0, &tried, &looks);
        let lost = |fault: &Fault| matches!(fault, Fault::Lost { .. });
        assert!(
            found.iter().any(lost),
            "slot {gone} is gone, and: {found:?}"
        );
    }
}

/// One fault each, planted in what the store holds.
#[test]
fn what_a_store_may_do_wrong_is_found() {
    type Plant = fn(&mut Vec<Bytes>, &mut Vec<(u128, Event)>);
    let table: [(&str, Plant, Fault); 7] = [
        (
            "a slot is skipped",
            |slots, _| {
                slots.remove(2);
            },
            Fault::Gap { slot: 3, found: 4 },
        ),
        (
            "a record was rewritten",
            |slots, wants| {
                wants[2].1 = submitted("6.6.6");
                slots[2] = chain(wants).remove(2);
            },
            Fault::Chain { slot: 4 },
        ),
        (
            "a record is torn",
            |slots, _| slots[4].truncate(40),
            Fault::Unreadable { slot: 5 },
        ),
        (
            "a want is written twice",
            |slots, wants| {
                wants.push((3, killed("1.0.0")));
                *slots = chain(wants);
            },
            Fault::Twice { op: op(3) },
        ),
        (
            "nobody asked",
            |slots, wants| {
                wants.insert(2, (9, killed("1.0.1")));
                *slots = chain(wants);
            },
            Fault::Unasked {
                slot: 3,
                what: "killed 1.0.1".into(),
            },
        ),
        (
            "the order is another",
            |slots, wants| {
                wants.swap(3, 4);
                *slots = chain(wants);
            },
            Fault::Lost { op: op(2) },
        ),
        (
            "another want was written under this op",
            |slots, wants| {
                wants[4].1 = killed("1.0.1");
                *slots = chain(wants);
            },
            Fault::Lost { op: op(3) },
        ),
    ];
    for (what, plant, fault) in table {
        let (mut wants, tried, looks) = honest();
        let mut slots = chain(&wants);
        plant(&mut slots, &mut wants);
        let found = faults(&slots, 0, &tried, &looks);
        assert!(found.contains(&fault), "{what}: {found:?}");
    }
}

/// One fault each, planted in what the nodes said.
#[test]
fn what_a_node_may_say_wrong_is_found() {
    type Plant = fn(&mut Vec<Tried>, &mut Vec<Look>);
    let table: [(&str, Plant, Fault); 7] = [
        (
            "another revision",
            |tried, _| tried[0].told[0].revision = 1,
            Fault::Told {
                op: op(1),
                told: 1,
                made: 2,
            },
        ),
        (
            "a repeat that is none",
            |tried, _| tried[2].told[1].repeated = false,
            Fault::Repeat { op: op(3) },
        ),
        (
            "made anew, though it was committed",
            |tried, _| tried[1].told[0].repeated = false,
            Fault::Repeat { op: op(2) },
        ),
        (
            "less than acknowledged",
            |_, looks| looks[1].revision = 4,
            Fault::Looked {
                op: op(3),
                revision: 4,
            },
        ),
        (
            "more than asked for",
            |_, looks| looks[0].revision = 5,
            Fault::Looked {
                op: op(2),
                revision: 5,
            },
        ),
        (
            "the op id is not known",
            |_, looks| looks[1].committed = None,
            Fault::Op { op: op(3) },
        ),
        (
            "the op id is known and the state is not there",
            |_, looks| looks[0].revision = 2,
            Fault::Op { op: op(2) },
        ),
    ];
    for (what, plant, fault) in table {
        let (wants, mut tried, mut looks) = honest();
        plant(&mut tried, &mut looks);
        let found = faults(&chain(&wants), 0, &tried, &looks);
        assert!(found.contains(&fault), "{what}: {found:?}");
    }
}
