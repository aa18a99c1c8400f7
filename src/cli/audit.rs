//! `huidu audit` and `huidu at`: what a copy of the store proves, and what was true at a moment.
//!
//! Both read a store, never a server: a copy on a disk, or the bucket itself with a credential that may read.

use std::{path::PathBuf, sync::Arc, time::Instant};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use huidu_core::{
    compile::{Context as Compiled, compile},
    name::{AppId, HostId, SegmentName},
    poll::PollLine,
    predicate::Membership,
    revision::Revision,
    segment::Segment,
    time::Timestamp,
    treehead::SignedHead,
};
use serde_json::{Value, json};

use super::{
    context::Context,
    explain::DeviceFlags,
    keys::files,
    output::{Done, Failure, cell, remark, rows, table},
    parts,
    serve::SettingsFlags,
};
use crate::{
    audit::{self, Ask, Line, Until},
    settings::StoreSettings,
    store::{Key, Store},
};

/// What a copy of the store proves.
#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Whether nothing was edited, left out, put in another order or forged
    #[command(after_help = "\
Examples:
  huidu audit verify /backup/huidu --root keyring-1.json
  huidu audit verify --config /etc/huidu/huidu.toml --root keyring-1.json --head kept.head --objects

Exit code 1: something is wrong; each line says at which revision, and what.")]
    Verify {
        #[command(flatten)]
        source: Source,
        /// The first keyring, from a place that nobody who can write into the store can change
        #[arg(long, value_name = "FILE")]
        root: Option<PathBuf>,
        /// A public key that signs heads, where no keyring lists it; may be repeated
        #[arg(long, value_name = "FILE")]
        log_key: Vec<PathBuf>,
        /// A head that was kept from an earlier audit: the ledger must go on from it
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
        /// Look at every bundle and segment too
        #[arg(long)]
        objects: bool,
        /// Write the newest head there, to be kept until the next audit
        #[arg(long, value_name = "FILE")]
        keep: Option<PathBuf>,
    },
    /// Who changed what, when, and who agreed
    #[command(after_help = "\
Examples:
  huidu audit show /backup/huidu --app pingan/travel --since 2026-11-01T00:00:00+08:00
  huidu audit show /backup/huidu --kind unkilled --json")]
    Show {
        #[command(flatten)]
        source: Source,
        /// Of this app alone
        #[arg(long)]
        app: Option<AppId>,
        /// Of this person or credential alone: `member/<id>`, or the credential's public name
        #[arg(long)]
        actor: Option<String>,
        /// Of this kind of event alone, such as `killed` or `rollout-put`
        #[arg(long)]
        kind: Option<String>,
        /// From this instant on
        #[arg(long)]
        since: Option<Timestamp>,
        /// Before this instant
        #[arg(long)]
        until: Option<Timestamp>,
    },
}

/// Where the copy is.
#[derive(Debug, Args)]
pub(super) struct Source {
    /// A directory that holds a copy; left out: the store of the settings
    dir: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsFlags,
}

impl Source {
    fn open(self) -> Result<Arc<dyn Store>, Failure> {
        if let Some(dir) = self.dir {
            if !dir.join("log").is_dir() {
                let name = dir.display();
                return Err(Failure::Usage(format!(
                    "`{name}` holds no copy of a store: there is no folder `log` in it"
                )));
            }
            return first(&StoreSettings::Fs { path: dir });
        }
        first(&self.settings.read()?.store)
    }
}

fn first(settings: &StoreSettings) -> Result<Arc<dyn Store>, Failure> {
    let stores = parts::stores(settings)?;
    let first = stores.into_iter().next();
    Ok(first.context("setting `store.endpoints` names none")?)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.context("no runtime can be started")
}

