//! The same hash, with everything done beforehand that does not depend on both salt and unit.
//!
//! A salt is hashed up to its last whole block when a rollout is compiled. A unit's blocks are mixed once a poll
//! for every way they can be aligned, which is the salt's length modulo four. What is left for a pair is one
//! block in which both meet, one short step a block, and the end. It must equal the plain definition in
//! [`bucket`](super) bit for bit; a property test and every start of a node compare the two.

use super::{ARM_SEED, C1, C2, POSITION_SEED, Reach, finished, murmur3, scrambled, stirred};

/// Longest unit that is mixed beforehand: the hexadecimal digits of a SHA-256. Longer ones are hashed whole.
const UNIT_MOST: usize = 64;
/// Whole blocks after the one in which salt and unit meet.
const BLOCKS: usize = UNIT_MOST / 4;
/// Fewest bytes of a unit that fill the block in which it meets the salt, however it is aligned.
const UNIT_LEAST: usize = 3;

/// A salt, hashed as far as it goes without a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Salted {
    /// The state after its whole blocks, for positions.
    state: u32,
    /// What is left of it, multiplied as its block will be: multiplying distributes over bytes side by side.
    tail: u32,
    /// Its bytes and the colon's.
    bytes: u32,
}

impl Salted {
    /// Of the hash that positions are made from.
    pub(crate) fn for_positions(salt: &str) -> Self {
        Self::new(salt, POSITION_SEED)
    }

    /// Of the hash that arms are made from.
    pub(crate) fn for_arms(salt: &str) -> Self {
        Self::new(salt, ARM_SEED)
    }

    fn new(salt: &str, seed: u32) -> Self {
        let (blocks, rest) = salt.as_bytes().as_chunks::<4>();
        let state = (blocks.iter()).fold(seed, |state, block| {
            stirred(state, u32::from_le_bytes(*block))
        });
        Self {
            state,
            tail: little_endian(rest).wrapping_mul(C1),
            bytes: salt.len() as u32 + 1,
        }
    }

    /// How many of its bytes stand in the block where it meets a unit: 0 to 3.
    pub(crate) const fn alignment(&self) -> usize {
        // The colon counts as a byte of the salt here.
        (self.bytes.wrapping_sub(1) % 4) as usize
    }
}

/// Up to three bytes, the first one lowest.
#[inline]
const fn little_endian(bytes: &[u8]) -> u32 {
    match *bytes {
        [] => 0,
        [a] => a as u32,
        [a, b] => a as u32 | (b as u32) << 8,
        [a, b, c, ..] => a as u32 | (b as u32) << 8 | (c as u32) << 16,
    }
}

/// A salt and the positions in its order that a rule takes: what every poll reads of every rule, so it is packed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stake {
    end: u64,
    most: u32,
    state: u32,
    tail: u32,
    bytes: u32,
}

const _: () = assert!(size_of::<Stake>() == 24);

impl Stake {
    /// Of a salt made for positions.
    pub(crate) const fn new(salted: &Salted, reach: Reach) -> Self {
        Self {
            end: reach.end,
            most: reach.most,
            state: salted.state,
            tail: salted.tail,
            bytes: salted.bytes,
        }
    }

    #[inline]
    const fn salted(&self) -> Salted {
        Salted {
            state: self.state,
            tail: self.tail,
            bytes: self.bytes,
        }
    }

    #[inline]
    const fn reach(&self) -> Reach {
        Reach {
            end: self.end,
            most: self.most,
        }
    }
}

/// A unit's blocks as they are when so many bytes of a salt stand before the colon.
struct Aligned {
    /// The colon and the unit's first bytes, multiplied as their block will be.
    first: u32,
    /// The whole blocks after it, scrambled.
    blocks: [u32; BLOCKS],
    count: usize,
    /// The bytes after those, scrambled.
    tail: u32,
    /// Bytes of the unit.
    bytes: u32,
}

impl Aligned {
    fn new(unit: &[u8], alignment: usize) -> Self {
        let (head, rest) = unit.split_at(UNIT_LEAST - alignment);
        let first = (little_endian(head) << 8 | u32::from(b':')) << (8 * alignment);
        let (whole, tail) = rest.as_chunks::<4>();
        let mut blocks = [0; BLOCKS];
        for (mixed, block) in blocks.iter_mut().zip(whole) {
            *mixed = scrambled(u32::from_le_bytes(*block));
        }
        Self {
            first: first.wrapping_mul(C1),
            blocks,
            count: whole.len(),
            tail: scrambled(little_endian(tail)),
            bytes: unit.len() as u32,
        }
    }

    #[inline]
    fn hash(&self, salted: &Salted) -> u32 {
        self.hash_over(salted, &self.blocks[..self.count])
    }

    #[inline(always)]
    fn hash_over(&self, salted: &Salted, blocks: &[u32]) -> u32 {
        let meeting = salted.tail.wrapping_add(self.first);
        let mut hash = step(salted.state, meeting.rotate_left(15).wrapping_mul(C2));
        for block in blocks {
            hash = step(hash, *block);
        }
        finished(hash ^ self.tail, salted.bytes.wrapping_add(self.bytes))
    }

    /// Of the rules whose bits are set, those that take the unit.
    #[inline]
    fn taken_by(&self, asked: u64, stakes: &[Stake]) -> u64 {
        // The lengths of ids in the field, each with its steps written out: the loop costs as much as a step.
        match self.count {
            2 => self.taken_over::<2>(asked, stakes),
            3 => self.taken_over::<3>(asked, stakes),
            4 => self.taken_over::<4>(asked, stakes),
            5 => self.taken_over::<5>(asked, stakes),
            7 => self.taken_over::<7>(asked, stakes),
            8 => self.taken_over::<8>(asked, stakes),
            9 => self.taken_over::<9>(asked, stakes),
            count => taken(asked, stakes, |salted| {
                self.hash_over(salted, &self.blocks[..count])
            }),
        }
    }

