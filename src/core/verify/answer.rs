//! An answer about an app: from the stamp to what it says.

use serde::Deserialize;

use super::{AppState, Count, Doubt, Heard, Lease, Need, Now, Offer, SKEW_MS, State, Verdict};
use crate::{
    binding::Bearer,
    digest::Digest,
    json,
    judge::{Check, Judge},
    keyring::Role,
    limits,
    manifest::{self, Manifest},
    name::AppId,
    seal::{self, SignedStamp, Stamp},
    time::Timestamp,
};

/// An answer as it came.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The app that was asked about.
    pub app: &'a AppId,
    /// The `Huidu-Stamp` header.
    pub stamp: &'a str,
    /// The body; none when nothing changed.
    pub body: Option<&'a [u8]>,
    /// The challenge that was sent along, where one was.
    pub challenge: Option<Challenge>,
}

/// What makes an answer an answer to this request and to no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge {
    /// Chosen by the device, never twice.
    pub nonce: [u8; 32],
    /// SHA-256 of the request.
    pub request: Digest,
}

/// Envelopes that were fetched because a verdict needed them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Papers<'a> {
    /// The release record.
    pub release: Option<&'a [u8]>,
    /// The app's policy.
    pub policy: Option<&'a [u8]>,
}

/// Why there is no verdict yet, or a bad one.
pub(super) enum Short {
    Doubt(Doubt),
    Need(Need),
}

impl From<Doubt> for Short {
    fn from(doubt: Doubt) -> Self {
        Self::Doubt(doubt)
    }
}

impl From<Short> for Verdict {
    fn from(short: Short) -> Self {
        match short {
            Short::Doubt(doubt) => Self::Doubted(doubt),
            Short::Need(need) => Self::Needs(need),
        }
    }
}

/// Fails with `doubt` where `fact` does not hold.
pub(super) fn require(
    judge: &impl Judge,
    check: Check,
    fact: bool,
    doubt: Doubt,
) -> Result<(), Doubt> {
    if judge.holds(check, fact) {
        Ok(())
    } else {
        Err(doubt)
    }
}

/// A body that was signed, is whole, meant for this reader and true recently enough.
pub(super) struct Sealed<'a> {
    pub(super) stamp: Stamp,
    pub(super) body: &'a [u8],
    pub(super) count: Count,
}

/// What a sealed body is held against.
pub(super) struct Seal<'a> {
    pub(super) header: &'a str,
    pub(super) body: &'a [u8],
    pub(super) most: usize,
    pub(super) scope: &'a str,
    pub(super) challenge: Option<Challenge>,
}

#[derive(Deserialize)]
struct Peek {
    keyring: Option<u64>,
}

