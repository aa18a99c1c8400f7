//! Three nodes over one store, each behind a network of its own that can be cut; what becomes of kills whatever
//! is dead. No process and no port: a node ends by being dropped, and comes back on what lay on its disk.

mod forged;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ed25519_dalek::SigningKey;
use huidu_core::{
    authority::Role,
    command::Command,
    credential::Expiry,
    digest::Digest,
    event::Actor,
    eyes::EyesPolicy,
    poll::{Device, Installed},
    rollout::Rollout,
    version::{Bundle, BundleFormat, Review},
};

use super::*;
use crate::planted::plant;
use crate::{
    bus::{Bus, local::LocalBus},
    clock::{RandomIds, System},
    metrics::Metrics,
    node::{
        Node, NodeParts, NodeSettings, OpState,
        peers::{Answer, Reach},
    },
    store::{
        Store,
        faulty::{Fault, FaultyStore, Switch, Verb},
        memory::MemoryStore,
    },
};

const APP: &str = "pingan/travel";
const TICK: Duration = Duration::from_millis(50);
const NAMES: [&str; 3] = ["a", "b", "c"];
/// What every wait here is bounded by.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who can be reached: nodes by name.
#[derive(Default)]
struct Lines(Mutex<BTreeMap<String, Weak<Node>>>);

impl Reach for Lines {
    fn tell<'a>(&'a self, address: &'a str, message: Bytes) -> Answer<'a> {
        let node = self.0.lock().unwrap().get(address).and_then(Weak::upgrade);
        Box::pin(async move {
            let node = node.ok_or("dead")?;
            let told = node.hear_kill(message).await;
            told.map_err(|error| error.to_string())
        })
    }

    fn hear<'a>(&'a self, address: &'a str) -> Answer<'a> {
        let node = self.0.lock().unwrap().get(address).and_then(Weak::upgrade);
        let words = node.and_then(|node| node.fleet().last_words());
        Box::pin(async move { words.map(Bytes::from).ok_or_else(|| "dead".to_owned()) })
    }
}

struct Fleet {
    store: Arc<MemoryStore>,
    lines: Arc<Lines>,
    bus: Arc<LocalBus>,
    /// Whether every node has a bus of its own, so that nobody hears of anything by it.
    bus_is_dead: bool,
    disks: tempfile::TempDir,
    nodes: Vec<Option<Arc<Node>>>,
    switches: Vec<Switch>,
    hangs: Arc<AtomicBool>,
    /// Whether the store can be read and not written.
    is_full: Arc<AtomicBool>,
}

impl Fleet {
    async fn start() -> Self {
        Self::with(true, true).await
    }

    /// Three nodes and an app that runs. `lines`: nodes know one another.
    async fn with(lines: bool, bus_is_dead: bool) -> Self {
        let mut fleet = Self {
            store: Arc::new(MemoryStore::new()),
            lines: Arc::default(),
            bus: Arc::new(LocalBus::new()),
            bus_is_dead,
            disks: tempfile::tempdir().unwrap(),
            nodes: vec![None, None, None],
            switches: vec![Switch::default(); 3],
            hangs: Arc::default(),
            is_full: Arc::default(),
        };
        for n in 0..3 {
            fleet.open(n, lines).await;
        }
        let node = fleet.node(0);
        let token = ("ada".to_owned(), Digest::of(b"ada"));
        let eyes = EyesPolicy::default();
        let begun = node.found("bank/dev", Review::Skipped, token, None, eyes);
        assert!(begun.await.unwrap());
        for (id, role) in [("sven", Role::Sre), ("audrey", Role::Auditor)] {
            let given = Command::AddToken {
                id: id.into(),
                sha256: Digest::of(id.as_bytes()),
                role,
                note: String::new(),
                member: None,
                expires: Expiry::Usual,
                scopes: Default::default(),
            };
            fleet.does(given).await;
        }
        let host = Command::AddHost {
            host: "bank".parse().unwrap(),
            title: String::new(),
            sandbox: false,
        };
        fleet.does(host).await;
        for app in [APP, "pingan/coffee"] {
            fleet.app(app).await;
        }
        fleet.follow().await;
        fleet
    }

