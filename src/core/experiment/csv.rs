//! A test as a table: one line for each arm and measure, for spreadsheets.
//!
//! Every cell is a name, a version, a number or a word of ours. Names begin with a letter or a digit and hold no comma, quote
//! or sign, so no cell is a formula and none needs quoting. Free texts are left out for that reason.

use std::fmt::Write as _;

use super::{reading::Reading, state::Experiment};
use crate::{
    name::{ExperimentName, Measure},
    stats::experiment::Interval,
    time::Timestamp,
};

/// The first line.
pub const HEAD: &str = "experiment,rule,since,until,verdict,ratio_p,arm,is_control,version,weight,measure,role,units,events,\
mean,mean_low,mean_high,difference,difference_low,difference_high,lift,lift_low,lift_high,chance_to_win,expected_loss,says\n";

/// The lines of one test, added to `table`.
pub fn rows(
    table: &mut String,
    name: &ExperimentName,
    experiment: &Experiment,
    reading: &Reading,
    now: Timestamp,
) {
    let ratio = number(reading.ratio.map(|ratio| ratio.p));
    let before = format!(
        "{name},{},{},{},{},{ratio}",
        experiment.design.rule,
        experiment.since,
        experiment.until(now),
        reading.verdict.word()
    );
    let primary: &Measure = &experiment.design.primary.measure;
    for arm in &reading.arms {
        let of_arm = format!(
            "{before},{},{},{},{}",
            arm.arm, arm.is_control, arm.version, arm.weight
        );
        // Writing to memory does not fail.
        let _ = writeln!(
            table,
            "{of_arm},{primary},primary,{},{},{},{},{},{},{},{},{}",
            arm.units,
            arm.events,
            number(arm.mean),
            bounds(arm.interval),
            interval(arm.difference),
            interval(arm.lift),
            number(arm.chance_to_win),
            number(arm.expected_loss),
            arm.says.map_or("", |says| says.word()),
        );
        for guard in &arm.guards {
            let evidence = guard.evidence;
            let difference = evidence.map_or_else(
                || ",,".to_owned(),
                |it| format!("{},{},{}", it.difference, number(it.low), number(it.high)),
            );
            let _ = writeln!(
                table,
                "{of_arm},{},guard,{},{},{},,,{difference},,,,,,{}",
                guard.measure,
                arm.units,
                guard.events,
                number(evidence.map(|it| it.new)),
                guard.verdict,
            );
        }
    }
}

fn number(number: Option<f64>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}

fn bounds(interval: Option<Interval>) -> String {
    interval.map_or_else(|| ",".to_owned(), |it| format!("{},{}", it.low, it.high))
}

fn interval(interval: Option<Interval>) -> String {
    interval.map_or_else(
        || ",,".to_owned(),
        |it| format!("{},{},{}", it.estimate, it.low, it.high),
    )
}
