//! `huidu token`: credentials. A token is shown once, when it is given out.

use clap::Subcommand;
use huidu_core::{
    authority::Role,
    name::{MemberId, TenantId},
};
use serde_json::{Value, json};

use super::{
    context::{Basis, Context},
    output::{Done, Failure, cell, rows, table},
};
use crate::client::{control::Content, escaped};

/// What a credential, or a person, may do.
pub(super) const ROLES: [&str; 7] = [
    "admin",
    "release-manager",
    "sre",
    "reviewer",
    "security",
    "auditor",
    "partner",
];

/// Credentials.
#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Give out a credential; it is shown once
    #[command(
        after_help = "Examples:\n  huidu token add release-manager --note 'CI of the release team'\n  huidu token add partner --tenant pingan\n  huidu token add reviewer --member lin"
    )]
    Add {
        /// What it may do
        #[arg(value_parser = ROLES)]
        role: String,
        /// The partner's tenant
        #[arg(long, required_if_eq("role", "partner"))]
        tenant: Option<TenantId>,
        /// Who or what it is for
        #[arg(long, default_value = "")]
        note: String,
        /// Whose it is: only a member's token can approve
        #[arg(long)]
        member: Option<MemberId>,
    },
    /// List credentials, never their secrets
    #[command(after_help = "Example:\n  huidu token list")]
    List,
    /// Take a credential back
    #[command(after_help = "Example:\n  huidu token revoke 7kq2 --yes")]
    Revoke {
        /// Its public name
        id: String,
    },
}

impl Token {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::Add {
                role,
                tenant,
                note,
                member,
            } => {
                let mut asked = json!({ "role": written(&role, tenant)?, "note": note });
                if let Some(member) = member {
                    asked["member"] = json!(member);
                }
                let content = Content::Json(asked);
                let reply =
                    context.ask("POST", "/api/v1/tokens", content, &Basis::Nothing, &|_| {})?;
                context.answer(&reply.document, |given| {
                    let secret = given["token"]
                        .as_str()
                        .unwrap_or("(shown when it was first given out)");
                    format!(
                        "{secret}\nid {}; keep the token now, it is not shown again",
                        cell(&given["id"])
                    )
                });
                Ok(0)
            }
            Self::List => context.show("/api/v1/tokens", shown),
            Self::Revoke { id } => {
                context.confirm(&format!(
                    "Revoke token `{id}`: whoever uses it is locked out."
                ))?;
                let path = format!("/api/v1/tokens/{}", escaped(&id));
                let done = format!("token `{id}` is revoked");
                context.change("DELETE", &path, Content::None, &Basis::Any, &done)
            }
        }
    }
}

pub(super) fn written(role: &str, tenant: Option<TenantId>) -> Result<Role, Failure> {
    Ok(match (role, tenant) {
        ("admin", None) => Role::Admin,
        ("release-manager", None) => Role::ReleaseManager,
        ("sre", None) => Role::Sre,
        ("reviewer", None) => Role::Reviewer,
        ("security", None) => Role::Security,
        ("auditor", None) => Role::Auditor,
        ("partner", Some(tenant)) => Role::Partner(tenant),
        _ => {
            return Err(Failure::Usage(
                "--tenant goes with the role partner alone".into(),
            ));
        }
    })
}

fn shown(list: &Value) -> String {
    let lines: Vec<Vec<String>> = rows(list)
        .iter()
        .map(|token| {
            vec![
                cell(&token["id"]),
                role_in_words(&token["role"]),
                cell(&token["member"]),
                cell(&token["note"]),
            ]
        })
        .collect();
    table(&["ID", "ROLE", "MEMBER", "NOTE"], &lines)
}

/// A role as people read it.
pub(super) fn role_in_words(role: &Value) -> String {
    role["partner"]
        .as_str()
        .map_or_else(|| cell(role), |tenant| format!("partner of {tenant}"))
}
