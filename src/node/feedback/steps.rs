//! What ramps are judged by: both cohorts of a step, out of what was counted on all nodes. Answers from memory.
//!
//! A step is counted in whole minutes, from the minute in which it began, so that harm shows at once; what its cohorts
//! said earlier in that minute counts too. A node that has not read yet what lies in the store knows nothing, rather
//! than too little.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use huidu_core::{
    compile::{CANDIDATE, CONTROL},
    feedback::{Cell, Counts, minute_of},
    ramp::{Cohorts, Counted},
    version::Number,
};

use super::Feedback;
use crate::node::ramps::{StepCounts, StepOf};

impl StepCounts for Feedback {
    fn since(&self, step: &StepOf<'_>) -> Option<Counted> {
        if !self.has_read.load(Ordering::Relaxed) {
            return None;
        }
        let since = minute_of(step.since.unix_ms());
        let book = self.book();
        let of = |version: &Number, arm: &str| {
            let cell = Cell {
                app: step.app.clone(),
                version: version.clone(),
                rule: step.rule.as_str().into(),
                arm: arm.into(),
            };
            book.total(&cell, since, u32::MAX)
        };
        let mut candidate = of(step.candidate, CANDIDATE);
        // Where nobody is left to compare with, the rule has no arms.
        candidate.sum(&of(step.candidate, ""));
        let control = of(step.control, CONTROL);
        drop(book);
        let both = |number: &dyn Fn(&Counts) -> u64| Cohorts {
            candidate: number(&candidate),
            control: number(&control),
        };
        let measured = step.measures.iter().map(|measure| {
            let events = both(&|counts| counts.measured(measure));
            ((*measure).clone(), events)
        });
        let events: BTreeMap<_, _> = measured.collect();
        Some(Counted {
            units: both(&|counts| counts.units(step.measures.iter().copied())),
            events,
        })
    }
}
