//! A disk that is full, and one that does not sync: one node on a directory, where the disk is the truth.
//!
//! The full disk is a small tmpfs in a mount namespace of its own (`unshare -m`), so that nothing else of the
//! machine sees it and it goes with the process that made it. Failing syncs are put under the running node by
//! strace (`-e inject=fsync,fdatasync:error=EIO`), which leaves it when it ends. In both cases phones must
//! notice nothing, changes must end as refused or unknown and never as a false success, and what was
//! acknowledged must be there after kill -9.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::{
    fleet::settle,
    load::{Load, Poll},
    scenes::Campaign,
    support::{
        components::{Leash, find},
        server::{Backing, Cluster, until},
        wire::send,
    },
    table::Bar,
};

const STRACE_MISSING: &str =
    "`strace` is missing; run: apt-get install -y --no-install-recommends strace";
const UNSHARE_MISSING: &str =
    "`unshare` is missing; run: apt-get install -y --no-install-recommends util-linux";
/// Polls a second: enough to see one that fails, few enough to be no load.
const POLLS: f64 = 100.0;

/// One node on a directory, with an app for each change that is asked for.
struct Lone {
    cluster: Cluster,
    token: String,
    hosts: usize,
    /// Hosts that were added, as far as somebody was told.
    acknowledged: Vec<String>,
    /// Those of which somebody was told that they were not.
    refused: Vec<String>,
}

/// Both disks.
pub(crate) fn all(campaign: &mut Campaign) {
    full(campaign);
    unsynced(campaign);
}

/// Fills the disk, asks for changes, empties it, and kills the node.
fn full(campaign: &mut Campaign) {
    let disk = SmallDisk::mount();
    let mut lone = Lone::start(Some(&disk));
    let load = lone.polls();
    lone.add(5);
    let filler = disk.fill();
    let before = lone.acknowledged.len();
    lone.add(1);
    let done_while_full = lone.acknowledged.len() - before;
    fs::remove_file(filler).unwrap();
    until("there is space again, and changes are made", || {
        let before = lone.acknowledged.len();
        lone.add(1);
        lone.acknowledged.len() > before
    });
    let polls = load.take();
    drop(load);
    lone.cluster.nodes[0].kill();
    lone.cluster.nodes[0].start_again();
    campaign.say(
        "changes made although the disk was full",
        done_while_full as f64,
        Bar::Told,
    );
    lone.told(campaign, "the disk is full", &polls);
}

/// Lets every sync fail, asks for changes, lets go, and kills the node.
fn unsynced(campaign: &mut Campaign) {
    let mut lone = Lone::start(None);
    let load = lone.polls();
    lone.add(5);
    let strace = lone.fails_to_sync();
    let before = lone.acknowledged.len();
    lone.add(1);
    let false_successes = (lone.acknowledged.len() - before) as f64;
    drop(strace);
    // The disk is well again, and what the kernel threw away is not known: no more writes before a start.
    lone.add(1);
    let before_the_start = (lone.acknowledged.len() - before) as f64 - false_successes;
    let polls = load.take();
    drop(load);
    lone.cluster.nodes[0].kill();
    lone.cluster.nodes[0].start_again();
    lone.add(2);
    let name = "changes acknowledged although nothing was synced";
    campaign.say(name, false_successes, Bar::AtMost(0.0));
    let name = "changes made after a failed sync and before a start";
    campaign.say(name, before_the_start, Bar::AtMost(0.0));
    lone.told(campaign, "syncs fail", &polls);
}

