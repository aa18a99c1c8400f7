//! What experiments are read from: every arm of one, out of what was counted on all nodes. Answers from memory.
//!
//! What was reported of another version under the same arm belongs to the test before its units were drawn anew. A node that
//! has not read yet what lies in the store knows nothing, rather than too little.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use huidu_core::{
    experiment::{Counted, Experiment},
    feedback::{Cell, minute_of},
    name::{AppId, ArmName},
    time::Timestamp,
};

use super::Feedback;

impl Feedback {
    /// What was counted of each arm since the test began, until it ended or `now`, in whole minutes; none: that is not known
    /// on this node yet.
    pub fn of_arms(
        &self,
        app: &AppId,
        experiment: &Experiment,
        now: Timestamp,
    ) -> Option<BTreeMap<ArmName, Counted>> {
        if !self.has_read.load(Ordering::Relaxed) {
            return None;
        }
        let from = minute_of(experiment.since.unix_ms());
        // The minute that has just begun is part of it.
        let until = minute_of(experiment.until(now).unix_ms()).saturating_add(1);
        let book = self.book();
        let arms = experiment.arms.iter().map(|(name, side)| {
            let cell = Cell {
                app: app.clone(),
                version: side.version.clone(),
                rule: experiment.design.rule.as_str().into(),
                arm: name.as_str().into(),
            };
            let counts = book.total(&cell, from, until);
            let measures = experiment.design.measures();
            let events = measures.map(|measure| (measure.clone(), counts.measured(measure)));
            let counted = Counted {
                arrivals: counts.units([]),
                events: events.collect(),
            };
            (name.clone(), counted)
        });
        Some(arms.collect())
    }
}
