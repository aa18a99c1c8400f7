//! The JSON of polls: all installed apps of a host at once, and one poll a line for `rules eval` and for
//! recorded samples.
//!
//! Texts are borrowed from the body unless an escape forces a copy. Unknown keys are ignored, duplicates
//! are refused. serde's own messages are not passed on, because they quote values.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
    ser::SerializeMap as _,
};

use super::{
    Attrs, Device, Installed, Pairs, PollError, Problem, Value, Words, checked, checked_attr_name,
    checked_failed, checked_tags, checked_unit, optional, wrong,
};
use crate::{limits, name, time::Timestamp, version_range::StatedVersion};

/// A text borrowed from JSON where it can be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same text, owned.
    pub fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Reads a text; with `scalars`, also a number or a flag as its text.
struct TextVisitor {
    scalars: bool,
}

impl TextVisitor {
    fn scalar<E: serde::de::Error>(&self, value: impl fmt::Display) -> Result<Text<'static>, E> {
        if self.scalars {
            Ok(Text(Cow::Owned(value.to_string())))
        } else {
            Err(E::custom("a number where a text belongs"))
        }
    }
}

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text)))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Text<'de>, E> {
        self.scalar(value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Text<'de>, E> {
        self.scalar(value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Text<'de>, E> {
        self.scalar(value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor { scalars: false })
    }
}

/// The value of a free attribute: a text, a whole number or a flag; kept as text.
struct Scalar<'a>(Text<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(TextVisitor { scalars: true })
            .map(Scalar)
    }
}

/// Free attributes in the order given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct AttrDocument<'a>(Vec<(Text<'a>, Text<'a>)>);

impl AttrDocument<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for AttrDocument<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

struct AttrVisitor;

impl<'de> Visitor<'de> for AttrVisitor {
    type Value = AttrDocument<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AttrDocument<'de>, A::Error> {
        let mut pairs: Vec<(Text<'de>, Text<'de>)> = Vec::new();
        while let Some((name, Scalar(value))) = map.next_entry::<Text<'de>, Scalar<'de>>()? {
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom("duplicate field"));
            }
            // One more than allowed is kept, so that checking says what is wrong.
            if pairs.len() <= limits::POLL_ATTRS {
                pairs.push((name, value));
            }
        }
        Ok(AttrDocument(pairs))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for AttrDocument<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AttrVisitor)
    }
}

/// A device as it is written in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeviceDocument<'a> {
    #[serde(borrow)]
    unit: Text<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    platform: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    region: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    city: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    language: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    model: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    channel: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    host_version: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    os_version: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "AttrDocument::is_empty")]
    attr: AttrDocument<'a>,
}

impl DeviceDocument<'_> {
    /// The device, checked.
    fn device(&self) -> Result<Device<'_>, PollError> {
        for (name, value) in &self.attr.0 {
            checked_attr_name("device.attr", name.as_str())?;
            checked(
                "device.attr",
                Value::unknown(value.as_str()),
                limits::ATTR_BYTES,
            )?;
        }
        if self.attr.0.len() > limits::POLL_ATTRS {
            return Err(wrong("device.attr", Problem::Many(limits::POLL_ATTRS)));
        }
        let version =
            |field, value| Ok::<_, PollError>(stated(field, value)?.map(StatedVersion::new));
        Ok(Device {
            unit: checked_unit("device.unit", Value::unknown(self.unit.as_str()))?,
            platform: stated("device.platform", &self.platform)?,
            region: stated("device.region", &self.region)?,
            city: stated("device.city", &self.city)?,
            language: stated("device.language", &self.language)?,
            model: stated("device.model", &self.model)?,
            channel: stated("device.channel", &self.channel)?,
            host_version: version("device.host_version", &self.host_version)?,
            os_version: version("device.os_version", &self.os_version)?,
            tags: checked_tags("device.tags", Words::List(&self.tags))?,
            attrs: Attrs(Pairs::List(&self.attr.0)),
        })
    }

    fn into_owned(self) -> DeviceDocument<'static> {
        let own = |text: Option<Text<'_>>| text.map(Text::into_owned);
        DeviceDocument {
            unit: self.unit.into_owned(),
            platform: own(self.platform),
            region: own(self.region),
            city: own(self.city),
            language: own(self.language),
            model: own(self.model),
            channel: own(self.channel),
            host_version: own(self.host_version),
            os_version: own(self.os_version),
            tags: self.tags.into_iter().map(Text::into_owned).collect(),
            attr: AttrDocument(
                (self.attr.0.into_iter())
                    .map(|(name, value)| (name.into_owned(), value.into_owned()))
                    .collect(),
            ),
        }
    }
}

