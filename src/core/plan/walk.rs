//! The whole walk, before and after, for a device that every audience means.
//!
//! Both walks see the same unit, so they are walked together. A state is how far each has come and what is
//! known about the unit's hashes; a rule whose share cuts what is known splits the state in two. Each salt
//! is one ring: its hash is cut again and again, never drawn twice. Rules in the usual order split little;
//! rings woven through each other can split without end, and then the plan says so instead of guessing.

use std::{collections::BTreeMap, rc::Rc};

use serde::Serialize;

use super::{
    Change, RuleDraw,
    part::{Part, Spans},
    ring,
};
use crate::{catalogue::App, rollout::Rollout, version::Number};

/// What a device that every audience means gets, before and after. Pins, floors and failed releases are
/// left out: they are about single devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum WalkMoves {
    /// Counted.
    Exact {
        /// The part of units that get another version, or one where they got none, or none any more.
        moved: Part,
        /// From what to what; parts that stay are listed too.
        flows: Vec<Flow>,
    },
    /// The rules share salts in so many ways that counting was given up.
    TooIntertwined {
        /// After so many steps.
        steps: u64,
    },
}

/// A part of units and what it gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// The version before; none: nothing.
    pub from: Option<Number>,
    /// The version after; none: nothing.
    pub to: Option<Number>,
    /// Which part.
    pub part: Part,
}

/// Steps after which counting is given up: well under a second.
const STEPS: u64 = 1 << 24;
/// Spans of all arms over the periods of their rings, after which counting is not begun.
const SPANS: u64 = 1 << 20;

type Version = Option<usize>;

struct Stage {
    ring: usize,
    taken: Spans,
    arms: Vec<(Spans, Version)>,
    /// Where tickets come from and their period; none when one version is served.
    arm_ring: Option<(usize, u64)>,
}

struct Walk {
    stages: Vec<Stage>,
    last: Version,
}

/// Where one of the two walks is.
#[derive(Clone, Copy)]
enum Cursor {
    At(usize),
    Done(Version),
}

/// What is known of a unit's hashes: the newest entry of a ring counts.
struct Known {
    ring: usize,
    spans: Spans,
    /// The part of all units that everything known leaves.
    part: Part,
    before: Knowledge,
}

type Knowledge = Option<Rc<Known>>;

/// What the hash of a ring decides.
#[derive(Clone, Copy)]
enum Kind {
    /// Fine positions.
    Positions,
    /// Tickets; all draws of the ring together repeat with this period.
    Tickets { period: u64 },
}

/// The numbers of versions and of rings.
#[derive(Default)]
struct Names<'a> {
    versions: Vec<&'a Number>,
    version_of: BTreeMap<&'a Number, usize>,
    positions: BTreeMap<String, usize>,
    tickets: BTreeMap<String, usize>,
    kinds: Vec<Kind>,
    spans: u64,
}

pub(super) fn moves(change: &Change<'_>) -> WalkMoves {
    let mut names = Names::default();
    let Some((old, new)) = walks(change, &mut names) else {
        return WalkMoves::TooIntertwined { steps: 0 };
    };
    let mut joint: BTreeMap<(Version, Version), Part> = BTreeMap::new();
    let mut counting = Counting {
        names: &names,
        steps: 0,
    };
    let mut states = vec![(Cursor::At(0), Cursor::At(0), None)];
    while let Some((before, after, known)) = states.pop() {
        if counting.steps > STEPS {
            return WalkMoves::TooIntertwined {
                steps: counting.steps,
            };
        }
        match (before, after) {
            (Cursor::Done(from), Cursor::Done(to)) => {
                let part = known.as_ref().map_or(Part::ALL, |k: &Rc<Known>| k.part);
                let sum = joint.entry((from, to)).or_default();
                *sum = sum.plus(part);
            }
            // The one that is behind goes first, so that both meet a ring at about the same time.
            (Cursor::At(a), after) if !matches!(after, Cursor::At(b) if b < a) => {
                counting.ask(&old, a, &known, |cursor, known| {
                    states.push((cursor, after, known));
                });
            }
            (before, Cursor::At(b)) => {
                counting.ask(&new, b, &known, |cursor, known| {
                    states.push((before, cursor, known));
                });
            }
            // The arm above takes every state whose first walk is not done.
            (Cursor::At(_), Cursor::Done(_)) => {}
        }
    }
    let named = |version: Version| version.map(|at| names.versions[at].clone());
    let moved = joint.iter().filter(|((from, to), _)| from != to);
    let moved = moved.fold(Part::NONE, |sum, (_, part)| sum.plus(*part));
    let flow = |(&(from, to), part): (&(Version, Version), &Part)| Flow {
        from: named(from),
        to: named(to),
        part: *part,
    };
    let mut flows: Vec<Flow> = joint.iter().map(flow).collect();
    flows.sort_by(|a, b| (&a.from, &a.to).cmp(&(&b.from, &b.to)));
    WalkMoves::Exact { moved, flows }
}

