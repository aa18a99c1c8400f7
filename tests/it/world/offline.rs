//! What people type in the room without a network, and at their desks: keys that come and go, papers signed in
//! pieces, reviews. The real binary, real files; every refusal says what to do.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    Person, World,
    signed::{Ceremony, agree, bank, member},
};

const APP: &str = "pingan/travel";

fn room() -> (TempDir, Ceremony) {
    let dir = TempDir::new().unwrap();
    let ceremony = Ceremony::new(dir.path());
    (dir, ceremony)
}

impl Ceremony {
    /// Types something that is refused.
    fn stops(&self, words: &str, why: &str) {
        let (ok, said) = self.types(words, &[]);
        assert!(!ok && said.contains(why), "huidu {words}: {said}");
    }

    fn kid(&self, file: &str) -> String {
        let shown = self.huidu(&format!("keys show {file} --json"));
        let shown: Value = serde_json::from_str(&shown).unwrap();
        shown[0]["kid"].as_str().unwrap().to_owned()
    }
}

#[test]
fn keys_come_and_go_by_one_keyring_after_the_other() {
    let (_dir, room) = room();
    room.huidu("keys new wei.key");
    room.huidu("keys add keyring-1.json release wei.key.pub --threshold 3 --output keyring-2.json");
    // Signed by one of the root it is no keyring yet; two people sign, each a copy, and the copies are joined.
    room.stops(
        "keys show keyring-1.json keyring-2.json",
        "0 of the 2 signatures",
    );
    room.huidu("sign --key root-1.key keyring-2.json --output one.json --yes");
    room.huidu("sign --key root-2.key keyring-2.json --output two.json --yes");
    room.stops("keys show keyring-1.json one.json", "1 of the 2 signatures");
    room.huidu("sign --join one.json two.json --output keyring-2.signed.json");
    let shown = room.huidu("keys show keyring-1.json keyring-2.signed.json");
    assert!(shown.contains("release  3 of 4:"), "{shown}");
    // What is joined must be the same paper.
    room.stops(
        "sign --join one.json keyring-1.json",
        "holds another paper than",
    );

    // The root itself changes: the old root and the new one sign. Key 1 is lost, 4 takes its place.
    let (gone, wei) = (room.kid("root-1.key.pub"), room.kid("wei.key"));
    room.huidu("keys new root-4.key");
    let rotate = format!("keys rotate keyring-2.signed.json root root-4.key.pub --old {gone}");
    room.huidu(&format!("{rotate} --output keyring-3.json"));
    room.huidu("sign --key root-4.key --key root-2.key keyring-3.json --output short.json --yes");
    let chain = "keys show keyring-1.json keyring-2.signed.json";
    room.stops(&format!("{chain} short.json"), "1 of the 2 signatures");
    room.huidu("sign --key root-3.key short.json --output keyring-3.signed.json --yes");
    let shown = room.huidu(&format!("{chain} keyring-3.signed.json"));
    assert!(
        !shown.rsplit("keyring 3").next().unwrap().contains(&gone),
        "{shown}"
    );
    // Nothing is skipped.
    room.stops(
        "keys show keyring-1.json keyring-3.signed.json",
        "keyring 3 does not follow keyring 1",
    );
    // A key of a role goes, and is forgotten.
    let rotate = format!("keys rotate keyring-3.signed.json release --old {wei} --threshold 2");
    room.huidu(&format!("{rotate} --output keyring-4.json"));
    let last = fs::read_to_string(room.dir.join("keyring-4.json")).unwrap();
    let payload = serde_json::from_str::<Value>(&last).unwrap()["payload"].clone();
    let payload = data_encoding::BASE64.decode(payload.as_str().unwrap().as_bytes());
    assert!(!String::from_utf8(payload.unwrap()).unwrap().contains(&wei));
    for (words, why) in [
        (
            "keys rotate keyring-1.json release wei.key.pub --output x.json",
            "say which key goes with --old",
        ),
        (
            "keys rotate keyring-1.json release --old 0123456789abcdef --output x.json",
            "does not sign for role `release`",
        ),
        (
            "keys rotate keyring-1.json policy --old POLICY --output x.json",
            "`threshold` is 2 of 1 different keys",
        ),
        (
            "keys add keyring-1.json release release-1.key.pub --output x.json",
            "signs for role `release` already",
        ),
        (
            "keys add keyring-1.json release wei.key.pub --output keyring-2.json",
            "is there already and is not overwritten",
        ),
        (
            "keys add wei.key release wei.key.pub --output x.json",
            "not an envelope",
        ),
        ("sign --key wei.key.pub keyring-2.json --yes", "is no key"),
        (
            "sign --key wei.key wei.key.pub --yes",
            "is no paper that can be signed",
        ),
    ] {
        let words = words.replace("POLICY", &room.kid("policy-1.key.pub"));
        room.stops(&words, why);
        assert!(!room.dir.join("x.json").exists(), "{words}");
    }
}

