//! Stops behind a record that this build cannot read: the smallest part of a record that must be understood.
//!
//! A node stays in front of what it cannot read, because it would come to another truth than its writer. What
//! stops something does not wait for that: it is recognised here by its own few fields, whatever else stands in
//! the record, and shown on top of what is true. Nothing here ever lets anything run, and nothing of it is kept:
//! once the record can be read, the ledger says the same itself.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    authority,
    catalogue::Catalogue,
    command::Command,
    digest::Digest,
    event::{Actor, Event},
    keyring::Keyring,
    record::Found,
    revision::Revision,
    time::Timestamp,
    validity::signers,
};

/// Something that stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The revision that says so.
    pub rev: Revision,
    /// When it was written.
    pub at: Timestamp,
    /// What stops: a kill, or a revoked permission.
    pub event: Event,
}

/// What a record of any form must have.
#[derive(Deserialize)]
struct Loose {
    rev: Revision,
    prev: Digest,
    at: Timestamp,
    actor: Actor,
    #[serde(default)]
    events: Vec<Value>,
}

/// What the record in `slot`, behind one whose hash is `head`, stops: as far as whoever wrote it was known before
/// with a role that stops, and a server signed it where servers sign.
pub fn stops(catalogue: &Catalogue, slot: Revision, head: &Digest, found: &Found) -> Vec<Stop> {
    let Ok(loose) = serde_json::from_slice::<Loose>(found.payload()) else {
        return Vec::new();
    };
    let signs = !catalogue.trust.era.is_first();
    let keyring = catalogue.trust.chain.newest.as_ref().filter(|_| signs);
    let is_signed = keyring.is_none_or(|keyring| found.is_by(signers(keyring)));
    let follows = loose.rev == slot && loose.prev == *head;
    if !is_signed || !follows || !catalogue.knows(&loose.actor, loose.at) {
        return Vec::new();
    }
    let events = loose.events.into_iter().filter_map(|event| {
        let event: Event = serde_json::from_value(event).ok()?;
        let command = asked(&event)?;
        authority::authorise(command, &loose.actor, catalogue, loose.at).ok()?;
        let (rev, at) = (slot, loose.at);
        Some(Stop { rev, at, event })
    });
    events.collect()
}

/// The keyring that a record of any form puts in force, when it follows the one there is.
pub(crate) fn keyring(catalogue: &Catalogue, found: &Found) -> Option<Keyring> {
    let loose: Loose = serde_json::from_slice(found.payload()).ok()?;
    let known = catalogue.trust.chain.newest.as_deref()?;
    let puts = |event: &Value| event["event"] == "keyring-put";
    let event = loose.events.iter().find(|event| puts(event))?;
    known.follow(event["envelope"].as_str()?.as_bytes()).ok()
}

fn asked(event: &Event) -> Option<Command> {
    match event.clone() {
        Event::Killed {
            app,
            version,
            reason,
            ..
        } => Some(Command::Kill {
            app,
            version,
            reason,
        }),
        Event::PermissionRevoked {
            app,
            permission,
            reason,
        } => Some(Command::RevokePermission {
            app,
            permission,
            reason,
        }),
        _ => None,
    }
}

/// What is true, with what stops on top of it.
#[must_use]
pub fn stopped(catalogue: &Catalogue, stops: &[Stop]) -> Catalogue {
    let mut stopped = catalogue.clone();
    for Stop { rev, at, event } in stops {
        stopped.apply(*rev, *at, std::slice::from_ref(event));
    }
    stopped
}
