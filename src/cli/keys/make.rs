//! Keyrings as they are made: the first one, and each that follows.
//!
//! Values in, values out; what is made here is worth nothing before enough of the root signed it.

use anyhow::{Context as _, bail};
use huidu_core::{
    envelope::Envelope,
    key::{KeyId, PublicKey},
    keyring::{Keyring, Online, Quorum, Role, Roles, Trust},
    paper::{FORM, Paper as _},
    time::Timestamp,
};

use crate::cli::sign::unread;

const DAY_S: u64 = 86_400;

/// Who signs for a role.
pub(super) struct Signers {
    pub(super) role: Role,
    pub(super) threshold: u32,
    pub(super) keys: Vec<PublicKey>,
}

/// The first keyring of an installation.
pub(super) fn first(
    audience: &str,
    trust: Trust,
    expires: u64,
    max_lease_ms: u32,
    signers: &[Signers],
) -> anyhow::Result<Keyring> {
    let quorum = |role| {
        let of = signers.iter().find(|one| one.role == role);
        of.map_or_else(
            || Quorum::of(0, Vec::new()),
            |one| Quorum::of(one.threshold, one.keys.iter().map(PublicKey::id).collect()),
        )
    };
    let keys = signers.iter().flat_map(|one| &one.keys);
    let keyring = Keyring {
        v: FORM,
        aud: audience.to_owned(),
        version: 1,
        expires,
        trust,
        online: Online {
            epoch: 1,
            max_lease_ms,
        },
        keys: keys.map(|key| (key.id(), key.clone())).collect(),
        roles: Roles {
            root: quorum(Role::Root),
            release: quorum(Role::Release),
            policy: quorum(Role::Policy),
            online: quorum(Role::Online),
            log: quorum(Role::Log),
        },
    };
    keyring.check()?;
    Ok(keyring)
}

/// The instant `days` from `now`, in Unix seconds.
pub(super) const fn ahead(now: Timestamp, days: u64) -> u64 {
    now.unix_ms() / 1_000 + days * DAY_S
}

/// Reads the newest keyring to go on from.
/// With what of it this build does not know.
pub(super) fn newest(bytes: &[u8]) -> anyhow::Result<(Keyring, Vec<String>)> {
    let envelope = Envelope::parse(bytes)?;
    let keyring = Keyring::read(envelope.payload())?;
    Ok((keyring, unread::<Keyring>(envelope.payload())))
}

/// The one that follows `known`, not changed yet.
pub(super) fn following(known: &Keyring, expires: u64) -> Keyring {
    let mut next = known.clone();
    next.version += 1;
    next.expires = expires;
    next
}

fn only_group(
    keyring: &mut Keyring,
    role: Role,
) -> anyhow::Result<&mut huidu_core::keyring::Group> {
    let quorum = keyring.quorum_mut(role);
    if quorum.groups.len() != 1 {
        bail!(
            "role `{}` has several groups; edit the keyring's payload by hand and sign it",
            role.word()
        );
    }
    quorum.groups.first_mut().context("a role has a group")
}

/// Lets `keys` sign for `role` too.
pub(super) fn add(
    keyring: &mut Keyring,
    role: Role,
    keys: &[PublicKey],
    threshold: Option<u32>,
) -> anyhow::Result<()> {
    for key in keys {
        keyring.keys.insert(key.id(), key.clone());
        let group = only_group(keyring, role)?;
        if group.kids.contains(&key.id()) {
            bail!("key {} signs for role `{}` already", key.id(), role.word());
        }
        group.kids.push(key.id());
    }
    if let Some(threshold) = threshold {
        only_group(keyring, role)?.threshold = threshold;
    }
    finished(keyring)
}

/// Puts `keys` in the place of `old`; of the servers' keys, in the place of all: what a stolen one said
/// about the future is void from then on.
pub(super) fn rotate(
    keyring: &mut Keyring,
    role: Role,
    old: &[KeyId],
    keys: &[PublicKey],
    threshold: Option<u32>,
) -> anyhow::Result<()> {
    let group = only_group(keyring, role)?;
    for kid in old {
        if !group.kids.contains(kid) {
            bail!("key {kid} does not sign for role `{}`", role.word());
        }
    }
    if role == Role::Online {
        group.kids.clear();
        keyring.online.epoch += 1;
    } else {
        if old.is_empty() {
            bail!("say which key goes with --old; `huidu keys show` lists them");
        }
        group.kids.retain(|kid| !old.contains(kid));
    }
    if keys.is_empty() {
        return match threshold {
            Some(threshold) => {
                only_group(keyring, role)?.threshold = threshold;
                finished(keyring)
            }
            None => finished(keyring),
        };
    }
    add(keyring, role, keys, threshold)
}

/// Forgets keys that sign for nothing any more, and checks what is left.
fn finished(keyring: &mut Keyring) -> anyhow::Result<()> {
    let used: Vec<KeyId> = Role::ALL
        .into_iter()
        .flat_map(|role| keyring.quorum(role).kids().cloned().collect::<Vec<_>>())
        .collect();
    keyring.keys.retain(|kid, _| used.contains(kid));
    Ok(keyring.check()?)
}

/// A keyring as people read it.
pub(super) fn outline(keyring: &Keyring, signed_by: &[KeyId]) -> String {
    let mut lines = vec![
        format!(
            "keyring {} of `{}`, trust {}, until {}",
            keyring.version,
            keyring.aud,
            keyring.trust.word(),
            keyring.expires()
        ),
        format!(
            "online epoch {}, leases up to {} s",
            keyring.online.epoch,
            keyring.online.max_lease_ms / 1_000
        ),
    ];
    if keyring.trust == Trust::Dev {
        lines.push("DEVELOPMENT: customers' devices refuse it".into());
    }
    for role in Role::ALL {
        for group in &keyring.quorum(role).groups {
            lines.push(format!(
                "{:8} {} of {}:",
                role.word(),
                group.threshold,
                group.kids.len()
            ));
            for kid in &group.kids {
                let signed = if signed_by.contains(kid) {
                    "  signed this"
                } else {
                    ""
                };
                lines.push(format!("         {kid}{signed}"));
            }
        }
    }
    lines.join("\n")
}
