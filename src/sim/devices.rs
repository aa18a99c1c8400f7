//! Devices: each asks whichever node it finds, over a network that loses, delays and repeats, and believes what
//! the real verifier lets it believe. The shell around the verifier is as short as a shell can be.

use std::{collections::BTreeMap, sync::Arc, sync::Mutex, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use huidu_core::{
    binding::Bearer,
    digest::Digest,
    keyring::Guard,
    manifest::{KillList, Manifest, State as Told},
    name::AppId,
    seal::{self, SignedStamp},
    time::Timestamp,
    verify::{Answer, Challenge, KillsAnswer, Need, Now, Papers, SKEW_MS, Start, State, Verdict},
};
use tokio::time::sleep;

use super::{
    net,
    people::{APPS, HOST, NOON, keyring},
    process::LEASE_MS,
    world::{World, locked},
};
use crate::planted::{Bug, is_planted};

const KILLS: &str = "/v1/kills";

/// What came back.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    status: StatusCode,
    stamp: String,
    etag: String,
    body: Bytes,
}

/// What somebody on the way has kept of earlier answers, and may give again.
pub(super) type Kept = Arc<Mutex<BTreeMap<String, Vec<Reply>>>>;

/// What a device has of one thing.
#[derive(Debug, Clone, Default)]
struct Has {
    etag: String,
    body: Bytes,
}

struct Phone {
    name: String,
    world: Arc<World>,
    kept: Kept,
    state: State,
    has: BTreeMap<String, Has>,
    /// The node that answered last.
    node: usize,
    skew_ms: i64,
    boot: u64,
    booted_ms: u64,
    challenges: bool,
    /// What the newest list of kills names, and its revision: a later list without it takes the kill back.
    listed: (u64, Vec<(AppId, Option<Digest>)>),
    /// Archives that an app's own answer stopped, and the newest revision that said so. None: the whole app.
    stopped: BTreeMap<(AppId, Option<Digest>), u64>,
    /// When it asked for what it believed last.
    asked_ms: BTreeMap<AppId, (u64, Timestamp)>,
}

impl World {
    /// A device that wakes up now and then, until the world ends.
    pub(super) async fn wakes_up(self: Arc<Self>, device: usize, kept: Kept) {
        let skew_ms = self.draw(|rng| match rng.u8(0..4) {
            0 => rng.i64(-600_000..=600_000),
            1 => rng.i64(-60_000..=60_000),
            _ => 0,
        });
        let mut phone = Phone {
            name: format!("device {device}"),
            kept,
            state: born(),
            has: BTreeMap::new(),
            node: device % self.places.len(),
            skew_ms,
            boot: 1,
            booted_ms: 0,
            challenges: device == 1,
            listed: (0, Vec::new()),
            stopped: BTreeMap::new(),
            asked_ms: BTreeMap::new(),
            world: self,
        };
        loop {
            sleep(Duration::from_millis(300) + phone.world.up_to(1_700)).await;
            phone.cycle().await;
        }
    }
}

/// What the devices ask for, as they write it.
pub(super) fn paths() -> impl Iterator<Item = String> {
    let one = |device: usize| APPS.map(|app| path_of(&format!("device {device}"), app));
    (0..4).flat_map(one)
}

fn path_of(name: &str, app: &str) -> String {
    format!(
        "/v1/manifest/{HOST}/{app}?u={}&p=android",
        name.replace(' ', "-")
    )
}

pub(super) fn born() -> State {
    let born = NOON.unix_ms() - 86_400_000;
    State::new(keyring(), Guard::Production, Timestamp::from_unix_ms(born))
}

impl Phone {
    /// One waking up, in the order of the reference device: kills, then each app.
    async fn cycle(&mut self) {
        if self.world.strikes(15) {
            self.world.fault("device restarts");
            self.boot += 1;
            self.booted_ms = self.world.elapsed_ms();
        }
        self.hear_kills().await;
        for app in APPS {
            let app: AppId = app.parse().unwrap();
            self.hear(&app).await;
            self.may_start(&app);
        }
    }

    fn now(&self) -> Now {
        let wall = self
            .world
            .now()
            .unix_ms()
            .saturating_add_signed(self.skew_ms);
        Now {
            wall: Timestamp::from_unix_ms(wall),
            mono_ms: self.world.elapsed_ms() - self.booted_ms,
            boot: self.boot,
        }
    }

