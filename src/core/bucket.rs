//! Bucketing `huidu/1`: where a unit stands in a rollout and in which arm.
//!
//! ```text
//! h     = murmur3_x86_32(utf8(salt + ":" + unit), seed 0)
//! fine  = (h % 100) * 42_949_673 + h / 100              0 ..= 4_294_967_299
//! in    = fine < ceil(percent * 42_949_673)
//! arm   = murmur3_x86_32(same bytes, seed 86_028_157) % total_weight + 1
//! slot  = the same as `in`, with salt `layer/<name>`: fine / 429_497 (10 000 slots)
//! ```
//!
//! At whole percents `in` equals Unleash's gradual rollout bit for bit; below it goes on to a millionth of
//! a percent. A unit's position never changes while the salt stays, so a smaller share is a subset of a
//! larger one and ramping never moves an enrolled unit to another arm. This algorithm never changes: a
//! better one gets a new name, and a rollout says which it uses.
//!
//! The hash is MurmurHash3 x86 32-bit by Austin Appleby (public domain). It is written here over slices
//! because it runs on every poll; the `murmur3` crate is the reference it is checked against, by tests
//! and once at every start ([`self_check`]).

mod premixed;

use std::{borrow::Cow, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{limits, name::LayerName, share::Share};

pub(crate) use premixed::{Premixed, Salted, Stake};

/// Fine positions in one percent.
pub const FINE_PER_PERCENT: u64 = 42_949_673;
/// One more than the largest fine position.
pub const FINE_END: u64 = 100 * FINE_PER_PERCENT;
/// Seed of the position hash.
pub const POSITION_SEED: u32 = 0;
/// Seed of the arm hash.
pub const ARM_SEED: u32 = 86_028_157;

/// What makes one rollout's order of units different from another's. Holds no `:`, because a colon
/// separates salt and unit in the hashed bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Salt(#[schemars(with = "String")] Box<str>);

/// Why a text is not a salt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is not a salt; use 1 to {} bytes of text without `:` or control characters",
    limits::UNIT_BYTES
)]
pub struct SaltError {
    /// What was given, shortened.
    pub given: String,
}

impl Salt {
    /// Checks a salt.
    pub fn new(text: &str) -> Result<Self, SaltError> {
        let fits = (1..=limits::UNIT_BYTES).contains(&text.len());
        if fits && !text.contains(|c: char| c == ':' || c.is_control()) {
            Ok(Self(text.into()))
        } else {
            Err(SaltError {
                given: text.chars().take(40).collect(),
            })
        }
    }

    /// The salt that a layer's slots are drawn with: `layer/<name>`.
    pub fn of_layer(layer: &LayerName) -> Self {
        Self(format!("layer/{layer}").into())
    }

    /// The salt as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Salt {
    type Error = SaltError;

    fn try_from(text: String) -> Result<Self, SaltError> {
        Self::new(&text)
    }
}

impl From<Salt> for String {
    fn from(salt: Salt) -> Self {
        salt.0.into()
    }
}

impl fmt::Display for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// The name of a bucketing algorithm, stated in every rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Bucketing {
    /// The algorithm of this module.
    #[default]
    #[serde(rename = "huidu/1")]
    Huidu1,
}

impl Bucketing {
    /// The name it is written by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Huidu1 => "huidu/1",
        }
    }
}

/// Where a unit stands in the order of one salt: 0 ..= 4 294 967 299.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fine(u64);

impl Fine {
    /// Spreads a 32-bit hash over the fine positions; whole percents are residues of 100.
    pub const fn of_hash(hash: u32) -> Self {
        Self((hash % 100) as u64 * FINE_PER_PERCENT + (hash / 100) as u64)
    }

    /// The position as a number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// True when this position lies within `share`.
    pub const fn is_in(self, share: Share) -> bool {
        self.0 < threshold(share)
    }

    /// The smallest share that includes this position.
    pub fn smallest_share(self) -> Share {
        // in  ⇔  fine < ceil(m · F / 10^6)  ⇔  fine + 1 ≤ ceil(m · F / 10^6)  ⇔  fine < m · F / 10^6.
        let millionths = self.0 * 1_000_000 / FINE_PER_PERCENT + 1;
        u32::try_from(millionths)
            .ok()
            .and_then(Share::from_millionths)
            .unwrap_or(Share::ALL)
    }

