//! What people were told about their changes, held against what the store keeps in the end: a pure check.
//!
//! Told that it was made: it is there, once, at that revision. Told that it was not: it is not there. Told
//! that nobody knows: either. And nothing is there that nobody asked for, so no kill is taken back by itself.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use huidu_core::{event::Event, op::OpId, record::Record};

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Kill,
    Unkill,
}

/// What somebody was told about a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It was made, at this revision.
    Made(u64),
    /// It is in force and survives, and is not ordered yet.
    Provisional,
    /// It was not made.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// A change, and what became of it for whoever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) op: OpId,
    pub(crate) app: String,
    pub(crate) way: Way,
    pub(crate) told: Told,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Somebody was told that it was made, and it is not there, or elsewhere.
    Lost { op: OpId },
    /// Somebody was told that it was not made, and it is there.
    FalseFailure { op: OpId },
    /// It is there more than once.
    Twice { op: OpId },
    /// A kill was made or taken back that nobody asked for.
    Unasked { app: String, revision: u64 },
    /// The last word of the ledger is that it is killed, and a node lets it run.
    Resurrected { app: String, node: usize },
    /// The last word of the ledger is that it runs, and a node stops it.
    StillStopped { app: String, node: usize },
}

/// What a node lets run in the end: by app, whether it is killed.
pub(crate) type State = BTreeMap<String, bool>;

/// Everything that is wrong. `slots` are the records of the ledger from the first, `ends` what each node says
/// once it is at the last of them. What was provisional must be there by then.
pub(crate) fn faults(slots: &[Bytes], entries: &[Entry], ends: &[State]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let asked: BTreeSet<OpId> = entries.iter().map(|entry| entry.op).collect();
    let (mut found, mut state) = (BTreeMap::<OpId, Vec<u64>>::new(), State::new());
    for (revision, bytes) in (1..).zip(slots) {
        let record = Record::decode(bytes).unwrap();
        for event in &record.events {
            let (app, killed) = match event {
                Event::Killed { app, .. } => (app, true),
                Event::Unkilled { app, .. } => (app, false),
                _ => continue,
            };
            let app = app.to_string();
            if !asked.contains(&record.op) {
                let app = app.clone();
                faults.push(Fault::Unasked { app, revision });
            }
            found.entry(record.op).or_default().push(revision);
            state.insert(app, killed);
        }
    }
    for entry in entries {
        let (op, at) = (
            entry.op,
            found.get(&entry.op).map_or(&[][..], Vec::as_slice),
        );
        match entry.told {
            Told::Made(revision) if !at.contains(&revision) => faults.push(Fault::Lost { op }),
            Told::Provisional if at.is_empty() => faults.push(Fault::Lost { op }),
            Told::Refused if !at.is_empty() => faults.push(Fault::FalseFailure { op }),
            _ => {}
        }
        if at.len() > 1 {
            faults.push(Fault::Twice { op });
        }
    }
    for (node, end) in ends.iter().enumerate() {
        for (app, killed) in end {
            let app = app.clone();
            match (state.get(&app).copied().unwrap_or(false), *killed) {
                (true, false) => faults.push(Fault::Resurrected { app, node }),
                (false, true) => faults.push(Fault::StillStopped { app, node }),
                _ => {}
            }
        }
    }
    faults
}

/// The ledger with one record gone and those behind it moved up: what a store leaves that forgot it.
pub(crate) fn without(slots: &[Bytes], gone: usize) -> Vec<Bytes> {
    let kept = slots.iter().enumerate().filter(|(at, _)| *at != gone);
    kept.map(|(_, bytes)| bytes.clone()).collect()
}