    async fn hear_kills(&mut self) {
        let now = self.now();
        let Some(reply) = self.ask(KILLS, true, None).await else {
            return;
        };
        let body = self.body(KILLS, &reply);
        let answer = KillsAnswer {
            stamp: &reply.stamp,
            body: &body,
        };
        let now = self.believed_time(now, &reply.stamp);
        let (state, verdict) = self.state.clone().hear_kills(&answer, now);
        self.state = state;
        self.world
            .say(format_args!("{}: kills {}", self.name, word(&verdict)));
        if !matches!(verdict, Verdict::Stop | Verdict::Noted) {
            self.world.count("answers doubted");
            return;
        }
        self.world.count("answers believed");
        self.young_enough("the list of kills", &reply.stamp, now);
        let Ok(list) = serde_json::from_slice::<KillList>(&body) else {
            return;
        };
        let kills = list.kills.into_iter().map(|kill| (kill.app, kill.sha256));
        self.listed = (list.rev.get(), kills.collect());
        self.keep(KILLS, &reply, body);
    }

    async fn hear(&mut self, app: &AppId) {
        let path = path_of(&self.name, app.as_str());
        let challenge = self.challenges.then(|| {
            let nonce = self.world.draw(|rng| std::array::from_fn(|_| rng.u8(..)));
            let etag = self.has.get(&path).map_or("", |has| has.etag.as_str());
            let request = seal::request("GET", &path, "", etag);
            Challenge { nonce, request }
        });
        let (now, asked_ms) = (self.now(), self.world.elapsed_ms());
        let Some(reply) = self.ask(&path, true, challenge).await else {
            return;
        };
        if !matches!(reply.status, StatusCode::OK | StatusCode::NOT_MODIFIED) {
            return;
        }
        let body = self.body(&path, &reply);
        let now = self.believed_time(now, &reply.stamp);
        let verdict = self.judge(app, &reply, challenge, now).await;
        self.world
            .say(format_args!("{}: {app} {}", self.name, word(&verdict)));
        if matches!(verdict, Verdict::Doubted(_) | Verdict::Needs(_)) {
            self.world.count("answers doubted");
            return;
        }
        self.world.count("answers believed");
        self.young_enough(app.as_str(), &reply.stamp, now);
        if let Ok(manifest) = serde_json::from_slice::<Manifest>(&body) {
            let asof = asof(&reply.stamp);
            self.believed(app, asof, &manifest);
            if self
                .asked_ms
                .get(app)
                .is_none_or(|(_, known)| *known < asof)
            {
                self.asked_ms.insert(app.clone(), (asked_ms, asof));
            }
        }
        self.keep(&path, &reply, body);
        self.state = self.state.clone().activated(app);
    }

    /// Hands the answer to the verifier, with the papers that it asks for.
    async fn judge(
        &mut self,
        app: &AppId,
        reply: &Reply,
        challenge: Option<Challenge>,
        now: Now,
    ) -> Verdict {
        let (mut release, mut policy) = (None::<Bytes>, None::<Bytes>);
        let unit = self.name.replace(' ', "-");
        for _ in 0..4 {
            let bearer = Bearer {
                unit: &unit,
                platform: "android",
                host: HOST,
                host_version: "",
            };
            let answer = Answer {
                app,
                stamp: &reply.stamp,
                body: (reply.status == StatusCode::OK).then_some(&reply.body),
                challenge,
            };
            let papers = Papers {
                release: release.as_deref(),
                policy: policy.as_deref(),
            };
            let (state, verdict) = self.state.clone().hear(&bearer, &answer, &papers, now);
            self.state = state;
            let path = match &verdict {
                Verdict::Needs(Need::Release(app, address)) => {
                    format!("/v1/releases/{app}/{address}")
                }
                Verdict::Needs(Need::Policy(app, _)) => format!("/v1/policies/{app}"),
                _ => return verdict,
            };
            let Some(paper) = self.ask(&path, false, None).await else {
                return verdict;
            };
            let slot = if path.starts_with("/v1/r") {
                &mut release
            } else {
                &mut policy
            };
            *slot = (paper.status == StatusCode::OK).then_some(paper.body);
            if slot.is_none() {
                return verdict;
            }
        }
        unreachable!("two papers were handed over")
    }

