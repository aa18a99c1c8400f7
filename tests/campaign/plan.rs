//! How much a run does: the cut that runs with every `make test`, or the long run of `make campaign`.

use std::{env, time::Duration};

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) is_long: bool,
    pub(crate) apps: usize,
    /// How long phones are watched before a fault, to compare with.
    pub(crate) calm: Duration,
    /// How long a fault lasts at least.
    pub(crate) fault: Duration,
    /// After how long no more kills are asked for in one row.
    pub(crate) row: Duration,
    /// Polls a second at most, whatever the machine bears: in the cut others use it too.
    pub(crate) polls: f64,
    /// Kills while all is well.
    pub(crate) healthy: usize,
    /// Kills while something is broken that a bar speaks of.
    pub(crate) broken: usize,
    /// Kills in every other row.
    pub(crate) few: usize,
    /// Rounds of kill -9 and start in the row of it.
    pub(crate) crashes: usize,
    pub(crate) seed: u64,
}

impl Plan {
    /// As the environment says: `HUIDU_CAMPAIGN=long`, `HUIDU_SEED`.
    pub(crate) fn of_the_environment() -> Self {
        let seed = env::var("HUIDU_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        let secs = Duration::from_secs;
        if env::var("HUIDU_CAMPAIGN").is_ok_and(|run| run == "long") {
            Self {
                is_long: true,
                apps: 24,
                calm: secs(4),
                fault: secs(10),
                row: secs(70),
                polls: f64::INFINITY,
                healthy: 200,
                broken: 40,
                few: 8,
                crashes: 6,
                seed,
            }
        } else {
            Self {
                is_long: false,
                apps: 10,
                calm: Duration::from_millis(1_500),
                fault: secs(3),
                row: secs(9),
                polls: 600.0,
                healthy: 40,
                broken: 8,
                few: 2,
                crashes: 1,
                seed,
            }
        }
    }

    /// What shows its figures again.
    pub(crate) fn command(&self) -> &'static str {
        if self.is_long {
            "make campaign"
        } else {
            "cargo nextest run --locked -p huidu --test campaign --no-capture"
        }
    }
}
