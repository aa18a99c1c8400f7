//! The walk over all records, in order: chain, validity, checkpoints and heads.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use bytes::Bytes;
use huidu_core::{
    catalogue::Catalogue,
    checkpoint::{Checkpoint, Kept, Outline, pack_app},
    decide,
    digest::Digest,
    envelope::Envelope,
    event::Event,
    key::PublicKey,
    keyring::Role,
    merkle::{self, Frontier},
    op::RecentOps,
    record::{CheckpointRef, Found, GENESIS, Record, V1, V2},
    revision::Revision,
    time::Timestamp,
    treehead::SignedHead,
    validity::{self, Verdict},
};

use super::{Ask, Copy, Line, Report};
use crate::store::{Folder, Key, Store, StoreError};

/// How far a server's clock may be ahead of the store's.
const SKEW_MS: u64 = 10 * 60 * 1_000;

/// Where the walk is.
struct Walk<'a> {
    ask: &'a Ask,
    catalogue: Catalogue,
    ops: RecentOps,
    tree: Frontier,
    head: Digest,
    /// Keys of every keyring so far that may sign heads.
    log_keys: BTreeSet<PublicKey>,
    /// Checkpoints as the records lead to them.
    led_to: BTreeMap<u64, BTreeSet<Digest>>,
}

/// Walks over all records; what was true at their end.
pub(super) async fn walk(
    store: &dyn Store,
    copy: &Copy,
    ask: &Ask,
    report: &mut Report,
) -> Catalogue {
    let mut walk = Walk {
        ask,
        catalogue: Catalogue::default(),
        ops: RecentOps::default(),
        tree: Frontier::default(),
        head: GENESIS,
        log_keys: ask.log_keys.iter().cloned().collect(),
        led_to: BTreeMap::new(),
    };
    let named = copy.records.iter().filter_map(|(_, bytes)| {
        let record = Record::decode(bytes).ok()?;
        Some(record.ck?.rev.get())
    });
    let mut wanted: BTreeSet<u64> = named.collect();
    wanted.extend(copy.checkpoints.keys());
    let mut roots = BTreeMap::new();
    for (rev, bytes) in &copy.records {
        if !walk.step(*rev, bytes, report) {
            break;
        }
        roots.insert(*rev, walk.tree.root());
        if wanted.contains(rev) {
            walk.checkpoint(*rev, copy, report);
        }
    }
    report.records = walk.tree.size();
    report.root = walk.tree.root().to_hex();
    report.audience.clone_from(&walk.catalogue.audience);
    for (rev, bytes) in &copy.heads {
        walk.signed(*rev, bytes, &roots, report);
    }
    walk.bodies(store, copy, report).await;
    walk.dates(store, copy, report).await;
    if ask.root.is_some() && walk.catalogue.trust.chain.is_empty() {
        report.fault(
            0,
            "no keyring is in force: this is not the ledger of the root that was given",
        );
    }
    if let Some(kept) = &ask.kept {
        walk.kept(kept, &roots, report);
    }
    if report.signed_to < report.records {
        let (to, all) = (report.signed_to, report.records);
        let remark = format!("no signed head speaks for the records after {to}; there are {all}");
        report.remarks.push(remark);
    }
    if ask.root.is_none() && ask.log_keys.is_empty() {
        let remark =
            "the ledger's own first keyring is believed; give the root you know to do without";
        report.remarks.push(remark.to_owned());
    }
    walk.catalogue
}