impl State {
    /// Opens a sealed body. Of what is inside only the number of a newer keyring is looked at before the
    /// signature holds, and that leads to a fetch at most.
    pub(super) fn unseal<'a>(
        &self,
        judge: &impl Judge,
        seal: &Seal<'a>,
        now: Now,
    ) -> Result<Sealed<'a>, Short> {
        if seal.body.len() > seal.most {
            return Err(Doubt::Body.into());
        }
        let signed = SignedStamp::parse(seal.header).map_err(|_| Doubt::Stamp)?;
        let stamp = signed.stamp().map_err(|_| Doubt::Stamp)?;
        let keyring = &self.keyring;
        let shortfall =
            keyring.shortfall(judge, Role::Online, &signed.message(), signed.signatures());
        let time = self.not_before_floor(now.wall);
        let known = [
            (Check::StampSigned, shortfall.is_none(), Doubt::Signature),
            (
                Check::KeyringExpired,
                time < keyring.expires(),
                Doubt::KeyringExpired,
            ),
        ];
        for (check, fact, doubt) in known {
            require(judge, check, fact, doubt).map_err(|doubt| {
                match self.newer_keyring(seal.body) {
                    Some(need) => Short::Need(need),
                    None => Short::Doubt(doubt),
                }
            })?;
        }
        let whole =
            stamp.body_len as usize == seal.body.len() && stamp.body == Digest::of(seal.body);
        let (bound, doubt) = match seal.challenge {
            Some(challenge) => (
                stamp.scope == seal::challenge(&challenge.nonce, &challenge.request),
                (Check::Challenge, Doubt::Challenge),
            ),
            None => (
                stamp.scope == seal::scope(&keyring.aud, seal.scope),
                (Check::Scope, Doubt::Scope),
            ),
        };
        let mode = stamp.challenge == seal.challenge.is_some();
        let expired = stamp.expires().plus_ms(SKEW_MS) < time;
        for (check, fact, doubt) in [
            (
                Check::Lease,
                stamp.lease_ms <= keyring.online.max_lease_ms,
                Doubt::Lease,
            ),
            (Check::Body, whole, Doubt::Body),
            (Check::Mode, mode, Doubt::Challenge),
            (doubt.0, bound, doubt.1),
            (Check::Future, stamp.asof < keyring.expires(), Doubt::Future),
            (Check::Fresh, !expired, Doubt::Freeze),
        ] {
            require(judge, check, fact, doubt)?;
        }
        Ok(Sealed {
            stamp,
            body: seal.body,
            count: Count {
                epoch: keyring.online.epoch,
                rev: stamp.revision.get(),
            },
        })
    }

    /// The next keyring, where `body` speaks of a newer one. However far that is: whoever is driving takes
    /// [`limits::KEYRING_STEPS`] in one go and goes on in the next, so no device is ever left behind.
    pub(super) fn newer_keyring(&self, body: &[u8]) -> Option<Need> {
        let peek: Peek = serde_json::from_slice(body).ok()?;
        let known = self.keyring.version;
        let is_newer = peek.keyring.is_some_and(|told| told > known);
        is_newer.then_some(Need::Keyring(known.saturating_add(1)))
    }

    pub(super) fn hear_with(
        mut self,
        judge: &impl Judge,
        bearer: &Bearer<'_>,
        answer: &Answer<'_>,
        papers: &Papers<'_>,
        now: Now,
    ) -> (Self, Verdict) {
        let mut known = self.apps.get(answer.app).cloned().unwrap_or_default();
        let policy = known.policy.as_ref().map(|policy| policy.version);
        match self.judged(judge, bearer, answer, papers, now, &mut known) {
            Err(short) if known.policy.as_ref().map(|policy| policy.version) != policy => {
                // What people signed offline holds, whatever is wrong with the answer that led to it.
                let verdict = self.take_policy(answer.app, known.policy);
                let stops = matches!(verdict, Verdict::Stop);
                (self, if stops { verdict } else { short.into() })
            }
            Err(short) => (self, short.into()),
            Ok((floor, verdict)) => {
                self.floor = self.floor.max(floor);
                self.apps.insert(answer.app.clone(), known);
                (self, verdict)
            }
        }
    }

    fn judged(
        &self,
        judge: &impl Judge,
        bearer: &Bearer<'_>,
        answer: &Answer<'_>,
        papers: &Papers<'_>,
        now: Now,
        known: &mut AppState,
    ) -> Result<(Timestamp, Verdict), Short> {
        let cached = known.heard.as_ref().map(|heard| heard.body.clone());
        let body = answer.body.or(cached.as_deref().map(str::as_bytes));
        let seal = Seal {
            header: answer.stamp,
            body: body.ok_or(Doubt::Body)?,
            most: limits::MANIFEST_BYTES,
            scope: answer.app.as_str(),
            challenge: answer.challenge,
        };
        let sealed = self.unseal(judge, &seal, now)?;
        let manifest = self.opened(judge, &sealed, answer.app)?;
        self.placed(judge, &sealed, &manifest, known.heard.as_ref())?;
        let whom = manifest.binding.whom.as_ref();
        let mine = whom.is_none_or(|whom| whom.is_bounded() && whom.admits(bearer));
        require(judge, Check::Whom, mine, Doubt::NotForMe)?;

        let verdict = match manifest.state {
            manifest::State::Killed => {
                if known.stop(&manifest.binding.stops, sealed.count) {
                    Verdict::Stop
                } else {
                    Verdict::Nothing
                }
            }
            manifest::State::None => {
                known.offered = None;
                Verdict::Nothing
            }
            manifest::State::Run => {
                self.run(judge, bearer, &sealed, manifest, papers, now, known)?
            }
        };
        let mut heard = self.heard(&sealed, known.heard.as_ref(), now);
        heard.equivocal = (known.heard.as_ref()).is_some_and(|before| {
            before.count == heard.count && (before.equivocal || conflict(&before.body, &heard.body))
        });
        known.heard = Some(heard);
        Ok((sealed.stamp.asof, verdict))
    }

    /// Reads the body, which must speak of what the stamp speaks of.
    fn opened(
        &self,
        judge: &impl Judge,
        sealed: &Sealed<'_>,
        app: &AppId,
    ) -> Result<Manifest, Doubt> {
        let manifest: Manifest =
            json::read(sealed.body, limits::MANIFEST_BYTES).map_err(|_| Doubt::Form)?;
        if manifest.v != manifest::FORM {
            return Err(Doubt::Form);
        }
        let inside = manifest.rev == sealed.stamp.revision;
        require(
            judge,
            Check::Audience,
            manifest.aud == self.keyring.aud,
            Doubt::Scope,
        )?;
        require(judge, Check::App, manifest.app == *app, Doubt::Scope)?;
        require(judge, Check::Revision, inside, Doubt::Form)?;
        Ok(manifest)
    }

    /// Whether it comes after what is known. Of one revision there may be several answers (a device that
    /// changes, a rule that begins): of those the one that was true later counts, and a kill always.
    fn placed(
        &self,
        judge: &impl Judge,
        sealed: &Sealed<'_>,
        manifest: &Manifest,
        heard: Option<&Heard>,
    ) -> Result<(), Doubt> {
        let count = sealed.count;
        let before = heard.map(|heard| heard.count);
        let rev = before.filter(|before| before.epoch == count.epoch);
        let rev = rev.map_or(0, |before| before.rev);
        let step = count.rev.saturating_sub(rev) <= limits::REVISION_STEP;
        require(judge, Check::FastForward, step, Doubt::FastForward)?;
        let Some(heard) = heard else {
            return Ok(());
        };
        let newer = heard.count <= count;
        require(judge, Check::Older, newer, Doubt::StaleNode)?;
        let stops = manifest.state == manifest::State::Killed;
        let agrees = heard.count != count
            || heard.body.as_bytes() == sealed.body
            || heard.asof <= sealed.stamp.asof
            || stops;
        require(judge, Check::Equivocal, agrees, Doubt::Equivocation)
    }

    /// The answer as it is remembered. A stamp no newer than one seen extends nothing.
    fn heard(&self, sealed: &Sealed<'_>, before: Option<&Heard>, now: Now) -> Heard {
        let asof = sealed.stamp.asof;
        let body = String::from_utf8_lossy(sealed.body).into_owned();
        let seen =
            before.filter(|before| before.count.epoch == sealed.count.epoch && asof <= before.asof);
        if let Some(before) = seen {
            let (count, before) = (sealed.count, before.clone());
            return Heard {
                count,
                body,
                ..before
            };
        }
        let age = self.floor.max(asof).ms_since(asof);
        Heard {
            count: sealed.count,
            asof,
            body,
            equivocal: false,
            lease: Lease {
                from_mono_ms: now.mono_ms,
                boot: now.boot,
                length_ms: u64::from(sealed.stamp.lease_ms).saturating_sub(age),
                until: sealed.stamp.expires(),
            },
        }
    }
}

