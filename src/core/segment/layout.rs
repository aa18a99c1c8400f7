//! How the keys of a segment lie in memory.
//!
//! Few keys: one sorted slice. Many: lines of 64 bytes, the piece in which memory is fetched. A key's
//! line is where it falls when the keys' whole range is cut into as many equal parts as there are lines, so what
//! the line says need not be kept: 48 bits more tell a key from every other. A line holds ten; what does
//! not fit spills into a sorted slice. Nearly every question, hit or miss, is one fetch.
//!
//! Whatever the keys, a unit takes at most eight bytes: lists that would spill too much (hashed units never
//! do) are kept sorted. It never keeps text, never answers by chance, and never allocates after it is built.

/// Keys that one line holds.
const SEATS: usize = 10;
/// Keys for which there is a line: half a seat free on average, so that about one key in ten spills.
const LOAD_TIMES_2: usize = 19;
/// The fewest lines: from 2^16 on, 48 bits are enough beside the line.
const LINES_LEAST: usize = 1 << 16;
/// From this many keys on they lie in lines.
pub(super) const LINED_FROM: usize = LINES_LEAST * LOAD_TIMES_2 / 2;
/// More keys in a hundred than this do not spill: they would take more than eight bytes each.
const SPILL_PERCENT_MOST: usize = 15;

/// The keys, in one of two shapes; the keys alone decide which, so that equal sets are equal.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// All keys, ascending.
    Whole(Box<[u64]>),
    /// Keys without what their line says.
    Lined(Lined),
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Lined {
    /// One more than there are parts: the last says where the spill ends.
    lines: Box<[Line]>,
    /// Keys that found no seat, ascending.
    spill: Box<[u64]>,
    len: usize,
}

/// The keys of one part, ascending; free seats repeat the last key.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
struct Line {
    /// Where its spilled keys begin, then two flags.
    head: u32,
    high: [u32; SEATS],
    low: [u16; SEATS],
}

const SPILLED: u32 = 1;
const EMPTY: u32 = 2;
const START_SHIFT: u32 = 2;

const _: () = assert!(size_of::<Line>() == 64);
const _: () = assert!(crate::limits::SEGMENT_UNITS < 1 << (u32::BITS - START_SHIFT));

/// Lines for `units` keys.
const fn parts(units: usize) -> usize {
    units * 2 / LOAD_TIMES_2
}

// The promise of the design, held by the compiler: eight bytes a unit at most.
const _: () = assert!(
    (size_of::<Line>() * 100 * (parts(LINED_FROM) + 1) + 8 * SPILL_PERCENT_MOST * LINED_FROM)
        <= 8 * 100 * LINED_FROM
);

impl Layout {
    /// Lays out `len` keys that come strictly ascending.
    pub(super) fn from_sorted(len: usize, keys: impl Iterator<Item = u64>) -> Self {
        if len < LINED_FROM {
            return Self::whole(len, keys);
        }
        let lined = Lined::from_sorted(len, keys);
        if lined.spill.len() * 100 > SPILL_PERCENT_MOST * len {
            return Self::whole(len, lined.keys());
        }
        Self::Lined(lined)
    }

    fn whole(len: usize, keys: impl Iterator<Item = u64>) -> Self {
        let mut whole = Vec::with_capacity(len);
        whole.extend(keys);
        debug_assert!(whole.len() == len && whole.is_sorted_by(|a, b| a < b));
        Self::Whole(whole.into_boxed_slice())
    }

    #[inline]
    pub(super) fn contains(&self, key: u64) -> bool {
        match self {
            Self::Whole(keys) => near(keys, key).binary_search(&key).is_ok(),
            Self::Lined(lined) => lined.contains(key),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Whole(keys) => keys.len(),
            Self::Lined(lined) => lined.len,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Whole(keys) => size_of_val(&**keys),
            Self::Lined(lined) => size_of_val(&*lined.lines) + size_of_val(&*lined.spill),
        }
    }

    /// The keys, ascending.
    pub(super) fn keys(&self) -> impl Iterator<Item = u64> + '_ {
        let (whole, lined) = match self {
            Self::Whole(keys) => (Some(keys.iter().copied()), None),
            Self::Lined(lined) => (None, Some(lined.keys())),
        };
        whole
            .into_iter()
            .flatten()
            .chain(lined.into_iter().flatten())
    }
}

