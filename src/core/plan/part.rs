//! `Part`: a part of all units, and `Spans`: the positions that make one up.
//!
//! A part is kept in units of 2^-96: three independent hashes are exact, and what further ones round away
//! is below 10^-28. Never a float, because a plan that rounds is a plan nobody can check.

use std::{fmt, iter};

use serde::{Serialize, Serializer};

use crate::{
    bucket::{FINE_END, FINE_PER_PERCENT},
    limits,
    slots::Slots,
};

/// A part of all units, from none to all; prints as a percentage with at most six decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Part(u128);

/// Bits after the point.
const POINT: u32 = 96;
/// Hashes there are.
pub(super) const HASHES: u64 = 1 << 32;

impl Part {
    /// Nobody.
    pub const NONE: Self = Self(0);
    /// Everybody.
    pub const ALL: Self = Self(1 << POINT);

    /// The units whose hash is one of `count` hashes.
    pub const fn of_hashes(count: u64) -> Self {
        Self((count as u128) << (POINT - 32))
    }

    /// True of nobody.
    pub const fn is_none(&self) -> bool {
        self.0 == 0
    }

    /// How many of 2^32 hashes make it up, rounded down: exact for what one hash decides.
    pub const fn hashes(self) -> u64 {
        (self.0 >> (POINT - 32)) as u64
    }

    /// The part of this part that an independent draw of `other` leaves.
    #[must_use]
    pub const fn times(self, other: Self) -> Self {
        let (a_high, a_low) = (self.0 >> 64, self.0 & (u64::MAX as u128));
        let (b_high, b_low) = (other.0 >> 64, other.0 & (u64::MAX as u128));
        let low = (a_low * b_low) >> 64;
        let middle = a_high * b_low + a_low * b_high + low;
        Self(((a_high * b_high) << (128 - POINT)) + (middle >> (POINT - 64)))
    }

