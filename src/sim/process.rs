//! Nodes as processes: started, paused, killed and started again; each life is cut off from everything it could
//! touch the moment it ends.
//!
//! A pause holds whatever goes in and out of a process, which is all that anybody else can see of one.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use ed25519_dalek::SigningKey;
use huidu_core::{digest::Digest, name::AppId, time::Timestamp};
use tokio::{
    sync::{Notify, broadcast},
    time::sleep,
};

use super::{
    disk::{Disk, Hand},
    kills::Post,
    net::{Ear, Wire},
    store::Way,
    world::{World, locked},
};
use crate::{
    bus::WAKES,
    clock::{Clock, CountedIds},
    device::{Bounds, DevicePlane},
    metrics::Metrics,
    node::{Node, NodeParts, NodeSettings, Shelf, kills::Keep, live::LiveApp, peers::Peers},
    store::Store,
};

/// Seeds of the keys that every node has.
pub(super) const ONLINE: u8 = 31;
pub(super) const LOG: u8 = 41;
/// How long an answer may be trusted, in milliseconds.
pub(super) const LEASE_MS: u32 = 60_000;

pub(super) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pulse {
    Beats,
    Paused,
    Dead,
}

/// What everything that goes in or out of one life of a process passes.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Door>);

#[derive(Debug)]
struct Door {
    pulse: Mutex<Pulse>,
    /// Wakes whoever waits in the order in which they came; a watch channel would wake them in any.
    turned: Notify,
}

impl Gate {
    fn open() -> Self {
        Self(Arc::new(Door {
            pulse: Mutex::new(Pulse::Beats),
            turned: Notify::new(),
        }))
    }

    fn pulse(&self) -> Pulse {
        *locked(&self.0.pulse)
    }

    /// Waits while the process is paused; for ever when it is dead.
    pub(super) async fn pass(&self) {
        loop {
            let turned = self.0.turned.notified();
            match self.pulse() {
                Pulse::Beats => return,
                Pulse::Paused => turned.await,
                Pulse::Dead => std::future::pending().await,
            }
        }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.pulse() == Pulse::Dead
    }

    /// Ends when the process does.
    pub(super) async fn death(&self) {
        while !self.is_dead() {
            self.0.turned.notified().await;
        }
    }

    fn turns(&self, to: Pulse) {
        let mut pulse = locked(&self.0.pulse);
        if *pulse != Pulse::Dead && *pulse != to {
            *pulse = to;
            drop(pulse);
            self.0.turned.notify_waiters();
        }
    }
}

/// One life of a node.
#[derive(Clone)]
pub(super) struct Life {
    pub(super) node: Arc<Node>,
    pub(super) plane: DevicePlane<Node>,
    pub(super) gate: Gate,
}

/// What was last seen of one life.
#[derive(Default)]
pub(super) struct Seen {
    /// The last record it had taken in: one of these.
    pub(super) heads: Vec<Digest>,
    /// The same of the life before, until this one is as far.
    pub(super) before: Vec<Digest>,
    revision: u64,
    served: u64,
    apps: Vec<Arc<LiveApp>>,
    pub(super) was_forked: bool,
}

/// Where one node lives, whichever life it is in.
pub(super) struct Place {
    pub(super) skew_ms: Mutex<i64>,
    pub(super) disk: Arc<Disk>,
    life: Mutex<Option<Life>>,
    ear: Mutex<Option<Ear>>,
    pub(super) seen: Mutex<Seen>,
    metrics: Arc<Metrics>,
}

/// A node's clock, as wrong as it may be.
struct Skewed {
    world: Arc<World>,
    node: usize,
}

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        let skew_ms = *locked(&self.world.places[self.node].skew_ms);
        let now = self.world.now().unix_ms().saturating_add_signed(skew_ms);
        Timestamp::from_unix_ms(now)
    }
}

thread_local! {
    /// Making metrics takes longer than a node's whole life here; they decide nothing.
    static METRICS: Arc<Metrics> = Arc::new(Metrics::new());
}

impl Place {
    pub(super) fn new(skew_ms: i64) -> Self {
        Self {
            skew_ms: Mutex::new(skew_ms),
            disk: Arc::default(),
            life: Mutex::default(),
            ear: Mutex::default(),
            seen: Mutex::default(),
            metrics: METRICS.with(Arc::clone),
        }
    }

    /// The node that serves here now.
    pub(super) fn life(&self) -> Option<Life> {
        locked(&self.life).clone()
    }

    pub(super) fn ear(&self) -> Option<Ear> {
        locked(&self.ear).clone()
    }

    /// Forgets its node.
    pub(super) fn lets_go(&self) {
        *locked(&self.life) = None;
        *locked(&self.ear) = None;
    }

    fn turns(&self, to: Pulse) {
        // Also one that is still starting.
        if let Some(ear) = self.ear() {
            ear.gate.turns(to);
        }
    }
}

impl World {
    /// Keeps node `at` running: whoever dies or does not come up is started again.
    pub(super) async fn keeps_alive(self: Arc<Self>, at: usize) {
        loop {
            let gate = Gate::open();
            let parts = self.parts(at, &gate);
            self.say(format_args!("node {at}: starts"));
            let started = tokio::select! {
                biased;
                () = gate.death() => None,
                started = Node::start(parts) => Some(started),
            };
            match started {
                Some(Ok(node)) => {
                    self.came_up(at, node, &gate);
                    self.look(at);
                    gate.death().await;
                }
                Some(Err(error)) => {
                    self.say(format_args!("node {at}: does not start: {error}"));
                    self.count("starts that failed");
                    gate.turns(Pulse::Dead);
                }
                None => {}
            }
            self.places[at].lets_go();
            sleep(Duration::from_millis(100) + self.up_to(1_500)).await;
        }
    }

