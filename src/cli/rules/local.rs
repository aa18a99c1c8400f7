//! A rollout compiled without a server: every version it names counts as listed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock},
};

use huidu_core::{
    catalogue::App,
    compile::{CompiledApp, Context, compile},
    digest::Digest,
    name::SegmentName,
    poll::PollLine,
    predicate::Membership,
    resolve::Outcome,
    rollout::{Rollout, Serve},
    slots_assign,
    time::Timestamp,
    version::{Bundle, BundleFormat, Life, Number, Permissions, Version},
};

use crate::{
    cli::output::Failure,
    clock::{Clock as _, System},
};

/// The segments that the poll at hand states its unit to be on.
type Stated = Arc<RwLock<BTreeSet<String>>>;

/// A compiled rollout, and what the poll at hand states.
pub(super) struct Local {
    app: CompiledApp,
    stated: Stated,
}

/// A segment that holds whoever states to be on it.
struct StatedSegment {
    name: String,
    stated: Stated,
}

impl Membership for StatedSegment {
    fn contains(&self, _: &str) -> bool {
        let stated = self.stated.read().unwrap_or_else(PoisonError::into_inner);
        stated.contains(&self.name)
    }
}

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
        let context = Context {
            audience: "local/eval".into(),
            poll_after_ms: 0,
            poll_spread_ms: 0,
            keyring: None,
        };
        let stated = Stated::default();
        let find = |name: &SegmentName| -> Option<Arc<dyn Membership>> {
            Some(Arc::new(StatedSegment {
                name: name.to_string(),
                stated: Arc::clone(&stated),
            }))
        };
        let app = compile(&app, &context, &find);
        Ok(Self { app, stated })
    }

    /// What one poll is told.
    pub(super) fn answer(&self, poll: &PollLine<'_>) -> Outcome<'_> {
        let segments = poll.segments().map(ToOwned::to_owned).collect();
        *self.stated.write().unwrap_or_else(PoisonError::into_inner) = segments;
        let now: Timestamp = poll.now().unwrap_or_else(|| System.now());
        self.app
            .resolve(poll.host(), &poll.device(), &poll.installed(), now)
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
