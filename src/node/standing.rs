//! How a node stands: whether devices may be sent to it, and everything that is not as it should be.
//!
//! Not ready is for what makes another node the better one, and for nothing else: a node that serves an old copy,
//! and says how old, serves better than none. The words are for balancers, monitors and people, and never change
//! their meaning.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use huidu_core::{revision::Revision, time::Timestamp};

/// Whether what this node came to is what the ledger says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Soundness {
    /// Nothing says otherwise.
    Sound,
    /// Others came to something else: it goes through the ledger again, and meanwhile changes nothing but what stops.
    Doubting,
    /// It is outvoted, or was wrong: no device is to be sent to it, and it serves nothing but what stops.
    Quarantined,
}

/// How a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The revision it serves.
    pub revision: Revision,
    /// When it last proved that this was all there is.
    pub asof: Timestamp,
    /// Whether the store answers.
    pub store: bool,
    /// Whether the bus is connected.
    pub bus: bool,
    /// Whether what it serves has been read from the store since the start; else it is the
    /// last-known-good copy.
    pub from_store: bool,
    /// Whether the store's chain is not the one this node knows: nothing is written until people look.
    pub fork: bool,
    /// Whether the holder of the online key signs; else answers keep their stamps, and age.
    pub signs: bool,
    /// Whether what it came to is what the ledger says.
    pub soundness: Soundness,
    /// Whether it is about to stop.
    pub draining: bool,
    /// Whether it stands in front of a record that this build cannot read.
    pub left_behind: bool,
    /// Whether an uploaded list that rules ask about is not in memory: it means nobody until it is.
    pub lacks_segments: bool,
}

impl Health {
    /// Why devices must be sent elsewhere; empty: they may be sent here.
    pub fn hindrances(&self) -> Vec<&'static str> {
        let all = [
            (self.revision == Revision::ZERO, "nothing-loaded"),
            (self.soundness == Soundness::Quarantined, "quarantined"),
            (self.draining, "draining"),
        ];
        said(&all)
    }

    /// What is not as it should be, though devices may be sent here.
    pub fn flaws(&self) -> Vec<&'static str> {
        let all = [
            (!self.from_store, "last-known-good"),
            (!self.store && !self.left_behind, "store-down"),
            (!self.bus, "bus-down"),
            (self.left_behind, "left-behind"),
            (self.fork, "forked"),
            (self.soundness == Soundness::Doubting, "doubting"),
            (!self.signs, "not-signing"),
            (self.lacks_segments, "segment-missing"),
        ];
        said(&all)
    }

    /// Everything that is not as it should be, what hinders first.
    pub fn why(&self) -> Vec<&'static str> {
        let mut why = self.hindrances();
        why.extend(self.flaws());
        why
    }

    /// Whether devices may be sent here.
    pub fn is_ready(&self) -> bool {
        self.hindrances().is_empty()
    }

    /// All of it in one word, for beats: the worst.
    pub fn standing(&self) -> &'static str {
        if let Some(worst) = self.hindrances().first() {
            return worst;
        }
        match self.soundness {
            Soundness::Doubting => "doubting",
            _ if self.flaws().is_empty() => "ready",
            _ => "degraded",
        }
    }
}

fn said(all: &[(bool, &'static str)]) -> Vec<&'static str> {
    let so = all.iter().filter(|(is_so, _)| *is_so);
    so.map(|(_, word)| *word).collect()
}

/// What the engine and others say of how the node is, read by anybody without a lock.
#[derive(Debug, Default)]
pub(super) struct Flags {
    pub(super) asof: AtomicU64,
    pub(super) store: AtomicBool,
    pub(super) fork: AtomicBool,
    pub(super) from_store: AtomicBool,
    pub(super) draining: AtomicBool,
    pub(super) left_behind: AtomicBool,
    pub(super) lacks_segments: AtomicBool,
    soundness: AtomicU8,
}

impl Flags {
    pub(super) fn set_store(&self, answers: bool) {
        self.store.store(answers, Ordering::Relaxed);
    }

    pub(super) fn set_fork(&self, forked: bool) {
        self.fork.store(forked, Ordering::Relaxed);
    }

    pub(super) fn set_left_behind(&self, is_so: bool) {
        self.left_behind.store(is_so, Ordering::Relaxed);
    }

    pub(super) fn set_soundness(&self, soundness: Soundness) {
        self.soundness.store(soundness as u8, Ordering::Relaxed);
    }

    pub(super) fn soundness(&self) -> Soundness {
        match self.soundness.load(Ordering::Relaxed) {
            0 => Soundness::Sound,
            1 => Soundness::Doubting,
            _ => Soundness::Quarantined,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> Health {
        Health {
            revision: Revision::new(7),
            asof: Timestamp::EPOCH,
            store: true,
            bus: true,
            from_store: true,
            fork: false,
            signs: true,
            soundness: Soundness::Sound,
            draining: false,
            left_behind: false,
            lacks_segments: false,
        }
    }

    #[test]
    fn only_what_another_node_would_do_better_sends_devices_away() {
        assert_eq!((well().standing(), well().why()), ("ready", vec![]));
        type Change = fn(&mut Health);
        let rows: [(Change, bool, &str, &str); 11] = [
            (
                |h| h.lacks_segments = true,
                true,
                "degraded",
                "segment-missing",
            ),
            (
                |h| h.revision = Revision::ZERO,
                false,
                "nothing-loaded",
                "nothing-loaded",
            ),
            (
                |h| h.soundness = Soundness::Quarantined,
                false,
                "quarantined",
                "quarantined",
            ),
            (|h| h.draining = true, false, "draining", "draining"),
            (
                |h| h.soundness = Soundness::Doubting,
                true,
                "doubting",
                "doubting",
            ),
            (
                |h| h.from_store = false,
                true,
                "degraded",
                "last-known-good",
            ),
            (|h| h.store = false, true, "degraded", "store-down"),
            (|h| h.bus = false, true, "degraded", "bus-down"),
            (|h| h.fork = true, true, "degraded", "forked"),
            (|h| h.signs = false, true, "degraded", "not-signing"),
            (
                |h| {
                    h.left_behind = true;
                    h.store = false;
                },
                true,
                "degraded",
                "left-behind",
            ),
        ];
        for (change, is_ready, standing, why) in rows {
            let mut health = well();
            change(&mut health);
            assert_eq!(health.is_ready(), is_ready, "{why}");
            assert_eq!(health.standing(), standing, "{why}");
            assert_eq!(health.why(), [why]);
        }
        let mut both = well();
        (both.draining, both.store) = (true, false);
        assert_eq!(both.why(), ["draining", "store-down"]);
    }
}
