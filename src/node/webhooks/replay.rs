//! What there is to tell, read from the ledger again: by a node that has been started since, or has dropped it.
//!
//! It is followed as every node follows it, from a checkpoint in front of the place, so that what does not count is told
//! to nobody. Costs a second catalogue for as long as it takes.

use std::sync::Arc;

use bytes::Bytes;
use huidu_core::{
    catalogue::Catalogue,
    record::{CheckpointRef, Found, Record},
    revision::Revision,
    time::Timestamp,
    validity::{self, Invalid, Verdict},
    webhook::{self, Message, Place},
};

use crate::ledger::{Fold, Ledger, LedgerError, Parts, Tail};

/// Messages gathered at a time.
const GATHERED: usize = 256;

/// What was found, and the place up to which that is all.
pub(super) struct Replayed {
    pub(super) messages: Vec<Arc<Message>>,
    pub(super) upto: Place,
}

/// What there is to tell from `from` on, up to the end of `head` or as much as is gathered at a time.
pub(super) async fn replay(
    parts: Parts,
    from: Place,
    head: Revision,
) -> Result<Replayed, LedgerError> {
    let fold = Gathering {
        catalogue: Catalogue::default(),
        from,
        messages: Vec::new(),
    };
    let mut ledger = Ledger::from_before(parts, fold, from.rev).await?;
    while ledger.revision() < head && ledger.fold().messages.len() < GATHERED {
        match ledger.next().await {
            Ok(Tail::Record(_) | Tail::Void(_)) => {}
            // What this build cannot read nobody is told of.
            Ok(Tail::AtTail { .. }) | Err(LedgerError::Unreadable { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    let upto = Place::behind(ledger.revision());
    let messages = std::mem::take(&mut ledger.fold_mut().messages);
    Ok(Replayed { messages, upto })
}

struct Gathering {
    catalogue: Catalogue,
    from: Place,
    messages: Vec<Arc<Message>>,
}

impl Fold for Gathering {
    type View<'a> = &'a Catalogue;

    fn restore(&mut self, catalogue: Catalogue, _: CheckpointRef) {
        self.catalogue = catalogue;
    }

    fn judge(&self, found: &Found) -> Verdict {
        validity::judge(&self.catalogue, found)
    }

    fn apply(&mut self, record: &Record, _: &Bytes) {
        let _touched = record.make_true(&mut self.catalogue);
        if record.rev >= self.from.rev {
            let said = webhook::of(record, &self.catalogue).into_iter();
            let wanted = said.filter(|message| message.place >= self.from);
            self.messages.extend(wanted.map(Arc::new));
        }
    }

    fn skip(&mut self, rev: Revision, _: &Bytes, _: &Invalid) {
        let _touched = self.catalogue.apply(rev, Timestamp::EPOCH, &[]);
    }

    fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }
}
