//! `resolve`: which prepared answer a device gets. The one function that every poll runs.
//!
//! Total: every device gets an answer. It blocks on nothing, allocates nothing on the heap, takes no lock
//! and reads no clock. The walk is written once, over an `Observer`: a poll passes one that does
//! nothing, `explain` one that takes notes, so an explanation can never differ from the answer.

use std::cmp::Ordering;

use crate::{
    bucket::{self, Fine},
    compile::{Answer, CompiledApp, CompiledRule, Draw, KILLED, NONE, Offer},
    digest::Digest,
    manifest::Reason,
    poll::{Device, Installed},
    time::Timestamp,
    version::Number,
};

/// What a device is told, and why.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'a> {
    /// The prepared answer.
    pub answer: &'a Answer,
    /// Where it is among the app's answers.
    pub index: usize,
    /// Why.
    pub reason: Reason,
    /// Where the rule that took the device is among the rollout's rules, also when a floor is served on
    /// the way to what it gives.
    pub rule: Option<usize>,
}

impl CompiledApp {
    /// What `device`, which has `installed` of this app, is told at `now` in the bank app `host`.
    pub fn resolve(
        &self,
        host: &str,
        device: &Device<'_>,
        installed: &Installed<'_>,
        now: Timestamp,
    ) -> Outcome<'_> {
        self.walk(host, device, installed, now, &mut Silent)
    }

    pub(crate) fn walk(
        &self,
        host: &str,
        device: &Device<'_>,
        installed: &Installed<'_>,
        now: Timestamp,
        observer: &mut impl Observer,
    ) -> Outcome<'_> {
        if self.app_killed {
            observer.saw(Seen::AppKilled);
            return self.outcome(KILLED, Reason::Killed, None);
        }
        let visit = Visit {
            app: self,
            device,
            installed,
            now,
        };
        if let Some(offer) = visit.tries(host, observer) {
            return self.outcome(offer.answer, Reason::Trial, None);
        }
        let chosen = if !self.has_rollout {
            observer.saw(Seen::NoRollout);
            None
        } else if self
            .hosts
            .binary_search_by(|known| known.as_str().cmp(host))
            .is_err()
        {
            observer.saw(Seen::OtherHost);
            None
        } else {
            visit.choose(observer)
        };
        match chosen {
            Some(chosen) => match visit.floor_below(chosen.offer, observer) {
                Some(floor) => self.outcome(floor.answer, Reason::Floor, chosen.rule),
                None => self.outcome(chosen.offer.answer, chosen.reason, chosen.rule),
            },
            None if visit.runs_killed() => {
                observer.saw(Seen::RunsKilled);
                self.outcome(KILLED, Reason::Killed, None)
            }
            None => self.outcome(NONE, Reason::None, None),
        }
    }

    fn outcome(&self, answer: u32, reason: Reason, rule: Option<usize>) -> Outcome<'_> {
        let index = answer as usize;
        Outcome {
            answer: &self.answers[index],
            index,
            reason,
            rule,
        }
    }
}

/// Somebody who watches the walk.
pub(crate) trait Observer {
    /// One thing was decided.
    fn saw(&mut self, seen: Seen);
}

/// The observer of a poll.
struct Silent;

impl Observer for Silent {
    #[inline(always)]
    fn saw(&mut self, _: Seen) {}
}

/// What a walk decides, in order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seen {
    AppKilled,
    NoRollout,
    OtherHost,
    /// A version under review is tried: which, and whether the device can have it.
    Trial(usize, Take),
    /// The unit is pinned: to which pin, and whether it can have it.
    Pin(usize, Take),
    /// A rule was asked.
    Rule(usize, Take),
    Stable(Take),
    /// A floor lies between what the device runs and what was chosen.
    Floor(usize, Take),
    /// Nothing can be served, and the device runs a killed version.
    RunsKilled,
}

/// Whether something was taken, or why not.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Take {
    /// Yes: by whom, with what ticket and from where.
    Taken(Drawn),
    Paused,
    NotYet,
    Over,
    NotMeant,
    Outside(Fine),
    NotListed(Drawn),
    Failed(Drawn),
}

/// How a unit was drawn.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Drawn {
    pub(crate) fine: Option<Fine>,
    pub(crate) ticket: Option<u32>,
    pub(crate) arm: Option<usize>,
}

struct Chosen {
    offer: Offer,
    reason: Reason,
    rule: Option<usize>,
}

/// Positions already hashed in this walk: rules that share a salt share the hash.
struct Positions([(u32, Fine); 8]);

impl Positions {
    fn new() -> Self {
        Self([(u32::MAX, Fine::of_hash(0)); 8])
    }

    fn of(&mut self, salt: u32, app: &CompiledApp, unit: &str) -> Fine {
        let cell = &mut self.0[salt as usize % 8];
        if cell.0 != salt {
            *cell = (salt, bucket::fine(&app.salts[salt as usize], unit));
        }
        cell.1
    }
}

struct Visit<'a, 'd> {
    app: &'a CompiledApp,
    device: &'a Device<'d>,
    installed: &'a Installed<'d>,
    now: Timestamp,
}

