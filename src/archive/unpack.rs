//! Unpacks an archive that passed into an empty directory, for the reference device.
//!
//! Inspects the whole archive first and writes only then; walks it by the same strict parser while
//! writing. It creates regular files and directories and nothing else, never opens what exists, and so
//! never follows a link. The caller switches to the directory once it is complete and removes it if it
//! is not.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write as _},
    path::{Path, PathBuf},
};

use super::{ArchiveError, ArchiveLimits, Inventory, Sink, Stop, inspect, walk};

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive is not acceptable.
    #[error("the archive is refused: {}", .errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Refused {
        /// All that is wrong with it.
        errors: Vec<ArchiveError>,
    },
    /// The directory holds something, or is none.
    #[error("`{}` is not an empty directory; give a fresh one", .directory.display())]
    NotEmpty {
        /// What was given.
        directory: PathBuf,
    },
    /// The archive changed between inspecting and unpacking.
    #[error("the archive changed while it was read; keep others from writing to it")]
    Changed,
    /// Writing failed; the directory is incomplete.
    #[error("unpacking failed: {error}; remove the directory and make room")]
    Io {
        /// What the system said.
        #[from]
        error: io::Error,
    },
}

/// Unpacks `file` into `directory`, which must exist and be empty. On an error the directory may hold
/// some of the files.
pub fn unpack_into<R: Read + Seek>(
    file: &mut R,
    directory: &Path,
    limits: &ArchiveLimits,
) -> Result<Inventory, UnpackError> {
    let is_empty =
        fs::symlink_metadata(directory)?.is_dir() && fs::read_dir(directory)?.next().is_none();
    if !is_empty {
        return Err(UnpackError::NotEmpty {
            directory: directory.to_owned(),
        });
    }
    let inventory = inspect(file, limits).map_err(|errors| UnpackError::Refused { errors })?;
    let mut writer = Writer {
        directory,
        made: HashSet::new(),
        open: None,
    };
    match walk(file, limits, &mut writer) {
        Ok(unpacked) if unpacked == inventory => Ok(inventory),
        Ok(_) | Err(Stop::Refused(_)) => Err(UnpackError::Changed),
        Err(Stop::Sink(error)) => Err(error.into()),
    }
}

struct Writer<'a> {
    directory: &'a Path,
    /// Directories that were created here; no other is ever entered.
    made: HashSet<String>,
    open: Option<File>,
}

impl Sink for Writer<'_> {
    fn directory(&mut self, path: &str) -> io::Result<()> {
        for end in path
            .match_indices('/')
            .map(|(at, _)| at)
            .chain([path.len()])
        {
            let here = &path[..end];
            if !self.made.contains(here) {
                fs::create_dir(self.directory.join(here))?;
                self.made.insert(here.to_owned());
            }
        }
        Ok(())
    }

    fn begin(&mut self, path: &str) -> io::Result<()> {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent)?;
        }
        let mut options = OpenOptions::new();
        self.open = Some(
            options
                .write(true)
                .create_new(true)
                .open(self.directory.join(path))?,
        );
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.open
            .as_mut()
            .map_or(Ok(()), |file| file.write_all(bytes))
    }

    fn end(&mut self) -> io::Result<()> {
        self.open = None;
        Ok(())
    }
}
