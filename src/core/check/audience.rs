//! Checks of audiences: how deep and how large they are, what can match nothing, and which segments
//! they ask about.

use std::fmt;

use super::{Checker, World, child};
use crate::{
    audience::{AttrMatch, Audience, NumberRange, OneOrMany, TagMatch, TextMatch, TimeRange},
    limits,
};

impl Checker<'_> {
    pub(super) fn audiences(&mut self, world: &World<'_>) {
        for (index, rule) in self.rollout.rules.iter().enumerate() {
            let at = format!("{}/when", self.rule(index));
            let (terms, depth) = (terms(&rule.when), depth(&rule.when));
            let help = "name the devices by a segment or a tag instead";
            self.at_most(
                at.clone(),
                terms,
                limits::AUDIENCE_TERMS,
                "conditions",
                help,
            );
            let help = "write the same with fewer `any`, `all` and `not` inside each other";
            self.at_most(at.clone(), depth, limits::AUDIENCE_DEPTH, "levels", help);
            self.audience(&at, &rule.when, world);
        }
    }

    fn audience(&mut self, at: &str, audience: &Audience, world: &World<'_>) {
        for (key, text) in texts(audience) {
            if let Some(text) = text {
                self.text(&format!("{at}/{key}"), text);
            }
        }
        match &audience.tag {
            Some(TagMatch::Any(tags)) => self.list(&format!("{at}/tag"), tags.as_slice()),
            Some(TagMatch::All { all }) => self.list(&format!("{at}/tag/all"), all),
            None => {}
        }
        if let Some(segments) = &audience.segment {
            let path = format!("{at}/segment");
            self.list(&path, segments.as_slice());
            for (index, name) in segments.as_slice().iter().enumerate() {
                if world
                    .segments
                    .is_some_and(|known| !known.contains_key(name))
                {
                    let help = "upload it by `huidu segment put`, or correct its name";
                    self.error(
                        element(&path, segments, index),
                        name,
                        "is not a known segment",
                        help,
                    );
                }
            }
        }
        for (name, attr) in &audience.attr {
            self.attr(&child(&format!("{at}/attr"), name.as_str()), attr);
        }
        for (path, nested) in nested(at, audience) {
            if nested.is_everyone() {
                let message = "is an empty condition, which every device fulfils";
                self.error(
                    path.clone(),
                    "{}",
                    message,
                    "say something about the device, or leave it out",
                );
            }
            self.audience(&path, nested, world);
        }
    }

    fn text(&mut self, path: &str, text: &TextMatch) {
        match text {
            TextMatch::Is(values) => self.texts(path, values, "is too long for an attribute"),
            TextMatch::Prefix { prefix } => self.prefixes(path, prefix),
        }
    }

    fn attr(&mut self, path: &str, attr: &AttrMatch) {
        match attr {
            AttrMatch::Is(values) => self.texts(path, values, "is too long for an attribute"),
            AttrMatch::Prefix { prefix } => self.prefixes(path, prefix),
            AttrMatch::Between(NumberRange { min, max }) => {
                self.range(path, ("min", min), ("max", max), |min, max| min <= max);
            }
            AttrMatch::During(TimeRange { since, until }) => {
                self.range(path, ("since", since), ("until", until), |since, until| {
                    since < until
                });
            }
            AttrMatch::Number(_) | AttrMatch::Semver { .. } | AttrMatch::Dotted { .. } => {}
        }
    }

    fn range<T: fmt::Display + Copy>(
        &mut self,
        path: &str,
        (low_key, low): (&str, &Option<T>),
        (high_key, high): (&str, &Option<T>),
        ordered: impl Fn(T, T) -> bool,
    ) {
        match (low, high) {
            (None, None) => {
                let help = format!("give `{low_key}`, `{high_key}` or both");
                self.error(path.to_owned(), "{}", "is a range without an end", help);
            }
            (Some(low), Some(high)) if !ordered(*low, *high) => {
                let message =
                    format!("is `{high_key}`, but `{low_key}` is {low}, so nothing matches");
                let help = format!("let `{low_key}` come before `{high_key}`");
                self.error(format!("{path}/{high_key}"), high, message, help);
            }
            _ => {}
        }
    }

    fn prefixes(&mut self, path: &str, prefix: &OneOrMany<String>) {
        let path = format!("{path}/prefix");
        self.texts(&path, prefix, "is too long for a prefix");
        for (index, text) in prefix.as_slice().iter().enumerate() {
            if text.is_empty() {
                let message = "is an empty prefix, which every text has";
                let help = "write the beginning to look for, or leave it out";
                self.error(element(&path, prefix, index), text, message, help);
            }
        }
    }

    fn texts(&mut self, path: &str, values: &OneOrMany<String>, message: &str) {
        self.list(path, values.as_slice());
        for (index, text) in values.as_slice().iter().enumerate() {
            if text.len() > limits::ATTR_BYTES {
                let help = format!("devices state at most {} bytes", limits::ATTR_BYTES);
                self.error(element(path, values, index), text, message, help);
            }
        }
    }

    fn list<T>(&mut self, path: &str, values: &[T]) {
        if values.is_empty() {
            let help = "name at least one value, or leave it out";
            self.error(
                path.to_owned(),
                "[]",
                "is an empty list, so nothing matches",
                help,
            );
        }
        let help = "upload a list that long as a segment";
        self.at_most(
            path.to_owned(),
            values.len(),
            limits::LIST_VALUES,
            "values",
            help,
        );
    }
}

/// Where a value stands: itself when it is alone, in its list otherwise.
fn element<T>(path: &str, values: &OneOrMany<T>, index: usize) -> String {
    match values {
        OneOrMany::One(_) => path.to_owned(),
        OneOrMany::Many(_) => format!("{path}/{index}"),
    }
}

fn texts(audience: &Audience) -> [(&'static str, Option<&TextMatch>); 7] {
    [
        ("platform", audience.platform.as_ref()),
        ("region", audience.region.as_ref()),
        ("city", audience.city.as_ref()),
        ("language", audience.language.as_ref()),
        ("model", audience.model.as_ref()),
        ("channel", audience.channel.as_ref()),
        ("unit", audience.unit.as_ref()),
    ]
}

fn nested<'a>(at: &str, audience: &'a Audience) -> Vec<(String, &'a Audience)> {
    let numbered = |key: &str, nested: &'a [Audience]| -> Vec<(String, &'a Audience)> {
        let paths = (0..nested.len()).map(|index| format!("{at}/{key}/{index}"));
        paths.zip(nested).collect()
    };
    let mut found = numbered("all", &audience.all);
    found.extend(numbered("any", &audience.any));
    found.extend(
        audience
            .not
            .as_deref()
            .map(|not| (format!("{at}/not"), not)),
    );
    found
}

fn inner(audience: &Audience) -> impl Iterator<Item = &Audience> {
    let lists = audience.all.iter().chain(&audience.any);
    lists.chain(audience.not.as_deref())
}

fn terms(audience: &Audience) -> usize {
    let versions = [
        &audience.host_version,
        &audience.os_version,
        &audience.app_version,
    ];
    let own = texts(audience)
        .iter()
        .filter(|(_, text)| text.is_some())
        .count()
        + versions.iter().filter(|version| version.is_some()).count()
        + usize::from(audience.tag.is_some())
        + usize::from(audience.segment.is_some())
        + audience.attr.len();
    own + inner(audience).map(terms).sum::<usize>()
}

fn depth(audience: &Audience) -> usize {
    inner(audience)
        .map(|inner| 1 + depth(inner))
        .max()
        .unwrap_or(0)
}
