//! No answer is stamped with a time at which this node did not hold the end of the log, or at which the
//! answer was known to be over. Time is only counted here, and whoever mints time is found out.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use huidu_core::{
    digest::Digest,
    event::Actor,
    poll::{Device, Installed},
    rollout::Rollout,
    seal::SignedStamp,
    version::{Bundle, BundleFormat, Permissions, Version},
};

use super::*;
use crate::{
    bus::local::LocalBus,
    clock::{Clock, RandomIds},
    store::{
        Place,
        faulty::{Call, Fault, FaultyStore, Verb},
        memory::MemoryStore,
    },
};

const NOON_MS: u64 = 1_800_000_000_000;
const TICK: Duration = Duration::from_secs(1);

/// A clock that says what it was told.
struct Told(AtomicU64);

impl Clock for Told {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.load(Ordering::SeqCst))
    }
}

/// One node and what a test may do to it.
struct Bench {
    node: Arc<Node>,
    clock: Arc<Told>,
    cut: Arc<AtomicBool>,
    /// Requests that will never be answered.
    hung: Arc<AtomicU64>,
}

impl Bench {
    /// A node over `store`; while it is cut, whatever `hangs` means is never answered.
    async fn new(store: &Arc<MemoryStore>, tick: Duration, hangs: fn(&Call) -> bool) -> Self {
        let cut = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&cut);
        let hung = Arc::<AtomicU64>::default();
        let hanging = Arc::clone(&hung);
        let inner: Arc<dyn Store> = store.clone();
        let store = FaultyStore::scripted(inner, move |call| {
            if told.load(Ordering::SeqCst) && hangs(call) {
                hanging.fetch_add(1, Ordering::SeqCst);
                Fault::Hangs
            } else {
                Fault::None
            }
        });
        let clock = Arc::new(Told(AtomicU64::new(NOON_MS)));
        let parts = NodeParts {
            store: Arc::new(store),
            bundle_disk: None,
            unproved: Vec::new(),
            mirror: None,
            bus: Arc::new(LocalBus::new()),
            clock: Arc::<Told>::clone(&clock),
            ids: Arc::new(RandomIds::new().unwrap()),
            key: Arc::new(ed25519_dalek::SigningKey::from_bytes(&[7; 32])),
            log_key: None,
            metrics: Arc::new(Metrics::new()),
            kills: None,
            peers: Arc::new(Peers::none()),
            settings: NodeSettings {
                name: "node".into(),
                tick,
                checkpoint_every: 1_000,
                poll_after_ms: 60_000,
                poll_spread_ms: 30_000,
                lease_ms: 60_000,
                bundle_memory: 1 << 20,
            },
        };
        let node = Node::start(parts).await.unwrap();
        Self {
            node,
            clock,
            cut,
            hung,
        }
    }

    async fn does(&self, command: Command) -> Written {
        let change = Change {
            actor: Actor {
                id: "first".into(),
                role: Role::Admin,
            },
            command,
            op: self.node.new_op(),
            expected: None,
            enact_at: None,
            why: None,
            patience: Duration::from_secs(10),
        };
        self.node.write(change).await.unwrap()
    }

    async fn found(&self) {
        let token = ("first".to_owned(), Digest::of(b"first"));
        let eyes = EyesPolicy::default();
        let begun = self
            .node
            .found("bank/dev", Review::Skipped, token, None, eyes);
        assert!(begun.await.unwrap());
    }

    async fn app(&self, app: &str) {
        self.does(Command::AddApp {
            app: app.parse().unwrap(),
            title: String::new(),
        })
        .await;
        for number in ["1.0.0", "1.1.0"] {
            let version = listed(number);
            self.does(Command::SubmitVersion {
                app: app.parse().unwrap(),
                number: version.number.clone(),
                bundle: version.bundle,
                permissions: Vec::new(),
                notes: String::new(),
                dossier: Default::default(),
            })
            .await;
            self.does(Command::List {
                app: app.parse().unwrap(),
                version: version.number,
            })
            .await;
        }
        self.rolls_out(app, "").await;
    }

    async fn rolls_out(&self, app: &str, rules: &str) -> Written {
        let text = format!("app = \"{app}\"\nhosts = [\"bank\"]\nstable = \"1.0.0\"\n{rules}");
        let rollout: Rollout = toml::from_str(&text).unwrap();
        let rollout = Box::new(rollout);
        self.does(Command::PutRollout { rollout }).await
    }

    fn is_at(&self, ms: u64) {
        self.clock.0.store(NOON_MS + ms, Ordering::SeqCst);
    }

    /// Milliseconds after noon that a device reads in the stamp of the list of kills.
    fn kills_asof(&self) -> u64 {
        let live = self.node.live();
        asof(live.kills().unwrap().stamp_value().to_str().unwrap())
    }
}

