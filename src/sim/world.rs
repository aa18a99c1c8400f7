//! The world of one seed: its time, its chance, its weather and its trace. Nothing in it knows of the time or the
//! chance of the machine it runs on, so the same seed is the same story.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    hash::{DefaultHasher, Hasher as _},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use huidu_core::{digest::Digest, time::Timestamp};
use tokio::time::Instant;

use super::{kills::Promises, process::Place, store::Objects, truth::Truth};

/// How long nothing is lost at the beginning of a story, so that it begins with nodes that serve.
const CALM_MS: u64 = 700;

/// How many of what there is, and what may go wrong, in one seed.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) nodes: usize,
    pub(super) devices: usize,
    pub(super) clerks: usize,
    /// Of 1 000 requests to the store, so many go wrong in some way.
    pub(super) store_faults: u32,
    /// Of 1 000 messages, so many are lost; as many are late, and as many come twice.
    pub(super) message_faults: u32,
    /// How long things go wrong, in milliseconds.
    pub(super) stormy_ms: u64,
    /// The store lets several writers win one slot.
    pub(super) is_multi_winner: bool,
    /// Somebody else can write to the bucket.
    pub(super) has_intruder: bool,
}

impl Plan {
    /// What `seed` stands for.
    pub(super) fn of(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x70_1a_4e);
        Self {
            seed,
            nodes: rng.usize(3..=4),
            devices: rng.usize(2..=3),
            clerks: rng.usize(2..=4),
            store_faults: [10, 40, 120][rng.usize(0..3)],
            message_faults: [10, 100, 400][rng.usize(0..3)],
            stormy_ms: rng.u64(5_000..=11_000),
            is_multi_winner: seed % 10 == 3,
            // A forged record follows whatever is there, so after two winners it would be of both histories.
            has_intruder: rng.u8(0..4) == 0 && seed % 10 != 3,
        }
    }
}

/// What is down, and for whom.
#[derive(Debug, Default)]
pub(super) struct Weather {
    pub(super) store_down: bool,
    pub(super) store_slow_ms: u64,
    pub(super) bus_down: bool,
    /// Nodes that reach neither store nor bus nor one another.
    pub(super) cut_off: Vec<usize>,
    /// Nothing goes wrong any more.
    pub(super) is_calm: bool,
}

/// What happened, in order.
#[derive(Default)]
pub(super) struct Trace {
    hasher: DefaultHasher,
    line: String,
    pub(super) lines: Option<Vec<String>>,
    pub(super) faults: BTreeMap<&'static str, u64>,
    pub(super) counts: BTreeMap<&'static str, u64>,
    pub(super) violations: Vec<String>,
}

/// The world of one seed.
pub(super) struct World {
    pub(super) plan: Plan,
    begun: Instant,
    begins_at: Timestamp,
    rng: Mutex<fastrand::Rng>,
    trace: Mutex<Trace>,
    pub(super) weather: Mutex<Weather>,
    pub(super) objects: Mutex<Objects>,
    pub(super) truth: Mutex<Truth>,
    pub(super) promises: Mutex<Promises>,
    pub(super) places: Vec<Place>,
    series: Mutex<u64>,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked ends the story; what came before it is still to be told.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(super) fn new(
        plan: Plan,
        begins_at: Timestamp,
        objects: Objects,
        truth: Truth,
        keeps_lines: bool,
    ) -> Self {
        let mut rng = fastrand::Rng::with_seed(plan.seed);
        let is_real = plan.seed != 0;
        let mut place = |_| {
            let skewed = is_real && rng.u8(0..3) == 0;
            let skew_ms = if skewed {
                rng.i64(-600_000..=600_000)
            } else {
                0
            };
            Place::new(skew_ms)
        };
        let places = (0..plan.nodes).map(&mut place).collect();
        Self {
            begun: Instant::now(),
            begins_at,
            trace: Mutex::new(Trace {
                lines: keeps_lines.then(Vec::new),
                ..Trace::default()
            }),
            weather: Mutex::new(Weather {
                is_calm: !is_real,
                ..Weather::default()
            }),
            objects: Mutex::new(objects),
            truth: Mutex::new(truth),
            promises: Mutex::default(),
            places,
            series: Mutex::new(plan.seed.wrapping_mul(1 << 20)),
            rng: Mutex::new(rng),
            plan,
        }
    }

    /// The true time of day.
    pub(super) fn now(&self) -> Timestamp {
        self.begins_at.plus_ms(self.elapsed_ms())
    }

    pub(super) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap()
    }

    /// Draws by chance.
    pub(super) fn draw<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut locked(&self.rng))
    }

    /// True `of_1000` times in 1 000, while anything may go wrong.
    pub(super) fn strikes(&self, of_1000: u32) -> bool {
        let is_calm = locked(&self.weather).is_calm || self.elapsed_ms() < CALM_MS;
        !is_calm && self.draw(|rng| rng.u32(0..1_000)) < of_1000
    }

    pub(super) fn up_to(&self, ms: u64) -> Duration {
        Duration::from_millis(self.draw(|rng| rng.u64(0..=ms)))
    }

    /// A series of ids that nobody else has.
    pub(super) fn series(&self) -> u64 {
        let mut series = locked(&self.series);
        *series += 1;
        *series % (1 << 47)
    }

    /// Notes what happened.
    pub(super) fn say(&self, what: fmt::Arguments<'_>) {
        let ms = self.elapsed_ms();
        let trace = &mut *locked(&self.trace);
        trace.line.clear();
        let _ = write!(trace.line, "{ms:>6} {what}");
        trace.hasher.write(trace.line.as_bytes());
        if let Some(lines) = &mut trace.lines {
            lines.push(trace.line.clone());
        }
    }

    /// Notes a fault that was let happen.
    pub(super) fn fault(&self, kind: &'static str) {
        *locked(&self.trace).faults.entry(kind).or_default() += 1;
    }

    /// Counts something.
    pub(super) fn count(&self, kind: &'static str) {
        *locked(&self.trace).counts.entry(kind).or_default() += 1;
    }

    /// Notes that a promise was broken.
    pub(super) fn broken(&self, promise: &str, how: fmt::Arguments<'_>) {
        self.say(format_args!("BROKEN {promise}: {how}"));
        locked(&self.trace)
            .violations
            .push(format!("{promise}: {how}"));
    }

    pub(super) fn is_broken(&self) -> bool {
        !locked(&self.trace).violations.is_empty()
    }

    /// What came of it.
    pub(super) fn end(&self) -> Ended {
        let trace = &mut *locked(&self.trace);
        Ended {
            seed: self.plan.seed,
            hash: trace.hasher.finish(),
            lines: trace.lines.take().unwrap_or_default(),
            faults: std::mem::take(&mut trace.faults),
            counts: std::mem::take(&mut trace.counts),
            violations: std::mem::take(&mut trace.violations),
        }
    }
}

/// What came of a seed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) seed: u64,
    pub(super) hash: u64,
    pub(super) lines: Vec<String>,
    pub(super) faults: BTreeMap<&'static str, u64>,
    pub(super) counts: BTreeMap<&'static str, u64>,
    pub(super) violations: Vec<String>,
}

/// The beginning of a digest, for the trace.
pub(super) fn short(digest: &Digest) -> String {
    digest.to_hex()[..8].to_owned()
}
