//! What is known of one kill: where it is in force, whether it lasts, and when no older answer is valid any more.
//!
//! A receipt is a view of what this node knows now, so asking again tells more. It never claims what was not
//! proved: a node counts as reached by its own signed word alone, and there is no instant of completeness while
//! somebody who was not reached could still prove that it holds everything.

use std::collections::BTreeMap;

use huidu_core::{
    name::AppId,
    notice::{Ack, Notice},
    op::{OpId, Settled},
    revision::Revision,
    time::Timestamp,
    version::Number,
};

/// What is known of one kill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The want.
    pub op: OpId,
    /// What was killed.
    pub app: AppId,
    /// The version; none: the whole app.
    pub version: Option<Number>,
    /// Whether the ledger has it.
    pub state: State,
    /// When it was in force on the node that took it.
    pub at: Timestamp,
    /// When that node had it on its own disk; none: it has none, or the disk failed.
    pub kept_at: Option<Timestamp>,
    /// When this node knew that the ledger has it.
    pub ledger_at: Option<Timestamp>,
    /// By the store's clock: whoever proves later than this that it holds everything holds the kill.
    pub known_by: Option<Timestamp>,
    /// Nodes that said so themselves, by name.
    pub nodes: BTreeMap<String, Reached>,
    /// Nodes that did not, by address, and why.
    pub unreached: BTreeMap<String, String>,
    /// The longest time that an answer of a node that was not reached may be trusted, in milliseconds.
    pub(super) longest_lease_ms: u32,
}

/// Whether the ledger has a kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not yet: it is in force where the receipt says, and lasts there.
    Provisional,
    /// Since this revision, which governs.
    Committed(Revision),
    /// It never will: this revision says so, and whatever the ledger says is in force.
    Voided(Revision),
}

impl From<Settled> for State {
    fn from(end: Settled) -> Self {
        match end {
            Settled::Committed(rev) => Self::Committed(rev),
            Settled::Voided(rev) => Self::Voided(rev),
        }
    }
}

/// A node that said that it refuses what was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The revision it served then.
    pub revision: Revision,
    /// No answer of it without the kill has a later time.
    pub asof: Timestamp,
    /// How long its answers may be trusted, in milliseconds.
    pub lease_ms: u32,
    /// Milliseconds from the kill being taken to this being known to the taker.
    pub ms: u64,
    /// Whether it lasts there.
    pub kept: bool,
}

impl Receipt {
    pub(super) fn new(notice: &Notice, state: State, longest_lease_ms: u32) -> Self {
        Self {
            op: notice.op,
            app: notice.app.clone(),
            version: notice.version.clone(),
            state,
            at: notice.at,
            kept_at: None,
            ledger_at: None,
            known_by: None,
            nodes: BTreeMap::new(),
            unreached: BTreeMap::new(),
            longest_lease_ms,
        }
    }

    /// A node has answered.
    pub(super) fn heard(&mut self, address: Option<&str>, ack: &Ack, ms: u64) {
        if let Some(address) = address {
            self.unreached.remove(address);
        }
        // The first word counts: it is the earliest time from which on that node refuses.
        self.nodes.entry(ack.node.clone()).or_insert(Reached {
            revision: ack.revision,
            asof: ack.asof,
            lease_ms: ack.lease_ms,
            ms,
            kept: ack.kept,
        });
    }

    /// The instant after which no valid answer without the kill exists: the last time that any such answer can
    /// carry, and the longest that one may be trusted from then on. None: nobody can say yet.
    ///
    /// A node that was reached gave none with a later time than the one it named. A node that was not reached,
    /// known or unknown, puts on an answer only a time at which it proved that it held the end of the ledger; from
    /// `known_by` on, that end holds the kill.
    pub fn complete_by(&self) -> Option<Timestamp> {
        let reached = self.nodes.values();
        let reached = reached.map(|node| node.asof.plus_ms(node.lease_ms.into()));
        // Whoever was not reached may be trusted for as long as the root allows at most.
        let lease_ms = if self.unreached.is_empty() {
            self.nodes.values().map(|node| node.lease_ms).max()
        } else {
            None
        };
        let lease_ms = lease_ms.unwrap_or(self.longest_lease_ms);
        let others = match (self.state, self.known_by) {
            (State::Voided(_), _) => return None,
            (State::Committed(_), known_by) => Some(known_by?.plus_ms(lease_ms.into())),
            (State::Provisional, _) if self.unreached.is_empty() => None,
            (State::Provisional, _) => return None,
        };
        reached.chain(others).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000 + ms)
    }

    fn receipt(state: State) -> Receipt {
        Receipt {
            op: "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
            app: "pingan/travel".parse().unwrap(),
            version: None,
            state,
            at: at(0),
            kept_at: None,
            ledger_at: None,
            known_by: None,
            nodes: BTreeMap::new(),
            unreached: BTreeMap::new(),
            longest_lease_ms: 900_000,
        }
    }

    fn reached(asof: u64, lease_ms: u32) -> Reached {
        Reached {
            revision: Revision::new(7),
            asof: at(asof),
            lease_ms,
            ms: 1,
            kept: true,
        }
    }

    #[test]
    fn while_somebody_can_prove_to_hold_everything_nothing_is_complete() {
        let mut one = receipt(State::Provisional);
        one.nodes.insert("a".into(), reached(10, 60_000));
        one.nodes.insert("b".into(), reached(40, 30_000));
        assert_eq!(
            one.complete_by(),
            Some(at(60_010)),
            "all known nodes refuse"
        );
        one.unreached.insert("http://c".into(), "silent".into());
        assert_eq!(one.complete_by(), None, "one goes on proving");
        one.state = State::Committed(Revision::new(8));
        assert_eq!(one.complete_by(), None, "not yet known by when");
        one.known_by = Some(at(500));
        assert_eq!(one.complete_by(), Some(at(900_500)));
        one.unreached.clear();
        assert_eq!(one.complete_by(), Some(at(60_500)));
        one.unreached.insert("http://c".into(), "silent".into());
        one.nodes.insert("d".into(), reached(900_499, 60_000));
        assert_eq!(one.complete_by(), Some(at(960_499)));
        one.state = State::Voided(Revision::new(9));
        assert_eq!(one.complete_by(), None);
    }
}
