//! One waking up: kills, then answers, then what they ask for, then the report.

use ed25519_dalek::VerifyingKey;
use huidu_core::{
    limits,
    manifest::{KillList, Manifest, State},
    name::AppId,
    seal::Stamp,
    time::Timestamp,
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{Device, DeviceError, Happened, Starter, What};
use crate::client::{
    http::{self, header},
    verify::Doubt,
};

/// Bytes of a batch reply that are read.
const BATCH_BYTES: u64 = (limits::POLL_APPS * limits::MANIFEST_BYTES) as u64;

/// One answer as it came.
struct Heard {
    status: u16,
    stamp: Option<String>,
    etag: Option<String>,
    retry_after: Option<u64>,
    body: Vec<u8>,
}

#[derive(Deserialize)]
struct BatchReply<'a> {
    #[serde(borrow)]
    apps: Vec<BatchApp<'a>>,
}

#[derive(Deserialize)]
struct BatchApp<'a> {
    app: AppId,
    etag: Option<String>,
    stamp: Option<String>,
    #[serde(borrow)]
    manifest: Option<&'a RawValue>,
    error: Option<String>,
}

/// An answer about one app, whichever way it was asked for.
struct Answer<'a> {
    etag: Option<&'a str>,
    stamp: Option<&'a str>,
    body: &'a [u8],
}

impl Device {
    /// Wakes up once at `now`.
    pub fn cycle(
        &mut self,
        now: Timestamp,
        starter: &mut dyn Starter,
    ) -> Result<Vec<Happened>, DeviceError> {
        let mut happened = self.hear_kills(now)?;
        let asked = match self.config.apps.as_slice() {
            [] => Ok(()),
            [app] => {
                let app = app.clone();
                self.ask_one(&app, now, starter, &mut happened)
            }
            _ => self.ask_all(now, starter, &mut happened),
        };
        self.report();
        self.keep()?;
        asked.map(|()| happened)
    }

    /// Kills come first. Not hearing them is no reason not to ask further.
    fn hear_kills(&mut self, now: Timestamp) -> Result<Vec<Happened>, DeviceError> {
        let url = format!("{}/v1/kills", self.config.server);
        let Ok(heard) = self.get(&url, self.state.kills.etag.as_deref()) else {
            return Ok(Vec::new());
        };
        let body = match heard.status {
            200 => heard.body,
            304 => self.state.kills.body.clone().into_bytes(),
            _ => return Ok(Vec::new()),
        };
        let now = self.not_before_floor(now);
        let opened = self.config.trust.kills(heard.stamp.as_deref(), &body, now);
        let (stamp, list) = match opened {
            Ok(opened) => opened,
            Err(doubt) => return Ok(vec![doubted(None, doubt)]),
        };
        let (given, known) = (list.rev.get(), self.state.kills.rev);
        if given < known {
            return Ok(vec![doubted(None, Doubt::Older { given, known })]);
        }
        self.state.time_floor_ms = self.state.time_floor_ms.max(stamp.asof.unix_ms());
        self.state.kills.rev = given;
        if heard.status == 200 {
            self.state.kills.etag = heard.etag;
            self.state.kills.body = String::from_utf8(body).unwrap_or_default();
        }
        self.obey(&list)
    }

    fn obey(&mut self, list: &KillList) -> Result<Vec<Happened>, DeviceError> {
        let rev = list.rev.get();
        let mut to_stop = Vec::new();
        for kill in &list.kills {
            if !self.config.apps.contains(&kill.app)
                && !self.state.apps.contains_key(kill.app.as_str())
            {
                continue;
            }
            let kept = self.app_state(&kill.app);
            match kill.sha256 {
                Some(sha256) => {
                    kept.killed.insert(sha256, rev);
                }
                None if kill.version.is_none() => kept.all_killed = Some(rev),
                None => {}
            }
            let is_killed = kept
                .running
                .is_some_and(|running| kept.is_killed(&running, rev));
            if is_killed {
                to_stop.push((kill.app.clone(), kill.reason.clone()));
            }
        }
        let mut happened = Vec::new();
        for (app, reason) in to_stop {
            happened.extend(self.stop(&app, &reason)?);
        }
        Ok(happened)
    }

    /// Stops `app`. What is kept says so before the link is gone: a crash in between stops it too.
    fn stop(&mut self, app: &AppId, reason: &str) -> Result<Option<Happened>, DeviceError> {
        let kept = self.app_state(app);
        let version = kept.version().cloned();
        (kept.running, kept.previous, kept.starting) = (None, None, None);
        self.keep()?;
        self.place(app).switch(None)?;
        Ok(version.map(|version| Happened::to(app, What::Stopped, Some(&version), reason)))
    }

