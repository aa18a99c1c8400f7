//! The whole story on real packages, through the real ports of real processes: publish, 5 %, 50 %, a hotfix
//! over the running ramp, a kill, and ten thousand devices that obey; then a ramp that its guard stops.
//!
//! `make demo` runs it on one node with a directory, `make demo BACKING=s3+redis` on three nodes with
//! SeaweedFS and Redis; both end in the same table. Every figure is checked: a wrong one ends the demo
//! with an exit code of 1. `--stay` leaves everything running to play with.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a demo tells its story, and stops at the first surprise"
)]

mod guarded;
mod people;
mod table;

#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use huidu::client::{
    Patience,
    control::{Ask, Content, Control, Reply},
    device::{Device as Phone, DeviceConfig, Starter},
    profile::Profile,
    root::Root,
    uptime,
};
use huidu_core::{name::AppId, version::Number};
use serde_json::{Value, json};

use self::{
    people::{DEVICES, HOST, Has, People},
    support::{
        packages::{self, Package},
        server::{Backing, Cluster, until},
    },
    table::Table,
};

const SHOP: &str = "tdesign/gallery";
const MALL: &str = "vant/mall";
const STAFF: &str = "bank-staff";

const PACKAGES: [Package; 5] = [
    Package {
        name: "tdesign-miniprogram",
        version: "1.14.0",
    },
    Package {
        name: "tdesign-miniprogram",
        version: "1.15.3",
    },
    Package {
        name: "tdesign-miniprogram",
        version: "1.16.0",
    },
    Package {
        name: "@vant/weapp",
        version: "1.11.6",
    },
    Package {
        name: "@vant/weapp",
        version: "1.11.7",
    },
];

fn main() -> ExitCode {
    let mut backing = "embedded".to_owned();
    let mut stays = false;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--backing" => backing = args.next().unwrap_or_default(),
            "--stay" => stays = true,
            _ => return usage(),
        }
    }
    let backing = match backing.as_str() {
        "embedded" => Backing::Embedded,
        "s3+redis" => Backing::S3Redis,
        _ => return usage(),
    };
    let files = match packages::fetch(&PACKAGES, Path::new("target/demo/packages")) {
        Ok(files) => files,
        Err(why) => {
            eprintln!("demo: {why}");
            return ExitCode::FAILURE;
        }
    };
    let program = std::env::current_exe().unwrap();
    // The example lies in a folder beside the binary.
    let program = program.parent().unwrap().parent().unwrap().join("huidu");
    if !program.exists() {
        eprintln!(
            "demo: {} is missing; run: cargo build --release --bin huidu",
            program.display()
        );
        return ExitCode::FAILURE;
    }
    say(&match backing {
        Backing::Embedded => "starting one node on a directory".to_owned(),
        Backing::S3Redis => "starting SeaweedFS, Redis and three nodes".to_owned(),
    });
    let cluster = Cluster::start(&program, backing, "");
    let mut story = Story::new(&cluster, files);
    story.tell();
    let (text, digest) = story.table.text();
    println!("\n{text}\nsha256 of this table: {digest}");
    let wrong = story.table.wrong().to_vec();
    for what in &wrong {
        eprintln!("WRONG: {what}");
    }
    if !wrong.is_empty() {
        return ExitCode::FAILURE;
    }
    if stays {
        stay(&cluster, &program, story.people);
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: demo --backing embedded|s3+redis [--stay]");
    ExitCode::from(2)
}

fn say(what: &str) {
    println!("· {what}");
}

/// The story so far.
struct Story<'a> {
    cluster: &'a Cluster,
    admin: Control,
    nodes: Vec<SocketAddr>,
    files: Vec<PathBuf>,
    people: People,
    phone: Phone,
    table: Table,
}

