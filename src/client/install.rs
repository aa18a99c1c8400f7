//! Putting a release in place: unpacked aside, then switched to at once.
//!
//! ```text
//! DIR/apps/<tenant>/<app>/releases/<sha256>/   one directory per release, complete or absent
//! DIR/apps/<tenant>/<app>/current              a link to the one that runs, renamed over
//! DIR/downloads/<sha256>.part                  what is being fetched
//! ```
//!
//! Whatever happens in between, `current` names a complete release or nothing.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use huidu_core::{
    digest::Digest,
    files::{FileLine, FileList},
    limits,
    name::AppId,
};
use sha2::{Digest as _, Sha256};

use crate::archive::{ArchiveLimits, UnpackError, unpack_into};

/// Where one app is on a device.
#[derive(Debug, Clone)]
pub struct Place {
    dir: PathBuf,
}

/// Why a release was not put in place.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The archive.
    #[error("the bundle cannot be unpacked: {0}")]
    Unpack(#[from] UnpackError),
    /// Its files.
    #[error(
        "the files unpacked are not those that were reviewed: their list is {seen}, not {signed}"
    )]
    Files {
        /// SHA-256 of the list that was signed.
        signed: Digest,
        /// SHA-256 of the list of what is on the disk.
        seen: Digest,
    },
    /// The disk.
    #[error("`{}`: {error}; make room and try again", path.display())]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl Place {
    /// The place of `app` under `dir`.
    pub fn of(dir: &Path, app: &AppId) -> Self {
        Self {
            dir: dir.join("apps").join(app.tenant()).join(app.name()),
        }
    }

    /// The directory of a release.
    pub fn release(&self, digest: &Digest) -> PathBuf {
        self.dir.join("releases").join(digest.to_hex())
    }

    /// The link to the release that runs.
    pub fn current(&self) -> PathBuf {
        self.dir.join("current")
    }

    /// The release that `current` names.
    pub fn running(&self) -> Option<Digest> {
        let target = fs::read_link(self.current()).ok()?;
        target.file_name()?.to_str()?.parse().ok()
    }

    /// Unpacks `archive` as the release `digest`. What is then on the disk must be the files whose list was
    /// signed, where one was. Does nothing when it is there already.
    pub fn unpack(
        &self,
        archive: &Path,
        digest: &Digest,
        files: Option<Digest>,
    ) -> Result<(), InstallError> {
        let to = self.release(digest);
        if to.is_dir() {
            return Ok(());
        }
        let aside = to.with_extension("new");
        let disk = |path: &Path, error| InstallError::Disk {
            path: path.to_owned(),
            error,
        };
        remove_all(&aside).map_err(|error| disk(&aside, error))?;
        fs::create_dir_all(&aside).map_err(|error| disk(&aside, error))?;
        let mut file = File::open(archive).map_err(|error| disk(archive, error))?;
        if let Err(error) = unpack_into(&mut file, &aside, &ceilings()) {
            // What is left of it is swept by the next try.
            let _ = remove_all(&aside);
            return Err(error.into());
        }
        if let Some(signed) = files {
            let seen = list(&aside).map_err(|error| disk(&aside, error))?;
            if seen != signed {
                let _ = remove_all(&aside);
                return Err(InstallError::Files { signed, seen });
            }
        }
        sync_tree(&aside).map_err(|error| disk(&aside, error))?;
        fs::rename(&aside, &to).map_err(|error| disk(&to, error))?;
        sync_parent(&to).map_err(|error| disk(&to, error))
    }

    /// Makes `digest` the release that runs, or none. Atomic.
    pub fn switch(&self, digest: Option<&Digest>) -> Result<(), InstallError> {
        let link = self.current();
        let disk = |error| InstallError::Disk {
            path: link.clone(),
            error,
        };
        let Some(digest) = digest else {
            return match fs::remove_file(&link) {
                Ok(()) => sync_parent(&link).map_err(disk),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(disk(error)),
            };
        };
        let aside = self.dir.join("current.new");
        remove_all(&aside).map_err(disk)?;
        symlink(Path::new("releases").join(digest.to_hex()), &aside).map_err(disk)?;
        fs::rename(&aside, &link).map_err(disk)?;
        sync_parent(&link).map_err(disk)
    }

    /// Removes every release but those to keep.
    pub fn sweep(&self, keep: &[Digest]) {
        let Ok(entries) = fs::read_dir(self.dir.join("releases")) else {
            return;
        };
        let kept: Vec<String> = keep.iter().map(Digest::to_hex).collect();
        for entry in entries.flatten() {
            if !kept
                .iter()
                .any(|name| *name == entry.file_name().to_string_lossy())
            {
                // Only room is lost when this fails.
                let _ = remove_all(&entry.path());
            }
        }
    }
}

/// A device takes what the origin may ever have accepted; the origin's own settings are stricter.
fn ceilings() -> ArchiveLimits {
    ArchiveLimits {
        packed_bytes: limits::BUNDLE_BYTES,
        unpacked_bytes: 4 * limits::BUNDLE_BYTES,
        ..ArchiveLimits::default()
    }
}

/// SHA-256 of the list of the files below `path`, read back from the disk.
fn list(path: &Path) -> io::Result<Digest> {
    let mut files = Vec::new();
    gather(path, "", &mut files)?;
    let encoded = FileList::new(files).encode();
    encoded.map(|(digest, _)| digest).map_err(io::Error::other)
}

fn gather(path: &Path, name: &str, files: &mut Vec<FileLine>) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let part = entry.file_name();
        let part = part.to_str().ok_or(io::ErrorKind::InvalidData)?;
        let name = if name.is_empty() {
            part.to_owned()
        } else {
            format!("{name}/{part}")
        };
        if entry.file_type()?.is_dir() {
            gather(&entry.path(), &name, files)?;
            continue;
        }
        let mut hasher = Sha256::new();
        let len = io::copy(&mut File::open(entry.path())?, &mut Hashed(&mut hasher))?;
        files.push(FileLine {
            p: name,
            sha256: Digest::from_hasher(hasher),
            len,
        });
    }
    Ok(())
}

/// Writes into a hash.
struct Hashed<'a>(&'a mut Sha256);

impl io::Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn remove_all(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Syncs every file and directory below `path`: a release must be whole before it has its name.
fn sync_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(path)?.sync_all()
}
