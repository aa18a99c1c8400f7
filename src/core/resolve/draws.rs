//! `Draws`: where one unit stands in the orders that a rollout's rules draw from.

use crate::{
    bucket::{ARM_SEED, Fine, POSITION_SEED, Premixed, ticket_of},
    compile::{CompiledApp, Row},
};

/// One unit's positions, each hashed when it is asked for.
pub(super) struct Draws<'a> {
    app: &'a CompiledApp,
    unit: Premixed<'a>,
    /// The salt that was asked for last: rules that follow each other often share one.
    last: (u32, Fine),
}

impl<'a> Draws<'a> {
    pub(super) const fn new(app: &'a CompiledApp, unit: &'a str) -> Self {
        Self {
            app,
            unit: Premixed::new(unit),
            last: (u32::MAX, Fine::of_hash(0)),
        }
    }

    /// Where the unit stands in the order that a rule draws from.
    #[inline]
    pub(super) fn position(&mut self, row: &Row) -> Fine {
        if self.last.0 != row.salt {
            let salt = &self.app.salts[row.salt as usize].0;
            let hash = self.unit.hash(&row.salted, salt, POSITION_SEED);
            self.last = (row.salt, Fine::of_hash(hash));
        }
        self.last.1
    }

    /// Its ticket among `tickets`, by the salt at this place.
    pub(super) fn ticket(&mut self, salt: u32, tickets: u32) -> u32 {
        let (text, salted) = &self.app.salts[salt as usize];
        ticket_of(self.unit.hash(salted, text, ARM_SEED), tickets)
    }

    /// Of 64 rules of a chunk, those that do not leave the unit out by their share.
    #[inline]
    pub(super) fn within(&mut self, chunk: usize, rules: u64) -> u64 {
        let stakes = &self.app.stakes[64 * chunk..];
        let mut within = rules;
        for (alignment, shared) in self.app.shared[chunk].iter().enumerate() {
            let asked = rules & shared;
            if asked != 0 {
                within ^= asked ^ self.unit.taken_by(alignment, asked, stakes);
            }
        }
        within
    }
}
