//! `huidu rules`: rule files under review in git, applied like code.
//!
//! `rollout-rules/` is intent, the ledger is truth: `plan` shows the difference and how many devices move,
//! `apply` sends it as ordinary changes for the revision that was looked at.

mod eval;
mod load;
mod local;
mod plan;
mod test;

use std::path::PathBuf;

use clap::Subcommand;
use huidu_core::rulefile;
use serde_json::json;

use super::{
    context::Context,
    output::{Done, remark, say},
};

/// Rule files: check, plan, apply, evaluate, test.
#[derive(Debug, Subcommand)]
pub(super) enum Rules {
    /// Read every rule file of a directory and tell every mistake
    #[command(after_help = "Example:\n  huidu rules check rollout-rules")]
    Check {
        /// The directory
        dir: PathBuf,
    },
    /// Show what applying would change, and how many devices would move
    #[command(
        after_help = "Examples:\n  huidu rules plan rollout-rules\n  huidu rules plan rollout-rules --sample polls.jsonl  # and who of these would move\n  huidu rules plan rollout-rules --detailed-exitcode   # 2 when something would change"
    )]
    Plan {
        /// The directory
        dir: PathBuf,
        /// Exit with 2 when something would change
        #[arg(long)]
        detailed_exitcode: bool,
        /// Recorded polls, JSON lines as `rules eval` reads them: counts whom of these it would move
        #[arg(long, value_name = "FILE")]
        sample: Option<PathBuf>,
    },
    /// Put the rollouts of a directory in place: test, plan, ask, apply
    #[command(
        after_help = "Examples:\n  huidu rules apply rollout-rules\n  huidu rules apply rollout-rules --yes --why 'merge request 214'"
    )]
    Apply {
        /// The directory
        dir: PathBuf,
        /// Recorded polls, JSON lines as `rules eval` reads them: counts whom of these it would move
        #[arg(long, value_name = "FILE")]
        sample: Option<PathBuf>,
    },
    /// Answer polls (JSON lines) by one rule file, without a server; versions it names count as listed
    #[command(after_help = "\
A poll is {\"app\", \"host\", \"device\": {\"unit\", …}, \"version\"?, \"failed\"?, \"now\"?, \"segments\"?}; an outcome is
{\"state\", \"version\"?, \"reason\", \"rule\"?, \"arm\"?}, one a line, in order. A layer's slots are given as a
first apply would give them.

Examples:
  huidu rules eval rollout-rules/pingan/travel.toml --polls polls.jsonl
  echo '{\"app\":\"pingan/travel\",\"host\":\"retail-bank\",\"device\":{\"unit\":\"u1\"}}' | huidu rules eval travel.toml")]
    Eval {
        /// The rule file
        file: PathBuf,
        /// The polls; left out: standard input
        #[arg(long)]
        polls: Option<PathBuf>,
    },
    /// Run the cases of a directory: cases/*.toml, device by device
    #[command(after_help = "Example:\n  huidu rules test rollout-rules")]
    Test {
        /// The directory
        dir: PathBuf,
    },
    /// Print the JSON Schema of rule files, for editors
    #[command(after_help = "Example:\n  huidu rules schema > rollout-rules/schema.json")]
    Schema,
}

impl Rules {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::Check { dir } => {
                let files = load::read(&dir)?;
                let told = json!({ "apps": files.iter().map(|file| &file.rollout.app).collect::<Vec<_>>() });
                context.answer(&told, |_| format!("{} rule files are right", files.len()));
                Ok(0)
            }
            Self::Plan {
                dir,
                detailed_exitcode,
                sample,
            } => {
                let sample = plan::sample(sample.as_deref())?;
                let plans = plan::of(context, &load::read(&dir)?, &sample)?;
                plan::show(context, &plans);
                let changes = plans.iter().any(plan::Planned::changes);
                Ok(if changes && detailed_exitcode { 2 } else { 0 })
            }
            Self::Apply { dir, sample } => {
                let files = load::read(&dir)?;
                let tested = test::run(&dir, &files)?;
                if tested > 0 {
                    remark(&format!("{tested} cases pass"));
                }
                let sample = plan::sample(sample.as_deref())?;
                plan::apply(context, &plan::of(context, &files, &sample)?)
            }
            Self::Eval { file, polls } => eval::run(&file, polls.as_deref()),
            Self::Test { dir } => {
                let cases = test::run(&dir, &load::read(&dir)?)?;
                context.answer(&json!({ "passed": cases }), |_| {
                    format!("{cases} cases pass")
                });
                Ok(0)
            }
            Self::Schema => {
                say(&format!("{:#}", rulefile::schema()));
                Ok(0)
            }
        }
    }
}
