//! `plan`: which devices a change of a rollout would move, before it is made.
//!
//! Three answers, from the general to the particular. Per rule: which part of all units its own draw gains,
//! loses or moves to another arm. Over the whole walk: what a device that every audience means gets before
//! and after. Over a sample of recorded polls: who gets something else. The first two count hashes, they do
//! not estimate: all 2^32 hashes are equally likely, hashes of one salt are one order of units, and those
//! of different salts (and of the two seeds) are independent.

mod part;
mod ring;
mod sample;
mod table;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    bucket::{self, Salt},
    catalogue::App,
    compile::slots_of,
    name::{AppId, ArmName, RuleName},
    predicate::Members,
    rollout::{Rollout, Rule, Serve},
    share::Share,
    time::Timestamp,
    version::Number,
};

pub use part::Part;
pub use sample::{SampleMoves, SamplePoll};
pub use walk::{Flow, WalkMoves};

use part::Spans;

/// A change to be looked at.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    /// The app with its versions.
    pub app: &'a App,
    /// Its rollout now.
    pub old: Option<&'a Rollout>,
    /// Its rollout after the change.
    pub new: &'a Rollout,
    /// When: schedules are looked at this instant.
    pub now: Timestamp,
    /// Finds segments, for the sample.
    pub members: Members<'a>,
    /// Recorded polls; those of other apps are left out.
    pub sample: &'a [SamplePoll],
}

/// What a change would move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The app.
    pub app: AppId,
    /// The stable version before and after, where it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<VersionMove>,
    /// Every rule of either rollout, in the order of the new one; removed rules last.
    pub rules: Vec<RuleMoves>,
    /// Rules that stand elsewhere among those that stay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reordered: Vec<RuleName>,
    /// What a device that every audience means gets, when nothing is pinned, floored or failed.
    pub walk: WalkMoves,
    /// What the sampled devices get; none when no poll of this app was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleMoves>,
}

/// A version in the place of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionMove {
    /// The arm, in a split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arm: Option<ArmName>,
    /// The version before; none when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Number>,
    /// The version after.
    pub to: Number,
}

/// Whether a rule stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It is in both rollouts.
    Stays,
    /// It is new.
    Added,
    /// It goes.
    Removed,
}

/// What happens to the draw of one rule. Parts are of all units, whatever the audience and the rules
/// before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleMoves {
    /// The rule.
    pub rule: RuleName,
    /// Whether it stays.
    pub fate: Fate,
    /// What it takes before; none when it takes nobody because it is paused, out of time or not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Part>,
    /// What it takes after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Part>,
    /// Units it takes only after.
    pub gained: Part,
    /// Units it takes only before.
    pub lost: Part,
    /// Units it takes before and after, in another arm.
    pub switched: Part,
    /// Units it holds on the stable version after, to compare with.
    #[serde(skip_serializing_if = "Part::is_none")]
    pub control: Part,
    /// True when its salt or layer changes: who is in is drawn anew.
    pub reshuffled: bool,
    /// True when it speaks of other devices than before.
    pub audience_changed: bool,
    /// Arms that stay and serve another version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<VersionMove>,
}

/// Says what `change` would move.
pub fn plan(change: &Change<'_>) -> Plan {
    let Change { old, new, now, .. } = *change;
    let named = |rollout: Option<&'_ Rollout>| -> BTreeMap<RuleName, usize> {
        let rules = rollout.map(|r| &*r.rules).unwrap_or_default();
        rules
            .iter()
            .enumerate()
            .map(|(at, rule)| (rule.name.clone(), at))
            .collect()
    };
    let (before, after) = (named(old), named(Some(new)));
    let mut rules: Vec<RuleMoves> = Vec::new();
    for rule in &new.rules {
        let was = old.and_then(|old| {
            let at = *before.get(&rule.name)?;
            Some(drawn(old, &old.rules[at], now))
        });
        rules.push(moves(was, Some(drawn(new, rule, now))));
    }
    if let Some(old) = old {
        let gone = old
            .rules
            .iter()
            .filter(|rule| !after.contains_key(&rule.name));
        rules.extend(gone.map(|rule| moves(Some(drawn(old, rule, now)), None)));
    }
    let stable = (old.map(|old| &old.stable) != Some(&new.stable)).then(|| VersionMove {
        arm: None,
        from: old.map(|old| old.stable.clone()),
        to: new.stable.clone(),
    });
    Plan {
        app: new.app.clone(),
        stable,
        rules,
        reordered: reordered(old, new, &before, &after),
        walk: walk::moves(change),
        sample: sample::moves(change),
    }
}

/// Rules that stay and whose place among those that stay changes.
fn reordered(
    old: Option<&Rollout>,
    new: &Rollout,
    before: &BTreeMap<RuleName, usize>,
    after: &BTreeMap<RuleName, usize>,
) -> Vec<RuleName> {
    let old = old.map(|old| &*old.rules).unwrap_or_default();
    let old = old.iter().filter(|rule| after.contains_key(&rule.name));
    let new = new
        .rules
        .iter()
        .filter(|rule| before.contains_key(&rule.name));
    let pairs = old.zip(new).filter(|(was, is)| was.name != is.name);
    pairs.map(|(_, is)| is.name.clone()).collect()
}

