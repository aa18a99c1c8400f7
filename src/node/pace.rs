//! A pace: so many a second and no more, or never two within so long; over all threads, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

use huidu_core::time::Timestamp;

/// So many a second.
#[derive(Debug)]
pub(super) struct Pace {
    most: u64,
    /// The second in the upper part, what was taken in it in the lower 24 bits.
    taken: AtomicU64,
}

impl Pace {
    /// At most `most` a second, fewer than 16 million.
    pub(super) const fn new(most: u64) -> Self {
        Self {
            most,
            taken: AtomicU64::new(0),
        }
    }

    /// Takes one at `now`, if there is one left.
    pub(super) fn take(&self, now: Timestamp) -> bool {
        let second = now.unix_ms() / 1_000;
        let next = |taken: u64| {
            let (last, count) = (taken >> 24, taken & 0xff_ffff);
            let count = if last == second { count } else { 0 };
            (count < self.most).then_some(second << 24 | (count + 1))
        };
        let order = Ordering::Relaxed;
        self.taken.fetch_update(order, order, next).is_ok()
    }
}

/// Never two within so long: no second, wherever it begins, holds more than a second's worth.
#[derive(Debug)]
pub(super) struct Gap {
    ms: u64,
    last: AtomicU64,
}

impl Gap {
    /// Never two within `ms` milliseconds.
    pub(super) const fn new(ms: u64) -> Self {
        Self {
            ms,
            last: AtomicU64::new(0),
        }
    }

    /// True when the last one is long enough ago; it is this one from now on.
    pub(super) fn take(&self, now: Timestamp) -> bool {
        let now = now.unix_ms();
        let order = Ordering::Relaxed;
        // A clock that was set back must not hold everybody up until it has caught up.
        let next = |last: u64| (now.abs_diff(last) >= self.ms).then_some(now);
        self.last.fetch_update(order, order, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_holds_more_wherever_it_begins() {
        let gap = Gap::new(100);
        let start = 1_800_000_000_950;
        let taken: Vec<u64> = (start..start + 3_000)
            .filter(|ms| gap.take(Timestamp::from_unix_ms(*ms)))
            .collect();
        for begins in start..start + 2_000 {
            let within = taken
                .iter()
                .filter(|ms| (begins..begins + 1_000).contains(*ms));
            assert!(within.count() <= 10, "from {begins} on");
        }
        assert!(taken.len() >= 30, "{}", taken.len());
        assert!(gap.take(Timestamp::from_unix_ms(start - 600_000)));
    }

    #[test]
    fn so_many_a_second_and_no_more() {
        let pace = Pace::new(3);
        let at = |ms: u64| Timestamp::from_unix_ms(1_800_000_000_000 + ms);
        let taken = (0..10).filter(|n| pace.take(at(n * 99))).count();
        assert_eq!(taken, 3);
        assert!(pace.take(at(1_000)));
    }
}
