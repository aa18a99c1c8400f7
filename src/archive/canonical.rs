//! Packs an accepted archive again into the one archive that its files have: the bytes that are
//! reviewed, signed and run.
//!
//! The canonical archive is a function of the files' paths and bytes and of nothing else, for ever, so
//! whoever has the files can compute its digest, with any tool, in any year. Therefore nothing in it is
//! compressed: no deflate library promises the same output in its next version, and a stored file needs
//! no promise. What goes over the wire may still be compressed; that is the transport's matter, which
//! works better on it (a delta between two stored archives is small, between two deflated ones it is
//! not).
//!
//! ```text
//! a zip: one stored entry per file, sorted by the bytes of the path, then the directory, then the end
//! each entry: version 2.0, flag bit 11 (UTF-8), 1980-01-01 00:00, mode 0644, made on Unix, no extra
//! field, no comment, sizes and checksum in the header; directories are implied by paths
//! ```
//!
//! Nothing is held but the list of files: where each file will lie is known before the first byte is
//! written, because nothing changes its length. This must never write what the inspection did not see.

use std::io::{self, Read, Seek, SeekFrom, Write};

use flate2::Crc;
use huidu_core::{digest::Digest, limits};
use sha2::{Digest as _, Sha256};

use super::{
    ArchiveError, ArchiveFormat, ArchiveLimits, Inventory, Sink, Stop, WINDOW_BYTES, inspect, walk,
};

const LOCAL_BYTES: u64 = 30;
const CENTRAL_BYTES: u64 = 46;
const END_BYTES: u64 = 22;
/// 2.0: the first version with directories; every reader knows it.
const VERSION: u16 = 20;
/// Made on Unix, so that the upper half of the attributes is a mode.
const MADE_BY: u16 = 3 << 8 | VERSION;
const UTF8: u16 = 1 << 11;
const STORED: u16 = 0;
const MIDNIGHT: u16 = 0;
/// 1980-01-01, the first day there is.
const FIRST_DAY: u16 = 1 << 5 | 1;
/// A regular file that everybody reads and its owner writes.
const MODE: u32 = 0o100_644 << 16;

/// The canonical archive that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canonical {
    /// What is in it.
    pub inventory: Inventory,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// How the archive it was made from was packed.
    pub from: ArchiveFormat,
}

/// Why there is no canonical archive.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// The archive is not acceptable.
    #[error("the archive is refused: {}", .errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Refused {
        /// All that is wrong with it.
        errors: Vec<ArchiveError>,
    },
    /// Its files are too much for one bundle.
    #[error(
        "unpacked and stored the files make a bundle of {bytes} bytes, at most {limit} are accepted; remove what devices do not need"
    )]
    TooLarge {
        /// What the bundle would have.
        bytes: u64,
        /// The most accepted.
        limit: u64,
    },
    /// Where it should go is not empty.
    #[error("the canonical archive needs an empty file to go to; give a fresh one")]
    NotEmpty,
    /// The archive changed between inspecting and packing.
    #[error("the archive changed while it was read; keep others from writing to it")]
    Changed,
    /// Writing failed; what was written is worthless.
    #[error("packing failed: {error}; make room and try again")]
    Io {
        /// What the system said.
        #[from]
        error: io::Error,
    },
}

/// Writes the canonical archive of `file` to `out`, which must be empty, and reads it back to judge and
/// hash what is really there. On an error `out` may hold anything.
pub fn canonicalise<R: Read + Seek, W: Read + Write + Seek>(
    file: &mut R,
    out: &mut W,
    limits: &ArchiveLimits,
) -> Result<Canonical, CanonicalError> {
    if out.seek(SeekFrom::End(0))? != 0 {
        return Err(CanonicalError::NotEmpty);
    }
    let inventory = inspect(file, limits).map_err(|errors| CanonicalError::Refused { errors })?;
    let layout = Layout::of(&inventory)?;
    let mut writer = Writer {
        out,
        inventory: &inventory,
        layout: &layout,
        checksums: vec![0; inventory.files.len()],
        at: 0,
        crc: Crc::new(),
    };
    match walk(file, limits, &mut writer) {
        Ok(packed) if packed == inventory => {}
        Ok(_) | Err(Stop::Refused(_)) => return Err(CanonicalError::Changed),
        Err(Stop::Sink(error)) => return Err(error.into()),
    }
    writer.finish()?;
    // What is shipped passes the same door as what came: a file can hold what looks like a second end
    // of the archive, and only here is it known where it comes to lie.
    match inspect(out, &limits.of_canonical()) {
        Ok(read) if read.files == inventory.files => {}
        Ok(_) => return Err(CanonicalError::Changed),
        Err(errors) => return Err(CanonicalError::Refused { errors }),
    }
    let digest = hashed(out, layout.bytes)?;
    Ok(Canonical {
        bytes: layout.bytes,
        digest,
        from: inventory.format,
        inventory: Inventory {
            format: ArchiveFormat::Zip,
            ..inventory
        },
    })
}

impl ArchiveLimits {
    /// What the canonical archives of archives within these limits are within.
    #[must_use]
    pub fn of_canonical(&self) -> Self {
        let names = 2 * self.path_bytes as u64 + LOCAL_BYTES + CENTRAL_BYTES;
        let bytes = self.unpacked_bytes + names * self.entries as u64 + END_BYTES;
        Self {
            packed_bytes: bytes.min(limits::BUNDLE_BYTES),
            ..self.clone()
        }
    }
}

