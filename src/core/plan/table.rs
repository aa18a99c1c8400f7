//! A plan as a table for people.

use std::fmt;

use super::{Fate, Flow, Part, Plan, RuleMoves, VersionMove, WalkMoves};
use crate::version::Number;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.app)?;
        if let Some(stable) = &self.stable {
            writeln!(f, "stable {stable}")?;
        }
        let heads = ["rule", "takes", "gains", "loses", "other arm", ""].map(str::to_owned);
        let rows: Vec<_> = std::iter::once(heads)
            .chain(self.rules.iter().map(row))
            .collect();
        if rows.len() > 1 {
            table(f, &rows)?;
        }
        if !self.reordered.is_empty() {
            let names: Vec<&str> = self.reordered.iter().map(|name| name.as_str()).collect();
            writeln!(f, "in another place: {}", names.join(", "))?;
        }
        writeln!(f)?;
        self.walk.fmt(f)?;
        if let Some(sample) = &self.sample {
            let (polls, gains, loses) = (sample.polls, sample.gains, sample.loses);
            writeln!(
                f,
                "\nof {polls} sampled polls: {gains} gain, {loses} lose, {} switch",
                sample.switches
            )?;
            let flows = sample.flows.iter();
            let rows: Vec<_> = flows
                .map(|flow| {
                    [
                        flow.from.clone(),
                        "->".into(),
                        flow.to.clone(),
                        flow.polls.to_string(),
                    ]
                })
                .collect();
            table(f, &rows)?;
        }
        Ok(())
    }
}

fn row(moves: &RuleMoves) -> [String; 6] {
    let sign = match moves.fate {
        Fate::Stays => "  ",
        Fate::Added => "+ ",
        Fate::Removed => "- ",
    };
    let part = |part: Option<Part>| part.map_or("nobody".to_owned(), |part| part.to_string());
    let takes = match moves.fate {
        Fate::Added => part(moves.after),
        Fate::Removed => part(moves.before),
        Fate::Stays if moves.before == moves.after => part(moves.after),
        Fate::Stays => format!("{} -> {}", part(moves.before), part(moves.after)),
    };
    let mut notes: Vec<String> = moves.versions.iter().map(VersionMove::to_string).collect();
    if !moves.control.is_none() {
        notes.push(format!("{} held on stable to compare with", moves.control));
    }
    if moves.reshuffled {
        notes.push("drawn anew".into());
    }
    if moves.audience_changed {
        notes.push("another audience".into());
    }
    [
        format!("{sign}{}", moves.rule),
        takes,
        moves.gained.to_string(),
        moves.lost.to_string(),
        moves.switched.to_string(),
        notes.join(", "),
    ]
}

/// Rows with aligned columns and nothing after the last.
fn table<const N: usize>(f: &mut fmt::Formatter<'_>, rows: &[[String; N]]) -> fmt::Result {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            line.push_str(&format!("{cell:<wide$}  ", wide = width(column)));
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

impl fmt::Display for VersionMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(arm) = &self.arm {
            write!(f, "{arm}: ")?;
        }
        write!(f, "{} -> {}", version(self.from.as_ref()), self.to)
    }
}

fn version(number: Option<&Number>) -> String {
    number.map_or("none".into(), Number::to_string)
}

impl fmt::Display for WalkMoves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (moved, flows) = match self {
            Self::Exact { moved, flows } => (moved, flows),
            Self::TooIntertwined { .. } => {
                return writeln!(
                    f,
                    "the rules share salts in too many ways to count the whole walk; look at a sample"
                );
            }
        };
        writeln!(
            f,
            "a device that every rule means: {moved} get something else"
        )?;
        let row = |flow: &Flow| {
            [
                version(flow.from.as_ref()),
                "->".to_owned(),
                version(flow.to.as_ref()),
                flow.part.to_string(),
            ]
        };
        table(f, &flows.iter().map(row).collect::<Vec<_>>())
    }
}
