//! What customers' phones and test phones of a bank with keys go through: keyrings by the dozen, a version
//! under review, a permission that is taken back. The server is the real one, and so are the phones.

use std::fs;

use ed25519_dalek::SigningKey;
use huidu::{
    client::{
        Patience,
        device::{Device, DeviceConfig, Start, What},
        profile::Profile,
        root::Root,
        uptime,
    },
    store::Folder,
};
use huidu_core::{
    envelope::Envelope,
    key::Signer as _,
    keyring::{Guard, Keyring, Quorum},
    name::AppId,
    paper::Paper as _,
    preview::PreviewError,
};
use serde_json::json;

use super::{
    HOST, Person, World,
    signed::{AUDIENCE, Ceremony, agree, bank, member},
    stories::Runs,
};

const APP: &str = "pingan/travel";
const SANDBOX: &str = "retail-test";

/// A phone with its own directory.
struct Phone {
    config: DeviceConfig,
}

impl Phone {
    fn new(world: &World, ceremony: &Ceremony, name: &str, host: &str, guard: Guard) -> Self {
        let born = ceremony.bytes("keyring-1.json");
        let config = DeviceConfig {
            server: world.cluster.nodes[0].device_url(),
            dir: world.cluster.path().join(name),
            host: host.parse().unwrap(),
            apps: vec![app()],
            profile: Profile {
                unit: format!("phone-{name}"),
                ..Profile::default()
            },
            root: Root::read(&born, AUDIENCE, guard).unwrap(),
            challenges: false,
            preview: None,
            patience: Patience::default(),
        };
        Self { config }
    }

    /// Woken up after its battery died, as each time.
    fn device(&self) -> Device {
        Device::open(self.config.clone()).unwrap()
    }

    fn wake(&self) -> Vec<What> {
        let happened = self.device().cycle(uptime::now(), &mut Runs).unwrap();
        happened.iter().map(|one| one.what).collect()
    }

    fn start(&self) -> Start {
        self.device().may_start(&app(), uptime::now())
    }

    fn permissions(&self) -> Vec<String> {
        match self.start() {
            Start::Run { permissions, .. } => permissions.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }
}

fn app() -> AppId {
    APP.parse().unwrap()
}

struct Bank {
    world: World,
    ceremony: Ceremony,
    sec: Person,
    reviewers: [Person; 2],
    maya: Person,
    mo: Person,
}

impl Bank {
    /// A bank whose keyring is in force, with a policy of an app of which one version is under review.
    fn new() -> Self {
        let (world, ceremony) = bank("");
        let sec = member(&world, "sec", &json!("security"));
        let reviewers = ["rui", "rosa"].map(|name| member(&world, name, &json!("reviewer")));
        let [maya, mo] = ["maya", "mo"].map(|name| member(&world, name, &json!("release-manager")));
        ceremony.done(&world, &sec, "keys put keyring-1.json");
        agree(&world, &mo);
        let host =
            "[permissions]\ncamera = { grade = \"basic\" }\nlocation = { grade = \"basic\" }\n";
        fs::write(ceremony.dir.join("host.toml"), host).unwrap();
        ceremony.done(&world, &sec, "permission put host.toml");
        agree(&world, &mo);
        let admit = world.by(&world.maya, "POST", "/apps");
        world.done(&admit.json(&json!({ "app": APP })).send());
        let bank = Self {
            world,
            ceremony,
            sec,
            reviewers,
            maya,
            mo,
        };
        bank.huidu(&format!(
            "policy draft {APP} --permit camera --permit location --output policy-1.json"
        ));
        let sign = "sign --key policy-1.key --key policy-2.key policy-1.json --yes";
        bank.ceremony.huidu(sign);
        bank.huidu(&format!("policy put {APP} policy-1.signed.json"));
        bank
    }

    fn huidu(&self, words: &str) {
        self.ceremony.done(&self.world, &self.sec, words);
        agree(&self.world, &self.mo);
    }

    fn submit(&self, version: &str) {
        let archive = fs::read(self.world.archive(APP, version)).unwrap();
        let path = format!(
            "/apps/{APP}/versions?version={version}&permissions=camera,location&filing=ICP-1"
        );
        let submit = self.world.by(&self.world.ping, "POST", &path);
        let reply = submit.body("application/gzip", archive).send();
        self.world.done(&reply);
    }

