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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rulefile::parse_toml;

    fn rollout(holdout: u32, shares: &[u32]) -> Rollout {
        let mut text = String::from("app = \"a/b\"\nhosts = [\"h\"]\nstable = \"1.0.0\"\n");
        let share = |slots: u32| Share::from_millionths(slots * 10_000).unwrap();
        text += &format!(
            "[[holdout]]\nlayer = \"l\"\nshare = \"{}\"\n",
            share(holdout)
        );
        for (index, slots) in shares.iter().enumerate() {
            let share = share(*slots);
            text += &format!(
                "[[rule]]\nname = \"r{index}\"\nlayer = \"l\"\nshare = \"{share}\"\nserve = \"1.0.0\"\n"
            );
        }
        parse_toml("t.toml", &text)
            .unwrap_or_else(|p| panic!("{p}"))
            .rollout
    }

    fn taken(slots: &str) -> BTreeMap<LayerName, Slots> {
        BTreeMap::from([("l".parse().unwrap(), slots.parse().unwrap())])
    }

    fn shown(rollout: &Rollout) -> Vec<String> {
        let ruled = rollout.rules.iter().map(|rule| rule.slots.to_string());
        rollout
            .holdouts
            .iter()
            .map(|h| h.slots.to_string())
            .chain(ruled)
            .collect()
    }

    #[test]
    fn shares_move_without_touching_others() {
        let none = BTreeMap::new();
        let first = assign(&rollout(10, &[20, 30]), None, &none).unwrap();
        assert_eq!(shown(&first), ["0-9", "10-29", "30-59"]);
        let grown = assign(&rollout(10, &[25, 30]), Some(&first), &none).unwrap();
        assert_eq!(shown(&grown), ["0-9", "10-29,60-64", "30-59"]);
        let shrunk = assign(&rollout(10, &[25, 10]), Some(&grown), &none).unwrap();
        assert_eq!(shown(&shrunk), ["0-9", "10-29,60-64", "30-39"]);
        let third = assign(&rollout(10, &[25, 10, 30]), Some(&shrunk), &none).unwrap();
        assert_eq!(
            shown(&third),
            ["0-9", "10-29,60-64", "30-39", "40-59,65-74"]
        );
        assert_eq!(assign(&third, Some(&third), &none), Ok(third.clone()));
    }

    #[test]
    fn what_others_own_is_left_to_them() {
        let given = assign(&rollout(0, &[5]), None, &taken("0-2,4")).unwrap();
        assert_eq!(shown(&given), ["", "3,5-8"]);
        let full = assign(&rollout(5, &[10]), None, &taken("0-9989")).unwrap_err();
        insta::assert_snapshot!(full[0], @"/rule/0/share: `0.1%` needs 10 more slots of layer `l`, where 5 of 10000 are free; ask for at most 0.05%, or free a part of the layer");
    }

    #[test]
    fn written_slots_are_taken_as_they_are_or_refused() {
        let mut asked = rollout(0, &[3, 3]);
        asked.rules[1].slots = "0-2".parse().unwrap();
        let given = assign(&asked, None, &BTreeMap::new()).unwrap();
        assert_eq!(shown(&given), ["", "3-5", "0-2"]);
        insta::assert_snapshot!(assign(&asked, None, &taken("2")).unwrap_err()[0], @"/rule/1/slots: `0-2` asks for 2 of layer `l`, which somebody else owns; leave out `slots`, and huidu gives free ones");
    }

    proptest! {
        #[test]
        fn nobody_keeps_or_loses_a_slot_beyond_what_its_share_demands(
            steps in proptest::collection::vec((0..1_500_u32, proptest::collection::vec(0..1_500_u32, 0..5)), 1..6),
            others in proptest::collection::btree_set(0..LAYER_SLOTS, 0..400),
        ) {
            let others = BTreeMap::from([("l".parse().unwrap(), Slots::from_slots(others))]);
            let mut previous: Option<Rollout> = None;
            for (holdout, shares) in steps {
                let asked = rollout(holdout, &shares);
                let given = assign(&asked, previous.as_ref(), &others).unwrap();
                let mut seen: BTreeSet<u16> = others.values().flat_map(Slots::iter).collect();
                for (_, slots) in given.owned_slots() {
                    for slot in slots.iter() {
                        prop_assert!(seen.insert(slot), "{} has two owners", slot);
                    }
                }
                for rule in &given.rules {
                    prop_assert_eq!(Some(rule.slots.len()), Slots::count_of(rule.share));
                    let had = previous.iter().flat_map(|p| &p.rules).find(|had| had.name == rule.name);
                    if let Some(had) = had {
                        let kept = rule.slots.iter().filter(|slot| had.slots.contains(*slot)).count();
                        prop_assert_eq!(kept, had.slots.len().min(rule.slots.len()));
                    }
                }
                previous = Some(given);
            }
        }
    }
}
