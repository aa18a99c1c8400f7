//! Settings: the values a process is started with, and what they mean. Never the running parts.
//!
//! One TOML file, the environment (`HUIDU_STORE__KIND=s3`; two underscores are a dot) and the flags of
//! `huidu serve`; flags win over the environment, the environment over the file. Everything that is wrong is
//! told at once, each with its place. A secret is never printed, not even by `Debug`.

mod keys;
mod parse;
mod raw;
#[cfg(test)]
mod tests;
mod tls;
pub mod units;
mod webhooks;

use std::{fmt, fs, net::SocketAddr, path::PathBuf, time::Duration};

use huidu_core::{limits, version::Review};

pub use keys::{KEYS, Key};
pub use raw::{FlagValue, Origin, Problem, Sources, Value};
pub use tls::TlsFiles;
pub use webhooks::WebhookSettings;

use crate::signin::{Required, address::Address};
use parse::{address, audience, duration, one_of, scopes, secure, size, url, whole};
use raw::Raw;

/// Everything a process is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where this node keeps what it must not lose: the embedded store, its last known good, its keys.
    pub data_dir: PathBuf,
    /// What manifests are addressed to, `bank/environment`. Written into the ledger when it is founded.
    pub audience: String,
    /// Whether versions must be approved before they are listed.
    pub review: Review,
    /// The data plane.
    pub device: DeviceSettings,
    /// The control plane.
    pub control: ControlSettings,
    /// How people sign in; none: they do not.
    pub signin: Option<SignInSettings>,
    /// Where the truth is.
    pub store: StoreSettings,
    /// How nodes tell each other that there is news.
    pub bus: BusSettings,
    /// This node.
    pub node: NodeSettings,
    /// What a bundle may be.
    pub bundles: BundleSettings,
    /// Who outside is told of kills and guards.
    pub webhooks: Vec<WebhookSettings>,
    /// What is written about what happens.
    pub log: LogSettings,
}

/// The data plane: the port that devices reach.
#[derive(Debug, Clone)]
pub struct DeviceSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Cores that serve it, one runtime each; 0: all there are.
    pub cores: usize,
    /// Connections at once, over all cores.
    pub max_connections: usize,
    /// Of these, from one address; 0: as many as there are.
    pub max_connections_per_address: usize,
    /// Of all connections, those that may wait for a change of the list of kills.
    pub max_kill_listeners: usize,
    /// How long a request's head may take.
    pub header_timeout: Duration,
    /// How long a connection may be idle.
    pub idle_timeout: Duration,
    /// When devices are told to ask again.
    pub poll_after: Duration,
    /// Over how much time more they are spread.
    pub poll_spread: Duration,
    /// How long an answer may be trusted.
    pub lease: Duration,
    /// How late a core may be, again and again, before it puts off what can wait.
    pub shed_after: Duration,
    /// The certificate it shows; none: it speaks without TLS.
    pub tls: Option<TlsFiles>,
}

/// The control plane: the private port.
#[derive(Debug, Clone)]
pub struct ControlSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its address as others reach it, `https://…`.
    pub public_address: Option<String>,
    /// The certificate it shows; none: it speaks without TLS.
    pub tls: Option<TlsFiles>,
}

/// How people sign in.
#[derive(Debug, Clone)]
pub struct SignInSettings {
    /// The identity provider, exactly as it names itself.
    pub issuer: Address,
    /// Who we are to it.
    pub client_id: String,
    /// How we prove it; none: a public client.
    pub client_secret: Option<Secret>,
    /// What is asked for.
    pub scopes: String,
    /// The certificates that the provider's must lead to; none: those that browsers trust.
    pub ca_file: Option<PathBuf>,
    /// The keys that sessions are sealed with, the same on every node.
    pub session_key_file: PathBuf,
    /// After how long without a request a browser's session ends.
    pub session_idle: Duration,
    /// After how long it ends in any case.
    pub session_max: Duration,
    /// How long the session of a command line lasts.
    pub command_line: Duration,
    /// Whether tokens that belong to people open nothing.
    pub required: Required,
    /// The control plane as browsers reach it.
    pub home: Address,
}

