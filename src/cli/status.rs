//! `huidu status`: what the server says of itself.

use clap::Args;

use super::{
    context::Context,
    output::{Done, outlined},
};

/// What the server says of itself.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  huidu status --server http://10.0.0.5:8081")]
pub(super) struct Status {}

impl Status {
    pub(super) fn run(self, context: &Context) -> Done {
        context.show("/api/v1/status", outlined)
    }
}
