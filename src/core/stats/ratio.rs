//! The sample-ratio check: whether units arrived in the arms as the weights say. If they did not, something else than the
//! draw decides who is counted, and no comparison between the arms means anything.
//!
//! Two answers. Chi-square, with the alarm at `p < 0.001`, is made for one look; it is the alarm that holds a ramp. Looked at
//! often it rings falsely more often than one time in a thousand: `docs/statistics.md` says how often that was measured. A
//! false alarm costs a wait, and goes away by itself as units arrive. What condemns an experiment for good
//! should not: for that there is the sequential multinomial test, which falsely rings at most once in a thousand over all
//! looks together, and is slower to see a small mismatch.
//!
//! The sequential test: the weights `w` against weights drawn from `Dirichlet(κw)`, mixed over `κ = 10, 100, 1 000, 10 000`, so
//! that gross mismatches are seen at once and small ones in time. Its evidence
//!
//! ```text
//! mean over κ of   Γ(κ)/Γ(κ + n) · Π Γ(κwᵢ + xᵢ)/Γ(κwᵢ) / Π wᵢ^xᵢ
//! ```
//!
//! is a martingale while the weights are true (Ville).
//!
//! Sources: K. Pearson, 1900; M. Lindon, A. Malek, "Anytime-Valid Inference For Multinomial Count Data", 2022; A. Fabijan et
//! al., "Diagnosing Sample Ratio Mismatch in Online Controlled Experiments", 2019 (why 0.001 and less).

use serde::{Deserialize, Serialize};

use super::{
    normal::ln_sum,
    sample::Unfit,
    special::{chi_square_above, ln_beta, ln_gamma},
};
use crate::limits::STATS_UNITS;

/// The alarm: a mismatch this large or larger comes by chance less often than this.
pub const ALARM: f64 = 0.001;
/// Expected units of the smallest arm from which chi-square is a fair approximation.
const FAIR_FROM: f64 = 5.0;

/// What arrived beside what should have.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// `Σ (observed − expected)² / expected`.
    pub chi_square: f64,
    /// How often chance alone gives so much or more, at one look; 1 while an arm expects fewer than five units.
    pub p: f64,
    /// The same over all looks together: one over the largest evidence of the sequential test at this look, at most 1.
    pub p_anytime: f64,
    /// `p < 0.001`: the ramp is held until it is not, or somebody looked.
    pub is_alarm: bool,
    /// `p_anytime < 0.001`: the counts cannot be trusted.
    pub is_shown: bool,
}

/// Holds the `counts` of arms against their `weights`. An arm of weight 0 that has units is a mismatch for sure.
///
/// # Errors
/// [`Unfit::Weights`] when there are fewer than two arms with a weight, or as many counts as weights are not there;
/// [`Unfit::TooManyUnits`].
pub fn check(counts: &[u64], weights: &[u32]) -> Result<Ratio, Unfit> {
    let weighty = weights.iter().filter(|weight| **weight > 0).count();
    if counts.len() != weights.len() || weighty < 2 {
        return Err(Unfit::Weights {
            counts: counts.len(),
            weights: weighty,
        });
    }
    let units = counts
        .iter()
        .fold(0_u64, |sum, count| sum.saturating_add(*count));
    if units > STATS_UNITS {
        return Err(Unfit::TooManyUnits { units });
    }
    let all: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
    let arms = || {
        counts
            .iter()
            .zip(weights)
            .map(|(count, weight)| (*count as f64, f64::from(*weight) / all))
    };
    if arms().any(|(count, weight)| weight == 0.0 && count > 0.0) {
        return Ok(Ratio {
            chi_square: f64::MAX,
            p: 0.0,
            p_anytime: 0.0,
            is_alarm: true,
            is_shown: true,
        });
    }
    let n = units as f64;
    let arms = || arms().filter(|(_, weight)| *weight > 0.0);
    let apart = |(count, weight): (f64, f64)| {
        let expected = n * weight;
        if expected > 0.0 {
            (count - expected) * (count - expected) / expected
        } else {
            0.0
        }
    };
    let chi_square: f64 = arms().map(apart).sum();
    let is_fair = arms().all(|(_, weight)| n * weight >= FAIR_FROM);
    let p = if is_fair {
        chi_square_above(chi_square, weighty as u32 - 1)
    } else {
        1.0
    };
    let p_anytime = libm::exp((-ln_evidence(n, arms)).min(0.0));
    Ok(Ratio {
        chi_square,
        p,
        p_anytime,
        is_alarm: p < ALARM,
        is_shown: p_anytime < ALARM,
    })
}

/// `ln` of the evidence against the weights.
fn ln_evidence<I: Iterator<Item = (f64, f64)>>(n: f64, arms: impl Fn() -> I) -> f64 {
    const SURE: [f64; 4] = [10.0, 100.0, 1_000.0, 10_000.0];
    let mut sum = f64::NEG_INFINITY;
    for sure in SURE {
        // Γ(a + x)/Γ(a) is Γ(x)/B(a, x), whose logarithms are smaller; of nothing it is 1.
        let rising = |a: f64, x: f64| {
            if x > 0.0 {
                ln_gamma(x) - ln_beta(a, x)
            } else {
                0.0
            }
        };
        let of_arms: f64 = arms()
            .map(|(x, w)| rising(sure * w, x) - x * libm::log(w))
            .sum();
        sum = ln_sum(sum, of_arms - rising(sure, n));
    }
    sum - libm::log(SURE.len() as f64)
}
