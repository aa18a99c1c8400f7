//! What a device says about itself, in the two written forms of a poll.

use std::collections::BTreeMap;

use huidu_core::{binding::Bearer, name::HostId};
use serde::Serialize;

use super::http::escaped;

/// What a device says about itself. Empty means: says nothing of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// What is hashed: a device id or a pseudonymous user id.
    pub unit: String,
    /// `android`, `ios`, `harmony` …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub platform: String,
    /// ISO 3166-2 region.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// City.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub city: String,
    /// BCP 47 language.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub language: String,
    /// Device model.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// Distribution channel of the bank app.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub channel: String,
    /// Version of the bank app.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host_version: String,
    /// Version of the operating system.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// Tags it carries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Free attributes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attr: BTreeMap<String, String>,
}

impl Profile {
    /// What of it an answer can be bound to.
    pub fn bearer<'a>(&'a self, host: &'a HostId) -> Bearer<'a> {
        Bearer {
            unit: &self.unit,
            platform: &self.platform,
            host: host.as_str(),
            host_version: &self.host_version,
        }
    }

    /// The query string of one app's poll, with what the device has of it.
    pub fn query(&self, version: Option<&str>, failed: &[String]) -> String {
        let (tags, failed) = (self.tags.join(","), failed.join(","));
        let pairs = [
            ("u", self.unit.as_str()),
            ("p", &self.platform),
            ("r", &self.region),
            ("c", &self.city),
            ("l", &self.language),
            ("m", &self.model),
            ("ch", &self.channel),
            ("hv", &self.host_version),
            ("ov", &self.os_version),
            ("v", version.unwrap_or_default()),
            ("t", &tags),
            ("x", &failed),
        ];
        let stated = pairs.iter().filter(|(_, value)| !value.is_empty());
        let mut parts: Vec<String> = stated
            .map(|(key, value)| format!("{key}={}", escaped(value)))
            .collect();
        parts.extend(
            self.attr
                .iter()
                .map(|(name, value)| format!("a.{name}={}", escaped(value))),
        );
        parts.join("&")
    }
}

#[cfg(test)]
mod tests {
    use huidu_core::poll::{Poll, Scratch};

    use super::*;

    #[test]
    fn what_a_device_writes_the_server_reads() {
        let profile = Profile {
            unit: "张三 & co".into(),
            platform: "android".into(),
            host_version: "8.2.1".into(),
            tags: vec!["staff".into(), "slow".into()],
            attr: [("grade".to_owned(), "gold+".to_owned())].into(),
            ..Profile::default()
        };
        let query = profile.query(Some("1.2.3"), &["1.3.0".into()]);
        let mut scratch = Scratch::default();
        let poll = Poll::from_query(&query, &mut scratch).unwrap();
        assert_eq!(poll.device.unit, "张三 & co");
        assert_eq!(poll.device.platform, Some("android"));
        assert!(poll.device.tags.contains("slow"));
        assert!(poll.installed.failed.names("1.3.0", ""));
        assert!(poll.installed.version.is_some());
    }
}