/// Which units a rule draws, and into which arms.
pub(crate) struct RuleDraw<'a> {
    /// The salt that positions come from.
    pub(crate) salt: String,
    /// The positions it takes; `None` when it takes nobody at all now.
    pub(crate) taken: Option<Spans>,
    /// The salt that arms come from.
    pub(crate) arm_salt: String,
    /// Tickets of a split; `None` when it serves one version.
    pub(crate) tickets: Option<u64>,
    /// Positions that are held on the stable version, to compare with.
    pub(crate) control: Spans,
    /// Arms with the tickets they hold, as a half-open span counted from 0.
    pub(crate) arms: Vec<(Option<&'a ArmName>, (u64, u64), &'a Number)>,
}

impl<'a> RuleDraw<'a> {
    pub(crate) fn of(rollout: &Rollout, rule: &'a Rule, now: Timestamp) -> Self {
        let arm_salt = rollout.salt_of(rule);
        let (salt, taken) = match &rule.layer {
            Some(layer) => {
                let (slots, _) = slots_of(rollout, rule, layer);
                (Salt::of_layer(layer).to_string(), Spans::of_slots(&slots))
            }
            None if rule.share == Share::ALL => (arm_salt.clone(), Spans::of_all()),
            None => (
                arm_salt.clone(),
                Spans::below(bucket::threshold(rule.share)),
            ),
        };
        let (from, more) = (rule.share.millionths(), rule.control().millionths());
        let to = Share::from_millionths(from + more).unwrap_or(Share::ALL);
        let both = Spans::below(bucket::threshold(to));
        let control = both.without(&Spans::below(bucket::threshold(rule.share)));
        let begun = rule.start.is_none_or(|start| start <= now);
        let works = !rule.paused && begun && rule.end.is_none_or(|end| now < end);
        let mut next = 0_u64;
        let arms = rule.arms().into_iter().map(|(name, weight, arm)| {
            let first = next;
            next += u64::from(weight);
            (name, (first, next), &arm.version)
        });
        let arms: Vec<_> = arms.collect();
        Self {
            salt,
            control: if works { control } else { Spans::default() },
            taken: works.then_some(taken),
            arm_salt,
            tickets: matches!(rule.serve, Serve::Split(_)).then_some(next),
            arms,
        }
    }

    fn taken(&self) -> Spans {
        self.taken.clone().unwrap_or_default()
    }
}

type Drawn<'a> = (&'a Rule, RuleDraw<'a>);

fn drawn<'a>(rollout: &Rollout, rule: &'a Rule, now: Timestamp) -> Drawn<'a> {
    (rule, RuleDraw::of(rollout, rule, now))
}

fn moves(was: Option<Drawn<'_>>, is: Option<Drawn<'_>>) -> RuleMoves {
    let part = |drawn: &Option<Drawn<'_>>| -> Option<Part> {
        Some(drawn.as_ref()?.1.taken.as_ref()?.part())
    };
    let (before, after) = (part(&was), part(&is));
    let control = is.as_ref().map(|(_, draw)| draw.control.part());
    let control = control.unwrap_or_default();
    let (was, is) = match (was, is) {
        (Some(was), Some(is)) => (was, is),
        (was, is) => {
            let fate = if was.is_some() {
                Fate::Removed
            } else {
                Fate::Added
            };
            // One of the two is there: a rule comes from one of the rollouts.
            let name = was.or(is).map(|(rule, _)| rule.name.clone());
            return RuleMoves {
                rule: name.unwrap_or_else(|| unreachable!("a rule of neither rollout")),
                fate,
                before,
                after,
                gained: after.unwrap_or_default(),
                lost: before.unwrap_or_default(),
                switched: Part::NONE,
                control,
                reshuffled: false,
                audience_changed: false,
                versions: Vec::new(),
            };
        }
    };
    let ((old, was), (new, is)) = (was, is);
    let (a, b) = (was.taken(), is.taken());
    let both = if was.salt == is.salt {
        a.and(&b).part()
    } else {
        a.part().times(b.part())
    };
    RuleMoves {
        rule: new.name.clone(),
        fate: Fate::Stays,
        before,
        after,
        gained: b.part().less(both),
        lost: a.part().less(both),
        switched: both.times(Part::ALL.less(same_arm(&was, &is))),
        control,
        reshuffled: was.salt != is.salt || was.arm_salt != is.arm_salt,
        audience_changed: old.when != new.when,
        versions: version_moves(&was, &is),
    }
}

/// The part of units whose arm has the same name in both draws.
fn same_arm(was: &RuleDraw<'_>, is: &RuleDraw<'_>) -> Part {
    let (Some(old), Some(new)) = (was.tickets, is.tickets) else {
        let both_plain = was.tickets.is_none() && is.tickets.is_none();
        return if both_plain { Part::ALL } else { Part::NONE };
    };
    let names: BTreeSet<_> = was.arms.iter().map(|(name, ..)| *name).collect();
    let of = |draw: &RuleDraw<'_>, name| {
        let arm = draw.arms.iter().find(|(known, ..)| *known == name);
        arm.map_or((0, 0), |(_, span, _)| *span)
    };
    let mut same = Part::NONE;
    for name in names {
        let (a, b) = (of(was, name), of(is, name));
        same = same.plus(if was.arm_salt == is.arm_salt {
            ring::both_tickets((old, a), (new, b))
        } else {
            ring::tickets(old, a).times(ring::tickets(new, b))
        });
    }
    same
}

fn version_moves(was: &RuleDraw<'_>, is: &RuleDraw<'_>) -> Vec<VersionMove> {
    let of = |name| was.arms.iter().find(|(known, ..)| *known == name);
    (is.arms.iter())
        .filter_map(|(name, _, to)| {
            let (_, _, from) = of(*name)?;
            (from != to).then(|| VersionMove {
                arm: name.cloned(),
                from: Some((*from).clone()),
                to: (*to).clone(),
            })
        })
        .collect()
}
