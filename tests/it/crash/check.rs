//! What must be true of a ledger after any number of crashes: a pure check of what a client was told
//! against what the store holds in the end.
//!
//! The client asks for one change after the other and repeats each until it is told that it was made. So
//! the ledger must be the changes in that order, each whole and once, at the very revisions that were
//! told; and whenever somebody looked, it was everything told so far and at most a part of the one under
//! way. Shown to find what it is for by the tests below, which plant each fault.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use huidu_core::{
    digest::Digest,
    event::Event,
    op::OpId,
    record::{GENESIS, Record},
};

/// A change that the client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Hand in this version and list it: two revisions.
    Publish(String),
    /// Kill this version: one revision.
    Kill(String),
}

/// A change, and what the client was told about it, in order.
#[derive(Debug, Clone)]
pub(super) struct Tried {
    pub(super) op: OpId,
    pub(super) change: Change,
    pub(super) told: Vec<Told>,
}

/// An answer that says that a change was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    /// The last revision of the change.
    pub(super) revision: u64,
    /// Whether an earlier request had made it already.
    pub(super) repeated: bool,
}

/// What a node said right after it had started again.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// Which change was under way when the node died: an index into what was tried.
    pub(super) during: usize,
    /// How often the client had been told by then that this change was made.
    pub(super) told: usize,
    /// The revision it serves.
    pub(super) revision: u64,
    /// Since when the change is committed, by its op id; none: absent.
    pub(super) committed: Option<u64>,
}

/// What is wrong with a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes in this slot are no record.
    Unreadable { slot: u64 },
    /// The slot holds another revision: there is a gap, or one comes twice.
    Gap { slot: u64, found: u64 },
    /// The record does not name the bytes of the one before it.
    Chain { slot: u64 },
    /// The client was told that the change was made, and it is not there, or not whole.
    Lost { op: OpId },
    /// Nobody asked for what is in this slot, or not here.
    Unasked { slot: u64, what: String },
    /// One want was written twice.
    Twice { op: OpId },
    /// The client was told another revision than the one it was made in, or two of them.
    Told { op: OpId, told: u64, made: u64 },
    /// A repeat was not recognised as one, or the first as a repeat of nothing.
    Repeat { op: OpId },
    /// A node that had just started did not serve what had been acknowledged, or served more than that
    /// and the change under way.
    Looked { op: OpId, revision: u64 },
    /// The op id answered something else than what the ledger says.
    Op { op: OpId },
}

impl Change {
    /// The revisions it makes, in words.
    pub(super) fn revisions(&self) -> Vec<String> {
        match self {
            Self::Publish(version) => {
                vec![format!("submitted {version}"), format!("listed {version}")]
            }
            Self::Kill(version) => vec![format!("killed {version}")],
        }
    }
}

/// A record in words.
fn words(record: &Record) -> String {
    let word = |event: &Event| match event {
        Event::VersionSubmitted { version, .. } => format!("submitted {}", version.number),
        Event::VersionListed { version, .. } => format!("listed {version}"),
        Event::Killed {
            version: Some(version),
            ..
        } => format!("killed {version}"),
        other => format!("{other:?}"),
    };
    record
        .events
        .iter()
        .map(word)
        .collect::<Vec<_>>()
        .join(" and ")
}

/// Everything that is wrong with a ledger: `slots` are its records from the first; those up to `since` were
/// there before the client began.
pub(super) fn faults(slots: &[Bytes], since: u64, tried: &[Tried], looks: &[Look]) -> Vec<Fault> {
    let (records, mut faults) = read(slots);
    if !faults.is_empty() {
        return faults;
    }
    let mut seen = BTreeSet::new();
    for record in &records {
        if !seen.insert(record.op) {
            faults.push(Fault::Twice { op: record.op });
        }
    }
    let later = records
        .into_iter()
        .filter(|record| record.rev.get() > since)
        .collect();
    let made = in_order(later, tried, &mut faults);
    for one in tried {
        answered(one, made.get(&one.op), &mut faults);
    }
    for look in looks {
        looked(look, since, tried, &made, &mut faults);
    }
    faults
}

/// The records, and whether they are one chain without a gap.
fn read(slots: &[Bytes]) -> (Vec<Record>, Vec<Fault>) {
    let (mut records, mut faults) = (Vec::new(), Vec::new());
    let mut before = GENESIS;
    for (slot, bytes) in (1..).zip(slots) {
        let Ok(record) = Record::decode(bytes) else {
            faults.push(Fault::Unreadable { slot });
            break;
        };
        let found = record.rev.get();
        if found != slot {
            faults.push(Fault::Gap { slot, found });
        }
        if record.prev != before {
            faults.push(Fault::Chain { slot });
        }
        before = Digest::of(bytes);
        records.push(record);
    }
    (records, faults)
}

