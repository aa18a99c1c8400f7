//! The concrete parts that settings name: the only place outside their own folders that knows which store
//! and which bus there are.

use std::{
    fs,
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use huidu_core::{feedback::Life, time::Timestamp};

use super::keys::files;
use crate::{
    backoff::Backoff,
    bus::{
        Bus,
        beats::RedisBeats,
        counts::{Before, RedisCounts},
        local::LocalBus,
        redis::{RedisBus, RedisSettings},
        turns::RedisTurns,
    },
    clock,
    http::tls::{self, Tls},
    metrics::Metrics,
    node::{
        NodeParts, NodeSettings,
        beats::{Board, Exchange},
        bundles::Disk,
        feedback::{self, Exchanged, Remembered},
        kills,
        peers::{Answer, Peers, Reach},
        webhooks::{Ended, Receiver, TURN, Turns, Way},
    },
    outward,
    settings::{BusSettings, S3Settings, Settings, StoreSettings, TlsFiles, WebhookSettings},
    signin::{SignIn, SignInSettings, seal::Sealer},
    store::{
        Store,
        fs::FsStore,
        memory::MemoryStore,
        s3::{self, S3Store},
    },
};

/// How long one attempt of an ordinary operation of an S3 may take.
const S3_TIMEOUT: Duration = Duration::from_secs(10);

/// How long Redis may take for any answer; a hint is worth no more.
const REDIS_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait for Redis with counts: they go to the store then.
const COUNTS_TIMEOUT: Duration = Duration::from_millis(400);
/// How long the connection to Redis may be silent before it is tried.
const REDIS_PING: Duration = Duration::from_secs(1);

/// The store, one handle for each of its endpoints; all lead to the same objects.
pub fn stores(settings: &StoreSettings) -> anyhow::Result<Vec<Arc<dyn Store>>> {
    Ok(match settings {
        StoreSettings::Fs { path } => vec![Arc::new(FsStore::open(path)?)],
        StoreSettings::Memory => vec![Arc::new(MemoryStore::new())],
        StoreSettings::S3(settings) => settings
            .endpoints
            .iter()
            .map(|endpoint| Ok(Arc::new(bucket(settings, endpoint)?) as Arc<dyn Store>))
            .collect::<anyhow::Result<_>>()?,
    })
}

fn bucket(settings: &S3Settings, endpoint: &str) -> anyhow::Result<S3Store> {
    Ok(S3Store::new(s3::S3Settings {
        endpoint: endpoint.to_owned(),
        region: settings.region.clone(),
        bucket: settings.bucket.clone(),
        prefix: settings.prefix.parse().context("setting `store.prefix`")?,
        access_key: settings.access_key.clone(),
        secret_key: settings.secret_key.expose().to_owned(),
        timeout: S3_TIMEOUT,
    }))
}

/// Everything a node is made of.
pub(super) fn node(settings: &Settings, stores: Vec<Arc<dyn Store>>) -> anyhow::Result<NodeParts> {
    let store = stores
        .into_iter()
        .next()
        .context("setting `store.endpoints` names none")?;
    let mirror = match settings.store {
        // The store is this disk already.
        StoreSettings::Fs { .. } | StoreSettings::Memory => None,
        StoreSettings::S3(_) => {
            let root = settings.data_dir.join("last-known-good");
            Some((
                root.clone().into(),
                Arc::new(FsStore::open(root)?) as Arc<dyn Store>,
            ))
        }
    };
    // A directory is on this disk already, and what is in memory shall leave no trace.
    let bundle_disk = match settings.store {
        StoreSettings::S3(_) if settings.bundles.disk > 0 => {
            let dir = settings.data_dir.join("bundles");
            let about = || format!("copies of bundles in `{}`", dir.display());
            Some(Disk::open(dir.clone(), settings.bundles.disk).with_context(about)?)
        }
        _ => None,
    };
    let kills: Option<Arc<dyn kills::Keep>> = match settings.store {
        // What is in memory shall leave no trace.
        StoreSettings::Memory => None,
        _ => {
            let dir = settings.data_dir.join("kills");
            let about = || format!("kills kept in `{}`", dir.display());
            Some(Arc::new(
                kills::Directory::open(dir.clone()).with_context(about)?,
            ))
        }
    };
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Ok(NodeParts {
        store,
        unproved: Vec::new(),
        mirror,
        bundle_disk,
        bus: bus(settings)?,
        clock: Arc::new(clock::System),
        ids: Arc::new(clock::RandomIds::new().context("no randomness for ids")?),
        key: Arc::new(own_key(&settings.data_dir.join("online.key"), "online")?),
        log_key: Some(Arc::new(own_key(
            &settings.data_dir.join("log.key"),
            "log",
        )?)),
        metrics: Arc::new(Metrics::new()),
        kills,
        peers: peers(settings)?,
        settings: NodeSettings {
            name: settings.node.name.clone(),
            tick: settings.node.tick,
            checkpoint_every: settings.node.checkpoint_every,
            poll_after_ms: millis(settings.device.poll_after),
            poll_spread_ms: millis(settings.device.poll_spread),
            lease_ms: u32::try_from(millis(settings.device.lease)).unwrap_or(u32::MAX),
            bundle_memory: settings.bundles.memory,
        },
    })
}

/// The other nodes.
fn peers(settings: &Settings) -> anyhow::Result<Arc<Peers>> {
    let authorities = match &settings.node.peers_ca_file {
        Some(file) => {
            let about = || format!("setting `node.peers_ca_file`: {}", file.display());
            Some(fs::read(file).with_context(about)?)
        }
        None => None,
    };
    let way = outward::peer::Peers::new(authorities.as_deref());
    let way = way.context("setting `node.peers_ca_file`")?;
    let known = settings.node.peers.iter().cloned();
    Ok(Arc::new(Peers::new(known, Some(Arc::new(ByHttp(way))))))
}

/// Other nodes by their private ports.
struct ByHttp(outward::peer::Peers);

impl ByHttp {
    /// Asks on a thread that may wait.
    fn asked<'a>(
        &self,
        ask: impl FnOnce(&outward::peer::Peers) -> Result<Bytes, String> + Send + 'static,
    ) -> Answer<'a> {
        let way = self.0.clone();
        Box::pin(async move {
            let answered = tokio::task::spawn_blocking(move || ask(&way)).await;
            answered.map_err(|_| "this node is stopping".to_owned())?
        })
    }
}

