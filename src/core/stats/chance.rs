//! The Bayesian reading of an experiment: the chance that a variant is better, and what choosing it would cost if it is not.
//!
//! Beside the intervals, never instead of them: a chance to win of 95 % is reached by chance far more often than one time in
//! twenty when one looks often, so nothing is decided by it alone.
//!
//! Event rates have the posterior `Beta(1 + events, 1 + rest)`: a flat prior. Of two of them
//!
//! ```text
//! P(B > A)      = ∫ f_B F_A
//! E[max(A−B,0)] = E[A] · P(A⁺ > B) − E[B] · P(A > B⁺)       A⁺, B⁺: with one event more
//! ```
//!
//! integrated over the log-odds of the narrower one, where its density is smooth and falls off exponentially on both sides: the
//! trapezoid rule then converges faster than any power of its step. No random draws. Means have the posterior
//! `Normal(mean, se²)`, also flat, and both are closed forms.
//!
//! Sources: C. Stucchio, "Bayesian A/B Testing at VWO", 2015 (loss); L. N. Trefethen, J. A. C. Weideman, "The exponentially
//! convergent trapezoidal rule", SIAM Review, 2014.

use serde::{Deserialize, Serialize};

use super::{
    normal::{below, density},
    sample::{Sample, Unfit, comparable, compared},
    special::{beta_below, ln_beta_front},
};

/// Chances of a variant beside the control.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Chance {
    /// The chance that the variant's mean is above the control's, 0 to 1.
    pub above: f64,
    /// What is lost on average, per unit, by choosing the variant if more is better: `E[max(control − variant, 0)]`.
    pub loss_if_more: f64,
    /// The same if less is better: `E[max(variant − control, 0)]`.
    pub loss_if_less: f64,
}

/// The chances of `variant` beside `control`.
///
/// # Errors
/// See [`Unfit`].
pub fn chance(variant: &Sample, control: &Sample) -> Result<Chance, Unfit> {
    let (variant, control) = comparable(*variant, *control)?;
    let shapes = |sample: &Sample| match sample {
        Sample::Events { units, events } => Some(Beta {
            a: *events as f64 + 1.0,
            b: (units - events) as f64 + 1.0,
        }),
        Sample::Totals { .. } => None,
    };
    if let (Some(b), Some(a)) = (shapes(&variant), shapes(&control)) {
        return Ok(of_rates(b, a));
    }
    let (difference, se, _) = compared(&variant, &control);
    if se <= 0.0 {
        // Nothing varies yet, so nothing is known: as likely as not, at the difference seen.
        let half = difference.abs() / 2.0;
        return Ok(Chance {
            above: 0.5,
            loss_if_more: half,
            loss_if_less: half,
        });
    }
    let z = difference / se;
    let short = se * (density(z) - z * below(-z));
    let over = se * (density(z) + z * below(z));
    Ok(Chance {
        above: below(z),
        loss_if_more: short.max(0.0),
        loss_if_less: over.max(0.0),
    })
}

/// A posterior of a rate.
#[derive(Debug, Clone, Copy)]
struct Beta {
    a: f64,
    b: f64,
}

impl Beta {
    fn mean(self) -> f64 {
        self.a / (self.a + self.b)
    }

    fn one_more(self) -> Self {
        Self {
            a: self.a + 1.0,
            b: self.b,
        }
    }

    /// How wide it is over its log-odds.
    fn width(self) -> f64 {
        (1.0 / self.a + 1.0 / self.b).sqrt()
    }
}

fn of_rates(b: Beta, a: Beta) -> Chance {
    let above = beats(b, a);
    let loss = |better: Beta, worse: Beta| {
        let won = better.mean() * beats(better.one_more(), worse);
        (won - worse.mean() * (1.0 - beats(worse.one_more(), better))).max(0.0)
    };
    Chance {
        above,
        loss_if_more: loss(a, b),
        loss_if_less: loss(b, a),
    }
}

/// `P(b > a)`.
fn beats(b: Beta, a: Beta) -> f64 {
    let chance = if b.width() <= a.width() {
        over(b, |x| beta_below(a.a, a.b, x))
    } else {
        1.0 - over(a, |x| beta_below(b.a, b.b, x))
    };
    chance.clamp(0.0, 1.0)
}

/// The mean of `value` under a posterior.
fn over(beta: Beta, value: impl Fn(f64) -> f64) -> f64 {
    // The density over log-odds t is exp(a ln x + b ln(1−x))/B, x = 1/(1+e⁻ᵗ): steps of a third of its width.
    let step = beta.width() / 3.0;
    let middle = libm::log(beta.a / beta.b);
    let term = |t: f64| {
        let (x, y) = (1.0 / (1.0 + libm::exp(-t)), 1.0 / (1.0 + libm::exp(t)));
        (libm::exp(ln_beta_front(beta.a, beta.b, x, y)), x)
    };
    let (mut sum, mut whole) = (0.0, 0.0);
    for direction in [-1.0, 1.0] {
        for nth in u32::from(direction > 0.0)..1_000 {
            let (weight, x) = term(middle + direction * step * f64::from(nth));
            sum += weight * value(x);
            whole += weight;
            if weight < whole * 1e-18 {
                break;
            }
        }
    }
    sum / whole
}
