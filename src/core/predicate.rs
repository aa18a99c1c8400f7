//! `Predicate`: a compiled audience, asked on every poll.
//!
//! Lists are sorted for binary search and the cheap questions stand first. Evaluation is total, bounded
//! in depth, takes no lock and allocates nothing (save that a free attribute with a pre-release longer
//! than eight bytes costs the semver crate one allocation). What an audience means is said in `audience`.

use std::sync::Arc;

use crate::{
    audience::{
        AttrMatch, Audience, NumberRange, OneOrMany, TagMatch, TextMatch, TimeRange, VersionMatch,
    },
    limits,
    name::{AttrName, SegmentName, Tag},
    poll::{Device, Installed},
    time::Timestamp,
    version_range::{DottedRange, StatedVersion, VersionRange},
};

/// The units of one segment. Asked on every poll: it must answer without blocking.
pub trait Membership: Send + Sync {
    /// True when `unit` is on the list.
    fn contains(&self, unit: &str) -> bool;
}

/// Where the compiler finds a segment; one it does not find holds nobody.
pub type Members<'a> = &'a dyn Fn(&SegmentName) -> Option<Arc<dyn Membership>>;

/// Units stated one by one: for rule tests and small lists.
impl Membership for std::collections::BTreeSet<String> {
    fn contains(&self, unit: &str) -> bool {
        Self::contains(self, unit)
    }
}

impl Membership for crate::segment::Segment {
    fn contains(&self, unit: &str) -> bool {
        Self::contains(self, unit)
    }
}

/// A compiled audience: all terms must hold.
pub struct Predicate {
    terms: Box<[Term]>,
}

enum Term {
    Text(TextField, Words),
    Version(VersionField, VersionMatch),
    AnyTag(Words),
    AllTags(Words),
    Attr(AttrName, AttrTerm),
    All(Box<[Predicate]>),
    Any(Box<[Predicate]>),
    Not(Predicate),
    Segments(Box<[Named]>),
    Nobody,
}

/// A segment by its name; one that is not in memory holds nobody.
type Named = (SegmentName, Option<Arc<dyn Membership>>);

/// Something a device states as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TextField {
    Platform,
    Region,
    City,
    Language,
    Model,
    Channel,
    Unit,
}

/// Something a device states as a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum VersionField {
    Host,
    Os,
    App,
}

enum AttrTerm {
    Number(i64),
    Text(Words),
    Between(NumberRange),
    During(TimeRange),
    Semver(VersionRange),
    Dotted(DottedRange),
}

/// Texts to compare with: sorted when compared whole.
enum Words {
    Is(Box<[Box<str>]>),
    Prefix(Box<[Box<str>]>),
}

impl Words {
    fn is<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut texts: Vec<Box<str>> = texts.map(Into::into).collect();
        texts.sort_unstable();
        texts.dedup();
        Self::Is(texts.into())
    }

    fn of_texts(texts: &OneOrMany<String>) -> Self {
        Self::is(texts.as_slice().iter().map(String::as_str))
    }

    fn of_tags(tags: &[Tag]) -> Self {
        Self::is(tags.iter().map(Tag::as_str))
    }

    fn of_prefixes(prefixes: &OneOrMany<String>) -> Self {
        Self::Prefix(
            prefixes
                .as_slice()
                .iter()
                .map(|p| p.as_str().into())
                .collect(),
        )
    }

    fn of_match(written: &TextMatch) -> Self {
        match written {
            TextMatch::Is(texts) => Self::of_texts(texts),
            TextMatch::Prefix { prefix } => Self::of_prefixes(prefix),
        }
    }

    fn all(&self) -> &[Box<str>] {
        match self {
            Self::Is(words) | Self::Prefix(words) => words,
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Is(words) => words.binary_search_by(|word| (**word).cmp(text)).is_ok(),
            Self::Prefix(words) => words.iter().any(|word| text.starts_with(&**word)),
        }
    }

    fn told(&self) -> String {
        let word = if matches!(self, Self::Prefix(_)) {
            "prefix "
        } else {
            ""
        };
        match self.all() {
            [one] => format!("{word}{one}"),
            many if many.len() <= 8 => format!("{word}{}", many.join(" | ")),
            many => format!(
                "{word}{} | … ({} in all)",
                many[..8].join(" | "),
                many.len()
            ),
        }
    }
}

/// Evaluation is recursive; what nests deeper than any written audience may is nobody's.
const DEPTH_END: usize = 2 * limits::AUDIENCE_DEPTH;

impl Predicate {
    /// Compiles an audience; `members` finds its segments.
    pub fn compile(audience: &Audience, members: Members<'_>) -> Self {
        Self::compile_at(audience, members, 0)
    }

