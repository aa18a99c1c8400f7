//! A device against a server that does as it is told: what it believes, keeps, resumes and obeys.

mod cohorts;
mod control;
mod crashes;
mod download;
mod papers;
mod slow;

use std::{
    collections::BTreeMap,
    fs,
    io::{Cursor, Write as _},
    path::Path,
    sync::{Arc, Mutex},
};

use ed25519_dalek::SigningKey;
use huidu_core::{
    binding::Binding,
    digest::Digest,
    manifest::{BundleRef, FORM, Kill, KillList, Manifest, OnStale, Reason, State, etag},
    name::AppId,
    revision::Revision,
    seal::{self, Stamp},
    time::Timestamp,
    verify::Now,
    version::{BundleFormat, Number},
};
use serde_json::json;
use tempfile::TempDir;

use super::{
    device::{Device, DeviceConfig, DeviceError, Happened, Start, Starter, What},
    double::{Double, Request, Response},
    http::Patience,
    profile::Profile,
    root::Root,
};

const AUDIENCE: &str = "bank/test";
const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
const LEASE_MS: u32 = 60_000;

/// The time `wall` on a device whose other clock runs with it.
fn at(wall: Timestamp) -> Now {
    Now {
        wall,
        mono_ms: wall.unix_ms(),
        boot: 1,
    }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn travel() -> AppId {
    "pingan/travel".parse().unwrap()
}

fn bundle_of(version: &str) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("app.js", zip::write::SimpleFileOptions::default())
        .unwrap();
    zip.write_all(format!("run('{version}')").as_bytes())
        .unwrap();
    zip.finish().unwrap().into_inner()
}

/// What the server says; changed by tests between polls.
#[derive(Clone)]
struct Site {
    key: SigningKey,
    scope: String,
    asof: Timestamp,
    manifests: BTreeMap<String, Manifest>,
    kills: KillList,
    bundles: BTreeMap<String, Vec<u8>>,
    /// Envelopes by the path they are asked for at.
    papers: BTreeMap<String, Vec<u8>>,
}

impl Site {
    fn new() -> Self {
        Self {
            key: key(7),
            scope: AUDIENCE.into(),
            asof: NOW,
            manifests: BTreeMap::new(),
            kills: KillList {
                v: FORM,
                aud: AUDIENCE.into(),
                rev: Revision::new(1),
                keyring: None,
                kills: Vec::new(),
                permissions: Vec::new(),
            },
            bundles: BTreeMap::new(),
            papers: BTreeMap::new(),
        }
    }

    fn say(&mut self, app: &AppId, rev: u64, state: State, version: Option<&str>) {
        let bundle = version.map(|version| {
            let bytes = bundle_of(version);
            let sha256 = Digest::of(&bytes);
            self.bundles.insert(sha256.to_hex(), bytes.clone());
            BundleRef {
                sha256,
                len: bytes.len() as u64,
                format: BundleFormat::Zip,
                url: format!("/v1/bundles/sha256/{sha256}"),
            }
        });
        let manifest = Manifest {
            v: FORM,
            aud: AUDIENCE.into(),
            app: app.clone(),
            rev: Revision::new(rev),
            state,
            version: version.map(|version| version.parse().unwrap()),
            bundle,
            permissions: Vec::new(),
            revoked: Vec::new(),
            rule: None,
            arm: None,
            since: None,
            params: BTreeMap::new(),
            force: false,
            reason: if state == State::Killed {
                Reason::Killed
            } else {
                Reason::Stable
            },
            poll_after_ms: 1_000,
            poll_spread_ms: 1_000,
            on_stale: OnStale::Run,
            binding: Binding::default(),
        };
        self.manifests.insert(app.to_string(), manifest);
    }

    fn run(&mut self, rev: u64, version: &str) {
        self.say(&travel(), rev, State::Run, Some(version));
    }

    fn stamp(&self, scope: &str, rev: Revision, body: &[u8]) -> String {
        let stamp = Stamp {
            revision: rev,
            asof: self.asof,
            lease_ms: LEASE_MS,
            body_len: body.len() as u32,
            body: Digest::of(body),
            scope: seal::scope(&self.scope, scope),
            challenge: false,
        };
        stamp.sign(&self.key)
    }