    /// The slot of a layer that this position falls in: 0 ..= 9 999.
    pub const fn slot(self) -> u16 {
        // 10 000 equal slots of 0.01 %: slot s is [ceil(s·F/100), ceil((s+1)·F/100)).
        (self.0 * 100 / FINE_PER_PERCENT) as u16
    }
}

/// The fine positions of a slot of a layer: from the first up to, and without, the second.
pub const fn slot_range(slot: u16) -> (u64, u64) {
    let from = (slot as u64 * FINE_PER_PERCENT).div_ceil(100);
    let to = ((slot as u64 + 1) * FINE_PER_PERCENT).div_ceil(100);
    (from, to)
}

/// The number of fine positions within `share`: `ceil(percent * 42_949_673)`.
pub const fn threshold(share: Share) -> u64 {
    (share.millionths() as u64 * FINE_PER_PERCENT).div_ceil(1_000_000)
}

/// The positions within a share, as [`threshold`] bounds them, in a form that is quick to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reach {
    end: u64,
    /// No hash beyond this one is within. Below one percent that settles nearly every unit without a division.
    most: u32,
}

impl Reach {
    pub(crate) const fn of(share: Share) -> Self {
        let end = threshold(share);
        // Within the first percent are the hashes that 100 divides: 100 · fine.
        let most = match end {
            0 => 0,
            1..=FINE_PER_PERCENT => (end - 1) * 100,
            _ => u32::MAX as u64,
        };
        Self {
            end,
            most: if most > u32::MAX as u64 {
                u32::MAX
            } else {
                most as u32
            },
        }
    }

    #[inline]
    pub(crate) const fn holds(self, position: Fine) -> bool {
        position.0 < self.end
    }

    /// As [`holds`](Self::holds), of the position that `hash` makes.
    #[inline]
    const fn holds_hash(self, hash: u32) -> bool {
        hash <= self.most && self.holds(Fine::of_hash(hash))
    }
}

/// The hash of `salt:unit` that positions are made from.
pub fn position_hash(salt: &str, unit: &str) -> u32 {
    hash_salted(salt, unit, POSITION_SEED)
}

/// The hash of `salt:unit` that arms are made from.
pub fn arm_hash(salt: &str, unit: &str) -> u32 {
    hash_salted(salt, unit, ARM_SEED)
}

/// Where `unit` stands in the order of `salt`.
pub fn fine(salt: &str, unit: &str) -> Fine {
    Fine::of_hash(position_hash(salt, unit))
}

/// The ticket of `unit` in a draw of `total_weight` tickets: 1 ..= `total_weight` (1 when it is 0).
pub fn ticket(salt: &str, unit: &str, total_weight: u32) -> u32 {
    ticket_of(arm_hash(salt, unit), total_weight)
}

/// The ticket that an [`arm_hash`] draws.
pub(crate) const fn ticket_of(hash: u32, total_weight: u32) -> u32 {
    let most = if total_weight == 0 { 1 } else { total_weight };
    hash % most + 1
}

const C1: u32 = 0xcc9e_2d51;
const C2: u32 = 0x1b87_3593;

const fn scrambled(block: u32) -> u32 {
    block.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2)
}

const fn stirred(hash: u32, block: u32) -> u32 {
    (hash ^ scrambled(block))
        .rotate_left(13)
        .wrapping_mul(5)
        .wrapping_add(0xe654_6b64)
}

const fn finished(mut hash: u32, length: u32) -> u32 {
    hash ^= length;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

/// MurmurHash3 x86 32-bit of the concatenation of `parts`, without building it.
fn murmur3(parts: [&[u8]; 3], seed: u32) -> u32 {
    let (mut hash, mut pending, mut filled, mut length) = (seed, 0_u32, 0_u32, 0_u32);
    for part in parts {
        length = length.wrapping_add(part.len() as u32);
        let mut rest = part;
        // Finish the block that the part before left open.
        while filled > 0
            && let [byte, tail @ ..] = rest
        {
            pending |= u32::from(*byte) << (8 * filled);
            filled += 1;
            rest = tail;
            if filled == 4 {
                hash = stirred(hash, pending);
                (pending, filled) = (0, 0);
            }
        }
        let (blocks, tail) = rest.as_chunks::<4>();
        for block in blocks {
            hash = stirred(hash, u32::from_le_bytes(*block));
        }
        for byte in tail {
            pending |= u32::from(*byte) << (8 * filled);
            filled += 1;
        }
    }
    if filled > 0 {
        hash ^= scrambled(pending);
    }
    finished(hash, length)
}

fn hash_salted(salt: &str, unit: &str, seed: u32) -> u32 {
    murmur3([salt.as_bytes(), b":", unit.as_bytes()], seed)
}

/// The fast hash and the reference disagree on this machine: nothing may be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "bucketing self-check failed for `{salt}:{unit}`: {fast} here, {reference} by the murmur3 crate; do not serve with this build"
)]
pub struct SelfCheckError {
    /// Salt hashed.
    pub salt: Cow<'static, str>,
    /// Unit hashed.
    pub unit: Cow<'static, str>,
    /// What this module computed.
    pub fast: u32,
    /// What the reference computed.
    pub reference: u32,
}