    fn taken_over<const N: usize>(&self, asked: u64, stakes: &[Stake]) -> u64 {
        let blocks: [u32; N] = std::array::from_fn(|at| self.blocks[at]);
        taken(asked, stakes, |salted| self.hash_over(salted, &blocks))
    }
}

#[inline(always)]
fn taken(mut asked: u64, stakes: &[Stake], hash: impl Fn(&Salted) -> u32) -> u64 {
    let mut taken = 0;
    while asked != 0 {
        let at = asked.trailing_zeros();
        asked &= asked - 1;
        let stake = &stakes[at as usize];
        taken |= u64::from(stake.reach().holds_hash(hash(&stake.salted()))) << at;
    }
    taken
}

/// One block that is scrambled already.
#[inline]
const fn step(hash: u32, block: u32) -> u32 {
    (hash ^ block)
        .rotate_left(13)
        .wrapping_mul(5)
        .wrapping_add(0xe654_6b64)
}

/// A unit, mixed once for each alignment that was asked for.
pub(crate) struct Premixed<'a> {
    unit: &'a str,
    aligned: [Option<Aligned>; 4],
}

impl<'a> Premixed<'a> {
    /// Nothing is mixed before it is asked for.
    pub(crate) const fn new(unit: &'a str) -> Self {
        Self {
            unit,
            aligned: [None, None, None, None],
        }
    }

    #[inline]
    fn aligned(&mut self, alignment: usize) -> Option<&Aligned> {
        let unit = self.unit.as_bytes();
        if !(UNIT_LEAST..=UNIT_MOST).contains(&unit.len()) {
            return None;
        }
        let aligned = &mut self.aligned[alignment];
        Some(aligned.get_or_insert_with(|| Aligned::new(unit, alignment)))
    }

    /// The hash of `salt:unit`, `salt` being the text that `salted` was made of.
    #[inline]
    pub(crate) fn hash(&mut self, salted: &Salted, salt: &str, seed: u32) -> u32 {
        match self.aligned(salted.alignment()) {
            Some(aligned) => aligned.hash(salted),
            None => murmur3([salt.as_bytes(), b":", self.unit.as_bytes()], seed),
        }
    }

    /// Of up to 64 rules with these `stakes`, all of this alignment, those whose bits are set and that take the unit. A
    /// unit of an unusual length may be said to be taken by all.
    #[inline]
    pub(crate) fn taken_by(&mut self, alignment: usize, asked: u64, stakes: &[Stake]) -> u64 {
        let aligned = self.aligned(alignment);
        aligned.map_or(asked, |aligned| aligned.taken_by(asked, stakes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::hash_salted, *};

    fn agrees(salts: &[String], unit: &str) -> Result<(), TestCaseError> {
        let mut premixed = Premixed::new(unit);
        for salt in salts {
            for (seed, salted) in [
                (POSITION_SEED, Salted::for_positions(salt)),
                (ARM_SEED, Salted::for_arms(salt)),
            ] {
                let plain = hash_salted(salt, unit, seed);
                prop_assert_eq!(
                    premixed.hash(&salted, salt, seed),
                    plain,
                    "{}:{}",
                    salt,
                    unit
                );
            }
        }
        Ok(())
    }

    #[test]
    fn every_length_of_salt_and_unit_is_the_plain_hash() {
        let text = "0123456789abcdefghijklmnopqrstuvwxyz".repeat(5);
        let salts: Vec<String> = (0..=20).map(|bytes| text[..bytes].to_owned()).collect();
        for bytes in 0..=2 * UNIT_MOST + 8 {
            agrees(&salts, &text[7..7 + bytes]).unwrap();
        }
    }

    proptest! {
        #[test]
        fn rules_take_the_units_within_their_reach(
            salts in prop::collection::vec(("\\PC{0,40}", 0..=100_000_000_u32), 1..64), unit in "\\PC{0,140}", bits: u64
        ) {
            let share = |millionths: u32| crate::share::Share::from_millionths(millionths).unwrap();
            let rule = |(salt, millionths): &(String, u32)| {
                Stake::new(&Salted::for_positions(salt), Reach::of(share(*millionths)))
            };
            let rules: Vec<Stake> = salts.iter().map(rule).collect();
            let mut premixed = Premixed::new(&unit);
            for alignment in 0..4 {
                let here = |at: &usize| rules[*at].salted().alignment() == alignment;
                let here = (0..rules.len()).filter(here).fold(0, |mask, at| mask | 1 << at);
                let asked = bits & here;
                let taken = premixed.taken_by(alignment, asked, &rules);
                prop_assert_eq!(taken & !asked, 0);
                for (at, (salt, millionths)) in salts.iter().enumerate() {
                    let inside = super::super::fine(salt, &unit).is_in(share(*millionths));
                    let usual = (UNIT_LEAST..=UNIT_MOST).contains(&unit.len());
                    if asked >> at & 1 == 1 && (usual || inside) {
                        prop_assert_eq!(taken >> at & 1 == 1, inside || !usual);
                    }
                }
            }
        }

        #[test]
        fn what_is_mixed_beforehand_is_the_plain_hash(
            salts in prop::collection::vec("\\PC{0,40}", 1..6), unit in "\\PC{0,140}"
        ) {
            agrees(&salts, &unit)?;
        }
    }
}
