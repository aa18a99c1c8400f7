//! What is to run: the release record, the policy, and what both allow.
//!
//! The online key chose; here it is checked that it chose among what people signed offline.

use super::{
    AppState, Doubt, Need, Now, Offer, Papers, Run, State, Verdict,
    answer::{Sealed, Short, require},
};
use crate::{
    binding::{self, Bearer},
    digest::Digest,
    judge::{Check, Judge},
    keyring::{Guard, Trust},
    manifest::{Manifest, OnStale, Reason},
    name::{AppId, Permission},
    paper,
    policy::{Policy, Standing},
    release::Release,
    time::Timestamp,
};

impl State {
    #[expect(
        clippy::too_many_arguments,
        reason = "everything that is known meets here, once"
    )]
    pub(super) fn run(
        &self,
        judge: &impl Judge,
        bearer: &Bearer<'_>,
        sealed: &Sealed<'_>,
        manifest: Manifest,
        papers: &Papers<'_>,
        now: Now,
        known: &mut AppState,
    ) -> Result<Verdict, Short> {
        if let Some(need) = self.newer_keyring(sealed.body) {
            return Err(Short::Need(need));
        }
        let Some(bundle) = manifest.bundle.as_ref() else {
            return Err(Doubt::Form.into());
        };
        let time = self.not_before_floor(now.wall);
        let alive = !self.is_stopped(&manifest.app, &bundle.sha256, sealed.count);
        let beside = known.heard.as_ref().is_some_and(|heard| {
            heard.count == sealed.count && heard.body.as_bytes() != sealed.body
        });
        let doubt = if beside {
            Doubt::Equivocation
        } else {
            Doubt::Killed
        };
        require(judge, Check::Killed, alive, doubt)?;

        let policy = self.policy(judge, &manifest, papers, known)?;
        known.policy.clone_from(&policy);
        let present = policy.is_some() || self.is_lenient();
        require(judge, Check::PolicyPresent, present, Doubt::NoPolicy)?;
        let current = policy.as_ref().is_none_or(|policy| time < policy.expires());
        require(judge, Check::PolicyExpired, current, Doubt::PolicyExpired)?;
        let release = self.release(judge, &manifest, papers, known)?;
        if let Some((_, release)) = &release {
            fits(judge, bearer, &manifest, release, time)?;
        }
        if let Some(policy) = &policy {
            let release = release.as_ref().map(|(_, release)| release);
            allowed(judge, &manifest, release, policy)?;
        }
        let app = &manifest.app;
        let left = |permission: &&Permission| {
            !manifest.revoked.contains(permission) && !self.is_taken_back(app, permission)
        };
        let permissions: Vec<_> = manifest.permissions.iter().filter(left).cloned().collect();
        let blocks = policy
            .as_ref()
            .is_some_and(|policy| policy.on_stale == OnStale::Block);
        known.offered = Some(Offer {
            bundle: bundle.sha256,
            seq: release.as_ref().map_or(0, |(_, release)| release.seq),
            permissions: permissions.clone(),
            block: blocks || manifest.on_stale == OnStale::Block,
            count: sealed.count,
            trial: release.is_none() && self.guard == Guard::Sandbox,
        });
        known.release = release;
        Ok(Verdict::Run(Box::new(Run {
            manifest,
            permissions,
        })))
    }

    /// True where papers may be missing: a developer's device and a developer's installation.
    fn is_lenient(&self) -> bool {
        self.guard == Guard::Development && self.keyring.trust == Trust::Dev
    }

    /// The newest policy: the one known, or one that was fetched because the answer names a newer.
    fn policy(
        &self,
        judge: &impl Judge,
        manifest: &Manifest,
        papers: &Papers<'_>,
        known: &AppState,
    ) -> Result<Option<Policy>, Short> {
        let have = known.policy.as_ref().map_or(0, |policy| policy.version);
        let told = manifest.binding.policy.unwrap_or(0);
        if told <= have {
            return Ok(known.policy.clone());
        }
        let need = || Short::Need(Need::Policy(manifest.app.clone(), told));
        let bytes = papers.policy.ok_or_else(need)?;
        let policy: Policy = paper::open_with(judge, &self.keyring, bytes)
            .map_err(|_| Doubt::Paper)?
            .into_paper();
        require(
            judge,
            Check::PolicyApp,
            policy.app == manifest.app,
            Doubt::Mix,
        )?;
        let newer = policy.version >= told;
        require(judge, Check::PolicyVersion, newer, Doubt::PolicyRollback)?;
        Ok(Some(policy))
    }

    /// The release record that the answer names.
    fn release(
        &self,
        judge: &impl Judge,
        manifest: &Manifest,
        papers: &Papers<'_>,
        known: &AppState,
    ) -> Result<Option<(Digest, Release)>, Short> {
        let Some(address) = manifest.binding.release else {
            if self.guard == Guard::Sandbox && manifest.reason == Reason::Trial {
                // Nobody signed for what is still under review. It says in which sandboxes it may be tried,
                // and that was held against where this device is.
                let whom = manifest.binding.whom.as_ref();
                let placed = whom.is_some_and(|whom| !whom.hosts.is_empty());
                require(judge, Check::Trial, placed, Doubt::NoRelease)?;
                return Ok(None);
            }
            require(
                judge,
                Check::ReleasePresent,
                self.is_lenient(),
                Doubt::NoRelease,
            )?;
            return Ok(None);
        };
        if let Some(known) = known
            .release
            .as_ref()
            .filter(|(known, _)| *known == address)
        {
            return Ok(Some(known.clone()));
        }
        let need = || Short::Need(Need::Release(manifest.app.clone(), address));
        let bytes = papers.release.ok_or_else(need)?;
        let release =
            paper::open_with::<Release>(judge, &self.keyring, bytes).map_err(|_| Doubt::Paper)?;
        let named = release.address() == address;
        require(judge, Check::Address, named, Doubt::Mix)?;
        Ok(Some((release.address(), release.into_paper())))
    }
}

