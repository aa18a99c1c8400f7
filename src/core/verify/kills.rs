//! The list of kills: short, signed, and newer than what it stops.

use super::{
    Doubt, Now, State, Verdict,
    answer::{Seal, Sealed, Short, require},
    state::Kills,
};
use crate::{
    digest::Digest,
    json,
    judge::{Check, Judge},
    limits,
    manifest::{FORM, KillList},
    seal,
};

/// A list of kills as it came.
#[derive(Debug, Clone, Copy)]
pub struct KillsAnswer<'a> {
    /// The `Huidu-Stamp` header.
    pub stamp: &'a str,
    /// The body.
    pub body: &'a [u8],
}

impl State {
    pub(super) fn hear_kills_with(
        mut self,
        judge: &impl Judge,
        answer: &KillsAnswer<'_>,
        now: Now,
    ) -> (Self, Verdict) {
        match self.judged_kills(judge, answer, now) {
            Err(short) => (self, short.into()),
            Ok(kills) => {
                self.floor = self.floor.max(kills.asof);
                self.kills = Some(kills);
                let verdict = if self.stop_listed() {
                    Verdict::Stop
                } else {
                    Verdict::Noted
                };
                (self, verdict)
            }
        }
    }

    fn judged_kills(
        &self,
        judge: &impl Judge,
        answer: &KillsAnswer<'_>,
        now: Now,
    ) -> Result<Kills, Short> {
        let seal = Seal {
            header: answer.stamp,
            body: answer.body,
            most: limits::POLL_BODY_BYTES,
            scope: seal::KILLS_SCOPE,
            challenge: None,
        };
        let sealed = self.unseal(judge, &seal, now)?;
        let list: KillList =
            json::read(sealed.body, limits::POLL_BODY_BYTES).map_err(|_| Doubt::Form)?;
        if list.v != FORM {
            return Err(Doubt::Form.into());
        }
        require(
            judge,
            Check::Audience,
            list.aud == self.keyring.aud,
            Doubt::Scope,
        )?;
        let inside = list.rev == sealed.stamp.revision;
        require(judge, Check::Revision, inside, Doubt::Form)?;
        self.placed_list(judge, &sealed)?;
        Ok(Kills {
            count: sealed.count,
            asof: sealed.stamp.asof,
            sha256: sealed.stamp.body,
            list,
        })
    }

    fn placed_list(&self, judge: &impl Judge, sealed: &Sealed<'_>) -> Result<(), Doubt> {
        let known = self.kills.as_ref();
        let same_epoch = known.filter(|known| known.count.epoch == sealed.count.epoch);
        let from = same_epoch.map_or(0, |known| known.count.rev);
        let step = sealed.count.rev.saturating_sub(from) <= limits::REVISION_STEP;
        require(judge, Check::FastForward, step, Doubt::FastForward)?;
        let newer = known.is_none_or(|known| {
            let same: Digest = known.sha256;
            known.count < sealed.count || known.count == sealed.count && same == sealed.stamp.body
        });
        require(judge, Check::Older, newer, Doubt::StaleNode)
    }

    /// Takes away what the list stops. True when something that runs is among it.
    fn stop_listed(&mut self) -> bool {
        let mut hit = false;
        let apps: Vec<_> = self.apps.keys().cloned().collect();
        for app in apps {
            let stopped = |state: &Self, offer: Option<&super::Offer>| {
                offer.is_some_and(|offer| state.is_stopped(&app, &offer.bundle, offer.count))
            };
            let known = self.apps.get(&app);
            let running = stopped(self, known.and_then(|known| known.running.as_ref()));
            let offered = stopped(self, known.and_then(|known| known.offered.as_ref()));
            hit |= running;
            if let Some(known) = self.apps.get_mut(&app) {
                known.running = known.running.take().filter(|_| !running);
                known.offered = known.offered.take().filter(|_| !offered);
            }
        }
        hit
    }
}
