//! Validity: whether a record may count, from what was true before it.
//!
//! Every node asks this of every record, whoever wrote it, and all come to the same end: what somebody wrote
//! into the store past the servers changes nothing, unless it is what the servers would have let through.
//! Whoever asks must have been known with that very role, the role must include what happened, and what
//! takes agreement must be the enactment of exactly what was agreed on.

use crate::{
    authority::{self, Role},
    catalogue::Catalogue,
    command::Command,
    decide,
    dossier::Dossier,
    event::{Actor, Event},
    eyes::{self, Proposal},
    keyring::{self, Guard, Keyring},
    paper,
    policy::Policy,
    release::Release,
    time::Timestamp,
};

/// Who a node is when it does something by itself.
pub const NODE: &str = "huidu";

/// Why a record does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Nobody with that credential and that role was known.
    #[error("`{actor}` was not known as {role} at that revision")]
    Unknown {
        /// The credential's public name.
        actor: String,
        /// The role it claims.
        role: String,
    },
    /// The role does not include it.
    #[error("{role} may not {verb}")]
    Role {
        /// The role.
        role: String,
        /// What happened.
        verb: &'static str,
    },
    /// It took agreement, and nobody agreed.
    #[error("`{kind}` takes the agreement of others, and there is none")]
    Eyes {
        /// The kind of change.
        kind: &'static str,
    },
    /// It is not what was agreed on.
    #[error("it is not the change `{id}` that was agreed on")]
    Other {
        /// The change.
        id: String,
    },
    /// An agreement that does not count: of whoever asked, twice, or of nobody who may.
    #[error("an agreement to change `{id}` does not count")]
    Agreement {
        /// The change.
        id: String,
    },
    /// What it rests on is not there.
    #[error("approvals or signatures that it rests on are missing")]
    Backing,
    /// The ledger begins again, or not by a node.
    #[error("the ledger is founded once, by a node")]
    Founding,
}

/// Whether what `actor` wrote at `at` may count, given what was true before it.
pub fn check(
    catalogue: &Catalogue,
    at: Timestamp,
    actor: &Actor,
    events: &[Event],
) -> Result<(), Invalid> {
    if let Some(Event::Founded { .. }) = events.first() {
        let first = catalogue.audience.is_empty() && actor.id == NODE;
        return if first {
            Ok(())
        } else {
            Err(Invalid::Founding)
        };
    }
    if events.is_empty() {
        // It voids a want, which nobody else can have.
        return Ok(());
    }
    let due = |event: &Event| {
        matches!(
            event,
            Event::ProposalEnacted { .. } | Event::ProposalFailed { .. }
        )
    };
    let by_node = actor.id == NODE && actor.role == Role::Admin && events.iter().any(due);
    if !by_node && !catalogue.knows(actor) {
        return Err(Invalid::Unknown {
            actor: actor.id.clone(),
            role: actor.role.word(),
        });
    }
    let enacted = events.iter().find_map(|event| match event {
        Event::ProposalEnacted { id } => Some(id),
        _ => None,
    });
    if let Some(id) = enacted {
        return agreed(catalogue, at, actor, id, events);
    }
    events
        .iter()
        .try_for_each(|event| allowed(catalogue, actor, event))
}

/// Whether an enactment is exactly what was agreed on, by enough people of the right kind.
fn agreed(
    catalogue: &Catalogue,
    at: Timestamp,
    actor: &Actor,
    id: &str,
    events: &[Event],
) -> Result<(), Invalid> {
    let other = || Invalid::Other { id: id.to_owned() };
    let proposal = catalogue.trust.proposals.get(id).ok_or_else(other)?;
    let command = match events {
        [Event::ProposalApproved { id: approved, .. }, ..] if approved == id => {
            Command::ApproveProposal {
                id: id.to_owned(),
                hash: proposal.hash,
            }
        }
        _ => Command::EnactProposal { id: id.to_owned() },
    };
    let authorised = authority::authorise(command, actor, catalogue.review).map_err(|_| other())?;
    // Deciding it once more is the one definition of what is right.
    match decide::decide(catalogue, &authorised, at) {
        Ok(right) if right == events => Ok(()),
        _ => Err(other()),
    }
}

fn allowed(catalogue: &Catalogue, actor: &Actor, event: &Event) -> Result<(), Invalid> {
    if let Event::Proposed { id, proposal } = event {
        return asked(catalogue, actor, id, proposal);
    }
    if let Event::ProposalApproved { id, by } = event {
        let proposal = catalogue.trust.proposals.get(id);
        let counts = proposal.is_some_and(|proposal| {
            let required = eyes::required(catalogue, &proposal.command);
            proposal.by != *by
                && decide::person(catalogue, actor) == *by
                && proposal.approvals.iter().all(|one| one.by != *by)
                && required.is_none_or(|(_, one)| one.roles.contains(&actor.role))
        });
        return if counts {
            Ok(())
        } else {
            Err(Invalid::Agreement { id: id.clone() })
        };
    }
    if !is_backed(catalogue, actor, event) {
        return Err(Invalid::Backing);
    }
    let Some(command) = asked_for(catalogue, event) else {
        return Ok(());
    };
    if let Some((kind, _)) = eyes::required(catalogue, &command) {
        return Err(Invalid::Eyes { kind: kind.word() });
    }
    let verb = command.verb();
    match authority::authorise(command, actor, catalogue.review) {
        Ok(_) => Ok(()),
        Err(_) => Err(Invalid::Role {
            role: actor.role.word(),
            verb,
        }),
    }
}

