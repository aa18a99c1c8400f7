//! Checks of ramp plans: steps that rise, guards that can see something, windows that open.

use std::collections::BTreeSet;

use super::Checker;
use crate::{
    limits,
    ramp::{GuardPlan, Plan},
    rollout::{Rule, Serve},
    share::Share,
};

/// The least and the most that `alpha` may be, with all guards of a step sharing it.
const ALPHA: (u32, u32) = (10_000, 50_000_000);

impl Checker<'_> {
    pub(super) fn ramps(&mut self) {
        let rollout = self.rollout;
        for (index, rule) in rollout.rules.iter().enumerate() {
            if let Some(plan) = &rule.ramp {
                let at = format!("{}/ramp", self.rule(index));
                self.ramped(&at, rule);
                self.steps(&at, plan);
                self.times(&at, plan);
            }
        }
    }

    fn ramped(&mut self, at: &str, rule: &Rule) {
        if let Some(layer) = &rule.layer {
            let help = "take the layer out; a ramp draws from its own order";
            self.error(at.to_owned(), layer, "grows a rule of a layer", help);
        }
        if matches!(rule.serve, Serve::Split(_)) {
            let help = "serve one version; compare arms once it is out";
            self.error(at.to_owned(), &rule.name, "grows a split", help);
        }
    }

    fn steps(&mut self, at: &str, plan: &Plan) {
        let path = format!("{at}/step");
        if plan.steps.is_empty() {
            self.error(path, "[]", "is a ramp without steps", "add at least one");
            return;
        }
        let help = "grow in fewer steps";
        self.at_most(
            path.clone(),
            plan.steps.len(),
            limits::RAMP_STEPS,
            "steps",
            help,
        );
        let mut before = Share::NONE;
        for (number, step) in plan.steps.iter().enumerate() {
            let path = format!("{path}/{number}");
            if step.share <= before {
                let help = "let each step take more than the one before";
                let message = format!("is not above {before}");
                self.error(format!("{path}/share"), step.share, message, help);
            }
            before = step.share;
            if step.hold.ms() > limits::RAMP_HOLD_MS {
                let help = "hold it shorter, or let the next step wait for an approval";
                self.error(
                    format!("{path}/hold"),
                    step.hold,
                    "is longer than 31 days",
                    help,
                );
            }
            self.guards(&path, &step.guards);
        }
        self.guards(at, &plan.guards);
        let alpha = plan.alpha.millionths();
        if !(ALPHA.0..=ALPHA.1).contains(&alpha) {
            let help = "write a percentage from \"0.01%\" to \"50%\", such as \"5%\"";
            self.error(format!("{at}/alpha"), plan.alpha, "is out of reach", help);
        }
    }

    fn guards(&mut self, at: &str, guards: &[GuardPlan]) {
        let path = format!("{at}/guard");
        let help = "watch fewer measures; each of them sees more then";
        self.at_most(
            path.clone(),
            guards.len(),
            limits::RAMP_GUARDS,
            "guards",
            help,
        );
        let mut seen = BTreeSet::new();
        for (number, guard) in guards.iter().enumerate() {
            let path = format!("{path}/{number}");
            if !seen.insert(&guard.measure) {
                let help = "keep one guard of each measure";
                let message = "is watched by an earlier guard too";
                self.error(format!("{path}/measure"), &guard.measure, message, help);
            }
            if let Some(margin) = guard.margin.filter(|margin| *margin < guard.tolerated) {
                let message = format!("is below what is tolerated, {}", guard.tolerated);
                let help = "let the margin be at least what is tolerated";
                self.error(format!("{path}/margin"), margin, message, help);
            }
        }
    }

    fn times(&mut self, at: &str, plan: &Plan) {
        let help = "keep fewer";
        let most = limits::RAMP_WINDOWS;
        self.at_most(
            format!("{at}/window"),
            plan.windows.len(),
            most,
            "windows",
            help,
        );
        self.at_most(
            format!("{at}/freeze"),
            plan.freezes.len(),
            most,
            "freezes",
            help,
        );
        for (number, window) in plan.windows.iter().enumerate() {
            if window.from >= window.to {
                let message = format!("is not later than {}", window.from);
                let help = "let a window end on the day it begins, at 24:00 at the latest";
                self.error(format!("{at}/window/{number}/to"), window.to, message, help);
            }
        }
        for (number, freeze) in plan.freezes.iter().enumerate() {
            if freeze.from >= freeze.to {
                let message = format!("is not later than {}", freeze.from);
                let help = "let the freeze end after it begins";
                self.error(format!("{at}/freeze/{number}/to"), freeze.to, message, help);
            }
        }
    }
}
