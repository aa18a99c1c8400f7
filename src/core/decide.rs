//! `decide`: (what is true, what an authorised actor asks for, now) → what happens, or a refusal that says
//! what to do.
//!
//! Everything that may be refused is refused here, so that `Catalogue::apply` can be total. It never
//! changes anything itself and never asks who asks: `authorise` did.

mod proposals;
mod refusal;
mod signed;
mod trust;

pub use proposals::enactment;
pub use refusal::Refusal;
pub use trust::{Missing, missing, person};

use std::collections::BTreeMap;

use crate::{
    authority::{Authorised, Role},
    catalogue::{App, Catalogue},
    check::{self, Finding, World},
    command::Command,
    dossier::Dossier,
    event::Event,
    limits,
    name::{AppId, Permission, RuleName},
    rollout::Rollout,
    share::Share,
    slots::Slots,
    slots_assign,
    time::Timestamp,
    version::{Bundle, Life, Number, Review, Version},
};

type Decision = Result<Vec<Event>, Refusal>;

/// What happens when `authorised` is let through at `now`.
pub fn decide(catalogue: &Catalogue, authorised: &Authorised, now: Timestamp) -> Decision {
    let founded = !catalogue.audience.is_empty();
    let command = authorised.command();
    match (command, founded) {
        (Command::Found { .. }, true) => {
            return Err(Refusal::AlreadyFounded {
                audience: catalogue.audience.clone(),
            });
        }
        (Command::Found { .. }, false) | (_, true) => {}
        (_, false) => return Err(Refusal::NotFounded),
    }
    if founded && let Some(waits) = proposals::kept_back(catalogue, authorised, now) {
        return waits;
    }
    decided(catalogue, authorised, now)
}

/// What happens at once, whoever would have to agree.
fn decided(catalogue: &Catalogue, authorised: &Authorised, now: Timestamp) -> Decision {
    let command = authorised.command();
    match command {
        Command::Found {
            audience,
            review,
            token: (id, sha256),
            keyring,
            eyes,
        } => {
            let founded = Event::Founded {
                audience: named("audience", audience)?,
                review: *review,
            };
            let token = Event::TokenAdded {
                id: id.clone(),
                sha256: *sha256,
                role: Role::Admin,
                note: "first start".into(),
                member: None,
            };
            let keyring = keyring.as_ref().map(|envelope| {
                signed::first(audience, envelope.as_bytes())?;
                Ok::<_, Refusal>(Event::KeyringPut {
                    envelope: envelope.clone(),
                })
            });
            let eyes = (!eyes.is_default()).then(|| Event::EyesSet {
                policy: eyes.clone(),
            });
            let mut events = vec![founded, token];
            events.extend(keyring.transpose()?);
            events.extend(eyes);
            Ok(events)
        }
        Command::AddToken {
            id,
            sha256,
            role,
            note,
            member,
        } => {
            trust::owned(catalogue, member.as_ref(), role)?;
            unless_there(
                "token",
                id,
                catalogue.tokens.contains_key(id),
                "choose another id",
            )?;
            let note = text("note", note)?;
            Ok(vec![Event::TokenAdded {
                id: id.clone(),
                sha256: *sha256,
                role: role.clone(),
                note,
                member: member.clone(),
            }])
        }
        Command::RevokeToken { id } => {
            if_there(
                "token",
                id,
                catalogue.tokens.contains_key(id),
                "`huidu token list` shows them",
            )?;
            let others = catalogue
                .tokens
                .iter()
                .any(|(other, token)| other != id && token.role == Role::Admin);
            if !others {
                return Err(Refusal::Limit {
                    what: "revoking the last admin token",
                    limit: 0,
                    help: "add another admin token first",
                });
            }
            Ok(vec![Event::TokenRevoked { id: id.clone() }])
        }
        Command::AddTenant { tenant, title } => {
            unless_there(
                "tenant",
                tenant,
                catalogue.tenants.contains_key(tenant),
                "nothing is left to do",
            )?;
            Ok(vec![Event::TenantAdded {
                tenant: tenant.clone(),
                title: text("title", title)?,
            }])
        }
        Command::AddHost {
            host,
            title,
            sandbox,
        } => {
            unless_there(
                "host",
                host,
                catalogue.hosts.contains_key(host),
                "nothing is left to do",
            )?;
            Ok(vec![Event::HostAdded {
                host: host.clone(),
                title: text("title", title)?,
                sandbox: *sandbox,
            }])
        }
        Command::AddApp { app, title } => add_app(catalogue, app, title),
        Command::PutSegment {
            segment,
            sha256,
            units,
        } => {
            if *units > limits::SEGMENT_UNITS {
                let help = "split the segment";
                return Err(Refusal::Limit {
                    what: "units in a segment",
                    limit: limits::SEGMENT_UNITS,
                    help,
                });
            }
            Ok(vec![Event::SegmentPut {
                segment: segment.clone(),
                sha256: *sha256,
                units: *units,
            }])
        }
        Command::RemoveSegment { segment } => {
            if_there(
                "segment",
                segment,
                catalogue.segments.contains_key(segment),
                SEE_SEGMENTS,
            )?;
            match catalogue.asking_about(segment).next() {
                Some(app) => Err(Refusal::SegmentInUse {
                    segment: segment.clone(),
                    app: app.clone(),
                }),
                None => Ok(vec![Event::SegmentRemoved {
                    segment: segment.clone(),
                }]),
            }
        }
        Command::ApproveProposal { .. }
        | Command::WithdrawProposal { .. }
        | Command::EnactProposal { .. }
        | Command::SetEyes { .. } => proposals::decide(catalogue, authorised, now),
        _ if command.app().is_some() => decide_for_app(catalogue, authorised, now),
        _ => trust::decide(catalogue, authorised, now),
    }
}

