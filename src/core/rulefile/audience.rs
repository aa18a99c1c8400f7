//! Reading an audience: `when` and everything nested in it.

use std::{collections::BTreeMap, fmt};

use super::{Here, Table, Walk, node::Value};
use crate::{
    audience::{
        AttrMatch, Audience, NumberRange, OneOrMany, TagMatch, TextMatch, TimeRange, VersionMatch,
    },
    name::{AttrName, Tag},
};

const TEXTS: &str = "text in quotes, a list of texts, or { prefix = \"…\" }";
const SEMVER: &str = "comparators in quotes, such as \">=8.2, <9\"";
const DOTTED: &str = "comparators in quotes, such as \">=8.0.40.1, <8.1\"";

/// The audience at `here`; nothing when some part of it was wrong.
pub(super) fn audience(walk: &mut Walk, here: &Here<'_>) -> Option<Audience> {
    let mut table = walk.table(
        here,
        "a table of conditions, such as { platform = \"ios\" }",
    )?;
    let table = &mut table;
    let mut whole = true;
    let read = Audience {
        platform: field(walk, table, "platform", &mut whole, text_match),
        region: field(walk, table, "region", &mut whole, text_match),
        city: field(walk, table, "city", &mut whole, text_match),
        language: field(walk, table, "language", &mut whole, text_match),
        model: field(walk, table, "model", &mut whole, text_match),
        channel: field(walk, table, "channel", &mut whole, text_match),
        unit: field(walk, table, "unit", &mut whole, text_match),
        host_version: field(walk, table, "host_version", &mut whole, version_match),
        os_version: field(walk, table, "os_version", &mut whole, version_match),
        app_version: field(walk, table, "app_version", &mut whole, version_match),
        tag: field(walk, table, "tag", &mut whole, tag_match),
        segment: field(walk, table, "segment", &mut whole, |walk, at| {
            one_or_many(
                walk,
                at,
                "the name of a segment in quotes, or a list of them",
                read_name,
            )
        }),
        attr: field(walk, table, "attr", &mut whole, attrs).unwrap_or_default(),
        all: field(walk, table, "all", &mut whole, audiences).unwrap_or_default(),
        any: field(walk, table, "any", &mut whole, audiences).unwrap_or_default(),
        not: field(walk, table, "not", &mut whole, audience).map(Box::new),
    };
    table.finish(walk);
    whole.then_some(read)
}

