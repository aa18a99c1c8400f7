//! `Refusal`: why nothing happens, and what to do about it.

use super::trust::{Missing, summary as asked_too_much};
use crate::{
    check::Finding,
    digest::Digest,
    experiment::{self, change::Redraw},
    grade::PermissionCatalogueError,
    limits,
    name::{AppId, ExperimentName, HostId, MemberId, RuleName, SegmentName},
    paper::PaperError,
    share::Share,
    version::Number,
};

/// Why nothing happens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The ledger has no first event yet.
    #[error("this ledger is not founded yet; start a node on it once")]
    NotFounded,
    /// The ledger has its first event already.
    #[error("this ledger is already founded for audience `{audience}`")]
    AlreadyFounded {
        /// Its audience.
        audience: String,
    },
    /// A token cannot expire then.
    #[error(
        "a token expires in the future and {} days ahead at most; name such a time, or none for {} days",
        limits::TOKEN_LONGEST_MS / 86_400_000,
        limits::TOKEN_MS / 86_400_000
    )]
    TokenTime,
    /// Something named is not there.
    #[error("there is no {kind} `{name}`; {help}")]
    Unknown {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What to do.
        help: &'static str,
    },
    /// Something named is there already.
    #[error("{kind} `{name}` exists already; {help}")]
    Exists {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What to do.
        help: &'static str,
    },
    /// A version's life does not allow it.
    #[error("version {version} of `{app}` is {is} and cannot be {wanted}; {help}")]
    Life {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// Its state.
        is: &'static str,
        /// What was asked for.
        wanted: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// A version is what every device falls back to, or is served by a rule.
    #[error(
        "version {version} of `{app}` is served by {by}; serve another version there first, or kill it"
    )]
    Served {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// Where: `stable`, ``rule `ramp` ``, …
        by: String,
    },
    /// A segment is asked about by a rollout.
    #[error("segment `{segment}` is asked about by `{app}`; change that rollout first")]
    SegmentInUse {
        /// The segment.
        segment: SegmentName,
        /// An app that asks about it.
        app: AppId,
    },
    /// The app is as asked for already.
    #[error("nothing to change: {what}")]
    Nothing {
        /// What is so already.
        what: String,
    },
    /// A share would rise where only lowering is allowed.
    #[error(
        "share of rule `{rule}` is {is}; {asked} is not lower, and raising it needs a release manager"
    )]
    NotLower {
        /// The rule.
        rule: RuleName,
        /// Its share.
        is: Share,
        /// What was asked for.
        asked: Share,
    },
    /// A ramp does not allow it.
    #[error("rule `{rule}` has a ramp: {help}")]
    Ramped {
        /// The rule.
        rule: RuleName,
        /// What is so, and what to do.
        help: &'static str,
    },
    /// What an experiment says of itself cannot be.
    #[error("the experiment cannot be: {fault}")]
    Design {
        /// What is wrong.
        fault: experiment::design::Fault,
    },
    /// An experiment stands in the way.
    #[error("experiment `{experiment}` over rule `{rule}`: {help}")]
    Experiment {
        /// The experiment.
        experiment: ExperimentName,
        /// Its rule.
        rule: RuleName,
        /// What is so, and what to do.
        help: &'static str,
    },
    /// A rollout would move units of experiments between arms, and nobody said that it may.
    #[error(
        "{}; grow the share of the rule instead, give it a new name, or accept that counting begins anew (`redraw={}`)",
        told(.redraws), names(.redraws)
    )]
    Redraws {
        /// The experiments, with their rules and what would happen.
        redraws: Vec<(ExperimentName, RuleName, Redraw)>,
    },
    /// What a node asks for does not follow from what it found.
    #[error("the ramp of rule `{rule}` does not {act} now")]
    NotNow {
        /// The rule.
        rule: RuleName,
        /// What was asked for.
        act: &'static str,
    },
    /// A number of things, or a length, beyond a limit.
    #[error("{what} is limited to {limit}; {help}")]
    Limit {
        /// What.
        what: &'static str,
        /// How many or how long.
        limit: u64,
        /// What to do.
        help: &'static str,
    },
    /// A text that must be there is empty.
    #[error("`{field}` must not be empty; say {help}")]
    Empty {
        /// The field.
        field: &'static str,
        /// What to write.
        help: &'static str,
    },
    /// A version number with build metadata.
    #[error(
        "version `{version}` has build metadata, which has no order; drop everything from `+` on"
    )]
    BuildMetadata {
        /// The number.
        version: Number,
    },
    /// The app changed since it was read.
    #[error(
        "`{what}` is at revision {is}, not {expected}; read it again and repeat the change if it still holds"
    )]
    Stale {
        /// What.
        what: String,
        /// The revision it is at.
        is: u64,
        /// The revision the request was made for.
        expected: u64,
    },
    /// A person's role is another.
    #[error("member `{member}` is a {is}; give the token that role, or change the member's first")]
    MemberRole {
        /// The person.
        member: MemberId,
        /// What the person may do.
        is: String,
    },
    /// A token that belongs to nobody judges nothing.
    #[error(
        "token `{token}` belongs to no member, and versions are judged by people; give the reviewer a token with `huidu token add --member`"
    )]
    NotAMember {
        /// The token's public name.
        token: String,
    },
    /// Four eyes are two people's.
    #[error("`{person}` {did}: version {version} of `{app}` is approved by somebody else")]
    SamePerson {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// Who.
        person: String,
        /// What the person did.
        did: &'static str,
    },
    /// The reviewer saw another bundle.
    #[error(
        "the bundle of version {version} of `{app}` is {is}, not the one that was approved; review what is there"
    )]
    OtherBundle {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// Its bundle.
        is: Digest,
    },
    /// A version asks for what it may not have.
    #[error(
        "version {version} of `{app}` asks for too much: {}; grant it to the app, grade the tenant, or reject the version", asked_too_much(.missing)
    )]
    NotGranted {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// What it may not have.
        missing: Vec<Missing>,
    },
    /// The version carries no filing number.
    #[error(
        "version {version} of `{app}` carries no filing number, and unfiled mini-programs are not distributed here; submit the next number with one, or let security exempt the app with `huidu app internal`"
    )]
    NotFiled {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
    },
    /// Where or when a version may run cannot be so.
    #[error("the version would run nowhere: {what}")]
    Reach {
        /// What is wrong.
        what: &'static str,
    },
    /// The time in which a version may run is over.
    #[error(
        "version {version} of `{app}` was to run until a time that is over; submit the next number"
    )]
    Over {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
    },
    /// Whoever approved first granted something else.
    #[error(
        "those who approved version {version} of `{app}` withheld {withheld}; approve the same, or reject it"
    )]
    OtherGrant {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
        /// What they did not grant.
        withheld: String,
    },
    /// Customers have this host.
    #[error("`{host}` is no sandbox; what is under review is delivered in sandboxes alone")]
    NotASandbox {
        /// The host.
        host: HostId,
    },
    /// A preview that is over before it begins, or never.
    #[error("a preview is open until a time in the future, at most {} days ahead; choose another", limits::PREVIEW_MS / 86_400_000)]
    PreviewTime,
    /// The change that was shown is not the one that waits.
    #[error("change `{id}` is {is}, not the one that was approved; look at what waits")]
    OtherChange {
        /// The change.
        id: String,
        /// Its hash.
        is: Digest,
    },
    /// Whoever must be somebody else.
    #[error("`{person}` {did}: change `{id}` is approved by somebody else")]
    SameEyes {
        /// The change.
        id: String,
        /// Who.
        person: String,
        /// What that person did.
        did: &'static str,
    },
    /// Somebody whose agreement does not count for this.
    #[error(
        "the role {role} does not count for `{kind}`; `huidu change policy` says whose agreement change `{id}` takes"
    )]
    NotTheirs {
        /// The change.
        id: String,
        /// Its kind.
        kind: &'static str,
        /// The role.
        role: String,
    },
    /// Only whoever asked, or security, takes a change back.
    #[error("change `{id}` is taken back by whoever asked for it, by an admin or by security")]
    NotYours {
        /// The change.
        id: String,
    },
    /// What was there when the change was asked for is not there any more.
    #[error("`{app}` was changed since change `{id}` was asked for; take it back and ask again")]
    Moved {
        /// The change.
        id: String,
        /// The app.
        app: String,
    },
    /// Whoever asked may not any more.
    #[error("`{by}`, who asked for change `{id}`, may not any more; somebody else asks again")]
    AuthorGone {
        /// The change.
        id: String,
        /// Who asked.
        by: String,
    },
    /// A time that no change can have.
    #[error("a change happens now, or at a time in the future, at most {} days ahead; agreeing and taking back happen now", limits::PROPOSAL_MS / 86_400_000)]
    ChangeTime,
    /// A policy of agreement with a mistake.
    #[error("the policy cannot be: {mistake}")]
    Eyes {
        /// What is wrong.
        mistake: &'static str,
    },
    /// A signed paper that is not believed.
    #[error("{0}")]
    Paper(#[from] PaperError),
    /// A paper that is expired already.
    #[error("the {what} is expired; sign one that lasts longer")]
    Expired {
        /// What it is.
        what: &'static str,
    },
    /// There is no keyring that a paper could be held against.
    #[error("no keyring is in force; put the first one with `huidu keys put`")]
    NoKeyring,
    /// Records would be signed by this node, and the keyring does not list its key.
    #[error(
        "keyring {keyring} does not list this node's key ({}) under role `log`, so nothing it writes would count; give the node such a key as `log.key`, or ask another node", key.as_deref().unwrap_or("it has none")
    )]
    NotALogKey {
        /// The keyring that would be in force.
        keyring: u64,
        /// The node's key, if it has one.
        key: Option<String>,
    },
    /// The signed record is not that of the version.
    #[error(
        "the signed record is not that of version {version} of `{app}`; sign what `huidu review record` writes"
    )]
    OtherRecord {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
    },
    /// Nothing was signed where it must be.
    #[error(
        "version {version} of `{app}` needs its release record signed offline; `huidu review record` writes it, `huidu sign` signs it"
    )]
    Unsigned {
        /// The app.
        app: AppId,
        /// The version.
        version: Number,
    },
    /// Customers are served by keys, and the app has no policy.
    #[error("`{app}` has no signed policy; sign one and put it with `huidu policy put`")]
    NoPolicy {
        /// The app.
        app: AppId,
    },
    /// The app's policy forbids it.
    #[error("policy {policy} of `{app}` does not let {what} run; {why}")]
    PolicyForbids {
        /// The app.
        app: AppId,
        /// Its policy's number.
        policy: u64,
        /// What.
        what: String,
        /// What stands against it.
        why: &'static str,
    },
    /// A catalogue of permissions with a mistake.
    #[error(transparent)]
    Permissions(#[from] PermissionCatalogueError),
    /// A rollout with mistakes; all of them.
    #[error("the rollout has {} mistake(s): {}", .findings.len(), summary(.findings))]
    Rollout {
        /// The mistakes.
        findings: Vec<Finding>,
    },
}

fn told(redraws: &[(ExperimentName, RuleName, Redraw)]) -> String {
    let one = |(experiment, rule, redraw): &(ExperimentName, RuleName, Redraw)| {
        format!("this {redraw} while experiment `{experiment}` reads rule `{rule}`")
    };
    redraws.iter().map(one).collect::<Vec<_>>().join(", and ")
}

fn names(redraws: &[(ExperimentName, RuleName, Redraw)]) -> String {
    let names = redraws.iter().map(|(experiment, ..)| experiment.as_str());
    names.collect::<Vec<_>>().join(",")
}

fn summary(findings: &[Finding]) -> String {
    findings
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
