//! `Segment`: an uploaded list of units, kept as an exact set at under eight bytes a unit.
//!
//! A list of ten million device ids decides who gets a canary, so a node holds it whole and answers
//! in a few memory reads. Units are kept as 64-bit keys ([`key`]), never as text: nothing here can
//! print a person's id. The set is exact on keys; it must never answer by chance, as a Bloom filter does.

mod builder;
mod layout;
mod text;

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::limits;
use layout::Layout;

pub use builder::SegmentBuilder;
pub use text::{LineFault, SegmentText, SegmentTextError};

/// The first bytes of an encoded segment.
const MAGIC: &[u8; 6] = b"HDSEG1";
/// Magic, then the count of keys as eight bytes, big-endian.
const HEAD_BYTES: usize = MAGIC.len() + size_of::<u64>();

/// The 64-bit key of a unit: the first eight bytes, big-endian, of SHA-256 of its UTF-8.
///
/// A unit outside a segment of ten million shares a key with one inside with probability
/// 10⁷ / 2⁶⁴ ≈ 5·10⁻¹³.
pub fn key(unit: &str) -> u64 {
    let digest = Sha256::digest(unit.as_bytes());
    digest[..8]
        .iter()
        .fold(0, |key, byte| key << 8 | u64::from(*byte))
}

/// An exact set of units.
#[derive(Clone, PartialEq, Eq)]
pub struct Segment {
    layout: Layout,
}

/// Why bytes or keys are not a segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// The bytes begin with something else.
    #[error(
        "these bytes are not a segment; they do not begin with `HDSEG1`, upload the list again"
    )]
    NotASegment,
    /// More units than a segment may hold.
    #[error(
        "a segment holds at most {} units, not {units}; split it in two",
        limits::SEGMENT_UNITS
    )]
    TooMany {
        /// Units that were given, or the count at which reading stopped.
        units: u64,
    },
    /// The count in the head and the length of the bytes disagree.
    #[error("a segment of {units} units is {expected} bytes long, not {bytes}; upload it again")]
    Length {
        /// The count in the head.
        units: u64,
        /// Bytes that so many units take.
        expected: u64,
        /// Bytes that are there.
        bytes: u64,
    },
    /// A key is not greater than the one before it.
    #[error("key {index} of the segment is not greater than the one before it; upload it again")]
    Unsorted {
        /// Position of the key, from 0.
        index: u64,
    },
}

impl Segment {
    /// True when `unit` is in the set.
    pub fn contains(&self, unit: &str) -> bool {
        self.contains_key(key(unit))
    }

    /// True when the unit of this [`key`] is in the set. Allocates nothing.
    #[inline]
    pub fn contains_key(&self, key: u64) -> bool {
        self.layout.contains(key)
    }

    /// How many units are in the set.
    pub fn len(&self) -> usize {
        self.layout.len()
    }

    /// True when nobody is in the set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on the heap, all of them.
    pub fn heap_bytes(&self) -> usize {
        self.layout.heap_bytes()
    }

    /// The keys, ascending.
    pub fn keys(&self) -> impl Iterator<Item = u64> + '_ {
        self.layout.keys()
    }

    /// The form that is stored: magic, count, then the keys ascending, all big-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + 8 * self.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&(self.len() as u64).to_be_bytes());
        for key in self.keys() {
            bytes.extend_from_slice(&key.to_be_bytes());
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote and nothing else, so that one set has one digest.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SegmentError> {
        let rest = bytes
            .strip_prefix(MAGIC.as_slice())
            .ok_or(SegmentError::NotASegment)?;
        let (count, keys) = rest
            .split_first_chunk::<8>()
            .ok_or(SegmentError::NotASegment)?;
        let units = u64::from_be_bytes(*count);
        if units > limits::SEGMENT_UNITS {
            return Err(SegmentError::TooMany { units });
        }
        let (keys, rest) = keys.as_chunks::<8>();
        if keys.len() as u64 != units || !rest.is_empty() {
            return Err(SegmentError::Length {
                units,
                expected: HEAD_BYTES as u64 + 8 * units,
                bytes: bytes.len() as u64,
            });
        }
        // Big-endian keys compare as their bytes do.
        if let Some(index) = keys.windows(2).position(|pair| pair[0] >= pair[1]) {
            return Err(SegmentError::Unsorted {
                index: index as u64 + 1,
            });
        }
        let sorted = keys.iter().map(|key| u64::from_be_bytes(*key));
        Ok(Self {
            layout: Layout::from_sorted(keys.len(), sorted),
        })
    }
}

