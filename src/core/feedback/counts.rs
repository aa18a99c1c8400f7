//! `Counts`: numbers that only grow, by kind. The union of two states takes the larger of each: it is commutative,
//! associative and idempotent, and never makes a number smaller.
//!
//! What was counted and should not have been is not taken away but counted a second time, as withdrawn.

use serde::{Deserialize, Serialize};

use super::kind::Kind;

/// One number: how often something happened, or how often that was withdrawn. Written as its kind, with `-` before it
/// when withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Register {
    /// What happened.
    pub kind: Kind,
    /// True when it is about what was counted and should not have been.
    pub withdrawn: bool,
}

impl TryFrom<String> for Register {
    type Error = super::kind::KindError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let rest = text.strip_prefix('-');
        Ok(Self {
            kind: rest.unwrap_or(&text).parse()?,
            withdrawn: rest.is_some(),
        })
    }
}

impl From<Register> for String {
    fn from(register: Register) -> Self {
        let sign = if register.withdrawn { "-" } else { "" };
        format!("{sign}{}", register.kind)
    }
}

/// Numbers by register; sorted, each once, none zero.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts(Vec<(Register, u64)>);

impl Counts {
    /// Counts `times` more of `register`.
    pub fn add(&mut self, register: &Register, times: u64) {
        if times == 0 {
            return;
        }
        let number = self.number(register);
        *number = number.saturating_add(times);
    }

    /// Makes the number of `register` at least `number`; true when it was less.
    pub fn raise(&mut self, register: &Register, number: u64) -> bool {
        if number <= self.get(register) {
            return false;
        }
        *self.number(register) = number;
        true
    }

    /// The union with `other`; true when anything grew.
    pub fn merge(&mut self, other: &Self) -> bool {
        let mut grew = false;
        for (register, number) in &other.0 {
            grew |= self.raise(register, *number);
        }
        grew
    }

    /// Adds what other lives counted.
    pub fn sum(&mut self, other: &Self) {
        for (register, number) in &other.0 {
            self.add(register, *number);
        }
    }

    /// The number of one register.
    pub fn get(&self, register: &Register) -> u64 {
        self.place(register).map_or(0, |at| self.0[at].1)
    }

    /// How often `kind` happened, without what was withdrawn.
    pub fn of(&self, kind: &Kind) -> u64 {
        let number = |withdrawn| {
            self.get(&Register {
                kind: kind.clone(),
                withdrawn,
            })
        };
        number(false).saturating_sub(number(true))
    }

    /// True when every number here is at most what `other` says.
    pub fn within(&self, other: &Self) -> bool {
        self.0
            .iter()
            .all(|(register, number)| *number <= other.get(register))
    }

    /// Every number.
    pub fn iter(&self) -> impl Iterator<Item = (&Register, u64)> {
        self.0.iter().map(|(register, number)| (register, *number))
    }

    /// True when nothing happened.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&self, register: &Register) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.cmp(register))
    }

    fn number(&mut self, register: &Register) -> &mut u64 {
        let at = self.place(register).unwrap_or_else(|at| {
            self.0.insert(at, (register.clone(), 0));
            at
        });
        &mut self.0[at].1
    }
}