impl Walk<'_> {
    /// Takes a record in. False: nothing that follows can be read as a continuation.
    fn step(&mut self, rev: u64, bytes: &Bytes, report: &mut Report) -> bool {
        let expected = self.tree.size() + 1;
        if rev != expected {
            report.fault(
                expected,
                format!("record {expected} is missing; record {rev} comes next"),
            );
            return false;
        }
        let found = Found::read(bytes);
        let verdict = self.verdict(&found);
        if let Verdict::Void(invalid) | Verdict::Nobody(invalid) = &verdict {
            report.fault(rev, format!("it does not count: {invalid}"));
        }
        let record = match (found.record(), &verdict) {
            (_, Verdict::Nobody(_)) => {
                self.pass(rev, bytes);
                return true;
            }
            (Err(error), _) => {
                report.fault(rev, format!("the record cannot be read: {error}"));
                return false;
            }
            (Ok(record), _) => record,
        };
        if record.rev.get() != rev {
            let says = record.rev;
            report.fault(rev, format!("the record says that it is revision {says}"));
            return false;
        }
        if !self.ask.blind.chain && record.prev != self.head {
            report.fault(
                rev,
                "the record does not follow the one before it: one of them was changed",
            );
            return false;
        }
        if verdict != Verdict::Counts {
            self.pass(rev, bytes);
            return true;
        }
        if let (Some(ck), false) = (record.ck, self.ask.blind.checkpoints)
            && (self.led_to.get(&ck.rev.get())).is_none_or(|roots| !roots.contains(&ck.root))
        {
            let at = ck.rev;
            report.fault(
                rev,
                format!(
                    "it vouches for another checkpoint of revision {at} than the records lead to"
                ),
            );
        }
        let had_keyring = !self.catalogue.trust.chain.is_empty();
        record.make_true(&mut self.catalogue);
        if !had_keyring && !self.catalogue.trust.chain.is_empty() {
            self.check_root(rev, report);
        }
        if let Some(keyring) = &self.catalogue.trust.chain.newest {
            self.log_keys
                .extend(keyring.signers(Role::Log).into_iter().cloned());
        }
        self.ops.note(record);
        self.stand(bytes);
        true
    }

    fn verdict(&self, found: &Found) -> Verdict {
        match found.record() {
            Ok(_) if self.ask.blind.validity => Verdict::Counts,
            Err(_) if self.ask.blind.validity => Verdict::Unreadable,
            _ => validity::judge(&self.catalogue, found),
        }
    }

    /// Passes over what does not count, as nodes do.
    fn pass(&mut self, rev: u64, bytes: &Bytes) {
        self.catalogue
            .apply(Revision::new(rev), Timestamp::EPOCH, &[]);
        self.stand(bytes);
    }

    fn stand(&mut self, bytes: &Bytes) {
        self.tree.push(merkle::leaf(bytes));
        self.head = Digest::of(bytes);
    }

    /// The first keyring must be the one that whoever asks has from elsewhere.
    fn check_root(&self, rev: u64, report: &mut Report) {
        let first = self.catalogue.trust.chain.envelope(1).map(str::as_bytes);
        let payload = |bytes: &[u8]| {
            Envelope::parse(bytes)
                .map(|one| one.payload().to_vec())
                .ok()
        };
        let Some(root) = self.ask.root.as_deref() else {
            return;
        };
        if payload(root).is_none_or(|root| first.and_then(payload) != Some(root)) {
            report.fault(rev, "the first keyring is not the root that was given");
        }
    }

    /// What the records lead to, as a checkpoint; it is the one that is kept, or there is none.
    fn checkpoint(&mut self, rev: u64, copy: &Copy, report: &mut Report) {
        if self.ask.blind.checkpoints {
            return;
        }
        let mut roots = BTreeSet::new();
        roots.extend(self.outlined(rev));
        let kept = copy.checkpoints.get(&rev);
        // What an earlier build wrote is in one piece.
        if kept.is_none_or(|kept| kept.iter().any(|kept| !roots.contains(kept))) {
            roots.extend(self.whole(rev));
        }
        for kept in kept.into_iter().flatten() {
            if roots.contains(kept) {
                report.checkpoints += 1;
            } else {
                report.fault(
                    rev,
                    format!("checkpoint {kept} is not what the records lead to"),
                );
            }
        }
        self.led_to.insert(rev, roots);
    }

    fn outlined(&self, rev: u64) -> Option<Digest> {
        let mut apps = Vec::with_capacity(self.catalogue.apps.len());
        for app in self.catalogue.apps.values() {
            let bytes = pack_app(app).ok()?;
            apps.push((app.id.clone(), Digest::of(&bytes)));
        }
        let outline = Outline {
            v: V2,
            rev: Revision::new(rev),
            head: self.head,
            catalogue: Cow::Owned(self.catalogue.without_apps()),
            ops: Cow::Borrowed(&self.ops),
            apps: Cow::Owned(apps),
        };
        outline.encode().ok().map(|(name, _)| name.root)
    }

    fn whole(&self, rev: u64) -> Option<Digest> {
        let checkpoint = Checkpoint {
            v: V1,
            rev: Revision::new(rev),
            head: self.head,
            catalogue: Cow::Borrowed(&self.catalogue),
            ops: Cow::Borrowed(&self.ops),
        };
        checkpoint.encode().ok().map(|(name, _)| name.root)
    }

    /// Whether checkpoints hold what their names promise.
    async fn bodies(&self, store: &dyn Store, copy: &Copy, report: &mut Report) {
        if self.ask.blind.checkpoints {
            return;
        }
        let mut seen = BTreeSet::new();
        for (rev, names) in &copy.checkpoints {
            for digest in names {
                let name = CheckpointRef {
                    rev: Revision::new(*rev),
                    root: *digest,
                };
                let key = Key::Checkpoint {
                    rev: *rev,
                    digest: *digest,
                };
                match store.get(&key).await {
                    Ok(bytes) => pieces(store, name, &bytes, &mut seen, report).await,
                    Err(error) => report.fault(*rev, format!("checkpoint {digest}: {error}")),
                }
            }
            if *rev > report.records {
                report.fault(
                    *rev,
                    "there is a checkpoint of a revision that there is no record of",
                );
            }
        }
    }

    /// Whether records say that they were written after the store had them.
    async fn dates(&self, store: &dyn Store, copy: &Copy, report: &mut Report) {
        for (rev, bytes) in &copy.records {
            let Ok(record) = Record::decode(bytes) else {
                continue;
            };
            let key = Key::Log(*rev);
            let Ok(Some(kept)) = store.kept_since(&key).await else {
                continue;
            };
            if record.at > kept.plus_ms(SKEW_MS) {
                let says = record.at;
                report.fault(
                    *rev,
                    format!("it says it was written at {says}, and the store has it since {kept}"),
                );
            }
        }
    }

    /// Whether a signed head speaks of these records.
    fn signed(&self, rev: u64, bytes: &[u8], roots: &BTreeMap<u64, Digest>, report: &mut Report) {
        if self.ask.blind.heads {
            return;
        }
        let note = String::from_utf8_lossy(bytes);
        let signed = match SignedHead::parse(&note) {
            Ok(signed) => signed,
            Err(error) => return report.fault(rev, error.to_string()),
        };
        let Some(head) = signed.by(&self.log_keys) else {
            return report.fault(rev, "the head is signed by no key that may sign heads");
        };
        if head.origin != self.catalogue.audience || head.tree.size() != rev {
            return report.fault(rev, "the head is of another ledger or of another revision");
        }
        match roots.get(&rev) {
            Some(root) if *root == head.tree.root() => {
                report.heads += 1;
                report.signed_to = report.signed_to.max(rev);
            }
            Some(_) => report.fault(rev, "the records up to here are not those that were signed"),
            None => report.fault(
                rev,
                "the ledger was cut off: a head was signed for records that are not there",
            ),
        }
    }

    /// Whether these records go on from what whoever asks kept.
    fn kept(&self, kept: &SignedHead, roots: &BTreeMap<u64, Digest>, report: &mut Report) {
        let Some(head) = kept.by(&self.log_keys) else {
            return report.fault(
                0,
                "the head that was kept is signed by no key that may sign heads",
            );
        };
        let size = head.tree.size();
        match roots.get(&size) {
            Some(root) if *root == head.tree.root() => {}
            Some(_) => report.fault(
                size,
                "the records up to here are not those of the head that was kept",
            ),
            None => report.fault(size, "the ledger is shorter than the head that was kept"),
        }
    }
}

