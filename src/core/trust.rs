//! What stands between a submitted version and a device: people, grades, grants, reviews and trials.
//!
//! Plain data that the catalogue holds, one part for the installation and one for each app. Both are left
//! out of a checkpoint while they are empty, so an installation that uses none of this keeps its bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    authority::Role,
    catalogue::{App, AppKill},
    digest::Digest,
    event::Actor,
    eyes::{EyesPolicy, Proposal},
    grade::{Grade, PermissionCatalogue, Standing},
    keyring::{self, Keyring},
    name::{HostId, MemberId, Permission, TenantId},
    policy::Policy,
    rules::Rules,
    time::Timestamp,
    version::{Number, Review},
};

/// What holds for the whole installation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Trust {
    /// How a version comes to be approved.
    #[serde(default, skip_serializing_if = "ReviewPolicy::is_default")]
    pub policy: ReviewPolicy,
    /// What can be allowed, and how grave it is.
    #[serde(default, skip_serializing_if = "PermissionCatalogue::is_empty")]
    pub permissions: PermissionCatalogue,
    /// The grades of tenants; absent: the lowest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub grades: BTreeMap<TenantId, Grade>,
    /// People.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub members: BTreeMap<MemberId, Member>,
    /// Hosts that no customer has: the only ones a version under review is delivered on.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub sandboxes: BTreeSet<HostId>,
    /// Whose signatures count.
    #[serde(default, skip_serializing_if = "Chain::is_empty")]
    pub chain: Chain,
    /// Which kinds of change people agree on.
    #[serde(default, skip_serializing_if = "EyesPolicy::is_default")]
    pub eyes: EyesPolicy,
    /// What waits to be agreed on, or for its time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub proposals: BTreeMap<String, Proposal>,
    /// How far the ledger has come.
    #[serde(default, skip_serializing_if = "Era::is_first")]
    pub era: Era,
}

/// How far the ledger has come: what counts behind it has later rules or the same, and a later time or the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Era {
    /// The rules of the newest record that counted.
    pub rules: Rules,
    /// When that record was written, from the second rules on.
    pub at: Timestamp,
}

impl Era {
    /// True while every record was judged by the first rules.
    pub fn is_first(&self) -> bool {
        self.rules.is_first()
    }
}

/// The chain of keyrings, from the first. Empty: nothing is signed offline, as between developers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Chain {
    /// The envelope of keyring N at place N − 1: devices walk them one by one, for ever.
    pub envelopes: Vec<String>,
    /// The newest, read.
    pub newest: Option<Box<Keyring>>,
}

impl Chain {
    /// True while there is none.
    pub const fn is_empty(&self) -> bool {
        self.envelopes.is_empty()
    }

    /// The number of the newest.
    pub fn version(&self) -> Option<u64> {
        self.newest.as_ref().map(|keyring| keyring.version)
    }

    /// True when customers are served by it: what is signed for them is not for one person's token to decide.
    pub fn is_for_customers(&self) -> bool {
        (self.newest.as_ref()).is_some_and(|keyring| keyring.trust == keyring::Trust::Prod)
    }

    /// The envelope of keyring `version`.
    pub fn envelope(&self, version: u64) -> Option<&str> {
        let at = usize::try_from(version.checked_sub(1)?).ok()?;
        self.envelopes.get(at).map(String::as_str)
    }
}

impl Trust {
    /// True while nothing of it is used.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The member that an actor's id names. Whoever signed in acts as `member/<id>`; no credential is called so.
    pub fn signed_in(&self, actor: &str) -> Option<(&MemberId, &Member)> {
        self.members
            .get_key_value(actor.strip_prefix(Actor::MEMBER)?)
    }

    /// The member who is `identity` to the identity provider.
    pub fn member_who_is(&self, identity: &Identity) -> Option<(&MemberId, &Member)> {
        let mut members = self.members.iter();
        members.find(|(_, known)| known.identity.as_ref() == Some(identity))
    }

    /// The keyring in force where customers are served by it: everything must be signed and graded.
    pub fn demanding(&self) -> Option<&Keyring> {
        let keyring = self.chain.newest.as_deref();
        keyring.filter(|keyring| keyring.trust == keyring::Trust::Prod)
    }

    /// How `app`'s request for `permission` stands. Between developers everything stands while nothing is
    /// graded; where customers are served nothing does that no catalogue names.
    pub fn standing(&self, app: &App, permission: &Permission) -> Standing {
        let granted = app.trust.grants.contains(permission);
        let grade = self.grade_of(app.id.tenant());
        match self.permissions.standing(permission, grade, granted) {
            Standing::Ungraded if self.demanding().is_some() => Standing::Unknown,
            standing => standing,
        }
    }

    /// The grade of a tenant.
    pub fn grade_of(&self, tenant: &str) -> Grade {
        self.grades.get(tenant).copied().unwrap_or_default()
    }
}

/// How a version comes to be approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewPolicy {
    /// How many people, none of them the submitter, approve a version.
    pub approvals: u8,
    /// True: a version without the number of its filing cannot be listed.
    #[serde(default)]
    pub filing_required: bool,
}

impl Default for ReviewPolicy {
    fn default() -> Self {
        Self {
            approvals: 1,
            filing_required: false,
        }
    }
}

impl ReviewPolicy {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What a new installation begins with. Where versions are reviewed customers are served, and unfiled
    /// mini-programs are not distributed to them.
    pub fn beginning(review: Review) -> Self {
        Self {
            filing_required: review == Review::Required,
            ..Self::default()
        }
    }
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The name people know.
    pub title: String,
    /// What the person may do; the tokens of a member have this role.
    pub role: Role,
    /// Who the person is to the identity provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
}

/// Who a person is to an identity provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The provider: the `iss` of its statements.
    pub issuer: String,
    /// The person: the `sub` of those statements.
    pub subject: String,
}

/// What holds for one app.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AppTrust {
    /// Permissions above the tenant's grade that this app may be allowed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub grants: BTreeSet<Permission>,
    /// Permissions that no version of it has any more, whatever was approved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revoked: BTreeMap<Permission, AppKill>,
    /// Versions under review that test devices may run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub trials: BTreeMap<Number, Trial>,
    /// The highest number given to a release.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seq: u64,
    /// What holds for all versions, as it was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<SignedPolicy>,
    /// True: the bank's own, listed without the number of a filing where one is needed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub internal: bool,
}

/// An app's policy as it was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedPolicy {
    /// What it says.
    pub policy: Policy,
    /// Its envelope: what devices are handed.
    pub envelope: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl AppTrust {
    /// True while nothing of it is used.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Who may run a version under review.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Trial {
    /// Named test devices, and the sandboxes they are served in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub devices: BTreeMap<String, BTreeSet<HostId>>,
    /// Links, by the SHA-256 of their secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub previews: BTreeMap<Digest, Preview>,
}

impl Trial {
    /// True when nobody may.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty() && self.previews.is_empty()
    }
}

/// A link that lets whoever has it run a version under review for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// The sandbox it opens in.
    pub host: HostId,
    /// From then on it opens nothing.
    pub until: Timestamp,
}
