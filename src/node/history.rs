//! The history: records of the ledger from the newest to the oldest, as people ask for them.
//!
//! Read from the store record by record, or from the copy while the store is away; bounded, and nothing of it is kept.

use bytes::Bytes;
use huidu_core::{name::AppId, record::Record, revision::Revision};

use super::Node;
use crate::store::{Key, StoreError};

/// Records that one look into the history may read.
const HISTORY_READS: u64 = 2_000;

/// A part of the history.
#[derive(Debug)]
pub struct History {
    /// Records, newest first.
    pub records: Vec<Record>,
    /// Ask again with this as `before` for older ones; none: there are none.
    pub next: Option<Revision>,
}

fn concerns(record: &Record, app: &AppId) -> bool {
    record.events.iter().any(|event| event.app() == Some(app))
}

impl Node {
    /// Records from the newest (or the one before `before`) backwards, at most `limit`, only those that
    /// concern `app` when one is given.
    pub async fn history(
        &self,
        app: Option<&AppId>,
        before: Option<Revision>,
        limit: usize,
    ) -> Result<History, StoreError> {
        let newest = self.shared.catalogue.read().revision;
        let mut at = before.map_or(newest.get(), |before| {
            before.get().saturating_sub(1).min(newest.get())
        });
        let lowest = at.saturating_sub(HISTORY_READS);
        let mut records = Vec::new();
        while at > lowest && records.len() < limit {
            let bytes = self.record_bytes(at).await?;
            at -= 1;
            // A record that was followed once decodes; one that does not is left out rather than hiding
            // all the others.
            let Ok(record) = Record::decode(&bytes) else {
                continue;
            };
            if app.is_none_or(|app| concerns(&record, app)) {
                records.push(record);
            }
        }
        Ok(History {
            records,
            next: (at > 0).then(|| Revision::new(at + 1)),
        })
    }

    pub(super) async fn record_bytes(&self, revision: u64) -> Result<Bytes, StoreError> {
        let key = Key::Log(revision);
        match (self.parts.store.get(&key).await, &self.parts.mirror_store) {
            (Err(_), Some(mirror)) => mirror.get(&key).await,
            (result, _) => result,
        }
    }
}
