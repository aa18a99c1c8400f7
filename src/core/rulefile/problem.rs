//! `Problem`: one mistake in a text: where, what was written, what is wrong with it, what to do.

use std::fmt;

use serde::Serialize;

/// Most problems that are told at once; beyond that only their number is.
const PROBLEMS_TOLD: usize = 1_000;

/// Where something stands in a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// The file, as it was named; none for a body of the control plane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, from 1, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The character of the line, from 1, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The same as a JSON pointer, such as `/rule/2/share`; empty for the whole.
    pub path: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line, self.column) {
            (Some(file), Some(line), Some(column)) => write!(f, "{file}:{line}:{column}"),
            (Some(file), ..) => f.write_str(file),
            (None, Some(line), Some(column)) => write!(f, "line {line}, column {column}"),
            _ if self.path.is_empty() => f.write_str("/"),
            _ => f.write_str(&self.path),
        }
    }
}

/// One mistake: a fact and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Problem {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What was written there, shortened.
    pub value: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            value,
            message,
            help,
        } = self;
        write!(f, "{place}: `{value}` {message}; {help}")
    }
}

/// Every mistake of one text, in the order of the text; never empty as an error. Prints one line each.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Problems {
    list: Vec<Problem>,
    untold: usize,
}

impl Problems {
    /// The mistakes, at most a thousand of them.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// How many more there are.
    pub const fn untold(&self) -> usize {
        self.untold
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Keeps a problem; one that will not be told is not even made.
    pub(crate) fn push(&mut self, problem: impl FnOnce() -> Problem) {
        if self.list.len() < PROBLEMS_TOLD {
            self.list.push(problem());
        } else {
            self.untold += 1;
        }
    }

    /// In the order of the text, where that is known.
    pub(crate) fn sorted(mut self) -> Self {
        self.list
            .sort_by_key(|problem| (problem.place.line, problem.place.column));
        self
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self {
            list: vec![problem],
            untold: 0,
        }
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        match self.untold {
            0 => Ok(()),
            untold => write!(f, "\nand {untold} more"),
        }
    }
}

impl std::error::Error for Problems {}