/// Where the truth is.
#[derive(Debug, Clone)]
pub enum StoreSettings {
    /// A directory.
    Fs {
        /// The directory.
        path: PathBuf,
    },
    /// An S3 that enforces conditional writes.
    S3(S3Settings),
    /// Nowhere: gone when the process ends.
    Memory,
}

/// How an S3 is reached.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// Its gateways, `http://…` or `https://…`; all lead to the same objects.
    pub endpoints: Vec<String>,
    /// Its region.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// What every key begins with.
    pub prefix: String,
    /// Public half of the credentials.
    pub access_key: String,
    /// Secret half.
    pub secret_key: Secret,
}

/// How nodes tell each other that there is news.
#[derive(Debug, Clone)]
pub enum BusSettings {
    /// There is one node.
    Local,
    /// By a Redis. Its address may hold a password, so it may lie in a file of its own.
    Redis {
        /// `redis://…`
        url: Secret,
    },
}

/// This node.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// Its name, as others see it.
    pub name: String,
    /// How often it looks for news by itself.
    pub tick: Duration,
    /// How long it serves on after it was told to stop, and says that it is not ready.
    pub drain: Duration,
    /// After how many changes a checkpoint is written.
    pub checkpoint_every: u64,
    /// Its private port as the other nodes reach it, `http://…`; none: where it listens, if that is one address.
    pub private_address: Option<String>,
    /// The private ports of the other nodes, `http://…`.
    pub peers: Vec<String>,
    /// The certificates that theirs must lead to; none: those that browsers trust.
    pub peers_ca_file: Option<PathBuf>,
}

/// What a bundle may be.
#[derive(Debug, Clone)]
pub struct BundleSettings {
    /// Bytes as uploaded.
    pub packed_max: u64,
    /// Bytes unpacked.
    pub unpacked_max: u64,
    /// Bytes of memory for hot bundles.
    pub memory: u64,
    /// Bytes of this disk for copies of a distant store's bundles.
    pub disk: u64,
}

/// What is written about what happens.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// For people or for machines.
    pub format: LogFormat,
    /// How much: `info`, or `info,huidu::node=debug`.
    pub level: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for whoever has to send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Everything that is wrong with the settings, at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", listed(.problems))]
pub struct SettingsError {
    /// Each with its place.
    pub problems: Vec<Problem>,
}

fn listed(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let noun = if lines.len() == 1 {
        "setting is"
    } else {
        "settings are"
    };
    format!("{} {noun} wrong\n  {}", lines.len(), lines.join("\n  "))
}

impl Settings {
    /// Reads settings from everywhere, or tells everything that is wrong.
    pub fn read(sources: &Sources) -> Result<Self, SettingsError> {
        let mut raw = Raw::gather(sources);
        let problems = std::mem::take(&mut raw.problems);
        let mut reader = Reader { raw, problems };
        let settings = reader.settings();
        if reader.problems.is_empty() {
            Ok(settings)
        } else {
            Err(SettingsError {
                problems: reader.problems,
            })
        }
    }
}

/// Reads one setting after the other and remembers what was wrong; a wrong one reads as its default, so
/// that the others are still looked at.
struct Reader {
    raw: Raw,
    problems: Vec<Problem>,
}

impl Reader {
    fn settings(&mut self) -> Settings {
        let data_dir = PathBuf::from(self.filled("data_dir"));
        Settings {
            audience: self.parsed("audience", audience),
            review: self.parsed("review", |text| {
                one_of(
                    text,
                    &[("required", Review::Required), ("skipped", Review::Skipped)],
                )
            }),
            device: self.device(),
            control: ControlSettings {
                listen: self.parsed("control.listen", address),
                public_address: self.optional("control.public_address", url),
                tls: self.tls("control.tls.cert", "control.tls.key"),
            },
            signin: self.signin(&data_dir),
            store: self.store(&data_dir),
            bus: self.bus(),
            node: self.node(),
            bundles: self.bundles(),
            webhooks: self.webhooks(),
            log: LogSettings {
                format: self.parsed("log.format", |text| {
                    one_of(
                        text,
                        &[("text", LogFormat::Text), ("json", LogFormat::Json)],
                    )
                }),
                level: self.parsed("log.level", crate::logging::checked_level),
            },
            data_dir,
        }
    }

