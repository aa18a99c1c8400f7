//! What counts say of one cohort: how many units there are, and to how many of them something happened.
//!
//! Devices have no names here, so a unit is an arrival: a device says once of a release under an arm that it runs
//! (`activated`), or that it did not start (`crashed`). A device that crashes later is taken for one unit more, in either
//! cohort alike. Units are never fewer than what happened to them: a release that does nothing but fail is no blind spot.

use super::{
    counts::Counts,
    kind::{Kind, Why},
};
use crate::name::Measure;

/// The measure that all reasons for going back belong to.
const ROLLED_BACK: &str = "rolled-back";

impl Counts {
    /// Arrivals, and at least as many as `measures` happened.
    pub fn units<'a>(&self, measures: impl IntoIterator<Item = &'a Measure>) -> u64 {
        let arrivals = self.of(&Kind::Activated) + self.of(&Kind::Crashed);
        let happened = measures.into_iter().map(|measure| self.measured(measure));
        happened.fold(arrivals, u64::max)
    }

    /// How often what `measure` names happened: a word of events (`crashed`), one with its code (`rolled-back.killed`),
    /// or the name of a counter of the app's own.
    pub fn measured(&self, measure: &Measure) -> u64 {
        if measure.as_str() == ROLLED_BACK {
            let whys = Why::ALL.into_iter().map(Kind::RolledBack);
            return whys.map(|kind| self.of(&kind)).sum();
        }
        let kind = measure.as_str().parse();
        let kind = kind.or_else(|_| format!("counter.{measure}").parse::<Kind>());
        kind.map_or(0, |kind| self.of(&kind))
    }
}
