//! The audit of a real bucket, and of hundreds of copies in which somebody changed something.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use bytes::Bytes;
use huidu::{
    audit::{self, Ask, Blind, Report},
    node::derived_op,
    store::{Folder, Key, Store, memory::MemoryStore},
};
use huidu_core::{
    authority::Role,
    digest::Digest,
    event::{Actor, Event},
    record::Record,
    revision::Revision,
    treehead::SignedHead,
};
use serde_json::{Value, json};

use crate::{
    support::server::{Backing, until},
    world::{HOST, World},
};

/// Every object of a store but the bundles.
type Bucket = BTreeMap<Key, Bytes>;

/// A bank that did something, and what its bucket holds once the last head is signed.
struct Story {
    world: World,
    bucket: Bucket,
    last: u64,
}

impl Story {
    fn new() -> Self {
        let mut world = World::new(Backing::Embedded);
        for name in ["lin", "wei"] {
            let role = json!("release-manager");
            let put = world.by(&world.ada, "PUT", &format!("/members/{name}"));
            world.done(&put.json(&json!({ "role": role, "title": name })).send());
        }
        let app = world.app(&["1.0.0", "1.1.0"]);
        let rules =
            "stable = \"1.0.0\"\n[[rule]]\nname = \"ramp\"\nshare = \"5%\"\nserve = \"1.1.0\"\n";
        world.rollout(&app, rules);
        let path = format!("/apps/{app}/rollout/rules/ramp/share");
        for share in ["10%", "20%", "50%", "5%", "60%"] {
            let raised = world.by(&world.maya, "PUT", &path).if_match("*");
            world.done(&raised.json(&json!({ "share": share })).send());
        }
        let second = json!({ "approvals": 1, "roles": ["release-manager"] });
        let eyes = world.by(&world.ada, "PUT", "/eyes");
        world.done(&eyes.json(&json!({ "kinds": { "unkill": second } })).send());
        for round in 0..4 {
            let next = world.app(&["1.0.0"]);
            let kill = world.by(&world.sven, "POST", &format!("/apps/{next}/kill"));
            world.done(
                &kill
                    .json(&json!({ "reason": format!("round {round}") }))
                    .send(),
            );
        }
        let kill = world.by(&world.sven, "POST", &format!("/apps/{app}/kill"));
        let reason = json!({ "version": "1.1.0", "reason": "fraud" });
        let last = world.done(&kill.json(&reason).send());
        let head = world.cluster.nodes[0]
            .dir
            .join(format!("store/head/{last:020}"));
        until("the last head is signed", || head.exists());
        world.cluster.nodes[0].terminate();
        let store = world.cluster.store();
        let bucket = block(async {
            let mut bucket = Bucket::new();
            for folder in [Folder::Log, Folder::Checkpoints, Folder::Heads] {
                for key in store.list(folder, None).await.unwrap() {
                    bucket.insert(key.clone(), store.get(&key).await.unwrap());
                }
            }
            bucket
        });
        Self {
            world,
            bucket,
            last,
        }
    }

    fn record(&self, rev: u64) -> Record {
        Record::decode(&self.bucket[&Key::Log(rev)]).unwrap()
    }
}

fn block<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(work)
}

fn audited(bucket: &Bucket, blind: Blind) -> Report {
    block(async {
        let store = MemoryStore::new();
        for (key, bytes) in bucket {
            store.put(key, bytes.clone()).await.unwrap();
        }
        let ask = Ask {
            blind,
            ..Ask::default()
        };
        audit::verify(&store, &ask).await.unwrap()
    })
}

/// A copy in which somebody changed something.
type Mutation = (String, Bucket);

/// Writes `records` from `from` on, each chained to the one before: what whoever can write into the store
/// and knows the format would do.
fn rechained(bucket: &Bucket, from: u64, last: u64, edit: impl Fn(&mut Record)) -> Bucket {
    let mut bucket = bucket.clone();
    for rev in from..=last {
        let mut record = Record::decode(&bucket[&Key::Log(rev)]).unwrap();
        if rev == from {
            edit(&mut record);
        } else {
            record.prev = Digest::of(&bucket[&Key::Log(rev - 1)]);
        }
        bucket.insert(Key::Log(rev), record.encode().unwrap());
    }
    bucket
}

