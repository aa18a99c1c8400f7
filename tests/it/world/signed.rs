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
        Patience,
        device::{Device, DeviceConfig, Start, What},
        profile::Profile,
        root::Root,
        uptime,
    },
    node::derived_op,
    store::Key,
};
use huidu_core::{
    authority::Role, digest::Digest, event::Event, keyring::Guard, manifest::Manifest, name::AppId,
    record::Record, revision::Revision, verify::Verdict,
};
use serde_json::{Value, json};

use super::{
    HOST, Person, World,
    stories::Runs,
    thief::{Den, Thief},
};
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
    pub(crate) fn new(dir: &Path) -> Self {
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

    pub(crate) fn types(&self, words: &str, more: &[&str]) -> (bool, String) {
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
    pub(crate) fn desk(&self, world: &World, person: &Person, words: &str) -> (bool, String) {
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

    pub(crate) fn refused(&self, world: &World, person: &Person, words: &str, why: &str) {
        let (ok, said) = self.desk(world, person, words);
        assert!(!ok && said.contains(why), "huidu {words}: {said}");
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
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

/// Somebody else agrees to everything that waits for it, if anything does.
pub(crate) fn agree(world: &World, person: &Person) {
    let waits = world.by(person, "GET", "/changes").send().json();
    let open = waits.as_array().unwrap().iter();
    let open: Vec<&Value> = open.filter(|one| one["lacks"] != 0).collect();
    for change in open {
        let path = format!("/changes/{}/approve", change["id"].as_str().unwrap());
        let shown = json!({ "hash": change["hash"] });
        world.done(&world.by(person, "POST", &path).json(&shown).send());
    }
}

fn phone(world: &World, root: Root, name: &str, platform: &str, host_version: &str) -> Device {
    let server = world.cluster.nodes[0].device_url();
    Device::open(DeviceConfig {
        server,
        dir: world.cluster.path().join(name),
        host: HOST.parse().unwrap(),
        apps: vec![APP.parse().unwrap()],
        profile: Profile {
            unit: "phone-0001".into(),
            platform: platform.into(),
            host_version: host_version.into(),
            ..Profile::default()
        },
        root,
        challenges: true,
        preview: None,
        patience: Patience::default(),
    })
    .unwrap()
}

fn wake(phone: &mut Device) -> Vec<What> {
    let happened = phone.cycle(uptime::now(), &mut Runs).unwrap();
    happened.iter().map(|one| one.what).collect()
}

/// What a thief changes of an honest answer.
type Lie = fn(&mut Manifest);

/// Lets the phone turn to a server of the thief's, and says why it did not believe what it was told there.
fn doubt(phone: &mut Device, den: &Den) -> String {
    let before = phone.may_start(&APP.parse().unwrap(), uptime::now());
    phone.turn_to(&den.url);
    let happened = phone.cycle(uptime::now(), &mut Runs).unwrap();
    assert!(den.told() > 0, "the phone asked");
    let [one] = happened.as_slice() else {
        panic!("{happened:?}")
    };
    assert_eq!(one.what, What::Doubted, "{happened:?}");
    let after = phone.may_start(&APP.parse().unwrap(), uptime::now());
    assert_eq!(
        running(&before),
        running(&after),
        "its last good state stays"
    );
    one.detail.split([':', ' ', ';']).next().unwrap().to_owned()
}

fn running(start: &Start) -> Option<(String, Vec<String>)> {
    let Start::Run {
        version,
        permissions,
        ..
    } = start
    else {
        return None;
    };
    let permissions = permissions.iter().map(ToString::to_string);
    Some((version.to_string(), permissions.collect()))
}

/// The bank of the story, and who works there.
struct Bank {
    world: World,
    ceremony: Ceremony,
    rui: Person,
    rosa: Person,
    sec: Person,
    maya: Person,
    mo: Person,
}

impl Bank {
    fn new() -> Self {
        let (world, ceremony) = bank("");
        let [rui, rosa] = ["rui", "rosa"].map(|name| member(&world, name, &json!("reviewer")));
        let sec = member(&world, "sec", &json!("security"));
        let [maya, mo] = ["maya", "mo"].map(|name| member(&world, name, &json!("release-manager")));
        let bank = Self {
            world,
            ceremony,
            rui,
            rosa,
            sec,
            maya,
            mo,
        };
        bank.ceremony
            .done(&bank.world, &bank.sec, "keys put keyring-1.json");
        agree(&bank.world, &bank.mo);
        let host = "[permissions]\ncamera = { grade = \"basic\" }\n";
        fs::write(bank.ceremony.dir.join("host.toml"), host).unwrap();
        bank.ceremony
            .done(&bank.world, &bank.sec, "permission put host.toml");
        agree(&bank.world, &bank.mo);
        let app = bank.world.by(&bank.world.maya, "POST", "/apps");
        bank.world.done(&app.json(&json!({ "app": APP })).send());
        bank
    }

    /// Ping hands a version in: for phones of two makes, with a bank app that is new enough.
    fn submit(&self, version: &str) {
        let archive = self.world.archive(APP, version);
        let words = format!(
            "version submit {APP} {version} {} --permission camera --filing ICP-{version} --platform harmony \
             --platform android --host-version >=8.2",
            archive.display()
        );
        self.ceremony.done(&self.world, &self.world.ping, &words);
    }

    /// Two of three reviewers sign, each at home, and hand in their own signature.
    fn approve(&self, version: &str) {
        let (ceremony, world) = (&self.ceremony, &self.world);
        let file = |who: &str| format!("{who}-{version}.json");
        let record = format!("review record {APP} {version} --output {}", file("record"));
        ceremony.done(world, &self.rui, &record);
        for (who, key, person) in [("rui", 1, &self.rui), ("rosa", 3, &self.rosa)] {
            let words = format!("sign --key release-{key}.key {} --yes", file("record"));
            ceremony.huidu(&format!("{words} --output {}", file(who)));
            let words = format!("review approve {APP} {version} --signed {}", file(who));
            ceremony.done(world, person, &words);
            let is_last = who == "rosa";
            let expected = if is_last { "approved" } else { "submitted" };
            assert_eq!(self.life(version), expected, "after {who}");
        }
    }

    fn life(&self, version: &str) -> Value {
        let path = format!("/apps/{APP}/versions");
        let versions = self.world.by(&self.rui, "GET", &path).send().json();
        let mut versions = versions.as_array().unwrap().iter();
        let found = versions.find(|one| one["number"] == version).unwrap();
        found["life"]["state"].clone()
    }

    /// Operations write a policy, two of them sign it, and it is put in force.
    fn policy(&self, number: u32, words: &str) {
        let (ceremony, world) = (&self.ceremony, &self.world);
        let file = format!("policy-{number}.json");
        let draft = format!("policy draft {APP} {words} --output {file}");
        ceremony.done(world, &self.sec, &draft);
        let signed = format!("policy-{number}.signed.json");
        let put = format!("policy put {APP} {signed}");
        ceremony.huidu(&format!("sign --key policy-1.key {file} --yes"));
        ceremony.refused(world, &self.sec, &put, "1 of the 2 signatures");
        ceremony.huidu(&format!("sign --key policy-2.key {signed} --yes"));
        ceremony.done(world, &self.sec, &put);
        agree(world, &self.mo);
    }

    /// Maya asks for a change; it waits, she cannot agree to it herself, and Mo does.
    fn agreed(&self, method: &'static str, path: &str, content: (&str, Vec<u8>)) {
        let asked = self.world.by(&self.maya, method, path).if_match("*");
        let waits = asked.body(content.0, content.1).send();
        assert_eq!(waits.status, 202, "{}", waits.text());
        let waits = waits.json()["waits"].clone();
        let approve = format!("/changes/{}/approve", waits["id"].as_str().unwrap());
        let shown = json!({ "hash": waits["hash"] });
        let alone = self.world.by(&self.maya, "POST", &approve).json(&shown);
        let alone = alone.send();
        assert_eq!(alone.json()["code"], "same-person", "{}", alone.text());
        let agree = self.world.by(&self.mo, "POST", &approve).json(&shown);
        self.world.done(&agree.send());
    }

    fn rollout(&self, rest: &str) {
        let text = format!("app = \"{APP}\"\nhosts = [\"{HOST}\"]\n{rest}");
        let path = format!("/apps/{APP}/rollout");
        self.agreed("PUT", &path, ("application/toml", text.into_bytes()));
    }

    fn thief(&self) -> Thief {
        Thief::new(
            &self.world,
            AUDIENCE,
            APP,
            self.ceremony.seed("online-1.key"),
        )
    }

    fn root(&self) -> Root {
        Root::read(
            &self.ceremony.bytes("keyring-1.json"),
            AUDIENCE,
            Guard::Production,
        )
        .unwrap()
    }

    fn phone(&self, name: &str, platform: &str, host_version: &str) -> Device {
        phone(&self.world, self.root(), name, platform, host_version)
    }
}

#[test]
fn from_the_ceremony_to_a_stolen_server() {
    let bank = Bank::new();
    let (world, ceremony) = (&bank.world, &bank.ceremony);
    let app: AppId = APP.parse().unwrap();
    bank.submit("1.0.0");
    let unsigned = format!("review approve {APP} 1.0.0");
    let why = "needs its release record signed offline";
    ceremony.refused(world, &bank.rui, &unsigned, why);
    bank.approve("1.0.0");

    // A manager cannot list it before operations said what the app may ever do.
    let enlist = format!("/apps/{APP}/versions/1.0.0/list");
    let early = world.by(&bank.maya, "POST", &enlist).if_match("*").send();
    assert_eq!(early.json()["code"], "no-policy", "{}", early.text());
    bank.policy(1, "--permit camera --on-stale block");
    // It is listed at a time that maya names, by the server itself.
    let soon = uptime::now().wall.plus_ms(4_000).to_string();
    let later = format!("{enlist}?at={}", soon.replace('+', "%2B"));
    let waits = world.by(&bank.maya, "POST", &later).if_match("*").send();
    assert_eq!(
        (waits.status, &waits.json()["waits"]["lacks"]),
        (202, &json!(1)),
        "{}",
        waits.text()
    );
    agree(world, &bank.mo);
    assert_eq!(bank.life("1.0.0"), "approved");
    until("the listing happens at its time", || {
        bank.life("1.0.0") == "listed"
    });
    assert!(uptime::now().wall >= soon.parse().unwrap());
    bank.rollout("stable = \"1.0.0\"\n");

    // A customer's phone verifies the chain from the root it was born with.
    let mut phone = bank.phone("phone", "android", "8.3");
    assert_eq!(wake(&mut phone), [What::Downloaded, What::Activated]);
    let camera = |version: &str| Some((version.to_owned(), vec!["camera".to_owned()]));
    let runs = |phone: &Device| running(&phone.may_start(&app, uptime::now()));
    assert_eq!(runs(&phone), camera("1.0.0"));
    // What it was not made for refuses it: the record says so, whatever the server offers.
    for (name, platform, host) in [("ios", "ios", "8.3"), ("old", "android", "8.1")] {
        let mut other = bank.phone(name, platform, host);
        assert_eq!(wake(&mut other), [What::Doubted], "{name}");
        assert_eq!(other.may_start(&app, uptime::now()), Start::Nothing);
    }
    let first = bank.thief();

    // The next version is ramped: further than one manager may, so a second one agrees.
    bank.submit("1.1.0");
    bank.approve("1.1.0");
    let enlist = format!("/apps/{APP}/versions/1.1.0/list");
    let waits = world.by(&bank.maya, "POST", &enlist).if_match("*").send();
    assert_eq!(waits.status, 202, "{}", waits.text());
    agree(world, &bank.mo);
    let ramp = "stable = \"1.0.0\"\n[[rule]]\nname = \"ramp\"\nshare = \"0%\"\nserve = \"1.1.0\"\n";
    bank.rollout(ramp);
    let share = format!("/apps/{APP}/rollout/rules/ramp/share");
    let moved = |share: &str| json!({ "share": share }).to_string().into_bytes();
    bank.agreed("PUT", &share, ("application/json", moved("100%")));
    assert_eq!(wake(&mut phone), [What::Downloaded, What::Activated]);
    assert_eq!(runs(&phone), camera("1.1.0"));

    // Managed rollback: one person, and no signature that was not there before.
    let papers = fs::read_dir(&ceremony.dir).unwrap().count();
    let lower = world.by(&world.sven, "PUT", &share).if_match("*");
    world.done(&lower.body("application/json", moved("0%")).send());
    let back = wake(&mut phone);
    assert!(back.contains(&What::Activated), "{back:?}");
    assert_eq!(runs(&phone), camera("1.0.0"));
    assert_eq!(fs::read_dir(&ceremony.dir).unwrap().count(), papers);
    let record = bank.thief();
    assert_eq!(record.release, first.release, "the very record of before");
    bank.agreed("PUT", &share, ("application/json", moved("100%")));
    assert!(wake(&mut phone).contains(&What::Activated));
    bank.rollout("stable = \"1.1.0\"\n");

    // The server is stolen, with the online key. The thief's own servers lie to the phone.
    let thief = bank.thief();
    let mut other = bank.phone("other", "android", "8.3");
    assert_eq!(wake(&mut other), [What::Downloaded, What::Activated]);
    let honest = thief.tells(|_| {});
    other.turn_to(&honest.url);
    let heard = wake(&mut other);
    assert_eq!(
        heard,
        [What::Unchanged],
        "the lies differ in what they say alone"
    );
    let lies: [(&str, &str, Lie); 4] = [
        ("an archive nobody approved", "mix", |manifest| {
            manifest.bundle.as_mut().unwrap().sha256 = Digest::of(b"the thief's own");
        }),
        ("a wider permission", "permissions", |manifest| {
            manifest.permissions.push("contacts".parse().unwrap());
        }),
        ("no record at all", "no-release", |manifest| {
            manifest.binding.release = None;
        }),
        (
            "a revision nothing could follow",
            "fast-forward",
            |manifest| {
                manifest.rev = Revision::new(1 << 40);
            },
        ),
    ];
    for (name, code, lie) in lies {
        let den = thief.tells(lie);
        assert_eq!(doubt(&mut phone, &den), code, "{name}");
    }
    let now = uptime::now().wall;
    let week = thief.tells_at(now, 7 * 86_400_000, |_| {});
    let why = "it cannot freeze a phone for longer than the root allows";
    assert_eq!(doubt(&mut phone, &week), "lease", "{why}");
    let mut late = uptime::now();
    late.mono_ms += 900_001;
    late.wall = late.wall.plus_ms(900_001);
    assert!(matches!(phone.may_start(&app, late), Start::Stale { .. }));

    // The bank's own server tells of a policy with a floor; nobody goes below it, managers or thieves.
    bank.policy(2, "--floor 2");
    assert_eq!(bank.life("1.0.0"), "delisted", "stopped with the policy");
    let rollback = format!("app = \"{APP}\"\nhosts = [\"{HOST}\"]\nstable = \"1.0.0\"\n");
    let put = world.by(&bank.maya, "PUT", &format!("/apps/{APP}/rollout"));
    let put = put
        .if_match("*")
        .body("application/toml", rollback.into_bytes());
    let below = put.send();
    assert_eq!(below.json()["code"], "rollout", "{}", below.text());
    phone.turn_to(&world.cluster.nodes[0].device_url());
    wake(&mut phone);
    assert_eq!(runs(&phone), camera("1.1.0"));
    let mut below = first;
    below.policy = node_policy(world);
    let den = below.tells(|manifest| manifest.binding.policy = Some(2));
    assert_eq!(doubt(&mut phone, &den), "policy", "below the floor");

    // Operations delist the app offline: the phone stops, and the thief cannot bring it back.
    bank.policy(3, "--delist");
    let (before, policy) = (phone.trusted().clone(), node_policy(world));
    let (_, verdict) = before.hear_policy(&app, &policy);
    assert_eq!(
        verdict,
        Verdict::Stop,
        "handed over without any answer, it stops as well"
    );
    phone.turn_to(&world.cluster.nodes[0].device_url());
    assert!(wake(&mut phone).contains(&What::Stopped));
    assert_eq!(phone.may_start(&app, uptime::now()), Start::Nothing);
    let mut newer = thief.clone();
    newer.policy = policy;
    let den = newer.tells(|manifest| manifest.binding.policy = Some(3));
    assert_eq!(doubt(&mut phone, &den), "policy", "un-delisting");
    phone.turn_to(&world.cluster.nodes[0].device_url());
    let unkill = world.by(&bank.maya, "POST", &format!("/apps/{APP}/unkill"));
    let unkill = unkill
        .if_match("*")
        .json(&json!({ "reason": "sorry" }))
        .send();
    assert_eq!(unkill.json()["code"], "policy", "{}", unkill.text());
    the_stolen_key_is_replaced(bank, &mut phone, &thief);
}

/// A new epoch, signed by two of the root: what the stolen key says counts no more.
fn the_stolen_key_is_replaced(bank: Bank, phone: &mut Device, thief: &Thief) {
    let ceremony = &bank.ceremony;
    ceremony.huidu("keys new online-2.key");
    ceremony.huidu("keys rotate keyring-1.json online online-2.key.pub --output keyring-2.json");
    ceremony.huidu("sign --key root-1.key --key root-3.key keyring-2.json --yes");
    ceremony.huidu("keys show keyring-1.json keyring-2.json");
    ceremony.done(&bank.world, &bank.sec, "keys put keyring-2.json");
    agree(&bank.world, &bank.mo);
    let mut world = bank.world;
    let node = &mut world.cluster.nodes[0];
    fs::copy(
        ceremony.dir.join("online-2.key"),
        node.dir.join("online.key"),
    )
    .unwrap();
    node.terminate();
    node.start_again();
    let happened = wake(phone);
    assert!(!happened.contains(&What::Doubted), "{happened:?}");
    assert_eq!(phone.trusted().keyring().version, 2);
    assert_eq!(doubt(phone, &thief.tells(|_| {})), "sig");
    world.logs_hold_nobody();
}

fn node_policy(world: &World) -> Vec<u8> {
    let mut wire = world.cluster.nodes[0].wire();
    wire.get(&format!("/v1/policies/{APP}"), &[]).unwrap().body
}

#[test]
fn a_development_server_makes_its_own_keys_and_customers_refuse_it() {
    let mut world = World::new(Backing::Embedded);
    let loud = "DEVELOPMENT KEYRING: its keys lie beside the server, and customers' devices refuse this installation";
    let said = |world: &World| world.cluster.nodes[0].log().matches(loud).count();
    assert_eq!(said(&world), 1, "it says so");
    world.cluster.restart();
    let again = said(&world);
    assert!(again >= 1, "and at every start: {again}");
    let node = &world.cluster.nodes[0];
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
