//! Nodes that let a ramp grow, stop it, and decide each thing once; what devices reported is told by a double.

use std::{collections::BTreeMap, time::Duration};

use huidu_core::{
    event::Event,
    ramp::{Cohorts, Counted, Phase},
    rulefile,
    version::{Bundle, BundleFormat},
};

use super::{
    ramps::{StepCounts, StepOf},
    *,
};
use crate::{
    bus::local::LocalBus,
    clock::{Manual, RandomIds},
    store::memory::MemoryStore,
};

/// Tells what it was told to, until it is told that it does not know.
#[derive(Default)]
struct Told(Mutex<Option<Counted>>);

impl StepCounts for Told {
    fn since(&self, step: &StepOf<'_>) -> Option<Counted> {
        assert_eq!((step.app.as_str(), step.rule.as_str()), ("t/a", "next"));
        assert_eq!(step.candidate.to_string(), "2.0.0");
        assert_eq!(step.control.to_string(), "1.0.0");
        self.0.lock().unwrap().clone()
    }
}

struct Bank {
    nodes: Vec<Arc<Node>>,
    clock: Arc<Manual>,
    told: Arc<Told>,
}

const FILE: &str = r#"
app = "t/a"
hosts = ["h"]
stable = "1.0.0"
[[rule]]
name = "next"
serve = "2.0.0"
[rule.ramp]
step = [{ share = "5%", hold = "30m", units = 100 }, { share = "20%", hold = "30m" }]
guard = [{ measure = "crashed", action = "roll-back" }]
"#;

impl Bank {
    /// Nodes over one store, and a ramp at its first step.
    async fn ramping(count: usize) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let clock = Arc::new(Manual::at(Timestamp::from_unix_ms(1_795_521_600_000)));
        let told = Arc::new(Told::default());
        let mut nodes = Vec::new();
        for n in 0..count {
            let parts = NodeParts {
                store: Arc::clone(&store),
                bundle_disk: None,
                unproved: Vec::new(),
                mirror: None,
                kills: None,
                peers: Arc::new(Peers::none()),
                bus: Arc::new(LocalBus::new()),
                clock: clock.clone(),
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
            let node = Node::start(parts).await.unwrap();
            node.count_steps_by(told.clone());
            nodes.push(node);
        }
        let bank = Self { nodes, clock, told };
        let token = ("first".to_owned(), Digest::of(b"first"));
        let found = bank.nodes[0].found(
            "bank/dev",
            Review::Skipped,
            token,
            None,
            EyesPolicy::default(),
        );
        assert!(found.await.unwrap());
        let app = || "t/a".parse().unwrap();
        let (host, title) = ("h".parse().unwrap(), String::new());
        bank.does(Command::AddHost {
            host,
            title,
            sandbox: false,
        })
        .await;
        bank.does(Command::AddApp {
            app: app(),
            title: String::new(),
        })
        .await;
        for number in ["1.0.0", "2.0.0"] {
            bank.does(Command::SubmitVersion {
                app: app(),
                number: number.parse().unwrap(),
                bundle: Bundle {
                    sha256: Digest::of(number.as_bytes()),
                    bytes: 9,
                    format: BundleFormat::Zip,
                    files: 1,
                    unpacked_bytes: 9,
                },
                permissions: Vec::new(),
                notes: String::new(),
                dossier: Box::default(),
            })
            .await;
            let version = number.parse().unwrap();
            bank.does(Command::List {
                app: app(),
                version,
            })
            .await;
        }
        let rollout = Box::new(rulefile::parse_toml("a.toml", FILE).unwrap().rollout);
        bank.does(Command::PutRollout { rollout }).await;
        bank
    }

    async fn does(&self, command: Command) {
        let change = Change {
            actor: Actor {
                id: "first".into(),
                role: Role::Admin,
            },
            command,
            op: self.nodes[0].new_op(),
            expected: None,
            enact_at: None,
            why: None,
            patience: Duration::from_secs(1),
        };
        self.nodes[0].write(change).await.unwrap();
    }

    fn tell(&self, units: (u64, u64), crashed: (u64, u64)) {
        let cohorts = |(candidate, control)| Cohorts { candidate, control };
        *self.told.0.lock().unwrap() = Some(Counted {
            units: cohorts(units),
            events: BTreeMap::from([("crashed".parse().unwrap(), cohorts(crashed))]),
        });
    }

    fn phase(&self, n: usize) -> (usize, Phase) {
        let catalogue = self.nodes[n].catalogue();
        let app: huidu_core::name::AppId = "t/a".parse().unwrap();
        let ramp = &catalogue.apps[&app].ramps["next"];
        (ramp.step, ramp.phase.clone())
    }

    /// All nodes come to it within some looks.
    async fn comes_to(&self, step: usize, phase: Phase) {
        let expected = (step, phase);
        for _ in 0..300 {
            if (0..self.nodes.len()).all(|n| self.phase(n) == expected) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{:?} and not {expected:?} within 30 s", self.phase(0));
    }

    /// Everybody looks a few times, and nothing happens.
    async fn stays(&self) {
        let before = self.nodes[0].catalogue().revision;
        // The clock of the runtime is paused: this is five looks of each node, whatever the machine does.
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(
            self.nodes[0].catalogue().revision,
            before,
            "{:?}",
            self.phase(0)
        );
    }

    /// How often ramps were acted upon, by what the ledger says.
    async fn acts(&self) -> Vec<&'static str> {
        let mut acts = Vec::new();
        let last = self.nodes[0].catalogue().revision.get();
        for rev in 1..=last {
            let bytes = self.nodes[0].parts.store.get(&Key::Log(rev)).await.unwrap();
            let record = Record::decode(&bytes).unwrap();
            for event in &record.events {
                if let Event::RampMoved { act, findings, .. } = event {
                    assert!(findings.is_some(), "a node says what it rests on");
                    acts.push(act.word());
                }
            }
        }
        acts
    }
}

#[tokio::test(start_paused = true)]
async fn a_ramp_grows_by_itself_and_each_step_is_decided_once_by_three_nodes() {
    let bank = Bank::ramping(3).await;
    bank.stays().await;
    bank.clock.advance_ms(30 * 60_000);
    // What was counted is not known: nothing grows.
    bank.stays().await;
    assert_eq!(bank.nodes[0].metrics().ramps_blind.get(), 1);
    bank.tell((120, 121), (0, 0));
    bank.comes_to(1, Phase::Running).await;
    bank.clock.advance_ms(30 * 60_000);
    bank.comes_to(1, Phase::Finished).await;
    assert_eq!(bank.acts().await, ["advance", "finish"]);
    let acts = bank.nodes.iter().map(|node| {
        let acts = &node.metrics().ramp_acts;
        acts.with_label_values(&["advance"]).get() + acts.with_label_values(&["finish"]).get()
    });
    assert_eq!(acts.sum::<u64>(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_outage_in_both_cohorts_stops_nothing_and_a_crash_rolls_back_once() {
    let bank = Bank::ramping(2).await;
    bank.tell((2_000, 2_010), (800, 815));
    bank.stays().await;
    assert_eq!(bank.phase(0), (0, Phase::Running));
    bank.tell((60, 60), (8, 0));
    bank.comes_to(0, Phase::RolledBack).await;
    bank.stays().await;
    assert_eq!(bank.acts().await, ["roll-back"]);
    let app =
        bank.nodes[1].catalogue().apps[&"t/a".parse::<huidu_core::name::AppId>().unwrap()].clone();
    assert_eq!(
        app.rollout.as_ref().unwrap().rules[0].share.to_string(),
        "0%"
    );
}
