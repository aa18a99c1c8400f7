//! The real binary on a directory, as a process: started, polled, weighed and ended.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{data, wire::Wire};

/// How long a start may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running node; killed when dropped.
pub(crate) struct Node {
    child: Child,
    pub(crate) device: SocketAddr,
    pub(crate) control: SocketAddr,
    /// From the exec to the first correct poll.
    pub(crate) started_in: Duration,
}

/// Where it runs: on one core, or wherever the system puts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cores {
    One,
    All,
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

impl Node {
    /// Starts `program` on `dir`, and waits until `is_up`.
    pub(crate) fn start(program: &Path, dir: &Path, cores: Cores, app: Option<&str>) -> Self {
        let (device, control) = (free_port(), free_port());
        let log = fs::File::create(dir.join("node.log")).unwrap();
        let mut command = match cores {
            Cores::One => {
                let mut command = Command::new("taskset");
                command.args(["-c", "0"]).arg(program);
                command
            }
            Cores::All => Command::new(program),
        };
        command
            .args(["serve", "--review", "skipped", "--audience", "bank/prod"])
            .args(["--log-level", "warn"])
            .arg("--data-dir")
            .arg(dir)
            .args(["--device-listen", &device.to_string()])
            .args(["--control-listen", &control.to_string()])
            .args(["--set", "device.cores=1"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let begun = Instant::now();
        let child = command.spawn().unwrap();
        let mut node = Self {
            child,
            device,
            control,
            started_in: Duration::ZERO,
        };
        while !node.is_up(app) {
            assert!(
                begun.elapsed() < PATIENCE && node.child.try_wait().unwrap().is_none(),
                "the node did not start: {}",
                fs::read_to_string(dir.join("node.log")).unwrap()
            );
            std::thread::sleep(Duration::from_micros(500));
        }
        node.started_in = begun.elapsed();
        node
    }

    /// True when it answers a poll of `app` with what the app's rollout says; without an app, when ready.
    fn is_up(&self, app: Option<&str>) -> bool {
        let path = app.map_or_else(|| "/readyz".to_owned(), poll_path);
        let Ok(mut wire) = Wire::connect(self.device) else {
            return false;
        };
        let reply = wire.get(&path);
        match app {
            _ if reply.status != 200 => false,
            Some(app) => {
                let body = String::from_utf8(reply.body).unwrap();
                assert!(
                    body.contains(app) && body.contains(r#""version":"1.0.0""#),
                    "a wrong answer: {body}"
                );
                true
            }
            None => true,
        }
    }

    /// A field of the process's status in KiB, such as `VmRSS`.
    pub(crate) fn memory_kib(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        let kib = line.split_whitespace().nth(1).unwrap();
        kib.parse().unwrap()
    }

    /// The value of one sample of its metrics; 0 while there is none.
    pub(crate) fn metric(&self, sample: &str) -> f64 {
        let reply = Wire::connect(self.control).unwrap().get("/metrics");
        let text = String::from_utf8(reply.body).unwrap();
        let prefix = format!("{sample} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&prefix));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Seconds of processor time it has used.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        ticks as f64 / 100.0
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(mut self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

/// A device's poll of `app`, of nobody that a rule takes.
pub(crate) fn poll_path(app: &str) -> String {
    format!(
        "/v1/manifest/{}/{app}?v=1&u=device-4711&p=android",
        data::HOST
    )
}

/// A directory with a filled store, made when there is none.
pub(crate) fn installation(program: &Path, root: &Path, size: data::Size) -> PathBuf {
    let shape = if size.in_one_piece { 1 } else { 2 };
    let name = format!("{}x{}x{}-{shape}", size.apps, size.versions, size.rules);
    let dir = root.join(name);
    if dir.join("filled").exists() {
        return dir;
    }
    let _of_an_earlier_try = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    Node::start(program, &dir, Cores::All, None).end();
    data::fill(&dir, size);
    fs::write(dir.join("filled"), "").unwrap();
    dir
}
