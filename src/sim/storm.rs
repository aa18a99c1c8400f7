//! What goes wrong with machines, and who does harm: crashes, pauses, outages, clocks, and somebody who can write
//! to the bucket or speak on the bus. Each comes when chance says, and passes.

use std::{borrow::Cow, sync::Arc, time::Duration};

use huidu_core::{
    authority::Role,
    checkpoint::Checkpoint,
    event::{Actor, Event},
    name::AppId,
    op::RecentOps,
    record::{Record, V1},
    revision::Revision,
    rules::Rules,
    version::Life,
};
use tokio::time::sleep;

use super::{
    process::key,
    truth::Moment,
    world::{World, locked},
};
use crate::{
    bus::Hint,
    clock::{CountedIds, Ids as _},
    planted::{Bug, is_planted},
    store::Key,
};

/// Of a key that no keyring knows.
pub(super) const THIEF: u8 = 91;

impl World {
    /// Lets things go wrong until the storm is over.
    pub(super) async fn storms(self: Arc<Self>) {
        while self.elapsed_ms() < self.plan.stormy_ms {
            sleep(Duration::from_millis(300) + self.up_to(2_000)).await;
            let node = self.draw(|rng| rng.usize(0..self.places.len()));
            let long = Duration::from_millis(200) + self.up_to(3_500);
            match self.draw(|rng| rng.u8(0..15)) {
                0..3 => self.crashes(node),
                3 => {
                    // The machine dies, and comes back while nobody else is there.
                    self.goes_wrong("store down", Duration::from_secs(4), |sky, on| {
                        sky.store_down = on;
                    });
                    self.goes_wrong("bus down", Duration::from_secs(3), |sky, on| {
                        sky.bus_down = on;
                    });
                    sleep(self.up_to(300)).await;
                    self.crashes(node);
                }
                4 => self.goes_wrong("store down", long, |sky, on| sky.store_down = on),
                5 => self.goes_wrong("store slow", long, |sky, on| {
                    sky.store_slow_ms = u64::from(on) * 2_000;
                }),
                6 => self.goes_wrong("bus down", long, |sky, on| sky.bus_down = on),
                7 => self.goes_wrong("node cut off", long, move |sky, on| {
                    sky.cut_off.retain(|cut| *cut != node);
                    sky.cut_off.extend(on.then_some(node));
                }),
                8..10 => {
                    self.fault("node paused");
                    self.pauses(node, true);
                    let world = Arc::clone(&self);
                    tokio::spawn(async move {
                        sleep(long).await;
                        world.pauses(node, false);
                    });
                }
                10 => self.sets_clock(node),
                11 => {
                    self.fault("lie on the bus");
                    let rev = Revision::new(self.draw(|rng| rng.u64(0..200)));
                    self.lie_on_the_bus(Hint { rev, urgent: true });
                }
                12 => self.forges_a_notice(),
                _ if self.plan.has_intruder => self.intrudes(),
                _ => {}
            }
        }
        self.clears();
    }

    fn goes_wrong(
        self: &Arc<Self>,
        what: &'static str,
        long: Duration,
        turn: impl Fn(&mut super::world::Weather, bool) + Send + 'static,
    ) {
        self.fault(what);
        self.say(format_args!("sky: {what} for {} ms", long.as_millis()));
        turn(&mut locked(&self.weather), true);
        let world = Arc::clone(self);
        tokio::spawn(async move {
            sleep(long).await;
            turn(&mut locked(&world.weather), false);
            world.say(format_args!("sky: {what} no more"));
            world.reconnect();
        });
    }

    /// Nothing goes wrong any more.
    fn clears(&self) {
        self.say(format_args!("sky: clears"));
        *locked(&self.weather) = super::world::Weather {
            is_calm: true,
            ..Default::default()
        };
        for node in 0..self.places.len() {
            self.pauses(node, false);
        }
        self.reconnect();
    }

    fn sets_clock(&self, node: usize) {
        self.fault("clock set");
        let skew_ms = self.draw(|rng| rng.i64(-600_000..=600_000));
        self.say(format_args!("node {node}: its clock is {skew_ms} ms off"));
        *locked(&self.places[node].skew_ms) = skew_ms;
    }

    /// Somebody writes into the bucket what suits them: a record, or a checkpoint.
    fn intrudes(&self) {
        let Some(newest) = locked(&self.truth).newest() else {
            return;
        };
        let Some(lie) = lie(&newest) else {
            return;
        };
        if self.draw(|rng| rng.bool()) {
            self.fault("record forged in the bucket");
            let slot = newest.rev + 1;
            let bytes = self.forged_record(&newest, lie);
            let _taken = self.create(None, &Key::Log(slot), &bytes);
        } else {
            self.fault("checkpoint forged in the bucket");
            let mut catalogue = (*newest.catalogue).clone();
            let rev = Revision::new(newest.rev);
            catalogue.apply(rev, catalogue.written_at(), &[lie]);
            let checkpoint = Checkpoint {
                v: V1,
                rev,
                head: newest.head,
                catalogue: Cow::Owned(catalogue),
                ops: Cow::Owned(RecentOps::default()),
            };
            let (name, bytes) = checkpoint.encode().unwrap();
            let (rev, digest) = (name.rev.get(), name.root);
            let _taken = self.create(None, &Key::Checkpoint { rev, digest }, &bytes);
        }
    }

    fn forged_record(&self, newest: &Moment, lie: Event) -> bytes::Bytes {
        let ids = CountedIds::series(self.series());
        let record = Record {
            v: Rules::NEWEST,
            rev: Revision::new(newest.rev + 1),
            prev: newest.head,
            op: ids.op(),
            ask: None,
            put: ids.put(),
            node: "node-0".into(),
            at: newest.catalogue.written_at(),
            actor: Actor {
                id: "root".into(),
                role: Role::Admin,
            },
            approvals: Vec::new(),
            why: None,
            events: vec![lie],
            void: None,
            ck: None,
        };
        record.seal(&key(THIEF)).unwrap()
    }

    /// Mistakes that are no mistakes of the product, but of whoever would build it otherwise.
    pub(super) async fn errs(self: Arc<Self>) {
        let mut older = None;
        loop {
            sleep(Duration::from_millis(400)).await;
            let node = self.draw(|rng| rng.usize(0..self.places.len()));
            let Some(life) = self.places[node].life() else {
                continue;
            };
            if is_planted(Bug::AsofMintedNow) {
                life.node.mints_now();
            }
            if is_planted(Bug::OlderSnapshotServed) {
                let live = life.node.live().clone();
                match older.take() {
                    Some((at, before)) if at == node => life.node.serves_again(before),
                    _ => older = Some((node, live)),
                }
            }
        }
    }
}

/// Something that nobody agreed to: what was killed is back, or what nobody approved is listed.
fn lie(newest: &Moment) -> Option<Event> {
    let apps = newest.catalogue.apps.values();
    apps.filter_map(|app| {
        let id: AppId = app.id.clone();
        let wrong = app
            .versions
            .values()
            .find(|version| !version.life.is_listed())?;
        let version = wrong.number.clone();
        Some(match wrong.life {
            Life::Delisted { killed: true, .. } => Event::Unkilled {
                app: id,
                version: Some(version),
                reason: String::new(),
            },
            _ => Event::VersionListed { app: id, version },
        })
    })
    .next()
}
