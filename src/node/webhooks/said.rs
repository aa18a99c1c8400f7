//! What there is to tell, of the revisions that this node has followed lately: bounded, in memory, nothing of its own.
//!
//! It is handed what the fold made of each record that counts. What is not in here any more lies in the ledger.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use huidu_core::{
    revision::Revision,
    webhook::{Message, Place, Topic},
};
use tokio::sync::watch;

/// Messages kept, at most.
const KEPT: usize = 1_024;

/// What is to be told of a stretch of revisions.
#[derive(Debug, Default)]
pub(in crate::node) struct Said {
    /// The stretch: everything from this place on …
    from: Option<Place>,
    /// … up to the end of this revision.
    upto: Revision,
    kept: VecDeque<Arc<Message>>,
}

impl Said {
    /// Takes in the next revision.
    pub(in crate::node) fn reach(&mut self, rev: Revision, messages: Vec<Message>) {
        self.from.get_or_insert(Place::before(rev));
        self.upto = rev;
        self.kept.extend(messages.into_iter().map(Arc::new));
        self.bound();
    }

    /// Takes in another stretch: it goes on with one that follows, and begins anew with any other.
    fn go_on(&mut self, next: Self) {
        if next.from.is_none() {
            return;
        }
        if self.from.is_some() && next.from == Some(Place::behind(self.upto)) {
            self.upto = next.upto;
            self.kept.extend(next.kept);
            self.bound();
        } else {
            *self = next;
        }
    }

    fn bound(&mut self) {
        while self.kept.len() > KEPT {
            self.from = self.kept.pop_front().map(|message| message.place.next());
        }
    }
}

/// What follows a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Since {
    /// This, and so many more behind it.
    Message(Arc<Message>, usize),
    /// Nothing up to this place.
    Nothing(Place),
    /// It must be read from the ledger.
    Unknown,
}

/// What there is to tell, for whoever tells it.
pub(in crate::node) struct News {
    said: Mutex<Said>,
    upto: watch::Sender<Revision>,
}

impl News {
    pub(in crate::node) fn new() -> Self {
        Self {
            said: Mutex::default(),
            upto: watch::Sender::new(Revision::ZERO),
        }
    }

    /// Takes in what was followed, once it is served.
    pub(in crate::node) fn take_in(&self, said: Said) {
        let upto = said.upto;
        let mut known = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        known.go_on(said);
        drop(known);
        if upto > Revision::ZERO {
            self.upto.send_replace(upto);
        }
    }

    /// Tells when there may be more.
    pub(super) fn subscribe(&self) -> watch::Receiver<Revision> {
        self.upto.subscribe()
    }

    /// What follows `at` and is wanted; `head` is the revision that this node serves.
    pub(super) fn since(
        &self,
        at: Place,
        head: Revision,
        is_wanted: impl Fn(Topic) -> bool,
    ) -> Since {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let end = Place::behind(if said.from.is_some() { said.upto } else { head });
        if at >= end {
            return Since::Nothing(at);
        }
        if said.from.is_none_or(|from| at < from) {
            return Since::Unknown;
        }
        let mut wanted =
            (said.kept.iter()).filter(|message| message.place >= at && is_wanted(message.topic));
        match wanted.next() {
            Some(first) => Since::Message(Arc::clone(first), wanted.count()),
            None => Since::Nothing(end),
        }
    }
}

#[cfg(test)]
mod tests {
    use huidu_core::time::Timestamp;

    use super::*;

    fn message(rev: u64, topic: Topic) -> Message {
        Message {
            place: Place::before(Revision::new(rev)),
            topic,
            at: Timestamp::EPOCH,
            body: bytes::Bytes::new(),
        }
    }

    fn said(revs: std::ops::RangeInclusive<u64>) -> Said {
        let mut said = Said::default();
        for rev in revs {
            let told = rev.is_multiple_of(2).then(|| message(rev, Topic::Kill));
            said.reach(Revision::new(rev), told.into_iter().collect());
        }
        said
    }

    fn before(rev: u64) -> Place {
        Place::before(Revision::new(rev))
    }

    #[test]
    fn what_follows_is_known_or_must_be_read() {
        let (news, head) = (News::new(), Revision::new(9));
        let since = |at| news.since(at, head, |_| true);
        // It began behind a checkpoint, and nothing has happened since.
        assert_eq!(since(before(10)), Since::Nothing(before(10)));
        assert_eq!(since(before(9)), Since::Unknown);
        news.take_in(said(10..=13));
        assert_eq!(since(before(9)), Since::Unknown);
        let first = Arc::new(message(10, Topic::Kill));
        assert_eq!(since(before(10)), Since::Message(first, 1));
        let second = Arc::new(message(12, Topic::Kill));
        assert_eq!(since(before(10).next()), Since::Message(second, 0));
        assert_eq!(since(before(13)), Since::Nothing(before(14)));
        let unkills = news.since(before(10), head, |topic| topic == Topic::Unkill);
        assert_eq!(unkills, Since::Nothing(before(14)));
        // Another node has told more than this one knows.
        assert_eq!(since(before(20)), Since::Nothing(before(20)));
        news.take_in(said(14..=15));
        assert_eq!(
            since(before(13)),
            Since::Message(Arc::new(message(14, Topic::Kill)), 0)
        );
        // A ledger that was gone through again takes the place of what was known.
        news.take_in(said(1..=15));
        assert_eq!(
            since(before(1)),
            Since::Message(Arc::new(message(2, Topic::Kill)), 6)
        );
        news.take_in(Said::default());
        assert_eq!(since(before(16)), Since::Nothing(before(16)));
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_was_dropped_must_be_read() {
        let news = News::new();
        let all = 2 * KEPT as u64 + 100;
        news.take_in(said(1..=all));
        let since = |at| news.since(at, Revision::new(all), |_| true);
        assert_eq!(since(before(1)), Since::Unknown);
        assert_eq!(since(before(100)), Since::Unknown);
        let Since::Message(first, more) = since(before(101)) else {
            panic!("{:?}", since(before(101)));
        };
        assert_eq!((first.place, more + 1), (before(102), KEPT));
    }
}
