//! The validator of uploaded bundles: reads a zip or tar.gz once, and says what is in it or why not.
//!
//! A bundle comes from a partner and ends on millions of phones, so this is a security boundary. The
//! records around the data are walked by our own strict parsers, because a lenient library is the very
//! problem: two lenient readers see two different archives, and reviewers and phones must see one.
//! Compression, hashing and Unicode are left to libraries.
//!
//! Inspecting never writes, never holds more than a window of data, and stops at its limits while
//! inflating. Nothing is ever repaired.

mod canonical;
mod error;
mod path;
mod tar;
mod unpack;
mod zip;

#[cfg(test)]
mod tests;

use std::io::{self, Read, Seek, SeekFrom};

use huidu_core::{digest::Digest, limits};
use sha2::{Digest as _, Sha256};

use error::Report;

pub use canonical::{Canonical, CanonicalError, canonicalise};
pub use error::{ArchiveError, EntryKind, NameFault};
pub use unpack::{UnpackError, unpack_into};

/// Bytes that are read, inflated and hashed at a time.
const WINDOW_BYTES: usize = 64 * 1024;

/// What an archive may be at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Bytes as uploaded.
    pub packed_bytes: u64,
    /// Bytes of all files together. Of a tar.gz the whole inflated stream counts, headers too.
    pub unpacked_bytes: u64,
    /// How many times its packed size a file may unpack to.
    pub ratio: u64,
    /// Files (of a tar.gz, streams) smaller than this unpacked may have any ratio: text with little in
    /// it packs well and harms nobody.
    pub ratio_free_bytes: u64,
    /// Entries, directories too.
    pub entries: usize,
    /// Bytes of one part of a path.
    pub part_bytes: usize,
    /// Bytes of a path.
    pub path_bytes: usize,
    /// Parts of a path.
    pub depth: usize,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self {
            packed_bytes: 20 * 1024 * 1024,
            unpacked_bytes: 80 * 1024 * 1024,
            ratio: 100,
            ratio_free_bytes: 64 * 1024,
            entries: 5_000,
            part_bytes: 255,
            path_bytes: 1_024,
            depth: 32,
        }
    }
}

/// The two formats that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// Zip.
    Zip,
    /// Tar in gzip.
    TarGz,
}

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Its path, `/` between parts.
    pub path: String,
    /// Its bytes, unpacked.
    pub bytes: u64,
    /// Digest of those bytes.
    pub digest: Digest,
}

/// What is in an archive that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// Its format.
    pub format: ArchiveFormat,
    /// Its files, sorted by path. Directories are not listed: a path implies them.
    pub files: Vec<FileEntry>,
    /// Bytes of all files together.
    pub unpacked_bytes: u64,
}

/// Reads an archive from beginning to end and lists its files, or says all that is wrong with it (at
/// most 50 things). Writes nothing.
pub fn inspect<R: Read + Seek>(
    file: &mut R,
    limits: &ArchiveLimits,
) -> Result<Inventory, Vec<ArchiveError>> {
    walk(file, limits, &mut Nowhere).map_err(|stop| match stop {
        Stop::Refused(errors) => errors,
        // `Nowhere` never fails; were it to, the archive still would not pass.
        Stop::Sink(error) => vec![error.into()],
    })
}

/// Where the bytes of files go while an archive is walked.
trait Sink {
    fn directory(&mut self, path: &str) -> io::Result<()>;
    fn begin(&mut self, path: &str) -> io::Result<()>;
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn end(&mut self) -> io::Result<()>;
}

/// Forgets all bytes.
struct Nowhere;

impl Sink for Nowhere {
    fn directory(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn begin(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn bytes(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a walk ended before its end.
enum Stop {
    Refused(Vec<ArchiveError>),
    Sink(io::Error),
}

/// Why the parser of one format cannot go on.
enum Fatal {
    Archive(ArchiveError),
    Sink(io::Error),
}

impl From<ArchiveError> for Fatal {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

/// A file whose bytes are passing by.
struct Passing<'a> {
    sink: &'a mut dyn Sink,
    hasher: Sha256,
    bytes: u64,
}

impl<'a> Passing<'a> {
    fn begin(sink: &'a mut dyn Sink, path: &str) -> Result<Self, Fatal> {
        sink.begin(path).map_err(Fatal::Sink)?;
        Ok(Self {
            sink,
            hasher: Sha256::new(),
            bytes: 0,
        })
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Fatal> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.sink.bytes(bytes).map_err(Fatal::Sink)
    }

    fn end(self, path: &str) -> Result<FileEntry, Fatal> {
        self.sink.end().map_err(Fatal::Sink)?;
        Ok(FileEntry {
            path: path.to_owned(),
            bytes: self.bytes,
            digest: Digest::from_hasher(self.hasher),
        })
    }
}

fn walk<R: Read + Seek>(
    file: &mut R,
    limits: &ArchiveLimits,
    sink: &mut dyn Sink,
) -> Result<Inventory, Stop> {
    let mut report = Report::default();
    let walked = walk_format(file, limits, &mut report, sink);
    let fatal = match walked {
        Ok((format, mut files)) if report.is_clean() => {
            files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
            let unpacked_bytes = files.iter().map(|file| file.bytes).sum();
            return Ok(Inventory {
                format,
                files,
                unpacked_bytes,
            });
        }
        Ok(_) => None,
        Err(Fatal::Archive(error)) => Some(error),
        Err(Fatal::Sink(error)) => return Err(Stop::Sink(error)),
    };
    fatal.into_iter().for_each(|error| report.add(error));
    Err(Stop::Refused(report.into_errors()))
}

fn walk_format<R: Read + Seek>(
    file: &mut R,
    limits: &ArchiveLimits,
    report: &mut Report,
    sink: &mut dyn Sink,
) -> Result<(ArchiveFormat, Vec<FileEntry>), Fatal> {
    let bytes = file.seek(SeekFrom::End(0)).map_err(ArchiveError::from)?;
    let limit = limits.packed_bytes.min(limits::BUNDLE_BYTES);
    if bytes > limit {
        return Err(ArchiveError::PackedTooLarge { bytes, limit }.into());
    }
    file.rewind().map_err(ArchiveError::from)?;
    let mut magic = Vec::new();
    let head = file.by_ref().take(4).read_to_end(&mut magic);
    head.map_err(ArchiveError::from)?;
    file.rewind().map_err(ArchiveError::from)?;
    let (format, files) = if magic.starts_with(&[0x1f, 0x8b]) {
        let files = tar::walk(file, limits, report, sink)?;
        (ArchiveFormat::TarGz, files)
    } else if magic.starts_with(b"PK") || zip::ends_as_zip(file, bytes)? {
        let files = zip::walk(file, bytes, limits, report, sink)?;
        (ArchiveFormat::Zip, files)
    } else {
        return Err(ArchiveError::NotAnArchive.into());
    };
    if files.is_empty() && report.is_clean() {
        return Err(ArchiveError::Empty.into());
    }
    Ok((format, files))
}

/// True when a file grows more than it may.
fn grows_too_much(packed: u64, unpacked: u64, limits: &ArchiveLimits) -> bool {
    unpacked >= limits.ratio_free_bytes && unpacked > packed.saturating_mul(limits.ratio)
}
