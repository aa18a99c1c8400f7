//! A device of a customer: keyrings that follow one another, records, policies, and what is taken back.

use huidu_core::{
    envelope::Envelope,
    key::{KeyId, Signer as _},
    keyring::{Guard, Keyring, Online, Quorum, Roles, Trust},
    manifest::RevokedPermission,
    name::Permission,
    paper::Paper,
    policy::{Policy, Standing},
    release::{Release, SignedBundle},
};

use super::*;

/// Whoever signs in this bank: a release key, a policy key. The online key is `key(7)`.
const RELEASE: u8 = 21;
const POLICY: u8 = 22;

/// One of the two root keys of keyring `version`.
fn root(version: u8) -> SigningKey {
    SigningKey::from_bytes(&[[version; 16], [0xa5; 16]].concat().try_into().unwrap())
}

fn kid(key: &SigningKey) -> KeyId {
    key.public_key().id()
}

/// Keyring `version`: its root is new each time.
fn ring(version: u8) -> Keyring {
    let keys = [root(version), key(7), key(RELEASE), key(POLICY)];
    let alone = |key: &SigningKey| Quorum::of(1, vec![kid(key)]);
    Keyring {
        v: 1,
        aud: AUDIENCE.into(),
        version: version.into(),
        expires: NOW.unix_ms() / 1_000 + 86_400,
        trust: Trust::Prod,
        online: Online {
            epoch: 1,
            max_lease_ms: 900_000,
        },
        keys: keys
            .iter()
            .map(|key| (kid(key), key.public_key()))
            .collect(),
        roles: Roles {
            root: alone(&keys[0]),
            release: alone(&keys[2]),
            policy: alone(&keys[3]),
            online: alone(&keys[1]),
            log: alone(&keys[1]),
        },
    }
}

fn signed<T: Paper>(paper: &T, keys: &[SigningKey]) -> Vec<u8> {
    let mut envelope = Envelope::new(T::KIND, paper.to_payload());
    keys.iter().for_each(|key| envelope.sign(key).unwrap());
    envelope.to_bytes()
}

fn chained(version: u8) -> Vec<u8> {
    let before = version.checked_sub(1).filter(|before| *before > 0);
    let keys: Vec<_> = before.into_iter().chain([version]).map(root).collect();
    signed(&ring(version), &keys)
}

fn permissions(names: &[&str]) -> Vec<Permission> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

impl Site {
    /// Signs for what `travel` is told to run, with this list of files.
    fn sign(&mut self, seq: u64, files: Option<Digest>) {
        let manifest = self.manifests.get_mut("pingan/travel").unwrap();
        let bundle = manifest.bundle.as_ref().unwrap();
        let release = Release {
            v: 1,
            aud: AUDIENCE.into(),
            app: travel(),
            seq,
            version: manifest.version.clone().unwrap(),
            bundle: SignedBundle {
                sha256: bundle.sha256,
                len: bundle.len,
            },
            files_sha256: files,
            host_version: None,
            platforms: Vec::new(),
            permissions: permissions(&["camera", "location"]),
            filing: None,
            not_before: None,
            not_after: None,
            review: None,
        };
        let envelope = signed(&release, &[key(RELEASE)]);
        let address = Envelope::parse(&envelope).unwrap().address();
        manifest.binding.release = Some(address);
        manifest.permissions = permissions(&["camera", "location"]);
        let path = format!("/v1/releases/pingan/travel/{address}");
        self.papers.insert(path, envelope);
    }

    fn policy(&mut self, version: u64, change: impl FnOnce(&mut Policy)) {
        let mut policy = Policy {
            v: 1,
            aud: AUDIENCE.into(),
            app: travel(),
            version,
            expires: NOW.unix_ms() / 1_000 + 86_400,
            state: Standing::Live,
            floor_seq: 0,
            revoked: Vec::new(),
            max_permissions: permissions(&["camera", "location"]),
            on_stale: OnStale::Run,
            stale_grace_s: 0,
        };
        change(&mut policy);
        let envelope = signed(&policy, &[key(POLICY)]);
        self.papers
            .insert("/v1/policies/pingan/travel".into(), envelope);
        let manifest = self.manifests.get_mut("pingan/travel").unwrap();
        manifest.binding.policy = Some(version);
    }

    fn chain(&mut self, newest: u8) {
        for version in 1..=newest {
            self.papers
                .insert(format!("/v1/k/{version}"), chained(version));
        }
    }
}

/// A bank with keys, whose phone runs 1.0.0.
fn bank() -> World {
    let mut world = World::new();
    world.root = Root::read(&chained(1), AUDIENCE, Guard::Production).unwrap();
    world.site(|site| {
        site.chain(1);
        site.run(5, "1.0.0");
        site.sign(1, None);
        site.policy(1, |_| {});
    });
    assert_eq!(world.wake(), ["downloaded 1.0.0", "activated 1.0.0"]);
    world
}

