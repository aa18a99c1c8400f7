//! Reads a zip so strictly that all readers that accept it see the same files.
//!
//! Every byte belongs to exactly one thing: entry after entry from the first byte, then the directory,
//! then one end record without a comment. What is said twice must be said alike. All of that is checked
//! before anything is inflated; nothing is inflated from an archive that already failed.

mod inflate;
mod record;

use std::io::{BufReader, Read, Seek, SeekFrom};

use super::{
    ArchiveLimits, Fatal, FileEntry, Sink,
    error::{ArchiveError, EntryKind, NameFault, Report, shown},
    grows_too_much,
    path::{EntryPath, Tree},
};
use record::{
    CENTRAL_BYTES, Central, DESCRIPTOR_SIGNATURE, END_BYTES, END_SIGNATURE, EndRecord, LOCAL_BYTES,
    LOCAL_SIGNATURE, Local, Shared, ZIP64_LOCATOR_SIGNATURE, refused_extra, u16_at, u32_at,
};

const ENCRYPTED: u16 = 1 << 0 | 1 << 6 | 1 << 13;
const DEFLATE_LEVEL: u16 = 1 << 1 | 1 << 2;
/// Sizes and checksum follow the data instead of standing before it.
const DESCRIPTOR: u16 = 1 << 3;
const UTF8: u16 = 1 << 11;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// An entry of the directory.
struct Entry {
    name: Vec<u8>,
    shared: Shared,
    local_at: u64,
    /// Where the data begins, once the local header was read.
    data_at: u64,
    is_directory: bool,
    /// Its directory entry was refused already; nothing more is said of it.
    is_refused: bool,
}

impl Entry {
    fn shown(&self) -> String {
        shown(&self.name)
    }
}

/// True when an end record stands where a zip without a comment has it.
pub(super) fn ends_as_zip<R: Read + Seek>(file: &mut R, bytes: u64) -> Result<bool, ArchiveError> {
    Ok(tail(file, bytes, END_BYTES as u64)?.starts_with(END_SIGNATURE))
}

pub(super) fn walk<R: Read + Seek>(
    file: &mut R,
    bytes: u64,
    limits: &ArchiveLimits,
    report: &mut Report,
    sink: &mut dyn Sink,
) -> Result<Vec<FileEntry>, Fatal> {
    let (directory_at, end) = find_directory(file, bytes)?;
    if usize::from(end.entries) > limits.entries {
        let limit = limits.entries;
        return Err(ArchiveError::TooManyEntries { limit }.into());
    }
    let mut entries = read_directory(file, directory_at, &end, limits, report)?;
    cap_unpacked(&entries, limits)?;
    entries.sort_by_key(|entry| entry.local_at);
    check_layout(file, directory_at, &mut entries, report)?;
    let mut files = Vec::new();
    if !report.is_clean() {
        return Ok(files);
    }
    for entry in &entries {
        match inflate::entry(file, entry, sink) {
            Ok(listed) => files.extend(listed),
            Err(Fatal::Archive(error)) => report.add(error),
            Err(sink) => return Err(sink),
        }
    }
    Ok(files)
}

/// The last `most` bytes.
fn tail<R: Read + Seek>(file: &mut R, bytes: u64, most: u64) -> Result<Vec<u8>, ArchiveError> {
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(bytes.saturating_sub(most)))?;
    file.take(most).read_to_end(&mut tail)?;
    Ok(tail)
}

