//! What makes a change recognisable: `OpId` names what somebody wants, `PutId` one attempt to write it,
//! and `RecentOps` remembers how the latest wants ended.
//!
//! An op id is chosen by whoever asks and kept over every retry, through whichever node: that is what
//! makes a retry harmless. Ids are only checked here; they are made in the shell, which has a clock and
//! randomness.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::{limits, record::Record, revision::Revision};

/// Letters of a ULID: 10 of time, 16 of chance.
const ULID_BYTES: usize = 26;
/// The digits of Crockford's base 32, as a ULID is written.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a ULID; write 26 of 0-9 A-Z without I, L, O, U, the first at most 7")]
pub struct IdError {
    /// What was given, shortened.
    pub given: String,
}

fn ulid(text: &str) -> Result<[u8; ULID_BYTES], IdError> {
    <[u8; ULID_BYTES]>::try_from(text.as_bytes())
        .ok()
        .filter(|bytes| bytes[0] <= b'7' && bytes.iter().all(|byte| DIGITS.contains(byte)))
        .ok_or_else(|| IdError {
            given: text.chars().take(ULID_BYTES).collect(),
        })
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; ULID_BYTES]);

        impl $name {
            /// The id as text: 26 letters of ASCII.
            pub fn as_str(&self) -> &str {
                std::str::from_utf8(&self.0).unwrap_or_default()
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                ulid(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.as_str())
            }
        }
    )*};
}

ids! {
    /// What somebody wants: the same over every retry of it. A ULID.
    OpId;
    /// One attempt to write a record: never used twice. A ULID.
    PutId;
}

/// How a want ended. Both ends are for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Settled {
    /// It is in force since this revision.
    Committed(Revision),
    /// This revision says that it shall never happen.
    Voided(Revision),
}

/// How the latest [`limits::RECENT_OPS`] wants ended, oldest first. A retry that comes later than that
/// is a new want.
///
/// The fold of the ledger, like the catalogue: every node has the same one at the same revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "VecDeque<(OpId, Settled)>", into = "VecDeque<(OpId, Settled)>")]
pub struct RecentOps {
    order: VecDeque<(OpId, Settled)>,
    ends: HashMap<OpId, Settled>,
}

impl RecentOps {
    /// How `op` ended, as far as that is remembered.
    pub fn get(&self, op: &OpId) -> Option<Settled> {
        self.ends.get(op).copied()
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// True while nothing was settled.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Remembers how a want ended, as some record said.
    pub fn note_end(&mut self, op: OpId, end: Settled) {
        self.push(op, end);
    }

    /// Remembers what `record` settled.
    pub fn note(&mut self, record: &Record) {
        self.push(record.op, Settled::Committed(record.rev));
        if let Some(voided) = record.void {
            self.push(voided, Settled::Voided(record.rev));
        }
    }

    /// The first end of a want stands: a want that is committed cannot be voided, nor the reverse.
    fn push(&mut self, op: OpId, end: Settled) {
        if self.ends.contains_key(&op) {
            return;
        }
        self.ends.insert(op, end);
        self.order.push_back((op, end));
        if self.order.len() > limits::RECENT_OPS
            && let Some((forgotten, _)) = self.order.pop_front()
        {
            self.ends.remove(&forgotten);
        }
    }
}

impl From<VecDeque<(OpId, Settled)>> for RecentOps {
    fn from(order: VecDeque<(OpId, Settled)>) -> Self {
        let mut ops = Self::default();
        for (op, end) in order {
            ops.push(op, end);
        }
        ops
    }
}

impl From<RecentOps> for VecDeque<(OpId, Settled)> {
    fn from(ops: RecentOps) -> Self {
        ops.order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;

    fn op(n: usize) -> OpId {
        format!("{n:026}").parse().unwrap()
    }

    #[test]
    fn an_id_is_a_ulid_and_nothing_else() {
        let good = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        assert_eq!(good.parse::<OpId>().unwrap().to_string(), good);
        for text in [
            "",
            "01ARZ3NDEKTSV4RRFFQ69G5FA",
            "01ARZ3NDEKTSV4RRFFQ69G5FAVV",
            "01arz3ndektsv4rrffq69g5fav",
            "81ARZ3NDEKTSV4RRFFQ69G5FAV",
            "01ARZ3NDEKTSV4RRFFQ69G5FAU",
            "01ARZ3NDEKTSV4RRFFQ69G5F/V",
        ] {
            assert!(text.parse::<OpId>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_first_end_of_a_want_stands() {
        let mut ops = RecentOps::default();
        let mut first = record();
        (first.rev, first.op) = (Revision::new(1), op(1));
        ops.note(&first);
        let mut void = record();
        (void.rev, void.op, void.void) = (Revision::new(2), op(2), Some(op(1)));
        ops.note(&void);
        assert_eq!(ops.get(&op(1)), Some(Settled::Committed(Revision::new(1))));
        void.rev = Revision::new(3);
        (void.op, void.void) = (op(4), Some(op(3)));
        ops.note(&void);
        assert_eq!(ops.get(&op(3)), Some(Settled::Voided(Revision::new(3))));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_survives_encoding() {
        let mut ops = RecentOps::default();
        for n in 0..limits::RECENT_OPS + 5 {
            ops.push(op(n), Settled::Committed(Revision::new(n as u64)));
        }
        assert_eq!(ops.get(&op(4)), None);
        assert!(ops.get(&op(5)).is_some());
        assert_eq!(ops.ends.len(), limits::RECENT_OPS);
        let text = serde_json::to_string(&ops).unwrap();
        assert_eq!(serde_json::from_str::<RecentOps>(&text).unwrap(), ops);
    }
}
