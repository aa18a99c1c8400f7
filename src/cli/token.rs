//! `huidu token`: credentials. A token is shown once, when it is given out.

use clap::Subcommand;
use huidu_core::{
    authority::Role,
    credential::Scope,
    name::{MemberId, TenantId},
    time::Timestamp,
};
use serde_json::{Value, json};

use super::{
    context::{Basis, Context},
    output::{Done, Failure, cell, rows, table},
};
use crate::{
    client::{control::Content, escaped},
    clock::{self, Clock as _},
    settings::units,
};

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
        after_help = "Examples:\n  huidu token add release-manager --note 'CI of the release team' --scope read --scope rollout\n  huidu token add partner --tenant pingan --scope submit --expires 30d\n  huidu token add reviewer --member lin --expires 2027-01-31T00:00:00+08:00\n\nScopes: read, submit, review, trial, rollout, kill, unkill, catalogue, segments, permissions, keys, tokens,\nmembers, policies, changes. A token never has more than its role. Verbs that look before they change need\n`read` as well."
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
        /// For how long it holds (`30d`), or until when; 366 days ahead at most, 90 where nothing is said
        #[arg(long, value_parser = when)]
        expires: Option<Timestamp>,
        /// Narrow it to this part of its role; may be repeated
        #[arg(long = "scope", value_name = "SCOPE", value_parser = Scope::ALL.map(Scope::word))]
        scopes: Vec<String>,
    },
    /// List credentials, never their secrets: what they are narrowed to, until when they hold, when they were used
    #[command(
        after_help = "Example:\n  huidu token list\n\nWhen a token was last used is what the node that answers saw since it was started."
    )]
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
                expires,
                scopes,
            } => {
                let mut asked = json!({ "role": written(&role, tenant)?, "note": note });
                if let Some(member) = member {
                    asked["member"] = json!(member);
                }
                if let Some(expires) = expires {
                    asked["expires"] = json!(expires);
                }
                if !scopes.is_empty() {
                    asked["scopes"] = json!(scopes);
                }
                let content = Content::Json(asked);
                let reply =
                    context.ask("POST", "/api/v1/tokens", content, &Basis::Nothing, &|_| {})?;
                context.answer(&reply.document, |given| {
                    let secret = given["token"]
                        .as_str()
                        .unwrap_or("(shown when it was first given out)");
                    format!(
                        "{secret}\nid {}, until {}; keep the token now, it is not shown again",
                        cell(&given["id"]),
                        cell(&given["expires"])
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
            let expires = match token["state"].as_str() {
                Some("expired") => format!("{} (over)", cell(&token["expires"])),
                Some("expires-soon") => format!("{} (soon)", cell(&token["expires"])),
                _ if token["expires"].is_null() => "never".to_owned(),
                _ => cell(&token["expires"]),
            };
            let scopes: Vec<String> = rows(&token["scopes"]).iter().map(cell).collect();
            vec![
                cell(&token["id"]),
                role_in_words(&token["role"]),
                if scopes.is_empty() {
                    "all".to_owned()
                } else {
                    scopes.join(" ")
                },
                cell(&token["member"]),
                expires,
                cell(&token["last_used"]),
                cell(&token["note"]),
            ]
        })
        .collect();
    let head = [
        "ID",
        "ROLE",
        "SCOPES",
        "MEMBER",
        "EXPIRES",
        "LAST USED",
        "NOTE",
    ];
    table(&head, &lines)
}

/// An instant, or how long from now.
fn when(text: &str) -> Result<Timestamp, String> {
    if let Ok(span) = units::duration(text) {
        let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        return Ok(clock::System.now().plus_ms(ms));
    }
    text.parse()
        .map_err(|_| "write a time to come such as 30d, or 2027-01-31T00:00:00+08:00".to_owned())
}

/// A role as people read it.
pub(super) fn role_in_words(role: &Value) -> String {
    role["partner"]
        .as_str()
        .map_or_else(|| cell(role), |tenant| format!("partner of {tenant}"))
}
