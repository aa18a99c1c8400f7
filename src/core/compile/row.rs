//! `Row`: what a poll reads of a rule that may take the device, in one line of memory.
//!
//! A rollout's rows lie one after the other, so that walking them fetches nothing else; names, audiences and arms are
//! kept apart for the few polls that come to them. It says nothing that the rule does not say.

use crate::{
    bucket::{Reach, Salted, Stake},
    index::RULES_INDEXED,
    rollout::Rule,
    time::Timestamp,
};

use super::{CompiledRule, Draw, Offer};

/// The part of a rule that polls read.
#[repr(align(64))]
pub(crate) struct Row {
    pub(crate) start: Timestamp,
    /// When it ends; the last instant there is, where it does not.
    pub(crate) end: Timestamp,
    /// The salt that its units are drawn by.
    pub(crate) salted: Salted,
    /// Its place among the salts.
    pub(crate) salt: u32,
    /// The positions it takes, where it takes a share.
    pub(crate) reach: Reach,
    /// What it serves, where it splits nothing.
    pub(crate) offer: Option<Offer>,
    pub(crate) by: By,
    pub(crate) splits: bool,
    pub(crate) paused: bool,
    /// True when the index does not answer its whole audience.
    pub(crate) has_rest: bool,
}

const _: () = assert!(size_of::<Row>() == 64);

/// Which part of its audience a rule takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Everybody,
    Share,
    Slots,
}

impl Row {
    pub(super) fn new<'a>(
        written: &Rule,
        rule: &CompiledRule,
        has_rest: bool,
        salts: impl Fn(u32) -> &'a str,
    ) -> Self {
        let (by, salt, reach) = match &rule.draw {
            Draw::Everybody => (By::Everybody, rule.salt, Reach::default()),
            Draw::Share { salt, share } => (By::Share, *salt, Reach::of(*share)),
            Draw::Slots { salt, .. } => (By::Slots, *salt, Reach::default()),
        };
        let only = match &*rule.arms {
            [only] if only.name.is_none() => Some(only),
            _ => None,
        };
        Self {
            start: rule.start,
            end: rule.end.unwrap_or(Timestamp::from_unix_ms(u64::MAX)),
            salted: Salted::for_positions(salts(salt)),
            salt,
            reach,
            offer: only.and_then(|only| only.offer),
            by,
            splits: only.is_none(),
            paused: written.paused,
            has_rest,
        }
    }
}

/// Rules that take a share, of 64, by the alignment of their salt.
pub(crate) type Shared = [u64; 4];

/// Which of the rows that the index knows take a share.
pub(super) fn shared(rows: &[Row]) -> Box<[Shared]> {
    let known = &rows[..rows.len().min(RULES_INDEXED)];
    let of_chunk = |rows: &[Row]| {
        let mut shared = [0; 4];
        for (at, row) in rows.iter().enumerate() {
            shared[row.salted.alignment()] |= u64::from(row.by == By::Share) << at;
        }
        shared
    };
    known.chunks(64).map(of_chunk).collect()
}

/// What units are drawn by for each of the rows.
pub(super) fn stakes(rows: &[Row]) -> Box<[Stake]> {
    let stake = |row: &Row| Stake::new(&row.salted, row.reach);
    rows.iter().map(stake).collect()
}
