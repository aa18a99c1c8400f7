//! A node whose state is not what the ledger says is found by the others, serves nothing but what stops, and
//! repairs itself; and those that are right go on.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use huidu_core::catalogue::Catalogue;

use super::{
    beats::{Board, Exchange},
    *,
};
use crate::{
    bus::local::LocalBus,
    clock::{RandomIds, System},
    store::{
        faulty::{Fault, FaultyStore},
        memory::MemoryStore,
    },
};

/// A board in this process.
#[derive(Clone, Default)]
struct Wall(Arc<Mutex<BTreeMap<String, String>>>);

impl Board for Wall {
    fn exchange<'a>(&'a self, node: &'a str, text: &'a str) -> Exchange<'a> {
        let mut all = self.0.lock().unwrap();
        all.insert(node.to_owned(), text.to_owned());
        let texts = all.values().cloned().collect();
        Box::pin(async move { Ok(texts) })
    }
}

/// Nodes over one store, each of which may be cut off from it.
struct Nodes {
    nodes: Vec<(Arc<Node>, Arc<AtomicBool>)>,
    wall: Wall,
}

impl Nodes {
    async fn new(count: usize) -> Self {
        let store = Arc::new(MemoryStore::new());
        let mut nodes = Vec::new();
        for n in 0..count {
            let cut = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&cut);
            let inner: Arc<dyn Store> = store.clone();
            let store = FaultyStore::scripted(inner, move |_| {
                if told.load(Ordering::SeqCst) {
                    Fault::Hangs
                } else {
                    Fault::None
                }
            });
            let parts = NodeParts {
                store: Arc::new(store),
                bundle_disk: None,
                unproved: Vec::new(),
                mirror: None,
                kills: None,
                peers: Arc::new(Peers::none()),
                bus: Arc::new(LocalBus::new()),
                clock: Arc::new(System),
                ids: Arc::new(RandomIds::new().unwrap()),
                key: Arc::new(ed25519_dalek::SigningKey::from_bytes(&[7; 32])),
                log_key: Some(Arc::new(ed25519_dalek::SigningKey::from_bytes(&[8; 32]))),
                metrics: Arc::new(Metrics::new()),
                settings: NodeSettings {
                    name: format!("n{n}"),
                    tick: Duration::from_secs(1),
                    checkpoint_every: 1_000,
                    poll_after_ms: 60_000,
                    poll_spread_ms: 30_000,
                    lease_ms: 60_000,
                    bundle_memory: 1 << 20,
                },
            };
            nodes.push((Node::start(parts).await.unwrap(), cut));
        }
        let nodes = Self {
            nodes,
            wall: Wall::default(),
        };
        let token = ("first".to_owned(), Digest::of(b"first"));
        let eyes = EyesPolicy::default();
        let begun = nodes[0].found("bank/dev", Review::Skipped, token, None, eyes);
        assert!(begun.await.unwrap());
        for app in ["t/a", "t/b"] {
            nodes.does(0, app_added(app)).await.unwrap();
        }
        nodes
    }

    async fn does(&self, n: usize, command: Command) -> Result<Written, WriteError> {
        let change = Change {
            actor: Actor {
                id: "first".into(),
                role: Role::Admin,
            },
            command,
            op: self[n].new_op(),
            expected: None,
            enact_at: None,
            why: None,
            patience: Duration::from_secs(1),
        };
        self[n].write(change).await
    }

    /// Lets all of them beat until it is so.
    async fn beat_until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        for _ in 0..2_000 {
            for (node, _) in &self.nodes {
                node.beat(Some(&self.wall), true).await.unwrap();
            }
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{what}: not within 200 s");
    }

    fn cut(&self, n: usize, is_cut: bool) {
        self.nodes[n].1.store(is_cut, Ordering::SeqCst);
    }

    fn spoil(&self, n: usize, how: impl FnOnce(&mut Catalogue)) {
        self[n].shared.catalogue.spoil(how);
    }

    /// All of them are at one revision, and say so.
    async fn agree(&self) {
        let newest = self[0].catalogue().revision;
        for (node, _) in &self.nodes {
            node.serves(newest).await;
        }
        self.beat_until("all agree", || {
            self.nodes.iter().all(|(node, _)| {
                let members = node.fleet().members();
                members.len() == self.nodes.len()
                    && members.iter().all(|member| {
                        member.agrees == Some(true) && member.beat.standing == "ready"
                    })
            })
        })
        .await;
    }

    fn soundness(&self) -> Vec<Soundness> {
        let nodes = self.nodes.iter();
        nodes.map(|(node, _)| node.health().soundness).collect()
    }
}

impl std::ops::Index<usize> for Nodes {
    type Output = Arc<Node>;

    fn index(&self, n: usize) -> &Arc<Node> {
        &self.nodes[n].0
    }
}

fn app_added(app: &str) -> Command {
    Command::AddApp {
        app: app.parse().unwrap(),
        title: String::new(),
    }
}

fn kill(app: &str) -> Command {
    Command::Kill {
        app: app.parse().unwrap(),
        version: None,
        reason: "r".into(),
    }
}

