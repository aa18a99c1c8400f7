//! Decisions about people, grades and reviews.
//!
//! Four eyes are kept here: whoever handed a version in never approves it, nobody approves twice, and
//! only a token that belongs to a person approves at all, because two tokens can be one person's.

use std::collections::BTreeSet;

use super::{
    Decision, Refusal, if_there, signed, text, trials, version as version_of, why, wrong_life,
};
use crate::{
    authority::{Authorised, Role},
    catalogue::{App, Catalogue},
    command::Command,
    digest::Digest,
    dossier::{Dossier, Reach},
    event::{Actor, Event},
    grade::Standing,
    limits,
    name::{MemberId, Permission},
    rules::Rules,
    time::Timestamp,
    trust::{Identity, ReviewPolicy},
    version::{Number, Version},
};

const SEE_MEMBERS: &str = "`huidu member list` shows them";

/// A permission that a version asks for and may not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The permission.
    pub permission: Permission,
    /// How the request stands.
    pub standing: Standing,
}

pub(super) fn summary(missing: &[Missing]) -> String {
    let told = missing
        .iter()
        .map(|missing| format!("`{}` is {}", missing.permission, missing.standing.word()));
    told.collect::<Vec<_>>().join(", ")
}

/// Whoever asks, as the people who read the history know them: `member/<id>`, or `token/<id>`.
pub fn person(catalogue: &Catalogue, actor: &Actor) -> String {
    match member_of(catalogue, actor) {
        Some(member) => format!("member/{member}"),
        None => format!("token/{}", actor.id),
    }
}

fn member_of<'a>(catalogue: &'a Catalogue, actor: &Actor) -> Option<&'a MemberId> {
    match catalogue.tokens.get(&actor.id) {
        Some(token) => token.member.as_ref(),
        None => (catalogue.trust.signed_in(&actor.id)).map(|(member, _)| member),
    }
}

/// Decides what is about no app.
pub(super) fn decide(catalogue: &Catalogue, authorised: &Authorised, now: Timestamp) -> Decision {
    match authorised.command() {
        Command::PutMember {
            member,
            title,
            role,
            identity,
        } => put_member(catalogue, member, title, role, identity.as_ref(), now),
        Command::RemoveMember { member } => remove_member(catalogue, member, now),
        Command::PutPermissions { catalogue: asked } => {
            asked.check().map_err(Refusal::Permissions)?;
            if **asked == catalogue.trust.permissions {
                return Err(nothing("the catalogue of permissions is this very one"));
            }
            Ok(vec![Event::PermissionsPut {
                catalogue: asked.clone(),
            }])
        }
        Command::SetGrade { tenant, grade } => {
            let there = catalogue.tenants.contains_key(tenant);
            if_there("tenant", tenant, there, "`huidu tenant list` shows them")?;
            if catalogue.trust.grade_of(tenant.as_str()) == *grade {
                return Err(nothing(format!(
                    "the grade of `{tenant}` is {}",
                    grade.word()
                )));
            }
            Ok(vec![Event::GradeSet {
                tenant: tenant.clone(),
                grade: *grade,
            }])
        }
        Command::SetReviewPolicy { policy } => set_policy(catalogue, *policy),
        Command::PutKeyring { envelope } => signed::put_keyring(catalogue, envelope, now),
        _ => Ok(Vec::new()),
    }
}

