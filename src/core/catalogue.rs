//! `Catalogue`: everything that is true at one revision: the fold of all events.
//!
//! [`Catalogue::apply`] is total: whatever could be refused was refused in `decide`, and an event about
//! something unknown changes nothing. It never looks at a clock; time comes with the event.

mod shared;
mod trust;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    authority::Role,
    credential::Scope,
    digest::Digest,
    event::{Actor, Event},
    experiment::{self, Design, End, Experiment, Experiments},
    name::{AppId, HostId, LayerName, MemberId, RuleName, SegmentName, TenantId},
    ramp::{
        Act, Why,
        state::{self, Ramps},
    },
    revision::Revision,
    rollout::{Rollout, Rule},
    rules::Rules,
    slots::Slots,
    time::Timestamp,
    trust::{AppTrust, Era, Trust},
    version::{Life, Number, Review, Version},
};

/// Everything that is true at one revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// The revision this is true at.
    pub revision: Revision,
    /// What manifests are addressed to, `bank/environment`; empty before the founding.
    pub audience: String,
    /// Whether versions must be approved before they are listed.
    pub review: Review,
    /// Credentials by public name.
    pub tokens: BTreeMap<String, Token>,
    /// Tenants and their titles.
    pub tenants: BTreeMap<TenantId, String>,
    /// Bank apps and their titles.
    pub hosts: BTreeMap<HostId, String>,
    /// Mini-programs; whoever changes one copies that one, and shares all others with what was before.
    #[serde(with = "shared")]
    pub apps: BTreeMap<AppId, Arc<App>>,
    /// Uploaded lists of units.
    pub segments: BTreeMap<SegmentName, SegmentRef>,
    /// People, grades and how versions are approved.
    #[serde(default, skip_serializing_if = "Trust::is_default")]
    pub trust: Trust,
}

/// A credential: never its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// SHA-256 of its secret.
    pub sha256: Digest,
    /// What it may do.
    pub role: Role,
    /// Who or what it is for.
    pub note: String,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<MemberId>,
    /// From then on it opens nothing; none: it has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// What of its role it is narrowed to; empty: all of it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub scopes: BTreeSet<Scope>,
}

/// A mini-program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Its name.
    pub id: AppId,
    /// Its name as people read it.
    pub title: String,
    /// The last revision that changed it, or a segment it asks about: what `If-Match` compares and what
    /// its manifests carry.
    pub revision: Revision,
    /// Its versions.
    #[serde(with = "shared")]
    pub versions: BTreeMap<Number, Arc<Version>>,
    /// Which version each device gets; none: no device gets any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// Set while the whole app must not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub killed: Option<AppKill>,
    /// How far its ramps have come.
    #[serde(default, skip_serializing_if = "Ramps::is_empty")]
    pub ramps: Ramps,
    /// Its A/B tests, under way and over.
    #[serde(default, skip_serializing_if = "Experiments::is_empty")]
    pub experiments: Experiments,
    /// What it is granted, what was revoked, who tries what.
    #[serde(default, skip_serializing_if = "AppTrust::is_default")]
    pub trust: AppTrust,
}

/// Why and since when a whole app must not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppKill {
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// Where a segment's units are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRef {
    /// SHA-256 of its encoded units: its name in the store.
    pub sha256: Digest,
    /// How many units it holds.
    pub units: u64,
    /// The revision that put it there.
    pub revision: Revision,
}

/// What a revision touched: what a node must compile again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Touched {
    /// Apps whose answers may differ.
    pub apps: BTreeSet<AppId>,
    /// Segments put or removed.
    pub segments: BTreeSet<SegmentName>,
    /// True when the list of kills changed.
    pub kills: bool,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self {
            revision: Revision::ZERO,
            audience: String::new(),
            review: Review::Required,
            tokens: BTreeMap::new(),
            tenants: BTreeMap::new(),
            hosts: BTreeMap::new(),
            apps: BTreeMap::new(),
            segments: BTreeMap::new(),
            trust: Trust::default(),
        }
    }
}

