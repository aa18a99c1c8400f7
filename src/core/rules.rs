//! `Rules`: by which rules a record is judged: for ever by those of the day it was written.
//!
//! A record carries the number of its rules (`v`). What a command leads to, and what takes agreement, may change
//! from one release of huidu to the next; what a record that was written before means may not. So a change of
//! either gets the next number here, and the places that differ ask for it. A node that does not know a number
//! stops in front of the record instead of coming to another truth than its writer.

use serde::{Deserialize, Serialize};

/// By which rules a record is judged.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "u64", into = "u64")]
pub enum Rules {
    /// Records that nobody signed. What takes agreement goes by the command alone.
    #[default]
    One,
    /// Records that servers sign and whose times never run backwards. What takes agreement goes by its effect;
    /// approvals name what was shown and count as long as whoever gave them may give them.
    Two,
}

impl Rules {
    /// Those of records that are written today.
    pub const NEWEST: Self = Self::Two;

    /// True of the first.
    pub fn is_first(&self) -> bool {
        *self == Self::One
    }
}

impl TryFrom<u64> for Rules {
    type Error = String;

    fn try_from(v: u64) -> Result<Self, String> {
        match v {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            _ => Err(format!("shape {v} is unknown to this build")),
        }
    }
}

impl From<Rules> for u64 {
    fn from(rules: Rules) -> Self {
        match rules {
            Rules::One => 1,
            Rules::Two => 2,
        }
    }
}
