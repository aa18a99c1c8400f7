//! Looking ahead: what stops behind a record that this build cannot read.
//!
//! The ledger stays where it is, writes nothing and proves nothing; whoever serves from it shows the stops on top
//! of what it knows, until the record can be read. Each record is read once.

use huidu_core::{
    ahead::{self, Stop},
    digest::Digest,
    record::Found,
    revision::Revision,
};

use super::{Fold, Ledger, LedgerError, Position};
use crate::store::Key;

/// Records that one look reads, so that whoever waits behind it waits for a while and no longer.
const MOST: usize = 256;

/// How far was looked, and what was found.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Where the ledger stood.
    from: Revision,
    /// The last slot that was looked at.
    seen: Option<Position>,
    stops: Vec<Stop>,
}

impl<F: Fold> Ledger<F> {
    /// What stops behind the record that this node cannot read. Nothing while it can.
    pub async fn ahead(&mut self) -> Result<&[Stop], LedgerError> {
        if self.ahead.from != self.at.rev {
            self.ahead = Ahead {
                from: self.at.rev,
                ..Ahead::default()
            };
        }
        for _ in 0..MOST {
            let before = self.ahead.seen.unwrap_or(self.at);
            let slot = before.rev.next();
            let bytes = match self.parts.store.get(&Key::Log(slot.get())).await {
                Ok(bytes) => bytes,
                Err(error) if error.is_not_found() => break,
                Err(error) => return Err(error.into()),
            };
            let found = Found::read(&bytes);
            let stops = ahead::stops(&self.fold.catalogue(), slot, &before.head, &found);
            self.ahead.stops.extend(stops);
            self.ahead.seen = Some(Position {
                rev: slot,
                head: Digest::of(&bytes),
            });
        }
        Ok(&self.ahead.stops)
    }
}
