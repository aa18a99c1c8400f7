//! The fleet as this node hears of it: who there is, what each says of itself, and who came to another state.
//!
//! Nothing here is waited for and nothing here is truth: a node that was not heard may be well. What counts for
//! anything is signed by a log key of the installation; what is not is shown and not believed. Whose state is
//! right is never decided by counting: who is in doubt goes through the ledger again. Counting only decides who
//! has to, and who meanwhile may not be sent devices.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use huidu_core::{
    beat::{Beat, Forms, Heard},
    digest::Digest,
    fingerprint::{Fingerprint, Fingerprints},
    revision::Revision,
    time::Timestamp,
};
use tokio::time::Instant;

/// Fingerprints of this node that are remembered, to be compared with those of nodes that lag or are ahead.
const REMEMBERED: usize = 16;
/// Of these, how many a beat carries.
const SAID: usize = 4;
/// A node that was not heard for so long is silent.
pub const SILENT: Duration = Duration::from_secs(10);
/// One that was silent for so long, by every way there is, is not told of anything directly.
const GONE: Duration = Duration::from_secs(60);
/// One that was silent for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3_600);
/// The most nodes that are remembered.
const NODES: usize = 1_000;

/// The fleet, as this node knows it.
pub struct Fleet {
    node: String,
    run: String,
    started: Timestamp,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    address: Option<String>,
    /// The last words of this node.
    said: Option<Heard>,
    fingerprints: Fingerprints,
    /// What this node came to, the newest last.
    own: VecDeque<Fingerprint>,
    /// What it came to anew from the first record on, and what it had come to before.
    verified: Option<Fingerprint>,
    /// It came to two states at one revision: its memory went bad.
    contradicted: Option<Revision>,
    others: BTreeMap<String, Known>,
}

/// The last words of another node.
struct Known {
    heard: Heard,
    is_signed: bool,
    since: Instant,
}

/// A node, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it last said.
    pub beat: Beat,
    /// True of the node that was asked.
    pub is_self: bool,
    /// True when it signed what it said.
    pub is_signed: bool,
    /// How long ago it was heard.
    pub heard_ago: Duration,
    /// True when it was not heard for too long.
    pub is_silent: bool,
    /// True when it came to another state than the node that was asked; none: that cannot be told.
    pub agrees: Option<bool>,
    /// True when the node that was asked writes what this one does not read.
    pub is_left_behind: bool,
}

/// What this node makes of the states that others say they came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opinion {
    /// Nobody came to another.
    Agreed,
    /// These did, and there is no reason to think that it is this node which is wrong.
    Others(Vec<String>),
    /// It may be this node.
    Doubt {
        /// The revision at which states differ.
        rev: Revision,
        /// More nodes agree on another state than on this node's.
        outvoted: bool,
    },
}

