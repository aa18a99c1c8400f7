//! `Command`: what somebody asks for. It may be refused; what it leads to is an event.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    authority::Role,
    credential::{Expiry, Scope},
    digest::Digest,
    dossier::Dossier,
    experiment::Design,
    eyes::EyesPolicy,
    grade::{Grade, PermissionCatalogue},
    name::{
        AppId, ArmName, ExperimentName, HostId, MemberId, Permission, RuleName, SegmentName,
        TenantId,
    },
    ramp::{Act, Findings, Steer},
    revision::Revision,
    rollout::Rollout,
    share::Share,
    trust::{Identity, Preview, ReviewPolicy},
    version::{Bundle, Number, Review},
};

/// Something asked for. What waits to be agreed on is kept as it was asked for, so its written form lasts as
/// long as that of events: fields are only ever added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Begin a ledger. Only a node asks for it, on an empty store.
    Found {
        /// What manifests are addressed to, `bank/environment`.
        audience: String,
        /// Whether versions must be approved before they are listed.
        review: Review,
        /// The first credential: id and SHA-256 of its secret; its role is admin.
        token: (String, Digest),
        /// The first keyring in its envelope, where there is one from the beginning.
        keyring: Option<String>,
        /// Which kinds of change people agree on from the beginning.
        eyes: EyesPolicy,
        /// How versions come to be approved from the beginning.
        #[serde(default)]
        reviews: ReviewPolicy,
    },
    /// Give out a credential.
    AddToken {
        /// Its public name.
        id: String,
        /// SHA-256 of its secret.
        sha256: Digest,
        /// What it may do.
        role: Role,
        /// Who or what it is for.
        note: String,
        /// Whose it is; the role must be that person's.
        member: Option<MemberId>,
        /// How long it holds.
        #[serde(default, skip_serializing_if = "Expiry::is_never")]
        expires: Expiry,
        /// What of its role it is narrowed to; empty: all of it.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        scopes: BTreeSet<Scope>,
    },
    /// Take a credential back.
    RevokeToken {
        /// Its public name.
        id: String,
    },
    /// Admit a tenant.
    AddTenant {
        /// The tenant.
        tenant: TenantId,
        /// Its name as people read it.
        title: String,
    },
    /// Admit a bank app.
    AddHost {
        /// The host.
        host: HostId,
        /// Its name as people read it.
        title: String,
        /// True: no customer has it.
        sandbox: bool,
    },
    /// Admit a mini-program; admits its tenant too when it is new.
    AddApp {
        /// The app.
        app: AppId,
        /// Its name as people read it.
        title: String,
    },
    /// Hand in a version whose bundle is already stored.
    SubmitVersion {
        /// The app.
        app: AppId,
        /// Its number.
        number: Number,
        /// Its bundle.
        bundle: Bundle,
        /// What it asks to be allowed.
        permissions: Vec<Permission>,
        /// What changed.
        notes: String,
        /// What reviewers will have to go by. Who submits is filled in here, never by whoever asks.
        dossier: Box<Dossier>,
    },
    /// Let a version be rolled out.
    List {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
    },
    /// Offer a version no more.
    Delist {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// Why.
        reason: String,
    },
    /// Stop a version, or the whole app, now.
    Kill {
        /// The app.
        app: AppId,
        /// The version; none: the whole app.
        version: Option<Number>,
        /// Why.
        reason: String,
    },
    /// Take a kill back.
    Unkill {
        /// The app.
        app: AppId,
        /// The version; none: the whole app.
        version: Option<Number>,
        /// Why.
        reason: String,
    },
    /// Put a rollout in place, whole.
    PutRollout {
        /// The rollout; names its app.
        rollout: Box<Rollout>,
    },
    /// Put a rollout in place that draws units of experiments anew.
    RedrawRollout {
        /// The rollout; names its app.
        rollout: Box<Rollout>,
        /// The experiments whose counting begins anew.
        experiments: BTreeSet<ExperimentName>,
    },
    /// Read the arms of a rule as an experiment from now on; a paused rule takes its units with it.
    BeginExperiment {
        /// The app.
        app: AppId,
        /// Its name.
        experiment: ExperimentName,
        /// What it compares.
        design: Box<Design>,
    },
    /// End an experiment and its rule; with an arm, that becomes the stable version.
    EndExperiment {
        /// The app.
        app: AppId,
        /// Its name.
        experiment: ExperimentName,
        /// The arm that is promoted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arm: Option<ArmName>,
        /// Why.
        reason: String,
    },
    /// Move the share of one rule.
    SetShare {
        /// The app.
        app: AppId,
        /// The rule.
        rule: RuleName,
        /// Its share from now on.
        share: Share,
    },
    /// Move the share of one rule down; refused when it would rise.
    LowerShare {
        /// The app.
        app: AppId,
        /// The rule.
        rule: RuleName,
        /// Its share from now on.
        share: Share,
    },
    /// Pause or resume a rule.
    SetPause {
        /// The app.
        app: AppId,
        /// The rule.
        rule: RuleName,
        /// True: it takes nobody.
        paused: bool,
    },
    /// Pause a ramp, let it go on, or take it back.
    SteerRamp {
        /// The app.
        app: AppId,
        /// The rule.
        rule: RuleName,
        /// What to do.
        act: Steer,
        /// Why.
        reason: String,
    },
    /// Let happen to a ramp what its plan says. Only a node asks for it.
    DecideRamp {
        /// The app.
        app: AppId,
        /// The rule.
        rule: RuleName,
        /// The moment it was decided for: the revision that last moved the ramp.
        from: Revision,
        /// What shall happen.
        act: Act,
        /// What it rests on.
        findings: Box<Findings>,
    },
    /// Put a segment in place whose units are already stored.
    PutSegment {
        /// The segment.
        segment: SegmentName,
        /// SHA-256 of its encoded units.
        sha256: Digest,
        /// How many units it holds.
        units: u64,
    },
    /// Take a segment away.
    RemoveSegment {
        /// The segment.
        segment: SegmentName,
    },
    /// Admit a person, or change what is known of one. Another role takes the person's tokens back.
    PutMember {
        /// The person.
        member: MemberId,
        /// The name people know.
        title: String,
        /// What the person may do.
        role: Role,
        /// Who the person is to the identity provider.
        identity: Option<Identity>,
    },
    /// Let a person go, and take its tokens back.
    RemoveMember {
        /// The person.
        member: MemberId,
    },
    /// Put the catalogue of permissions in place, whole.
    PutPermissions {
        /// The catalogue.
        catalogue: Box<PermissionCatalogue>,
    },
    /// Give a tenant a grade.
    SetGrade {
        /// The tenant.
        tenant: TenantId,
        /// What its apps may ask for.
        grade: Grade,
    },
    /// Decide how versions come to be approved.
    SetReviewPolicy {
        /// How.
        policy: ReviewPolicy,
    },
    /// Say whether an app is the bank's own, and listed without a filing.
    SetInternal {
        /// The app.
        app: AppId,
        /// True: it is.
        internal: bool,
        /// Why.
        reason: String,
    },
    /// Let an app be allowed a permission above its tenant's grade.
    Grant {
        /// The app.
        app: AppId,
        /// The permission.
        permission: Permission,
    },
    /// Withdraw a grant.
    WithdrawGrant {
        /// The app.
        app: AppId,
        /// The permission.
        permission: Permission,
    },
    /// Take a permission from every version of an app, now.
    RevokePermission {
        /// The app.
        app: AppId,
        /// The permission.
        permission: Permission,
        /// Why.
        reason: String,
    },
    /// Take a revocation back.
    RestorePermission {
        /// The app.
        app: AppId,
        /// The permission.
        permission: Permission,
        /// Why.
        reason: String,
    },
    /// Begin to review a version.
    BeginReview {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
    },
    /// Approve a version.
    Approve {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// The bundle that the reviewer saw.
        bundle: Digest,
        /// The release record, signed offline; needed where customers are served by keys.
        signed: Option<String>,
        /// What it asks for and is not granted; none: as those before decided, or as the signed record says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        withheld: Option<BTreeSet<Permission>>,
    },
    /// Put a version's release record in place of the same one signed by others.
    SignRelease {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// The record in its envelope.
        signed: String,
    },
    /// Agree to a change that somebody asked for.
    ApproveProposal {
        /// Which.
        id: String,
        /// What was shown.
        hash: Digest,
    },
    /// Take back a change that waits.
    WithdrawProposal {
        /// Which.
        id: String,
        /// Why.
        reason: String,
    },
    /// Let a change happen whose time has come. Only a node asks for it.
    EnactProposal {
        /// Which.
        id: String,
    },
    /// Decide which kinds of change people agree on.
    SetEyes {
        /// Which.
        policy: EyesPolicy,
    },
    /// Put the next keyring in force.
    PutKeyring {
        /// Its envelope.
        envelope: String,
    },
    /// Put an app's policy in force.
    PutPolicy {
        /// The app.
        app: AppId,
        /// Its envelope.
        envelope: String,
    },
    /// Refuse a version.
    Reject {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// Why, for its submitter.
        reason: String,
    },
    /// Let named test devices run a version under review.
    PutTrial {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// The sandboxes they are served in.
        hosts: BTreeSet<HostId>,
        /// The devices; none: no device any more.
        devices: BTreeSet<String>,
    },
    /// Give out a link to a version under review.
    AddPreview {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// SHA-256 of its secret.
        id: Digest,
        /// Where it opens, and until when.
        preview: Preview,
    },
    /// Take a link back.
    RemovePreview {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// SHA-256 of its secret.
        id: Digest,
    },
}

