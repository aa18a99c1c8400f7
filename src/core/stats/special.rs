//! Beta and gamma integrals: probabilities of posteriors and of chi-square.
//!
//! Written here because the crate that has them loses the incomplete beta function where we need it, at shapes of a million
//! (docs/decisions/0070). What would cancel is never subtracted: Stirling's correction and Loader's deviance stand in
//! for differences of large logarithms. Outside its domain a function answers as at the nearest place inside,
//! never NaN.
//!
//! Sources: C. Loader, "Fast and Accurate Computation of Binomial Probabilities", 2000 (deviance, Stirling's error);
//! NIST Digital Library of Mathematical Functions, 5.11.1, 8.7.1, 8.9.2, 8.17.22 (series and continued fractions); W. J.
//! Lentz, "Generating Bessel functions in Mie scattering calculations using continued fractions", 1976, as changed by
//! I. J. Thompson and A. R. Barnett, 1986.

use super::normal::{LN_ROOT_TWO_PI, below};

/// The least and the largest shape.
const SHAPES: (f64, f64) = (1e-6, 1e13);
/// Fractions converge in about `5 ∛min(a, b)` steps: 110 000 at the largest shape.
const STEPS: u32 = 200_000;
/// Instead of zero in a denominator.
const TINY: f64 = 1e-300;

/// `ln Γ(x)` for `x > 0`.
pub fn ln_gamma(x: f64) -> f64 {
    libm::lgamma(inside(x, SHAPES.0, f64::MAX / 1e4))
}

/// `ln B(a, b) = ln Γ(a) + ln Γ(b) − ln Γ(a + b)` for `a, b > 0`, without cancellation.
pub fn ln_beta(a: f64, b: f64) -> f64 {
    let (a, b) = (inside(a, SHAPES.0, SHAPES.1), inside(b, SHAPES.0, SHAPES.1));
    let n = a + b;
    let whole = stirling_error(a) + stirling_error(b) - stirling_error(n) + LN_ROOT_TWO_PI;
    // ln(a/n) where a is nearly n is ln(1 − b/n).
    let share = |part: f64, rest: f64| {
        if part < rest {
            libm::log(part / n)
        } else {
            libm::log1p(-rest / n)
        }
    };
    whole + (a - 0.5) * share(a, b) + (b - 0.5) * share(b, a) - libm::log(n) / 2.0
}

/// The probability that a beta variable of shapes `a, b > 0` is below `x`: the regularised incomplete beta function.
pub fn beta_below(a: f64, b: f64, x: f64) -> f64 {
    let (a, b) = (inside(a, SHAPES.0, SHAPES.1), inside(b, SHAPES.0, SHAPES.1));
    if x.is_nan() || x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x < (a + 1.0) / (a + b + 2.0) {
        (beta_front(a, b, x, 1.0 - x) * beta_fraction(a, b, x) / a).clamp(0.0, 1.0)
    } else {
        let y = 1.0 - x;
        1.0 - (beta_front(b, a, y, x) * beta_fraction(b, a, y) / b).clamp(0.0, 1.0)
    }
}

/// `ln` of `x·y` times the beta density at `x`, `y = 1 − x`: the density over the log-odds of `x`.
pub(super) fn ln_beta_front(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let n = a + b;
    let correction = stirling_error(n) - stirling_error(a) - stirling_error(b);
    let spread = (libm::log(a) + libm::log(b / n)) / 2.0 - LN_ROOT_TWO_PI;
    spread + correction - deviance(a, n * x) - deviance(b, n * y)
}

fn beta_front(a: f64, b: f64, x: f64, y: f64) -> f64 {
    libm::exp(ln_beta_front(a, b, x, y))
}

/// The continued fraction of DLMF 8.17.22, by Lentz's method.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for step in 1..STEPS {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        value *= d * c;
        if (d * c - 1.0).abs() < 4.0 * f64::EPSILON {
            break;
        }
    }
    value
}

/// The probability that a gamma variable of shape `a > 0` is above `x ≥ 0`: the regularised upper incomplete gamma function.
pub fn gamma_above(a: f64, x: f64) -> f64 {
    let a = inside(a, SHAPES.0, SHAPES.1);
    if x.is_nan() || x <= 0.0 {
        return 1.0;
    }
    if x > 1e13 {
        return if a < x / 2.0 { 0.0 } else { below(0.0) };
    }
    // xᵃ e⁻ˣ / Γ(a), without cancellation.
    let front = libm::exp(libm::log(a) / 2.0 - LN_ROOT_TWO_PI - stirling_error(a) - deviance(a, x));
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for step in 1..STEPS {
            term *= x / (a + f64::from(step));
            sum += term;
            if term < sum * f64::EPSILON {
                break;
            }
        }
        return 1.0 - (front * sum).clamp(0.0, 1.0);
    }
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut value = d;
    for step in 1..STEPS {
        let m = f64::from(step);
        let an = -m * (m - a);
        b += 2.0;
        d = an * d + b;
        d = 1.0 / if d.abs() < TINY { TINY } else { d };
        c = b + an / c;
        c = if c.abs() < TINY { TINY } else { c };
        value *= d * c;
        if (d * c - 1.0).abs() < 4.0 * f64::EPSILON {
            break;
        }
    }
    (front * value).clamp(0.0, 1.0)
}

/// The probability that chi-square with `freedom ≥ 1` degrees is above `x`.
pub fn chi_square_above(x: f64, freedom: u32) -> f64 {
    gamma_above(f64::from(freedom.max(1)) / 2.0, x / 2.0)
}

/// What Stirling's formula lacks: `ln Γ(z) − (z − ½) ln z + z − ln √(2π)`.
fn stirling_error(z: f64) -> f64 {
    if z < 15.0 {
        return libm::lgamma(z) - (z - 0.5) * libm::log(z) + z - LN_ROOT_TWO_PI;
    }
    let square = 1.0 / (z * z);
    let tail = 1.0 / 1_680.0 - square * (1.0 / 1_188.0 - square * (691.0 / 360_360.0));
    (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1_260.0 - square * tail))) / z
}

/// Loader's deviance `x ln(x/m) + m − x` of `x > 0` from a mean `m > 0`; near the mean by its series.
fn deviance(x: f64, m: f64) -> f64 {
    let apart = x - m;
    if apart.abs() >= 0.1 * (x + m) {
        return x * libm::log(x / m) - apart;
    }
    let v = apart / (x + m);
    let mut sum = apart * v;
    let mut power = 2.0 * x * v;
    for step in 1..1_000_u32 {
        power *= v * v;
        let next = sum + power / f64::from(2 * step + 1);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

fn inside(x: f64, least: f64, most: f64) -> f64 {
    if x.is_nan() {
        least
    } else {
        x.clamp(least, most)
    }
}
