//! `Live`: everything polls are answered from, at one revision. Swapped whole, read without a lock.
//!
//! A new `Live` shares with the one before whatever did not change: replacing one app copies one of 256
//! small tables and their root, nothing else. An answer that is not in here cannot be given: a killed
//! version, a delisted one, a bundle nobody lists are absent. Nothing here reads a clock; what is fresh
//! comes from the stamper.

mod answer;
mod shards;
mod stamper;

use std::{
    cmp::Ordering,
    sync::{Arc, LazyLock, Weak},
    time::Duration,
};

use bytes::Bytes;
use huidu_core::{
    catalogue::{App, Catalogue},
    compile::{CANDIDATE, CONTROL, CompiledApp},
    digest::Digest,
    manifest::KillList,
    name::{AppId, ArmName, HostId},
    poll::{Device, Installed},
    revision::Revision,
    seal::KILLS_SCOPE,
    time::Timestamp,
    version::Version,
};

pub use answer::{HUIDU_STAMP, Head, LiveAnswer};
pub use stamper::{Stamper, refresh};

use self::{
    answer::{Kept, Subject},
    shards::Shards,
    stamper::Current,
};
use crate::{metrics::Metrics, node::apart};

/// A cache on the way may keep a kill list for so long, and give it to everybody.
static KILLS_KEPT: LazyLock<Kept> = LazyLock::new(|| Kept::new("public, max-age=2", None));
/// A manifest depends on the device, so nobody else may be given it.
static MANIFEST_KEPT: LazyLock<Kept> =
    LazyLock::new(|| Kept::new("private, no-cache", Some("Huidu-Device")));

/// Everything polls are answered from. A clone shares everything.
#[derive(Clone)]
pub struct Live {
    /// The revision it is true at.
    pub revision: Revision,
    apps: Shards<Box<str>, Arc<LiveApp>>,
    /// How many versions of all apps have this bundle; absent: no device may have it.
    bundles: Shards<Digest, u32>,
    kills: Option<Arc<LiveAnswer>>,
    list: Option<Arc<KillList>>,
    /// What the list says, whatever its revision: 0 before there is one.
    mark: u64,
    /// The envelope of keyring N at place N − 1.
    keyrings: Arc<[Bytes]>,
    answers: usize,
    /// Nothing but what stops is served.
    withdrawn: bool,
}

impl Live {
    /// What a node serves before it has read anything.
    pub fn empty() -> Self {
        Self {
            revision: Revision::ZERO,
            apps: Shards::default(),
            bundles: Shards::default(),
            kills: None,
            list: None,
            mark: 0,
            keyrings: Arc::default(),
            answers: 0,
            withdrawn: false,
        }
    }

    /// The app `tenant/app`.
    pub fn app(&self, id: &str) -> Option<&Arc<LiveApp>> {
        self.apps.get(id)
    }

    /// Nothing but what stops: the list of kills, and the keyrings it is checked with.
    #[must_use]
    pub fn withdrawn(&self) -> Self {
        Self {
            apps: Shards::default(),
            bundles: Shards::default(),
            answers: 0,
            withdrawn: true,
            ..self.clone()
        }
    }

    /// True when an app that is not here may yet exist: nobody may be told that it does not.
    pub const fn is_withdrawn(&self) -> bool {
        self.withdrawn
    }

    /// All apps, in no order.
    pub fn apps(&self) -> impl Iterator<Item = &Arc<LiveApp>> {
        self.apps.values()
    }

    /// The list of what must not run; none before the first revision was read.
    pub fn kills(&self) -> Option<&LiveAnswer> {
        self.kills.as_deref()
    }

    /// Another one whenever the list of what must not run says something else, and the same on every node that
    /// says the same.
    pub const fn kills_mark(&self) -> u64 {
        self.mark
    }

    /// True when the list of what must not run names the app `tenant/app` whole.
    pub fn stops(&self, id: &str) -> bool {
        let kills = self.list.iter().flat_map(|list| &list.kills);
        let mut whole = kills.filter(|kill| kill.version.is_none());
        whole.any(|kill| kill.app.as_str() == id)
    }

