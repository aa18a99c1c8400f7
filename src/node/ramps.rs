//! Ramps as a node looks at them: plan, how far it has come, what was counted, what follows.
//!
//! What devices reported is counted elsewhere; this folder asks for it by [`StepCounts`] and knows nothing about how it is
//! gathered. Looking changes nothing: what follows is written by the engine, or not at all.

use huidu_core::{
    catalogue::{App, Catalogue},
    command::Command,
    name::{AppId, Measure, RuleName},
    ramp::{self, Act, Counted, Findings, Phase, Plan, Ramp, Verdict, Wait},
    rollout::Rule,
    share::Share,
    time::Timestamp,
    version::Number,
};

/// A step of a ramp, for whoever counts.
#[derive(Debug, Clone, Copy)]
pub struct StepOf<'a> {
    /// The app.
    pub app: &'a AppId,
    /// The rule; its cohorts are its arms `candidate` and `control`.
    pub rule: &'a RuleName,
    /// The new version.
    pub candidate: &'a Number,
    /// What the control cohort is held on.
    pub control: &'a Number,
    /// When counting began.
    pub since: Timestamp,
    /// What is asked about.
    pub measures: &'a [&'a Measure],
}

/// Whoever counted what devices reported, on all nodes together.
///
/// Asked by the task that follows the ledger, so it answers from memory, at once.
pub trait StepCounts: Send + Sync + 'static {
    /// Units of both cohorts since the step began, each counted once, and those to which it happened; none: that is not
    /// known now.
    fn since(&self, step: &StepOf<'_>) -> Option<Counted>;
}

/// A ramp, looked at.
#[derive(Debug, Clone)]
pub struct Looked {
    /// Its rule.
    pub rule: Rule,
    /// Its plan.
    pub plan: Plan,
    /// How far it has come.
    pub ramp: Ramp,
    /// The version that the control cohort is held on.
    pub stable: Number,
    /// The share that the counted units were drawn by: that of the rule, or of the last step once it takes nobody any more.
    pub drawn: Share,
    /// What was counted, judged; none: what was counted is not known.
    pub findings: Option<Findings>,
    /// What happens now, if anything.
    pub act: Option<Act>,
    /// What is waited for before it grows.
    pub waits: Vec<Wait>,
}

/// Looks at every ramp of `app`.
pub(super) fn look(app: &App, counts: Option<&dyn StepCounts>, now: Timestamp) -> Vec<Looked> {
    let Some(rollout) = &app.rollout else {
        return Vec::new();
    };
    let looked = rollout.rules.iter().filter_map(|rule| {
        let (plan, ramp) = (rule.ramp.as_deref()?, app.ramps.get(&rule.name)?);
        let drawn = match (&ramp.phase, plan.steps.get(ramp.step)) {
            (Phase::RolledBack, Some(step)) => step.share,
            _ => rule.share,
        };
        let findings = found(app, rule, (plan, ramp, drawn), counts, &rollout.stable);
        let act = (findings.as_ref().filter(|_| !rule.paused))
            .and_then(|findings| ramp::next(plan, ramp, findings, now));
        let mut waits = match &findings {
            Some(findings) => ramp::waits(plan, ramp, findings, now),
            None if ramp.phase.is_over() => Vec::new(),
            None => vec![Wait::Counts],
        };
        if rule.paused && !ramp.phase.is_over() {
            waits.push(Wait::Rule);
        }
        Some(Looked {
            rule: rule.clone(),
            plan: plan.clone(),
            ramp: ramp.clone(),
            stable: rollout.stable.clone(),
            drawn,
            findings,
            act,
            waits,
        })
    });
    looked.collect()
}

/// What was counted, judged. Where nothing is watched and no sample is asked for, nothing needs to be known.
fn found(
    app: &App,
    rule: &Rule,
    (plan, ramp, drawn): (&Plan, &Ramp, Share),
    counts: Option<&dyn StepCounts>,
    stable: &Number,
) -> Option<Findings> {
    let guards = plan.guards_of(ramp.step);
    let measures: Vec<&Measure> = guards.iter().map(|guard| &guard.measure).collect();
    let candidate = rule.arms().first().map(|(_, _, arm)| &arm.version)?;
    let step = StepOf {
        app: &app.id,
        rule: &rule.name,
        candidate,
        control: stable,
        since: ramp.since,
        measures: &measures,
    };
    let counted = counts.and_then(|counts| counts.since(&step));
    let asks = !guards.is_empty() || plan.steps.get(ramp.step).is_some_and(|step| step.units > 0);
    let counted = match counted {
        Some(counted) => counted,
        None if asks => return None,
        None => Counted::default(),
    };
    Some(ramp::judge(plan, ramp.step, drawn, &counted))
}

/// How many ramps there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Census {
    /// That grow when they may.
    pub(super) running: i64,
    /// That are held.
    pub(super) held: i64,
    /// Of both, those whose counts are not known.
    pub(super) blind: i64,
    /// Of both, those whose units do not arrive as they are drawn.
    pub(super) skewed: i64,
    /// What their guards say, in the order of [`VERDICTS`].
    pub(super) verdicts: [i64; VERDICTS.len()],
}

/// What guards say.
pub(super) const VERDICTS: [Verdict; 4] = [
    Verdict::Pass,
    Verdict::Fail,
    Verdict::Inconclusive,
    Verdict::Error,
];

impl Census {
    /// Counts what was found at one.
    fn note(&mut self, findings: &Findings) {
        self.skewed += i64::from(findings.skewed);
        for (verdict, count) in VERDICTS.iter().zip(&mut self.verdicts) {
            let says = findings
                .guards
                .iter()
                .filter(|guard| guard.verdict == *verdict);
            *count += i64::try_from(says.count()).unwrap_or(i64::MAX);
        }
    }
}

/// What follows for all ramps now: one command each, with the words that its name is derived from.
pub(super) fn due(
    catalogue: &Catalogue,
    counts: Option<&dyn StepCounts>,
    now: Timestamp,
) -> (Vec<Command>, Census) {
    let (mut due, mut census) = (Vec::new(), Census::default());
    let ramping = catalogue.apps.values().filter(|app| !app.ramps.is_empty());
    for app in ramping.filter(|app| app.killed.is_none()) {
        for looked in look(app, counts, now) {
            match looked.ramp.phase {
                Phase::Running => census.running += 1,
                Phase::Held(_) => census.held += 1,
                Phase::RolledBack | Phase::Finished => continue,
            }
            match &looked.findings {
                Some(findings) => census.note(findings),
                None => census.blind += 1,
            }
            if let (Some(act), Some(findings)) = (looked.act, looked.findings) {
                due.push(Command::DecideRamp {
                    app: app.id.clone(),
                    rule: looked.rule.name,
                    from: looked.ramp.moved,
                    act,
                    findings: Box::new(findings),
                });
            }
        }
    }
    (due, census)
}
