//! `huidu keys show`: what a file of the ceremony is, whatever it is. A secret is never shown.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use huidu_core::{
    envelope::{Envelope, Kind},
    key::{PublicKey, Signer as _},
    keyring::{Guard, Keyring},
    paper::Paper as _,
};
use serde_json::{Value, json};

use super::{files, make, signers_of};
use crate::cli::{
    context::Context,
    output::{Done, Failure, outlined},
    sign,
};

/// What a file says, for programs and for people.
struct Shown {
    document: Value,
    text: String,
}

/// Shows files; of keyrings, walks from the first to the last.
pub(super) fn show(context: &Context, files: &[PathBuf]) -> Done {
    let mut known: Option<Keyring> = None;
    let (mut documents, mut texts) = (Vec::new(), Vec::new());
    let mut wrong = None;
    for file in files {
        let shown = match key(file)? {
            Some(shown) => shown,
            None => {
                let (shown, fault) = paper(file, &mut known)?;
                wrong = fault;
                shown
            }
        };
        documents.push(shown.document);
        texts.push(shown.text);
        if wrong.is_some() {
            break;
        }
    }
    context.answer(&json!(documents), |_| texts.join("\n\n"));
    wrong.map_or(Ok(0), |wrong| Err(Failure::Refused(wrong)))
}

/// A key, or its public half.
fn key(file: &Path) -> Result<Option<Shown>, Failure> {
    let bytes = files::read_paper(file)?;
    let looks: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let (public, is_secret): (PublicKey, bool) = if looks.get("seed").is_some() {
        (files::read(file)?.public_key(), true)
    } else if looks.get("pub").is_some() {
        (files::read_public(file)?, false)
    } else {
        return Ok(None);
    };
    let (kid, alg, half) = (
        public.id(),
        public.alg().name(),
        if is_secret { "private" } else { "public" },
    );
    let name = file.display();
    let text = if is_secret {
        format!("key {kid}, {alg}: `{name}` is the private half, for one person alone")
    } else {
        format!("key {kid}, {alg}: `{name}` is the public half")
    };
    let document = json!({ "file": file, "kid": kid, "alg": alg, "half": half });
    Ok(Some(Shown { document, text }))
}

/// A paper, signed or not, and what is wrong with it as the next of a chain of keyrings.
fn paper(file: &Path, known: &mut Option<Keyring>) -> Result<(Shown, Option<String>), Failure> {
    let bytes = files::read_paper(file)?;
    let Ok(envelope) = Envelope::parse(&bytes) else {
        let read = sign::paper(&bytes, file)?;
        let text = format!(
            "{}, signed by nobody\n{}",
            read.kind.word(),
            outlined(&read.document)
        );
        let document = json!({ "file": file, "paper": read.kind.word(), "says": read.document, "signed_by": [] });
        return Ok((Shown { document, text }, None));
    };
    let signed_by = signers_of(&envelope);
    if envelope.kind() != Kind::Keyring {
        let read = sign::paper(envelope.payload(), file)?;
        let names: Vec<&str> = signed_by.iter().map(|kid| kid.as_str()).collect();
        let text = format!(
            "{}, SHA-256 {}\nsigned, as they say, by {}\n{}",
            read.kind.word(),
            envelope.address(),
            names.join(", "),
            outlined(&read.document)
        );
        let document = json!({ "file": file, "paper": read.kind.word(), "sha256": envelope.address(),
            "says": read.document, "signed_by": signed_by });
        return Ok((Shown { document, text }, None));
    }
    let about = || file.display().to_string();
    let keyring = Keyring::read(envelope.payload()).with_context(about)?;
    let followed = match known {
        None => Keyring::born(&bytes, &keyring.aud, Guard::Development),
        Some(known) => known.follow(&bytes),
    };
    let wrong = followed.as_ref().err().map(ToString::to_string);
    let document = json!({ "file": file, "version": keyring.version, "trust": keyring.trust,
        "expires": keyring.expires, "signed_by": signed_by, "wrong": wrong });
    let text = make::outline(&keyring, &signed_by);
    if let Ok(keyring) = followed {
        *known = Some(keyring);
    }
    let wrong = wrong.map(|wrong| format!("`{}`: {wrong}", file.display()));
    Ok((Shown { document, text }, wrong))
}
