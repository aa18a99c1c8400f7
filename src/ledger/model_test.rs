//! The model: three nodes append to a store that fails as object stores do, and crash, and every run is
//! one seed. What callers heard is held against what the log holds in the end.
//!
//! It must also find what it is for: with own writes unseen, or with slots ignored, the same seeds
//! show violations. Time is paused, so a run takes as long as its hashing.

mod store;
mod world;

use std::{collections::BTreeSet, fmt};

use huidu_core::{digest::Digest, op::OpId, record::Record, revision::Revision};

use super::Ledger;
use crate::planted::{Bug, plant};
use store::Shaky;
use world::{Heard, NODES, Report, Seen, World};

const SEEDS: u64 = 2_000;

/// What went wrong in a run, and what it went through.
#[derive(Debug, Default)]
struct Tally {
    seeds: u64,
    faults: u64,
    crashes: u64,
    unknowns: u64,
    committed: u64,
    voided: u64,
    refused: u64,
    false_failures: u64,
    false_successes: u64,
    duplicates: u64,
    gaps: u64,
    divergences: u64,
}

impl Tally {
    const fn violations(&self) -> u64 {
        self.false_failures + self.false_successes + self.duplicates + self.gaps + self.divergences
    }

    fn judge(&mut self, store: &Shaky, report: &Report, ledgers: &[Ledger<Seen>]) {
        self.seeds += 1;
        self.faults += store.faults();
        self.crashes += report.crashes;
        self.unknowns += report.unknowns;
        let log = self.read(store);
        for (op, heard) in report
            .heard
            .iter()
            .flat_map(|(op, all)| all.iter().map(move |h| (op, h)))
        {
            self.hold(&log, op, *heard);
        }
        self.divergences += report.forks.len() as u64;
        for ledger in ledgers {
            self.divergences += u64::from(ledger.fold().order != order(&log));
        }
    }

    /// Reads the log: one chain without a gap, and no want twice.
    fn read(&mut self, store: &Shaky) -> Vec<Record> {
        let (mut log, mut head, mut ops) = (Vec::new(), super::GENESIS, BTreeSet::new());
        for (rev, bytes) in store.log() {
            let record = Record::decode(&bytes).unwrap();
            let follows = record.rev.get() == rev && rev == log.len() as u64 + 1;
            self.gaps += u64::from(!follows || record.prev != head);
            self.duplicates += u64::from(!ops.insert(record.op));
            head = Digest::of(&bytes);
            log.push(record);
        }
        log
    }

    /// Holds what a caller heard against the log.
    fn hold(&mut self, log: &[Record], op: &OpId, heard: Heard) {
        let there = log
            .iter()
            .find(|record| record.op == *op)
            .map(|record| record.rev);
        match heard {
            Heard::Committed(rev) => {
                self.committed += 1;
                self.false_successes += u64::from(there != Some(rev));
            }
            Heard::Voided(_) => {
                self.voided += 1;
                self.false_failures += u64::from(there.is_some());
            }
            Heard::Refused => {
                self.refused += 1;
                self.false_failures += u64::from(there.is_some());
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} seeds, {} faults, {} crashes, {} unknown for a while; {} committed, {} voided, {} refused; \
             {} false failures, {} false successes, {} duplicates, {} gaps, {} divergences",
            self.seeds,
            self.faults,
            self.crashes,
            self.unknowns,
            self.committed,
            self.voided,
            self.refused,
            self.false_failures,
            self.false_successes,
            self.duplicates,
            self.gaps,
            self.divergences,
        )
    }
}

fn order(log: &[Record]) -> Vec<(Revision, OpId)> {
    log.iter().map(|record| (record.rev, record.op)).collect()
}

/// Runs one seed to its end and answers the log that it left.
fn run(seed: u64, tally: &mut Tally) -> Vec<(u64, bytes::Bytes)> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new(seed);
        let (report, ledgers) = world.run().await;
        assert_eq!(ledgers.len(), NODES);
        tally.judge(&world.store, &report, &ledgers);
        world.store.log()
    })
}

/// Runs seeds until one shows a violation, at most `SEEDS`.
fn run_until_violation(bug: Bug) -> Tally {
    let mut tally = Tally::default();
    plant(Some(bug));
    for seed in 0..SEEDS {
        run(seed, &mut tally);
        if tally.violations() > 0 {
            break;
        }
    }
    plant(None);
    tally
}

#[test]
fn nobody_hears_anything_that_is_not_so() {
    let mut tally = Tally::default();
    for seed in 0..SEEDS {
        run(seed, &mut tally);
        assert_eq!(tally.violations(), 0, "seed {seed}: {tally}");
    }
    println!("ledger model: {tally}");
    // The model would prove nothing if its runs were calm.
    assert_eq!(tally.refused, 0, "nothing here gives a reason to refuse");
    for (what, seen) in [
        ("faults", tally.faults / 10),
        ("crashes", tally.crashes),
        ("unknowns", tally.unknowns),
        ("commits", tally.committed / 15),
        ("voids", tally.voided * 4),
    ] {
        assert!(seen > SEEDS / 2, "too few {what}: {tally}");
    }
}

#[test]
fn the_model_notices_when_own_writes_are_not_recognised() {
    let tally = run_until_violation(Bug::OwnWriteUnseen);
    println!("own writes unseen: {tally}");
    assert!(tally.false_failures + tally.duplicates > 0, "{tally}");
}

#[test]
fn the_model_notices_when_records_are_not_taken_in_by_slot() {
    let tally = run_until_violation(Bug::TakenOutOfTurn);
    println!("slots ignored: {tally}");
    assert!(tally.divergences > 0, "{tally}");
}

#[test]
fn a_seed_is_a_run() {
    for seed in [3, 1_000] {
        let mut tally = Tally::default();
        let first = run(seed, &mut tally);
        assert_eq!(first, run(seed, &mut tally));
        assert!(first.len() > 10);
    }
}