    /// What is heard is held against what was heard before, and against the truth.
    fn believed(&mut self, app: &AppId, asof: Timestamp, manifest: &Manifest) {
        let rev = manifest.rev.get();
        if manifest.state == Told::Killed {
            let stops = &manifest.binding.stops;
            let all = stops.is_empty().then_some(None);
            for what in stops.iter().map(|stop| Some(*stop)).chain(all) {
                let since = self.stopped.entry((app.clone(), what)).or_default();
                *since = rev.max(*since);
            }
        }
        if manifest.state != Told::Run {
            return;
        }
        self.world.count("runs");
        if !self.world.plan.is_multi_winner {
            self.world.may_run_at(&self.name, rev, asof, manifest);
        }
        let bundle = manifest.bundle.as_ref().map(|bundle| bundle.sha256);
        if let Some(since) = self.stopped_since(app, bundle)
            && rev <= since
        {
            self.world.broken(
                "never un-delists",
                format_args!(
                    "{} runs {app} by the word of {rev}, and knows of {since} that it was stopped",
                    self.name
                ),
            );
        }
    }

    fn stopped_since(&self, app: &AppId, bundle: Option<Digest>) -> Option<u64> {
        let (rev, listed) = &self.listed;
        let names = |what: &Option<Digest>| listed.contains(&(app.clone(), *what));
        let told = |what| self.stopped.get(&(app.clone(), what)).copied();
        let listed = (names(&bundle) || names(&None)).then_some(*rev);
        told(bundle).max(told(None)).max(listed)
    }

    /// An answer that is believed is not older than its lease, by the device's own clock and what that is let off.
    fn young_enough(&self, what: &str, stamp: &str, asked: Now) {
        let wall = match is_planted(Bug::LeaseNotCounted) {
            true => self.now().wall,
            false => asked.wall,
        };
        let until = asof(stamp).plus_ms(u64::from(LEASE_MS) + SKEW_MS);
        if until < wall {
            self.world.broken(
                "no answer outlives its lease",
                format_args!(
                    "{} believes {what} as of {} when its clock shows {wall}",
                    self.name,
                    asof(stamp)
                ),
            );
        }
    }

    /// Whether an app that runs may start, and is fresh, only as long as it should be.
    fn may_start(&self, app: &AppId) {
        let now = self.now();
        let Start::Run {
            bundle, is_fresh, ..
        } = self.state.start(app, now)
        else {
            return;
        };
        let known = self.state.app(app).and_then(|known| known.running.as_ref());
        let word = known.map_or(0, |running| running.count.rev);
        if let Some(since) = self.stopped_since(app, Some(bundle))
            && word <= since
        {
            self.world.broken("never un-delists", format_args!(
                "{} starts {app} by the word of {word}, and knows of {since} that it was stopped", self.name
            ));
        }
        let Some((asked_ms, asof)) = self.asked_ms.get(app) else {
            return;
        };
        let lease = u64::from(LEASE_MS);
        let is_over = if *asked_ms >= self.booted_ms {
            self.world.elapsed_ms() - asked_ms > lease
        } else {
            asof.plus_ms(lease) < now.wall
        };
        if is_fresh && is_over {
            self.world.broken(
                "no answer outlives its lease",
                format_args!("{} starts {app} as fresh, as of {asof}", self.name),
            );
        }
    }

    /// The time that the answer is judged at.
    fn believed_time(&self, asked: Now, stamp: &str) -> Now {
        if !is_planted(Bug::LeaseNotCounted) {
            return asked;
        }
        let wall = asof(stamp);
        Now { wall, ..asked }
    }

    fn body(&self, path: &str, reply: &Reply) -> Bytes {
        match reply.status {
            StatusCode::OK => reply.body.clone(),
            _ => self
                .has
                .get(path)
                .map(|has| has.body.clone())
                .unwrap_or_default(),
        }
    }

    fn keep(&mut self, path: &str, reply: &Reply, body: Bytes) {
        let etag = reply.etag.clone();
        self.has.insert(path.to_owned(), Has { etag, body });
    }

    /// Asks a node, over the network. None: no answer.
    async fn ask(
        &mut self,
        path: &str,
        is_stamped: bool,
        challenge: Option<Challenge>,
    ) -> Option<Reply> {
        let world = Arc::clone(&self.world);
        world.count("polls");
        if world.draw(|rng| rng.u8(0..5)) == 0 {
            self.node = world.draw(|rng| rng.usize(0..world.places.len()));
        }
        let etag = self.has.get(path).map(|has| has.etag.clone());
        let seen = APPS.iter().filter_map(|app| {
            Some(
                self.state
                    .app(&app.parse().unwrap())?
                    .heard
                    .as_ref()?
                    .count
                    .rev,
            )
        });
        let seen = seen.max();
        sleep(net::distance(&world)).await;
        if world.strikes(world.plan.message_faults / 4) {
            world.fault("poll lost");
            return None;
        }
        let request = request(path, etag.as_deref(), challenge.as_ref(), seen);
        let Some(reply) = world.served(self.node, request, is_stamped).await else {
            world.count("polls that nobody answered");
            self.node = world.draw(|rng| rng.usize(0..world.places.len()));
            return None;
        };
        sleep(net::distance(&world)).await;
        if !is_stamped {
            return Some(reply);
        }
        let again = world.again(&self.kept, path, &reply);
        Some(again.unwrap_or(reply))
    }
}

