//! A bank that did a little of everything, and what its bucket holds.

use std::fs;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use huidu::store::{Folder, Key, Store};
use huidu_core::{
    checkpoint::Kept,
    event::Event,
    record::{CheckpointRef, Record},
    revision::Revision,
};
use serde_json::json;

use super::{Bucket, block};
use crate::{
    support::server::until,
    world::{
        HOST, World,
        signed::{APP, agree, bank, member},
    },
};

/// A bank whose customers are served by keys, that did a little of everything, and what its bucket holds once
/// the last head is signed.
pub(super) struct Story {
    pub(super) world: World,
    pub(super) bucket: Bucket,
    pub(super) last: u64,
    /// What a server thief has.
    pub(super) log_key: SigningKey,
}

impl Story {
    pub(super) fn new() -> Self {
        let (mut world, ceremony) = bank("checkpoint_every = 8");
        let [rui, rosa] = ["rui", "rosa"].map(|name| member(&world, name, &json!("reviewer")));
        let sec = member(&world, "sec", &json!("security"));
        let [maya, mo] = ["maya", "mo"].map(|name| member(&world, name, &json!("release-manager")));
        let sven = member(&world, "sven", &json!("sre"));
        ceremony.done(&world, &sec, "keys put keyring-1.json");
        agree(&world, &mo);
        let host = "[permissions]\ncamera = { grade = \"basic\" }\n";
        fs::write(ceremony.dir.join("host.toml"), host).unwrap();
        ceremony.done(&world, &sec, "permission put host.toml");
        agree(&world, &mo);
        let app = world
            .by(&maya, "POST", "/apps")
            .json(&json!({ "app": APP }));
        world.done(&app.send());
        ceremony.done(
            &world,
            &sec,
            &format!("policy draft {APP} --permit camera --output policy-1.json"),
        );
        ceremony.huidu("sign --key policy-1.key --key policy-2.key policy-1.json --yes");
        ceremony.done(
            &world,
            &sec,
            &format!("policy put {APP} policy-1.signed.json"),
        );
        agree(&world, &mo);
        for version in ["1.0.0", "1.1.0"] {
            let archive = fs::read(world.archive(APP, version)).unwrap();
            let path =
                format!("/apps/{APP}/versions?version={version}&permissions=camera&filing=ICP-1");
            let submit = world.by(&world.ping, "POST", &path);
            world.done(&submit.body("application/gzip", archive).send());
            ceremony.done(
                &world,
                &rui,
                &format!("review record {APP} {version} --output {version}.json"),
            );
            for (person, key) in [(&rui, "release-1"), (&rosa, "release-3")] {
                let signed = format!("{version}.{key}.json");
                ceremony.huidu(&format!(
                    "sign --key {key}.key {version}.json --output {signed} --yes"
                ));
                ceremony.done(
                    &world,
                    person,
                    &format!("review approve {APP} {version} --signed {signed}"),
                );
            }
            let list = format!("/apps/{APP}/versions/{version}/list");
            assert_eq!(
                world.by(&maya, "POST", &list).if_match("*").send().status,
                202
            );
            agree(&world, &mo);
        }
        let staff = world.by(&maya, "PUT", "/segments/staff").if_match("*");
        world.done(
            &staff
                .body("text/plain", b"phone-0001\nphone-0002\n".to_vec())
                .send(),
        );
        let rules = format!(
            "app = \"{APP}\"\nhosts = [\"{HOST}\"]\nstable = \"1.0.0\"\n\
             [[rule]]\nname = \"staff\"\nwhen = {{ segment = \"staff\" }}\nserve = \"1.1.0\"\n\
             [[rule]]\nname = \"ramp\"\nshare = \"1%\"\nserve = \"1.1.0\"\n"
        );
        let put = world
            .by(&maya, "PUT", &format!("/apps/{APP}/rollout"))
            .if_match("*");
        assert_eq!(
            put.body("application/toml", rules.into_bytes())
                .send()
                .status,
            202
        );
        agree(&world, &mo);
        let ramp = format!("/apps/{APP}/rollout/rules/ramp/share");
        for (share, waits) in [("5%", false), ("50%", true), ("20%", false)] {
            let moved = world.by(&maya, "PUT", &ramp).if_match("*");
            let moved = moved.json(&json!({ "share": share })).send();
            if waits {
                agree(&world, &mo);
            } else {
                world.done(&moved);
            }
        }
        // The same root, one version on: a keyring that only lasts longer.
        ceremony.huidu("keys new online-2.key");
        ceremony.huidu("keys add keyring-1.json online online-2.key.pub --output keyring-2.json");
        ceremony.huidu("sign --key root-1.key --key root-3.key keyring-2.json --yes");
        ceremony.done(&world, &sec, "keys put keyring-2.json");
        agree(&world, &mo);
        let reason = |why: &str| json!({ "version": "1.1.0", "reason": why });
        let kill = |why: &str| {
            let kill = world.by(&sven, "POST", &format!("/apps/{APP}/kill"));
            world.done(&kill.json(&reason(why)).send())
        };
        kill("a mistake");
        let unkill = world
            .by(&maya, "POST", &format!("/apps/{APP}/unkill"))
            .if_match("*");
        assert_eq!(unkill.json(&reason("it was none")).send().status, 202);
        agree(&world, &mo);
        // So that there is something behind the last checkpoint.
        for share in ["10%", "8%", "6%", "4%"] {
            let moved = world.by(&maya, "PUT", &ramp).if_match("*");
            world.done(&moved.json(&json!({ "share": share })).send());
        }
        let last = kill("fraud");
        let head = world.cluster.nodes[0]
            .dir
            .join(format!("store/head/{last:020}"));
        until("the last head is signed", || head.exists());
        world.cluster.nodes[0].terminate();
        let store = world.cluster.store();
        let bucket = block(read(&*store));
        let log_key = ceremony.seed("log-1.key");
        Self {
            world,
            bucket,
            last,
            log_key,
        }
    }