    async fn app(&self, app: &str) {
        let (id, title) = (app.parse().unwrap(), String::new());
        self.does(Command::AddApp { app: id, title }).await;
        for number in ["1.0.0", "1.1.0"] {
            let (id, version): (huidu_core::name::AppId, huidu_core::version::Number) =
                (app.parse().unwrap(), number.parse().unwrap());
            let bundle = Bundle {
                sha256: Digest::of(number.as_bytes()),
                bytes: 1,
                format: BundleFormat::Zip,
                files: 1,
                unpacked_bytes: 1,
            };
            self.does(Command::SubmitVersion {
                app: id.clone(),
                number: version.clone(),
                bundle,
                permissions: Vec::new(),
                notes: String::new(),
                dossier: Default::default(),
            })
            .await;
            self.does(Command::List { app: id, version }).await;
        }
        let text = format!("app = \"{app}\"\nhosts = [\"bank\"]\nstable = \"1.1.0\"\n");
        let rollout: Rollout = toml::from_str(&text).unwrap();
        let rollout = Box::new(rollout);
        self.does(Command::PutRollout { rollout }).await;
    }

    async fn open(&mut self, n: usize, lines: bool) {
        let hangs = Arc::clone(&self.hangs);
        let inner: Arc<dyn Store> = self.store.clone();
        let is_full = Arc::clone(&self.is_full);
        let store = FaultyStore::scripted(inner, move |call| {
            if hangs.load(Ordering::SeqCst) {
                Fault::Hangs
            } else if call.verb == Verb::PutNew && is_full.load(Ordering::SeqCst) {
                Fault::RequestLost
            } else {
                Fault::None
            }
        });
        let was_down = !self.switches[n].is_up();
        self.switches[n] = store.switch();
        if was_down {
            self.switches[n].down();
        }
        let others = NAMES.iter().filter(|name| **name != NAMES[n] && lines);
        let reach = Arc::<Lines>::clone(&self.lines) as Arc<dyn Reach>;
        let peers = Peers::new(others.map(|name| (*name).to_owned()), Some(reach));
        let bus: Arc<dyn Bus> = if self.bus_is_dead {
            Arc::new(LocalBus::new())
        } else {
            self.bus.clone()
        };
        let copy = self.disks.path().join(format!("copy-{n}"));
        // Whoever had it before lets go of it when the last of its tasks has ended.
        let since = Instant::now();
        let mirror = loop {
            match crate::store::fs::FsStore::open(&copy) {
                Ok(store) => break store,
                Err(_) if since.elapsed() < PATIENCE => sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        };
        let kills = self.disks.path().join(format!("kills-{n}"));
        let node = Node::start(NodeParts {
            store: Arc::new(store),
            unproved: Vec::new(),
            mirror: Some((copy.into(), Arc::new(mirror))),
            bundle_disk: None,
            bus,
            clock: Arc::new(System),
            ids: Arc::new(RandomIds::new().unwrap()),
            key: Arc::new(SigningKey::from_bytes(&[7; 32])),
            log_key: Some(Arc::new(SigningKey::from_bytes(&[5; 32]))),
            metrics: Arc::new(Metrics::new()),
            kills: Some(Arc::new(Directory::open(kills).unwrap())),
            peers: Arc::new(peers),
            settings: NodeSettings {
                name: NAMES[n].into(),
                tick: TICK,
                checkpoint_every: 1_000,
                poll_after_ms: 60_000,
                poll_spread_ms: 30_000,
                lease_ms: 60_000,
                bundle_memory: 1 << 20,
            },
        });
        let node = node.await.unwrap();
        let mut lines = self.lines.0.lock().unwrap();
        lines.insert(NAMES[n].into(), Arc::downgrade(&node));
        drop(lines);
        self.nodes[n] = Some(node);
    }

    fn node(&self, n: usize) -> Arc<Node> {
        Arc::clone(self.nodes[n].as_ref().unwrap())
    }

    /// Ends a node; what is in its memory is gone.
    fn ends(&mut self, n: usize) {
        if let Some(node) = self.nodes[n].take() {
            node.flush();
        }
    }

    fn store_is(&self, up: bool) {
        for switch in &self.switches {
            if up { switch.up() } else { switch.down() }
        }
    }

    async fn does(&self, command: Command) -> Revision {
        let node = self.node(0);
        let change = change(&node, "ada", Role::Admin, command);
        node.write(change).await.unwrap().revision
    }

    /// Waits until all nodes serve all that there is.
    async fn follow(&self) {
        let newest = self.node(0).live().revision;
        for node in self.nodes.iter().flatten() {
            node.look();
            tokio::time::timeout(PATIENCE, node.serves(newest))
                .await
                .unwrap();
        }
    }

    async fn kill(&self, n: usize, version: Option<&str>) -> Killed {
        let node = self.node(n);
        let change = change(&node, "sven", Role::Sre, kill(version));
        node.kill(change).await.unwrap()
    }

    /// What each node tells a device.
    fn told(&self) -> Vec<&'static str> {
        self.nodes
            .iter()
            .flatten()
            .map(|node| told(node, APP))
            .collect()
    }

