//! The words that rules ask for, of all questions in one table: a stated text is looked up once, however many rules
//! compare with it.
//!
//! Open addressing over flat slices. It must find exactly the words that were put in: the hash only says
//! where to look.

use super::Mask;

/// Where in the pool of cells the masks of a word lie.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cells {
    from: u32,
    to: u32,
}

/// 64 rules, and which of them.
#[derive(Debug, Clone, Copy)]
struct Cell {
    chunk: u32,
    rules: u64,
}

/// One word of one question.
#[derive(Debug)]
struct Entry {
    gist: Gist,
    text_from: u32,
    /// Rules that want this word.
    wanted: Cells,
    /// Rules that refuse it.
    refused: Cells,
}

/// What is found for a word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    wanted: Cells,
    refused: Cells,
}

#[derive(Debug, Default)]
pub(super) struct Words {
    /// A power of two of them, at most half taken: 32 bits of the hash, then the entry's place from 1.
    slots: Box<[u64]>,
    entries: Box<[Entry]>,
    cells: Box<[Cell]>,
    text: Box<str>,
}

/// A word that is put in: of which question, and the rules that want and that refuse it.
pub(super) struct Word<'a> {
    pub(super) question: u32,
    pub(super) text: &'a str,
    pub(super) wanted: Mask,
    pub(super) refused: Mask,
}

impl Words {
    /// The table of these words, none of them twice.
    pub(super) fn new<'a>(words: impl ExactSizeIterator<Item = Word<'a>>) -> Self {
        let room = (2 * words.len()).next_power_of_two();
        let mut slots = vec![0_u64; if words.len() == 0 { 0 } else { room }];
        let (mut entries, mut cells) = (Vec::with_capacity(words.len()), Vec::new());
        let mut text = String::new();
        for word in words {
            let gist = Gist::of(word.question, word.text.as_bytes());
            let hash = gist.hash();
            let mut slot = hash as usize & (room - 1);
            while slots[slot] != 0 {
                slot = (slot + 1) & (room - 1);
            }
            slots[slot] = hash & TAG | (entries.len() as u64 + 1);
            let from = text.len() as u32;
            text.push_str(word.text);
            entries.push(Entry {
                gist,
                text_from: from,
                wanted: pool(&mut cells, &word.wanted),
                refused: pool(&mut cells, &word.refused),
            });
        }
        Self {
            slots: slots.into(),
            entries: entries.into(),
            cells: cells.into(),
            text: text.into(),
        }
    }

    /// What rules think of `text` as an answer to `question`.
    #[inline]
    pub(super) fn find(&self, question: u32, text: &str) -> Option<Found> {
        let last = self.slots.len().checked_sub(1)?;
        let gist = Gist::of(question, text.as_bytes());
        let hash = gist.hash();
        let mut slot = hash as usize & last;
        loop {
            let taken = self.slots[slot];
            if taken == 0 {
                return None;
            }
            if (taken ^ hash) & TAG == 0 {
                let entry = &self.entries[(taken & !TAG) as usize - 1];
                if entry.gist == gist && (gist.is_whole() || self.text(entry) == text.as_bytes()) {
                    return Some(Found {
                        wanted: entry.wanted,
                        refused: entry.refused,
                    });
                }
            }
            slot = (slot + 1) & last;
        }
    }

    fn text(&self, entry: &Entry) -> &[u8] {
        let from = entry.text_from as usize;
        &self.text.as_bytes()[from..from + entry.gist.length as usize]
    }

    /// Adds who wants what was found, and takes away who refuses it.
    #[inline]
    pub(super) fn weigh<const N: usize>(
        &self,
        found: Found,
        wanted: &mut [u64; N],
        open: &mut [u64; N],
    ) {
        for cell in self.cells(found.wanted) {
            wanted[cell.chunk as usize % N] |= cell.rules;
        }
        for cell in self.cells(found.refused) {
            open[cell.chunk as usize % N] &= !cell.rules;
        }
    }

    #[inline]
    fn cells(&self, at: Cells) -> &[Cell] {
        &self.cells[at.from as usize..at.to as usize]
    }
}

