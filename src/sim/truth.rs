//! What is true: every record that ever landed, folded by the core, and the promises held against it.
//!
//! The truth is a tree: where a store lets two writers win one slot, both histories are in it. With a sound store
//! it is a line. It hears of records where they land, never from a node.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use huidu_core::{
    catalogue::{App, Catalogue},
    digest::Digest,
    manifest::{Manifest, State as Told},
    name::AppId,
    op::OpId,
    record::{GENESIS, Record},
    revision::Revision,
    seal::SignedStamp,
    time::Timestamp,
    version::Number,
};

use super::{
    process::Seen,
    world::{World, locked, short},
};

/// What is true after one record.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) rev: u64,
    pub(super) head: Digest,
    pub(super) parent: Digest,
    pub(super) catalogue: Arc<Catalogue>,
    /// When it landed.
    pub(super) landed: Timestamp,
    pub(super) touched: BTreeSet<AppId>,
}

/// An answer that a change was made.
#[derive(Debug, Clone)]
pub(super) struct Acknowledged {
    pub(super) op: OpId,
    pub(super) rev: u64,
}

/// Everything that landed, and what people were told of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Truth {
    moments: BTreeMap<Digest, Arc<Moment>>,
    at: BTreeMap<u64, Vec<Digest>>,
    /// What the store shows in each slot.
    line: BTreeMap<u64, Digest>,
    ops: BTreeMap<OpId, Vec<u64>>,
    /// Wants that shall never happen, and the records that say so.
    voided: BTreeMap<OpId, u64>,
    /// Wants of which somebody was told that nothing happened.
    denied: BTreeMap<OpId, String>,
    acknowledged: Vec<Acknowledged>,
}

impl Truth {
    pub(super) fn tail(&self) -> u64 {
        self.line.keys().next_back().copied().unwrap_or_default()
    }

    /// The first record that had its word on `op`.
    pub(super) fn settled(&self, op: &OpId) -> Option<u64> {
        let happened = self.ops.get(op).and_then(|slots| slots.first());
        let voided = self.voided.get(op);
        happened.into_iter().chain(voided).min().copied()
    }

    fn shown(&self, rev: u64) -> Option<Arc<Moment>> {
        self.moments.get(self.line.get(&rev)?).cloned()
    }

    pub(super) fn newest(&self) -> Option<Arc<Moment>> {
        self.shown(self.tail())
    }

    /// The moments from `head` back to the beginning.
    fn back<'a>(&'a self, head: &Digest) -> impl Iterator<Item = &'a Arc<Moment>> {
        let first = self.moments.get(head);
        std::iter::successors(first, |moment| self.moments.get(&moment.parent))
    }

    /// True when the record `rev` on the way to `head` landed after `asof`.
    fn is_after(&self, head: &Digest, rev: u64, asof: Timestamp) -> bool {
        let mut way = self.back(head);
        way.any(|moment| moment.rev == rev && moment.landed > asof)
    }

    /// True when one of `heads` is on the way to `head`, or is it.
    fn is_behind_any(&self, heads: &[Digest], head: &Digest) -> bool {
        self.back(head).any(|moment| heads.contains(&moment.head))
    }
}

impl World {
    /// A record landed in `slot`; `shown`: it is what the store has there from now on.
    pub(super) fn landed(&self, by: Option<usize>, slot: u64, bytes: &Bytes, shown: bool) {
        let head = Digest::of(bytes);
        let record = Record::decode(bytes).ok().filter(|_| by.is_some());
        let told = record.as_ref().map(told).unwrap_or_default();
        let by = by.map_or("somebody else".to_owned(), |node| format!("node {node}"));
        self.say(format_args!(
            "ledger: {slot} by {by} is {} {told}",
            short(&head)
        ));
        self.count("records");
        let mut truth = locked(&self.truth);
        let below = truth.line.get(&(slot - 1)).copied().unwrap_or(GENESIS);
        let parent = record.as_ref().map_or(below, |record| record.prev);
        let is_first = slot == 1 && parent == GENESIS;
        let known = truth
            .moments
            .get(&parent)
            .filter(|known| known.rev + 1 == slot)
            .cloned();
        if known.is_none() && !is_first {
            drop(truth);
            self.broken(
                "one order",
                format_args!(
                    "record {slot} follows nothing that there is in slot {}",
                    slot - 1
                ),
            );
            return;
        }
        let mut catalogue =
            known.map_or_else(Catalogue::default, |known| (*known.catalogue).clone());
        let touched = match &record {
            Some(record) => record.make_true(&mut catalogue).apps,
            None => {
                catalogue
                    .apply(Revision::new(slot), Timestamp::EPOCH, &[])
                    .apps
            }
        };
        let moment = Moment {
            rev: slot,
            head,
            parent,
            catalogue: Arc::new(catalogue),
            landed: self.now(),
            touched: touched.into_iter().collect(),
        };
        truth.moments.insert(head, Arc::new(moment));
        truth.at.entry(slot).or_default().push(head);
        if shown {
            truth.line.insert(slot, head);
        }
        let Some(op) = record.as_ref().map(|record| record.op) else {
            return;
        };
        if let Some(voided) = record.and_then(|record| record.void) {
            truth.voided.entry(voided).or_insert(slot);
        }
        let slots = truth.ops.entry(op).or_default();
        slots.push(slot);
        let (slots, denied) = (slots.clone(), truth.denied.get(&op).cloned());
        drop(truth);
        if slots.len() > 1 && !self.plan.is_multi_winner {
            self.broken("one order", format_args!("want {op} happened in {slots:?}"));
        }
        // Where two may win a slot, what lost it for good may win it later.
        if let Some(denied) = denied
            && !self.plan.is_multi_winner
        {
            self.broken(
                "no false failure",
                format_args!("want {op} is in slot {slot}, and was said to have failed: {denied}"),
            );
        }
    }