    /// Both of two parts that share no unit.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// This part without `other`, which lies within it.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The part as a fraction of one, for tests and charts only.
    pub fn fraction(self) -> f64 {
        self.0 as f64 / Self::ALL.0 as f64
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MILLION: u128 = 1_000_000;
        let millionths = (self.0 * 100 * MILLION + (1 << (POINT - 1))) >> POINT;
        let text = match millionths {
            0 if self.0 > 0 => "<0.000001%".to_owned(),
            n if n == 100 * MILLION && self.0 < Self::ALL.0 => ">99.999999%".to_owned(),
            n => {
                let text = format!("{}.{:06}", n / MILLION, n % MILLION);
                format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
            }
        };
        f.pad(&text)
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Sorted, separate, half-open spans of whole numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Spans(Vec<(u64, u64)>);

impl Spans {
    /// Every fine position.
    pub(crate) fn of_all() -> Self {
        Self::below(FINE_END)
    }

    /// The numbers below `end`.
    pub(crate) fn below(end: u64) -> Self {
        Self::from_sorted(iter::once((0, end)))
    }

    /// The fine positions of some slots of a layer.
    pub(crate) fn of_slots(slots: &Slots) -> Self {
        let per_percent = u64::from(limits::LAYER_SLOTS) / 100;
        let start = |slot: u64| (slot * FINE_PER_PERCENT).div_ceil(per_percent);
        Self::from_sorted(slots.iter().map(|slot| {
            let slot = u64::from(slot);
            (start(slot), start(slot + 1))
        }))
    }

    /// Spans that come sorted; adjoining ones become one, empty ones none.
    pub(crate) fn from_sorted(spans: impl Iterator<Item = (u64, u64)>) -> Self {
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for (from, to) in spans.filter(|(from, to)| from < to) {
            match merged.last_mut() {
                Some((_, end)) if *end >= from => *end = to.max(*end),
                _ => merged.push((from, to)),
            }
        }
        Self(merged)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What is in both.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.iter().peekable(), other.iter().peekable());
        let mut both = Vec::new();
        while let (Some(x), Some(y)) = (a.peek().copied(), b.peek().copied()) {
            let (from, to) = (x.0.max(y.0), x.1.min(y.1));
            if from < to {
                both.push((from, to));
            }
            if x.1 <= y.1 {
                a.next();
            } else {
                b.next();
            }
        }
        Self(both)
    }

    /// What is in this and not in `other`.
    pub(crate) fn without(&self, other: &Self) -> Self {
        let mut rest = Vec::new();
        let mut holes = other.iter().peekable();
        for (mut from, to) in self.iter() {
            while let Some((hole, end)) = holes.peek().copied()
                && hole < to
            {
                if from < hole {
                    rest.push((from, hole));
                }
                from = from.max(end);
                if end > to {
                    break;
                }
                holes.next();
            }
            if from < to {
                rest.push((from, to));
            }
        }
        Self(rest)
    }

    /// The part of units whose fine position is among these.
    pub(crate) fn part(&self) -> Part {
        Part::of_hashes(self.iter().map(|(from, to)| hashes_between(from, to)).sum())
    }
}

/// How many hashes have a fine position from `from` to before `to`. Each position is that of one hash,
/// save the last position of percents 96 to 99: 2^32 is no multiple of 100.
fn hashes_between(from: u64, to: u64) -> u64 {
    let without = (HASHES % 100..100).map(|percent| (percent + 1) * FINE_PER_PERCENT - 1);
    to - from
        - without
            .filter(|position| (from..to).contains(position))
            .count() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bucket::Fine;

    #[test]
    fn all_positions_are_all_hashes() {
        assert_eq!(Spans::of_all().part(), Part::ALL);
        let slots = Slots::from_slots(0..limits::LAYER_SLOTS);
        assert_eq!(Spans::of_slots(&slots).part(), Part::ALL);
    }

    #[test]
    fn parts_print_as_people_write_shares() {
        for (hashes, text) in [
            (0, "0%"),
            (1, "<0.000001%"),
            (43, "0.000001%"),
            (HASHES / 20, "5%"),
            (HASHES / 8, "12.5%"),
            (HASHES - 1, ">99.999999%"),
            (HASHES, "100%"),
        ] {
            assert_eq!(Part::of_hashes(hashes).to_string(), text);
        }
    }

    #[test]
    fn independent_parts_multiply_exactly() {
        let half = Part::of_hashes(HASHES / 2);
        assert_eq!(half.times(half).times(half), Part::of_hashes(HASHES / 8));
        assert_eq!(Part::ALL.times(Part::ALL), Part::ALL);
        let third = Part::of_hashes(HASHES / 3);
        assert_eq!(third.times(Part::ALL), third);
        let odd = Part::of_hashes(4_294_967_291).times(Part::of_hashes(3));
        assert_eq!(odd.0, (4_294_967_291_u128 * 3) << 32);
    }

    #[test]
    fn exactly_four_positions_belong_to_no_hash() {
        // The hash of a position, if there is one, computed the other way round.
        let hash =
            |position: u64| 100 * (position % FINE_PER_PERCENT) + position / FINE_PER_PERCENT;
        for percent in 0..100 {
            let last = (percent + 1) * FINE_PER_PERCENT - 1;
            for position in [last - 1, last] {
                let there = u64::from(hash(position) < HASHES);
                assert_eq!(hashes_between(position, position + 1), there, "{position}");
                if let Ok(hash) = u32::try_from(hash(position)) {
                    assert_eq!(Fine::of_hash(hash).get(), position);
                }
            }
        }
    }

    fn spans() -> impl Strategy<Value = Vec<bool>> {
        proptest::collection::vec(any::<bool>(), 30)
    }

    fn of(bits: &[bool]) -> Spans {
        let ones = bits.iter().enumerate().filter(|(_, one)| **one);
        Spans::from_sorted(ones.map(|(at, _)| (at as u64, at as u64 + 1)))
    }

    proptest! {
        #[test]
        fn spans_are_sets(a in spans(), b in spans()) {
            let zip = |f: fn(bool, bool) -> bool| -> Vec<bool> { a.iter().zip(&b).map(|(a, b)| f(*a, *b)).collect() };
            prop_assert_eq!(of(&a).and(&of(&b)), of(&zip(|a, b| a && b)));
            prop_assert_eq!(of(&a).without(&of(&b)), of(&zip(|a, b| a && !b)));
        }

        #[test]
        fn a_slot_is_the_positions_that_fall_in_it(slot in 0..limits::LAYER_SLOTS) {
            let spans = Spans::of_slots(&Slots::from_slots([slot]));
            let (from, to) = spans.iter().next().unwrap();
            for (position, inside) in [(from, true), (to - 1, true), (from.wrapping_sub(1), false), (to, false)] {
                let hash = 100 * (position % FINE_PER_PERCENT) + position / FINE_PER_PERCENT;
                if let Ok(hash) = u32::try_from(hash) && position < FINE_END {
                    prop_assert_eq!(Fine::of_hash(hash).slot() == slot, inside);
                }
            }
        }
    }
}
