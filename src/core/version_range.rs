//! Ranges of versions: by semantic versioning (`>=8.2, <9`) and by dotted numbers (`>=8.0.40.1`).
//!
//! Both compare by precedence alone, so every version lies either inside or outside a range and no
//! special rule hides pre-releases. A bound written in part stands for the whole family: `>=8.2` begins
//! with the first pre-release of 8.2.0, and `<9` ends before the first pre-release of 9.0.0.

use std::{cmp::Ordering, fmt, str::FromStr};

use schemars::JsonSchema;
use semver::{Comparator, Op, Prerelease, Version, VersionReq};
use serde::{Deserialize, Serialize};

/// A version a device states about itself: its text, and its semantic version where it has one.
#[derive(Debug, Clone)]
pub struct StatedVersion<'a> {
    /// As stated.
    pub text: &'a str,
    /// As a semantic version; one or two fields are filled up with zeros.
    pub semver: Option<Version>,
}

impl<'a> StatedVersion<'a> {
    /// Reads what a device states; text that is no semantic version still compares as dotted numbers.
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            semver: lenient(text),
        }
    }
}

/// `8`, `8.2` and `8.2.1` in one pass over the bytes; anything else by the semver crate.
fn lenient(text: &str) -> Option<Version> {
    plain(text).or_else(|| Version::parse(text).ok())
}

fn plain(text: &str) -> Option<Version> {
    let (mut fields, mut field, mut digits) = ([0_u64; 3], 0, 0_usize);
    for byte in text.bytes() {
        if byte == b'.' {
            if digits == 0 || field == 2 {
                return None;
            }
            (field, digits) = (field + 1, 0);
        } else {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            let more = fields[field].checked_mul(10)?;
            fields[field] = more.checked_add(u64::from(digit))?;
            digits += 1;
        }
    }
    (digits > 0).then(|| Version::new(fields[0], fields[1], fields[2]))
}

/// An interval of semantic versions, written as comma-separated comparators.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("examples" = [">=8.2, <9", "^2.3", "=2.4.0"]))]
pub struct VersionRange {
    #[schemars(with = "String")]
    text: Box<str>,
    #[schemars(skip)]
    from: Option<Version>,
    #[schemars(skip)]
    to: Option<(Version, Edge)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    Excluded,
    Included,
}

/// Why a text is not a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Not comparators of semantic versions.
    #[error("`{given}` is not a range of versions; write comparators such as \">=8.2, <9\"")]
    Semver {
        /// What was given, shortened.
        given: String,
    },
    /// Not comparators of dotted numbers.
    #[error(
        "`{given}` is not a range of dotted versions; write comparators such as \">=8.0.40.1, <8.1\" with at most {} fields",
        DOTTED_FIELDS
    )]
    Dotted {
        /// What was given, shortened.
        given: String,
    },
    /// No version can match.
    #[error("`{given}` matches no version at all; check the order of its bounds")]
    Empty {
        /// What was given, shortened.
        given: String,
    },
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

impl VersionRange {
    /// Where it begins, included, and where it ends, with whether that is included.
    pub(crate) fn ends(&self) -> (Option<&Version>, Option<(&Version, bool)>) {
        let to = self.to.as_ref();
        let to = to.map(|(to, edge)| (to, *edge == Edge::Included));
        (self.from.as_ref(), to)
    }

    /// True when `version` lies in the range.
    pub fn matches(&self, version: &Version) -> bool {
        let from = self
            .from
            .as_ref()
            .is_none_or(|from| version.cmp_precedence(from) != Ordering::Less);
        from && self
            .to
            .as_ref()
            .is_none_or(|(to, edge)| match version.cmp_precedence(to) {
                Ordering::Less => true,
                Ordering::Equal => *edge == Edge::Included,
                Ordering::Greater => false,
            })
    }
}

/// The first of all versions with these numbers: its lowest pre-release.
fn first(major: u64, minor: u64, patch: u64) -> Version {
    let mut version = Version::new(major, minor, patch);
    version.pre = Prerelease::new("0").unwrap_or(Prerelease::EMPTY);
    version
}

fn full(c: &Comparator, minor: u64, patch: u64) -> Version {
    Version {
        major: c.major,
        minor,
        patch,
        pre: c.pre.clone(),
        build: semver::BuildMetadata::EMPTY,
    }
}

/// The version a comparator names, or the first of the family it names.
fn low(c: &Comparator) -> Version {
    match (c.minor, c.patch) {
        (Some(minor), Some(patch)) => full(c, minor, patch),
        (minor, _) => first(c.major, minor.unwrap_or(0), 0),
    }
}

/// The first version after the family a comparator names.
fn after(c: &Comparator) -> Version {
    match (c.minor, c.patch) {
        (None, _) => first(c.major.saturating_add(1), 0, 0),
        (Some(minor), None) => first(c.major, minor.saturating_add(1), 0),
        (Some(minor), Some(patch)) => first(c.major, minor, patch.saturating_add(1)),
    }
}