impl Catalogue {
    /// The same without any app: what a checkpoint says in one piece.
    #[must_use]
    pub fn without_apps(&self) -> Self {
        Self {
            revision: self.revision,
            audience: self.audience.clone(),
            review: self.review,
            tokens: self.tokens.clone(),
            tenants: self.tenants.clone(),
            hosts: self.hosts.clone(),
            apps: BTreeMap::new(),
            segments: self.segments.clone(),
            trust: self.trust.clone(),
        }
    }

    /// The role of whoever acts by this id: a credential, or a person who signed in.
    pub fn role_of(&self, id: &str) -> Option<&Role> {
        let of_token = self.tokens.get(id).map(|token| &token.role);
        of_token.or_else(|| Some(&self.trust.signed_in(id)?.1.role))
    }

    /// True when `actor` has this very role at `at`: a credential that has expired by then is nobody's.
    pub fn knows(&self, actor: &Actor, at: Timestamp) -> bool {
        let holds = (self.tokens.get(&actor.id)).is_none_or(|token| token.holds(at));
        holds && self.role_of(&actor.id) == Some(&actor.role)
    }

    /// Remembers how far the ledger has come: the rules of the newest record that counts, and its time.
    pub fn reach(&mut self, rules: Rules, at: Timestamp) {
        if !rules.is_first() {
            self.trust.era = Era { rules, at };
        }
    }

    /// The time from which on the next record may be written.
    pub const fn written_at(&self) -> Timestamp {
        self.trust.era.at
    }

    /// Makes `events` of revision `revision` true. Total: nothing can be refused here.
    pub fn apply(&mut self, revision: Revision, at: Timestamp, events: &[Event]) -> Touched {
        let mut touched = Touched::default();
        self.revision = revision;
        for event in events {
            self.apply_one(revision, at, event, &mut touched);
        }
        for app in &touched.apps {
            if let Some(app) = self.apps.get_mut(app) {
                Arc::make_mut(app).revision = revision;
            }
        }
        touched
    }

    fn apply_one(
        &mut self,
        revision: Revision,
        at: Timestamp,
        event: &Event,
        touched: &mut Touched,
    ) {
        if let Some(app) = event.app() {
            touched.apps.insert(app.clone());
        }
        match event {
            Event::Founded { audience, review } => {
                self.audience.clone_from(audience);
                self.review = *review;
            }
            Event::TokenAdded {
                id,
                sha256,
                role,
                note,
                member,
                expires,
                scopes,
            } => {
                let token = Token {
                    sha256: *sha256,
                    role: role.clone(),
                    note: note.clone(),
                    member: member.clone(),
                    expires: *expires,
                    scopes: scopes.clone(),
                };
                self.tokens.insert(id.clone(), token);
            }
            Event::TokenRevoked { id } => {
                self.tokens.remove(id);
            }
            Event::TenantAdded { tenant, title } => {
                self.tenants.insert(tenant.clone(), title.clone());
            }
            Event::HostAdded {
                host,
                title,
                sandbox,
            } => {
                self.hosts.insert(host.clone(), title.clone());
                if *sandbox {
                    self.trust.sandboxes.insert(host.clone());
                }
            }
            Event::SegmentPut {
                segment,
                sha256,
                units,
            } => {
                let kept = SegmentRef {
                    sha256: *sha256,
                    units: *units,
                    revision,
                };
                self.segments.insert(segment.clone(), kept);
                self.touch_segment(segment, touched);
            }
            Event::SegmentRemoved { segment } => {
                self.segments.remove(segment);
                self.touch_segment(segment, touched);
            }
            Event::AppAdded { app, title } => {
                self.apps
                    .entry(app.clone())
                    .or_insert_with(|| App::new(app.clone(), title.clone()).into());
            }
            _ if event.app().is_some() => self.apply_to_app(revision, at, event, touched),
            _ => {
                self.trust.apply(at, event);
                if let Event::KeyringPut { .. } = event {
                    // Every answer names the newest keyring.
                    touched.apps.extend(self.apps.keys().cloned());
                }
            }
        }
    }

