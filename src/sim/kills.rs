//! Kills that the ledger does not have yet: the posts that bring them from node to node, the files that they are
//! kept in, and what whoever killed was promised of them.
//!
//! A post is lost, late or comes twice as every message does, and is not answered for a second at most. A file is
//! there once the node was told so, or was never written: whatever is between the two is the disk's own business.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use huidu_core::{
    authority::Role,
    event::Actor,
    manifest::{Manifest, State as Told},
    name::AppId,
    notice::{Notice, Sealed},
    op::OpId,
    version::Number,
};
use tokio::time::{sleep, timeout};

use super::{
    disk::Hand,
    net,
    people::{APPS, AUDIENCE},
    process::{Gate, Life, key},
    storm::THIEF,
    world::{World, locked},
};
use crate::{
    clock::{CountedIds, Ids as _},
    node::{
        kills::{Keep, Receipt},
        peers::{Answer, Reach},
    },
};

/// How long a node waits for another to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was asked for and promised of kills, before the ledger had them.
#[derive(Debug, Default)]
pub(super) struct Promises {
    /// What somebody asked for who may: nothing else may be in force.
    asked: BTreeSet<OpId>,
    /// Kills that were answered with a receipt and without a revision.
    promised: BTreeMap<OpId, Promise>,
}

/// A kill that is in force, as whoever killed was told.
#[derive(Debug, Clone)]
struct Promise {
    app: AppId,
    version: Option<Number>,
    /// Nodes that said that they keep it until the ledger has it.
    keepers: Vec<usize>,
}

impl World {
    /// Somebody who may asks for a kill.
    pub(super) fn wants_killed(&self, op: OpId) {
        locked(&self.promises).asked.insert(op);
    }

    /// Somebody was told that a kill is in force, and that the ledger does not have it yet.
    pub(super) fn promised(&self, receipt: &Receipt) {
        let (app, version) = (receipt.app.clone(), receipt.version.clone());
        let kept = receipt.nodes.iter().filter(|(_, reached)| reached.kept);
        let at = |name: &String| name.strip_prefix("node-")?.parse().ok();
        let keepers: Vec<usize> = kept.filter_map(|(name, _)| at(name)).collect();
        self.say(format_args!(
            "kill {} of {app} is promised, and kept by {keepers:?}",
            receipt.op
        ));
        self.count("kills promised before the ledger had them");
        let promise = Promise {
            app,
            version,
            keepers,
        };
        locked(&self.promises).promised.insert(receipt.op, promise);
    }

    /// Kills that were promised, are kept by somebody, and that no record has settled.
    fn open_promises(&self) -> Vec<(OpId, Promise)> {
        let promises = locked(&self.promises);
        let truth = locked(&self.truth);
        let open = promises
            .promised
            .iter()
            .filter(|(op, promise)| !promise.keepers.is_empty() && truth.settled(op).is_none());
        open.map(|(op, promise)| (*op, promise.clone())).collect()
    }

    /// True when the ledger has had its word on everything that was promised.
    pub(super) fn all_promises_are_settled(&self) -> bool {
        self.plan.is_multi_winner || self.open_promises().is_empty()
    }

    pub(super) fn broken_promises(&self) {
        if self.plan.is_multi_winner {
            return;
        }
        for (op, promise) in self.open_promises() {
            self.broken(
                "acknowledged is durable",
                format_args!(
                    "kill {op} of {} was promised and kept by {:?}, and never came into the ledger",
                    promise.app, promise.keepers
                ),
            );
        }
    }

    /// What node `at` holds on top of the ledger is what somebody may have there, and what it promised to keep is
    /// in force.
    pub(super) fn holds_its_promises(&self, at: usize, life: &Life) {
        if self.plan.is_multi_winner {
            return;
        }
        let served = life.node.live().revision.get();
        for op in life.node.held_kills() {
            if !locked(&self.promises).asked.contains(&op) {
                self.broken(
                    "nobody else kills",
                    format_args!("node {at} has kill {op} in force, which nobody asked for"),
                );
            }
            let settled = locked(&self.truth).settled(&op);
            if let Some(rev) = settled.filter(|rev| *rev <= served) {
                self.broken(
                    "the ledger governs",
                    format_args!(
                        "node {at} serves {served} with kill {op} on top of it, which {rev} settled"
                    ),
                );
            }
        }
        for (op, promise) in self.open_promises() {
            if promise.keepers.contains(&at) && offers(life, &promise) {
                self.broken(
                    "acknowledged is durable",
                    format_args!("node {at} offers {}, and promised to keep kill {op} until the ledger has it", promise.app),
                );
            }
        }
    }

