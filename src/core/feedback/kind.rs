//! What can happen to a release on a device. A word never changes its meaning: experiments go on over updates.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::name;

/// Why a device went back to the release before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// The new one crashed.
    Crashed,
    /// Its script failed.
    ScriptError,
    /// Its bundle could not be loaded.
    LoadFailed,
    /// It was not ready in time.
    TimedOut,
    /// It was stopped by the bank.
    Killed,
    /// Something else, or a reason this server does not know.
    Other,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Crashed,
        Self::ScriptError,
        Self::LoadFailed,
        Self::TimedOut,
        Self::Killed,
        Self::Other,
    ];

    /// The code in reports and counts.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Crashed => "crashed",
            Self::ScriptError => "script-error",
            Self::LoadFailed => "load-failed",
            Self::TimedOut => "timed-out",
            Self::Killed => "killed",
            Self::Other => "other",
        }
    }

    /// The reason called `code`; one from after this server is `other`.
    pub fn of(code: &str) -> Self {
        let known = Self::ALL.into_iter().find(|why| why.word() == code);
        known.unwrap_or(Self::Other)
    }
}

/// The name of a counter of an app's own.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CounterName(Box<str>);

impl CounterName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What happened, as a device says it: nothing is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told<'a> {
    /// The bundle was fetched and is right.
    Downloaded,
    /// The release was switched to, and started.
    Activated,
    /// The bundle could not be loaded.
    LoadFailed,
    /// A script of it failed while it went on.
    ScriptError,
    /// It crashed.
    Crashed,
    /// The device went back to the release before.
    RolledBack(Why),
    /// It did what it is there for.
    Converted,
    /// Something that the app counts itself; a name by the grammar of names.
    Counter(&'a str),
}

const ROLLED_BACK: &str = "rolled-back";
const COUNTER: &str = "counter";

impl<'a> Told<'a> {
    /// What `event` with `code` says; none: nothing that is known. Words from before there were counts are understood.
    pub fn of(event: &str, code: &'a str) -> Option<Self> {
        Some(match event {
            "downloaded" | "download" => Self::Downloaded,
            "activated" | "activate" => Self::Activated,
            "load-failed" => Self::LoadFailed,
            "script-error" => Self::ScriptError,
            "crashed" | "crash" => Self::Crashed,
            ROLLED_BACK | "rollback" => Self::RolledBack(Why::of(code)),
            "converted" | "conversion" => Self::Converted,
            COUNTER if name::is_name(code) => Self::Counter(code),
            _ => return None,
        })
    }

    /// The word without its code: the label in metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Downloaded => "downloaded",
            Self::Activated => "activated",
            Self::LoadFailed => "load-failed",
            Self::ScriptError => "script-error",
            Self::Crashed => "crashed",
            Self::RolledBack(_) => ROLLED_BACK,
            Self::Converted => "converted",
            Self::Counter(_) => COUNTER,
        }
    }

    /// The code behind the word; empty: none.
    pub const fn code(self) -> &'a str {
        match self {
            Self::RolledBack(why) => why.word(),
            Self::Counter(name) => name,
            _ => "",
        }
    }

    /// The same, to keep.
    pub fn kept(self) -> Kind {
        match self {
            Self::Downloaded => Kind::Downloaded,
            Self::Activated => Kind::Activated,
            Self::LoadFailed => Kind::LoadFailed,
            Self::ScriptError => Kind::ScriptError,
            Self::Crashed => Kind::Crashed,
            Self::RolledBack(why) => Kind::RolledBack(why),
            Self::Converted => Kind::Converted,
            Self::Counter(name) => Kind::Counter(CounterName(name.into())),
        }
    }
}

/// What happened, as it is counted. Written `crashed`, `rolled-back.crashed`, `counter.paid`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Kind {
    /// See [`Told::Downloaded`].
    Downloaded,
    /// See [`Told::Activated`].
    Activated,
    /// See [`Told::LoadFailed`].
    LoadFailed,
    /// See [`Told::ScriptError`].
    ScriptError,
    /// See [`Told::Crashed`].
    Crashed,
    /// See [`Told::RolledBack`].
    RolledBack(Why),
    /// See [`Told::Converted`].
    Converted,
    /// See [`Told::Counter`].
    Counter(CounterName),
}

impl Kind {
    /// The same, to look at.
    pub fn told(&self) -> Told<'_> {
        match self {
            Self::Downloaded => Told::Downloaded,
            Self::Activated => Told::Activated,
            Self::LoadFailed => Told::LoadFailed,
            Self::ScriptError => Told::ScriptError,
            Self::Crashed => Told::Crashed,
            Self::RolledBack(why) => Told::RolledBack(*why),
            Self::Converted => Told::Converted,
            Self::Counter(name) => Told::Counter(name.as_str()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.told();
        f.write_str(told.word())?;
        match told.code() {
            "" => Ok(()),
            code => write!(f, ".{code}"),
        }
    }
}

/// Why a text is no kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the written form of an event, such as `crashed`, `rolled-back.crashed` or `counter.paid`"
)]
pub struct KindError;

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(text: &str) -> Result<Self, KindError> {
        let (word, code) = text.split_once('.').unwrap_or((text, ""));
        let kind = Told::of(word, code).ok_or(KindError)?.kept();
        // One kind, one text: no old words, no unknown codes.
        (kind.to_string() == text).then_some(kind).ok_or(KindError)
    }
}

impl TryFrom<String> for Kind {
    type Error = KindError;

    fn try_from(text: String) -> Result<Self, KindError> {
        text.parse()
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.to_string()
    }
}
