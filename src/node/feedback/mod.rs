//! What devices reported: taken in at the door, told to the other nodes, kept in the store.
//!
//! ```text
//! mod.rs       the door: which events are new, and what they count for
//! registers.rs what events can count for, by what they say
//! keep.rs      the tasks behind it: twice a second to the other nodes, once a minute to the store
//! steps.rs     what ramps are judged by
//! arms.rs      what experiments are read from
//! tests.rs     several nodes without a network
//! ```
//!
//! An event is answered when its id is new on this node, and counts with the next flush, when no other node has claimed
//! that id. This life's numbers are told whole, never by how much they grew ([`huidu_core::feedback`]): a flush that is
//! repeated, or whose answer is lost, changes nothing. What a process that is killed has not flushed is lost, and
//! nothing else. Memory is bounded everywhere; beyond a bound devices are told to come back.

mod arms;
mod keep;
mod registers;
mod steps;

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use huidu_core::{
    feedback::{
        Book, Bounds, EventId, Life, Recent, Register, Seen, Sheet, Told, Total, minute_of,
    },
    limits,
    name::AppId,
    time::Timestamp,
};

use self::registers::{Entry, Registers};
pub use self::{
    keep::{FLUSH, Keeper},
    registers::{Source, Unknown},
};
use crate::metrics::Metrics;

/// Independent parts of what is remembered, so that cores seldom wait for one another.
const SHARDS: usize = 16;
/// Events that may wait for the next flush.
const WAITING: usize = 1_000_000;
/// Events that counted while nobody could say whether another node had them, kept until somebody can.
const UNCHECKED: usize = 1_000_000;

/// Why something was not exchanged; what was to be told is told another time.
pub type ExchangeError = Box<dyn std::error::Error + Send + Sync>;

/// An exchange with the other nodes under way.
pub type Exchanged<'a, T> = Pin<Box<dyn Future<Output = Result<T, ExchangeError>> + Send + 'a>>;

/// What the other nodes remembered of a life before it told them something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remembered {
    /// What was told before.
    All,
    /// Nothing: it was the first time, or they have forgotten.
    Nothing,
}

/// Where nodes tell one another their counts. Nothing that lies there is needed: it makes counts quick, not safe.
pub trait Exchange: Send + Sync + 'static {
    /// Claims ids for `life`; says of each whether it is its own. Claiming again says the same.
    fn claim<'a>(&'a self, life: &'a Life, ids: &'a [u64]) -> Exchanged<'a, Vec<bool>>;

    /// Tells a sheet of `life` to all who hear.
    fn tell<'a>(&'a self, life: &'a Life, sheet: Vec<u8>) -> Exchanged<'a, Remembered>;

    /// What was told by others than `life` since the last call; waits a while for something.
    fn hear<'a>(&'a self, life: &'a Life) -> Exchanged<'a, Vec<Bytes>>;
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is new here.
    New,
    /// It was taken before.
    Duplicate,
    /// There is no room; it may come back.
    NoRoom,
}

/// One event on its way into the book.
struct Waiting {
    id: u64,
    entry: Arc<Entry>,
    minute: u32,
    times: u32,
}

struct Shard {
    recent: Recent,
    waiting: Vec<Waiting>,
}

/// The counts of this node, and what it knows of the others'.
pub struct Feedback {
    metrics: Arc<Metrics>,
    life: Life,
    registers: Registers,
    shards: Vec<Mutex<Shard>>,
    waiting: AtomicUsize,
    unchecked: Mutex<VecDeque<Waiting>>,
    book: Mutex<Book>,
    /// What lay in the store at the start is in the book.
    has_read: AtomicBool,
}

impl Feedback {
    /// Everything at zero, for a run called `life`.
    pub fn new(metrics: Arc<Metrics>, life: Life) -> Self {
        let shard = || {
            Mutex::new(Shard {
                recent: Recent::new(limits::EVENT_WINDOW_MS, limits::EVENT_IDS / SHARDS),
                waiting: Vec::new(),
            })
        };
        Self {
            registers: Registers::new(Arc::clone(&metrics)),
            metrics,
            life,
            shards: (0..SHARDS).map(|_| shard()).collect(),
            waiting: AtomicUsize::new(0),
            unchecked: Mutex::default(),
            book: Mutex::new(Book::new(Bounds {
                cells_of_app: limits::FEEDBACK_CELLS,
                places: limits::FEEDBACK_PLACES,
            })),
            has_read: AtomicBool::new(false),
        }
    }