    fn device(&mut self) -> DeviceSettings {
        let device = DeviceSettings {
            listen: self.parsed("device.listen", address),
            cores: self.parsed("device.cores", |text| whole(text, 0, 1_024)),
            max_connections: self
                .parsed("device.max_connections", |text| whole(text, 1, 1_000_000)),
            max_connections_per_address: self
                .parsed("device.max_connections_per_address", |text| {
                    whole(text, 0, 1_000_000)
                }),
            max_kill_listeners: self.parsed("device.max_kill_listeners", |text| {
                whole(text, 0, 1_000_000)
            }),
            header_timeout: self.parsed("device.header_timeout", |t| duration(t, 1, 300_000)),
            idle_timeout: self.parsed("device.idle_timeout", |t| duration(t, 1, 3_600_000)),
            poll_after: self.parsed("device.poll_after", |t| duration(t, 100, 7 * 86_400_000)),
            poll_spread: self.parsed("device.poll_spread", |t| duration(t, 0, 7 * 86_400_000)),
            lease: self.parsed("device.lease", |t| duration(t, 1_000, 86_400_000)),
            shed_after: self.parsed("device.shed_after", |t| duration(t, 1, 60_000)),
            tls: self.tls("device.tls.cert", "device.tls.key"),
        };
        if device.listen.port() != 0 && self.text("control.listen").0 == device.listen.to_string() {
            let what =
                "both planes listen on the same address; give the control plane its own port";
            self.wrong("control.listen", what);
        }
        device
    }

    fn store(&mut self, data_dir: &std::path::Path) -> StoreSettings {
        let kind = self.parsed("store.kind", |text| {
            one_of(text, &[("fs", 'f'), ("s3", 's'), ("memory", 'm')])
        });
        let path = self.optional("store.path", |text| Ok(PathBuf::from(text)));
        let access_key = self.text("store.access_key").0;
        let secret_key = self.secret("store.secret_key", "store.secret_key_file");
        let endpoints = self.list("store.endpoints", url);
        let (region, bucket) = (self.filled("store.region"), self.text("store.bucket").0);
        let prefix = self.text("store.prefix").0;
        match kind {
            's' => {
                for (key, is_missing, what) in [
                    (
                        "store.endpoints",
                        endpoints.is_empty(),
                        "name the store's address, such as \"http://127.0.0.1:8333\"",
                    ),
                    ("store.bucket", bucket.is_empty(), "name the bucket"),
                    (
                        "store.access_key",
                        access_key.is_empty(),
                        "name the access key",
                    ),
                    (
                        "store.secret_key",
                        secret_key.is_none(),
                        "give the secret key by HUIDU_STORE__SECRET_KEY or by `store.secret_key_file`",
                    ),
                ] {
                    let is_told = self.problems.iter().any(|p| p.key.starts_with(key));
                    if is_missing && !is_told {
                        self.wrong(
                            key,
                            &format!("`store.kind` is s3 and this is not set; {what}"),
                        );
                    }
                }
                StoreSettings::S3(S3Settings {
                    endpoints,
                    region,
                    bucket,
                    prefix,
                    access_key,
                    secret_key: secret_key.unwrap_or_else(|| Secret::new(String::new())),
                })
            }
            'm' => {
                if self.text("bus.kind").0 == "redis" {
                    self.wrong(
                        "store.kind",
                        "a store in memory cannot be shared by the nodes of a bus; use fs or s3",
                    );
                }
                StoreSettings::Memory
            }
            _ => StoreSettings::Fs {
                path: path.unwrap_or_else(|| data_dir.join("store")),
            },
        }
    }

