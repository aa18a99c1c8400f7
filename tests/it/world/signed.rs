//! What a bank does with keys, from the ceremony to a stolen server: the story of trust, told with the real
//! binary, offline commands and all. The thief has everything a server has, and lies with it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use ed25519_dalek::SigningKey;
use huidu::{
    client::{
        device::{Device, DeviceConfig, Start, What},
        profile::Profile,
        root::Root,
        uptime,
    },
    node::derived_op,
    store::Key,
};
use huidu_core::{
    authority::Role,
    digest::Digest,
    event::Event,
    keyring::Guard,
    manifest::Manifest,
    name::AppId,
    record::Record,
    revision::Revision,
    seal::{self, Stamp},
    time::Timestamp,
    verify::{Answer, Doubt, Papers, Verdict},
};
use serde_json::{Value, json};

use super::{HOST, Person, World, stories::Runs};
use crate::support::{
    server::{Backing, Cluster, until},
    wire::Wire,
};

pub(crate) const AUDIENCE: &str = "bank/prod";
pub(crate) const APP: &str = "pingan/travel";

/// The room where keys are: no network, files and the commands alone.
pub(crate) struct Ceremony {
    pub(crate) dir: PathBuf,
}

impl Ceremony {
    fn new(dir: &Path) -> Self {
        let ceremony = Self {
            dir: dir.to_owned(),
        };
        ceremony.huidu("keys init . --audience bank/prod");
        ceremony
    }

    /// Types `huidu` and these words.
    pub(crate) fn huidu(&self, words: &str) -> String {
        let (ok, said) = self.types(words, &[]);
        assert!(ok, "huidu {words}: {said}");
        said
    }

    fn types(&self, words: &str, more: &[&str]) -> (bool, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_huidu"))
            .args(words.split_whitespace())
            .args(more)
            .current_dir(&self.dir)
            .env_remove("HUIDU_TOKEN")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    /// Somebody at a desk with a network: a credential and a server.
    fn desk(&self, world: &World, person: &Person, words: &str) -> (bool, String) {
        let server = world.cluster.nodes[0].control_url();
        self.types(
            words,
            &["--server", &server, "--token", &person.token, "--yes"],
        )
    }

    pub(crate) fn done(&self, world: &World, person: &Person, words: &str) {
        let (ok, said) = self.desk(world, person, words);
        assert!(ok, "huidu {words}: {said}");
    }

    fn refused(&self, world: &World, person: &Person, words: &str, why: &str) {
        let (ok, said) = self.desk(world, person, words);
        assert!(!ok && said.contains(why), "huidu {words}: {said}");
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.dir.join(name)).unwrap()
    }

    pub(crate) fn seed(&self, name: &str) -> SigningKey {
        let file: Value = serde_json::from_slice(&self.bytes(name)).unwrap();
        let seed = data_encoding::HEXLOWER
            .decode(file["seed"].as_str().unwrap().as_bytes())
            .unwrap();
        SigningKey::from_bytes(&seed.try_into().unwrap())
    }
}

/// A bank whose customers are served by keys.
pub(crate) fn bank(settings: &str) -> (World, Ceremony) {
    let mut cluster = Cluster::unstarted(
        Path::new(env!("CARGO_BIN_EXE_huidu")),
        Backing::Embedded,
        "",
    );
    let dir = cluster.path().join("ceremony");
    fs::create_dir(&dir).unwrap();
    let ceremony = Ceremony::new(&dir);
    let node = &cluster.nodes[0];
    let customers = format!("review = \"required\"\naudience = \"{AUDIENCE}\"");
    node.reroute("review = \"skipped\"", &customers);
    for role in ["online", "log"] {
        let given = node.dir.join(format!("{role}.key"));
        fs::copy(dir.join(format!("{role}-1.key")), given).unwrap();
    }
    node.set(settings);
    cluster.found();
    (World::of(cluster), ceremony)
}

pub(crate) fn member(world: &World, name: &str, role: &Value) -> Person {
    let put = world.by(&world.ada, "PUT", &format!("/members/{name}"));
    world.done(&put.json(&json!({ "role": role, "title": name })).send());
    let token = world.by(&world.ada, "POST", "/tokens");
    let given = token.json(&json!({ "role": role, "member": name })).send();
    assert_eq!(given.status, 201, "{}", given.text());
    Person {
        token: given.json()["token"].as_str().unwrap().to_owned(),
        node: 0,
    }
}

