//! `Slots`: the part of a layer that an experiment owns: a set of slots 0 ..= 9 999 of 0.01 % each.
//!
//! Kept as sorted, separate ranges and written as `0-499,700`. Slots can be freed and given away without
//! moving any unit, because a unit's slot depends on the layer's name alone.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{limits::LAYER_SLOTS, share::Share};

/// A set of slots of one layer.
#[derive(Clone, PartialEq, Eq, Default, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("examples" = ["0-499", "0-499,700"]))]
pub struct Slots(#[schemars(with = "String")] Vec<(u16, u16)>);

/// Why a text is not a set of slots.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a set of slots; write rising ranges of 0 to {}, such as \"0-499,700\"", LAYER_SLOTS - 1)]
pub struct SlotsError {
    /// What was given, shortened.
    pub given: String,
}

/// Millionths of a percent in one slot.
const MILLIONTHS_PER_SLOT: u32 = Share::ALL.millionths() / LAYER_SLOTS as u32;

impl Slots {
    /// The slots in rising order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// Collects slots in any order; those beyond the last are left out.
    pub fn from_slots(slots: impl IntoIterator<Item = u16>) -> Self {
        let mut sorted: Vec<u16> = slots
            .into_iter()
            .filter(|slot| *slot < LAYER_SLOTS)
            .collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for slot in sorted {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == slot => *last = slot,
                _ => ranges.push((slot, slot)),
            }
        }
        Self(ranges)
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0
            .iter()
            .map(|(first, last)| usize::from(last - first) + 1)
            .sum()
    }

    /// True when `slot` is among them.
    pub fn contains(&self, slot: u16) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= slot);
        after > 0 && slot <= self.0[after - 1].1
    }

    /// The number of slots that make up `share`, when it is a whole number of them.
    pub fn count_of(share: Share) -> Option<usize> {
        let whole = share.millionths().is_multiple_of(MILLIONTHS_PER_SLOT);
        whole.then_some((share.millionths() / MILLIONTHS_PER_SLOT) as usize)
    }
}

impl FromStr for Slots {
    type Err = SlotsError;

    fn from_str(text: &str) -> Result<Self, SlotsError> {
        let wrong = || SlotsError {
            given: text.chars().take(64).collect(),
        };
        let mut ranges = Vec::new();
        let mut next = 0;
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: u16 = first.trim().parse().map_err(|_| wrong())?;
            let last: u16 = last.trim().parse().map_err(|_| wrong())?;
            if first < next || last < first || last >= LAYER_SLOTS {
                return Err(wrong());
            }
            ranges.push((first, last));
            next = last + 1;
        }
        // Written as two adjoining ranges or as one, a set is the same set.
        Ok(Self::from_slots(Self(ranges).iter()))
    }
}

impl TryFrom<String> for Slots {
    type Error = SlotsError;

    fn try_from(text: String) -> Result<Self, SlotsError> {
        text.parse()
    }
}

impl From<Slots> for String {
    fn from(slots: Slots) -> Self {
        slots.to_string()
    }
}

impl fmt::Display for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slots({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_and_refuses() {
        let slots: Slots = "0-499,500,700".parse().unwrap();
        assert_eq!(
            (slots.to_string().as_str(), slots.len()),
            ("0-500,700", 502)
        );
        assert!(
            slots.contains(500)
                && !slots.contains(501)
                && slots.contains(700)
                && !slots.contains(9_999)
        );
        for text in ["5-4", "3,3", "10000", "a", "1-", "7,6", "0-1,,3"] {
            assert!(text.parse::<Slots>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_is_slots_only_in_steps_of_a_hundredth_of_a_percent() {
        assert_eq!(Slots::count_of("20%".parse().unwrap()), Some(2_000));
        assert_eq!(Slots::count_of("0.01%".parse().unwrap()), Some(1));
        assert_eq!(Slots::count_of("0.005%".parse().unwrap()), None);
    }

    proptest! {
        #[test]
        fn printing_and_parsing_are_inverse(slots in proptest::collection::btree_set(0..LAYER_SLOTS, 0..50)) {
            let set = Slots::from_slots(slots.iter().copied());
            prop_assert_eq!(set.to_string().parse::<Slots>(), Ok(set.clone()));
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), slots.into_iter().collect::<Vec<_>>());
        }
    }
}
