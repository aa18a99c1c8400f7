//! `huidu serve`: a node, from its settings to its last answer.
//!
//! The order matters. Settings and logging first, so that whatever fails is told; the store before the bus,
//! because the truth is there; the node is up to date before a port is open; ports close before the node
//! stops. A second signal ends the process at once.

use std::{env, fs, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Args;
use huidu_core::{bucket, eyes::EyesPolicy, keyring::Trust, version::Review};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    context::Context,
    keys,
    output::{self, Done, Failure},
    parts,
};
use crate::{
    control::{
        self,
        token::{self, Token},
    },
    device::{Bounds, Connections, DevicePlane, Feed},
    http::{self, tls::Tls},
    logging,
    node::{Node, WriteError, feedback::FLUSH},
    settings::{FlagValue, Settings, Sources, StoreSettings},
    store::probe::{self, Depth, Verdict},
};

/// Run a node.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  huidu serve                                        one node, a directory, loopback ports
  huidu serve --config /etc/huidu/huidu.toml
  huidu serve --data-dir /tmp/h --review skipped --set device.listen=127.0.0.1:9000
  HUIDU_STORE__KIND=s3 HUIDU_STORE__SECRET_KEY=… huidu serve --config huidu.toml

Settings: flags win over the environment (HUIDU_STORE__KIND), that over the file. deploy/huidu.toml lists
all of them.")]
pub(super) struct Serve {
    #[command(flatten)]
    settings: SettingsFlags,
}

/// Where settings come from.
#[derive(Debug, Clone, Args)]
pub(super) struct SettingsFlags {
    /// The settings file
    #[arg(
        long,
        env = "HUIDU_CONFIG",
        value_name = "FILE",
        help_heading = "Settings"
    )]
    config: Option<PathBuf>,
    /// Any setting; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = super::explain::pair, help_heading = "Settings")]
    set: Vec<(String, String)>,
    /// Setting `data_dir`
    #[arg(long, value_name = "DIR", help_heading = "Settings")]
    data_dir: Option<String>,
    /// Setting `audience`
    #[arg(long, value_name = "BANK/ENVIRONMENT", help_heading = "Settings")]
    audience: Option<String>,
    /// Setting `review`
    #[arg(long, value_name = "required|skipped", help_heading = "Settings")]
    review: Option<String>,
    /// Setting `device.listen`
    #[arg(long, value_name = "ADDRESS", help_heading = "Settings")]
    device_listen: Option<String>,
    /// Setting `control.listen`
    #[arg(long, value_name = "ADDRESS", help_heading = "Settings")]
    control_listen: Option<String>,
    /// Setting `store.kind`
    #[arg(long, value_name = "fs|s3|memory", help_heading = "Settings")]
    store_kind: Option<String>,
    /// Setting `bus.kind`
    #[arg(long, value_name = "local|redis", help_heading = "Settings")]
    bus_kind: Option<String>,
    /// Setting `node.name`
    #[arg(long, value_name = "NAME", help_heading = "Settings")]
    node_name: Option<String>,
    /// Setting `log.level`
    #[arg(long, value_name = "LEVEL", help_heading = "Settings")]
    log_level: Option<String>,
}

impl SettingsFlags {
    /// Reads settings from flags, environment and file.
    pub(super) fn read(&self) -> Result<Settings, Failure> {
        let file = match &self.config {
            Some(path) => {
                let text = fs::read_to_string(path)
                    .with_context(|| format!("the settings `{}` cannot be read", path.display()))?;
                Some((path.clone(), text))
            }
            None => None,
        };
        Ok(Settings::read(&Sources {
            file,
            env: env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            flags: self.flags(),
        })?)
    }

