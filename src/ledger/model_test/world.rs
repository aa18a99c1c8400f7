//! One run: three nodes, each with a queue of wants, a follower beside its appender, and crashes. What
//! the callers heard is kept, to be held against the log.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex as StdMutex},
    time::Duration,
};

use bytes::Bytes;
use huidu_core::{
    authority::Role,
    catalogue::Catalogue,
    event::{Actor, Event},
    name::TenantId,
    op::OpId,
    record::{CheckpointRef, Record},
    revision::Revision,
    time::Timestamp,
    validity::Invalid,
};
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::store::Shaky;
use crate::{
    backoff::Backoff,
    clock::{Clock, CountedIds, Ids},
    ledger::{Appended, Fold, Ledger, LedgerError, Parts, Start, Want},
    store::{Key, Store},
};

pub(super) const NODES: usize = 3;
const WANTS: u64 = 20;
const CRASHES: u64 = 3;

/// What a caller heard last about a want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    Committed(Revision),
    Voided(Revision),
    Refused,
}

#[derive(Debug, Clone)]
struct Job {
    op: OpId,
    /// Whether the want refuses itself where it is there already; the others would happen twice.
    once: bool,
    at: Instant,
    patience: Duration,
    /// Tried before, with an unknown end.
    unknown: bool,
}

/// What a node folds: the catalogue, and the order in which things came.
#[derive(Debug, Default)]
pub(super) struct Seen {
    catalogue: Catalogue,
    pub(super) order: Vec<(Revision, OpId)>,
}

impl Fold for Seen {
    fn restore(&mut self, catalogue: Catalogue, _: CheckpointRef) {
        self.catalogue = catalogue;
    }

    fn apply(&mut self, record: &Record, _: &Bytes) {
        self.catalogue.apply(record.rev, record.at, &record.events);
        self.order.push((record.rev, record.op));
    }

    fn skip(&mut self, rev: Revision, _: &Bytes, _: &Invalid) {
        self.catalogue.apply(rev, Timestamp::EPOCH, &[]);
    }

    type View<'a> = &'a Catalogue;

    fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) store: Shaky,
    begun: Instant,
    shared: Arc<StdMutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    jobs: [VecDeque<Job>; NODES],
    crashes: [VecDeque<Instant>; NODES],
    /// Nodes are born anew after a crash; their ids must not repeat.
    lives: u64,
    report: Report,
}

/// What was heard and seen during a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    pub(super) heard: BTreeMap<OpId, Vec<Heard>>,
    pub(super) forks: Vec<String>,
    pub(super) unknowns: u64,
    pub(super) crashes: u64,
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap();
        Timestamp::from_unix_ms(1_795_000_000_000 + ms)
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let store = Shaky::new(seed);
        let begun = Instant::now();
        let wants = CountedIds::series(1);
        let mut shared = Shared::default();
        for _ in 0..WANTS {
            let job = Job {
                op: wants.op(),
                once: store.below(2) == 0,
                at: begun + store.up_to_ms(3_000),
                patience: Duration::from_millis(100) + store.up_to_ms(4_000),
                unknown: false,
            };
            let node = usize::try_from(store.below(NODES as u64)).unwrap();
            // An impatient caller asks another node for the same thing.
            if store.below(5) == 0 {
                let at = job.at + store.up_to_ms(200);
                shared.jobs[(node + 1) % NODES].push_back(Job { at, ..job.clone() });
            }
            shared.jobs[node].push_back(job);
        }
        for _ in 0..CRASHES {
            let node = usize::try_from(store.below(NODES as u64)).unwrap();
            shared.crashes[node].push_back(begun + store.up_to_ms(4_000));
        }
        for node in 0..NODES {
            shared.jobs[node]
                .make_contiguous()
                .sort_by_key(|job| job.at);
            shared.crashes[node].make_contiguous().sort();
        }
        Self {
            store,
            begun,
            shared: Arc::new(StdMutex::new(shared)),
        }
    }

    /// Runs until every want is settled and everything late has landed; then all nodes catch up.
    pub(super) async fn run(&self) -> (Report, Vec<Ledger<Seen>>) {
        let nodes: Vec<_> = (0..NODES)
            .map(|node| tokio::spawn(supervise(self.clone(), node)))
            .collect();
        let mut ledgers = Vec::new();
        for node in nodes {
            ledgers.push(node.await.unwrap());
        }
        self.store.calm_down();
        sleep(Duration::from_secs(5)).await;
        for ledger in &mut ledgers {
            if let Err(error) = ledger.catch_up().await {
                self.with(|shared| shared.report.forks.push(error.to_string()));
            }
        }
        (self.with(|shared| shared.report.clone()), ledgers)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Shared) -> T) -> T {
        look(&mut self.shared.lock().unwrap())
    }

    fn parts(&self, node: usize) -> Parts {
        let life = self.with(|shared| {
            shared.lives += 1;
            shared.lives
        });
        Parts {
            store: Arc::new(self.store.clone()),
            clock: Arc::new(self.clone()),
            ids: Arc::new(CountedIds::series(1_000 + life)),
            backoff: Backoff::new(
                Duration::from_millis(10),
                Duration::from_millis(200),
                self.store.below(u64::MAX),
            ),
            node: format!("node-{node}"),
            signer: None,
        }
    }

    fn actor() -> Actor {
        Actor {
            id: "model".into(),
            role: Role::Admin,
        }
    }
}