/// Decides what is about `app`.
pub(super) fn decide_for_app(
    catalogue: &Catalogue,
    app: &App,
    authorised: &Authorised,
    now: Timestamp,
) -> Decision {
    let actor = authorised.actor();
    match authorised.command() {
        Command::SetInternal {
            internal, reason, ..
        } => set_internal(app, *internal, reason),
        Command::Grant { permission, .. } => grant(catalogue, app, permission),
        Command::WithdrawGrant { permission, .. } => {
            let there = app.trust.grants.contains(permission);
            let help = "`huidu permission show` lists an app's grants";
            if_there("grant", permission, there, help)?;
            Ok(vec![Event::GrantWithdrawn {
                app: app.id.clone(),
                permission: permission.clone(),
            }])
        }
        Command::RevokePermission {
            permission, reason, ..
        } => revoke(app, permission, reason),
        Command::RestorePermission {
            permission, reason, ..
        } => restore(app, permission, reason),
        Command::BeginReview { version, .. } => begin(catalogue, app, version, actor),
        Command::Approve {
            version,
            bundle,
            signed,
            withheld,
            ..
        } => {
            let shown = Shown {
                bundle,
                signed: signed.as_deref(),
                withheld: withheld.as_ref(),
            };
            approve(catalogue, app, version, &shown, authorised)
        }
        Command::SignRelease {
            version, signed, ..
        } => signed::sign_release(catalogue, app, version, signed),
        Command::PutPolicy { envelope, .. } => signed::put_policy(catalogue, app, envelope, now),
        Command::Reject {
            version, reason, ..
        } => reject(catalogue, app, version, reason, actor),
        Command::PutTrial {
            version,
            hosts,
            devices,
            ..
        } => trials::put_trial(catalogue, app, version, hosts, devices),
        Command::AddPreview {
            version,
            id,
            preview,
            ..
        } => trials::add_preview(catalogue, app, version, id, preview, now),
        Command::RemovePreview { version, id, .. } => trials::remove_preview(app, version, id),
        _ => Ok(Vec::new()),
    }
}

pub(super) fn nothing(what: impl Into<String>) -> Refusal {
    Refusal::Nothing { what: what.into() }
}

/// A credential's owner must be there, and have the credential's role.
pub(super) fn owned(
    catalogue: &Catalogue,
    member: Option<&MemberId>,
    role: &Role,
) -> Result<(), Refusal> {
    let Some(member) = member else {
        return Ok(());
    };
    let Some(known) = catalogue.trust.members.get(member) else {
        return Err(unknown_member(member));
    };
    if known.role == *role {
        return Ok(());
    }
    Err(Refusal::MemberRole {
        member: member.clone(),
        is: known.role.word(),
    })
}

fn unknown_member(member: &MemberId) -> Refusal {
    Refusal::Unknown {
        kind: "member",
        name: member.to_string(),
        help: SEE_MEMBERS,
    }
}

fn put_member(
    catalogue: &Catalogue,
    member: &MemberId,
    title: &str,
    role: &Role,
    identity: Option<&Identity>,
    now: Timestamp,
) -> Decision {
    let members = &catalogue.trust.members;
    let known = members.get(member);
    if known.is_none() && members.len() >= limits::MEMBERS {
        return Err(Refusal::Limit {
            what: "members of an installation",
            limit: limits::MEMBERS as u64,
            help: "remove those who left",
        });
    }
    if let Some(identity) = identity {
        for (field, given) in [("issuer", &identity.issuer), ("subject", &identity.subject)] {
            text(field, given)?;
            if given.is_empty() {
                let help = "as the identity provider states it";
                return Err(Refusal::Empty { field, help });
            }
        }
        let taken = members
            .iter()
            .find(|(other, kept)| *other != member && kept.identity.as_ref() == Some(identity));
        if let Some((other, _)) = taken {
            return Err(Refusal::Exists {
                kind: "member",
                name: other.to_string(),
                help: "it has this identity; a person is one member",
            });
        }
    }
    let title = text("title", title)?;
    if known.is_some_and(|known| {
        known.title == title && known.role == *role && known.identity.as_ref() == identity
    }) {
        return Err(nothing(format!("member `{member}` is as asked for")));
    }
    let mut events = vec![Event::MemberPut {
        member: member.clone(),
        title,
        role: role.clone(),
        identity: identity.cloned(),
    }];
    if known.is_some_and(|known| known.role != *role) {
        events.extend(tokens_taken_back(catalogue, member, now)?);
    }
    Ok(events)
}

fn remove_member(catalogue: &Catalogue, member: &MemberId, now: Timestamp) -> Decision {
    if !catalogue.trust.members.contains_key(member) {
        return Err(unknown_member(member));
    }
    let mut events = tokens_taken_back(catalogue, member, now)?;
    events.push(Event::MemberRemoved {
        member: member.clone(),
    });
    Ok(events)
}

