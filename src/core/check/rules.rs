//! Checks of the rules among themselves: names, schedules, weights, and rules no device ever reaches.

use std::collections::{BTreeMap, BTreeSet};

use super::Checker;
use crate::{
    limits,
    rollout::{Param, Rollout, Rule, Serve},
    share::Share,
};

impl Checker<'_> {
    pub(super) fn names(&mut self) {
        let mut seen = BTreeSet::new();
        for (index, rule) in self.rollout.rules.iter().enumerate() {
            if seen.insert(&rule.name) {
                continue;
            }
            let message = "is the name of an earlier rule too";
            let help = "give every rule its own name, because the name is its salt";
            self.error(
                format!("{}/name", self.rule(index)),
                &rule.name,
                message,
                help,
            );
        }
    }

    pub(super) fn schedules(&mut self) {
        for (index, rule) in self.rollout.rules.iter().enumerate() {
            if let (Some(start), Some(end)) = (rule.start, rule.end)
                && start >= end
            {
                let message = format!("is not later than the start {start}");
                let help = "let the rule end after it starts";
                self.error(format!("{}/end", self.rule(index)), end, message, help);
            }
        }
    }

    pub(super) fn arms(&mut self) {
        for (index, rule) in self.rollout.rules.iter().enumerate() {
            let at = self.rule(index);
            match &rule.serve {
                Serve::One(arm) => self.params(&at, &arm.params),
                Serve::Split(arms) => {
                    let path = format!("{at}/split");
                    let help = "split among fewer arms";
                    self.at_most(path.clone(), arms.len(), limits::ARMS, "arms", help);
                    for (name, weighted) in arms {
                        let path = format!("{path}/{name}");
                        self.params(&path, &weighted.arm.params);
                        if weighted.weight == 0 {
                            let help = "give it a weight, or take it out when it is over";
                            let path = format!("{path}/weight");
                            self.warn(path, 0, format!("lets arm `{name}` take nobody"), help);
                        }
                    }
                    self.weights(path, arms.values().map(|w| u64::from(w.weight)).sum());
                }
            }
        }
    }

    fn weights(&mut self, path: String, total: u64) {
        if total == 0 {
            let message = "is the sum of all weights, so no arm takes anybody";
            self.error(
                path,
                total,
                message,
                "give at least one arm a weight of 1 or more",
            );
        } else if total > u64::from(limits::WEIGHT_TOTAL) {
            let limit = limits::WEIGHT_TOTAL;
            let message = format!("is the sum of all weights and more than {limit}");
            self.error(
                path,
                total,
                message,
                "divide all weights by the same number",
            );
        }
    }

    fn params(&mut self, at: &str, params: &BTreeMap<crate::name::ParamName, Param>) {
        let path = format!("{at}/params");
        let help = "hand over fewer, or one that names a document";
        self.at_most(
            path.clone(),
            params.len(),
            limits::PARAMS,
            "parameters",
            help,
        );
        for (name, param) in params {
            if let Param::Text(text) = param
                && text.len() > limits::PARAM_BYTES
            {
                let message = format!("is longer than {} bytes", limits::PARAM_BYTES);
                self.error(
                    format!("{path}/{name}"),
                    text,
                    message,
                    "shorten the parameter",
                );
            }
        }
    }

    pub(super) fn shadows(&mut self) {
        let rollout = self.rollout;
        // Too many rules are refused already; comparing them all would only take long.
        for (index, rule) in rollout.rules.iter().enumerate().take(limits::RULES) {
            let earlier = &rollout.rules[..index];
            let Some(over) = earlier.iter().find(|over| hides(rollout, over, rule)) else {
                continue;
            };
            let name = &over.name;
            let message = if over.share == Share::ALL {
                format!(
                    "is never reached, because rule `{name}` before it takes all of its devices"
                )
            } else {
                format!("is never reached, because rule `{name}` takes the same units before it")
            };
            let help = "move it before that rule, or take it out";
            self.error(self.rule(index), &rule.name, message, help);
        }
    }
}

/// True when every unit that `rule` could take is taken by `over` at every time.
fn hides(rollout: &Rollout, over: &Rule, rule: &Rule) -> bool {
    let always = !over.paused && over.start.is_none() && over.end.is_none();
    let devices = over.when.is_everyone() || over.when == rule.when;
    let drawn_alike = over.layer.is_none()
        && rule.layer.is_none()
        && rollout.salt_of(over) == rollout.salt_of(rule);
    let units = over.share == Share::ALL || (drawn_alike && rule.share <= over.share);
    // Of two rules with one name it is enough to say that.
    always && devices && units && over.name != rule.name
}
