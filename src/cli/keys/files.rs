//! Files of keys and papers: read whole, written whole, never over one that is there by accident.
//!
//! A key's file is for one pair of eyes and is made with that mode. No secret is ever shown or logged.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use huidu_core::{
    key::{Alg, PublicKey, Signer as _},
    limits,
};
use serde::{Deserialize, Serialize};

/// A key as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    kid: String,
    #[serde(flatten)]
    public: PublicKey,
    seed: String,
}

/// Makes a key at `path`, and its public half beside it in `path.pub`.
pub(in crate::cli) fn make(path: &Path) -> anyhow::Result<SigningKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).context("no randomness for a key")?;
    let key = SigningKey::from_bytes(&seed);
    let public = key.public_key();
    let file = KeyFile {
        kid: public.id().into(),
        seed: HEXLOWER.encode(&seed),
        public,
    };
    create(path, &line(&file)?, 0o600)?;
    create(&public_path(path), &line(&file.public)?, 0o644)?;
    Ok(key)
}

/// Where the public half of the key at `path` is.
pub(in crate::cli) fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

fn line(document: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(document)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a key: as [`make`] wrote it, or 64 hexadecimal digits.
pub(in crate::cli) fn read(path: &Path) -> anyhow::Result<SigningKey> {
    let name = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("the key `{name}`"))?;
    let seed = match serde_json::from_str::<KeyFile>(&text) {
        Ok(file) => {
            let key = seeded(&file.seed).filter(|key| key.public_key() == file.public);
            return key.with_context(|| {
                format!(
                    "the key `{name}` is damaged: its halves do not belong together; restore it"
                )
            });
        }
        Err(_) => seeded(&text),
    };
    seed.with_context(|| {
        format!("`{name}` is no key: neither what `huidu keys new` writes nor 64 hexadecimal digits; restore it")
    })
}

fn seeded(text: &str) -> Option<SigningKey> {
    let bytes = HEXLOWER.decode(text.trim().as_bytes()).ok()?;
    let seed: [u8; 32] = bytes.try_into().ok()?;
    Some(SigningKey::from_bytes(&seed))
}

/// Reads the public half of a key: what `keys new` wrote beside it, or 64 hexadecimal digits.
pub(in crate::cli) fn read_public(path: &Path) -> anyhow::Result<PublicKey> {
    let name = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("the public key `{name}`"))?;
    let read = match serde_json::from_str::<PublicKey>(&text) {
        Ok(key) => return Ok(key),
        Err(_) => PublicKey::from_hex(Alg::Ed25519, text.trim()),
    };
    read.with_context(|| {
        format!("`{name}` is no public key; give the `.pub` file that `huidu keys new` wrote")
    })
}

/// Reads a paper or its envelope.
pub(in crate::cli) fn read_paper(path: &Path) -> anyhow::Result<Vec<u8>> {
    let name = path.display();
    let bytes = fs::read(path).with_context(|| format!("`{name}` cannot be read"))?;
    if bytes.len() > limits::ENVELOPE_BYTES {
        bail!("`{name}` is larger than any paper: {} bytes", bytes.len());
    }
    Ok(bytes)
}

/// Reads an envelope as text.
pub(in crate::cli) fn read_text(path: &Path) -> anyhow::Result<String> {
    let bytes = read_paper(path)?;
    String::from_utf8(bytes).with_context(|| format!("`{}` is not UTF-8", path.display()))
}

/// Writes a file that must not be there yet.
pub(in crate::cli) fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    create(path, bytes, 0o644)
}

/// Replaces a file whole, or makes it.
pub(in crate::cli) fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let written = crate::client::state::write_aside(path, bytes);
    written.with_context(|| format!("`{}` cannot be written", path.display()))
}

fn create(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let name = path.display();
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("`{name}` is there already and is not overwritten; name another file")
        }
        written => written.with_context(|| format!("`{name}` cannot be written")),
    }
}
