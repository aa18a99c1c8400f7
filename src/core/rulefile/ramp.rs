//! Reading the ramp plan of a rule: its steps, guards, windows and freezes.

use super::{
    Here, Walk,
    node::Value,
    rollout::{each, optional, share},
};
use crate::{
    ramp::{Action, Freeze, GuardPlan, Plan, Step, Window, calendar::Day},
    share::Share,
    stats::guard::Harm,
};

const LASTING: &str = "how long in quotes, such as \"30m\"";
const TIME: &str = "a time of day in quotes, such as \"09:00\"";

pub(super) fn plan(walk: &mut Walk, here: &Here<'_>) -> Option<Plan> {
    let mut table = walk.table(here, "a ramp with `[[rule.ramp.step]]` tables")?;
    let steps = table.need(walk, "step", "what it grows by, one table for each step");
    let steps = steps.map(|at| each(walk, &at, "`[[rule.ramp.step]]` tables", step).0);
    let guards = table.get("guard").map(|at| guards(walk, &at));
    let alpha = table.get("alpha").map(|at| share(walk, &at));
    let windows = table.get("window");
    let windows = windows.map(|at| each(walk, &at, "`[[rule.ramp.window]]` tables", window).0);
    let freezes = table.get("freeze");
    let freezes = freezes.map(|at| each(walk, &at, "`[[rule.ramp.freeze]]` tables", freeze).0);
    let offset = table.get("offset");
    let offset = offset.map(|at| walk.read(&at, "an offset in quotes, such as \"+08:00\""));
    let dry_run = table.get("dry_run").map(|at| walk.flag(&at));
    table.finish(walk);
    Some(Plan {
        steps: steps?,
        guards: guards.unwrap_or_default(),
        alpha: optional(alpha)?.or(Share::percent(5))?,
        windows: windows.unwrap_or_default(),
        freezes: freezes.unwrap_or_default(),
        offset: optional(offset)?.unwrap_or_default(),
        dry_run: optional(dry_run)?.unwrap_or(false),
    })
}

fn guards(walk: &mut Walk, here: &Here<'_>) -> Vec<GuardPlan> {
    each(walk, here, "`guard` tables", guard).0
}

fn step(walk: &mut Walk, here: &Here<'_>) -> Option<Step> {
    let mut table = walk.table(here, "a step with `share`")?;
    let taken = table.need(walk, "share", "how much of its audience the rule takes");
    let taken = taken.and_then(|at| share(walk, &at));
    let hold = table.get("hold").map(|at| walk.read(&at, LASTING));
    let units = table.get("units").map(|at| units(walk, &at));
    let approval = table.get("approval").map(|at| walk.flag(&at));
    let guards = table.get("guard").map(|at| guards(walk, &at));
    table.finish(walk);
    Some(Step {
        share: taken?,
        hold: optional(hold)?.unwrap_or_default(),
        units: optional(units)?.unwrap_or(0),
        approval: optional(approval)?.unwrap_or(false),
        guards: guards.unwrap_or_default(),
    })
}

fn units(walk: &mut Walk, here: &Here<'_>) -> Option<u64> {
    let units = walk.whole(here)?;
    let fits = u64::try_from(units).ok();
    if fits.is_none() {
        walk.refuse(
            here,
            "is no number of units",
            "write a whole number from 0 on",
        );
    }
    fits
}

fn guard(walk: &mut Walk, here: &Here<'_>) -> Option<GuardPlan> {
    let mut table = walk.table(here, "a guard with `measure` and `action`")?;
    let measure = table
        .need(walk, "measure", "what devices report, such as \"crashed\"")
        .and_then(|at| walk.read(&at, "the name of a measure in quotes"));
    let harm = table
        .get("harm")
        .map(|at| word(walk, &at, &[("more", Harm::More), ("less", Harm::Less)]));
    let tolerated = table.get("tolerated").map(|at| share(walk, &at));
    let margin = table.get("margin").map(|at| share(walk, &at));
    let action = table
        .need(walk, "action", "what happens when harm is shown")
        .and_then(|at| {
            let known = [Action::Note, Action::Hold, Action::RollBack, Action::Kill];
            word(walk, &at, &known.map(|action| (action.word(), action)))
        });
    table.finish(walk);
    Some(GuardPlan {
        measure: measure?,
        harm: optional(harm)?.unwrap_or(Harm::More),
        tolerated: optional(tolerated)?.unwrap_or(Share::NONE),
        margin: optional(margin)?,
        action: action?,
    })
}

/// One of a few words.
fn word<T: Copy>(walk: &mut Walk, here: &Here<'_>, known: &[(&str, T)]) -> Option<T> {
    let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
    let help = format!("one of {} in quotes", words.join(", "));
    let text = walk.text(here, &help)?;
    let found = known.iter().find(|(word, _)| *word == text);
    if found.is_none() {
        walk.refuse(here, "is not known here", format!("write {help}"));
    }
    found.map(|(_, value)| *value)
}

fn window(walk: &mut Walk, here: &Here<'_>) -> Option<Window> {
    let mut table = walk.table(here, "a window with `from` and `to`")?;
    let days = table.get("days").map(|at| days(walk, &at));
    let from = table.need(walk, "from", "when it opens");
    let from = from.and_then(|at| walk.read(&at, TIME));
    let to = table.need(walk, "to", "when it closes");
    let to = to.and_then(|at| walk.read(&at, TIME));
    table.finish(walk);
    Some(Window {
        days: optional(days)?.unwrap_or_default(),
        from: from?,
        to: to?,
    })
}

fn days(walk: &mut Walk, here: &Here<'_>) -> Option<std::collections::BTreeSet<Day>> {
    if matches!(&here.node.value, Value::List(items) if items.is_empty()) {
        return Some(Default::default());
    }
    let help = "a list of days, such as [\"mon\", \"tue\"]";
    let mut days = Some(std::collections::BTreeSet::new());
    for at in walk.list(here, help)? {
        let day = walk.text(&at, "a day, such as \"mon\"").and_then(|text| {
            let day = Day::named(text);
            if day.is_none() {
                walk.refuse(
                    &at,
                    "is no day",
                    "write mon, tue, wed, thu, fri, sat or sun",
                );
            }
            day
        });
        match (day, &mut days) {
            (Some(day), Some(days)) => {
                days.insert(day);
            }
            _ => days = None,
        }
    }
    days
}

fn freeze(walk: &mut Walk, here: &Here<'_>) -> Option<Freeze> {
    let mut table = walk.table(here, "a freeze with `from` and `to`")?;
    let from = table.need(walk, "from", "when it begins");
    let from = from.and_then(|at| walk.instant(&at));
    let to = table.need(walk, "to", "when it ends");
    let to = to.and_then(|at| walk.instant(&at));
    table.finish(walk);
    Some(Freeze {
        from: from?,
        to: to?,
    })
}