impl Reach for ByHttp {
    fn tell<'a>(&'a self, address: &'a str, message: Bytes) -> Answer<'a> {
        let address = address.to_owned();
        self.asked(move |way| way.tell(&address, &message))
    }

    fn hear<'a>(&'a self, address: &'a str) -> Answer<'a> {
        let address = address.to_owned();
        self.asked(move |way| way.hear(&address))
    }
}

/// The certificate of a port, if it shows one. `table` is its settings'.
pub(super) fn tls(table: &str, files: Option<&TlsFiles>) -> anyhow::Result<Option<Arc<Tls>>> {
    let Some(files) = files else { return Ok(None) };
    let opened = Tls::open(tls::TlsFiles {
        cert: files.cert.clone(),
        key: files.key.clone(),
    });
    let about = || format!("settings `{table}.cert` and `{table}.key`");
    Ok(Some(opened.with_context(about)?))
}

/// How people sign in, if they do.
pub(super) fn signin(settings: &Settings) -> anyhow::Result<Option<SignIn>> {
    let Some(asked) = &settings.signin else {
        return Ok(None);
    };
    let authorities = match &asked.ca_file {
        Some(file) => {
            let about = || format!("setting `signin.ca_file`: {}", file.display());
            Some(fs::read(file).with_context(about)?)
        }
        None => None,
    };
    let sealer = session_keys(&asked.session_key_file)?;
    let asked = SignInSettings {
        issuer: asked.issuer.clone(),
        client_id: asked.client_id.clone(),
        client_secret: (asked.client_secret.as_ref()).map(|secret| secret.expose().to_owned()),
        scopes: asked.scopes.clone(),
        authorities,
        home: asked.home.clone(),
        idle: asked.session_idle,
        longest: asked.session_max,
        command_line: asked.command_line,
        required: asked.required,
    };
    Ok(Some(SignIn::new(asked, sealer)?))
}

