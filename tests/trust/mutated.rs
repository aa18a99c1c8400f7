//! The property behind the rule: whatever counts could have been asked for.
//!
//! Every field of every event of a long honest history is changed, dropped or doubled, and every change that still
//! counts must be explained by a command: the one that was asked for, changed in the same way. The explanation
//! is made from what was asked for, which the rule never sees, so rule and test cannot share a mistake.

use std::collections::{BTreeMap, BTreeSet};

use huidu_core::{
    authority::authorise,
    catalogue::Catalogue,
    command::Command,
    credential::Expiry,
    decide::decide,
    event::{Actor, Event},
    revision::Revision,
    time::Timestamp,
    validity,
};
use serde_json::{Value, json};

use crate::{history::history, world::Step};

/// Other values of one field that are tried.
const OTHERS: usize = 5;

/// Where a value stands in a document.
type Path = Vec<Value>;

/// Who says what counts.
type Judge = fn(&Catalogue, Timestamp, &Actor, &[Event]) -> bool;

fn at<'a>(document: &'a mut Value, path: &[Value]) -> &'a mut Value {
    path.iter().fold(document, |value, step| match step {
        Value::String(name) => &mut value[name.as_str()],
        step => &mut value[usize::try_from(step.as_u64().unwrap()).unwrap()],
    })
}

fn leaves(value: &Value, path: &mut Path, all: &mut Vec<Path>) {
    let mut below = |step: Value, value: &Value| {
        path.push(step);
        leaves(value, path, all);
        path.pop();
    };
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, value)| below(json!(name), value)),
        Value::Array(list) => {
            (list.iter().enumerate()).for_each(|(n, value)| below(json!(n), value));
        }
        _ => {}
    }
    if !path.is_empty() {
        all.push(path.clone());
    }
}

fn name(path: &[Value]) -> String {
    let named = path.iter().rev().find_map(Value::as_str);
    named.unwrap_or_default().to_owned()
}

/// Every value that a field of this name has anywhere.
fn pool(steps: &[Step]) -> BTreeMap<String, BTreeSet<String>> {
    let mut pool: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for step in steps {
        let mut events = json!(step.events);
        let mut all = Vec::new();
        leaves(&events, &mut Vec::new(), &mut all);
        for path in all {
            let value = at(&mut events, &path);
            if !value.is_object() && !value.is_array() {
                pool.entry(name(&path))
                    .or_default()
                    .insert(value.to_string());
            }
        }
    }
    pool
}

/// What a value may be changed to; nothing stands for taking it away.
fn others(is: &Value, pool: Option<&BTreeSet<String>>) -> Vec<Option<Value>> {
    let mut all: Vec<Option<Value>> = vec![None];
    match is {
        Value::Bool(flag) => all.push(Some(json!(!flag))),
        Value::Number(number) => {
            let number = number.as_u64().unwrap_or_default();
            all.extend([0, 1, number + 1, 1 << 40].map(|other| Some(json!(other))));
        }
        Value::String(text) => {
            all.push(Some(json!(format!("{text}x"))));
            all.push(Some(json!("")));
        }
        Value::Array(list) => {
            let doubled = [list.as_slice(), list.as_slice()].concat();
            all.extend([json!([]), json!(doubled)].map(Some));
        }
        _ => {}
    }
    let known = pool.into_iter().flatten();
    let now = is.to_string();
    let known: Vec<&String> = known.filter(|other| **other != now).collect();
    let step = known.len().div_ceil(OTHERS).max(1);
    all.extend(
        known
            .into_iter()
            .step_by(step)
            .map(|text| serde_json::from_str(text).ok()),
    );
    all
}

/// The document with the value at `path` changed, or taken away.
fn changed(document: &Value, path: &[Value], to: Option<&Value>) -> Value {
    let mut document = document.clone();
    match to {
        Some(to) => *at(&mut document, path) = to.clone(),
        None => {
            let (last, above) = path.split_last().unwrap();
            match (at(&mut document, above), last) {
                (Value::Object(fields), Value::String(name)) => {
                    fields.remove(name);
                }
                (Value::Array(list), step) => {
                    list.remove(usize::try_from(step.as_u64().unwrap()).unwrap());
                }
                _ => {}
            }
        }
    }
    document
}

