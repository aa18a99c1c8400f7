//! A bundle on its way in: a file that is hashed while it is written, and that never outlives its request.
//!
//! The bytes go to disk because a bundle may be larger than the memory one request deserves, and because
//! its inspection must seek. The file is removed when the [`Spool`] is dropped, however the request ends;
//! what a killed process left behind is swept at the next start.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use huidu_core::digest::Digest;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use ulid::Ulid;

use super::{body::Pieces, error::ApiError};

/// What the names of our files begin with.
const PREFIX: &str = "incoming-";

/// A file that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Spool(PathBuf);

/// An upload, whole and hashed.
#[derive(Debug)]
pub(crate) struct Spooled {
    /// Its file.
    pub(crate) file: Spool,
    /// SHA-256 of its bytes.
    pub(crate) digest: Digest,
    /// Its length.
    pub(crate) bytes: u64,
}

impl Spool {
    /// Where the bytes are, while this lives.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A name under `directory` that nobody uses yet.
    pub(crate) fn fresh(directory: &Path) -> Result<Self, ApiError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| ApiError::NoRandomness)?;
        Ok(Self(
            directory.join(format!("{PREFIX}{}", Ulid::from_bytes(random))),
        ))
    }

    /// The new file of this name, to be written and read by its owner alone.
    pub(crate) fn create(&self) -> io::Result<fs::File> {
        let mut options = fs::OpenOptions::new();
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options
            .read(true)
            .write(true)
            .create_new(true)
            .open(&self.0)
    }

    /// Receives an upload into a new file under `directory`.
    pub(crate) async fn receive(
        directory: &Path,
        pieces: &mut Pieces,
    ) -> Result<Spooled, ApiError> {
        let spool = Self::fresh(directory)?;
        let disk = |error: io::Error| ApiError::Disk(error.kind());
        let mut options = tokio::fs::OpenOptions::new();
        #[cfg(unix)]
        options.mode(0o600);
        let file = options
            .write(true)
            .create_new(true)
            .open(spool.path())
            .await;
        let mut file = file.map_err(disk)?;
        let (mut hasher, mut bytes) = (Sha256::new(), 0);
        while let Some(piece) = pieces.next().await? {
            hasher.update(&piece);
            bytes += piece.len() as u64;
            file.write_all(&piece).await.map_err(disk)?;
        }
        file.flush().await.map_err(disk)?;
        Ok(Spooled {
            file: spool,
            digest: Digest::from_hasher(hasher),
            bytes,
        })
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "an upload's temporary file could not be removed");
        }
    }
}

/// Makes `directory` and removes what an earlier process left in it.
pub(crate) fn sweep(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