/// Whether the pieces of a checkpoint are there, whole; those that were `seen` are not looked at again.
async fn pieces(
    store: &dyn Store,
    name: CheckpointRef,
    bytes: &Bytes,
    seen: &mut BTreeSet<Digest>,
    report: &mut Report,
) {
    // What cannot be read is not what the records lead to, which was told already.
    let Ok(Some(Kept::Parted(outline))) = Kept::decode(name, bytes) else {
        return;
    };
    for (app, digest) in outline.apps.iter() {
        if !seen.insert(*digest) {
            continue;
        }
        if let Err(error) = store.get(&Key::Cas(*digest)).await {
            let (rev, root) = (name.rev.get(), name.root);
            report.fault(rev, format!("`{app}` of checkpoint {root}: {error}"));
        }
    }
}

/// How far to walk.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// To the last record written at or before this instant.
    At(Timestamp),
    /// To this revision.
    Revision(Revision),
}

/// What was true at a moment: everything that counted up to then. The order of the ledger is the truth: what
/// stands before a record that was written by then was there as well, whatever its writer's clock said.
pub async fn until(store: &dyn Store, until: Until) -> Result<Catalogue, StoreError> {
    let mut records = Vec::new();
    for key in store.list(Folder::Log, None).await? {
        if let Key::Log(rev) = key {
            records.push((Revision::new(rev), store.get(&key).await?));
        }
    }
    let last = match until {
        Until::Revision(revision) => revision,
        Until::At(at) => {
            let mut catalogue = Catalogue::default();
            let told = records.iter().filter_map(|(rev, bytes)| {
                let line = line(&mut catalogue, *rev, bytes)?;
                (line.void.is_none() && line.at <= at).then_some(*rev)
            });
            told.last().unwrap_or(Revision::ZERO)
        }
    };
    let mut catalogue = Catalogue::default();
    for (rev, bytes) in records.iter().take_while(|(rev, _)| *rev <= last) {
        line(&mut catalogue, *rev, bytes);
    }
    Ok(catalogue)
}