#[test]
fn every_file_of_the_ceremony_says_what_it_is_and_no_secret() {
    let (_dir, room) = room();
    let seed: Value = serde_json::from_slice(&room.bytes("release-1.key")).unwrap();
    let seed = seed["seed"].as_str().unwrap().to_owned();
    let policy = json!({ "v": 1, "aud": "bank/prod", "app": APP, "version": 1, "expires": 1_900_000_000,
        "floor_seq": 0, "revoked": [], "max_permissions": ["camera"], "on_stale": "run", "stale_grace_s": 0,
        "later": { "x": 1 } });
    fs::write(room.dir.join("policy.json"), policy.to_string()).unwrap();
    let said = room.huidu("sign --key policy-1.key policy.json --yes");
    assert!(
        said.contains("This build does not know `/later`"),
        "whoever signs sees what is not understood: {said}"
    );
    let (public, kid) = (room.kid("release-1.key.pub"), room.kid("release-1.key"));
    assert_eq!(public, kid);
    for (file, says) in [
        (
            "release-1.key",
            format!("key {kid}, ed25519: `release-1.key` is the private half"),
        ),
        (
            "release-1.key.pub",
            format!("key {kid}, ed25519: `release-1.key.pub` is the public half"),
        ),
        (
            "keyring-1.json",
            "keyring 1 of `bank/prod`, trust prod".to_owned(),
        ),
        ("policy.json", "app policy, signed by nobody".to_owned()),
        (
            "policy.signed.json",
            format!("by {}", room.kid("policy-1.key")),
        ),
    ] {
        let shown = room.huidu(&format!("keys show {file}"));
        assert!(shown.contains(&says), "{file}: {shown}");
        assert!(!shown.contains(&seed), "{file} shows a secret");
    }
    room.huidu("keys show release-1.key policy.signed.json keyring-1.json");
    fs::write(room.dir.join("noise"), "noise").unwrap();
    room.stops("keys show noise", "is no paper that can be signed");
    // A keyring of a later build is not written again with less in it.
    let text = fs::read_to_string(room.dir.join("keyring-1.json")).unwrap();
    let mut envelope: Value = serde_json::from_str(&text).unwrap();
    let payload = envelope["payload"].as_str().unwrap().as_bytes().to_vec();
    let payload = data_encoding::BASE64.decode(&payload).unwrap();
    let payload = String::from_utf8(payload)
        .unwrap()
        .replacen('{', "{\"later\":1,", 1);
    envelope["payload"] = json!(data_encoding::BASE64.encode(payload.as_bytes()));
    fs::write(room.dir.join("later.json"), envelope.to_string()).unwrap();
    room.huidu("keys new wei.key");
    let add = "keys add later.json release wei.key.pub --output next.json";
    room.stops(
        add,
        "says `/later`, which this build does not know and would leave out",
    );
}

fn submitted(world: &World, room: &Ceremony, version: &str, permissions: &str) {
    let archive = world.archive(APP, version);
    let permissions = permissions
        .split(',')
        .map(|one| format!("--permission {one}"));
    let permissions: Vec<String> = permissions.collect();
    let words = format!(
        "version submit {APP} {version} {} {} --filing ICP-7 --notes new-{version} --not-before 2026-01-01T00:00:00Z",
        archive.display(),
        permissions.join(" ")
    );
    room.done(world, &world.ping, &words);
}

