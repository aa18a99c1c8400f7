//! What is signed offline: nothing is approved, listed or brought back without the signatures it takes, and
//! what a policy forbids stops with it.

use ed25519_dalek::SigningKey;
use huidu_core::{
    catalogue::App,
    command::Command,
    digest::Digest,
    envelope::Envelope,
    key::Signer as _,
    keyring::{Keyring, Online, Quorum, Roles, Trust},
    manifest::{Manifest, State},
    paper::Paper,
    policy::{OnStale, Policy, Standing},
    release::Release,
    version::Review,
};

use crate::world::{NOON, World, app, approve, bundle, list, number, unkill};

pub(crate) const NEXT_YEAR_S: u64 = NOON.unix_ms() / 1_000 + 365 * 86_400;

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn quorum(threshold: u32, seeds: &[u8]) -> Quorum {
    let kids = seeds.iter().map(|seed| key(*seed).public_key().id());
    Quorum::of(threshold, kids.collect())
}

pub(crate) fn keyring(trust: Trust) -> Keyring {
    let seeds = [1, 2, 3, 11, 12, 13, 21, 22, 31, 41];
    let keys = seeds.map(|seed| (key(seed).public_key().id(), key(seed).public_key()));
    Keyring {
        v: 1,
        aud: "bank/test".into(),
        version: 1,
        expires: NEXT_YEAR_S,
        trust,
        online: Online {
            epoch: 1,
            max_lease_ms: 900_000,
        },
        keys: keys.into_iter().collect(),
        roles: Roles {
            root: quorum(2, &[1, 2, 3]),
            release: quorum(2, &[11, 12, 13]),
            policy: quorum(2, &[21, 22]),
            online: quorum(1, &[31]),
            log: quorum(1, &[41]),
        },
    }
}

pub(crate) fn signed<T: Paper>(paper: &T, seeds: &[u8]) -> String {
    let mut envelope = Envelope::new(T::KIND, paper.to_payload());
    for seed in seeds {
        envelope.sign(&key(*seed)).unwrap();
    }
    String::from_utf8(envelope.to_bytes()).unwrap()
}

pub(crate) fn put_keyring(keyring: &Keyring, seeds: &[u8]) -> Command {
    Command::PutKeyring {
        envelope: signed(keyring, seeds),
    }
}

pub(crate) fn policy(version: u64) -> Policy {
    Policy {
        v: 1,
        aud: "bank/test".into(),
        app: app(),
        version,
        expires: NEXT_YEAR_S,
        state: Standing::Live,
        floor_seq: 0,
        revoked: Vec::new(),
        max_permissions: vec!["camera".parse().unwrap()],
        on_stale: OnStale::Run,
        stale_grace_s: 0,
    }
}

pub(crate) fn put_policy(policy: &Policy, seeds: &[u8]) -> Command {
    Command::PutPolicy {
        app: app(),
        envelope: signed(policy, seeds),
    }
}

pub(crate) fn record(world: &World, version: &str) -> Release {
    Release::draft("bank/test", &app(), world.version(version))
}

pub(crate) fn approve_signed(version: &str, signed: String) -> Command {
    let Command::Approve {
        app,
        version,
        bundle,
        ..
    } = approve(version)
    else {
        unreachable!()
    };
    Command::Approve {
        app,
        version,
        bundle,
        signed: Some(signed),
        withheld: None,
    }
}

/// What the host has, so that something may be asked for where customers are served.
pub(crate) fn graded() -> Command {
    let text = "[permissions]\ncamera = { grade = \"basic\" }\ncontacts = { grade = \"basic\" }";
    let catalogue = huidu_core::grade::PermissionCatalogue::from_toml(text).unwrap();
    Command::PutPermissions {
        catalogue: Box::new(catalogue),
    }
}

/// An installation whose customers are served by keys, with one approved version.
fn demanding() -> World {
    let mut world = World::new(Review::Required);
    world.ok("sec", graded());
    world.ok("sec", put_keyring(&keyring(Trust::Prod), &[1, 2]));
    world.ok("sec", put_policy(&policy(1), &[21, 22]));
    world.submit("ping", "1.0.0", &["camera"]);
    let record = record(&world, "1.0.0");
    world.ok("rui", approve_signed("1.0.0", signed(&record, &[11, 12])));
    world
}

