//! `Sample`: what one cohort was counted to have done. Checked once when it is made, so that nothing behind it divides
//! by zero or takes the root of a negative number.
//!
//! It holds sums alone, never anything of one unit.

use serde::{Deserialize, Serialize};

use crate::limits::STATS_UNITS;

/// What one cohort did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Sample {
    /// Units, and those of them to which it happened.
    Events {
        /// Units counted once each.
        units: u64,
        /// Units to which it happened at least once; at most `units`.
        events: u64,
    },
    /// Units, and sums over them of a quantity each of them has.
    Totals {
        /// Units counted once each.
        units: u64,
        /// The sum of the quantity, in its own unit.
        sum: f64,
        /// The sum of its squares.
        squares: f64,
    },
}

/// Why counts cannot be judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Unfit {
    /// More events than units.
    #[error("{events} events of {units} units; count each unit once")]
    MoreEventsThanUnits {
        /// Units.
        units: u64,
        /// Events.
        events: u64,
    },
    /// More than can be counted exactly.
    #[error("{units} units are more than {STATS_UNITS}; start a new step or experiment")]
    TooManyUnits {
        /// Units.
        units: u64,
    },
    /// Sums that no numbers have.
    #[error("sum and sum of squares belong to no {units} numbers; check what the measure adds up")]
    Impossible {
        /// Units.
        units: u64,
    },
    /// One cohort counts events and the other sums.
    #[error("the cohorts are counted in two ways; give both as events or both as totals")]
    TwoKinds,
    /// A share of the new version among both cohorts that leaves one of them empty.
    #[error("the new version has all or none of the weight; a control cohort needs some of it")]
    NoControl,
    /// Arms without weights, weights without arms, or no weight at all.
    #[error(
        "{counts} counts and {weights} weights; give each of two or more arms a positive weight"
    )]
    Weights {
        /// Arms with a count.
        counts: usize,
        /// Arms with a weight above zero.
        weights: usize,
    },
    /// Tolerances that contradict one another.
    #[error(
        "a tolerance is a difference from 0 up that both cohorts can have, and a margin is at least as large"
    )]
    Tolerance,
}

impl Sample {
    /// Counted events, or why not.
    ///
    /// # Errors
    /// See [`Unfit`].
    pub fn checked(self) -> Result<Self, Unfit> {
        let units = self.units();
        if units > STATS_UNITS {
            return Err(Unfit::TooManyUnits { units });
        }
        match self {
            Self::Events { units, events } if events > units => {
                Err(Unfit::MoreEventsThanUnits { units, events })
            }
            Self::Totals { sum, squares, .. } if !possible(units as f64, sum, squares) => {
                Err(Unfit::Impossible { units })
            }
            _ => Ok(self),
        }
    }

    /// How many units.
    pub const fn units(&self) -> u64 {
        match self {
            Self::Events { units, .. } | Self::Totals { units, .. } => *units,
        }
    }

    /// Events per unit, or the mean of the quantity; 0 of no units.
    pub(super) fn mean(&self) -> f64 {
        let units = self.units().max(1) as f64;
        match self {
            Self::Events { events, .. } => *events as f64 / units,
            Self::Totals { sum, .. } => sum / units,
        }
    }

    /// The variance of one unit: `p(1 − p)` of events, else `(Σx² − (Σx)²/n) / (n − 1)`.
    pub(super) fn variance(&self) -> f64 {
        let mean = self.mean();
        match self {
            Self::Events { .. } => (mean * (1.0 - mean)).max(0.0),
            Self::Totals {
                units,
                sum,
                squares,
            } => ((squares - sum * mean) / units.saturating_sub(1).max(1) as f64).max(0.0),
        }
    }

    /// The variance of the mean; 0 of no units.
    pub(super) fn mean_variance(&self) -> f64 {
        self.variance() / self.units().max(1) as f64
    }

    /// True once the normal approximation is fair: at least `least` events and as many units without, or ten times as many
    /// units with a quantity that is not the same for all.
    pub(super) fn is_near_normal(&self, least: u64) -> bool {
        match self {
            Self::Events { units, events } => {
                *events >= least && units.saturating_sub(*events) >= least
            }
            Self::Totals { units, .. } => *units >= least * 10 && self.variance() > 0.0,
        }
    }
}

/// Two samples that can be compared, or why not.
pub(super) fn comparable(one: Sample, other: Sample) -> Result<(Sample, Sample), Unfit> {
    if matches!(one, Sample::Events { .. }) != matches!(other, Sample::Events { .. }) {
        return Err(Unfit::TwoKinds);
    }
    Ok((one.checked()?, other.checked()?))
}

/// The difference of the means, its standard error, and the units of both.
pub(super) fn compared(one: &Sample, other: &Sample) -> (f64, f64, u64) {
    let se = (one.mean_variance() + other.mean_variance()).sqrt();
    (one.mean() - other.mean(), se, one.units() + other.units())
}

/// Sums that some `units` finite numbers have: `(Σx)² ≤ n Σx²`, as far as floats can tell.
fn possible(units: f64, sum: f64, squares: f64) -> bool {
    const MOST: f64 = 1e140;
    let finite = sum.abs() <= MOST && (0.0..=MOST).contains(&squares);
    let none = units > 0.0 || (sum == 0.0 && squares == 0.0);
    finite && none && sum * sum <= units * squares * (1.0 + 1e-9)
}
