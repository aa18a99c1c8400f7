//! `huidu op`: what became of a change whose end was not known.

use clap::Args;

use super::{
    context::Context,
    output::{Done, outlined},
};
use crate::client::escaped;

/// What became of a change.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  huidu op 01KAT3Z0Q7V3M5N8XB2R4C6D9E\n\nExit code 4: still not known."
)]
pub(super) struct Op {
    /// Its op id, or the key it was asked under (`--op`) by the same credential
    op: String,
}

impl Op {
    pub(super) fn run(self, context: &Context) -> Done {
        let reply = context
            .control()?
            .get(&format!("/api/v1/ops/{}", escaped(&self.op)))?;
        context.answer(&reply.document, outlined);
        Ok(if reply.document["state"] == "unknown" {
            4
        } else {
            0
        })
    }
}
