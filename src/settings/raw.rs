//! What was typed: in the file, in the environment, as flags; each value with the place it came from.
//!
//! Later places win: defaults, then the file, then the environment, then flags. Nothing is interpreted
//! here; a value stays text until `mod.rs` reads it. A key nobody knows is an error with the nearest one
//! that exists, because a misspelt setting that is silently ignored is found on the worst day.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use toml::de::{DeTable, DeValue};

use super::{
    keys::{self, Key},
    webhooks::Typed,
};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A line of the file.
    File {
        /// The file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Env(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("not set"),
            Self::File { file, line } => write!(f, "{}:{line}", file.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A value as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// One.
    Text(String),
    /// Several.
    List(Vec<String>),
}

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was typed.
    pub origin: Origin,
    /// The setting, as typed.
    pub key: String,
    /// The value, as typed; none where it is missing or must not be shown.
    pub given: Option<String>,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}`", self.origin, self.key)?;
        if let Some(given) = &self.given {
            write!(f, " = `{given}`")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// A flag of the command line that sets a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagValue {
    /// The flag as typed: `--store-kind`, or `--set`.
    pub flag: String,
    /// The setting.
    pub key: String,
    /// The value.
    pub value: String,
}

/// Where settings are looked for.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file's name and text.
    pub file: Option<(PathBuf, String)>,
    /// The environment.
    pub env: Vec<(String, String)>,
    /// Flags.
    pub flags: Vec<FlagValue>,
}

/// What was typed, by setting.
#[derive(Debug, Clone, Default)]
pub(super) struct Raw {
    typed: BTreeMap<&'static str, (Value, Origin)>,
    /// What could not even be filed under a setting.
    pub problems: Vec<Problem>,
    /// Receivers of webhooks, which the file alone lists.
    pub webhooks: Vec<Typed>,
}

/// Variables of the same prefix that are no settings: the command line's own.
const NOT_SETTINGS: &[&str] = &[
    "HUIDU_CONFIG",
    "HUIDU_SERVER",
    "HUIDU_TOKEN",
    "HUIDU_TOKEN_FILE",
    "HUIDU_DEVICE_SERVER",
];

impl Raw {
    /// Collects what was typed everywhere.
    pub(super) fn gather(sources: &Sources) -> Self {
        let mut raw = Self::default();
        if let Some((file, text)) = &sources.file {
            raw.read_file(file, text);
        }
        for (name, value) in &sources.env {
            raw.read_env(name, value);
        }
        for flag in &sources.flags {
            let value = Value::Text(flag.value.clone());
            raw.put(&flag.key, value, Origin::Flag(flag.flag.clone()));
        }
        raw
    }

    /// What was typed for a setting, or its default.
    pub(super) fn get(&self, key: &Key) -> (Value, Origin) {
        self.typed.get(key.path).cloned().unwrap_or_else(|| {
            let value = Value::Text(key.default.to_owned());
            (value, Origin::Default)
        })
    }

    fn put(&mut self, path: &str, value: Value, origin: Origin) {
        match keys::find(path) {
            Some(key) => {
                self.typed.insert(key.path, (value, origin));
            }
            None => self.problems.push(unknown(path, origin)),
        }
    }

    fn read_env(&mut self, name: &str, value: &str) {
        let Some(rest) = name.strip_prefix("HUIDU_") else {
            return;
        };
        if NOT_SETTINGS.contains(&name) {
            return;
        }
        let path = rest.to_ascii_lowercase().replace("__", ".");
        let value = Value::Text(value.to_owned());
        self.put(&path, value, Origin::Env(name.to_owned()));
    }

    fn read_file(&mut self, file: &std::path::Path, text: &str) {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            self.problems.push(Problem {
                origin: origin(file, text, at),
                key: "(file)".into(),
                given: None,
                what: format!("{}; this is no TOML", error.message()),
            });
        }
        if self.problems.is_empty() {
            self.read_table(file, text, "", table.get_ref());
        }
    }

    fn read_table(&mut self, file: &std::path::Path, text: &str, above: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let path = format!("{above}{}", name.get_ref());
            let origin = origin(file, text, name.span().start);
            match value.get_ref() {
                DeValue::Table(below) => {
                    let is_known = keys::KEYS.iter().any(|key| {
                        key.path
                            .strip_prefix(&path)
                            .is_some_and(|rest| rest.starts_with('.'))
                    });
                    // A table nobody knows is one mistake, not one for each of its keys.
                    if is_known {
                        self.read_table(file, text, &format!("{path}."), below);
                    } else {
                        let inside = below.iter().next().map_or_else(
                            || path.clone(),
                            |(key, _)| format!("{path}.{}", key.get_ref()),
                        );
                        self.problems.push(unknown(&inside, origin));
                    }
                }
                DeValue::Array(values) if path == "webhook" => {
                    for value in values {
                        self.read_webhook(file, text, value);
                    }
                }
                DeValue::Array(values) => {
                    let texts = values.iter().filter_map(|value| scalar(value.get_ref()));
                    self.put(&path, Value::List(texts.collect()), origin);
                }
                one => {
                    let text = scalar(one).unwrap_or_default();
                    self.put(&path, Value::Text(text), origin);
                }
            }
        }
    }
}

impl Raw {
    /// One table of a list of them.
    fn read_webhook(
        &mut self,
        file: &std::path::Path,
        text: &str,
        value: &toml::Spanned<DeValue<'_>>,
    ) {
        let begins = origin(file, text, value.span().start);
        let DeValue::Table(table) = value.get_ref() else {
            self.problems.push(Problem {
                origin: begins,
                key: "webhook".into(),
                given: None,
                what: "is no table; begin each receiver with [[webhook]]".into(),
            });
            return;
        };
        let fields = table.iter().map(|(name, value)| {
            let value = match value.get_ref() {
                DeValue::Array(values) => {
                    let texts = values.iter().filter_map(|value| scalar(value.get_ref()));
                    Value::List(texts.collect())
                }
                one => Value::Text(scalar(one).unwrap_or_default()),
            };
            let at = origin(file, text, name.span().start);
            (name.get_ref().to_string(), value, at)
        });
        self.webhooks.push(Typed {
            origin: begins,
            fields: fields.collect(),
        });
    }
}

fn unknown(path: &str, origin: Origin) -> Problem {
    let what = match keys::nearest(path) {
        Some(near) => format!("there is no such setting; did you mean `{near}`?"),
        None => "there is no such setting; deploy/huidu.toml lists all of them".into(),
    };
    Problem {
        origin,
        key: path.to_owned(),
        given: None,
        what,
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string().replace('_', "")),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Datetime(instant) => Some(instant.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn origin(file: &std::path::Path, text: &str, at: usize) -> Origin {
    let before = text.get(..at).unwrap_or(text);
    Origin::File {
        file: file.to_owned(),
        line: before.matches('\n').count() + 1,
    }
}
