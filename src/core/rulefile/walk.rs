//! `Walk`: reading nodes as typed values and writing down every mistake on the way.
//!
//! A reader answers `None` when it has written down why; whoever reads goes on with the next field and
//! gives up only when everything has been read.

use std::fmt;

use super::{
    Problem, Problems,
    node::{Entry, Node, Source, Value},
};
use crate::{
    check::{child, shown},
    time::Timestamp,
    version::Number,
};

pub(crate) struct Walk {
    source: Source,
    problems: Problems,
}

/// A node and the path that led to it.
#[derive(Clone)]
pub(crate) struct Here<'n> {
    pub(crate) node: &'n Node,
    pub(crate) path: String,
}

impl<'n> Here<'n> {
    pub(crate) const fn root(node: &'n Node) -> Self {
        Self {
            node,
            path: String::new(),
        }
    }
}

/// A table being read: which keys were asked for, so that the others can be refused.
pub(crate) struct Table<'n> {
    here: Here<'n>,
    entries: &'n [Entry],
    known: Vec<&'static str>,
}

impl Walk {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            problems: Problems::default(),
        }
    }

    pub(crate) fn finish(self) -> (Source, Problems) {
        (self.source, self.problems)
    }

    /// Writes down that the value at `here` is wrong.
    pub(crate) fn refuse(
        &mut self,
        here: &Here<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let value = summary(here.node);
        self.refuse_at(
            here.node.at,
            &here.path,
            &value,
            message.into(),
            help.into(),
        );
    }

    fn refuse_at(
        &mut self,
        at: Option<usize>,
        path: &str,
        value: &str,
        message: String,
        help: String,
    ) {
        let source = &self.source;
        self.problems.push(|| Problem {
            place: source.place(at, path.to_owned()),
            value: shown(value),
            message,
            help,
        });
    }

    /// The table at `here`.
    pub(crate) fn table<'n>(&mut self, here: &Here<'n>, what: &str) -> Option<Table<'n>> {
        let Value::Table(entries) = &here.node.value else {
            self.wrong_type(here, what);
            return None;
        };
        Some(Table {
            here: here.clone(),
            entries,
            known: Vec::new(),
        })
    }

    /// The entries of a table whose keys are free, each key read by `K`'s rules.
    pub(crate) fn keyed<'n, K>(&mut self, here: &Here<'n>, what: &str) -> Vec<(Option<K>, Here<'n>)>
    where
        K: TryFrom<String, Error: fmt::Display>,
    {
        let Value::Table(entries) = &here.node.value else {
            self.wrong_type(here, what);
            return Vec::new();
        };
        let mut read = Vec::with_capacity(entries.len());
        for entry in entries {
            let inner = Here {
                node: &entry.node,
                path: child(&here.path, &entry.key),
            };
            let key = match K::try_from(entry.key.clone()) {
                Ok(key) => Some(key),
                Err(error) => {
                    let (message, help) = parted(&error.to_string(), &entry.key);
                    self.refuse_at(entry.key_at, &inner.path, &entry.key, message, help);
                    None
                }
            };
            read.push((key, inner));
        }
        read
    }

    /// The items of the list at `here`, at least one.
    pub(crate) fn list<'n>(&mut self, here: &Here<'n>, what: &str) -> Option<Vec<Here<'n>>> {
        let Value::List(items) = &here.node.value else {
            self.wrong_type(here, what);
            return None;
        };
        if items.is_empty() {
            self.refuse(
                here,
                "is an empty list",
                format!("write {what}, or leave the key out"),
            );
            return None;
        }
        let item = |(index, node)| Here {
            node,
            path: format!("{}/{index}", here.path),
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    pub(crate) fn text<'n>(&mut self, here: &Here<'n>, what: &str) -> Option<&'n str> {
        match &here.node.value {
            Value::Text(text) => Some(text),
            _ => {
                self.wrong_type(here, what);
                None
            }
        }
    }

    /// A value that is written as text and has rules of its own, such as a name or a share.
    pub(crate) fn read<T>(&mut self, here: &Here<'_>, what: &str) -> Option<T>
    where
        T: TryFrom<String, Error: fmt::Display>,
    {
        let text = self.text(here, what)?;
        T::try_from(text.to_owned())
            .map_err(|error| {
                let (message, help) = parted(&error.to_string(), text);
                self.refuse(here, message, help);
            })
            .ok()
    }

    pub(crate) fn flag(&mut self, here: &Here<'_>) -> Option<bool> {
        match here.node.value {
            Value::Flag(flag) => Some(flag),
            _ => {
                self.wrong_type(here, "`true` or `false` without quotes");
                None
            }
        }
    }

    pub(crate) fn whole(&mut self, here: &Here<'_>) -> Option<i64> {
        match here.node.value {
            Value::Whole(number) => Some(number),
            _ => {
                self.wrong_type(here, "a whole number without quotes");
                None
            }
        }
    }

    pub(crate) fn number(&mut self, here: &Here<'_>) -> Option<Number> {
        const WHAT: &str = "three numbers in quotes, such as \"2.4.0\" or \"2.5.0-rc.1\"";
        let text = self.text(here, WHAT)?;
        match Number::parse(text) {
            Ok(number) if number.build.is_empty() => Some(number),
            Ok(number) => {
                let help = format!("leave out `+{}`", number.build);
                self.refuse(here, "carries build metadata, which has no order", help);
                None
            }
            Err(_) => {
                self.refuse(here, "is not a version", format!("write {WHAT}"));
                None
            }
        }
    }

    pub(crate) fn instant(&mut self, here: &Here<'_>) -> Option<Timestamp> {
        const WHAT: &str = "an instant with an offset, such as 2026-11-23T08:00:00+08:00";
        let (Value::Text(text) | Value::Instant(text)) = &here.node.value else {
            self.wrong_type(here, WHAT);
            return None;
        };
        let instant = text.parse().ok();
        if instant.is_none() {
            let date = text.parse::<jiff::civil::Date>().is_ok() && !text.contains([':', 'T']);
            let local = text.parse::<jiff::civil::DateTime>().is_ok();
            let help = if date {
                format!("add a time and an offset, such as {text}T00:00:00+08:00")
            } else if local {
                format!("add an offset, such as {text}+08:00")
            } else {
                format!("write {WHAT}")
            };
            self.refuse(here, "is not an instant", help);
        }
        instant
    }

    /// A value as a device states it: as text.
    pub(crate) fn stated(&mut self, here: &Here<'_>) -> Option<String> {
        match &here.node.value {
            Value::Text(text) | Value::Instant(text) => Some(text.clone()),
            Value::Whole(number) => Some(number.to_string()),
            Value::Flag(flag) => Some(flag.to_string()),
            _ => {
                self.wrong_type(here, "text, a whole number or an instant");
                None
            }
        }
    }

    pub(crate) fn wrong_type(&mut self, here: &Here<'_>, what: &str) {
        let message = format!("is {}", kind(&here.node.value));
        self.refuse(here, message, format!("write {what}"));
    }
}