    /// Two reviewers sign, and maya lists it and serves it to everybody.
    fn release(&self, version: &str) {
        let [rui, rosa] = &self.reviewers;
        let record = format!("review record {APP} {version} --output record.json");
        self.ceremony.done(&self.world, rui, &record);
        for (person, key, file) in [(rui, 1, "rui.json"), (rosa, 3, "rosa.json")] {
            let sign = format!("sign --key release-{key}.key record.json --output {file} --yes");
            self.ceremony.huidu(&sign);
            let approve = format!("review approve {APP} {version} --signed {file}");
            self.ceremony.done(&self.world, person, &approve);
        }
        let enlist = format!("/apps/{APP}/versions/{version}/list");
        let waits = self.world.by(&self.maya, "POST", &enlist).if_match("*");
        assert_eq!(waits.send().status, 202);
        agree(&self.world, &self.mo);
        self.agreed(&format!("stable = \"{version}\"\n"));
    }

    /// A rollout that two managers agree on.
    fn agreed(&self, rest: &str) {
        let text = format!("app = \"{APP}\"\nhosts = [\"{HOST}\"]\n{rest}");
        let put = self
            .world
            .by(&self.maya, "PUT", &format!("/apps/{APP}/rollout"));
        let put = put
            .if_match("*")
            .body("application/toml", text.into_bytes());
        let waits = put.send();
        if waits.status != 202 {
            self.world.done(&waits);
            return;
        }
        let waits = waits.json()["waits"].clone();
        let approve = format!("/changes/{}/approve", waits["id"].as_str().unwrap());
        let approve = self.world.by(&self.mo, "POST", &approve);
        let approve = approve.json(&json!({ "hash": waits["hash"] }));
        self.world.done(&approve.send());
    }