const SEE_SEGMENTS: &str = "`huidu segment list` shows them";
const SEE_VERSIONS: &str = "`huidu version list` shows them";
const ADD_APP: &str = "add it with `huidu app add`";

fn decide_for_app(catalogue: &Catalogue, authorised: &Authorised, now: Timestamp) -> Decision {
    let command = authorised.command();
    let name = command.app().map_or("", AppId::as_str);
    let Some(app) = catalogue.apps.get(name) else {
        return Err(Refusal::Unknown {
            kind: "app",
            name: name.to_owned(),
            help: ADD_APP,
        });
    };
    match command {
        Command::SubmitVersion {
            number,
            bundle,
            permissions,
            notes,
            dossier,
            ..
        } => {
            let dossier = trust::dossier(catalogue, authorised.actor(), app, dossier)?;
            submit(app, number, bundle, permissions, notes, dossier, now)
        }
        Command::List { version, .. } => list(catalogue, app, version),
        Command::Delist {
            version, reason, ..
        } => delist(app, version, reason),
        Command::Kill {
            version, reason, ..
        } => kill(app, version.as_ref(), reason),
        Command::Unkill {
            version, reason, ..
        } => unkill(app, version.as_ref(), reason),
        Command::PutRollout { rollout } => put_rollout(catalogue, app, rollout),
        Command::SetShare { rule, share, .. } => set_share(catalogue, app, rule, *share),
        Command::LowerShare { rule, share, .. } => lower_share(catalogue, app, rule, *share),
        Command::SetPause { rule, paused, .. } => set_pause(app, rule, *paused),
        _ => trust::decide_for_app(catalogue, app, authorised, now),
    }
}

fn add_app(catalogue: &Catalogue, app: &AppId, title: &str) -> Decision {
    unless_there(
        "app",
        app,
        catalogue.apps.contains_key(app),
        "nothing is left to do",
    )?;
    let mut events = Vec::new();
    if let (false, Ok(tenant)) = (
        catalogue.tenants.contains_key(app.tenant()),
        app.tenant().parse(),
    ) {
        events.push(Event::TenantAdded {
            tenant,
            title: app.tenant().to_owned(),
        });
    }
    events.push(Event::AppAdded {
        app: app.clone(),
        title: text("title", title)?,
    });
    Ok(events)
}