    fn came_up(&self, at: usize, node: Arc<Node>, gate: &Gate) {
        let health = node.health();
        self.say(format_args!(
            "node {at}: serves {} from_store={}",
            health.revision, health.from_store
        ));
        self.count("starts");
        if !health.from_store {
            self.count("starts from the copy");
        }
        let seen = &mut *locked(&self.places[at].seen);
        let known = [&mut seen.before, &mut seen.heads].map(std::mem::take);
        let before = known.into_iter().find(|known| !known.is_empty());
        let before = before.unwrap_or_default();
        *seen = Seen {
            before,
            ..Seen::default()
        };
        let plane = DevicePlane::new(Arc::clone(&node), Bounds::default());
        let gate = gate.clone();
        *locked(&self.places[at].life) = Some(Life { node, plane, gate });
    }

    fn parts(self: &Arc<Self>, at: usize, gate: &Gate) -> NodeParts {
        let place = &self.places[at];
        let (world, gate) = (Arc::clone(self), gate.clone());
        let hand = Arc::new(Hand {
            world: Arc::clone(&world),
            disk: Arc::clone(&place.disk),
            gate: gate.clone(),
        });
        let kept: Arc<dyn Keep> = hand.clone();
        let others = (0..self.places.len()).filter(|other| *other != at);
        let post = Arc::new(Post {
            world: Arc::clone(&world),
            node: at,
            gate: gate.clone(),
        });
        let ear = Ear {
            gate: gate.clone(),
            wakes: broadcast::Sender::new(WAKES),
            notices: broadcast::Sender::new(WAKES),
        };
        *locked(&place.ear) = Some(ear.clone());
        NodeParts {
            store: Arc::new(Way {
                world: Arc::clone(&world),
                node: at,
                gate: gate.clone(),
            }),
            unproved: Vec::new(),
            mirror: Some((Shelf::Other(hand.clone()), hand as Arc<dyn Store>)),
            bundle_disk: None,
            bus: Arc::new(Wire {
                world: Arc::clone(&world),
                node: at,
                ear,
            }),
            clock: Arc::new(Skewed {
                world: Arc::clone(&world),
                node: at,
            }),
            ids: Arc::new(CountedIds::series(self.series())),
            key: Arc::new(key(ONLINE)),
            log_key: Some(Arc::new(key(LOG))),
            metrics: Arc::clone(&place.metrics),
            kills: Some(kept),
            peers: Arc::new(Peers::new(others.map(|n| n.to_string()), Some(post))),
            settings: NodeSettings {
                name: format!("node-{at}"),
                tick: Duration::from_secs(1),
                checkpoint_every: 6,
                poll_after_ms: 60_000,
                poll_spread_ms: 30_000,
                lease_ms: LEASE_MS,
                bundle_memory: 1 << 20,
            },
        }
    }

    /// Kills node `at`; what its disk had not made safe may be gone.
    pub(super) fn crashes(&self, at: usize) {
        self.places[at].turns(Pulse::Dead);
        *locked(&self.places[at].life) = None;
        let lost = self.places[at].disk.crash(self);
        self.say(format_args!("node {at}: crashes, {lost} copies lost"));
        self.fault("crash");
        if lost > 0 {
            self.fault("crash that lost unsynced data");
        }
    }

    pub(super) fn pauses(&self, at: usize, is_paused: bool) {
        self.say(format_args!("node {at}: paused={is_paused}"));
        self.places[at].turns(if is_paused {
            Pulse::Paused
        } else {
            Pulse::Beats
        });
    }

    /// Holds everything that node `at` knows and would say against the truth, as far as it is new.
    pub(super) fn look(&self, at: usize) {
        let Some(life) = self.places[at].life() else {
            return;
        };
        let seen = &mut *locked(&self.places[at].seen);
        let live = life.node.live().clone();
        let is_forked = life.node.health().fork;
        if is_forked && !seen.was_forked {
            self.say(format_args!("node {at}: has seen a fork"));
            self.count("forks seen");
            seen.was_forked = true;
            if !self.plan.is_multi_winner {
                self.broken(
                    "one order",
                    format_args!("node {at} sees a fork of a sound store"),
                );
            }
        }
        let catalogue = life.node.catalogue();
        let revision = catalogue.revision.get();
        if revision != seen.revision || seen.heads.is_empty() {
            if revision < seen.revision {
                self.broken(
                    "one order",
                    format_args!("node {at} goes back from {} to {revision}", seen.revision),
                );
            }
            self.say(format_args!("node {at}: is at {revision}"));
            seen.revision = revision;
            self.one_order(at, seen, &catalogue);
        }
        drop(catalogue);
        let served = live.revision.get();
        if served < seen.served {
            self.broken(
                "never un-delists",
                format_args!("node {at} serves {served} after {}", seen.served),
            );
        }
        seen.served = served;
        let new: Vec<Arc<LiveApp>> = live
            .apps()
            .filter(|app| !seen.apps.iter().any(|known| Arc::ptr_eq(known, app)))
            .cloned()
            .collect();
        let asof = life.node.health().asof;
        for app in new {
            for answer in &app.answers {
                self.may_be_said(at, seen, (served, asof), answer.body());
            }
            let id: &AppId = app.compiled.id();
            seen.apps.retain(|known| known.compiled.id() != id);
            seen.apps.push(app);
        }
        self.holds_its_promises(at, &life);
    }
}