    fn compile_at(written: &Audience, members: Members<'_>, depth: usize) -> Self {
        if depth > DEPTH_END {
            return Self {
                terms: Box::new([Term::Nobody]),
            };
        }
        let nested = |list: &[Audience]| -> Box<[Self]> {
            list.iter()
                .map(|one| Self::compile_at(one, members, depth + 1))
                .collect()
        };
        let mut terms = plain_terms(written);
        if !written.all.is_empty() {
            terms.push(Term::All(nested(&written.all)));
        }
        if !written.any.is_empty() {
            terms.push(Term::Any(nested(&written.any)));
        }
        if let Some(not) = &written.not {
            terms.push(Term::Not(Self::compile_at(not, members, depth + 1)));
        }
        if let Some(names) = &written.segment {
            let found = names
                .as_slice()
                .iter()
                .map(|name| (name.clone(), members(name)));
            terms.push(Term::Segments(found.collect()));
        }
        Self {
            terms: terms.into(),
        }
    }

    /// True when the audience speaks of this device.
    pub fn matches(&self, device: &Device<'_>, installed: &Installed<'_>) -> bool {
        self.terms
            .iter()
            .all(|term| term.matches(device, installed))
    }

    /// The first part that does not hold, or nothing when the audience speaks of this device. For
    /// operators: it quotes what the device stated.
    pub fn mismatch(&self, device: &Device<'_>, installed: &Installed<'_>) -> Option<Mismatch> {
        let term = self
            .terms
            .iter()
            .find(|term| !term.matches(device, installed))?;
        Some(term.told(device, installed))
    }
}

/// The part of an audience that a device does not meet.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Mismatch {
    /// Where it is written, such as `all[1].region`.
    pub path: String,
    /// What is wanted there.
    pub wanted: String,
    /// What the device states; nothing when it states nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stated: Option<String>,
}

fn plain_terms(written: &Audience) -> Vec<Term> {
    let texts = [
        (TextField::Platform, &written.platform),
        (TextField::Region, &written.region),
        (TextField::City, &written.city),
        (TextField::Language, &written.language),
        (TextField::Model, &written.model),
        (TextField::Channel, &written.channel),
        (TextField::Unit, &written.unit),
    ];
    let versions = [
        (VersionField::Host, &written.host_version),
        (VersionField::Os, &written.os_version),
        (VersionField::App, &written.app_version),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(field, text)| Some(Term::Text(field, Words::of_match(text.as_ref()?))));
    let versions = versions
        .into_iter()
        .filter_map(|(field, version)| Some(Term::Version(field, version.clone()?)));
    let tag = written.tag.iter().map(|tag| match tag {
        TagMatch::Any(tags) => Term::AnyTag(Words::of_tags(tags.as_slice())),
        TagMatch::All { all } => Term::AllTags(Words::of_tags(all)),
    });
    let attrs = written
        .attr
        .iter()
        .map(|(name, attr)| Term::Attr(name.clone(), AttrTerm::of(attr)));
    texts.chain(versions).chain(tag).chain(attrs).collect()
}

impl Term {
    fn matches(&self, device: &Device<'_>, installed: &Installed<'_>) -> bool {
        match self {
            Self::Text(field, words) => field.of(device).is_some_and(|text| words.matches(text)),
            Self::Version(field, range) => field
                .of(device, installed)
                .is_some_and(|stated| version_matches(range, stated)),
            Self::AnyTag(wanted) => device.tags.any(|tag| wanted.matches(tag)),
            Self::AllTags(wanted) => wanted.all().iter().all(|tag| device.tags.contains(tag)),
            Self::Attr(name, term) => device
                .attrs
                .get(name.as_str())
                .is_some_and(|text| term.matches(text)),
            Self::All(list) => list.iter().all(|one| one.matches(device, installed)),
            Self::Any(list) => list.iter().any(|one| one.matches(device, installed)),
            Self::Not(one) => !one.matches(device, installed),
            Self::Segments(segments) => segments
                .iter()
                .any(|(_, members)| members.as_ref().is_some_and(|m| m.contains(device.unit))),
            Self::Nobody => false,
        }
    }

