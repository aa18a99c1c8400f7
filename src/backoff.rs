//! `Backoff`: how long to wait before trying again: longer each time, bounded, and never in step with
//! anybody else.

use std::time::Duration;

/// Waiting times that double from `first` to `most`, each shortened by chance to between half and all
/// of it.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    rng: fastrand::Rng,
}

impl Backoff {
    /// Waiting times from `first` to `most`; `seed` is what keeps nodes out of step.
    pub fn new(first: Duration, most: Duration, seed: u64) -> Self {
        Self {
            first,
            most,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// How long to wait after `failures` failures in a row, counted from 0.
    pub fn after(&mut self, failures: u32) -> Duration {
        let doubled = self
            .first
            .saturating_mul(2_u32.saturating_pow(failures.min(20)));
        doubled.min(self.most).mul_f64(0.5 + self.rng.f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound_and_stay_within_it() {
        let (first, most) = (Duration::from_millis(10), Duration::from_secs(1));
        let mut backoff = Backoff::new(first, most, 7);
        for failures in [0, 1, 2, 7, 8, 31, 32, u32::MAX] {
            let full = first
                .saturating_mul(2_u32.saturating_pow(failures.min(20)))
                .min(most);
            let wait = backoff.after(failures);
            assert!(full / 2 <= wait && wait <= full, "{failures}: {wait:?}");
        }
    }

    #[test]
    fn two_seeds_are_out_of_step() {
        let second = Duration::from_secs(1);
        let (mut one, mut other) = (
            Backoff::new(second, second, 1),
            Backoff::new(second, second, 2),
        );
        assert_ne!(one.after(0), other.after(0));
    }
}