fn stated<'t>(
    field: &'static str,
    value: &'t Option<Text<'_>>,
) -> Result<Option<&'t str>, PollError> {
    optional(
        field,
        Value::unknown(value.as_ref().map_or("", Text::as_str)),
    )
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct AppDocument<'a> {
    #[serde(borrow)]
    app: Text<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    version: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    etag: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    preview: Option<Text<'a>>,
}

/// All apps a device has of one host, in one body, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchPoll<'a> {
    #[serde(borrow)]
    host: Text<'a>,
    #[serde(borrow)]
    device: DeviceDocument<'a>,
    #[serde(borrow)]
    apps: Vec<AppDocument<'a>>,
}

/// One app of a batch.
#[derive(Debug, Clone)]
pub struct AppPoll<'a> {
    /// `tenant/app`.
    pub app: &'a str,
    /// The answer it has already.
    pub etag: Option<&'a str>,
    /// What the device has of it.
    pub installed: Installed<'a>,
}

impl<'a> BatchPoll<'a> {
    /// Reads and checks the body of a batch poll.
    pub fn from_json(body: &'a [u8]) -> Result<Self, PollError> {
        let batch: Self = read(body)?;
        checked_host(batch.host.as_str())?;
        batch.device.device()?;
        if batch.apps.len() > limits::POLL_APPS {
            return Err(wrong("apps", Problem::Many(limits::POLL_APPS)));
        }
        for app in &batch.apps {
            checked_app("apps.app", app.app.as_str())?;
            stated("apps.version", &app.version)?;
            stated("apps.etag", &app.etag)?;
            checked_failed("apps.failed", Words::List(&app.failed))?;
            stated("apps.preview", &app.preview)?;
        }
        let mut names: Vec<&str> = batch.apps.iter().map(|app| app.app.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(wrong("apps.app", Problem::Twice));
        }
        Ok(batch)
    }

    /// The bank app that asks.
    pub fn host(&self) -> &str {
        self.host.as_str()
    }

    /// The device that asks.
    pub fn device(&self) -> Device<'_> {
        // Checked when it was read.
        self.device.device().unwrap_or(Device::new(""))
    }

    /// The apps it asks about, in the order given.
    pub fn apps(&self) -> impl ExactSizeIterator<Item = AppPoll<'_>> {
        self.apps.iter().map(|app| AppPoll {
            app: app.app.as_str(),
            etag: app.etag.as_ref().map(Text::as_str),
            installed: installed(&app.version, &app.failed, &app.preview),
        })
    }
}

/// One poll of one app on one line: what `rules eval` reads and what a recorded sample keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollLine<'a> {
    #[serde(borrow)]
    host: Text<'a>,
    #[serde(borrow)]
    app: Text<'a>,
    #[serde(borrow)]
    device: DeviceDocument<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    version: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    preview: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    now: Option<Timestamp>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    segments: Vec<Text<'a>>,
}

impl<'a> PollLine<'a> {
    /// Reads and checks one line.
    pub fn from_json(line: &'a [u8]) -> Result<Self, PollError> {
        let line: Self = read(line)?;
        checked_host(line.host.as_str())?;
        checked_app("app", line.app.as_str())?;
        line.device.device()?;
        stated("version", &line.version)?;
        checked_failed("failed", Words::List(&line.failed))?;
        stated("preview", &line.preview)?;
        Ok(line)
    }

    /// The bank app that asks.
    pub fn host(&self) -> &str {
        self.host.as_str()
    }

    /// The app it asks about.
    pub fn app(&self) -> &str {
        self.app.as_str()
    }

