//! The rules that every engine is given: twenty as people write them, none of which takes the polling device, so
//! that each engine asks them all.

/// A rule in words that all engines know. What is empty or none is not asked.
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) platforms: &'static [&'static str],
    /// At least this version of the host app.
    pub(crate) host_version: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) region_prefix: Option<&'static str>,
    /// One of these tags.
    pub(crate) tags: &'static [&'static str],
    /// None of these.
    pub(crate) not_tags: &'static [&'static str],
    /// Percent of those who are meant. Whole, so that huidu and Unleash agree on every unit.
    pub(crate) percent: u32,
}

/// The twenty rules; `percent` replaces every share where it is given.
pub(crate) fn rules(percent: Option<u32>) -> Vec<Rule> {
    (0..20).map(|n| rule(n, percent)).collect()
}

fn rule(n: usize, percent: Option<u32>) -> Rule {
    let everybody = Rule {
        name: format!("rule-{n}"),
        platforms: &[],
        host_version: None,
        region: None,
        region_prefix: None,
        tags: &[],
        not_tags: &[],
        percent: 100,
    };
    match n % 4 {
        0 => Rule {
            platforms: &["android", "harmony"],
            host_version: Some(format!("8.{}.0", n % 3)),
            percent: percent.unwrap_or(1),
            ..everybody
        },
        1 => Rule {
            region: Some(format!("US-{}", n % 90)),
            ..everybody
        },
        2 => Rule {
            tags: &["slow", "old"],
            ..everybody
        },
        _ => Rule {
            region_prefix: Some("CN"),
            not_tags: &["beta"],
            percent: percent.unwrap_or(5),
            ..everybody
        },
    }
}

/// A device; it carries one tag, because not every engine knows sets.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) unit: String,
    pub(crate) platform: &'static str,
    pub(crate) region: &'static str,
    pub(crate) host_version: &'static str,
    pub(crate) tag: &'static str,
}

/// The device of the bench.
pub(crate) fn polling() -> Device {
    Device {
        unit: "device-00000042".into(),
        platform: "android",
        region: "CN-31",
        host_version: "8.2.1",
        tag: "beta",
    }
}

/// Devices that differ in everything rules ask.
pub(crate) fn many(units: usize) -> Vec<Device> {
    let pick = |list: &[&'static str], n: usize| list[n % list.len()];
    let device = |n: usize| Device {
        unit: format!("device-{n:08}"),
        platform: pick(&["android", "ios", "harmony"], n),
        region: pick(&["CN-31", "US-5", "US-17", "DE-BE", "CN-11"], n / 3),
        host_version: pick(&["8.2.1", "7.9.9", "8.0.0", "8.1.5", "9.0.0"], n / 15),
        tag: pick(&["beta", "slow", "old", "plain"], n / 75),
    };
    (0..units).map(device).collect()
}
