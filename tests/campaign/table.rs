//! The figures of a campaign and their bars, told and judged in one place.
//!
//! Whatever must be zero is judged in every run. A time is judged by the long run alone: the cut runs beside
//! everything else that a machine tests, and a debug build of three nodes on two cores is no measure; it tells
//! its times all the same. What waits for nodes that speak to each other is judged once they do.

use serde_json::json;

use crate::{fleet::has_peers, plan::Plan};

/// A figure, and whether it keeps its bar.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) bar: Bar,
}

/// What a figure must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bar {
    /// Nothing.
    Told,
    /// At most so many milliseconds, in the long run.
    Within(f64),
    /// The same, once nodes speak to each other.
    WithPeers(f64),
    /// At most this, always.
    AtMost(f64),
    /// At least this, always.
    AtLeast(f64),
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: f64, bar: Bar) -> Self {
        Self {
            name: name.into(),
            value: (value * 100.0).round() / 100.0,
            bar,
        }
    }

    /// Whether it keeps its bar, and whether this run judges it.
    fn holds(&self, plan: &Plan) -> (bool, bool) {
        match self.bar {
            Bar::Told => (true, false),
            Bar::Within(most) => (self.value <= most, plan.is_long),
            Bar::WithPeers(most) => (self.value <= most, plan.is_long && has_peers()),
            Bar::AtMost(most) => (self.value <= most, true),
            Bar::AtLeast(least) => (self.value >= least, true),
        }
    }

    fn bar_text(&self) -> String {
        match self.bar {
            Bar::Told => "told".into(),
            Bar::Within(most) => format!("at most {most} in the long run"),
            Bar::WithPeers(most) => format!("at most {most} once nodes tell each other"),
            Bar::AtMost(most) => format!("at most {most}"),
            Bar::AtLeast(least) => format!("at least {least}"),
        }
    }
}

/// Prints the table, and each figure once more for `tests/figures.py`. Answers the names of those that are
/// judged and do not hold.
pub(crate) fn tell(figures: &[Figure], plan: &Plan) -> Vec<String> {
    let mut broken = Vec::new();
    println!("\n{:>10}  {:13}  figure (bar)", "value", "");
    for figure in figures {
        let (holds, judged) = figure.holds(plan);
        let mark = match (figure.bar, holds, judged) {
            (Bar::Told, ..) => "",
            (_, true, _) => "holds",
            (_, false, true) => "DOES NOT HOLD",
            (_, false, false) => "not yet judged",
        };
        if judged && !holds {
            broken.push(figure.name.clone());
        }
        let (value, bar) = (figure.value, figure.bar_text());
        println!("{value:>10}  {mark:13}  {} ({bar})", figure.name);
    }
    for figure in figures {
        let (holds, judged) = figure.holds(plan);
        let line = json!({
            "figure": figure.name,
            "value": figure.value,
            "bar": figure.bar_text(),
            "holds": holds || !judged,
            "command": plan.command(),
        });
        println!("figure-line: {line}");
    }
    broken
}

/// The value below which `share` of the values lie; 0 when there is none.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
}