    /// The device that asks.
    pub fn device(&self) -> Device<'_> {
        // Checked when it was read.
        self.device.device().unwrap_or(Device::new(""))
    }

    /// What it has of the app.
    pub fn installed(&self) -> Installed<'_> {
        installed(&self.version, &self.failed, &self.preview)
    }

    /// When it asked, where that was recorded.
    pub fn now(&self) -> Option<Timestamp> {
        self.now
    }

    /// The segments its unit is on, where that was recorded.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().map(Text::as_str)
    }

    /// The same line, owned.
    pub fn into_owned(self) -> PollLine<'static> {
        let all = |texts: Vec<Text<'_>>| texts.into_iter().map(Text::into_owned).collect();
        PollLine {
            host: self.host.into_owned(),
            app: self.app.into_owned(),
            device: self.device.into_owned(),
            version: self.version.map(Text::into_owned),
            failed: all(self.failed),
            preview: self.preview.map(Text::into_owned),
            now: self.now,
            segments: all(self.segments),
        }
    }
}

fn installed<'t>(
    version: &'t Option<Text<'_>>,
    failed: &'t [Text<'_>],
    preview: &'t Option<Text<'_>>,
) -> Installed<'t> {
    let said = |text: &'t Option<Text<'_>>| {
        let text = text.as_ref().map(Text::as_str);
        text.filter(|text| !text.is_empty())
    };
    Installed {
        version: said(version).map(StatedVersion::new),
        failed: super::Failed(Words::List(failed)),
        preview: said(preview),
    }
}

fn checked_host(host: &str) -> Result<(), PollError> {
    let form = "the name of a bank app: 1 to 63 of a-z 0-9 . _ -";
    if name::is_name(host) {
        Ok(())
    } else {
        Err(wrong("host", Problem::Form(form)))
    }
}

pub(super) fn checked_app(field: &'static str, app: &str) -> Result<(), PollError> {
    match app.split_once('/') {
        Some((tenant, app)) if name::is_name(tenant) && name::is_name(app) => Ok(()),
        _ => Err(wrong(field, Problem::Form("`tenant/app`"))),
    }
}

pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, PollError> {
    if body.len() > limits::POLL_BODY_BYTES {
        let most = limits::POLL_BODY_BYTES;
        return Err(PollError::TooLong { most });
    }
    // Texts are looked at as UTF-8 once and not one by one; what is none keeps serde's own error.
    let read = match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(body),
    };
    read.map_err(|error| PollError::Json {
        line: error.line(),
        column: error.column(),
        problem: told(&error),
    })
}