impl Audit {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::Verify {
                source,
                root,
                log_key,
                head,
                objects,
                keep,
            } => {
                let keys = log_key.iter().map(|file| files::read_public(file));
                let ask = Ask {
                    root: root.map(|file| files::read_paper(&file)).transpose()?,
                    log_keys: keys.collect::<Result<_, _>>()?,
                    kept: head.map(|file| kept(&file)).transpose()?,
                    objects,
                    blind: audit::Blind::default(),
                };
                let store = source.open()?;
                let since = Instant::now();
                let report = runtime()?
                    .block_on(audit::verify(&*store, &ask))
                    .context("the store cannot be read")?;
                let rate = report.records as f64 / since.elapsed().as_secs_f64();
                if let (Some(file), true) = (keep, report.is_sound()) {
                    let key = Key::Head(report.signed_to);
                    let note = runtime()?
                        .block_on(store.get(&key))
                        .context("there is no signed head to keep yet")?;
                    files::replace(&file, &note)?;
                }
                let mut told = json!(report);
                told["records_per_second"] = json!(rate.round());
                context.answer(&told, verdict);
                Ok(u8::from(!report.is_sound()))
            }
            Self::Show {
                source,
                app,
                actor,
                kind,
                since,
                until,
            } => {
                let store = source.open()?;
                let lines = runtime()?
                    .block_on(audit::lines(&*store))
                    .context("the store cannot be read")?;
                let asked = |line: &Line| {
                    let by = |who: &String| line.person == *who || line.actor.id == *who;
                    let is = |wanted: &String| {
                        line.events
                            .iter()
                            .any(|event| json!(event)["event"] == *wanted)
                    };
                    let about =
                        |app: &AppId| line.events.iter().any(|event| event.app() == Some(app));
                    app.as_ref().is_none_or(about)
                        && actor.as_ref().is_none_or(by)
                        && kind.as_ref().is_none_or(is)
                        && since.is_none_or(|since| line.at >= since)
                        && until.is_none_or(|until| line.at < until)
                };
                let lines: Vec<Line> = lines.into_iter().filter(asked).collect();
                context.answer(&json!(lines), shown);
                Ok(0)
            }
        }
    }
}

fn kept(file: &std::path::Path) -> anyhow::Result<SignedHead> {
    let text = files::read_text(file)?;
    SignedHead::parse(&text).with_context(|| format!("`{}`", file.display()))
}

fn verdict(report: &Value) -> String {
    let mut lines = vec![format!(
        "{}: {} records, root {}\n{} signed heads hold, up to record {}; {} checkpoints are what the records lead to; {} objects looked at\n{} records a second",
        cell(&report["audience"]),
        report["records"],
        cell(&report["root"]),
        report["heads"],
        report["signed_to"],
        report["checkpoints"],
        report["objects"],
        report["records_per_second"],
    )];
    for fault in rows(&report["faults"]) {
        lines.push(format!(
            "WRONG at {}: {}",
            fault["revision"],
            cell(&fault["what"])
        ));
    }
    for told in rows(&report["remarks"]) {
        lines.push(format!("note: {}", cell(told)));
    }
    let sound = rows(&report["faults"]).is_empty();
    lines.push(if sound { "sound" } else { "NOT SOUND" }.to_owned());
    lines.join("\n")
}

fn shown(lines: &Value) -> String {
    let lines: Vec<Vec<String>> = rows(lines)
        .iter()
        .map(|line| {
            let events: Vec<String> = rows(&line["events"])
                .iter()
                .map(super::history::event)
                .collect();
            let mut what = events.join("; ");
            if let Some(void) = line["void"].as_str() {
                what = format!("VOID ({void}): {what}");
            }
            let agreed: Vec<String> = rows(&line["approved_by"]).iter().map(cell).collect();
            vec![
                cell(&line["revision"]),
                cell(&line["at"]),
                cell(&line["person"]),
                agreed.join(", "),
                what,
                cell(&line["why"]),
            ]
        })
        .collect();
    table(
        &["REVISION", "WHEN", "WHO", "AGREED", "WHAT", "WHY"],
        &lines,
    )
}

