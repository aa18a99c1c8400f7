//! Receivers that refuse, lose answers and never answer; nodes that die, take turns and start again. Time is only counted.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use huidu_core::{
    authority::Role,
    command::Command,
    digest::Digest,
    event::{Actor, Event},
    eyes::EyesPolicy,
    record::Record,
    revision::Revision,
    version::Review,
};
use tokio::{sync::Notify, time::Instant};

use super::*;
use crate::{
    bus::local::LocalBus,
    clock::{Manual, RandomIds},
    metrics::Metrics,
    node::{Change, NodeParts, NodeSettings, peers::Peers},
    store::{Key, Store, memory::MemoryStore},
};

/// How a receiver takes a message.
#[derive(Clone, Copy)]
enum Takes {
    /// It has it, and says so.
    It,
    /// It has it, and its answer is lost.
    Unanswered,
    /// It does not.
    Not,
    /// It is never heard of again.
    Hangs,
}

/// A receiver that does what it was told to, and then takes everything.
#[derive(Default)]
struct Pager {
    script: Mutex<VecDeque<Takes>>,
    always: Mutex<Option<Takes>>,
    /// Everything that was sent, whether it was taken or not.
    heard: Mutex<Vec<Bytes>>,
    /// Of it, what was taken and answered.
    taken: Mutex<Vec<Bytes>>,
}

impl Pager {
    fn takes(self: &Arc<Self>, script: impl IntoIterator<Item = Takes>) -> Arc<Self> {
        self.script.lock().unwrap().extend(script);
        Arc::clone(self)
    }

    fn always(&self, takes: Option<Takes>) {
        *self.always.lock().unwrap() = takes;
    }

    fn ids(messages: &Mutex<Vec<Bytes>>) -> Vec<String> {
        let messages = messages.lock().unwrap();
        let id = |body: &Bytes| {
            let read: serde_json::Value = serde_json::from_slice(body).unwrap();
            let text = |field: &str| read[field].as_str().unwrap().to_owned();
            format!("{} {} {}", text("id"), text("event"), text("app"))
        };
        messages.iter().map(id).collect()
    }

    fn heard(&self) -> Vec<String> {
        Self::ids(&self.heard)
    }

    fn taken(&self) -> Vec<String> {
        Self::ids(&self.taken)
    }
}

impl Way for Pager {
    fn tell(&self, body: Bytes, _: Timestamp) -> Ended<'_, ()> {
        let always = *self.always.lock().unwrap();
        let takes = always.or_else(|| self.script.lock().unwrap().pop_front());
        self.heard.lock().unwrap().push(body.clone());
        Box::pin(async move {
            match takes.unwrap_or(Takes::It) {
                Takes::It => {
                    self.taken.lock().unwrap().push(body);
                    Ok(())
                }
                Takes::Unanswered | Takes::Not => Err("it answers 500".into()),
                Takes::Hangs => std::future::pending().await,
            }
        })
    }
}

/// Turns as Redis gives them, unless it is away.
#[derive(Default)]
struct Table {
    is_away: AtomicBool,
    has: Mutex<Option<(String, Instant)>>,
}

