//! What the events about people, grades, reviews and trials make true.

use std::sync::Arc;

use super::{App, AppKill};
use crate::{
    dossier::{SignedRelease, Vote},
    envelope::Envelope,
    event::Event,
    eyes::Agreement,
    keyring::Keyring,
    paper::{Paper as _, PaperError},
    policy::{Policy, Standing},
    time::Timestamp,
    trust::{Chain, Member, SignedPolicy, Trust},
    version::{Life, Number},
};

impl Chain {
    /// Adds the envelope of the keyring that follows. Whether it does was decided before.
    fn push(&mut self, envelope: &str) {
        let read = Envelope::parse(envelope.as_bytes()).map_err(PaperError::from);
        if let Ok(keyring) = read.and_then(|read| Keyring::read(read.payload())) {
            self.envelopes.push(envelope.to_owned());
            self.newest = Some(Box::new(keyring));
        }
    }
}

impl Trust {
    /// Makes an event that is about no app true; others change nothing.
    pub(super) fn apply(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::MemberPut {
                member,
                title,
                role,
                identity,
            } => {
                let kept = Member {
                    title: title.clone(),
                    role: role.clone(),
                    identity: identity.clone(),
                };
                self.members.insert(member.clone(), kept);
            }
            Event::MemberRemoved { member } => {
                self.members.remove(member);
            }
            Event::PermissionsPut { catalogue } => self.permissions.clone_from(catalogue),
            Event::GradeSet { tenant, grade } => {
                self.grades.insert(tenant.clone(), *grade);
            }
            Event::ReviewPolicySet { policy } => self.policy = *policy,
            Event::KeyringPut { envelope } => self.chain.push(envelope),
            Event::EyesSet { policy } => self.eyes = policy.clone(),
            Event::Proposed { id, proposal } => {
                self.proposals.retain(|_, known| at < known.until);
                self.proposals.insert(id.clone(), (**proposal).clone());
            }
            Event::ProposalApproved { id, by, .. } => {
                if let Some(proposal) = self.proposals.get_mut(id) {
                    let by = by.clone();
                    proposal.approvals.push(Agreement { by, at });
                }
            }
            Event::ProposalEnacted { id }
            | Event::ProposalFailed { id, .. }
            | Event::ProposalWithdrawn { id, .. } => {
                self.proposals.remove(id);
            }
            _ => {}
        }
    }
}

impl App {
    /// Makes an event about this app true; says whether the list of what must stop changed.
    pub(super) fn apply_trust(&mut self, at: Timestamp, event: &Event) -> bool {
        match event {
            Event::InternalSet { internal, .. } => self.trust.internal = *internal,
            Event::PermissionsWithheld {
                version, withheld, ..
            } => {
                if let Some(version) = self.version_mut(version) {
                    (version.dossier).change(|dossier| dossier.withheld.clone_from(withheld));
                }
            }
            Event::PermissionGranted { permission, .. } => {
                self.trust.grants.insert(permission.clone());
            }
            Event::GrantWithdrawn { permission, .. } => {
                self.trust.grants.remove(permission);
            }
            Event::PermissionRevoked {
                permission, reason, ..
            } => {
                let reason = reason.clone();
                let kill = AppKill { reason, at };
                self.trust.revoked.insert(permission.clone(), kill);
                return true;
            }
            Event::PermissionRestored { permission, .. } => {
                self.trust.revoked.remove(permission);
                return true;
            }
            Event::ReviewBegun { version, .. } => return self.set_life(version, Life::InReview),
            Event::ReviewApproved {
                version,
                by,
                signed,
                ..
            } => {
                if let Some(version) = self.version_mut(version) {
                    let (by, signed) = (by.clone(), signed.clone());
                    version.dossier.change(|dossier| {
                        dossier.approvals.push(Vote { by, at, signed });
                    });
                }
            }
            Event::VersionApproved {
                version, release, ..
            } => {
                self.set_release(version, release.as_deref());
                return self.set_life(version, Life::Approved);
            }
            Event::ReleaseSigned {
                version, release, ..
            } => self.set_release(version, Some(release)),
            Event::PolicyPut { envelope, .. } => return self.set_policy(at, envelope),
            Event::VersionRejected {
                version, reason, ..
            } => {
                let reason = reason.clone();
                self.trust.trials.remove(version);
                return self.set_life(version, Life::Rejected { reason });
            }
            _ => self.apply_trial(event),
        }
        false
    }

    /// Keeps a signed record; what each reviewer handed in has become part of it.
    fn set_release(&mut self, version: &Number, envelope: Option<&str>) {
        let (Some(version), Some(envelope)) = (self.version_mut(version), envelope) else {
            return;
        };
        if let Ok(read) = Envelope::parse(envelope.as_bytes()) {
            version.dossier.change(|dossier| {
                for vote in &mut dossier.approvals {
                    vote.signed = None;
                }
                dossier.release = Some(SignedRelease {
                    address: read.address(),
                    envelope: envelope.to_owned(),
                });
            });
        }
    }

    /// Keeps a policy and stops what it lets run no more. What is under review is left to its reviewers.
    fn set_policy(&mut self, at: Timestamp, envelope: &str) -> bool {
        let read = Envelope::parse(envelope.as_bytes()).map_err(PaperError::from);
        let Ok(policy) = read.and_then(|read| Policy::read(read.payload())) else {
            return false;
        };
        let reason = format!("app policy {}", policy.version);
        for shared in self.versions.values_mut() {
            let may_run = shared.life.has_passed() && !shared.life.is_killed();
            if may_run && !policy.lets(&shared.bundle.sha256, shared.dossier.seq()) {
                let version = Arc::make_mut(shared);
                let before = (!version.life.is_listed()).then(|| Box::new(version.life.clone()));
                version.life = Life::Delisted {
                    reason: reason.clone(),
                    killed: true,
                    at,
                    before,
                };
            }
        }
        if policy.state == Standing::Delisted && self.killed.is_none() {
            self.killed = Some(AppKill { reason, at });
        }
        self.trust.signed = Some(SignedPolicy {
            policy,
            envelope: envelope.to_owned(),
        });
        true
    }

    fn apply_trial(&mut self, event: &Event) {
        match event {
            Event::TrialPut {
                version,
                hosts,
                devices,
                ..
            } => {
                let devices = devices.iter().map(|unit| (unit.clone(), hosts.clone()));
                self.trust
                    .trials
                    .entry(version.clone())
                    .or_default()
                    .devices = devices.collect();
                self.end_empty_trial(version);
            }
            Event::PreviewAdded {
                version,
                id,
                preview,
                ..
            } => {
                let trial = self.trust.trials.entry(version.clone()).or_default();
                trial.previews.insert(*id, preview.clone());
            }
            Event::PreviewRemoved { version, id, .. } => {
                if let Some(trial) = self.trust.trials.get_mut(version) {
                    trial.previews.remove(id);
                }
                self.end_empty_trial(version);
            }
            _ => {}
        }
    }

    fn end_empty_trial(&mut self, version: &Number) {
        if (self.trust.trials.get(version)).is_some_and(|trial| trial.is_empty()) {
            self.trust.trials.remove(version);
        }
    }
}
