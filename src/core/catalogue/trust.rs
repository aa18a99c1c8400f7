//! What the events about people, grades, reviews and trials make true.

use super::{App, AppKill};
use crate::{
    dossier::Vote,
    event::Event,
    time::Timestamp,
    trust::{Member, Trust},
    version::{Life, Number},
};

impl Trust {
    /// Makes an event that is about no app true; others change nothing.
    pub(super) fn apply(&mut self, event: &Event) {
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
            _ => {}
        }
    }
}

impl App {
    /// Makes an event about this app true; says whether the list of what must stop changed.
    pub(super) fn apply_trust(&mut self, at: Timestamp, event: &Event) -> bool {
        match event {
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
            Event::ReviewBegun { version, .. } => self.set_life(version, Life::InReview),
            Event::ReviewApproved { version, by, .. } => {
                if let Some(version) = self.versions.get_mut(version) {
                    let by = by.clone();
                    version.dossier.approvals.push(Vote { by, at });
                }
            }
            Event::VersionApproved { version, .. } => self.set_life(version, Life::Approved),
            Event::VersionRejected {
                version, reason, ..
            } => {
                let reason = reason.clone();
                self.set_life(version, Life::Rejected { reason });
                self.trust.trials.remove(version);
            }
            _ => self.apply_trial(event),
        }
        false
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