    fn phone(&self, name: &str, host: &str, guard: Guard) -> Phone {
        Phone::new(&self.world, &self.ceremony, name, host, guard)
    }
}

/// One of the two keys of the root that keyring `version` has from then on.
fn root(version: u64) -> SigningKey {
    let mut seed = [0xc3; 32];
    seed[..8].copy_from_slice(&version.to_be_bytes());
    SigningKey::from_bytes(&seed)
}

#[test]
fn a_phone_walks_fifty_keyrings_and_then_seventy_from_the_one_it_was_born_with() {
    let bank = Bank::new();
    bank.submit("1.0.0");
    bank.release("1.0.0");
    let phone = bank.phone("walker", HOST, Guard::Production);
    let late = bank.phone("sleeper", HOST, Guard::Production);
    assert_eq!(phone.wake(), [What::Downloaded, What::Activated]);
    assert_eq!(late.wake(), [What::Downloaded, What::Activated]);

    let Bank {
        mut world,
        ceremony,
        sec,
        mo,
        ..
    } = bank;
    // Checkpoints are written every few changes, so that the next start begins with one.
    world.cluster.nodes[0].terminate();
    world.cluster.nodes[0].set("checkpoint_every = 4");
    world.cluster.nodes[0].start_again();
    let mut known = Keyring::born(
        &ceremony.bytes("keyring-1.json"),
        AUDIENCE,
        Guard::Production,
    );
    let mut chain: Vec<Vec<u8>> = vec![ceremony.bytes("keyring-1.json")];
    let first = [ceremony.seed("root-1.key"), ceremony.seed("root-2.key")];
    let mut rotate = |world: &World, to: u64| {
        let old = known.as_ref().unwrap();
        for version in old.version + 1..=to {
            let old = known.as_ref().unwrap();
            let mut next = old.clone();
            let gone: Vec<_> = old.roles.root.kids().cloned().collect();
            next.keys.retain(|kid, _| !gone.contains(kid));
            let new = root(version);
            next.keys.insert(new.public_key().id(), new.public_key());
            next.roles.root = Quorum::of(1, vec![new.public_key().id()]);
            next.version = version;
            let mut envelope = Envelope::new(Keyring::KIND, next.to_payload());
            if version == 2 {
                first.iter().for_each(|key| envelope.sign(key).unwrap());
            } else {
                envelope.sign(&root(version - 1)).unwrap();
            }
            envelope.sign(&new).unwrap();
            let bytes = envelope.to_bytes();
            let put = world.by(&sec, "POST", "/keyring");
            let waits = put.body("application/json", bytes.clone()).send();
            assert_eq!(waits.status, 202, "{}", waits.text());
            agree(world, &mo);
            chain.push(bytes);
            known = Ok(next);
        }
        chain.clone()
    };
    let chain = rotate(&world, 50);
    let served = |world: &World, chain: &[Vec<u8>]| {
        let mut wire = world.cluster.nodes[0].wire();
        for (at, signed) in chain.iter().enumerate() {
            let told = wire.get(&format!("/v1/k/{}", at + 1), &[]).unwrap();
            assert_eq!(told.status, 200);
            let (told, signed) = (Envelope::parse(&told.body), Envelope::parse(signed));
            let (told, signed) = (told.unwrap(), signed.unwrap());
            assert_eq!(told.payload(), signed.payload(), "keyring {}", at + 1);
        }
    };
    let bytes = |world: &World| -> Vec<Vec<u8>> {
        let mut wire = world.cluster.nodes[0].wire();
        let each = (1..=50).map(|version| wire.get(&format!("/v1/k/{version}"), &[]).unwrap().body);
        each.collect()
    };
    served(&world, &chain);
    let before = bytes(&world);
    // A node that starts anew begins with a checkpoint, in which they all are.
    world.cluster.nodes[0].terminate();
    let store = world.cluster.store();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let written = runtime
        .unwrap()
        .block_on(store.list(Folder::Checkpoints, None))
        .unwrap();
    assert!(!written.is_empty(), "no checkpoint was written");
    drop(store);
    world.cluster.nodes[0].start_again();
    assert_eq!(bytes(&world), before, "byte for byte, for ever");
    assert_eq!(phone.wake(), [What::Unchanged]);
    assert_eq!(phone.device().trusted().keyring().version, 50);

    // The other phone sleeps on, and is seventy behind: it takes two goes, and is not left behind.
    let chain = rotate(&world, 71);
    served(&world, &chain);
    assert_eq!(late.wake(), [What::Doubted]);
    assert_eq!(late.device().trusted().keyring().version, 65);
    assert_eq!(late.wake(), [What::Unchanged]);
    assert_eq!(late.device().trusted().keyring().version, 71);
    world.logs_hold_nobody();
}

#[test]
fn a_version_under_review_reaches_test_phones_in_the_sandbox_and_no_customer() {
    let bank = Bank::new();
    let (world, maya) = (&bank.world, &bank.world.maya);
    let host = world.by(&world.ada, "POST", "/hosts");
    world.done(
        &host
            .json(&json!({ "host": SANDBOX, "title": "Test", "sandbox": true }))
            .send(),
    );
    bank.submit("2.0.0");
    let bundle = || {
        let bytes = world.bundle(APP, "2.0.0");
        let url = format!(
            "/v1/bundles/sha256/{}",
            huidu_core::digest::Digest::of(&bytes)
        );
        world.cluster.nodes[0].wire().get(&url, &[]).unwrap().status
    };
    assert_eq!(
        bundle(),
        404,
        "a digest opens nothing that nobody is told of"
    );

    // Named test phones.
    let tester = bank.phone("tester", SANDBOX, Guard::Sandbox);
    let customer = bank.phone("customer", SANDBOX, Guard::Production);
    assert_eq!(tester.wake(), [What::Nothing]);
    let trial = world.by(maya, "PUT", &format!("/apps/{APP}/versions/2.0.0/trial"));
    let named = json!({ "hosts": [SANDBOX], "devices": ["phone-tester", "phone-customer"] });
    world.done(&trial.if_match("*").json(&named).send());
    assert_eq!(bundle(), 200);
    assert_eq!(tester.wake(), [What::Downloaded, What::Activated]);
    assert_eq!(tester.permissions(), ["camera", "location"]);
    // The same answer on a customer's build: nobody signed for the version.
    assert_eq!(customer.wake(), [What::Doubted]);
    assert_eq!(customer.start(), Start::Nothing);
    // The same test phone where customers are.
    let astray = bank.phone("tester", HOST, Guard::Sandbox);
    let astray = Phone {
        config: DeviceConfig {
            dir: world.cluster.path().join("astray"),
            ..astray.config
        },
    };
    assert_eq!(astray.wake(), [What::Nothing]);

    // A link.
    let until = uptime::now().wall.plus_ms(600_000);
    let invite = world.by(
        maya,
        "POST",
        &format!("/apps/{APP}/versions/2.0.0/previews"),
    );
    let given = invite
        .json(&json!({ "host": SANDBOX, "until": until }))
        .send();
    assert!(matches!(given.status, 200 | 201), "{}", given.text());
    let link = given.json()["link"].as_str().unwrap().to_owned();
    let guest = bank.phone("guest", SANDBOX, Guard::Sandbox);
    assert_eq!(
        guest.wake(),
        [What::Nothing],
        "without the link it is told nothing"
    );
    let read = guest.device().read_link(&link, uptime::now()).unwrap();
    let mut later = uptime::now();
    later.wall = until;
    let expired = guest.device().read_link(&link, later);
    assert_eq!(expired, Err(PreviewError::Expired));
    let forged = link.replacen("huidu-preview:v1.ey", "huidu-preview:v1.eZ", 1);
    assert!(guest.device().read_link(&forged, uptime::now()).is_err());
    let opened = |phone: Phone| Phone {
        config: DeviceConfig {
            preview: Some((read.app.clone(), read.secret.clone())),
            ..phone.config
        },
    };
    let guest = opened(guest);
    assert_eq!(guest.wake(), [What::Downloaded, What::Activated]);
    let stranger = opened(bank.phone("stranger", SANDBOX, Guard::Production));
    assert_eq!(stranger.wake(), [What::Doubted]);
    let elsewhere = opened(bank.phone("elsewhere", HOST, Guard::Sandbox));
    assert_eq!(
        elsewhere.wake(),
        [What::Nothing],
        "the link opens in its sandbox alone"
    );
    // The command does the same, link and all.
    let words = format!(
        "device --server {} --root keyring-1.json --audience {AUDIENCE} --sandbox --host {SANDBOX} \
         --app {APP} --unit phone-typed --dir typed --preview {link}",
        world.cluster.nodes[0].device_url()
    );
    let said = bank.ceremony.huidu(&words);
    assert!(said.contains("activated"), "{said}");
    let (ok, said) = bank.ceremony.types(&words.replace("--sandbox ", ""), &[]);
    assert!(!ok, "{said}");
    let (ok, said) = bank.ceremony.types(&words.replace(&link, &forged), &[]);
    assert!(!ok && said.contains("preview link"), "{said}");

    // Offline it is stopped for test phones as for everybody.
    bank.huidu(&format!(
        "policy draft {APP} --delist --output policy-2.json"
    ));
    let sign = "sign --key policy-1.key --key policy-2.key policy-2.json --yes";
    bank.ceremony.huidu(sign);
    bank.huidu(&format!("policy put {APP} policy-2.signed.json"));
    tester.wake();
    assert_eq!(tester.start(), Start::Nothing);
    world.logs_hold_nobody();
}

#[test]
fn one_permission_taken_back_is_gone_from_running_phones_as_a_kill_would_be() {
    let bank = Bank::new();
    let world = &bank.world;
    bank.submit("1.0.0");
    bank.release("1.0.0");
    let [told, silent] = ["told", "silent"].map(|name| bank.phone(name, HOST, Guard::Production));
    for phone in [&told, &silent] {
        assert_eq!(phone.wake(), [What::Downloaded, What::Activated]);
        assert_eq!(phone.permissions(), ["camera", "location"]);
    }
    let revoke = format!("/apps/{APP}/permissions/location/revoke");
    let revoke = world.by(&bank.sec, "POST", &revoke).if_match("*");
    world.done(&revoke.json(&json!({ "reason": "sells it on" })).send());
    told.wake();
    assert_eq!(told.permissions(), ["camera"]);
    // A phone that is answered nothing about the app, but the list that kills are on, loses it as well.
    let deaf = Phone {
        config: DeviceConfig {
            apps: Vec::new(),
            ..silent.config.clone()
        },
    };
    deaf.wake();
    assert_eq!(silent.permissions(), ["camera"]);
    assert!(
        matches!(silent.start(), Start::Run { .. }),
        "it goes on without it"
    );
    // And given back, it is back.
    let restore = format!("/apps/{APP}/permissions/location/restore");
    let restore = world.by(&bank.sec, "POST", &restore).if_match("*");
    let restored = restore.json(&json!({ "reason": "they stopped" })).send();
    if matches!(restored.status, 200 | 201) {
        world.done(&restored);
        told.wake();
        assert_eq!(told.permissions(), ["camera", "location"]);
    } else {
        assert_eq!(restored.status, 202, "{}", restored.text());
    }
}