    fn ask_one(
        &mut self,
        app: &AppId,
        now: Timestamp,
        starter: &mut dyn Starter,
        happened: &mut Vec<Happened>,
    ) -> Result<(), DeviceError> {
        let kept = self.app_state(app);
        let (version, failed) = (kept.version().map(ToString::to_string), kept.failed.clone());
        let etag = kept.etag.clone();
        let url = format!(
            "{}/v1/manifest/{}/{app}?{}",
            self.config.server,
            self.config.host,
            self.config.profile.query(version.as_deref(), &failed)
        );
        let heard = self.get(&url, etag.as_deref())?;
        let cached;
        let answer = match heard.status {
            200 => Answer {
                etag: heard.etag.as_deref(),
                stamp: heard.stamp.as_deref(),
                body: &heard.body,
            },
            304 => {
                cached = self.app_state(app).body.clone();
                Answer {
                    etag: etag.as_deref(),
                    stamp: heard.stamp.as_deref(),
                    body: cached.as_bytes(),
                }
            }
            404 => {
                happened.push(Happened::to(app, What::Unknown, None, problem(&heard.body)));
                return Ok(());
            }
            status => return Err(refused(&url, status, &heard)),
        };
        happened.extend(self.hear(app, &answer, now, starter)?);
        Ok(())
    }

    fn ask_all(
        &mut self,
        now: Timestamp,
        starter: &mut dyn Starter,
        happened: &mut Vec<Happened>,
    ) -> Result<(), DeviceError> {
        let url = format!("{}/v1/poll", self.config.server);
        let apps: Vec<_> = self.config.apps.clone();
        let asked: Vec<_> = apps.iter().map(|app| self.batch_line(app, now)).collect();
        let body = json!({
            "host": self.config.host,
            "device": self.config.profile,
            "apps": asked,
        });
        let reply = self.agent.post(&url).send_json(&body);
        let heard = read(&url, reply, BATCH_BYTES)?;
        match heard.status {
            200 => {}
            304 => {
                happened.extend(
                    apps.iter()
                        .map(|app| Happened::to(app, What::Unchanged, None, "")),
                );
                return Ok(());
            }
            status => return Err(refused(&url, status, &heard)),
        }
        let Ok(reply) = serde_json::from_slice::<BatchReply<'_>>(&heard.body) else {
            happened.push(doubted(None, Doubt::Form));
            return Ok(());
        };
        for one in reply.apps {
            let app = &one.app;
            if let Some(error) = one.error {
                happened.push(Happened::to(app, What::Unknown, None, error));
            } else if let (Some(manifest), true) = (one.manifest, apps.contains(app)) {
                let answer = Answer {
                    etag: one.etag.as_deref(),
                    stamp: one.stamp.as_deref(),
                    body: manifest.get().as_bytes(),
                };
                happened.extend(self.hear(app, &answer, now, starter)?);
            }
        }
        Ok(())
    }

    /// What a batch says of one app. Past half its lease an answer is asked for anew even if it did not
    /// change, because only an answer carries a new stamp.
    fn batch_line(&mut self, app: &AppId, now: Timestamp) -> serde_json::Value {
        let now_ms = self.not_before_floor(now).unix_ms();
        let kept = self.app_state(app);
        let is_fresh = now_ms < kept.asof_ms + kept.lease_ms / 2;
        let mut line = json!({ "app": app });
        if let Some(version) = kept.version() {
            line["version"] = json!(version.to_string());
        }
        if let (Some(etag), true) = (&kept.etag, is_fresh) {
            line["etag"] = json!(etag);
        }
        if !kept.failed.is_empty() {
            line["failed"] = json!(kept.failed);
        }
        line
    }

    /// Believes an answer, or not; keeps it; does what it says.
    fn hear(
        &mut self,
        app: &AppId,
        answer: &Answer<'_>,
        now: Timestamp,
        starter: &mut dyn Starter,
    ) -> Result<Vec<Happened>, DeviceError> {
        let now = self.not_before_floor(now);
        let opened = self
            .config
            .trust
            .manifest(app, answer.stamp, answer.body, now);
        let (stamp, manifest) = match opened.and_then(|opened| self.weighed(app, opened)) {
            Ok(opened) => opened,
            Err(doubt) => return Ok(vec![doubted(Some(app), doubt)]),
        };
        self.state.time_floor_ms = self.state.time_floor_ms.max(stamp.asof.unix_ms());
        let kept = self.app_state(app);
        kept.rev = manifest.rev.get();
        kept.state = Some(manifest.state);
        kept.etag = answer.etag.map(ToOwned::to_owned);
        kept.body = String::from_utf8_lossy(answer.body).into_owned();
        kept.asof_ms = stamp.asof.unix_ms();
        kept.lease_ms = u64::from(stamp.lease_ms);
        match manifest.state {
            State::Killed => {
                if let Some(running) = kept.running {
                    kept.killed.insert(running, manifest.rev.get());
                }
                let stopped = self.stop(app, manifest.reason.word())?;
                let nothing = || Happened::to(app, What::Nothing, None, manifest.reason.word());
                Ok(vec![stopped.unwrap_or_else(nothing)])
            }
            State::None => {
                self.keep()?;
                Ok(vec![Happened::to(
                    app,
                    What::Nothing,
                    None,
                    manifest.reason.word(),
                )])
            }
            State::Run => {
                self.keep()?;
                self.bring(app, &manifest, starter)
            }
        }
    }

    /// Whether a believable answer may count against what is already known.
    fn weighed(
        &mut self,
        app: &AppId,
        opened: (Stamp, Manifest),
    ) -> Result<(Stamp, Manifest), Doubt> {
        let kept = self.app_state(app);
        let (given, known) = (opened.1.rev.get(), kept.rev);
        if given < known {
            return Err(Doubt::Older { given, known });
        }
        if let (State::Run, Some(bundle)) = (opened.1.state, &opened.1.bundle)
            && kept.is_killed(&bundle.sha256, given)
        {
            let since = kept.killed.get(&bundle.sha256).copied().or(kept.all_killed);
            return Err(Doubt::Killed(since.unwrap_or(given)));
        }
        Ok(opened)
    }

    /// Tells what happened. What cannot be told now is told another time.
    fn report(&mut self) {
        if self.state.pending.is_empty() {
            return;
        }
        let url = format!("{}/v1/events", self.config.server);
        let body = json!({ "host": self.config.host, "events": self.state.pending });
        if self
            .agent
            .post(&url)
            .send_json(&body)
            .is_ok_and(|reply| reply.status() == 202)
        {
            self.state.pending.clear();
        }
    }

    fn get(&self, url: &str, etag: Option<&str>) -> Result<Heard, DeviceError> {
        let mut request = self.agent.get(url);
        if let Some(etag) = etag {
            request = request.header("if-none-match", etag);
        }
        read(url, request.call(), limits::POLL_BODY_BYTES as u64)
    }
}

