//! A guard: whether the new version does harm beside a control cohort of the same time and audience.
//!
//! Two kinds of evidence, both valid at every look. Bets (`betting`) are exact and see the first failures where the control
//! has none; the sequence (`sequence`) is sharper once there are many events, and the only one for means. Of counted
//! events both are used, half of the money on each: the mean of two amounts of evidence is evidence, so a harmless release is
//! stopped with a probability of at most `α` over all looks of a step, by Ville's inequality. Splitting `α` between the two
//! would stop later and never earlier. The sequence counts as nothing until both cohorts have `NORMAL_FROM` events and
//! as many units without; from then on it counts for all it has seen.
//!
//! A guard only says what it sees: what follows is the ramp plan's. Its counts are those of one step, during which the
//! shares of the cohorts did not change. It never compares with another time, another audience or a fixed number.

use serde::{Deserialize, Serialize};

use super::{
    alpha::Alpha,
    betting::{Bets, Tally},
    normal::ln_mean,
    sample::{Sample, Unfit, comparable, compared},
    sequence::{PLANNED_UNITS, Sequence},
};

/// Events, and units without, that each cohort needs before the normal approximation counts.
pub const NORMAL_FROM: u64 = 10;
/// Evidence is told up to here; more of it changes nothing.
const MOST_EVIDENCE: f64 = 1e12;

/// Which way harm lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// More of it is worse: crashes, errors, milliseconds.
    More,
    /// Less of it is worse: activations, conversions.
    Less,
}

/// What is watched, and what is too much.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// Which way harm lies.
    pub harm: Harm,
    /// How often a harmless release may fail, over all looks together.
    #[serde(default = "five_percent")]
    pub alpha: Alpha,
    /// The difference that is put up with, in the measure's own unit (0.01 is a percentage point of units): a guard fails
    /// once more than this is shown.
    #[serde(default)]
    pub tolerated: f64,
    /// The non-inferiority margin, at least `tolerated`: a guard passes once less than this is shown. Without one it
    /// never passes by evidence; it fails or says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Units of each cohort below which nothing passes. It never delays a stop: evidence of harm is valid at any sample.
    #[serde(default)]
    pub least_units: u64,
    /// `N*`: units of both cohorts at which the sequence is narrowest.
    #[serde(default = "planned_units")]
    pub planned_units: u64,
}

fn five_percent() -> Alpha {
    Alpha::FIVE_PERCENT
}

fn planned_units() -> u64 {
    PLANNED_UNITS
}

impl Guard {
    /// A guard that tolerates nothing and fails at 5 %.
    pub const fn against(harm: Harm) -> Self {
        Self {
            harm,
            alpha: Alpha::FIVE_PERCENT,
            tolerated: 0.0,
            margin: None,
            least_units: 0,
            planned_units: PLANNED_UNITS,
        }
    }

    /// The guard made ready for cohorts of which the new version has `share` by the draw, 0 < share < 1: its
    /// weight among both, not what was counted.
    ///
    /// # Errors
    /// [`Unfit::NoControl`] and [`Unfit::Tolerance`].
    pub fn ready(&self, share: f64) -> Result<Watch, Unfit> {
        if share.is_nan() || share <= 0.0 || share >= 1.0 {
            return Err(Unfit::NoControl);
        }
        let margin = self.margin.unwrap_or(self.tolerated);
        let is_fair = self.tolerated >= 0.0 && margin >= self.tolerated && margin <= MOST_EVIDENCE;
        if !is_fair {
            return Err(Unfit::Tolerance);
        }
        let is_more = self.harm == Harm::More;
        Ok(Watch {
            guard: *self,
            sequence: Sequence::new(self.alpha, self.planned_units),
            harm: Claim::new(is_more, self.tolerated, share, !is_more),
            harmless: self
                .margin
                .map(|margin| Claim::new(!is_more, -margin, share, !is_more)),
        })
    }
}

/// What a guard says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Harm beyond the margin is ruled out, and the minimum sample is there.
    Pass,
    /// Harm beyond what is tolerated is shown.
    Fail,
    /// Neither is shown.
    Inconclusive,
    /// It cannot be judged, and why.
    Error(Unfit),
}

/// What a verdict rests on, for people to read. Every number is finite. It follows from the guard and the counts alone, so the
/// ledger keeps those: a float may lose its last digit on the way through JSON, a count does not.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The new version's mean.
    pub new: f64,
    /// The control's mean.
    pub control: f64,
    /// New less control.
    pub difference: f64,
    /// The difference is not below this at any look, but for `α`. Nothing while the approximation is not fair.
    pub low: Option<f64>,
    /// The difference is not above this at any look, but for `α`.
    pub high: Option<f64>,
    /// Evidence of harm: what a unit of money laid on it has become.
    pub harm: f64,
    /// Evidence that harm is below the margin; 1 without a margin.
    pub harmless: f64,
    /// How much of either it takes: `1/α`.
    pub needed: f64,
    /// True once both cohorts have the minimum sample.
    pub is_enough: bool,
}