/// The keys that sessions are sealed with, in a file that only we may read; made when there is none. Not the
/// online key: who steals that one must not become a person.
fn session_keys(path: &Path) -> anyhow::Result<Sealer> {
    let about = || format!("the session keys `{}`", path.display());
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = Sealer::new_key().with_context(about)?;
            write_secret(path, &made)?;
            tracing::info!(path = %path.display(), "made a key for sessions; every node must have the same");
            made
        }
        Err(error) => return Err(error).with_context(about),
    };
    Sealer::from_text(&text).with_context(about)
}

fn bus(settings: &Settings) -> anyhow::Result<Arc<dyn Bus>> {
    Ok(match &settings.bus {
        BusSettings::Local => Arc::new(LocalBus::new()),
        BusSettings::Redis { url } => {
            let channel = format!("huidu:hints:{}", settings.audience);
            Arc::new(RedisBus::start(RedisSettings {
                url: url.expose().to_owned(),
                channel,
                timeout: REDIS_TIMEOUT,
                ping_every: REDIS_PING,
                backoff: Backoff::new(
                    Duration::from_millis(50),
                    Duration::from_secs(1),
                    fastrand::u64(..),
                ),
            })?)
        }
    })
}

/// Where nodes tell one another what devices reported; none: there is one node.
pub(super) fn counts(settings: &Settings) -> anyhow::Result<Option<Arc<dyn feedback::Exchange>>> {
    Ok(match &settings.bus {
        BusSettings::Local => None,
        BusSettings::Redis { url } => {
            let counts = RedisCounts::new(url.expose(), &settings.audience, COUNTS_TIMEOUT)?;
            Some(Arc::new(InRedis(counts)))
        }
    })
}

/// Where nodes leave their last words for one another; none: there is one node.
pub(super) fn board(settings: &Settings) -> anyhow::Result<Option<Box<dyn Board>>> {
    Ok(match &settings.bus {
        BusSettings::Local => None,
        BusSettings::Redis { url } => {
            let beats = RedisBeats::new(url.expose(), &settings.audience, REDIS_TIMEOUT)?;
            Some(Box::new(OnRedis(beats)))
        }
    })
}

/// Beats in the Redis of the bus.
struct OnRedis(RedisBeats);

impl Board for OnRedis {
    fn exchange<'a>(&'a self, node: &'a str, text: &'a str) -> Exchange<'a> {
        Box::pin(async move { Ok(self.0.exchange(node, text).await?) })
    }
}

/// Who is told of kills and guards.
pub(super) fn receivers(settings: &Settings) -> anyhow::Result<Vec<Receiver>> {
    settings.webhooks.iter().map(receiver).collect()
}

fn receiver(settings: &WebhookSettings) -> anyhow::Result<Receiver> {
    let about = || format!("webhook `{}`", settings.name);
    let authorities = settings.ca_file.as_ref().map(fs::read);
    let authorities = authorities.transpose().with_context(about)?;
    let reach = match (settings.address.is_plain(), settings.private) {
        (true, _) => outward::reach::Reach::Loopback,
        (false, true) => outward::reach::Reach::Private,
        (false, false) => outward::reach::Reach::Public,
    };
    let secrets = settings.secrets.iter().map(|one| one.expose().as_bytes());
    let address = settings.address.as_str();
    let hook = outward::hook::Hook::new(address, reach, secrets, authorities.as_deref());
    Ok(Receiver {
        name: settings.name.parse().with_context(about)?,
        topics: settings.topics.clone(),
        way: Arc::new(ToHook(Arc::new(hook.with_context(about)?))),
    })
}