    fn told(&self, device: &Device<'_>, installed: &Installed<'_>) -> Mismatch {
        let told = |path: &str, wanted: String, stated: Option<&str>| Mismatch {
            path: path.to_owned(),
            wanted,
            stated: stated.map(str::to_owned),
        };
        let tags = || {
            let mut carried = Vec::new();
            device.tags.any(|tag| {
                carried.push(tag);
                false
            });
            carried.join(",")
        };
        match self {
            Self::Text(field, words) => told(field.path(), words.told(), field.of(device)),
            Self::Version(field, range) => {
                let stated = field.of(device, installed).map(|stated| stated.text);
                told(field.path(), version_told(range), stated)
            }
            Self::AnyTag(wanted) => told("tag", wanted.told(), Some(&tags())),
            Self::AllTags(wanted) => {
                let wanted = format!("all of {}", wanted.all().join(" "));
                told("tag", wanted, Some(&tags()))
            }
            Self::Attr(name, term) => {
                let stated = device.attrs.get(name.as_str());
                told(&format!("attr.{name}"), term.told(), stated)
            }
            Self::All(list) => {
                let failing = list
                    .iter()
                    .enumerate()
                    .find_map(|(at, one)| Some((at, one.mismatch(device, installed)?)));
                match failing {
                    Some((at, inner)) => Mismatch {
                        path: format!("all[{at}].{}", inner.path),
                        ..inner
                    },
                    None => told("all", "all of them".into(), None),
                }
            }
            Self::Any(list) => told("any", format!("one of {}", list.len()), Some("none")),
            Self::Not(_) => told(
                "not",
                "a device it does not match".into(),
                Some("one it matches"),
            ),
            Self::Segments(segments) => {
                let names: Vec<_> = segments
                    .iter()
                    .map(|(name, members)| match members {
                        Some(_) => name.to_string(),
                        None => format!("{name} (not uploaded)"),
                    })
                    .collect();
                told("segment", names.join(" | "), Some("not on it"))
            }
            Self::Nobody => told("", "less nesting".into(), None),
        }
    }
}

impl TextField {
    pub(crate) fn of<'a>(self, device: &Device<'a>) -> Option<&'a str> {
        match self {
            Self::Platform => device.platform,
            Self::Region => device.region,
            Self::City => device.city,
            Self::Language => device.language,
            Self::Model => device.model,
            Self::Channel => device.channel,
            Self::Unit => Some(device.unit),
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Region => "region",
            Self::City => "city",
            Self::Language => "language",
            Self::Model => "model",
            Self::Channel => "channel",
            Self::Unit => "unit",
        }
    }
}

impl VersionField {
    pub(crate) const fn of<'p, 'a>(
        self,
        device: &'p Device<'a>,
        installed: &'p Installed<'a>,
    ) -> Option<&'p StatedVersion<'a>> {
        match self {
            Self::Host => device.host_version.as_ref(),
            Self::Os => device.os_version.as_ref(),
            Self::App => installed.version.as_ref(),
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Host => "host_version",
            Self::Os => "os_version",
            Self::App => "app_version",
        }
    }
}

fn version_matches(range: &VersionMatch, stated: &StatedVersion<'_>) -> bool {
    match range {
        VersionMatch::Semver(range) => stated.semver.as_ref().is_some_and(|v| range.matches(v)),
        VersionMatch::Dotted { dotted } => dotted.matches(stated.text),
    }
}

fn version_told(range: &VersionMatch) -> String {
    match range {
        VersionMatch::Semver(range) => range.to_string(),
        VersionMatch::Dotted { dotted } => format!("dotted {dotted}"),
    }
}

impl AttrTerm {
    fn of(written: &AttrMatch) -> Self {
        match written {
            AttrMatch::Number(number) => Self::Number(*number),
            AttrMatch::Is(texts) => Self::Text(Words::of_texts(texts)),
            AttrMatch::Prefix { prefix } => Self::Text(Words::of_prefixes(prefix)),
            AttrMatch::Between(range) => Self::Between(*range),
            AttrMatch::During(range) => Self::During(*range),
            AttrMatch::Semver { semver } => Self::Semver(semver.clone()),
            AttrMatch::Dotted { dotted } => Self::Dotted(dotted.clone()),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Number(wanted) => text.parse() == Ok(*wanted),
            Self::Text(words) => words.matches(text),
            Self::Between(NumberRange { min, max }) => text.parse().is_ok_and(|number: i64| {
                min.is_none_or(|min| min <= number) && max.is_none_or(|max| number <= max)
            }),
            Self::During(TimeRange { since, until }) => instant(text).is_some_and(|at| {
                since.is_none_or(|since| since <= at) && until.is_none_or(|until| at < until)
            }),
            Self::Semver(range) => StatedVersion::new(text)
                .semver
                .is_some_and(|version| range.matches(&version)),
            Self::Dotted(range) => range.matches(text),
        }
    }