impl<'n> Table<'n> {
    /// What stands under `key`; asking makes the key a known one.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Here<'n>> {
        self.known.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Here {
            node: &entry.node,
            path: child(&self.here.path, key),
        })
    }

    /// What stands under `key`, which must be there.
    pub(crate) fn need(
        &mut self,
        walk: &mut Walk,
        key: &'static str,
        what: &str,
    ) -> Option<Here<'n>> {
        let found = self.get(key);
        if found.is_none() {
            let help = format!("add `{key} = …`: {what}");
            let at = self.here.node.at;
            walk.refuse_at(at, &self.here.path, key, "is missing".to_owned(), help);
        }
        found
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &'n str> + use<'n> {
        self.entries.iter().map(|entry| entry.key.as_str())
    }

    pub(crate) fn here(&self) -> &Here<'n> {
        &self.here
    }

    /// Refuses every key that was not asked for.
    pub(crate) fn finish(&self, walk: &mut Walk) {
        for entry in self.entries {
            if self.known.contains(&entry.key.as_str()) {
                continue;
            }
            let path = child(&self.here.path, &entry.key);
            let help = match nearest(&entry.key, &self.known) {
                Some(key) => format!("did you mean `{key}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            let message = "is an unknown key".to_owned();
            walk.refuse_at(entry.key_at, &path, &entry.key, message, help);
        }
    }
}

/// The known key that a misspelt one most likely means.
fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    let distance = |known: &&&str| strsim::osa_distance(key, known);
    let far = 2.min(key.chars().count() / 2);
    let near = known.iter().filter(|known| distance(known) <= far);
    near.min_by_key(distance).copied()
}

/// The domain's errors read "`given` fact; what to do". A problem keeps the three apart.
fn parted(error: &str, given: &str) -> (String, String) {
    let quoted = error.strip_prefix('`').unwrap_or(error);
    let pairs = quoted.chars().zip(given.chars());
    let shared: usize = pairs
        .take_while(|(a, b)| a == b)
        .map(|(c, _)| c.len_utf8())
        .sum();
    let fact = quoted[shared..]
        .strip_prefix("` ")
        .or_else(|| quoted.split_once("` ").map(|(_, fact)| fact))
        .unwrap_or(quoted);
    let (message, help) = fact.split_once("; ").unwrap_or((fact, "correct it"));
    (message.to_owned(), help.to_owned())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Text(_) => "text",
        Value::Whole(_) => "a whole number",
        Value::Flag(_) => "a flag",
        Value::Instant(_) => "a date or time",
        Value::Other { kind, .. } => kind,
        Value::List(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// A value as a message quotes it.
fn summary(node: &Node) -> String {
    match &node.value {
        Value::Text(text) | Value::Instant(text) | Value::Other { text, .. } => text.clone(),
        Value::Whole(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::List(items) if items.is_empty() => "[]".to_owned(),
        Value::List(_) => "[…]".to_owned(),
        Value::Table(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Table(_) => "{…}".to_owned(),
    }
}
