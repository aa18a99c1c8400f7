//! `Fingerprint`: a digest of everything that is true at one revision, so that nodes can tell whether they
//! came to the same.
//!
//! It covers the catalogue, of which everything that is served is a function; not what a node holds beside it (its
//! settings, its stamps, the latest wants). An app is hashed as a checkpoint packs it, and again only when it has
//! changed: a fingerprint costs what changed, and the names of the apps. So that memory which went bad is found as
//! well, every one looks at a few apps again whether they have changed or not.

use std::{collections::BTreeMap, ops::Bound};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    catalogue::Catalogue, checkpoint::pack_app, digest::Digest, name::AppId, record::RecordError,
    revision::Revision,
};

/// The way this build makes fingerprints. Those that were made another way are not compared: the same state
/// has another fingerprint there.
pub const WAY: u64 = 1;

/// Of how many revisions every one is a mark, at which all nodes take a fingerprint.
pub const MARK_EVERY: u64 = 64;

/// Of each of how many apps one is looked at again, whether it has changed or not.
const AGAIN: usize = 256;

/// A digest of everything that is true at one revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The way it was made.
    pub way: u64,
    /// The revision.
    pub rev: Revision,
    /// The digest.
    pub hash: Digest,
}

impl Fingerprint {
    /// Whether the other says the same; none: the two cannot be compared.
    pub fn agrees(&self, other: &Self) -> Option<bool> {
        let comparable = self.way == other.way && self.rev == other.rev;
        comparable.then(|| self.hash == other.hash)
    }
}

/// Makes fingerprints, and remembers what has not changed since the last one.
#[derive(Debug, Default)]
pub struct Fingerprints {
    apps: BTreeMap<AppId, (Revision, Digest)>,
    /// The last app that was looked at again.
    again: Option<AppId>,
}

impl Fingerprints {
    /// The fingerprint of what is true in `catalogue`.
    pub fn of(&mut self, catalogue: &Catalogue) -> Result<Fingerprint, RecordError> {
        self.forget_some();
        let mut apps = BTreeMap::new();
        let mut hash = Sha256::new();
        hash.update(b"huidu state 1\n");
        let rest = serde_json::to_vec(&catalogue.without_apps())?;
        hash.update((rest.len() as u64).to_be_bytes());
        hash.update(&rest);
        for (id, app) in &catalogue.apps {
            let known = self.apps.remove(id);
            let known = known.filter(|(revision, _)| *revision == app.revision);
            let digest = match known {
                Some((_, digest)) => digest,
                None => Digest::of(&pack_app(app)?),
            };
            hash.update((id.as_str().len() as u64).to_be_bytes());
            hash.update(id.as_str());
            hash.update(digest.as_bytes());
            apps.insert(id.clone(), (app.revision, digest));
        }
        self.apps = apps;
        Ok(Fingerprint {
            way: WAY,
            rev: catalogue.revision,
            hash: Digest::from_hasher(hash),
        })
    }

    /// Forgets a few apps, in turn, so that they are looked at again.
    fn forget_some(&mut self) {
        let count = self.apps.len().div_ceil(AGAIN);
        let from = self.again.take().map_or(Bound::Unbounded, Bound::Excluded);
        let some = self.apps.range((from, Bound::Unbounded));
        let some: Vec<AppId> = some.take(count).map(|(id, _)| id.clone()).collect();
        // Behind the last one it begins anew.
        self.again = some.last().cloned();
        for id in &some {
            self.apps.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{event::Event, time::Timestamp};

    fn catalogue(apps: usize) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for n in 0..apps {
            let app = format!("t/a{n:04}").parse().unwrap();
            let title = "x".to_owned();
            let event = Event::AppAdded { app, title };
            let rev = Revision::new(n as u64 + 1);
            let _touched = catalogue.apply(rev, Timestamp::from_unix_ms(1), &[event]);
        }
        catalogue
    }

    #[test]
    fn two_that_came_to_the_same_have_one_and_any_difference_another() {
        let one = catalogue(5);
        let of = |catalogue: &Catalogue| Fingerprints::default().of(catalogue).unwrap();
        assert_eq!(of(&one).agrees(&of(&one.clone())), Some(true));
        let mut other = one.clone();
        other.audience.push('x');
        assert_eq!(of(&one).agrees(&of(&other)), Some(false));
        let mut other = one.clone();
        let app: AppId = "t/a0003".parse().unwrap();
        Arc::make_mut(other.apps.get_mut(&app).unwrap())
            .title
            .push('x');
        assert_eq!(of(&one).agrees(&of(&other)), Some(false));
        let later = catalogue(6);
        assert_eq!(of(&one).agrees(&of(&later)), None);
        let mut strange = of(&one);
        strange.way += 1;
        assert_eq!(of(&one).agrees(&strange), None);
    }

    #[test]
    fn remembering_changes_nothing_and_what_went_bad_in_memory_is_found() {
        let mut known = Fingerprints::default();
        let mut catalogue = catalogue(600);
        let first = known.of(&catalogue).unwrap();
        for _ in 0..5 {
            assert_eq!(known.of(&catalogue).unwrap(), first);
        }
        assert_eq!(Fingerprints::default().of(&catalogue).unwrap(), first);
        // Its revision says that it has not changed.
        let app: AppId = "t/a0300".parse().unwrap();
        Arc::make_mut(catalogue.apps.get_mut(&app).unwrap())
            .title
            .push('x');
        let found = (0..2 * AGAIN).position(|_| known.of(&catalogue).unwrap() != first);
        assert!(found.is_some(), "every app is looked at again in its turn");
    }
}