    /// This run of this node.
    pub const fn life(&self) -> &Life {
        &self.life
    }

    /// Takes in an event that has a name. It counts in the minute in which it happened, unless that is too long ago.
    #[expect(
        clippy::too_many_arguments,
        reason = "everything an event says meets here, once"
    )]
    pub fn take(
        &self,
        key: &mut String,
        source: &Source<'_>,
        told: Told<'_>,
        id: EventId,
        times: u32,
        ago_s: u64,
        now: Timestamp,
    ) -> Result<Taken, Unknown> {
        let known = |cell: &_| self.book().has(cell);
        let entry = self.registers.entry(key, source, told, &known)?;
        if self.waiting.load(Ordering::Relaxed) >= WAITING {
            return Ok(Taken::NoRoom);
        }
        let now_ms = now.unix_ms();
        let ago_s = if ago_s > limits::EVENT_AGO_S {
            0
        } else {
            ago_s
        };
        let minute = minute_of(now_ms.saturating_sub(ago_s * 1_000));
        let id = id.fingerprint();
        let mut shard = locked(&self.shards[id as usize % SHARDS]);
        let seen = shard.recent.see(id, now_ms);
        if seen == Seen::New {
            entry.show(u64::from(times));
            shard.waiting.push(Waiting {
                id,
                entry,
                minute,
                times,
            });
            drop(shard);
            self.waiting.fetch_add(1, Ordering::Relaxed);
        }
        Ok(match seen {
            Seen::New => Taken::New,
            Seen::Before => Taken::Duplicate,
            Seen::NoRoom => Taken::NoRoom,
        })
    }

    /// Shows an event without a name in the metrics alone: nobody can say whether it was told before.
    pub fn show(&self, key: &mut String, source: &Source<'_>, told: Told<'_>, times: u64) {
        self.registers.shown(key, source, told).show(times);
    }

    /// What every cell of `app` came to over all nodes, from `from` until before `until`, in whole minutes. What this
    /// node took in and has not flushed is not in it yet.
    pub fn totals(&self, app: &AppId, from: Timestamp, until: Timestamp) -> Vec<Total> {
        let until = minute_of(until.unix_ms().saturating_add(59_999));
        self.book().totals(app, minute_of(from.unix_ms()), until)
    }

    /// Everything shown in metrics, sorted by name.
    pub fn snapshot(&self) -> Vec<(String, u64)> {
        self.registers.snapshot()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        locked(&self.book)
    }

    /// What waits, off the list.
    fn drain(&self) -> Vec<Waiting> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.append(&mut locked(shard).waiting);
        }
        self.waiting.fetch_sub(all.len(), Ordering::Relaxed);
        all
    }

    /// Counts what is ours. `withdrawn`: counts that it should not have been counted.
    fn count(&self, events: &[Waiting], withdrawn: bool) {
        let mut sums: HashMap<(*const Entry, u32), (&Arc<Entry>, u64)> = HashMap::new();
        for event in events {
            let of = (Arc::as_ptr(&event.entry), event.minute);
            sums.entry(of).or_insert((&event.entry, 0)).1 += u64::from(event.times);
        }
        let mut book = self.book();
        for ((_, minute), (entry, times)) in sums {
            let Some((cell, kind)) = entry.counts_for() else {
                continue;
            };
            let register = Register {
                kind: kind.clone(),
                withdrawn,
            };
            if let Some(cell) = book.cell(cell) {
                book.count(&self.life, cell, minute, &register, times);
            }
        }
    }

    fn hear(&self, bytes: &[u8], now: Timestamp) {
        match Sheet::decode(bytes) {
            Ok(sheet) => self.book().hear(&sheet, minute_of(now.unix_ms())),
            Err(_) => self.metrics.feedback_unread.inc(),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