impl Lone {
    fn start(disk: Option<&SmallDisk>) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_huidu"));
        let mut cluster = Cluster::unstarted(program, Backing::Embedded, "");
        if let Some(disk) = disk {
            let node = &mut cluster.nodes[0];
            node.started_by = disk.inside();
            let dir = node.dir.display().to_string();
            let at = disk.seen().join("node");
            fs::create_dir_all(&at).unwrap();
            node.reroute(
                &format!("data_dir = \"{dir}\""),
                &format!("data_dir = \"{}\"", disk.at().join("node").display()),
            );
        }
        cluster.nodes[0].start_again();
        let data = disk.map_or_else(
            || cluster.nodes[0].dir.clone(),
            |disk| disk.seen().join("node"),
        );
        let token = fs::read_to_string(data.join("admin.token")).unwrap();
        Self {
            cluster,
            token: token.trim().to_owned(),
            hosts: 0,
            acknowledged: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Phones that poll.
    fn polls(&self) -> Load {
        let node = &self.cluster.nodes[0];
        let (targets, _) = settle(node.control, &self.token, &["pingan/lone".to_owned()]);
        Load::start(&[node.device], &targets, Some(POLLS))
    }

    /// Asks for so many hosts to be added.
    fn add(&mut self, count: usize) {
        for _ in 0..count {
            self.hosts += 1;
            let host = format!("host-{}", self.hosts);
            let headers = [("content-type", "application/json")];
            let body = json!({"host": host}).to_string();
            let to = self.cluster.nodes[0].control;
            let reply = send(
                to,
                &self.token,
                "POST",
                "/api/v1/hosts",
                &headers,
                body.as_bytes(),
            );
            match reply.unwrap().status {
                201 => self.acknowledged.push(host),
                503 => self.refused.push(host),
                202 => {}
                status => panic!("a change was answered {status}"),
            }
        }
    }

    /// The hosts there are.
    fn there(&self) -> String {
        let to = self.cluster.nodes[0].control;
        send(to, &self.token, "GET", "/api/v1/hosts", &[], b"")
            .unwrap()
            .text()
    }

    /// Puts a strace under the running node that fails every sync, and waits until it does.
    fn fails_to_sync(&self) -> Leash {
        let strace = find("strace", STRACE_MISSING);
        let log = self.cluster.path().join("strace.log");
        let pid = self.cluster.nodes[0].pid().to_string();
        let args = [
            "-f",
            "-p",
            &pid,
            "-e",
            "trace=fsync,fdatasync",
            "-e",
            "inject=fsync,fdatasync:error=EIO",
        ];
        let leash = Leash::start(&strace, &args.map(str::to_owned), &log);
        leash.wait("strace", || {
            fs::read_to_string(&log).is_ok_and(|said| said.contains("attached"))
        });
        leash
    }

    /// What was acknowledged is there, what was refused is not, and phones noticed nothing.
    fn told(&self, campaign: &mut Campaign, name: &str, polls: &[Poll]) {
        let there = self.there();
        let is_there = |host: &&String| there.contains(&format!("\"{host}\""));
        let lost = self
            .acknowledged
            .iter()
            .filter(|host| !is_there(host))
            .count();
        let false_failures = self.refused.iter().filter(is_there).count();
        let failing: Vec<_> = polls
            .iter()
            .filter_map(|poll| poll.told.as_ref().err())
            .collect();
        if let Some(why) = failing.first() {
            println!("{name}: a poll failed: {why}");
        }
        let bar = Bar::AtMost(0.0);
        campaign.say(
            format!("acknowledged changes lost, {name}"),
            lost as f64,
            bar,
        );
        campaign.say(
            format!("false failures, {name}"),
            false_failures as f64,
            bar,
        );
        campaign.say(
            format!("changes not acknowledged, {name}"),
            (self.hosts - self.acknowledged.len()) as f64,
            Bar::AtLeast(1.0),
        );
        campaign.say(format!("polls failing, {name}"), failing.len() as f64, bar);
    }
}

/// A file system of a few MiB that only those see who are let in.
struct SmallDisk {
    keeper: Leash,
    dir: tempfile::TempDir,
    pid: String,
}

impl SmallDisk {
    fn mount() -> Self {
        let unshare = find("unshare", UNSHARE_MISSING);
        let dir = tempfile::tempdir().unwrap();
        let (at, log) = (dir.path().join("disk"), dir.path().join("disk.log"));
        fs::create_dir(&at).unwrap();
        let script = format!(
            "mount -t tmpfs -o size=8m tmpfs '{}' && echo mounted && exec tail -f /dev/null",
            at.display()
        );
        // As root of the machine where we are, else as root of a namespace of our own.
        let mut args = vec!["-m".to_owned()];
        if !is_root() {
            args.push("-r".into());
        }
        args.extend(["sh", "-c", &script].map(str::to_owned));
        let keeper = Leash::start(&unshare, &args, &log);
        keeper.wait("a small disk", || {
            fs::read_to_string(&log).is_ok_and(|said| said.contains("mounted"))
        });
        let pid = fs::read_to_string(log.with_extension("pid")).unwrap();
        let pid = pid.trim().to_owned();
        Self { keeper, dir, pid }
    }

    /// What makes a command one of those who see it.
    fn inside(&self) -> Vec<String> {
        let mut words = vec!["nsenter".into(), "-t".into(), self.pid.clone(), "-m".into()];
        if !is_root() {
            words.extend(["-U".into(), "--preserve-credentials".into()]);
        }
        words
    }

    /// Where it is for those who see it.
    fn at(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// Where it is for us.
    fn seen(&self) -> PathBuf {
        let inside = self.at();
        let inside = inside.strip_prefix("/").unwrap();
        Path::new("/proc").join(&self.pid).join("root").join(inside)
    }

    /// Fills it to the last byte; answers the file that does.
    fn fill(&self) -> PathBuf {
        assert!(!self.keeper.has_ended(), "the small disk is gone");
        let path = self.seen().join("filler");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 16, 1 << 12, 1 << 8, 1] {
            let block = vec![0; size];
            while file.write_all(&block).is_ok() {}
        }
        path
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}
