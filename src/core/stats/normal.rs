//! The standard normal distribution: density, probability below, its logarithm, and quantiles.
//!
//! Everything asymptotic in here ends in these four. They never return NaN for a number.
//!
//! Sources: W. J. Cody, "Rational Chebyshev approximations for the error function", 1969, for the kind of `erfc` that
//! `libm` has; M. Abramowitz and I. A. Stegun, "Handbook of Mathematical Functions", 1964, 26.2.12 and 26.2.23.

use std::f64::consts::{LN_2, PI, SQRT_2};

/// `ln √(2π)`.
pub const LN_ROOT_TWO_PI: f64 = 0.918_938_533_204_672_8;

/// The density at `x`.
pub fn density(x: f64) -> f64 {
    libm::exp(-x * x / 2.0) / (2.0 * PI).sqrt()
}

/// The probability of a value below `x`: `Φ(x)`, with full relative accuracy where it is small.
pub fn below(x: f64) -> f64 {
    libm::erfc(-x / SQRT_2) / 2.0
}

/// `ln Φ(x)`, also where `Φ(x)` itself is too small for a float.
pub fn ln_below(x: f64) -> f64 {
    if x > 0.0 {
        // Next to one the logarithm is what lies above.
        return libm::log1p(-below(-x));
    }
    if x > -36.0 {
        return libm::log(below(x));
    }
    // The asymptotic series of Mills' ratio (Abramowitz and Stegun 26.2.12): what is left out is below 3e-15 from 36 on.
    let square = 1.0 / (x * x);
    let tail = 15.0 - square * (105.0 - square * 945.0);
    let series = -square * (1.0 - square * (3.0 - square * tail));
    -x * x / 2.0 - libm::log(-x) - LN_ROOT_TWO_PI + libm::log1p(series)
}

/// The value below which a share `p` lies, for `0 < p < 1`; beyond that the nearest of ±38, past which no float tells
/// `p` from 0 or 1.
pub fn quantile(p: f64) -> f64 {
    const FAR: f64 = 38.0;
    if p.is_nan() || p <= 0.0 {
        return -FAR;
    }
    if p >= 1.0 {
        return FAR;
    }
    if p > 0.5 {
        return -quantile(1.0 - p);
    }
    // A first guess good to 4.5e-4 (26.2.23), then Halley's steps, each of which triples the digits.
    let t = (-2.0 * (libm::log(p))).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let under = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let mut x = above / under - t;
    for _ in 0..3 {
        let ratio = libm::exp(ln_below(x) + x * x / 2.0 + LN_ROOT_TWO_PI)
            - libm::exp(libm::log(p) + x * x / 2.0 + LN_ROOT_TWO_PI);
        x -= ratio / (1.0 + x * ratio / 2.0);
    }
    x.max(-FAR)
}

/// `ln(eᵃ + eᵇ)` without overflow; `-∞` is the logarithm of nothing.
pub(super) fn ln_sum(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY {
        return high;
    }
    // Below that the smaller one is not seen.
    if high - low > 40.0 {
        return high;
    }
    high + libm::log1p(libm::exp(low - high))
}

/// `ln((eᵃ + eᵇ) / 2)`: the mean of two amounts of evidence is evidence.
pub(super) fn ln_mean(a: f64, b: f64) -> f64 {
    ln_sum(a, b) - LN_2
}
