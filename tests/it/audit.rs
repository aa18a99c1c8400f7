//! The audit of a real bucket, and of hundreds of copies in which somebody changed something.

mod copies;
mod story;

use std::{collections::BTreeMap, fs, path::Path, process::Command, time::Duration};

use bytes::Bytes;
use huidu::{
    audit::{self, Ask, Blind, Report},
    store::{Key, Store, memory::MemoryStore},
};
use huidu_core::treehead::SignedHead;
use serde_json::{Value, json};

use self::{
    copies::{
        behind_the_heads, clumsy, forged, forged_checkpoints, skilled, thieves, without_heads,
    },
    story::Story,
};
use crate::world::{HOST, signed::APP};

/// Every object of a store.
type Bucket = BTreeMap<Key, Bytes>;

fn block<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(work)
}

fn audited(bucket: &Bucket, blind: Blind) -> Report {
    audited_from(bucket, blind, None)
}

/// The same by somebody who kept a head.
fn audited_from(bucket: &Bucket, blind: Blind, kept: Option<SignedHead>) -> Report {
    block(async {
        let store = MemoryStore::new();
        for (key, bytes) in bucket {
            store.put(key, bytes.clone()).await.unwrap();
        }
        let ask = Ask {
            blind,
            kept,
            objects: true,
            ..Ask::default()
        };
        audit::verify(&store, &ask).await.unwrap()
    })
}

/// A copy in which somebody changed something.
type Mutation = (String, Bucket);

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
    assert!(sound.checkpoints >= 3 && sound.objects >= 3, "{sound:?}");
    let sets = [
        ("clumsy", clumsy(&story)),
        ("skilled, without a key", skilled(&story)),
        ("with a stolen server's key", thieves(&story)),
        ("forged with that key", forged(&story)),
        ("checkpoints", forged_checkpoints(&story)),
        ("behind the heads", behind_the_heads(&story)),
    ];
    for (kind, all) in &sets {
        assert_eq!(missed(all, Blind::default()), Vec::<&str>::new(), "{kind}");
        println!("{kind}: {} copies, missed: 0", all.len());
    }
    let [clumsy, skilled, thieves, forged, checkpoints, _] = &sets;
    assert!(sets.iter().map(|(_, all)| all.len()).sum::<usize>() > 400);
    // Without a check the same copies are missed: the search would notice that it is gone.
    let heads = Blind {
        heads: true,
        ..Blind::default()
    };
    // Where checkpoints were announced, they show a rewritten past as well; behind the last one only heads do.
    assert!(missed(&thieves.1, heads).len() >= 3);
    let chain = Blind {
        chain: true,
        heads: true,
        validity: true,
        checkpoints: true,
    };
    assert!(!missed(&clumsy.1, chain).is_empty());
    let validity = Blind {
        validity: true,
        ..Blind::default()
    };
    // Another archive that is nowhere is missed by whoever looks at archives.
    assert!(missed(&forged.1, validity).len() + 1 >= forged.1.len());
    let blind = Blind {
        validity: true,
        checkpoints: true,
        ..Blind::default()
    };
    assert!(
        !missed(&skilled.1, blind).is_empty(),
        "deciding and signatures left out"
    );
    assert_eq!(missed(&checkpoints.1, blind).len(), checkpoints.1.len());
}

