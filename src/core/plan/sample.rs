//! What a change would mean for devices that polled: each is asked of the old and of the new rollout.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;

use super::Change;
use crate::{
    catalogue::App,
    compile::{CompiledApp, Context, compile},
    manifest::State,
    name::SegmentName,
    poll::PollLine,
    predicate::Membership,
    rollout::Rollout,
    version::Number,
};

/// A recorded poll.
pub type SamplePoll = PollLine<'static>;

/// How many sampled devices get something else.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SampleMoves {
    /// Polls of this app.
    pub polls: u64,
    /// Devices that got nothing and get a version.
    pub gains: u64,
    /// Devices that got a version and get nothing.
    pub loses: u64,
    /// Devices that get another version.
    pub switches: u64,
    /// From what to what, where that differs: a version, `none` or `killed`.
    pub flows: Vec<SampleFlow>,
}

/// Sampled devices that get something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SampleFlow {
    /// What they get before.
    pub from: String,
    /// What they get after.
    pub to: String,
    /// How many.
    pub polls: u64,
}

pub(super) fn moves(change: &Change<'_>) -> Option<SampleMoves> {
    let app = change.app.id.as_str();
    let polls: Vec<_> = change
        .sample
        .iter()
        .filter(|poll| poll.app() == app)
        .collect();
    if polls.is_empty() {
        return None;
    }
    let stated = stated_segments(&polls);
    let members = |name: &SegmentName| {
        (change.members)(name).or_else(|| {
            let units = stated.get(name.as_str())?.clone();
            Some(Arc::new(units) as Arc<dyn Membership>)
        })
    };
    let compiled = |rollout: Option<&Rollout>| -> CompiledApp {
        let app = App {
            rollout: rollout.cloned(),
            ..change.app.clone()
        };
        let context = Context {
            audience: String::new(),
            poll_after_ms: 0,
            poll_spread_ms: 0,
            keyring: None,
        };
        compile(&app, &context, &members)
    };
    let (old, new) = (compiled(change.old), compiled(Some(change.new)));
    let mut moves = SampleMoves {
        polls: polls.len() as u64,
        ..SampleMoves::default()
    };
    let mut flows: BTreeMap<(Got, Got), u64> = BTreeMap::new();
    for poll in polls {
        let (device, installed) = (poll.device(), poll.installed());
        let now = poll.now().unwrap_or(change.now);
        let got = |app: &CompiledApp| {
            let answer = app.resolve(poll.host(), &device, &installed, now).answer;
            (answer.version.clone(), answer.state)
        };
        let (from, to) = (got(&old), got(&new));
        match (&from.0, &to.0) {
            (None, Some(_)) => moves.gains += 1,
            (Some(_), None) => moves.loses += 1,
            (a, b) if a != b => moves.switches += 1,
            _ => {}
        }
        if from != to {
            *flows.entry((from, to)).or_default() += 1;
        }
    }
    let flow = |((from, to), polls): ((Got, Got), u64)| SampleFlow {
        from: word(&from),
        to: word(&to),
        polls,
    };
    moves.flows = flows.into_iter().map(flow).collect();
    Some(moves)
}

type Got = (Option<Number>, State);

fn word((version, state): &Got) -> String {
    match (version, state) {
        (Some(version), _) => version.to_string(),
        (None, State::Killed) => "killed".into(),
        (None, _) => "none".into(),
    }
}

/// Segments as the recorded polls state them, for those that are not known otherwise.
fn stated_segments(polls: &[&SamplePoll]) -> BTreeMap<String, BTreeSet<String>> {
    let mut segments: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for poll in polls {
        for name in poll.segments() {
            let unit = poll.device().unit.to_owned();
            segments.entry(name.to_owned()).or_default().insert(unit);
        }
    }
    segments
}