/// Finds the one end record, which is the last thing in the file, and the directory just before it.
fn find_directory<R: Read + Seek>(
    file: &mut R,
    bytes: u64,
) -> Result<(u64, EndRecord), ArchiveError> {
    // The farthest that a reader which allows comments looks back.
    let tail = tail(file, bytes, (END_BYTES + usize::from(u16::MAX)) as u64)?;
    let (before, end) = tail
        .split_last_chunk::<END_BYTES>()
        .ok_or(ArchiveError::Truncated)?;
    if !end.starts_with(END_SIGNATURE) || u16_at(end, 20) != 0 {
        let seen = tail.windows(4).any(|window| window == END_SIGNATURE);
        return Err(if seen {
            ArchiveError::TrailingData
        } else {
            ArchiveError::NoEndRecord
        });
    }
    // A second record whose comment would reach the end of the file is one that a reader could choose.
    let is_rival = |at: usize| {
        tail[at..].starts_with(END_SIGNATURE)
            && at + END_BYTES + usize::from(u16_at(&tail, at + 20)) == tail.len()
    };
    if (0..before.len()).any(is_rival) {
        return Err(ArchiveError::SeveralEndRecords);
    }
    if before.len() >= 20 && before[before.len() - 20..].starts_with(ZIP64_LOCATOR_SIGNATURE) {
        return Err(ArchiveError::Zip64);
    }
    let end = EndRecord::parse(end)?;
    let end_at = bytes - END_BYTES as u64;
    let directory_at = u64::from(end.directory_at);
    let directory_end = directory_at + u64::from(end.directory_bytes);
    if directory_end == end_at {
        return Ok((directory_at, end));
    }
    if directory_end < end_at {
        // Readers that tolerate a prefix take all places to be that much farther on.
        let bytes = end_at - directory_end;
        let mut signature = [0; 4];
        file.seek(SeekFrom::Start(bytes))?;
        file.read_exact(&mut signature)?;
        if signature == *LOCAL_SIGNATURE {
            return Err(ArchiveError::PrependedData { bytes });
        }
    }
    Err(ArchiveError::EndRecord {
        field: "place of the directory",
    })
}

/// Reads all entries of the directory and judges what each says of itself.
fn read_directory<R: Read + Seek>(
    file: &mut R,
    directory_at: u64,
    end: &EndRecord,
    limits: &ArchiveLimits,
    report: &mut Report,
) -> Result<Vec<Entry>, ArchiveError> {
    file.seek(SeekFrom::Start(directory_at))?;
    let mut directory = BufReader::new(file.take(u64::from(end.directory_bytes)));
    let mut entries = Vec::with_capacity(usize::from(end.entries));
    let mut tree = Tree::default();
    for index in 0..usize::from(end.entries) {
        let unreadable = |_| ArchiveError::Directory { index };
        let mut head = [0; CENTRAL_BYTES];
        directory.read_exact(&mut head).map_err(unreadable)?;
        let central = Central::parse(&head).ok_or(ArchiveError::Directory { index })?;
        let mut text = |bytes: u16| {
            let mut text = vec![0; usize::from(bytes)];
            directory.read_exact(&mut text).map_err(unreadable)?;
            Ok::<_, ArchiveError>(text)
        };
        let name = text(central.name_bytes)?;
        let extra = text(central.extra_bytes)?;
        text(central.comment_bytes)?;
        let is_directory = name.ends_with(b"/");
        let judged = judge_entry(&name, &extra, &central, limits, &mut tree);
        let is_refused = judged.is_err();
        judged.unwrap_or_else(|error| report.add(error));
        if report.is_full() {
            break;
        }
        entries.push(Entry {
            name,
            shared: central.shared,
            local_at: u64::from(central.local_at),
            data_at: 0,
            is_directory,
            is_refused,
        });
    }
    if !report.is_full() && std::io::copy(&mut directory, &mut std::io::sink())? > 0 {
        return Err(ArchiveError::EndRecord {
            field: "number of entries",
        });
    }
    Ok(entries)
}

