//! What a change is held against before it is written: who asks, at which revision, and whether it would
//! count. Nothing is written here.

use huidu_core::{
    authority::{Forbidden, authorise},
    catalogue::Catalogue,
    command::Command,
    decide::{Refusal, decide},
    event::{Actor, Event},
    eyes::Proposal,
    key::PublicKey,
    notice::Notice,
    revision::Revision,
    time::Timestamp,
    validity,
};

use super::{Change, WriteError, fold::Folded};

/// Decides a change against one prefix of the ledger.
pub(super) fn decided(
    fold: &Folded,
    change: &Change,
    now: Timestamp,
    log_key: Option<&PublicKey>,
) -> Result<Vec<Event>, WriteError> {
    let catalogue = crate::ledger::Fold::catalogue(fold);
    let actor = actor_now(&catalogue, &change.actor)?;
    let authorised =
        authorise(change.command.clone(), &actor, &catalogue, now)?.at(change.enact_at);
    if let Some(expected) = change.expected {
        match_revision(&catalogue, &change.command, expected).map_err(Box::new)?;
    }
    let events = decide(&catalogue, &authorised, now).map_err(Box::new)?;
    // What would not count is not written: a role that changed while this was asked for.
    match validity::check(&catalogue, now, &change.actor, &events) {
        Ok(()) => {
            signs(&catalogue, &events, log_key).map_err(Box::new)?;
            Ok(events)
        }
        Err(invalid) => {
            tracing::warn!(actor = %change.actor.id, %invalid, "a change would not count, and is refused");
            Err(Forbidden::Foreign {
                what: change.actor.id.clone(),
            }
            .into())
        }
    }
}

/// The notice of a kill that need not wait for its order: one that anybody who is told of it would let through as
/// this node does. None: it is decided in its turn, and so is whatever is not to be let through.
pub(super) fn urgent(
    catalogue: &Catalogue,
    change: &Change,
    now: Timestamp,
    log_key: &PublicKey,
) -> Option<Notice> {
    // Whoever names a revision or a time wants it in its order.
    if change.expected.is_some() || change.enact_at.is_some() {
        return None;
    }
    let actor = actor_now(catalogue, &change.actor).ok()?;
    let mut notice = Notice::of(&change.command, change.op, &actor)?;
    let authorised = authorise(change.command.clone(), &actor, catalogue, now).ok()?;
    let events = decide(catalogue, &authorised, now).ok()?;
    let is_kill = matches!(events.as_slice(), [Event::Killed { .. }]);
    validity::check(catalogue, now, &actor, &events).ok()?;
    signs(catalogue, &events, Some(log_key)).ok()?;
    notice.aud.clone_from(&catalogue.audience);
    notice.why.clone_from(&change.why);
    notice.at = now;
    notice.base = catalogue.revision;
    is_kill.then_some(notice)
}

/// Whether this node's signature is one of those that count once these events are true. A keyring that would leave
/// this node without a voice is not put in force by it, so no keyring ever leaves all of them without.
fn signs(
    catalogue: &Catalogue,
    events: &[Event],
    log_key: Option<&PublicKey>,
) -> Result<(), Refusal> {
    let Some(keyring) = validity::keyring_after(catalogue, events) else {
        return Ok(());
    };
    if log_key.is_some_and(|own| validity::signers(&keyring).any(|key| key == own)) {
        return Ok(());
    }
    Err(Refusal::NotALogKey {
        keyring: keyring.version,
        key: log_key.map(|key| key.id().as_str().to_owned()),
    })
}

/// The actor as it stands at this revision: a credential that was revoked, or a person who was let go,
/// meanwhile counts for nothing.
fn actor_now(catalogue: &Catalogue, actor: &Actor) -> Result<Actor, Forbidden> {
    if actor.id == super::SELF {
        return Ok(actor.clone());
    }
    match catalogue.role_of(&actor.id) {
        Some(role) => Ok(Actor {
            id: actor.id.clone(),
            role: role.clone(),
        }),
        None => Err(Forbidden::Foreign {
            what: actor.id.clone(),
        }),
    }
}

fn match_revision(
    catalogue: &Catalogue,
    command: &Command,
    expected: Revision,
) -> Result<(), Refusal> {
    let (what, is) = match (command, command.app()) {
        (Command::PutSegment { segment, .. } | Command::RemoveSegment { segment }, _) => (
            segment.to_string(),
            catalogue.segments.get(segment).map(|kept| kept.revision),
        ),
        (_, Some(app)) => (
            app.to_string(),
            catalogue.apps.get(app).map(|app| app.revision),
        ),
        (_, None) => return Ok(()),
    };
    let is = is.unwrap_or(Revision::ZERO);
    if is == expected {
        Ok(())
    } else {
        Err(Refusal::Stale {
            what,
            is: is.get(),
            expected: expected.get(),
        })
    }
}

/// The name of the change that waits in the place of `change`, if it does.
pub(super) fn waiting(catalogue: &Catalogue, change: &Change) -> Option<String> {
    let mut open = catalogue.trust.proposals.iter();
    let same = |proposal: &Proposal| {
        proposal.actor == change.actor
            && *proposal.command == change.command
            && proposal.enact_at == change.enact_at
    };
    open.find(|(_, proposal)| same(proposal))
        .map(|(id, _)| id.clone())
}
