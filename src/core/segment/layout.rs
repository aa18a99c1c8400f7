//! How the keys of a segment lie in memory.
//!
//! Few keys: one sorted slice. Many: the top bits of a key choose a bucket of 8 to 16 neighbours, so
//! those bits need not be kept; the next 48 are kept in two slices without padding. Ten million units
//! take 6.42 bytes each. It never keeps text and never allocates after it is built.

/// From this many keys on, an index over the top bits pays for itself: below it, the 16 bits that must
/// go so that 48 suffice would cost more in index than they save in keys.
pub(super) const SPLIT_FROM: usize = 1 << 18;
/// Bits of a key that are kept beside the index.
const KEPT_BITS: u32 = 48;
/// A bucket longer than this is halved before it is scanned. Hashed units never make one; a crafted
/// list of keys may, and must not make every poll slow.
const SCAN: usize = 32;

/// The keys, in one of two shapes; the count alone decides which, so that equal sets are equal.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// All keys, ascending.
    Whole(Box<[u64]>),
    /// Keys without their top bits, bucket by bucket.
    Split(Split),
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Split {
    /// How many top bits choose the bucket; at least `64 - KEPT_BITS`, so that nothing is lost.
    prefix_bits: u32,
    /// Where bucket `b` begins; one more entry than buckets. A count of units fits: see the limit.
    starts: Box<[u32]>,
    /// The 32 bits after the prefix, ascending within a bucket.
    high: Box<[u32]>,
    /// The 16 bits after those, at the same position.
    low: Box<[u16]>,
}

const _: () = assert!(crate::limits::SEGMENT_UNITS < u32::MAX as u64);

/// Top bits that choose a bucket among `units` keys: 8 to 16 keys a bucket from half a million on.
const fn prefix_bits(units: usize) -> u32 {
    let wanted = (units / 8).ilog2();
    let least = u64::BITS - KEPT_BITS;
    if wanted > least { wanted } else { least }
}

/// Bytes on the heap that `units` keys take.
pub(super) const fn heap_bytes_of(units: usize) -> usize {
    if units < SPLIT_FROM {
        units * size_of::<u64>()
    } else {
        let index = (1 << prefix_bits(units)) + 1;
        index * size_of::<u32>() + units * (size_of::<u32>() + size_of::<u16>())
    }
}

// The promise of the design, held by the compiler: ten million units at 8 bytes or less.
const _: () = assert!(heap_bytes_of(10_000_000) <= 8 * 10_000_000);

impl Layout {
    /// Lays out `len` keys that come strictly ascending.
    pub(super) fn from_sorted(len: usize, keys: impl Iterator<Item = u64>) -> Self {
        if len < SPLIT_FROM {
            let mut whole = Vec::with_capacity(len);
            whole.extend(keys);
            debug_assert!(whole.len() == len && whole.is_sorted_by(|a, b| a < b));
            Self::Whole(whole.into_boxed_slice())
        } else {
            Self::Split(Split::from_sorted(len, keys))
        }
    }

    #[inline]
    pub(super) fn contains(&self, key: u64) -> bool {
        match self {
            Self::Whole(keys) => keys.binary_search(&key).is_ok(),
            Self::Split(split) => split.contains(key),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Whole(keys) => keys.len(),
            Self::Split(split) => split.high.len(),
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Whole(keys) => size_of_val(&**keys),
            Self::Split(split) => {
                size_of_val(&*split.starts) + size_of_val(&*split.high) + size_of_val(&*split.low)
            }
        }
    }

    /// The keys, ascending.
    pub(super) fn keys(&self) -> impl Iterator<Item = u64> + '_ {
        let (whole, split) = match self {
            Self::Whole(keys) => (Some(keys.iter().copied()), None),
            Self::Split(split) => (None, Some(split.keys())),
        };
        whole
            .into_iter()
            .flatten()
            .chain(split.into_iter().flatten())
    }
}

impl Split {
    fn from_sorted(len: usize, keys: impl Iterator<Item = u64>) -> Self {
        let prefix_bits = prefix_bits(len);
        let mut starts = vec![0_u32; (1 << prefix_bits) + 1].into_boxed_slice();
        let mut high = Vec::with_capacity(len);
        let mut low = Vec::with_capacity(len);
        for key in keys {
            let (bucket, kept_high, kept_low) = cut(key, prefix_bits);
            starts[bucket + 1] += 1;
            high.push(kept_high);
            low.push(kept_low);
        }
        debug_assert_eq!(high.len(), len);
        let mut start = 0;
        for entry in &mut starts {
            start += *entry;
            *entry = start;
        }
        Self {
            prefix_bits,
            starts,
            high: high.into_boxed_slice(),
            low: low.into_boxed_slice(),
        }
    }

    fn bucket(&self, bucket: usize) -> (usize, usize) {
        (
            self.starts[bucket] as usize,
            self.starts[bucket + 1] as usize,
        )
    }

    #[inline]
    fn contains(&self, key: u64) -> bool {
        let (bucket, wanted_high, wanted_low) = cut(key, self.prefix_bits);
        let (mut from, mut to) = self.bucket(bucket);
        while to - from > SCAN {
            let middle = from + (to - from) / 2;
            // Everything before `from` stays less than the wanted key, everything from `to` on greater.
            match (self.high[middle], self.low[middle]).cmp(&(wanted_high, wanted_low)) {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        for (offset, high) in self.high[from..to].iter().enumerate() {
            if *high > wanted_high {
                return false;
            }
            if *high == wanted_high && self.low[from + offset] == wanted_low {
                return true;
            }
        }
        false
    }

    fn keys(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.starts.len() - 1).flat_map(move |bucket| {
            let (from, to) = self.bucket(bucket);
            let prefix = (bucket as u64) << (u64::BITS - self.prefix_bits);
            (from..to).map(move |at| {
                let kept = u64::from(self.high[at]) << 32 | u64::from(self.low[at]) << 16;
                prefix | kept >> self.prefix_bits
            })
        })
    }
}

/// A key as its bucket and the 32 and 16 bits that follow the prefix. Bits beyond them are zero,
/// because the prefix is never shorter than 16 bits.
#[inline]
fn cut(key: u64, prefix_bits: u32) -> (usize, u32, u16) {
    let bucket = (key >> (u64::BITS - prefix_bits)) as usize;
    let kept = key << prefix_bits;
    (bucket, (kept >> 32) as u32, (kept >> 16) as u16)
}
