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

#[cfg(test)]
mod tests;

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
