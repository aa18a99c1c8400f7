//! Checks of the versions a rollout names: each must be a listed version of the app that devices would run.
//!
//! A version that is delisted later is skipped at run time; writing it down is refused all the same,
//! because nobody means it.

use super::{Checker, World, child};
use crate::{
    catalogue::App,
    rollout::Serve,
    version::{Life, Number},
};

impl<'a> Checker<'a> {
    pub(super) fn versions(&mut self, world: &World<'_>) {
        let rollout = self.rollout;
        for (path, number) in self.named_versions() {
            if !number.build.is_empty() {
                let message = "carries build metadata, which has no order";
                let help = format!("leave out `+{}`", number.build);
                self.error(path, number, message, help);
            } else if let Some(app) = world.app
                && let Some((message, help)) = not_servable(app, number)
            {
                self.error(path, number, message, help);
            } else if let Some(why) = world.barred.and_then(|barred| barred.get(number)) {
                self.error(path, number, "would run on no device", why);
            }
        }
        let Some(app) = world.app else { return };
        if rollout.app != app.id {
            let message = format!("is not the app this rollout is put to, `{}`", app.id);
            self.error(
                "/app".to_owned(),
                &rollout.app,
                message,
                "put each rollout to its own app",
            );
        }
        if app.killed.is_some() {
            let message = "is killed as a whole, so no device gets any version";
            self.warn(
                "/app".to_owned(),
                &app.id,
                message,
                "take the kill back when it is over",
            );
        }
    }

    /// Every version with where it is written.
    fn named_versions(&self) -> Vec<(String, &'a Number)> {
        let rollout = self.rollout;
        let mut named = vec![("/stable".to_owned(), &rollout.stable)];
        let pins = rollout.pins.iter();
        named.extend(pins.map(|(unit, number)| (child("/pins", unit), number)));
        named.extend(
            rollout
                .floors
                .iter()
                .map(|number| ("/floors".to_owned(), number)),
        );
        for (index, rule) in rollout.rules.iter().enumerate() {
            let at = self.rule(index);
            match &rule.serve {
                Serve::One(arm) => named.push((format!("{at}/serve"), &arm.version)),
                Serve::Split(arms) => named.extend(
                    arms.iter()
                        .map(|(name, w)| (format!("{at}/split/{name}/serve"), &w.arm.version)),
                ),
            }
        }
        named
    }

    /// A device below a floor gets the floor first, so a floor above `stable` would lead it past it.
    pub(super) fn floors(&mut self) {
        let stable = &self.rollout.stable;
        for floor in &self.rollout.floors {
            if floor > stable {
                let path = "/floors".to_owned();
                let message = format!("is a floor above `stable` {stable}");
                let help = "name versions that every device passes on its way to `stable`";
                self.error(path, floor, message, help);
            }
        }
    }
}

/// Why a device could not be given `number`, and what to do.
fn not_servable(app: &App, number: &Number) -> Option<(String, String)> {
    let Some(version) = app.versions.get(number) else {
        let listed = app
            .versions
            .values()
            .filter(|version| version.life.is_listed());
        let newest: Vec<String> = listed
            .rev()
            .take(3)
            .map(|version| format!("`{}`", version.number))
            .collect();
        let help = if newest.is_empty() {
            "submit and list it first".to_owned()
        } else {
            format!(
                "submit and list it first, or take a listed one such as {}",
                newest.join(", ")
            )
        };
        return Some((format!("is not a version of `{}`", app.id), help));
    };
    let help = match &version.life {
        Life::Listed => return None,
        Life::Draft => "submit it, have it approved and list it first",
        Life::Submitted | Life::InReview => "have it approved and list it first",
        Life::Approved => "list it first",
        Life::Rejected { .. } => "submit the next number",
        Life::Delisted { killed: true, .. } => "take the kill back first, or serve another version",
        Life::Delisted { .. } => "list it again, or serve another version",
    };
    Some((
        format!("is {}, not listed", version.life.word()),
        help.to_owned(),
    ))
}
