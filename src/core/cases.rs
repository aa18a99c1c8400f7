//! `CaseFile`: tests of rules as data: this device must get that version, by this rule.
//!
//! Files in `rollout-rules/cases/` gate an apply. They are read here with the same patience as rule
//! files, every mistake at once; running them needs a rollout and is not done here.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    name::{AppId, ArmName, AttrName, HostId, RuleName, SegmentName, Tag},
    rulefile::{self, Here, Problems, Walk},
    time::Timestamp,
    version::Number,
};

/// The cases of one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseFile {
    /// The app.
    pub app: AppId,
    /// The cases, in order.
    pub cases: Vec<Case>,
}

/// One device and what it must be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Case {
    /// What the case shows, in words.
    pub name: String,
    /// The device.
    pub device: CaseDevice,
    /// When it polls; left out: whenever the test is run.
    pub now: Option<Timestamp>,
    /// The segments its unit is on.
    pub segments: BTreeSet<SegmentName>,
    /// What it must be told.
    pub expect: Expect,
    /// The rule that must take it, where that matters.
    pub rule: Option<RuleName>,
    /// The arm it must draw, where that matters.
    pub arm: Option<ArmName>,
}

/// What a device must be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// To run this version.
    Version(Number),
    /// Nothing: it gets no version.
    None,
    /// That what it runs must stop.
    Killed,
}

/// A device as a case describes it; what it leaves out, the device does not state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CaseDevice {
    /// The host app it polls from; left out: the first of the rollout.
    pub host: Option<HostId>,
    /// What is hashed.
    pub unit: Option<String>,
    /// Platform.
    pub platform: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Language.
    pub language: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Channel.
    pub channel: Option<String>,
    /// Version of the host app.
    pub host_version: Option<String>,
    /// Version of the operating system.
    pub os_version: Option<String>,
    /// Version of the mini-program it runs now.
    pub app_version: Option<String>,
    /// Its tags.
    pub tags: BTreeSet<Tag>,
    /// Its free attributes, as it states them: always text.
    pub attr: BTreeMap<AttrName, String>,
    /// Releases that failed on it: version numbers, or beginnings of a bundle's SHA-256.
    pub failed: BTreeSet<String>,
}

impl CaseFile {
    /// Reads the case file `file`, which is its name for messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problems> {
        let (root, mut walk) = rulefile::open_toml(file, text)?;
        let read = case_file(&mut walk, &Here::root(&root));
        let (_, problems) = walk.finish();
        match read {
            Some(read) if problems.is_empty() => Ok(read),
            _ => Err(problems.sorted()),
        }
    }
}

fn case_file(walk: &mut Walk, here: &Here<'_>) -> Option<CaseFile> {
    let mut table = walk.table(here, "`app` and `[[case]]` tables")?;
    let app = table
        .need(walk, "app", "the app the cases are of, `\"tenant/app\"`")
        .and_then(|at| walk.read(&at, "`tenant/app` in quotes"));
    let cases = table
        .need(walk, "case", "at least one `[[case]]` table")
        .and_then(|at| walk.list(&at, "`[[case]]` tables"))
        .unwrap_or_default();
    let cases = cases.iter().filter_map(|at| case(walk, at)).collect();
    table.finish(walk);
    Some(CaseFile { app: app?, cases })
}

fn case(walk: &mut Walk, here: &Here<'_>) -> Option<Case> {
    let mut table = walk.table(here, "a case with `name`, `device` and `expect`")?;
    let name = table
        .need(walk, "name", "what the case shows, in words")
        .and_then(|at| text(walk, &at));
    let device = table
        .need(
            walk,
            "device",
            "the device, such as { unit = \"device-1\" }",
        )
        .and_then(|at| device(walk, &at));
    let now = table.get("now").and_then(|at| walk.instant(&at));
    let segments = table
        .get("segments")
        .map(|at| names(walk, &at))
        .unwrap_or_default();
    let expect = table
        .need(walk, "expect", "a version, \"none\" or \"killed\"")
        .and_then(|at| expect(walk, &at));
    let rule = table
        .get("rule")
        .and_then(|at| walk.read(&at, "the name of a rule in quotes"));
    let arm = table
        .get("arm")
        .and_then(|at| walk.read(&at, "the name of an arm in quotes"));
    table.finish(walk);
    Some(Case {
        name: name?,
        device: device?,
        now,
        segments,
        expect: expect?,
        rule,
        arm,
    })
}

fn device(walk: &mut Walk, here: &Here<'_>) -> Option<CaseDevice> {
    let mut table = walk.table(here, "a table of what the device states")?;
    let host = table
        .get("host")
        .and_then(|at| walk.read(&at, "the name of a bank app in quotes"));
    let mut stated = |key| table.get(key).and_then(|at| text(walk, &at));
    let mut device = CaseDevice {
        host,
        unit: stated("unit"),
        platform: stated("platform"),
        region: stated("region"),
        city: stated("city"),
        language: stated("language"),
        model: stated("model"),
        channel: stated("channel"),
        host_version: stated("host_version"),
        os_version: stated("os_version"),
        app_version: stated("app_version"),
        ..CaseDevice::default()
    };
    device.tags = table
        .get("tags")
        .map(|at| names(walk, &at))
        .unwrap_or_default();
    if let Some(at) = table.get("attr") {
        for (name, at) in walk.keyed(&at, "a table of attributes") {
            let value = walk.stated(&at);
            device.attr.extend(name.zip(value));
        }
    }
    if let Some(at) = table.get("failed") {
        let failed = walk.list(&at, "a list of versions").unwrap_or_default();
        device.failed = failed.iter().filter_map(|at| release(walk, at)).collect();
    }
    table.finish(walk);
    Some(device)
}