    /// True when a device may have the bundle named `digest`.
    pub fn knows_bundle(&self, digest: &Digest) -> bool {
        self.bundles.get(digest).is_some()
    }

    /// Tells the metrics what was answered since the last time.
    pub fn tell(&self) {
        let answers = self.apps().flat_map(|app| app.answers.iter());
        answers.chain(self.kills()).for_each(LiveAnswer::tell);
    }

    /// Number of apps.
    pub fn app_count(&self) -> usize {
        self.apps.len()
    }

    /// Number of answers prepared.
    pub fn answer_count(&self) -> usize {
        self.answers
    }

    /// The same, with `app` in place of what had its name.
    #[must_use]
    pub fn with_app(&self, app: Arc<LiveApp>) -> Self {
        self.clone().with_apps(self.revision, [app])
    }

    /// The same at `revision`, with `apps` in place of what had their names.
    #[must_use]
    pub fn with_apps(
        mut self,
        revision: Revision,
        apps: impl IntoIterator<Item = Arc<LiveApp>>,
    ) -> Self {
        self.revision = revision;
        for app in apps {
            let known = self.apps.get(app.compiled.id().as_str());
            let (gone, come) = moved(known.map_or(Vec::new(), |app| app.bundles()), app.bundles());
            gone.iter().for_each(|digest| self.forget(digest));
            for digest in come {
                *self.bundles.entry(digest) += 1;
            }
            self.answers += app.answers.len();
            let before = self.apps.insert(app.compiled.id().as_str().into(), app);
            self.answers -= before.map_or(0, |before| before.answers.len());
        }
        self
    }

    fn forget(&mut self, digest: &Digest) {
        let count = self.bundles.entry(*digest);
        *count -= 1;
        if *count == 0 {
            self.bundles.remove(digest);
        }
    }

    /// `apps` and the list of kills are about to be replaced: at `asof` they were in force, and nobody may
    /// say so of any later time. Comes before their successors are served, and those before the node's
    /// time moves on.
    pub fn retire<'a>(&self, apps: impl IntoIterator<Item = &'a AppId>, asof: Timestamp) {
        let apps = apps.into_iter().filter_map(|id| self.app(id.as_str()));
        apps.for_each(|app| app.current.retire(asof));
        if let Some(kills) = self.kills() {
            kills.retire(asof);
        }
    }

    /// The envelope of keyring `version`.
    pub fn keyring(&self, version: u64) -> Option<&Bytes> {
        self.keyrings
            .get(usize::try_from(version.checked_sub(1)?).ok()?)
    }

    /// The same, with the list of what `catalogue` says must not run and its keyrings.
    #[must_use]
    pub fn with_kills(
        self,
        catalogue: &Catalogue,
        stamper: &Arc<Stamper>,
        metrics: &Metrics,
    ) -> Self {
        self.with_list(KillList::of(catalogue), catalogue, stamper, metrics)
    }

    /// The same, for a revision of `catalogue` that neither stops anything nor lets anything run again: the
    /// list need not be gathered from all versions there are.
    #[must_use]
    pub fn with_same_kills(
        self,
        catalogue: &Catalogue,
        stamper: &Arc<Stamper>,
        metrics: &Metrics,
    ) -> Self {
        let keyring = catalogue.trust.chain.version();
        let known = self.list.as_ref();
        let known = known.filter(|list| list.aud == catalogue.audience && list.keyring == keyring);
        match known.map(|list| KillList::clone(list).at(catalogue.revision)) {
            Some(list) => self.with_list(list, catalogue, stamper, metrics),
            None => self.with_kills(catalogue, stamper, metrics),
        }
    }

    fn with_list(
        mut self,
        list: KillList,
        catalogue: &Catalogue,
        stamper: &Arc<Stamper>,
        metrics: &Metrics,
    ) -> Self {
        let body = list.to_bytes();
        let says_the_same = (self.list.as_ref()).is_some_and(|known| known.says_what(&list));
        if !says_the_same {
            self.mark = beginning(&list.says()).max(1);
        }
        self.list = Some(Arc::new(list));
        let subject = Subject {
            digest: Digest::of(&body),
            body,
            revision: catalogue.revision,
            scope: stamper.scope(KILLS_SCOPE),
            kept: &KILLS_KEPT,
        };
        let current = Arc::default();
        let answer = LiveAnswer::new(subject, stamper, &current, metrics, None);
        self.kills = Some(Arc::new(answer));
        let chain = &catalogue.trust.chain.envelopes;
        if chain.len() != self.keyrings.len() {
            let envelopes = chain.iter().map(|one| Bytes::from(one.clone()));
            self.keyrings = envelopes.collect();
        }
        metrics
            .live_apps
            .set(i64::try_from(self.app_count()).unwrap_or(i64::MAX));
        metrics
            .live_answers
            .set(i64::try_from(self.answers).unwrap_or(i64::MAX));
        self
    }
}

