//! What changes of a rollout do to a test that runs, and what the rollout is once it is over.
//!
//! An arm is drawn as `hash % tickets`, so other weights, or one more arm, move units that were drawn already. How many is
//! counted over all 2^32 hashes, not estimated, so every node says the same. Growing a share moves nobody: who comes
//! in is drawn for the first time. It decides nothing; whether a change is refused is asked elsewhere.

use std::fmt;

use crate::{
    name::{ArmName, RuleName},
    rollout::{Arm, Rollout, Rule, Serve},
    share::Share,
};

/// What a change does to a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disturbance {
    /// There is nothing left to compare: what is so, and what to do.
    Ends(&'static str),
    /// Units change arms, or arms what they serve: what was counted before does not count any more.
    Redraws(Redraw),
}

/// What is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redraw {
    /// Hashes, of 2^32, that draw another arm.
    pub moved: u64,
    /// Arms that stay and serve something else.
    pub others: Vec<ArmName>,
}

const END_FIRST: &str = "the rule is gone; end the test first, or pause the rule";
const NO_SPLIT: &str = "the rule serves one version; end the test first";
const TWO_ARMS: &str = "fewer than two arms are left; end the test first";
const NO_CONTROL: &str = "the control arm is gone; end the test first";

/// What putting `after` in place of `before` does to a test over `rule` with that control arm; none: nothing.
pub fn disturbed(
    rule: &RuleName,
    control: &ArmName,
    before: &Rollout,
    after: &Rollout,
) -> Option<Disturbance> {
    let find = |rollout: &Rollout| {
        rollout
            .rules
            .iter()
            .find(|known| known.name == *rule)
            .cloned()
    };
    let Some(is) = find(after) else {
        return Some(Disturbance::Ends(END_FIRST));
    };
    let Serve::Split(arms) = &is.serve else {
        return Some(Disturbance::Ends(NO_SPLIT));
    };
    if arms.values().filter(|arm| arm.weight > 0).count() < 2 {
        return Some(Disturbance::Ends(TWO_ARMS));
    }
    if arms.get(control).is_none_or(|arm| arm.weight == 0) {
        return Some(Disturbance::Ends(NO_CONTROL));
    }
    let was = find(before)?;
    let others = was.arms().into_iter().filter_map(|(name, _, arm)| {
        let name = name?;
        let now = &arms.get(name)?.arm;
        (now != arm).then(|| name.clone())
    });
    let redraw = Redraw {
        moved: moved(&was, &is),
        others: others.collect(),
    };
    (redraw.moved > 0 || !redraw.others.is_empty()).then_some(Disturbance::Redraws(redraw))
}

/// Hashes there are.
const HASHES: u64 = 1 << 32;

/// How many of all hashes draw an arm of another name.
pub fn moved(was: &Rule, is: &Rule) -> u64 {
    let (a, b) = (Tickets::of(was), Tickets::of(is));
    if a.ends == b.ends && a.names == b.names {
        return 0;
    }
    let (Some(all_a), Some(all_b)) = (a.all(), b.all()) else {
        return HASHES;
    };
    // Within limits there are some ten thousand turns; what no check has passed is all called moved.
    let Some(period) = common(all_a, all_b) else {
        return HASHES;
    };
    let (whole, rest) = (HASHES / period, HASHES % period);
    let (mut at, mut moved) = (0, 0);
    while at < period {
        let ((one, left_a), (other, left_b)) = (a.drawn(at % all_a), b.drawn(at % all_b));
        let to = at + left_a.min(left_b);
        if one != other {
            moved += whole * (to - at) + to.min(rest).saturating_sub(at);
        }
        at = to;
    }
    moved
}

/// The tickets of a rule: where each arm's end.
struct Tickets<'a> {
    names: Vec<Option<&'a ArmName>>,
    ends: Vec<u64>,
}

impl<'a> Tickets<'a> {
    fn of(rule: &'a Rule) -> Self {
        let (mut names, mut ends, mut end) = (Vec::new(), Vec::new(), 0);
        for (name, weight, _) in rule.arms() {
            if weight > 0 {
                end += u64::from(weight);
                names.push(name);
                ends.push(end);
            }
        }
        Self { names, ends }
    }

    fn all(&self) -> Option<u64> {
        let all = *self.ends.last()?;
        (all <= u64::from(crate::limits::WEIGHT_TOTAL)).then_some(all)
    }

    /// The arm of a ticket, and how many tickets it has from there on.
    fn drawn(&self, ticket: u64) -> (Option<&'a ArmName>, u64) {
        let nth = self.ends.partition_point(|end| *end <= ticket);
        (self.names[nth], self.ends[nth] - ticket)
    }
}

/// The least common multiple, where it is below the number of hashes.
fn common(a: u64, b: u64) -> Option<u64> {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a.checked_div(x)?
        .checked_mul(b)
        .filter(|multiple| *multiple <= HASHES)
}

impl fmt::Display for Redraw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = || {
            let names = self.others.iter().map(|name| format!("`{name}`"));
            names.collect::<Vec<_>>().join(", ")
        };
        match (self.moved, self.others.is_empty()) {
            (0, _) => write!(f, "lets arm {} serve something else", names()),
            (moved, true) => write!(f, "moves {} of its units to another arm", part(moved)),
            (moved, false) => write!(
                f,
                "moves {} of its units to another arm, and lets arm {} serve something else",
                part(moved),
                names()
            ),
        }
    }
}

/// A number of hashes as people write shares.
fn part(hashes: u64) -> String {
    let millionths = (u128::from(hashes) * 100_000_000 + (1 << 31)) >> 32;
    let share = u32::try_from(millionths)
        .ok()
        .and_then(Share::from_millionths);
    match share {
        Some(Share::NONE) => "less than 0.000001%".into(),
        Some(share) => share.to_string(),
        None => "all".into(),
    }
}

/// The rollout once a test over `rule` is over. With an arm, its version is the stable one; without, the rule's units get
/// what the rules behind it give them. An arm with parameters keeps a rule of its own, because the stable version has none.
///
/// # Errors
/// What is so, and what to do.
pub fn concluded(
    rollout: &Rollout,
    rule: &RuleName,
    arm: Option<&ArmName>,
) -> Result<Rollout, &'static str> {
    let mut after = rollout.clone();
    let Some(at) = after.rules.iter().position(|known| known.name == *rule) else {
        return Err("its rule is gone; put a rollout in place by hand");
    };
    let was = after.rules.remove(at);
    let Some(name) = arm else {
        return Ok(after);
    };
    let arms = was.arms();
    let won = arms.iter().find(|(known, ..)| *known == Some(name));
    let Some((_, _, won)) = won else {
        return Err("there is no such arm; `huidu experiment show` lists them");
    };
    after.stable = won.version.clone();
    if !won.params.is_empty() {
        let name = format!("{rule}-{name}").parse();
        let name = name.map_err(
            |_| "its arm has parameters, and a rule for them would have too long a name; put a rollout in place by hand",
        )?;
        let kept = Rule {
            name,
            when: was.when.clone(),
            share: Share::ALL,
            layer: None,
            slots: Default::default(),
            salt: None,
            start: None,
            end: None,
            paused: false,
            force: was.force,
            ramp: None,
            serve: Serve::One(Arm::clone(won)),
        };
        after.rules.insert(at, kept);
    }
    Ok(after)
}
