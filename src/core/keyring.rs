//! The keyring: whose signatures count for what, and how one keyring follows another.
//!
//! A reader is born with one keyring and from then on walks: version N+1 is believed when the root of N
//! and the root of N+1 both signed it. Nothing is ever skipped. Thresholds count different public keys.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    envelope::{Envelope, Kind, Signed},
    judge::{Check, Judge, Strict},
    key::{KeyId, PublicKey},
    limits,
    paper::{self, Paper, PaperError, field},
    time::Timestamp,
};

/// What a group of keys may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Signs keyrings. Bank security, offline.
    Root,
    /// Signs release records. Reviewers, offline.
    Release,
    /// Signs app policies. Operations and security, offline.
    Policy,
    /// Stamps answers. The servers.
    Online,
    /// Signs checkpoints of the log. The servers.
    Log,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Root,
        Self::Release,
        Self::Policy,
        Self::Online,
        Self::Log,
    ];

    /// Its name in keyrings.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Release => "release",
            Self::Policy => "policy",
            Self::Online => "online",
            Self::Log => "log",
        }
    }
}

/// Whom an installation serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Customers.
    Prod,
    /// Nobody but developers: its keys lie beside the server.
    Dev,
}

impl Trust {
    /// As keyrings write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Prod => "prod",
            Self::Dev => "dev",
        }
    }
}

/// What a reader lets itself in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// Keyrings of customers alone; every release record and policy must be there.
    Production,
    /// Keyrings of customers alone, on a test build of the bank app: what is on trial may run without a
    /// release record, in the sandboxes its answer names.
    Sandbox,
    /// Development keyrings too; with those, papers may be missing.
    Development,
}

/// What holds for the servers' keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Online {
    /// Revisions count within an epoch. A new one has only new keys and begins to count anew, so whatever
    /// a stolen key said about the future is void.
    pub epoch: u64,
    /// The longest lease a stamp may give, in milliseconds.
    pub max_lease_ms: u32,
}

/// Keys of which a number must sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Which keys.
    pub kids: Vec<KeyId>,
    /// How many different ones.
    pub threshold: u32,
}

/// Whose signatures a role needs: enough of every group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// The groups; all must reach their threshold.
    pub groups: Vec<Group>,
}

impl Quorum {
    /// `threshold` of `kids`.
    pub fn of(threshold: u32, kids: Vec<KeyId>) -> Self {
        Self {
            groups: vec![Group { kids, threshold }],
        }
    }

    /// Every key of every group.
    pub fn kids(&self) -> impl Iterator<Item = &KeyId> {
        self.groups.iter().flat_map(|group| &group.kids)
    }
}

/// The quorum of each role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// Signs keyrings.
    pub root: Quorum,
    /// Signs release records.
    pub release: Quorum,
    /// Signs app policies.
    pub policy: Quorum,
    /// Stamps answers.
    pub online: Quorum,
    /// Signs checkpoints of the log.
    pub log: Quorum,
}

/// Whose signatures count for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyring {
    /// The form of this document: 1.
    pub v: u32,
    /// The installation, `bank/environment`.
    pub aud: String,
    /// 1, 2, 3 … without a gap.
    pub version: u64,
    /// From then on it must have been followed by another, Unix seconds.
    pub expires: u64,
    /// Whom the installation serves.
    pub trust: Trust,
    /// What holds for the servers' keys.
    pub online: Online,
    /// Every key there is.
    pub keys: BTreeMap<KeyId, PublicKey>,
    /// Who signs what.
    pub roles: Roles,
}

impl Paper for Keyring {
    const KIND: Kind = Kind::Keyring;
    const ROLE: Role = Role::Root;

    fn audience(&self) -> &str {
        &self.aud
    }

    fn check(&self) -> Result<(), PaperError> {
        paper::check_head(self.v, &self.aud)?;
        if self.version == 0 {
            return Err(field("version", "is 0; the first keyring is 1"));
        }
        if !(1..=limits::LEASE_MS).contains(&self.online.max_lease_ms) {
            return Err(field("max_lease_ms", "is 0 or longer than a week"));
        }
        if self.keys.len() > limits::KEYS {
            return Err(field("keys", format!("has more than {}", limits::KEYS)));
        }
        for role in Role::ALL {
            self.check_quorum(self.quorum(role))?;
        }
        Ok(())
    }
}

