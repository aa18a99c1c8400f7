//! Several nodes that count together, without a network: whatever is lost, repeated or down, an event counts once.

use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap, HashSet},
    sync::atomic::AtomicBool,
};

use huidu_core::{feedback::Kind, ramp::Cohorts};

use super::{keep::Keeper, *};
use crate::{
    clock::{Clock, System},
    node::{
        live::{
            Live,
            tests::{app, live_app, stamper},
        },
        ramps::{StepCounts as _, StepOf},
    },
    store::{Store, memory::MemoryStore},
};

/// What lies between the nodes.
#[derive(Default)]
struct Between {
    claims: Mutex<HashMap<u64, Life>>,
    told: Mutex<Vec<(Life, Bytes)>>,
    known: Mutex<HashSet<Life>>,
    /// Nothing gets there.
    down: AtomicBool,
    /// What gets there is done, and nobody hears the answer.
    mute: AtomicBool,
}

impl Between {
    fn answer<T>(&self, answer: T) -> Result<T, ExchangeError> {
        match self.mute.load(Ordering::Relaxed) {
            true => Err("mute".into()),
            false => Ok(answer),
        }
    }

    fn up(&self) -> Result<(), ExchangeError> {
        match self.down.load(Ordering::Relaxed) {
            true => Err("down".into()),
            false => Ok(()),
        }
    }

    fn set(&self, what: &AtomicBool, is: bool) {
        what.store(is, Ordering::Relaxed);
    }

    fn forget(&self) {
        locked(&self.claims).clear();
        locked(&self.told).clear();
        locked(&self.known).clear();
    }
}

impl Exchange for Between {
    fn claim<'a>(&'a self, life: &'a Life, ids: &'a [u64]) -> Exchanged<'a, Vec<bool>> {
        Box::pin(async move {
            self.up()?;
            let mut claims = locked(&self.claims);
            let mut ours = |id: &u64| claims.entry(*id).or_insert_with(|| life.clone()) == life;
            self.answer(ids.iter().map(&mut ours).collect())
        })
    }

    fn tell<'a>(&'a self, life: &'a Life, sheet: Vec<u8>) -> Exchanged<'a, Remembered> {
        Box::pin(async move {
            self.up()?;
            locked(&self.told).push((life.clone(), sheet.into()));
            let is_first = locked(&self.known).insert(life.clone());
            self.answer(if is_first {
                Remembered::Nothing
            } else {
                Remembered::All
            })
        })
    }

    fn hear<'a>(&'a self, _life: &'a Life) -> Exchanged<'a, Vec<Bytes>> {
        Box::pin(std::future::pending())
    }
}

struct Nodes {
    between: Arc<Between>,
    store: Arc<dyn Store>,
    live: Live,
}

struct Node {
    keeper: Keeper,
    feedback: Arc<Feedback>,
    /// Of the next sheet in the store.
    number: Cell<u32>,
}

const TRAVEL: &str = "hosts = [\"bank\"]\nstable = \"1.0.0\"\n[[rule]]\nname = \"ramp\"\nserve = \"1.1.0\"\nshare = \"10%\"";

fn nodes() -> Nodes {
    let (metrics, stamper) = (Metrics::new(), stamper());
    let travel = app("pingan/travel", &["1.0.0", "1.1.0"], TRAVEL);
    let apps = [live_app(&travel, &stamper, &metrics)];
    Nodes {
        between: Arc::default(),
        store: Arc::new(MemoryStore::new()),
        live: Live::empty().with_apps(huidu_core::revision::Revision::new(1), apps),
    }
}

impl Nodes {
    fn node(&self, n: u8) -> Node {
        let life = format!("01jz0000000000000000000{n:03}").parse().unwrap();
        let feedback = Arc::new(Feedback::new(Arc::new(Metrics::new()), life));
        let keeper = Keeper::new(
            Arc::clone(&feedback),
            Some(self.between.clone()),
            Arc::clone(&self.store),
            Arc::new(System),
        );
        Node {
            keeper,
            feedback,
            number: Cell::default(),
        }
    }

    /// A device tells `node` of a crash.
    fn crash(&self, node: &Node, id: u128) -> Taken {
        let source = Source {
            live: &self.live,
            app: "pingan/travel",
            version: "1.1.0",
            rule: "ramp",
            arm: "",
        };
        let id = EventId::parse(&format!("{id:032x}")).unwrap();
        let mut key = String::new();
        let taken = (node.feedback).take(&mut key, &source, Told::Crashed, id, 1, 0, System.now());
        taken.unwrap()
    }

