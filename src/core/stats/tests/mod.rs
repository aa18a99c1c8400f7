//! What statistics must be true of whatever is counted: tables by hand, and properties over random counts.

mod bets;
mod functions;
mod guards;
mod readings;

use proptest::{prelude::*, test_runner::Config};

use super::sample::Sample;

/// Events of units, as a sample.
fn events(units: u64, events: u64) -> Sample {
    Sample::Events { units, events }
}

/// Totals of these numbers.
fn totals(numbers: &[f64]) -> Sample {
    Sample::Totals {
        units: numbers.len() as u64,
        sum: numbers.iter().sum(),
        squares: numbers.iter().map(|x| x * x).sum(),
    }
}

/// Any units and events that can be counted.
fn any_events() -> impl Strategy<Value = Sample> {
    let units = prop_oneof![0_u64..200, 0_u64..1_000_000, 0..=crate::limits::STATS_UNITS];
    (units, 0.0..=1.0_f64, 0_u32..3).prop_map(|(units, part, kind)| {
        let few = (part * 20.0) as u64;
        let some = match kind {
            0 => (units as f64 * part) as u64,
            1 => few,
            _ => units.saturating_sub(few),
        };
        events(units, some.min(units))
    })
}

fn few() -> Config {
    Config::with_cases(300)
}

#[track_caller]
fn near(is: f64, should: f64, within: f64) {
    assert!(
        (is - should).abs() <= within * should.abs().max(1e-300),
        "{is} is not {should}"
    );
}
