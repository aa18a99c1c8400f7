//! `Share`: a percentage, exact to a millionth of a percent, 0 to 100 %, or it does not exist.
//!
//! Kept as an integer, because the edge between "in" and "out" of a rollout must be the same on every
//! node and in every language; a float is not.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Millionths of a percent in one percent.
const PER_PERCENT: u32 = 1_000_000;

/// A percentage in millionths of a percent; prints as `5%`, `0.000001%`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Share(u32);

/// Why a text is not a share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is not a share; write a percentage from \"0%\" to \"100%\" with at most six decimals, such as \"5%\" or \"0.000001%\""
)]
pub struct ShareError {
    /// What was given, shortened.
    pub given: String,
}

impl Share {
    /// Nobody.
    pub const NONE: Self = Self(0);
    /// Everybody.
    pub const ALL: Self = Self(100 * PER_PERCENT);

    /// A share of `millionths` of a percent, or nothing above 100 %.
    pub const fn from_millionths(millionths: u32) -> Option<Self> {
        if millionths <= Self::ALL.0 {
            Some(Self(millionths))
        } else {
            None
        }
    }

    /// A share of whole percents, or nothing above 100 %.
    pub const fn percent(percent: u32) -> Option<Self> {
        if percent <= 100 {
            Some(Self(percent * PER_PERCENT))
        } else {
            None
        }
    }

    /// Millionths of a percent, 0 to 100 000 000.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// The share as a fraction of one, for reports only; never for deciding.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(Self::ALL.0)
    }
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let wrong = || ShareError {
            given: text.chars().take(32).collect(),
        };
        let number = text.strip_suffix('%').ok_or_else(wrong)?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str, most: usize| {
            (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
        };
        if !digits(whole, 3) || !digits(decimals, 6) {
            return Err(wrong());
        }
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let scale = 10_u32.pow(6 - decimals.len() as u32);
        let decimals: u32 = decimals.parse().map_err(|_| wrong())?;
        Self::from_millionths(whole * PER_PERCENT + decimals * scale).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Share {
    type Error = ShareError;

    fn try_from(text: String) -> Result<Self, ShareError> {
        text.parse()
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, decimals) = (self.0 / PER_PERCENT, self.0 % PER_PERCENT);
        let text = if decimals == 0 {
            format!("{whole}%")
        } else {
            format!(
                "{}%",
                format!("{whole}.{decimals:06}").trim_end_matches('0')
            )
        };
        f.pad(&text)
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({self})")
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A percentage from 0% to 100% with at most six decimals.",
            "pattern": "^(100(\\.0{1,6})?|[0-9]{1,2}(\\.[0-9]{1,6})?)%$",
            "examples": ["5%", "0.5%", "0.000001%"]
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, millionths) in [
            ("0%", 0),
            ("5%", 5_000_000),
            ("0.000001%", 1),
            ("12.5%", 12_500_000),
            ("100%", 100_000_000),
            ("100.000000%", 100_000_000),
        ] {
            assert_eq!(
                text.parse::<Share>().unwrap().millionths(),
                millionths,
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_is_no_share() {
        for text in [
            "",
            "5",
            "%",
            "-1%",
            "101%",
            "100.000001%",
            "1.0000001%",
            "1e1%",
            "5 %",
            "+5%",
            ".5%",
            "5.%",
            "９%",
        ] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_parsing_are_inverse(millionths in 0..=100_000_000_u32) {
            let share = Share::from_millionths(millionths).unwrap();
            prop_assert_eq!(share.to_string().parse::<Share>(), Ok(share));
        }
    }
}