/// Bytes changed, records left out, put in another order, doubled, cut off.
fn clumsy(story: &Story) -> Vec<Mutation> {
    let (bucket, last) = (&story.bucket, story.last);
    let mut all = Vec::new();
    for rev in 1..=last {
        let bytes = &bucket[&Key::Log(rev)];
        for part in 0..6 {
            let at = (bytes.len() - 1) * part / 5;
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            let mut copy = bucket.clone();
            copy.insert(Key::Log(rev), changed.into());
            all.push((format!("byte {at} of record {rev}"), copy));
        }
        let mut copy = bucket.clone();
        copy.remove(&Key::Log(rev));
        all.push((format!("record {rev} is gone"), copy));
        if rev < last {
            let mut copy = bucket.clone();
            copy.insert(Key::Log(rev), bucket[&Key::Log(rev + 1)].clone());
            copy.insert(Key::Log(rev + 1), bytes.clone());
            all.push((format!("records {rev} and {} change places", rev + 1), copy));
            let mut copy = bucket.clone();
            copy.insert(Key::Log(rev + 1), bytes.clone());
            all.push((format!("record {rev} twice"), copy));
        }
    }
    for cut in 1..=10 {
        let mut copy = bucket.clone();
        copy.retain(|key, _| !matches!(key, Key::Log(rev) if *rev > last - cut));
        all.push((format!("the last {cut} records are gone"), copy));
    }
    for (key, bytes) in bucket {
        if let Key::Head(_) | Key::Checkpoint { .. } = key {
            for at in [0, bytes.len() / 2, bytes.len() - 2] {
                let mut changed = bytes.to_vec();
                changed[at] ^= 1;
                let mut copy = bucket.clone();
                copy.insert(key.clone(), changed.into());
                all.push((format!("byte {at} of {key}"), copy));
            }
        }
    }
    all
}

/// History rewritten by somebody who computes every hash anew.
fn skilled(story: &Story) -> Vec<Mutation> {
    let (bucket, last) = (&story.bucket, story.last);
    let mut all = Vec::new();
    for rev in 1..=last {
        let later = rechained(bucket, rev, last, |record| record.at = record.at.plus_ms(1));
        all.push((format!("record {rev} happened later"), later));
        let why = rechained(bucket, rev, last, |record| {
            record.why = Some("it had to be".into());
        });
        all.push((format!("record {rev} for another reason"), why));
    }
    all
}

/// Records that look right and that nobody was entitled to.
fn forged(story: &Story) -> Vec<Mutation> {
    let (bucket, last) = (&story.bucket, story.last);
    let by = |kind: fn(&Event) -> bool| {
        let mut records = (1..=last).map(|rev| story.record(rev));
        let record = records.find(|record| record.events.iter().any(kind));
        record.unwrap().actor
    };
    let maya = by(|event| matches!(event, Event::ShareSet { .. }));
    let sven = by(|event| matches!(event, Event::Killed { .. }));
    let app = "pingan/app-1";
    let unkilled = Event::Unkilled {
        app: app.parse().unwrap(),
        version: Some("1.1.0".parse().unwrap()),
        reason: "sorry".into(),
    };
    let listed = Event::VersionListed {
        app: app.parse().unwrap(),
        version: "1.1.0".parse().unwrap(),
    };
    let nobody = Actor {
        id: "nobody".into(),
        role: Role::Admin,
    };
    let raised = Actor {
        role: Role::Admin,
        ..sven.clone()
    };
    let node = Actor {
        id: "huidu".into(),
        role: Role::Admin,
    };
    let enacted = Event::ProposalEnacted {
        id: "0123456789abcdef".into(),
    };
    let agreed = Event::ProposalApproved {
        id: "0123456789abcdef".into(),
        by: "member/wei".into(),
        hash: None,
    };
    let forged: Vec<(&str, Actor, Vec<Event>)> = vec![
        (
            "what takes two, by one",
            maya.clone(),
            vec![unkilled.clone()],
        ),
        (
            "with an approval of nothing",
            maya.clone(),
            vec![agreed, unkilled.clone(), enacted],
        ),
        ("by nobody", nobody, vec![listed.clone()]),
        (
            "by a role that does not include it",
            sven,
            vec![listed.clone()],
        ),
        (
            "by a role that was never given",
            raised,
            vec![listed.clone()],
        ),
        ("by a node, out of nothing", node, vec![unkilled]),
        (
            "an approval in somebody's name",
            maya,
            vec![Event::ReviewApproved {
                app: app.parse().unwrap(),
                version: "1.1.0".parse().unwrap(),
                by: "member/lin".into(),
                bundle: None,
                signed: None,
            }],
        ),
    ];
    let chained = |(name, actor, events): (&str, Actor, Vec<Event>)| {
        let mut record = story.record(last);
        record.prev = Digest::of(&bucket[&Key::Log(last)]);
        record.rev = Revision::new(last + 1);
        record.op = derived_op(&["forged", name]);
        record.put = derived_op(&["put", name]).as_str().parse().unwrap();
        (record.actor, record.events, record.why) = (actor, events, None);
        let mut copy = bucket.clone();
        copy.insert(Key::Log(last + 1), record.encode().unwrap());
        (format!("a record {name}"), copy)
    };
    forged.into_iter().map(chained).collect()
}

/// Those that `blind` does not find.
fn missed(all: &[Mutation], blind: Blind) -> Vec<&str> {
    all.iter()
        .filter(|(_, copy)| audited(copy, blind).is_sound())
        .map(|(name, _)| name.as_str())
        .collect()
}