/// What was true at a moment.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  huidu at 2026-11-24T08:00:00+08:00 explain pingan/travel --host retail-bank --unit device-7 --dir /backup/huidu
  huidu at 1207 explain pingan/travel --host retail-bank --unit device-7 --config /etc/huidu/huidu.toml")]
pub(super) struct At {
    /// An instant, or a revision
    #[arg(value_name = "TIME|REVISION", value_parser = moment)]
    moment: Until,
    #[command(subcommand)]
    verb: AtVerb,
}

/// What is asked about a moment.
#[derive(Debug, Subcommand)]
pub(super) enum AtVerb {
    /// Why a device got what it got
    #[command(
        after_help = "Example:\n  huidu at 2026-11-24T08:00:00+08:00 explain pingan/travel --host retail-bank --unit device-7 --dir /backup/huidu"
    )]
    Explain(AtExplain),
}

/// Why a device got what it got.
#[derive(Debug, Args)]
pub(super) struct AtExplain {
    /// `tenant/app`
    app: AppId,
    /// The bank app it polled from
    #[arg(long)]
    host: HostId,
    #[command(flatten)]
    device: DeviceFlags,
    /// The version it ran
    #[arg(long, value_name = "VERSION")]
    running: Option<String>,
    /// A directory that holds a copy; left out: the store of the settings
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsFlags,
}

fn moment(text: &str) -> Result<Until, String> {
    if let Ok(revision) = text.parse() {
        return Ok(Until::Revision(Revision::new(revision)));
    }
    let at = text.parse().map(Until::At);
    at.map_err(|_| "write an instant such as 2026-11-24T08:00:00+08:00, or a revision".into())
}

impl At {
    pub(super) fn run(self, context: &Context) -> Done {
        let AtVerb::Explain(asked) = self.verb;
        asked.run(self.moment, context)
    }
}

impl AtExplain {
    fn run(self, moment: Until, context: &Context) -> Done {
        let source = Source {
            dir: self.dir,
            settings: self.settings,
        };
        let store = source.open()?;
        let runtime = runtime()?;
        let catalogue = runtime
            .block_on(audit::until(&*store, moment))
            .context("the store cannot be read")?;
        let app = catalogue.apps.get(&self.app).ok_or_else(|| {
            Failure::Refused(format!("there was no app `{}` at that moment", self.app))
        })?;
        let find = |name: &SegmentName| -> Option<Arc<dyn Membership>> {
            let digest = catalogue.segments.get(name)?.sha256;
            let bytes = runtime.block_on(store.get(&Key::Cas(digest))).ok();
            let segment = bytes.and_then(|bytes| Segment::from_bytes(&bytes).ok());
            if segment.is_none() {
                remark(&format!(
                    "segment `{name}` cannot be read from the copy: it matches nobody"
                ));
            }
            Some(Arc::new(segment?))
        };
        let compiled = compile(
            app,
            &Compiled {
                audience: catalogue.audience.clone(),
                poll_after_ms: 0,
                poll_spread_ms: 0,
                keyring: catalogue.trust.chain.version(),
            },
            &find,
        );
        let mut asked = json!({
            "app": self.app, "host": self.host, "device": self.device.profile(),
        });
        if let Some(running) = self.running {
            asked["version"] = json!(running);
        }
        let line = asked.to_string();
        let poll = PollLine::from_json(line.as_bytes())
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let now = match moment {
            Until::At(at) => at,
            Until::Revision(_) => runtime
                .block_on(audit::written_at(&*store, catalogue.revision))
                .context("the store cannot be read")?,
        };
        let explained = compiled.explain(poll.host(), &poll.device(), &poll.installed(), now);
        let mut told = json!(explained);
        told["text"] = json!(explained.to_string());
        context.answer(&told, super::explain::told);
        Ok(0)
    }
}
