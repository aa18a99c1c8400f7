//! Decisions about what people sign offline: keyrings, release records and app policies.
//!
//! A paper is believed here for the same reasons as on a device, by the same functions. What a policy
//! forbids nobody lists and nobody brings back, whatever their role.

use std::collections::BTreeSet;

use super::{Decision, Refusal, version as version_of};
use crate::{
    catalogue::{App, Catalogue},
    envelope::{Envelope, Kind, Signed},
    event::Event,
    keyring::{Guard, Keyring, Role},
    limits,
    name::Permission,
    paper::{self, Paper as _, PaperError},
    policy::{Policy, Standing},
    release::Release,
    time::Timestamp,
    version::{Number, Version},
};

/// How the signatures of a version stand when one more person approves.
pub(super) struct Signatures {
    /// True when no more are needed.
    pub(super) is_enough: bool,
    /// The record with all of them.
    pub(super) joined: Option<String>,
}

/// Puts the keyring that follows in force. The first is believed on the word of whoever puts it.
pub(super) fn put_keyring(catalogue: &Catalogue, envelope: &str, now: Timestamp) -> Decision {
    let bytes = envelope.as_bytes();
    let next = match &catalogue.trust.chain.newest {
        Some(known) => known.follow(bytes)?,
        None => first(&catalogue.audience, bytes)?,
    };
    if next.expires() <= now {
        return Err(Refusal::Expired { what: "keyring" });
    }
    Ok(vec![Event::KeyringPut {
        envelope: envelope.to_owned(),
    }])
}

/// Reads the first keyring of `audience`.
pub(super) fn first(audience: &str, bytes: &[u8]) -> Result<Keyring, PaperError> {
    let keyring = Keyring::born(bytes, audience, Guard::Development)?;
    if keyring.version == 1 {
        return Ok(keyring);
    }
    Err(PaperError::Sequence {
        known: 0,
        given: keyring.version,
    })
}

/// Puts an app's policy in force; a later one takes the place of an earlier one, never the reverse.
pub(super) fn put_policy(
    catalogue: &Catalogue,
    app: &App,
    envelope: &str,
    now: Timestamp,
) -> Decision {
    let keyring = catalogue.trust.chain.newest.as_deref();
    let keyring = keyring.ok_or(Refusal::NoKeyring)?;
    let policy = paper::open::<Policy>(keyring, envelope.as_bytes())?.into_paper();
    if policy.app != app.id {
        return Err(Refusal::Unknown {
            kind: "app policy of this app, but of",
            name: policy.app.to_string(),
            help: "put it under the app that it names",
        });
    }
    let known = app.trust.signed.as_ref().map(|known| known.policy.version);
    if known.is_some_and(|known| known >= policy.version) {
        return Err(Refusal::Exists {
            kind: "app policy",
            name: policy.version.to_string(),
            help: "a policy takes the place of one with a lower `version`; `huidu policy show` has it",
        });
    }
    if policy.expires() <= now {
        return Err(Refusal::Expired { what: "app policy" });
    }
    Ok(vec![Event::PolicyPut {
        app: app.id.clone(),
        envelope: envelope.to_owned(),
    }])
}

/// Reads what a reviewer signed: the very record of this version, with a signature that counts.
fn record(
    catalogue: &Catalogue,
    app: &App,
    version: &Version,
    signed: &str,
) -> Result<(Envelope, Option<PaperError>), Refusal> {
    let keyring = catalogue.trust.chain.newest.as_deref();
    let keyring = keyring.ok_or(Refusal::NoKeyring)?;
    let envelope = Envelope::parse(signed.as_bytes()).map_err(PaperError::from)?;
    let draft = Release::draft(&catalogue.audience, &app.id, version);
    draft.check()?;
    if envelope.kind() != Kind::Release || envelope.payload() != draft.to_payload() {
        return Err(Refusal::OtherRecord {
            app: app.id.clone(),
            version: version.number.clone(),
        });
    }
    let missing = keyring.check_signed(Role::Release, &envelope.message(), envelope.signatures());
    Ok((envelope, missing.err()))
}

/// How the signatures stand with those handed in now. Where customers are served by keys, whoever approves
/// signs, and the last one is the one who reaches the threshold.
pub(super) fn standing(
    catalogue: &Catalogue,
    app: &App,
    version: &Version,
    signed: Option<&str>,
) -> Result<Signatures, Refusal> {
    let Some(signed) = signed else {
        return match catalogue.trust.demanding() {
            Some(_) => Err(Refusal::Unsigned {
                app: app.id.clone(),
                version: version.number.clone(),
            }),
            None => Ok(Signatures {
                is_enough: true,
                joined: None,
            }),
        };
    };
    let (mut envelope, missing) = record(catalogue, app, version, signed)?;
    if let Some(PaperError::Threshold { have: 0, .. }) = missing {
        return Err(missing.map_or(Refusal::NoKeyring, Refusal::Paper));
    }
    let keyring = catalogue.trust.chain.newest.as_deref();
    let keyring = keyring.ok_or(Refusal::NoKeyring)?;
    let message = envelope.message();
    let counts = |one: &Signed| keyring.counts(Role::Release, &message, one);
    for vote in version.dossier.open().approvals {
        let before = vote.signed.as_deref().map(str::as_bytes);
        if let Some(Ok(mut before)) = before.map(Envelope::parse) {
            before.keep(counts);
            envelope.join(before.signatures());
        }
    }
    // More than a reader looks at: strangers go, so that what counts is found. Nobody adds to the few that are
    // left when every node decides this once more.
    if envelope.signatures().len() > limits::SIGNATURES {
        envelope.keep(counts);
    }
    let signed = keyring.check_signed(Role::Release, &message, envelope.signatures());
    let reached = signed.is_ok();
    let joined = String::from_utf8(envelope.to_bytes()).ok();
    Ok(Signatures {
        is_enough: reached || catalogue.trust.demanding().is_none(),
        joined: joined.filter(|_| reached),
    })
}