/// A guard with its bets laid out: made once for a step, asked at every look.
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    guard: Guard,
    sequence: Sequence,
    harm: Claim,
    harmless: Option<Claim>,
}

impl Watch {
    /// What the counts so far say.
    pub fn judge(&self, new: &Sample, control: &Sample) -> Verdict {
        let (new, control) = match comparable(*new, *control) {
            Ok(pair) => pair,
            Err(unfit) => return Verdict::Error(unfit),
        };
        let needed = self.guard.alpha.ln_needed();
        if self.harm.ln_evidence(&self.sequence, &new, &control) >= needed {
            return Verdict::Fail;
        }
        let passes = |claim: &Claim| claim.ln_evidence(&self.sequence, &new, &control) >= needed;
        if self.is_enough(&new, &control) && self.harmless.as_ref().is_some_and(passes) {
            return Verdict::Pass;
        }
        Verdict::Inconclusive
    }

    /// What the verdict rests on, for the ledger and for people.
    ///
    /// # Errors
    /// Where [`Watch::judge`] says [`Verdict::Error`], the same.
    pub fn evidence(&self, new: &Sample, control: &Sample) -> Result<Evidence, Unfit> {
        let (new, control) = comparable(*new, *control)?;
        let (difference, se, units) = compared(&new, &control);
        let is_fair = is_near_normal(&new, &control);
        let wide = is_fair.then(|| self.sequence.half_width_one_sided(se, units));
        let told = |claim: &Claim| {
            libm::exp(claim.ln_evidence(&self.sequence, &new, &control)).min(MOST_EVIDENCE)
        };
        Ok(Evidence {
            new: new.mean(),
            control: control.mean(),
            difference,
            low: wide.map(|wide| difference - wide),
            high: wide.map(|wide| difference + wide),
            harm: told(&self.harm),
            harmless: self.harmless.as_ref().map_or(1.0, told),
            needed: 1.0 / self.guard.alpha.get(),
            is_enough: self.is_enough(&new, &control),
        })
    }

    fn is_enough(&self, new: &Sample, control: &Sample) -> bool {
        new.units().min(control.units()) >= self.guard.least_units
    }
}

/// That one cohort lies more than a difference above the other.
#[derive(Debug, Clone, PartialEq)]
struct Claim {
    /// True when it is the new version that lies above.
    is_new: bool,
    than: f64,
    /// Nothing where no rates can differ that much: then only means can.
    events: Option<Bets>,
    /// The same bet on units without event, for rates near 1 (98 % activate), where those are the rare ones.
    rest: Option<Bets>,
}

impl Claim {
    fn new(is_new: bool, than: f64, share: f64, with_rest: bool) -> Self {
        let above = if is_new { share } else { 1.0 - share };
        let rest = if with_rest {
            Bets::new(1.0 - above, than)
        } else {
            None
        };
        Self {
            is_new,
            than,
            events: Bets::new(above, than),
            rest,
        }
    }

    /// `ln` of the evidence for the claim.
    fn ln_evidence(&self, sequence: &Sequence, new: &Sample, control: &Sample) -> f64 {
        let (above, below) = if self.is_new {
            (new, control)
        } else {
            (control, new)
        };
        let asymptotic = || {
            let (difference, se, units) = compared(above, below);
            sequence.ln_evidence_above(difference, self.than, se, units)
        };
        let is_fair = is_near_normal(new, control);
        let (
            &Sample::Events {
                units: n,
                events: x,
            },
            &Sample::Events {
                units: m,
                events: y,
            },
        ) = (above, below)
        else {
            return if is_fair { asymptotic() } else { 0.0 };
        };
        let Some(events) = &self.events else {
            return f64::MIN;
        };
        let mut exact = events.ln_wealth(&Tally {
            first: x,
            second: y,
            neither: n + m - x - y,
        });
        if let Some(rest) = &self.rest {
            let other = rest.ln_wealth(&Tally {
                first: m - y,
                second: n - x,
                neither: x + y,
            });
            exact = ln_mean(exact, other);
        }
        ln_mean(
            exact,
            if is_fair {
                asymptotic()
            } else {
                f64::NEG_INFINITY
            },
        )
    }
}

fn is_near_normal(new: &Sample, control: &Sample) -> bool {
    new.is_near_normal(NORMAL_FROM) && control.is_near_normal(NORMAL_FROM)
}
