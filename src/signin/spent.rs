//! What may not be used again on this node: states of sign-ins that ended, sessions that were ended.
//!
//! Kept by their SHA-256 until they would have expired anyway, and bounded: when there is no room left, what
//! would expire first goes. Other nodes do not hear of it; docs/decisions says what follows from that.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use huidu_core::{digest::Digest, time::Timestamp};

/// Things remembered.
const ROOM: usize = 100_000;

/// What may not be used again.
#[derive(Debug, Default)]
pub(super) struct Spent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    until: HashMap<Digest, Timestamp>,
    order: BTreeSet<(Timestamp, Digest)>,
}

impl Spent {
    /// Spends `what`, which expires at `until`; false when it was spent before.
    pub(super) fn spend(&self, what: &str, until: Timestamp, now: Timestamp) -> bool {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((first, digest)) = kept.order.first().copied() {
            if first > now && kept.order.len() < ROOM {
                break;
            }
            kept.order.remove(&(first, digest));
            kept.until.remove(&digest);
        }
        let digest = Digest::of(what.as_bytes());
        if kept.until.contains_key(&digest) {
            return false;
        }
        kept.until.insert(digest, until);
        kept.order.insert((until, digest));
        true
    }

    /// Whether it was spent.
    pub(super) fn is_spent(&self, what: &str) -> bool {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.until.contains_key(&Digest::of(what.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    #[test]
    fn something_is_spent_once_until_it_would_have_expired() {
        let spent = Spent::default();
        assert!(!spent.is_spent("a"));
        assert!(spent.spend("a", at(10), at(1)));
        assert!(!spent.spend("a", at(10), at(9)));
        assert!(spent.is_spent("a"));
        assert!(spent.spend("b", at(30), at(10)), "and makes room");
        assert!(!spent.is_spent("a"));
        assert!(spent.is_spent("b"));
    }
}