    pub(super) fn record(&self, rev: u64) -> Record {
        Record::decode(&self.bucket[&Key::Log(rev)]).unwrap()
    }
}

async fn read(store: &dyn Store) -> Bucket {
    let mut bucket = Bucket::new();
    for folder in [Folder::Log, Folder::Checkpoints, Folder::Heads] {
        for key in store.list(folder, None).await.unwrap() {
            bucket.insert(key.clone(), store.get(&key).await.unwrap());
        }
    }
    let mut pieces = Vec::new();
    for (key, bytes) in &bucket {
        let Key::Checkpoint { rev, digest } = key else {
            continue;
        };
        let name = CheckpointRef {
            rev: Revision::new(*rev),
            root: *digest,
        };
        let Ok(Some(Kept::Parted(outline))) = Kept::decode(name, bytes) else {
            panic!("{key} is written in pieces")
        };
        pieces.extend(outline.apps.iter().map(|(_, piece)| Key::Cas(*piece)));
    }
    for key in pieces {
        bucket.insert(key.clone(), store.get(&key).await.unwrap());
    }
    let logged: Vec<Bytes> = (bucket.iter())
        .filter(|(key, _)| matches!(key, Key::Log(_)))
        .map(|(_, bytes)| bytes.clone())
        .collect();
    for bytes in logged {
        for event in Record::decode(&bytes).unwrap().events {
            let digests = match event {
                Event::VersionSubmitted { version, .. } => {
                    vec![version.bundle.sha256, version.dossier.open().files.unwrap()]
                }
                Event::SegmentPut { sha256, .. } => vec![sha256],
                _ => continue,
            };
            for key in digests.into_iter().map(Key::Cas) {
                bucket.insert(key.clone(), store.get(&key).await.unwrap());
            }
        }
    }
    bucket
}
