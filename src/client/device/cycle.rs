//! One waking up: kills, then answers, then what they ask for, then the report.

use huidu_core::{
    limits,
    manifest::KillList,
    name::AppId,
    seal,
    verify::{self, Challenge, Doubt, KillsAnswer, Need, Now, Papers, Verdict},
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{Device, DeviceError, Happened, Starter, What};
use crate::client::{
    http::{escaped, header, never_arrived},
    state::DOUBTED,
};

/// Bytes that a batch reply may have for one app besides its manifest, and once for itself.
const BATCH_LINE_BYTES: usize = 4 * 1024;
/// Papers that are fetched for one answer at most: every keyring there may be, a record and a policy.
const PAPERS: u64 = limits::KEYRING_STEPS + 2;

/// One answer as it came.
pub(in crate::client) struct Heard {
    pub(in crate::client) status: u16,
    stamp: Option<String>,
    etag: Option<String>,
    retry_after: Option<u64>,
    pub(in crate::client) body: Vec<u8>,
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
    /// None: the one heard before.
    body: Option<&'a [u8]>,
    /// What it must be an answer to.
    challenge: Option<Challenge>,
}

impl Device {
    /// Wakes up once at `now`.
    pub fn cycle(
        &mut self,
        now: Now,
        starter: &mut dyn Starter,
    ) -> Result<Vec<Happened>, DeviceError> {
        self.steps = limits::KEYRING_STEPS;
        let mut happened = self.hear_kills(now)?;
        let asked = match self.config.apps.as_slice() {
            [] => Ok(()),
            [app] => {
                let app = app.clone();
                self.ask_one(&app, now, starter, &mut happened)
            }
            _ => self.ask_all(now, starter, &mut happened),
        };
        if let Err(DeviceError::Endless { .. }) = &asked {
            self.note_code(None, "len");
        }
        self.report(now)?;
        self.keep()?;
        asked.map(|()| happened)
    }

    /// Kills come first. Not hearing them is no reason not to ask further.
    fn hear_kills(&mut self, now: Now) -> Result<Vec<Happened>, DeviceError> {
        let url = format!("{}/v1/kills", self.config.server);
        let etag = self.state.kills.etag.as_deref();
        let Ok(heard) = self.ask(&url, etag, None, limits::POLL_BODY_BYTES) else {
            return Ok(Vec::new());
        };
        let body = match heard.status {
            200 => heard.body,
            304 => self.state.kills.body.clone().into_bytes(),
            _ => return Ok(Vec::new()),
        };
        let answer = KillsAnswer {
            stamp: heard.stamp.as_deref().unwrap_or_default(),
            body: &body,
        };
        let mut verdict = self.learn(|known| known.hear_kills(&answer, now));
        while let Verdict::Needs(need) = &verdict {
            if let Err(detail) = self.walk(need) {
                return Ok(vec![self.doubted(None, &detail)]);
            }
            verdict = self.learn(|known| known.hear_kills(&answer, now));
        }
        if let Verdict::Doubted(doubt) = verdict {
            return Ok(vec![self.doubted(None, &reason(doubt))]);
        }
        if heard.status == 200 {
            self.state.kills.etag = heard.etag;
            self.state.kills.body = String::from_utf8(body).unwrap_or_default();
        }
        self.obey()
    }

    /// Stops what is believed to be stopped.
    fn obey(&mut self) -> Result<Vec<Happened>, DeviceError> {
        let list: Option<KillList> = serde_json::from_str(&self.state.kills.body).ok();
        let kills = list.map(|list| list.kills).unwrap_or_default();
        let running = self.state.apps.iter();
        let running = running.filter(|(_, kept)| kept.running.is_some());
        let running: Vec<AppId> = running.filter_map(|(app, _)| app.parse().ok()).collect();
        let mut happened = Vec::new();
        for app in running {
            let known = self.trusted.app(&app);
            if known.is_some_and(|known| known.running.is_some()) {
                continue;
            }
            let kill = kills.iter().find(|kill| kill.app == app);
            let reason = kill.map_or("killed", |kill| kill.reason.as_str());
            happened.extend(self.stop(&app, reason)?);
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
        now: Now,
        starter: &mut dyn Starter,
        happened: &mut Vec<Happened>,
    ) -> Result<(), DeviceError> {
        let kept = self.app_state(app);
        let (version, failed) = (kept.version().map(ToString::to_string), kept.failed.clone());
        let etag = kept.etag.clone();
        let mut url = format!(
            "{}/v1/manifest/{}/{app}?{}",
            self.config.server,
            self.config.host,
            self.config.profile.query(version.as_deref(), &failed)
        );
        if let Some(secret) = self.secret(app) {
            url.push_str("&pv=");
            url.push_str(&escaped(secret));
        }
        let challenge = self.challenge(&url, etag.as_deref())?;
        let most = limits::MANIFEST_BYTES;
        let heard = self.ask(&url, etag.as_deref(), challenge.as_ref(), most)?;
        let answer = match heard.status {
            200 => Answer {
                etag: heard.etag.as_deref(),
                stamp: heard.stamp.as_deref(),
                body: Some(&heard.body),
                challenge,
            },
            304 => Answer {
                etag: etag.as_deref(),
                stamp: heard.stamp.as_deref(),
                body: None,
                challenge,
            },
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
        now: Now,
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
        let most = (apps.len() + 1) * (limits::MANIFEST_BYTES + BATCH_LINE_BYTES);
        let heard = read(&url, reply, most as u64)?;
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
            happened.push(self.doubted(None, &reason(Doubt::Form)));
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
                    body: Some(manifest.get().as_bytes()),
                    challenge: None,
                };
                happened.extend(self.hear(app, &answer, now, starter)?);
            }
        }
        Ok(())
    }

    /// What a batch says of one app. Past half its lease an answer is asked for anew even if it did not
    /// change, because only an answer carries a new stamp.
    fn batch_line(&mut self, app: &AppId, now: Now) -> serde_json::Value {
        let heard = self.trusted.app(app).and_then(|app| app.heard.as_ref());
        let is_fresh = heard.is_some_and(|heard| {
            let lease = heard.lease;
            let age_ms = now.mono_ms.saturating_sub(lease.from_mono_ms);
            lease.boot == now.boot && age_ms < lease.length_ms / 2
        });
        let kept = self.app_state(app);
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
        if let Some(secret) = self.secret(app) {
            line["preview"] = json!(secret);
        }
        line
    }

    /// Believes an answer, or not; keeps it; does what it says.
    fn hear(
        &mut self,
        app: &AppId,
        answer: &Answer<'_>,
        now: Now,
        starter: &mut dyn Starter,
    ) -> Result<Vec<Happened>, DeviceError> {
        let was_equivocal = self.is_equivocal(app);
        let verdict = match self.judged(app, answer, now) {
            Ok(verdict) => verdict,
            Err(detail) => {
                let doubted = self.doubted(Some(app), &detail);
                self.keep()?;
                return Ok(vec![doubted]);
            }
        };
        let mut happened = Vec::new();
        if self.is_equivocal(app) && !was_equivocal {
            happened.push(self.doubted(Some(app), &reason(Doubt::Equivocation)));
        }
        if let Verdict::Doubted(doubt) = verdict {
            if answer.body.is_none() {
                // What it was said to have it has not: next time it asks for the whole.
                self.app_state(app).etag = None;
            }
            happened.push(self.doubted(Some(app), &reason(doubt)));
            self.keep()?;
            return Ok(happened);
        }
        self.app_state(app).etag = answer.etag.map(ToOwned::to_owned);
        let told = self.told(app);
        let why = told.as_ref().map_or("killed", |told| told.reason.word());
        let nothing = || Happened::to(app, What::Nothing, None, why);
        match verdict {
            Verdict::Run(run) => {
                self.keep()?;
                if self.trusted.start(app, now) == verify::Start::Forbidden {
                    // What runs was taken back by the policy that came along: it does not wait for the other.
                    happened.extend(self.stop(app, "policy")?);
                }
                happened.extend(self.bring(app, &run.manifest, now, starter)?);
            }
            Verdict::Stop => happened.push(self.stop(app, why)?.unwrap_or_else(nothing)),
            _ => {
                self.keep()?;
                happened.push(nothing());
            }
        }
        Ok(happened)
    }

    /// True when two answers of one revision said what cannot both be true.
    fn is_equivocal(&self, app: &AppId) -> bool {
        let heard = self.trusted.app(app).and_then(|app| app.heard.as_ref());
        heard.is_some_and(|heard| heard.equivocal)
    }

    /// The secret of the preview link that `app` was opened by.
    fn secret(&self, app: &AppId) -> Option<&str> {
        let preview = self.config.preview.as_ref();
        let (_, secret) = preview.filter(|(of, _)| of == app)?;
        Some(secret)
    }

    /// Notes and tells that something was not believed; `detail` begins with its code.
    fn doubted(&mut self, app: Option<&AppId>, detail: &str) -> Happened {
        self.note_code(app, detail);
        let lags = detail.starts_with(Doubt::StaleNode.code());
        Happened {
            app: app.map(ToString::to_string),
            what: if lags { What::Lagging } else { What::Doubted },
            version: None,
            detail: detail.to_owned(),
        }
    }

    /// Notes the code that `detail` begins with, where it is one.
    pub(super) fn note_code(&mut self, app: Option<&AppId>, detail: &str) {
        let code = detail.split(':').next().unwrap_or_default();
        if let Some(code) = Doubt::known_code(code) {
            self.state.note_doubt(app.map(AppId::as_str), code);
        }
    }

    /// Holds an answer against everything that is known, fetching what it rests on. An error is a doubt
    /// as it is reported.
    fn judged(&mut self, app: &AppId, answer: &Answer<'_>, now: Now) -> Result<Verdict, String> {
        let mut fetched = Fetched::default();
        let asked = verify::Answer {
            app,
            stamp: answer.stamp.unwrap_or_default(),
            body: answer.body,
            challenge: answer.challenge,
        };
        for _ in 0..=PAPERS {
            let (profile, host) = (self.config.profile.clone(), self.config.host.clone());
            let papers = Papers {
                release: fetched.release.as_deref(),
                policy: fetched.policy.as_deref(),
            };
            let verdict =
                self.learn(|known| known.hear(&profile.bearer(&host), &asked, &papers, now));
            let Verdict::Needs(need) = &verdict else {
                return Ok(verdict);
            };
            self.fetch_paper(need, &mut fetched)?;
        }
        Err("paper: the server asks for papers without end".into())
    }

    /// Walks one keyring further, and keeps it: what was walked once need not be walked again.
    pub(super) fn walk(&mut self, need: &Need) -> Result<(), String> {
        self.fetch_paper(need, &mut Fetched::default())
    }

    /// Fetches what a verdict needs; a keyring is believed or not at once.
    fn fetch_paper(&mut self, need: &Need, fetched: &mut Fetched) -> Result<(), String> {
        if matches!(need, Need::Keyring(_)) {
            let known = self.trusted.keyring().version;
            let left = self.steps.checked_sub(1);
            self.steps = left.ok_or_else(|| {
                let steps = limits::KEYRING_STEPS;
                format!("keyring-behind: {steps} keyrings were walked, to {known}; the rest at the next waking up")
            })?;
        }
        let path = match need {
            Need::Keyring(version) => format!("/v1/k/{version}"),
            Need::Release(app, address) => format!("/v1/releases/{app}/{address}"),
            Need::Policy(app, _) => format!("/v1/policies/{app}"),
        };
        let url = format!("{}{path}", self.config.server);
        let reply = self.agent.get(&url).call();
        let heard = read(&url, reply, limits::ENVELOPE_BYTES as u64);
        let heard = heard.map_err(|error| format!("paper: {error}"))?;
        if heard.status != 200 {
            let (status, why) = (heard.status, problem(&heard.body));
            return Err(format!(
                "paper: `{url}` was answered with status {status}: {why}"
            ));
        }
        match need {
            Need::Keyring(_) => {
                let (known, followed) = self.trusted.clone().follow(&heard.body);
                self.trusted = known;
                followed.map_err(|error| format!("paper: {error}"))?;
                self.keep().map_err(|error| format!("disk: {error}"))?;
            }
            Need::Release(..) => fetched.release = Some(heard.body),
            Need::Policy(..) => fetched.policy = Some(heard.body),
        }
        Ok(())
    }

    fn learn(&mut self, judge: impl FnOnce(verify::State) -> (verify::State, Verdict)) -> Verdict {
        let (known, verdict) = judge(self.trusted.clone());
        self.trusted = known;
        verdict
    }

    /// Tells what happened. What cannot be told now is told another time.
    fn report(&mut self, now: Now) -> Result<(), DeviceError> {
        if self.state.pending.is_empty() {
            return Ok(());
        }
        let url = format!("{}/v1/events", self.config.server);
        let events = self.state.report(now.wall.unix_ms());
        // When it was first tried must outlast this process: who tries again too late is refused, and not counted twice.
        self.keep()?;
        let body = json!({ "host": self.config.host, "events": events });
        let reply = self.agent.post(&url).send_json(&body);
        match reply.map(|reply| reply.status().as_u16()) {
            // Whoever was offline all day has told nobody yet.
            Err(error) if never_arrived(&error) => self.state.not_tried(now.wall.unix_ms()),
            Ok(202) => self.state.pending.clear(),
            // A node of before there were doubts: what it does not understand must not hold up the rest.
            Ok(400) => {
                let had = self.state.pending.len();
                self.state.pending.retain(|one| one.event != DOUBTED);
                if self.state.pending.len() == had {
                    self.state.pending.clear();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn ask(
        &self,
        url: &str,
        etag: Option<&str>,
        challenge: Option<&Challenge>,
        most: usize,
    ) -> Result<Heard, DeviceError> {
        let mut request = self.agent.get(url);
        if let Some(etag) = etag {
            request = request.header("if-none-match", etag);
        }
        if let Some(challenge) = challenge {
            let nonce = seal::nonce_to_text(&challenge.nonce);
            request = request.header("huidu-challenge", nonce);
        }
        if let Some(seen) = self.seen() {
            request = request.header("huidu-seen", seen.to_string());
        }
        read(url, request.call(), most as u64)
    }

    /// The newest revision heard of: a node that does not know it looks.
    fn seen(&self) -> Option<u64> {
        let apps = self.config.apps.iter();
        let heard = apps.filter_map(|app| self.trusted.app(app)?.heard.as_ref());
        heard.map(|heard| heard.count.rev).max()
    }

    /// What the next request is bound to, where this device asks for that.
    fn challenge(&self, url: &str, etag: Option<&str>) -> Result<Option<Challenge>, DeviceError> {
        if !self.config.challenges {
            return Ok(None);
        }
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(|error| DeviceError::Unreachable {
            url: self.config.server.clone(),
            why: format!("no randomness for a challenge: {error}"),
        })?;
        let target = url.strip_prefix(&self.config.server).unwrap_or(url);
        let request = seal::request("GET", target, "", etag.unwrap_or_default());
        Ok(Some(Challenge { nonce, request }))
    }
}

pub(in crate::client) fn read(
    url: &str,
    reply: Result<::http::Response<ureq::Body>, ureq::Error>,
    most: u64,
) -> Result<Heard, DeviceError> {
    // What stands behind the question mark is about a person.
    let named = url.split('?').next().unwrap_or(url);
    let unreachable = |error: ureq::Error| match error {
        ureq::Error::BodyExceedsLimit(_) => DeviceError::Endless {
            url: named.to_owned(),
            most,
        },
        _ => DeviceError::Unreachable {
            url: named.to_owned(),
            why: error.to_string(),
        },
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

/// Envelopes that an answer rests on.
#[derive(Default)]
struct Fetched {
    release: Option<Vec<u8>>,
    policy: Option<Vec<u8>>,
}

fn reason(doubt: Doubt) -> String {
    format!("{}: {doubt}", doubt.code())
}
