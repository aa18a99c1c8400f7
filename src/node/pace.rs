//! A pace: so many a second and no more, over all threads, without a lock.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_second_and_no_more() {
        let pace = Pace::new(3);
        let at = |ms: u64| Timestamp::from_unix_ms(1_800_000_000_000 + ms);
        let taken = (0..10).filter(|n| pace.take(at(n * 99))).count();
        assert_eq!(taken, 3);
        assert!(pace.take(at(1_000)));
    }
}