/// The command with `from` made `to`, in one place or in all of them, whatever it is called there.
fn replaced(command: &Value, from: &Value, to: Option<&Value>) -> Vec<Value> {
    let mut all = Vec::new();
    leaves(command, &mut Vec::new(), &mut all);
    let mut document = command.clone();
    all.retain(|path| at(&mut document, path) == from);
    // What is left out of an event is empty in a command.
    let empty = [json!(null), json!(false), json!([]), json!("")];
    let tos: Vec<Option<&Value>> = match to {
        Some(to) => vec![Some(to)],
        None => std::iter::once(None)
            .chain(empty.iter().map(Some))
            .collect(),
    };
    let mut commands = Vec::new();
    for to in tos {
        commands.extend(all.iter().map(|path| changed(command, path, to)));
        let everywhere = (all.iter().rev()).fold(command.clone(), |document, path| {
            changed(&document, path, to)
        });
        commands.push(everywhere);
    }
    commands
}

fn decided(
    catalogue: &Catalogue,
    step: &Step,
    actor: &Actor,
    command: Command,
) -> Option<Vec<Event>> {
    let by_node = actor.id == validity::NODE;
    let for_nodes = matches!(
        command,
        Command::Found { .. } | Command::EnactProposal { .. }
    );
    if by_node != for_nodes || (!by_node && !catalogue.knows(actor, step.at)) {
        return None;
    }
    let authorised = authorise(command, actor, catalogue, step.at).ok()?;
    decide(catalogue, &authorised.at(step.enact_at), step.at).ok()
}

/// Whether some command that is like the one that was asked for leads to exactly these events.
fn is_explained(
    catalogue: &Catalogue,
    step: &Step,
    actor: &Actor,
    events: &[Event],
    change: Option<(&Value, Option<&Value>)>,
) -> bool {
    let asked = json!(step.command);
    let mut commands = vec![asked.clone()];
    if let Some((from, to)) = change {
        commands.extend(replaced(&asked, from, to));
    }
    let mut commands: Vec<Command> = (commands.into_iter())
        .filter_map(|command| serde_json::from_value(command).ok())
        .collect();
    for command in commands.clone() {
        if let Command::SetShare { app, rule, share } = command {
            commands.push(Command::LowerShare { app, rule, share });
        } else if let Command::LowerShare { app, rule, share } = command {
            commands.push(Command::SetShare { app, rule, share });
        }
    }
    // A credential may be asked for until any time, which is not called so in the command.
    let ends = events.iter().find_map(|event| match event {
        Event::TokenAdded { expires, .. } => *expires,
        _ => None,
    });
    for mut command in commands.clone() {
        if let (Command::AddToken { expires, .. }, Some(at)) = (&mut command, ends) {
            *expires = Expiry::At(at);
            commands.push(command);
        }
    }
    for mut command in commands.clone() {
        if let Command::Approve { withheld, .. } = &mut command {
            *withheld = None;
            commands.push(command);
        }
    }
    match events {
        // Slots may be asked for by number.
        [Event::RolloutPut { rollout }] => commands.push(Command::PutRollout {
            rollout: rollout.clone(),
        }),
        // Whoever signs for a version may have collected any signatures that count.
        [
            Event::ReleaseSigned {
                app,
                version,
                release,
            },
        ] => commands.push(Command::SignRelease {
            app: app.clone(),
            version: version.clone(),
            signed: release.clone(),
        }),
        // A part of what happened may have been all of it.
        [Event::TenantAdded { tenant, title }] => commands.push(Command::AddTenant {
            tenant: tenant.clone(),
            title: title.clone(),
        }),
        [Event::TokenRevoked { id }] => commands.push(Command::RevokeToken { id: id.clone() }),
        [Event::PreviewRemoved { app, version, id }] => commands.push(Command::RemovePreview {
            app: app.clone(),
            version: version.clone(),
            id: *id,
        }),
        [Event::ReviewBegun { app, version, .. }] => commands.push(Command::BeginReview {
            app: app.clone(),
            version: version.clone(),
        }),
        _ => {}
    }
    let told = |right: &[Event]| match (right, events) {
        // Why something failed is told in the words of the day.
        ([Event::ProposalFailed { id, .. }], [Event::ProposalFailed { id: other, .. }]) => {
            id == other
        }
        _ => right == events,
    };
    let mut commands = commands.into_iter();
    commands
        .any(|command| decided(catalogue, step, actor, command).is_some_and(|right| told(&right)))
}

