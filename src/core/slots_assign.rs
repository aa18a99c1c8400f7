//! Giving slots: every rule and holdout of a layer gets as many slots as its share is.
//!
//! Whoever owns slots keeps them: growing takes the lowest free slots, shrinking gives back the
//! highest-numbered own ones, and nobody else's slots are touched. So a share can move without moving
//! any unit that the move does not ask for. Written `slots` are taken as they are.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    check::{Finding, Severity, layers::percent},
    limits::LAYER_SLOTS,
    name::LayerName,
    rollout::Rollout,
    share::Share,
    slots::Slots,
};

/// One that owns slots: where it is written, of which layer, how many it asks for and what it has.
struct Owner {
    path: String,
    layer: LayerName,
    share: Share,
    wanted: usize,
    written: Slots,
    kept: BTreeSet<u16>,
}

/// The rollout with every slot given, where `taken` is what other apps own of each layer; or what
/// stands in the way. A share that was moved must come with its `slots` left out.
pub fn assign(
    rollout: &Rollout,
    previous: Option<&Rollout>,
    taken: &BTreeMap<LayerName, Slots>,
) -> Result<Rollout, Vec<Finding>> {
    let mut findings = Vec::new();
    let mut owners = owners(rollout, previous, &mut findings);
    let mut free: BTreeMap<LayerName, BTreeSet<u16>> = BTreeMap::new();
    for owner in &owners {
        let free_slots = || {
            let taken = taken.get(&owner.layer);
            let is_free = |slot: &u16| !taken.is_some_and(|taken| taken.contains(*slot));
            (0..LAYER_SLOTS).filter(is_free).collect()
        };
        free.entry(owner.layer.clone()).or_insert_with(free_slots);
    }
    for owner in &mut owners {
        let free = free.entry(owner.layer.clone()).or_default();
        take_written(owner, free, &mut findings);
    }
    for owner in &mut owners {
        let free = free.entry(owner.layer.clone()).or_default();
        owner
            .kept
            .retain(|slot| !owner.written.is_empty() || free.remove(slot));
    }
    for owner in &mut owners {
        let free = free.entry(owner.layer.clone()).or_default();
        grow(owner, free, &mut findings);
    }
    if findings.is_empty() {
        Ok(with_slots(rollout, owners))
    } else {
        Err(findings)
    }
}

/// Everyone that owns slots, holdouts first, each with what it keeps of what it had.
fn owners(
    rollout: &Rollout,
    previous: Option<&Rollout>,
    findings: &mut Vec<Finding>,
) -> Vec<Owner> {
    let mut owners = Vec::new();
    let mut push =
        |path: String, layer: &LayerName, share: Share, written: &Slots, had: Option<&Slots>| {
            let Some(wanted) = Slots::count_of(share) else {
                let message = "is not a whole number of slots of 0.01%";
                let help = "round the share of a layer to two decimals";
                findings.push(finding(
                    format!("{path}/share"),
                    share.to_string(),
                    message.into(),
                    help,
                ));
                return;
            };
            let kept = had.into_iter().flat_map(Slots::iter).take(wanted).collect();
            owners.push(Owner {
                path,
                layer: layer.clone(),
                share,
                wanted,
                written: written.clone(),
                kept,
            });
        };
    let mut seen: BTreeMap<&LayerName, usize> = BTreeMap::new();
    for (index, holdout) in rollout.holdouts.iter().enumerate() {
        // Holdouts have no names: the second one of a layer stays the second one.
        let nth = seen.entry(&holdout.layer).or_default();
        let had = previous.and_then(|previous| {
            let same = previous
                .holdouts
                .iter()
                .filter(|had| had.layer == holdout.layer);
            same.map(|had| &had.slots).nth(*nth)
        });
        *nth += 1;
        let path = format!("/holdout/{index}");
        push(path, &holdout.layer, holdout.share, &holdout.slots, had);
    }
    for (index, rule) in rollout.rules.iter().enumerate() {
        let Some(layer) = &rule.layer else { continue };
        let had = previous.and_then(|previous| {
            let mut rules = previous.rules.iter();
            let before =
                rules.find(|before| before.name == rule.name && before.layer == rule.layer)?;
            Some(&before.slots)
        });
        push(
            format!("/rule/{index}"),
            layer,
            rule.share,
            &rule.slots,
            had,
        );
    }
    owners
}

fn take_written(owner: &mut Owner, free: &mut BTreeSet<u16>, findings: &mut Vec<Finding>) {
    if owner.written.is_empty() {
        return;
    }
    owner.kept = owner.written.iter().collect();
    if owner.kept.len() != owner.wanted {
        let message = format!(
            "is {} slots, but {} is {}",
            owner.kept.len(),
            owner.share,
            owner.wanted
        );
        let help = "leave out `slots`, and huidu gives and takes them as the share moves";
        let path = format!("{}/slots", owner.path);
        findings.push(finding(path, owner.written.to_string(), message, help));
    }
    let gone: Vec<u16> = owner
        .kept
        .iter()
        .filter(|slot| !free.remove(slot))
        .copied()
        .collect();
    if !gone.is_empty() {
        let gone = Slots::from_slots(gone);
        let message = format!(
            "asks for {gone} of layer `{}`, which somebody else owns",
            owner.layer
        );
        let help = "leave out `slots`, and huidu gives free ones";
        let path = format!("{}/slots", owner.path);
        findings.push(finding(path, owner.written.to_string(), message, help));
    }
}

fn grow(owner: &mut Owner, free: &mut BTreeSet<u16>, findings: &mut Vec<Finding>) {
    let missing = owner.wanted.saturating_sub(owner.kept.len());
    if missing > free.len() {
        let could = percent(owner.kept.len() + free.len());
        let message = format!(
            "needs {missing} more slots of layer `{}`, where {} of {LAYER_SLOTS} are free",
            owner.layer,
            free.len()
        );
        let help = format!("ask for at most {could}, or free a part of the layer");
        let path = format!("{}/share", owner.path);
        findings.push(finding(path, owner.share.to_string(), message, &help));
        return;
    }
    for _ in 0..missing {
        owner.kept.extend(free.pop_first());
    }
}

fn with_slots(rollout: &Rollout, owners: Vec<Owner>) -> Rollout {
    let mut given = rollout.clone();
    let mut owned = owners
        .into_iter()
        .map(|owner| Slots::from_slots(owner.kept));
    for holdout in &mut given.holdouts {
        holdout.slots = owned.next().unwrap_or_default();
    }
    for rule in given.rules.iter_mut().filter(|rule| rule.layer.is_some()) {
        rule.slots = owned.next().unwrap_or_default();
    }
    given
}

fn finding(path: String, value: String, message: String, help: &str) -> Finding {
    Finding {
        path,
        value,
        message,
        help: help.to_owned(),
        severity: Severity::Error,
    }
}
