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
    /// Give a tenant a grade: its apps may ask for everything up to it
    #[command(after_help = "Example:\n  huidu tenant grade pingan personal")]
    Grade {
        /// The tenant
        tenant: TenantId,
        /// Its grade
        #[arg(value_parser = ["basic", "personal", "sensitive", "critical"])]
        grade: String,
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
            Self::Grade { tenant, grade } => {
                let content = Content::Json(json!({ "grade": grade }));
                let path = format!("/api/v1/tenants/{tenant}/grade");
                let done = format!("tenant `{tenant}` has the grade {grade}");
                context.change("PUT", &path, content, &Basis::Nothing, &done)
            }
            Self::List => context.show("/api/v1/tenants", |list| {
                listed(list, &[("TENANT", "tenant"), ("TITLE", "title")])
            }),
        }
    }
}
