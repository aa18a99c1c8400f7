//! `Index`: which rules of a rollout can mean a device, found by looking up what the device states.
//!
//! A rollout of a thousand rules asks few different questions: a platform, a region, a version. Each is
//! answered once a poll and yields a set of rules as bits; the sets are cut with each other. What cannot
//! be looked up (segments, nested audiences, instants) stays with the rule as its rest, so that a rule means a
//! device exactly when it is in the set and its rest holds: a property test holds this against the
//! whole audience. It must never allocate on a poll.

mod build;
mod cuts;
mod words;

use crate::{
    limits,
    name::AttrName,
    poll::{Device, Installed},
    predicate::VersionField,
    version_range::Dotted,
};

use self::{
    build::Source,
    cuts::{Cuts, VersionCuts},
    words::Words,
};
pub(crate) use build::Builder;

/// Sets of 64 rules that hold all rules a rollout may have.
pub(crate) const CHUNKS: usize = limits::RULES.div_ceil(64);
/// Rules that the index knows. A rollout has no more; those of an unchecked one are asked one by one.
pub(crate) const RULES_INDEXED: usize = CHUNKS * 64;

/// A set of rules, a bit for each.
pub(crate) type Mask = [u64; CHUNKS];

/// What a rollout's rules ask, the other way round: from what is stated to who wants it.
#[derive(Debug)]
pub(crate) enum Index {
    /// Up to 64 rules, as nearly every rollout.
    Few(Table<1>),
    /// More.
    Many(Table<CHUNKS>),
}

/// An index over `64 * N` rules.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    /// Rules that are asked at all.
    open: [u64; N],
    words: Words,
    questions: Box<[Question<N>]>,
}

/// One thing that rules ask of a device.
#[derive(Debug)]
struct Question<const N: usize> {
    /// Rules that do not ask it.
    indifferent: [u64; N],
    answers: Answers<N>,
}

#[derive(Debug)]
enum Answers<const N: usize> {
    Words {
        source: Source,
        /// What the table of words calls it, where rules ask for whole words.
        exact: Option<u32>,
        prefix: u32,
        /// Lengths of prefixes that are asked for.
        lengths: Box<[u32]>,
    },
    Version(VersionField, VersionCuts<N>),
    Dotted(VersionField, Cuts<Dotted, N>),
    Number(AttrName, Cuts<i64, N>),
}

impl<const N: usize> Question<N> {
    fn new(asking: &Mask, answers: Answers<N>) -> Self {
        Self {
            indifferent: build::narrowed(&asking.map(|asking| !asking)),
            answers,
        }
    }
}

impl Index {
    /// Rules that mean the device, as far as the index can tell.
    #[inline]
    pub(crate) fn candidates(&self, device: &Device<'_>, installed: &Installed<'_>) -> Mask {
        match self {
            Self::Few(table) => {
                let mut all = [0; CHUNKS];
                [all[0]] = table.candidates(device, installed);
                all
            }
            Self::Many(table) => table.candidates(device, installed),
        }
    }
}

impl<const N: usize> Table<N> {
    #[inline]
    fn candidates(&self, device: &Device<'_>, installed: &Installed<'_>) -> [u64; N] {
        let mut open = self.open;
        for question in &self.questions {
            let mut meant = question.indifferent;
            match &question.answers {
                Answers::Words {
                    source,
                    exact,
                    prefix,
                    lengths,
                } => {
                    let mut stated = |text: &str| {
                        if let Some(found) = exact.and_then(|exact| self.words.find(exact, text)) {
                            self.words.weigh(found, &mut meant, &mut open);
                        }
                        for length in lengths {
                            let start = text.get(..*length as usize);
                            let found = start.and_then(|start| self.words.find(*prefix, start));
                            if let Some(found) = found {
                                self.words.weigh(found, &mut meant, &mut open);
                            }
                        }
                    };
                    match source {
                        Source::Text(field) => field.of(device).into_iter().for_each(stated),
                        Source::Attr(name) => {
                            device.attrs.get(name.as_str()).into_iter().for_each(stated);
                        }
                        Source::Tag => {
                            device.tags.any(|tag| {
                                stated(tag);
                                false
                            });
                        }
                    }
                }
                Answers::Version(field, cuts) => {
                    let stated = field.of(device, installed);
                    let stated = stated.and_then(|stated| stated.semver.as_ref());
                    join(&mut meant, stated.map(|version| cuts.of_version(version)));
                }
                Answers::Dotted(field, cuts) => {
                    let stated = field.of(device, installed);
                    let stated = stated.and_then(|stated| Dotted::parse(stated.text));
                    join(&mut meant, stated.map(|dotted| cuts.of_dotted(&dotted)));
                }
                Answers::Number(name, cuts) => {
                    let stated = device.attrs.get(name.as_str());
                    let stated = stated.and_then(|text| text.parse().ok());
                    join(&mut meant, stated.map(|number| cuts.of_number(number)));
                }
            }
            for (open, meant) in open.iter_mut().zip(&meant) {
                *open &= meant;
            }
        }
        open
    }
}

#[inline]
fn join<const N: usize>(all: &mut [u64; N], more: Option<&[u64; N]>) {
    for (all, more) in all.iter_mut().zip(more.into_iter().flatten()) {
        *all |= more;
    }
}

/// True when `rule` is in the set.
#[inline]
pub(crate) const fn has(mask: &Mask, rule: usize) -> bool {
    mask[rule / 64] >> (rule % 64) & 1 == 1
}

#[cfg(test)]
mod tests;