    fn flags(&self) -> Vec<FlagValue> {
        let named = [
            ("--data-dir", "data_dir", &self.data_dir),
            ("--audience", "audience", &self.audience),
            ("--review", "review", &self.review),
            ("--device-listen", "device.listen", &self.device_listen),
            ("--control-listen", "control.listen", &self.control_listen),
            ("--store-kind", "store.kind", &self.store_kind),
            ("--bus-kind", "bus.kind", &self.bus_kind),
            ("--node-name", "node.name", &self.node_name),
            ("--log-level", "log.level", &self.log_level),
        ];
        let flag = |flag: &str, key: &str, value: &str| FlagValue {
            flag: flag.to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let set = self
            .set
            .iter()
            .map(|(key, value)| flag("--set", key, value));
        let named = named
            .into_iter()
            .filter_map(|(name, key, value)| value.as_deref().map(|value| flag(name, key, value)));
        set.chain(named).collect()
    }
}

impl Serve {
    pub(super) fn run(self, _: &Context) -> Done {
        let settings = self.settings.read()?;
        logging::start(&settings.log);
        // A node that bucketed differently would reshuffle a bank's customers.
        bucket::self_check().context("this build cannot be trusted")?;
        if settings.review == Review::Skipped {
            tracing::warn!(
                "DEVELOPMENT MODE: `review` is skipped, whoever may submit a version may list it"
            );
        }
        fs::create_dir_all(&settings.data_dir).with_context(|| {
            format!("`data_dir` {} cannot be made", settings.data_dir.display())
        })?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        let runtime = runtime.context("no runtime can be started")?;
        runtime.block_on(serve(&settings))
    }
}

async fn serve(settings: &Settings) -> Done {
    let stores = parts::stores(&settings.store)?;
    let mut unproved = Vec::new();
    if !matches!(settings.store, StoreSettings::Memory) {
        let report = probe::check(&stores, Depth::Quick).await;
        match report.verdict {
            Verdict::MultiWriter => {}
            Verdict::SingleWriter => {
                tracing::warn!(store = %report.endpoints.join(","), "{report}");
            }
            // A node that has served before starts on what it last knew.
            Verdict::Silent => {
                tracing::error!(store = %report.endpoints.join(","), "{report}");
                unproved.clone_from(&stores);
            }
            Verdict::Unusable => {
                let what = format!(
                    "the store is {}\n`huidu store check` shows every promise",
                    report.verdict
                );
                return Err(Failure::Refused(what));
            }
        }
    }
    let stop = stopped()?;
    let mut parts = parts::node(settings, stores)?;
    parts.unproved = unproved;
    let node = Node::start(parts).await.map_err(anyhow::Error::from)?;
    announce(&node, settings).await?;
    if let Some(keyring) = &node.catalogue().trust.chain.newest
        && keyring.trust == Trust::Dev
    {
        tracing::warn!(
            keyring = keyring.version,
            "DEVELOPMENT KEYRING: its keys lie beside the server, and customers' devices refuse this installation"
        );
    }
    let (stopper, told) = http::serve::Stop::pair();
    // The private port first: whoever sees the node ready on the public one may turn to it at once.
    let tls = Certificates {
        device: parts::tls("device.tls", settings.device.tls.as_ref())?,
        control: parts::tls("control.tls", settings.control.tls.as_ref())?,
    };
    let about = || format!("setting `control.listen`: {}", settings.control.listen);
    let control = std::net::TcpListener::bind(settings.control.listen).with_context(about)?;
    control.set_nonblocking(true).with_context(about)?;
    let bound = control.local_addr().with_context(about)?;
    let mut spool = control::ControlSettings::new(settings.data_dir.join("spool"));
    spool.bundle_bytes = settings.bundles.packed_max;
    spool.archive.packed_bytes = settings.bundles.packed_max;
    spool.archive.unpacked_bytes = settings.bundles.unpacked_max;
    let router = control::router(Arc::clone(&node), parts::signin(settings)?, spool)
        .context("`data_dir` cannot be used")?;
    let devices = device_plane(&node, settings, tls.device.clone(), &told)?;
    tracing::info!(
        device = %settings.device.listen,
        control = %settings.control.listen,
        tls = tls.device.is_some(),
        revision = node.health().revision.get(),
        "serving"
    );
    let mut stopping = told.clone();
    let counting = node.keep_counting(parts::counts(settings)?, async move {
        stopping.told().await;
    });
    let mut stopping = told.clone();
    let (receivers, turns) = (parts::receivers(settings)?, parts::turns(settings)?);
    let telling = node.keep_telling(receivers, turns.as_ref(), async move {
        stopping.told().await;
    });
    if let Some(address) = parts::address(settings, bound) {
        node.fleet().is_at(address);
    }
    let beating = tokio::spawn(Arc::clone(&node).keep_beating(parts::board(settings)?));
    let limits = http::serve::Limits {
        connections: CONTROL_CONNECTIONS,
        ..http::serve::Limits::default()
    };
    let plane = http::serve::Plane::over(limits, (), tls.control.clone());
    let routes = control::PrivatePlane::new(router, told.clone());
    let controlling = tokio::spawn(http::serve::serve(control, routes, plane, told.clone()));
    let reloading = tokio::spawn(tls.reload_when_told()?);
    if stop.await {
        // Balancers see it and send devices elsewhere; whoever comes meanwhile is served.
        node.drain();
        tracing::info!(seconds = settings.node.drain.as_secs_f64(), "draining");
        tokio::time::sleep(settings.node.drain).await;
    }
    reloading.abort();
    beating.abort();
    stopper.stop();
    let _closed = tokio::task::spawn_blocking(move || devices.join()).await;
    let _closed = tokio::time::timeout(Duration::from_secs(10), controlling).await;
    // The last counts, when nothing comes any more.
    let _closed = tokio::time::timeout(FLUSH * 10, counting).await;
    // And what is on its way to receivers.
    let _closed = telling.await;
    node.flush();
    Ok(0)
}

/// The certificates that are shown, by port.
#[derive(Clone)]
struct Certificates {
    device: Option<Arc<Tls>>,
    control: Option<Arc<Tls>>,
}

impl Certificates {
    /// Reads them again at every SIGHUP.
    fn reload_when_told(self) -> anyhow::Result<impl Future<Output = ()>> {
        let mut told = signal(SignalKind::hangup()).context("SIGHUP cannot be listened to")?;
        Ok(async move {
            while told.recv().await.is_some() {
                let certificates = self.clone();
                // Reading blocks, and a panic in it would only lose this one reload.
                let _read = tokio::task::spawn_blocking(move || certificates.reload()).await;
            }
        })
    }