/// One app, ready to answer polls.
pub struct LiveApp {
    /// What decides.
    pub compiled: CompiledApp,
    /// What is said; the same index as in `compiled.answers()`.
    pub answers: Box<[LiveAnswer]>,
    /// Whether these answers are in force.
    current: Arc<Current>,
    /// The app as the catalogue has it; the two share it.
    app: Option<Arc<App>>,
    /// What may be offered and has a release record, sorted by the beginning of that record's address.
    releases: Box<[(u64, Arc<Version>)]>,
    policy: Option<Bytes>,
}

impl LiveApp {
    /// Makes what `compiled` can answer ready to be sent. Nothing is signed before it is asked for.
    pub fn new(compiled: CompiledApp, stamper: &Arc<Stamper>, metrics: &Metrics) -> Self {
        let scope = stamper.scope(compiled.id().as_str());
        let revision = compiled.revision();
        let current = Arc::default();
        let answer = |answer: &huidu_core::compile::Answer| {
            let subject = Subject {
                body: answer.body.clone(),
                digest: answer.digest,
                revision,
                scope,
                kept: &MANIFEST_KEPT,
            };
            LiveAnswer::new(
                subject,
                stamper,
                &current,
                metrics,
                Some((compiled.id(), answer)),
            )
        };
        let answers = compiled.answers().iter().map(answer).collect();
        Self {
            compiled,
            answers,
            current,
            app: None,
            releases: Box::default(),
            policy: None,
        }
    }

    /// Learns from the catalogue's `app` which bundles devices may have and what reports may name.
    #[must_use]
    pub fn knowing(mut self, app: &Arc<App>) -> Self {
        let signed = offered(app).filter_map(|version| {
            let address = version.dossier.address()?;
            Some((beginning(&address), Arc::clone(version)))
        });
        let mut releases: Vec<_> = signed.collect();
        releases.sort_unstable_by_key(|(beginning, _)| *beginning);
        self.releases = releases.into();
        let policy = app.trust.signed.as_ref();
        self.policy = policy.map(|signed| Bytes::from(signed.envelope.clone()));
        self.app = Some(Arc::clone(app));
        self
    }

    /// The bundles that devices may have of it, sorted.
    fn bundles(&self) -> Vec<Digest> {
        let offered = self.app.iter().flat_map(|app| offered(app));
        let mut bundles: Vec<Digest> = offered.map(|version| version.bundle.sha256).collect();
        bundles.sort_unstable();
        bundles
    }

    /// What a device is told now.
    pub fn resolve(
        &self,
        host: &str,
        device: &Device<'_>,
        installed: &Installed<'_>,
        now: Timestamp,
    ) -> &LiveAnswer {
        &self.answers[self.compiled.resolve(host, device, installed, now).index]
    }

    /// The envelope of the release record called `address`.
    pub fn release(&self, address: &Digest) -> Option<Bytes> {
        let wanted = beginning(address);
        let first = self.releases.partition_point(|(known, _)| *known < wanted);
        let alike = self.releases[first..].iter();
        let mut alike = alike.take_while(|(known, _)| *known == wanted);
        let (_, version) = alike.find(|(_, known)| known.dossier.address() == Some(*address))?;
        let release = version.dossier.open().release?;
        Some(release.envelope.into())
    }

    /// The envelope of the app's policy.
    pub const fn policy(&self) -> Option<&Bytes> {
        self.policy.as_ref()
    }

