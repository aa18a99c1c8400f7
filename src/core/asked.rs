//! What must have been asked for so that these events happened.
//!
//! A record keeps what happened and not what was asked for, yet each command leaves its own events, so what was
//! asked for can be read off them. Whether it was really that is not decided here: whoever asks decides the
//! command once more and holds the outcome against the events, all of them.

use crate::{
    catalogue::Catalogue,
    command::Command,
    credential::Expiry,
    dossier::Dossier,
    event::{Actor, Event},
    ramp::Steer,
    time::Timestamp,
    version::Version,
};

/// A command, and the time it is to happen at.
pub(crate) type Asked = (Command, Option<Timestamp>);

/// Every command that may have led to `events`. What a command leaves begins or ends with the event that tells it
/// from all others, so no more than a few are named, however long the list is.
pub(crate) fn asked(catalogue: &Catalogue, events: &[Event]) -> Vec<Asked> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return Vec::new();
    };
    let mut asked = of(catalogue, first, events);
    if events.len() > 1 {
        asked.extend(of(catalogue, last, events));
    }
    asked
}

fn of(catalogue: &Catalogue, event: &Event, events: &[Event]) -> Vec<Asked> {
    match event {
        Event::Proposed { proposal, .. } => {
            vec![((*proposal.command).clone(), proposal.enact_at)]
        }
        Event::ShareSet {
            app, rule, share, ..
        } => {
            let (app, rule, share) = (app.clone(), rule.clone(), *share);
            let set = Command::SetShare {
                app: app.clone(),
                rule: rule.clone(),
                share,
            };
            vec![
                (set, None),
                (Command::LowerShare { app, rule, share }, None),
            ]
        }
        Event::ExperimentRedrawn { .. } => redrawn(events)
            .map(|command| (command, None))
            .into_iter()
            .collect(),
        _ => {
            let command = about_the_bank(catalogue, event, events)
                .or_else(|| about_versions(catalogue, event, events))
                .or_else(|| about_apps(event));
            command.map(|command| (command, None)).into_iter().collect()
        }
    }
}

/// A rollout, and the experiments that it draws anew.
fn redrawn(events: &[Event]) -> Option<Command> {
    let rollout = events.iter().find_map(|event| match event {
        Event::RolloutPut { rollout } => Some(rollout.clone()),
        _ => None,
    })?;
    let experiments = events.iter().filter_map(|event| match event {
        Event::ExperimentRedrawn { experiment, .. } => Some(experiment.clone()),
        _ => None,
    });
    let experiments = experiments.collect();
    Some(Command::RedrawRollout {
        rollout,
        experiments,
    })
}

/// The ledger, people, credentials, papers and what people agree on.
fn about_the_bank(catalogue: &Catalogue, event: &Event, events: &[Event]) -> Option<Command> {
    let command = match event.clone() {
        Event::Founded { audience, review } => return found(audience, review, events),
        Event::TokenAdded {
            id,
            sha256,
            role,
            note,
            member,
            expires,
            scopes,
        } => Command::AddToken {
            id,
            sha256,
            role,
            note,
            member,
            expires: expires.map_or(Expiry::Never, Expiry::At),
            scopes,
        },
        Event::TokenRevoked { id } => Command::RevokeToken { id },
        Event::MemberPut {
            member,
            title,
            role,
            identity,
        } => Command::PutMember {
            member,
            title,
            role,
            identity,
        },
        Event::MemberRemoved { member } => Command::RemoveMember { member },
        Event::PermissionsPut { catalogue } => Command::PutPermissions { catalogue },
        Event::GradeSet { tenant, grade } => Command::SetGrade { tenant, grade },
        Event::ReviewPolicySet { policy } => Command::SetReviewPolicy { policy },
        Event::EyesSet { policy } => Command::SetEyes { policy },
        Event::KeyringPut { envelope } => Command::PutKeyring { envelope },
        Event::PolicyPut { app, envelope } => Command::PutPolicy { app, envelope },
        Event::ProposalApproved { id, hash, .. } => {
            let known = catalogue.trust.proposals.get(&id);
            let hash = hash.or_else(|| Some(known?.hash))?;
            Command::ApproveProposal { id, hash }
        }
        Event::ProposalEnacted { id } | Event::ProposalFailed { id, .. } => {
            Command::EnactProposal { id }
        }
        Event::ProposalWithdrawn { id, reason, .. } => Command::WithdrawProposal { id, reason },
        Event::TenantAdded { tenant, title } => Command::AddTenant { tenant, title },
        Event::HostAdded {
            host,
            title,
            sandbox,
        } => Command::AddHost {
            host,
            title,
            sandbox,
        },
        Event::SegmentPut {
            segment,
            sha256,
            units,
        } => Command::PutSegment {
            segment,
            sha256,
            units,
        },
        Event::SegmentRemoved { segment } => Command::RemoveSegment { segment },
        _ => return None,
    };
    Some(command)
}

fn found(audience: String, review: crate::version::Review, events: &[Event]) -> Option<Command> {
    let token = events.iter().find_map(|event| match event {
        Event::TokenAdded { id, sha256, .. } => Some((id.clone(), *sha256)),
        _ => None,
    })?;
    let keyring = events.iter().find_map(|event| match event {
        Event::KeyringPut { envelope } => Some(envelope.clone()),
        _ => None,
    });
    let eyes = events.iter().find_map(|event| match event {
        Event::EyesSet { policy } => Some(policy.clone()),
        _ => None,
    });
    let reviews = events.iter().find_map(|event| match event {
        Event::ReviewPolicySet { policy } => Some(*policy),
        _ => None,
    });
    Some(Command::Found {
        audience,
        review,
        token,
        keyring,
        eyes: eyes.unwrap_or_default(),
        reviews: reviews.unwrap_or_default(),
    })
}