impl Visit<'_, '_> {
    /// The version under review that this device may run here: the highest, when there are several.
    fn tries(&self, host: &str, observer: &mut impl Observer) -> Option<Offer> {
        let trials = &self.app.trials;
        if trials.is_empty() {
            return None;
        }
        let secret = self
            .installed
            .preview
            .map(|secret| Digest::of(secret.as_bytes()));
        for (at, trial) in trials.iter().enumerate().rev() {
            let unit = self.device.unit;
            let named = (trial.devices)
                .binary_search_by(|(device, _)| (**device).cmp(unit))
                .is_ok_and(|at| {
                    trial.devices[at]
                        .1
                        .iter()
                        .any(|known| known.as_str() == host)
                });
            let invited = secret.as_ref().is_some_and(|secret| {
                let found = trial.previews.binary_search_by(|(id, _)| id.cmp(secret));
                found.is_ok_and(|at| {
                    let preview = &trial.previews[at].1;
                    preview.host.as_str() == host && self.now < preview.until
                })
            });
            if named || invited {
                let (offer, take) = self.given(Some(trial.offer), Drawn::default());
                observer.saw(Seen::Trial(at, take));
                if offer.is_some() {
                    return offer;
                }
            }
        }
        None
    }

    fn choose(&self, observer: &mut impl Observer) -> Option<Chosen> {
        let pins = &self.app.pins;
        if let Ok(at) = pins.binary_search_by(|(unit, _)| (**unit).cmp(self.device.unit)) {
            let (offer, take) = self.given(pins[at].1.offer, Drawn::default());
            observer.saw(Seen::Pin(at, take));
            if let Some(offer) = offer {
                let reason = Reason::Pinned;
                return Some(Chosen {
                    offer,
                    reason,
                    rule: None,
                });
            }
        }
        let mut positions = Positions::new();
        for (at, rule) in self.app.rules.iter().enumerate() {
            let (offer, take) = self.ask(rule, &mut positions);
            observer.saw(Seen::Rule(at, take));
            if let Some(offer) = offer {
                let reason = Reason::Rule;
                return Some(Chosen {
                    offer,
                    reason,
                    rule: Some(at),
                });
            }
        }
        let (offer, take) = self.given(self.app.stable, Drawn::default());
        observer.saw(Seen::Stable(take));
        let reason = Reason::Stable;
        offer.map(|offer| Chosen {
            offer,
            reason,
            rule: None,
        })
    }

    #[inline]
    fn ask(&self, rule: &CompiledRule, positions: &mut Positions) -> (Option<Offer>, Take) {
        if rule.paused {
            return (None, Take::Paused);
        }
        if self.now < rule.start {
            return (None, Take::NotYet);
        }
        if rule.end.is_some_and(|end| end <= self.now) {
            return (None, Take::Over);
        }
        if !rule.when.matches(self.device, self.installed) {
            return (None, Take::NotMeant);
        }
        let mut drawn = Drawn::default();
        let inside = match &rule.draw {
            Draw::Everybody => true,
            Draw::Share { salt, end, .. } => {
                let fine = positions.of(*salt, self.app, self.device.unit);
                drawn.fine = Some(fine);
                fine.get() < *end
            }
            Draw::Slots { salt, slots, .. } => {
                let fine = positions.of(*salt, self.app, self.device.unit);
                drawn.fine = Some(fine);
                slots.contains(fine.slot())
            }
        };
        match (inside, drawn.fine) {
            (false, Some(fine)) => return (None, Take::Outside(fine)),
            (false, None) => return (None, Take::NotMeant),
            (true, _) => {}
        }
        let at = if let [only] = &*rule.arms
            && only.name.is_none()
        {
            0
        } else {
            let salt = &self.app.salts[rule.salt as usize];
            let ticket = bucket::ticket(salt, self.device.unit, rule.tickets);
            drawn.ticket = Some(ticket);
            rule.arms.partition_point(|arm| arm.up_to < ticket)
        };
        drawn.arm = Some(at);
        // No arm holds the ticket only when all weights are zero, which no written rule has.
        self.given(rule.arms.get(at).and_then(|arm| arm.offer), drawn)
    }

    /// What is offered, unless it is not listed or has failed on this device.
    fn given(&self, offer: Option<Offer>, drawn: Drawn) -> (Option<Offer>, Take) {
        match offer {
            None => (None, Take::NotListed(drawn)),
            Some(offer) if self.has_failed(offer) => (None, Take::Failed(drawn)),
            Some(offer) => (Some(offer), Take::Taken(drawn)),
        }
    }

    fn has_failed(&self, offer: Offer) -> bool {
        let release = &self.app.releases[offer.release as usize];
        self.installed.failed.names(&release.text, &release.sha256)
    }

    /// The smallest floor that lies between what the device runs and what was chosen, if any is left.
    fn floor_below(&self, chosen: Offer, observer: &mut impl Observer) -> Option<Offer> {
        let floors = &self.app.floors;
        if floors.is_empty() {
            return None;
        }
        let running = self.installed.version.as_ref()?.semver.as_ref()?;
        let target = &self.app.releases[chosen.release as usize].number;
        let first = floors.partition_point(|(floor, _)| !is_less(running, floor));
        for (at, (floor, offer)) in floors.iter().enumerate().skip(first) {
            if !is_less(floor, target) {
                return None;
            }
            let (offer, take) = self.given(Some(*offer), Drawn::default());
            observer.saw(Seen::Floor(at, take));
            if offer.is_some() {
                return offer;
            }
        }
        None
    }

    fn runs_killed(&self) -> bool {
        let running = self
            .installed
            .version
            .as_ref()
            .and_then(|stated| stated.semver.as_ref());
        // By precedence: build metadata must not hide a killed version.
        running.is_some_and(|running| {
            let killed = &self.app.killed;
            killed
                .binary_search_by(|number| number.cmp_precedence(running))
                .is_ok()
        })
    }
}

fn is_less(a: &Number, b: &Number) -> bool {
    a.cmp_precedence(b) == Ordering::Less
}