impl Keyring {
    /// A developer's: one key that stands for every role, for ever.
    pub fn of_key(key: &PublicKey, audience: &str) -> Self {
        let alone = || Quorum::of(1, vec![key.id()]);
        Self {
            v: paper::FORM,
            aud: audience.to_owned(),
            version: 1,
            expires: limits::JSON_INTEGER,
            trust: Trust::Dev,
            online: Online {
                epoch: 0,
                max_lease_ms: limits::LEASE_MS,
            },
            keys: [(key.id(), key.clone())].into(),
            roles: Roles {
                root: alone(),
                release: alone(),
                policy: alone(),
                online: alone(),
                log: alone(),
            },
        }
    }

    /// Whose signatures `role` needs.
    pub const fn quorum(&self, role: Role) -> &Quorum {
        match role {
            Role::Root => &self.roles.root,
            Role::Release => &self.roles.release,
            Role::Policy => &self.roles.policy,
            Role::Online => &self.roles.online,
            Role::Log => &self.roles.log,
        }
    }

    /// Whose signatures `role` needs, to be changed.
    pub const fn quorum_mut(&mut self, role: Role) -> &mut Quorum {
        match role {
            Role::Root => &mut self.roles.root,
            Role::Release => &mut self.roles.release,
            Role::Policy => &mut self.roles.policy,
            Role::Online => &mut self.roles.online,
            Role::Log => &mut self.roles.log,
        }
    }

    /// The keys of `role`, each once.
    pub fn signers(&self, role: Role) -> BTreeSet<&PublicKey> {
        let kids = self.quorum(role).kids();
        kids.filter_map(|kid| self.keys.get(kid)).collect()
    }