    fn answer(&self, request: &Request) -> Response {
        let path = request.path();
        if let Some(paper) = self.papers.get(path) {
            return Response::new(200, paper.clone());
        }
        if path == "/v1/kills" {
            let body = self.kills.to_bytes();
            let stamp = self.stamp(seal::KILLS_SCOPE, self.kills.rev, &body);
            return conditional(request, &body, &stamp);
        }
        if let Some(rest) = path.strip_prefix("/v1/manifest/retail-bank/") {
            return match self.manifests.get(rest) {
                Some(manifest) => {
                    let body = manifest.to_bytes();
                    let stamp = self.stamp(rest, manifest.rev, &body);
                    conditional(request, &body, &stamp)
                }
                None => Response::new(404, r#"{"code":"unknown-app","detail":"no such app"}"#),
            };
        }
        match path {
            "/v1/poll" => self.batch(request),
            "/v1/events" => Response::new(202, r#"{"accepted":1}"#),
            _ => match path
                .strip_prefix("/v1/bundles/sha256/")
                .and_then(|hex| self.bundles.get(hex))
            {
                Some(bytes) => Response::new(200, bytes.clone()),
                None => Response::new(404, "{}"),
            },
        }
    }

    fn batch(&self, request: &Request) -> Response {
        let asked: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        let mut apps = Vec::new();
        for line in asked["apps"].as_array().unwrap() {
            let app = line["app"].as_str().unwrap();
            let Some(manifest) = self.manifests.get(app) else {
                apps.push(format!(r#"{{"app":"{app}","error":"unknown-app"}}"#));
                continue;
            };
            let body = manifest.to_bytes();
            let tag = etag(&Digest::of(&body));
            if line["etag"].as_str() == Some(&*tag) {
                continue;
            }
            let stamp = self.stamp(app, manifest.rev, &body);
            let manifest = std::str::from_utf8(&body).unwrap();
            let tag = json!(&*tag);
            apps.push(format!(
                r#"{{"app":"{app}","etag":{tag},"stamp":"{stamp}","manifest":{manifest}}}"#
            ));
        }
        if apps.is_empty() {
            return Response::new(304, "");
        }
        Response::new(
            200,
            format!(
                r#"{{"v":1,"poll_after_ms":1,"poll_spread_ms":1,"apps":[{}]}}"#,
                apps.join(",")
            ),
        )
    }
}

fn conditional(request: &Request, body: &[u8], stamp: &str) -> Response {
    let tag = etag(&Digest::of(body));
    let is_known = request.header("if-none-match") == Some(&*tag);
    let response = if is_known {
        Response::new(304, "")
    } else {
        Response::new(200, body)
    };
    response.with("etag", &*tag).with("huidu-stamp", stamp)
}

/// Starts everything but what it is told to fail.
#[derive(Default)]
struct Phone {
    crashes_on: Vec<&'static str>,
    started: Vec<String>,
}

impl Starter for Phone {
    fn start(&mut self, _: &AppId, version: &Number, path: &Path) -> Result<(), String> {
        let code = fs::read_to_string(path.join("app.js")).unwrap();
        assert_eq!(code, format!("run('{version}')"));
        self.started.push(version.to_string());
        if self.crashes_on.contains(&version.to_string().as_str()) {
            Err("it crashed".into())
        } else {
            Ok(())
        }
    }
}

struct World {
    site: Arc<Mutex<Site>>,
    server: Double,
    dir: TempDir,
    phone: Phone,
    root: Root,
    patience: Patience,
}

impl World {
    fn new() -> Self {
        let site = Arc::new(Mutex::new(Site::new()));
        let told = Arc::clone(&site);
        let server = Double::start(move |request| told.lock().unwrap().answer(request));
        Self {
            site,
            server,
            dir: tempfile::tempdir().unwrap(),
            phone: Phone::default(),
            root: Root::of_key(&key(7).verifying_key(), AUDIENCE),
            patience: Patience::default(),
        }
    }

    fn site(&self, change: impl FnOnce(&mut Site)) {
        change(&mut self.site.lock().unwrap());
    }

    fn config(&self, apps: &[&str]) -> DeviceConfig {
        DeviceConfig {
            server: self.server.url.clone(),
            dir: self.dir.path().to_owned(),
            host: "retail-bank".parse().unwrap(),
            apps: apps.iter().map(|app| app.parse().unwrap()).collect(),
            profile: Profile {
                unit: "device-1".into(),
                ..Profile::default()
            },
            root: self.root.clone(),
            challenges: false,
            preview: None,
            patience: self.patience,
        }
    }

    fn device(&self) -> Device {
        Device::open(self.config(&["pingan/travel"])).unwrap()
    }

    /// One waking up of a device that was off before.
    fn wake(&mut self) -> Vec<String> {
        self.wake_at(NOW)
    }

    fn wake_at(&mut self, now: Timestamp) -> Vec<String> {
        let mut device = self.device();
        told(&device.cycle(at(now), &mut self.phone).unwrap())
    }

    /// The code that runs, by the link on the disk.
    fn code(&self) -> Option<String> {
        fs::read_to_string(self.dir.path().join("apps/pingan/travel/current/app.js")).ok()
    }
}

fn told(happened: &[Happened]) -> Vec<String> {
    let word = |one: &Happened| {
        let what = serde_json::to_value(one.what).unwrap();
        let code = one.detail.split(':').next().unwrap().to_owned();
        match (one.what, &one.version) {
            (What::Doubted, _) => format!("doubted {code}"),
            (_, Some(version)) => format!("{} {version}", what.as_str().unwrap()),
            (_, None) => what.as_str().unwrap().to_owned(),
        }
    };
    happened.iter().map(word).collect()
}

#[test]
fn a_new_device_fetches_checks_switches_and_reports() {
    let mut world = World::new();
    world.site(|site| site.run(5, "1.0.0"));
    assert_eq!(world.wake(), ["downloaded 1.0.0", "activated 1.0.0"]);
    assert_eq!(world.code().unwrap(), "run('1.0.0')");
    let events: Vec<_> = world
        .server
        .seen()
        .into_iter()
        .filter(|r| r.path() == "/v1/events")
        .collect();
    let mut body: serde_json::Value = serde_json::from_slice(&events[0].body).unwrap();
    let named = body["events"].as_array_mut().unwrap().iter_mut();
    for event in named {
        let id = event.as_object_mut().unwrap().remove("id").unwrap();
        assert_eq!(id.as_str().unwrap().len(), 32, "each has a name of its own");
    }
    assert_eq!(
        body,
        json!({"host": "retail-bank", "events": [
            {"app": "pingan/travel", "version": "1.0.0", "event": "downloaded"},
            {"app": "pingan/travel", "version": "1.0.0", "event": "activated"},
        ]})
    );
    assert_eq!(world.wake(), ["unchanged 1.0.0"]);
    assert_eq!(world.phone.started, ["1.0.0"]);
}

#[test]
fn an_answer_that_cannot_be_believed_changes_nothing() {
    type Lie = fn(&mut Site);
    let lies: [(&str, Lie); 5] = [
        ("doubted sig", |site| site.key = key(8)),
        ("doubted wrong-scope", |site| {
            site.scope = "bank/prod".into();
        }),
        ("doubted freeze", |site| {
            site.asof = Timestamp::from_unix_ms(NOW.unix_ms() - 3_600_000);
        }),
        ("doubted wrong-scope", |site| {
            let other = site.manifests.remove("pingan/travel").unwrap();
            site.say(
                &"pingan/loan".parse().unwrap(),
                9,
                State::Run,
                Some("9.0.0"),
            );
            let loan = site.manifests.remove("pingan/loan").unwrap();
            site.manifests.insert(other.app.to_string(), loan);
        }),
        ("lagging", |site| site.run(4, "0.9.0")),
    ];
    for (code, lie) in lies {
        let mut world = World::new();
        world.site(|site| site.run(5, "1.0.0"));
        world.wake();
        world.site(|site| {
            site.run(6, "2.0.0");
            lie(site);
        });
        let happened = world.wake();
        assert_eq!(happened.last().unwrap(), code);
        assert!(
            (happened.iter()).all(|line| line.starts_with("doubted") || line == "lagging"),
            "{happened:?}"
        );
        assert_eq!(world.code().unwrap(), "run('1.0.0')", "{code}");
    }
}

#[test]
fn a_stamp_of_another_body_is_refused() {
    let mut world = World::new();
    world.site(|site| site.run(5, "1.0.0"));
    world.wake();
    let site = Arc::clone(&world.site);
    world.server.now(move |request| {
        let mut response = site.lock().unwrap().answer(request);
        if request.path().starts_with("/v1/manifest") {
            response =
                Response::new(200, r#"{"v":1}"#).with("huidu-stamp", response.headers[1].1.clone());
        }
        response
    });
    assert_eq!(world.wake(), ["doubted hash"]);
    assert_eq!(world.code().unwrap(), "run('1.0.0')");
}

#[test]
fn a_clock_set_back_does_not_revive_an_old_answer() {
    let mut world = World::new();
    world.site(|site| site.run(5, "1.0.0"));
    world.wake();
    world.site(|site| {
        site.asof = Timestamp::from_unix_ms(NOW.unix_ms() - 3_600_000);
        site.run(6, "2.0.0");
    });
    let an_hour_ago = Timestamp::from_unix_ms(NOW.unix_ms() - 3_600_000);
    assert_eq!(
        world.wake_at(an_hour_ago),
        ["doubted freeze", "doubted freeze"]
    );
}

#[test]
fn a_304_refreshes_the_lease_and_only_a_304_with_a_true_stamp() {
    let mut world = World::new();
    world.site(|site| site.run(5, "1.0.0"));
    world.wake();
    let later = Timestamp::from_unix_ms(NOW.unix_ms() + 30_000);
    world.site(|site| site.asof = later);
    assert_eq!(world.wake_at(later), ["unchanged 1.0.0"]);
    assert_eq!(
        world
            .device()
            .trusted()
            .app(&travel())
            .unwrap()
            .heard
            .as_ref()
            .unwrap()
            .asof,
        later
    );
    world.site(|site| site.key = key(8));
    assert_eq!(world.wake_at(later), ["doubted sig", "doubted sig"]);
}

#[test]
fn a_killed_release_stops_and_does_not_come_back_on_an_older_word() {
    let mut world = World::new();
    world.site(|site| site.run(5, "1.0.0"));
    world.wake();
    world.site(|site| site.say(&travel(), 8, State::Killed, None));
    assert_eq!(world.wake(), ["stopped 1.0.0"]);
    assert_eq!(world.code(), None);
    assert_eq!(world.device().may_start(&travel(), at(NOW)), Start::Nothing);
    world.site(|site| site.run(5, "1.0.0"));
    assert_eq!(world.wake(), ["lagging"]);
    world.site(|site| site.run(8, "1.0.0"));
    assert_eq!(world.wake(), ["doubted equivocation"]);
    assert_eq!(world.code(), None);
    // Taken back at a newer revision, it runs again.
    world.site(|site| site.run(9, "1.0.0"));
    assert_eq!(world.wake().last().unwrap(), "activated 1.0.0");
}

#[test]
fn the_kill_list_is_obeyed_before_anything_else_and_without_the_manifest() {
    let mut world = World::new();
    world.site(|site| site.run(5, "1.0.0"));
    world.wake();
    world.site(|site| {
        let sha256 = site.manifests["pingan/travel"]
            .bundle
            .as_ref()
            .unwrap()
            .sha256;
        site.kills.rev = Revision::new(8);
        site.kills.kills = vec![Kill {
            app: travel(),
            version: Some("1.0.0".parse().unwrap()),
            sha256: Some(sha256),
            reason: "steals".into(),
            since: NOW,
        }];
    });
    // The manifest still says run: a lagging node, or somebody who kept it.
    assert_eq!(world.wake(), ["stopped 1.0.0", "doubted rollback"]);
    assert_eq!(world.code(), None);
    world.site(|site| {
        site.kills.rev = Revision::new(3);
        site.kills.kills.clear();
    });
    assert_eq!(world.wake(), ["lagging", "doubted rollback"]);
}

#[test]
fn a_whole_app_killed_stays_down_until_a_newer_revision_says_otherwise() {
    let mut world = World::new();
    world.site(|site| site.run(5, "1.0.0"));
    world.wake();
    world.site(|site| {
        site.kills.rev = Revision::new(8);
        site.kills.kills = vec![Kill {
            app: travel(),
            version: None,
            sha256: None,
            reason: "R-17".into(),
            since: NOW,
        }];
        site.run(7, "1.0.1");
    });
    assert_eq!(world.wake(), ["stopped 1.0.0", "doubted rollback"]);
    world.site(|site| {
        site.kills.rev = Revision::new(9);
        site.kills.kills.clear();
        site.run(9, "1.0.1");
    });
    assert_eq!(world.wake().last().unwrap(), "activated 1.0.1");
}

#[test]
fn a_bundle_that_is_not_what_was_signed_is_not_installed() {
    let mut world = World::new();
    world.site(|site| {
        site.run(5, "1.0.0");
        for bytes in site.bundles.values_mut() {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        }
    });
    assert_eq!(world.wake(), ["load-failed 1.0.0"]);
    assert_eq!(world.code(), None);
    // It was the way that was bad, not the release: the next try may succeed.
    world.site(|site| site.run(5, "1.0.0"));
    assert_eq!(world.wake(), ["downloaded 1.0.0", "activated 1.0.0"]);
}

#[test]
fn all_apps_are_asked_for_at_once_and_only_what_differs_comes_back() {
    let mut world = World::new();
    world.site(|site| {
        site.run(5, "1.0.0");
        site.say(&"pingan/loan".parse().unwrap(), 6, State::None, None);
    });
    let config = world.config(&["pingan/travel", "pingan/loan", "pingan/gone"]);
    let mut device = Device::open(config).unwrap();
    let happened = told(&device.cycle(at(NOW), &mut world.phone).unwrap());
    assert_eq!(
        happened,
        ["downloaded 1.0.0", "activated 1.0.0", "nothing", "unknown"]
    );
    world.site(|site| site.run(7, "1.1.0"));
    let happened = told(&device.cycle(at(NOW), &mut world.phone).unwrap());
    assert_eq!(happened, ["downloaded 1.1.0", "activated 1.1.0", "unknown"]);
    // Past half the lease, answers are asked for again for their stamps.
    let later = Timestamp::from_unix_ms(NOW.unix_ms() + 31_000);
    world.site(|site| site.asof = later);
    let happened = told(&device.cycle(at(later), &mut world.phone).unwrap());
    assert_eq!(happened, ["unchanged 1.1.0", "nothing", "unknown"]);
    let loan = device.trusted().app(&"pingan/loan".parse().unwrap());
    assert_eq!(loan.unwrap().heard.as_ref().unwrap().asof, later);
}

#[test]
fn what_must_be_fresh_does_not_start_on_an_old_answer() {
    let mut world = World::new();
    world.site(|site| {
        site.run(5, "1.0.0");
        site.manifests.get_mut("pingan/travel").unwrap().on_stale = OnStale::Block;
    });
    world.wake();
    assert!(matches!(
        world.device().may_start(&travel(), at(NOW)),
        Start::Run { .. }
    ));
    let much_later = Timestamp::from_unix_ms(NOW.unix_ms() + 3_600_000);
    assert!(matches!(
        world.device().may_start(&travel(), at(much_later)),
        Start::Stale { .. }
    ));
}

#[test]
fn nobody_there_leaves_everything_as_it_was() {
    let mut world = World::new();
    world.site(|site| site.run(5, "1.0.0"));
    world.wake();
    let hang_up = |_: &Request| Response {
        hang_up: true,
        ..Response::default()
    };
    world.server.now(hang_up);
    let error = world.device().cycle(at(NOW), &mut world.phone).unwrap_err();
    assert!(matches!(error, DeviceError::Unreachable { .. }));
    assert!(!error.to_string().contains("device-1"), "{error}");
    assert_eq!(world.code().unwrap(), "run('1.0.0')");
    world
        .server
        .now(|_| Response::new(503, r#"{"detail":"busy"}"#).with("retry-after", "3"));
    let error = world.device().cycle(at(NOW), &mut world.phone).unwrap_err();
    assert!(
        matches!(
            error,
            DeviceError::Status {
                retry_after: Some(3),
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_state_that_cannot_be_read_is_not_begun_anew() {
    let world = World::new();
    fs::write(world.dir.path().join("state.json"), b"{").unwrap();
    let error = Device::open(world.config(&["pingan/travel"]))
        .unwrap_err()
        .to_string();
    assert!(error.contains("is no state of a device"), "{error}");
}
