//! `huidu member`: the people whose tokens there are.

use clap::Subcommand;
use huidu_core::name::{MemberId, TenantId};
use serde_json::{Value, json};

use super::{
    context::{Basis, Context},
    output::{Done, cell, rows, table},
    token::{ROLES, role_in_words, written},
};
use crate::client::control::Content;

/// People.
#[derive(Debug, Subcommand)]
pub(super) enum Member {
    /// Admit a person, or change what is known of one; another role takes the person's tokens back
    #[command(
        after_help = "Examples:\n  huidu member put lin reviewer --title 林\n  huidu member put ping partner --tenant pingan --issuer https://id.bank --subject u-7"
    )]
    Put {
        /// The person
        member: MemberId,
        /// What the person may do
        #[arg(value_parser = ROLES)]
        role: String,
        /// The partner's tenant
        #[arg(long, required_if_eq("role", "partner"))]
        tenant: Option<TenantId>,
        /// The name people know
        #[arg(long, default_value = "")]
        title: String,
        /// The identity provider, as it names itself
        #[arg(long, requires = "subject")]
        issuer: Option<String>,
        /// Who the person is to the identity provider
        #[arg(long, requires = "issuer")]
        subject: Option<String>,
    },
    /// List people
    #[command(after_help = "Example:\n  huidu member list")]
    List,
    /// Let a person go, and take the person's tokens back
    #[command(after_help = "Example:\n  huidu member remove lin --yes")]
    Remove {
        /// The person
        member: MemberId,
    },
}

impl Member {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::Put {
                member,
                role,
                tenant,
                title,
                issuer,
                subject,
            } => {
                let mut known = json!({ "title": title, "role": written(&role, tenant)? });
                if let (Some(issuer), Some(subject)) = (issuer, subject) {
                    known["identity"] = json!({ "issuer": issuer, "subject": subject });
                }
                let path = format!("/api/v1/members/{member}");
                let done = format!("member `{member}` is a {role}");
                context.change("PUT", &path, Content::Json(known), &Basis::Nothing, &done)
            }
            Self::List => context.show("/api/v1/members", shown),
            Self::Remove { member } => {
                context.confirm(&format!(
                    "Remove member `{member}`: whoever uses its tokens is locked out."
                ))?;
                let path = format!("/api/v1/members/{member}");
                let done = format!("member `{member}` is gone");
                context.change("DELETE", &path, Content::None, &Basis::Nothing, &done)
            }
        }
    }
}

fn shown(list: &Value) -> String {
    let lines: Vec<Vec<String>> = rows(list)
        .iter()
        .map(|member| {
            vec![
                cell(&member["member"]),
                role_in_words(&member["role"]),
                cell(&member["tokens"]),
                cell(&member["identity"]["subject"]),
                cell(&member["title"]),
            ]
        })
        .collect();
    table(&["MEMBER", "ROLE", "TOKENS", "SUBJECT", "TITLE"], &lines)
}