/// Somebody else agrees to everything that waits for it.
pub(crate) fn agree(world: &World, person: &Person) {
    let waits = world.by(person, "GET", "/changes").send().json();
    let open = waits.as_array().unwrap().iter();
    let open: Vec<&Value> = open.filter(|one| one["lacks"] != 0).collect();
    assert!(!open.is_empty(), "nothing waits: {waits}");
    for change in open {
        let path = format!("/changes/{}/approve", change["id"].as_str().unwrap());
        let shown = json!({ "hash": change["hash"] });
        world.done(&world.by(person, "POST", &path).json(&shown).send());
    }
}

fn phone(world: &World, root: Root) -> Device {
    let server = world.cluster.nodes[0].device_url();
    Device::open(DeviceConfig {
        server,
        dir: world.cluster.path().join("phone"),
        host: HOST.parse().unwrap(),
        apps: vec![APP.parse().unwrap()],
        profile: Profile {
            unit: "phone-0001".into(),
            platform: "android".into(),
            ..Profile::default()
        },
        root,
        challenges: true,
    })
    .unwrap()
}

fn wake(phone: &mut Device) -> Vec<What> {
    let happened = phone.cycle(uptime::now(), &mut Runs).unwrap();
    happened.iter().map(|one| one.what).collect()
}

/// What a thief changes of an honest answer.
type Lie = fn(&mut Manifest);

/// Whoever has the online key and knows everything the server knows.
struct Thief {
    key: SigningKey,
    honest: Manifest,
    release: Vec<u8>,
    policy: Vec<u8>,
}

impl Thief {
    fn new(world: &World, key: SigningKey) -> Self {
        let mut wire = world.cluster.nodes[0].wire();
        let url = format!("/v1/manifest/{HOST}/{APP}?u=phone-0001&p=android");
        let honest: Manifest = serde_json::from_slice(&wire.get(&url, &[]).unwrap().body).unwrap();
        let release = honest.binding.release.unwrap();
        let url = format!("/v1/releases/{APP}/{release}");
        let release = wire.get(&url, &[]).unwrap();
        let policy = wire.get(&format!("/v1/policies/{APP}"), &[]).unwrap();
        assert_eq!((release.status, policy.status), (200, 200));
        Self {
            key,
            honest,
            release: release.body,
            policy: policy.body,
        }
    }

    /// Tells the phone a lie, signed with the stolen key, and shows it every paper there is.
    fn tells(&self, phone: &Device, lie: impl FnOnce(&mut Manifest)) -> Verdict {
        self.tells_at(phone, uptime::now().wall, 600_000, lie)
    }

    fn tells_at(
        &self,
        phone: &Device,
        asof: Timestamp,
        lease_ms: u32,
        lie: impl FnOnce(&mut Manifest),
    ) -> Verdict {
        let mut manifest = self.honest.clone();
        manifest.rev = Revision::new(manifest.rev.get() + 1_000);
        lie(&mut manifest);
        let body = manifest.to_bytes();
        let stamp = Stamp {
            revision: manifest.rev,
            asof,
            lease_ms,
            body_len: u32::try_from(body.len()).unwrap(),
            body: Digest::of(&body),
            scope: seal::scope(AUDIENCE, APP),
            challenge: false,
        };
        let app: AppId = APP.parse().unwrap();
        let answer = Answer {
            app: &app,
            stamp: &stamp.sign(&self.key),
            body: Some(&body),
            challenge: None,
        };
        let papers = Papers {
            release: Some(&self.release),
            policy: Some(&self.policy),
        };
        let host = HOST.parse().unwrap();
        let profile = Profile {
            unit: "phone-0001".into(),
            platform: "android".into(),
            ..Profile::default()
        };
        let known = phone.trusted().clone();
        known
            .hear(&profile.bearer(&host), &answer, &papers, uptime::now())
            .1
    }
}

