//! `Audience`: which devices a rule speaks of. The written form of `when`, and its evaluation.
//!
//! All keys of one audience must match, a list matches by one of its values, `any` / `all` / `not` nest. A device that does not
//! state an attribute matches no predicate on it (and so matches its `not`). Evaluation is total,
//! allocates nothing and knows no order of evaluation that matters.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    name::{AttrName, SegmentName, Tag},
    time::Timestamp,
    version_range::{DottedRange, VersionRange},
};

/// One value or a list of them; a list matches when one of it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// A single value.
    One(T),
    /// Any of these.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// The values as a slice.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// How a text attribute is matched: exactly, by a list, or by prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum TextMatch {
    /// Equal to one of these.
    Is(OneOrMany<String>),
    /// Begins with one of these.
    Prefix {
        /// The beginnings.
        prefix: OneOrMany<String>,
    },
}

/// How a version attribute is matched: by semantic versioning, or by any number of numeric fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum VersionMatch {
    /// `">=8.2, <9"`: semantic versioning.
    Semver(VersionRange),
    /// `{ dotted = ">=8.0.40.1" }`: numeric fields compared one by one.
    Dotted {
        /// The range.
        dotted: DottedRange,
    },
}

/// How the set of tags of a device is matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum TagMatch {
    /// The device carries one of these.
    Any(OneOrMany<Tag>),
    /// The device carries all of these.
    All {
        /// The tags.
        all: Vec<Tag>,
    },
}

/// How a free attribute is matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum AttrMatch {
    /// A whole number equal to this.
    Number(i64),
    /// A text equal to one of these.
    Is(OneOrMany<String>),
    /// A text that begins with one of these.
    Prefix {
        /// The beginnings.
        prefix: OneOrMany<String>,
    },
    /// A whole number from `min` to `max`, both included, each optional.
    Between(NumberRange),
    /// An instant or date from `since` (included) to `until` (excluded), each optional.
    During(TimeRange),
    /// A version.
    Semver {
        /// The range.
        semver: VersionRange,
    },
    /// A version of numeric fields.
    Dotted {
        /// The range.
        dotted: DottedRange,
    },
}

/// A range of whole numbers, both ends included; at least one end is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NumberRange {
    /// Smallest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// Largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
}

/// A range of instants; at least one end is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeRange {
    /// Earliest, included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Latest, excluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Which devices a rule speaks of; empty means every device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Audience {
    /// The device's platform, such as `android`, `ios`, `harmony`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<TextMatch>,
    /// ISO 3166-2 region, such as `CN-31`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<TextMatch>,
    /// City, in whatever code the host app uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<TextMatch>,
    /// BCP 47 language, such as `zh-CN`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<TextMatch>,
    /// Device model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<TextMatch>,
    /// Distribution channel of the host app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<TextMatch>,
    /// The unit itself, for a handful of named devices (longer lists are segments).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<TextMatch>,
    /// Version of the host app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_version: Option<VersionMatch>,
    /// Version of the operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_version: Option<VersionMatch>,
    /// Version of the mini-program the device runs now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_version: Option<VersionMatch>,
    /// Tags the device carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<TagMatch>,
    /// Uploaded lists the unit is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<OneOrMany<SegmentName>>,
    /// Free attributes of the user profile.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attr: BTreeMap<AttrName, AttrMatch>,
    /// All of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub all: Vec<Audience>,
    /// One of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub any: Vec<Audience>,
    /// Not this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not: Option<Box<Audience>>,
}

impl Audience {
    /// True when every device is meant.
    pub fn is_everyone(&self) -> bool {
        *self == Self::default()
    }

    /// Every segment this audience asks about, nested ones too.
    pub fn segments(&self) -> Vec<&SegmentName> {
        let own = self.segment.iter().flat_map(|names| names.as_slice());
        let nested = self.all.iter().chain(&self.any).chain(self.not.as_deref());
        own.chain(nested.flat_map(Self::segments)).collect()
    }
}
