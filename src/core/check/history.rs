//! Checks against the rollout that is live now: what would tear enrolled units from their version.
//!
//! Neither the bucketing nor the salt of a live rule ever changes; whoever means another draw gives the
//! rule a new name, and history stays readable.

use std::collections::BTreeMap;

use super::{Checker, World};
use crate::rollout::{Rule, Serve};

impl Checker<'_> {
    pub(super) fn history(&mut self, world: &World<'_>) {
        let rollout = self.rollout;
        let Some(previous) = world
            .previous
            .filter(|previous| previous.app == rollout.app)
        else {
            return;
        };
        let live: BTreeMap<_, &Rule> = previous
            .rules
            .iter()
            .map(|rule| (&rule.name, rule))
            .collect();
        let mut kept = rollout
            .rules
            .iter()
            .enumerate()
            .filter_map(|(index, rule)| Some((index, rule, *live.get(&rule.name)?)))
            .peekable();
        if kept.peek().is_some() && previous.bucketing != rollout.bucketing {
            let message = "is not the bucketing the live rules draw with";
            let help = "keep it, and give new rules new names";
            self.error(
                "/bucketing".to_owned(),
                rollout.bucketing.name(),
                message,
                help,
            );
        }
        for (index, rule, before) in kept {
            let at = self.rule(index);
            let help = "give the rule a new name, or keep its draw";
            if rule.layer != before.layer {
                let now = rule
                    .layer
                    .as_ref()
                    .map_or("no layer", |layer| layer.as_str());
                let message = format!("moves live rule `{}` to another layer", rule.name);
                self.error(format!("{at}/layer"), now, message, help);
            } else if rollout.salt_of(rule) != previous.salt_of(before) {
                let salt = rollout.salt_of(rule);
                let was = previous.salt_of(before);
                let message = format!(
                    "is another salt than `{was}`, which live rule `{}` draws with",
                    rule.name
                );
                self.error(format!("{at}/salt"), salt, message, help);
            }
            if tickets(rule) != tickets(before) {
                let message = "moves enrolled units between its arms: the weights or arms differ";
                let help = "give the rule a new name when the experiment must stay clean";
                self.warn(format!("{at}/split"), &rule.name, message, help);
            }
        }
    }
}

/// The arms a rule draws, with their tickets.
fn tickets(rule: &Rule) -> Vec<(&str, u32)> {
    match &rule.serve {
        Serve::One(_) => Vec::new(),
        Serve::Split(arms) => arms
            .iter()
            .map(|(name, weighted)| (name.as_str(), weighted.weight))
            .collect(),
    }
}