    fn told(&self) -> String {
        let ends = |a: Option<String>, b: Option<String>| {
            format!(
                "{} to {}",
                a.unwrap_or("any".into()),
                b.unwrap_or("any".into())
            )
        };
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(words) => words.told(),
            Self::Between(range) => ends(
                range.min.map(|n| n.to_string()),
                range.max.map(|n| n.to_string()),
            ),
            Self::During(range) => ends(
                range.since.map(|t| t.to_string()),
                range.until.map(|t| t.to_string()),
            ),
            Self::Semver(range) => format!("semver {range}"),
            Self::Dotted(range) => format!("dotted {range}"),
        }
    }
}

/// An RFC 3339 instant, or a date as its first instant in UTC. The shape is looked at first, because a
/// library's error is an allocation, and what a device states may be anything.
fn instant(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let number = |from: usize, count: usize| -> Option<u32> {
        let digits = bytes.get(from..from + count)?;
        let all = digits.iter().all(u8::is_ascii_digit);
        all.then(|| {
            digits
                .iter()
                .fold(0, |n, digit| n * 10 + u32::from(digit - b'0'))
        })
    };
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1970 || bytes[4] != b'-' || bytes[7] != b'-' || !(1..=days).contains(&day) {
        return None;
    }
    // Days since 1970 of the first of March 1970-style year, by counting leap days of whole years.
    let before = year - 1;
    let leap_days = |y: u32| y / 4 - y / 100 + y / 400;
    let starts = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let in_year = starts[month as usize - 1] + u32::from(leap && month > 2) + day - 1;
    let day_number = (year - 1970) * 365 + leap_days(before) - leap_days(1969) + in_year;
    let midnight = u64::from(day_number) * 86_400_000;
    if text.len() == 10 {
        return Some(Timestamp::from_unix_ms(midnight));
    }
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let joined = matches!(bytes[10], b'T' | b't' | b' ') && bytes[13] == b':' && bytes[16] == b':';
    if !joined || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let of_day = u64::from(hour * 3_600 + minute * 60 + second) * 1_000;
    let (ms, offset) = fraction(&bytes[19..])?;
    let local = i64::try_from(midnight + of_day + ms).ok()?;
    u64::try_from(local - offset_ms(offset)?)
        .ok()
        .map(Timestamp::from_unix_ms)
}

/// Milliseconds of `.123…`, and what follows.
fn fraction(rest: &[u8]) -> Option<(u64, &[u8])> {
    let Some(digits) = rest.strip_prefix(b".") else {
        return Some((0, rest));
    };
    let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let ms = (0..3).fold(0, |ms, at| {
        let digit = digits[..count].get(at).map_or(0, |digit| digit - b'0');
        ms * 10 + u64::from(digit)
    });
    Some((ms, &digits[count..]))
}

fn offset_ms(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text {
        b"Z" | b"z" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let [h1, h2, b':', m1, m2] = rest else {
        return None;
    };
    if ![h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let two = |a: &u8, b: &u8| i64::from(a - b'0') * 10 + i64::from(b - b'0');
    let (hours, minutes) = (two(h1, h2), two(m1, m2));
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes) * 60_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_the_first_instant_of_their_day_in_utc() {
        for text in [
            "1970-01-01",
            "2000-02-29",
            "2026-11-23",
            "2100-03-01",
            "9999-12-29",
        ] {
            assert_eq!(
                instant(text),
                format!("{text}T00:00:00Z").parse().ok(),
                "{text}"
            );
        }
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-29",
            "2100-02-29",
            "1969-12-31",
            "2026-11-23T",
            "2026-11-23T08:00:00",
            "2026-11-23T25:00:00Z",
            "２０２６-11-23",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
    }

    #[test]
    fn what_nests_too_deep_is_nobodys_and_ends() {
        let mut deep = Audience::default();
        for _ in 0..500 {
            deep = Audience {
                all: vec![deep],
                ..Audience::default()
            };
        }
        let predicate = Predicate::compile(&deep, &|_| None);
        assert!(!predicate.matches(&Device::new("d"), &Installed::default()));
    }

    proptest! {
        #[test]
        fn instants_are_read_as_the_library_reads_them(ms in 0..253_402_000_000_000_u64, hours in -23..=23_i64, minutes in 0..60_i64) {
            let printed = Timestamp::from_unix_ms(ms).to_string();
            prop_assert_eq!(instant(&printed), Some(Timestamp::from_unix_ms(ms)));
            let sign = if hours < 0 { '-' } else { '+' };
            let shifted = printed.replace('Z', &format!("{sign}{:02}:{minutes:02}", hours.abs()));
            prop_assert_eq!(instant(&shifted), shifted.parse().ok());
        }

        #[test]
        fn any_text_is_an_instant_or_none(text in ".{0,40}", like in "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.Z+-]{0,20}") {
            let _ = instant(&text);
            let _ = instant(&like);
        }
    }
}
