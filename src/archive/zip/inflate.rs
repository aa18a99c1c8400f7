//! Reads the data of one entry of a zip: exactly its packed bytes in, exactly its declared bytes out.
//!
//! Never trusts a declared size to end well: output is counted as it comes and stops one window after
//! it exceeds what was declared, and what was declared was capped before.

use std::io::{Read, Seek, SeekFrom};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{
    super::{Fatal, FileEntry, Passing, Sink, WINDOW_BYTES, error::ArchiveError},
    DEFLATED, Entry,
};

/// Reads one entry; a directory gives no file.
pub(super) fn entry<R: Read + Seek>(
    file: &mut R,
    entry: &Entry,
    sink: &mut dyn Sink,
) -> Result<Option<FileEntry>, Fatal> {
    // The name was judged to be UTF-8 before.
    let path = String::from_utf8_lossy(&entry.name);
    let path = path.strip_suffix('/').unwrap_or(&path);
    file.seek(SeekFrom::Start(entry.data_at))
        .map_err(ArchiveError::from)?;
    let packed = file.take(u64::from(entry.shared.packed));
    if entry.is_directory {
        read(packed, entry, |_| Ok(()))?;
        sink.directory(path).map_err(Fatal::Sink)?;
        return Ok(None);
    }
    let mut passing = Passing::begin(sink, path)?;
    read(packed, entry, |bytes| passing.bytes(bytes))?;
    passing.end(path).map(Some)
}

fn read(
    packed: impl Read,
    entry: &Entry,
    mut pass: impl FnMut(&[u8]) -> Result<(), Fatal>,
) -> Result<(), Fatal> {
    let declared = u64::from(entry.shared.unpacked);
    let wrong_size = || ArchiveError::Size {
        name: entry.shown(),
        declared,
    };
    let mut crc = Crc::new();
    let mut unpacked = 0;
    let mut count = |bytes: &[u8]| {
        unpacked += bytes.len() as u64;
        if unpacked > declared {
            return Err(Fatal::Archive(wrong_size()));
        }
        crc.update(bytes);
        pass(bytes)
    };
    if entry.shared.method == DEFLATED {
        inflate(packed, entry, &mut count)?;
    } else {
        copy(packed, &mut count)?;
    }
    if unpacked != declared {
        return Err(wrong_size().into());
    }
    if crc.sum() != entry.shared.crc {
        return Err(ArchiveError::Checksum {
            name: entry.shown(),
        }
        .into());
    }
    Ok(())
}

fn copy(
    mut packed: impl Read,
    pass: &mut dyn FnMut(&[u8]) -> Result<(), Fatal>,
) -> Result<(), Fatal> {
    let mut window = vec![0; WINDOW_BYTES];
    loop {
        match packed.read(&mut window).map_err(ArchiveError::from)? {
            0 => return Ok(()),
            bytes => pass(&window[..bytes])?,
        }
    }
}

fn inflate(
    mut packed: impl Read,
    entry: &Entry,
    pass: &mut dyn FnMut(&[u8]) -> Result<(), Fatal>,
) -> Result<(), Fatal> {
    let corrupt = || {
        Fatal::Archive(ArchiveError::Corrupt {
            name: entry.shown(),
        })
    };
    let mut inflater = Decompress::new(false);
    let mut input = vec![0; WINDOW_BYTES];
    let mut output = vec![0; WINDOW_BYTES];
    loop {
        let bytes = packed.read(&mut input).map_err(ArchiveError::from)?;
        let mut rest = &input[..bytes];
        loop {
            let (read, written) = (inflater.total_in(), inflater.total_out());
            let status = inflater
                .decompress(rest, &mut output, FlushDecompress::None)
                .map_err(|_| corrupt())?;
            let read = (inflater.total_in() - read) as usize;
            let written = (inflater.total_out() - written) as usize;
            rest = &rest[read..];
            pass(&output[..written])?;
            if status == Status::StreamEnd {
                // Bytes after the end of the stream are bytes that nobody would see.
                let ends_here = rest.is_empty();
                let after = packed.read(&mut input).map_err(ArchiveError::from)?;
                return if ends_here && after == 0 {
                    Ok(())
                } else {
                    Err(corrupt())
                };
            }
            if read == 0 && written == 0 {
                break;
            }
        }
        if bytes == 0 || !rest.is_empty() {
            return Err(corrupt());
        }
    }
}