/// One optional key; `whole` falls when it is there and wrong.
fn field<T>(
    walk: &mut Walk,
    table: &mut Table<'_>,
    key: &'static str,
    whole: &mut bool,
    read: impl Fn(&mut Walk, &Here<'_>) -> Option<T>,
) -> Option<T> {
    let at = table.get(key)?;
    let value = read(walk, &at);
    *whole &= value.is_some();
    value
}

fn read_name<T>(walk: &mut Walk, here: &Here<'_>) -> Option<T>
where
    T: TryFrom<String, Error: fmt::Display>,
{
    walk.read(here, "a name in quotes")
}

fn read_text(walk: &mut Walk, here: &Here<'_>) -> Option<String> {
    walk.text(here, "text in quotes").map(str::to_owned)
}

/// All of them or, when some are wrong, nothing.
fn every<T>(read: Vec<Option<T>>) -> Option<Vec<T>> {
    read.into_iter().collect()
}

fn one_or_many<T>(
    walk: &mut Walk,
    here: &Here<'_>,
    what: &str,
    read: impl Fn(&mut Walk, &Here<'_>) -> Option<T>,
) -> Option<OneOrMany<T>> {
    match &here.node.value {
        Value::Text(_) => read(walk, here).map(OneOrMany::One),
        Value::List(_) => {
            let items = walk.list(here, what)?;
            let values = items.iter().map(|at| read(walk, at)).collect();
            every(values).map(OneOrMany::Many)
        }
        _ => {
            walk.wrong_type(here, what);
            None
        }
    }
}

fn audiences(walk: &mut Walk, here: &Here<'_>) -> Option<Vec<Audience>> {
    let items = walk.list(
        here,
        "a list of conditions, such as [{ platform = \"ios\" }]",
    )?;
    every(items.iter().map(|at| audience(walk, at)).collect())
}

fn text_match(walk: &mut Walk, here: &Here<'_>) -> Option<TextMatch> {
    if !matches!(here.node.value, Value::Table(_)) {
        return one_or_many(walk, here, TEXTS, read_text).map(TextMatch::Is);
    }
    let prefix = only(
        walk,
        here,
        "prefix",
        "the beginning to look for",
        |walk, at| one_or_many(walk, at, "text in quotes, or a list of texts", read_text),
    )?;
    Some(TextMatch::Prefix { prefix })
}

fn version_match(walk: &mut Walk, here: &Here<'_>) -> Option<VersionMatch> {
    if !matches!(here.node.value, Value::Table(_)) {
        let what = format!("{SEMVER}, or {{ dotted = \">=8.0.40.1\" }}");
        return walk.read(here, &what).map(VersionMatch::Semver);
    }
    let dotted = only(walk, here, "dotted", DOTTED, |walk, at| {
        walk.read(at, DOTTED)
    })?;
    Some(VersionMatch::Dotted { dotted })
}

fn tag_match(walk: &mut Walk, here: &Here<'_>) -> Option<TagMatch> {
    if !matches!(here.node.value, Value::Table(_)) {
        let what = "a tag in quotes, a list of tags, or { all = [\"…\"] }";
        return one_or_many(walk, here, what, read_name).map(TagMatch::Any);
    }
    let all = only(walk, here, "all", "a list of tags", |walk, at| {
        let items = walk.list(at, "a list of tags")?;
        every::<Tag>(items.iter().map(|at| read_name(walk, at)).collect())
    })?;
    Some(TagMatch::All { all })
}

/// The value of a table with exactly one key.
fn only<T>(
    walk: &mut Walk,
    here: &Here<'_>,
    key: &'static str,
    what: &str,
    read: impl Fn(&mut Walk, &Here<'_>) -> Option<T>,
) -> Option<T> {
    let mut table = walk.table(here, what)?;
    let read = table.need(walk, key, what).and_then(|at| read(walk, &at));
    table.finish(walk);
    read
}

fn attrs(walk: &mut Walk, here: &Here<'_>) -> Option<BTreeMap<AttrName, AttrMatch>> {
    if !matches!(here.node.value, Value::Table(_)) {
        walk.wrong_type(
            here,
            "a table of attributes, such as { vip_level = { min = 3 } }",
        );
        return None;
    }
    let written = walk.keyed::<AttrName>(here, "a table of attributes");
    if written.is_empty() {
        walk.refuse(here, "names no attribute", "name one, or leave the key out");
        return None;
    }
    let read: Vec<_> = written
        .into_iter()
        .map(|(name, at)| (name, attr_match(walk, &at)))
        .collect();
    read.into_iter()
        .map(|(name, attr)| Some((name?, attr?)))
        .collect()
}

const ATTR: &str = "text in quotes, a whole number, a list of texts, or a table with `prefix`, `min` and \
     `max`, `since` and `until`, `semver`, or `dotted`";

fn attr_match(walk: &mut Walk, here: &Here<'_>) -> Option<AttrMatch> {
    match &here.node.value {
        Value::Whole(number) => Some(AttrMatch::Number(*number)),
        Value::Text(_) | Value::List(_) => {
            one_or_many(walk, here, ATTR, read_text).map(AttrMatch::Is)
        }
        Value::Flag(flag) => {
            walk.refuse(here, "is a flag", format!("write it as text: \"{flag}\""));
            None
        }
        Value::Instant(instant) => {
            let help = format!("write a range, such as {{ since = {instant} }}");
            walk.refuse(here, "is a single instant", help);
            None
        }
        Value::Table(_) => attr_table(walk, here),
        Value::Other { .. } => {
            walk.wrong_type(here, ATTR);
            None
        }
    }
}

/// The operator of an attribute is named by the keys of its table, all of one kind.
fn attr_table(walk: &mut Walk, here: &Here<'_>) -> Option<AttrMatch> {
    const KINDS: [&[&str]; 5] = [
        &["prefix"],
        &["min", "max"],
        &["since", "until"],
        &["semver"],
        &["dotted"],
    ];
    let mut table = walk.table(here, ATTR)?;
    let keys: Vec<&str> = table.keys().collect();
    let of_kind = |kind: &&[&str]| keys.iter().any(|key| kind.contains(key));
    let kinds: Vec<&[&str]> = KINDS.into_iter().filter(of_kind).collect();
    if kinds.len() > 1 {
        let mixed: Vec<_> = kinds
            .iter()
            .map(|kind| format!("`{}`", kind.join("`/`")))
            .collect();
        let message = format!("mixes {}", mixed.join(" and "));
        walk.refuse(
            here,
            message,
            "keep one; join two by `all = [{ attr = … }, { attr = … }]`",
        );
        return None;
    }
    let Some(kind) = kinds.first() else {
        if keys.is_empty() {
            walk.refuse(
                here,
                "says nothing of the attribute",
                format!("write {ATTR}"),
            );
        }
        for key in KINDS.into_iter().flatten() {
            table.get(key);
        }
        table.finish(walk);
        return None;
    };
    let mut whole = true;
    let read = match kind[0] {
        "prefix" => table.get("prefix").and_then(|at| {
            let prefix = one_or_many(walk, &at, "text in quotes, or a list of texts", read_text)?;
            Some(AttrMatch::Prefix { prefix })
        }),
        "semver" => table
            .get("semver")
            .and_then(|at| walk.read(&at, SEMVER))
            .map(|semver| AttrMatch::Semver { semver }),
        "dotted" => table
            .get("dotted")
            .and_then(|at| walk.read(&at, DOTTED))
            .map(|dotted| AttrMatch::Dotted { dotted }),
        "min" => Some(AttrMatch::Between(NumberRange {
            min: field(walk, &mut table, "min", &mut whole, Walk::whole),
            max: field(walk, &mut table, "max", &mut whole, Walk::whole),
        })),
        _ => Some(AttrMatch::During(TimeRange {
            since: field(walk, &mut table, "since", &mut whole, Walk::instant),
            until: field(walk, &mut table, "until", &mut whole, Walk::instant),
        })),
    };
    table.finish(walk);
    read.filter(|_| whole)
}