impl Default for Segment {
    fn default() -> Self {
        SegmentBuilder::new().finish_within_limit()
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({} units)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use proptest::prelude::*;

    use super::{layout::LINED_FROM, *};

    fn segment(keys: impl IntoIterator<Item = u64>) -> Segment {
        let mut builder = SegmentBuilder::new();
        for key in keys {
            builder.push_key(key).unwrap();
        }
        builder.finish().unwrap()
    }

    /// Well spread keys without hashing: the finaliser of `SplitMix64` is a bijection.
    fn spread(index: u64) -> u64 {
        let mut z = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    #[test]
    fn the_key_of_a_unit_never_changes() {
        for (unit, expected) in [
            ("", 0xe3b0_c442_98fc_1c14),
            ("abc", 0xba78_16bf_8f01_cfea),
            ("device-1", 0x0320_4de9_2e11_fc8c),
            ("device-2", 0x5886_05bf_5362_e8b7),
            ("设备-3", 0x137e_b8f2_66ec_406d),
        ] {
            assert_eq!(key(unit), expected, "{unit}");
        }
    }

    #[test]
    fn the_stored_form_never_changes() {
        let mut builder = SegmentBuilder::new();
        for unit in ["device-1", "设备-3", "device-2", "device-1"] {
            builder.push(unit).unwrap();
        }
        let segment = builder.finish().unwrap();
        let hex = data_encoding::HEXLOWER.encode(&segment.to_bytes());
        insta::assert_snapshot!(hex, @"484453454731000000000000000303204de92e11fc8c137eb8f266ec406d588605bf5362e8b7");
        assert!(segment.contains("device-1") && segment.contains("设备-3"));
        assert!(!segment.contains("device-3"));
    }

    #[test]
    fn refuses_bytes_that_are_not_exactly_a_segment() {
        let good = segment([3, 5, 9]).to_bytes();
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        let length = |units, expected, bytes| SegmentError::Length {
            units,
            expected,
            bytes,
        };
        for (bytes, error) in [
            (vec![], SegmentError::NotASegment),
            (good[..10].to_vec(), SegmentError::NotASegment),
            (with(5, b'2'), SegmentError::NotASegment),
            (good[..37].to_vec(), length(3, 38, 37)),
            (good[..30].to_vec(), length(3, 38, 30)),
            ([&good[..], &[0]].concat(), length(3, 38, 39)),
            (with(13, 2), length(2, 30, 38)),
            (with(6, 1), SegmentError::TooMany { units: 1 << 56 | 3 }),
            (with(29, 3), SegmentError::Unsorted { index: 1 }),
            (with(37, 4), SegmentError::Unsorted { index: 2 }),
        ] {
            assert_eq!(Segment::from_bytes(&bytes), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn the_empty_segment_holds_nobody() {
        let nobody = Segment::default();
        assert!(nobody.is_empty() && nobody.heap_bytes() == 0);
        assert!(!nobody.contains("") && !nobody.contains_key(0) && !nobody.contains_key(u64::MAX));
        assert_eq!(Segment::from_bytes(&nobody.to_bytes()), Ok(nobody));
    }

    /// Sizes on both sides of where the layout changes.
    const SIZES: [usize; 8] = [
        1,
        1_000,
        65_536,
        LINED_FROM - 1,
        LINED_FROM,
        LINED_FROM + 1,
        1 << 20,
        3_000_000,
    ];

    #[test]
    fn a_unit_never_takes_more_than_eight_bytes() {
        for units in SIZES {
            let hashed = segment((0..units as u64).map(spread));
            assert!(hashed.heap_bytes() <= 8 * units, "{units}");
            assert_eq!(hashed.len(), units);
        }
        // Lines take less than a sorted list: a tenth spills, no more.
        let units = 2_000_000;
        let bytes = segment((0..units).map(spread)).heap_bytes() as f64 / units as f64;
        assert!((7.3..7.8).contains(&bytes), "{bytes}");
    }

    #[test]
    fn a_million_units_are_found_and_a_million_strangers_are_not() {
        const UNITS: u64 = 1_000_000;
        let many = segment((0..UNITS).map(spread));
        assert_eq!(many.len() as u64, UNITS);
        assert!((0..UNITS).all(|index| many.contains_key(spread(index))));
        assert!(!(UNITS..2 * UNITS).any(|index| many.contains_key(spread(index))));
        assert!(many.keys().is_sorted());
        assert_eq!(Segment::from_bytes(&many.to_bytes()), Ok(many));
    }

    #[test]
    fn keys_crowded_into_one_line_are_still_found() {
        let crowded = LINED_FROM as u64;
        // All in one part; and spread ones with a crowd among them, so that some part spills long.
        let one = segment((0..crowded).map(|index| index * 7));
        assert_eq!(one.heap_bytes(), 8 * LINED_FROM);
        let some = segment((0..crowded).map(spread).chain((0..5_000).map(|n| n * 7)));
        assert!(some.heap_bytes() < 8 * LINED_FROM);
        for probe in (0..5_000 * 7).step_by(11) {
            assert_eq!(some.contains_key(probe), probe % 7 == 0, "{probe}");
            assert_eq!(one.contains_key(probe), probe % 7 == 0, "{probe}");
        }
        assert!(!one.contains_key(u64::MAX) && !some.contains_key(u64::MAX));
        for crowd in [one, some] {
            assert!(crowd.keys().is_sorted_by(|a, b| a < b));
            assert_eq!(crowd.keys().count(), crowd.len());
            assert_eq!(Segment::from_bytes(&crowd.to_bytes()), Ok(crowd));
        }
    }

    /// Enough keys for lines, with some that differ in one place only.
    fn crowd(few: &BTreeSet<u64>) -> BTreeSet<u64> {
        (0..LINED_FROM as u64)
            .map(spread)
            .chain(few.iter().copied())
            .collect()
    }

    fn keys() -> impl Strategy<Value = BTreeSet<u64>> {
        let key = prop_oneof![any::<u64>(), 0..64_u64, (0..64_u64).prop_map(|low| !low)];
        prop::collection::btree_set(key, 0..200)
    }

    proptest! {
        #[test]
        fn a_small_set_answers_as_a_hash_set_does(
            keys in keys(),
            strangers in prop::collection::vec(any::<u64>(), 50),
        ) {
            let segment = segment(keys.iter().rev().chain(&keys).copied());
            let model: HashSet<u64> = keys.iter().copied().collect();
            prop_assert_eq!(segment.len(), model.len());
            for probe in keys.iter().flat_map(|key| [*key, key ^ 1, key.wrapping_add(1)]).chain(strangers) {
                prop_assert_eq!(segment.contains_key(probe), model.contains(&probe));
            }
        }

        #[test]
        fn encoding_and_decoding_are_inverse(keys in keys()) {
            let segment = segment(keys.iter().copied());
            prop_assert!(segment.keys().eq(keys));
            prop_assert_eq!(Segment::from_bytes(&segment.to_bytes()), Ok(segment));
        }

        #[test]
        fn any_bytes_are_refused_or_are_the_only_form_of_their_set(
            body in prop::collection::vec(any::<u8>(), 0..64),
            count in 0..6_u64,
        ) {
            let bytes = [MAGIC.as_slice(), &count.to_be_bytes(), &body].concat();
            if let Ok(segment) = Segment::from_bytes(&bytes) {
                prop_assert_eq!(segment.to_bytes(), bytes);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4))]

        #[test]
        fn a_large_set_answers_as_a_hash_set_does(few in keys()) {
            let model = crowd(&few);
            let segment = segment(model.iter().copied());
            prop_assert!(segment.len() >= LINED_FROM);
            prop_assert!(segment.keys().eq(model.iter().copied()));
            let near = |key: u64| [key, key ^ 1, key ^ 1 << 17, key ^ 1 << 33, key ^ 1 << 47, key ^ 1 << 63];
            for probe in model.iter().step_by(89).chain(&few).copied().flat_map(near) {
                prop_assert_eq!(segment.contains_key(probe), model.contains(&probe), "{}", probe);
            }
        }
    }
}