    /// Everybody hears what was told.
    fn hear(&self, node: &Node) {
        for (life, sheet) in &*locked(&self.between.told) {
            if life != node.feedback.life() {
                node.feedback.hear(sheet, System.now());
            }
        }
    }
}

impl Node {
    async fn keep(&self) {
        let mut number = self.number.get();
        self.keeper.keep_once(&mut number).await.unwrap();
        self.number.set(number);
    }

    async fn read(&self) {
        self.keeper.read_once(&mut HashSet::new()).await.unwrap();
    }

    /// Crashes, by what this node knows.
    fn crashes(&self) -> u64 {
        let app = "pingan/travel".parse().unwrap();
        let end = Timestamp::from_unix_ms(u64::MAX);
        let totals = self.feedback.totals(&app, Timestamp::EPOCH, end);
        totals
            .iter()
            .map(|total| total.counts.of(&Kind::Crashed))
            .sum()
    }
}

#[tokio::test]
async fn an_event_counts_once_whichever_nodes_it_is_told_to() {
    let nodes = nodes();
    let (one, other) = (nodes.node(1), nodes.node(2));
    assert_eq!(nodes.crash(&one, 1), Taken::New);
    assert_eq!(nodes.crash(&one, 1), Taken::Duplicate);
    assert_eq!(nodes.crash(&other, 1), Taken::New);
    assert_eq!(nodes.crash(&other, 2), Taken::New);
    one.keeper.flush().await;
    other.keeper.flush().await;
    nodes.hear(&one);
    nodes.hear(&other);
    assert_eq!((one.crashes(), other.crashes()), (2, 2));
    // Without claims it would be three: the harness tells them apart.
    locked(&nodes.between.claims).clear();
    nodes.crash(&one, 2);
    one.keeper.flush().await;
    assert_eq!(one.crashes(), 3);
}

#[tokio::test]
async fn a_flush_whose_answer_is_lost_counts_nothing_twice() {
    let nodes = nodes();
    let (one, other) = (nodes.node(1), nodes.node(2));
    for round in 0..10 {
        nodes.crash(&one, round);
        nodes.between.set(&nodes.between.mute, round % 2 == 0);
        one.keeper.flush().await;
        one.keeper.flush().await;
    }
    nodes.hear(&other);
    nodes.hear(&other);
    assert_eq!((one.crashes(), other.crashes()), (10, 10));
}

#[tokio::test]
async fn what_cannot_be_told_lies_in_the_store_and_twins_are_withdrawn_later() {
    let nodes = nodes();
    let (one, other) = (nodes.node(1), nodes.node(2));
    nodes.between.set(&nodes.between.down, true);
    // The same event at both, while nobody can say so; and one more at each.
    for (node, own) in [(&one, 10), (&other, 20)] {
        nodes.crash(node, 1);
        nodes.crash(node, own);
        node.keeper.flush().await;
        node.keep().await;
    }
    let fresh = nodes.node(3);
    fresh.read().await;
    assert_eq!(fresh.crashes(), 4, "until somebody can say which is a twin");
    nodes.between.set(&nodes.between.down, false);
    one.keeper.flush().await;
    other.keeper.flush().await;
    nodes.hear(&fresh);
    assert_eq!(fresh.crashes(), 3);
    for node in [&one, &other] {
        node.keep().await;
    }
    let later = nodes.node(4);
    later.read().await;
    assert_eq!(later.crashes(), 3);
}

#[tokio::test]
async fn what_was_forgotten_between_the_nodes_is_told_again() {
    let nodes = nodes();
    let (one, other) = (nodes.node(1), nodes.node(2));
    nodes.crash(&one, 1);
    one.keeper.flush().await;
    nodes.between.forget();
    nodes.crash(&one, 2);
    one.keeper.flush().await;
    nodes.hear(&other);
    assert_eq!(other.crashes(), 2);
}

#[tokio::test]
async fn who_lives_keeps_what_a_dead_one_told() {
    let nodes = nodes();
    let (one, other) = (nodes.node(1), nodes.node(2));
    nodes.crash(&one, 1);
    one.keeper.flush().await;
    drop(one);
    // Heard long ago, as the one who hears sees it.
    let long_ago = Timestamp::from_unix_ms(System.now().unix_ms() - 3_600_000);
    let told = locked(&nodes.between.told).clone();
    told.iter()
        .for_each(|(_, sheet)| other.feedback.hear(sheet, long_ago));
    other.keep().await;
    nodes.between.forget();
    let fresh = nodes.node(3);
    fresh.read().await;
    assert_eq!(fresh.crashes(), 1);
}

