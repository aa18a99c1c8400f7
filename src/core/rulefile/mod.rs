//! Reading rule files and rollout documents: text in, a rollout out, or every mistake at once.
//!
//! A file in `rollout-rules/` (TOML) and a body of the control plane (JSON) become the same small tree
//! of nodes, and one walk turns the tree into a [`Rollout`]. The walk is written by hand, because serde
//! stops at the first mistake and people fix files in one go. Rules that could be read are checked even
//! when others could not. It must never guess what somebody meant, and never read a file itself.

mod audience;
mod node;
mod problem;
mod ramp;
mod rollout;
mod schema;
mod walk;

pub use node::Places;
pub use problem::{Place, Problem, Problems};
pub use schema::{SCHEMA_COMMAND, schema};
pub(crate) use walk::{Here, Table, Walk};

use crate::{
    check::{self, Finding, World},
    limits,
    rollout::Rollout,
};
use node::Source;

/// A rollout that was read, with where everything stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The rollout.
    pub rollout: Rollout,
    /// Where its parts stand in the text.
    pub places: Places,
    /// What somebody should look at, though the rollout is sound.
    pub warnings: Vec<Problem>,
}

/// Reads the rule file `file` with nothing known of the world; `file` is its name for messages.
pub fn parse_toml(file: &str, text: &str) -> Result<Parsed, Problems> {
    parse_toml_in(file, text, &World::default())
}

/// Reads the rule file `file` and checks it against `world`.
pub fn parse_toml_in(file: &str, text: &str, world: &World<'_>) -> Result<Parsed, Problems> {
    parse(Source::toml(file, text), world)
}

/// Reads a rollout document of the control plane with nothing known of the world.
pub fn parse_json(text: &str) -> Result<Parsed, Problems> {
    parse_json_in(text, &World::default())
}

/// Reads a rollout document of the control plane and checks it against `world`.
pub fn parse_json_in(text: &str, world: &World<'_>) -> Result<Parsed, Problems> {
    parse(Source::json(text), world)
}

fn parse(source: Source, world: &World<'_>) -> Result<Parsed, Problems> {
    let (root, mut walk) = open(source)?;
    let sound = rollout::rollout(&mut walk, &Here::root(&root));
    let (source, mut problems) = walk.finish();
    let places = Places::new(source, root);
    let mut warnings = Vec::new();
    if let Some((rollout, numbering)) = &sound {
        for finding in check::check_part(rollout, numbering, world) {
            let is_error = finding.is_error();
            let problem = places.problem(finding);
            if is_error {
                problems.push(|| problem);
            } else {
                warnings.push(problem);
            }
        }
    }
    match sound {
        Some((rollout, _)) if problems.is_empty() => Ok(Parsed {
            rollout,
            places,
            warnings,
        }),
        _ => Err(problems.sorted()),
    }
}

/// The tree of a text and a walk over it, or the one mistake that keeps it from being a tree.
pub(crate) fn open(source: Source) -> Result<(node::Node, Walk), Problems> {
    if source.text().len() > limits::RULE_FILE_BYTES {
        let problem = Problem {
            place: source.place(None, String::new()),
            value: format!("{} bytes", source.text().len()),
            message: format!(
                "are more than the {} of a rule file",
                limits::RULE_FILE_BYTES
            ),
            help: "move long lists of units into segments".to_owned(),
        };
        return Err(Problems::from(problem));
    }
    let root = source.tree()?;
    Ok((root, Walk::new(source)))
}

/// A TOML text as the tree and walk that every file of `rollout-rules/` is read by.
pub(crate) fn open_toml(file: &str, text: &str) -> Result<(node::Node, Walk), Problems> {
    open(Source::toml(file, text))
}

impl Places {
    /// A finding of [`check::check`] with where it stands in the text.
    pub fn problem(&self, finding: Finding) -> Problem {
        Problem {
            place: self.of_value(&finding.path, &finding.value),
            value: finding.value,
            message: finding.message,
            help: finding.help,
        }
    }
}

#[cfg(test)]
pub(crate) mod generate;
#[cfg(test)]
mod tests;