fn submit(
    app: &App,
    number: &Number,
    bundle: &Bundle,
    permissions: &[Permission],
    notes: &str,
    dossier: Box<Dossier>,
    now: Timestamp,
) -> Decision {
    if !number.build.is_empty() {
        return Err(Refusal::BuildMetadata {
            version: number.clone(),
        });
    }
    if let Some(kept) = app.versions.get(number) {
        // The same bytes again change nothing: a publisher may repeat what it is not sure of.
        let help = if kept.bundle.sha256 == bundle.sha256 {
            "its bundle is this very one"
        } else {
            "a version never changes its bundle; use the next number"
        };
        return Err(Refusal::Exists {
            kind: "version",
            name: format!("{}@{number}", app.id),
            help,
        });
    }
    if app.versions.len() >= limits::VERSIONS {
        let help = "delete the app's oldest versions";
        return Err(Refusal::Limit {
            what: "versions of an app",
            limit: limits::VERSIONS as u64,
            help,
        });
    }
    if permissions.len() > limits::PERMISSIONS {
        let help = "ask for fewer";
        return Err(Refusal::Limit {
            what: "permissions of a version",
            limit: limits::PERMISSIONS as u64,
            help,
        });
    }
    let mut permissions = permissions.to_vec();
    permissions.sort_unstable();
    permissions.dedup();
    let version = Version {
        number: number.clone(),
        bundle: bundle.clone(),
        permissions,
        notes: text("notes", notes)?,
        life: Life::Submitted,
        submitted_at: now,
        dossier: (*dossier).into(),
    };
    Ok(vec![Event::VersionSubmitted {
        app: app.id.clone(),
        version,
    }])
}

fn version<'a>(app: &'a App, number: &Number) -> Result<&'a Version, Refusal> {
    let version = app.versions.get(number).map(|version| &**version);
    version.ok_or_else(|| Refusal::Unknown {
        kind: "version",
        name: format!("{}@{number}", app.id),
        help: SEE_VERSIONS,
    })
}

fn wrong_life(app: &App, version: &Version, wanted: &'static str, help: &'static str) -> Refusal {
    Refusal::Life {
        app: app.id.clone(),
        version: version.number.clone(),
        is: version.life.word(),
        wanted,
        help,
    }
}

fn list(catalogue: &Catalogue, app: &App, number: &Number) -> Decision {
    let version = version(app, number)?;
    if version.life.may_list(catalogue.review) {
        let unfiled = version.dossier.open().filing.is_none();
        if unfiled && catalogue.review == Review::Required && catalogue.trust.policy.filing_required
        {
            return Err(Refusal::NotFiled {
                app: app.id.clone(),
                version: number.clone(),
            });
        }
        signed::may_run(catalogue, app, version)?;
        return Ok(vec![Event::VersionListed {
            app: app.id.clone(),
            version: number.clone(),
        }]);
    }
    let help = match version.life {
        Life::Listed => "nothing is left to do",
        Life::Delisted { .. } => "take the kill back first",
        Life::Submitted | Life::InReview => "a reviewer approves it first",
        _ => "submit the next number",
    };
    Err(wrong_life(app, version, "listed", help))
}

fn delist(app: &App, number: &Number, reason: &str) -> Decision {
    let version = version(app, number)?;
    if !version.life.is_listed() {
        return Err(wrong_life(
            app,
            version,
            "delisted",
            "only a listed version can be",
        ));
    }
    if let Some(by) = app
        .rollout
        .as_ref()
        .and_then(|rollout| served_by(rollout, number))
    {
        return Err(Refusal::Served {
            app: app.id.clone(),
            version: number.clone(),
            by,
        });
    }
    Ok(vec![Event::VersionDelisted {
        app: app.id.clone(),
        version: number.clone(),
        reason: why(reason)?,
    }])
}