impl Turns for Table {
    fn take<'a>(&'a self, _: &'a str, holder: &'a str) -> Ended<'a, bool> {
        let taken = if self.is_away.load(Ordering::SeqCst) {
            Err("Redis does not answer".to_owned())
        } else {
            let mut has = self.has.lock().unwrap();
            let now = Instant::now();
            let others = has
                .as_ref()
                .is_some_and(|(by, until)| by != holder && now < *until);
            if !others {
                *has = Some((holder.to_owned(), now + TURN));
            }
            Ok(!others)
        };
        Box::pin(std::future::ready(taken))
    }

    fn pass<'a>(&'a self, _: &'a str, holder: &'a str) -> Ended<'a, ()> {
        let mut has = self.has.lock().unwrap();
        if has.as_ref().is_some_and(|(by, _)| by == holder) {
            *has = None;
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

struct Bank {
    store: Arc<MemoryStore>,
    clock: Arc<Manual>,
    table: Arc<Table>,
}

/// A node, and what it tells.
struct Teller {
    node: Arc<Node>,
    stop: Arc<Notify>,
    telling: JoinHandle<()>,
}

impl Teller {
    async fn end(self) {
        self.stop.notify_one();
        self.telling.await.unwrap();
    }

    /// As a process that is killed: nothing is written down any more.
    fn die(self) {
        self.telling.abort();
    }

    fn delivered(&self, receiver: &str, outcome: &str) -> u64 {
        let deliveries = &self.node.metrics().webhook_deliveries;
        deliveries.with_label_values(&[receiver, outcome]).get()
    }
}

impl Bank {
    async fn new() -> (Self, Arc<Node>) {
        let bank = Self {
            store: Arc::new(MemoryStore::new()),
            clock: Arc::new(Manual::at(Timestamp::from_unix_ms(1_795_521_600_000))),
            table: Arc::default(),
        };
        let node = bank.node("n0", 1_000).await;
        let token = ("first".to_owned(), Digest::of(b"first"));
        let found = node.found(
            "bank/dev",
            Review::Skipped,
            token,
            None,
            EyesPolicy::default(),
        );
        assert!(found.await.unwrap());
        let added = Command::AddApp {
            app: "acme/shop".parse().unwrap(),
            title: String::new(),
        };
        does(&node, added).await;
        (bank, node)
    }

    async fn node(&self, name: &str, checkpoint_every: u64) -> Arc<Node> {
        let parts = NodeParts {
            store: Arc::clone(&self.store) as Arc<dyn Store>,
            unproved: Vec::new(),
            mirror: None,
            bundle_disk: None,
            kills: None,
            peers: Arc::new(Peers::none()),
            bus: Arc::new(LocalBus::new()),
            clock: self.clock.clone(),
            ids: Arc::new(RandomIds::new().unwrap()),
            key: Arc::new(ed25519_dalek::SigningKey::from_bytes(&[7; 32])),
            log_key: Some(Arc::new(ed25519_dalek::SigningKey::from_bytes(&[8; 32]))),
            metrics: Arc::new(Metrics::new()),
            settings: NodeSettings {
                name: name.into(),
                tick: Duration::from_secs(1),
                checkpoint_every,
                poll_after_ms: 60_000,
                poll_spread_ms: 30_000,
                lease_ms: 60_000,
                bundle_memory: 1 << 20,
            },
        };
        Node::start(parts).await.unwrap()
    }

    fn tells(&self, node: &Arc<Node>, receivers: &[(&str, &Arc<Pager>)], shared: bool) -> Teller {
        let receivers = receivers.iter().map(|(name, pager)| Receiver {
            name: name.parse().unwrap(),
            topics: Topic::ALL.into(),
            way: Arc::clone(*pager) as Arc<dyn Way>,
        });
        let stop = Arc::new(Notify::new());
        let told = Arc::clone(&stop);
        let turns = shared.then(|| Arc::clone(&self.table) as Arc<dyn Turns>);
        let telling = node.keep_telling(receivers.collect(), turns.as_ref(), async move {
            told.notified().await;
        });
        Teller {
            node: Arc::clone(node),
            stop,
            telling,
        }
    }

    /// How far a receiver has been told, as it is written down.
    async fn place(&self, receiver: &str) -> String {
        let key = Key::Webhook(receiver.parse().unwrap());
        let bytes = self.store.get(&key).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }
}

async fn does(node: &Node, command: Command) -> Revision {
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
        patience: Duration::from_secs(1),
    };
    node.write(change).await.unwrap().revision
}

fn kill(killed: bool) -> Command {
    let (app, version, reason) = ("acme/shop".parse().unwrap(), None, "fraud".to_owned());
    if killed {
        Command::Kill {
            app,
            version,
            reason,
        }
    } else {
        Command::Unkill {
            app,
            version,
            reason,
        }
    }
}

/// A change that nobody outside is told of.
fn quiet(n: u64) -> Command {
    Command::AddHost {
        host: format!("h{n}").parse().unwrap(),
        title: String::new(),
        sandbox: false,
    }
}

/// Waits, in time that is only counted, until it is so.
async fn comes(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: not within ten minutes");
}

/// A while in which much could happen.
async fn a_while() {
    tokio::time::sleep(Duration::from_secs(120)).await;
}

