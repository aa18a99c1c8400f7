//! Decisions about experiments: when one may begin, what ends it, and what a rollout may not do to one unseen.
//!
//! From when a test begins on, what its rule's devices are told names that instant, so that each says anew that it runs its arm.
//! While it runs, no unit changes arms unless somebody
//! said so, and then its counting begins anew in the same record. What was counted is asked nowhere here: whether a test
//! has shown something is for people to weigh, and for none of the nodes to agree on.

use std::collections::BTreeSet;

use super::{
    Decision, Refusal,
    rollouts::{self, Day, may_grow, rule_of},
    why,
};
use crate::{
    catalogue::{App, Catalogue},
    event::Event,
    experiment::{self, Design, Disturbance, Experiment},
    limits,
    name::{ArmName, ExperimentName},
    rollout::{Rollout, Serve},
};

const SEE: &str = "`huidu experiment list` shows them";

/// Puts a rollout in place; of experiments that run, those that are named may be drawn anew.
pub(super) fn put_rollout(
    catalogue: &Catalogue,
    app: &App,
    rollout: &Rollout,
    named: &BTreeSet<ExperimentName>,
    day: Day,
) -> Decision {
    let mut events = rollouts::put_rollout(catalogue, app, rollout, &[], day)?;
    let (Some(before), Some(Event::RolloutPut { rollout: after })) = (&app.rollout, events.first())
    else {
        return Ok(events);
    };
    let (mut redrawn, mut refused) = (Vec::new(), Vec::new());
    for (name, running) in app.experiments.iter().filter(|(_, one)| one.is_running()) {
        let Design { rule, control, .. } = &running.design;
        match experiment::disturbed(rule, control, before, after) {
            None => {}
            Some(Disturbance::Ends(help)) => return Err(in_the_way(name, running, help)),
            Some(Disturbance::Redraws(redraw)) => {
                if named.contains(name) {
                    redrawn.push(Event::ExperimentRedrawn {
                        app: app.id.clone(),
                        experiment: name.clone(),
                    });
                } else {
                    refused.push((name.clone(), rule.clone(), redraw));
                }
            }
        }
    }
    if !refused.is_empty() {
        return Err(Refusal::Redraws { redraws: refused });
    }
    events.extend(redrawn);
    Ok(events)
}

fn in_the_way(name: &ExperimentName, experiment: &Experiment, help: &'static str) -> Refusal {
    Refusal::Experiment {
        experiment: name.clone(),
        rule: experiment.design.rule.clone(),
        help,
    }
}

pub(super) fn begin(
    catalogue: &Catalogue,
    app: &App,
    name: &ExperimentName,
    design: &Design,
    day: Day,
) -> Decision {
    if app.experiments.contains_key(name) {
        return Err(Refusal::Exists {
            kind: "experiment",
            name: format!("{}#{name}", app.id),
            help: "what it found stays under that name; choose another",
        });
    }
    let running = app.experiments.values().filter(|one| one.is_running());
    if running.count() >= limits::EXPERIMENTS_RUNNING {
        return Err(Refusal::Limit {
            what: "experiments of an app that run",
            limit: limits::EXPERIMENTS_RUNNING as u64,
            help: "end some of them first",
        });
    }
    if let Some(fault) = design.fault() {
        return Err(Refusal::Design { fault });
    }
    let (rollout, at) = rule_of(app, &design.rule)?;
    let rule = &rollout.rules[at];
    let stands = |help| {
        Err(Refusal::Experiment {
            experiment: name.clone(),
            rule: design.rule.clone(),
            help,
        })
    };
    let Serve::Split(arms) = &rule.serve else {
        return stands("the rule serves one version; give it a `split` with two arms or more");
    };
    let drawn = |arm: &ArmName| arms.get(arm).is_some_and(|arm| arm.weight > 0);
    if arms.keys().filter(|arm| drawn(arm)).count() < 2 {
        return stands("fewer than two of the rule's arms have a weight; give them one");
    }
    if !drawn(&design.control) {
        return stands("the rule has no such control arm, or it has no weight; name one that has");
    }
    if experiment::state::over(&app.experiments, &design.rule).is_some() {
        return stands("another one runs over this rule; end that first");
    }
    let mut events = vec![Event::ExperimentBegun {
        app: app.id.clone(),
        experiment: name.clone(),
        design: Box::new(design.clone()),
    }];
    if rule.paused {
        may_grow(catalogue, app, rule, day)?;
        events.push(Event::PauseSet {
            app: app.id.clone(),
            rule: design.rule.clone(),
            paused: false,
        });
    }
    Ok(events)
}

pub(super) fn end(
    catalogue: &Catalogue,
    app: &App,
    name: &ExperimentName,
    arm: Option<&ArmName>,
    reason: &str,
    day: Day,
) -> Decision {
    let known = app.experiments.get(name);
    let running = known.ok_or_else(|| Refusal::Unknown {
        kind: "experiment",
        name: format!("{}#{name}", app.id),
        help: SEE,
    })?;
    if !running.is_running() {
        return Err(Refusal::Nothing {
            what: format!("experiment `{name}` is over"),
        });
    }
    let reason = why(reason)?;
    let (rollout, _) = rule_of(app, &running.design.rule)?;
    let after = experiment::concluded(rollout, &running.design.rule, arm)
        .map_err(|help| in_the_way(name, running, help))?;
    // What is wrong already must not keep a test from ending; a promotion is a rollout like any other.
    let tolerated = match arm {
        None => rollouts::mistakes(catalogue, app, rollout, day),
        Some(_) => Vec::new(),
    };
    let mut events = rollouts::put_rollout(catalogue, app, &after, &tolerated, day)?;
    events.push(Event::ExperimentEnded {
        app: app.id.clone(),
        experiment: name.clone(),
        arm: arm.cloned(),
        reason,
    });
    Ok(events)
}