/// Where a rollout serves a version, for an error.
fn served_by(rollout: &Rollout, number: &Number) -> Option<String> {
    if rollout.stable == *number {
        return Some("`stable`".into());
    }
    let serves =
        |rule: &&crate::rollout::Rule| rule.arms().iter().any(|(_, _, arm)| arm.version == *number);
    let rule = rollout
        .rules
        .iter()
        .find(serves)
        .map(|rule| format!("rule `{}`", rule.name));
    let pin = || {
        rollout
            .pins
            .values()
            .any(|pinned| pinned == number)
            .then(|| "a pin".to_owned())
    };
    let floor = || {
        rollout
            .floors
            .contains(number)
            .then(|| "a floor".to_owned())
    };
    rule.or_else(pin).or_else(floor)
}

fn kill(app: &App, number: Option<&Number>, reason: &str) -> Decision {
    let reason = why(reason)?;
    let life = match number {
        Some(number) => Some(&version(app, number)?.life),
        None => None,
    };
    if life.map_or(app.killed.is_some(), Life::is_killed) {
        return Err(Refusal::Nothing {
            what: format!("{} is killed already", target(app, number)),
        });
    }
    Ok(vec![Event::Killed {
        app: app.id.clone(),
        version: number.cloned(),
        reason,
        before: life.filter(|life| !life.is_listed()).cloned().map(Box::new),
    }])
}

fn unkill(app: &App, number: Option<&Number>, reason: &str) -> Decision {
    let reason = why(reason)?;
    let killed = match number {
        Some(number) => version(app, number)?.life.is_killed(),
        None => app.killed.is_some(),
    };
    if !killed {
        return Err(Refusal::Nothing {
            what: format!("{} is not killed", target(app, number)),
        });
    }
    signed::may_come_back(app, number)?;
    Ok(vec![Event::Unkilled {
        app: app.id.clone(),
        version: number.cloned(),
        reason,
    }])
}

fn target(app: &App, number: Option<&Number>) -> String {
    number.map_or_else(
        || format!("`{}`", app.id),
        |number| format!("version {number} of `{}`", app.id),
    )
}

fn put_rollout(catalogue: &Catalogue, app: &App, rollout: &Rollout) -> Decision {
    let rollout = checked(catalogue, app, rollout, &[])?;
    if app.rollout.as_ref() == Some(&rollout) {
        return Err(Refusal::Nothing {
            what: format!("the rollout of `{}` is this very one", app.id),
        });
    }
    Ok(vec![Event::RolloutPut {
        rollout: Box::new(rollout),
    }])
}

/// The rollout with every slot given, or all its mistakes but the `tolerated` ones.
fn checked(
    catalogue: &Catalogue,
    app: &App,
    rollout: &Rollout,
    tolerated: &[Finding],
) -> Result<Rollout, Refusal> {
    let mut mistakes = mistakes(catalogue, app, rollout);
    mistakes.retain(|mistake| !tolerated.contains(mistake));
    if !mistakes.is_empty() {
        return Err(Refusal::Rollout { findings: mistakes });
    }
    let is_layered =
        !rollout.holdouts.is_empty() || rollout.rules.iter().any(|r| r.layer.is_some());
    let others = if is_layered {
        catalogue.slots_of_others(&app.id)
    } else {
        // What nobody asks about need not be gathered from all apps of the tenant.
        BTreeMap::new()
    };
    slots_assign::assign(rollout, app.rollout.as_ref(), &others)
        .map_err(|findings| Refusal::Rollout { findings })
}

fn mistakes(catalogue: &Catalogue, app: &App, rollout: &Rollout) -> Vec<Finding> {
    let world = World {
        app: Some(app),
        hosts: Some(&catalogue.hosts),
        segments: Some(&catalogue.segments),
        previous: app.rollout.as_ref(),
    };
    check::check(rollout, &world)
        .into_iter()
        .filter(Finding::is_error)
        .collect()
}

