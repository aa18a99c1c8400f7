//! Gathers the units of a segment in any order, within 16 bytes a unit.
//!
//! Keys fall into 256 shelves by their first byte. A shelf that grows or is sorted moves 1/256 of the
//! list, so nothing is ever held twice. It must never take more than the limit allows: what is refused
//! is refused while it is pushed.

use crate::limits;

use super::{Segment, SegmentError, key, layout::Layout};

const SHELVES: usize = 256;

/// Collects units; duplicates count once.
#[derive(Debug)]
pub struct SegmentBuilder {
    shelves: Box<[Vec<u64>]>,
    /// Keys held, duplicates included.
    held: u64,
    /// Duplicates are dropped when this many keys are held.
    compact_at: u64,
    limit: u64,
}

impl Default for SegmentBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl SegmentBuilder {
    /// An empty list.
    pub fn new() -> Self {
        Self::with_limit(limits::SEGMENT_UNITS)
    }

    fn with_limit(limit: u64) -> Self {
        Self {
            shelves: vec![Vec::new(); SHELVES].into_boxed_slice(),
            held: 0,
            compact_at: limit + slack(limit),
            limit,
        }
    }

    /// Adds a unit.
    pub fn push(&mut self, unit: &str) -> Result<(), SegmentError> {
        self.push_key(key(unit))
    }

    /// Adds the unit of this key.
    pub fn push_key(&mut self, key: u64) -> Result<(), SegmentError> {
        if self.held >= self.compact_at {
            self.compact()?;
            // Room for some duplicates again, so that a long list of them is not sorted at every push.
            self.compact_at = self.held + slack(self.limit);
        }
        let shelf = &mut self.shelves[usize::from(key.to_be_bytes()[0])];
        if shelf.len() == shelf.capacity() {
            // By a quarter instead of doubling: ten bytes a unit at worst, not sixteen.
            shelf.reserve_exact((shelf.len() / 4).max(16));
        }
        shelf.push(key);
        self.held += 1;
        Ok(())
    }

    /// The set of all that was pushed.
    pub fn finish(mut self) -> Result<Segment, SegmentError> {
        self.compact()?;
        Ok(self.finish_within_limit())
    }

    /// As [`finish`](Self::finish), for a list that is known to be sorted and within the limit.
    pub(super) fn finish_within_limit(self) -> Segment {
        let len = self.shelves.iter().map(Vec::len).sum();
        // Each shelf is freed once its keys are laid out.
        let keys = self.shelves.into_iter().flatten();
        Segment {
            layout: Layout::from_sorted(len, keys),
        }
    }

    fn compact(&mut self) -> Result<(), SegmentError> {
        self.held = 0;
        for shelf in &mut self.shelves {
            shelf.sort_unstable();
            shelf.dedup();
            shelf.shrink_to_fit();
            self.held += shelf.len() as u64;
        }
        if self.held > self.limit {
            return Err(SegmentError::TooMany { units: self.held });
        }
        Ok(())
    }
}

/// How many duplicates are carried before they are looked for.
fn slack(limit: u64) -> u64 {
    limit / 16 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_over_the_limit_is_refused_however_it_comes() {
        let mut builder = SegmentBuilder::with_limit(100);
        (0..101_u64).for_each(|key| builder.push_key(key << 57).unwrap());
        assert_eq!(builder.finish(), Err(SegmentError::TooMany { units: 101 }));

        let mut builder = SegmentBuilder::with_limit(100);
        let refused = (0..1_000).find_map(|key| builder.push_key(key).err());
        assert_eq!(refused, Some(SegmentError::TooMany { units: 107 }));
    }

    #[test]
    fn duplicates_never_count_towards_the_limit() {
        let mut builder = SegmentBuilder::with_limit(100);
        for round in 0..1_000_u64 {
            builder.push_key(round % 100).unwrap();
        }
        assert!(builder.held <= 107);
        let segment = builder.finish().unwrap();
        assert!(segment.keys().eq(0..100));
    }

    #[test]
    fn gathering_takes_at_most_sixteen_bytes_a_unit_with_the_finished_set_beside_it() {
        let units = 200_000_u64;
        let mut builder = SegmentBuilder::new();
        for index in 0..units {
            builder
                .push_key(index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
                .unwrap();
        }
        let gathered: usize = builder
            .shelves
            .iter()
            .map(|shelf| 8 * shelf.capacity())
            .sum();
        assert!(gathered as u64 <= 10 * units + 8 * 16 * SHELVES as u64);
        builder.compact().unwrap();
        let gathered: usize = builder
            .shelves
            .iter()
            .map(|shelf| 8 * shelf.capacity())
            .sum();
        let finished = builder.finish_within_limit().heap_bytes();
        assert!(gathered + finished <= 16 * units as usize);
    }
}