/// True when no installation can have said both of one revision: what it says differs by device and by
/// hour, but not what holds of the app, nor what holds of one version of it.
fn conflict(one: &str, other: &str) -> bool {
    let read = |body: &str| serde_json::from_str::<Manifest>(body).ok();
    let (Some(one), Some(other)) = (read(one), read(other)) else {
        return false;
    };
    let whole =
        |told: &Manifest| told.state == manifest::State::Killed && told.binding.stops.is_empty();
    let archive = |told: &Manifest| {
        let bundle = told.bundle.as_ref();
        bundle.map(|bundle| (bundle.sha256, bundle.len))
    };
    let runs = |told: &Manifest| told.state == manifest::State::Run;
    let same_version = runs(&one) && runs(&other) && one.version == other.version;
    let policies = one.binding.policy.zip(other.binding.policy);
    whole(&one) != whole(&other)
        || policies.is_some_and(|(one, other)| one != other)
        || same_version
            && (archive(&one) != archive(&other)
                || one.binding.release != other.binding.release
                || one.permissions != other.permissions
                || one.revoked != other.revoked)
}

impl AppState {
    /// Remembers what was stopped. True when what runs is among it.
    fn stop(&mut self, stops: &[Digest], count: Count) -> bool {
        if stops.is_empty() {
            self.all_stopped = self.all_stopped.max(Some(count));
        }
        for bundle in stops.iter().take(limits::VERSIONS) {
            let since = self.stopped.entry(*bundle).or_insert(count);
            *since = count.max(*since);
        }
        let hit = |offer: &Option<Offer>| {
            (offer.as_ref()).is_some_and(|offer| stops.is_empty() || stops.contains(&offer.bundle))
        };
        let stopped = stops.is_empty() || hit(&self.running);
        if hit(&self.running) {
            self.running = None;
        }
        if hit(&self.offered) {
            self.offered = None;
        }
        stopped
    }
}
