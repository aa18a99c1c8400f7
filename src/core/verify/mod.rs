//! The verifier: what a device believes, and why. Values in, values out.
//!
//! What it knows, bytes that came and the time go in; what it knows now and a verdict come out. It reads
//! no clock, opens nothing and fetches nothing: where it needs a paper to go on it says which, and whoever
//! drives it fetches that, within the limits of `limits`, and asks again. A doubt changes nothing that is
//! known: whatever is wrong, the device keeps its last good state and reports a code.
//!
//! The order of the checks is part of the promise: nothing of a body is read before its signature, its
//! digest and its scope are right, but for the number of a newer keyring, which only leads to a fetch.

mod answer;
mod doubt;
mod kills;
mod run;
mod start;
mod state;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Challenge, Papers};
pub use doubt::{Doubt, OF_DEVICES};
pub use kills::KillsAnswer;
pub use start::Start;
pub use state::{AppState, Count, Heard, Lease, Offer, State};

use serde::{Deserialize, Serialize};

use crate::{
    binding::Bearer,
    digest::Digest,
    judge::{Judge, Strict},
    keyring::{Keyring, Role},
    manifest::Manifest,
    name::{AppId, Permission},
    paper::PaperError,
    time::Timestamp,
};

/// How wrong a device's clock may be before it doubts a fresh answer, in milliseconds.
pub const SKEW_MS: u64 = 300_000;

/// What time it is on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Its clock, which anybody can set.
    pub wall: Timestamp,
    /// Milliseconds since it started, which nobody can. For an answer: when it was asked for, so that an
    /// answer held back on the way is as old as it is.
    pub mono_ms: u64,
    /// Which start that was: another number after every restart.
    pub boot: u64,
}

/// What came of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Run what it names.
    Run(Box<Run>),
    /// Stop now, before anything else.
    Stop,
    /// There is nothing to offer; what runs may go on.
    Nothing,
    /// Believed, and there was nothing to do: a list of kills.
    Noted,
    /// It cannot be judged without this; fetch it and ask again.
    Needs(Need),
    /// Not believed.
    Doubted(Doubt),
}

/// What a device may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The answer.
    pub manifest: Manifest,
    /// What it may use: granted offline, not above the policy, and not taken back.
    pub permissions: Vec<Permission>,
}

/// What is needed to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// This keyring; hand it to [`State::follow`].
    Keyring(u64),
    /// The envelope of this release record of the app.
    Release(AppId, Digest),
    /// The envelope of this policy of the app, or of a newer one.
    Policy(AppId, u64),
}

impl State {
    /// A new device, born with a keyring that whoever made it vouches for. Its clock, it is certain, is
    /// never before `born`.
    pub fn new(root: Keyring, guard: crate::keyring::Guard, born: Timestamp) -> Self {
        Self {
            v: 1,
            guard,
            born,
            floor: born,
            keyring: root,
            kills: None,
            apps: std::collections::BTreeMap::new(),
        }
    }

    /// Walks one keyring further. Expiry is not looked at here: only the newest must not be expired, and
    /// answers are held against it.
    pub fn follow(self, envelope: &[u8]) -> (Self, Result<u64, PaperError>) {
        self.follow_with(&Strict, envelope)
    }

    fn follow_with(
        mut self,
        judge: &impl Judge,
        envelope: &[u8],
    ) -> (Self, Result<u64, PaperError>) {
        match self.keyring.follow_with(judge, envelope) {
            Ok(next) => {
                if next.online.epoch > self.keyring.online.epoch {
                    // What the keys of the old epoch said about time is void, as what they counted.
                    self.floor = self.born;
                }
                self.forget_signers(&next);
                let version = next.version;
                self.keyring = next;
                (self, Ok(version))
            }
            Err(error) => (self, Err(error)),
        }
    }

    /// What was believed on the word of signers who count no more: records are asked for again, and any
    /// policy of the new signers takes the place of the old ones', which hold until then.
    fn forget_signers(&mut self, next: &Keyring) {
        let changed = |role| self.keyring.signers(role) != next.signers(role);
        let (release, policy) = (changed(Role::Release), changed(Role::Policy));
        for known in self.apps.values_mut() {
            if release {
                known.release = None;
            }
            if policy && let Some(known) = &mut known.policy {
                known.version = 0;
            }
        }
    }

    /// Judges an answer about one app.
    pub fn hear(
        self,
        bearer: &Bearer<'_>,
        answer: &Answer<'_>,
        papers: &Papers<'_>,
        now: Now,
    ) -> (Self, Verdict) {
        self.hear_with(&Strict, bearer, answer, papers, now)
    }

    /// Judges a list of kills.
    pub fn hear_kills(self, answer: &KillsAnswer<'_>, now: Now) -> (Self, Verdict) {
        self.hear_kills_with(&Strict, answer, now)
    }

    /// The clock, never before what a trusted stamp spoke of: a clock set back revives nothing.
    pub fn not_before_floor(&self, wall: Timestamp) -> Timestamp {
        wall.max(self.floor)
    }
}
