//! `Rollout`: the ordered rules that say which listed version a device gets. The written form.
//!
//! The same structure is a TOML file in `rollout-rules/`, a JSON document on the control plane, and what
//! the ledger keeps. First match wins; a unit outside a rule's share falls through; `stable` is what every
//! admitted device gets when no rule takes it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    audience::Audience,
    bucket::{Bucketing, Salt},
    name::{AppId, ArmName, HostId, LayerName, ParamName, RuleName},
    ramp,
    share::Share,
    slots::Slots,
    time::Timestamp,
    version::Number,
};

/// Which listed version each device of an app gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// The app, `tenant/app`.
    pub app: AppId,
    /// The bank apps that show it.
    pub hosts: BTreeSet<HostId>,
    /// What every admitted device gets when no rule takes it.
    #[schemars(with = "String")]
    pub stable: Number,
    /// The bucketing algorithm.
    #[serde(default)]
    pub bucketing: Bucketing,
    /// One salt for every rule: all rules then draw from the same order of units. Left out, each rule has
    /// its own: `tenant/app/rule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<Salt>,
    /// Units that always get one version, before any rule.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub pins: BTreeMap<String, Number>,
    /// Versions that an update may not skip: a device below one gets it first.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "BTreeSet<String>")]
    pub floors: BTreeSet<Number>,
    /// Sets of slots that no experiment of a layer may own.
    #[serde(default, rename = "holdout", skip_serializing_if = "Vec::is_empty")]
    pub holdouts: Vec<Holdout>,
    /// The rules, in order.
    #[serde(default, rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// A part of a layer that no experiment may own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Holdout {
    /// The layer.
    pub layer: LayerName,
    /// How much of it, in steps of 0.01 %.
    pub share: Share,
    /// The slots it owns; given by huidu when left out.
    #[serde(default, skip_serializing_if = "Slots::is_empty")]
    pub slots: Slots,
}

/// Audience + share + what to serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RuleDocument", into = "RuleDocument")]
#[schemars(with = "RuleDocument")]
pub struct Rule {
    /// Its name; part of the default salt.
    pub name: RuleName,
    /// Which devices it speaks of.
    pub when: Audience,
    /// How much of them it takes.
    pub share: Share,
    /// Where its share is drawn from, when that is a layer.
    pub layer: Option<LayerName>,
    /// The slots of the layer it owns.
    pub slots: Slots,
    /// Its own salt, instead of the rollout's or the default.
    pub salt: Option<Salt>,
    /// It takes nobody before this instant.
    pub start: Option<Timestamp>,
    /// It takes nobody from this instant on.
    pub end: Option<Timestamp>,
    /// A paused rule takes nobody; its enrolled units fall through.
    pub paused: bool,
    /// Devices apply the version at once, also while the mini-program is open.
    pub force: bool,
    /// How its share grows by itself; it then is what the ramp has come to.
    pub ramp: Option<Box<ramp::Plan>>,
    /// What it serves.
    pub serve: Serve,
}

/// What a rule serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serve {
    /// One version.
    One(Arm),
    /// One of several, drawn by weight; arms run in the order of their names.
    Split(BTreeMap<ArmName, Weighted>),
}

/// A version and the parameters it is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arm {
    /// The version.
    pub version: Number,
    /// Handed to the mini-program.
    pub params: BTreeMap<ParamName, Param>,
}

/// An arm and its part of a split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighted {
    /// Tickets of this arm among the sum of all arms' weights.
    pub weight: u32,
    /// What it serves.
    pub arm: Arm,
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Param {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

/// A rule as it is written: `serve` (with `params`) or `split`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Rule")]
pub struct RuleDocument {
    /// Its name; part of the default salt.
    pub name: RuleName,
    /// Which devices it speaks of; left out: every device.
    #[serde(default, skip_serializing_if = "is_everyone")]
    pub when: Audience,
    /// How much of them it takes; left out: all.
    #[serde(default = "everybody", skip_serializing_if = "is_everybody")]
    pub share: Share,
    /// Draw the share from this layer instead: experiments of one layer never share a unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<LayerName>,
    /// The slots of the layer it owns; given by huidu when left out.
    #[serde(default, skip_serializing_if = "Slots::is_empty")]
    pub slots: Slots,
    /// Its own salt. Changing it reshuffles devices, so a live rule refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<Salt>,
    /// It takes nobody before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// It takes nobody from this instant on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// True: it takes nobody.
    #[serde(default, skip_serializing_if = "is_false")]
    pub paused: bool,
    /// True: devices apply the version at once.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force: bool,
    /// The version it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub serve: Option<Number>,
    /// How its share grows by itself. `share` is then given by huidu, whatever is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Box<ramp::Plan>>,
    /// Parameters of `serve`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<ParamName, Param>,
    /// Several versions, drawn by weight.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub split: BTreeMap<ArmName, ArmDocument>,
}

/// One arm of a split as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Arm")]
pub struct ArmDocument {
    /// The version it serves.
    #[schemars(with = "String")]
    pub serve: Number,
    /// Its tickets among the sum of all weights.
    pub weight: u32,
    /// Handed to the mini-program.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<ParamName, Param>,
}

/// Why a written rule is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Neither or both of `serve` and `split`.
    #[error("rule `{rule}` must have exactly one of `serve` and `split`")]
    ServeOrSplit {
        /// The rule.
        rule: RuleName,
    },
    /// `params` beside `split`.
    #[error("rule `{rule}` has `params` beside `split`; give each arm its own `params`")]
    ParamsBesideSplit {
        /// The rule.
        rule: RuleName,
    },
}

