//! Decisions about changes that people agree on: kept back, agreed to, taken back, enacted.
//!
//! Whoever asks never agrees as well, nobody agrees twice, and an agreement names the hash of the change that
//! was shown. The change happens in the very record of the last agreement, or, where it has a time, in one
//! that a node writes then; whatever was true when it was asked for must be true still.

use super::{Decision, Refusal, decided, text, trust, why};
use crate::{
    authority::{self, Authorised},
    catalogue::Catalogue,
    command::Command,
    digest::Digest,
    event::Event,
    eyes::{self, Proposal},
    limits,
    revision::Revision,
    rules::Rules,
    time::Timestamp,
};

const SEE: &str = "`huidu change list` shows what waits";

/// The proposal that stands in the place of a change people must agree on, or that has a time; nothing where
/// it happens at once.
pub(super) fn kept_back(
    catalogue: &Catalogue,
    authorised: &Authorised,
    now: Timestamp,
) -> Option<Decision> {
    let command = authorised.command();
    let required = eyes::required(catalogue, authorised.rules(), command);
    (required.is_some() || authorised.enact_at().is_some())
        .then(|| propose(catalogue, authorised, required.map(|(kind, _)| kind), now))
}

fn propose(
    catalogue: &Catalogue,
    authorised: &Authorised,
    kind: Option<eyes::Kind>,
    now: Timestamp,
) -> Decision {
    let (command, actor) = (authorised.command(), authorised.actor());
    // By the first rules only a member asked; now a credential that is nobody's does too, and counts for nobody.
    let by = match authorised.rules() {
        Rules::One => trust::reviewer(catalogue, actor)?,
        Rules::Two => trust::person(catalogue, actor),
    };
    let enact_at = authorised.enact_at();
    let last = now.plus_ms(limits::PROPOSAL_MS);
    if enact_at.is_some_and(|at| at <= now || last <= at) {
        return Err(Refusal::ChangeTime);
    }
    if let Command::ApproveProposal { .. } | Command::WithdrawProposal { .. } = command {
        return Err(Refusal::ChangeTime);
    }
    // What would be refused now is refused now.
    decided(catalogue, authorised, now)?;
    let base = base(catalogue, command);
    let hash = eyes::hash(command, base, enact_at);
    let open = catalogue.trust.proposals.iter();
    let mut open = open.filter(|(_, known)| now < known.until);
    if let Some((id, _)) = open.clone().find(|(_, known)| known.hash == hash) {
        return Err(Refusal::Exists {
            kind: "change that waits",
            name: id.clone(),
            help: "it is this very one; somebody else approves it with `huidu change approve`",
        });
    }
    if open.nth(limits::PROPOSALS - 1).is_some() {
        return Err(Refusal::Limit {
            what: "changes that wait",
            limit: limits::PROPOSALS as u64,
            help: "approve or take back those that wait",
        });
    }
    let seed = [hash.as_bytes().as_slice(), &now.unix_ms().to_be_bytes()].concat();
    let id = Digest::of(&seed).to_hex()[..16].to_owned();
    let proposal = Proposal {
        kind,
        command: Box::new(command.clone()),
        actor: actor.clone(),
        by,
        hash,
        base,
        at: now,
        until: enact_at.unwrap_or(now).plus_ms(limits::PROPOSAL_MS),
        enact_at,
        approvals: Vec::new(),
    };
    Ok(vec![Event::Proposed {
        id,
        proposal: Box::new(proposal),
    }])
}

/// The revision of what a change is about.
fn base(catalogue: &Catalogue, command: &Command) -> Option<Revision> {
    let app = command.app()?;
    catalogue.apps.get(app).map(|app| app.revision)
}