/// What serde found, without the value it found it in.
fn told(error: &serde_json::Error) -> &'static str {
    const MISSING: [(&str, &str); 5] = [
        ("missing field `host`", "field `host` is missing"),
        ("missing field `device`", "field `device` is missing"),
        ("missing field `unit`", "field `device.unit` is missing"),
        ("missing field `apps`", "field `apps` is missing"),
        ("missing field `app`", "field `app` is missing"),
    ];
    use serde_json::error::Category;
    match error.classify() {
        Category::Io | Category::Eof => "it ends too early",
        Category::Syntax => "it is not JSON",
        Category::Data => {
            let text = error.to_string();
            let missing = MISSING.iter().find(|(said, _)| text.starts_with(said));
            match missing {
                Some((_, told)) => told,
                None if text.starts_with("duplicate field") => "a field is given twice",
                None => "a value is of the wrong kind",
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: &str = r#"{"host":"retail-bank","later":1,
        "device":{"unit":"dev-1","platform":"ios","city":"\u4e0a海","host_version":"8.2.1","tags":["beta"],
                  "attr":{"age":41,"vip":true,"name":"x"}},
        "apps":[{"app":"pingan/travel","version":"2.3.1","etag":"\"ab\"","failed":["2.4.0"]},{"app":"pingan/coffee"}]}"#;

    #[test]
    fn reads_a_batch() {
        let batch = BatchPoll::from_json(BATCH.as_bytes()).unwrap();
        let device = batch.device();
        assert_eq!(
            (batch.host(), device.unit, device.city),
            ("retail-bank", "dev-1", Some("上海"))
        );
        assert_eq!(
            (device.attrs.get("age"), device.attrs.get("vip")),
            (Some("41"), Some("true"))
        );
        assert!(device.tags.contains("beta"));
        let apps: Vec<_> = batch.apps().collect();
        assert_eq!(
            (apps[0].app, apps[0].etag),
            ("pingan/travel", Some("\"ab\""))
        );
        assert!(apps[0].installed.failed.names("2.4.0", ""));
        assert_eq!(
            (apps[1].app, apps[1].installed.version.is_none()),
            ("pingan/coffee", true)
        );
    }

    #[test]
    fn texts_without_escapes_are_borrowed() {
        let batch = BatchPoll::from_json(BATCH.as_bytes()).unwrap();
        assert!(matches!(batch.host.0, Cow::Borrowed(_)));
        assert!(matches!(batch.apps[0].app.0, Cow::Borrowed(_)));
        assert!(matches!(batch.apps[0].failed[0].0, Cow::Borrowed(_)));
        assert!(matches!(batch.device.tags[0].0, Cow::Borrowed(_)));
    }

    #[test]
    fn a_written_batch_is_read_back() {
        let batch = BatchPoll::from_json(BATCH.as_bytes()).unwrap();
        let written = serde_json::to_vec(&batch).unwrap();
        assert_eq!(BatchPoll::from_json(&written).unwrap(), batch);
    }

    #[test]
    fn refuses_and_never_quotes_a_value() {
        let device = r#""device":{"unit":"d"}"#;
        let app = |app: &str| format!(r#"{{"host":"h",{device},"apps":[{{"app":"{app}"}}]}}"#);
        let twice = format!(r#"{{"host":"h",{device},"apps":[{{"app":"a/b"}},{{"app":"a/b"}}]}}"#);
        let many = vec![r#"{"app":"a/b"}"#; limits::POLL_APPS + 1].join(",");
        for (body, said) in [
            ("".to_owned(), "it ends too early"),
            ("{x".to_owned(), "it is not JSON"),
            (
                format!(r#"{{{device},"apps":[]}}"#),
                "field `host` is missing",
            ),
            (
                r#"{"host":"h","device":{},"apps":[]}"#.to_owned(),
                "field `device.unit` is missing",
            ),
            (
                r#"{"host":"h","device":{"unit":138},"apps":[]}"#.to_owned(),
                "of the wrong kind",
            ),
            (
                r#"{"host":"h","device":{"unit":"d","unit":"e"},"apps":[]}"#.to_owned(),
                "given twice",
            ),
            (
                r#"{"host":"h","device":{"unit":"d","attr":{"a":"138","a":"1"}},"apps":[]}"#
                    .to_owned(),
                "given twice",
            ),
            (
                r#"{"host":"h","device":{"unit":"d","attr":{"a":[138]}},"apps":[]}"#.to_owned(),
                "of the wrong kind",
            ),
            (
                r#"{"host":"h","device":{"unit":"d","attr":{"A":"138"}},"apps":[]}"#.to_owned(),
                "`device.attr` must be named",
            ),
            (
                r#"{"host":"h","device":{"unit":"138\n"},"apps":[]}"#.to_owned(),
                "`device.unit` holds a control",
            ),
            (
                format!(r#"{{"host":"H",{device},"apps":[]}}"#),
                "`host` must be",
            ),
            (app("138"), "`apps.app` must be `tenant/app`"),
            (twice, "`apps.app` is given twice"),
            (
                format!(r#"{{"host":"h",{device},"apps":[{many}]}}"#),
                "`apps` has at most 200 members",
            ),
        ] {
            let error = BatchPoll::from_json(body.as_bytes())
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(said) && !error.contains("138"),
                "{body}\n{error}"
            );
        }
    }

    #[test]
    fn reads_a_line_with_time_and_segments() {
        let line = br#"{"host":"h","app":"a/b","device":{"unit":"d"},"version":"1.0.0","now":"2026-11-23T00:00:00Z","segments":["staff"]}"#;
        let line = PollLine::from_json(line).unwrap().into_owned();
        assert_eq!(
            (line.app(), line.now()),
            ("a/b", "2026-11-23T00:00:00Z".parse().ok())
        );
        assert_eq!(line.segments().collect::<Vec<_>>(), ["staff"]);
    }
}
