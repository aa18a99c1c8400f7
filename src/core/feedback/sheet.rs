//! `Sheet`: numbers of lives as they are written down, for other nodes and to be kept. One JSON document:
//!
//! ```json
//! {"v":1,"lives":{"01k…":[{"app":"t/a","version":"1.0.0","rule":"ramp","arm":"b","minutes":{"29384756":{"crashed":2}}}]}}
//! ```
//! Whoever can write to the store or to Redis can write one: a reader takes nothing that is not exactly of this form,
//! and nothing that is larger than a node writes.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::counts::{Counts, Register};
use crate::{
    limits,
    name::{self, AppId},
    version::Number,
};

/// One run of one node: 26 digits and small letters, chosen at its start and never again.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Life(Box<str>);

/// Why a text names no life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a life is named by 26 of 0-9 a-z")]
pub struct LifeError;

impl FromStr for Life {
    type Err = LifeError;

    fn from_str(text: &str) -> Result<Self, LifeError> {
        let fits = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
        let is_life = text.len() == 26 && text.bytes().all(fits);
        is_life.then(|| Self(text.into())).ok_or(LifeError)
    }
}

impl Life {
    /// The one that sorts last.
    pub fn last() -> Self {
        Self("z".repeat(26).into())
    }
}

impl TryFrom<String> for Life {
    type Error = LifeError;

    fn try_from(text: String) -> Result<Self, LifeError> {
        text.parse()
    }
}

impl From<Life> for String {
    fn from(life: Life) -> Self {
        life.0.into()
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a count belongs to besides its minute and its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// The app.
    pub app: AppId,
    /// The version that ran, or was to.
    pub version: Number,
    /// The rule that served it; empty: none.
    pub rule: Box<str>,
    /// The arm of its split; empty: none.
    pub arm: Box<str>,
}

fn name_or_nothing<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Box<str>, D::Error> {
    let text = Box::<str>::deserialize(deserializer)?;
    if text.is_empty() || name::is_name(&text) {
        Ok(text)
    } else {
        Err(serde::de::Error::custom("no name"))
    }
}

/// Why bytes are no sheet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SheetError {
    /// Not this form.
    #[error("not a sheet of counts of form 1, at line {line} column {column}")]
    Form {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// Of another form.
    #[error("a sheet of counts of form {0}; this build reads form 1")]
    Newer(u32),
    /// Larger than any node writes.
    #[error("larger than a sheet of counts may be")]
    Large,
}

/// The form that is written.
const FORM: u32 = 1;

/// Numbers by life, cell and minute.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sheet {
    /// The numbers.
    pub lives: BTreeMap<Life, BTreeMap<Cell, BTreeMap<u32, Counts>>>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    v: u32,
    lives: BTreeMap<Life, Vec<Line>>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    app: AppId,
    version: Number,
    #[serde(
        default,
        skip_serializing_if = "str::is_empty",
        deserialize_with = "name_or_nothing"
    )]
    rule: Box<str>,
    #[serde(
        default,
        skip_serializing_if = "str::is_empty",
        deserialize_with = "name_or_nothing"
    )]
    arm: Box<str>,
    minutes: BTreeMap<u32, BTreeMap<Register, u64>>,
}

impl Sheet {
    /// Writes down the numbers of one place.
    pub fn put(&mut self, life: &Life, cell: &Cell, minute: u32, counts: &Counts) {
        let cells = self.lives.entry(life.clone()).or_default();
        let minutes = cells.entry(cell.clone()).or_default();
        minutes.entry(minute).or_default().merge(counts);
    }

    /// True when nothing is written.
    pub fn is_empty(&self) -> bool {
        self.lives.is_empty()
    }

    /// Every place with its numbers.
    pub fn iter(&self) -> impl Iterator<Item = (&Life, &Cell, u32, &Counts)> {
        self.lives.iter().flat_map(|(life, cells)| {
            cells.iter().flat_map(move |(cell, minutes)| {
                let line = minutes.iter();
                line.map(move |(minute, counts)| (life, cell, *minute, counts))
            })
        })
    }

    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let line = |(cell, minutes): (&Cell, &BTreeMap<u32, Counts>)| Line {
            app: cell.app.clone(),
            version: cell.version.clone(),
            rule: cell.rule.clone(),
            arm: cell.arm.clone(),
            minutes: minutes
                .iter()
                .map(|(minute, counts)| {
                    let numbers = counts.iter();
                    (*minute, numbers.map(|(r, n)| (r.clone(), n)).collect())
                })
                .collect(),
        };
        let document = Document {
            v: FORM,
            lives: (self.lives.iter())
                .map(|(life, cells)| (life.clone(), cells.iter().map(line).collect()))
                .collect(),
        };
        // Serialising to memory fails only for maps whose keys are no text; there is none here.
        serde_json::to_vec(&document).unwrap_or_default()
    }

    /// What `bytes` say.
    pub fn decode(bytes: &[u8]) -> Result<Self, SheetError> {
        #[derive(Deserialize)]
        struct Form {
            v: u32,
        }
        if bytes.len() > limits::SHEET_BYTES {
            return Err(SheetError::Large);
        }
        let wrong = |error: serde_json::Error| SheetError::Form {
            line: error.line(),
            column: error.column(),
        };
        let Form { v } = serde_json::from_slice(bytes).map_err(wrong)?;
        if v != FORM {
            return Err(SheetError::Newer(v));
        }
        let document: Document = serde_json::from_slice(bytes).map_err(wrong)?;
        let mut sheet = Self::default();
        for (life, lines) in document.lives {
            for line in lines {
                let Line {
                    app,
                    version,
                    rule,
                    arm,
                    minutes,
                } = line;
                let cell = Cell {
                    app,
                    version,
                    rule,
                    arm,
                };
                for (minute, numbers) in minutes {
                    let mut counts = Counts::default();
                    for (register, number) in numbers {
                        counts.raise(&register, number.min(limits::JSON_INTEGER));
                    }
                    if !counts.is_empty() {
                        sheet.put(&life, &cell, minute, &counts);
                    }
                }
            }
        }
        Ok(sheet)
    }
}