pub(super) fn request(
    path: &str,
    etag: Option<&str>,
    challenge: Option<&Challenge>,
    seen: Option<u64>,
) -> Request<Full<Bytes>> {
    let mut request = Request::get(path);
    if let Some(etag) = etag {
        request = request.header("if-none-match", etag);
    }
    if let Some(challenge) = challenge {
        request = request.header("huidu-challenge", seal::nonce_to_text(&challenge.nonce));
    }
    if let Some(seen) = seen {
        request = request.header("huidu-seen", seen);
    }
    request.body(Full::default()).unwrap()
}

impl World {
    /// What node `at` answers, held against the truth where it leaves the node.
    pub(super) async fn served(
        &self,
        at: usize,
        request: Request<Full<Bytes>>,
        is_stamped: bool,
    ) -> Option<Reply> {
        let life = self.places[at].life()?;
        let path = request.uri().path().to_owned();
        let answering = async {
            life.gate.pass().await;
            let reply = life.plane.answer(request).await.unwrap();
            let (head, body) = reply.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let header = |name: &str| {
                let value = head.headers.get(name);
                value
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default()
                    .to_owned()
            };
            let reply = Reply {
                status: head.status,
                stamp: header("huidu-stamp"),
                etag: header("etag"),
                body,
            };
            if is_stamped {
                self.leaves(at, &path, &reply);
            }
            life.gate.pass().await;
            reply
        };
        tokio::select! {
            biased;
            () = life.gate.death() => None,
            reply = answering => Some(reply),
        }
    }

    fn leaves(&self, at: usize, path: &str, reply: &Reply) {
        if !matches!(reply.status, StatusCode::OK | StatusCode::NOT_MODIFIED) {
            return;
        }
        self.look(at);
        let app = path
            .strip_prefix("/v1/manifest/")
            .and_then(|path| path.split_once('/'));
        let app: Option<AppId> = app.map(|(_, app)| app.parse().unwrap());
        let seen = locked(&self.places[at].seen);
        let asof = self.stamped(at, &seen, app.as_ref(), &reply.stamp);
        let rev = SignedStamp::parse(&reply.stamp)
            .ok()
            .and_then(|stamp| stamp.stamp().ok());
        let rev = rev.map_or(0, |stamp| stamp.revision.get());
        if reply.status == StatusCode::OK {
            let asof = asof.unwrap_or(Timestamp::EPOCH);
            self.may_be_said(at, &seen, (rev, asof), &reply.body);
        }
        drop(seen);
        let age = asof.map_or(0, |asof| self.now().ms_since(asof));
        self.say(format_args!(
            "node {at}: answers {path} {} of {rev}, {age} ms old",
            reply.status.as_u16()
        ));
    }

    /// Somebody on the way gives an answer of before in place of this one, now and then.
    fn again(&self, kept: &Kept, path: &str, reply: &Reply) -> Option<Reply> {
        let strikes = self.strikes(60);
        let mut kept = locked(kept);
        let kept = kept.entry(path.to_owned()).or_default();
        if strikes && !kept.is_empty() {
            self.fault("answer of before given again");
            return Some(kept[self.draw(|rng| rng.usize(0..kept.len()))].clone());
        }
        if reply.status == StatusCode::OK && kept.len() < 12 {
            kept.push(reply.clone());
        }
        None
    }
}

fn asof(stamp: &str) -> Timestamp {
    let stamp = SignedStamp::parse(stamp)
        .ok()
        .and_then(|stamp| stamp.stamp().ok());
    stamp.map_or(Timestamp::EPOCH, |stamp| stamp.asof)
}

fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Run(run) => format!(
            "runs {:?} of {}",
            run.manifest.version.as_ref().map(ToString::to_string),
            run.manifest.rev
        ),
        Verdict::Stop => "stops".into(),
        Verdict::Nothing => "nothing".into(),
        Verdict::Noted => "noted".into(),
        Verdict::Needs(need) => format!("needs {need:?}"),
        Verdict::Doubted(doubt) => format!("doubts: {}", doubt.code()),
    }
}
