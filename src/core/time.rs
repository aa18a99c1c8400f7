//! `Timestamp`: an instant in Unix milliseconds. Time is always an argument here; nothing in the core
//! reads a clock.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds since 1970-01-01T00:00:00Z; prints and serialises as RFC 3339 in UTC.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Timestamp(u64);

/// Why a text is not an instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is not an instant; write RFC 3339 with an offset, such as 2026-11-23T08:00:00+08:00"
)]
pub struct TimestampError {
    /// What was given, shortened.
    pub given: String,
}

/// The last millisecond of the year 9999: later instants have no RFC 3339 form.
const LAST_MS: u64 = 253_402_300_799_999;

impl Timestamp {
    /// The beginning of 1970.
    pub const EPOCH: Self = Self(0);

    /// The instant `ms` milliseconds after the beginning of 1970, at most the end of the year 9999.
    pub const fn from_unix_ms(ms: u64) -> Self {
        Self(if ms > LAST_MS { LAST_MS } else { ms })
    }

    /// Milliseconds since the beginning of 1970.
    pub const fn unix_ms(self) -> u64 {
        self.0
    }

    /// This instant and `ms` milliseconds.
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self::from_unix_ms(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this instant; 0 when `earlier` is later.
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let wrong = || TimestampError {
            given: text.chars().take(40).collect(),
        };
        let instant: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
        u64::try_from(instant.as_millisecond())
            .ok()
            .filter(|ms| *ms <= LAST_MS)
            .map(Self)
            .ok_or_else(wrong)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match i64::try_from(self.0)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        {
            Some(instant) => f.pad(&instant.to_string()),
            None => write!(f, "{}ms", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn offsets_are_understood_and_printed_in_utc() {
        let morning: Timestamp = "2026-11-23T08:00:00+08:00".parse().unwrap();
        assert_eq!(morning.to_string(), "2026-11-23T00:00:00Z");
    }

    #[test]
    fn refuses_an_instant_without_an_offset() {
        for text in [
            "",
            "2026-11-23",
            "2026-11-23T08:00:00",
            "1969-12-31T23:59:59Z",
            "soon",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_parsing_are_inverse(ms in 0..=LAST_MS) {
            let instant = Timestamp::from_unix_ms(ms);
            prop_assert_eq!(instant.to_string().parse::<Timestamp>(), Ok(instant));
        }
    }
}
