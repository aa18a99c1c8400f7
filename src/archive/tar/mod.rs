//! Reads a tar in gzip as one strict stream.
//!
//! One gzip member, one tar: headers and data, two blocks of zeros, zeros to the end. The name that is
//! judged is the final one, after pax and GNU long names. The stream is inflated a window at a time and
//! counted, so it never grows beyond the limits whatever its headers declare.

mod header;

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read, Seek};

use flate2::bufread::GzDecoder;

use super::{
    ArchiveLimits, Fatal, FileEntry, Passing, Sink, WINDOW_BYTES,
    error::{ArchiveError, EntryKind, Report, shown},
    grows_too_much,
    path::{EntryPath, Tree},
};
use header::{BLOCK_BYTES, Header, Pax, text};

/// Bytes of one pax or GNU long-name record. A path takes a kilobyte; times and owners little more.
const EXTENSION_BYTES: u64 = 64 * 1024;

pub(super) fn walk<R: Read + Seek>(
    file: &mut R,
    limits: &ArchiveLimits,
    report: &mut Report,
    sink: &mut dyn Sink,
) -> Result<Vec<FileEntry>, Fatal> {
    let mut stream = Stream::new(file, limits);
    let mut tree = Tree::default();
    let mut files = Vec::new();
    let mut entries = 0;
    while let Some((name, header)) = stream.next_entry()? {
        entries += 1;
        if entries > limits.entries {
            let limit = limits.entries;
            return Err(ArchiveError::TooManyEntries { limit }.into());
        }
        match judge(&name, &header, limits, &mut tree) {
            Ok(entry) if entry.is_directory => {
                sink.directory(entry.path).map_err(Fatal::Sink)?;
            }
            Ok(entry) => {
                let mut passing = Passing::begin(sink, entry.path)?;
                stream.data(header.bytes, |bytes| passing.bytes(bytes))?;
                files.push(passing.end(entry.path)?);
                continue;
            }
            Err(error) => report.add(error),
        }
        if report.is_full() {
            return Ok(files);
        }
        stream.data(header.bytes, |_| Ok(()))?;
    }
    stream.finish()?;
    Ok(files)
}

fn judge<'a>(
    name: &'a [u8],
    header: &Header,
    limits: &ArchiveLimits,
    tree: &mut Tree,
) -> Result<EntryPath<'a>, ArchiveError> {
    let shown = || shown(name);
    let kind = match header.kind {
        b'0' | 0 => None,
        b'5' => None,
        b'1' => Some(EntryKind::HardLink),
        b'2' | b'K' => Some(EntryKind::SymbolicLink),
        b'3' | b'4' => Some(EntryKind::Device),
        b'6' => Some(EntryKind::Pipe),
        b'S' => Some(EntryKind::Sparse),
        b'V' => Some(EntryKind::Label),
        _ => Some(EntryKind::Unknown),
    };
    if let Some(kind) = kind {
        return Err(ArchiveError::Kind {
            name: shown(),
            kind,
        });
    }
    let mut entry = EntryPath::judge(name, limits).map_err(|fault| ArchiveError::Name {
        name: shown(),
        fault,
    })?;
    let is_directory = header.kind == b'5';
    // A directory may leave out its slash; a file may not have one.
    if entry.is_directory && !is_directory {
        return Err(ArchiveError::UnclearKind { name: shown() });
    }
    entry.is_directory = is_directory;
    if is_directory && header.bytes > 0 {
        return Err(ArchiveError::DirectoryWithData { name: shown() });
    }
    tree.add(entry)?;
    Ok(entry)
}

/// Counts the packed bytes that were taken.
struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        self.bytes += bytes as u64;
        Ok(bytes)
    }
}

/// The inflated stream, held to the limits.
struct Stream<'a, R> {
    gzip: GzDecoder<BufReader<Counted<&'a mut R>>>,
    limits: &'a ArchiveLimits,
    unpacked: u64,
    /// The entry that is being read, for errors.
    name: String,
    window: Vec<u8>,
}

impl<'a, R: Read> Stream<'a, R> {
    fn new(file: &'a mut R, limits: &'a ArchiveLimits) -> Self {
        let counted = Counted {
            inner: file,
            bytes: 0,
        };
        Self {
            gzip: GzDecoder::new(BufReader::new(counted)),
            limits,
            unpacked: 0,
            name: String::new(),
            window: vec![0; WINDOW_BYTES],
        }
    }

    /// The next entry with its final name, or nothing once the end marker was read.
    fn next_entry(&mut self) -> Result<Option<(Vec<u8>, Header)>, ArchiveError> {
        let mut long_name = None;
        let mut pax = None;
        let mut extensions = 0;
        loop {
            let mut block = [0; BLOCK_BYTES];
            self.block(&mut block)?;
            if block == [0; BLOCK_BYTES] {
                // An extension must have an entry, and one block of zeros is not the end.
                self.block(&mut block)?;
                return if extensions == 0 && block == [0; BLOCK_BYTES] {
                    Ok(None)
                } else {
                    Err(ArchiveError::Truncated)
                };
            }
            let header = Header::parse(&block).map_err(|field| {
                let name = block[..100].split(|byte| *byte == 0).next();
                let name = shown(name.unwrap_or_default());
                ArchiveError::TarHeader { name, field }
            })?;
            self.name = shown(&header.name);
            let unclear = |field| ArchiveError::TarHeader {
                name: shown(&header.name),
                field,
            };
            match header.kind {
                b'x' if pax.is_none() => pax = Some(self.pax(&header)?),
                b'g' => {
                    // A path or size for all the files that follow: nobody needs that.
                    let global = self.pax(&header)?;
                    if global != Pax::default() {
                        return Err(self.refused_pax(if global.path.is_some() {
                            b"path"
                        } else {
                            b"size"
                        }));
                    }
                    // It is not for one entry, and may be the last thing.
                    continue;
                }
                b'L' if long_name.is_none() => {
                    let bytes = self.extension(&header)?;
                    // One NUL ends it, as GNU tar writes it: of several, readers keep some in the name.
                    let name = text(&bytes).filter(|name| name.len() + 1 == bytes.len());
                    long_name = Some(name.ok_or_else(|| unclear("long name"))?.to_vec());
                }
                b'x' | b'L' => return Err(unclear("name: two extensions of one kind")),
                _ => return self.named(header, long_name, pax).map(Some),
            }
            extensions += 1;
        }
    }