    /// The instant from which it is expired.
    pub const fn expires(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.expires.saturating_mul(1_000))
    }

    fn check_quorum(&self, quorum: &Quorum) -> Result<(), PaperError> {
        if !(1..=limits::KEY_GROUPS).contains(&quorum.groups.len()) {
            return Err(field(
                "groups",
                format!("are none, or more than {}", limits::KEY_GROUPS),
            ));
        }
        for group in &quorum.groups {
            let mut keys = Vec::with_capacity(group.kids.len());
            for kid in &group.kids {
                let key = self.keys.get(kid);
                keys.push(
                    key.ok_or_else(|| field("kids", format!("names {kid}, which is no key here")))?,
                );
            }
            keys.sort_unstable();
            keys.dedup();
            if group.threshold == 0 || group.threshold as usize > keys.len() {
                let (need, have) = (group.threshold, keys.len());
                let wrong = format!(
                    "is {need} of {have} different keys, which nobody can reach or everybody does"
                );
                return Err(field("threshold", wrong));
            }
            let (need, have) = (group.threshold as usize, keys.len());
            let checked = keys.iter().filter(|key| key.alg().is_checked()).count();
            if need > checked {
                let wrong = format!(
                    "is {need} of {have} keys, of which this build checks {checked}: signatures of ed25519 alone"
                );
                return Err(field("threshold", wrong));
            }
        }
        Ok(())
    }

    /// Checks that enough of `role` signed `message`.
    pub fn check_signed(
        &self,
        role: Role,
        message: &[u8],
        signatures: &[Signed],
    ) -> Result<(), PaperError> {
        self.shortfall(&Strict, role, message, signatures)
            .map_or(Ok(()), Err)
    }

    /// What is missing of `role`'s signatures over `message`, if anything.
    pub(crate) fn shortfall(
        &self,
        judge: &impl Judge,
        role: Role,
        message: &[u8],
        signatures: &[Signed],
    ) -> Option<PaperError> {
        let quorum = self.quorum(role);
        let named = |kid: &KeyId| quorum.kids().any(|known| known == kid);
        let valid: Vec<(&KeyId, &PublicKey)> = (signatures.iter().take(limits::SIGNATURES))
            .filter(|one| named(&one.key))
            .filter_map(|one| Some((one, self.keys.get(&one.key)?)))
            .filter(|(one, key)| key.verifies(message, &one.signature))
            .map(|(one, key)| (&one.key, key))
            .collect();
        quorum.groups.iter().enumerate().find_map(|(at, group)| {
            let signers: Vec<(&str, &PublicKey)> = (valid.iter())
                .filter(|(kid, _)| group.kids.contains(kid))
                .map(|(kid, key)| (kid.as_str(), *key))
                .collect();
            let have = judge.voices(&signers);
            ((have as u64) < u64::from(group.threshold)).then_some(PaperError::Threshold {
                role,
                group: at + 1,
                have,
                need: group.threshold,
            })
        })
    }

    /// Reads the keyring a reader is born with: signed by its own root, of `audience`, fit for `guard`.
    /// Whoever hands these bytes over vouches for them.
    pub fn born(bytes: &[u8], audience: &str, guard: Guard) -> Result<Self, PaperError> {
        Self::born_with(&Strict, bytes, audience, guard)
    }

    pub(crate) fn born_with(
        judge: &impl Judge,
        bytes: &[u8],
        audience: &str,
        guard: Guard,
    ) -> Result<Self, PaperError> {
        let envelope = Envelope::parse(bytes)?;
        paper::expect::<Self>(&envelope)?;
        let keyring = Self::read(envelope.payload())?;
        keyring.check_root(judge, Check::NewRoot, &envelope)?;
        keyring.check_audience(judge, audience)?;
        let fits = guard == Guard::Development || keyring.trust == Trust::Prod;
        if !judge.holds(Check::Development, fits) {
            return Err(keyring.wrong_trust());
        }
        Ok(keyring)
    }

    /// The keyring that follows this one: signed by this root and by its own.
    pub fn follow(&self, bytes: &[u8]) -> Result<Self, PaperError> {
        self.follow_with(&Strict, bytes)
    }

    pub(crate) fn follow_with(&self, judge: &impl Judge, bytes: &[u8]) -> Result<Self, PaperError> {
        let envelope = Envelope::parse(bytes)?;
        paper::expect::<Self>(&envelope)?;
        // By the old root before anything of it is read, by the new one after.
        self.check_root(judge, Check::OldRoot, &envelope)?;
        let next = Self::read(envelope.payload())?;
        next.check_root(judge, Check::NewRoot, &envelope)?;
        next.check_audience(judge, &self.aud)?;
        if !judge.holds(Check::KeyringVersion, next.version == self.version + 1) {
            return Err(PaperError::Sequence {
                known: self.version,
                given: next.version,
            });
        }
        if !judge.holds(Check::KeyringTrust, next.trust == self.trust) {
            return Err(next.wrong_trust());
        }
        self.check_epoch(judge, &next)?;
        Ok(next)
    }

    fn check_root(
        &self,
        judge: &impl Judge,
        check: Check,
        envelope: &Envelope,
    ) -> Result<(), PaperError> {
        let shortfall = self.shortfall(
            judge,
            Role::Root,
            &envelope.message(),
            envelope.signatures(),
        );
        match shortfall {
            Some(shortfall) if !judge.holds(check, false) => Err(shortfall),
            _ => Ok(()),
        }
    }

    fn check_audience(&self, judge: &impl Judge, expected: &str) -> Result<(), PaperError> {
        if judge.holds(Check::PaperAudience, self.aud == expected) {
            return Ok(());
        }
        Err(PaperError::Audience {
            kind: Kind::Keyring,
            given: self.aud.clone(),
            expected: expected.to_owned(),
        })
    }

    fn wrong_trust(&self) -> PaperError {
        PaperError::Trust {
            version: self.version,
            trust: self.trust.word(),
        }
    }

    fn check_epoch(&self, judge: &impl Judge, next: &Self) -> Result<(), PaperError> {
        let (from, to) = (self.online.epoch, next.online.epoch);
        let (old, new) = (self.signers(Role::Online), next.signers(Role::Online));
        let only_new = to <= from || new.iter().all(|key| !old.contains(key));
        if judge.holds(Check::EpochFalls, to >= from) && judge.holds(Check::EpochKeys, only_new) {
            return Ok(());
        }
        Err(PaperError::Epoch {
            version: next.version,
            from,
            to,
        })
    }
}
