//! The sessions of this command line: one for each server, in a file that its owner alone can read.
//!
//! A session is short and belongs to a person; it lies beside the person's other settings. It is used where
//! no token is given, and never printed.

use std::{
    collections::BTreeMap,
    env, fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::PathBuf,
};

use anyhow::Context as _;

use crate::cli::parts::write_secret;

type Sessions = BTreeMap<String, String>;

/// `$XDG_CONFIG_HOME/huidu/sessions.json`, or below `~/.config`.
fn path() -> Option<PathBuf> {
    let filled = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let config = filled("XDG_CONFIG_HOME").or_else(|| Some(filled("HOME")?.join(".config")));
    config.map(|config| config.join("huidu").join("sessions.json"))
}

fn read(path: &PathBuf) -> anyhow::Result<Sessions> {
    let about = || format!("the sessions `{}`", path.display());
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Sessions::new()),
        Err(error) => return Err(error).with_context(about),
    };
    let mode = fs::metadata(path).with_context(about)?.permissions().mode();
    if mode & 0o077 != 0 {
        anyhow::bail!(
            "{} can be read by others; run `chmod 600` on it, or `huidu login` after removing it",
            about()
        );
    }
    serde_json::from_str(&text)
        .with_context(|| format!("{} are unreadable; remove the file", about()))
}

fn write(path: &PathBuf, sessions: &Sessions) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder);
        made.with_context(|| format!("`{}` cannot be made", folder.display()))?;
    }
    // Aside first: whoever is stopped half-way keeps the sessions there were.
    let aside = path.with_extension(format!("{}.new", std::process::id()));
    write_secret(&aside, &serde_json::to_string_pretty(sessions)?)?;
    fs::rename(&aside, path).with_context(|| format!("`{}` cannot be written", path.display()))
}

/// The session with `server`, if there is one.
pub(in crate::cli) fn find(server: &str) -> anyhow::Result<Option<String>> {
    match path() {
        Some(path) => Ok(read(&path)?.remove(server)),
        None => Ok(None),
    }
}

/// Keeps a session with `server`; where.
pub(in crate::cli) fn keep(server: &str, token: &str) -> anyhow::Result<PathBuf> {
    let path = path().context("neither XDG_CONFIG_HOME nor HOME says where to keep the session")?;
    let mut sessions = read(&path)?;
    sessions.insert(server.to_owned(), token.to_owned());
    write(&path, &sessions)?;
    Ok(path)
}

/// Forgets the session with `server`; false where there was none.
pub(in crate::cli) fn forget(server: &str) -> anyhow::Result<bool> {
    let Some(path) = path() else {
        return Ok(false);
    };
    let mut sessions = read(&path)?;
    let was_kept = sessions.remove(server).is_some();
    if was_kept {
        write(&path, &sessions)?;
    }
    Ok(was_kept)
}