/// Both walks over common rings, or nothing when the tickets of one ring repeat too rarely to be counted.
fn walks<'a>(change: &Change<'a>, names: &mut Names<'a>) -> Option<(Walk, Walk)> {
    let draws = |rollout: &'a Rollout| -> Vec<RuleDraw<'a>> {
        let rules = rollout.rules.iter();
        rules
            .map(|rule| RuleDraw::of(rollout, rule, change.now))
            .collect()
    };
    let (old, new) = (change.old.map(draws), draws(change.new));
    for draw in old.iter().flatten().chain(&new) {
        if let Some(tickets) = draw.tickets {
            names.ticket_ring(&draw.arm_salt, tickets.max(1))?;
        }
    }
    let stable = |rollout: &'a Rollout| &rollout.stable;
    let old = names.walk(change.app, old.unwrap_or_default(), change.old.map(stable))?;
    let new = names.walk(change.app, new, Some(stable(change.new)))?;
    Some((old, new))
}

impl<'a> Names<'a> {
    fn position_ring(&mut self, salt: &str) -> usize {
        let next = self.kinds.len();
        let ring = *self.positions.entry(salt.to_owned()).or_insert(next);
        if ring == next {
            self.kinds.push(Kind::Positions);
        }
        ring
    }

    /// The ring that draws `tickets` tickets, among others maybe, and the period of all of them.
    fn ticket_ring(&mut self, salt: &str, tickets: u64) -> Option<(usize, u64)> {
        let next = self.kinds.len();
        let ring = *self.tickets.entry(salt.to_owned()).or_insert(next);
        if ring == next {
            self.kinds.push(Kind::Tickets { period: tickets });
        }
        let Kind::Tickets { period } = &mut self.kinds[ring] else {
            return None;
        };
        *period = ring::least_common_multiple(*period, tickets)?;
        Some((ring, *period))
    }

    /// The version that is served for `number`: none when it is not listed.
    fn version(&mut self, app: &App, number: &'a Number) -> Version {
        app.versions
            .get(number)
            .filter(|version| version.life.is_listed())?;
        let next = self.versions.len();
        let at = *self.version_of.entry(number).or_insert(next);
        if at == next {
            self.versions.push(number);
        }
        Some(at)
    }

    fn walk(
        &mut self,
        app: &App,
        draws: Vec<RuleDraw<'a>>,
        stable: Option<&'a Number>,
    ) -> Option<Walk> {
        let mut stages = Vec::new();
        for draw in draws {
            let Some(taken) = draw.taken else { continue };
            let mut arms = Vec::new();
            let mut arm_ring = None;
            for (_, span, number) in &draw.arms {
                let version = self.version(app, number);
                let Some(total) = draw.tickets else {
                    arms.push((Spans::default(), version));
                    continue;
                };
                let (ring, period) = self.ticket_ring(&draw.arm_salt, total.max(1))?;
                arm_ring = Some((ring, period));
                self.spans += period / total.max(1);
                if self.spans > SPANS {
                    return None;
                }
                arms.push((ring::repeated((total, *span), period), version));
            }
            stages.push(Stage {
                ring: self.position_ring(&draw.salt),
                taken,
                arms,
                arm_ring,
            });
            if !draw.control.is_empty() {
                let version = stable.and_then(|stable| self.version(app, stable));
                stages.push(Stage {
                    ring: self.position_ring(&draw.salt),
                    taken: draw.control,
                    arms: vec![(Spans::default(), version)],
                    arm_ring: None,
                });
            }
        }
        let last = stable.and_then(|number| self.version(app, number));
        Some(Walk { stages, last })
    }
}

