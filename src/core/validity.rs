//! Validity: whether what lies in a slot of the ledger may count, from what was true before it.
//!
//! Every node asks this of every record, whoever wrote it, and all come to the same end: what somebody wrote
//! into the store past the servers changes nothing, unless it is what the servers would have let through. The
//! rule is one: what was asked for is read off the events, decided once more by the same actor at the same state
//! and time, and must lead to exactly these events. No event has a rule of its own that could be forgotten.
//!
//! It is a function of the ledger alone, up to this record: no clock, no setting, no other part of the store. What
//! counted once counts for ever: a record is decided by the rules of its own form ([`Rules`]).

use crate::{
    ahead,
    asked::{asked, is_for_nodes, is_node},
    authority,
    catalogue::Catalogue,
    command::Command,
    decide,
    envelope::Envelope,
    event::{Actor, Event},
    key::PublicKey,
    keyring::{self, Keyring},
    limits,
    paper::Paper as _,
    record::{Found, Record, RecordError},
    rules::Rules,
    time::Timestamp,
};

/// Who a node is when it does something by itself.
pub const NODE: &str = "huidu";

/// Why a record does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// No server wrote it.
    #[error("no key of role `log` signed it")]
    Unsigned,
    /// Records of its form are over.
    #[error("it is of form {form}, and newer ones have counted already")]
    Form {
        /// The form.
        form: u64,
    },
    /// Not even JSON.
    #[error("it is no record: {what}")]
    Garbage {
        /// What is wrong with it.
        what: String,
    },
    /// It says that it was written before the one before it.
    #[error("it says it was written at {at}, and the one before it was written at {after}")]
    Time {
        /// When it says.
        at: Timestamp,
        /// When the last one that counts was written.
        after: Timestamp,
    },
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
    /// Whoever asked for it would have been refused.
    #[error("it would have been refused: {why}")]
    Refused {
        /// Why.
        why: String,
    },
    /// What was asked for leads to something else.
    #[error("it is not what anything that can be asked for leads to")]
    Different,
}

/// What a node makes of what lies in a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is true.
    Counts,
    /// It takes its place in the ledger and changes nothing.
    Void(Invalid),
    /// The same, and nothing at all that it says is believed: whoever wrote it is no server.
    Nobody(Invalid),
    /// It may be a later build's: whoever cannot read it stays in front of it.
    Unreadable,
}

/// Judges what lies in the slot behind `catalogue`.
pub fn judge(catalogue: &Catalogue, found: &Found) -> Verdict {
    let record = match found.record() {
        Ok(record) => record,
        Err(error) => return unread(catalogue, found, error),
    };
    let form = catalogue.trust.era.rules;
    if record.v < form {
        let form = record.v.into();
        return Verdict::Nobody(Invalid::Form { form });
    }
    if !record.v.is_first() && !is_sealed(catalogue, found, record) {
        return Verdict::Nobody(Invalid::Unsigned);
    }
    let runs_back = record.at < catalogue.written_at() && !resets_time(&record.events);
    if !record.v.is_first() && runs_back {
        let after = catalogue.written_at();
        let at = record.at;
        return Verdict::Void(Invalid::Time { at, after });
    }
    let checked = check_by(
        record.v,
        catalogue,
        record.at,
        &record.actor,
        &record.events,
    );
    match checked {
        Ok(()) => Verdict::Counts,
        // A keyring that does not come into force vouches for nobody, least of all for whoever wrote the record.
        Err(why) if !record.v.is_first() && !is_by_servers(catalogue, found) => {
            Verdict::Nobody(why)
        }
        Err(why) => Verdict::Void(why),
    }
}

/// True when a server of the keyring in force signed it, or none is in force.
fn is_by_servers(catalogue: &Catalogue, found: &Found) -> bool {
    let keyring = catalogue.trust.chain.newest.as_deref();
    keyring.is_none_or(|keyring| found.is_by(signers(keyring)))
}

/// What was never a record of any build is nobody's; what merely does not fit may be a later build's, unless
/// records are signed here and this one is not.
fn unread(catalogue: &Catalogue, found: &Found, error: &RecordError) -> Verdict {
    if error.is_garbage() {
        let what = error.to_string();
        return Verdict::Nobody(Invalid::Garbage { what });
    }
    // A later build's keyring may be signed by its own servers alone.
    let is_by_next =
        || ahead::keyring(catalogue, found).is_some_and(|next| found.is_by(signers(&next)));
    if catalogue.trust.era.is_first() || is_by_servers(catalogue, found) || is_by_next() {
        Verdict::Unreadable
    } else {
        Verdict::Nobody(Invalid::Unsigned)
    }
}

