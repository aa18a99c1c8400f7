//! `decide`: (what is true, what an authorised actor asks for, now) → what happens, or a refusal that says
//! what to do.
//!
//! Everything that may be refused is refused here, so that `Catalogue::apply` can be total. It never
//! changes anything itself and never asks who asks: `authorise` did.

mod experiments;
mod proposals;
mod ramps;
mod refusal;
mod rollouts;
mod signed;
mod trials;
mod trust;

pub use proposals::enactment;
pub use refusal::Refusal;
pub use trust::{Missing, missing, person};

use std::collections::BTreeSet;

use self::rollouts::Day;
use crate::{
    authority::{Authorised, Role},
    catalogue::{App, Catalogue},
    command::Command,
    dossier::Dossier,
    event::Event,
    limits,
    name::{AppId, Permission},
    time::Timestamp,
    trust::ReviewPolicy,
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
            reviews,
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
                // Whoever runs the machine begins with it; there is nobody yet to give out the next one.
                expires: None,
                scopes: BTreeSet::new(),
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
            if *reviews != ReviewPolicy::default() {
                events.push(Event::ReviewPolicySet { policy: *reviews });
            }
            Ok(events)
        }
        Command::AddToken {
            id,
            sha256,
            role,
            note,
            member,
            expires,
            scopes,
        } => {
            trust::owned(catalogue, member.as_ref(), role)?;
            unless_there(
                "token",
                id,
                catalogue.tokens.contains_key(id),
                "choose another id",
            )?;
            let note = text("note", note)?;
            // Only by the first rules was there a token without an end, beside the very first.
            let endless = expires.is_never() && !authorised.rules().is_first();
            let ends = (!endless).then(|| expires.from(now).ok()).flatten();
            let expires = ends.ok_or(Refusal::TokenTime)?;
            Ok(vec![Event::TokenAdded {
                id: id.clone(),
                sha256: *sha256,
                role: role.clone(),
                note,
                member: member.clone(),
                expires,
                scopes: scopes.clone(),
            }])
        }
        Command::RevokeToken { id } => {
            if_there(
                "token",
                id,
                catalogue.tokens.contains_key(id),
                "`huidu token list` shows them",
            )?;
            let others = (catalogue.tokens.iter())
                .any(|(other, token)| other != id && token.role == Role::Admin && token.holds(now));
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
    let rules = authorised.rules();
    let day = Day { now, rules };
    match command {
        Command::SubmitVersion {
            number,
            bundle,
            permissions,
            notes,
            dossier,
            ..
        } => {
            let dossier = trust::dossier(catalogue, authorised.actor(), app, dossier, now)?;
            submit(app, number, bundle, permissions, notes, dossier, now)
        }
        Command::List { version, .. } => list(catalogue, app, version, day),
        Command::Delist {
            version, reason, ..
        } => delist(app, version, reason),
        Command::Kill {
            version, reason, ..
        } => kill(app, version.as_ref(), reason),
        Command::Unkill {
            version, reason, ..
        } => unkill(app, version.as_ref(), reason),
        Command::PutRollout { rollout } => {
            experiments::put_rollout(catalogue, app, rollout, &BTreeSet::new(), day)
        }
        Command::RedrawRollout {
            rollout,
            experiments,
        } => experiments::put_rollout(catalogue, app, rollout, experiments, day),
        Command::BeginExperiment {
            experiment, design, ..
        } => experiments::begin(catalogue, app, experiment, design, day),
        Command::EndExperiment {
            experiment,
            arm,
            reason,
            ..
        } => experiments::end(catalogue, app, experiment, arm.as_ref(), reason, day),
        Command::SetShare { rule, share, .. } => {
            rollouts::set_share(catalogue, app, rule, *share, day)
        }
        Command::LowerShare { rule, share, .. } => {
            rollouts::lower_share(catalogue, app, rule, *share, day)
        }
        Command::SetPause { rule, paused, .. } => {
            rollouts::set_pause(catalogue, app, rule, *paused, day)
        }
        Command::SteerRamp {
            rule, act, reason, ..
        } => ramps::steer(catalogue, app, rule, *act, reason, authorised, now),
        Command::DecideRamp {
            rule,
            from,
            act,
            findings,
            ..
        } => ramps::go_on(catalogue, app, rule, (*from, act, findings), day),
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
        permissions: permissions.into(),
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

fn list(catalogue: &Catalogue, app: &App, number: &Number, day: Day) -> Decision {
    let version = version(app, number)?;
    if version.life.may_list(catalogue.review) {
        let needs_filing =
            catalogue.review == Review::Required && catalogue.trust.policy.filing_required;
        if needs_filing && !app.trust.internal && version.dossier.open().filing.is_none() {
            return Err(Refusal::NotFiled {
                app: app.id.clone(),
                version: number.clone(),
            });
        }
        // A grant may have been withdrawn, or a grade lowered, since it was approved.
        if !day.rules.is_first() {
            trust::all_stand(catalogue, app, version, day.rules)?;
        }
        signed::may_run(catalogue, app, version, day.now)?;
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
        .and_then(|rollout| rollouts::served_by(rollout, number))
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