    /// A secret that is typed, or alone in a file.
    fn secret(&mut self, key: &str, file_key: &str) -> Option<Secret> {
        let (typed, _) = self.text(key);
        let (file, _) = self.text(file_key);
        match (typed.is_empty(), file.is_empty()) {
            (true, true) => None,
            (false, true) => Some(Secret::new(typed)),
            (false, false) => {
                self.wrong(file_key, &format!("`{key}` is set too; keep one of them"));
                None
            }
            (true, false) => match fs::read_to_string(&file) {
                Ok(text) if !text.trim().is_empty() => Some(Secret::new(text.trim().to_owned())),
                Ok(_) => {
                    let what = "the file is empty; write the secret into it";
                    self.wrong(file_key, what);
                    None
                }
                Err(error) => {
                    let what =
                        format!("cannot be read ({error}); name a file that this user may read");
                    self.wrong(file_key, &what);
                    None
                }
            },
        }
    }

    fn signin(&mut self, data_dir: &std::path::Path) -> Option<SignInSettings> {
        let issuer = self.optional("signin.issuer", secure);
        let client_id = self.text("signin.client_id").0;
        let client_secret = self.secret("signin.client_secret", "signin.client_secret_file");
        let path = |text: &str| Ok(PathBuf::from(text));
        let ca_file = self.optional("signin.ca_file", path);
        let session_key_file = self.optional("signin.session_key_file", path);
        let session_idle = self.parsed("signin.session_idle", |t| duration(t, 60_000, 86_400_000));
        let session_max = self.parsed("signin.session_max", |t| duration(t, 60_000, 86_400_000));
        let command_line = self.parsed("signin.command_line", |t| duration(t, 60_000, 86_400_000));
        let scopes = self.parsed("signin.scopes", scopes);
        let required = self.parsed("signin.required", |text| {
            one_of(
                text,
                &[
                    ("auto", Required::ForCustomers),
                    ("false", Required::Never),
                    ("true", Required::Always),
                ],
            )
        });
        if self.text("signin.issuer").0.is_empty() {
            if required == Required::Always || !client_id.is_empty() {
                let what = "sign-in is set up and this is not; name the identity provider";
                self.wrong("signin.issuer", what);
            }
            return None;
        }
        if client_id.is_empty() {
            let what = "name what the identity provider calls this installation";
            self.wrong("signin.client_id", what);
        }
        if self.text("control.public_address").0.is_empty() {
            let what = "people sign in, and the provider must lead them back; write the address that their browsers use";
            self.wrong("control.public_address", what);
        }
        let home = self.optional("control.public_address", |text| {
            let home = secure(text.trim_end_matches('/'))?;
            let told = "people sign in, and cookies are for a whole host; leave the path out";
            home.has_no_path().then_some(home).ok_or(told.into())
        });
        Some(SignInSettings {
            issuer: issuer?,
            client_id,
            client_secret,
            scopes,
            ca_file,
            session_key_file: session_key_file.unwrap_or_else(|| data_dir.join("session.key")),
            session_idle,
            session_max,
            command_line,
            required,
            home: home?,
        })
    }

    fn bus(&mut self) -> BusSettings {
        let is_redis = self.parsed("bus.kind", |text| {
            one_of(text, &[("local", false), ("redis", true)])
        });
        let url = self.secret("bus.url", "bus.url_file");
        if !is_redis {
            return BusSettings::Local;
        }
        let schemes = ["redis://", "rediss://", "unix://", "redis+unix://"];
        let is_one = |url: &Secret| schemes.iter().any(|scheme| url.0.starts_with(scheme));
        let is_told = self.problems.iter().any(|p| p.key == "bus.url_file");
        if !url.as_ref().is_some_and(is_one) && !is_told {
            let from_file = !self.text("bus.url_file").0.is_empty();
            let key = if from_file { "bus.url_file" } else { "bus.url" };
            self.wrong(
                key,
                "`bus.kind` is redis and this is not an address of one; write redis://host:port",
            );
        }
        BusSettings::Redis {
            url: url.unwrap_or_else(|| Secret::new(String::new())),
        }
    }