fn tokens_taken_back(catalogue: &Catalogue, member: &MemberId, now: Timestamp) -> Decision {
    let owned =
        |(_, token): &(&String, &crate::catalogue::Token)| token.member.as_ref() == Some(member);
    let (its, others): (Vec<_>, Vec<_>) = catalogue.tokens.iter().partition(owned);
    let admin = |tokens: &[(&String, &crate::catalogue::Token)]| {
        let mut tokens = tokens.iter();
        tokens.any(|(_, token)| token.role == Role::Admin && token.holds(now))
    };
    if admin(&its) && !admin(&others) {
        return Err(Refusal::Limit {
            what: "revoking the last admin token",
            limit: 0,
            help: "add another admin token first",
        });
    }
    let revoked = its
        .into_iter()
        .map(|(id, _)| Event::TokenRevoked { id: id.clone() });
    Ok(revoked.collect())
}

fn set_policy(catalogue: &Catalogue, policy: ReviewPolicy) -> Decision {
    if !(1..=limits::APPROVALS).contains(&policy.approvals) {
        return Err(Refusal::Limit {
            what: "approvals of a version",
            limit: u64::from(limits::APPROVALS),
            help: "ask for 1 at least",
        });
    }
    if policy == catalogue.trust.policy {
        return Err(nothing("versions are approved in this very way"));
    }
    Ok(vec![Event::ReviewPolicySet { policy }])
}

fn grant(catalogue: &Catalogue, app: &App, permission: &Permission) -> Decision {
    let known = &catalogue.trust.permissions;
    let there = known.is_empty() || known.permissions.contains_key(permission);
    let help = "the catalogue of permissions must name it first";
    if_there("permission", permission, there, help)?;
    if app.trust.grants.contains(permission) {
        return Err(nothing(format!(
            "`{permission}` is granted to `{}`",
            app.id
        )));
    }
    if app.trust.grants.len() >= limits::PERMISSIONS {
        return Err(Refusal::Limit {
            what: "grants of an app",
            limit: limits::PERMISSIONS as u64,
            help: "withdraw those it does not need",
        });
    }
    Ok(vec![Event::PermissionGranted {
        app: app.id.clone(),
        permission: permission.clone(),
    }])
}

fn set_internal(app: &App, internal: bool, reason: &str) -> Decision {
    let reason = why(reason)?;
    if app.trust.internal == internal {
        let is = if internal {
            "the bank's own"
        } else {
            "a partner's"
        };
        return Err(nothing(format!("`{}` is {is} already", app.id)));
    }
    Ok(vec![Event::InternalSet {
        app: app.id.clone(),
        internal,
        reason,
    }])
}

fn revoke(app: &App, permission: &Permission, reason: &str) -> Decision {
    let reason = why(reason)?;
    if app.trust.revoked.contains_key(permission) {
        return Err(nothing(format!(
            "`{permission}` is revoked for `{}` already",
            app.id
        )));
    }
    if app.trust.revoked.len() >= limits::PERMISSIONS {
        return Err(Refusal::Limit {
            what: "revoked permissions of an app",
            limit: limits::PERMISSIONS as u64,
            help: "kill the app instead",
        });
    }
    Ok(vec![Event::PermissionRevoked {
        app: app.id.clone(),
        permission: permission.clone(),
        reason,
    }])
}

fn restore(app: &App, permission: &Permission, reason: &str) -> Decision {
    let reason = why(reason)?;
    if !app.trust.revoked.contains_key(permission) {
        return Err(nothing(format!(
            "`{permission}` is not revoked for `{}`",
            app.id
        )));
    }
    Ok(vec![Event::PermissionRestored {
        app: app.id.clone(),
        permission: permission.clone(),
        reason,
    }])
}

/// The person of a member, who may judge versions and changes; a token of nobody may not.
pub(super) fn reviewer(catalogue: &Catalogue, actor: &Actor) -> Result<String, Refusal> {
    match member_of(catalogue, actor) {
        Some(_) => Ok(person(catalogue, actor)),
        None => Err(Refusal::NotAMember {
            token: actor.id.clone(),
        }),
    }
}

