//! `huidu device`: be a device. Polls, checks, fetches, switches, obeys, reports.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use huidu_core::{
    keyring::Guard,
    name::{AppId, HostId},
    time::Timestamp,
    version::Number,
};
use indicatif::ProgressBar;
use serde_json::json;

use super::{
    context::Context,
    explain::DeviceFlags,
    output::{Done, Failure, cell, remark, say},
    progress,
};
use crate::client::{
    Patience,
    device::{Device as Phone, DeviceConfig, DeviceError, Happened, Starter, What},
    root::{Root, parse_key},
    uptime,
};

/// Shortest pause between two polls, whatever a server says.
const PAUSE_LEAST: Duration = Duration::from_millis(100);
/// Pause after a failure.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Be a device.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  huidu device --server http://127.0.0.1:8080 --host retail-bank --app pingan/travel --unit device-7
  huidu device --server https://m.bank.example --root keyring-1.json --audience bank/prod \\
      --host retail-bank --app pingan/travel --app pingan/loan --unit device-7 --platform android --watch
  huidu device --root keyring-1.json --audience bank/prod --sandbox --host retail-test --app pingan/travel \
      --unit t-17 --preview 'huidu-preview:v1.…'
  huidu device … --crash-on 2.4.0      the release fails; watch it being rolled back and never tried again")]
pub(super) struct Device {
    /// The bank app
    #[arg(long)]
    host: HostId,
    /// A mini-program; may be repeated
    #[arg(long = "app", required = true, value_name = "TENANT/APP")]
    apps: Vec<AppId>,
    #[command(flatten)]
    device: DeviceFlags,
    /// The installation it belongs to
    #[arg(long, default_value = "bank/dev", value_name = "BANK/ENVIRONMENT")]
    audience: String,
    /// The keyring it is born with, as `huidu keys` signed it: how a customer's device believes
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// Accept a keyring of a development installation, and missing papers with it
    #[arg(long, requires = "root")]
    development: bool,
    /// A test build of the bank app: a version under review may run on it without its record, in a sandbox
    #[arg(long, requires = "root", conflicts_with = "development")]
    sandbox: bool,
    /// A preview link, as `huidu trial invite` gave it out; opens what is under review
    #[arg(long, value_name = "LINK")]
    preview: Option<String>,
    /// When this device was made, at the earliest: no clock set back before it is believed
    #[arg(long, value_name = "TIME")]
    born: Option<Timestamp>,
    /// For developers: one trusted key of 64 hexadecimal digits, or a file of them. With neither, a
    /// development server is asked, and believed whatever it says
    #[arg(long, value_name = "FILE|HEX", conflicts_with = "root")]
    key: Option<String>,
    /// Ask for answers to this device's own requests alone
    #[arg(long)]
    challenge: bool,
    /// Where it keeps everything
    #[arg(long, default_value = "huidu-device", value_name = "DIR")]
    dir: PathBuf,
    /// Poll once (the default)
    #[arg(long, conflicts_with = "watch")]
    once: bool,
    /// Poll on and on, when the server says so
    #[arg(long)]
    watch: bool,
    /// Poll this often instead, with --watch
    #[arg(long, value_name = "DURATION", value_parser = crate::settings::units::duration, requires = "watch")]
    every: Option<Duration>,
    /// Let this version crash when it starts; may be repeated
    #[arg(long, value_name = "VERSION")]
    crash_on: Vec<Number>,
}

impl Device {
    pub(super) fn run(self, context: &Context) -> Done {
        let server = context.server("HUIDU_DEVICE_SERVER", "http://127.0.0.1:8080");
        let server = server.trim_end_matches('/').to_owned();
        let mut root = root(&self, &server)?;
        if let Some(born) = self.born {
            root = root.born_at(born);
        }
        let config = DeviceConfig {
            server,
            dir: self.dir,
            host: self.host,
            apps: self.apps,
            profile: self.device.profile(),
            root,
            challenges: self.challenge,
            preview: None,
            patience: Patience::default(),
        };
        let mut device = Phone::open(config.clone())?;
        if let Some(link) = &self.preview {
            device = opened(device, config, link)?;
        }
        let mut starter = Simulated {
            crash_on: self.crash_on,
            bar: None,
        };
        loop {
            let cycle = device.cycle(uptime::now(), &mut starter);
            let pause = match (cycle, self.watch) {
                (Ok(happened), _) => {
                    tell(context, &happened);
                    if !self.watch {
                        let doubted = happened
                            .iter()
                            .any(|one| matches!(one.what, What::Doubted | What::LoadFailed));
                        return Ok(u8::from(doubted));
                    }
                    self.every.unwrap_or_else(|| device.next_poll())
                }
                (Err(error), false) => return Err(error.into()),
                (Err(error), true) => {
                    remark(&format!("huidu: {error}"));
                    patience(&error, self.every)
                }
            };
            thread::sleep(pause.max(PAUSE_LEAST));
        }
    }
}