/// Compares this module with the `murmur3` crate over lengths that cover every alignment; a node runs it
/// once before it serves, because a node that buckets differently would reshuffle a bank's customers.
pub fn self_check() -> Result<(), SelfCheckError> {
    let text = "灰度 gray release 0123456789 abcdefghij";
    let cuts = || text.char_indices().map(|(at, _)| at).chain([text.len()]);
    for (salt_end, unit_start) in cuts().flat_map(|a| cuts().map(move |b| (a, b))) {
        let (salt, unit) = (&text[..salt_end], &text[unit_start..]);
        for seed in [POSITION_SEED, ARM_SEED] {
            let fast = hash_salted(salt, unit, seed);
            let whole = format!("{salt}:{unit}");
            let reference =
                murmur3::murmur3_32(&mut std::io::Cursor::new(whole), seed).unwrap_or(!fast);
            if fast != reference {
                return Err(SelfCheckError {
                    salt: salt.to_owned().into(),
                    unit: unit.to_owned().into(),
                    fast,
                    reference,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SLOT_FINE: u64 = FINE_PER_PERCENT / 100;

    #[derive(Deserialize)]
    struct Vectors {
        vectors: Vec<Vector>,
    }

    #[derive(Deserialize)]
    struct Vector {
        salt: String,
        id: String,
        h0: u32,
        unleash_pct: u32,
        fine: u64,
        h_arm: u32,
        arm_of_1000: u32,
    }

    #[test]
    fn every_published_vector_holds() {
        let file = include_str!("../../tests/vectors/bucketing.json");
        let vectors = serde_json::from_str::<Vectors>(file).unwrap().vectors;
        assert!(
            vectors.len() > 200,
            "the vectors are all there: {}",
            vectors.len()
        );
        for v in vectors {
            assert_eq!(position_hash(&v.salt, &v.id), v.h0, "{}:{}", v.salt, v.id);
            assert_eq!(arm_hash(&v.salt, &v.id), v.h_arm, "{}:{}", v.salt, v.id);
            assert_eq!(fine(&v.salt, &v.id).get(), v.fine);
            assert_eq!(ticket(&v.salt, &v.id, 1000), v.arm_of_1000);
            // Unleash: a unit with normalised value n (1 ..= 100) is in at n percent and above.
            for percent in [v.unleash_pct - 1, v.unleash_pct] {
                let inside = fine(&v.salt, &v.id).is_in(Share::percent(percent).unwrap());
                assert_eq!(inside, v.unleash_pct <= percent);
            }
        }
    }

    #[test]
    fn the_self_check_passes() {
        assert_eq!(self_check(), Ok(()));
    }

    #[test]
    fn nobody_is_in_at_0_and_everybody_at_100_percent() {
        for hash in [0, 1, 99, 100, u32::MAX] {
            assert!(!Fine::of_hash(hash).is_in(Share::NONE));
            assert!(Fine::of_hash(hash).is_in(Share::ALL));
        }
    }

    #[test]
    fn the_smallest_share_is_exact_at_its_edges() {
        for (fine, millionths) in [
            (0, 1),
            (42, 1),
            (43, 2),
            (FINE_PER_PERCENT - 1, 1_000_000),
            (FINE_PER_PERCENT, 1_000_001),
        ] {
            assert_eq!(
                Fine(fine).smallest_share().millionths(),
                millionths,
                "fine {fine}"
            );
        }
    }

    #[test]
    fn slots_are_equal_to_one_position() {
        assert_eq!(Fine(0).slot(), 0);
        assert_eq!(Fine(FINE_END - 1).slot(), limits::LAYER_SLOTS - 1);
        let start = |slot: u64| {
            (0..)
                .map(|d| slot * SLOT_FINE + d)
                .find(|f| u64::from(Fine(*f).slot()) == slot)
        };
        let starts: Vec<u64> = (0..10_000).step_by(997).filter_map(start).collect();
        assert!(
            starts
                .windows(2)
                .all(|pair| (pair[1] - pair[0]).abs_diff(997 * FINE_PER_PERCENT / 100) <= 1)
        );
    }

    /// How many of `units` units named by number are inside `share` under `salt`.
    fn inside(salt: &str, share: Share, units: u32) -> Vec<u32> {
        (0..units)
            .filter(|unit| fine(salt, &format!("cust-{unit:08}")).is_in(share))
            .collect()
    }

    #[test]
    fn two_cohorts_of_ten_percent_with_different_salts_overlap_by_about_ten_percent() {
        let share = Share::percent(10).unwrap();
        let first = inside("pingan/travel/ramp-2.4", share, 100_000);
        let second = inside("pingan/travel/ramp-2.5", share, 100_000);
        let both = second
            .iter()
            .filter(|unit| first.binary_search(unit).is_ok())
            .count();
        let overlap = both as f64 / second.len() as f64;
        assert!((0.08..0.12).contains(&overlap), "overlap {overlap}");
    }

    #[test]
    fn positions_are_uniform() {
        let mut cells = [0_u32; 100];
        for unit in 0..200_000 {
            let position = fine("uniformity", &format!("cust-{unit:08}")).get();
            cells[(position / FINE_PER_PERCENT) as usize] += 1;
        }
        let expected = 2_000.0;
        let chi_square: f64 = cells
            .iter()
            .map(|n| (f64::from(*n) - expected).powi(2) / expected)
            .sum();
        // 99 degrees of freedom: p = 0.0001 at 160.
        assert!(chi_square < 160.0, "chi-square {chi_square}");
    }

    proptest! {
        #[test]
        fn the_fast_hash_is_the_reference(salt in ".{0,40}", unit in ".{0,80}", seed: u32) {
            let whole = format!("{salt}:{unit}");
            let reference = murmur3::murmur3_32(&mut std::io::Cursor::new(whole), seed).unwrap();
            prop_assert_eq!(hash_salted(&salt, &unit, seed), reference);
        }

        #[test]
        fn a_smaller_share_is_a_subset_of_a_larger_one(unit in "\\PC{1,40}", a in 0..=100_000_000_u32, b in 0..=100_000_000_u32) {
            let (small, large) = (a.min(b), a.max(b));
            let position = fine("monotone", &unit);
            let is_in = |millionths| position.is_in(Share::from_millionths(millionths).unwrap());
            prop_assert!(!is_in(small) || is_in(large));
        }

        #[test]
        fn the_smallest_share_includes_and_the_next_smaller_does_not(hash: u32) {
            let position = Fine::of_hash(hash);
            let smallest = position.smallest_share();
            prop_assert!(position.is_in(smallest));
            let below = Share::from_millionths(smallest.millionths() - 1).unwrap();
            prop_assert!(!position.is_in(below));
        }

        #[test]
        fn a_reach_holds_what_its_share_does(hash: u32, small in 0..2_000_000_u32, any in 0..=100_000_000_u32, step in 0..3_u32) {
            for millionths in [small, any, 0, 1_000_000, 100_000_000] {
                let share = Share::from_millionths(millionths).unwrap();
                // The hashes at the edge of the first percent's part, and any.
                let edge = u32::try_from(threshold(share).min(FINE_PER_PERCENT)).unwrap();
                let edge = edge.saturating_add(step).saturating_sub(2).saturating_mul(100);
                for hash in [hash, hash / 100 * 100, hash % 5_000, edge, u32::MAX] {
                    let position = Fine::of_hash(hash);
                    let reach = Reach::of(share);
                    prop_assert_eq!(reach.holds(position), position.is_in(share));
                    prop_assert_eq!(reach.holds_hash(hash), position.is_in(share), "{} {}", hash, share);
                }
            }
        }

        #[test]
        fn a_ticket_depends_on_the_unit_alone_and_never_on_the_share(unit in "\\PC{1,40}", total in 1..=limits::WEIGHT_TOTAL) {
            let drawn = ticket("arms", &unit, total);
            prop_assert!((1..=total).contains(&drawn));
            prop_assert_eq!(drawn, ticket("arms", &unit, total));
        }
    }
}