    /// Settles the name and size of an entry from its header and the extensions before it.
    fn named(
        &mut self,
        header: Header,
        long_name: Option<Vec<u8>>,
        pax: Option<Pax>,
    ) -> Result<(Vec<u8>, Header), ArchiveError> {
        let pax = pax.unwrap_or_default();
        let name = match (long_name, pax.path) {
            (Some(_), Some(_)) => {
                return Err(self.refused_pax(b"path"));
            }
            (Some(name), None) | (None, Some(name)) => name,
            (None, None) => header.name.clone(),
        };
        self.name = shown(&name);
        if pax.bytes.is_some_and(|bytes| bytes != header.bytes) {
            return Err(self.refused_pax(b"size"));
        }
        if header.bytes > self.limits.unpacked_bytes {
            return Err(self.too_large());
        }
        Ok((name, header))
    }

    fn pax(&mut self, header: &Header) -> Result<Pax, ArchiveError> {
        let records = self.extension(header)?;
        Pax::parse(&records).map_err(|key| self.refused_pax(&key))
    }

    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, ArchiveError> {
        if header.bytes > EXTENSION_BYTES {
            let name = shown(&header.name);
            return Err(ArchiveError::TarHeader {
                name,
                field: "size",
            });
        }
        let mut bytes = Vec::new();
        let gathered = self.data(header.bytes, |window| {
            bytes.extend_from_slice(window);
            Ok(())
        });
        match gathered {
            Ok(()) => Ok(bytes),
            Err(Fatal::Archive(error)) => Err(error),
            // Gathering into memory does not fail.
            Err(Fatal::Sink(error)) => Err(error.into()),
        }
    }

    /// Passes on the data of an entry and skips its padding.
    fn data(
        &mut self,
        bytes: u64,
        mut pass: impl FnMut(&[u8]) -> Result<(), Fatal>,
    ) -> Result<(), Fatal> {
        let padded = bytes.next_multiple_of(BLOCK_BYTES as u64);
        let mut window = std::mem::take(&mut self.window);
        let mut at = 0;
        while at < padded {
            let want = window.len().min((padded - at) as usize);
            let got = self.read(&mut window[..want])?;
            if got == 0 {
                return Err(ArchiveError::Truncated.into());
            }
            let data = (bytes.saturating_sub(at) as usize).min(got);
            if data > 0 {
                pass(&window[..data])?;
            }
            at += got as u64;
        }
        self.window = window;
        Ok(())
    }

    fn block(&mut self, block: &mut [u8; BLOCK_BYTES]) -> Result<(), ArchiveError> {
        let mut at = 0;
        while at < BLOCK_BYTES {
            match self.read(&mut block[at..])? {
                0 => return Err(ArchiveError::Truncated),
                bytes => at += bytes,
            }
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let bytes = self.gzip.read(buffer).map_err(|error| match error.kind() {
            ErrorKind::InvalidData | ErrorKind::InvalidInput => ArchiveError::CorruptGzip {
                name: self.name.clone(),
            },
            _ => error.into(),
        })?;
        self.unpacked += bytes as u64;
        if self.unpacked > self.limits.unpacked_bytes {
            return Err(self.too_large());
        }
        if grows_too_much(
            self.gzip.get_ref().get_ref().bytes,
            self.unpacked,
            self.limits,
        ) {
            let (name, limit) = (self.name.clone(), self.limits.ratio);
            return Err(ArchiveError::Ratio { name, limit });
        }
        Ok(bytes)
    }

    /// After the end marker: zeros to the end of the member, and nothing after the member.
    fn finish(mut self) -> Result<(), ArchiveError> {
        let mut window = std::mem::take(&mut self.window);
        loop {
            match self.read(&mut window)? {
                0 => break,
                bytes if window[..bytes].iter().all(|byte| *byte == 0) => {}
                _ => return Err(ArchiveError::TrailingData),
            }
        }
        let mut rest = self.gzip.into_inner();
        if rest.fill_buf()?.is_empty() {
            Ok(())
        } else {
            Err(ArchiveError::TrailingData)
        }
    }

    fn too_large(&self) -> ArchiveError {
        ArchiveError::UnpackedTooLarge {
            name: self.name.clone(),
            limit: self.limits.unpacked_bytes,
        }
    }

    fn refused_pax(&self, key: &[u8]) -> ArchiveError {
        ArchiveError::Pax {
            name: self.name.clone(),
            key: shown(key),
        }
    }
}
