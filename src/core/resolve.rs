//! `resolve`: which prepared answer a device gets. The one function that every poll runs.
//!
//! Total: every device gets an answer. It blocks on nothing, allocates nothing on the heap, takes no lock
//! and reads no clock. The walk is written once, over an `Observer`: a poll passes one that does
//! nothing, `explain` one that takes notes, so an explanation can never differ from the answer. A poll passes by
//! the rules that the index or their share rule out; whoever narrates asks each of them in the same words.

mod draws;

use std::cmp::Ordering;

use crate::{
    bucket::Fine,
    compile::{Answer, By, CompiledApp, Draw, KILLED, NONE, Offer},
    digest::Digest,
    index::{self, RULES_INDEXED},
    manifest::Reason,
    poll::{Device, Installed},
    time::Timestamp,
    version::Number,
};

use self::draws::Draws;

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
    /// True when it must hear of the rules that do not take the device, too.
    const NARRATES: bool;

    /// One thing was decided.
    fn saw(&mut self, seen: Seen);
}

/// The observer of a poll.
struct Silent;

impl Observer for Silent {
    const NARRATES: bool = false;

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
        if let Some(chosen) = self.take(observer) {
            return Some(chosen);
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

    /// What the first rule that takes the device gives.
    fn take<O: Observer>(&self, observer: &mut O) -> Option<Chosen> {
        let rules = self.app.rows.len();
        if rules == 0 {
            return None;
        }
        let meant = self.app.index.candidates(self.device, self.installed);
        let mut draws = Draws::new(self.app, self.device.unit);
        let mut ask = |at: usize, meant: bool, draws: &mut Draws<'_>| {
            let (offer, take) = self.ask(at, meant, draws);
            observer.saw(Seen::Rule(at, take));
            offer.map(|offer| Chosen {
                offer,
                reason: Reason::Rule,
                rule: Some(at),
            })
        };
        if O::NARRATES {
            let known = |at| at >= RULES_INDEXED || index::has(&meant, at);
            return (0..rules).find_map(|at| ask(at, known(at), &mut draws));
        }
        for (chunk, &named) in meant.iter().enumerate().take(rules.div_ceil(64)) {
            if named == 0 {
                continue;
            }
            let mut left = draws.within(chunk, named);
            while left != 0 {
                let at = 64 * chunk + left.trailing_zeros() as usize;
                left &= left - 1;
                if let Some(chosen) = ask(at, true, &mut draws) {
                    return Some(chosen);
                }
            }
        }
        (RULES_INDEXED..rules).find_map(|at| ask(at, true, &mut draws))
    }

    /// Asks one rule. `meant`: as far as the index can tell, it means the device.
    #[inline]
    fn ask(&self, at: usize, meant: bool, draws: &mut Draws<'_>) -> (Option<Offer>, Take) {
        let (row, rule) = (&self.app.rows[at], &self.app.rules[at]);
        if row.paused {
            return (None, Take::Paused);
        }
        if self.now < row.start {
            return (None, Take::NotYet);
        }
        if row.end <= self.now && rule.end.is_some() {
            return (None, Take::Over);
        }
        if !meant || (row.has_rest && !rule.rest.matches(self.device, self.installed)) {
            return (None, Take::NotMeant);
        }
        let mut drawn = Drawn::default();
        if row.by != By::Everybody {
            let fine = draws.position(row);
            drawn.fine = Some(fine);
            let inside = match &rule.draw {
                Draw::Slots { slots, .. } => slots.contains(fine.slot()),
                _ => row.reach.holds(fine),
            };
            if !inside {
                return (None, Take::Outside(fine));
            }
        }
        if !row.splits {
            drawn.arm = Some(0);
            return self.given(row.offer, drawn);
        }
        if let (Some(candidate), Some(fine)) = (rule.candidate, drawn.fine) {
            let arm = usize::from(!candidate.holds(fine));
            drawn.arm = Some(arm);
            return self.given(rule.arms.get(arm).and_then(|arm| arm.offer), drawn);
        }
        let ticket = draws.ticket(rule.salt, rule.tickets);
        drawn.ticket = Some(ticket);
        let arm = rule.arms.partition_point(|arm| arm.up_to < ticket);
        drawn.arm = Some(arm);
        // No arm holds the ticket only when all weights are zero, which no written rule has.
        self.given(rule.arms.get(arm).and_then(|arm| arm.offer), drawn)
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
        if self.installed.failed.is_empty() {
            return false;
        }
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