#[test]
fn every_edit_deletion_reordering_and_forgery_is_found() {
    let story = Story::new();
    let sound = audited(&story.bucket, Blind::default());
    assert!(sound.is_sound(), "{sound:?}");
    assert_eq!((sound.records, sound.signed_to), (story.last, story.last));
    let (clumsy, skilled, forged) = (clumsy(&story), skilled(&story), forged(&story));
    for (kind, all) in [
        ("clumsy", &clumsy),
        ("skilled", &skilled),
        ("forged", &forged),
    ] {
        assert_eq!(missed(all, Blind::default()), Vec::<&str>::new(), "{kind}");
        println!("{kind}: {} copies, missed: 0", all.len());
    }
    assert!(clumsy.len() + skilled.len() + forged.len() > 300);
    // Without a check the same copies are missed: the search would notice that it is gone.
    let heads = Blind {
        heads: true,
        ..Blind::default()
    };
    assert_eq!(missed(&skilled, heads).len(), skilled.len());
    let chain = Blind {
        chain: true,
        heads: true,
        ..Blind::default()
    };
    assert!(!missed(&clumsy, chain).is_empty());
    let validity = Blind {
        validity: true,
        ..Blind::default()
    };
    assert_eq!(missed(&forged, validity).len(), forged.len());
}

fn huidu(words: &str) -> (bool, Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_huidu"))
        .args(words.split_whitespace())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let more = String::from_utf8_lossy(&output.stderr).into_owned();
    let document = serde_json::from_str(&text).unwrap_or_default();
    (output.status.success(), document, text + &more)
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copied(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_copy_of_the_bucket_is_all_it_takes() {
    let story = Story::new();
    let (dir, node) = (story.world.cluster.path(), &story.world.cluster.nodes[0]);
    let copy = dir.join("copy");
    copied(&node.dir.join("store"), &copy);
    let (copy, kept) = (copy.display(), dir.join("kept.head"));
    let root = node.dir.join("keys/keyring-1.json");
    let verify = format!(
        "audit verify {copy} --root {} --objects --json",
        root.display()
    );
    let (sound, report, said) = huidu(&format!("{verify} --keep {}", kept.display()));
    assert!(sound, "{said}");
    assert_eq!(report["records"], story.last);
    assert_eq!(report["remarks"], json!([]));
    assert!(report["objects"].as_u64() >= Some(6), "{report}");
    let head = fs::read_to_string(&kept).unwrap();
    assert_eq!(
        SignedHead::parse(&head).unwrap().unverified().tree.size(),
        story.last
    );

    // Who did what, and what was true then.
    let (_, lines, said) = huidu(&format!(
        "audit show {copy} --app pingan/app-1 --kind killed --json"
    ));
    assert_eq!(lines.as_array().map(Vec::len), Some(1), "{said}");
    assert_eq!(lines[0]["events"][0]["reason"], "fraud");
    let before = story.last - 1;
    let explain = |at: &str| {
        let words = format!(
            "at {at} explain pingan/app-1 --host {HOST} --unit phone-0001 --running 1.1.0 --dir {copy} --json"
        );
        let (done, told, said) = huidu(&words);
        assert!(done, "{said}");
        told
    };
    let (then, now) = (
        explain(&before.to_string()),
        explain(&story.last.to_string()),
    );
    assert_eq!(
        (&then["state"], &now["state"]),
        (&json!("run"), &json!("run")),
        "{then} {now}"
    );
    let instant = story.record(before).at.to_string();
    assert_eq!(explain(&instant)["revision"], then["revision"]);
    assert_ne!(now["revision"], then["revision"]);

    // Cut off behind a head that somebody kept, with the heads beyond: the kept one tells.
    for rev in before..=story.last {
        for folder in ["log", "head"] {
            let _absent =
                fs::remove_file(Path::new(&copy.to_string()).join(format!("{folder}/{rev:020}")));
        }
    }
    let (sound, ..) = huidu(&verify);
    assert!(sound, "without a kept head nobody can tell");
    let (sound, report, _) = huidu(&format!("{verify} --head {}", kept.display()));
    assert!(!sound);
    assert_eq!(
        report["faults"][0]["what"],
        "the ledger is shorter than the head that was kept"
    );
    // Another root than the one that is known.
    let other = dir.join("ceremony");
    let (made, _, said) = huidu(&format!(
        "keys init {} --audience bank/dev",
        other.display()
    ));
    assert!(made, "{said}");
    let (sound, report, _) = huidu(&format!(
        "audit verify {copy} --root {} --json",
        other.join("keyring-1.json").display()
    ));
    assert!(!sound);
    assert_eq!(
        report["faults"][0]["what"],
        "the first keyring is not the root that was given"
    );
}