/// How many changes were tried, how many of them count, and those that nothing explains.
#[derive(Default)]
struct Tally {
    tried: usize,
    count: usize,
    unexplained: Vec<String>,
}

impl Tally {
    fn hold(
        &mut self,
        judge: Judge,
        (catalogue, step): (&Catalogue, &Step),
        actor: &Actor,
        document: Value,
        change: Option<(&Value, Option<&Value>)>,
        name: &str,
    ) {
        let Ok(events) = serde_json::from_value::<Vec<Event>>(document) else {
            return;
        };
        if events.is_empty() || (events == step.events && *actor == step.actor) {
            return;
        }
        self.tried += 1;
        if judge(catalogue, step.at, actor, &events) {
            self.count += 1;
            if !is_explained(catalogue, step, actor, &events, change) {
                let number = catalogue.revision.get() + 1;
                self.unexplained
                    .push(format!("record {number}: {name} {change:?}"));
            }
        }
    }
}

/// Changes everything there is, one thing at a time.
fn search(judge: Judge) -> Tally {
    let steps = history().log;
    let pool = pool(&steps);
    let actors: BTreeMap<String, Actor> = (steps.iter())
        .map(|step| (step.actor.id.clone(), step.actor.clone()))
        .collect();
    let (mut catalogue, mut tally) = (Catalogue::default(), Tally::default());
    for (n, step) in steps.iter().enumerate() {
        let document = json!(step.events);
        let here = (&catalogue, step);
        let mut all = Vec::new();
        leaves(&document, &mut Vec::new(), &mut all);
        for path in &all {
            let is = at(&mut document.clone(), path).clone();
            for to in others(&is, pool.get(&name(path))) {
                let other = changed(&document, path, to.as_ref());
                let change = Some((&is, to.as_ref()));
                tally.hold(
                    judge,
                    here,
                    &step.actor,
                    other,
                    change,
                    &format!("{path:?}"),
                );
            }
        }
        for actor in actors.values() {
            tally.hold(
                judge,
                here,
                actor,
                document.clone(),
                None,
                &format!("by {}", actor.id),
            );
        }
        // With an event of somewhere else behind it, and in front of it.
        let foreign = &steps[(n * 7 + 3) % steps.len()].events;
        for (name, events) in [
            ("and more", [step.events.as_slice(), foreign].concat()),
            ("after more", [foreign, step.events.as_slice()].concat()),
        ] {
            tally.hold(judge, here, &step.actor, json!(events), None, name);
        }
        let revision = Revision::new(catalogue.revision.get() + 1);
        catalogue.apply(revision, step.at, &step.events);
    }
    tally
}

#[test]
fn whatever_counts_could_have_been_asked_for() {
    let tally = search(|catalogue, at, actor, events| {
        validity::check(catalogue, at, actor, events).is_ok()
    });
    println!(
        "{} changed records, {} of them count, {} unexplained",
        tally.tried,
        tally.count,
        tally.unexplained.len()
    );
    let first: Vec<&String> = tally.unexplained.iter().take(20).collect();
    assert_eq!(first, Vec::<&String>::new());
    assert!(tally.tried > 3_000, "{}", tally.tried);
    // The search would prove nothing if everything were refused.
    assert!(tally.count > 100, "{}", tally.count);
}

/// Deciding left out: whoever is known and has done something like it may.
#[test]
fn the_search_notices_a_rule_that_does_not_decide_again() {
    let tally =
        search(|catalogue, at, actor, _| actor.id == validity::NODE || catalogue.knows(actor, at));
    println!(
        "{} changed records, {} unexplained",
        tally.tried,
        tally.unexplained.len()
    );
    assert!(
        tally.unexplained.len() > 1_000,
        "{}",
        tally.unexplained.len()
    );
}