pub(super) fn decide(catalogue: &Catalogue, authorised: &Authorised, now: Timestamp) -> Decision {
    let actor = authorised.actor();
    match authorised.command() {
        Command::ApproveProposal { id, hash } => approve(catalogue, id, hash, authorised, now),
        Command::WithdrawProposal { id, reason } => {
            let proposal = waiting(catalogue, id, now)?;
            let by = trust::person(catalogue, actor);
            let may = proposal.by == by
                || matches!(
                    actor.role,
                    authority::Role::Admin | authority::Role::Security
                );
            if !may {
                return Err(Refusal::NotYours { id: id.clone() });
            }
            Ok(vec![Event::ProposalWithdrawn {
                id: id.clone(),
                by,
                reason: why(reason)?,
            }])
        }
        Command::EnactProposal { id } => {
            let proposal = waiting(catalogue, id, now)?;
            if !proposal.is_due(catalogue, authorised.rules(), now) {
                return Err(Refusal::Nothing {
                    what: format!("change `{id}` is not due"),
                });
            }
            Ok(
                enactment(catalogue, id, proposal, authorised.rules(), now).unwrap_or_else(
                    |refusal| {
                        let why = text("why", &refusal.to_string()).unwrap_or_default();
                        vec![Event::ProposalFailed {
                            id: id.clone(),
                            why,
                        }]
                    },
                ),
            )
        }
        Command::SetEyes { policy } => {
            if let Some(mistake) = policy.mistake() {
                return Err(Refusal::Eyes { mistake });
            }
            if *policy == catalogue.trust.eyes {
                return Err(Refusal::Nothing {
                    what: "people agree on these very changes".into(),
                });
            }
            Ok(vec![Event::EyesSet {
                policy: policy.clone(),
            }])
        }
        _ => Ok(Vec::new()),
    }
}

fn waiting<'a>(
    catalogue: &'a Catalogue,
    id: &str,
    now: Timestamp,
) -> Result<&'a Proposal, Refusal> {
    let known = catalogue.trust.proposals.get(id);
    known
        .filter(|proposal| now < proposal.until)
        .ok_or_else(|| Refusal::Unknown {
            kind: "change",
            name: id.chars().take(32).collect(),
            help: SEE,
        })
}

fn approve(
    catalogue: &Catalogue,
    id: &str,
    hash: &Digest,
    authorised: &Authorised,
    now: Timestamp,
) -> Decision {
    let (actor, rules) = (authorised.actor(), authorised.rules());
    let proposal = waiting(catalogue, id, now)?;
    if proposal.hash != *hash {
        return Err(Refusal::OtherChange {
            id: id.to_owned(),
            is: proposal.hash,
        });
    }
    let by = trust::reviewer(catalogue, actor)?;
    let did = if proposal.by == by {
        Some("asked for it")
    } else {
        let twice = proposal.approvals.iter().any(|one| one.by == by);
        twice.then_some("approved it already")
    };
    if let Some(did) = did {
        return Err(Refusal::SameEyes {
            id: id.to_owned(),
            person: by,
            did,
        });
    }
    let required = eyes::required(catalogue, rules, &proposal.command);
    if let Some((kind, requirement)) = required
        && !requirement.roles.contains(&actor.role)
    {
        return Err(Refusal::NotTheirs {
            id: id.to_owned(),
            kind: kind.word(),
            role: actor.role.word(),
        });
    }
    let mut agreed = proposal.clone();
    agreed.approvals.push(eyes::Agreement {
        by: by.clone(),
        at: now,
    });
    let mut events = vec![Event::ProposalApproved {
        id: id.to_owned(),
        by,
        hash: (!rules.is_first()).then_some(*hash),
    }];
    if agreed.is_due(catalogue, rules, now) {
        events.extend(enactment(catalogue, id, &agreed, rules, now)?);
    }
    Ok(events)
}

/// What happens when a change that was agreed on happens at `now`: its events, and that it did.
pub fn enactment(
    catalogue: &Catalogue,
    id: &str,
    proposal: &Proposal,
    rules: Rules,
    now: Timestamp,
) -> Decision {
    let command = &*proposal.command;
    let is = base(catalogue, command);
    if is != proposal.base {
        return Err(Refusal::Moved {
            id: id.to_owned(),
            app: command.app().map(ToString::to_string).unwrap_or_default(),
        });
    }
    let gone = || Refusal::AuthorGone {
        id: id.to_owned(),
        by: proposal.by.clone(),
    };
    let person = match rules {
        Rules::One => trust::reviewer(catalogue, &proposal.actor).map_err(|_| gone())?,
        Rules::Two => trust::person(catalogue, &proposal.actor),
    };
    let authorised = authority::authorise(command.clone(), &proposal.actor, catalogue, now)
        .map_err(|_| gone())?
        .by(rules);
    if person != proposal.by || !catalogue.knows(&proposal.actor, now) {
        return Err(gone());
    }
    let mut events = decided(catalogue, &authorised, now)?;
    events.push(Event::ProposalEnacted { id: id.to_owned() });
    Ok(events)
}
