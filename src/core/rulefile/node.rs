//! `Node`: what TOML and JSON have in common: values, each with where it stands.

use std::{collections::BTreeSet, fmt};

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, SeqAccess, Visitor},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Place, Problem, Problems};
use crate::check::shown;

/// A text and what to call it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Source {
    /// The file's name; none: a JSON body.
    file: Option<String>,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

/// A value and the byte it begins at; JSON values are found by their path alone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: Option<usize>,
    pub(crate) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Whole(i64),
    Flag(bool),
    /// A date or time of TOML, as text.
    Instant(String),
    /// Something rules have no use for: a number with a fraction or too large, `null`.
    Other {
        kind: &'static str,
        text: String,
    },
    List(Vec<Node>),
    Table(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Option<usize>,
    pub(crate) node: Node,
}

impl Source {
    pub(crate) fn toml(file: &str, text: &str) -> Self {
        Self::new(Some(file.to_owned()), text)
    }

    pub(crate) fn json(text: &str) -> Self {
        Self::new(None, text)
    }

    fn new(file: Option<String>, text: &str) -> Self {
        let later = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            file,
            lines: std::iter::once(0).chain(later).collect(),
            text: text.to_owned(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The tree of the text, or why it has none.
    pub(crate) fn tree(&self) -> Result<Node, Problems> {
        match &self.file {
            Some(_) => self.toml_tree(),
            None => self.json_tree(),
        }
    }

    fn toml_tree(&self) -> Result<Node, Problems> {
        match DeTable::parse(&self.text) {
            Ok(table) => Ok(Node {
                at: Some(0),
                value: table_value(table.into_inner()),
            }),
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                let written = self.text.get(span.clone()).unwrap_or_default();
                let written = match written.lines().next().map(str::trim) {
                    Some(line) if !line.is_empty() => line,
                    _ => self.line_around(span.start).trim(),
                };
                Err(Problems::from(Problem {
                    place: self.place(Some(span.start), String::new()),
                    value: shown(written),
                    message: format!("is where TOML breaks off: {}", error.message()),
                    help: "mend this, and everything after it is read".to_owned(),
                }))
            }
        }
    }

    fn json_tree(&self) -> Result<Node, Problems> {
        serde_json::from_str(&self.text).map_err(|error| {
            let number = |number: usize| u32::try_from(number).ok().filter(|number| *number > 0);
            let text = error.to_string();
            let fact = text
                .rsplit_once(" at line ")
                .map_or(&*text, |(fact, _)| fact);
            let line = self.text.lines().nth(error.line().saturating_sub(1));
            Problems::from(Problem {
                place: Place {
                    file: None,
                    line: number(error.line()),
                    column: number(error.column()),
                    path: String::new(),
                },
                value: shown(line.unwrap_or_default().trim()),
                message: format!("is where JSON breaks off: {fact}"),
                help: "mend this, and everything after it is read".to_owned(),
            })
        })
    }

    fn line_around(&self, at: usize) -> &str {
        let line = self.lines.partition_point(|start| *start <= at) - 1;
        let rest = self.text.get(self.lines[line]..).unwrap_or_default();
        rest.lines().next().unwrap_or_default()
    }

    /// Where byte `at` stands; `path` says the same as a pointer.
    pub(crate) fn place(&self, at: Option<usize>, path: String) -> Place {
        let position = at.filter(|_| self.file.is_some()).map(|at| {
            let line = self.lines.partition_point(|start| *start <= at) - 1;
            let before = self.text.get(self.lines[line]..at).unwrap_or_default();
            (line, before.chars().count())
        });
        let from_one = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1);
        Place {
            file: self.file.clone(),
            line: position.map(|(line, _)| from_one(line)),
            column: position.map(|(_, column)| from_one(column)),
            path,
        }
    }
}

fn table_value(table: DeTable<'_>) -> Value {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| Entry {
            key_at: Some(key.span().start),
            key: key.into_inner().into_owned(),
            node: toml_node(value),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_at);
    Value::Table(entries)
}

fn toml_node(spanned: Spanned<DeValue<'_>>) -> Node {
    let at = Some(spanned.span().start);
    let value = match spanned.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(
                |_| Value::Other {
                    kind: "a number that is too large",
                    text: number.to_string(),
                },
                Value::Whole,
            ),
        DeValue::Float(number) => Value::Other {
            kind: FRACTION,
            text: number.to_string(),
        },
        DeValue::Boolean(flag) => Value::Flag(flag),
        DeValue::Datetime(instant) => Value::Instant(instant.to_string()),
        DeValue::Array(array) => Value::List(array.into_iter().map(toml_node).collect()),
        DeValue::Table(table) => table_value(table),
    };
    Node { at, value }
}

const FRACTION: &str = "a number with a fraction";

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_any(JsonValue)?;
        Ok(Self { at: None, value })
    }
}

/// Keeps the order of keys and refuses a key that stands twice; `serde_json::Value` does neither.
struct JsonValue;

impl<'de> Visitor<'de> for JsonValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or_else(
            |_| Value::Other {
                kind: "a number that is too large",
                text: number.to_string(),
            },
            Value::Whole,
        ))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Other {
            kind: FRACTION,
            text: number.to_string(),
        })
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Other {
            kind: "no value",
            text: "null".to_owned(),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let (mut entries, mut seen) = (Vec::new(), BTreeSet::new());
        while let Some((key, node)) = map.next_entry::<String, Node>()? {
            if !seen.insert(key.clone()) {
                let message = format!("duplicate key `{}`", shown(&key));
                return Err(serde::de::Error::custom(message));
            }
            entries.push(Entry {
                key,
                key_at: None,
                node,
            });
        }
        Ok(Value::Table(entries))
    }
}

impl Node {
    /// What stands under `key` of a table, or at that index of a list.
    fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Table(entries) => entries
                .iter()
                .find(|entry| entry.key == key)
                .map(|entry| &entry.node),
            Value::List(items) => items.get(key.parse::<usize>().ok()?),
            _ => None,
        }
    }
}

/// Where everything stands that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Places {
    source: Source,
    root: Node,
}

impl Places {
    pub(crate) const fn new(source: Source, root: Node) -> Self {
        Self { source, root }
    }

    /// Where the JSON pointer `path` leads, or the last part of it that was written.
    pub fn of(&self, path: &str) -> Place {
        self.source.place(self.node(path).at, path.to_owned())
    }

    /// Like [`Self::of`], but when `path` is a list that holds the text `value`, where that stands.
    pub fn of_value(&self, path: &str, value: &str) -> Place {
        let node = self.node(path);
        if let Value::List(items) = &node.value {
            let is_it = |item: &Node| matches!(&item.value, Value::Text(text) if text == value);
            if let Some(index) = items.iter().position(is_it) {
                return self
                    .source
                    .place(items[index].at, format!("{path}/{index}"));
            }
        }
        self.source.place(node.at, path.to_owned())
    }

    fn node(&self, path: &str) -> &Node {
        let mut node = &self.root;
        for step in path.split('/').skip(1) {
            let key = step.replace("~1", "/").replace("~0", "~");
            match node.get(&key) {
                Some(inner) => node = inner,
                None => break,
            }
        }
        node
    }
}