/// Whoever may sign records by `keyring`: each key of role `log` speaks for the servers.
pub fn signers(keyring: &Keyring) -> impl Iterator<Item = &PublicKey> {
    keyring.signers(keyring::Role::Log).into_iter()
}

/// The keyring whose servers must sign a record with these events: the one in force once they are true. So no
/// keyring comes into force but by a server that can go on under it. None: nobody needs to sign.
pub fn keyring_after(catalogue: &Catalogue, events: &[Event]) -> Option<Keyring> {
    let put = events.iter().rev().find_map(|event| match event {
        Event::KeyringPut { envelope } => Some(envelope),
        _ => None,
    });
    let read = put.and_then(|envelope| {
        let envelope = Envelope::parse(envelope.as_bytes()).ok()?;
        Keyring::read(envelope.payload()).ok()
    });
    read.or_else(|| catalogue.trust.chain.newest.as_deref().cloned())
}

/// True of what puts a keyring in force: enough of the root signed it, so it may set the ledger's time back after
/// a server whose clock was wrong had moved it on.
pub fn resets_time(events: &[Event]) -> bool {
    let puts = |event: &Event| matches!(event, Event::KeyringPut { .. });
    events.iter().any(puts)
}

fn is_sealed(catalogue: &Catalogue, found: &Found, record: &Record) -> bool {
    let keyring = keyring_after(catalogue, &record.events);
    keyring.is_none_or(|keyring| found.is_by(signers(&keyring)))
}

/// Whether what `actor` wrote at `at` may count by the newest rules, given what was true before it.
pub fn check(
    catalogue: &Catalogue,
    at: Timestamp,
    actor: &Actor,
    events: &[Event],
) -> Result<(), Invalid> {
    check_by(Rules::NEWEST, catalogue, at, actor, events)
}

/// The same, by the rules of the day it was written.
pub fn check_by(
    rules: Rules,
    catalogue: &Catalogue,
    at: Timestamp,
    actor: &Actor,
    events: &[Event],
) -> Result<(), Invalid> {
    let by_node = is_node(actor);
    if !by_node && !catalogue.knows(actor, at) {
        return Err(Invalid::Unknown {
            actor: actor.id.clone(),
            role: actor.role.word(),
        });
    }
    if events.is_empty() {
        // It voids a want, which nobody else can have.
        return Ok(());
    }
    let mut why = Invalid::Different;
    for (command, enact_at) in asked(catalogue, events) {
        if by_node != is_for_nodes(&command) {
            continue;
        }
        match again(rules, catalogue, at, actor, command, enact_at) {
            Ok(right) if is_same(&right, events) => return Ok(()),
            Ok(right) => why = different(&right),
            Err(invalid) => why = invalid,
        }
    }
    // Whatever else is wrong: it is not the change that it says was agreed on.
    Err(enacted(events).map_or(why, |id| Invalid::Other { id }))
}

fn enacted(events: &[Event]) -> Option<String> {
    events.iter().find_map(|event| match event {
        Event::ProposalEnacted { id } => Some(id.clone()),
        _ => None,
    })
}

/// Decides `command` once more.
fn again(
    rules: Rules,
    catalogue: &Catalogue,
    at: Timestamp,
    actor: &Actor,
    command: Command,
    enact_at: Option<Timestamp>,
) -> Result<Vec<Event>, Invalid> {
    let verb = command.verb();
    let authorised = authority::authorise(command, actor, catalogue, at);
    let authorised = authorised.map_err(|_| Invalid::Role {
        role: actor.role.word(),
        verb,
    })?;
    let decided = decide::decide(catalogue, &authorised.at(enact_at).by(rules), at);
    decided.map_err(|refusal| Invalid::Refused {
        why: refusal.to_string(),
    })
}

/// True when what is right is what happened. Why something failed is told in the words of the day.
fn is_same(right: &[Event], events: &[Event]) -> bool {
    match (right, events) {
        ([Event::ProposalFailed { id, .. }], [Event::ProposalFailed { id: failed, why }]) => {
            id == failed && why.len() <= limits::TEXT_BYTES
        }
        _ => right == events,
    }
}

/// In which way what happened is not what is right.
fn different(right: &[Event]) -> Invalid {
    match right {
        [Event::Proposed { proposal, .. }] => match proposal.kind {
            Some(kind) => Invalid::Eyes { kind: kind.word() },
            None => Invalid::Different,
        },
        _ => Invalid::Different,
    }
}
