//! The four engines, each given the same rules in its own words.
//!
//! huidu and GrowthBook say which rule takes a device. Unleash ORs its strategies and says only whether one does.
//! LaunchDarkly's percentage rollouts end the walk; a share that lets the others fall through is a segment with a
//! weight there, which its store hands out by value. Whatever an engine makes of an identity is made before
//! the clock starts, except what its call itself makes.

use std::collections::HashMap;

use growthbook_rust::{
    dto::GrowthBookFeature, growthbook::GrowthBook, model_public::GrowthBookAttribute,
};
use huidu_core::{
    compile::CompiledApp,
    poll::{Device as HuiduDevice, Installed, Tags},
    time::Timestamp,
    version_range::StatedVersion,
};
use launchdarkly_server_sdk_evaluation as launchdarkly;
use serde_json::{Value, json};
use unleash_yggdrasil::{EngineState, UpdateMessage};

use crate::{
    rules::{Device, Rule},
    world,
};

const FLAG: &str = "travel";

/// huidu: one rollout.
pub(crate) struct Huidu {
    app: CompiledApp,
    now: Timestamp,
}

/// A device in huidu's words.
pub(crate) fn stated(device: &Device) -> HuiduDevice<'_> {
    HuiduDevice {
        platform: Some(device.platform),
        region: Some(device.region),
        host_version: Some(StatedVersion::new(device.host_version)),
        tags: Tags::from_commas(device.tag),
        ..HuiduDevice::new(&device.unit)
    }
}

impl Huidu {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let rule = |rule: &Rule| {
            let mut when = Vec::new();
            if !rule.platforms.is_empty() {
                when.push(format!("platform = {:?}", rule.platforms));
            }
            when.extend((rule.host_version.iter()).map(|v| format!("host_version = \">={v}\"")));
            when.extend((rule.region.iter()).map(|region| format!("region = {region:?}")));
            let prefix = |prefix: &&str| format!("region = {{ prefix = {prefix:?} }}");
            when.extend(rule.region_prefix.iter().map(prefix));
            if !rule.tags.is_empty() {
                when.push(format!("tag = {:?}", rule.tags));
            }
            if !rule.not_tags.is_empty() {
                when.push(format!("not = {{ tag = {:?} }}", rule.not_tags));
            }
            format!(
                "[[rule]]\nname = \"{}\"\nwhen = {{ {} }}\nshare = \"{}%\"\nserve = \"2.4.0\"\n",
                rule.name,
                when.join(", "),
                rule.percent
            )
        };
        let rules: String = rules.iter().map(rule).collect();
        let head = "app = \"pingan/travel\"\nhosts = [\"retail-bank\"]\nstable = \"2.3.1\"\n";
        let rollout = world::rollout(&format!("{head}{rules}"));
        let app = world::app(&["2.3.1", "2.4.0"], Some(rollout));
        Self {
            app: world::compiled(&app, &world::Segments::default()),
            now: world::noon(),
        }
    }

    /// The rule that takes the device.
    pub(crate) fn ask(&self, device: &HuiduDevice<'_>) -> Option<usize> {
        let installed = Installed::default();
        self.app
            .resolve("retail-bank", device, &installed, self.now)
            .rule
    }
}

/// Unleash's own evaluator.
pub(crate) struct Yggdrasil(EngineState);

impl Yggdrasil {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let strategy = |rule: &Rule| {
            let mut constraints = Vec::new();
            let mut list = |name: &str, operator: &str, values: &[&str]| {
                if !values.is_empty() {
                    constraints.push(json!({
                        "contextName": name, "operator": operator, "values": values
                    }));
                }
            };
            list("platform", "IN", rule.platforms);
            list(
                "region",
                "IN",
                &rule.region.as_deref().map_or(vec![], |region| vec![region]),
            );
            list(
                "region",
                "STR_STARTS_WITH",
                &rule.region_prefix.map_or(vec![], |p| vec![p]),
            );
            list("tag", "IN", rule.tags);
            list("tag", "NOT_IN", rule.not_tags);
            constraints.extend(rule.host_version.iter().map(|version| {
                json!({ "contextName": "hostVersion", "operator": "SEMVER_GTE", "value": version })
            }));
            json!({
                "name": "flexibleRollout",
                "constraints": constraints,
                "parameters": {
                    "rollout": rule.percent.to_string(),
                    "stickiness": "userId",
                    "groupId": format!("pingan/travel/{}", rule.name),
                },
            })
        };
        let strategies: Vec<Value> = rules.iter().map(strategy).collect();
        let features = json!({
            "version": 2,
            "features": [{ "name": FLAG, "enabled": true, "strategies": strategies }],
        });
        let engine = EngineState::default();
        let features = serde_json::from_value(features).unwrap();
        let warnings = engine.take_state(UpdateMessage::FullResponse(features));
        assert!(warnings.is_none_or(|warnings| warnings.is_empty()));
        Self(engine)
    }

    pub(crate) fn context(device: &Device) -> unleash_types::client_features::Context {
        let properties = json!({
            "platform": device.platform,
            "region": device.region,
            "hostVersion": device.host_version,
            "tag": device.tag,
        });
        serde_json::from_value(json!({ "userId": device.unit, "properties": properties })).unwrap()
    }

    /// True when one of the rules takes the device.
    pub(crate) fn ask(&self, context: &unleash_types::client_features::Context) -> bool {
        self.0.is_enabled(FLAG, context, &None)
    }
}