fn listed(number: &str) -> Version {
    let bundle = Bundle {
        sha256: Digest::of(number.as_bytes()),
        bytes: 1,
        format: BundleFormat::Zip,
        files: 1,
        unpacked_bytes: 1,
    };
    Version {
        number: number.parse().unwrap(),
        bundle,
        permissions: Permissions::default(),
        notes: String::new(),
        life: huidu_core::version::Life::Listed,
        submitted_at: Timestamp::EPOCH,
        dossier: Default::default(),
    }
}

fn asof(stamp: &str) -> u64 {
    let stamp = SignedStamp::parse(stamp).unwrap().stamp().unwrap();
    stamp.asof.unix_ms() - NOON_MS
}

/// Of an hour cut off from the store, looked at every minute: how often a device was told of a time after
/// the cut.
async fn lies_of_an_hour(mints: bool) -> usize {
    let store = Arc::new(MemoryStore::new());
    let bench = Bench::new(&store, TICK, |_| true).await;
    bench.found().await;
    bench.is_at(5_000);
    while bench.kills_asof() < 5_000 {
        tokio::time::sleep(TICK).await;
        live::refresh(&bench.node.live());
    }
    bench.cut.store(true, Ordering::SeqCst);
    let mut lies = 0;
    for minute in 1..=60 {
        bench.is_at(5_000 + minute * 60_000);
        tokio::time::sleep(TICK * 10).await;
        if mints {
            bench.node.shared.proved(bench.clock.now());
        }
        lies += usize::from(bench.kills_asof() > 5_000);
    }
    lies
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cut_off_tells_of_no_time_after_that() {
    assert_eq!(lies_of_an_hour(false).await, 0);
    println!("an hour cut off, looked at 60 times, invented times: 0");
}

#[tokio::test(start_paused = true)]
async fn the_same_look_finds_a_node_that_mints_now() {
    let lies = lies_of_an_hour(true).await;
    assert!(lies > 30, "{lies}");
}

/// A node that has read of a change and does not serve it yet, because a segment of it does not come. What
/// it still serves is as old as before it read, whatever else it proves in the meantime.
#[tokio::test(start_paused = true)]
async fn what_was_replaced_stays_as_old_as_it_was() {
    let store = Arc::new(MemoryStore::new());
    let writer = Bench::new(&store, Duration::from_secs(3_600), |_| false).await;
    writer.found().await;
    writer
        .does(Command::AddTenant {
            tenant: "pingan".parse().unwrap(),
            title: String::new(),
        })
        .await;
    writer
        .does(Command::AddHost {
            host: "bank".parse().unwrap(),
            title: String::new(),
            sandbox: false,
        })
        .await;
    for app in ["pingan/travel", "pingan/coffee"] {
        writer.app(app).await;
    }
    let mut units = huidu_core::segment::SegmentBuilder::new();
    units.push("d-1").unwrap();
    let segment = units.finish().unwrap();
    let sha256 = writer.node.store_segment(segment).await.unwrap();
    let put = Command::PutSegment {
        segment: "staff".parse().unwrap(),
        sha256,
        units: 1,
    };
    let last = writer.does(put).await.revision;

    let reader = Bench::new(&store, Duration::from_secs(3_600), |call| {
        call.verb == Verb::Get && matches!(call.place, Place::Key(Key::Cas(_)))
    })
    .await;
    reader.node.serves(last).await;
    reader.is_at(300_000);
    reader.node.look();
    while reader.node.health().asof < reader.clock.now() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let served = reader.node.live().clone();
    let told = |app: &str| {
        let app = served.app(app).unwrap();
        let (device, none) = (Device::new("d-1"), Installed::default());
        app.resolve("bank", &device, &none, reader.clock.now())
    };
    let read = |stamp: http::HeaderValue| asof(stamp.to_str().unwrap());
    reader.cut.store(true, Ordering::SeqCst);
    reader.is_at(600_000);
    let rule = "[[rule]]\nname = \"staff\"\nwhen = { segment = \"staff\" }\nserve = \"1.1.0\"\n";
    writer.rolls_out("pingan/travel", rule).await;
    reader.node.look();
    while reader.hung.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(reader.node.catalogue().revision > last && reader.node.live().revision == last);
    let (nonce, request) = ([9; 32], Digest::of(b"a request"));
    let all = |app: &str| {
        let answer = told(app);
        let alone = answer.challenged(&nonce, &request).unwrap();
        [read(answer.stamp_value()), read(alone)]
    };
    assert_eq!(all("pingan/travel"), [300_000, 300_000]);
    // Even a node that went on proving could not make it younger; what is in force gets younger.
    reader.node.shared.proved(reader.clock.now());
    live::refresh(&served);
    assert_eq!(all("pingan/travel"), [300_000, 300_000]);
    assert_eq!(all("pingan/coffee"), [600_000, 600_000]);
    assert_eq!(
        read(served.kills().unwrap().stamp_value()),
        300_000,
        "replaced as well"
    );
}

#[tokio::test(start_paused = true)]
async fn stamps_are_renewed_while_nobody_waits_for_them() {
    let store = Arc::new(MemoryStore::new());
    let bench = Bench::new(&store, TICK, |_| false).await;
    bench.found().await;
    let ahead = bench.node.metrics().stamps.with_label_values(&["ahead"]);
    assert_eq!(bench.kills_asof(), 0);
    bench.is_at(20_000);
    let before = ahead.get();
    let since = tokio::time::Instant::now();
    while ahead.get() == before {
        tokio::time::sleep(TICK).await;
    }
    let half = Duration::from_millis(u64::from(bench.node.shared.stamper.lease_ms()) / 2);
    assert!(since.elapsed() <= half + TICK, "{:?}", since.elapsed());
    assert_eq!(bench.kills_asof(), 20_000);
    // Nobody has asked but this test, once: the one after next has nothing to renew.
    tokio::time::sleep(half * 2).await;
    let once = ahead.get();
    tokio::time::sleep(half * 10).await;
    assert_eq!(ahead.get(), once);
}

/// Devices that heard of more than there is make a node look, and no more than ten times a second.
#[tokio::test(start_paused = true)]
async fn a_flood_of_news_makes_a_node_look_ten_times_a_second() {
    let store = Arc::new(MemoryStore::new());
    let bench = Bench::new(&store, Duration::from_secs(3_600), |_| false).await;
    bench.found().await;
    let begun = bench.node.metrics().looks.get();
    for ms in 1..=3_000 {
        bench.is_at(ms);
        for _ in 0..20 {
            bench.node.heard_of(Revision::new(1_000_000));
        }
        tokio::task::yield_now().await;
    }
    let looks = bench.node.metrics().looks.get() - begun;
    assert!((25..=31).contains(&looks), "{looks} looks in 3 s");
}
