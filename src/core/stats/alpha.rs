//! `Alpha`: how often one accepts to be wrong, above 0 and at most ½, or it does not exist.
//!
//! A float that could be 0, 1 or NaN would make every bound in this folder a special case; the type refuses it once.

use serde::{Deserialize, Serialize};

/// The probability of a wrong verdict over all looks together.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Alpha(f64);

/// Why a number is not an alpha.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("`{0}` is no probability of being wrong; give a number from 0.000001 to 0.5, such as 0.05")]
pub struct AlphaError(pub f64);

impl Alpha {
    /// 5 %: what guards and experiments use unless told otherwise.
    pub const FIVE_PERCENT: Self = Self(0.05);

    /// The value, between 0 and ½.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// `ln(1/α)`: how much evidence it takes, in natural logarithms.
    pub fn ln_needed(self) -> f64 {
        -libm::log(self.0)
    }

    /// The part of it that each of `tests` may use, so that all of them together keep it (Bonferroni).
    #[must_use]
    pub fn among(self, tests: usize) -> Self {
        Self(self.0 / tests.max(1) as f64)
    }
}

impl TryFrom<f64> for Alpha {
    type Error = AlphaError;

    fn try_from(value: f64) -> Result<Self, AlphaError> {
        if (1e-6..=0.5).contains(&value) {
            Ok(Self(value))
        } else {
            Err(AlphaError(value))
        }
    }
}

impl From<Alpha> for f64 {
    fn from(alpha: Alpha) -> Self {
        alpha.0
    }
}