    fn node(&mut self) -> NodeSettings {
        NodeSettings {
            name: self
                .optional("node.name", |text| {
                    if huidu_core::name::is_name(text) {
                        Ok(text.to_owned())
                    } else {
                        Err("use 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit".into())
                    }
                })
                .unwrap_or_else(machine_name),
            tick: self.parsed("node.tick", |text| duration(text, 50, 60_000)),
            drain: self.parsed("node.drain", |text| duration(text, 0, 600_000)),
            checkpoint_every: self.parsed("node.checkpoint_every", |text| whole(text, 1, 100_000)),
            private_address: self.optional("node.private_address", url),
            peers: self.list("node.peers", url),
            peers_ca_file: self.optional("node.peers_ca_file", |text| Ok(PathBuf::from(text))),
        }
    }

    fn bundles(&mut self) -> BundleSettings {
        let bundles = BundleSettings {
            packed_max: self.parsed("bundles.packed_max", |text| {
                size(text, 1, limits::BUNDLE_BYTES)
            }),
            unpacked_max: self.parsed("bundles.unpacked_max", |text| size(text, 1, 4 << 30)),
            memory: self.parsed("bundles.memory", |text| size(text, 0, 1 << 40)),
            disk: self.parsed("bundles.disk", |text| size(text, 0, 1 << 50)),
        };
        if bundles.unpacked_max < bundles.packed_max {
            self.wrong(
                "bundles.unpacked_max",
                "is smaller than `bundles.packed_max`; a bundle does not shrink by unpacking",
            );
        }
        bundles
    }

    /// The text of a setting; a list is joined by commas.
    fn text(&self, path: &str) -> (String, Origin) {
        let Some(key) = keys::find(path) else {
            return (String::new(), Origin::Default);
        };
        match self.raw.get(key) {
            (Value::Text(text), origin) => (text, origin),
            (Value::List(texts), origin) => (texts.join(","), origin),
        }
    }

    fn filled(&mut self, path: &'static str) -> String {
        self.parsed(path, |text| {
            if text.is_empty() {
                Err("is empty; write a value or leave the setting out".into())
            } else {
                Ok(text.to_owned())
            }
        })
    }

    fn parsed<T>(&mut self, path: &str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        match parse(&self.text(path).0) {
            Ok(value) => value,
            Err(what) => {
                self.wrong(path, &what);
                self.default_of(path, parse)
            }
        }
    }

    #[expect(clippy::panic, reason = "a test reads every default")]
    fn default_of<T>(&self, path: &str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        keys::find(path)
            .and_then(|key| parse(key.default).ok())
            .unwrap_or_else(|| panic!("`{path}` has no default that is right"))
    }

    fn optional<T>(&mut self, path: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let (text, _) = self.text(path);
        if text.is_empty() {
            return None;
        }
        parse(&text).map_err(|what| self.wrong(path, &what)).ok()
    }

    fn list(&mut self, path: &str, parse: impl Fn(&str) -> Result<String, String>) -> Vec<String> {
        let (text, _) = self.text(path);
        let mut read = Vec::new();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            match parse(part) {
                Ok(value) => read.push(value),
                Err(what) => self.wrong(path, &what),
            }
        }
        read
    }

    fn wrong(&mut self, path: &str, what: &str) {
        let (text, origin) = self.text(path);
        let is_secret = keys::find(path).is_some_and(|key| key.secret);
        self.problems.push(Problem {
            origin,
            key: path.to_owned(),
            given: (!is_secret && !text.is_empty()).then_some(text),
            what: what.to_owned(),
        });
    }
}

fn machine_name() -> String {
    let typed = fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name = typed.trim().to_ascii_lowercase();
    if huidu_core::name::is_name(&name) {
        name
    } else {
        "node".into()
    }
}