    /// The bank apps that it is rolled out in, also while it is killed.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        let rollout = self.app.as_ref().and_then(|app| app.rollout.as_ref());
        let hosts = rollout.into_iter().flat_map(|rollout| &rollout.hosts);
        hosts.map(HostId::as_str)
    }

    /// True when the app has, or had, a version with this number.
    pub fn has_version(&self, number: &str) -> bool {
        let number = number.parse().ok();
        let known = self.app.as_ref().zip(number);
        known.is_some_and(|(app, number)| app.versions.contains_key(&number))
    }

    /// True when the rollout has this rule and arm (empty: the rule splits nothing); the cohorts of a ramp are arms of
    /// its rule, also while it takes nobody.
    pub fn has_arm(&self, rule: &str, arm: &str) -> bool {
        let rollout = self.app.as_ref().and_then(|app| app.rollout.as_ref());
        let mut rules = rollout.into_iter().flat_map(|rollout| &rollout.rules);
        let rule = rules.find(|known| known.name.as_str() == rule);
        rule.is_some_and(|rule| {
            let is_cohort = rule.ramp.is_some() && [CANDIDATE, CONTROL].contains(&arm);
            let mut arms = rule.arms().into_iter();
            is_cohort || arms.any(|(known, ..)| known.map_or("", ArmName::as_str) == arm)
        })
    }
}

/// Versions that devices may have. Those of a killed app are not given out, whatever became of them; nor those
/// that nobody is told of: a digest is no secret, and what was handed in is its tenant's own until it is listed.
fn offered(app: &App) -> impl Iterator<Item = &Arc<Version>> {
    let running = app.killed.is_none();
    let is_offered = move |version: &&Arc<Version>| {
        let tried = app.trust.trials.get(&version.number);
        let tried = tried.is_some_and(|trial| !trial.is_empty()) && version.life.may_be_tried();
        running && (tried || version.life.is_listed())
    };
    app.versions.values().filter(is_offered)
}

/// The first eight bytes of a digest.
const fn beginning(digest: &Digest) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// What of two sorted lists is only in the first, and what only in the second.
fn moved(before: Vec<Digest>, after: Vec<Digest>) -> (Vec<Digest>, Vec<Digest>) {
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    let (mut before, mut after) = (before.into_iter().peekable(), after.into_iter().peekable());
    loop {
        let order = match (before.peek(), after.peek()) {
            (Some(old), Some(new)) => old.cmp(new),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return (gone, come),
        };
        if order.is_le() {
            let old = before.next();
            gone.extend(old.filter(|_| order.is_lt()));
        }
        if order.is_ge() {
            let new = after.next();
            come.extend(new.filter(|_| order.is_gt()));
        }
    }
}

/// Whoever serves a [`Live`].
pub trait Served: Send + Sync + 'static {
    /// What is served now.
    fn live(&self) -> Arc<Live>;
    /// Who signs for it.
    fn stamper(&self) -> Arc<Stamper>;
}

/// Pause before somebody who could not sign is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// Renews the stamps that are asked for, and as soon as somebody waits for one; else twice in every lease, until nobody serves any more.
pub async fn refresh_stamps(served: Weak<dyn Served>) {
    loop {
        let Some(stamper) = served.upgrade().map(|served| served.stamper()) else {
            return;
        };
        let mut pause = stamper.refresh_every();
        if stamper.is_failing() {
            pause = pause.min(RETRY);
        }
        let early = tokio::time::timeout(pause, stamper.wanted()).await.is_ok();
        if early && stamper.is_failing() {
            // Polls want a stamp all the time; whoever cannot sign is asked now and then.
            tokio::time::sleep(RETRY).await;
        }
        let here = stamper.is_quick() && apart::is_the_only_thread();
        drop(stamper);
        let Some(served) = served.upgrade() else {
            return;
        };
        if here {
            refresh(&served.live());
            continue;
        }
        // Thousands of signatures at 20 to 40 µs: not on a thread that answers.
        let renewed = tokio::task::spawn_blocking(move || refresh(&served.live()));
        let _a_panic_is_logged_by_its_hook = renewed.await;
    }
}

#[cfg(test)]
pub(crate) mod tests;
