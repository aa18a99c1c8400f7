//! Compiling an app: everything it can answer is prepared once, so that a poll only chooses.
//!
//! An answer exists only for what may be served. A version that is not listed has none, and a rule arm
//! that names it has nothing to give: absence, not an `if` that somebody could forget. Compiling is a
//! function of the app and its context alone, so two nodes at one revision hold the same bytes.

mod bound;
mod row;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use crate::{
    audience::Audience,
    binding::Whom,
    bucket::{self, Reach, Salt, Salted, Stake},
    catalogue::App,
    digest::Digest,
    index::{self, Index},
    manifest::{self, BundleRef, FORM, Manifest, OnStale, Reason, State},
    name::{AppId, ArmName, HostId, LayerName, Permission, RuleName},
    predicate::{Members, Predicate},
    revision::Revision,
    rollout::{Arm, Param, Rollout, Rule},
    share::Share,
    slots::Slots,
    time::Timestamp,
    trust::{Preview, Trial},
    version::{Number, Version},
};

use row::Shared;
pub(crate) use row::{By, Row};

/// What every manifest of an installation states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The installation, `bank/environment`.
    pub audience: String,
    /// Devices ask again after this.
    pub poll_after_ms: u64,
    /// And spread themselves over this.
    pub poll_spread_ms: u64,
    /// The newest keyring; none: nothing is signed offline, and answers are bound to nothing.
    pub keyring: Option<u64>,
}

/// One prepared answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What the device does.
    pub state: State,
    /// The version it runs.
    pub version: Option<Number>,
    /// Why it is told this.
    pub reason: Reason,
    /// The rule that gives this answer.
    pub rule: Option<RuleName>,
    /// The arm of its split.
    pub arm: Option<ArmName>,
    /// The manifest.
    pub body: Bytes,
    /// SHA-256 of the body.
    pub digest: Digest,
    /// The body's entity tag, quoted.
    pub etag: Box<str>,
}

/// An app made ready to answer polls.
pub struct CompiledApp {
    pub(crate) id: AppId,
    pub(crate) revision: Revision,
    pub(crate) app_killed: bool,
    /// True when an answer may depend on when it is asked for.
    pub(crate) asks_time: bool,
    pub(crate) hosts: Box<[HostId]>,
    pub(crate) has_rollout: bool,
    /// Sorted by unit.
    pub(crate) pins: Box<[(Box<str>, Pin)]>,
    pub(crate) rules: Box<[CompiledRule]>,
    /// What every poll reads of each rule, at the same place.
    pub(crate) stakes: Box<[Stake]>,
    /// What polls read of the rules that their share does not rule out, at the same place.
    pub(crate) rows: Box<[Row]>,
    /// The rules that take a share, 64 by 64.
    pub(crate) shared: Box<[Shared]>,
    /// Which rules can mean a device.
    pub(crate) index: Index,
    pub(crate) salts: Box<[(Box<str>, Salted)]>,
    pub(crate) stable: Option<Offer>,
    pub(crate) stable_number: Option<Number>,
    /// Listed floors, rising.
    pub(crate) floors: Box<[(Number, Offer)]>,
    /// What is on trial: versions that rules cannot serve.
    pub(crate) trials: Box<[CompiledTrial]>,
    /// Killed versions, rising.
    pub(crate) killed: Box<[Number]>,
    /// What failed releases are compared with.
    pub(crate) releases: Box<[Release]>,
    /// The first is `none`, the second `killed`.
    pub(crate) answers: Box<[Answer]>,
}

/// Where the answers `none` and `killed` are.
pub(crate) const NONE: u32 = 0;
pub(crate) const KILLED: u32 = 1;

/// An answer that may be given, and the release it serves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer {
    pub(crate) answer: u32,
    pub(crate) release: u32,
}

pub(crate) struct Pin {
    pub(crate) number: Number,
    pub(crate) offer: Option<Offer>,
}

/// A test device and the sandboxes it is served in.
pub(crate) type TestDevice = (Box<str>, Box<[HostId]>);