/// The revisions of every change: the first, and how many.
type Made = BTreeMap<OpId, (u64, u64)>;

/// Walks the ledger along what was asked for.
fn in_order(records: Vec<Record>, tried: &[Tried], faults: &mut Vec<Fault>) -> Made {
    let asked: BTreeSet<OpId> = tried.iter().map(|one| one.op).collect();
    let mut records = records.into_iter().peekable();
    let unasked = |record: &Record| Fault::Unasked {
        slot: record.rev.get(),
        what: words(record),
    };
    let mut made = Made::new();
    for one in tried {
        let revisions = one.change.revisions();
        let mut found = 0;
        for (n, revision) in revisions.iter().enumerate() {
            let is_it =
                |record: &Record| words(record) == *revision && (n > 0 || record.op == one.op);
            // Whatever stands in its place and belongs to nobody is told, and stepped over.
            while let Some(stranger) =
                records.next_if(|record| !is_it(record) && !belongs(record, &asked, tried))
            {
                faults.push(unasked(&stranger));
            }
            let Some(record) = records.next_if(is_it) else {
                break;
            };
            let (_, count) = made.entry(one.op).or_insert((record.rev.get(), 0));
            *count += 1;
            found += 1;
        }
        if found < revisions.len() && !one.told.is_empty() {
            faults.push(Fault::Lost { op: one.op });
        }
    }
    faults.extend(records.map(|record| unasked(&record)));
    made
}

/// True when the record is part of anything that was asked for.
fn belongs(record: &Record, asked: &BTreeSet<OpId>, tried: &[Tried]) -> bool {
    let what = words(record);
    asked.contains(&record.op)
        || tried
            .iter()
            .any(|one| one.change.revisions()[1..].contains(&what))
}

/// What the client was told is what the ledger says, every time.
fn answered(one: &Tried, made: Option<&(u64, u64)>, faults: &mut Vec<Fault>) {
    let Some((first, count)) = made else { return };
    let last = first + count - 1;
    for (n, told) in one.told.iter().enumerate() {
        if told.revision != last {
            let (told, made) = (told.revision, last);
            faults.push(Fault::Told {
                op: one.op,
                told,
                made,
            });
        }
        if n > 0 && !told.repeated {
            faults.push(Fault::Repeat { op: one.op });
        }
    }
}

/// What a node said after it had started again fits what it had acknowledged before it died.
fn looked(look: &Look, since: u64, tried: &[Tried], made: &Made, faults: &mut Vec<Fault>) {
    let one = &tried[look.during];
    let last = |one: &Tried| made.get(&one.op).map(|(first, count)| first + count - 1);
    let before = tried[..look.during]
        .iter()
        .rev()
        .find_map(last)
        .unwrap_or(since);
    let whole = before + one.change.revisions().len() as u64;
    let least = if look.told > 0 { whole } else { before };
    if !(least..=whole).contains(&look.revision) {
        faults.push(Fault::Looked {
            op: one.op,
            revision: look.revision,
        });
    }
    let first = made.get(&one.op).map(|(first, _)| *first);
    let expected = first.filter(|_| look.revision > before);
    if look.committed != expected {
        faults.push(Fault::Op { op: one.op });
    }
    let is_repeated = one.told.get(look.told).map(|told| told.repeated);
    if look.committed.is_some() && is_repeated == Some(false) {
        faults.push(Fault::Repeat { op: one.op });
    }
}

/// `slots` without slot `gone`, chained anew: what a store leaves that forgot what it had acknowledged.
pub(super) fn without(slots: &[Bytes], gone: u64) -> Vec<Bytes> {
    let mut before = GENESIS;
    let kept = (1..)
        .zip(slots)
        .filter(|(slot, _)| *slot != gone)
        .map(|(_, bytes)| bytes);
    let chained = (1..).zip(kept).map(|(slot, bytes)| {
        let mut record = Record::decode(bytes).unwrap();
        record.rev = huidu_core::revision::Revision::new(slot);
        record.prev = before;
        let bytes = record.encode().unwrap();
        before = Digest::of(&bytes);
        bytes
    });
    chained.collect()
}

#[cfg(test)]
mod tests {
    use huidu_core::{
        authority::Role,
        event::Actor,
        op::PutId,
        record::V1,
        revision::Revision,
        time::Timestamp,
        version::{Bundle, BundleFormat, Life, Version},
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
                permissions: Vec::new(),
                notes: String::new(),
                life: Life::Submitted,
                submitted_at: Timestamp::EPOCH,
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
        }
    }

    /// A chain of these wants.
    fn chain(wants: &[(u128, Event)]) -> Vec<Bytes> {
        let mut before = GENESIS;
        let records = (1_u64..).zip(wants).map(|(rev, (want, event))| {
            let record = Record {
                v: V1,
                rev: Revision::new(rev),
                prev: before,
                op: op(*want),
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
}
