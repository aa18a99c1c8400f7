//! `Experiment`: a test under way or over, folded from the ledger. Total: no event can be refused here.
//!
//! It remembers what its arms served, because the rule is gone once a test is over and people still read it. Of two tests one
//! rule has at most one at a time; a name is used once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::design::Design;
use crate::{
    limits,
    name::{ArmName, ExperimentName, RuleName},
    rollout::{Rollout, Serve},
    time::Timestamp,
    version::Number,
};

/// A test under way or over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// What it compares, and how.
    pub design: Design,
    /// When it began.
    pub begun: Timestamp,
    /// What is counted for it was reported from then on: when it began, or when its units were last drawn anew.
    pub since: Timestamp,
    /// How often its units were drawn anew.
    #[serde(default, skip_serializing_if = "is_never")]
    pub redrawn: u32,
    /// What its arms serve.
    pub arms: BTreeMap<ArmName, Side>,
    /// Set when it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

/// One arm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// The version.
    pub version: Number,
    /// Its tickets among the sum of all weights.
    pub weight: u32,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// When.
    pub at: Timestamp,
    /// The arm that was promoted; none: it was ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<ArmName>,
    /// Why.
    pub reason: String,
}

/// The experiments of an app, by name.
pub type Experiments = BTreeMap<ExperimentName, Experiment>;

impl Experiment {
    /// One that begins at `at` over a rule of `rollout`.
    pub fn begun(design: Design, rollout: Option<&Rollout>, at: Timestamp) -> Self {
        let arms = rollout.and_then(|rollout| arms(rollout, &design.rule));
        Self {
            design,
            begun: at,
            since: at,
            redrawn: 0,
            arms: arms.unwrap_or_default(),
            end: None,
        }
    }

    /// True until it is ended.
    pub const fn is_running(&self) -> bool {
        self.end.is_none()
    }

    /// The instant up to which it is counted.
    pub fn until(&self, now: Timestamp) -> Timestamp {
        self.end.as_ref().map_or(now, |end| end.at)
    }

    /// Its units were drawn anew: what was counted before counts no more.
    pub const fn redraw(&mut self, at: Timestamp) {
        self.since = at;
        self.redrawn = self.redrawn.saturating_add(1);
    }
}

/// The one that runs over `rule`, if any.
pub fn over<'a>(
    experiments: &'a Experiments,
    rule: &RuleName,
) -> Option<(&'a ExperimentName, &'a Experiment)> {
    let mut running = experiments.iter().filter(|(_, one)| one.is_running());
    running.find(|(_, one)| one.design.rule == *rule)
}

/// A rollout was put in place: those that run go on with its arms.
pub fn follow(experiments: &mut Experiments, after: &Rollout) {
    for experiment in experiments.values_mut().filter(|one| one.is_running()) {
        if let Some(arms) = arms(after, &experiment.design.rule) {
            experiment.arms = arms;
        }
    }
}

/// One more, and the one that ended first is forgotten where there are too many.
pub fn add(experiments: &mut Experiments, name: ExperimentName, experiment: Experiment) {
    experiments.insert(name, experiment);
    while experiments.len() > limits::EXPERIMENTS {
        let ended = experiments.iter().filter_map(|(name, one)| {
            let end = one.end.as_ref()?;
            Some((end.at, name.clone()))
        });
        let Some((_, oldest)) = ended.min() else {
            return;
        };
        experiments.remove(&oldest);
    }
}

/// What the arms of a rule serve; none: it has no arms.
pub(super) fn arms(rollout: &Rollout, rule: &RuleName) -> Option<BTreeMap<ArmName, Side>> {
    let rule = rollout.rules.iter().find(|known| known.name == *rule)?;
    let Serve::Split(arms) = &rule.serve else {
        return None;
    };
    let side = |weighted: &crate::rollout::Weighted| Side {
        version: weighted.arm.version.clone(),
        weight: weighted.weight,
    };
    let arms = arms
        .iter()
        .map(|(name, weighted)| (name.clone(), side(weighted)));
    Some(arms.collect())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_never(times: &u32) -> bool {
    *times == 0
}