fn judge_entry(
    name: &[u8],
    extra: &[u8],
    central: &Central,
    limits: &ArchiveLimits,
    tree: &mut Tree,
) -> Result<(), ArchiveError> {
    let shared = &central.shared;
    let shown = || shown(name);
    if shared.packed == u32::MAX || shared.unpacked == u32::MAX || central.local_at == u32::MAX {
        return Err(ArchiveError::Zip64);
    }
    if central.disk != 0 {
        return Err(ArchiveError::MultiDisk);
    }
    let entry = EntryPath::judge(name, limits)
        .and_then(|entry| {
            let declared = shared.flags & UTF8 != 0 || name.is_ascii();
            declared.then_some(entry).ok_or(NameFault::NotDeclaredUtf8)
        })
        .map_err(|fault| ArchiveError::Name {
            name: shown(),
            fault,
        })?;
    judge_kind(entry, central)?;
    if shared.flags & ENCRYPTED != 0 {
        return Err(ArchiveError::Encrypted { name: shown() });
    }
    let flags = shared.flags;
    if flags & !(DEFLATE_LEVEL | DESCRIPTOR | UTF8) != 0 {
        return Err(ArchiveError::Flags {
            name: shown(),
            flags,
        });
    }
    match shared.method {
        // Nothing but the directory would tell where stored data ends.
        STORED if flags & DESCRIPTOR != 0 && shared.packed != 0 => {
            return Err(ArchiveError::Flags {
                name: shown(),
                flags,
            });
        }
        STORED if shared.packed != shared.unpacked => {
            let declared = u64::from(shared.unpacked);
            return Err(ArchiveError::Size {
                name: shown(),
                declared,
            });
        }
        STORED | DEFLATED => {}
        method => {
            return Err(ArchiveError::Method {
                name: shown(),
                method,
            });
        }
    }
    judge_extra(name, extra)?;
    if central.comment_bytes > 0 {
        return Err(ArchiveError::Comment { name: shown() });
    }
    if grows_too_much(u64::from(shared.packed), u64::from(shared.unpacked), limits) {
        return Err(ArchiveError::Ratio {
            name: shown(),
            limit: limits.ratio,
        });
    }
    tree.add(entry)
}

/// Regular files and directories only, and name and attributes must agree on which.
fn judge_kind(entry: EntryPath<'_>, central: &Central) -> Result<(), ArchiveError> {
    const DOS_LABEL: u32 = 0x08;
    const DOS_DIRECTORY: u32 = 0x10;
    let name = || shown(entry.path.as_bytes());
    // The upper half is a Unix mode, whatever system the maker claims: readers differ in whether they
    // ask for the system first.
    let kind = match (central.attributes >> 16) & 0o170_000 {
        0 => None,
        0o100_000 => Some(false),
        0o040_000 => Some(true),
        other => {
            let kind = match other {
                0o120_000 => EntryKind::SymbolicLink,
                0o060_000 | 0o020_000 => EntryKind::Device,
                0o010_000 => EntryKind::Pipe,
                0o140_000 => EntryKind::Socket,
                _ => EntryKind::Unknown,
            };
            return Err(ArchiveError::Kind { name: name(), kind });
        }
    };
    if central.attributes & DOS_LABEL != 0 {
        let kind = EntryKind::Label;
        return Err(ArchiveError::Kind { name: name(), kind });
    }
    let is_dos_directory = central.attributes & DOS_DIRECTORY != 0;
    if kind.is_some_and(|is_directory| is_directory != entry.is_directory)
        || is_dos_directory && !entry.is_directory
    {
        return Err(ArchiveError::UnclearKind { name: name() });
    }
    if entry.is_directory && central.shared.unpacked != 0 {
        return Err(ArchiveError::DirectoryWithData { name: name() });
    }
    Ok(())
}

fn judge_extra(name: &[u8], extra: &[u8]) -> Result<(), ArchiveError> {
    const ZIP64_EXTRA: u16 = 0x0001;
    const AES_EXTRA: u16 = 0x9901;
    let name = || shown(name);
    match refused_extra(extra) {
        None => Ok(()),
        Some(ZIP64_EXTRA) => Err(ArchiveError::Zip64),
        Some(AES_EXTRA) => Err(ArchiveError::Encrypted { name: name() }),
        Some(id) => Err(ArchiveError::ExtraField { name: name(), id }),
    }
}

/// Before a byte is inflated: what all entries declare together.
fn cap_unpacked(entries: &[Entry], limits: &ArchiveLimits) -> Result<(), ArchiveError> {
    let mut total = 0;
    for entry in entries {
        total += u64::from(entry.shared.unpacked);
        if total > limits.unpacked_bytes {
            return Err(ArchiveError::UnpackedTooLarge {
                name: entry.shown(),
                limit: limits.unpacked_bytes,
            });
        }
    }
    Ok(())
}