/// A version, from its first day to its last.
fn about_versions(catalogue: &Catalogue, event: &Event, events: &[Event]) -> Option<Command> {
    let command = match event.clone() {
        Event::VersionSubmitted { app, version } => {
            let Version {
                number,
                bundle,
                permissions,
                notes,
                dossier,
                ..
            } = version;
            // What is given to a version with its number is left out: it is given once more.
            let dossier = Box::new(Dossier {
                approvals: Vec::new(),
                release: None,
                ..dossier.open()
            });
            Command::SubmitVersion {
                app,
                number,
                bundle,
                permissions: permissions.to_vec(),
                notes,
                dossier,
            }
        }
        Event::VersionListed { app, version } => Command::List { app, version },
        Event::VersionDelisted {
            app,
            version,
            reason,
        } => Command::Delist {
            app,
            version,
            reason,
        },
        Event::ReviewBegun { app, version, .. } => Command::BeginReview { app, version },
        Event::ReviewApproved {
            app,
            version,
            bundle,
            signed,
            ..
        } => {
            let known = || {
                Some(
                    catalogue
                        .apps
                        .get(&app)?
                        .versions
                        .get(&version)?
                        .bundle
                        .sha256,
                )
            };
            let bundle = bundle.or_else(known)?;
            // What the last reviewer handed in is in the record that all signatures were joined in.
            let joined = events.iter().find_map(|event| match event {
                Event::VersionApproved { release, .. } => release.clone(),
                _ => None,
            });
            // Said by the first alone; who agrees to it says nothing, or the same.
            let withheld = events.iter().find_map(|event| match event {
                Event::PermissionsWithheld { withheld, .. } => Some(withheld.clone()),
                _ => None,
            });
            Command::Approve {
                app,
                version,
                bundle,
                signed: signed.or(joined),
                withheld,
            }
        }
        // It comes with the approval that says so.
        Event::PermissionsWithheld { .. } => {
            let approval = |event: &&Event| matches!(event, Event::ReviewApproved { .. });
            return about_versions(catalogue, events.iter().find(approval)?, events);
        }
        Event::ReleaseSigned {
            app,
            version,
            release,
        } => Command::SignRelease {
            app,
            version,
            signed: release,
        },
        Event::VersionRejected {
            app,
            version,
            reason,
            ..
        } => Command::Reject {
            app,
            version,
            reason,
        },
        Event::TrialPut {
            app,
            version,
            hosts,
            devices,
        } => Command::PutTrial {
            app,
            version,
            hosts,
            devices,
        },
        Event::PreviewAdded {
            app,
            version,
            id,
            preview,
        } => Command::AddPreview {
            app,
            version,
            id,
            preview,
        },
        Event::PreviewRemoved { app, version, id } => Command::RemovePreview { app, version, id },
        _ => return None,
    };
    Some(command)
}

/// Apps, rollouts, stops and what an app may be allowed.
fn about_apps(event: &Event) -> Option<Command> {
    let command = match event.clone() {
        Event::AppAdded { app, title } => Command::AddApp { app, title },
        Event::Killed {
            app,
            version,
            reason,
            ..
        } => Command::Kill {
            app,
            version,
            reason,
        },
        Event::Unkilled {
            app,
            version,
            reason,
        } => Command::Unkill {
            app,
            version,
            reason,
        },
        Event::RolloutPut { rollout } => Command::PutRollout { rollout },
        Event::ExperimentBegun {
            app,
            experiment,
            design,
        } => Command::BeginExperiment {
            app,
            experiment,
            design,
        },
        Event::ExperimentEnded {
            app,
            experiment,
            arm,
            reason,
        } => Command::EndExperiment {
            app,
            experiment,
            arm,
            reason,
        },
        Event::PauseSet { app, rule, paused } => Command::SetPause { app, rule, paused },
        Event::RampMoved {
            app,
            rule,
            from,
            act,
            findings: Some(findings),
            ..
        } => Command::DecideRamp {
            app,
            rule,
            from,
            act,
            findings,
        },
        Event::RampMoved {
            app,
            rule,
            act,
            reason,
            ..
        } => Command::SteerRamp {
            app,
            rule,
            act: Steer::of(&act)?,
            reason,
        },
        Event::InternalSet {
            app,
            internal,
            reason,
        } => Command::SetInternal {
            app,
            internal,
            reason,
        },
        Event::PermissionGranted { app, permission } => Command::Grant { app, permission },
        Event::GrantWithdrawn { app, permission } => Command::WithdrawGrant { app, permission },
        Event::PermissionRevoked {
            app,
            permission,
            reason,
        } => Command::RevokePermission {
            app,
            permission,
            reason,
        },
        Event::PermissionRestored {
            app,
            permission,
            reason,
        } => Command::RestorePermission {
            app,
            permission,
            reason,
        },
        _ => return None,
    };
    Some(command)
}

/// The actor of what nodes do by themselves: the founding, what is due, and what a plan says.
pub(crate) fn is_for_nodes(command: &Command) -> bool {
    matches!(
        command,
        Command::Found { .. } | Command::EnactProposal { .. } | Command::DecideRamp { .. }
    )
}

/// True when `actor` is a node.
pub(crate) fn is_node(actor: &Actor) -> bool {
    actor.id == crate::validity::NODE && actor.role == crate::authority::Role::Admin
}
