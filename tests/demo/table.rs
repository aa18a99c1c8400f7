//! What was observed beside what was intended, with the interval that chance allows.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// The story in rows. Holds no time and no place, so two runs of one story are the same text.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<[String; 7]>,
    wrong: Vec<String>,
}

/// The 95 % interval of a share, by Wilson's score.
pub(crate) fn wilson(hits: usize, of: usize, z: f64) -> (f64, f64) {
    let (n, p) = (of as f64, hits as f64 / of as f64);
    let middle = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    ((middle - half) / scale, (middle + half) / scale)
}

/// What 95 % of intervals hold.
const LIKELY: f64 = 1.96;
/// What all but one in ten thousand intervals hold: beyond it, something is wrong.
const CREDIBLE: f64 = 3.89;

impl Table {
    /// `hits` of `of` devices got `what`, where `intended` of them should.
    pub(crate) fn row(
        &mut self,
        step: &str,
        cohort: &str,
        what: &str,
        hits: usize,
        of: usize,
        intended: f64,
    ) {
        let observed = hits as f64 / of as f64;
        let (low, high) = wilson(hits, of, LIKELY);
        let (least, most) = wilson(hits, of, CREDIBLE);
        // All and nobody are promises, not probabilities.
        let is_right = if intended == 0.0 || intended == 1.0 {
            observed == intended
        } else {
            least <= intended && intended <= most
        };
        let percent = |share: f64| format!("{:.2}%", 100.0 * share.max(0.0));
        self.rows.push([
            step.into(),
            cohort.into(),
            what.into(),
            format!("{hits} of {of}"),
            percent(observed),
            percent(intended),
            format!("{} .. {}", percent(low), percent(high)),
        ]);
        if !is_right {
            self.wrong.push(format!(
                "{step}: {cohort}, {what}: {hits} of {of}, intended {}",
                percent(intended)
            ));
        }
    }

    /// A sentence that must be true.
    pub(crate) fn holds(&mut self, sentence: &str, is_true: bool) {
        self.rows.push([
            String::new(),
            sentence.into(),
            if is_true { "holds" } else { "BROKEN" }.into(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
        ]);
        if !is_true {
            self.wrong.push(sentence.into());
        }
    }

    /// What is wrong; empty when all is well.
    pub(crate) fn wrong(&self) -> &[String] {
        &self.wrong
    }

    /// The table, and the digest of its text.
    pub(crate) fn text(&self) -> (String, String) {
        let heads = [
            "step",
            "who",
            "got",
            "devices",
            "share",
            "intended",
            "95% interval",
        ]
        .map(str::to_owned);
        let all: Vec<_> = std::iter::once(&heads).chain(&self.rows).collect();
        let width = |column: usize| {
            // A sentence may run over the columns behind it.
            let cells = all.iter().filter(|row| !row[3].is_empty());
            cells.map(|row| row[column].len()).max().unwrap_or(0)
        };
        let mut text = String::new();
        for row in &all {
            let mut line = String::new();
            if row[3].is_empty() {
                let _ = write!(line, "{:w$}  {}: {}", "", row[1], row[2], w = width(0));
            } else {
                for (column, cell) in row.iter().enumerate() {
                    let _ = write!(line, "{cell:w$}  ", w = width(column));
                }
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
        (text, digest)
    }
}
