//! The clock and the ids: the one place that reads the time of day and draws ids by chance.
//!
//! Everything else is handed a [`Clock`] and [`Ids`], so that a test hands in its own and the same run
//! happens twice. Nothing here decides anything.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use huidu_core::{
    op::{OpId, PutId},
    time::Timestamp,
};
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

/// The name of a want that is known by other words: everybody who knows them comes to the same one.
#[expect(
    clippy::expect_used,
    reason = "every ULID prints as 26 digits of base 32, the first at most 7"
)]
pub fn derived_op(parts: &[&str]) -> OpId {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let hash: [u8; 32] = hasher.finalize().into();
    let number = hash[..16]
        .iter()
        .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    let id = Ulid::from_bytes(number.to_be_bytes());
    id.to_string().parse().expect("a ULID is an op id")
}

/// Tells the time of day.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Makes ids that nobody else makes.
pub trait Ids: Send + Sync + 'static {
    /// A new ULID.
    fn ulid(&self) -> Ulid;

    /// A new name for a want.
    #[expect(clippy::expect_used, reason = "a ULID prints as a ULID")]
    fn op(&self) -> OpId {
        self.ulid().to_string().parse().expect("a ULID")
    }

    /// A new name for an attempt.
    #[expect(clippy::expect_used, reason = "a ULID prints as a ULID")]
    fn put(&self) -> PutId {
        self.ulid().to_string().parse().expect("a ULID")
    }
}

/// The time of day of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A clock that stands until it is moved.
#[derive(Debug, Default)]
pub struct Manual(AtomicU64);

impl Manual {
    /// A clock that shows `start`.
    pub const fn at(start: Timestamp) -> Self {
        Self(AtomicU64::new(start.unix_ms()))
    }

    /// Moves it to `to`, forwards or backwards.
    pub fn set(&self, to: Timestamp) {
        self.0.store(to.unix_ms(), Ordering::Relaxed);
    }

    /// Moves it forwards.
    pub fn advance_ms(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for Manual {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.load(Ordering::Relaxed))
    }
}

/// Ids of this moment and of chance.
pub struct RandomIds {
    /// Drawn once, so that ids stay apart between processes even if chance should fail later.
    base: u64,
    /// Keeps ids of one process apart.
    count: AtomicU64,
}

impl RandomIds {
    /// Draws from the system; fails where it gives no randomness.
    pub fn new() -> Result<Self, getrandom::Error> {
        Ok(Self {
            base: getrandom::u64()?,
            count: AtomicU64::new(0),
        })
    }
}

impl Ids for RandomIds {
    fn ulid(&self) -> Ulid {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let own = (u128::from(count) << 64) | u128::from(self.base);
        let fresh = u128::from(getrandom::u64().unwrap_or_default());
        Ulid::from_parts(System.now().unix_ms(), own ^ (fresh << 8))
    }
}

impl fmt::Debug for RandomIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RandomIds")
    }
}

/// Ids that count from 1: the same in every run of a test.
#[derive(Debug)]
pub struct CountedIds {
    series: u64,
    count: AtomicU64,
}

impl CountedIds {
    /// The ids of `series`; two series share none.
    pub const fn series(series: u64) -> Self {
        Self {
            series,
            count: AtomicU64::new(0),
        }
    }
}

impl Ids for CountedIds {
    fn ulid(&self) -> Ulid {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        Ulid::from_parts(self.series, u128::from(count))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_clock_of_this_machine_shows_this_century() {
        assert!(System.now() > "2026-01-01T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn a_manual_clock_moves_only_when_it_is_moved() {
        let clock = Manual::at(Timestamp::from_unix_ms(5));
        clock.advance_ms(7);
        assert_eq!(clock.now(), Timestamp::from_unix_ms(12));
        clock.set(Timestamp::EPOCH);
        assert_eq!(clock.now(), Timestamp::EPOCH);
    }

    #[test]
    fn no_two_ids_are_the_same() {
        let (one, other) = (RandomIds::new().unwrap(), RandomIds::new().unwrap());
        let (first, second) = (CountedIds::series(1), CountedIds::series(2));
        let mut seen = BTreeSet::new();
        for _ in 0..1_000 {
            assert!(seen.insert(one.op().to_string()));
            assert!(seen.insert(other.put().to_string()));
            assert!(seen.insert(first.op().to_string()));
            assert!(seen.insert(second.op().to_string()));
        }
    }
}
