//! Many seeds on all cores, and what is printed of them.
//!
//! ```text
//! make simulate SEEDS=100000    so many seeds, with progress and totals
//! make simulate SEED=17         one seed again, told line by line
//! ```

use std::{
    collections::BTreeMap,
    env,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use super::{
    tell,
    world::{Ended, locked},
};
use crate::planted::Bug;

/// Seeds of a usual run.
const SEEDS: u64 = 2_000;
/// Seeds within which a planted mistake is found.
const WITHIN: u64 = 200;
/// Stories that are told twice.
const TWICE: u64 = 40;
/// Lines of a broken story that are shown without being asked for.
const LINES: usize = 60;

/// What came of many seeds.
#[derive(Default)]
struct Totals {
    seeds: u64,
    faults: BTreeMap<&'static str, u64>,
    counts: BTreeMap<&'static str, u64>,
    broken: Vec<Ended>,
}

impl Totals {
    fn add(&mut self, ended: Ended) {
        self.seeds += 1;
        for (from, to) in [
            (&ended.faults, &mut self.faults),
            (&ended.counts, &mut self.counts),
        ] {
            for (kind, count) in from {
                *to.entry(kind).or_default() += count;
            }
        }
        if !ended.violations.is_empty() {
            self.broken.push(ended);
        }
    }

    fn print(&self, took: f64) {
        let (faults, broken) = (self.faults.values().sum::<u64>(), self.broken.len());
        let each = took * 1_000.0 / self.seeds.max(1) as f64;
        println!("{} seeds in {took:.0} s, {each:.1} ms each", self.seeds);
        for (kind, count) in &self.counts {
            println!("  {count:>10} {kind}");
        }
        println!("faults, {faults} of {} kinds:", self.faults.len());
        for (kind, count) in &self.faults {
            println!("  {count:>10} {kind}");
        }
        println!("simulation: {} seeds, violations: {broken}", self.seeds);
        println!("simulation: {faults} faults in it");
    }
}

/// A number from the environment.
fn asked(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

/// Tells `seeds` stories from `first` on, on all cores, until a promise is broken and `stops`.
fn many(first: u64, seeds: u64, bug: Option<Bug>, stops: bool) -> Totals {
    let (next, totals) = (AtomicU64::new(first), Mutex::new(Totals::default()));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let begun = Instant::now();
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds || stops && !locked(&totals).broken.is_empty() {
                return;
            }
            let ended = tell(seed, bug, false);
            // A long run says so at once.
            if let (None, Some(violation)) = (bug, ended.violations.first()) {
                eprintln!("seed {seed}: {violation}");
            }
            let mut totals = locked(&totals);
            totals.add(ended);
            if bug.is_none() && totals.seeds.is_multiple_of(1_000) {
                let (done, broken) = (totals.seeds, totals.broken.len());
                eprintln!(
                    "{done} of {seeds} seeds after {:.0} s, {broken} broken",
                    begun.elapsed().as_secs_f64()
                );
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    totals.into_inner().unwrap()
}

/// The story of a seed, as far as it helps whoever looks for what went wrong in it.
fn show(seed: u64, lines: usize) -> Ended {
    let ended = tell(seed, None, true);
    let from = ended.lines.len().saturating_sub(lines);
    println!("{}", ended.lines[from..].join("\n"));
    println!(
        "seed {seed}, hash {:016x}: {:#?}",
        ended.hash, ended.violations
    );
    ended
}

#[test]
fn simulated_no_promise_is_broken() {
    if let Some(seed) = asked("SEED") {
        let ended = show(seed, usize::MAX);
        assert!(ended.violations.is_empty());
        return;
    }
    let begun = Instant::now();
    let (first, seeds) = (asked("FROM").unwrap_or(1), asked("SEEDS").unwrap_or(SEEDS));
    let mut totals = many(first, seeds, None, false);
    totals.broken.sort_by_key(|ended| ended.seed);
    for ended in totals.broken.iter().take(20) {
        println!("seed {}: {}", ended.seed, ended.violations[0]);
        println!("    make simulate SEED={}", ended.seed);
    }
    if let Some(worst) = totals.broken.first() {
        show(worst.seed, LINES);
    }
    totals.print(begun.elapsed().as_secs_f64());
    assert!(totals.broken.is_empty());
}

#[test]
fn simulated_twice_a_seed_is_the_same_story() {
    // On threads that have told other stories before, in another order.
    let once = thread::spawn(|| {
        (1..=TWICE)
            .map(|seed| tell(seed, None, true))
            .collect::<Vec<_>>()
    });
    let again = thread::spawn(|| {
        (1..=TWICE)
            .rev()
            .map(|seed| tell(seed, None, true))
            .collect::<Vec<_>>()
    });
    let (once, again) = (once.join().unwrap(), again.join().unwrap());
    let mut hashes = std::collections::BTreeSet::new();
    for (one, other) in once.iter().zip(again.iter().rev()) {
        let mut lines = one.lines.iter().zip(&other.lines);
        let differs = lines.find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {}", one.seed);
        assert_eq!(one, other);
        hashes.insert(one.hash);
    }
    println!(
        "simulation: {} stories told twice, different: 0",
        hashes.len()
    );
    assert_eq!(hashes.len() as u64, TWICE, "seeds are different stories");
}

#[test]
fn simulated_every_planted_mistake_is_found() {
    let mut found = 0;
    for bug in Bug::ALL {
        let totals = many(1, WITHIN, Some(bug), true);
        match totals.broken.first() {
            Some(ended) => {
                found += 1;
                println!(
                    "{bug:?}: found after {} seeds, by seed {}: {}",
                    totals.seeds, ended.seed, ended.violations[0]
                );
            }
            None => println!("{bug:?}: NOT found in {} seeds", totals.seeds),
        }
    }
    println!(
        "simulation: {found} planted mistakes found, of {}",
        Bug::ALL.len()
    );
    assert_eq!(found, Bug::ALL.len());
}