/// The first version that caret no longer allows: the leftmost number that is not zero is fixed.
fn after_caret(c: &Comparator) -> Version {
    match (c.major, c.minor, c.patch) {
        (0, None, _) => first(1, 0, 0),
        (0, Some(0), None) => first(0, 1, 0),
        (0, Some(0), Some(patch)) => first(0, 0, patch.saturating_add(1)),
        (0, Some(minor), _) => first(0, minor.saturating_add(1), 0),
        (major, _, _) => first(major.saturating_add(1), 0, 0),
    }
}

type Ends = (Option<Version>, Option<(Version, Edge)>);

fn ends(c: &Comparator) -> Option<Ends> {
    let whole = c.minor.is_some() && c.patch.is_some();
    let until = |version| Some((version, Edge::Excluded));
    Some(match c.op {
        Op::Exact if whole => (Some(low(c)), Some((low(c), Edge::Included))),
        Op::Exact | Op::Wildcard => (Some(low(c)), until(after(c))),
        // Nothing lies between a whole version and its successor by a "0" pre-release of the next patch,
        // except its own later pre-releases, which `>` on a pre-release must still admit.
        Op::Greater if whole && c.pre.is_empty() => (Some(after(c)), None),
        Op::Greater if whole => {
            let mut next = low(c);
            next.pre = Prerelease::new(&format!("{}.0", c.pre)).ok()?;
            (Some(next), None)
        }
        Op::Greater => (Some(after(c)), None),
        Op::GreaterEq => (Some(low(c)), None),
        Op::Less => (None, until(low(c))),
        Op::LessEq if whole => (None, Some((low(c), Edge::Included))),
        Op::LessEq => (None, until(after(c))),
        Op::Tilde if whole => (
            Some(low(c)),
            until(first(c.major, c.minor?.saturating_add(1), 0)),
        ),
        Op::Tilde => (Some(low(c)), until(after(c))),
        Op::Caret => (Some(low(c)), until(after_caret(c))),
        _ => return None,
    })
}

impl FromStr for VersionRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let wrong = || RangeError::Semver {
            given: shortened(text),
        };
        // A bare `2.4.0` would mean `^2.4.0` to the semver crate; here it would surprise, so it is refused.
        if text.split(',').any(|part| {
            part.trim()
                .starts_with(|c: char| c.is_ascii_digit() && !part.contains('*'))
        }) {
            return Err(wrong());
        }
        let req = VersionReq::parse(text).map_err(|_| wrong())?;
        let (mut from, mut to): Ends = (None, None);
        for comparator in &req.comparators {
            let (low, high) = ends(comparator).ok_or_else(wrong)?;
            from = from.max(low);
            to = match (to, high) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        let range = Self {
            text: text.into(),
            from,
            to,
        };
        match (&range.from, &range.to) {
            (Some(from), Some((to, edge)))
                if from > to || (from == to && *edge == Edge::Excluded) =>
            {
                Err(RangeError::Empty {
                    given: shortened(text),
                })
            }
            _ => Ok(range),
        }
    }
}

/// Most numeric fields of a dotted version.
pub const DOTTED_FIELDS: usize = 8;

/// A dotted version: up to eight numeric fields; missing ones count as zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Dotted([u64; DOTTED_FIELDS]);

impl Dotted {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut fields = [0; DOTTED_FIELDS];
        let mut slots = fields.iter_mut();
        for part in text.split('.') {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            *slots.next()? = part.parse().ok().filter(|_| digits)?;
        }
        Some(Self(fields))
    }
}

/// Comma-separated comparators of dotted versions; all must hold.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("examples" = [">=8.0.40.1", ">=12, <14.2"]))]
pub struct DottedRange {
    #[schemars(with = "String")]
    text: Box<str>,
    #[schemars(skip)]
    terms: Box<[(DottedOp, Dotted)]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DottedOp {
    Less,
    AtMost,
    Equal,
    AtLeast,
    Greater,
}

impl DottedRange {
    /// The narrowest span that all comparators allow, in places that `before` and `after` a version make.
    pub(crate) fn span_of<P: Ord>(
        &self,
        before: impl Fn(Dotted) -> P,
        after: impl Fn(Dotted) -> P,
    ) -> (Option<P>, Option<P>) {
        let (mut from, mut to) = (None, None);
        for (op, bound) in &self.terms {
            let (low, high) = match op {
                DottedOp::Less => (None, Some(before(*bound))),
                DottedOp::AtMost => (None, Some(after(*bound))),
                DottedOp::Equal => (Some(before(*bound)), Some(after(*bound))),
                DottedOp::AtLeast => (Some(before(*bound)), None),
                DottedOp::Greater => (Some(after(*bound)), None),
            };
            from = from.max(low);
            to = match (to, high) {
                (Some(a), Some(b)) => Some(std::cmp::min(a, b)),
                (a, b) => a.or(b),
            };
        }
        (from, to)
    }

