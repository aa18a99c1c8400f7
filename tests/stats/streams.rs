//! Streams of devices: fifty more in each cohort at every look, up to 40 000, some of which fail; and whoever looks
//! decides whether to stop. It knows no test: right and wrong ones are tried by the same streams.

use std::{env, fs, path::Path};

use serde_json::json;

/// Devices that each cohort gains between two looks.
pub(crate) const PER_LOOK: u64 = 50;
/// Looks of a whole stream: 40 000 devices in each cohort.
pub(crate) const LOOKS: u64 = 800;
/// All chance comes from here.
const SEED: u64 = 20_261_127;

/// What is known at a look.
#[derive(Clone, Copy)]
pub(crate) struct Counts {
    /// Devices of each cohort.
    pub(crate) units: u64,
    /// Those of the new version that failed.
    pub(crate) new: u64,
    /// Those of the control that failed.
    pub(crate) control: u64,
}

/// `SplitMix64`: small, well spread, and the same everywhere.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// How many of a look's devices fail, when each does with one probability: by the cumulative binomial.
pub(crate) struct Failing(Vec<u64>);

impl Failing {
    pub(crate) fn of(units: u64, rate: f64) -> Self {
        let (mut term, mut sum) = ((1.0 - rate).powi(units as i32), 0.0);
        let mut below = Vec::new();
        for k in 0..units {
            sum += term;
            below.push((f64::min(sum, 1.0) * u64::MAX as f64) as u64);
            term *= (units - k) as f64 / (k + 1) as f64 * rate / (1.0 - rate);
        }
        Self(below)
    }

    pub(crate) fn draw(&self, chance: &mut Chance) -> u64 {
        let word = chance.next();
        let mut failed = 0;
        while failed < self.0.len() && word > self.0[failed] {
            failed += 1;
        }
        failed as u64
    }
}

/// The rates of a stream: of the new version and of the control at each look.
pub(crate) trait World {
    /// A stream's own events, such as when an outage begins.
    fn begin(&mut self, _chance: &mut Chance) {}
    /// What fails in the new version and in the control at this look, from 1.
    fn failing(&self, look: u64) -> (&Failing, &Failing);
}

/// Rates that stay as they are.
pub(crate) struct Steady(pub(crate) Failing, pub(crate) Failing);

impl Steady {
    pub(crate) fn rates(new: f64, control: f64) -> Self {
        Self(Failing::of(PER_LOOK, new), Failing::of(PER_LOOK, control))
    }
}

impl World for Steady {
    fn failing(&self, _: u64) -> (&Failing, &Failing) {
        (&self.0, &self.1)
    }
}

/// After how many devices of each cohort each stream was stopped.
pub(crate) struct Stops(Vec<Option<u64>>);

/// How many streams to try.
pub(crate) fn streams() -> u64 {
    let told = env::var("HUIDU_STREAMS").ok();
    told.map_or(10_000, |told| {
        told.parse().expect("HUIDU_STREAMS is a number")
    })
}

/// Lets so many streams run until whoever looks says stop.
pub(crate) fn run(
    streams: u64,
    world: &mut impl World,
    mut stops: impl FnMut(&Counts) -> bool,
) -> Stops {
    let stop = |stream: u64| {
        let mut chance = Chance(SEED ^ stream.wrapping_mul(0xd134_2543_de82_ef95));
        world.begin(&mut chance);
        let mut counts = Counts {
            units: 0,
            new: 0,
            control: 0,
        };
        (1..=LOOKS).find_map(|nth| {
            let (new, control) = world.failing(nth);
            counts.units += PER_LOOK;
            counts.new += new.draw(&mut chance);
            counts.control += control.draw(&mut chance);
            stops(&counts).then_some(counts.units)
        })
    };
    Stops((0..streams).map(stop).collect())
}

impl Stops {
    /// How many streams there were.
    pub(crate) fn streams(&self) -> usize {
        self.0.len()
    }

    /// The share of streams that were stopped, in percent.
    pub(crate) fn percent(&self) -> f64 {
        let stopped = self.0.iter().flatten().count();
        100.0 * stopped as f64 / self.0.len() as f64
    }

    /// Devices of each cohort after which half of the streams were stopped.
    pub(crate) fn median(&self) -> u64 {
        let mut units: Vec<u64> = self
            .0
            .iter()
            .map(|units| units.unwrap_or(u64::MAX))
            .collect();
        units.sort_unstable();
        units[units.len() / 2]
    }

    /// Keeps the curve for the pictures: the percentage that was stopped by each look at which one was.
    pub(crate) fn keep(&self, name: &str) {
        let mut units: Vec<u64> = self.0.iter().flatten().copied().collect();
        units.sort_unstable();
        let mut curve = Vec::new();
        for (nth, at) in units.iter().enumerate() {
            if units.get(nth + 1) != Some(at) {
                curve.push((*at, 100.0 * (nth + 1) as f64 / self.0.len() as f64));
            }
        }
        keep(
            name,
            &json!({ "name": name, "streams": self.0.len(), "curve": curve }),
        );
    }
}

/// Keeps what was measured, for `tests/stats/plot.py`.
pub(crate) fn keep(name: &str, what: &serde_json::Value) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stats");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{name}.json")), what.to_string()).unwrap();
}