/// Makes an app look other than it is, without its revision saying so.
fn spoiled(catalogue: &mut Catalogue) {
    let app: huidu_core::name::AppId = "t/a".parse().unwrap();
    let app = catalogue.apps.get_mut(&app).unwrap();
    Arc::make_mut(app).title = "somebody else's".into();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_came_to_another_state_is_quarantined_and_repairs_itself() {
    let nodes = Nodes::new(3).await;
    nodes.agree().await;
    nodes.spoil(1, spoiled);
    // The next change makes its state a new one, so that it is told what it was not before.
    nodes.cut(1, false);
    nodes.does(0, app_added("t/c")).await.unwrap();
    let newest = nodes[0].catalogue().revision;
    nodes[1].serves(newest).await;
    nodes.cut(1, true);
    nodes
        .beat_until("it is quarantined", || {
            nodes[1].health().soundness == Soundness::Quarantined
        })
        .await;
    let health = nodes[1].health();
    assert!(!health.is_ready());
    assert_eq!(health.standing(), "quarantined");
    // It serves nothing but what stops.
    assert!(nodes[1].live().app("t/b").is_none() && nodes[1].live().is_withdrawn());
    assert!(nodes[1].live().kills().is_some());
    let refused = nodes.does(1, app_added("t/d")).await;
    assert!(matches!(refused, Err(WriteError::InDoubt)), "{refused:?}");
    // Those that are right go on, and say who is wrong.
    assert_eq!(nodes.soundness()[0], Soundness::Sound);
    assert_eq!(nodes.soundness()[2], Soundness::Sound);
    nodes.does(0, app_added("t/d")).await.unwrap();
    nodes
        .beat_until("it is shown", || {
            let members = nodes[0].fleet().members();
            members[1].beat.standing == "quarantined"
        })
        .await;
    assert_eq!(nodes[0].metrics().fleet_differing.get(), 1);
    // The store answers it again: it comes to what the ledger says.
    nodes.cut(1, false);
    nodes.agree().await;
    assert_eq!(nodes[1].catalogue().apps, nodes[0].catalogue().apps);
    assert!(nodes[1].live().app("t/d").is_some());
    assert!(nodes[1].health().is_ready());
    assert_eq!(nodes[0].metrics().fleet_differing.get(), 0);
    let wrong = &nodes[1].metrics().state_verified;
    assert_eq!(wrong.with_label_values(&["wrong"]).get(), 1);
    nodes.does(1, app_added("t/e")).await.unwrap();
    nodes.agree().await;
}

#[tokio::test(start_paused = true)]
async fn of_two_nodes_that_differ_the_one_that_is_wrong_finds_out() {
    let nodes = Nodes::new(2).await;
    nodes.agree().await;
    nodes.spoil(1, |catalogue| catalogue.audience.push('x'));
    nodes.does(0, app_added("t/c")).await.unwrap();
    let newest = nodes[0].catalogue().revision;
    nodes[1].serves(newest).await;
    nodes.cut(0, true);
    nodes.cut(1, true);
    nodes
        .beat_until("both are in doubt", || {
            nodes.soundness() == [Soundness::Doubting; 2]
        })
        .await;
    // Devices are served by both, and nothing is changed but what stops.
    assert!(nodes[0].health().is_ready() && nodes[1].health().is_ready());
    let refused = nodes.does(0, app_added("t/d")).await;
    assert!(matches!(refused, Err(WriteError::InDoubt)), "{refused:?}");
    nodes.cut(0, false);
    nodes.does(0, kill("t/a")).await.unwrap();
    nodes
        .beat_until("the right one knows", || {
            nodes[0].health().soundness == Soundness::Sound
        })
        .await;
    let verified = &nodes[0].metrics().state_verified;
    assert_eq!(verified.with_label_values(&["right"]).get(), 1);
    nodes.cut(1, false);
    nodes.agree().await;
    assert_eq!(nodes[1].catalogue().audience, "bank/dev");
    let verified = &nodes[1].metrics().state_verified;
    assert_eq!(verified.with_label_values(&["wrong"]).get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_alone_finds_that_its_memory_went_bad() {
    let nodes = Nodes::new(1).await;
    nodes.agree().await;
    nodes.spoil(0, spoiled);
    let verified = || {
        let verified = &nodes[0].metrics().state_verified;
        verified.with_label_values(&["wrong"]).get()
    };
    nodes.beat_until("it is found", || verified() == 1).await;
    nodes.agree().await;
    let app: huidu_core::name::AppId = "t/a".parse().unwrap();
    assert_eq!(nodes[0].catalogue().apps[&app].title, "");
}

#[tokio::test(start_paused = true)]
async fn words_that_no_key_of_ours_signed_move_nobody() {
    let nodes = Nodes::new(2).await;
    nodes.agree().await;
    let mut beat = nodes[1].fleet().beat(nodes[1].now().plus_ms(60_000));
    for state in &mut beat.states {
        state.hash = Digest::of(b"a lie");
    }
    beat.verified = beat.states.last().copied();
    let thief = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let text = beat.seal(Some(&thief)).unwrap();
    nodes[0].hear_all([text.clone(), "not a beat".into()]);
    nodes[0].beat(None, true).await.unwrap();
    assert_eq!(nodes.soundness(), [Soundness::Sound; 2]);
    // With a key of ours the same is looked into, and nothing comes of it.
    let ours = ed25519_dalek::SigningKey::from_bytes(&[8; 32]);
    nodes[0].hear_all([beat.seal(Some(&ours)).unwrap()]);
    nodes[0].beat(None, true).await.unwrap();
    let right = || {
        let verified = &nodes[0].metrics().state_verified;
        verified.with_label_values(&["right"]).get()
    };
    nodes
        .beat_until("it was looked into", || right() == 1)
        .await;
    assert_eq!(nodes[0].health().soundness, Soundness::Sound);
}