fn rule_of<'a>(app: &'a App, name: &RuleName) -> Result<(&'a Rollout, usize), Refusal> {
    let unknown = || Refusal::Unknown {
        kind: "rule",
        name: format!("{}#{name}", app.id),
        help: "`huidu rollout show` lists the rules",
    };
    let rollout = app.rollout.as_ref().ok_or_else(unknown)?;
    let at = rollout
        .rules
        .iter()
        .position(|rule| rule.name == *name)
        .ok_or_else(unknown)?;
    Ok((rollout, at))
}

fn set_share(catalogue: &Catalogue, app: &App, name: &RuleName, share: Share) -> Decision {
    let (rollout, at) = rule_of(app, name)?;
    if rollout.rules[at].share == share {
        return Err(Refusal::Nothing {
            what: format!("the share of rule `{name}` is {share}"),
        });
    }
    let mut changed = rollout.clone();
    changed.rules[at].share = share;
    if changed.rules[at].layer.is_some() {
        changed.rules[at].slots = Slots::default();
    }
    // The same checks as a whole rollout, but what is wrong already must not stop a share from moving:
    // after a kill the other ramps still have to be steered.
    let tolerated = mistakes(catalogue, app, rollout);
    let slots = checked(catalogue, app, &changed, &tolerated)?
        .rules
        .swap_remove(at)
        .slots;
    Ok(vec![Event::ShareSet {
        app: app.id.clone(),
        rule: name.clone(),
        share,
        slots,
    }])
}

fn lower_share(catalogue: &Catalogue, app: &App, name: &RuleName, share: Share) -> Decision {
    let (rollout, at) = rule_of(app, name)?;
    let is = rollout.rules[at].share;
    if share >= is {
        return Err(Refusal::NotLower {
            rule: name.clone(),
            is,
            asked: share,
        });
    }
    set_share(catalogue, app, name, share)
}

fn set_pause(app: &App, name: &RuleName, paused: bool) -> Decision {
    let (rollout, at) = rule_of(app, name)?;
    if rollout.rules[at].paused == paused {
        let is = if paused { "paused" } else { "running" };
        return Err(Refusal::Nothing {
            what: format!("rule `{name}` is {is}"),
        });
    }
    Ok(vec![Event::PauseSet {
        app: app.id.clone(),
        rule: name.clone(),
        paused,
    }])
}

fn if_there(
    kind: &'static str,
    name: &(impl ToString + ?Sized),
    there: bool,
    help: &'static str,
) -> Result<(), Refusal> {
    if there {
        Ok(())
    } else {
        Err(Refusal::Unknown {
            kind,
            name: name.to_string(),
            help,
        })
    }
}

fn unless_there(
    kind: &'static str,
    name: &(impl ToString + ?Sized),
    there: bool,
    help: &'static str,
) -> Result<(), Refusal> {
    if there {
        Err(Refusal::Exists {
            kind,
            name: name.to_string(),
            help,
        })
    } else {
        Ok(())
    }
}

fn text(what: &'static str, text: &str) -> Result<String, Refusal> {
    if text.len() > limits::TEXT_BYTES {
        let help = "shorten the text";
        return Err(Refusal::Limit {
            what,
            limit: limits::TEXT_BYTES as u64,
            help,
        });
    }
    Ok(text.to_owned())
}

fn named(field: &'static str, given: &str) -> Result<String, Refusal> {
    if given.trim().is_empty() {
        return Err(Refusal::Empty {
            field,
            help: "who it is for, such as `bank/prod`",
        });
    }
    text(field, given)
}

fn why(reason: &str) -> Result<String, Refusal> {
    if reason.trim().is_empty() {
        return Err(Refusal::Empty {
            field: "reason",
            help: "why, for the people who read the history",
        });
    }
    text("reason", reason)
}