fn usable(world: &World) -> Vec<String> {
    match world.device().may_start(&travel(), at(NOW)) {
        Start::Run { permissions, .. } => permissions.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

fn keyring_of(world: &World) -> u64 {
    world.device().trusted().keyring().version
}

fn asked_for(world: &World) -> Vec<String> {
    let paths = world.server.seen().into_iter();
    let paths = paths.map(|request| request.path().to_owned());
    paths.filter(|path| path.starts_with("/v1/k/")).collect()
}

#[test]
fn seventy_keyrings_are_walked_in_two_goes() {
    let mut world = bank();
    world.site(|site| {
        site.chain(71);
        site.run(6, "2.0.0");
        site.sign(2, None);
        site.manifests
            .get_mut("pingan/travel")
            .unwrap()
            .binding
            .policy = Some(1);
        site.manifests
            .get_mut("pingan/travel")
            .unwrap()
            .binding
            .keyring = Some(71);
    });
    assert_eq!(world.wake(), ["doubted keyring-behind"]);
    assert_eq!(keyring_of(&world), 65);
    assert_eq!(world.code().unwrap(), "run('1.0.0')");
    assert_eq!(world.wake(), ["downloaded 2.0.0", "activated 2.0.0"]);
    assert_eq!(keyring_of(&world), 71);
}

#[test]
fn a_walk_that_breaks_off_goes_on_where_it_was() {
    let mut world = bank();
    world.site(|site| {
        site.chain(50);
        site.papers.remove("/v1/k/30");
        site.manifests
            .get_mut("pingan/travel")
            .unwrap()
            .binding
            .keyring = Some(50);
        site.manifests.get_mut("pingan/travel").unwrap().rev = Revision::new(6);
    });
    world.server.seen();
    assert_eq!(world.wake(), ["doubted paper"]);
    assert_eq!(keyring_of(&world), 29);
    assert_eq!(asked_for(&world).last().unwrap(), "/v1/k/30");
    // Another in its place is not followed.
    world.site(|site| drop(site.papers.insert("/v1/k/30".into(), chained(31))));
    assert_eq!(world.wake(), ["doubted paper"]);
    assert_eq!(
        asked_for(&world),
        ["/v1/k/30"],
        "what was walked is not walked again"
    );
    world.site(|site| site.chain(50));
    assert_eq!(world.wake(), ["unchanged 1.0.0"]);
    assert_eq!(keyring_of(&world), 50);
}

#[test]
fn files_that_are_not_those_that_were_reviewed_are_not_run() {
    let mut world = bank();
    let list = |files: &[(&str, &[u8])]| {
        let line = |(p, bytes): &(&str, &[u8])| huidu_core::files::FileLine {
            p: (*p).to_owned(),
            sha256: Digest::of(bytes),
            len: bytes.len() as u64,
        };
        let files = files.iter().map(line).collect();
        huidu_core::files::FileList::new(files).encode().unwrap().0
    };
    let other = list(&[("app.js", b"run('2.0.0')"), ("more.js", b"")]);
    world.site(|site| {
        site.run(6, "2.0.0");
        site.sign(2, Some(other));
        site.policy(1, |_| {});
    });
    assert_eq!(world.wake(), ["load-failed 2.0.0"]);
    assert_eq!(world.code().unwrap(), "run('1.0.0')");
    assert_eq!(doubts(&world), [("pingan/travel".into(), "files".into())]);
    let right = list(&[("app.js", b"run('3.0.0')")]);
    world.site(|site| {
        site.run(7, "3.0.0");
        site.sign(3, Some(right));
        site.policy(1, |_| {});
    });
    assert_eq!(world.wake(), ["downloaded 3.0.0", "activated 3.0.0"]);
}

#[test]
fn a_release_that_crashes_gives_way_to_the_one_before_only_while_that_is_allowed() {
    for allowed in [true, false] {
        let mut world = bank();
        world.phone.crashes_on = vec!["2.0.0"];
        // Its record is known before its bundle can be had, so that the next answer needs no paper but the policy.
        world.site(|site| {
            site.run(6, "2.0.0");
            site.sign(2, None);
            site.policy(1, |_| {});
            site.bundles.clear();
        });
        assert_eq!(world.wake(), ["load-failed 2.0.0"]);
        world.site(|site| {
            site.run(7, "2.0.0");
            site.sign(2, None);
            let before = Digest::of(&bundle_of("1.0.0"));
            site.policy(2, |policy| {
                if !allowed {
                    policy.revoked = vec![before];
                }
            });
        });
        let happened = world.wake();
        if allowed {
            let told = ["downloaded 2.0.0", "crashed 2.0.0", "rolled-back 1.0.0"];
            assert_eq!(happened, told);
            assert_eq!(world.code().unwrap(), "run('1.0.0')");
        } else {
            let told = ["stopped 1.0.0", "downloaded 2.0.0", "crashed 2.0.0"];
            assert_eq!(happened, told);
            assert_eq!(world.code(), None, "what was taken back does not come back");
            let start = world.device().may_start(&travel(), at(NOW));
            assert_eq!(start, Start::Nothing);
        }
    }
}

#[test]
fn a_permission_that_is_taken_back_is_gone_at_the_next_waking_up() {
    let mut world = bank();
    assert_eq!(usable(&world), ["camera", "location"]);
    world.site(|site| {
        site.kills.rev = Revision::new(2);
        site.kills.permissions = vec![RevokedPermission {
            app: travel(),
            permission: "location".parse().unwrap(),
            reason: "R-18".into(),
            since: NOW,
        }];
        // Nobody answers about the app itself: the list alone does it.
        site.manifests.clear();
    });
    world.wake();
    assert_eq!(usable(&world), ["camera"]);
    assert_eq!(
        world.code().unwrap(),
        "run('1.0.0')",
        "it goes on without it"
    );
}

/// What the device reported as doubted: the app and the code.
fn doubts(world: &World) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for request in world.server.seen() {
        if request.path() != "/v1/events" {
            continue;
        }
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        for event in body["events"].as_array().unwrap() {
            if event["event"] == "doubted" {
                let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
                all.push((text("app"), text("code")));
            }
        }
    }
    all
}

#[test]
fn what_is_not_believed_is_reported_by_its_code_and_once() {
    let mut world = bank();
    world.server.seen();
    world.site(|site| site.key = key(8));
    let site = Arc::clone(&world.site);
    // As long as nobody takes the report it gathers, and the same again is counted.
    world.server.now(move |request| match request.path() {
        "/v1/events" => Response::new(503, "{}"),
        _ => site.lock().unwrap().answer(request),
    });
    for _ in 0..3 {
        assert_eq!(world.wake(), ["doubted sig", "doubted sig"]);
    }
    let site = Arc::clone(&world.site);
    world
        .server
        .now(move |request| site.lock().unwrap().answer(request));
    world.server.seen();
    world.wake();
    let reports = world.server.seen();
    let report = reports.iter().find(|one| one.path() == "/v1/events");
    let body: serde_json::Value = serde_json::from_slice(&report.unwrap().body).unwrap();
    assert_eq!(
        body["events"],
        json!([
            {"event": "doubted", "code": "sig", "count": 4, "ago": 0, "sent": 0},
            {"app": "pingan/travel", "event": "doubted", "code": "sig", "count": 4, "ago": 0, "sent": 0},
        ])
    );
    // A node that lags is counted, and is no attack.
    world.site(|site| {
        site.key = key(7);
        site.manifests.get_mut("pingan/travel").unwrap().rev = Revision::new(4);
    });
    assert_eq!(world.wake(), ["lagging"]);
    let stale = ("pingan/travel".to_owned(), "stale-node".to_owned());
    assert_eq!(doubts(&world), [stale]);
}

#[test]
fn two_histories_of_one_revision_are_reported() {
    let mut world = bank();
    world.site(|site| {
        site.asof = Timestamp::from_unix_ms(NOW.unix_ms() + 1_000);
        let told = site.manifests.get_mut("pingan/travel").unwrap();
        told.permissions = permissions(&["camera"]);
    });
    world.server.seen();
    assert_eq!(world.wake(), ["doubted equivocation", "unchanged 1.0.0"]);
    let code = ("pingan/travel".to_owned(), "equivocation".to_owned());
    assert_eq!(doubts(&world), [code]);
}

#[test]
fn a_node_that_knows_no_doubts_is_told_the_rest() {
    let mut world = bank();
    let site = Arc::clone(&world.site);
    world.server.now(move |request| match request.path() {
        "/v1/events" if String::from_utf8_lossy(&request.body).contains("doubted") => {
            Response::new(400, "{}")
        }
        _ => site.lock().unwrap().answer(request),
    });
    world.site(|site| site.run(4, "0.9.0"));
    assert_eq!(world.wake(), ["lagging"]);
    assert!(world.device().state().pending.is_empty());
}

#[test]
fn a_server_that_serves_customers_is_no_root_to_begin_with() {
    let world = World::new();
    world.site(|site| site.chain(1));
    let refused = Root::of_server(&world.server.url, AUDIENCE).unwrap_err();
    assert!(
        refused.to_string().contains("give it with --root"),
        "{refused}"
    );
}

#[test]
fn a_new_device_does_not_believe_a_clock_from_before_it_was_made() {
    let mut world = World::new();
    world.root = Root::of_key(&key(7).verifying_key(), AUDIENCE).born_at(NOW);
    let years_ago = Timestamp::from_unix_ms(NOW.unix_ms() - 100_000_000_000);
    world.site(|site| {
        site.asof = years_ago;
        site.run(5, "1.0.0");
    });
    // The clock says that the old answer is fresh; the device is younger than that.
    assert_eq!(
        world.wake_at(years_ago),
        ["doubted freeze", "doubted freeze"]
    );
    assert_eq!(world.code(), None);
}
