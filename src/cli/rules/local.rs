//! A rollout compiled without a server: every version it names counts as listed.

use std::collections::{BTreeMap, BTreeSet};

use huidu_core::{
    cases::Case,
    catalogue::App,
    digest::Digest,
    poll::PollLine,
    resolve::Outcome,
    rollout::{Rollout, Serve},
    slots_assign,
    time::Timestamp,
    version::{Bundle, BundleFormat, Life, Number, Permissions, Version},
};

use crate::{
    cli::output::Failure,
    clock::{Clock as _, System},
    control::cases::{self, Stating},
};

/// A compiled rollout, and what the poll at hand states.
pub(super) struct Local(Stating);

impl Local {
    /// Compiles `rollout`, its slots given as a first apply would.
    pub(super) fn new(rollout: &Rollout) -> Result<Self, Failure> {
        let given = slots_assign::assign(rollout, None, &BTreeMap::new()).map_err(|findings| {
            let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
            Failure::Refused(lines.join("\n"))
        })?;
        let mut app = App::new(given.app.clone(), String::new());
        for number in named(&given) {
            app.versions.insert(number.clone(), listed(number).into());
        }
        app.rollout = Some(given);
        Ok(Self(Stating::of(&app)))
    }

    /// What one poll is told.
    pub(super) fn answer(&self, poll: &PollLine<'_>) -> Outcome<'_> {
        self.0.answer(poll, System.now())
    }

    /// Whether a case holds; else what it got instead.
    pub(super) fn check(&self, rollout: &Rollout, case: &Case) -> Result<(), String> {
        cases::check(&self.0, rollout, case, System.now())
    }
}

/// Every version a rollout names.
fn named(rollout: &Rollout) -> BTreeSet<Number> {
    let mut numbers = BTreeSet::from([rollout.stable.clone()]);
    numbers.extend(rollout.pins.values().cloned());
    numbers.extend(rollout.floors.iter().cloned());
    for rule in &rollout.rules {
        match &rule.serve {
            Serve::One(arm) => {
                numbers.insert(arm.version.clone());
            }
            Serve::Split(arms) => numbers.extend(arms.values().map(|arm| arm.arm.version.clone())),
        }
    }
    numbers
}

fn listed(number: Number) -> Version {
    Version {
        bundle: Bundle {
            sha256: Digest::of(number.to_string().as_bytes()),
            bytes: 0,
            format: BundleFormat::Zip,
            files: 0,
            unpacked_bytes: 0,
        },
        number,
        permissions: Permissions::default(),
        notes: String::new(),
        life: Life::Listed,
        submitted_at: Timestamp::EPOCH,
        dossier: Default::default(),
    }
}