#[tokio::test(start_paused = true)]
async fn what_happens_is_told_once_in_order_and_written_down() {
    let (bank, node) = Bank::new().await;
    does(&node, kill(true)).await;
    does(&node, kill(false)).await;
    let pager = Arc::new(Pager::default());
    let teller = bank.tells(&node, &[("pager", &pager)], false);
    a_while().await;
    // It is new: what happened before is not told.
    assert_eq!(pager.heard(), [""; 0]);
    assert_eq!(bank.place("pager").await, "5.0\n");
    does(&node, kill(true)).await;
    does(&node, quiet(1)).await;
    does(&node, kill(false)).await;
    let told = ["5.0 kill acme/shop", "7.0 unkill acme/shop"];
    comes("both are told", || pager.taken() == told).await;
    a_while().await;
    assert_eq!(pager.heard(), told);
    assert_eq!(bank.place("pager").await, "7.1\n");
    assert_eq!(teller.delivered("pager", "delivered"), 2);
    let body: serde_json::Value = serde_json::from_slice(&pager.taken.lock().unwrap()[0]).unwrap();
    assert_eq!(
        (&body["by"], &body["reason"]),
        (&"first".into(), &"fraud".into())
    );
    teller.end().await;
    // A node that starts again has nothing to tell.
    let again = bank.node("n0", 1_000).await;
    let teller = bank.tells(&again, &[("pager", &pager)], false);
    a_while().await;
    assert_eq!(pager.heard(), told);
    teller.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_leads_to_the_same_bytes_again() {
    let (bank, node) = Bank::new().await;
    let pager = Arc::new(Pager::default()).takes([Takes::Unanswered, Takes::Not, Takes::Not]);
    let teller = bank.tells(&node, &[("pager", &pager)], false);
    a_while().await;
    does(&node, kill(true)).await;
    comes("it is told", || pager.taken().len() == 1).await;
    let heard = pager.heard.lock().unwrap().clone();
    assert_eq!(heard.len(), 4);
    assert!(
        heard.iter().all(|body| *body == heard[0]),
        "{:?}",
        pager.heard()
    );
    assert_eq!(teller.delivered("pager", "failed"), 3);
    teller.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_never_answers_holds_up_nobody() {
    let (bank, node) = Bank::new().await;
    let (dead, fine) = (Arc::new(Pager::default()), Arc::new(Pager::default()));
    dead.always(Some(Takes::Hangs));
    let teller = bank.tells(&node, &[("dead", &dead), ("fine", &fine)], false);
    a_while().await;
    let since = Instant::now();
    for n in 0..50 {
        does(&node, kill(n % 2 == 0)).await;
    }
    assert!(
        since.elapsed() < Duration::from_secs(1),
        "{:?}",
        since.elapsed()
    );
    comes("the other is told", || fine.taken().len() == 50).await;
    assert_eq!(dead.heard().len(), 1);
    let waiting = &node.metrics().webhook_waiting;
    assert_eq!(waiting.with_label_values(&["dead"]).get(), 1);
    assert_eq!(waiting.with_label_values(&["fine"]).get(), 0);
    teller.die();
}

#[tokio::test(start_paused = true)]
async fn what_waits_outlasts_the_node_and_the_checkpoint_that_the_next_one_starts_from() {
    let (bank, node) = Bank::new().await;
    let pager = Arc::new(Pager::default());
    pager.always(Some(Takes::Not));
    let teller = bank.tells(&node, &[("pager", &pager)], false);
    a_while().await;
    does(&node, kill(true)).await;
    comes("it is tried", || !pager.heard().is_empty()).await;
    bank.clock.advance_ms(90_000);
    a_while().await;
    let oldest = &node.metrics().webhook_oldest_seconds;
    assert_eq!(oldest.with_label_values(&["pager"]).get(), 90);
    teller.die();
    drop(node);
    // Another one, that writes checkpoints: the next starts behind what was to be told.
    let node = bank.node("n1", 4).await;
    for n in 0..20 {
        does(&node, quiet(n)).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    does(&node, kill(false)).await;
    let head = node.health().revision;
    drop(node);
    let node = bank.node("n2", 4).await;
    assert!(node.health().revision == head);
    let known = node.shared.news.since(
        huidu_core::webhook::Place::before(Revision::new(3)),
        head,
        |_| true,
    );
    assert_eq!(known, said::Since::Unknown, "it started from a checkpoint");
    pager.always(None);
    let teller = bank.tells(&node, &[("pager", &pager)], false);
    let told = ["3.0 kill acme/shop", "24.0 unkill acme/shop"];
    comes("both are told", || pager.taken() == told).await;
    a_while().await;
    assert_eq!(pager.taken(), told);
    teller.end().await;
}

#[tokio::test(start_paused = true)]
async fn of_two_nodes_one_tells_and_the_other_follows_it() {
    let (bank, node) = Bank::new().await;
    let other = bank.node("n1", 1_000).await;
    let pager = Arc::new(Pager::default());
    let one = bank.tells(&node, &[("pager", &pager)], true);
    a_while().await;
    let two = bank.tells(&other, &[("pager", &pager)], true);
    for n in 0..10 {
        does(&node, kill(n % 2 == 0)).await;
        a_while().await;
    }
    assert_eq!(pager.heard().len(), 10, "{:?}", pager.heard());
    assert_eq!(two.delivered("pager", "delivered"), 0);
    let turn = |teller: &Teller| {
        teller
            .node
            .metrics()
            .webhook_turn
            .with_label_values(&["pager"])
            .get()
    };
    assert_eq!((turn(&one), turn(&two)), (1, 0));
    // It stops as it should, or without a word: nothing is told twice, nothing is left out.
    one.end().await;
    does(&other, kill(true)).await;
    comes("the other one tells", || pager.heard().len() == 11).await;
    two.die();
    let third = bank.node("n2", 1_000).await;
    let three = bank.tells(&third, &[("pager", &pager)], true);
    does(&third, kill(false)).await;
    comes("the third one tells", || pager.heard().len() == 12).await;
    let mut told = pager.heard();
    told.dedup();
    assert_eq!(told.len(), 12);
    three.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_no_way_lets_another_tell() {
    let (bank, node) = Bank::new().await;
    let other = bank.node("n1", 1_000).await;
    let (cut_off, fine) = (Arc::new(Pager::default()), Arc::new(Pager::default()));
    cut_off.always(Some(Takes::Not));
    let one = bank.tells(&node, &[("pager", &cut_off)], true);
    a_while().await;
    let two = bank.tells(&other, &[("pager", &fine)], true);
    does(&node, kill(true)).await;
    comes("the other one tells", || fine.taken().len() == 1).await;
    a_while().await;
    assert_eq!(fine.heard().len(), 1);
    one.end().await;
    two.end().await;
}

#[tokio::test(start_paused = true)]
async fn while_nobody_can_say_whose_turn_it_is_it_is_told_all_the_same() {
    let (bank, node) = Bank::new().await;
    bank.table.is_away.store(true, Ordering::SeqCst);
    let pager = Arc::new(Pager::default());
    let nodes = [
        node,
        bank.node("n1", 1_000).await,
        bank.node("n2", 1_000).await,
    ];
    let tellers: Vec<Teller> = nodes
        .iter()
        .map(|node| bank.tells(node, &[("pager", &pager)], true))
        .collect();
    a_while().await;
    for n in 0..10 {
        does(&nodes[0], kill(n % 2 == 0)).await;
        a_while().await;
    }
    let (heard, mut told) = (pager.heard(), pager.heard());
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), 10, "{heard:?}");
    // Each looks at how far it has been told before: few are told twice, where three nodes could tell all of it.
    assert!(heard.len() < 20, "{heard:?}");
    for teller in tellers {
        teller.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_taken_for_a_day_is_given_up_and_what_follows_is_told() {
    let (bank, node) = Bank::new().await;
    let pager = Arc::new(Pager::default());
    let teller = bank.tells(&node, &[("pager", &pager)], false);
    a_while().await;
    pager.always(Some(Takes::Not));
    does(&node, kill(true)).await;
    a_while().await;
    bank.clock.advance_ms(25 * 3_600_000);
    does(&node, kill(false)).await;
    comes("it is given up", || {
        teller.delivered("pager", "given-up") == 1
    })
    .await;
    pager.always(None);
    comes("what follows is told", || {
        pager.taken() == ["4.0 unkill acme/shop"]
    })
    .await;
    teller.end().await;
}

/// Somebody who can write to the store writes a kill of which no server knows.
#[tokio::test(start_paused = true)]
async fn what_does_not_count_is_told_to_nobody() {
    let (bank, node) = Bank::new().await;
    let pager = Arc::new(Pager::default());
    let teller = bank.tells(&node, &[("pager", &pager)], false);
    a_while().await;
    let key = |rev| Key::Log(rev);
    let last = bank.store.get(&key(2)).await.unwrap();
    let mut forged = Record::decode(&last).unwrap();
    forged.rev = Revision::new(3);
    forged.prev = Digest::of(&last);
    forged.op = node.new_op();
    forged.actor.id = "nobody".into();
    forged.events = vec![Event::Killed {
        app: "acme/shop".parse().unwrap(),
        version: None,
        reason: "because".into(),
        before: None,
    }];
    let bytes = forged.encode().unwrap();
    bank.store.put_new(&key(3), bytes).await.unwrap();
    a_while().await;
    assert_eq!(node.health().revision, Revision::new(3));
    does(&node, kill(true)).await;
    comes("the real one is told", || !pager.heard().is_empty()).await;
    teller.die();
    // Nor when it is read from the ledger again.
    let head = node.health().revision;
    let parts = node.parts.ledger_parts(Arc::clone(&node.parts.store));
    let from = huidu_core::webhook::Place::before(Revision::new(1));
    let read = replay::replay(parts, from, head).await.unwrap();
    let read: Vec<String> = read
        .messages
        .iter()
        .map(|one| one.place.to_string())
        .collect();
    assert_eq!(
        (pager.heard(), read),
        (
            vec!["4.0 kill acme/shop".to_owned()],
            vec!["4.0".to_owned()]
        )
    );
}