struct Counting<'a, 'n> {
    names: &'a Names<'n>,
    steps: u64,
}

impl Counting<'_, '_> {
    /// Asks the rule at `at`, and hands on each state that comes of it.
    fn ask(
        &mut self,
        walk: &Walk,
        at: usize,
        known: &Knowledge,
        mut to: impl FnMut(Cursor, Knowledge),
    ) {
        self.steps += 1;
        let Some(stage) = walk.stages.get(at) else {
            return to(Cursor::Done(walk.last), known.clone());
        };
        let here = self.spans_of(known, stage.ring);
        let all = Spans::of_all();
        let current = here.as_ref().map_or(&all, |known| &known.spans);
        let (inside, outside) = (current.and(&stage.taken), current.without(&stage.taken));
        self.steps += current.len() as u64;
        if inside.is_empty() {
            return to(Cursor::At(at + 1), known.clone());
        }
        let cut = !outside.is_empty();
        if cut {
            to(Cursor::At(at + 1), self.learn(known, stage.ring, outside));
        }
        let known = if cut {
            self.learn(known, stage.ring, inside)
        } else {
            known.clone()
        };
        self.draw(stage, at, &known, to);
    }

    fn draw(
        &mut self,
        stage: &Stage,
        at: usize,
        known: &Knowledge,
        mut to: impl FnMut(Cursor, Knowledge),
    ) {
        let served = |version: Version| match version {
            Some(_) => Cursor::Done(version),
            None => Cursor::At(at + 1),
        };
        let Some((ring, period)) = stage.arm_ring else {
            let version = stage.arms.first().and_then(|(_, version)| *version);
            return to(served(version), known.clone());
        };
        let here = self.spans_of(known, ring);
        let all = Spans::below(period);
        let current = here.as_ref().map_or(&all, |known| &known.spans);
        let mut left = current.clone();
        for (spans, version) in &stage.arms {
            let drawn = current.and(spans);
            self.steps += drawn.len() as u64;
            if !drawn.is_empty() {
                left = left.without(&drawn);
                to(served(*version), self.learn(known, ring, drawn));
            }
        }
        // Tickets that no arm holds: only where all weights are zero.
        if !left.is_empty() {
            to(Cursor::At(at + 1), self.learn(known, ring, left));
        }
    }

    fn spans_of(&mut self, known: &Knowledge, ring: usize) -> Option<Rc<Known>> {
        let mut next = known;
        while let Some(entry) = next {
            self.steps += 1;
            if entry.ring == ring {
                return Some(Rc::clone(entry));
            }
            next = &entry.before;
        }
        None
    }

    /// Adds that the hash of `ring` is in `spans`.
    fn learn(&mut self, known: &Knowledge, ring: usize, spans: Spans) -> Knowledge {
        let rest = match self.spans_of(known, ring) {
            None => known.as_ref().map_or(Part::ALL, |known| known.part),
            Some(_) => self.part_without(known, ring),
        };
        Some(Rc::new(Known {
            ring,
            part: rest.times(self.part_of(ring, &spans)),
            spans,
            before: known.clone(),
        }))
    }

    /// The part that everything known but `ring` leaves.
    fn part_without(&mut self, known: &Knowledge, ring: usize) -> Part {
        let mut seen = vec![ring];
        let mut part = Part::ALL;
        let mut next = known;
        while let Some(entry) = next {
            self.steps += seen.len() as u64;
            if !seen.contains(&entry.ring) {
                seen.push(entry.ring);
                part = part.times(self.part_of(entry.ring, &entry.spans));
            }
            next = &entry.before;
        }
        part
    }

    fn part_of(&self, ring: usize, spans: &Spans) -> Part {
        match self.names.kinds[ring] {
            Kind::Positions => spans.part(),
            Kind::Tickets { period } => ring::residues(period, spans),
        }
    }
}
