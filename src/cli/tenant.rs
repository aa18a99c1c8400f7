//! `huidu tenant`: partner merchants.

use clap::Subcommand;
use huidu_core::name::TenantId;
use serde_json::json;

use super::{
    context::{Basis, Context},
    output::{Done, listed},
};
use crate::client::control::Content;

/// Partner merchants.
#[derive(Debug, Subcommand)]
pub(super) enum Tenant {
    /// Admit a tenant
    #[command(after_help = "Example:\n  huidu tenant add pingan --title 平安")]
    Add {
        /// Its name
        tenant: TenantId,
        /// Its name as people read it
        #[arg(long, default_value = "")]
        title: String,
    },
    /// List tenants
    #[command(after_help = "Example:\n  huidu tenant list --json")]
    List,
}

impl Tenant {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::Add { tenant, title } => {
                let content = Content::Json(json!({ "tenant": tenant, "title": title }));
                let done = format!("tenant `{tenant}` admitted");
                context.change("POST", "/api/v1/tenants", content, &Basis::Nothing, &done)
            }
            Self::List => context.show("/api/v1/tenants", |list| {
                listed(list, &[("TENANT", "tenant"), ("TITLE", "title")])
            }),
        }
    }
}
