//! Many seeds on all cores, and what is printed of them.

use std::env;

use super::*;

/// A number from the environment.
fn asked(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

#[test]
fn one_seed() {
    let seed = asked("SEED").unwrap_or(1);
    let begun = std::time::Instant::now();
    let _ = founded();
    println!("founded in {:?}", begun.elapsed());
    let begun = std::time::Instant::now();
    let ended = tell(seed, None, true);
    println!("{}", ended.lines.join("\n"));
    println!(
        "{:?} {:?} {:#?} in {:?}",
        ended.faults,
        ended.counts,
        ended.violations,
        begun.elapsed()
    );
}
