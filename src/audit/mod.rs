//! The audit: whether a copy of the store tells one unbroken story, and only what may have happened.
//!
//! It needs the objects and nothing else: no server, no bus, no secret. Every record is held against the one
//! before it by hash, against the signed heads by the Merkle tree, and against what was true by the same rule
//! of validity that nodes keep. It writes nothing, and it never stops at what merely does not count.

mod walk;

use std::collections::BTreeMap;

use huidu_core::{
    catalogue::Catalogue, digest::Digest, key::PublicKey, revision::Revision, time::Timestamp,
    treehead::SignedHead,
};
use serde::Serialize;

use crate::store::{Folder, Key, Store, StoreError};

pub use walk::{Until, until, written_at};

/// What is looked for besides the story itself.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// The first keyring, as whoever asks has it from elsewhere. None: the ledger's own is believed.
    pub root: Option<Vec<u8>>,
    /// Keys of heads besides those that keyrings list.
    pub log_keys: Vec<PublicKey>,
    /// A head that whoever asks kept from an earlier time.
    pub kept: Option<SignedHead>,
    /// Whether bundles, lists of files and segments that are named are there, whole.
    pub objects: bool,
    /// Leave checks out, to show that they are needed. Nothing but tests does.
    pub blind: Blind,
}

/// Checks that are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Blind {
    /// The hash of the record before.
    pub chain: bool,
    /// Signed heads.
    pub heads: bool,
    /// Whether records may count.
    pub validity: bool,
    /// Checkpoints.
    pub checkpoints: bool,
}

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// At which revision.
    pub revision: u64,
    /// What.
    pub what: String,
}

/// What an audit found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Whose ledger it is.
    pub audience: String,
    /// How many records were read.
    pub records: u64,
    /// The root over all of them.
    pub root: String,
    /// How many checkpoints are what their records lead to.
    pub checkpoints: u64,
    /// How many signed heads hold.
    pub heads: u64,
    /// The last revision that a head speaks for.
    pub signed_to: u64,
    /// Objects that were looked at.
    pub objects: u64,
    /// What is not as it must be.
    pub faults: Vec<Fault>,
    /// What is worth knowing, and no fault.
    pub remarks: Vec<String>,
}

impl Report {
    /// True when nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    fn fault(&mut self, revision: u64, what: impl Into<String>) {
        self.faults.push(Fault {
            revision,
            what: what.into(),
        });
    }
}

/// Everything in the store that an audit reads first.
struct Copy {
    records: Vec<(u64, bytes::Bytes)>,
    checkpoints: BTreeMap<u64, Vec<Digest>>,
    heads: Vec<(u64, bytes::Bytes)>,
}

impl Copy {
    async fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let mut copy = Self {
            records: Vec::new(),
            checkpoints: BTreeMap::new(),
            heads: Vec::new(),
        };
        for key in store.list(Folder::Log, None).await? {
            if let Key::Log(rev) = key {
                copy.records.push((rev, store.get(&key).await?));
            }
        }
        for key in store.list(Folder::Checkpoints, None).await? {
            if let Key::Checkpoint { rev, digest } = key {
                copy.checkpoints.entry(rev).or_default().push(digest);
            }
        }
        for key in store.list(Folder::Heads, None).await? {
            if let Key::Head(rev) = key {
                copy.heads.push((rev, store.get(&key).await?));
            }
        }
        Ok(copy)
    }
}

/// Reads a whole store and says what is wrong with it.
pub async fn verify(store: &dyn Store, ask: &Ask) -> Result<Report, StoreError> {
    let copy = Copy::read(store).await?;
    let mut report = Report::default();
    let catalogue = walk::walk(store, &copy, ask, &mut report).await;
    if ask.objects {
        objects(store, &catalogue, &mut report).await;
    }
    Ok(report)
}

/// Whether every archive, list of files and segment that is named is there, whole.
async fn objects(store: &dyn Store, catalogue: &Catalogue, report: &mut Report) {
    let bundles = catalogue.apps.values().flat_map(|app| {
        let versions = app.versions.values();
        versions.flat_map(|version| {
            let name = format!("{}@{}", app.id, version.number);
            let files = version.dossier.open().files;
            let files = files.map(|digest| (format!("files of {name}"), digest));
            std::iter::once((name, version.bundle.sha256)).chain(files)
        })
    });
    let segments = (catalogue.segments.iter())
        .map(|(name, segment)| (format!("segment `{name}`"), segment.sha256));
    for (name, digest) in bundles.chain(segments) {
        report.objects += 1;
        if let Err(error) = store.get(&Key::Cas(digest)).await {
            let revision = catalogue.revision.get();
            report.fault(revision, format!("{name}: {error}"));
        }
    }
}

/// One record as history shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Its revision.
    pub revision: Revision,
    /// When, by its writer's clock.
    pub at: Timestamp,
    /// Who.
    pub actor: huidu_core::event::Actor,
    /// The person, where the credential is one's.
    pub person: String,
    /// Who agreed.
    pub approved_by: Vec<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What happened.
    pub events: Vec<huidu_core::event::Event>,
    /// Why it does not count, where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub void: Option<String>,
}

/// Every record of the store, in order, with who did it and who agreed.
pub async fn lines(store: &dyn Store) -> Result<Vec<Line>, StoreError> {
    let copy = Copy::read(store).await?;
    let mut catalogue = Catalogue::default();
    let mut lines = Vec::new();
    for (rev, bytes) in &copy.records {
        lines.extend(walk::line(&mut catalogue, Revision::new(*rev), bytes));
    }
    Ok(lines)
}
