//! Decisions about people, grades, reviews and trials.
//!
//! Four eyes are kept here: whoever handed a version in never approves it, nobody approves twice, and
//! only a token that belongs to a person approves at all, because two tokens can be one person's.

use std::collections::BTreeSet;

use super::{
    Decision, Refusal, SEE_VERSIONS, if_there, signed, text, version as version_of, why, wrong_life,
};
use crate::{
    authority::{Authorised, Role},
    catalogue::{App, Catalogue},
    command::Command,
    digest::Digest,
    dossier::Dossier,
    event::{Actor, Event},
    grade::Standing,
    limits,
    name::{HostId, MemberId, Permission},
    time::Timestamp,
    trust::{Identity, Preview, ReviewPolicy},
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
        } => put_member(catalogue, member, title, role, identity.as_ref()),
        Command::RemoveMember { member } => remove_member(catalogue, member),
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
            ..
        } => approve(catalogue, app, version, bundle, signed.as_deref(), actor),
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
        } => put_trial(catalogue, app, version, hosts, devices),
        Command::AddPreview {
            version,
            id,
            preview,
            ..
        } => add_preview(catalogue, app, version, id, preview, now),
        Command::RemovePreview { version, id, .. } => remove_preview(app, version, id),
        _ => Ok(Vec::new()),
    }
}

fn nothing(what: impl Into<String>) -> Refusal {
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
        events.extend(tokens_taken_back(catalogue, member)?);
    }
    Ok(events)
}

fn remove_member(catalogue: &Catalogue, member: &MemberId) -> Decision {
    if !catalogue.trust.members.contains_key(member) {
        return Err(unknown_member(member));
    }
    let mut events = tokens_taken_back(catalogue, member)?;
    events.push(Event::MemberRemoved {
        member: member.clone(),
    });
    Ok(events)
}