/// Takes what lies in a slot in, and tells it; nothing to tell where it cannot be read.
pub(super) fn line(catalogue: &mut Catalogue, rev: Revision, bytes: &Bytes) -> Option<Line> {
    let found = Found::read(bytes);
    let verdict = validity::judge(catalogue, &found);
    let Ok(record) = found.into_record() else {
        catalogue.apply(rev, Timestamp::EPOCH, &[]);
        return None;
    };
    let person = decide::person(catalogue, &record.actor);
    let approved_by = approvers(catalogue, &record.events);
    let void = match verdict {
        Verdict::Counts => {
            record.make_true(catalogue);
            None
        }
        Verdict::Void(invalid) | Verdict::Nobody(invalid) => {
            catalogue.apply(rev, Timestamp::EPOCH, &[]);
            Some(invalid.to_string())
        }
        Verdict::Unreadable => return None,
    };
    Some(Line {
        revision: rev,
        at: record.at,
        actor: record.actor,
        person,
        approved_by,
        why: record.why,
        events: record.events,
        void,
    })
}

/// Who agreed to what happened: those who had before, and those who did with it.
fn approvers(catalogue: &Catalogue, events: &[Event]) -> Vec<String> {
    let enacted = events.iter().find_map(|event| match event {
        Event::ProposalEnacted { id } => catalogue.trust.proposals.get(id),
        _ => None,
    });
    let mut all: Vec<String> = Vec::new();
    if let Some(proposal) = enacted {
        all.push(format!("{} (asked)", proposal.by));
        all.extend(proposal.approvals.iter().map(|one| one.by.clone()));
    }
    all.extend(events.iter().filter_map(|event| match event {
        Event::ProposalApproved { by, .. } | Event::ReviewApproved { by, .. } => Some(by.clone()),
        _ => None,
    }));
    all
}

/// When a record was written, by its writer's clock.
pub async fn written_at(store: &dyn Store, revision: Revision) -> Result<Timestamp, StoreError> {
    let bytes = store.get(&Key::Log(revision.get())).await?;
    Ok(Record::decode(&bytes).map_or(Timestamp::EPOCH, |record| record.at))
}
