//! `huidu policy`: what holds for all versions of an app, signed offline.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use huidu_core::{
    digest::Digest,
    envelope::Envelope,
    name::{AppId, Permission},
    paper::{FORM, Paper as _},
    policy::{OnStale, Policy as Paper, Standing},
};
use serde_json::{Value, json};

use super::{
    context::{Basis, Context, app_path},
    keys::files,
    output::{Done, Failure, outlined, remark},
};
use crate::{
    client::control::Content,
    clock::{Clock as _, System},
};

/// Policies of apps.
#[derive(Debug, Subcommand)]
pub(super) enum Policy {
    /// The app's policy in force
    #[command(after_help = "Example:\n  huidu policy show pingan/travel")]
    Show {
        /// `tenant/app`
        app: AppId,
    },
    /// Write the next policy, to be signed: the one in force with these changes
    Draft(Draft),
    /// Put a signed policy in force; what it forbids stops at once
    #[command(after_help = "Example:\n  huidu policy put pingan/travel policy-2.signed.json")]
    Put {
        /// `tenant/app`
        app: AppId,
        /// The policy, signed
        file: PathBuf,
    },
}

/// Write the next policy.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  huidu policy draft pingan/travel --permit camera --permit location --output policy-1.json
  huidu policy draft pingan/travel --floor 7 --output policy-2.json        nothing before release 7 runs
  huidu policy draft pingan/travel --delist --output last.json             nothing of it runs, whatever a server says")]
pub(super) struct Draft {
    /// `tenant/app`
    app: AppId,
    /// The smallest number of a release that may run
    #[arg(long, value_name = "SEQ")]
    floor: Option<u64>,
    /// An archive that may not run; may be repeated
    #[arg(long, value_name = "SHA256")]
    revoke: Vec<Digest>,
    /// The most that may ever be permitted; may be repeated. Left out: as before
    #[arg(long, value_name = "PERMISSION")]
    permit: Vec<Permission>,
    /// What a device does when nobody can be asked
    #[arg(long, value_name = "WHAT")]
    on_stale: Option<Stale>,
    /// How long after the lease that takes effect
    #[arg(long, value_parser = crate::settings::units::duration, value_name = "DURATION")]
    grace: Option<std::time::Duration>,
    /// Nothing of the app may run
    #[arg(long, conflicts_with = "relist")]
    delist: bool,
    /// It may run again
    #[arg(long)]
    relist: bool,
    /// How long it lasts, in days
    #[arg(long, default_value_t = 90)]
    days: u64,
    /// Where to write it
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// What a device does when nobody can be asked.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Stale {
    /// It goes on.
    Run,
    /// It does not start.
    Block,
}

impl Policy {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::Show { app } => {
                let path = format!("{}/policy", app_path(&app));
                context.show(&path, |page| {
                    let newest = page["seq"].as_u64().unwrap_or_default();
                    format!("{}\nnewest release: {newest}", outlined(&page["policy"]))
                })
            }
            Self::Draft(draft) => draft.run(context),
            Self::Put { app, file } => {
                context.confirm(&format!(
                    "Put a policy of `{app}` in force; what it forbids stops now."
                ))?;
                let path = format!("{}/policy", app_path(&app));
                let content = Content::Signed(files::read_paper(&file)?);
                let done = format!("the policy of `{app}` is in force");
                context.change("PUT", &path, content, &Basis::Nothing, &done)
            }
        }
    }
}

impl Draft {
    fn run(self, context: &Context) -> Done {
        let control = context.control()?;
        let found = control.find(&format!("{}/policy", app_path(&self.app)))?;
        if let Some(page) = &found {
            let envelope = page.document["envelope"].as_str().unwrap_or_default();
            let envelope = Envelope::parse(envelope.as_bytes()).map_err(anyhow::Error::from)?;
            let unread = super::sign::unread::<Paper>(envelope.payload());
            super::keys::by_a_later_build("policy in force", &unread)?;
        }
        let known: Option<Paper> = found
            .map(|page| serde_json::from_value(page.document["policy"].clone()))
            .transpose()
            .map_err(|error| Failure::Refused(format!("the server's policy: {error}")))?;
        let known = match known {
            Some(known) => known,
            None => first(&self.app, &control.get("/api/v1/status")?.document)?,
        };
        let (file, policy) = (self.output.clone(), self.changed(known));
        policy
            .check()
            .map_err(|error| Failure::Usage(error.to_string()))?;
        files::write_new(&file, &policy.to_payload())?;
        remark(&outlined(&json!(policy)));
        context.answer(&json!({ "file": file, "version": policy.version }), |_| {
            format!("`{}` is to be signed: huidu sign --key …", file.display())
        });
        Ok(0)
    }

    fn changed(self, known: Paper) -> Paper {
        let mut policy = known;
        policy.version += 1;
        policy.expires = System.now().unix_ms() / 1_000 + self.days * 86_400;
        policy.floor_seq = self.floor.unwrap_or(policy.floor_seq);
        policy.revoked.extend(self.revoke);
        policy.revoked.sort_unstable();
        policy.revoked.dedup();
        if !self.permit.is_empty() {
            policy.max_permissions = self.permit;
            policy.max_permissions.sort_unstable();
            policy.max_permissions.dedup();
        }
        policy.on_stale = match self.on_stale {
            Some(Stale::Run) => OnStale::Run,
            Some(Stale::Block) => OnStale::Block,
            None => policy.on_stale,
        };
        if let Some(grace) = self.grace {
            policy.stale_grace_s = u32::try_from(grace.as_secs()).unwrap_or(u32::MAX);
        }
        if self.delist {
            policy.state = Standing::Delisted;
        }
        if self.relist {
            policy.state = Standing::Live;
        }
        policy
    }
}

/// What there is before the first policy of an app.
fn first(app: &AppId, status: &Value) -> Result<Paper, Failure> {
    let audience = status["audience"].as_str();
    let audience = audience.ok_or_else(|| {
        Failure::Refused("the server does not say which installation it is".into())
    })?;
    Ok(Paper {
        v: FORM,
        aud: audience.to_owned(),
        app: app.clone(),
        version: 0,
        expires: 0,
        state: Standing::Live,
        floor_seq: 0,
        revoked: Vec::new(),
        max_permissions: Vec::new(),
        on_stale: OnStale::Run,
        stale_grace_s: 0,
    })
}