    /// Carries a post from one node to another, and its answer back.
    async fn post(
        self: &Arc<Self>,
        from: usize,
        to: usize,
        notice: Bytes,
    ) -> Result<Bytes, String> {
        sleep(net::distance(self)).await;
        let is_cut_off = {
            let weather = locked(&self.weather);
            [from, to].iter().any(|end| weather.cut_off.contains(end))
        };
        if is_cut_off || self.strikes(self.plan.message_faults) {
            self.fault("post lost");
            std::future::pending::<()>().await;
        }
        if self.strikes(self.plan.message_faults) {
            self.fault("post late");
            sleep(self.up_to(1_500)).await;
        }
        let Some(life) = self.places[to].life() else {
            return Err("nobody is there".into());
        };
        if self.strikes(self.plan.message_faults) {
            self.fault("post twice");
            let (life, notice, late) = (life.clone(), notice.clone(), self.up_to(3_000));
            tokio::spawn(async move {
                sleep(late).await;
                let _nobody_waits = heard(&life, notice).await;
            });
        }
        let answer = heard(&life, notice).await;
        let ok = answer.is_ok();
        self.say(format_args!(
            "node {to}: is told of a kill by node {from}, ok={ok}"
        ));
        if self.strikes(self.plan.message_faults) {
            self.fault("answer to a post lost");
            std::future::pending::<()>().await;
        }
        sleep(net::distance(self)).await;
        answer
    }

    /// Somebody whose key no keyring knows tells a node, in the name of somebody who may, that an app is killed.
    pub(super) fn forges_a_notice(self: &Arc<Self>) {
        let to = self.draw(|rng| rng.usize(0..self.places.len()));
        let Some(life) = self.places[to].life() else {
            return;
        };
        self.fault("notice of a kill forged");
        let app = self.draw(|rng| APPS[rng.usize(0..APPS.len())]);
        let forged = Notice {
            v: 1,
            aud: AUDIENCE.into(),
            op: CountedIds::series(self.series()).op(),
            app: app.parse().unwrap(),
            version: None,
            reason: "because I say so".into(),
            why: None,
            actor: Actor {
                id: "sven".into(),
                role: Role::Sre,
            },
            at: self.now(),
            base: life.node.live().revision,
            node: "node-0".into(),
        };
        let forged = forged.seal(&key(THIEF)).unwrap();
        tokio::spawn(async move {
            let _nobody_waits = heard(&life, forged.bytes().clone()).await;
        });
    }
}

/// A node is told of a kill, for as long as it lives.
async fn heard(life: &Life, notice: Bytes) -> Result<Bytes, String> {
    tokio::select! {
        biased;
        () = life.gate.death() => std::future::pending().await,
        answer = async {
            life.gate.pass().await;
            let answer = life.node.hear_kill(notice).await;
            life.gate.pass().await;
            answer
        } => answer.map_err(|error| error.to_string()),
    }
}

/// Whether a node offers what a kill stops.
fn offers(life: &Life, promise: &Promise) -> bool {
    let live = life.node.live();
    let app = live.apps().find(|app| *app.compiled.id() == promise.app);
    let bodies = app.iter().flat_map(|app| app.answers.iter());
    let mut manifests =
        bodies.filter_map(|answer| serde_json::from_slice::<Manifest>(answer.body()).ok());
    manifests.any(|manifest| {
        let stopped = &promise.version;
        manifest.state == Told::Run && (stopped.is_none() || manifest.version == *stopped)
    })
}

/// One life of a node, as it tells others.
pub(super) struct Post {
    pub(super) world: Arc<World>,
    pub(super) node: usize,
    pub(super) gate: Gate,
}

impl Reach for Post {
    fn tell<'a>(&'a self, address: &'a str, notice: Bytes) -> Answer<'a> {
        Box::pin(async move {
            let to = address.parse().map_err(|_| "no such node".to_owned())?;
            self.gate.pass().await;
            let answer = timeout(PATIENCE, self.world.post(self.node, to, notice)).await;
            self.gate.pass().await;
            answer.map_err(|_| "no answer".to_owned())?
        })
    }

    fn hear<'a>(&'a self, _: &'a str) -> Answer<'a> {
        // Beats decide nothing, and are not told here.
        Box::pin(async { Err("it says nothing of itself".to_owned()) })
    }
}

impl Keep for Hand {
    fn keep(&self, sealed: &Sealed) -> io::Result<()> {
        if self.gate.is_dead() || self.world.strikes(self.world.plan.store_faults) {
            self.world.fault("disk full for a kill");
            return Err(io::Error::other("no space"));
        }
        let (op, bytes) = (sealed.notice().op, sealed.bytes().clone());
        locked(&self.disk.kills).insert(op, bytes);
        Ok(())
    }

    fn forget(&self, op: &OpId) {
        if !self.gate.is_dead() {
            locked(&self.disk.kills).remove(op);
        }
    }

    fn load(&self) -> io::Result<Vec<Sealed>> {
        let kept = locked(&self.disk.kills);
        let kept = kept.values().map(Sealed::read);
        kept.map(|read| read.map_err(io::Error::other)).collect()
    }
}
