//! How nodes start: without the store one serves its copy to the last bit or not at all, whatever of the copy was
//! damaged; nodes of adjacent versions get along; and a fleet that starts at once does not look at once.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use huidu_core::{
    catalogue::Catalogue,
    event::Event,
    record::Found,
    rollout::Rollout,
    seal::SignedStamp,
    segment::SegmentBuilder,
    version::{Bundle, BundleFormat},
};

use super::*;
use crate::{
    bus::local::LocalBus,
    clock::{RandomIds, System},
    store::{
        faulty::{Fault, FaultyStore},
        fs::FsStore,
        memory::MemoryStore,
    },
};

fn log_key() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[8; 32])
}

/// The directory as a store, once whoever had it before has let go of it.
async fn opened(copy: &Path) -> Arc<dyn Store> {
    for _ in 0..1_000 {
        match FsStore::open(copy.to_owned()) {
            Ok(store) => return Arc::new(store),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    panic!("{} is still in use", copy.display());
}

/// A node over `store`, with its copy in `copy`.
async fn started(store: Arc<dyn Store>, copy: Option<&Path>) -> Result<Arc<Node>, LedgerError> {
    let mirror = match copy {
        Some(copy) => Some((copy.to_owned().into(), opened(copy).await)),
        None => None,
    };
    let parts = NodeParts {
        store,
        bundle_disk: None,
        unproved: Vec::new(),
        mirror,
        kills: None,
        peers: Arc::new(Peers::none()),
        bus: Arc::new(LocalBus::new()),
        clock: Arc::new(System),
        ids: Arc::new(RandomIds::new().unwrap()),
        key: Arc::new(ed25519_dalek::SigningKey::from_bytes(&[7; 32])),
        log_key: Some(Arc::new(log_key())),
        metrics: Arc::new(Metrics::new()),
        settings: NodeSettings {
            name: "n".into(),
            tick: Duration::from_millis(50),
            checkpoint_every: 4,
            poll_after_ms: 60_000,
            poll_spread_ms: 30_000,
            lease_ms: 60_000,
            bundle_memory: 1 << 20,
        },
    };
    Node::start(parts).await
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_no_copy_asks_a_store_again_that_hangs_up_and_not_for_ever() {
    let inner: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let store = FaultyStore::scripted(Arc::clone(&inner), |call| {
        // As long as a few requests take, and each of them is tried more than once.
        if call.number < 4 {
            Fault::RequestLost
        } else {
            Fault::None
        }
    });
    let node = started(Arc::new(store), None).await.unwrap();
    assert!(node.health().from_store);
    let down = FaultyStore::new(inner);
    down.switch().down();
    let asked = tokio::time::Instant::now();
    let refused = started(Arc::new(down), None).await;
    assert!(matches!(refused, Err(LedgerError::Store(_))));
    assert!(
        asked.elapsed() >= Duration::from_millis(200),
        "it was asked for a while"
    );
}

/// Nodes that are started in one moment read the ledger then, and look each at a moment of its own from then on.
#[tokio::test(start_paused = true)]
async fn a_fleet_that_starts_at_once_does_not_look_at_once() {
    const NODES: usize = 20;
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    let heard = Arc::clone(&asked);
    let store = FaultyStore::scripted(Arc::new(MemoryStore::new()), move |_| {
        heard.lock().unwrap().insert(tokio::time::Instant::now());
        Fault::None
    });
    let store: Arc<dyn Store> = Arc::new(store);
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(started(Arc::clone(&store), None).await.unwrap());
    }
    let tick = nodes[0].settings().tick;
    for when in ["after the start", "one tick later"] {
        asked.lock().unwrap().clear();
        tokio::time::sleep(tick).await;
        let moments = asked.lock().unwrap().len();
        assert!(
            moments >= NODES / 2,
            "{when}: {moments} moments for {NODES} nodes"
        );
    }
}

async fn does(node: &Node, command: Command) -> Result<Written, WriteError> {
    let change = Change {
        actor: Actor {
            id: "first".into(),
            role: Role::Admin,
        },
        command,
        op: node.new_op(),
        expected: None,
        enact_at: None,
        why: None,
        patience: Duration::from_secs(5),
    };
    node.write(change).await
}

/// A small bank: an app with a version and a rollout that asks about a segment, and one that is killed.
async fn furnish(node: &Node) {
    let token = ("first".to_owned(), Digest::of(b"first"));
    let begun = node.found(
        "bank/dev",
        Review::Skipped,
        token,
        None,
        EyesPolicy::default(),
    );
    assert!(begun.await.unwrap());
    let mut units = SegmentBuilder::new();
    units.push("d-1").unwrap();
    let sha256 = node.store_segment(units.finish().unwrap()).await.unwrap();
    let number = || "1.0.0".parse().unwrap();
    let app = |name: &str| -> huidu_core::name::AppId { format!("pingan/{name}").parse().unwrap() };
    let added = |name: &str| Command::AddApp {
        app: app(name),
        title: String::new(),
    };
    let bundle = Bundle {
        sha256: Digest::of(b"1.0.0"),
        bytes: 1,
        format: BundleFormat::Zip,
        files: 1,
        unpacked_bytes: 1,
    };
    let text = "app = \"pingan/a\"\nhosts = [\"bank\"]\nstable = \"1.0.0\"\n[[rule]]\nname = \"staff\"\nshare = \"100%\"\nserve = \"1.0.0\"\nwhen = { segment = \"staff\" }\n";
    let rollout: Rollout = toml::from_str(text).unwrap();
    for command in [
        Command::AddTenant {
            tenant: "pingan".parse().unwrap(),
            title: String::new(),
        },
        Command::AddHost {
            host: "bank".parse().unwrap(),
            title: String::new(),
            sandbox: false,
        },
        added("a"),
        added("b"),
        Command::PutSegment {
            segment: "staff".parse().unwrap(),
            sha256,
            units: 1,
        },
        Command::SubmitVersion {
            app: app("a"),
            number: number(),
            bundle,
            permissions: Vec::new(),
            notes: String::new(),
            dossier: Default::default(),
        },
        Command::List {
            app: app("a"),
            version: number(),
        },
        Command::PutRollout {
            rollout: Box::new(rollout),
        },
        Command::Kill {
            app: app("b"),
            version: None,
            reason: "fraud".into(),
        },
    ] {
        does(node, command).await.unwrap();
    }
}

/// A store that answers nobody.
fn dead() -> Arc<dyn Store> {
    let nothing: Arc<dyn Store> = Arc::new(MemoryStore::new());
    Arc::new(FaultyStore::scripted(nothing, |_| Fault::RequestLost))
}

/// All files under `root`, by their path below it.
fn files(root: &Path) -> BTreeSet<PathBuf> {
    let (mut left, mut all) = (vec![root.to_owned()], BTreeSet::new());
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                all.insert(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    all
}

fn copied(from: &Path, to: &Path) {
    for file in files(from) {
        let to = to.join(&file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from.join(file), to).unwrap();
    }
}

/// What a node says that is true.
fn truth(node: &Node) -> (Revision, Catalogue, Bytes) {
    let (live, catalogue) = (node.live(), node.catalogue());
    let kills = live.kills().unwrap().body().clone();
    (live.revision, catalogue.clone(), kills)
}

/// A copy with every kind of file in it, and what it stands for.
async fn copy(root: &Path) -> (Arc<dyn Store>, (Revision, Catalogue, Bytes)) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let first = started(Arc::clone(&store), Some(root)).await.unwrap();
    furnish(&first).await;
    let known = truth(&first);
    first.flush();
    drop(first);
    // One that begins from a checkpoint has that in its copy as well.
    let second = started(Arc::clone(&store), Some(root)).await.unwrap();
    second.serves(known.0).await;
    second.flush();
    drop(second);
    (store, known)
}

#[tokio::test]
async fn a_damaged_copy_is_found_out_whatever_of_it_was_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    let (store, known) = copy(&whole).await;
    let node = started(dead(), Some(&whole)).await.unwrap();
    assert_eq!(truth(&node), known, "whole, it is served");
    assert!(!node.health().lacks_segments);
    assert_eq!(node.health().why(), ["last-known-good", "store-down"]);
    drop(node);
    let mut all = files(&whole);
    // What says that somebody has the directory is no part of the copy.
    all.retain(|file| fs::metadata(whole.join(file)).unwrap().len() > 0);
    let kind = |name: &str| all.iter().filter(|file| file.starts_with(name)).count();
    let kinds = [kind("log"), kind("snap"), kind("cas"), kind("end")];
    assert!(kinds.iter().all(|count| *count > 0), "{kinds:?}: {all:?}");
    let (mut tried, mut refused, mut passed_over, mut said) = (0, 0, 0, 0);
    for file in &all {
        let length = fs::metadata(whole.join(file)).unwrap().len() as usize;
        let flips = [0, length / 3, length / 2, length - 2, length - 1];
        for (n, damage) in flips.map(Some).into_iter().chain([None]).enumerate() {
            let place = dir.path().join(format!("damaged-{tried}"));
            copied(&whole, &place);
            let path = place.join(file);
            let mut bytes = fs::read(&path).unwrap();
            match damage {
                Some(at) => bytes[at] ^= 1 << n,
                None => bytes.truncate(length / 2),
            }
            fs::write(&path, bytes).unwrap();
            tried += 1;
            match started(dead(), Some(&place)).await {
                Err(_) => refused += 1,
                Ok(node) => {
                    assert_eq!(truth(&node), known, "{} {damage:?}", file.display());
                    if node.health().lacks_segments {
                        said += 1;
                    } else {
                        passed_over += 1;
                    }
                }
            }
            // With the store it starts whatever its copy is like, and mends it.
            if n == 0 {
                let node = started(Arc::clone(&store), Some(&place)).await.unwrap();
                node.serves(known.0).await;
                node.flush();
                drop(node);
                let node = started(dead(), Some(&place)).await.unwrap();
                assert_eq!(truth(&node), known, "{} is mended", file.display());
                assert!(!node.health().lacks_segments);
            }
        }
    }
    println!(
        "figure: damaged copies {tried} tried, served wrong: 0; {refused} refused, {passed_over} passed over, {said} said"
    );
    assert!(
        tried >= 60 && refused > 10 && passed_over > 0 && said > 0,
        "{tried} {refused} {passed_over} {said}"
    );
}

/// The last record alone: nothing behind it vouches for it but the copy's own end.
#[tokio::test]
async fn without_its_end_a_copy_that_was_set_back_would_be_served() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, known) = copy(dir.path()).await;
    let last = dir.path().join(Key::Log(known.0.get()).to_string());
    fs::remove_file(&last).unwrap();
    assert!(
        started(dead(), Some(dir.path())).await.is_err(),
        "the kill is missing"
    );
    // As builds before left it: this harness would notice.
    fs::remove_file(dir.path().join("end")).unwrap();
    let node = started(dead(), Some(dir.path())).await.unwrap();
    assert_ne!(truth(&node), known);
}

