//! Reading a rollout: its own keys, holdouts, rules, splits and parameters.

use std::collections::{BTreeMap, BTreeSet};

use super::{Here, Table, Walk, audience::audience, node::Value};
use crate::{
    bucket::Bucketing,
    check::Numbering,
    name::{ArmName, ParamName},
    rollout::{Arm, Holdout, Param, Rollout, Rule, Serve, Weighted},
    share::Share,
    slots::Slots,
    version::Number,
};

/// The readable part of a rollout with the written numbers of what is left, when its head is readable.
/// Whatever is missing was written down.
pub(super) fn rollout(walk: &mut Walk, here: &Here<'_>) -> Option<(Rollout, Numbering)> {
    let mut table = walk.table(here, "a rollout with `app`, `hosts`, `stable` and rules")?;
    let app = table
        .need(walk, "app", "`\"tenant/app\"`")
        .and_then(|at| walk.read(&at, "`tenant/app` in quotes"));
    let hosts = table
        .need(
            walk,
            "hosts",
            "the bank apps that show it, such as `[\"retail-bank\"]`",
        )
        .and_then(|at| hosts(walk, &at));
    let stable = table
        .need(
            walk,
            "stable",
            "the version every device gets when no rule takes it",
        )
        .and_then(|at| walk.number(&at));
    let bucketing = match table.get("bucketing") {
        Some(at) => bucketing(walk, &at),
        None => Some(Bucketing::default()),
    };
    let salt = table.get("salt").and_then(|at| walk.read(&at, SALT));
    let pins = table
        .get("pins")
        .map(|at| pins(walk, &at))
        .unwrap_or_default();
    let floors = table
        .get("floors")
        .map(|at| floors(walk, &at))
        .unwrap_or_default();
    let (holdouts, holdout_numbers) = table
        .get("holdout")
        .map(|at| each(walk, &at, "`[[holdout]]` tables", holdout))
        .unwrap_or_default();
    let (rules, rule_numbers) = table
        .get("rule")
        .map(|at| each(walk, &at, "`[[rule]]` tables", rule))
        .unwrap_or_default();
    table.finish(walk);
    let rollout = Rollout {
        app: app?,
        hosts: hosts?,
        stable: stable?,
        bucketing: bucketing?,
        salt,
        pins,
        floors,
        holdouts,
        rules,
    };
    let numbering = Numbering {
        rules: rule_numbers,
        holdouts: holdout_numbers,
    };
    Some((rollout, numbering))
}

const SALT: &str = "text in quotes without `:`";
const SHARE: &str = "a percentage in quotes, such as \"5%\" or \"0.000001%\"";
const SLOTS: &str = "rising ranges in quotes, such as \"0-499,700\"";