impl Fleet {
    /// A fleet of one.
    pub(super) fn new(node: String, run: String, started: Timestamp) -> Self {
        Self {
            node,
            run,
            started,
            inner: Mutex::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where other nodes reach this one's control plane.
    pub fn is_at(&self, address: String) {
        self.inner().address = Some(address);
    }

    /// What this node says of itself, but for how it is.
    pub(super) fn beat(&self, at: Timestamp) -> Beat {
        let inner = self.inner();
        let skipped = inner.own.len().saturating_sub(SAID);
        Beat {
            node: self.node.clone(),
            run: self.run.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            reads: Forms::read(),
            writes: Forms::default(),
            revision: Revision::ZERO,
            asof: Timestamp::EPOCH,
            at,
            started: self.started,
            address: inner.address.clone(),
            standing: String::new(),
            states: inner.own.iter().skip(skipped).copied().collect(),
            verified: inner.verified,
        }
    }

    /// Remembers what this node said last.
    pub(super) fn said(&self, heard: Heard) {
        self.inner().said = Some(heard);
    }

    /// The last words of this node, as others may read them directly.
    pub fn last_words(&self) -> Option<String> {
        Some(self.inner().said.as_ref()?.text.clone())
    }

    /// Takes in the words of a node, by whichever way they came: Redis, or that node itself. `is_signed`: a key of
    /// this installation did. Older words than are known change nothing, unless that node has been silent since.
    pub fn hear(&self, heard: Heard, is_signed: bool) {
        if heard.beat.node == self.node {
            return;
        }
        let mut inner = self.inner();
        let known = inner.others.get(&heard.beat.node);
        if let Some(known) = known {
            let is_silent = known.since.elapsed() >= SILENT;
            let is_news = heard.beat.at > known.heard.beat.at;
            // Words that nobody signed never replace signed ones while their node speaks.
            let is_weaker = known.is_signed && !is_signed;
            if !is_silent && (!is_news || is_weaker) || heard == known.heard {
                return;
            }
        } else if inner.others.len() >= NODES {
            return;
        }
        let node = heard.beat.node.clone();
        let known = Known {
            heard,
            is_signed,
            since: Instant::now(),
        };
        inner.others.insert(node, known);
    }

    /// Where the others are that signed what they said; and those that were silent for so long that nobody need
    /// look for them where they were.
    pub(super) fn whereabouts(&self) -> (Vec<(String, String)>, Vec<String>) {
        let inner = self.inner();
        let (mut there, mut gone) = (Vec::new(), Vec::new());
        for (name, known) in &inner.others {
            match &known.heard.beat.address {
                _ if known.since.elapsed() >= GONE => gone.push(name.clone()),
                Some(address) if known.is_signed => there.push((name.clone(), address.clone())),
                _ => {}
            }
        }
        (there, gone)
    }

    /// Forgets who has been silent for long.
    pub(super) fn forget(&self) {
        let mut inner = self.inner();
        inner
            .others
            .retain(|_, known| known.since.elapsed() < FORGOTTEN);
    }

    /// Lends out what makes fingerprints.
    pub(super) fn take_fingerprints(&self) -> Fingerprints {
        std::mem::take(&mut self.inner().fingerprints)
    }

    /// Takes it back, with what was made.
    pub(super) fn note(&self, fingerprints: Fingerprints, made: Vec<Fingerprint>) {
        let mut inner = self.inner();
        inner.fingerprints = fingerprints;
        for new in made {
            let known = inner.own.iter().position(|known| known.rev == new.rev);
            match known {
                Some(at) if inner.own[at].hash == new.hash => {}
                Some(at) => {
                    inner.own[at] = new;
                    inner.contradicted = Some(new.rev);
                }
                None => inner.own.push_back(new),
            }
        }
        inner.own.make_contiguous().sort_by_key(|known| known.rev);
        while inner.own.len() > REMEMBERED {
            inner.own.pop_front();
        }
    }

    /// The newest fingerprint of this node.
    pub(super) fn newest(&self) -> Option<Fingerprint> {
        self.inner().own.back().copied()
    }

    /// This node went through the ledger again and came to `truth`. True when that is what it had come to
    /// before. If not, whatever it came to is forgotten: another state takes the place of its own.
    pub(super) fn verified(&self, truth: Fingerprint) -> bool {
        let mut inner = self.inner();
        let known = inner.own.iter().find(|known| known.rev == truth.rev);
        let is_right = known.is_some_and(|known| known.hash == truth.hash)
            && inner.contradicted.is_none_or(|rev| rev > truth.rev);
        inner.verified = Some(truth);
        inner.contradicted = None;
        if !is_right {
            inner.own.clear();
            inner.own.push_back(truth);
            inner.fingerprints = Fingerprints::default();
        }
        is_right
    }

    /// What this node makes of the states that others say they came to.
    pub(super) fn opinion(&self) -> Opinion {
        let inner = self.inner();
        if let Some(rev) = inner.contradicted {
            let outvoted = true;
            return Opinion::Doubt { rev, outvoted };
        }
        let speaking = || {
            let others = inner.others.iter();
            others.filter(|(_, known)| known.is_signed && known.since.elapsed() < SILENT)
        };
        for ours in inner.own.iter().rev() {
            let (mut agree, mut differ) = (1, BTreeMap::<Digest, Vec<&str>>::new());
            let mut is_challenged = false;
            for (name, known) in speaking() {
                let beat = &known.heard.beat;
                let theirs = beat.states.iter().chain(&beat.verified);
                match theirs
                    .rev()
                    .find_map(|theirs| ours.agrees(theirs).zip(Some(theirs)))
                {
                    Some((true, _)) => agree += 1,
                    Some((false, theirs)) => {
                        differ.entry(theirs.hash).or_default().push(name);
                        is_challenged |= beat.verified == Some(*theirs);
                    }
                    None => {}
                }
            }
            if differ.is_empty() {
                continue;
            }
            let most = differ.values().map(Vec::len).max().unwrap_or(0);
            let all: usize = differ.values().map(Vec::len).sum();
            let others = || differ.values().flatten().map(|&name| name.to_owned());
            if inner.verified == Some(*ours) || (agree > all && !is_challenged) {
                return Opinion::Others(others().collect());
            }
            return Opinion::Doubt {
                rev: ours.rev,
                outvoted: most > agree,
            };
        }
        Opinion::Agreed
    }

    /// Whether every node that is heard reads the checkpoints that this build writes: where one does not, none is
    /// written, which costs later starts time and nobody anything else.
    pub(super) fn reads_checkpoints(&self) -> bool {
        let written = Forms {
            records: Vec::new(),
            ..Forms::written(true)
        };
        let inner = self.inner();
        let mut heard = inner.others.values();
        heard.all(|known| {
            !known.is_signed
                || known.since.elapsed() >= SILENT
                || known.heard.beat.reads.read_all(&written)
        })
    }

    /// Every node that was heard of within the hour, by name.
    pub fn members(&self) -> Vec<Member> {
        let inner = self.inner();
        let writes = inner.said.as_ref().map(|said| said.beat.writes.clone());
        let writes = writes.unwrap_or_default();
        let mut members: Vec<Member> = Vec::with_capacity(inner.others.len() + 1);
        members.extend(inner.said.iter().map(|said| Member {
            beat: said.beat.clone(),
            is_self: true,
            is_signed: true,
            heard_ago: Duration::ZERO,
            is_silent: false,
            agrees: Some(true),
            is_left_behind: false,
        }));
        members.extend(inner.others.values().map(|known| {
            let beat = known.heard.beat.clone();
            let heard_ago = known.since.elapsed();
            let compared = inner.own.iter().rev().find_map(|ours| {
                let mut theirs = beat.states.iter();
                theirs.find_map(|theirs| ours.agrees(theirs))
            });
            Member {
                is_left_behind: !beat.reads.read_all(&writes),
                agrees: compared,
                is_self: false,
                is_signed: known.is_signed,
                is_silent: heard_ago >= SILENT,
                heard_ago,
                beat,
            }
        }));
        members.sort_by(|one, other| one.beat.node.cmp(&other.beat.node));
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_800_000_000_000;

    fn fleet() -> Fleet {
        Fleet::new("me".into(), "run".into(), Timestamp::EPOCH)
    }

    fn state(rev: u64, of: &str) -> Fingerprint {
        Fingerprint {
            way: huidu_core::fingerprint::WAY,
            rev: Revision::new(rev),
            hash: Digest::of(of.as_bytes()),
        }
    }

    fn says(
        fleet: &Fleet,
        node: &str,
        at: u64,
        states: &[Fingerprint],
        verified: Option<Fingerprint>,
    ) {
        let mut beat = fleet.beat(Timestamp::from_unix_ms(NOON + at));
        beat.node = node.into();
        beat.states = states.to_vec();
        beat.verified = verified;
        fleet.hear(Heard::read(beat.seal(None).unwrap()).unwrap(), true);
    }

    fn doubt(rev: u64, outvoted: bool) -> Opinion {
        let rev = Revision::new(rev);
        Opinion::Doubt { rev, outvoted }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_in_doubt_is_who_cannot_count_on_most() {
        let fleet = fleet();
        fleet.note(
            Fingerprints::default(),
            vec![state(64, "a"), state(70, "b")],
        );
        assert_eq!(fleet.opinion(), Opinion::Agreed);
        // One that lags is compared where it is.
        says(&fleet, "b", 1, &[state(64, "a")], None);
        assert_eq!(fleet.opinion(), Opinion::Agreed);
        says(&fleet, "b", 2, &[state(64, "a"), state(70, "x")], None);
        assert_eq!(fleet.opinion(), doubt(70, false));
        // Most agree with us: we say who differs.
        says(&fleet, "c", 2, &[state(70, "b")], None);
        assert_eq!(fleet.opinion(), Opinion::Others(vec!["b".into()]));
        // Most agree on something else.
        says(&fleet, "c", 3, &[state(70, "x")], None);
        assert_eq!(fleet.opinion(), doubt(70, true));
        // Went through the ledger again, and was right: whatever most say.
        assert!(fleet.verified(state(70, "b")));
        assert_eq!(
            fleet.opinion(),
            Opinion::Others(vec!["b".into(), "c".into()])
        );
        // Silent ones have no say.
        tokio::time::advance(SILENT).await;
        assert_eq!(fleet.opinion(), Opinion::Agreed);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_went_through_the_ledger_again_puts_all_others_in_doubt() {
        let fleet = fleet();
        fleet.note(Fingerprints::default(), vec![state(70, "b")]);
        says(&fleet, "b", 1, &[state(70, "b")], None);
        says(&fleet, "c", 1, &[state(70, "b")], None);
        says(&fleet, "d", 1, &[state(70, "x")], Some(state(70, "x")));
        assert_eq!(fleet.opinion(), doubt(70, false));
        assert!(!fleet.verified(state(70, "x")), "this node was wrong");
        assert_eq!(fleet.newest(), Some(state(70, "x")));
    }

    #[tokio::test(start_paused = true)]
    async fn no_checkpoint_is_written_that_a_node_of_the_fleet_does_not_read() {
        let fleet = fleet();
        assert!(fleet.reads_checkpoints());
        let mut beat = fleet.beat(Timestamp::from_unix_ms(NOON));
        beat.node = "older".into();
        beat.reads.checkpoints = vec![1];
        let text = beat.seal(None).unwrap();
        fleet.hear(Heard::read(text.clone()).unwrap(), true);
        assert!(!fleet.reads_checkpoints());
        assert!(
            !fleet.members()[0].is_left_behind,
            "nobody here has said what it writes"
        );
        tokio::time::advance(SILENT).await;
        assert!(fleet.reads_checkpoints(), "it is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn memory_that_goes_bad_is_noticed_by_its_own_node() {
        let fleet = fleet();
        fleet.note(Fingerprints::default(), vec![state(70, "b")]);
        fleet.note(Fingerprints::default(), vec![state(70, "y")]);
        assert_eq!(fleet.opinion(), doubt(70, true));
        // Even where it came back to what is right, what is in memory is not trusted.
        assert!(!fleet.verified(state(70, "y")));
        assert_eq!(fleet.opinion(), Opinion::Agreed);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_that_nobody_signed_puts_anybody_in_doubt_and_no_old_word_counts() {
        let fleet = fleet();
        fleet.note(Fingerprints::default(), vec![state(70, "b")]);
        let mut beat = fleet.beat(Timestamp::from_unix_ms(NOON + 5));
        beat.node = "liar".into();
        beat.states = vec![state(70, "x")];
        fleet.hear(Heard::read(beat.seal(None).unwrap()).unwrap(), false);
        assert_eq!(fleet.opinion(), Opinion::Agreed);
        assert_eq!(fleet.members().len(), 1, "it is shown");
        says(&fleet, "liar", 6, &[state(70, "b")], None);
        // The same words again, by a Redis that repeats itself.
        says(&fleet, "liar", 5, &[state(70, "x")], None);
        assert_eq!(fleet.opinion(), Opinion::Agreed);
        assert_eq!(fleet.members()[0].agrees, Some(true));
        tokio::time::advance(FORGOTTEN).await;
        fleet.forget();
        assert!(fleet.members().is_empty());
    }
}