/// Whether a change that waits was asked for by whoever wrote it, who might have made it alone.
fn asked(
    catalogue: &Catalogue,
    actor: &Actor,
    id: &str,
    proposal: &Proposal,
) -> Result<(), Invalid> {
    let command = &*proposal.command;
    let hash = eyes::hash(command, proposal.base, proposal.enact_at);
    let whole = proposal.actor == *actor
        && proposal.by == decide::person(catalogue, actor)
        && proposal.approvals.is_empty()
        && proposal.hash == hash;
    if !whole {
        return Err(Invalid::Other { id: id.to_owned() });
    }
    let verb = command.verb();
    let authorised = authority::authorise(command.clone(), actor, catalogue.review);
    authorised.map(drop).map_err(|_| Invalid::Role {
        role: actor.role.word(),
        verb,
    })
}

/// Whether what an event rests on is there: other people's approvals, or signatures made offline.
fn is_backed(catalogue: &Catalogue, actor: &Actor, event: &Event) -> bool {
    let version = |app, number| catalogue.apps.get(app)?.versions.get(number);
    let chain = &catalogue.trust.chain;
    match event {
        Event::ReviewApproved {
            app,
            version: number,
            by,
            ..
        } => version(app, number).is_some_and(|known| {
            let dossier = known.dossier.open();
            *by == decide::person(catalogue, actor)
                && dossier.submitted_by.as_ref().is_some_and(|who| who != by)
                && dossier.approvals.iter().all(|vote| vote.by != *by)
        }),
        Event::VersionApproved {
            app,
            version: number,
            release,
        } => version(app, number).is_some_and(|known| {
            let enough = known.dossier.open().approvals.len() + 1
                >= usize::from(catalogue.trust.policy.approvals);
            let signed = match (&chain.newest, release) {
                (Some(keyring), Some(release)) => {
                    paper::open::<Release>(keyring, release.as_bytes()).is_ok()
                }
                (Some(keyring), None) => keyring.trust == keyring::Trust::Dev,
                (None, release) => release.is_none(),
            };
            enough && signed
        }),
        Event::ReleaseSigned { release, .. } => (chain.newest.as_ref())
            .is_some_and(|keyring| paper::open::<Release>(keyring, release.as_bytes()).is_ok()),
        Event::PolicyPut { envelope, .. } => (chain.newest.as_ref())
            .is_some_and(|keyring| paper::open::<Policy>(keyring, envelope.as_bytes()).is_ok()),
        Event::KeyringPut { envelope } => match &chain.newest {
            Some(keyring) => keyring.follow(envelope.as_bytes()).is_ok(),
            None => {
                let born =
                    Keyring::born(envelope.as_bytes(), &catalogue.audience, Guard::Development);
                born.is_ok()
            }
        },
        _ => true,
    }
}

/// What must have been asked for so that `event` happened, as far as who may is concerned; nothing for what
/// only comes along with another event.
#[expect(
    clippy::too_many_lines,
    reason = "one line for each event, so that none is forgotten"
)]
fn asked_for(catalogue: &Catalogue, event: &Event) -> Option<Command> {
    let command = match event.clone() {
        Event::Founded { .. }
        | Event::Proposed { .. }
        | Event::ProposalApproved { .. }
        | Event::ProposalEnacted { .. } => return None,
        Event::TokenAdded {
            id,
            sha256,
            role,
            note,
            member,
        } => Command::AddToken {
            id,
            sha256,
            role,
            note,
            member,
        },
        Event::TokenRevoked { id } => Command::RevokeToken { id },
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
        Event::AppAdded { app, title } => Command::AddApp { app, title },
        Event::VersionSubmitted { app, version } => Command::SubmitVersion {
            app,
            number: version.number,
            bundle: version.bundle,
            permissions: Vec::new(),
            notes: String::new(),
            dossier: Box::<Dossier>::default(),
        },
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
        Event::ShareSet {
            app, rule, share, ..
        } => {
            let rollout = catalogue.apps.get(&app)?.rollout.as_ref();
            let known = rollout.and_then(|rollout| {
                let mut rules = rollout.rules.iter();
                rules.find(|known| known.name == rule)
            });
            if known.is_some_and(|known| share < known.share) {
                Command::LowerShare { app, rule, share }
            } else {
                Command::SetShare { app, rule, share }
            }
        }
        Event::PauseSet { app, rule, paused } => Command::SetPause { app, rule, paused },
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
        Event::ReviewBegun { app, version, .. } => Command::BeginReview { app, version },
        Event::ReviewApproved { app, version, .. }
        | Event::VersionApproved { app, version, .. } => {
            let known = catalogue.apps.get(&app)?.versions.get(&version)?;
            let bundle = known.bundle.sha256;
            Command::Approve {
                app,
                version,
                bundle,
                signed: None,
            }
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
        Event::KeyringPut { envelope } => Command::PutKeyring { envelope },
        Event::PolicyPut { app, envelope } => Command::PutPolicy { app, envelope },
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
        Event::ProposalFailed { id, .. } if catalogue.trust.proposals.contains_key(&id) => {
            Command::EnactProposal { id }
        }
        Event::ProposalFailed { .. } => return None,
        Event::ProposalWithdrawn { id, reason, .. } => Command::WithdrawProposal { id, reason },
        Event::EyesSet { policy } => Command::SetEyes { policy },
    };
    Some(command)
}