/// What could be read of a list of tables, with the number each was written at.
pub(super) fn each<T>(
    walk: &mut Walk,
    here: &Here<'_>,
    what: &str,
    read: impl Fn(&mut Walk, &Here<'_>) -> Option<T>,
) -> (Vec<T>, Vec<usize>) {
    // An empty list of rules is what JSON writers say for none; it means nothing else.
    if matches!(&here.node.value, Value::List(items) if items.is_empty()) {
        return Default::default();
    }
    let items = walk.list(here, what).unwrap_or_default();
    items
        .iter()
        .enumerate()
        .filter_map(|(number, at)| Some((read(walk, at)?, number)))
        .unzip()
}

/// The members of a list, each of which may stand there once.
fn distinct<T: Ord>(
    walk: &mut Walk,
    here: &Here<'_>,
    what: &str,
    read: impl Fn(&mut Walk, &Here<'_>) -> Option<T>,
) -> Option<BTreeSet<T>> {
    let mut set = BTreeSet::new();
    for at in walk.list(here, what)? {
        if let Some(member) = read(walk, &at)
            && !set.insert(member)
        {
            walk.refuse(&at, "stands in the list already", "take one of the two out");
        }
    }
    Some(set)
}

fn hosts(walk: &mut Walk, here: &Here<'_>) -> Option<BTreeSet<crate::name::HostId>> {
    if matches!(&here.node.value, Value::List(items) if items.is_empty()) {
        walk.refuse(here, "names no host", "name at least one bank app");
        return None;
    }
    distinct(
        walk,
        here,
        "a list of bank apps, such as [\"retail-bank\"]",
        |walk, at| walk.read(at, "the name of a bank app in quotes"),
    )
    .filter(|hosts| !hosts.is_empty())
}

fn floors(walk: &mut Walk, here: &Here<'_>) -> BTreeSet<Number> {
    distinct(
        walk,
        here,
        "a list of versions, such as [\"2.0.0\"]",
        Walk::number,
    )
    .unwrap_or_default()
}

fn bucketing(walk: &mut Walk, here: &Here<'_>) -> Option<Bucketing> {
    let name = Bucketing::Huidu1.name();
    let text = walk.text(here, "\"huidu/1\"")?;
    if text == name {
        return Some(Bucketing::Huidu1);
    }
    let help = format!("write \"{name}\", or leave it out");
    walk.refuse(here, "is not a bucketing this version knows", help);
    None
}

fn pins(walk: &mut Walk, here: &Here<'_>) -> BTreeMap<String, Number> {
    let pins = walk.keyed::<String>(here, "a table of units and versions");
    let mut read = BTreeMap::new();
    for (unit, at) in pins {
        let number = walk.number(&at);
        // A unit that is none is told by the checks, once the rollout stands.
        if let (Some(unit), Some(number)) = (unit, number) {
            read.insert(unit, number);
        }
    }
    read
}

fn holdout(walk: &mut Walk, here: &Here<'_>) -> Option<Holdout> {
    let mut table = walk.table(here, "a holdout with `layer` and `share`")?;
    let layer = table
        .need(walk, "layer", "the layer it holds a part of")
        .and_then(|at| walk.read(&at, "the name of a layer in quotes"));
    let share = table
        .need(
            walk,
            "share",
            "how much of the layer it holds, such as \"5%\"",
        )
        .and_then(|at| share(walk, &at));
    let slots = table.get("slots").map(|at| walk.read(&at, SLOTS));
    table.finish(walk);
    Some(Holdout {
        layer: layer?,
        share: share?,
        slots: optional(slots)?.unwrap_or_default(),
    })
}

pub(super) fn share(walk: &mut Walk, here: &Here<'_>) -> Option<Share> {
    let text = match &here.node.value {
        Value::Whole(number) => number.to_string(),
        Value::Other { text, .. } if text.parse::<f64>().is_ok() => text.clone(),
        _ => return walk.read(here, SHARE),
    };
    let meant = format!("{text}%");
    let help = match meant.parse::<Share>() {
        Ok(_) => format!("write it in quotes with a percent sign: \"{meant}\""),
        Err(_) => format!("write {SHARE}"),
    };
    walk.refuse(here, "is not a share", help);
    None
}

/// A field that may be left out, but not be wrong: nothing when it was wrong.
pub(super) fn optional<T>(field: Option<Option<T>>) -> Option<Option<T>> {
    match field {
        Some(read) => read.map(Some),
        None => Some(None),
    }
}

fn rule(walk: &mut Walk, here: &Here<'_>) -> Option<Rule> {
    let mut table = walk.table(here, "a rule with `name` and `serve` or `split`")?;
    let name = table
        .need(
            walk,
            "name",
            "a name of its own, because it is the rule's salt",
        )
        .and_then(|at| walk.read(&at, "a name in quotes, such as \"ramp-2.4\""));
    let when = table.get("when").map(|at| audience(walk, &at));
    let share = table.get("share").map(|at| share(walk, &at));
    let layer = table.get("layer");
    let layer = layer.map(|at| walk.read(&at, "the name of a layer in quotes"));
    let slots: Option<Option<Slots>> = table.get("slots").map(|at| walk.read(&at, SLOTS));
    let salt = table.get("salt").map(|at| walk.read(&at, SALT));
    let start = table.get("start").map(|at| walk.instant(&at));
    let end = table.get("end").map(|at| walk.instant(&at));
    let paused = table.get("paused").map(|at| walk.flag(&at));
    let force = table.get("force").map(|at| walk.flag(&at));
    let ramp = table.get("ramp").map(|at| super::ramp::plan(walk, &at));
    let serve = serve(walk, &mut table);
    table.finish(walk);
    let ramp = optional(ramp)?;
    Some(Rule {
        name: name?,
        when: optional(when)?.unwrap_or_default(),
        // What a ramp takes is given by huidu; until it is, the rule takes what the first step does.
        share: match (optional(share)?, &ramp) {
            (Some(share), _) => share,
            (None, Some(plan)) => plan.first(),
            (None, None) => Share::ALL,
        },
        layer: optional(layer)?,
        slots: optional(slots)?.unwrap_or_default(),
        salt: optional(salt)?,
        start: optional(start)?,
        end: optional(end)?,
        paused: optional(paused)?.unwrap_or(false),
        force: optional(force)?.unwrap_or(false),
        ramp: ramp.map(Box::new),
        serve: serve?,
    })
}

/// `serve` with `params`, or `split`.
fn serve(walk: &mut Walk, table: &mut Table<'_>) -> Option<Serve> {
    let (serve, given, split) = (table.get("serve"), table.get("params"), table.get("split"));
    let one = serve.as_ref().map(|at| walk.number(at));
    let params = given.as_ref().map(|at| params(walk, at));
    let arms = split.as_ref().map(|at| arms(walk, at));
    if let (Some(given), Some(_)) = (&given, &split) {
        let help = "give each arm its own `params`";
        walk.refuse(given, "stands beside `split`", help);
    }
    match (one, arms) {
        (Some(number), None) => Some(Serve::One(Arm {
            version: number?,
            params: optional(params)?.unwrap_or_default(),
        })),
        (None, Some(arms)) => Some(Serve::Split(arms?)),
        (Some(_), Some(_)) => {
            let at = split.as_ref().or(serve.as_ref())?;
            walk.refuse(
                at,
                "is a split beside `serve`",
                "keep one of `serve` and `split`",
            );
            None
        }
        (None, None) => {
            let here = table.here().clone();
            let help = "add `serve = \"…\"` with a version, or `split` with arms";
            walk.refuse(&here, "serves nothing", help);
            None
        }
    }
}

fn arms(walk: &mut Walk, here: &Here<'_>) -> Option<BTreeMap<ArmName, Weighted>> {
    let written = walk.keyed::<ArmName>(here, "a table of arms");
    if written.is_empty() {
        if matches!(here.node.value, Value::Table(_)) {
            walk.refuse(here, "is a split without arms", "name at least one arm");
        }
        return None;
    }
    let mut read = Some(BTreeMap::new());
    for (name, at) in written {
        match (name, weighted(walk, &at), &mut read) {
            (Some(name), Some(arm), Some(read)) => {
                read.insert(name, arm);
            }
            _ => read = None,
        }
    }
    read
}

fn weighted(walk: &mut Walk, here: &Here<'_>) -> Option<Weighted> {
    let mut table = walk.table(here, "an arm with `serve` and `weight`")?;
    let version = table
        .need(walk, "serve", "the version this arm serves")
        .and_then(|at| walk.number(&at));
    let weight = table
        .need(walk, "weight", "its part among the weights of all arms")
        .and_then(|at| weight(walk, &at));
    let params = table.get("params").map(|at| params(walk, &at));
    table.finish(walk);
    Some(Weighted {
        weight: weight?,
        arm: Arm {
            version: version?,
            params: optional(params)?.unwrap_or_default(),
        },
    })
}

fn weight(walk: &mut Walk, here: &Here<'_>) -> Option<u32> {
    let weight = walk.whole(here)?;
    let fits = u32::try_from(weight).ok();
    if fits.is_none() {
        walk.refuse(
            here,
            "is not a weight",
            "write a whole number from 0 to 10000",
        );
    }
    fits
}

fn params(walk: &mut Walk, here: &Here<'_>) -> Option<BTreeMap<ParamName, Param>> {
    let written = walk.keyed::<ParamName>(here, "a table of parameters");
    let mut read = Some(BTreeMap::new());
    if !matches!(here.node.value, Value::Table(_)) {
        read = None;
    }
    for (name, at) in written {
        match (name, param(walk, &at), &mut read) {
            (Some(name), Some(param), Some(read)) => {
                read.insert(name, param);
            }
            _ => read = None,
        }
    }
    read
}

fn param(walk: &mut Walk, here: &Here<'_>) -> Option<Param> {
    match &here.node.value {
        Value::Text(text) => Some(Param::Text(text.clone())),
        Value::Whole(number) => Some(Param::Number(*number)),
        Value::Flag(flag) => Some(Param::Flag(*flag)),
        _ => {
            walk.wrong_type(here, "text in quotes, a whole number, `true` or `false`");
            None
        }
    }
}