/// Walks the entries in the order of their data: each begins where the one before ends, the first at
/// the first byte, and the last ends where the directory begins.
fn check_layout<R: Read + Seek>(
    file: &mut R,
    directory_at: u64,
    entries: &mut [Entry],
    report: &mut Report,
) -> Result<(), ArchiveError> {
    match entries.first() {
        Some(first) if first.local_at > 0 => {
            return Err(ArchiveError::PrependedData {
                bytes: first.local_at,
            });
        }
        None if directory_at > 0 => {
            return Err(ArchiveError::PrependedData {
                bytes: directory_at,
            });
        }
        _ => {}
    }
    for index in 0..entries.len() {
        if report.is_full() {
            break;
        }
        let (next_at, next) = match entries.get(index + 1) {
            Some(next) => (next.local_at, next.shown()),
            None => (directory_at, "the directory".to_owned()),
        };
        let entry = &mut entries[index];
        if entry.is_refused {
            continue;
        }
        if let Err(error) = check_local(file, entry) {
            report.add(error);
        } else if let Err(error) = check_end(file, entry, next_at, next) {
            report.add(error);
        }
    }
    Ok(())
}

/// Compares the local header of an entry with its directory entry and finds its data.
fn check_local<R: Read + Seek>(file: &mut R, entry: &mut Entry) -> Result<(), ArchiveError> {
    let differs = |field| ArchiveError::LocalHeader {
        name: entry.shown(),
        field,
    };
    let mut head = [0; LOCAL_BYTES];
    file.seek(SeekFrom::Start(entry.local_at))?;
    file.read_exact(&mut head).map_err(|_| differs("place"))?;
    let local = Local::parse(&head).ok_or_else(|| differs("place"))?;
    let mut name = vec![0; usize::from(local.name_bytes)];
    let mut extra = vec![0; usize::from(local.extra_bytes)];
    file.read_exact(&mut name).map_err(|_| differs("name"))?;
    file.read_exact(&mut extra)
        .map_err(|_| differs("extra fields"))?;
    let (here, there) = (&local.shared, &entry.shared);
    let follows = there.flags & DESCRIPTOR != 0;
    let agrees = |here: u32, there: u32| here == there || follows && here == 0;
    let field = if name != entry.name {
        Some("name")
    } else if here.flags != there.flags {
        Some("flags")
    } else if here.method != there.method {
        Some("method")
    } else if !agrees(here.packed, there.packed) {
        Some("packed size")
    } else if !agrees(here.unpacked, there.unpacked) {
        Some("size")
    } else if !agrees(here.crc, there.crc) {
        Some("checksum")
    } else {
        None
    };
    if let Some(field) = field {
        return Err(differs(field));
    }
    judge_extra(&entry.name, &extra)?;
    entry.data_at = entry.local_at + (LOCAL_BYTES + name.len() + extra.len()) as u64;
    Ok(())
}

/// Holds what lies between the data of an entry and the next thing: nothing, or its descriptor.
fn check_end<R: Read + Seek>(
    file: &mut R,
    entry: &Entry,
    next_at: u64,
    next: String,
) -> Result<(), ArchiveError> {
    let data_end = entry.data_at + u64::from(entry.shared.packed);
    let Some(between) = next_at.checked_sub(data_end) else {
        return Err(ArchiveError::Overlap {
            name: next,
            other: entry.shown(),
        });
    };
    let follows = entry.shared.flags & DESCRIPTOR != 0;
    let descriptor_bytes = match between {
        0 if !follows => return Ok(()),
        12 | 16 if follows => between as usize,
        _ if follows && between < 12 => {
            return Err(ArchiveError::Descriptor {
                name: entry.shown(),
            });
        }
        _ => {
            return Err(ArchiveError::HiddenData {
                name: entry.shown(),
                bytes: between,
            });
        }
    };
    let mut bytes = [0; 16];
    let bytes = &mut bytes[..descriptor_bytes];
    file.seek(SeekFrom::Start(data_end))?;
    file.read_exact(bytes)?;
    let fields = match bytes.strip_prefix(DESCRIPTOR_SIGNATURE) {
        Some(fields) if descriptor_bytes == 16 => fields,
        None if descriptor_bytes == 12 => &*bytes,
        _ => {
            return Err(ArchiveError::Descriptor {
                name: entry.shown(),
            });
        }
    };
    let says = (u32_at(fields, 0), u32_at(fields, 4), u32_at(fields, 8));
    if says != (entry.shared.crc, entry.shared.packed, entry.shared.unpacked) {
        return Err(ArchiveError::Descriptor {
            name: entry.shown(),
        });
    }
    Ok(())
}