/// What a copy alone cannot show: that there was more once. Whoever kept a head is shown it.
#[test]
fn a_ledger_that_was_cut_off_with_its_heads_is_known_by_a_kept_head_alone() {
    let story = Story::new();
    let last = story.last;
    let note = String::from_utf8(story.bucket[&Key::Head(last)].to_vec()).unwrap();
    for cut in [1, 2, 5] {
        let to = last - cut;
        let mut bucket = without_heads(story.bucket.clone(), to + 1);
        bucket.retain(|key, _| match key {
            Key::Log(rev) | Key::Checkpoint { rev, .. } => *rev <= to,
            _ => true,
        });
        let alone = audited(&bucket, Blind::default());
        assert!(alone.is_sound(), "{cut}: {alone:?}");
        let kept = SignedHead::parse(&note).unwrap();
        let told = audited_from(&bucket, Blind::default(), Some(kept));
        assert_eq!(
            told.faults[0].what,
            "the ledger is shorter than the head that was kept"
        );
    }
    // All heads gone and nothing else: no fault, and it is said that none speaks for any record.
    let bare = audited(&without_heads(story.bucket.clone(), 0), Blind::default());
    assert!(bare.is_sound() && bare.signed_to == 0, "{bare:?}");
    assert!(bare.remarks[0].contains("no signed head speaks for the records after 0"));
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
    let root = dir.join("ceremony/keyring-1.json");
    let verify = format!(
        "audit verify {copy} --root {} --objects --json",
        root.display()
    );
    let (sound, report, said) = huidu(&format!("{verify} --keep {}", kept.display()));
    assert!(sound, "{said}");
    assert_eq!(report["records"], story.last);
    assert_eq!(report["remarks"], json!([]));
    assert!(report["objects"].as_u64() >= Some(3), "{report}");
    assert!(report["checkpoints"].as_u64() >= Some(3), "{report}");
    let head = fs::read_to_string(&kept).unwrap();
    assert_eq!(
        SignedHead::parse(&head).unwrap().unverified().tree.size(),
        story.last
    );

    // Who did what, and what was true then.
    let (_, lines, said) = huidu(&format!(
        "audit show {copy} --app {APP} --kind killed --json"
    ));
    assert_eq!(lines.as_array().map(Vec::len), Some(2), "{said}");
    assert_eq!(lines[1]["events"][0]["reason"], "fraud");
    assert_eq!(lines[1]["person"], "member/sven");
    assert_eq!(lines[1]["approved_by"], json!([]), "a stop is one person's");
    // Who asked and who agreed.
    for (kind, agreed) in [
        ("unkilled", json!(["member/maya (asked)", "member/mo"])),
        ("rollout-put", json!(["member/maya (asked)", "member/mo"])),
        ("keyring-put", json!(["member/sec (asked)", "member/mo"])),
        ("version-approved", json!(["member/rosa"])),
        ("review-approved", json!(["member/rui"])),
    ] {
        let (_, lines, said) = huidu(&format!("audit show {copy} --kind {kind} --json"));
        assert_eq!(lines[0]["approved_by"], agreed, "{kind}: {said}");
        assert!(lines[0].get("void").is_none(), "{said}");
    }
    // One bit of anything that is named by its digest.
    for folder in ["cas/sha256", "snap"] {
        let entries = fs::read_dir(Path::new(&copy.to_string()).join(folder)).unwrap();
        let paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        assert!(paths.len() >= 3, "{folder}: {paths:?}");
        for path in paths {
            let honest = fs::read(&path).unwrap();
            let mut changed = honest.clone();
            changed[honest.len() / 3] ^= 4;
            fs::write(&path, &changed).unwrap();
            let (sound, report, said) = huidu(&verify);
            assert!(!sound, "{}: {said}", path.display());
            let told = report["faults"][0]["what"].as_str().unwrap();
            assert!(told.contains("hash to"), "{report}");
            fs::write(&path, honest).unwrap();
        }
    }
    // A time that the store contradicts, where the copy kept the store's times.
    let dated = Path::new(&copy.to_string()).join(format!("log/{:020}", story.last));
    let kept_at = fs::metadata(&dated).unwrap().modified().unwrap();
    let file = fs::File::options().write(true).open(&dated).unwrap();
    file.set_modified(kept_at - Duration::from_secs(3_600))
        .unwrap();
    let (sound, report, _) = huidu(&verify);
    let told = report["faults"][0]["what"].as_str().unwrap_or_default();
    assert!(
        !sound && told.contains("the store has it since"),
        "{report}"
    );
    file.set_modified(kept_at).unwrap();
    let before = story.last - 1;
    let explain = |at: &str| {
        let words = format!(
            "at {at} explain {APP} --host {HOST} --unit phone-0001 --running 1.1.0 --dir {copy} --json"
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
        for entry in fs::read_dir(Path::new(&copy.to_string()).join("snap")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with(&format!("{rev:020}")) {
                fs::remove_file(path).unwrap();
            }
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
    let other = dir.join("other-ceremony");
    let (made, _, said) = huidu(&format!(
        "keys init {} --audience bank/prod",
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

/// Records of the first form carry their writers' clocks as they were. What stands before a record in the ledger was
/// there before it, and one clock that ran ahead does not hide what came after.
#[test]
fn a_moment_is_told_by_the_order_of_the_ledger() {
    let token = json!({"event": "token-added", "id": "root", "sha256": "00".repeat(32), "role": "admin", "note": "first start"});
    let founded = json!({"event": "founded", "audience": "bank/dev", "review": "skipped"});
    let tenant = |name: &str| json!([{"event": "tenant-added", "tenant": name, "title": ""}]);
    let node = json!({"id": "huidu", "role": "admin"});
    let root = json!({"id": "root", "role": "admin"});
    let steps = [
        ("10:00", node, json!([founded, token])),
        ("12:00", root.clone(), tenant("ahead")),
        ("11:00", root.clone(), tenant("after")),
        ("13:00", root, tenant("later")),
    ];
    let (store, mut prev) = (MemoryStore::new(), "00".repeat(32));
    for (n, (at, actor, events)) in (1_u64..).zip(steps) {
        let record = json!({
            "v": 1, "rev": n, "prev": prev, "op": format!("{n:026}"), "put": format!("{n:026}"),
            "node": "node", "at": format!("2026-11-24T{at}:00Z"), "actor": actor, "events": events,
        });
        let bytes = Bytes::from(record.to_string());
        prev = huidu_core::digest::Digest::of(&bytes).to_hex();
        block(store.put_new(&Key::Log(n), bytes)).unwrap();
    }
    let told = |at: &str| {
        let at = format!("2026-11-24T{at}:00Z").parse().unwrap();
        let catalogue = block(audit::until(&store, audit::Until::At(at))).unwrap();
        let names: Vec<String> = catalogue.tenants.keys().map(ToString::to_string).collect();
        names.join(" ")
    };
    assert_eq!(told("10:30"), "");
    assert_eq!(told("11:30"), "after ahead", "one clock ran ahead");
    assert_eq!(told("12:30"), "after ahead");
    assert_eq!(told("13:00"), "after ahead later");
}
