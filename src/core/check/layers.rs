//! Checks of layers within one rollout: whole slots, none twice, none too many.
//!
//! What other apps own of a layer is `slots_assign`'s matter: it gives the slots.

use std::collections::BTreeMap;

use super::Checker;
use crate::{limits::LAYER_SLOTS, name::LayerName, share::Share, slots::Slots};

/// What is spoken for in one layer so far.
#[derive(Default)]
struct Booked {
    count: usize,
    slots: Vec<(String, Slots)>,
}

impl Checker<'_> {
    pub(super) fn layers(&mut self) {
        let rollout = self.rollout;
        let mut layers: BTreeMap<&LayerName, Booked> = BTreeMap::new();
        for (index, holdout) in rollout.holdouts.iter().enumerate() {
            let booked = layers.entry(&holdout.layer).or_default();
            let at = self.holdout(index);
            self.book(
                booked,
                (&at, "a holdout"),
                &holdout.layer,
                holdout.share,
                &holdout.slots,
            );
        }
        for (index, rule) in rollout.rules.iter().enumerate() {
            let at = self.rule(index);
            let Some(layer) = &rule.layer else {
                if !rule.slots.is_empty() {
                    let help = "name the `layer` they belong to, or leave them out";
                    self.error(
                        format!("{at}/slots"),
                        &rule.slots,
                        "stands without a layer",
                        help,
                    );
                }
                continue;
            };
            if let Some(salt) = &rule.salt {
                let message = "is a salt beside a layer, whose name is the salt already";
                self.error(
                    format!("{at}/salt"),
                    salt,
                    message,
                    "leave out `salt` or `layer`",
                );
            }
            let booked = layers.entry(layer).or_default();
            let who = format!("rule `{}`", rule.name);
            self.book(booked, (&at, &who), layer, rule.share, &rule.slots);
        }
    }

    fn book(
        &mut self,
        booked: &mut Booked,
        (at, who): (&str, &str),
        layer: &LayerName,
        share: Share,
        slots: &Slots,
    ) {
        let Some(count) = Slots::count_of(share) else {
            let message = "is not a whole number of slots of 0.01%";
            let help = "round the share of a layer to two decimals";
            self.error(format!("{at}/share"), share, message, help);
            return;
        };
        let room = usize::from(LAYER_SLOTS) - booked.count;
        if count > room {
            let left = percent(room);
            let message = format!("is more than the {left} left of layer `{layer}`");
            let help = "lower it, or lower another share of the layer";
            self.error(format!("{at}/share"), share, message, help);
        }
        booked.count += count.min(room);
        if slots.is_empty() {
            return;
        }
        if slots.len() != count {
            let message = format!("is {} slots, but {share} is {count}", slots.len());
            let help = "leave out `slots`, and huidu gives and takes them as the share moves";
            self.error(format!("{at}/slots"), slots, message, help);
        }
        let shared = booked
            .slots
            .iter()
            .find(|(_, other)| other.iter().any(|slot| slots.contains(slot)));
        if let Some((other, _)) = shared {
            let message = format!("shares slots of layer `{layer}` with {other}");
            let help = "leave out `slots`, and huidu gives each its own";
            self.error(format!("{at}/slots"), slots, message, help);
        }
        booked.slots.push((who.to_owned(), slots.clone()));
    }
}

/// A number of slots as the share it is.
pub(crate) fn percent(slots: usize) -> Share {
    let per_slot = Share::ALL.millionths() / u32::from(LAYER_SLOTS);
    u32::try_from(slots)
        .ok()
        .and_then(|slots| slots.checked_mul(per_slot))
        .and_then(Share::from_millionths)
        .unwrap_or(Share::ALL)
}
