//! Small values of a ramp plan as people write them: `30m`, `09:00`, `+08:00`.
//!
//! Each is a whole number inside, so that a plan survives every way through JSON to its last bit.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Why a text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not {what}")]
pub struct TextError {
    given: String,
    what: &'static str,
}

fn wrong(given: &str, what: &'static str) -> TextError {
    TextError {
        given: given.chars().take(32).collect(),
        what,
    }
}

macro_rules! written {
    ($name:ident, $pattern:literal, $help:literal) => {
        impl TryFrom<String> for $name {
            type Error = TextError;

            fn try_from(text: String) -> Result<Self, TextError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $help, "pattern": $pattern })
            }
        }
    };
}

/// How long something lasts, in milliseconds; `90s`, `30m`, `4h`, `2d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lasting(u64);

written!(
    Lasting,
    "^[0-9]{1,6}[smhd]$",
    "How long: a whole number of seconds, minutes, hours or days, such as 30m."
);

const UNITS: [(char, u64); 4] = [
    ('d', 86_400_000),
    ('h', 3_600_000),
    ('m', 60_000),
    ('s', 1_000),
];

impl Lasting {
    /// Whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds * 1_000)
    }

    /// Milliseconds.
    pub const fn ms(self) -> u64 {
        self.0
    }
}

impl FromStr for Lasting {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let wrong = || wrong(text, "how long something lasts; write 90s, 30m, 4h or 2d");
        let unit = text.chars().last().ok_or_else(wrong)?;
        let (_, ms) = (UNITS.iter().find(|(letter, _)| *letter == unit)).ok_or_else(wrong)?;
        let digits = text.strip_suffix(unit).unwrap_or_default();
        if !(1..=6).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let count: u64 = digits.parse().map_err(|_| wrong())?;
        Ok(Self(count * ms))
    }
}

impl fmt::Display for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, ms): &&(char, u64)| self.0 > 0 && self.0.is_multiple_of(*ms);
        let (letter, ms) = UNITS.iter().find(whole).unwrap_or(&('s', 1_000));
        write!(f, "{}{letter}", self.0 / ms)
    }
}

/// A time of day, in minutes from midnight; `09:00`, and `24:00` for the end of the day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(u16);

written!(
    TimeOfDay,
    "^([01][0-9]|2[0-4]):[0-5][0-9]$",
    "A time of day, such as 09:00."
);

impl TimeOfDay {
    /// Minutes from midnight.
    pub const fn minutes(self) -> u64 {
        self.0 as u64
    }
}

fn clock(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |part: &str| {
        let fits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| part.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (minutes < 60 && hours * 60 + minutes <= 24 * 60).then_some(hours * 60 + minutes)
}

impl FromStr for TimeOfDay {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let minutes = clock(text);
        minutes
            .map(Self)
            .ok_or_else(|| wrong(text, "a time of day; write 09:00"))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// How far a place's clocks are ahead of UTC, in minutes; `+08:00`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Offset(i16);

written!(
    Offset,
    "^[+-](0[0-9]|1[0-4]):[0-5][0-9]$",
    "How far clocks are ahead of UTC, such as +08:00."
);

impl Offset {
    /// Minutes ahead of UTC.
    pub const fn minutes(self) -> i64 {
        self.0 as i64
    }

    /// True of UTC.
    pub const fn is_utc(&self) -> bool {
        self.0 == 0
    }
}

impl FromStr for Offset {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let wrong = || wrong(text, "an offset from UTC; write +08:00");
        let (ahead, rest) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(rest), _) => (1, rest),
            (_, Some(rest)) => (-1, rest),
            _ => return Err(wrong()),
        };
        let minutes = clock(rest).filter(|minutes| *minutes <= 14 * 60);
        let minutes = minutes.and_then(|minutes| i16::try_from(minutes).ok());
        Ok(Self(ahead * minutes.ok_or_else(wrong)?))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        let minutes = self.0.unsigned_abs();
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}