async fn supervise(world: World, node: usize) -> Ledger<Seen> {
    while let Some(crash) = world.with(|shared| shared.crashes[node].pop_front()) {
        let left = crash.saturating_duration_since(Instant::now());
        if let Ok(ledger) = timeout(left, live(&world, node)).await {
            return ledger;
        }
        world.with(|shared| {
            shared.report.crashes += 1;
            // Whatever was at hand may or may not have happened.
            if let Some(job) = shared.jobs[node].front_mut().filter(|job| job.at <= crash) {
                job.unknown = true;
            }
        });
        sleep(world.store.up_to_ms(500)).await;
    }
    live(&world, node).await
}

async fn live(world: &World, node: usize) -> Ledger<Seen> {
    let ledger = loop {
        let opened = Ledger::open(world.parts(node), Seen::default(), Start::default()).await;
        match opened {
            Ok(ledger) => break ledger,
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    };
    let ledger = Arc::new(Mutex::new(ledger));
    let mut follower = JoinSet::new();
    follower.spawn(follow(world.clone(), Arc::clone(&ledger)));
    while let Some(job) = world.with(|shared| shared.jobs[node].front().cloned()) {
        sleep_until(job.at).await;
        attempt(world, node, &ledger, &job).await;
    }
    follower.shutdown().await;
    Arc::into_inner(ledger).unwrap().into_inner()
}

/// The second catch-up of the same node: it reads without holding the ledger, so what it read may have
/// been taken in meanwhile.
async fn follow(world: World, ledger: Arc<Mutex<Ledger<Seen>>>) {
    loop {
        sleep(world.store.up_to_ms(100)).await;
        let slot = ledger.lock().await.revision().next();
        if let Ok(bytes) = world.store.get(&Key::Log(slot.get())).await
            && let Err(error) = ledger.lock().await.offer(slot, &bytes)
        {
            world.with(|shared| shared.report.forks.push(error.to_string()));
        }
    }
}

async fn attempt(world: &World, node: usize, ledger: &Mutex<Ledger<Seen>>, job: &Job) {
    let mut ledger = ledger.lock().await;
    let want = |op| Want {
        op,
        ask: None,
        actor: World::actor(),
        approvals: Vec::new(),
        why: None,
    };
    let heard = if job.unknown && world.store.below(2) == 0 {
        let void = want(ledger.parts.ids.op());
        match ledger.cancel(job.op, void, job.patience).await {
            Ok(Appended::Committed(rev) | Appended::Repeated(rev)) => Some(Heard::Committed(rev)),
            Ok(Appended::Voided(rev)) => Some(Heard::Voided(rev)),
            other => unheard(world, other.err()),
        }
    } else {
        let tenant: TenantId = job.op.to_string().to_lowercase().parse().unwrap();
        let appended = ledger
            .append(want(job.op), job.patience, |seen, _| {
                let there = seen.catalogue.tenants.contains_key(&tenant);
                if job.once && there {
                    return Err("there already");
                }
                Ok(vec![Event::TenantAdded {
                    tenant: tenant.clone(),
                    title: String::new(),
                }])
            })
            .await;
        match appended {
            Ok(Appended::Committed(rev) | Appended::Repeated(rev)) => Some(Heard::Committed(rev)),
            Ok(Appended::Voided(rev)) => Some(Heard::Voided(rev)),
            Ok(Appended::Refused(_)) => Some(Heard::Refused),
            other => unheard(world, other.err()),
        }
    };
    drop(ledger);
    world.with(|shared| match heard {
        Some(heard) => {
            shared.jobs[node].pop_front();
            shared.report.heard.entry(job.op).or_default().push(heard);
        }
        None => {
            shared.report.unknowns += 1;
            shared.jobs[node][0].unknown = true;
        }
    });
}

/// Not settled: to be asked again. After a fork nothing is: the run has failed.
fn unheard(world: &World, error: Option<LedgerError>) -> Option<Heard> {
    let Some(LedgerError::Fork(fork)) = error else {
        return None;
    };
    world.with(|shared| shared.report.forks.push(fork.to_string()));
    Some(Heard::Refused)
}
