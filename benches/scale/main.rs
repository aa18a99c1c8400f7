//! What do 10 000 apps of 100 versions cost a node: to start, to hold, and to change while it is polled?
//!
//! `cargo run --release --example scale` fills a directory with such an installation, starts the real binary
//! on it and prints one line `row {…}` for each bar. `--growth FILE` goes through smaller installations too
//! and writes what each costs as JSON. Nothing here is measured inside this process but the polls' latency.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first surprise"
)]

mod data;
mod load;
mod node;
mod wire;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use clap::Parser;
use serde_json::{Value, json};

use self::{
    data::Size,
    load::Client,
    node::{Cores, Node, installation},
};

/// What do many apps cost?
#[derive(Debug, Parser)]
struct Args {
    /// Apps
    #[arg(long, default_value_t = 10_000)]
    apps: usize,
    /// Versions of each
    #[arg(long, default_value_t = 100)]
    versions: usize,
    /// Rules of each rollout
    #[arg(long, default_value_t = 5)]
    rules: usize,
    /// Rounds of each kind
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of a round
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Polls a second
    #[arg(long, default_value_t = 1_000)]
    polls: u32,
    /// Changes a second
    #[arg(long, default_value_t = 50)]
    changes: u32,
    /// The binary
    #[arg(long, default_value = "target/release/huidu")]
    program: PathBuf,
    /// Where installations are kept between runs
    #[arg(long, default_value = "target/scale")]
    dir: PathBuf,
    /// Where growth against the number of apps and versions is written, as JSON
    #[arg(long)]
    growth: Option<PathBuf>,
    /// Begins from a checkpoint in one piece, as earlier builds wrote it
    #[arg(long)]
    in_one_piece: bool,
    /// Only how it starts and what it holds
    #[arg(long)]
    start_only: bool,
}

fn main() {
    let args = Args::parse();
    fs::create_dir_all(&args.dir).unwrap();
    if let Some(file) = &args.growth {
        return growth(&args, file);
    }
    let size = Size {
        apps: args.apps,
        versions: args.versions,
        rules: args.rules,
        in_one_piece: args.in_one_piece,
    };
    let dir = installation(&args.program, &args.dir, size);
    let starts = starts(&args, &dir, size);
    starts.say(size);
    if !args.start_only {
        changes(&args, &dir, size).say();
    }
}

/// The middle of what was seen, and half of what lies between its quarters as a part of it.
fn middle(all: &[f64]) -> (f64, f64) {
    let mut all = all.to_vec();
    all.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| all[((all.len() - 1) as f64 * part).round() as usize];
    let middle = at(0.5);
    (
        middle,
        (at(0.75) - at(0.25)) / 2.0 / middle.max(f64::MIN_POSITIVE),
    )
}

fn row(work: &str, reference: &str, seen: &[f64], bar: &str, most: f64) {
    let (ratio, spread) = middle(seen);
    let rounded = |value: f64| (value * 1e4).round() / 1e4;
    let row = json!({
        "work": work, "reference": reference, "ratio": rounded(ratio), "spread": rounded(spread),
        "bar": bar, "holds": ratio <= most,
    });
    println!("row {row}");
}

/// How it starts and what it holds.
#[derive(Default)]
struct Starts {
    seconds: Vec<f64>,
    seconds_on_one_core: Vec<f64>,
    cpu: Vec<f64>,
    resident: Vec<f64>,
    peak: Vec<f64>,
}

const GIB: f64 = 1024.0 * 1024.0;

fn starts(args: &Args, dir: &Path, size: Size) -> Starts {
    let mut starts = Starts::default();
    for round in 0..args.rounds {
        let app = data::app_name((size.apps - 1) * (round + 1) / args.rounds);
        let node = Node::start(&args.program, dir, Cores::All, Some(&app));
        starts.seconds.push(node.started_in.as_secs_f64());
        starts.cpu.push(node.cpu_seconds());
        starts.resident.push(node.memory_kib("VmRSS") as f64 / GIB);
        starts.peak.push(node.memory_kib("VmHWM") as f64 / GIB);
        node.end();
        let node = Node::start(&args.program, dir, Cores::One, Some(&app));
        starts
            .seconds_on_one_core
            .push(node.started_in.as_secs_f64());
        node.end();
    }
    starts
}

impl Starts {
    fn say(&self, size: Size) {
        let on_one = middle(&self.seconds_on_one_core);
        println!(
            "started in {:.2} s (on one core {:.2} s), {:.2} s of processor time; {:.2} GiB resident, {:.2} at most",
            middle(&self.seconds).0,
            on_one.0,
            middle(&self.cpu).0,
            middle(&self.resident).0,
            middle(&self.peak).0
        );
        let of_one: Vec<f64> = self
            .resident
            .iter()
            .map(|gib| gib * GIB / size.apps as f64)
            .collect();
        row(
            "start from checkpoint",
            "seconds, both cores",
            &self.seconds,
            "<=3 s",
            3.0,
        );
        row(
            "start from checkpoint on one core",
            "seconds, one core",
            &self.seconds_on_one_core,
            "none",
            f64::MAX,
        );
        row(
            "resident memory",
            "GiB of VmRSS",
            &self.resident,
            "<=1.5 GiB",
            1.5,
        );
        row(
            "memory per app",
            "KiB of VmRSS",
            &of_one,
            "stated",
            f64::MAX,
        );
        row(
            "most memory while starting",
            "GiB of VmHWM",
            &self.peak,
            "none",
            f64::MAX,
        );
    }
}

