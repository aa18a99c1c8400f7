//! `huidu`: parse what was typed, run it, exit with a code that says how it went.

use std::process::ExitCode;

use clap::Parser as _;
use huidu::cli::{Cli, run};

fn main() -> ExitCode {
    run(Cli::parse())
}