    /// Somebody was told that nothing of `op` happened.
    pub(super) fn denied(&self, op: OpId, why: &str) {
        let mut truth = locked(&self.truth);
        truth.denied.insert(op, why.to_owned());
        let slots = truth.ops.get(&op).cloned().unwrap_or_default();
        drop(truth);
        if !slots.is_empty() && !self.plan.is_multi_winner {
            self.broken(
                "no false failure",
                format_args!("want {op} is in slot {slots:?}, and is said to have failed: {why}"),
            );
        }
    }

    /// Somebody was told that `op` is in force since `rev`. False: it is nowhere, so there was nothing to change.
    pub(super) fn acknowledged(&self, op: OpId, rev: u64) -> bool {
        let mut truth = locked(&self.truth);
        let is_there = truth.ops.get(&op).is_some_and(|slots| slots.contains(&rev));
        if is_there {
            truth.acknowledged.push(Acknowledged { op, rev });
        }
        is_there
    }

    /// What was true at `rev`, as the store shows it.
    pub(super) fn true_at(&self, rev: u64) -> Option<Arc<Moment>> {
        locked(&self.truth).shown(rev)
    }

    /// Every acknowledged change is where it was said to be.
    pub(super) fn all_acknowledged_are_kept(&self) {
        if self.plan.is_multi_winner {
            return;
        }
        let acknowledged = locked(&self.truth).acknowledged.clone();
        for Acknowledged { op, rev } in acknowledged {
            let bytes = self.kept(rev);
            let kept = bytes.and_then(|bytes| Record::decode(&bytes).ok());
            if kept.is_none_or(|record| record.op != op) {
                self.broken(
                    "acknowledged is durable",
                    format_args!("want {op} is not in slot {rev}"),
                );
            }
        }
    }

    fn kept(&self, rev: u64) -> Option<Bytes> {
        let objects = locked(&self.objects);
        let object = objects.kept.get(&crate::store::Key::Log(rev))?;
        Some(object.bytes.clone())
    }

    /// A node's catalogue is what a prefix of the ledger leads to, and goes on from what it was. Two histories may
    /// lead to the same, so there may be several.
    pub(super) fn one_order(&self, node: usize, seen: &mut Seen, catalogue: &Catalogue) {
        let rev = catalogue.revision.get();
        let truth = locked(&self.truth);
        let goes_on =
            |head: &Digest| seen.heads.is_empty() || truth.is_behind_any(&seen.heads, head);
        let heads = truth.at.get(&rev).into_iter().flatten().copied();
        let heads = heads.filter(|head| *truth.moments[head].catalogue == *catalogue);
        let found: Vec<Digest> = heads.filter(goes_on).collect();
        drop(truth);
        if found.is_empty() && rev > 0 {
            self.broken(
                "one order",
                format_args!("node {node} is at {rev} with what no prefix of the ledger from where it was leads to"),
            );
            return;
        }
        seen.heads = found;
        self.one_memory(node, seen);
    }

    /// A node that was started again is on the history that it was on before.
    fn one_memory(&self, node: usize, seen: &mut Seen) {
        if seen.before.is_empty() {
            return;
        }
        let truth = locked(&self.truth);
        let (now, before) = (&seen.heads, &seen.before);
        let goes_on = now.iter().any(|head| truth.is_behind_any(before, head));
        let is_behind = before.iter().any(|head| truth.is_behind_any(now, head));
        drop(truth);
        if is_behind && !goes_on {
            return;
        }
        seen.before.clear();
        if goes_on {
            return;
        }
        self.say(format_args!(
            "node {node}: is on another history than before it was started"
        ));
        self.count("starts on another history");
        if !self.plan.is_multi_winner {
            self.broken(
                "one order",
                format_args!("node {node} was started again on another history"),
            );
        }
    }