    fn apply_to_app(
        &mut self,
        revision: Revision,
        at: Timestamp,
        event: &Event,
        touched: &mut Touched,
    ) {
        let Some(app) = event.app().and_then(|app| self.apps.get_mut(app)) else {
            return;
        };
        let app = Arc::make_mut(app);
        match event {
            Event::VersionSubmitted { version, .. } => {
                app.trust.seq = app.trust.seq.max(version.dossier.seq());
                let number = version.number.clone();
                let mut version = version.clone();
                if let Some((_, newest)) = app.versions.last_key_value() {
                    version.permissions.share(&newest.permissions);
                }
                let before = app.versions.insert(number, Arc::new(version));
                touched.kills |= before.is_some_and(|before| before.life.is_killed());
            }
            Event::VersionListed { version, .. } => {
                touched.kills |= app.set_life(version, Life::Listed);
            }
            Event::VersionDelisted {
                version, reason, ..
            } => {
                touched.kills |= app.set_life(
                    version,
                    Life::Delisted {
                        reason: reason.clone(),
                        killed: false,
                        at,
                        before: None,
                    },
                );
            }
            Event::Killed {
                version,
                reason,
                before,
                ..
            } => {
                touched.kills = true;
                match version {
                    Some(version) => {
                        let life = Life::Delisted {
                            reason: reason.clone(),
                            killed: true,
                            at,
                            before: before.clone(),
                        };
                        app.set_life(version, life);
                    }
                    None => {
                        app.killed = Some(AppKill {
                            reason: reason.clone(),
                            at,
                        });
                    }
                }
            }
            Event::Unkilled { version, .. } => {
                touched.kills = true;
                match version {
                    Some(version) => app.revive(version),
                    None => app.killed = None,
                }
            }
            Event::RolloutPut { rollout } => {
                let before = app.rollout.as_ref();
                app.ramps = state::carried(before, &app.ramps, rollout, at, revision);
                experiment::state::follow(&mut app.experiments, rollout);
                app.rollout = Some(Rollout::clone(rollout));
            }
            Event::ShareSet {
                rule, share, slots, ..
            } => {
                if let Some(rule) = app.rule_mut(rule) {
                    rule.share = *share;
                    rule.slots = slots.clone();
                }
                let why = Why::ByHand;
                app.ramp_moved(rule, &Act::Hold { why }, at, revision);
            }
            Event::RampMoved {
                rule, act, share, ..
            } => {
                if let Some(rule) = app.rule_mut(rule) {
                    rule.share = *share;
                }
                app.ramp_moved(rule, act, at, revision);
            }
            Event::ExperimentBegun {
                experiment, design, ..
            } => {
                let begun = Experiment::begun(Design::clone(design), app.rollout.as_ref(), at);
                experiment::state::add(&mut app.experiments, experiment.clone(), begun);
            }
            Event::ExperimentRedrawn { experiment, .. } => {
                if let Some(experiment) = app.experiments.get_mut(experiment) {
                    experiment.redraw(at);
                }
            }
            Event::ExperimentEnded {
                experiment,
                arm,
                reason,
                ..
            } => {
                if let Some(experiment) = app.experiments.get_mut(experiment) {
                    let (arm, reason) = (arm.clone(), reason.clone());
                    experiment.end = Some(End { at, arm, reason });
                }
            }
            Event::PauseSet { rule, paused, .. } => {
                if let Some(rule) = app.rule_mut(rule) {
                    rule.paused = *paused;
                }
            }
            _ => touched.kills |= app.apply_trust(at, event),
        }
    }

