//! `huidu completions`: what a shell needs to complete commands.

use std::io;

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use super::{Cli, context::Context, output::Done};

/// Completions for a shell.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  huidu completions bash > /etc/bash_completion.d/huidu\n  huidu completions zsh > ~/.zfunc/_huidu"
)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, _: &Context) -> Done {
        let mut text = Vec::new();
        generate(self.shell, &mut Cli::command(), "huidu", &mut text);
        let _ = io::Write::write_all(&mut io::stdout().lock(), &text);
        Ok(0)
    }
}