#[tokio::test]
async fn after_a_cold_start_stamps_are_as_old_as_what_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, _) = copy(dir.path()).await;
    let node = started(dead(), Some(dir.path())).await.unwrap();
    let before = node.now();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let stamp = node.live().kills().unwrap().stamp_value();
        let stamp = SignedStamp::parse(stamp.to_str().unwrap()).unwrap();
        let asof = stamp.stamp().unwrap().asof;
        assert!(asof < before, "it proved nothing since: {asof}");
        assert_eq!(asof, node.health().asof);
    }
}

/// A record of the form after the newest, as a later version of huidu would sign it.
fn of_a_later_version(prev: Digest, rev: u64, event: &str) -> Bytes {
    let line = format!(
        r#"{{"v":3,"rev":{rev},"prev":"{prev}","op":"{rev:026}","put":"{rev:026}","node":"newer","at":"2026-11-24T12:00:00Z","actor":{{"id":"first","role":"admin"}},"mood":"new","events":[{event}]}}"#
    );
    let message = huidu_core::envelope::pae(huidu_core::record::MEDIA_TYPE, line.as_bytes());
    let signature = Signer::sign(&log_key(), &message).unwrap();
    let (key, signature) = (
        Signer::public_key(&log_key()).id(),
        data_encoding::BASE64.encode(&signature),
    );
    format!("{line}\n{key} {signature}\n").into()
}