#[test]
fn from_the_ceremony_to_a_stolen_server() {
    let (world, ceremony) = bank("");
    let reviewers = ["rui", "rosa"].map(|name| member(&world, name, &json!("reviewer")));
    let [rui, rosa] = &reviewers;
    let sec = member(&world, "sec", &json!("security"));
    let [maya, mo] = ["maya", "mo"].map(|name| member(&world, name, &json!("release-manager")));
    let node = &world.cluster.nodes[0];

    // Before the keyring is in force nothing can be signed for.
    ceremony.done(&world, &sec, "keys put keyring-1.json");
    agree(&world, &mo);
    world.done(
        &world
            .by(&world.maya, "POST", "/apps")
            .json(&json!({ "app": APP }))
            .send(),
    );
    let archive = fs::read(world.archive(APP, "1.0.0")).unwrap();
    let path = format!("/apps/{APP}/versions?version=1.0.0&permissions=camera");
    let submit = world.by(&world.ping, "POST", &path);
    world.done(&submit.body("application/gzip", archive).send());

    // Two of three reviewers sign, each at home, and hand in their own signature.
    let record = format!("review record {APP} 1.0.0 --output record.json");
    ceremony.done(&world, rui, &record);
    ceremony.refused(
        &world,
        rui,
        &format!("review approve {APP} 1.0.0"),
        "needs its release record signed offline",
    );
    ceremony.huidu("sign --key release-1.key record.json --output rui.json --yes");
    ceremony.huidu("sign --key release-3.key record.json --output rosa.json --yes");
    let approve = |signed: &str| format!("review approve {APP} 1.0.0 --signed {signed}");
    let life = || {
        let reply = world
            .by(rui, "GET", &format!("/apps/{APP}/versions"))
            .send();
        reply.json()[0]["life"]["state"].clone()
    };
    ceremony.done(&world, rui, &approve("rui.json"));
    assert_eq!(life(), "submitted", "one signature of two");
    ceremony.done(&world, rosa, &approve("rosa.json"));
    assert_eq!(life(), "approved");

    // A manager cannot list it before operations said what the app may ever do.
    let enlist = format!("/apps/{APP}/versions/1.0.0/list");
    let early = world.by(&maya, "POST", &enlist).if_match("*").send();
    assert_eq!(early.json()["code"], "no-policy", "{}", early.text());
    ceremony.done(
        &world,
        &sec,
        &format!("policy draft {APP} --permit camera --on-stale block --output policy-1.json"),
    );
    ceremony.huidu("sign --key policy-1.key --key policy-2.key policy-1.json --yes");
    ceremony.done(
        &world,
        &sec,
        &format!("policy put {APP} policy-1.signed.json"),
    );
    agree(&world, &mo);
    // It is listed at a time that maya names, by the server itself.
    let soon = uptime::now().wall.plus_ms(4_000).to_string();
    let later = format!("{enlist}?at={}", soon.replace('+', "%2B"));
    let waits = world.by(&maya, "POST", &later).if_match("*").send();
    assert_eq!(
        (waits.status, &waits.json()["waits"]["lacks"]),
        (202, &json!(1)),
        "{}",
        waits.text()
    );
    agree(&world, &mo);
    assert_eq!(life(), "approved");
    until("the listing happens at its time", || life() == "listed");
    assert!(uptime::now().wall >= soon.parse().unwrap());

    // Sending it on takes a second manager, who approves what was shown.
    let rollout = format!("app = \"{APP}\"\nhosts = [\"{HOST}\"]\nstable = \"1.0.0\"\n");
    let put = world
        .by(&maya, "PUT", &format!("/apps/{APP}/rollout"))
        .if_match("*");
    let waits = put.body("application/toml", rollout.into_bytes()).send();
    assert_eq!(waits.status, 202, "{}", waits.text());
    let waits = waits.json()["waits"].clone();
    let approve = format!("/changes/{}/approve", waits["id"].as_str().unwrap());
    let shown = json!({ "hash": waits["hash"] });
    let alone = world.by(&maya, "POST", &approve).json(&shown).send();
    assert_eq!(alone.json()["code"], "same-person", "{}", alone.text());
    world.done(&world.by(&mo, "POST", &approve).json(&shown).send());

    // A customer's phone verifies the chain from the root it was born with.
    let born = ceremony.bytes("keyring-1.json");
    let root = || Root::read(&born, AUDIENCE, Guard::Production).unwrap();
    let mut phone = phone(&world, root());
    assert_eq!(wake(&mut phone), [What::Downloaded, What::Activated]);
    let app: AppId = APP.parse().unwrap();
    let start = phone.may_start(&app, uptime::now());
    let Start::Run { permissions, .. } = start else {
        panic!("{start:?}");
    };
    assert_eq!(permissions, ["camera".parse().unwrap()]);

    // The server is stolen, with the online key.
    let thief = Thief::new(&world, ceremony.seed("online-1.key"));
    let honest = thief.tells(&phone, |_| {});
    assert!(
        matches!(honest, Verdict::Run(_)),
        "the lies differ in what they say alone: {honest:?}"
    );
    let doubted = |verdict: Verdict| match verdict {
        Verdict::Doubted(doubt) => doubt,
        other => panic!("believed: {other:?}"),
    };
    let lies: [(&str, Doubt, Lie); 4] = [
        ("an archive nobody approved", Doubt::Mix, |manifest| {
            manifest.bundle.as_mut().unwrap().sha256 = Digest::of(b"the thief's own");
        }),
        ("a wider permission", Doubt::Permissions, |manifest| {
            manifest.permissions.push("contacts".parse().unwrap());
        }),
        ("no record at all", Doubt::NoRelease, |manifest| {
            manifest.binding.release = None;
        }),
        (
            "a revision nothing could follow",
            Doubt::FastForward,
            |manifest| {
                manifest.rev = Revision::new(1 << 40);
            },
        ),
    ];
    for (name, doubt, lie) in lies {
        assert_eq!(doubted(thief.tells(&phone, lie)), doubt, "{name}");
    }
    let lease = thief.tells_at(&phone, uptime::now().wall, 7 * 86_400_000, |_| {});
    assert_eq!(
        doubted(lease),
        Doubt::Lease,
        "it cannot freeze a phone for longer than the root allows"
    );
    let mut late = uptime::now();
    late.mono_ms += 900_001;
    late.wall = late.wall.plus_ms(900_001);
    assert!(matches!(phone.may_start(&app, late), Start::Stale { .. }));

    // Operations delist the app offline: the phone stops, and the thief cannot bring it back.
    ceremony.done(
        &world,
        &sec,
        &format!("policy draft {APP} --delist --output policy-2.json"),
    );
    ceremony.huidu("sign --key policy-1.key policy-2.json --yes");
    let put = format!("policy put {APP} policy-2.signed.json");
    ceremony.refused(&world, &sec, &put, "1 of the 2 signatures");
    ceremony.huidu("sign --key policy-2.key policy-2.signed.json --yes");
    ceremony.done(&world, &sec, &put);
    let before = phone.trusted().clone();
    assert!(wake(&mut phone).contains(&What::Stopped));
    assert_eq!(phone.may_start(&app, uptime::now()), Start::Nothing);
    let policy = node
        .wire()
        .get(&format!("/v1/policies/{APP}"), &[])
        .unwrap();
    let (_, verdict) = before.hear_policy(&app, &policy.body);
    assert_eq!(
        verdict,
        Verdict::Stop,
        "handed over without any answer, it stops as well"
    );
    let newer = Thief {
        policy: policy.body,
        honest: thief.honest.clone(),
        release: thief.release.clone(),
        key: thief.key.clone(),
    };
    let told = newer.tells(&phone, |manifest| manifest.binding.policy = Some(2));
    assert_eq!(doubted(told), Doubt::Policy, "un-delisting");
    let unkill = world.by(&maya, "POST", &format!("/apps/{APP}/unkill"));
    let unkill = unkill
        .if_match("*")
        .json(&json!({ "reason": "sorry" }))
        .send();
    assert_eq!(unkill.json()["code"], "policy", "{}", unkill.text());

    // The stolen key is replaced: a new epoch, signed by two of the root.
    ceremony.huidu("keys new online-2.key");
    ceremony.huidu("keys rotate keyring-1.json online online-2.key.pub --output keyring-2.json");
    ceremony.huidu("sign --key root-1.key --key root-3.key keyring-2.json --yes");
    ceremony.huidu("keys show keyring-1.json keyring-2.json");
    ceremony.done(&world, &sec, "keys put keyring-2.json");
    agree(&world, &mo);
    let mut world = world;
    let node = &mut world.cluster.nodes[0];
    fs::copy(
        ceremony.dir.join("online-2.key"),
        node.dir.join("online.key"),
    )
    .unwrap();
    node.terminate();
    node.start_again();
    let happened = wake(&mut phone);
    assert!(!happened.contains(&What::Doubted), "{happened:?}");
    assert_eq!(phone.trusted().keyring().version, 2);
    assert_eq!(doubted(thief.tells(&phone, |_| {})), Doubt::Signature);
    world.logs_hold_nobody();
}

