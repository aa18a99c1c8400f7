//! What a device sends: a batch of events, each with an id of its own.
//!
//! Texts are borrowed from the body unless an escape forces a copy; besides the list of events nothing is allocated.
//! Unknown keys are ignored, duplicates are refused. A fault says where and what to do, and never quotes: whatever a
//! device says about itself reaches no message. There is no place for a person, and what else is said is forgotten.

use std::borrow::Cow;

use serde::Deserialize;

use super::kind::Told;
use crate::{limits, name};

/// The word of something that was not believed.
const DOUBTED: &str = "doubted";

/// The name of an event: 128 random bits, chosen once by the device and said again with every try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId(u128);

impl EventId {
    /// Reads exactly 32 small hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 {
            return None;
        }
        let mut bits = 0u128;
        for byte in text.bytes() {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ => return None,
            };
            bits = bits << 4 | u128::from(digit);
        }
        Some(Self(bits))
    }

    /// 64 bits of it, the same on every node.
    pub const fn fingerprint(self) -> u64 {
        let mut bits = (self.0 >> 64) as u64 ^ (self.0 as u64).rotate_left(32);
        // Spreads what a poor source of chance leaves in few bits.
        bits ^= bits >> 33;
        bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
        bits ^= bits >> 33;
        bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        bits ^ bits >> 33
    }
}

/// What is wrong with a report, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not the JSON of a report.
    #[error("the body is not the JSON of a report at line {line} column {column}: {what}")]
    Json {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// A field of the report.
    #[error("field `{field}` {what}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it must be.
        what: &'static str,
    },
    /// A field of one event.
    #[error("field `events[{index}].{field}` {what}")]
    Event {
        /// Which event, from 0.
        index: usize,
        /// The field.
        field: &'static str,
        /// What it must be.
        what: &'static str,
    },
}

impl Fault {
    /// The field, without the place in the list.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Json { .. } => None,
            Self::Field { field, .. } | Self::Event { field, .. } => Some(field),
        }
    }
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    host: Cow<'a, str>,
    #[serde(borrow)]
    events: Vec<Event<'a>>,
}

/// One event, checked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Event<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    /// `tenant/app`; empty: of the device as a whole.
    #[serde(borrow, default)]
    pub app: Cow<'a, str>,
    /// The version it happened to; empty: of none.
    #[serde(borrow, default)]
    pub version: Cow<'a, str>,
    /// The rule that gave it; empty: none.
    #[serde(borrow, default)]
    pub rule: Cow<'a, str>,
    /// The arm of its split; empty: none.
    #[serde(borrow, default)]
    pub arm: Cow<'a, str>,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    code: Cow<'a, str>,
    /// How often.
    #[serde(default = "once")]
    pub count: u64,
    /// How many seconds ago it happened.
    #[serde(default)]
    pub ago: u64,
    /// How many seconds ago it was first sent; none: now is the first time.
    #[serde(default)]
    pub sent: Option<u64>,
}

const fn once() -> u64 {
    1
}

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What<'a> {
    /// Something happened to a release.
    Told(Told<'a>),
    /// Something was not believed; its code.
    Doubted(&'a str),
}

impl Event<'_> {
    /// Its name; none: a device from before events had one.
    pub fn id(&self) -> Option<EventId> {
        EventId::parse(&self.id)
    }

    /// What it says.
    pub fn what(&self) -> Option<What<'_>> {
        if self.event == DOUBTED {
            return Some(What::Doubted(&self.code));
        }
        Told::of(&self.event, &self.code).map(What::Told)
    }

    /// The field that is wrong, and what it must be.
    fn fault(&self) -> Option<(&'static str, &'static str)> {
        let is_doubt = self.event == DOUBTED;
        let app = self.app.split_once('/');
        let is_app = app.is_some_and(|(tenant, app)| name::is_name(tenant) && name::is_name(app));
        let of_device = is_doubt && self.app.is_empty();
        if !is_app && !of_device {
            return Some(("app", "must be `tenant/app`"));
        }
        let of_none = is_doubt && self.version.is_empty();
        if !of_none && self.version.is_empty() || self.version.len() > limits::UNIT_BYTES {
            return Some(("version", "must be a version number of at most 128 bytes"));
        }
        for (field, text) in [("rule", &self.rule), ("arm", &self.arm)] {
            if !text.is_empty() && !name::is_name(text) {
                let what = "must be a name as the manifest gave it, or be left out";
                return Some((field, what));
            }
        }
        if is_doubt && !name::is_name(&self.code) {
            return Some(("code", "must be the code of a doubt"));
        }
        if self.event == "counter" && !name::is_name(&self.code) {
            return Some((
                "code",
                "must be the name of a counter: 1 to 63 of a-z 0-9 . _ -",
            ));
        }
        let Some(what) = self.what() else {
            return Some((
                "event",
                "must be one of downloaded, activated, load-failed, script-error, crashed, rolled-back, converted, counter, doubted",
            ));
        };
        if !self.id.is_empty() && self.id().is_none() {
            return Some(("id", "must be 32 hexadecimal digits of 0-9 a-f"));
        }
        if !(1..=limits::EVENT_COUNT).contains(&self.count) {
            return Some(("count", "must be 1 to 1000"));
        }
        // What is judged is whether it happened: an event with a name happened once.
        let adds_up = matches!(what, What::Doubted(_) | What::Told(Told::Counter(_)));
        if !self.id.is_empty() && self.count != 1 && !adds_up {
            return Some(("count", "must be 1, or be left out, except of a counter"));
        }
        None
    }
}

/// A batch of events of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report<'a> {
    /// The events, in the order given.
    pub events: Vec<Event<'a>>,
}

impl<'a> Report<'a> {
    /// Reads and checks the body of a report.
    pub fn from_json(body: &'a [u8]) -> Result<Self, Fault> {
        let report: Document<'a> =
            serde_json::from_slice(body).map_err(|error| not_json(&error))?;
        if !name::is_name(&report.host) {
            return Err(Fault::Field {
                field: "host",
                what: "must be the name of a bank app",
            });
        }
        if report.events.len() > limits::REPORT_EVENTS {
            return Err(Fault::Field {
                field: "events",
                what: "has at most 1000 members; send several reports",
            });
        }
        let faults = report.events.iter().map(Event::fault).enumerate();
        for (index, fault) in faults {
            if let Some((field, what)) = fault {
                return Err(Fault::Event { index, field, what });
            }
        }
        Ok(Self {
            events: report.events,
        })
    }
}

/// serde's own texts quote values, so they are not passed on.
fn not_json(error: &serde_json::Error) -> Fault {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Io | Category::Eof => "it ends too early",
        Category::Syntax => "it is not JSON",
        Category::Data => "a field is missing, given twice, or of the wrong kind",
    };
    Fault::Json {
        line: error.line(),
        column: error.column(),
        what,
    }
}
