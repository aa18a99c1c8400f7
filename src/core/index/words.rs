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
    text_from: u32,
    text_to: u32,
    question: u32,
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
            let hash = hash(word.question, word.text.as_bytes());
            let mut slot = hash as usize & (room - 1);
            while slots[slot] != 0 {
                slot = (slot + 1) & (room - 1);
            }
            slots[slot] = hash & TAG | (entries.len() as u64 + 1);
            let from = text.len() as u32;
            text.push_str(word.text);
            entries.push(Entry {
                text_from: from,
                text_to: text.len() as u32,
                question: word.question,
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
        let hash = hash(question, text.as_bytes());
        let mut slot = hash as usize & last;
        loop {
            let taken = self.slots[slot];
            if taken == 0 {
                return None;
            }
            if (taken ^ hash) & TAG == 0 {
                let entry = &self.entries[(taken & !TAG) as usize - 1];
                let (from, to) = (entry.text_from as usize, entry.text_to as usize);
                if entry.question == question && self.text.as_bytes()[from..to] == *text.as_bytes()
                {
                    return Some(Found {
                        wanted: entry.wanted,
                        refused: entry.refused,
                    });
                }
            }
            slot = (slot + 1) & last;
        }
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

/// A short text needs two reads and two multiplications. The words come from people who write rules, so
/// nobody gains by choosing some that collide.
#[inline]
fn hash(question: u32, text: &[u8]) -> u64 {
    let folded = |a: u64, b: u64| {
        let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b ^ 0xe703_7ed1_a0b4_28db);
        product as u64 ^ (product >> 64) as u64
    };
    let eight = |at: usize| {
        let bytes = text.get(at..).and_then(<[u8]>::first_chunk::<8>);
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    let four = |at: usize| {
        let bytes = text.get(at..).and_then(<[u8]>::first_chunk::<4>);
        bytes.map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)))
    };
    let length = text.len();
    let seed = u64::from(question) << 32 | length as u64;
    let (first, last) = match length {
        0 => (0, 0),
        1..=3 => (
            u64::from(text[0]) << 16
                | u64::from(text[length / 2]) << 8
                | u64::from(text[length - 1]),
            0,
        ),
        4..=7 => (four(0), four(length - 4)),
        8..=16 => (eight(0), eight(length - 8)),
        _ => {
            let (whole, _) = text.as_chunks::<8>();
            let body =
                (whole.iter()).fold(seed, |sum, bytes| folded(sum, u64::from_le_bytes(*bytes)));
            (body, eight(length - 8))
        }
    };
    folded(folded(first, last), seed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{super::CHUNKS, *};

    proptest! {
        #[test]
        fn finds_the_words_that_were_put_in_and_no_others(
            words in prop::collection::btree_map((0..3_u32, "[ab]{0,5}|[a-z]{6,40}"), 1..u64::MAX, 0..60),
            strangers in prop::collection::vec((0..3_u32, "[ab]{0,6}|[a-z]{6,40}"), 20),
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