/// A receiver by HTTP.
struct ToHook(Arc<outward::hook::Hook>);

impl Way for ToHook {
    fn tell(&self, body: Bytes, at: Timestamp) -> Ended<'_, ()> {
        let hook = Arc::clone(&self.0);
        Box::pin(async move {
            let told = tokio::task::spawn_blocking(move || hook.tell(&body, at.unix_ms() / 1_000));
            let told = told.await.map_err(|_| "this node is stopping".to_owned())?;
            told.map_err(|error| error.to_string())
        })
    }
}

/// Whose turn it is to tell them; none: there is one node.
pub(super) fn turns(settings: &Settings) -> anyhow::Result<Option<Arc<dyn Turns>>> {
    Ok(match &settings.bus {
        BusSettings::Local => None,
        BusSettings::Redis { url } => {
            let turns = RedisTurns::new(url.expose(), &settings.audience, REDIS_TIMEOUT)?;
            Some(Arc::new(ByRedis(turns)))
        }
    })
}

/// Turns in the Redis of the bus.
struct ByRedis(RedisTurns);

impl Turns for ByRedis {
    fn take<'a>(&'a self, receiver: &'a str, holder: &'a str) -> Ended<'a, bool> {
        Box::pin(async move {
            let taken = self.0.take(&of(receiver), holder, TURN).await;
            taken.map_err(|error| error.to_string())
        })
    }

    fn pass<'a>(&'a self, receiver: &'a str, holder: &'a str) -> Ended<'a, ()> {
        Box::pin(async move {
            let passed = self.0.pass(&of(receiver), holder).await;
            passed.map_err(|error| error.to_string())
        })
    }
}

/// The turn of a receiver, among all turns.
fn of(receiver: &str) -> String {
    format!("webhook:{receiver}")
}

/// Where other nodes reach this one's private port, which may be bound to `bound`; none: that is not known.
pub(super) fn address(settings: &Settings, bound: SocketAddr) -> Option<String> {
    let scheme = match settings.control.tls {
        Some(_) => "https",
        None => "http",
    };
    let one = !bound.ip().is_unspecified();
    let listens = one.then(|| format!("{scheme}://{bound}"));
    settings.node.private_address.clone().or(listens)
}

/// Counts in the Redis of the bus.
struct InRedis(RedisCounts);

impl feedback::Exchange for InRedis {
    fn claim<'a>(&'a self, life: &'a Life, ids: &'a [u64]) -> Exchanged<'a, Vec<bool>> {
        Box::pin(async move { Ok(self.0.claim(life, ids).await?) })
    }

    fn tell<'a>(&'a self, life: &'a Life, sheet: Vec<u8>) -> Exchanged<'a, Remembered> {
        Box::pin(async move {
            Ok(match self.0.tell(life, &sheet).await? {
                Before::Numbers => Remembered::All,
                Before::Nothing => Remembered::Nothing,
            })
        })
    }

    fn hear<'a>(&'a self, life: &'a Life) -> Exchanged<'a, Vec<Bytes>> {
        Box::pin(async move {
            let sheets = self.0.hear(life).await?;
            Ok(sheets.into_iter().map(Bytes::from).collect())
        })
    }
}

/// The key of a role of servers, in a file that only we may read; made when there is none. Nodes of one cluster
/// are given the same file.
fn own_key(path: &Path, role: &str) -> anyhow::Result<SigningKey> {
    if path.exists() {
        return files::read(path);
    }
    let about = || format!("the {role} key `{}`", path.display());
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).with_context(about)?;
    write_secret(path, &format!("{}\n", HEXLOWER.encode(&seed)))?;
    tracing::warn!(path = %path.display(), role, "made a DEVELOPMENT key; nobody in production must trust it");
    Ok(SigningKey::from_bytes(&seed))
}

/// Writes a file that only its owner may read.
pub(super) fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
    });
    written.with_context(|| format!("`{}` cannot be written", path.display()))
}