/// Puts the same record, signed by those whose signatures count now, in place of the one there is.
pub(super) fn sign_release(
    catalogue: &Catalogue,
    app: &App,
    number: &Number,
    signed: &str,
) -> Decision {
    let version = version_of(app, number)?;
    if !version.life.has_passed() {
        return Err(super::wrong_life(
            app,
            version,
            "signed again",
            "approve it; the record is signed with that",
        ));
    }
    let (envelope, missing) = record(catalogue, app, version, signed)?;
    if let Some(missing) = missing {
        return Err(missing.into());
    }
    let known = version.dossier.open().release;
    if known.is_some_and(|known| *known.envelope == *signed) {
        return Err(Refusal::Nothing {
            what: "the release record is this very one".into(),
        });
    }
    drop(envelope);
    Ok(vec![Event::ReleaseSigned {
        app: app.id.clone(),
        version: number.clone(),
        release: signed.to_owned(),
    }])
}

/// Whether devices would run the version: its record is signed by those whose signatures count now, its time
/// is not over, and the app's policy is not expired and allows it.
pub(super) fn may_run(
    catalogue: &Catalogue,
    app: &App,
    version: &Version,
    now: Timestamp,
) -> Result<(), Refusal> {
    let dossier = version.dossier.open();
    if dossier.reach.is_over(now) {
        return Err(Refusal::Over {
            app: app.id.clone(),
            version: version.number.clone(),
        });
    }
    if let Some(keyring) = catalogue.trust.demanding() {
        let release = dossier.release;
        let release = release.ok_or_else(|| Refusal::Unsigned {
            app: app.id.clone(),
            version: version.number.clone(),
        })?;
        paper::open::<Release>(keyring, release.envelope.as_bytes())?;
        if app.trust.signed.is_none() {
            return Err(Refusal::NoPolicy {
                app: app.id.clone(),
            });
        }
    }
    let Some(policy) = app.trust.signed.as_ref().map(|signed| &signed.policy) else {
        return Ok(());
    };
    if policy.expires() <= now {
        return Err(Refusal::Expired { what: "app policy" });
    }
    allowed(app, version, policy)?;
    let most = &policy.max_permissions;
    if version.granted().all(|one| most.binary_search(one).is_ok()) {
        return Ok(());
    }
    Err(forbids(
        app,
        policy,
        Some(&version.number),
        "it was granted more than `max_permissions`",
    ))
}

fn allowed(app: &App, version: &Version, policy: &Policy) -> Result<(), Refusal> {
    if policy.lets(&version.bundle.sha256, version.dossier.seq()) {
        return Ok(());
    }
    let why = if policy.state == Standing::Delisted {
        "the app is delisted; only a later signed policy lists it again"
    } else if version.dossier.seq() < policy.floor_seq {
        "it is below the floor; submit and approve the next number"
    } else {
        "its archive was taken back; submit and approve the next number"
    };
    Err(forbids(app, policy, Some(&version.number), why))
}

fn forbids(app: &App, policy: &Policy, version: Option<&Number>, why: &'static str) -> Refusal {
    Refusal::PolicyForbids {
        app: app.id.clone(),
        policy: policy.version,
        what: version.map_or_else(
            || "the app".to_owned(),
            |version| format!("version {version}"),
        ),
        why,
    }
}

/// Whether what was killed may come back: never what a policy forbids.
pub(super) fn may_come_back(app: &App, number: Option<&Number>) -> Result<(), Refusal> {
    let Some(policy) = app.trust.signed.as_ref().map(|signed| &signed.policy) else {
        return Ok(());
    };
    match number {
        Some(number) => allowed(app, version_of(app, number)?, policy),
        None if policy.state == Standing::Live => Ok(()),
        None => Err(forbids(
            app,
            policy,
            None,
            "it is delisted; only a later signed policy lists it again",
        )),
    }
}

/// What of all that `version` asks for a signed record does not grant; none: it is no record, or one that grants
/// more than was asked for.
pub(super) fn withheld(version: &Version, signed: &str) -> Option<BTreeSet<Permission>> {
    let envelope = Envelope::parse(signed.as_bytes()).ok()?;
    let granted = Release::read(envelope.payload()).ok()?.permissions;
    let asked = &version.permissions;
    let is_part = granted.iter().all(|one| asked.contains(one));
    let left = asked.iter().filter(|one| !granted.contains(one));
    is_part.then(|| left.cloned().collect())
}