#[tokio::test]
async fn a_node_that_meets_a_record_of_a_later_version_says_so_and_serves_on() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let node = started(Arc::clone(&store), None).await.unwrap();
    furnish(&node).await;
    let known = truth(&node);
    let last = store.get(&Key::Log(known.0.get())).await.unwrap();
    assert!(Found::read(&last).record().is_ok());
    let rev = known.0.get() + 1;
    let added = r#"{"event":"mood-changed","app":"pingan/a"}"#;
    let strange = of_a_later_version(Digest::of(&last), rev, added);
    store
        .put_new(&Key::Log(rev), strange.clone())
        .await
        .unwrap();
    let kill = Event::Killed {
        app: "pingan/a".parse().unwrap(),
        version: None,
        reason: "fraud".into(),
        before: None,
    };
    let kill = serde_json::to_string(&kill).unwrap();
    let behind = of_a_later_version(Digest::of(&strange), rev + 1, &kill);
    store.put_new(&Key::Log(rev + 1), behind).await.unwrap();
    node.look();
    let stops = || {
        let live = node.live();
        let kills = live.kills().map(|kills| kills.body().clone());
        kills.is_some_and(|kills| String::from_utf8_lossy(&kills).contains("pingan/a"))
    };
    for _ in 0..500 {
        if stops() && node.health().left_behind {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(stops(), "what stops behind it is in force");
    let health = node.health();
    assert_eq!(
        (health.is_ready(), health.why()),
        (true, vec!["left-behind"])
    );
    assert_eq!(health.revision, known.0);
    let written = does(
        &node,
        Command::AddHost {
            host: "other".parse().unwrap(),
            title: String::new(),
            sandbox: false,
        },
    );
    assert!(written.await.is_err(), "it writes nothing");
    // It says what it reads, and its beat is understood.
    node.beat(None, true).await.unwrap();
    let said = node.fleet().members().remove(0);
    assert_eq!(said.beat.standing, "degraded");
    assert_eq!(said.beat.reads.records, [1, 2]);
}

/// What nodes of the version before and of a later one say, word for word.
#[tokio::test]
async fn beats_of_other_versions_are_shown() {
    let node = started(Arc::new(MemoryStore::new()), None).await.unwrap();
    let beats = include_str!("../../tests/vectors/beats.txt");
    node.hear_all(beats.lines().map(str::to_owned));
    node.beat(None, true).await.unwrap();
    let members = node.fleet().members();
    let shown: Vec<(String, String, bool)> = members
        .into_iter()
        .map(|one| (one.beat.node, one.beat.version, one.is_left_behind))
        .collect();
    let of =
        |node: &str, version: &str, left_behind| (node.to_owned(), version.to_owned(), left_behind);
    assert_eq!(
        shown,
        [
            of("bare", "", false),
            of("earlier", "0.0.9", true),
            of("later", "0.2.0", false),
            of("n", env!("CARGO_PKG_VERSION"), false),
            of("today", "0.1.0", false),
        ]
    );
}
