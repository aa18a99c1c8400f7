//! Eyes: which kinds of change people agree on before they happen, and what waits to be agreed on.
//!
//! Which kinds, and whose agreement counts, is data like everything else: changing it is itself such a kind.
//! Stopping is never one: a kill, a pause, a lower share and a revocation take one person, always.

mod effect;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    authority::Role, catalogue::Catalogue, command::Command, digest::Digest, event::Actor, limits,
    revision::Revision, rules::Rules, share::Share, time::Timestamp,
};

pub use effect::kinds_of;

/// A kind of change that people may have to agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Listing a version.
    List,
    /// Putting a rollout in place, whole.
    Rollout,
    /// Raising a share beyond what one person may, in whatever way; or lowering that of a rule that holds back.
    RaiseShare,
    /// Resuming a paused rule, in whatever way; or pausing one that holds back.
    Resume,
    /// Taking a kill back, and listing again what was delisted.
    Unkill,
    /// Giving a revoked permission back.
    RestorePermission,
    /// Changing how versions are approved.
    ReviewPolicy,
    /// Changing which kinds of change people agree on.
    Eyes,
    /// Putting a keyring in force, which enough of the root signed.
    Keyring,
    /// Putting an app policy in force that lets run what the one before did not.
    AppPolicy,
    /// Admitting people who act for the bank, and giving out their credentials, from the first rollout on.
    People,
    /// Putting a segment in place that a rollout asks about.
    Segment,
    /// Raising the grade of a tenant.
    Grades,
    /// Putting the catalogue of permissions in place, and granting one above a tenant's grade.
    Permissions,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::List,
        Self::Rollout,
        Self::RaiseShare,
        Self::Resume,
        Self::Unkill,
        Self::RestorePermission,
        Self::ReviewPolicy,
        Self::Eyes,
        Self::Keyring,
        Self::AppPolicy,
        Self::People,
        Self::Segment,
        Self::Grades,
        Self::Permissions,
    ];

    /// Its name in policies.
    pub const fn word(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Rollout => "rollout",
            Self::RaiseShare => "raise-share",
            Self::Resume => "resume",
            Self::Unkill => "unkill",
            Self::RestorePermission => "restore-permission",
            Self::ReviewPolicy => "review-policy",
            Self::Eyes => "eyes",
            Self::Keyring => "keyring",
            Self::AppPolicy => "app-policy",
            Self::People => "people",
            Self::Segment => "segment",
            Self::Grades => "grades",
            Self::Permissions => "permissions",
        }
    }
}

/// Whose agreement a kind of change takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// How many people besides the one who asks.
    pub approvals: u8,
    /// What they must be.
    pub roles: Vec<Role>,
}

impl Requirement {
    /// True while the agreement of `person` counts: a member, who still has one of the roles.
    fn counts(&self, catalogue: &Catalogue, person: &str) -> bool {
        let known = catalogue.trust.signed_in(person);
        known.is_some_and(|(_, member)| self.roles.contains(&member.role))
    }
}

/// Which kinds of change people agree on. What is not named happens when it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EyesPolicy {
    /// The kinds.
    #[serde(default)]
    pub kinds: BTreeMap<Kind, Requirement>,
    /// Up to this share one person may raise a rule, where raising takes agreement.
    #[serde(default = "nobody")]
    pub free_share: Share,
}

const fn nobody() -> Share {
    Share::NONE
}

impl Default for EyesPolicy {
    fn default() -> Self {
        Self {
            kinds: BTreeMap::new(),
            free_share: Share::NONE,
        }
    }
}

impl EyesPolicy {
    /// Where customers are served: every kind there is takes a second person.
    pub fn for_customers() -> Self {
        let second = || Requirement {
            approvals: 1,
            roles: vec![Role::Admin, Role::ReleaseManager, Role::Security],
        };
        Self {
            kinds: Kind::ALL.into_iter().map(|kind| (kind, second())).collect(),
            free_share: Share::from_millionths(5_000_000).unwrap_or(Share::NONE),
        }
    }

    /// True while nothing takes agreement.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with it, if anything.
    pub fn mistake(&self) -> Option<&'static str> {
        let wrong = |requirement: &Requirement| {
            !(1..=limits::APPROVALS).contains(&requirement.approvals)
                || requirement.roles.is_empty()
                || requirement.roles.iter().any(|role| role.tenant().is_some())
        };
        let wrong = self.kinds.values().any(wrong);
        wrong.then_some("each kind names 1 to 10 approvals and roles of the bank's own people")
    }
}

/// A change that waits for people to agree, or for its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// What kind of change it is; none: it takes no agreement and waits for its time alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// What is asked for.
    pub command: Box<Command>,
    /// Who asks, as it was then.
    pub actor: Actor,
    /// The person.
    pub by: String,
    /// What approvals are bound to: this change, of what was there, at that time.
    pub hash: Digest,
    /// The app's revision that it was made for; another one by then, and it does not happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Revision>,
    /// When it was asked for.
    pub at: Timestamp,
    /// From then on it is void.
    pub until: Timestamp,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enact_at: Option<Timestamp>,
    /// Who agreed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Agreement>,
}

/// Somebody's agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Who: `member/<id>`.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What approvals of `command` are bound to.
pub fn hash(command: &Command, base: Option<Revision>, enact_at: Option<Timestamp>) -> Digest {
    // Serialising to memory fails only for maps whose keys are no text; there is none here.
    let bytes = serde_json::to_vec(&(command, base, enact_at));
    Digest::of(&bytes.unwrap_or_else(|error| unreachable!("{error}")))
}

/// What `command` takes before it happens, if anything: of all kinds that it is of, the one that asks for most.
pub fn required<'a>(
    catalogue: &'a Catalogue,
    rules: Rules,
    command: &Command,
) -> Option<(Kind, &'a Requirement)> {
    let kinds = kinds_of(catalogue, rules, command).into_iter();
    let named = kinds.filter_map(|kind| Some((kind, catalogue.trust.eyes.kinds.get(&kind)?)));
    // The first of those that ask for as much.
    named.fold(None, |most: Option<(Kind, &Requirement)>, one| {
        let more = most.is_none_or(|(_, most)| one.1.approvals > most.approvals);
        if more { Some(one) } else { most }
    })
}

impl Proposal {
    /// How many more people must agree, by the policy in force.
    pub fn lacks(&self, catalogue: &Catalogue, rules: Rules) -> usize {
        let required = required(catalogue, rules, &self.command).map(|(_, one)| one);
        let Some(required) = required else {
            return 0;
        };
        let mut needed = usize::from(required.approvals);
        let counts = |one: &&Agreement| rules.is_first() || required.counts(catalogue, &one.by);
        if !rules.is_first() && !self.by.starts_with(Actor::MEMBER) {
            // Whoever asked may be any of those who agree: one more does.
            needed += 1;
        }
        needed.saturating_sub(self.approvals.iter().filter(counts).count())
    }

    /// True when nothing but its time is waited for, and that has come.
    pub fn is_due(&self, catalogue: &Catalogue, rules: Rules, now: Timestamp) -> bool {
        self.lacks(catalogue, rules) == 0
            && self.enact_at.is_none_or(|at| at <= now)
            && now < self.until
    }
}
