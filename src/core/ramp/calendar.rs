//! When a ramp may grow: change windows and freezes. They hold back what grows, never what stops.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{Offset, TimeOfDay};
use crate::time::Timestamp;

/// A day of the week.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Day {
    /// All of them, Thursday first, as 1970 began.
    const FROM_THURSDAY: [Self; 7] = [
        Self::Thu,
        Self::Fri,
        Self::Sat,
        Self::Sun,
        Self::Mon,
        Self::Tue,
        Self::Wed,
    ];

    /// The day with this name.
    pub fn named(name: &str) -> Option<Self> {
        let named = |day: &&Self| format!("{day:?}").eq_ignore_ascii_case(name);
        Self::FROM_THURSDAY.iter().find(named).copied()
    }
}

/// A part of certain days in which a ramp may grow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The days; none: every day.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub days: BTreeSet<Day>,
    /// From then on.
    pub from: TimeOfDay,
    /// Until then, later on the same day.
    pub to: TimeOfDay,
}

/// A time in which nothing grows, such as the days before a holiday.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// From then on.
    pub from: Timestamp,
    /// Until then.
    pub to: Timestamp,
}

impl Freeze {
    /// True while it holds.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.to
    }
}

impl Window {
    /// True while it is open where clocks are `offset` ahead of UTC.
    pub fn is_open(&self, now: Timestamp, offset: Offset) -> bool {
        const MINUTES: i64 = 24 * 60;
        // The year 9999 is far below what an i64 holds.
        let utc = i64::try_from(now.unix_ms() / 60_000).unwrap_or(i64::MAX / 2);
        let local = utc + offset.minutes();
        let minute = local.rem_euclid(MINUTES).unsigned_abs();
        let day = Day::FROM_THURSDAY
            [usize::try_from(local.div_euclid(MINUTES).rem_euclid(7)).unwrap_or(0)];
        (self.days.is_empty() || self.days.contains(&day))
            && (self.from.minutes()..self.to.minutes()).contains(&minute)
    }
}