/// Whether the record is that of the answer, and for this device, now.
fn fits(
    judge: &impl Judge,
    bearer: &Bearer<'_>,
    manifest: &Manifest,
    release: &Release,
    time: Timestamp,
) -> Result<(), Doubt> {
    let bundle = manifest.bundle.as_ref().is_some_and(|bundle| {
        bundle.sha256 == release.bundle.sha256 && bundle.len == release.bundle.len
    });
    let platform = binding::fits_platform(&release.platforms, bearer.platform);
    let version = binding::fits_version(release.host_version.as_ref(), bearer.host_version);
    let seconds = time.unix_ms() / 1_000;
    let begun = release.not_before.is_none_or(|from| seconds >= from);
    let over = release.not_after.is_some_and(|to| seconds >= to);
    let granted = |permission: &Permission| release.permissions.binary_search(permission).is_ok();
    let permissions = manifest.permissions.iter().all(granted);
    for (check, fact, doubt) in [
        (Check::ReleaseApp, release.app == manifest.app, Doubt::Mix),
        (
            Check::ReleaseVersion,
            manifest.version.as_ref() == Some(&release.version),
            Doubt::Mix,
        ),
        (Check::Bundle, bundle, Doubt::Mix),
        (Check::Platform, platform, Doubt::WrongDevice),
        (Check::HostVersion, version, Doubt::WrongDevice),
        (Check::NotBefore, begun, Doubt::Season),
        (Check::NotAfter, !over, Doubt::Season),
        (Check::Permissions, permissions, Doubt::Permissions),
    ] {
        require(judge, check, fact, doubt)?;
    }
    Ok(())
}

/// Whether the policy lets it run. Where there is no record, there is no number to hold against the floor,
/// and what the answer permits takes the place of what was granted.
fn allowed(
    judge: &impl Judge,
    manifest: &Manifest,
    release: Option<&Release>,
    policy: &Policy,
) -> Result<(), Doubt> {
    let listed = policy.state == Standing::Live;
    let bundle = manifest.bundle.as_ref().map(|bundle| bundle.sha256);
    let revoked = bundle.is_some_and(|bundle| policy.revoked.binary_search(&bundle).is_ok());
    let above = release.is_none_or(|release| release.seq >= policy.floor_seq);
    let most = |permission: &Permission| policy.max_permissions.binary_search(permission).is_ok();
    let permissions = release.map_or(&manifest.permissions, |release| &release.permissions);
    let within = permissions.iter().all(most);
    for (check, fact, doubt) in [
        (Check::Delisted, listed, Doubt::Policy),
        (Check::Floor, above, Doubt::Policy),
        (Check::RevokedRelease, !revoked, Doubt::Policy),
        (Check::MostPermissions, within, Doubt::Permissions),
    ] {
        require(judge, check, fact, doubt)?;
    }
    Ok(())
}

impl State {
    /// Takes a policy that came outside an answer: a hard delisting need not wait for a server to speak
    /// of it. Older ones change nothing.
    pub fn hear_policy(mut self, app: &AppId, envelope: &[u8]) -> (Self, Verdict) {
        let Ok(policy) = paper::open::<Policy>(&self.keyring, envelope) else {
            return (self, Verdict::Doubted(Doubt::Paper));
        };
        let policy = policy.into_paper();
        if policy.app != *app {
            return (self, Verdict::Doubted(Doubt::Mix));
        }
        let known = self.apps.get(app).and_then(|known| known.policy.as_ref());
        if known.is_some_and(|old| old.version >= policy.version) {
            return (self, Verdict::Doubted(Doubt::PolicyRollback));
        }
        let verdict = self.take_policy(app, Some(policy));
        (self, verdict)
    }

    /// Keeps a policy, and says whether it stops what runs.
    pub(super) fn take_policy(&mut self, app: &AppId, policy: Option<Policy>) -> Verdict {
        let known = self.apps.entry(app.clone()).or_default();
        known.policy = policy;
        let lets = |offer: &Offer| {
            let policy = known.policy.as_ref();
            policy.is_none_or(|policy| offer.is_let_by(policy))
        };
        if known.running.as_ref().is_none_or(lets) {
            Verdict::Noted
        } else {
            Verdict::Stop
        }
    }
}
