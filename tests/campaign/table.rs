//! The figures of a campaign and their bars, told and judged in one place.
//!
//! Whatever must be zero is judged in every run. A time is judged by the long run alone: the cut runs beside
//! everything else that a machine tests, and a debug build of three nodes on two cores is no measure; it tells
//! its times all the same.

use serde_json::json;

use crate::plan::Plan;

/// A figure, and whether it keeps its bar.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) bar: Bar,
    /// The scene that it is of, and its column there.
    pub(crate) of: Option<(String, &'static str)>,
}

/// The columns of a scene: of the kills under way, and of the polls that nobody broke.
pub(crate) const COLUMNS: [&str; 12] = [
    "kills", "p50", "p99", "max", "asked", "asked99", "unacked", "prov", "failing", "before",
    "during", "ratio",
];

/// What a figure must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bar {
    /// Nothing.
    Told,
    /// At most so many milliseconds, in the long run.
    Within(f64),
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
            of: None,
        }
    }

    /// Whether it keeps its bar, and whether this run judges it.
    fn holds(&self, plan: &Plan) -> (bool, bool) {
        match self.bar {
            Bar::Told => (true, false),
            Bar::Within(most) => (self.value <= most, plan.is_long),
            Bar::AtMost(most) => (self.value <= most, true),
            Bar::AtLeast(least) => (self.value >= least, true),
        }
    }

    fn bar_text(&self) -> String {
        match self.bar {
            Bar::Told => "told".into(),
            Bar::Within(most) => format!("at most {most} in the long run"),
            Bar::AtMost(most) => format!("at most {most}"),
            Bar::AtLeast(least) => format!("at least {least}"),
        }
    }
}

/// Prints the table, and each figure once more for `tests/figures.py`. Answers the names of those that are
/// judged and do not hold.
pub(crate) fn tell(figures: &[Figure], plan: &Plan) -> Vec<String> {
    scenes(figures);
    let mut broken = Vec::new();
    println!("\n{:>10}  {:14}  figure (bar)", "value", "");
    for figure in figures {
        let (holds, judged) = figure.holds(plan);
        if judged && !holds {
            broken.push(figure.name.clone());
        }
        let is_shown = figure.of.is_some();
        let mark = match (figure.bar, holds, judged) {
            (Bar::Told, ..) if is_shown => continue,
            // Of a scene, and as it should be: the table above says it.
            (Bar::AtMost(_), true, true) if is_shown => continue,
            (Bar::Told, ..) => "",
            (_, true, _) => "holds",
            (_, false, true) => "DOES NOT HOLD",
            (_, false, false) => "not yet judged",
        };
        let (value, bar) = (figure.value, figure.bar_text());
        println!("{value:>10}  {mark:14}  {} ({bar})", figure.name);
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

/// A line for each scene: its kills, from the acknowledgement to the last node (p50, p99, max, ms), how long
/// the answer took (asked: p50, asked99: p99, ms), and its polls, p99 in ms before and during it.
fn scenes(figures: &[Figure]) {
    let mut lines: Vec<(&str, [Option<f64>; COLUMNS.len()])> = Vec::new();
    for figure in figures {
        let Some((scene, column)) = &figure.of else {
            continue;
        };
        if lines.last().is_none_or(|(name, _)| name != scene) {
            lines.push((scene, [None; COLUMNS.len()]));
        }
        let at = COLUMNS.iter().position(|name| name == column);
        if let (Some((_, cells)), Some(at)) = (lines.last_mut(), at) {
            cells[at] = Some(figure.value);
        }
    }
    let titles = COLUMNS.map(|name| format!("{name:>9}"));
    println!("\n{:46}{}", "scene", titles.concat());
    for (scene, cells) in lines {
        let cells = cells.map(|cell| match cell {
            Some(value) => format!("{value:>9}"),
            None => format!("{:>9}", "-"),
        });
        println!("{scene:46}{}", cells.concat());
    }
}

/// The value below which `share` of the values lie; 0 when there is none.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
}