    /// What a node would say of an app at `rev` of its own history, or at a later moment that it has taken in, may be
    /// said: a kill compiles its app from the newest of them, before all the others are. With a kill on top of what it
    /// knows, a node borrows the number of the next record; so `rev` is not yet known to it when it landed after `asof`.
    pub(super) fn may_be_said(
        &self,
        node: usize,
        seen: &Seen,
        (rev, asof): (u64, Timestamp),
        body: &[u8],
    ) {
        let Ok(manifest) = serde_json::from_slice::<Manifest>(body) else {
            return;
        };
        let (Told::Run, Some(version)) = (manifest.state, &manifest.version) else {
            return;
        };
        let truth = locked(&self.truth);
        let moments = seen.heads.iter().flat_map(|head| {
            let is_known = |moment: &&Arc<Moment>| {
                moment.rev >= rev || moment.rev + 1 == rev && truth.is_after(head, rev, asof)
            };
            let own = truth.back(head).take_while(is_known);
            own.collect::<Vec<_>>().into_iter().rev()
        });
        let judged = moments.map(|moment| {
            let app = moment.catalogue.apps.get(&manifest.app);
            may_run(app.map(|app| &**app), version, &manifest)
        });
        let judged: Vec<_> = judged.collect();
        drop(truth);
        if judged.iter().any(Result::is_ok) {
            return;
        }
        if let Some(Err((promise, why))) = judged.into_iter().next() {
            self.broken(
                promise,
                format_args!(
                    "node {node} at {rev} offers {} {version}, which is {why}",
                    manifest.app
                ),
            );
        }
    }

    /// An answer was given by `node`: its stamp names no time at which something else was true already.
    pub(super) fn stamped(
        &self,
        node: usize,
        seen: &Seen,
        app: Option<&AppId>,
        stamp: &str,
    ) -> Option<Timestamp> {
        let stamp = SignedStamp::parse(stamp).ok()?.stamp().ok()?;
        let (asof, rev) = (stamp.asof, stamp.revision.get());
        if asof > self.now() {
            let now = self.now();
            self.broken(
                "stamps are honest",
                format_args!("node {node} says `as of` {asof}, and it is {now}"),
            );
        }
        let concerns = |moment: &Moment| {
            moment.landed <= asof && app.is_none_or(|app| moment.touched.contains(app))
        };
        let truth = locked(&self.truth);
        let known = if self.plan.is_multi_winner {
            // Of the histories that it may be on, each must know better.
            let better = |head| {
                let own = truth.back(head).take_while(|moment| moment.rev > rev);
                own.filter(|moment| concerns(moment)).last().cloned()
            };
            let all: Option<Vec<_>> = seen.heads.iter().map(better).collect();
            all.and_then(|all| all.into_iter().next())
        } else {
            let mut line = truth.line.range(rev + 1..);
            line.find_map(|(_, head)| {
                let moment = truth.moments.get(head)?;
                concerns(moment).then(|| Arc::clone(moment))
            })
        };
        drop(truth);
        if let Some(known) = known {
            let what = app.map_or("the list of kills".to_owned(), ToString::to_string);
            let (later, landed) = (known.rev, known.landed);
            self.broken(
                "stamps are honest",
                format_args!("node {node} says that {what} of {rev} was in force as of {asof}; {later} landed at {landed}"),
            );
        }
        Some(asof)
    }

    /// Whether a device may run `version` by the word of `rev`, as of `asof`. With a kill on top of what it knows a
    /// node borrows the number of the next record: before that has landed, what came before it is true.
    pub(super) fn may_run_at(&self, who: &str, rev: u64, asof: Timestamp, manifest: &Manifest) {
        let Some(version) = &manifest.version else {
            return;
        };
        let judged = |moment: Arc<Moment>| {
            let app = moment.catalogue.apps.get(&manifest.app);
            may_run(app.map(|app| &**app), version, manifest)
        };
        let Some(moment) = self.true_at(rev) else {
            return;
        };
        let is_borrowed = asof < moment.landed;
        let before = self.true_at(rev - 1).filter(|_| is_borrowed);
        if before.is_some_and(|before| judged(before).is_ok()) {
            return;
        }
        if let Err((promise, why)) = judged(moment) {
            self.broken(
                promise,
                format_args!(
                    "{who} believes an answer of {rev} to run {} {version}, which is {why}",
                    manifest.app
                ),
            );
        }
    }
}

/// Whether a version may be offered; else the promise that it would break, and why.
fn may_run(
    app: Option<&App>,
    version: &Number,
    manifest: &Manifest,
) -> Result<(), (&'static str, String)> {
    const KILLS: &str = "never un-delists";
    const APPROVED: &str = "nothing unapproved is served";
    let app = app.ok_or((APPROVED, "of no app there is".to_owned()))?;
    if app.killed.is_some() {
        return Err((KILLS, "of a killed app".into()));
    }
    let known = app
        .versions
        .get(version)
        .ok_or((APPROVED, "unknown".to_owned()))?;
    if known.life.is_killed() || !known.life.is_listed() {
        let promise = if known.life.has_passed() {
            KILLS
        } else {
            APPROVED
        };
        return Err((promise, known.life.word().to_owned()));
    }
    let address = known.dossier.address();
    if address.is_none() || manifest.binding.release != address {
        return Err((APPROVED, "without its record".into()));
    }
    Ok(())
}

/// A record in a few words.
fn told(record: &Record) -> String {
    let events = serde_json::to_string(&record.events).unwrap_or_default();
    let words: String = events.chars().take(110).collect();
    format!(
        "{} {} ck={:?} {words}",
        record.op,
        record.actor.id,
        record.ck.map(|ck| ck.rev.get())
    )
}