fn manifest(world: &World) -> Manifest {
    let rollout =
        serde_json::from_str(r#"{"app":"pingan/travel","hosts":["retail"],"stable":"1.0.0"}"#);
    let mut app = App::clone(&world.catalogue.apps[&app()]);
    app.rollout = Some(rollout.unwrap());
    let context = huidu_core::compile::Context {
        audience: "bank/test".into(),
        poll_after_ms: 1,
        poll_spread_ms: 1,
        keyring: world.catalogue.trust.chain.version(),
    };
    let compiled = huidu_core::compile::compile(&app, &context, &huidu_core::compile::no_segments);
    let device = huidu_core::poll::Device::new("d-1");
    let installed = huidu_core::poll::Installed::default();
    let outcome = compiled.resolve("retail", &device, &installed, NOON);
    serde_json::from_slice(&outcome.answer.body).unwrap()
}

#[test]
fn a_version_is_approved_when_enough_people_signed_it() {
    let mut world = World::new(Review::Required);
    world.ok("sec", graded());
    world.ok("sec", put_keyring(&keyring(Trust::Prod), &[1, 3]));
    world.submit("ping", "1.0.0", &["camera"]);
    let record = record(&world, "1.0.0");
    world.no(
        "rui",
        approve("1.0.0"),
        "version 1.0.0 of `pingan/travel` needs its release record signed offline; `huidu review record` writes it, `huidu sign` signs it",
    );
    let mut wider = record.clone();
    wider.permissions.push("contacts".parse().unwrap());
    let other = "the signed record is not that of version 1.0.0 of `pingan/travel`; sign what `huidu review record` writes";
    world.no(
        "rui",
        approve_signed("1.0.0", signed(&wider, &[11, 12])),
        other,
    );
    let few =
        "0 of the 2 signatures that role `release` needs (group 1); collect more with `huidu sign`";
    world.no("rui", approve_signed("1.0.0", signed(&record, &[91])), few);
    world.no(
        "rui",
        approve_signed("1.0.0", signed(&record, &[21, 22])),
        few,
    );
    world.ok("rui", approve_signed("1.0.0", signed(&record, &[11])));
    assert_eq!(world.life("1.0.0"), "submitted");
    // The same key again is no second voice.
    world.ok("rosa", approve_signed("1.0.0", signed(&record, &[11])));
    assert_eq!(world.life("1.0.0"), "submitted");
    world.ok("rob", approve_signed("1.0.0", signed(&record, &[13])));
    assert_eq!(world.life("1.0.0"), "approved");
    let dossier = world.version("1.0.0").dossier.open();
    let kept = Envelope::parse(dossier.release.as_ref().unwrap().envelope.as_bytes()).unwrap();
    assert_eq!(kept.payload(), record.to_payload());
    assert!(dossier.approvals.iter().all(|vote| vote.signed.is_none()));
}

#[test]
fn signatures_of_strangers_do_not_crowd_out_those_that_count() {
    let mut world = World::new(Review::Required);
    world.ok("sec", graded());
    world.ok("sec", put_keyring(&keyring(Trust::Prod), &[1, 3]));
    world.submit("ping", "1.0.0", &["camera"]);
    let record = record(&world, "1.0.0");
    for (person, own, strangers) in [("rui", 11, 100_u8..131), ("rosa", 12, 131..162)] {
        let signers: Vec<u8> = strangers.chain([own]).collect();
        world.ok(person, approve_signed("1.0.0", signed(&record, &signers)));
    }
    assert_eq!(world.life("1.0.0"), "approved");
    let release = world.version("1.0.0").dossier.open().release.unwrap();
    let kept = Envelope::parse(release.envelope.as_bytes()).unwrap();
    let kept: Vec<_> = kept.signatures().iter().map(|one| &one.key).collect();
    let both = [12, 11].map(|seed| key(seed).public_key().id());
    assert_eq!(kept, both.iter().collect::<Vec<_>>());
}

#[test]
fn nothing_is_listed_without_a_policy_that_allows_it() {
    let mut world = World::new(Review::Required);
    world.ok("sec", graded());
    world.ok("sec", put_keyring(&keyring(Trust::Prod), &[1, 2]));
    world.submit("ping", "1.0.0", &["camera"]);
    let record = record(&world, "1.0.0");
    world.ok("rui", approve_signed("1.0.0", signed(&record, &[11, 12])));
    world.no(
        "maya",
        list("1.0.0"),
        "`pingan/travel` has no signed policy; sign one and put it with `huidu policy put`",
    );
    let mut narrow = policy(1);
    narrow.max_permissions.clear();
    world.ok("sec", put_policy(&narrow, &[21, 22]));
    world.no(
        "maya",
        list("1.0.0"),
        "policy 1 of `pingan/travel` does not let version 1.0.0 run; it was granted more than `max_permissions`",
    );
    world.ok("sec", put_policy(&policy(2), &[21, 22]));
    world.ok("maya", list("1.0.0"));
    let manifest = manifest(&world);
    assert_eq!(manifest.state, State::Run);
    assert_eq!(manifest.binding.policy, Some(2));
    assert_eq!(manifest.binding.keyring, Some(1));
    let address = Digest::of(&record.to_payload());
    assert_eq!(manifest.binding.release, Some(address));
}

#[test]
fn a_policy_stops_what_it_forbids_and_nobody_brings_it_back() {
    for (name, change, says) in [
        (
            "a floor",
            (|policy: &mut Policy| policy.floor_seq = 2) as fn(&mut Policy),
            "policy 2 of `pingan/travel` does not let version 1.0.0 run; it is below the floor; submit and approve the next number",
        ),
        (
            "an archive taken back",
            |policy| policy.revoked = vec![bundle("1.0.0").sha256],
            "policy 2 of `pingan/travel` does not let version 1.0.0 run; its archive was taken back; submit and approve the next number",
        ),
    ] {
        let mut world = demanding();
        world.ok("maya", list("1.0.0"));
        let mut next = policy(2);
        change(&mut next);
        world.ok("sec", put_policy(&next, &[21, 22]));
        assert_eq!(world.life("1.0.0"), "killed", "{name}");
        assert!(world.touched.kills);
        assert_eq!(manifest(&world).state, State::None, "{name}");
        world.no("root", unkill("1.0.0"), says);
        // A later policy that allows it lets people bring it back; nothing comes back by itself.
        world.ok("sec", put_policy(&policy(3), &[21, 22]));
        assert_eq!(world.life("1.0.0"), "killed", "{name}");
        world.ok("maya", unkill("1.0.0"));
        assert_eq!(world.life("1.0.0"), "listed", "{name}");
    }
}

#[test]
fn a_hard_delisting_stops_the_whole_app() {
    let mut world = demanding();
    world.ok("maya", list("1.0.0"));
    let mut last = policy(2);
    last.state = Standing::Delisted;
    world.ok("sec", put_policy(&last, &[21, 22]));
    let manifest = manifest(&world);
    assert_eq!(manifest.state, State::Killed);
    assert_eq!(manifest.binding.stops, Vec::<Digest>::new());
    world.no(
        "root",
        Command::Unkill {
            app: app(),
            version: None,
            reason: "sorry".into(),
        },
        "policy 2 of `pingan/travel` does not let the app run; it is delisted; only a later signed policy lists it again",
    );
}

#[test]
fn papers_that_are_not_believed_change_nothing() {
    let mut world = demanding();
    let mut elsewhere = policy(2);
    elsewhere.aud = "bank/prod".into();
    let mut old = policy(2);
    old.expires = NOON.unix_ms() / 1_000;
    let mut other = policy(2);
    other.app = "pingan/pay".parse().unwrap();
    let policies: [(Policy, &[u8], &str); 5] = [
        (
            policy(2),
            &[21],
            "1 of the 2 signatures that role `policy` needs (group 1); collect more with `huidu sign`",
        ),
        (
            policy(1),
            &[21, 22],
            "app policy `1` exists already; a policy takes the place of one with a lower `version`; `huidu policy show` has it",
        ),
        (
            elsewhere,
            &[21, 22],
            "the app policy is of installation `bank/prod`, not of `bank/test`",
        ),
        (
            old,
            &[21, 22],
            "the app policy is expired; sign one that lasts longer",
        ),
        (
            other,
            &[21, 22],
            "there is no app policy of this app, but of `pingan/pay`; put it under the app that it names",
        ),
    ];
    for (policy, seeds, says) in policies {
        world.no("sec", put_policy(&policy, seeds), says);
    }
    let mut next = keyring(Trust::Prod);
    next.version = 2;
    let mut skips = next.clone();
    skips.version = 3;
    let mut dev = next.clone();
    dev.trust = Trust::Dev;
    let mut over = next.clone();
    over.expires = NOON.unix_ms() / 1_000;
    let keyrings: [(&Keyring, &[u8], &str); 4] = [
        (
            &next,
            &[1],
            "1 of the 2 signatures that role `root` needs (group 1); collect more with `huidu sign`",
        ),
        (
            &skips,
            &[1, 2],
            "keyring 3 does not follow keyring 1; walk the chain one by one",
        ),
        (
            &dev,
            &[1, 2],
            "keyring 2 is marked `dev`, and this reader accepts no such keyring",
        ),
        (
            &over,
            &[1, 2],
            "the keyring is expired; sign one that lasts longer",
        ),
    ];
    for (keyring, seeds, says) in keyrings {
        world.no("sec", put_keyring(keyring, seeds), says);
    }
    world.ok("sec", put_keyring(&next, &[2, 3]));
    assert_eq!(world.catalogue.trust.chain.version(), Some(2));
    assert!(
        world.touched.apps.contains(&app()),
        "its answers name the keyring"
    );
    assert!(world.catalogue.trust.chain.envelope(1).is_some());
    assert!(world.catalogue.trust.chain.envelope(3).is_none());
}

#[test]
fn a_record_is_signed_again_when_other_people_sign() {
    let mut world = demanding();
    world.ok("maya", list("1.0.0"));
    let mut next = keyring(Trust::Prod);
    next.version = 2;
    next.roles.release = quorum(1, &[13]);
    world.ok("sec", put_keyring(&next, &[1, 2]));
    let record = record(&world, "1.0.0");
    let again = |seeds: &[u8]| Command::SignRelease {
        app: app(),
        version: number("1.0.0"),
        signed: signed(&record, seeds),
    };
    let few =
        "0 of the 1 signatures that role `release` needs (group 1); collect more with `huidu sign`";
    world.no("rui", again(&[11, 12]), few);
    let before = world.version("1.0.0").dossier.open().release.unwrap();
    world.ok("rui", again(&[13]));
    let after = world.version("1.0.0").dossier.open().release.unwrap();
    assert_eq!(before.address, after.address);
    assert_ne!(before.envelope, after.envelope);
    world.no(
        "rui",
        again(&[13]),
        "nothing to change: the release record is this very one",
    );
}

#[test]
fn between_developers_signatures_are_kept_and_never_asked_for() {
    let mut world = World::new(Review::Required);
    world.submit("ping", "1.0.0", &[]);
    let record = record(&world, "1.0.0");
    let keyless = "no keyring is in force; put the first one with `huidu keys put`";
    world.no(
        "rui",
        approve_signed("1.0.0", signed(&record, &[11, 12])),
        keyless,
    );
    world.ok("sec", put_keyring(&keyring(Trust::Dev), &[1, 2]));
    world.ok("rui", approve("1.0.0"));
    world.ok("maya", list("1.0.0"));
    world.submit("ping", "1.1.0", &[]);
    let record = self::record(&world, "1.1.0");
    assert_eq!(record.seq, 2);
    world.ok("rui", approve_signed("1.1.0", signed(&record, &[11, 12])));
    assert!(world.version("1.1.0").dossier.open().release.is_some());
    world.ok("maya", list("1.1.0"));
}

/// Without a catalogue nothing is graded: that is for developers.
#[test]
fn where_customers_are_served_nothing_is_granted_that_no_catalogue_names() {
    let mut world = World::new(Review::Required);
    world.ok("sec", put_keyring(&keyring(Trust::Prod), &[1, 2]));
    world.submit("ping", "1.0.0", &["camera"]);
    let narrow = record(&world, "1.0.0");
    world.no(
        "rui",
        approve_signed("1.0.0", signed(&narrow, &[11, 12])),
        "version 1.0.0 of `pingan/travel` asks for too much: `camera` is not in the catalogue of permissions; grant it to the app, grade the tenant, or reject the version",
    );
    world.submit("ping", "1.0.1", &[]);
    let nothing = record(&world, "1.0.1");
    world.ok("rui", approve_signed("1.0.1", signed(&nothing, &[11, 12])));
    world.ok("sec", graded());
    world.ok("rui", approve_signed("1.0.0", signed(&narrow, &[11, 12])));
}

/// Signing a record that grants less is granting less; the others sign that one or none.
#[test]
fn a_signed_record_says_what_is_granted() {
    let mut world = World::new(Review::Required);
    world.ok("sec", graded());
    world.ok("sec", put_keyring(&keyring(Trust::Prod), &[1, 2]));
    world.ok("sec", put_policy(&policy(1), &[21, 22]));
    world.submit("ping", "1.0.0", &["camera", "contacts"]);
    let whole = record(&world, "1.0.0");
    let mut less = whole.clone();
    less.permissions = vec!["camera".parse().unwrap()];
    world.ok("rui", approve_signed("1.0.0", signed(&less, &[11])));
    world.no(
        "rosa",
        approve_signed("1.0.0", signed(&whole, &[12])),
        "the signed record is not that of version 1.0.0 of `pingan/travel`; sign what `huidu review record` writes",
    );
    assert_eq!(record(&world, "1.0.0"), less);
    world.ok("rosa", approve_signed("1.0.0", signed(&less, &[12])));
    assert_eq!(world.life("1.0.0"), "approved");
    // The policy permits the camera alone, and that is all it was granted.
    world.ok("maya", list("1.0.0"));
    let words: Vec<_> = manifest(&world).permissions;
    assert_eq!(words, ["camera".parse().unwrap()]);
}

/// What happens after a version was listed.
type Change = fn(&mut World);

fn rollout(text: &str) -> Command {
    let text = format!("app = \"pingan/travel\"\nhosts = [\"retail\"]\n{text}");
    Command::PutRollout {
        rollout: toml::from_str(&text).unwrap(),
    }
}

/// 1.0.0 is release 1, 1.1.0 is release 2; both are listed.
fn two_listed() -> World {
    let mut world = demanding();
    world.submit("ping", "1.1.0", &["camera"]);
    let record = record(&world, "1.1.0");
    world.ok("rui", approve_signed("1.1.0", signed(&record, &[11, 12])));
    world.ok("maya", list("1.0.0"));
    world.ok("maya", list("1.1.0"));
    world
}

#[test]
fn a_version_below_the_floor_is_neither_listed_nor_rolled_out() {
    let mut world = demanding();
    let mut floor = policy(2);
    floor.floor_seq = 2;
    // Approved and never listed: the policy turns it into what must stop as well.
    world.ok("sec", put_policy(&floor, &[21, 22]));
    world.no(
        "maya",
        list("1.0.0"),
        "version 1.0.0 of `pingan/travel` is killed and cannot be listed; take the kill back first",
    );
    world.no(
        "maya",
        unkill("1.0.0"),
        "policy 2 of `pingan/travel` does not let version 1.0.0 run; it is below the floor; submit and approve the next number",
    );
    let mut world = two_listed();
    world.ok("sec", put_policy(&floor, &[21, 22]));
    world.no(
        "maya",
        rollout("stable = \"1.0.0\""),
        "the rollout has 1 mistake(s): /stable: `1.0.0` is killed, not listed; take the kill back first, or serve another version",
    );
    world.ok("maya", rollout("stable = \"1.1.0\""));
}

/// A version stays listed when its policy narrows, ends, or when other people sign from now on; devices would
/// not run it, so no rollout names it and no rule that serves it grows.
#[test]
fn rollouts_name_what_devices_would_run() {
    let ramp = |share: &str| {
        format!(
            "stable = \"1.1.0\"\n[[rule]]\nname = \"ramp\"\nshare = \"{share}\"\nserve = \"1.0.0\""
        )
    };
    let share = |share: &str| Command::SetShare {
        app: app(),
        rule: "ramp".parse().unwrap(),
        share: share.parse().unwrap(),
    };
    let pause = |paused| Command::SetPause {
        app: app(),
        rule: "ramp".parse().unwrap(),
        paused,
    };
    let narrow = |world: &mut World| {
        let mut narrow = policy(2);
        narrow.max_permissions.clear();
        world.ok("sec", put_policy(&narrow, &[21, 22]));
    };
    let others = |world: &mut World| {
        let mut next = keyring(Trust::Prod);
        next.version = 2;
        next.roles.release = quorum(1, &[13]);
        world.ok("sec", put_keyring(&next, &[1, 2]));
    };
    let cases: [(Change, &str); 2] = [
        (
            narrow,
            "policy 2 of `pingan/travel` does not let version 1.0.0 run; it was granted more than `max_permissions`",
        ),
        (
            others,
            "0 of the 1 signatures that role `release` needs (group 1); collect more with `huidu sign`",
        ),
    ];
    for (change, why) in cases {
        let mut world = two_listed();
        world.ok("maya", rollout(&ramp("5%")));
        world.ok("sven", pause(true));
        change(&mut world);
        assert_eq!(world.life("1.0.0"), "listed");
        let refused = world
            .ask("maya", rollout("stable = \"1.0.0\""))
            .unwrap_err();
        assert_eq!(
            refused,
            format!("the rollout has 1 mistake(s): /stable: `1.0.0` would run on no device; {why}")
        );
        world.no("maya", share("6%"), why);
        world.no("maya", pause(false), why);
        // Less of it is always possible.
        world.ok("maya", share("4%"));
    }
    let mut world = two_listed();
    world.ok("maya", rollout(&ramp("5%")));
    let year = huidu_core::time::Timestamp::from_unix_ms(NEXT_YEAR_S * 1_000);
    let authorised = huidu_core::authority::authorise(
        share("6%"),
        &huidu_core::event::Actor {
            id: "maya".into(),
            role: huidu_core::authority::Role::ReleaseManager,
        },
        &world.catalogue,
        NOON,
    );
    let late = huidu_core::decide::decide(&world.catalogue, &authorised.unwrap(), year);
    assert_eq!(
        late.unwrap_err().to_string(),
        "the app policy is expired; sign one that lasts longer"
    );
}

/// A later build may say more in a paper; this one believes what it knows of it. The envelope stays strict.
#[test]
fn papers_may_say_more_than_this_build_knows() {
    fn more(paper: &impl Paper) -> Vec<u8> {
        let mut said = serde_json::to_value(paper).unwrap();
        said["later"] = serde_json::json!({ "deep": [1, { "x": null }] });
        for nested in ["bundle", "online", "roles"] {
            if let Some(nested) = said.get_mut(nested) {
                nested["later"] = serde_json::json!("too");
            }
        }
        if let Some(keys) = said.get_mut("keys").and_then(|keys| keys.as_object_mut()) {
            keys.values_mut()
                .for_each(|key| key["later"] = serde_json::json!(1));
        }
        if let Some(group) = said.pointer_mut("/roles/root/groups/0") {
            group["later"] = serde_json::json!(1);
        }
        serde_json::to_vec(&said).unwrap()
    }
    fn enveloped<T: Paper>(paper: &T, seeds: &[u8]) -> String {
        let mut envelope = Envelope::new(T::KIND, more(paper));
        for seed in seeds {
            envelope.sign(&key(*seed)).unwrap();
        }
        String::from_utf8(envelope.to_bytes()).unwrap()
    }
    let mut world = demanding();
    let mut next = keyring(Trust::Prod);
    next.version = 2;
    let envelope = enveloped(&next, &[1, 2]);
    world.ok("sec", Command::PutKeyring { envelope });
    assert_eq!(world.catalogue.trust.chain.newest.as_deref(), Some(&next));
    let envelope = enveloped(&policy(2), &[21, 22]);
    let stored = envelope.clone();
    world.ok(
        "sec",
        Command::PutPolicy {
            app: app(),
            envelope,
        },
    );
    let kept = world.catalogue.apps[&app()].trust.signed.as_ref().unwrap();
    assert_eq!(kept.policy, policy(2));
    assert_eq!(kept.envelope, stored, "devices are handed all of it");
    let release = record(&world, "1.0.0");
    let opened =
        huidu_core::paper::open::<Release>(&next, enveloped(&release, &[11, 12]).as_bytes());
    assert_eq!(opened.unwrap().into_paper(), release);
    let more = signed(&policy(3), &[21, 22]).replacen('{', "{\"later\":1,", 1);
    let refused = world.ask(
        "sec",
        Command::PutPolicy {
            app: app(),
            envelope: more,
        },
    );
    assert!(refused.unwrap_err().contains("unknown field `later`"));
}

/// A threshold that only keys could reach whose signatures this build does not check would lock everybody out.
#[test]
fn a_keyring_that_this_build_could_never_satisfy_is_refused() {
    let mut next = keyring(Trust::Prod);
    next.version = 2;
    let sm2 = |byte: &str| {
        huidu_core::key::PublicKey::from_hex(huidu_core::key::Alg::Sm2, &byte.repeat(65)).unwrap()
    };
    let group = huidu_core::keyring::Group {
        kids: vec![sm2("01").id(), sm2("02").id()],
        threshold: 2,
    };
    for byte in ["01", "02"] {
        next.keys.insert(sm2(byte).id(), sm2(byte));
    }
    next.roles.release.groups.push(group);
    let mut world = demanding();
    world.no(
        "sec",
        put_keyring(&next, &[1, 2]),
        "the field `threshold` is 2 of 2 keys, of which this build checks 0: signatures of ed25519 alone",
    );
    // Listed beside enough others they harm nobody.
    next.roles.release.groups.pop();
    next.roles.release.groups[0].kids.push(sm2("01").id());
    world.ok("sec", put_keyring(&next, &[1, 2]));
}
