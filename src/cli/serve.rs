//! `huidu serve`: a node, from its settings to its last answer.
//!
//! The order matters. Settings and logging first, so that whatever fails is told; the store before the bus,
//! because the truth is there; the node is up to date before a port is open; ports close before the node
//! stops. A second signal ends the process at once.

use std::{env, fs, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use huidu_core::version::Review;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    context::Context,
    output::{Done, Failure},
    parts,
};
use crate::{
    logging,
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
    if !matches!(settings.store, StoreSettings::Memory) {
        let report = probe::check(&stores, Depth::Quick).await;
        match report.verdict {
            Verdict::MultiWriter => {}
            Verdict::SingleWriter => {
                tracing::warn!(store = %report.endpoints.join(","), "{}", report.verdict);
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
    // Next, in this order: bus, signer (development key in data_dir), ledger opened and followed (or the
    // last known good), node ready, then both planes; `stopped` hands each its shutdown.
    let stop = stopped()?;
    drop((stores, stop));
    Err(Failure::Refused(
        "this build has no node to serve with".into(),
    ))
}

/// Ends with the first SIGTERM or SIGINT; the second ends the process where it stands.
fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate()).context("SIGTERM cannot be listened to")?;
    let mut int = signal(SignalKind::interrupt()).context("SIGINT cannot be listened to")?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::info!("stopping; a second signal stops at once");
        tokio::spawn(async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            std::process::exit(1);
        });
    })
}