    fn touch_segment(&self, segment: &SegmentName, touched: &mut Touched) {
        touched.segments.insert(segment.clone());
        touched.apps.extend(self.asking_about(segment).cloned());
    }

    /// The apps whose rollouts ask about `segment`.
    pub fn asking_about(&self, segment: &SegmentName) -> impl Iterator<Item = &AppId> {
        let asks = move |app: &&Arc<App>| {
            app.rollout
                .as_ref()
                .is_some_and(|r| r.segments().contains(segment))
        };
        self.apps.values().filter(asks).map(|app| &app.id)
    }

    /// The slots of every layer of `app`'s tenant that its other apps own: two apps of one tenant never
    /// share a unit in one layer.
    pub fn slots_of_others(&self, app: &AppId) -> BTreeMap<LayerName, Slots> {
        let mut owned: BTreeMap<LayerName, Vec<u16>> = BTreeMap::new();
        // The apps of one tenant stand side by side: `/` comes right before `0`.
        let (first, behind) = (format!("{}/", app.tenant()), format!("{}0", app.tenant()));
        let of_tenant = (Bound::Included(&*first), Bound::Excluded(&*behind));
        let others = self.apps.range::<str, _>(of_tenant);
        let others = others.filter(|(id, _)| *id != app);
        for rollout in others.filter_map(|(_, other)| other.rollout.as_ref()) {
            for (layer, slots) in rollout.owned_slots() {
                owned.entry(layer.clone()).or_default().extend(slots.iter());
            }
        }
        owned
            .into_iter()
            .map(|(layer, slots)| (layer, Slots::from_slots(slots)))
            .collect()
    }
}

impl App {
    /// An app without versions.
    pub fn new(id: AppId, title: String) -> Self {
        Self {
            id,
            title,
            revision: Revision::ZERO,
            versions: BTreeMap::new(),
            rollout: None,
            killed: None,
            ramps: Ramps::new(),
            experiments: Experiments::new(),
            trust: AppTrust::default(),
        }
    }

    /// The same without any version.
    #[must_use]
    pub fn without_versions(&self) -> Self {
        Self {
            id: self.id.clone(),
            title: self.title.clone(),
            revision: self.revision,
            versions: BTreeMap::new(),
            rollout: self.rollout.clone(),
            killed: self.killed.clone(),
            ramps: self.ramps.clone(),
            experiments: self.experiments.clone(),
            trust: self.trust.clone(),
        }
    }

    /// A killed version is again what it was.
    fn revive(&mut self, version: &Number) {
        if let Some(version) = self.version_mut(version) {
            version.life = match &mut version.life {
                Life::Delisted {
                    before: Some(before),
                    ..
                } => std::mem::replace(before, Life::Listed),
                _ => Life::Listed,
            };
        }
    }

    /// Says whether the list of what must stop is another now.
    fn set_life(&mut self, version: &Number, life: Life) -> bool {
        let Some(version) = self.version_mut(version) else {
            return false;
        };
        let before = std::mem::replace(&mut version.life, life);
        before.is_killed() || version.life.is_killed()
    }

    fn version_mut(&mut self, number: &Number) -> Option<&mut Version> {
        self.versions.get_mut(number).map(Arc::make_mut)
    }

    fn rule_mut(&mut self, name: &RuleName) -> Option<&mut Rule> {
        self.rollout
            .as_mut()?
            .rules
            .iter_mut()
            .find(|rule| rule.name == *name)
    }

    fn ramp_moved(&mut self, rule: &RuleName, act: &Act, at: Timestamp, revision: Revision) {
        if let Some(ramp) = self.ramps.get_mut(rule) {
            *ramp = ramp.after(act, at, revision);
        }
    }

    /// The rule with this name.
    pub fn rule(&self, name: &RuleName) -> Option<&Rule> {
        self.rollout
            .as_ref()?
            .rules
            .iter()
            .find(|rule| rule.name == *name)
    }
}