fn text(walk: &mut Walk, here: &Here<'_>) -> Option<String> {
    walk.text(here, "text in quotes").map(str::to_owned)
}

/// A release as a device names it: its number, or at least 16 digits of its bundle's SHA-256.
fn release(walk: &mut Walk, here: &Here<'_>) -> Option<String> {
    const DIGITS_LEAST: usize = 16;
    let text = walk.text(here, "a version in quotes, such as \"2.4.0\"")?;
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let digest = (DIGITS_LEAST..=64).contains(&text.len()) && text.bytes().all(hex);
    if digest || Number::parse(text).is_ok() {
        return Some(text.to_owned());
    }
    let help = "write a version such as \"2.4.0\", or 16 or more digits of its bundle's SHA-256";
    walk.refuse(here, "names no release", help);
    None
}

fn names<T>(walk: &mut Walk, here: &Here<'_>) -> BTreeSet<T>
where
    T: TryFrom<String, Error: std::fmt::Display> + Ord,
{
    let items = walk.list(here, "a list of names").unwrap_or_default();
    items
        .iter()
        .filter_map(|at| walk.read(at, "a name in quotes"))
        .collect()
}

fn expect(walk: &mut Walk, here: &Here<'_>) -> Option<Expect> {
    match walk.text(here, "a version, \"none\" or \"killed\", in quotes")? {
        "none" => Some(Expect::None),
        "killed" => Some(Expect::Killed),
        text => match Number::parse(text) {
            Ok(number) => Some(Expect::Version(number)),
            Err(_) => {
                let help = "write a version such as \"2.4.0\", \"none\" or \"killed\"";
                walk.refuse(here, "is no answer a device gets", help);
                None
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_a_device_and_what_it_must_be_told() {
        let read = CaseFile::parse(
            "cases/travel.toml",
            r#"
app = "pingan/travel"

[[case]]
name = "staff get the release candidate"
device = { unit = "u1", platform = "ios", tags = ["beta"], attr = { vip_level = 3 }, failed = ["2.4.0"] }
now = 2026-11-23T08:00:00+08:00
segments = ["bank-staff"]
expect = "2.5.0-rc.1"
rule = "staff-first"

[[case]]
name = "a killed version stops"
device = { unit = "u2", app_version = "2.2.0" }
expect = "killed"
"#,
        )
        .unwrap();
        let first = &read.cases[0];
        assert_eq!(first.device.attr.values().collect::<Vec<_>>(), ["3"]);
        assert_eq!(first.now, Some("2026-11-23T00:00:00Z".parse().unwrap()));
        assert_eq!(first.expect, Expect::Version("2.5.0-rc.1".parse().unwrap()));
        assert_eq!(read.cases[1].expect, Expect::Killed);
    }

    #[test]
    fn every_mistake_of_a_case_file_is_told() {
        let problems = CaseFile::parse(
            "cases/bad.toml",
            r#"app = "travel"
[[case]]
name = "a"
devise = { unit = "u" }
expect = "2.4"
[[case]]
device = { unit = 7, tags = "beta", attr = { x = [1] }, colour = "red" }
segments = ["Bank Staff"]
expect = "none"
rule = ""
"#,
        )
        .unwrap_err();
        insta::assert_snapshot!(problems, @r#"
        cases/bad.toml:1:7: `travel` is not an app; write `tenant/app`, each half a name of a-z 0-9 . _ -
        cases/bad.toml:2:1: `device` is missing; add `device = …`: the device, such as { unit = "device-1" }
        cases/bad.toml:4:1: `devise` is an unknown key; did you mean `device`?
        cases/bad.toml:5:10: `2.4` is no answer a device gets; write a version such as "2.4.0", "none" or "killed"
        cases/bad.toml:6:1: `name` is missing; add `name = …`: what the case shows, in words
        cases/bad.toml:7:19: `7` is a whole number; write text in quotes
        cases/bad.toml:7:29: `beta` is text; write a list of names
        cases/bad.toml:7:50: `[…]` is a list; write text, a whole number or an instant
        cases/bad.toml:7:57: `colour` is an unknown key; known here: host, unit, platform, region, city, language, model, channel, host_version, os_version, app_version, tags, attr, failed
        cases/bad.toml:8:13: `Bank Staff` is no segment name; use 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit
        cases/bad.toml:10:8: `` is no rule name; use 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit
        "#);
    }

    #[test]
    fn a_file_without_cases_is_refused() {
        let problems = CaseFile::parse("cases/none.toml", "app = \"a/b\"\n").unwrap_err();
        insta::assert_snapshot!(problems, @"cases/none.toml:1:1: `case` is missing; add `case = …`: at least one `[[case]]` table");
    }
}
