//! `Event`: what happened, for ever. The ledger keeps events; the catalogue is their fold.
//!
//! Tags and fields are stable: an old record must be readable by every later version, so an event is
//! only ever added or given optional fields. An event says what is true from now on, never what somebody
//! asked for (that is a command).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    authority::Role,
    credential::Scope,
    digest::Digest,
    experiment::Design,
    eyes::{EyesPolicy, Proposal},
    grade::{Grade, PermissionCatalogue},
    name::{
        AppId, ArmName, ExperimentName, HostId, MemberId, Permission, RuleName, SegmentName,
        TenantId,
    },
    ramp::{Act, Findings},
    revision::Revision,
    rollout::Rollout,
    share::Share,
    time::Timestamp,
    trust::{Identity, Preview, ReviewPolicy},
    version::{Life, Number, Review, Version},
};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The cluster came into being: always and only the first event of a ledger.
    Founded {
        /// What its manifests are addressed to, `bank/environment`.
        audience: String,
        /// Whether versions must be approved before they are listed.
        review: Review,
    },
    /// A credential was given out.
    TokenAdded {
        /// Its public name.
        id: String,
        /// SHA-256 of its secret.
        sha256: Digest,
        /// What it may do.
        role: Role,
        /// Who or what it is for.
        note: String,
        /// Whose it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member: Option<MemberId>,
        /// From then on it opens nothing; none: it has no end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<Timestamp>,
        /// What of its role it is narrowed to; empty: all of it.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        scopes: BTreeSet<Scope>,
    },
    /// A credential was taken back.
    TokenRevoked {
        /// Its public name.
        id: String,
    },
    /// A tenant was admitted.
    TenantAdded {
        /// The tenant.
        tenant: TenantId,
        /// Its name as people read it.
        title: String,
    },
    /// A bank app was admitted.
    HostAdded {
        /// The host.
        host: HostId,
        /// Its name as people read it.
        title: String,
        /// True: no customer has it.
        #[serde(default, skip_serializing_if = "is_false")]
        sandbox: bool,
    },
    /// A mini-program was admitted.
    AppAdded {
        /// The app.
        app: AppId,
        /// Its name as people read it.
        title: String,
    },
    /// A version was handed in.
    VersionSubmitted {
        /// The app.
        app: AppId,
        /// The version, in state `submitted`.
        version: Version,
    },
    /// A version may be rolled out.
    VersionListed {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
    },
    /// A version may not be offered any more; devices that run it may go on.
    VersionDelisted {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// Why.
        reason: String,
    },
    /// A version, or the whole app, must stop running now.
    Killed {
        /// The app.
        app: AppId,
        /// The version; none: the whole app.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<Number>,
        /// Why.
        reason: String,
        /// What the version was, where it was not listed: what it is again when the kill is taken back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Box<Life>>,
    },
    /// A kill was taken back.
    Unkilled {
        /// The app.
        app: AppId,
        /// The version; none: the whole app.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<Number>,
        /// Why.
        reason: String,
    },
    /// The rollout of an app was put in place, whole, with every slot given.
    RolloutPut {
        /// The rollout; names its app.
        rollout: Box<Rollout>,
    },
    /// The share of one rule was moved.
    ShareSet {
        /// The app.
        app: AppId,
        /// The rule.
        rule: RuleName,
        /// Its share from now on.
        share: Share,
        /// The slots of its layer from now on, when it has one.
        #[serde(default, skip_serializing_if = "crate::slots::Slots::is_empty")]
        slots: crate::slots::Slots,
    },
    /// A rule was paused or resumed.
    PauseSet {
        /// The app.
        app: AppId,
        /// The rule.
        rule: RuleName,
        /// True: it takes nobody.
        paused: bool,
    },
    /// The ramp of a rule moved, was held, or went on.
    RampMoved {
        /// The app.
        app: AppId,
        /// The rule.
        rule: RuleName,
        /// The moment it was decided for: the revision that had moved the ramp before.
        from: Revision,
        /// What happened.
        #[serde(flatten)]
        act: Act,
        /// The share of the rule from now on.
        share: Share,
        /// Who let the next step begin: `member/<id>`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// Why, where a person did it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
        /// What it rests on, where a node did it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        findings: Option<Box<Findings>>,
    },
    /// An experiment began.
    ExperimentBegun {
        /// The app.
        app: AppId,
        /// Its name.
        experiment: ExperimentName,
        /// What it compares.
        design: Box<Design>,
    },
    /// The units of an experiment were drawn anew, or its arms serve something else: its counting begins anew.
    ExperimentRedrawn {
        /// The app.
        app: AppId,
        /// Its name.
        experiment: ExperimentName,
    },
    /// An experiment was ended.
    ExperimentEnded {
        /// The app.
        app: AppId,
        /// Its name.
        experiment: ExperimentName,
        /// The arm that was promoted; none: no arm was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arm: Option<ArmName>,
        /// Why.
        reason: String,
    },
    /// A segment was uploaded, or replaced.
    SegmentPut {
        /// The segment.
        segment: SegmentName,
        /// SHA-256 of its encoded units.
        sha256: Digest,
        /// How many units it holds.
        units: u64,
    },
    /// A segment was taken away.
    SegmentRemoved {
        /// The segment.
        segment: SegmentName,
    },
    /// A person was admitted, or changed.
    MemberPut {
        /// The person.
        member: MemberId,
        /// The name people know.
        title: String,
        /// What the person may do.
        role: Role,
        /// Who the person is to the identity provider.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<Identity>,
    },
    /// A person left; its tokens are taken back by events of their own.
    MemberRemoved {
        /// The person.
        member: MemberId,
    },
    /// The catalogue of permissions was put in place, whole.
    PermissionsPut {
        /// The catalogue.
        catalogue: Box<PermissionCatalogue>,
    },
    /// A tenant was given a grade.
    GradeSet {
        /// The tenant.
        tenant: TenantId,
        /// What its apps may ask for.
        grade: Grade,
    },
    /// It was decided how versions come to be approved.
    ReviewPolicySet {
        /// How, from now on.
        policy: ReviewPolicy,
    },
    /// It was decided whether an app is the bank's own, and listed without a filing.
    InternalSet {
        /// The app.
        app: AppId,
        /// True: it is.
        internal: bool,
        /// Why.
        reason: String,
    },
    /// An app may be allowed a permission above its tenant's grade.
    PermissionGranted {
        /// The app.
        app: AppId,
        /// The permission.
        permission: Permission,
    },
    /// A grant was withdrawn: no version will be approved on it any more.
    GrantWithdrawn {
        /// The app.
        app: AppId,
        /// The permission.
        permission: Permission,
    },
    /// No version of an app has a permission any more, now.
    PermissionRevoked {
        /// The app.
        app: AppId,
        /// The permission.
        permission: Permission,
        /// Why.
        reason: String,
    },
    /// A revocation was taken back.
    PermissionRestored {
        /// The app.
        app: AppId,
        /// The permission.
        permission: Permission,
        /// Why.
        reason: String,
    },
    /// Somebody began to review a version.
    ReviewBegun {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// Who.
        by: String,
    },
    /// Whoever approves a version first decided what of all it asks for it is not granted.
    PermissionsWithheld {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// What it is not granted.
        withheld: BTreeSet<Permission>,
    },
    /// One person approved a version; more may be needed.
    ReviewApproved {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// Who.
        by: String,
        /// The archive that this person saw.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bundle: Option<Digest>,
        /// The release record with this person's signatures.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed: Option<String>,
    },
    /// A version was approved by as many as it takes.
    VersionApproved {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// The release record, signed by as many as it takes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        release: Option<String>,
    },
    /// A version's release record was signed again, by those whose signatures count now.
    ReleaseSigned {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// The same record in its new envelope.
        release: String,
    },
    /// A change was asked for that people agree on first, or that waits for its time.
    Proposed {
        /// Its name.
        id: String,
        /// All of it.
        proposal: Box<Proposal>,
    },
    /// Somebody agreed to a change.
    ProposalApproved {
        /// Which.
        id: String,
        /// Who: `member/<id>`.
        by: String,
        /// The hash of the change that was shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hash: Option<Digest>,
    },
    /// A change that was agreed on happened; the events before this one are it.
    ProposalEnacted {
        /// Which.
        id: String,
    },
    /// A change that was agreed on could not happen when its time came.
    ProposalFailed {
        /// Which.
        id: String,
        /// Why.
        why: String,
    },
    /// A change that waited was taken back.
    ProposalWithdrawn {
        /// Which.
        id: String,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// It was decided which kinds of change people agree on.
    EyesSet {
        /// Which, from now on.
        policy: EyesPolicy,
    },
    /// The next keyring is in force.
    KeyringPut {
        /// Its envelope.
        envelope: String,
    },
    /// An app's policy is in force. What it lets run no more is stopped with it.
    PolicyPut {
        /// The app.
        app: AppId,
        /// Its envelope.
        envelope: String,
    },
    /// A version was refused.
    VersionRejected {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// Who.
        by: String,
        /// Why, in the reviewer's words.
        reason: String,
    },
    /// Named test devices may run a version under review; in place of those named before.
    TrialPut {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// The sandboxes they are served in.
        hosts: BTreeSet<HostId>,
        /// The devices; none: no device any more.
        devices: BTreeSet<String>,
    },
    /// A link to a version under review was given out.
    PreviewAdded {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// SHA-256 of its secret.
        id: Digest,
        /// Where it opens, and until when.
        preview: Preview,
    },
    /// A link was taken back.
    PreviewRemoved {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// SHA-256 of its secret.
        id: Digest,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Event {
    /// The app this event changes, if it changes one.
    pub fn app(&self) -> Option<&AppId> {
        match self {
            Self::AppAdded { app, .. }
            | Self::VersionSubmitted { app, .. }
            | Self::VersionListed { app, .. }
            | Self::VersionDelisted { app, .. }
            | Self::Killed { app, .. }
            | Self::Unkilled { app, .. }
            | Self::ShareSet { app, .. }
            | Self::PauseSet { app, .. }
            | Self::RampMoved { app, .. }
            | Self::ExperimentBegun { app, .. }
            | Self::ExperimentRedrawn { app, .. }
            | Self::ExperimentEnded { app, .. }
            | Self::InternalSet { app, .. }
            | Self::PermissionsWithheld { app, .. }
            | Self::PermissionGranted { app, .. }
            | Self::GrantWithdrawn { app, .. }
            | Self::PermissionRevoked { app, .. }
            | Self::PermissionRestored { app, .. }
            | Self::ReviewBegun { app, .. }
            | Self::ReviewApproved { app, .. }
            | Self::VersionApproved { app, .. }
            | Self::ReleaseSigned { app, .. }
            | Self::PolicyPut { app, .. }
            | Self::VersionRejected { app, .. }
            | Self::TrialPut { app, .. }
            | Self::PreviewAdded { app, .. }
            | Self::PreviewRemoved { app, .. } => Some(app),
            Self::RolloutPut { rollout } => Some(&rollout.app),
            _ => None,
        }
    }
}

impl Event {
    /// True for what takes something away from devices at once: news of it must not wait.
    pub const fn is_stop(&self) -> bool {
        matches!(
            self,
            Self::Killed { .. } | Self::PermissionRevoked { .. } | Self::PolicyPut { .. }
        )
    }
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The credential's public name, `member/<id>` for whoever signed in, or `huidu` for what a node does by itself.
    pub id: String,
    /// What it may do.
    pub role: Role,
}

impl Actor {
    /// What the id of whoever signed in begins with.
    pub const MEMBER: &str = "member/";
}

/// A revision's time and author, as history shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    /// When the writer appended it, by the writer's clock.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
}
