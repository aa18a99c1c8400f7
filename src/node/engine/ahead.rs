//! Stops that lie behind a record this build cannot read: shown on top of what is true, never kept.
//!
//! A node that meets such a record stays in front of it, proves nothing any more and writes nothing; what must
//! stop does not wait for an upgrade.

use huidu_core::{catalogue::Touched, revision::Revision};

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
        let Some(before) = self.front.put_stops(stops.clone()) else {
            return;
        };
        let apps = stops.iter().chain(&before);
        let apps = apps.filter_map(|stop| stop.event.app().cloned()).collect();
        let last: Option<Revision> = stops.last().map(|stop| stop.rev);
        tracing::error!(last = ?last, stops = stops.len(), "stops behind a record that cannot be read are in force here");
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
