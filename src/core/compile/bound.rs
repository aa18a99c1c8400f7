//! What binds an answer: the papers it rests on and the devices it is for.
//!
//! Only what a device can check by itself is stated: its hash, its platform, the bank app and its version.
//! Never more than holds of every device that is given the answer: a device that refuses its own answer
//! would be worse than none. To papers and devices nothing is bound where nothing is signed offline.

use std::collections::BTreeSet;

use super::{Context, Draw};
use crate::{
    audience::{TextMatch, VersionMatch},
    binding::{Binding, Cohort, Tickets, Whom},
    bucket::{self, Salt},
    catalogue::App,
    limits,
    manifest::State,
    name::{HostId, Platform},
    rollout::{self, Rollout},
    slots::Slots,
    trust::Trial,
    version::Version,
};

/// The most archives that an answer names as stopped.
const STOPS: usize = 500;

/// What binds an answer of `app`.
pub(super) fn binding(
    app: &App,
    context: &Context,
    state: State,
    version: Option<&Version>,
    whom: Option<Whom>,
) -> Binding {
    let stops = match (state, &app.killed) {
        (State::Killed, None) => stopped(app),
        _ => Vec::new(),
    };
    let Some(keyring) = context.keyring else {
        return Binding {
            stops,
            ..Binding::default()
        };
    };
    let release = version.and_then(|version| version.dossier.address());
    Binding {
        release,
        policy: app
            .trust
            .signed
            .as_ref()
            .map(|signed| signed.policy.version),
        keyring: Some(keyring),
        whom,
        stops,
    }
}

/// The archives that must stop, where the app may go on. Too many to name: none is named, and all stop.
fn stopped(app: &App) -> Vec<crate::digest::Digest> {
    let killed = (app.versions.values()).filter(|version| version.life.is_killed());
    let named: Vec<_> = killed.map(|version| version.bundle.sha256).collect();
    if named.len() > STOPS {
        return Vec::new();
    }
    named
}

/// Whom a trial is for: whoever is in one of its sandboxes. Who of those is asked of the poll, not stated.
pub(super) fn sandboxes(trial: &Trial) -> Whom {
    let devices = trial.devices.values().flatten();
    let links = trial.previews.values().map(|preview| &preview.host);
    let hosts: BTreeSet<&HostId> = devices.chain(links).collect();
    Whom {
        hosts: hosts.into_iter().cloned().collect(),
        ..Whom::default()
    }
}

/// Whom a rule's answers are for.
pub(super) struct Rule {
    whom: Whom,
    salt: Option<Salt>,
    total: u32,
}

impl Rule {
    /// What of `rule` a device can check; nothing where nothing is signed offline.
    pub(super) fn new(
        context: &Context,
        rollout: &Rollout,
        rule: &rollout::Rule,
        draw: &Draw,
    ) -> Option<Self> {
        context.keyring?;
        let salt = Salt::new(&rollout.salt_of(rule)).ok();
        let cohort = match draw {
            Draw::Everybody => None,
            Draw::Share { share, .. } => salt.clone().map(|salt| Cohort {
                salt,
                fine: vec![(0, bucket::threshold(*share))],
            }),
            Draw::Slots { slots, .. } => rule.layer.as_ref().and_then(|layer| {
                let fine = positions(slots);
                let salt = Salt::of_layer(layer);
                (fine.len() <= limits::COHORT_RANGES).then_some(Cohort { salt, fine })
            }),
        };
        Some(Self {
            whom: Whom {
                hosts: rollout.hosts.iter().cloned().collect(),
                platforms: platforms(rule),
                host_version: host_version(rule),
                cohorts: cohort.into_iter().collect(),
                arm: None,
            },
            salt,
            total: rule.arms().iter().map(|(_, weight, _)| *weight).sum(),
        })
    }

    /// Those at these positions of the order that it draws from.
    pub(super) fn cohort(&self, from: u64, to: u64) -> Whom {
        let mut whom = self.whom.clone();
        for cohort in &mut whom.cohorts {
            cohort.fine = vec![(from, to)];
        }
        whom
    }

    /// Those who draw a ticket of this range.
    pub(super) fn arm(&self, first: u32, last: u32) -> Whom {
        let whole = first == 1 && last == self.total;
        let arm = self.salt.clone().filter(|_| !whole).map(|salt| Tickets {
            salt,
            total: self.total,
            range: (first, last),
        });
        Whom {
            arm,
            ..self.whom.clone()
        }
    }
}

/// Fine positions of slots, as few ranges as there are.
fn positions(slots: &Slots) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for slot in slots.iter() {
        let (from, to) = bucket::slot_range(slot);
        match ranges.last_mut() {
            Some(last) if last.1 == from => last.1 = to,
            _ => ranges.push((from, to)),
        }
    }
    ranges
}

/// The platforms that the rule's audience asks for by name; none: it asks for no certain ones.
fn platforms(rule: &rollout::Rule) -> Vec<Platform> {
    let Some(TextMatch::Is(names)) = &rule.when.platform else {
        return Vec::new();
    };
    let names = names.as_slice();
    let read: Vec<Platform> = names.iter().filter_map(|name| name.parse().ok()).collect();
    let all = read.len() == names.len() && read.len() <= limits::PLATFORMS;
    if all { read } else { Vec::new() }
}

/// The versions of the bank app that the rule's audience asks for, as numeric fields.
fn host_version(rule: &rollout::Rule) -> Option<crate::version_range::DottedRange> {
    match &rule.when.host_version {
        Some(VersionMatch::Dotted { dotted }) => Some(dotted.clone()),
        _ => None,
    }
}