fn under_review<'a>(
    app: &'a App,
    number: &Number,
    wanted: &'static str,
) -> Result<&'a Version, Refusal> {
    let version = version_of(app, number)?;
    if version.life.is_under_review() {
        return Ok(version);
    }
    Err(wrong_life(
        app,
        version,
        wanted,
        "only a submitted version is judged; submit the next number",
    ))
}

fn begin(catalogue: &Catalogue, app: &App, number: &Number, actor: &Actor) -> Decision {
    let version = under_review(app, number, "reviewed")?;
    let by = reviewer(catalogue, actor)?;
    if version.life == crate::version::Life::InReview {
        return Err(nothing(format!(
            "version {number} of `{}` is in review",
            app.id
        )));
    }
    Ok(vec![Event::ReviewBegun {
        app: app.id.clone(),
        version: number.clone(),
        by,
    }])
}

/// What an approval says: of which bytes, with which signatures, granting what.
struct Shown<'a> {
    bundle: &'a Digest,
    signed: Option<&'a str>,
    withheld: Option<&'a BTreeSet<Permission>>,
}

fn approve(
    catalogue: &Catalogue,
    app: &App,
    number: &Number,
    shown: &Shown<'_>,
    authorised: &Authorised,
) -> Decision {
    let version = under_review(app, number, "approved")?;
    if version.bundle.sha256 != *shown.bundle {
        return Err(Refusal::OtherBundle {
            app: app.id.clone(),
            version: number.clone(),
            is: version.bundle.sha256,
        });
    }
    let by = reviewer(catalogue, authorised.actor())?;
    let dossier = version.dossier.open();
    let did = match &dossier.submitted_by {
        Some(submitter) if *submitter == by => Some("handed it in"),
        None => Some("may have handed it in, which was not recorded"),
        Some(_) => (dossier.approvals.iter())
            .any(|vote| vote.by == by)
            .then_some("approved it already"),
    };
    if let Some(did) = did {
        return Err(Refusal::SamePerson {
            app: app.id.clone(),
            version: number.clone(),
            person: by,
            did,
        });
    }
    let withheld = withheld(app, version, &dossier, shown)?;
    let mut judged = version.clone();
    (judged.dossier).change(|dossier| dossier.withheld.clone_from(&withheld));
    all_stand(catalogue, app, &judged, authorised.rules())?;
    let signed = shown.signed;
    let standing = signed::standing(catalogue, app, &judged, signed)?;
    let needed = usize::from(catalogue.trust.policy.approvals);
    let is_last = dossier.approvals.len() + 1 >= needed && standing.is_enough;
    let mut events = Vec::new();
    if withheld != dossier.withheld {
        events.push(Event::PermissionsWithheld {
            app: app.id.clone(),
            version: number.clone(),
            withheld,
        });
    }
    events.push(Event::ReviewApproved {
        app: app.id.clone(),
        version: number.clone(),
        by,
        bundle: (!authorised.rules().is_first()).then_some(*shown.bundle),
        signed: signed.filter(|_| !is_last).map(str::to_owned),
    });
    if is_last {
        events.push(Event::VersionApproved {
            app: app.id.clone(),
            version: number.clone(),
            release: standing.joined,
        });
    }
    Ok(events)
}

/// What the version is not granted. The first who approves decides it; the others approve that or nothing,
/// because they sign one record.
fn withheld(
    app: &App,
    version: &Version,
    dossier: &Dossier,
    shown: &Shown<'_>,
) -> Result<BTreeSet<Permission>, Refusal> {
    let known = &dossier.withheld;
    if !dossier.approvals.is_empty() {
        return match shown.withheld {
            Some(withheld) if withheld != known => Err(Refusal::OtherGrant {
                app: app.id.clone(),
                version: version.number.clone(),
                withheld: names(known),
            }),
            _ => Ok(known.clone()),
        };
    }
    let Some(withheld) = shown.withheld else {
        let signed = shown.signed;
        return Ok(signed
            .and_then(|signed| signed::withheld(version, signed))
            .unwrap_or_default());
    };
    match withheld
        .iter()
        .find(|one| !version.permissions.contains(one))
    {
        Some(other) => Err(Refusal::Unknown {
            kind: "permission to withhold that the version asks for, such as",
            name: other.to_string(),
            help: "`huidu review show` lists what it asks for",
        }),
        None => Ok(withheld.clone()),
    }
}

