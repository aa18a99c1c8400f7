//! huidu itself, as people run it: processes of the real binary, one of them on a directory or several on
//! a real S3 and a real Redis.
//!
//! Ready means that `/readyz` said so. Everything a cluster keeps lies in one temporary directory, and all
//! of its processes end with whoever started them.

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use huidu::{
    client::control::Control,
    settings::Secret,
    store::{
        Store,
        fs::FsStore,
        s3::{S3Settings, S3Store},
    },
};
use tempfile::TempDir;

use super::{
    components::{Leash, PATIENCE, Redis, Weed, free_ports},
    wire::Wire,
};

/// What a cluster stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// One node on a directory.
    Embedded,
    /// Three nodes on SeaweedFS and Redis.
    S3Redis,
}

/// Running nodes of one installation.
pub struct Cluster {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Redis, where there is one.
    pub redis: Option<Redis>,
    /// SeaweedFS, where there is one.
    pub weed: Option<Weed>,
    s3: Option<S3Settings>,
    token: String,
    dir: TempDir,
}

/// One node.
pub struct Node {
    /// The public port.
    pub device: SocketAddr,
    /// The private port.
    pub control: SocketAddr,
    /// Its own directory.
    pub dir: PathBuf,
    /// What it is started by, such as `env NAME=value`; it must become huidu itself and not stay its parent.
    pub started_by: Vec<String>,
    program: PathBuf,
    leash: Option<Leash>,
}

impl Cluster {
    /// Starts a cluster of `program`, the path of the huidu binary. `device` is TOML for that table of
    /// every node's settings.
    pub fn start(program: &Path, backing: Backing, device: &str) -> Self {
        let mut cluster = Self::unstarted(program, backing, device);
        cluster.found();
        cluster
    }

    /// Starts its nodes for the first time. The first one founds the installation, and says so once.
    pub fn found(&mut self) {
        self.nodes.iter_mut().for_each(Node::start_again);
        let token = fs::read_to_string(self.nodes[0].dir.join("admin.token")).unwrap();
        self.token = token.trim().to_owned();
    }

    /// Kills all of its nodes and starts them again, all at once.
    pub fn restart(&mut self) {
        std::thread::scope(|scope| {
            for node in &mut self.nodes {
                scope.spawn(|| node.start_again());
            }
        });
    }

    /// The same, before any of its nodes was ever started; nobody has a credential yet.
    pub fn unstarted(program: &Path, backing: Backing, device: &str) -> Self {
        let (weed, redis, count) = match backing {
            Backing::Embedded => (None, None, 1),
            Backing::S3Redis => (Some(Weed::start()), Some(Redis::start()), 3),
        };
        let dir = TempDir::new().unwrap();
        let s3 = weed.as_ref().map(Weed::settings);
        let key = format!("{:064x}\n", fastrand::u128(1..));
        let node = |n| {
            let [device_port, control_port] =
                free_ports().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
            let at = dir.path().join(format!("node-{n}"));
            fs::create_dir_all(&at).unwrap();
            // Nodes of one installation stamp with one key.
            fs::write(at.join("online.key"), &key).unwrap();
            fs::write(at.join("log.key"), &key).unwrap();
            let node = Node {
                device: device_port,
                control: control_port,
                dir: at,
                started_by: Vec::new(),
                program: program.to_owned(),
                leash: None,
            };
            let settings = settings(&node, n, s3.as_ref(), redis.as_ref(), device);
            fs::write(node.dir.join("huidu.toml"), settings).unwrap();
            node
        };
        Self {
            nodes: (0..count).map(node).collect(),
            redis,
            weed,
            s3,
            token: String::new(),
            dir,
        }
    }

    /// Its store, seen from outside. One on a directory must have ended before.
    pub fn store(&self) -> Arc<dyn Store> {
        match &self.s3 {
            Some(s3) => Arc::new(S3Store::new(s3.clone())),
            None => Arc::new(FsStore::open(self.nodes[0].dir.join("store")).unwrap()),
        }
    }

    /// The administrator's credential.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Its directory, for what a test keeps beside the nodes.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The control plane of a node, as the administrator sees it.
    pub fn control(&self, node: usize) -> Control {
        self.control_as(node, &self.token)
    }

    /// The control plane of a node, as the holder of `token` sees it.
    pub fn control_as(&self, node: usize, token: &str) -> Control {
        let token = Secret::new(token.to_owned());
        Control::new(&self.nodes[node].control_url(), Some(token)).unwrap()
    }
}

impl Node {
    /// `http://…` of the public port.
    pub fn device_url(&self) -> String {
        format!("http://{}", self.device)
    }

