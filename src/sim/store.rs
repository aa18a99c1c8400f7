//! The store of the simulation, and the way to it: everything an object store and its network may do.
//!
//! What happens at the store does not end with whoever asked for it, so each write is a task of its own. Time and
//! order of everything come from the seed.

use std::{collections::BTreeMap, ops::Range, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use huidu_core::{digest::Digest, time::Timestamp};
use tokio::time::sleep;

use super::{
    process::Gate,
    world::{World, locked},
};
use crate::store::{BoxFuture, Folder, Key, Place, Store, StoreError};

/// What the store holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Objects {
    pub(super) kept: BTreeMap<Key, Object>,
}

/// One object.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) bytes: Bytes,
    /// When it came to be.
    pub(super) since: Timestamp,
}

/// Two writers race for a slot when they come within this time.
const RACE_MS: u64 = 1_500;
/// A listing lacks what came within this time, when it is stale.
const STALE_MS: u64 = 4_000;

/// What becomes of one request.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Fine,
    RequestLost,
    ReplyLost,
    /// The caller gives up; it lands this much later.
    LandsLate,
    /// It is done, and answered with a 500.
    ErrorAfterDone,
    /// 409: nothing is said about what is there.
    Conflict,
    /// 503: nothing was done.
    Refused,
}

/// The way from one life of one node to the store.
pub(super) struct Way {
    pub(super) world: Arc<World>,
    pub(super) node: usize,
    pub(super) gate: Gate,
}

fn unavailable(place: impl Into<Place>, why: &'static str) -> StoreError {
    StoreError::unavailable(place, why)
}

impl World {
    /// Creates an object, as the store does when a request arrives.
    pub(super) fn create(
        &self,
        by: Option<usize>,
        key: &Key,
        bytes: &Bytes,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let known = locked(&self.objects).kept.get(key).cloned();
        if let Some(known) = &known {
            let races = matches!(key, Key::Log(_)) && now.ms_since(known.since) < RACE_MS;
            let differs = known.bytes != *bytes;
            if !(self.plan.is_multi_winner && races && differs && self.strikes(700)) {
                self.say(format_args!("store: {key} is there already"));
                return Err(StoreError::AlreadyExists { key: key.clone() });
            }
            self.fault("two winners of one slot");
            if self.draw(|rng| rng.bool()) {
                // The first one stays, and the second is told that it won.
                self.say(format_args!("store: {key} is said to be new, and is not"));
                if let Key::Log(slot) = key {
                    self.landed(by, *slot, bytes, false);
                }
                return Ok(());
            }
            self.say(format_args!("store: {key} is overwritten"));
        }
        let object = Object {
            bytes: bytes.clone(),
            since: now,
        };
        locked(&self.objects).kept.insert(key.clone(), object);
        match key {
            Key::Log(slot) => self.landed(by, *slot, bytes, true),
            _ => self.say(format_args!("store: {} is new", Short(key))),
        }
        Ok(())
    }

    fn object(&self, key: &Key) -> Option<Bytes> {
        let objects = locked(&self.objects);
        objects.kept.get(key).map(|object| object.bytes.clone())
    }

    fn names(&self, folder: Folder) -> Vec<Key> {
        let (now, is_stale) = (self.now(), self.strikes(200));
        let objects = locked(&self.objects);
        let there = objects.kept.iter().filter(|(key, object)| {
            key.folder() == Some(folder) && !(is_stale && now.ms_since(object.since) < STALE_MS)
        });
        let names = there.map(|(key, _)| key.clone()).collect();
        drop(objects);
        if is_stale {
            self.fault("stale list");
        }
        names
    }
}

/// A key without most of its digest.
struct Short<'a>(&'a Key);

impl std::fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.0.path();
        f.write_str(&path[..path.len().min(34)])
    }
}

impl Way {
    fn fate(&self, writes: bool) -> Fate {
        if !self.world.strikes(self.world.plan.store_faults) {
            return Fate::Fine;
        }
        let (fate, kind) = match self
            .world
            .draw(|rng| rng.u8(0..if writes { 24 } else { 12 }))
        {
            0..4 => (Fate::RequestLost, "request to the store lost"),
            4..8 => (Fate::ReplyLost, "reply of the store lost"),
            8..12 => (Fate::Refused, "503 of the store"),
            12..17 => (Fate::LandsLate, "write that lands late"),
            17..21 => (Fate::ErrorAfterDone, "500 after a write was done"),
            _ => (Fate::Conflict, "409 of the store"),
        };
        self.world.fault(kind);
        fate
    }

    /// How long a request is under way; none: nobody is there.
    fn distance(&self) -> Option<Duration> {
        let weather = locked(&self.world.weather);
        let cut_off = weather.store_down || weather.cut_off.contains(&self.node);
        let slow = weather.store_slow_ms;
        drop(weather);
        // Where several may win a slot, they come at the same time more often.
        let far = if self.world.plan.is_multi_winner {
            150
        } else {
            20
        };
        (!cut_off).then(|| self.world.up_to(far) + self.world.up_to(slow))
    }

    async fn patience(&self) {
        sleep(Duration::from_millis(200) + self.world.up_to(1_300)).await;
    }