fn names(permissions: &BTreeSet<Permission>) -> String {
    if permissions.is_empty() {
        return "nothing".into();
    }
    let names = permissions.iter().map(|one| format!("`{one}`"));
    names.collect::<Vec<_>>().join(", ")
}

/// Refuses a version that is to have what it may not.
pub(super) fn all_stand(
    catalogue: &Catalogue,
    app: &App,
    version: &Version,
    rules: Rules,
) -> Result<(), Refusal> {
    let mut missing = missing(catalogue, app, version);
    if rules.is_first() && catalogue.trust.permissions.is_empty() {
        // By the first rules everything stood where nothing was graded, also where customers are served.
        missing.clear();
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Refusal::NotGranted {
        app: app.id.clone(),
        version: version.number.clone(),
        missing,
    })
}

/// What `version` is to have, or asks for while nobody decided, and may not.
pub fn missing(catalogue: &Catalogue, app: &App, version: &Version) -> Vec<Missing> {
    (version.granted())
        .map(|permission| Missing {
            standing: catalogue.trust.standing(app, permission),
            permission: permission.clone(),
        })
        .filter(|missing| !missing.standing.stands())
        .collect()
}

fn reject(
    catalogue: &Catalogue,
    app: &App,
    number: &Number,
    reason: &str,
    actor: &Actor,
) -> Decision {
    let version = version_of(app, number)?;
    // Who approved too soon takes it back before it is listed; afterwards it is delisted or killed.
    if !version.life.is_under_review() && version.life != crate::version::Life::Approved {
        let help = "delist or kill what is listed; nothing else is left to reject";
        return Err(wrong_life(app, version, "rejected", help));
    }
    Ok(vec![Event::VersionRejected {
        app: app.id.clone(),
        version: number.clone(),
        by: person(catalogue, actor),
        reason: why(reason)?,
    }])
}

/// The dossier of a version that is handed in: who hands it in is known here, and nobody has approved it.
pub(super) fn dossier(
    catalogue: &Catalogue,
    actor: &Actor,
    app: &App,
    asked: &Dossier,
    now: Timestamp,
) -> Result<Box<Dossier>, Refusal> {
    let filing = asked.filing.as_deref().map(str::trim);
    if filing.is_some_and(|filing| filing.len() > limits::FILING_BYTES) {
        return Err(Refusal::Limit {
            what: "bytes of a filing number",
            limit: limits::FILING_BYTES as u64,
            help: "write the number alone",
        });
    }
    Ok(Box::new(Dossier {
        filing: filing
            .filter(|filing| !filing.is_empty())
            .map(str::to_owned),
        reach: reach(&asked.reach, now)?,
        withheld: BTreeSet::new(),
        submitted_by: Some(person(catalogue, actor)),
        approvals: Vec::new(),
        seq: app.trust.seq + 1,
        release: None,
        ..asked.clone()
    }))
}

/// Where and when a version may run, as its record will say it: platforms sorted, whole seconds.
fn reach(asked: &Reach, now: Timestamp) -> Result<Reach, Refusal> {
    let whole = |at: Timestamp| Timestamp::from_unix_ms(at.unix_ms() / 1_000 * 1_000);
    let mut reach = asked.clone();
    reach.platforms.sort_unstable();
    reach.platforms.dedup();
    reach.not_before = reach.not_before.map(whole);
    reach.not_after = reach.not_after.map(whole);
    if reach.platforms.len() > limits::PLATFORMS {
        return Err(Refusal::Limit {
            what: "platforms of a version",
            limit: limits::PLATFORMS as u64,
            help: "name none for all",
        });
    }
    let never = matches!((reach.not_before, reach.not_after), (Some(from), Some(to)) if from >= to);
    if never {
        let what = "`not_after` is not after `not_before`";
        return Err(Refusal::Reach { what });
    }
    if reach.is_over(now) {
        let what = "`not_after` is over";
        return Err(Refusal::Reach { what });
    }
    Ok(reach)
}