    /// `http://…` of the private port.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control)
    }

    /// A connection to the public port.
    pub fn wire(&self) -> Wire {
        Wire::connect(self.device).unwrap()
    }

    /// Kills it without warning.
    pub fn kill(&mut self) {
        self.leash = None;
    }

    /// Asks it to end, and waits until it has.
    pub fn terminate(&mut self) {
        if let Some(leash) = self.leash.take() {
            leash.signal("TERM");
            leash.wait("the end of huidu", || leash.has_ended());
        }
    }

    /// Starts it, or starts it again on what it kept, and waits until it is ready.
    pub fn start_again(&mut self) {
        self.launch();
        let leash = self.leash.as_ref().unwrap();
        let (device, dir) = (self.device, self.dir.clone());
        leash.wait("huidu", || {
            assert!(
                !has_exited(leash, &dir),
                "huidu ended: {}",
                fs::read_to_string(dir.join("huidu.log")).unwrap_or_default()
            );
            is_ready(device)
        });
    }

    /// Starts it without waiting.
    pub fn launch(&mut self) {
        self.kill();
        let settings = self.dir.join("huidu.toml").display().to_string();
        let program = self.program.display().to_string();
        let args = [program, "serve".into(), "--config".into(), settings];
        let mut words = self.started_by.iter().cloned().chain(args);
        let first = PathBuf::from(words.next().unwrap());
        let rest: Vec<String> = words.collect();
        self.leash = Some(Leash::start(&first, &rest, &self.dir.join("huidu.log")));
    }

    /// Stops it where it stands, until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.leash.as_ref().unwrap().signal("STOP");
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        let pid = fs::read_to_string(self.dir.join("huidu.pid")).unwrap();
        pid.trim().parse().unwrap()
    }

    /// Bytes of memory it holds, as the kernel counts them.
    pub fn resident_bytes(&self) -> u64 {
        let pid = fs::read_to_string(self.dir.join("huidu.pid")).unwrap();
        let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() << 10
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.leash.as_ref().unwrap().signal("CONT");
    }

    /// Leads it to its store by another way, from its next start on.
    pub fn reroute(&self, from: &str, to: &str) {
        let path = self.dir.join("huidu.toml");
        let settings = fs::read_to_string(&path).unwrap();
        assert!(settings.contains(from), "{from} is not in the settings");
        fs::write(path, settings.replace(from, to)).unwrap();
    }

    /// From its next start on it listens on all addresses, so it does not say where it is: nobody learns of it.
    pub fn hides(&self) {
        let everywhere = SocketAddr::from(([0, 0, 0, 0], self.control.port()));
        let listens = |at| format!("[control]\nlisten = \"{at}\"");
        self.reroute(&listens(self.control), &listens(everywhere));
    }

    /// Processor time it has used, in steps of 10 ms.
    pub fn cpu(&self) -> Duration {
        let pid = fs::read_to_string(self.dir.join("huidu.pid")).unwrap();
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        let ticks: u64 = fields[11..=12]
            .iter()
            .map(|field| field.parse::<u64>().unwrap())
            .sum();
        Duration::from_millis(ticks * 10)
    }

    /// Adds a line to the table `node` of its settings, for its next start.
    pub fn set(&self, line: &str) {
        let settings = self.dir.join("huidu.toml");
        let mut file = fs::File::options().append(true).open(settings).unwrap();
        writeln!(file, "{line}").unwrap();
    }

    /// Files that only a crash leaves behind: uploads half received, objects written and never named.
    pub fn litter(&self) -> Vec<String> {
        let mut folders = vec![self.dir.join("store"), self.dir.join("last-known-good")];
        let spool = fs::read_dir(self.dir.join("spool")).unwrap();
        let mut left: Vec<_> = spool.map(|entry| entry.unwrap().path()).collect();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                let is_aside = |name: &OsStr| name.to_string_lossy().starts_with('.');
                if path.is_dir() {
                    folders.push(path);
                } else if path.file_name().is_some_and(is_aside) {
                    left.push(path);
                }
            }
        }
        left.iter().map(|path| path.display().to_string()).collect()
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("huidu.log")).unwrap()
    }
}

fn has_exited(leash: &Leash, dir: &Path) -> bool {
    // Before the pid is known it cannot have ended.
    dir.join("huidu.pid").exists() && leash.has_ended()
}

fn is_ready(device: SocketAddr) -> bool {
    let asked = Wire::connect(device).and_then(|mut wire| wire.get("/readyz", &[]));
    asked.is_ok_and(|reply| reply.status == 200)
}

fn settings(
    node: &Node,
    n: usize,
    s3: Option<&S3Settings>,
    redis: Option<&Redis>,
    device_table: &str,
) -> String {
    let store = s3.map_or_else(
        || "kind = \"fs\"".to_owned(),
        |s3| {
            format!(
                "kind = \"s3\"\nendpoints = [\"{}\"]\nbucket = \"{}\"\nprefix = \"{}\"\n\
                 access_key = \"{}\"\nsecret_key = \"{}\"",
                s3.endpoint, s3.bucket, s3.prefix, s3.access_key, s3.secret_key
            )
        },
    );
    let bus = redis.map_or_else(
        || "kind = \"local\"".to_owned(),
        |redis| format!("kind = \"redis\"\nurl = \"{}\"", redis.url()),
    );
    let Node {
        device,
        control,
        dir,
        ..
    } = node;
    // The table of the node comes last, so that `set` can add to it.
    format!(
        "data_dir = \"{}\"\nreview = \"skipped\"\n\
         [device]\nlisten = \"{device}\"\n{device_table}\n[control]\nlisten = \"{control}\"\n\
         [store]\n{store}\n[bus]\n{bus}\n[node]\nname = \"node-{n}\"\ndrain = \"0s\"\n",
        dir.display()
    )
}

/// Waits until `done`, and panics with `what` when it is not done in time.
pub fn until(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let since = Instant::now();
    while !done() {
        assert!(
            since.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    since.elapsed()
}