/// The stretch of sorted `keys` that `key` is in if it is there at all: where hashed keys put it, or all.
#[inline]
fn near(keys: &[u64], key: u64) -> &[u64] {
    if keys.len() < 256 {
        return keys;
    }
    let guess = part_of(key, keys.len()).0;
    // The keys before a hashed one vary by half a root of their count; this is four times that.
    let reach = 4 << (keys.len().ilog2() / 2);
    let (from, to) = (
        guess.saturating_sub(reach),
        (guess + reach).min(keys.len() - 1),
    );
    if keys[from] <= key && key <= keys[to] {
        &keys[from..=to]
    } else {
        keys
    }
}

/// Which of `parts` equal parts of all keys `key` is in, and how far into it, in parts of 2^64.
#[inline]
const fn part_of(key: u64, parts: usize) -> (usize, u64) {
    let product = key as u128 * parts as u128;
    ((product >> 64) as usize, product as u64)
}

/// A key as its part and the 48 bits that tell it from the other keys of the part: keys that follow
/// each other are `parts` ≥ 2^16 apart in there.
#[inline]
const fn cut(key: u64, parts: usize) -> (usize, u32, u16) {
    let (part, inside) = part_of(key, parts);
    (part, (inside >> 32) as u32, (inside >> 16) as u16)
}

/// The key that [`cut`] makes these of: the only one that fits, so the least that is not below.
const fn joined(part: usize, high: u32, low: u16, parts: usize) -> u64 {
    let product = (part as u128) << 64 | (high as u128) << 32 | (low as u128) << 16;
    product.div_ceil(parts as u128) as u64
}

impl Line {
    const NONE: Self = Self {
        head: EMPTY,
        high: [0; SEATS],
        low: [0; SEATS],
    };

    /// Where its spilled keys begin.
    const fn start(&self) -> usize {
        (self.head >> START_SHIFT) as usize
    }
}

impl Lined {
    fn from_sorted(len: usize, keys: impl Iterator<Item = u64>) -> Self {
        let parts = parts(len);
        let mut lines = vec![Line::NONE; parts + 1].into_boxed_slice();
        let mut spill = Vec::with_capacity(len / 8);
        let (mut here, mut taken) = (0, 0);
        for key in keys {
            let (part, high, low) = cut(key, parts);
            while here < part {
                here += 1;
                taken = 0;
                lines[here].head = (spill.len() as u32) << START_SHIFT | EMPTY;
            }
            let line = &mut lines[part];
            if taken == SEATS {
                line.head |= SPILLED;
                spill.push(key);
                continue;
            }
            line.head &= !EMPTY;
            line.high[taken..].fill(high);
            line.low[taken..].fill(low);
            taken += 1;
        }
        for line in &mut lines[here + 1..] {
            line.head = (spill.len() as u32) << START_SHIFT | EMPTY;
        }
        Self {
            lines,
            spill: spill.into_boxed_slice(),
            len,
        }
    }

    const fn parts(&self) -> usize {
        self.lines.len() - 1
    }

    #[inline]
    fn contains(&self, key: u64) -> bool {
        let (part, high, low) = cut(key, self.parts());
        let line = &self.lines[part];
        // No branch between seats: a wrong guess costs more than nine comparisons.
        let mut found = false;
        for (seated, rest) in line.high.iter().zip(&line.low) {
            found |= (*seated == high) & (*rest == low);
        }
        if found {
            return line.head & EMPTY == 0;
        }
        let last = (line.high[SEATS - 1], line.low[SEATS - 1]);
        line.head & SPILLED != 0 && (high, low) > last && self.has_spilled(part, key)
    }

    #[inline(never)]
    fn has_spilled(&self, part: usize, key: u64) -> bool {
        let spilled = self.lines[part].start()..self.lines[part + 1].start();
        self.spill[spilled].binary_search(&key).is_ok()
    }

    fn keys(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.parts()).flat_map(move |part| {
            let line = &self.lines[part];
            let spilled = line.start()..self.lines[part + 1].start();
            let seats = if line.head & EMPTY == 0 { SEATS } else { 0 };
            // Free seats repeat the last key, and only they do.
            let seated = (0..seats).filter(|at| {
                *at == 0
                    || (line.high[*at], line.low[*at]) != (line.high[*at - 1], line.low[*at - 1])
            });
            seated
                .map(move |at| joined(part, line.high[at], line.low[at], self.parts()))
                .chain(self.spill[spilled].iter().copied())
        })
    }
}