/// The length of the canonical archive of these files, when they fit one.
#[cfg(test)]
pub(super) fn length(inventory: &Inventory) -> Result<u64, CanonicalError> {
    Layout::of(inventory).map(|layout| layout.bytes)
}

/// Where everything lies.
struct Layout {
    /// Where the header of each file begins, in the order of the inventory.
    heads: Vec<u64>,
    directory_at: u64,
    bytes: u64,
}

impl Layout {
    fn of(inventory: &Inventory) -> Result<Self, CanonicalError> {
        let (mut at, mut directory) = (0, 0);
        let mut heads = Vec::with_capacity(inventory.files.len());
        for file in &inventory.files {
            heads.push(at);
            at += LOCAL_BYTES + file.path.len() as u64 + file.bytes;
            directory += CENTRAL_BYTES + file.path.len() as u64;
        }
        let bytes = at + directory + END_BYTES;
        let limit = limits::BUNDLE_BYTES;
        if bytes > limit || inventory.files.len() >= usize::from(u16::MAX) {
            return Err(CanonicalError::TooLarge { bytes, limit });
        }
        Ok(Self {
            heads,
            directory_at: at,
            bytes,
        })
    }
}

struct Writer<'a, W> {
    out: &'a mut W,
    inventory: &'a Inventory,
    layout: &'a Layout,
    checksums: Vec<u32>,
    /// The file whose bytes are passing by.
    at: usize,
    crc: Crc,
}

impl<W: Write + Seek> Writer<'_, W> {
    /// What stands in both headers of a file.
    fn common(&self, at: usize) -> Vec<u8> {
        let file = &self.inventory.files[at];
        let mut head = Vec::with_capacity(64 + file.path.len());
        for short in [VERSION, UTF8, STORED, MIDNIGHT, FIRST_DAY] {
            head.extend(short.to_le_bytes());
        }
        let bytes = narrow(file.bytes);
        for long in [self.checksums[at], bytes, bytes] {
            head.extend(long.to_le_bytes());
        }
        head.extend((file.path.len() as u16).to_le_bytes());
        head.extend(0_u16.to_le_bytes());
        head
    }

    /// Writes the directory and the end.
    fn finish(self) -> io::Result<()> {
        let count = self.inventory.files.len();
        let mut directory = Vec::new();
        for (at, file) in self.inventory.files.iter().enumerate() {
            directory.extend(b"PK\x01\x02");
            directory.extend(MADE_BY.to_le_bytes());
            directory.extend(self.common(at));
            // No comment, on disk 0, no internal attributes.
            directory.extend([0; 6]);
            directory.extend(MODE.to_le_bytes());
            directory.extend(narrow(self.layout.heads[at]).to_le_bytes());
            directory.extend(file.path.as_bytes());
        }
        let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
        for _ in ["on this disk", "in all"] {
            end.extend((count as u16).to_le_bytes());
        }
        end.extend((directory.len() as u32).to_le_bytes());
        end.extend(narrow(self.layout.directory_at).to_le_bytes());
        end.extend(0_u16.to_le_bytes());
        self.out.seek(SeekFrom::Start(self.layout.directory_at))?;
        self.out.write_all(&directory)?;
        self.out.write_all(&end)?;
        self.out.flush()
    }
}

/// Places and lengths fit: the layout is refused beyond [`limits::BUNDLE_BYTES`].
const fn narrow(bytes: u64) -> u32 {
    bytes as u32
}

impl<W: Write + Seek> Sink for Writer<'_, W> {
    fn directory(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn begin(&mut self, path: &str) -> io::Result<()> {
        let files = &self.inventory.files;
        let found = files.binary_search_by(|file| (*file.path).cmp(path));
        self.at = found.map_err(|_| changed())?;
        self.crc = Crc::new();
        let data = self.layout.heads[self.at] + LOCAL_BYTES + path.len() as u64;
        self.out.seek(SeekFrom::Start(data)).map(|_| ())
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc.update(bytes);
        self.out.write_all(bytes)
    }

    fn end(&mut self) -> io::Result<()> {
        self.checksums[self.at] = self.crc.sum();
        let head = self.common(self.at);
        let file = &self.inventory.files[self.at];
        self.out.seek(SeekFrom::Start(self.layout.heads[self.at]))?;
        self.out.write_all(b"PK\x03\x04")?;
        self.out.write_all(&head)?;
        self.out.write_all(file.path.as_bytes())
    }
}

fn changed() -> io::Error {
    io::Error::other("an entry that the inspection did not see")
}

/// The digest of what `out` holds, which must be `bytes` long.
fn hashed<W: Read + Seek>(out: &mut W, bytes: u64) -> Result<Digest, CanonicalError> {
    out.rewind()?;
    let mut hasher = Sha256::new();
    let mut window = vec![0; WINDOW_BYTES];
    let mut total = 0;
    loop {
        let read = out.read(&mut window)?;
        if read == 0 {
            break;
        }
        hasher.update(&window[..read]);
        total += read as u64;
    }
    if total != bytes {
        return Err(CanonicalError::Changed);
    }
    Ok(Digest::from_hasher(hasher))
}
