//! `huidu sign`: sign a paper, offline. The bytes in the file are the bytes that are signed.
//!
//! What is signed is shown first, as it was read by the same strict reader that devices use. Nothing is
//! fetched and nothing is sent.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use huidu_core::{
    envelope::{Envelope, Kind},
    key::Signer as _,
    keyring::Keyring,
    paper::{Paper, PaperError},
    policy::Policy,
    release::Release,
};
use serde_json::{Value, json};

use super::{
    context::Context,
    keys::files,
    output::{Done, Failure, outlined, remark},
};

/// Sign a keyring, a release record or an app policy, offline.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  huidu sign --key release-lin.key travel-2.4.0.json            writes travel-2.4.0.signed.json
  huidu sign --key release-wei.key travel-2.4.0.signed.json     adds a signature to it
  huidu sign --join lin.signed.json wei.signed.json             brings together what two people signed")]
pub(super) struct Sign {
    /// A key to sign with; may be repeated
    #[arg(long, value_name = "FILE", required_unless_present = "join")]
    key: Vec<PathBuf>,
    /// The same paper with signatures of others, to be added; may be repeated
    #[arg(long, value_name = "FILE")]
    join: Vec<PathBuf>,
    /// The paper as it was written, or its envelope
    file: PathBuf,
    /// Where to write the envelope; left out: the file itself if it is one, else beside it
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A paper as people are shown it.
pub(super) struct Read {
    pub(super) kind: Kind,
    /// All that the bytes say, whether this build understands it or not.
    pub(super) document: Value,
    /// What of it this build does not know: a later one may.
    pub(super) unread: Vec<String>,
}

impl Sign {
    pub(super) fn run(self, context: &Context) -> Done {
        let bytes = files::read_paper(&self.file)?;
        let (mut envelope, output) = match Envelope::parse(&bytes) {
            Ok(envelope) => (envelope, self.file.clone()),
            Err(_) => (
                Envelope::new(paper(&bytes, &self.file)?.kind, bytes),
                beside(&self.file),
            ),
        };
        let output = self.output.unwrap_or(output);
        let shown = paper(envelope.payload(), &self.file)?;
        for other in &self.join {
            let joined = Envelope::parse(&files::read_paper(other)?)
                .with_context(|| format!("`{}`", other.display()))?;
            if joined.kind() != envelope.kind() || joined.payload() != envelope.payload() {
                return Err(Failure::Refused(format!(
                    "`{}` holds another paper than `{}`",
                    other.display(),
                    self.file.display()
                )));
            }
            envelope.join(joined.signatures());
        }
        if !self.key.is_empty() {
            remark(&outlined(&shown.document));
            if !shown.unread.is_empty() {
                remark(&format!(
                    "This build does not know {}, and cannot say what you sign with it.",
                    shown.unread.join(", ")
                ));
            }
            let (kind, address) = (shown.kind.word(), envelope.address());
            context.confirm(&format!("Sign this {kind}, SHA-256 {address}."))?;
        }
        let mut signed_by = Vec::new();
        for file in &self.key {
            let key = files::read(file)?;
            envelope.sign(&key).context("nothing was signed")?;
            signed_by.push(key.public_key().id());
        }
        files::replace(&output, &envelope.to_bytes())?;
        let all: Vec<_> = envelope.signatures().iter().map(|one| &one.key).collect();
        let told = json!({ "file": output, "paper": shown.kind.word(), "sha256": envelope.address(),
            "signed_by": signed_by, "signatures": all });
        context.answer(&told, |_| {
            format!("`{}` carries {} signature(s)", output.display(), all.len())
        });
        Ok(0)
    }
}

/// `travel.json` → `travel.signed.json`.
fn beside(file: &Path) -> PathBuf {
    file.with_extension("signed.json")
}

/// Reads a paper of whatever kind it is. Each kind has fields that no other has; what has those of two is none.
pub(super) fn paper(bytes: &[u8], file: &Path) -> Result<Read, Failure> {
    let read = [
        read::<Release>(bytes),
        read::<Policy>(bytes),
        read::<Keyring>(bytes),
    ];
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for read in read {
        match read {
            Ok(read) => found.push(read),
            Err((kind, error)) => wrong.push(format!("no {}: {error}", kind.word())),
        }
    }
    match (found.pop(), found.pop()) {
        (Some(read), None) => return Ok(read),
        (Some(one), Some(other)) => wrong.push(format!(
            "both a {} and a {}",
            one.kind.word(),
            other.kind.word()
        )),
        (None, _) => {}
    }
    Err(Failure::Refused(format!(
        "`{}` is no paper that can be signed:\n  {}",
        file.display(),
        wrong.join("\n  ")
    )))
}

fn read<T: Paper>(bytes: &[u8]) -> Result<Read, (Kind, PaperError)> {
    let paper = T::read(bytes).map_err(|error| (T::KIND, error))?;
    let document: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let mut unread = Vec::new();
    compare(&document, &json!(paper), "", &mut unread);
    Ok(Read {
        kind: T::KIND,
        document,
        unread,
    })
}

/// What of the signed bytes this build of a `T` would drop if it wrote them again.
pub(super) fn unread<T: Paper>(bytes: &[u8]) -> Vec<String> {
    read::<T>(bytes).map(|read| read.unread).unwrap_or_default()
}

/// Names the fields of `said` that are not in `read`. What says nothing is written by no build, and is no loss.
fn compare(said: &Value, read: &Value, at: &str, unread: &mut Vec<String>) {
    match (said, read) {
        (Value::Object(said), Value::Object(read)) => {
            for (name, value) in said {
                let path = format!("{at}/{name}");
                let says_nothing = matches!(value, Value::Null | Value::Bool(false))
                    || value.as_array().is_some_and(Vec::is_empty)
                    || value == "live";
                match read.get(name) {
                    Some(known) => compare(value, known, &path, unread),
                    None if says_nothing => {}
                    None => unread.push(format!("`{path}`")),
                }
            }
        }
        (Value::Array(said), Value::Array(read)) => {
            for (index, (said, read)) in said.iter().zip(read).enumerate() {
                compare(said, read, &format!("{at}/{index}"), unread);
            }
        }
        _ => {}
    }
}