/// The device that `link` opens: signed by keys it knows, for its sandbox and for an app it has.
fn opened(mut device: Phone, config: DeviceConfig, link: &str) -> Result<Phone, Failure> {
    let read = device.read_link(link.trim(), uptime::now());
    let read = read.map_err(|error| Failure::Usage(error.to_string()))?;
    if read.host != config.host || !config.apps.contains(&read.app) {
        return Err(Failure::Usage(format!(
            "the link opens `{}` in `{}`; ask with --app {} --host {}",
            read.app, read.host, read.app, read.host
        )));
    }
    let preview = Some((read.app, read.secret));
    Ok(Phone::open(DeviceConfig { preview, ..config })?)
}

/// How long to wait after a failure: as the server asks, or a while.
fn patience(error: &DeviceError, every: Option<Duration>) -> Duration {
    match error {
        DeviceError::Status {
            retry_after: Some(seconds),
            ..
        } => Duration::from_secs(*seconds),
        _ => every.unwrap_or(PAUSE_AFTER_FAILURE),
    }
}

/// Whom to believe: a keyring, a single key, or, for development alone, whatever the server says.
fn root(device: &Device, server: &str) -> Result<Root, Failure> {
    let audience = &device.audience;
    if let Some(file) = &device.root {
        let name = file.display();
        let bytes =
            fs::read(file).with_context(|| format!("the keyring `{name}` cannot be read"))?;
        let guard = match (device.development, device.sandbox) {
            (true, _) => Guard::Development,
            (false, true) => Guard::Sandbox,
            (false, false) => Guard::Production,
        };
        return Root::read(&bytes, audience, guard).map_err(|error| {
            Failure::Usage(format!("`{name}` is no root to begin with: {error}"))
        });
    }
    let Some(given) = &device.key else {
        remark(
            "WARNING: no --root; the server itself is asked whom to believe. For development alone: whoever answers is believed.",
        );
        return Ok(Root::of_server(server, audience)?);
    };
    if let Some(key) = parse_key(given) {
        return Ok(Root::of_key(&key, audience));
    }
    let text = fs::read_to_string(given).with_context(|| {
        format!("--key `{given}` is no key of 64 hexadecimal digits and no file")
    })?;
    let key = parse_key(&text);
    key.map(|key| Root::of_key(&key, audience))
        .ok_or_else(|| Failure::Usage(format!("`{given}` holds no key of 64 hexadecimal digits")))
}

fn tell(context: &Context, happened: &[Happened]) {
    for one in happened {
        let document = json!(one);
        if context.is_json() {
            say(&document.to_string());
        } else {
            let mut line = format!(
                "{} {}",
                one.app.as_deref().unwrap_or("(device)"),
                cell(&document["what"])
            );
            for more in [one.version.as_deref().unwrap_or_default(), &one.detail] {
                if !more.is_empty() {
                    line.push(' ');
                    line.push_str(more);
                }
            }
            say(&line);
        }
    }
}

/// A mini-program whose start is only played.
struct Simulated {
    crash_on: Vec<Number>,
    bar: Option<ProgressBar>,
}

impl Starter for Simulated {
    fn start(&mut self, _: &AppId, version: &Number, _: &Path) -> Result<(), String> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if self.crash_on.contains(version) {
            Err("--crash-on says so".into())
        } else {
            Ok(())
        }
    }

    fn progress(&mut self, app: &AppId, bytes: u64, total: u64) {
        let bar = self
            .bar
            .get_or_insert_with(|| progress::bar(app.as_str(), total));
        bar.set_position(bytes);
        if bytes == total {
            bar.finish_and_clear();
            self.bar = None;
        }
    }
}