/// A version under review and who may run it.
pub(crate) struct CompiledTrial {
    pub(crate) number: Number,
    pub(crate) offer: Offer,
    /// Sorted by unit.
    pub(crate) devices: Box<[TestDevice]>,
    /// Sorted by the hash of the secret.
    pub(crate) previews: Box<[(Digest, Preview)]>,
}

pub(crate) struct Release {
    pub(crate) number: Number,
    pub(crate) text: Box<str>,
    pub(crate) sha256: Box<str>,
}

/// What of a rule is asked now and then, or told.
pub(crate) struct CompiledRule {
    pub(crate) start: Timestamp,
    pub(crate) end: Option<Timestamp>,
    /// Its whole audience, for whoever asks why.
    pub(crate) when: Predicate,
    /// What of it the index does not answer.
    pub(crate) rest: Predicate,
    pub(crate) draw: Draw,
    /// Index of the salt that arms are drawn with.
    pub(crate) salt: u32,
    pub(crate) tickets: u32,
    /// Of a ramp: the positions of its first arm, the new version; the others that it takes are the control cohort's.
    pub(crate) candidate: Option<Reach>,
    pub(crate) arms: Box<[CompiledArm]>,
    pub(crate) name: RuleName,
}

/// Which part of its audience a rule takes.
pub(crate) enum Draw {
    Everybody,
    Share {
        salt: u32,
        share: Share,
    },
    Slots {
        salt: u32,
        slots: Slots,
        held_out: Slots,
    },
}

pub(crate) struct CompiledArm {
    /// The last ticket that draws it.
    pub(crate) up_to: u32,
    pub(crate) offer: Option<Offer>,
    pub(crate) name: Option<ArmName>,
    pub(crate) number: Number,
}

impl CompiledApp {
    /// True when what a device is told may depend on the time; else any time leads to the same answer.
    pub const fn asks_time(&self) -> bool {
        self.asks_time
    }

    /// The app.
    pub fn id(&self) -> &AppId {
        &self.id
    }

    /// The app's revision that its manifests carry.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Everything it can answer; an outcome's index points here.
    pub fn answers(&self) -> &[Answer] {
        &self.answers
    }
}

/// Prepares everything `app` can answer. `members` finds the segments its audiences ask about.
pub fn compile(app: &App, context: &Context, members: Members<'_>) -> CompiledApp {
    let mut bench = Bench {
        app,
        context,
        answers: Vec::new(),
        releases: Vec::new(),
        release_of: BTreeMap::new(),
        salts: Vec::new(),
        salt_of: BTreeMap::new(),
    };
    bench.answer(State::None, Reason::None, None, Gift::default());
    bench.answer(State::Killed, Reason::Killed, None, Gift::default());
    // A killed app answers `killed` to everybody: nothing else is prepared for it.
    let rollout = app.rollout.as_ref().filter(|_| app.killed.is_none());
    let stable = rollout.and_then(|r| bench.offer(Reason::Stable, &r.stable, Gift::default()));
    let mut index = index::Builder::default();
    let (rules, rows): (Vec<_>, Vec<_>) = rollout
        .map(|r| bench.rules(r, members, &mut index))
        .unwrap_or_default();
    let pins = rollout.map(|r| bench.pins(r)).unwrap_or_default();
    let floors = rollout.map(|r| bench.floors(r)).unwrap_or_default();
    let trials = match app.killed {
        None => bench.trials(),
        Some(_) => Box::default(),
    };
    CompiledApp {
        id: app.id.clone(),
        revision: app.revision,
        app_killed: app.killed.is_some(),
        asks_time: !trials.is_empty()
            || (rules.iter()).any(|rule| rule.start > Timestamp::EPOCH || rule.end.is_some()),
        hosts: rollout
            .map(|r| r.hosts.iter().cloned().collect())
            .unwrap_or_default(),
        has_rollout: rollout.is_some(),
        pins,
        shared: row::shared(&rows),
        stakes: row::stakes(&rows),
        rows: rows.into(),
        rules: rules.into(),
        index: index.finish(),
        salts: bench.salts.into(),
        stable,
        stable_number: rollout.map(|r| r.stable.clone()),
        floors,
        trials,
        killed: (app.versions.values())
            .filter(|version| version.life.is_killed())
            .map(|version| version.number.clone())
            .collect(),
        releases: bench.releases.into(),
        answers: bench.answers.into(),
    }
}