impl<'a> Story<'a> {
    fn new(cluster: &'a Cluster, files: Vec<PathBuf>) -> Self {
        let people = People::new([SHOP, MALL]);
        let staff = people
            .devices
            .iter()
            .find(|device| device.is_staff)
            .unwrap();
        let server = cluster.nodes[0].device_url();
        let phone = Phone::open(DeviceConfig {
            root: Root::of_server(&server, "bank/dev").unwrap(),
            challenges: false,
            preview: None,
            patience: Patience::default(),
            server,
            dir: cluster.path().join("phone"),
            host: HOST.parse().unwrap(),
            apps: vec![SHOP.parse().unwrap()],
            profile: Profile {
                unit: staff.unit.clone(),
                region: staff.region.into(),
                ..Profile::default()
            },
        });
        Self {
            cluster,
            admin: cluster.control(0),
            nodes: cluster.nodes.iter().map(|node| node.device).collect(),
            files,
            people,
            phone: phone.unwrap(),
            table: Table::default(),
        }
    }

    fn tell(&mut self) {
        self.publish();
        self.five_percent();
        self.fifty_percent();
        self.hotfix();
        self.kill();
        self.guarded();
    }

    /// Asks for a change, made for whatever revision is there, and waits until every node serves it.
    fn change(&self, method: &'static str, path: &str, content: Content<'_>) -> Reply {
        let reply = self.ask(method, path, content);
        let revision = reply.document["revision"].as_u64().unwrap();
        for node in &self.cluster.nodes {
            let mut wire = node.wire();
            until("a node follows", || {
                let ready = wire.get("/readyz", &[]).unwrap().json();
                ready["revision"].as_u64() >= Some(revision)
            });
        }
        reply
    }