    async fn asked<T>(
        &self,
        place: Place,
        look: impl FnOnce(&World) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        self.gate.pass().await;
        let Some(distance) = self.distance() else {
            sleep(self.world.up_to(30)).await;
            self.gate.pass().await;
            return Err(unavailable(place, "nobody is there"));
        };
        let answer = match self.fate(false) {
            Fate::RequestLost => {
                self.patience().await;
                Err(unavailable(place, "timeout"))
            }
            Fate::ReplyLost => {
                sleep(distance).await;
                let _lost = look(&self.world);
                self.patience().await;
                Err(unavailable(place, "timeout"))
            }
            Fate::Refused => {
                sleep(distance).await;
                Err(unavailable(place, "503"))
            }
            _ => {
                sleep(distance).await;
                let answer = look(&self.world);
                sleep(self.world.up_to(20)).await;
                answer
            }
        };
        self.gate.pass().await;
        answer
    }

    async fn lands(&self, after: Duration, key: &Key, bytes: &Bytes) -> Result<(), StoreError> {
        let (world, node, key, bytes) = (
            Arc::clone(&self.world),
            self.node,
            key.clone(),
            bytes.clone(),
        );
        let landing = tokio::spawn(async move {
            sleep(after).await;
            world.create(Some(node), &key, &bytes)
        });
        landing.await.unwrap()
    }

    async fn write(&self, key: &Key, bytes: &Bytes) -> Result<(), StoreError> {
        self.gate.pass().await;
        let Some(distance) = self.distance() else {
            sleep(self.world.up_to(30)).await;
            self.gate.pass().await;
            return Err(unavailable(key, "nobody is there"));
        };
        let fate = self.fate(true);
        let answer = match fate {
            Fate::Fine => self.lands(distance, key, bytes).await,
            Fate::RequestLost => {
                self.patience().await;
                Err(unavailable(key, "timeout"))
            }
            Fate::ReplyLost => {
                let _lost = self.lands(distance, key, bytes).await;
                self.patience().await;
                Err(unavailable(key, "timeout"))
            }
            Fate::LandsLate => {
                let way = self.clone();
                let (late, key, bytes) = (self.world.up_to(2_500), key.clone(), bytes.clone());
                let there = key.clone();
                tokio::spawn(async move { way.lands(late, &key, &bytes).await });
                self.patience().await;
                Err(unavailable(&there, "timeout"))
            }
            Fate::ErrorAfterDone => {
                let _done = self.lands(distance, key, bytes).await;
                Err(unavailable(key, "500"))
            }
            Fate::Conflict | Fate::Refused => {
                sleep(distance).await;
                Err(unavailable(key, "409"))
            }
        };
        sleep(self.world.up_to(20)).await;
        self.gate.pass().await;
        answer
    }
}

impl Clone for Way {
    fn clone(&self) -> Self {
        Self {
            world: Arc::clone(&self.world),
            node: self.node,
            gate: self.gate.clone(),
        }
    }
}

/// The `Date` of a reply: whole seconds of the store's clock.
fn date(now: Timestamp) -> Timestamp {
    Timestamp::from_unix_ms(now.unix_ms() / 1_000 * 1_000)
}

impl Store for Way {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        Box::pin(async move {
            let found = self
                .asked(key.into(), |world| Ok(world.object(key)))
                .await?;
            let absent = StoreError::NotFound {
                key: key.clone(),
                // It is said when the reply is on its way: later than it was looked, never by more than it took.
                said_at: Some(date(self.world.now())),
            };
            let bytes = found.ok_or(absent)?;
            match key.digest() {
                Some(named) if named != Digest::of(&bytes) => Err(StoreError::Corrupt {
                    key: key.clone(),
                    found: Digest::of(&bytes),
                }),
                _ => Ok(bytes),
            }
        })
    }

    fn put_new<'a>(&'a self, key: &'a Key, bytes: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.write(key, &bytes).await })
    }

    fn list<'a>(
        &'a self,
        folder: Folder,
        after: Option<&'a Key>,
    ) -> BoxFuture<'a, Result<Vec<Key>, StoreError>> {
        Box::pin(async move {
            let mut names = self
                .asked(folder.into(), |world| Ok(world.names(folder)))
                .await?;
            names.retain(|name| after.is_none_or(|after| name > after));
            Ok(names)
        })
    }

    fn get_range<'a>(
        &'a self,
        key: &'a Key,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        Box::pin(async move {
            let bytes = self.get(key).await?;
            let cut = |at: u64| usize::try_from(at).unwrap().min(bytes.len());
            Ok(bytes.slice(cut(range.start)..cut(range.end)))
        })
    }

    fn head<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move { Ok(self.get(key).await?.len() as u64) })
    }

    fn put<'a>(&'a self, key: &'a Key, _: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { panic!("a node never overwrites, but would {key}") })
    }

    fn put_file<'a>(&'a self, key: &'a Key, _: &'a Path) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { panic!("no bundle is uploaded in a simulation, but {key}") })
    }

    fn describe(&self) -> String {
        "simulated".into()
    }
}