fn pool(cells: &mut Vec<Cell>, mask: &Mask) -> Cells {
    let from = cells.len() as u32;
    let some = mask.iter().enumerate().filter(|(_, rules)| **rules != 0);
    cells.extend(some.map(|(chunk, rules)| Cell {
        chunk: chunk as u32,
        rules: *rules,
    }));
    Cells {
        from,
        to: cells.len() as u32,
    }
}

/// The bits of a slot that hold a part of the hash; the others hold a place.
const TAG: u64 = 0xffff_ffff_0000_0000;

/// A question and a text in three numbers: the whole text where it has at most 16 bytes, so that nothing more need
/// be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gist {
    first: u64,
    last: u64,
    question: u32,
    length: u32,
}

impl Gist {
    #[inline]
    fn of(question: u32, text: &[u8]) -> Self {
        let length = text.len();
        let (first, last) = match length {
            0 => (0, 0),
            1..=3 => {
                let byte = |at: usize| u64::from(text[at]);
                let ends = byte(0) << 16 | byte(length - 1);
                (ends | byte(length / 2) << 8, 0)
            }
            4..=7 => (four(text, 0), four(text, length - 4)),
            8..=16 => (eight(text, 0), eight(text, length - 8)),
            _ => {
                let (whole, _) = text.as_chunks::<8>();
                let folds = |sum, bytes: &[u8; 8]| folded(sum, u64::from_le_bytes(*bytes));
                (whole.iter().fold(0, folds), eight(text, length - 8))
            }
        };
        Self {
            first,
            last,
            question,
            length: length as u32,
        }
    }

    /// True when it is all there is to know of the text.
    #[inline]
    const fn is_whole(&self) -> bool {
        self.length <= 16
    }

    /// The words come from people who write rules, so nobody gains by choosing some that collide.
    #[inline]
    const fn hash(&self) -> u64 {
        let seed = (self.question as u64) << 32 | self.length as u64;
        folded(folded(self.first, self.last), seed)
    }
}

#[inline]
const fn folded(a: u64, b: u64) -> u64 {
    let product = (a ^ 0x9e37_79b9_7f4a_7c15) as u128 * (b ^ 0xe703_7ed1_a0b4_28db) as u128;
    product as u64 ^ (product >> 64) as u64
}

#[inline]
fn eight(text: &[u8], at: usize) -> u64 {
    let bytes = text.get(at..).and_then(<[u8]>::first_chunk::<8>);
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[inline]
fn four(text: &[u8], at: usize) -> u64 {
    let bytes = text.get(at..).and_then(<[u8]>::first_chunk::<4>);
    bytes.map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{super::CHUNKS, *};

    proptest! {
        #[test]
        fn finds_the_words_that_were_put_in_and_no_others(
            words in prop::collection::btree_map((0..3_u32, "[ab]{0,5}|[ab]{6,18}|[a-z]{6,40}"), 1..u64::MAX, 0..60),
            strangers in prop::collection::vec((0..3_u32, "[ab]{0,6}|[ab]{6,18}|[a-z]{6,40}"), 20),
        ) {
            let word = |((question, text), rules): (&(u32, String), &u64)| {
                let (mut wanted, mut refused) = ([0; CHUNKS], [0; CHUNKS]);
                wanted[*rules as usize % CHUNKS] = *rules;
                refused[0] = !*rules;
                (*question, text.clone(), wanted, refused)
            };
            let put: BTreeMap<(u32, String), (Mask, Mask)> = (words.iter().map(word))
                .map(|(question, text, wanted, refused)| ((question, text), (wanted, refused)))
                .collect();
            let table = Words::new(put.iter().map(|((question, text), (wanted, refused))| Word {
                question: *question,
                text,
                wanted: *wanted,
                refused: *refused,
            }));
            for asked in put.keys().cloned().chain(strangers) {
                let found = table.find(asked.0, &asked.1).map(|found| {
                    let (mut wanted, mut open) = ([0; CHUNKS], [u64::MAX; CHUNKS]);
                    table.weigh(found, &mut wanted, &mut open);
                    (wanted, open.map(|open| !open))
                });
                prop_assert_eq!(found, put.get(&asked).copied());
            }
        }
    }
}