impl Command {
    /// What is asked for, as an error says it: "a partner may not … ".
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Found { .. } => "found a ledger",
            Self::AddToken { .. } => "give out tokens",
            Self::RevokeToken { .. } => "revoke tokens",
            Self::AddTenant { .. } => "add a tenant",
            Self::AddHost { .. } => "add a host",
            Self::AddApp { .. } => "add an app",
            Self::SubmitVersion { .. } => "submit a version",
            Self::List { .. } => "list a version",
            Self::Delist { .. } => "delist a version",
            Self::Kill { .. } => "kill",
            Self::Unkill { .. } => "take back a kill",
            Self::PutRollout { .. } | Self::RedrawRollout { .. } => "change a rollout",
            Self::BeginExperiment { .. } => "begin an experiment",
            Self::EndExperiment { arm: Some(_), .. } => "promote an arm",
            Self::EndExperiment { .. } => "end an experiment",
            Self::SetShare { .. } => "move a share",
            Self::LowerShare { .. } => "lower a share",
            Self::SetPause { paused: true, .. } => "pause a rule",
            Self::SetPause { .. } => "resume a rule",
            Self::SteerRamp { act, .. } => act.verb(),
            Self::DecideRamp { .. } => "decide about a ramp",
            Self::PutSegment { .. } => "upload a segment",
            Self::RemoveSegment { .. } => "remove a segment",
            Self::PutMember { .. } => "put a member",
            Self::RemoveMember { .. } => "remove a member",
            Self::PutPermissions { .. } => "change the catalogue of permissions",
            Self::SetGrade { .. } => "grade a tenant",
            Self::SetReviewPolicy { .. } => "change how versions are approved",
            Self::SetInternal { .. } => "exempt an app from filing",
            Self::Grant { .. } => "grant a permission",
            Self::WithdrawGrant { .. } => "withdraw a grant",
            Self::RevokePermission { .. } => "revoke a permission",
            Self::RestorePermission { .. } => "restore a permission",
            Self::BeginReview { .. } => "review a version",
            Self::Approve { .. } => "approve a version",
            Self::SignRelease { .. } => "replace a release record",
            Self::ApproveProposal { .. } => "approve a change",
            Self::WithdrawProposal { .. } => "take back a change",
            Self::EnactProposal { .. } => "enact a change",
            Self::SetEyes { .. } => "decide what people agree on",
            Self::PutKeyring { .. } => "put a keyring in force",
            Self::PutPolicy { .. } => "put an app policy in force",
            Self::Reject { .. } => "reject a version",
            Self::PutTrial { .. } => "put a version on trial",
            Self::AddPreview { .. } => "give out a preview",
            Self::RemovePreview { .. } => "take a preview back",
        }
    }

    /// The app it would change, if it would change one.
    pub fn app(&self) -> Option<&AppId> {
        match self {
            Self::AddApp { app, .. }
            | Self::SubmitVersion { app, .. }
            | Self::List { app, .. }
            | Self::Delist { app, .. }
            | Self::Kill { app, .. }
            | Self::Unkill { app, .. }
            | Self::SetShare { app, .. }
            | Self::LowerShare { app, .. }
            | Self::SetPause { app, .. }
            | Self::SteerRamp { app, .. }
            | Self::BeginExperiment { app, .. }
            | Self::EndExperiment { app, .. }
            | Self::DecideRamp { app, .. }
            | Self::SetInternal { app, .. }
            | Self::Grant { app, .. }
            | Self::WithdrawGrant { app, .. }
            | Self::RevokePermission { app, .. }
            | Self::RestorePermission { app, .. }
            | Self::BeginReview { app, .. }
            | Self::Approve { app, .. }
            | Self::SignRelease { app, .. }
            | Self::PutPolicy { app, .. }
            | Self::Reject { app, .. }
            | Self::PutTrial { app, .. }
            | Self::AddPreview { app, .. }
            | Self::RemovePreview { app, .. } => Some(app),
            Self::PutRollout { rollout } | Self::RedrawRollout { rollout, .. } => {
                Some(&rollout.app)
            }
            _ => None,
        }
    }
}