fn tokens_taken_back(catalogue: &Catalogue, member: &MemberId) -> Decision {
    let owned =
        |(_, token): &(&String, &crate::catalogue::Token)| token.member.as_ref() == Some(member);
    let (its, others): (Vec<_>, Vec<_>) = catalogue.tokens.iter().partition(owned);
    let admin = |tokens: &[(&String, &crate::catalogue::Token)]| {
        tokens.iter().any(|(_, token)| token.role == Role::Admin)
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

fn approve(
    catalogue: &Catalogue,
    app: &App,
    number: &Number,
    shown: &Digest,
    signed: Option<&str>,
    actor: &Actor,
) -> Decision {
    let version = under_review(app, number, "approved")?;
    if version.bundle.sha256 != *shown {
        return Err(Refusal::OtherBundle {
            app: app.id.clone(),
            version: number.clone(),
            is: version.bundle.sha256,
        });
    }
    let by = reviewer(catalogue, actor)?;
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
    let missing = missing(catalogue, app, version);
    if !missing.is_empty() {
        return Err(Refusal::NotGranted {
            app: app.id.clone(),
            version: number.clone(),
            missing,
        });
    }
    let standing = signed::standing(catalogue, app, version, signed)?;
    let needed = usize::from(catalogue.trust.policy.approvals);
    let is_last = dossier.approvals.len() + 1 >= needed && standing.is_enough;
    let mut events = vec![Event::ReviewApproved {
        app: app.id.clone(),
        version: number.clone(),
        by,
        signed: signed.filter(|_| !is_last).map(str::to_owned),
    }];
    if is_last {
        events.push(Event::VersionApproved {
            app: app.id.clone(),
            version: number.clone(),
            release: standing.joined,
        });
    }
    Ok(events)
}

/// What `version` asks for and may not have.
pub fn missing(catalogue: &Catalogue, app: &App, version: &Version) -> Vec<Missing> {
    let grade = catalogue.trust.grade_of(app.id.tenant());
    let standing = |permission: &Permission| {
        let granted = app.trust.grants.contains(permission);
        (catalogue.trust.permissions).standing(permission, grade, granted)
    };
    (version.permissions.iter())
        .map(|permission| Missing {
            standing: standing(permission),
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

fn triable<'a>(app: &'a App, number: &Number) -> Result<&'a Version, Refusal> {
    let version = version_of(app, number)?;
    if !version.life.may_be_tried() {
        let help = "submit the next number";
        return Err(wrong_life(app, version, "tried", help));
    }
    let others = (app.trust.trials.keys()).filter(|other| *other != number);
    if others.count() >= limits::TRIALS {
        return Err(Refusal::Limit {
            what: "versions of an app on trial",
            limit: limits::TRIALS as u64,
            help: "end the trial of another version",
        });
    }
    Ok(version)
}

fn sandbox(catalogue: &Catalogue, host: &HostId) -> Result<(), Refusal> {
    let there = catalogue.hosts.contains_key(host);
    if_there("host", host, there, "`huidu host list` shows them")?;
    if catalogue.trust.sandboxes.contains(host) {
        Ok(())
    } else {
        Err(Refusal::NotASandbox { host: host.clone() })
    }
}

fn put_trial(
    catalogue: &Catalogue,
    app: &App,
    number: &Number,
    hosts: &BTreeSet<HostId>,
    devices: &BTreeSet<String>,
) -> Decision {
    let put = |hosts: &BTreeSet<HostId>| {
        Ok(vec![Event::TrialPut {
            app: app.id.clone(),
            version: number.clone(),
            hosts: hosts.clone(),
            devices: devices.clone(),
        }])
    };
    if devices.is_empty() {
        let trial = app.trust.trials.get(number);
        return match trial {
            Some(trial) if !trial.devices.is_empty() => put(&BTreeSet::new()),
            _ => Err(nothing(format!(
                "no device tries version {number} of `{}`",
                app.id
            ))),
        };
    }
    triable(app, number)?;
    hosts.iter().try_for_each(|host| sandbox(catalogue, host))?;
    if hosts.is_empty() {
        return Err(Refusal::Empty {
            field: "hosts",
            help: "in which sandboxes the devices are served",
        });
    }
    for (what, count, limit) in [
        (
            "test devices of a trial",
            devices.len(),
            limits::TRIAL_DEVICES,
        ),
        ("hosts of a trial", hosts.len(), limits::HOSTS),
    ] {
        if count > limit {
            let limit = limit as u64;
            let help = "name fewer";
            return Err(Refusal::Limit { what, limit, help });
        }
    }
    let named = |unit: &String| (1..=limits::UNIT_BYTES).contains(&unit.len());
    if !devices.iter().all(named) {
        return Err(Refusal::Limit {
            what: "bytes of a unit",
            limit: limits::UNIT_BYTES as u64,
            help: "name devices as they name themselves in polls",
        });
    }
    put(hosts)
}

fn add_preview(
    catalogue: &Catalogue,
    app: &App,
    number: &Number,
    id: &Digest,
    preview: &Preview,
    now: Timestamp,
) -> Decision {
    triable(app, number)?;
    sandbox(catalogue, &preview.host)?;
    if preview.until <= now || preview.until.ms_since(now) > limits::PREVIEW_MS {
        return Err(Refusal::PreviewTime);
    }
    // What has ended makes room for what begins.
    let previews = app.trust.trials.get(number).map(|trial| &trial.previews);
    let previews = previews.into_iter().flatten();
    let (ended, open): (Vec<_>, Vec<_>) = previews.partition(|(_, kept)| kept.until <= now);
    if open.len() >= limits::TRIAL_PREVIEWS {
        return Err(Refusal::Limit {
            what: "previews of a version",
            limit: limits::TRIAL_PREVIEWS as u64,
            help: "take one back",
        });
    }
    let mut events: Vec<_> = ended
        .into_iter()
        .map(|(id, _)| Event::PreviewRemoved {
            app: app.id.clone(),
            version: number.clone(),
            id: *id,
        })
        .collect();
    events.push(Event::PreviewAdded {
        app: app.id.clone(),
        version: number.clone(),
        id: *id,
        preview: preview.clone(),
    });
    Ok(events)
}

fn remove_preview(app: &App, number: &Number, id: &Digest) -> Decision {
    let there = (app.trust.trials.get(number)).is_some_and(|trial| trial.previews.contains_key(id));
    if_there("preview", id, there, SEE_VERSIONS)?;
    Ok(vec![Event::PreviewRemoved {
        app: app.id.clone(),
        version: number.clone(),
        id: *id,
    }])
}

/// The dossier of a version that is handed in: who hands it in is known here, and nobody has approved it.
pub(super) fn dossier(
    catalogue: &Catalogue,
    actor: &Actor,
    app: &App,
    asked: &Dossier,
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
        submitted_by: Some(person(catalogue, actor)),
        approvals: Vec::new(),
        seq: app.trust.seq + 1,
        release: None,
        ..asked.clone()
    }))
}