#[test]
fn a_reviewer_looks_at_the_very_bytes_grants_less_and_signs_again_later() {
    let (world, room) = bank("");
    let [rui, rosa] = ["rui", "rosa"].map(|name| member(&world, name, &json!("reviewer")));
    let sec = member(&world, "sec", &json!("security"));
    let mo = member(&world, "mo", &json!("release-manager"));
    room.done(&world, &sec, "keys put keyring-1.json");
    agree(&world, &mo);
    let host = "[permissions]\ncamera = { grade = \"basic\" }\ncontacts = { grade = \"basic\" }\n";
    fs::write(room.dir.join("host.toml"), host).unwrap();
    room.done(&world, &sec, "permission put host.toml");
    agree(&world, &mo);
    let app = world.by(&world.maya, "POST", "/apps");
    world.done(&app.json(&json!({ "app": APP })).send());
    submitted(&world, &room, "1.0.0", "camera,contacts");
    let said = |person: &Person, words: &str| {
        let (ok, said) = room.desk(&world, person, words);
        assert!(ok, "huidu {words}: {said}");
        said
    };

    let shown = said(&rui, &format!("review show {APP} 1.0.0"));
    for part in [
        "notes   new-1.0.0",
        "not_before: 2026-01-01",
        "filing ICP-7",
        "+  camera",
        "app.js",
        "SHA256",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let files = said(&rui, &format!("review files {APP} 1.0.0"));
    assert!(
        files.contains("app.js") && files.contains("picture.png"),
        "{files}"
    );
    let fetched = said(
        &rui,
        &format!("review fetch {APP} 1.0.0 --output reviewed.zip"),
    );
    assert!(fetched.contains("SHA-256"), "{fetched}");
    assert_eq!(room.bytes("reviewed.zip"), world.bundle(APP, "1.0.0"));

    // Rui grants the camera alone: the record says so, and Rosa signs that or nothing.
    let record = format!("review record {APP} 1.0.0 --without contacts --output record.json");
    said(&rui, &record);
    room.huidu("sign --key release-1.key record.json --output rui.json --yes");
    room.huidu("sign --key release-2.key record.json --output rosa.json --yes");
    said(
        &rui,
        &format!("review approve {APP} 1.0.0 --signed rui.json"),
    );
    let shown = said(&rosa, &format!("review show {APP} 1.0.0"));
    assert!(shown.contains("WITHHELD"), "{shown}");
    said(
        &rosa,
        &format!("review record {APP} 1.0.0 --output again.json"),
    );
    assert_eq!(room.bytes("record.json"), room.bytes("again.json"));
    said(
        &rosa,
        &format!("review approve {APP} 1.0.0 --signed rosa.json"),
    );
    // A record of another installation, and another kind of file, are no record of it.
    let other = String::from_utf8(room.bytes("record.json")).unwrap();
    fs::write(
        room.dir.join("other.json"),
        other.replace("bank/prod", "bank/test"),
    )
    .unwrap();
    room.huidu("sign --key release-1.key --key release-2.key other.json --yes");
    let resign = |file: &str| format!("review resign {APP} 1.0.0 {file}");
    room.refused(
        &world,
        &rui,
        &resign("other.signed.json"),
        "is not that of version 1.0.0",
    );
    room.refused(
        &world,
        &rui,
        &resign("keyring-1.json"),
        "is not that of version 1.0.0",
    );

    // Other people sign from now on: the record is signed again by them.
    room.huidu("keys new wei.key");
    let gone = room.kid("release-1.key");
    let rotate = format!("keys rotate keyring-1.json release wei.key.pub --old {gone}");
    room.huidu(&format!("{rotate} --output keyring-2.json"));
    room.huidu("sign --key root-1.key --key root-2.key keyring-2.json --yes");
    said(&sec, "keys put keyring-2.json");
    agree(&world, &mo);
    room.huidu("sign --key release-1.key --key release-2.key record.json --output old.json --yes");
    room.refused(&world, &rui, &resign("old.json"), "1 of the 2 signatures");
    room.huidu("sign --key wei.key --key release-2.key record.json --output new.json --yes");
    said(&rui, &resign("new.json"));

    // What cannot be approved is refused, with a reason its submitter reads; what is stopped names its filing.
    submitted(&world, &room, "1.1.0", "camera");
    said(
        &rosa,
        &format!("review reject {APP} 1.1.0 --reason too-many-contacts"),
    );
    let list = said(&world.ping, &format!("version list {APP}"));
    assert!(
        list.contains("too-many-contacts") && list.contains("ICP-7"),
        "{list}"
    );
    let kill = said(&world.sven, &format!("kill {APP} 1.0.0 --reason R-17"));
    assert!(
        kill.contains("version 1.0.0 of `pingan/travel` is killed, filed under ICP-7"),
        "{kill}"
    );
}
