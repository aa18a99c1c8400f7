//! `huidu store`: whether the object store keeps the promises huidu builds on.

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;

use super::{
    context::Context,
    output::{Done, table},
    parts,
    serve::SettingsFlags,
};
use crate::store::probe::{self, Depth, Report, Verdict};

/// Look at the object store.
#[derive(Debug, Subcommand)]
pub(super) enum Store {
    /// Try every promise of the store, conditional writes under race above all
    #[command(after_help = "\
Examples:
  huidu store check --config /etc/huidu/huidu.toml
  huidu store check --set store.kind=s3 --set store.endpoints=http://127.0.0.1:8333 --set store.bucket=huidu

Exit code 1: the store is of no use to huidu, or allows one writing node alone.")]
    Check {
        #[command(flatten)]
        settings: SettingsFlags,
        /// A few rounds only, as at every start
        #[arg(long)]
        quick: bool,
    },
}

impl Store {
    pub(super) fn run(self, context: &Context) -> Done {
        let Self::Check { settings, quick } = self;
        let settings = settings.read()?;
        let depth = if quick { Depth::Quick } else { Depth::Full };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        let runtime = runtime.context("no runtime can be started")?;
        let stores = parts::stores(&settings.store)?;
        let report = runtime.block_on(probe::check(&stores, depth));
        context.answer(&json!(report), |_| told(&report));
        Ok(if report.verdict == Verdict::MultiWriter {
            0
        } else {
            1
        })
    }
}

fn told(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .checks
        .iter()
        .map(|check| {
            let kept = if check.passed { "kept" } else { "BROKEN" };
            vec![
                check.name.into(),
                kept.into(),
                check.expected.into(),
                check.seen.clone(),
            ]
        })
        .collect();
    let endpoints = report.endpoints.join(", ");
    let checks = table(&["PROMISE", "", "EXPECTED", "SEEN"], &rows);
    format!("{endpoints}\n{checks}\n{}", report.verdict)
}