#[tokio::test]
async fn a_step_is_judged_by_both_cohorts_over_all_nodes_once_the_store_is_read() {
    let ramped = TRAVEL.replace(
        "share = \"10%\"",
        "[rule.ramp]\nstep = [{ share = \"10%\", hold = \"1h\" }]",
    );
    let (metrics, stamper) = (Metrics::new(), stamper());
    let travel = app("pingan/travel", &["1.0.0", "1.1.0"], &ramped);
    let live = Live::empty().with_apps(
        huidu_core::revision::Revision::new(1),
        [live_app(&travel, &stamper, &metrics)],
    );
    let nodes = Nodes { live, ..nodes() };
    let (one, other) = (nodes.node(1), nodes.node(2));
    let began = System.now();
    let take = |node: &Node, (version, arm): (&str, &str), told: Told<'_>, ago_s: u64| {
        let source = Source {
            live: &nodes.live,
            app: "pingan/travel",
            version,
            rule: "ramp",
            arm,
        };
        let id = EventId::parse(&format!("{:032x}", fastrand::u128(..))).unwrap();
        let taken = (node.feedback).take(
            &mut String::new(),
            &source,
            told,
            id,
            1,
            ago_s,
            System.now(),
        );
        assert_eq!(taken.unwrap(), Taken::New);
    };
    let (new, control) = (("1.1.0", "candidate"), ("1.0.0", "control"));
    for _ in 0..3 {
        take(&one, new, Told::Activated, 0);
        take(&other, control, Told::Activated, 0);
    }
    take(&other, new, Told::Crashed, 0);
    take(&one, new, Told::Activated, 600);
    take(&one, ("1.1.0", ""), Told::Activated, 0);
    take(&one, ("1.0.0", ""), Told::Crashed, 0);
    for node in [&one, &other] {
        node.keeper.flush().await;
    }
    nodes.hear(&one);
    nodes.hear(&other);
    let app: AppId = "pingan/travel".parse().unwrap();
    let (rule, crashed) = ("ramp".parse().unwrap(), "crashed".parse().unwrap());
    let (candidate, stable) = ("1.1.0".parse().unwrap(), "1.0.0".parse().unwrap());
    let measures = [&crashed];
    let step = StepOf {
        app: &app,
        rule: &rule,
        candidate: &candidate,
        control: &stable,
        since: began,
        measures: &measures,
    };
    for node in [&one, &other] {
        assert_eq!(
            node.feedback.since(&step),
            None,
            "what lies in the store is not known"
        );
        node.read().await;
        let counted = node.feedback.since(&step).unwrap();
        let cohorts = |candidate, control| Cohorts { candidate, control };
        assert_eq!(counted.units, cohorts(5, 3));
        assert_eq!(
            counted.events,
            BTreeMap::from([(crashed.clone(), cohorts(1, 0))])
        );
    }
}

#[tokio::test]
async fn nothing_counts_that_the_catalogue_does_not_know() {
    let nodes = nodes();
    let node = nodes.node(1);
    let good = Source {
        live: &nodes.live,
        app: "pingan/travel",
        version: "1.1.0",
        rule: "",
        arm: "",
    };
    let mut key = String::new();
    let mut take = |source: &Source<'_>, told: Told<'_>| {
        let id = EventId::parse(&format!("{:032x}", fastrand::u128(..))).unwrap();
        (node.feedback).take(&mut key, source, told, id, 1, 0, System.now())
    };
    let app = Source {
        app: "pingan/none",
        ..good
    };
    let version = Source {
        version: "9.9.9",
        ..good
    };
    let arm = Source {
        rule: "ramp",
        arm: "b",
        ..good
    };
    assert_eq!(take(&app, Told::Crashed), Err(Unknown::App));
    assert_eq!(take(&version, Told::Crashed), Err(Unknown::Version));
    assert_eq!(take(&arm, Told::Crashed), Err(Unknown::Arm));
    let names: Vec<String> = (0..limits::FEEDBACK_COUNTERS + 5)
        .map(|n| format!("c{n}"))
        .collect();
    let taken: BTreeMap<bool, usize> = names.iter().fold(BTreeMap::new(), |mut all, name| {
        *all.entry(take(&good, Told::Counter(name)).is_ok())
            .or_default() += 1;
        all
    });
    assert_eq!(
        taken,
        BTreeMap::from([(true, limits::FEEDBACK_COUNTERS), (false, 5)])
    );
}