/// What a rule adds to a version.
#[derive(Default)]
struct Gift<'a> {
    rule: Option<&'a RuleName>,
    arm: Option<&'a ArmName>,
    since: Option<Timestamp>,
    params: BTreeMap<crate::name::ParamName, Param>,
    force: bool,
    whom: Option<Whom>,
}

/// What the cohorts of a ramp are called, as arms are.
pub const CANDIDATE: &str = "candidate";
/// Those who are held on the stable version.
pub const CONTROL: &str = "control";

fn cohort(name: &str) -> Option<ArmName> {
    name.parse().ok()
}

/// What is being prepared.
struct Bench<'a> {
    app: &'a App,
    context: &'a Context,
    answers: Vec<Answer>,
    releases: Vec<Release>,
    release_of: BTreeMap<&'a Number, u32>,
    salts: Vec<(Box<str>, Salted)>,
    salt_of: BTreeMap<Box<str>, u32>,
}

fn index(length: usize) -> u32 {
    // Limits keep every table far below: 1 000 rules of 64 arms, 10 000 pins, 10 000 versions.
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl<'a> Bench<'a> {
    fn answer(
        &mut self,
        state: State,
        reason: Reason,
        version: Option<&Version>,
        gift: Gift<'_>,
    ) -> u32 {
        let (revoked, permissions) = version
            .map(|version| self.split_revoked(version))
            .unwrap_or_default();
        let manifest = Manifest {
            v: FORM,
            aud: self.context.audience.clone(),
            app: self.app.id.clone(),
            rev: self.app.revision,
            state,
            version: version.map(|version| version.number.clone()),
            bundle: version.map(|version| BundleRef::of(&version.bundle)),
            permissions,
            revoked,
            rule: gift.rule.cloned(),
            arm: gift.arm.cloned(),
            since: gift.since,
            params: gift.params,
            force: gift.force,
            reason,
            poll_after_ms: self.context.poll_after_ms,
            poll_spread_ms: self.context.poll_spread_ms,
            on_stale: OnStale::Run,
            binding: bound::binding(self.app, self.context, state, version, gift.whom),
        };
        let body = manifest.to_bytes();
        let digest = Digest::of(&body);
        self.answers.push(Answer {
            state,
            version: manifest.version,
            reason,
            rule: manifest.rule,
            arm: manifest.arm,
            etag: manifest::etag(&digest),
            body,
            digest,
        });
        index(self.answers.len() - 1)
    }

    /// The permissions of a version: those that are revoked, and those it has.
    fn split_revoked(&self, version: &Version) -> (Vec<Permission>, Vec<Permission>) {
        let revoked = &self.app.trust.revoked;
        (version.granted().cloned()).partition(|permission| revoked.contains_key(permission))
    }

    /// The answer that serves `number`, where it is listed; nothing where it is not.
    fn offer(&mut self, reason: Reason, number: &Number, gift: Gift<'_>) -> Option<Offer> {
        let app: &'a App = self.app;
        let version = app
            .versions
            .get(number)
            .filter(|version| version.life.is_listed())?;
        Some(self.offered(reason, version, gift))
    }

    fn offered(&mut self, reason: Reason, version: &'a Version, gift: Gift<'_>) -> Offer {
        let number = &version.number;
        let answer = self.answer(State::Run, reason, Some(version), gift);
        let release = match self.release_of.get(number) {
            Some(known) => *known,
            None => {
                self.releases.push(Release {
                    number: version.number.clone(),
                    text: version.number.to_string().into(),
                    sha256: version.bundle.sha256.to_hex().into(),
                });
                let release = index(self.releases.len() - 1);
                self.release_of.insert(&version.number, release);
                release
            }
        };
        Offer { answer, release }
    }

    fn trials(&mut self) -> Box<[CompiledTrial]> {
        let app: &'a App = self.app;
        let mut trials = Vec::new();
        for (number, trial) in &app.trust.trials {
            let version = app.versions.get(number);
            if let Some(version) = version.filter(|version| version.life.may_be_tried()) {
                let gift = Gift {
                    whom: Some(bound::sandboxes(trial)),
                    ..Gift::default()
                };
                let offer = self.offered(Reason::Trial, version, gift);
                trials.push(CompiledTrial::new(number, offer, trial));
            }
        }
        trials.into()
    }

    fn salt(&mut self, salt: &str) -> u32 {
        if let Some(known) = self.salt_of.get(salt) {
            return *known;
        }
        let at = index(self.salts.len());
        self.salts.push((salt.into(), Salted::for_arms(salt)));
        self.salt_of.insert(salt.into(), at);
        at
    }

    fn rules(
        &mut self,
        rollout: &Rollout,
        members: Members<'_>,
        index: &mut index::Builder,
    ) -> (Vec<CompiledRule>, Vec<Row>) {
        let rules = rollout.rules.iter().enumerate();
        rules
            .map(|(at, rule)| {
                let rest = index.take(at, &rule.when);
                if rule.paused {
                    index.close(at);
                }
                let compiled = self.rule(rollout, rule, &rest, members);
                let salts = |salt: u32| &*self.salts[salt as usize].0;
                let row = Row::new(rule, &compiled, !rest.is_everyone(), salts);
                (compiled, row)
            })
            .unzip()
    }

    fn rule(
        &mut self,
        rollout: &Rollout,
        rule: &Rule,
        rest: &Audience,
        members: Members<'_>,
    ) -> CompiledRule {
        let salt = self.salt(&rollout.salt_of(rule));
        let draw = match &rule.layer {
            Some(layer) => {
                let (slots, held_out) = slots_of(rollout, rule, layer);
                Draw::Slots {
                    salt: self.salt(Salt::of_layer(layer).as_str()),
                    slots,
                    held_out,
                }
            }
            None if rule.share == Share::ALL => Draw::Everybody,
            None => Draw::Share {
                salt,
                share: rule.share,
            },
        };
        if rule.control() > Share::NONE {
            return self.ramped(rollout, rule, rest, members, salt);
        }
        let whom = bound::Rule::new(self.context, rollout, rule, &draw);
        let mut tickets = 0_u32;
        let mut arms = Vec::new();
        for (name, weight, Arm { version, params }) in rule.arms() {
            let before = tickets;
            tickets = tickets.saturating_add(weight);
            let gift = Gift {
                rule: Some(&rule.name),
                arm: name,
                since: self.counted_since(rule),
                params: params.clone(),
                force: rule.force,
                whom: whom.as_ref().map(|whom| whom.arm(before + 1, tickets)),
            };
            arms.push(CompiledArm {
                up_to: tickets,
                offer: self.offer(Reason::Rule, version, gift),
                name: name.cloned(),
                number: version.clone(),
            });
        }
        CompiledRule {
            start: rule.start.unwrap_or(Timestamp::EPOCH),
            end: rule.end,
            when: Predicate::compile(&rule.when, members),
            rest: Predicate::compile(rest, members),
            draw,
            salt,
            tickets,
            candidate: None,
            arms: arms.into(),
            name: rule.name.clone(),
        }
    }

    /// A rule that takes two cohorts from the same order: the new version's from its beginning, and right behind it as
    /// many who are held on the stable version. So it reaches as far as both, and nobody who has the new version ever
    /// loses it to the control cohort while the share grows.
    fn ramped(
        &mut self,
        rollout: &Rollout,
        rule: &Rule,
        rest: &Audience,
        members: Members<'_>,
        salt: u32,
    ) -> CompiledRule {
        let reach = rule.share.millionths() + rule.control().millionths();
        let whole = Share::from_millionths(reach).unwrap_or(Share::ALL);
        let draw = Draw::Share { salt, share: whole };
        let whom = bound::Rule::new(self.context, rollout, rule, &draw);
        let (from, to) = (bucket::threshold(rule.share), bucket::threshold(whole));
        let (candidate, control) = (cohort(CANDIDATE), cohort(CONTROL));
        let mut arms = Vec::new();
        for (_, _, Arm { version, params }) in rule.arms() {
            let gift = Gift {
                rule: Some(&rule.name),
                arm: candidate.as_ref(),
                since: self.counted_since(rule),
                params: params.clone(),
                force: rule.force,
                whom: whom.as_ref().map(|whom| whom.cohort(0, from)),
            };
            arms.push(CompiledArm {
                up_to: 1,
                offer: self.offer(Reason::Rule, version, gift),
                name: candidate.clone(),
                number: version.clone(),
            });
        }
        let gift = Gift {
            rule: Some(&rule.name),
            arm: control.as_ref(),
            since: self.counted_since(rule),
            whom: whom.as_ref().map(|whom| whom.cohort(from, to)),
            ..Gift::default()
        };
        arms.push(CompiledArm {
            up_to: 1,
            offer: self.offer(Reason::Rule, &rollout.stable, gift),
            name: control,
            number: rollout.stable.clone(),
        });
        CompiledRule {
            start: rule.start.unwrap_or(Timestamp::EPOCH),
            end: rule.end,
            when: Predicate::compile(&rule.when, members),
            rest: Predicate::compile(rest, members),
            draw,
            salt,
            tickets: 1,
            candidate: Some(Reach::of(rule.share)),
            arms: arms.into(),
            name: rule.name.clone(),
        }
    }

    /// Since when units of `rule` are counted, where that is by steps, or for an experiment.
    fn counted_since(&self, rule: &Rule) -> Option<Timestamp> {
        if rule.ramp.is_some() {
            return self.app.ramps.get(&rule.name).map(|ramp| ramp.since);
        }
        let mut running = self.app.experiments.values().filter(|one| one.is_running());
        let read = running.find(|one| one.design.rule == rule.name);
        read.map(|experiment| experiment.since)
    }

    fn pins(&mut self, rollout: &Rollout) -> Box<[(Box<str>, Pin)]> {
        // One answer per version, however many units are pinned to it.
        let mut offers: BTreeMap<&Number, Option<Offer>> = BTreeMap::new();
        for number in rollout.pins.values() {
            if !offers.contains_key(number) {
                offers.insert(number, self.offer(Reason::Pinned, number, Gift::default()));
            }
        }
        let pin = |number: &Number| Pin {
            number: number.clone(),
            offer: offers.get(number).copied().flatten(),
        };
        let pins = rollout.pins.iter();
        pins.map(|(unit, number)| (unit.as_str().into(), pin(number)))
            .collect()
    }

    fn floors(&mut self, rollout: &Rollout) -> Box<[(Number, Offer)]> {
        (rollout.floors.iter())
            .filter_map(|number| {
                let offer = self.offer(Reason::Floor, number, Gift::default())?;
                Some((number.clone(), offer))
            })
            .collect()
    }
}

impl CompiledTrial {
    fn new(number: &Number, offer: Offer, trial: &Trial) -> Self {
        let device = |(unit, hosts): (&String, &std::collections::BTreeSet<HostId>)| {
            (unit.as_str().into(), hosts.iter().cloned().collect())
        };
        let preview = |(id, preview): (&Digest, &Preview)| (*id, preview.clone());
        Self {
            number: number.clone(),
            offer,
            devices: trial.devices.iter().map(device).collect(),
            previews: trial.previews.iter().map(preview).collect(),
        }
    }
}

/// The slots that `rule` draws from in `layer`, and those that nobody may: a held-out slot is never owned,
/// whatever the rule says.
pub(crate) fn slots_of(rollout: &Rollout, rule: &Rule, layer: &LayerName) -> (Slots, Slots) {
    let held_out: Vec<u16> = (rollout.holdouts.iter())
        .filter(|holdout| holdout.layer == *layer)
        .flat_map(|holdout| holdout.slots.iter())
        .collect();
    let held_out = Slots::from_slots(held_out);
    let owned = rule.slots.iter().filter(|slot| !held_out.contains(*slot));
    (Slots::from_slots(owned), held_out)
}

/// A finder of segments that knows none.
pub fn no_segments(_: &crate::name::SegmentName) -> Option<Arc<dyn crate::predicate::Membership>> {
    None
}