    /// True when `text` is a dotted version in the range.
    pub fn matches(&self, text: &str) -> bool {
        let Some(version) = Dotted::parse(text) else {
            return false;
        };
        self.terms.iter().all(|(op, bound)| match op {
            DottedOp::Less => version < *bound,
            DottedOp::AtMost => version <= *bound,
            DottedOp::Equal => version == *bound,
            DottedOp::AtLeast => version >= *bound,
            DottedOp::Greater => version > *bound,
        })
    }
}

impl FromStr for DottedRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let term = |part: &str| {
            let part = part.trim();
            let ops = [
                (">=", DottedOp::AtLeast),
                ("<=", DottedOp::AtMost),
                (">", DottedOp::Greater),
                ("<", DottedOp::Less),
                ("=", DottedOp::Equal),
            ];
            let (op, rest) = ops
                .iter()
                .find_map(|(sign, op)| Some((*op, part.strip_prefix(sign)?)))?;
            Some((op, Dotted::parse(rest.trim())?))
        };
        let terms: Option<Box<[_]>> = text.split(',').map(term).collect();
        match terms {
            Some(terms) => Ok(Self {
                text: text.into(),
                terms,
            }),
            None => Err(RangeError::Dotted {
                given: shortened(text),
            }),
        }
    }
}

macro_rules! as_text {
    ($($range:ty),*) => {$(
        impl TryFrom<String> for $range {
            type Error = RangeError;

            fn try_from(text: String) -> Result<Self, RangeError> {
                text.parse()
            }
        }

        impl From<$range> for String {
            fn from(range: $range) -> Self {
                range.text.into()
            }
        }

        impl fmt::Display for $range {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.text)
            }
        }

        impl fmt::Debug for $range {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.text, f)
            }
        }
    )*};
}

as_text!(VersionRange, DottedRange);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semantic_ranges_hold_what_they_say() {
        for (range, inside, outside) in [
            (
                ">=8.2, <9",
                &["8.2.0-beta", "8.2.0", "8.99.1", "8.2"][..],
                &["8.1.9", "9.0.0-rc.1", "9"][..],
            ),
            (">=8.2.0", &["8.2.0", "9.0.0"], &["8.2.0-beta"]),
            ("<9.0.0", &["9.0.0-rc.1"], &["9.0.0"]),
            (">8.2.0", &["8.2.1-a", "8.2.1"], &["8.2.0", "8.2.0-z"]),
            (">8.2.0-a", &["8.2.0-a.0", "8.2.0-b", "8.2.0"], &["8.2.0-a"]),
            (">8.2", &["8.3.0"], &["8.2.9"]),
            ("<=8.2", &["8.2.9"], &["8.3.0-0", "8.3.0"]),
            ("<=8.2.1", &["8.2.1"], &["8.2.2"]),
            ("^0.2.3", &["0.2.9"], &["0.3.0"]),
            ("^0.0.3", &["0.0.3"], &["0.0.4"]),
            ("^2.3", &["2.3.0", "2.9.0"], &["3.0.0", "2.2.0"]),
            ("~2.3.1", &["2.3.5"], &["2.4.0"]),
            ("~2", &["2.9.5"], &["3.0.0"]),
            ("=2.3", &["2.3.7"], &["2.4.0"]),
            ("=2.3.1", &["2.3.1"], &["2.3.2"]),
            ("2.*", &["2.0.0", "2.7.1"], &["3.0.0"]),
        ] {
            let range: VersionRange = range.parse().unwrap();
            let holds = |text: &&str| {
                StatedVersion::new(text)
                    .semver
                    .is_some_and(|v| range.matches(&v))
            };
            assert_eq!(
                inside.iter().filter(|v| !holds(v)).collect::<Vec<_>>(),
                Vec::<&&str>::new(),
                "{range} holds"
            );
            assert_eq!(
                outside.iter().filter(|v| holds(v)).collect::<Vec<_>>(),
                Vec::<&&str>::new(),
                "{range} leaves out"
            );
        }
    }

    #[test]
    fn dotted_ranges_compare_any_number_of_fields() {
        let range: DottedRange = ">=8.0.40.1, <8.1".parse().unwrap();
        for (text, inside) in [
            ("8.0.40.1", true),
            ("8.0.40.10", true),
            ("8.0.41", true),
            ("8.0.40", false),
            ("8.1", false),
            ("8.1.0.0", false),
            ("x", false),
            ("", false),
        ] {
            assert_eq!(range.matches(text), inside, "{text}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "2.4.0", ">=", ">=x", ">=9, <8", "<2, 2.1.0"] {
            assert!(text.parse::<VersionRange>().is_err(), "{text}");
        }
        for text in ["", "8.1", ">=", ">=a.b", ">=1.2.3.4.5.6.7.8.9"] {
            assert!(text.parse::<DottedRange>().is_err(), "{text}");
        }
    }
}
