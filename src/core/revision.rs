//! `Revision`: the number of a change in the ledger, 1, 2, 3 … without a gap.
//!
//! The next revision is made from the one before and never from a bare number on the write path, so none
//! can be skipped or used twice. 0 is the empty ledger.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a change in the ledger; 0 before the first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(u64);

impl Revision {
    /// The empty ledger.
    pub const ZERO: Self = Self(0);

    /// The revision with this number, as read from a record, a key or a request.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
