//! `huidu host`: bank apps that run mini-programs.

use clap::Subcommand;
use huidu_core::name::HostId;
use serde_json::json;

use super::{
    context::{Basis, Context},
    output::{Done, listed},
};
use crate::client::control::Content;

/// Bank apps that run mini-programs.
#[derive(Debug, Subcommand)]
pub(super) enum Host {
    /// Admit a bank app
    #[command(after_help = "Example:\n  huidu host add retail-bank --title 手机银行")]
    Add {
        /// Its name
        host: HostId,
        /// Its name as people read it
        #[arg(long, default_value = "")]
        title: String,
        /// No customer has it: versions under review are delivered there
        #[arg(long)]
        sandbox: bool,
    },
    /// List bank apps
    #[command(after_help = "Example:\n  huidu host list")]
    List,
}

impl Host {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::Add {
                host,
                title,
                sandbox,
            } => {
                let mut asked = json!({ "host": host, "title": title });
                if sandbox {
                    asked["sandbox"] = json!(true);
                }
                let content = Content::Json(asked);
                let done = format!("bank app `{host}` admitted");
                context.change("POST", "/api/v1/hosts", content, &Basis::Nothing, &done)
            }
            Self::List => context.show("/api/v1/hosts", |list| {
                listed(
                    list,
                    &[("HOST", "host"), ("SANDBOX", "sandbox"), ("TITLE", "title")],
                )
            }),
        }
    }
}