/// What changes cost, and whom.
#[derive(Default)]
struct Changes {
    applied_ms: Vec<f64>,
    change_ms: Vec<f64>,
    ratios: Vec<f64>,
    idle_us: Vec<f64>,
    busy_us: Vec<f64>,
    within_bar: f64,
    late: usize,
}

/// Puts this process on the core that the node does not have.
fn step_aside() {
    let pid = std::process::id().to_string();
    let moved = Command::new("taskset")
        .args(["-acp", "1", &pid])
        .output()
        .unwrap();
    assert!(moved.status.success(), "this needs two cores and `taskset`");
}

fn changes(args: &Args, dir: &Path, size: Size) -> Changes {
    // The directory keeps its records: every run would start on a longer ledger.
    let copy = dir.with_extension("run");
    let _of_an_earlier_run = fs::remove_dir_all(&copy);
    let copied = Command::new("cp")
        .arg("-r")
        .arg(dir)
        .arg(&copy)
        .status()
        .unwrap();
    assert!(copied.success());
    let token = fs::read_to_string(copy.join("admin.token")).unwrap();
    let app = data::app_name(0);
    let node = Node::start(&args.program, &copy, Cores::One, Some(&app));
    step_aside();
    let mut client = Client::new(&node, token.trim(), size.apps);
    let long = Duration::from_secs(args.seconds);
    client.round(long / 2, args.polls, args.changes);
    let mut seen = Changes::default();
    let applied = |node: &Node| {
        let of = |suffix| node.metric(&format!("huidu_apply_seconds{suffix}"));
        (of("_sum"), of("_count"), of("_bucket{le=\"0.005\"}"))
    };
    let first = applied(&node);
    for _ in 0..args.rounds {
        let mut idle = client.round(long, args.polls, 0);
        let (sum, count, _) = applied(&node);
        let mut busy = client.round(long, args.polls, args.changes);
        let (more_sum, more_count, _) = applied(&node);
        seen.applied_ms
            .push((more_sum - sum) / (more_count - count) * 1e3);
        seen.change_ms.push(busy.change(50.0).as_secs_f64() * 1e3);
        seen.late += busy.late;
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (made, late) = (busy.changes.len(), busy.late);
        println!(
            "idle p50 {:.0} p99 {:.0} µs; {} changes, p50 {:.2} p99 {:.2} ms, {} late, apply {:.3} ms; polls p50 {:.0} p99 {:.0} p99.9 {:.0} µs",
            us(idle.poll(50.0)),
            us(idle.poll(99.0)),
            made,
            ms(busy.change(50.0)),
            ms(busy.change(99.0)),
            late,
            seen.applied_ms.last().unwrap(),
            us(busy.poll(50.0)),
            us(busy.poll(99.0)),
            us(busy.poll(99.9))
        );
        seen.ratios.push(us(busy.poll(99.0)) / us(idle.poll(99.0)));
        seen.idle_us.push(us(idle.poll(50.0)));
        seen.busy_us.push(us(busy.poll(50.0)));
    }
    let last = applied(&node);
    seen.within_bar = (last.2 - first.2) / (last.1 - first.1);
    println!(
        "resident after the changes: {:.2} GiB",
        node.memory_kib("VmRSS") as f64 / GIB
    );
    node.end();
    fs::remove_dir_all(&copy).unwrap();
    seen
}

impl Changes {
    fn say(&self) {
        println!(
            "{:.1} % of changes were served within 5 ms of being known; {} came late",
            self.within_bar * 100.0,
            self.late
        );
        row(
            "apply one change at 10000x100",
            "milliseconds, known to served",
            &self.applied_ms,
            "<=5 ms",
            5.0,
        );
        row(
            "change over the control plane",
            "milliseconds, request to answer, median",
            &self.change_ms,
            "none",
            f64::MAX,
        );
        row(
            "poll p99 during 50 changes/s / idle",
            "p99 of the same polls without changes",
            &self.ratios,
            "<=1.5",
            1.5,
        );
    }
}

/// What installations of several sizes cost.
fn growth(args: &Args, file: &Path) {
    let sizes = [100, 1_000, 3_000, 10_000].map(|apps| (apps, 100));
    let more = [1, 10, 30].map(|versions| (1_000, versions));
    let mut rows: Vec<Value> = Vec::new();
    for (apps, versions) in sizes.into_iter().chain(more) {
        let (rules, in_one_piece) = (args.rules, args.in_one_piece);
        let size = Size {
            apps,
            versions,
            rules,
            in_one_piece,
        };
        let dir = installation(&args.program, &args.dir, size);
        let starts = starts(args, &dir, size);
        let changes = changes(args, &dir, size);
        let resident_mib = middle(&starts.resident).0 * 1024.0;
        rows.push(json!({
            "apps": apps, "versions": versions, "rules": args.rules,
            "start_s": middle(&starts.seconds).0,
            "start_one_core_s": middle(&starts.seconds_on_one_core).0,
            "resident_mib": resident_mib,
            "apply_ms": middle(&changes.applied_ms).0,
            "poll_us": middle(&changes.idle_us).0,
            "poll_during_changes_us": middle(&changes.busy_us).0,
            "p99_ratio": middle(&changes.ratios).0,
        }));
        println!("growth {}", rows.last().unwrap());
    }
    fs::write(file, serde_json::to_vec_pretty(&rows).unwrap()).unwrap();
}