/// Fetches the key of a development server. Whoever answers is believed, so this is for development alone.
pub fn fetch_development_key(server: &str) -> Result<VerifyingKey, DeviceError> {
    #[derive(Deserialize)]
    struct Key {
        r#pub: String,
    }
    let url = format!("{server}/v1/keys/dev");
    let heard = read(&url, http::agent().get(&url).call(), 4_096)?;
    let unreadable = || DeviceError::Status {
        url: url.clone(),
        status: heard.status,
        retry_after: None,
        detail: "no development key; give the trusted key with --key".into(),
    };
    let key: Key = serde_json::from_slice(&heard.body).map_err(|_| unreadable())?;
    parse_key(&key.r#pub).ok_or_else(unreadable)
}

/// A public key of 64 hexadecimal digits.
pub fn parse_key(text: &str) -> Option<VerifyingKey> {
    let bytes = data_encoding::HEXLOWER_PERMISSIVE
        .decode(text.trim().as_bytes())
        .ok()?;
    VerifyingKey::from_bytes(bytes.as_slice().try_into().ok()?).ok()
}

fn read(
    url: &str,
    reply: Result<::http::Response<ureq::Body>, ureq::Error>,
    most: u64,
) -> Result<Heard, DeviceError> {
    let unreachable = |error: ureq::Error| DeviceError::Unreachable {
        // What stands behind the question mark is about a person.
        url: url.split('?').next().unwrap_or(url).to_owned(),
        why: error.to_string(),
    };
    let mut reply = reply.map_err(unreachable)?;
    let body = reply
        .body_mut()
        .with_config()
        .limit(most)
        .read_to_vec()
        .map_err(unreachable)?;
    Ok(Heard {
        status: reply.status().as_u16(),
        stamp: header(&reply, "huidu-stamp").map(ToOwned::to_owned),
        etag: header(&reply, "etag").map(ToOwned::to_owned),
        retry_after: header(&reply, "retry-after").and_then(|text| text.parse().ok()),
        body,
    })
}

fn refused(url: &str, status: u16, heard: &Heard) -> DeviceError {
    DeviceError::Status {
        url: url.split('?').next().unwrap_or(url).to_owned(),
        status,
        retry_after: heard.retry_after,
        detail: problem(&heard.body),
    }
}

/// The sentence of a problem document.
fn problem(body: &[u8]) -> String {
    let document: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let told = document["detail"].as_str().or(document["title"].as_str());
    told.unwrap_or("it gives no reason").to_owned()
}

fn doubted(app: Option<&AppId>, doubt: Doubt) -> Happened {
    Happened {
        app: app.map(ToString::to_string),
        what: What::Doubted,
        version: None,
        detail: format!("{}: {doubt}", doubt.code()),
    }
}
