//! Stops that lie behind a record this build cannot read: shown on top of what is true, never kept.
//!
//! A node that meets such a record stays in front of it, proves nothing any more and writes nothing; what must
//! stop does not wait for an upgrade.

use std::borrow::Cow;

use huidu_core::{
    ahead::{self, Stop},
    catalogue::{Catalogue, Touched},
    revision::Revision,
};

use super::{Engine, Source};
use crate::{ledger::LedgerError, node::fold::Changed};

impl Engine {
    /// Looks for stops where the ledger cannot be read further, and forgets them where it can.
    pub(super) async fn look_ahead(&mut self, error: Option<&LedgerError>) {
        let stops = match (&mut self.source, error) {
            (Source::Store(ledger), Some(LedgerError::Unreadable { .. })) => {
                match ledger.ahead().await {
                    Ok(stops) => stops.to_vec(),
                    Err(_) => return,
                }
            }
            (_, None) => Vec::new(),
            _ => return,
        };
        if stops.len() == self.stops.len() {
            return;
        }
        let apps = stops.iter().chain(&self.stops);
        let apps = apps.filter_map(|stop| stop.event.app().cloned()).collect();
        let last: Option<Revision> = stops.last().map(|stop| stop.rev);
        tracing::error!(last = ?last, stops = stops.len(), "stops behind a record that cannot be read are in force here");
        self.stops = stops;
        let touched = Touched {
            apps,
            kills: true,
            ..Touched::default()
        };
        self.refresh(Changed {
            touched,
            ..Changed::default()
        })
        .await;
    }
}

/// What is true, with these stops on top of it.
pub(super) fn with<'a>(catalogue: &'a Catalogue, stops: &[Stop]) -> Cow<'a, Catalogue> {
    if stops.is_empty() {
        Cow::Borrowed(catalogue)
    } else {
        Cow::Owned(ahead::stopped(catalogue, stops))
    }
}
