//! Decisions about trials: who may run a version before it is listed, where, and until when.

use std::collections::BTreeSet;

use super::{
    Decision, Refusal, SEE_VERSIONS, if_there, trust::nothing, version as version_of, wrong_life,
};
use crate::{
    catalogue::{App, Catalogue},
    digest::Digest,
    event::Event,
    limits,
    name::HostId,
    time::Timestamp,
    trust::Preview,
    version::{Number, Version},
};

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

pub(super) fn put_trial(
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

pub(super) fn add_preview(
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

pub(super) fn remove_preview(app: &App, number: &Number, id: &Digest) -> Decision {
    let there = (app.trust.trials.get(number)).is_some_and(|trial| trial.previews.contains_key(id));
    if_there("preview", id, there, SEE_VERSIONS)?;
    Ok(vec![Event::PreviewRemoved {
        app: app.id.clone(),
        version: number.clone(),
        id: *id,
    }])
}