    fn kept(&self, n: usize) -> usize {
        let dir = self.disks.path().join(format!("kills-{n}"));
        std::fs::read_dir(dir).unwrap().count()
    }
}

fn kill(version: Option<&str>) -> Command {
    Command::Kill {
        app: APP.parse().unwrap(),
        version: version.map(|version| version.parse().unwrap()),
        reason: "fraud".into(),
    }
}

fn unkill() -> Command {
    Command::Unkill {
        app: APP.parse().unwrap(),
        version: None,
        reason: "no fraud".into(),
    }
}

fn change(node: &Node, who: &str, role: Role, command: Command) -> Change {
    Change {
        actor: Actor {
            id: who.into(),
            role,
        },
        command,
        op: node.new_op(),
        expected: None,
        enact_at: None,
        why: None,
        patience: Duration::from_secs(3),
    }
}

fn told(node: &Node, app: &str) -> &'static str {
    let live = node.live();
    let (device, none) = (Device::new("d-1"), Installed::default());
    let app = live.app(app).unwrap();
    let body = app
        .resolve("bank", &device, &none, node.now())
        .body()
        .clone();
    let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
    match document["state"].as_str().unwrap() {
        "run" => "run",
        "killed" => "killed",
        _ => "none",
    }
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(
            since.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_is_in_force_on_every_node_and_in_the_ledger_when_it_is_answered() {
    let fleet = Fleet::start().await;
    assert_eq!(fleet.told(), ["run"; 3]);
    let killed = fleet.kill(0, None).await;
    assert_eq!(fleet.told(), ["killed"; 3]);
    let written = killed.written.unwrap();
    let receipt = killed.receipt.unwrap();
    assert_eq!(receipt.state, State::Committed(written.revision));
    assert_eq!(receipt.nodes.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(receipt.nodes.values().all(|node| node.kept) && receipt.unreached.is_empty());
    // In the ledger; on the disk as well, unless the ledger was quicker.
    assert!(receipt.ledger_at.is_some());
    // The look at the end of the ledger that says so may come after the answer.
    let now = || fleet.node(0).receipt(&receipt.op).unwrap();
    until("it is known", || now().known_by.is_some()).await;
    let known_by = now().known_by.unwrap();
    assert_eq!(now().complete_by(), Some(known_by.plus_ms(60_000)));
    for n in 0..3 {
        until("the files go", || fleet.kept(n) == 0).await;
        let gauge = &fleet.node(n).parts.metrics.provisional_kills;
        assert_eq!(gauge.get(), 0);
    }
    // The un-kill has its order, and governs.
    fleet.does(unkill()).await;
    fleet.follow().await;
    assert_eq!(fleet.told(), ["run"; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_down_a_kill_is_provisional_outlasts_restarts_and_is_cleared_by_its_record()
 {
    assert!(provisional_outlasts(None).await);
}

#[tokio::test]
async fn the_same_look_finds_a_node_that_forgets_at_its_start() {
    assert!(!provisional_outlasts(Some(Bug::KillForgottenAtStart)).await);
}

/// Whether everything is as it should be; what is planted is wrong from the restarts on.
async fn provisional_outlasts(planted: Option<Bug>) -> bool {
    let mut fleet = Fleet::start().await;
    let base = fleet.node(0).live().revision;
    fleet.store_is(false);
    let killed = fleet.kill(0, None).await;
    assert!(killed.written.is_none());
    let receipt = killed.receipt.unwrap();
    assert_eq!(
        (receipt.state, receipt.nodes.len()),
        (State::Provisional, 3)
    );
    assert_eq!(fleet.told(), ["killed"; 3]);
    assert!(receipt.kept_at.is_some() && receipt.complete_by().is_some());
    assert_eq!(
        told(&fleet.node(0), "pingan/coffee"),
        "run",
        "and nothing else"
    );
    // The taker and a peer end without warning, and come back while the store is still down.
    plant(planted);
    for n in [0, 1] {
        fleet.ends(n);
        fleet.open(n, true).await;
    }
    plant(None);
    if fleet.told() != ["killed"; 3] {
        return false;
    }
    // An un-kill waits for the store like everything else.
    let node = fleet.node(1);
    let never = node
        .write(change(&node, "ada", Role::Admin, unkill()))
        .await;
    assert!(never.is_err(), "{never:?}");
    fleet.store_is(true);
    for n in 0..3 {
        let node = fleet.node(n);
        until("the ledger has it", || node.live().revision > base).await;
        until("it is cleared", || {
            node.parts.metrics.provisional_kills.get() == 0
        })
        .await;
        assert_eq!(
            node.op(receipt.op).await,
            OpState::Committed(base.next()),
            "once"
        );
        until("its file goes", || fleet.kept(n) == 0).await;
    }
    assert_eq!(fleet.told(), ["killed"; 3]);
    let later = fleet.node(0).receipt(&receipt.op).unwrap();
    assert_eq!(later.state, State::Committed(base.next()));
    fleet.does(unkill()).await;
    fleet.follow().await;
    fleet.told() == ["run"; 3]
}

/// The taker dies for good after its peers have acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_told_appends_a_kill_whose_taker_never_comes_back() {
    let mut fleet = Fleet::start().await;
    fleet.store_is(false);
    let killed = fleet.kill(0, Some("1.1.0")).await;
    let op = killed.receipt.unwrap().op;
    fleet.ends(0);
    fleet.store_is(true);
    for n in [1, 2] {
        let node = fleet.node(n);
        until("the ledger has it", || {
            node.live().revision.get() > 0 && node.parts.metrics.provisional_kills.get() == 0
        })
        .await;
        assert!(matches!(node.op(op).await, OpState::Committed(_)));
    }
    let list = fleet.node(1).live().kills().unwrap().body().clone();
    assert!(String::from_utf8_lossy(&list).contains("1.1.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_delays_no_kill() {
    let fleet = Fleet::start().await;
    fleet.hangs.store(true, Ordering::SeqCst);
    // The engine is in the middle of something that will not end soon.
    let busy = fleet.node(0);
    let doing = tokio::spawn(async move {
        let never = change(&busy, "ada", Role::Admin, unkill());
        busy.write(never).await
    });
    let node = fleet.node(0);
    let begun = Instant::now();
    let killing = tokio::spawn(async move {
        let change = change(&node, "sven", Role::Sre, kill(None));
        node.kill(change).await
    });
    until("every node refuses", || fleet.told() == ["killed"; 3]).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    let killed = killing.await.unwrap().unwrap();
    assert!(killed.written.is_none());
    fleet.hangs.store(false, Ordering::SeqCst);
    assert!(doing.await.unwrap().is_err());
    let node = fleet.node(0);
    until("it is cleared", || {
        node.parts.metrics.provisional_kills.get() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bus_alone_and_the_posts_alone_are_each_enough() {
    for (lines, bus_is_dead) in [(true, true), (false, false)] {
        let fleet = Fleet::with(lines, bus_is_dead).await;
        fleet.store_is(false);
        fleet.kill(2, None).await;
        until("every node refuses", || fleet.told() == ["killed"; 3]).await;
    }
}

/// Two people kill the same app at two nodes that cannot hear one another. One record and one void: every node
/// comes to the same end, and the app can be brought back.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_kills_of_one_thing_one_is_voided_and_neither_is_left_behind() {
    let fleet = Fleet::with(false, true).await;
    fleet.store_is(false);
    let ops = [fleet.kill(0, None).await, fleet.kill(1, None).await].map(|killed| {
        let receipt = killed.receipt.unwrap();
        assert_eq!(receipt.state, State::Provisional);
        receipt.op
    });
    fleet.store_is(true);
    for n in [0, 1] {
        let node = fleet.node(n);
        until("it is settled", || {
            node.parts.metrics.provisional_kills.get() == 0
        })
        .await;
    }
    fleet.follow().await;
    let node = fleet.node(2);
    let mut ends = Vec::new();
    for op in ops {
        until("it is known", || node.kills.front.ended(&op).is_some()).await;
        ends.push(node.op(op).await);
    }
    ends.sort_by_key(|end| matches!(end, OpState::Cancelled(_)));
    assert!(
        matches!(ends[..], [OpState::Committed(_), OpState::Cancelled(_)]),
        "{ends:?}"
    );
    assert_eq!(fleet.told(), ["killed"; 3]);
    fleet.does(unkill()).await;
    fleet.follow().await;
    assert_eq!(fleet.told(), ["run"; 3]);
}

/// Somebody loses the right to kill, and the ledger refuses the kill. While that cannot be written there, it did not fail:
/// any node that was told of it may find it possible later, and write it.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_that_is_refused_has_not_failed_before_the_ledger_says_so() {
    let fleet = Fleet::start().await;
    fleet.switches[0].down();
    fleet.switches[1].down();
    let node = fleet.node(1);
    let kill = change(&node, "sven", Role::Sre, kill(None));
    let op = kill.op;
    node.kill(kill.clone()).await.unwrap();
    // The third node still reaches the store.
    let revoked = Command::RevokeToken { id: "sven".into() };
    let by = fleet.node(2);
    let revoked = by.write(change(&by, "ada", Role::Admin, revoked)).await;
    fleet.is_full.store(true, Ordering::SeqCst);
    fleet.store_is(true);
    let knows = node.serves(revoked.unwrap().revision);
    tokio::time::timeout(PATIENCE, knows).await.unwrap();
    let asked = node.write(kill).await;
    assert!(
        matches!(asked, Err(WriteError::Unknown { .. })),
        "{asked:?}"
    );
    assert_eq!(fleet.told(), ["killed"; 3]);

    fleet.is_full.store(false, Ordering::SeqCst);
    for n in 0..3 {
        let node = fleet.node(n);
        until("it is over", || {
            node.parts.metrics.provisional_kills.get() == 0
        })
        .await;
        assert!(matches!(node.op(op).await, OpState::Cancelled(_)));
    }
    assert_eq!(fleet.told(), ["run"; 3]);
}

/// Somebody loses the right to kill while the store is down: the kill is over when the ledger says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_that_the_ledger_refuses_is_over_on_every_node() {
    let fleet = Fleet::start().await;
    fleet.switches[0].down();
    fleet.switches[1].down();
    let killed = fleet.kill(1, None).await;
    let op = killed.receipt.unwrap().op;
    // The third node still reaches the store.
    let node = fleet.node(2);
    let revoked = Command::RevokeToken { id: "sven".into() };
    let change = change(&node, "ada", Role::Admin, revoked);
    node.write(change).await.unwrap();
    fleet.store_is(true);
    for n in 0..3 {
        let node = fleet.node(n);
        until("it is over", || {
            node.parts.metrics.provisional_kills.get() == 0
        })
        .await;
        assert!(matches!(node.op(op).await, OpState::Cancelled(_)));
    }
    assert_eq!(fleet.told(), ["run"; 3]);
    let receipt = fleet.node(1).receipt(&op).unwrap();
    assert!(matches!(receipt.state, State::Voided(_)) && receipt.complete_by().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_the_same_kill_and_its_name_is_no_other_one() {
    let fleet = Fleet::start().await;
    fleet.store_is(false);
    let node = fleet.node(0);
    let first = change(&node, "sven", Role::Sre, kill(None));
    let again = first.clone();
    let mut other = first.clone();
    other.command = kill(Some("1.0.0"));
    node.kill(first).await.unwrap();
    let repeated = node.kill(again).await.unwrap();
    assert_eq!(repeated.receipt.unwrap().nodes.len(), 3);
    let refused = node.kill(other).await;
    assert!(
        matches!(refused, Err(WriteError::OtherAsk { .. })),
        "{refused:?}"
    );
}

/// A disk that fails costs the kill nothing but that it does not outlast the process, and that is said.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_stops_no_kill() {
    let fleet = Fleet::start().await;
    let dir = fleet.disks.path().join("kills-0");
    std::fs::remove_dir_all(&dir).unwrap();
    // What the ledger has by then need not be kept.
    fleet.store_is(false);
    let killed = fleet.kill(0, None).await;
    assert_eq!(fleet.told(), ["killed"; 3]);
    let receipt = killed.receipt.unwrap();
    assert!(receipt.kept_at.is_none() && !receipt.nodes["a"].kept && receipt.nodes["b"].kept);
    assert_eq!(fleet.node(0).parts.metrics.kill_disk_failures.get(), 1);
}

/// Where no board has anybody's words, nodes hear one another from themselves, and learn where each says it is.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_board_nodes_hear_one_another_and_learn_where_they_are() {
    let fleet = Fleet::start().await;
    for (n, name) in NAMES.iter().enumerate() {
        let moved = format!("moved-{name}");
        fleet.node(n).fleet().is_at(moved.clone());
        let there = Arc::downgrade(&fleet.node(n));
        fleet.lines.0.lock().unwrap().insert(moved, there);
    }
    for turn in 0..2 {
        for n in 0..3 {
            fleet.node(n).beat(None, turn == 0).await.unwrap();
        }
    }
    let node = fleet.node(0);
    let heard = node.fleet().members();
    let heard: Vec<_> = heard.iter().map(|one| one.beat.node.as_str()).collect();
    assert_eq!(heard, NAMES);
    let known = node.peers().addresses();
    assert!(known.contains("moved-b") && known.contains("moved-c") && !known.contains("moved-a"));
}