impl TryFrom<RuleDocument> for Rule {
    type Error = RuleError;

    fn try_from(written: RuleDocument) -> Result<Self, RuleError> {
        let serve = match (written.serve, written.split) {
            (Some(version), split) if split.is_empty() => Serve::One(Arm {
                version,
                params: written.params,
            }),
            (None, split) if !split.is_empty() => {
                if !written.params.is_empty() {
                    return Err(RuleError::ParamsBesideSplit { rule: written.name });
                }
                let arm = |arm: ArmDocument| Weighted {
                    weight: arm.weight,
                    arm: Arm {
                        version: arm.serve,
                        params: arm.params,
                    },
                };
                Serve::Split(
                    split
                        .into_iter()
                        .map(|(name, written)| (name, arm(written)))
                        .collect(),
                )
            }
            _ => return Err(RuleError::ServeOrSplit { rule: written.name }),
        };
        Ok(Self {
            name: written.name,
            when: written.when,
            share: written.share,
            layer: written.layer,
            slots: written.slots,
            salt: written.salt,
            start: written.start,
            end: written.end,
            paused: written.paused,
            force: written.force,
            ramp: written.ramp,
            serve,
        })
    }
}

impl From<Rule> for RuleDocument {
    fn from(rule: Rule) -> Self {
        let (serve, params, split) = match rule.serve {
            Serve::One(arm) => (Some(arm.version), arm.params, BTreeMap::new()),
            Serve::Split(arms) => {
                let written = |w: Weighted| ArmDocument {
                    serve: w.arm.version,
                    weight: w.weight,
                    params: w.arm.params,
                };
                (
                    None,
                    BTreeMap::new(),
                    arms.into_iter()
                        .map(|(name, arm)| (name, written(arm)))
                        .collect(),
                )
            }
        };
        Self {
            name: rule.name,
            when: rule.when,
            share: rule.share,
            layer: rule.layer,
            slots: rule.slots,
            salt: rule.salt,
            start: rule.start,
            end: rule.end,
            paused: rule.paused,
            force: rule.force,
            ramp: rule.ramp,
            serve,
            params,
            split,
        }
    }
}

impl Rule {
    /// How much of its audience is held on the stable version, to compare with: the units that come right behind
    /// those it takes.
    pub fn control(&self) -> Share {
        match self.ramp {
            Some(_) => ramp::plan::control(self.share),
            None => Share::NONE,
        }
    }

    /// The arms it may serve with their names (a single version has no name) and tickets.
    pub fn arms(&self) -> Vec<(Option<&ArmName>, u32, &Arm)> {
        match &self.serve {
            Serve::One(arm) => vec![(None, 1, arm)],
            Serve::Split(arms) => arms
                .iter()
                .map(|(name, w)| (Some(name), w.weight, &w.arm))
                .collect(),
        }
    }
}

impl Rollout {
    /// The salt that `rule` draws with: its own, else the rollout's, else `tenant/app/rule`.
    pub fn salt_of(&self, rule: &Rule) -> String {
        match rule.salt.as_ref().or(self.salt.as_ref()) {
            Some(salt) => salt.to_string(),
            None => format!("{}/{}", self.app, rule.name),
        }
    }

    /// Every version the rollout may serve, with where it is named (for errors and plans).
    pub fn versions(&self) -> BTreeSet<&Number> {
        let ruled = self
            .rules
            .iter()
            .flat_map(|rule| rule.arms().into_iter().map(|(_, _, arm)| &arm.version));
        ruled
            .chain([&self.stable])
            .chain(self.pins.values())
            .chain(&self.floors)
            .collect()
    }

    /// The layers of its experiments and holdouts, with the slots each owns.
    pub fn owned_slots(&self) -> impl Iterator<Item = (&LayerName, &Slots)> {
        let ruled = self
            .rules
            .iter()
            .filter_map(|rule| rule.layer.as_ref().map(|layer| (layer, &rule.slots)));
        ruled.chain(
            self.holdouts
                .iter()
                .map(|holdout| (&holdout.layer, &holdout.slots)),
        )
    }

    /// Every segment the rollout asks about.
    pub fn segments(&self) -> BTreeSet<&crate::name::SegmentName> {
        self.rules
            .iter()
            .flat_map(|rule| rule.when.segments())
            .collect()
    }
}

fn everybody() -> Share {
    Share::ALL
}

fn is_everybody(share: &Share) -> bool {
    *share == Share::ALL
}

fn is_everyone(audience: &Audience) -> bool {
    *audience == Audience::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
