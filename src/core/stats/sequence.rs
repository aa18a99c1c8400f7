//! The asymptotic confidence sequence: intervals that hold at every look together, for anything that has a mean.
//!
//! For `N` units in both cohorts and a difference with standard error `se`,
//!
//! ```text
//! ρ²         = (−2 ln α + ln(−2 ln α + 1)) / N*                  N* = 5 000: where the sequence is narrowest
//! half-width = se · √N · √( 2(Nρ² + 1)/(N²ρ²) · ln(√(Nρ² + 1)/α) )
//! ```
//!
//! Why: let `z = difference/se`. Under no difference and the normal approximation `√N z` walks like Brownian motion at time
//! `N`, and `exp(λ√N z − λ²N/2)` is a martingale for each `λ`. Mixed over `λ ~ Normal(0, ρ²)` it is
//! `exp(z²u/(2(u+1))) / √(u+1)` with `u = Nρ²`, which by Ville's inequality is ever above `1/α` with a probability of at
//! most `α`; solved for `z` that is the half-width.
//!
//! One-sided, for guards: only `λ ≥ 0` bets on harm, so the mixture is over the half-normal distribution,
//!
//! ```text
//! evidence = 2 Φ(x) exp(x²/2) / √(u+1)       x = z √(u/(u+1))
//! ```
//!
//! which stays a supermartingale when the true difference is below zero. As `2Φ(x)exp(x²/2) ≥ 2 exp(x²/2) − 1` for
//! `x ≥ 0`, it has reached `1/α` once `exp(x²/2) ≥ (1 + √(u+1)/α)/2`: this closed form is the one-sided half-width. It costs
//! about what two sides cost at `2α`, so its `ρ²` is the one above at `2α`.
//!
//! The approximation is one: of few events it is false, and never used alone (`Sample::is_near_normal`).
//!
//! Sources: H. Robbins, "Statistical methods related to the law of the iterated logarithm", 1970; I. Waudby-Smith, D. Arbour,
//! R. Sinha, E. H. Kennedy, A. Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences",
//! Annals of Statistics, 2024; J. Ville, "Étude critique de la notion de collectif", 1939.

use std::f64::consts::LN_2;

use super::{alpha::Alpha, normal::ln_below};

/// `N*`: the units of both cohorts at which a sequence is narrowest, unless told otherwise.
pub const PLANNED_UNITS: u64 = 5_000;

/// A sequence for one `α`, narrowest at `N*` units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sequence {
    alpha: Alpha,
    /// `ρ²` for two sides.
    two: f64,
    /// `ρ²` for one side.
    one: f64,
}

impl Sequence {
    /// The sequence that errs with `alpha` and is narrowest at `planned` units of both cohorts.
    pub fn new(alpha: Alpha, planned: u64) -> Self {
        let rho_squared = |alpha: f64| {
            let twice = -2.0 * libm::log(alpha);
            (twice + libm::log(twice + 1.0)) / planned.max(1) as f64
        };
        Self {
            alpha,
            two: rho_squared(alpha.get()),
            // At α = ½ one side asks for nothing, and ρ² must stay above zero.
            one: rho_squared((2.0 * alpha.get()).min(0.9)),
        }
    }

    /// Half the width of the two-sided interval: the difference is within it of the truth at every look, but for `α`.
    /// `se` is the standard error of the difference in its own unit, `units` those of both cohorts. No units, no bound:
    /// the largest float.
    pub fn half_width(&self, se: f64, units: u64) -> f64 {
        let u = units as f64 * self.two;
        bounded(se, u, libm::log((u + 1.0).sqrt() / self.alpha.get()))
    }

    /// The one-sided half-width: the truth is not below the difference less this at any look, but for `α`.
    pub fn half_width_one_sided(&self, se: f64, units: u64) -> f64 {
        let u = units as f64 * self.one;
        bounded(
            se,
            u,
            libm::log((1.0 + (u + 1.0).sqrt() / self.alpha.get()) / 2.0),
        )
    }

    /// `ln` of the one-sided evidence that the truth is above `than`; at least `ln(1/α)` wherever the one-sided
    /// interval is above it. Without a standard error there is none.
    pub fn ln_evidence_above(&self, difference: f64, than: f64, se: f64, units: u64) -> f64 {
        let u = units as f64 * self.one;
        if se.is_nan() || se <= 0.0 || u <= 0.0 || (difference - than).is_nan() {
            return 0.0;
        }
        // Beyond that the logarithm of evidence is in the hundreds of thousands.
        let z = ((difference - than) / se).clamp(-1e6, 1e6);
        let x = z * (u / (u + 1.0)).sqrt();
        LN_2 + ln_below(x) + x * x / 2.0 - libm::log(u + 1.0) / 2.0
    }
}

/// `se · √(2 (u+1)/u · ln_term)`: the formula with `u = Nρ²`, in which `N` cancels otherwise.
fn bounded(se: f64, u: f64, ln_term: f64) -> f64 {
    let wide = se * (2.0 * (u + 1.0) / u * ln_term.max(0.0)).sqrt();
    if wide.is_finite() { wide } else { f64::MAX }
}