#[test]
fn a_development_server_makes_its_own_keys_and_customers_refuse_it() {
    let world = World::new(Backing::Embedded);
    let node = &world.cluster.nodes[0];
    assert!(node.log().contains("DEVELOPMENT"), "it says so");
    let first = node.wire().get("/v1/k/1", &[]).unwrap();
    assert_eq!(first.status, 200);
    let refused = Root::read(&first.body, "bank/dev", Guard::Production).unwrap_err();
    let why = "keyring 1 is marked `dev`, and this reader accepts no such keyring";
    assert_eq!(refused.to_string(), why);
    assert!(Root::read(&first.body, "bank/dev", Guard::Development).is_ok());
    for gone in [
        "/v1/k/2",
        "/v1/k/01",
        "/v1/k/0",
        "/v1/k/",
        "/v1/policies/pingan/none",
        "/v1/releases/a/b/zz",
    ] {
        assert_eq!(node.wire().get(gone, &[]).unwrap().status, 404, "{gone}");
    }
}

/// Somebody who can write into the store, and nothing else, brings back what was killed: the record takes
/// its place in the ledger, and counts nowhere.
#[test]
fn what_is_written_past_the_servers_does_not_count() {
    let mut world = World::new(Backing::Embedded);
    let app = world.app(&["1.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");
    let second = json!({ "approvals": 1, "roles": ["release-manager"] });
    let eyes = world.by(&world.ada, "PUT", "/eyes");
    world.done(&eyes.json(&json!({ "kinds": { "unkill": second } })).send());
    let kill = world.by(&world.sven, "POST", &format!("/apps/{app}/kill"));
    world.done(
        &kill
            .json(&json!({ "version": "1.0.0", "reason": "fraud" }))
            .send(),
    );
    let last = world.cluster.nodes[0].wire().get("/readyz", &[]).unwrap();
    let last = last.json()["revision"].as_u64().unwrap();
    world.cluster.nodes[0].terminate();

    let store = world.cluster.store();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let log_key = fs::read_to_string(world.cluster.nodes[0].dir.join("log.key")).unwrap();
    let seed = data_encoding::HEXLOWER.decode(log_key.trim().as_bytes());
    let log_key = SigningKey::from_bytes(&seed.unwrap().try_into().unwrap());
    runtime.unwrap().block_on(async {
        let before = store.get(&Key::Log(last)).await.unwrap();
        let honest = Record::decode(&before).unwrap();
        let mut forged = honest.clone();
        forged.rev = Revision::new(last + 1);
        forged.prev = Digest::of(&before);
        forged.op = derived_op(&["forged"]);
        forged.put = derived_op(&["forged", "put"]).as_str().parse().unwrap();
        forged.actor.role = Role::ReleaseManager;
        forged.actor.id = world.maya.token.split('_').nth(2).unwrap().to_owned();
        forged.events = vec![Event::Unkilled {
            app: app.parse().unwrap(),
            version: Some("1.0.0".parse().unwrap()),
            reason: "sorry".into(),
        }];
        // By somebody who can write into the store alone, then by somebody who has the server's key as well.
        let unsigned = forged.encode().unwrap();
        forged.rev = Revision::new(last + 2);
        forged.prev = Digest::of(&unsigned);
        let signed = forged.seal(&log_key).unwrap();
        for (rev, bytes) in [(last + 1, unsigned), (last + 2, signed)] {
            store.put_new(&Key::Log(rev), bytes).await.unwrap();
        }
    });
    drop(store);
    world.cluster.nodes[0].start_again();
    let node = &world.cluster.nodes[0];
    let ready = node.wire().get("/readyz", &[]).unwrap();
    assert_eq!(
        ready.json()["revision"],
        last + 2,
        "the records took their places"
    );
    assert_eq!(
        world.told(&app, "phone-0001", "&v=1.0.0")["state"],
        "killed"
    );
    for why in [
        "no key of role `log` signed it",
        "`unkill` takes the agreement of others",
    ] {
        assert!(node.log().contains(why), "{why}: {}", node.log());
    }
    let metrics = Wire::connect(node.control)
        .unwrap()
        .get("/metrics", &[])
        .unwrap();
    assert!(
        metrics
            .text()
            .contains("huidu_ledger_invalid_records_total 2")
    );
    // The ledger goes on after it.
    let more = world
        .by(&world.maya, "POST", "/apps")
        .json(&json!({ "app": "pingan/next" }));
    world.done(&more.send());
}