    fn ask(&self, method: &'static str, path: &str, content: Content<'_>) -> Reply {
        let ask = Ask {
            method,
            path: format!("/api/v1{path}"),
            content,
            if_match: Some("*".into()),
        };
        let reply = self.admin.change(&ask, &self.admin.op(), &|_| {});
        reply.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn publish(&mut self) {
        self.change(
            "POST",
            "/hosts",
            Content::Json(json!({"host": HOST, "title": "Retail bank"})),
        );
        let of = |is_mall: bool| -> Vec<(usize, &str)> {
            let all = PACKAGES.iter().enumerate();
            all.filter(|(_, package)| package.name.starts_with('@') == is_mall)
                .map(|(at, package)| (at, package.version))
                .collect()
        };
        let bytes = self.publish_as(SHOP, &of(false)) + self.publish_as(MALL, &of(true));
        let staff = self.people.devices.iter().filter(|device| device.is_staff);
        let units: String = staff.map(|device| format!("{}\n", device.unit)).collect();
        let list = self.cluster.path().join("staff.txt");
        fs::write(&list, units).unwrap();
        let content = Content::File {
            path: &list,
            media: "text/plain; charset=utf-8",
        };
        self.change("PUT", &format!("/segments/{STAFF}"), content);
        say(&format!(
            "published {} versions of 2 tenants' apps ({bytes} bytes), and the segment {STAFF}",
            PACKAGES.len()
        ));
        self.put(SHOP, &shop("1.14.0", None));
        self.put(MALL, &mall(None));
        self.everybody_polls("after the first release");
        let on =
            |has: &[Has], version: &str| has.iter().filter(|has| has.version == version).count();
        let (shop, mall) = (self.people.have(0), self.people.have(1));
        self.table.row(
            "release",
            "everybody",
            "gallery 1.14.0",
            on(&shop, "1.14.0"),
            DEVICES,
            1.0,
        );
        self.table.row(
            "release",
            "everybody",
            "mall 1.11.6",
            on(&mall, "1.11.6"),
            DEVICES,
            1.0,
        );
    }

    /// An app, and the packages by their place as versions of it; how many bytes they have.
    fn publish_as(&self, app: &str, versions: &[(usize, &str)]) -> u64 {
        let title = PACKAGES[versions[0].0].name;
        let content = Content::Json(json!({"app": app, "title": title}));
        self.change("POST", "/apps", content);
        let mut bytes = 0;
        for (package, version) in versions {
            let (path, media) = (&self.files[*package], "application/gzip");
            let to = format!("/apps/{app}/versions?version={version}&list=true");
            self.change("POST", &to, Content::File { path, media });
            bytes += fs::metadata(path).unwrap().len();
        }
        bytes
    }

    fn five_percent(&mut self) {
        self.planned_put(0, &shop("1.14.0", Some("5%")));
        self.planned_put(1, &mall(Some("20%")));
        self.cohorts("5%", 0.05);
        self.arms("20%", 0.20);
        let happened = self.phone.cycle(uptime::now(), &mut Real).unwrap();
        let told: Vec<_> = happened
            .iter()
            .map(|one| format!("{:?}", one.what))
            .collect();
        say(&format!(
            "a phone of the bank's staff checked stamp and digest: {}",
            told.join(", ")
        ));
        let version = self.running();
        self.table.holds(
            "the phone of a member of staff runs 1.16.0",
            version == "1.16.0",
        );
    }

    fn fifty_percent(&mut self) {
        let before = (self.people.have(0), self.people.have(1));
        self.planned_put(0, &shop("1.14.0", Some("50%")));
        self.planned_put(1, &mall(Some("40%")));
        self.cohorts("50%", 0.50);
        self.arms("40%", 0.40);
        let after = (self.people.have(0), self.people.have(1));
        let back = before.0.iter().zip(&after.0);
        let back = back.filter(|(was, is)| was.version == "1.16.0" && is.version != "1.16.0");
        self.table.holds(
            "no device went back on the ramp from 5% to 50%",
            back.count() == 0,
        );
        let switched = before
            .1
            .iter()
            .zip(&after.1)
            .filter(|(was, is)| !was.arm.is_empty() && was.arm != is.arm);
        self.table.holds(
            "no device switched its arm on the ramp from 20% to 40%",
            switched.count() == 0,
        );
    }

    fn hotfix(&mut self) {
        let before = self.people.have(0);
        self.planned_put(0, &shop("1.15.3", Some("50%")));
        let after = self.people.have(0);
        let fixed = after.iter().filter(|has| has.version == "1.15.3").count();
        let old = before.iter().filter(|has| has.version == "1.14.0").count();
        self.table.row(
            "hotfix",
            "who ran 1.14.0",
            "gallery 1.15.3",
            fixed,
            old,
            1.0,
        );
        let ramp = |has: &&Has| has.version == "1.16.0";
        let (was, is) = (
            before.iter().filter(ramp).count(),
            after.iter().filter(ramp).count(),
        );
        self.table
            .row("hotfix", "who ran 1.16.0", "gallery 1.16.0", is, was, 1.0);
    }

    /// Kills 1.16.0 while every device that runs it polls without a pause.
    fn kill(&mut self) {
        let runs: Vec<String> = (self.people.devices.iter())
            .filter(|device| device.has[0].version == "1.16.0")
            .map(|device| device.path(SHOP))
            .collect();
        let offered = r#""version":"1.16.0""#;
        let told = AtomicBool::new(false);
        let (outside, all_amid) = mpsc::channel::<()>();
        let (asked, acknowledged, lanes) = thread::scope(|scope| {
            let lanes: Vec<_> = (self.nodes.iter())
                .map(|node| {
                    let (runs, told) = (&runs, &told);
                    let mut outside = Some(outside.clone());
                    scope.spawn(move || {
                        let mut wire = support::wire::Wire::connect(*node).unwrap();
                        let mut last = None;
                        let mut polls = 0_u64;
                        loop {
                            // One whole round that began after the kill was acknowledged, and offered
                            // it to nobody, ends it.
                            let is_last = told.load(Ordering::Acquire);
                            let mut offers = 0;
                            for path in runs {
                                let reply = wire.get(path, &[]).unwrap();
                                polls += 1;
                                assert_eq!(reply.status, 200);
                                if reply.text().contains(offered) {
                                    offers += 1;
                                    last = Some(Instant::now());
                                }
                            }
                            drop(outside.take());
                            if is_last && offers == 0 {
                                return (last, polls, Instant::now());
                            }
                        }
                    })
                })
                .collect();
            // Everybody is in the middle of it when nobody is outside any more.
            drop(outside);
            let _nobody_is_outside = all_amid.recv();
            let asked = Instant::now();
            let reason = json!({"version": "1.16.0", "reason": "the gallery loses orders"});
            self.ask("POST", &format!("/apps/{SHOP}/kill"), Content::Json(reason));
            let acknowledged = asked.elapsed();
            told.store(true, Ordering::Release);
            let lanes: Vec<_> = lanes.into_iter().map(|lane| lane.join().unwrap()).collect();
            (asked, acknowledged, lanes)
        });
        let millis = |duration: Duration| format!("{:.1} ms", duration.as_secs_f64() * 1_000.0);
        let polls: u64 = lanes.iter().map(|(_, polls, _)| polls).sum();
        let last = lanes.iter().filter_map(|(last, ..)| *last).max();
        let last = last.map_or(Duration::ZERO, |last| last.saturating_duration_since(asked));
        let seen = lanes
            .iter()
            .map(|(.., end)| end.saturating_duration_since(asked))
            .max()
            .unwrap();
        say(&format!(
            "killed gallery 1.16.0 under {polls} polls on {} node(s): acknowledged after {}",
            lanes.len(),
            millis(acknowledged)
        ));
        say(&format!(
            "the last device was offered it {} after the kill was asked for",
            millis(last)
        ));
        say(&format!(
            "all {} devices that ran it were seen refused within {}",
            runs.len(),
            millis(seen)
        ));
        self.everybody_polls("after the kill");
        let has = self.people.have(0);
        let on = |version: &str| has.iter().filter(|has| has.version == version).count();
        self.table.row(
            "kill",
            "everybody",
            "gallery 1.16.0",
            on("1.16.0"),
            DEVICES,
            0.0,
        );
        self.table.row(
            "kill",
            "everybody",
            "gallery 1.15.3",
            on("1.15.3"),
            DEVICES,
            1.0,
        );
        self.table.holds(
            "the kill was refused nowhere and took less than 2 s",
            last < Duration::from_secs(2),
        );
        let listed = support::wire::Wire::connect(self.nodes[0])
            .unwrap()
            .get("/v1/kills", &[])
            .unwrap();
        self.table.holds(
            "the signed list of kills names it",
            listed.text().contains("1.16.0"),
        );
        self.phone.cycle(uptime::now(), &mut Real).unwrap();
        let version = self.running();
        self.table.holds(
            "the phone of a member of staff runs 1.15.3",
            version == "1.15.3",
        );
    }

    fn running(&self) -> String {
        let app: AppId = SHOP.parse().unwrap();
        self.phone
            .running(&app)
            .map_or_else(String::new, Number::to_string)
    }

    fn everybody_polls(&mut self, when: &str) {
        let took = self.people.poll(&self.nodes);
        let rate = DEVICES as f64 / took.as_secs_f64();
        say(&format!(
            "{DEVICES} devices polled {when}: {rate:.0} batch polls a second"
        ));
    }

    fn put(&self, app: &str, rollout: &str) {
        self.change(
            "PUT",
            &format!("/apps/{app}/rollout"),
            Content::Toml(rollout.into()),
        );
    }

    /// Looks at what a rollout would move, puts it in place, and compares.
    fn planned_put(&mut self, app: usize, rollout: &str) {
        let name = self.people.apps[app];
        let document: Value = toml::from_str(rollout).unwrap();
        let question = json!({"rollout": document, "sample": self.people.sample(app, STAFF)});
        let plan = self
            .admin
            .query(&format!("/api/v1/apps/{name}/plan"), question)
            .unwrap()
            .document;
        let mut planned: BTreeMap<(String, String), u64> = BTreeMap::new();
        for flow in plan["sample"]["flows"].as_array().unwrap() {
            let text = |field: &str| flow[field].as_str().unwrap().to_owned();
            planned.insert((text("from"), text("to")), flow["polls"].as_u64().unwrap());
        }
        let before = self.people.have(app);
        self.put(name, rollout);
        self.everybody_polls(&format!("after a change of {name}"));
        let mut happened: BTreeMap<(String, String), u64> = BTreeMap::new();
        for (was, is) in before.iter().zip(self.people.have(app)) {
            if was.version != is.version {
                *happened
                    .entry((was.version.clone(), is.version))
                    .or_default() += 1;
            }
        }
        let moves: Vec<_> = happened
            .iter()
            .map(|((from, to), n)| format!("{n} devices {from} -> {to}"))
            .collect();
        say(&format!(
            "{name}: planned and happened: {}",
            if moves.is_empty() {
                "nobody moves".into()
            } else {
                moves.join(", ")
            }
        ));
        self.table.holds(
            &format!("{name}: exactly the devices moved that the plan had counted"),
            planned == happened,
        );
    }

    fn cohorts(&mut self, step: &str, share: f64) {
        let people = &self.people.devices;
        let mut row = |who: &str, is: &dyn Fn(&&people::Device) -> bool, intended| {
            let cohort: Vec<_> = people.iter().filter(is).collect();
            let hits = cohort
                .iter()
                .filter(|device| device.has[0].version == "1.16.0")
                .count();
            self.table
                .row(step, who, "gallery 1.16.0", hits, cohort.len(), intended);
        };
        row("bank staff", &|device| device.is_staff, 1.0);
        row(
            "Shanghai",
            &|device| !device.is_staff && device.region == "CN-31",
            share,
        );
        row(
            "elsewhere",
            &|device| !device.is_staff && device.region != "CN-31",
            0.0,
        );
    }

    fn arms(&mut self, step: &str, share: f64) {
        for (arm, version) in [("as-it-is", "1.11.6"), ("new-checkout", "1.11.7")] {
            let hits = self
                .people
                .have(1)
                .iter()
                .filter(|has| has.arm == arm && has.version == version)
                .count();
            self.table.row(
                step,
                "everybody",
                &format!("mall arm {arm}"),
                hits,
                DEVICES,
                share / 2.0,
            );
        }
    }
}

/// The gallery's rollout: staff and a part of Shanghai get the new version, everybody else the stable one.
fn shop(stable: &str, share: Option<&str>) -> String {
    let mut text = format!("app = \"{SHOP}\"\nhosts = [\"{HOST}\"]\nstable = \"{stable}\"\n");
    if let Some(share) = share {
        text.push_str(&format!(
            "[[rule]]\nname = \"staff-first\"\nwhen = {{ segment = \"{STAFF}\" }}\nserve = \"1.16.0\"\n\
             [[rule]]\nname = \"ramp-1.16\"\nwhen = {{ region = \"CN-31\" }}\nshare = \"{share}\"\nserve = \"1.16.0\"\n"
        ));
    }
    text
}

/// The mall's rollout: an A/B test of a new checkout.
fn mall(share: Option<&str>) -> String {
    let mut text = format!("app = \"{MALL}\"\nhosts = [\"{HOST}\"]\nstable = \"1.11.6\"\n");
    if let Some(share) = share {
        text.push_str(&format!(
            "[[rule]]\nname = \"checkout\"\nlayer = \"checkout\"\nshare = \"{share}\"\n\
             split = {{ as-it-is = {{ serve = \"1.11.6\", weight = 1 }}, new-checkout = {{ serve = \"1.11.7\", weight = 1 }} }}\n"
        ));
    }
    text
}

/// A phone on which everything starts.
struct Real;

impl Starter for Real {
    fn start(&mut self, _: &AppId, _: &Number, files: &Path) -> Result<(), String> {
        if fs::read_dir(files).is_ok_and(|mut entries| entries.next().is_some()) {
            Ok(())
        } else {
            Err("the release has no files".into())
        }
    }

    fn progress(&mut self, _: &AppId, _: u64, _: u64) {}
}

/// Serves on, with a little traffic, until somebody ends it.
fn stay(cluster: &Cluster, program: &Path, mut people: People) {
    let node = &cluster.nodes[0];
    let huidu = program.display();
    println!(
        "\nEverything goes on running; Ctrl-C ends it. In another terminal:\n\n  \
         export HUIDU_SERVER={control} HUIDU_DEVICE_SERVER={device} HUIDU_TOKEN={token}\n  \
         {huidu} history --limit 5\n  \
         {huidu} explain {SHOP} --host {HOST} --unit device-00001 --region CN-31\n  \
         {huidu} device --host {HOST} --app {SHOP} --unit device-00001 --region CN-31 --dir /tmp/a-phone --watch --every 2s\n  \
         {huidu} unkill {SHOP} 1.16.0 --reason \"it was the network\"\n  \
         curl -s {control}/metrics | grep huidu_served_total\n",
        control = node.control_url(),
        device = node.device_url(),
        token = cluster.token(),
    );
    let nodes: Vec<_> = cluster.nodes.iter().map(|node| node.device).collect();
    loop {
        people.poll(&nodes);
        thread::sleep(Duration::from_secs(5));
    }
}
