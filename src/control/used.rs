//! When each credential was last shown to this node: for people who look which of them nobody needs.
//!
//! Kept in memory alone, of this node alone, and gone with it: never a record, never a reason for anything. It
//! holds public names that the catalogue knows, so it is as bounded as the catalogue.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use huidu_core::{catalogue::Catalogue, time::Timestamp};

/// When each credential was last shown.
#[derive(Debug, Default)]
pub(super) struct LastUsed(Mutex<HashMap<String, Timestamp>>);

impl LastUsed {
    /// A credential that is known was shown.
    pub(super) fn note(&self, id: &str, now: Timestamp) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get_mut(id) {
            Some(last) => *last = now.max(*last),
            None => {
                seen.insert(id.to_owned(), now);
            }
        }
    }

    /// When those that the catalogue still knows were; the others are forgotten.
    pub(super) fn of(&self, catalogue: &Catalogue) -> HashMap<String, Timestamp> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|id, _| catalogue.tokens.contains_key(id));
        seen.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_time_counts_and_who_is_gone_is_forgotten() {
        let used = LastUsed::default();
        let at = Timestamp::from_unix_ms;
        used.note("a", at(2));
        used.note("a", at(1));
        assert_eq!(used.0.lock().unwrap()["a"], at(2));
        assert!(used.of(&Catalogue::default()).is_empty());
        assert!(used.0.lock().unwrap().is_empty());
    }
}
