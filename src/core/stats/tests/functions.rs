//! Special functions: values that anybody can look up, identities, and no NaN from any float.

use proptest::prelude::*;

use super::{few, near};
use crate::stats::{normal, special};

#[test]
fn they_say_what_tables_say() {
    near(normal::below(1.959_963_984_540_054), 0.975, 1e-14);
    near(normal::quantile(0.975), 1.959_963_984_540_054, 1e-14);
    near(normal::quantile(1e-10), -6.361_340_902_404_056, 1e-13);
    near(normal::density(0.0), 0.398_942_280_401_432_7, 1e-15);
    near(special::ln_gamma(10.0), 12.801_827_480_081_469, 1e-15);
    near(special::ln_beta(2.0, 3.0), (1.0_f64 / 12.0).ln(), 1e-14);
    near(special::beta_below(2.0, 3.0, 0.5), 0.687_5, 1e-14);
    near(
        special::beta_below(1.0, 5.0, 0.1),
        1.0 - 0.9_f64.powi(5),
        1e-14,
    );
    near(special::gamma_above(1.0, 3.0), (-3.0_f64).exp(), 1e-14);
    // The critical values that stand in every textbook.
    for (freedom, at) in [
        (1, 10.827_566_170_662_733),
        (2, 13.815_510_557_964_274),
        (5, 20.515_005_652_432_88),
    ] {
        near(special::chi_square_above(at, freedom), 0.001, 1e-12);
    }
}

/// Where a large and a small shape meet and doubles cancel: by forty digits of mpmath.
#[test]
fn they_say_what_arbitrary_precision_says() {
    for (a, b, should) in [
        (
            573_374.413_572_274,
            0.054_430_876_366_196_694,
            2.160_064_796_496_165,
        ),
        (
            0.084_699_798_641_760_61,
            352_892.129_816_947_3,
            1.343_473_887_938_064_3,
        ),
        (
            1.225_870_865_887_025,
            863_996.301_098_189_9,
            -16.849_257_801_551_725,
        ),
    ] {
        near(special::ln_beta(a, b), should, 1e-14);
    }
    let below = special::beta_below(
        21_213.613_900_846_667,
        0.105_938_164_140_113_06,
        0.999_999_995_006_148_8,
    );
    near(below, 0.600_389_444_232_216, 1e-13);
}

/// What is exactly one half by symmetry, at shapes where other implementations lose it.
#[test]
fn half_a_beta_of_equal_shapes_lies_below_one_half() {
    for power in 0..=11 {
        let shape = 10.0_f64.powi(power);
        near(special::beta_below(shape, shape, 0.5), 0.5, 1e-9);
    }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn no_float_makes_them_say_nan(bits in any::<[u64; 3]>()) {
        let [a, b, x] = bits.map(f64::from_bits);
        let all = [
            normal::below(if x.is_nan() { 0.0 } else { x }),
            normal::quantile(x),
            special::ln_gamma(a),
            special::ln_beta(a, b),
            special::chi_square_above(x, bits[0] as u32 % 100),
        ];
        prop_assert!(all.iter().all(|value| value.is_finite()), "{a} {b} {x}: {all:?}");
        // Those that count steps are asked where they take few.
        let (a, b) = (a.min(1e6), b.min(1e6));
        for value in [special::beta_below(a, b, x), special::beta_below(a, b, x.abs().fract()), special::gamma_above(a, x)] {
            prop_assert!((0.0..=1.0).contains(&value), "{a} {b} {x}: {value}");
        }
    }

    #[test]
    fn quantiles_are_where_that_much_lies_below(ln_p in -690.0..-1e-9_f64) {
        let p = ln_p.exp();
        let back = normal::below(normal::quantile(p));
        prop_assert!((back - p).abs() <= 1e-11 * p, "{p} {back}");
        prop_assert!((normal::ln_below(normal::quantile(p)) - ln_p).abs() <= 1e-11 * ln_p.abs().max(1e-3));
    }

    #[test]
    fn betas_are_symmetric_and_rise(a in 0.01..5_000.0_f64, b in 0.01..5_000.0_f64, x in 0.0..1.0_f64, more in 0.0..1.0_f64) {
        let below = special::beta_below(a, b, x);
        prop_assert!((below + special::beta_below(b, a, 1.0 - x) - 1.0).abs() < 1e-10);
        prop_assert!(special::beta_below(a, b, x + (1.0 - x) * more) >= below - 1e-13);
        // I(a, b) − I(a + 1, b) = xᵃ(1 − x)ᵇ / (a B(a, b)).
        let step = (a * x.ln() + b * (1.0 - x).ln() - special::ln_beta(a, b)).exp() / a;
        if x > 0.0 {
            prop_assert!((below - special::beta_below(a + 1.0, b, x) - step).abs() < 1e-10);
        }
    }

    #[test]
    fn chi_square_falls(x in 0.0..1e4_f64, more in 0.0..100.0_f64, freedom in 1_u32..64) {
        let above = special::chi_square_above(x, freedom);
        prop_assert!(special::chi_square_above(x + more, freedom) <= above + 1e-14);
        prop_assert!(special::chi_square_above(x, freedom + 1) >= above - 1e-14);
    }
}
