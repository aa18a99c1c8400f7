//! Ramps: every few seconds each node asks what follows for each of them, and writes it down.
//!
//! All nodes do, at moments of their own, and nobody is chosen: what is written names the moment it was decided for, so the
//! first counts and the others are refused or find it done. What cannot be written is found again at the next look.

use std::time::Duration;

use huidu_core::{authority::Role, command::Command, event::Actor, ramp::Act};
use tokio::time::Instant;

use super::Engine;
use crate::{
    clock::derived_op,
    node::{
        SELF, ramps,
        write::{Change, WriteError},
    },
};

/// Between two looks, at least, and over how much more they spread: at most four seconds.
const BETWEEN: Duration = Duration::from_secs(2);

/// The moment of the next look.
pub(super) fn next_look() -> Instant {
    Instant::now() + BETWEEN.mul_f64(1.0 + fastrand::f64())
}

impl Engine {
    /// Lets happen to every ramp what follows now.
    pub(super) async fn decide_ramps(&mut self) {
        let now = self.parts.clock.now();
        let (due, census) = {
            let catalogue = self.shared.catalogue.read();
            let counts = self.shared.step_counts.get();
            ramps::due(&catalogue, counts.map(|counts| &**counts), now)
        };
        let metrics = &self.parts.metrics;
        for (phase, count) in [("running", census.running), ("held", census.held)] {
            metrics.ramps.with_label_values(&[phase]).set(count);
        }
        metrics.ramps_blind.set(census.blind);
        metrics.ramps_skewed.set(census.skewed);
        for (verdict, count) in ramps::VERDICTS.into_iter().zip(census.verdicts) {
            let says = metrics.ramp_verdicts.with_label_values(&[verdict.word()]);
            says.set(count);
        }
        for command in due {
            self.decide_ramp(command).await;
        }
    }

    async fn decide_ramp(&mut self, command: Command) {
        let Command::DecideRamp {
            app,
            rule,
            from,
            act,
            ..
        } = &command
        else {
            return;
        };
        let (app, rule, act) = (app.clone(), rule.clone(), act.clone());
        let moment = from.get().to_string();
        let op = [
            "huidu ramp",
            app.as_str(),
            rule.as_str(),
            &moment,
            act.word(),
        ];
        let change = Change {
            actor: Actor {
                id: SELF.into(),
                role: Role::Admin,
            },
            op: derived_op(&op),
            command,
            expected: None,
            enact_at: None,
            why: None,
            patience: self.parts.settings.tick,
        };
        let by = Instant::now() + self.parts.settings.tick;
        match self.write(change, by).await {
            Ok(written) if !written.repeated => {
                let acts = &self.parts.metrics.ramp_acts;
                acts.with_label_values(&[act.word()]).inc();
                if !matches!(act, Act::Advance | Act::Finish) {
                    tracing::warn!(app = %app, rule = %rule, act = act.word(), revision = %written.revision, "a ramp was acted upon");
                }
            }
            // Another node was first, or something has changed meanwhile.
            Ok(_) | Err(WriteError::Refused(_) | WriteError::OtherAsk { .. }) => {}
            Err(error) => {
                tracing::warn!(%error, app = %app, rule = %rule, act = act.word(), "a ramp cannot be acted upon; it is tried again");
            }
        }
    }
}