/// LaunchDarkly's evaluator.
pub(crate) struct LaunchDarkly {
    flag: launchdarkly::Flag,
    segments: Segments,
}

struct Segments(HashMap<String, launchdarkly::Segment>);

impl launchdarkly::Store for Segments {
    fn flag(&self, _: &str) -> Option<launchdarkly::Flag> {
        None
    }

    fn segment(&self, key: &str) -> Option<launchdarkly::Segment> {
        self.0.get(key).cloned()
    }
}

impl LaunchDarkly {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let (mut segments, mut written) = (HashMap::new(), Vec::new());
        for (at, rule) in rules.iter().enumerate() {
            let mut clauses = Vec::new();
            let mut clause = |attribute: &str, op: &str, negate: bool, values: &[&str]| {
                if !values.is_empty() {
                    clauses.push(json!({
                        "attribute": attribute, "op": op, "negate": negate, "values": values
                    }));
                }
            };
            clause("platform", "in", false, rule.platforms);
            let version = rule.host_version.as_deref();
            clause(
                "hostVersion",
                "semVerLessThan",
                true,
                &version.map_or(vec![], |v| vec![v]),
            );
            clause(
                "region",
                "in",
                false,
                &rule.region.as_deref().map_or(vec![], |r| vec![r]),
            );
            clause(
                "region",
                "startsWith",
                false,
                &rule.region_prefix.map_or(vec![], |p| vec![p]),
            );
            clause("tag", "in", false, rule.tags);
            clause("tag", "in", true, rule.not_tags);
            if rule.percent < 100 {
                clause("", "segmentMatch", false, &[&rule.name]);
                let segment = json!({
                    "key": rule.name, "included": [], "excluded": [], "salt": "pingan/travel", "version": 1,
                    "rules": [{ "clauses": [], "weight": rule.percent * 1_000 }],
                });
                segments.insert(rule.name.clone(), serde_json::from_value(segment).unwrap());
            }
            written.push(json!({
                "id": rule.name, "clauses": clauses, "variation": at, "trackEvents": false
            }));
        }
        let last = rules.len();
        let flag = json!({
            "key": FLAG, "version": 1, "on": true, "targets": [], "prerequisites": [], "rules": written,
            "fallthrough": { "variation": last }, "offVariation": last,
            "variations": (0..=last).collect::<Vec<_>>(), "salt": "pingan/travel", "clientSide": false,
        });
        Self {
            flag: serde_json::from_value(flag).unwrap(),
            segments: Segments(segments),
        }
    }

    pub(crate) fn context(device: &Device) -> launchdarkly::Context {
        let mut builder = launchdarkly::ContextBuilder::new(&device.unit);
        builder.set_string("platform", device.platform);
        builder.set_string("region", device.region);
        builder.set_string("hostVersion", device.host_version);
        builder.set_string("tag", device.tag);
        builder.build().unwrap()
    }

    /// The rule that takes the device; one more than there are: none.
    pub(crate) fn ask(&self, context: &launchdarkly::Context) -> Option<usize> {
        launchdarkly::evaluate(&self.segments, &self.flag, context, None)
            .variation_index
            .and_then(|index| usize::try_from(index).ok())
    }
}

/// GrowthBook's evaluator.
pub(crate) struct Growthbook(GrowthBook);

impl Growthbook {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let written = |(at, rule): (usize, &Rule)| {
            let mut condition = serde_json::Map::new();
            let mut put = |name: &str, test: Value| condition.insert(name.into(), test);
            if !rule.platforms.is_empty() {
                put("platform", json!({ "$in": rule.platforms }));
            }
            if let Some(version) = &rule.host_version {
                put("hostVersion", json!({ "$vgte": version }));
            }
            if let Some(region) = &rule.region {
                put("region", json!(region));
            }
            if let Some(prefix) = rule.region_prefix {
                put("region", json!({ "$regex": format!("^{prefix}") }));
            }
            if !rule.tags.is_empty() {
                put("tag", json!({ "$in": rule.tags }));
            }
            if !rule.not_tags.is_empty() {
                put("tag", json!({ "$nin": rule.not_tags }));
            }
            let mut rule_ = json!({ "condition": condition, "force": at });
            if rule.percent < 100 {
                rule_["coverage"] = json!(f64::from(rule.percent) / 100.0);
                rule_["hashAttribute"] = json!("id");
                rule_["seed"] = json!(format!("pingan/travel/{}", rule.name));
            }
            rule_
        };
        let rules_: Vec<Value> = rules.iter().enumerate().map(written).collect();
        let feature = json!({ "defaultValue": rules.len(), "rules": rules_ });
        let feature: GrowthBookFeature = serde_json::from_value(feature).unwrap();
        Self(GrowthBook {
            forced_variations: None,
            features: HashMap::from([(FLAG.to_owned(), feature)]),
            attributes: None,
            sticky_bucket_service: None,
            saved_groups: HashMap::new(),
        })
    }

    pub(crate) fn attributes(device: &Device) -> Option<Vec<GrowthBookAttribute>> {
        let attributes = json!({
            "id": device.unit,
            "platform": device.platform,
            "region": device.region,
            "hostVersion": device.host_version,
            "tag": device.tag,
        });
        Some(GrowthBookAttribute::from(attributes).unwrap())
    }

    /// The rule that takes the device; one more than there are: none.
    pub(crate) fn ask(&self, attributes: &Option<Vec<GrowthBookAttribute>>) -> Option<usize> {
        let value = self.0.check(FLAG, attributes).value.as_u64()?;
        usize::try_from(value).ok()
    }
}