    fn reload(&self) {
        for (port, tls) in [("device", &self.device), ("control", &self.control)] {
            match tls.as_ref().map(|tls| tls.reload()) {
                None => {}
                Some(Ok(())) => tracing::info!(port, "the certificate was read again"),
                Some(Err(error)) => {
                    let error = anyhow::Error::from(error);
                    tracing::error!(port, "the certificate before stays in force: {error:#}");
                }
            }
        }
    }
}

/// Connections to the private port: people, and whoever scrapes the metrics.
const CONTROL_CONNECTIONS: usize = 1_000;

fn device_plane(
    node: &Arc<Node>,
    settings: &Settings,
    tls: Option<Arc<Tls>>,
    told: &http::serve::Stop,
) -> anyhow::Result<http::serve::Workers> {
    let device = &settings.device;
    let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cores = if device.cores == 0 { all } else { device.cores };
    let listeners = http::serve::listen_shared(device.listen, cores)
        .with_context(|| format!("setting `device.listen`: {}", device.listen))?;
    let limits = http::serve::Limits {
        connections: device.max_connections,
        per_address: device.max_connections_per_address,
        head: device.header_timeout,
        idle: device.idle_timeout,
        ..http::serve::Limits::default()
    };
    let watcher = Connections(node.metrics_handle());
    let plane = http::serve::Plane::over(limits, watcher, tls);
    let feed = Feed::new(device.max_kill_listeners, node.metrics_handle());
    tokio::spawn(Arc::clone(&feed).drive(node.kill_marks(), told.clone()));
    let flags = Arc::clone(&feed);
    tokio::spawn(flags.drive_flags(node.revisions(), node.kill_marks(), told.clone()));
    let bounds = Bounds {
        late: device.shed_after,
        ..Bounds::default()
    };
    let service =
        |_core| DevicePlane::new(Arc::clone(node), bounds.clone()).with_feed(Arc::clone(&feed));
    Ok(http::serve::spawn_per_core(
        listeners, service, &plane, told,
    )?)
}

/// Founds the ledger when it is empty, and tells the first token once.
///
/// The token is on disk before the ledger knows it, so that a process that dies in between leaves a
/// token that opens nothing, and never a ledger that nobody can open. A token that is on disk already is
/// the one of such a start: what it sent may still land in the ledger, so it is sent again and no other.
async fn announce(node: &Node, settings: &Settings) -> Result<(), Failure> {
    if !node.catalogue().audience.is_empty() {
        return Ok(());
    }
    let path = settings.data_dir.join("admin.token");
    let left_behind = fs::read_to_string(&path).ok();
    let token = match left_behind.and_then(|text| text.trim().parse::<Token>().ok()) {
        Some(token) => token,
        None => {
            let token =
                Token::generate(token::Kind::Admin).context("no randomness for the first token")?;
            parts::write_secret(&path, &format!("{token}\n"))?;
            token
        }
    };
    let first = (token.id().to_owned(), token.sha256());
    let keyring = match settings.review {
        Review::Skipped => Some(keys::development(settings, node.now())?),
        Review::Required => None,
    };
    // Where customers are served, bringing back and sending on takes a second person from the beginning.
    let eyes = match settings.review {
        Review::Skipped => EyesPolicy::default(),
        Review::Required => EyesPolicy::for_customers(),
    };
    let founded = node.found(&settings.audience, settings.review, first, keyring, eyes);
    let founded = match founded.await {
        Ok(founded) => founded,
        // The last-known-good copy serves until the store answers.
        Err(WriteError::ReadOnly) => false,
        Err(error) => return Err(anyhow::Error::from(error).into()),
    };
    if !founded {
        // Another node was first; its token and its keys are those that count.
        let _gone = fs::remove_file(&path);
        let _gone = fs::remove_dir_all(settings.data_dir.join("keys"));
        return Ok(());
    }
    output::say(&format!(
        "admin token: {token}\nkept in {} (this is the only time it is shown)",
        path.display()
    ));
    Ok(())
}

/// Ends with the first SIGTERM or SIGINT, and says whether it was SIGTERM: who types Ctrl-C waits for no balancer.
/// The second ends the process where it stands.
fn stopped() -> anyhow::Result<impl Future<Output = bool>> {
    let mut term = signal(SignalKind::terminate()).context("SIGTERM cannot be listened to")?;
    let mut int = signal(SignalKind::interrupt()).context("SIGINT cannot be listened to")?;
    Ok(async move {
        let by_term = tokio::select! {
            _ = term.recv() => true,
            _ = int.recv() => false,
        };
        tracing::info!("stopping; a second signal stops at once");
        tokio::spawn(async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            std::process::exit(1);
        });
        by_term
    })
}
