//! The three records of a zip as bytes: end record, directory entry, local header.
//!
//! Parsing here is total and keeps every field that two readers could disagree on. It never judges
//! whether records agree; `zip` does.

use super::super::error::ArchiveError;

pub(super) const END_BYTES: usize = 22;
pub(super) const CENTRAL_BYTES: usize = 46;
pub(super) const LOCAL_BYTES: usize = 30;

pub(super) const END_SIGNATURE: &[u8; 4] = b"PK\x05\x06";
pub(super) const ZIP64_LOCATOR_SIGNATURE: &[u8; 4] = b"PK\x06\x07";
const CENTRAL_SIGNATURE: &[u8; 4] = b"PK\x01\x02";
pub(super) const LOCAL_SIGNATURE: &[u8; 4] = b"PK\x03\x04";
pub(super) const DESCRIPTOR_SIGNATURE: &[u8; 4] = b"PK\x07\x08";

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

/// The record at the very end.
pub(super) struct EndRecord {
    pub(super) entries: u16,
    pub(super) directory_bytes: u32,
    pub(super) directory_at: u32,
}

impl EndRecord {
    pub(super) fn parse(bytes: &[u8; END_BYTES]) -> Result<Self, ArchiveError> {
        let (disk, directory_disk) = (u16_at(bytes, 4), u16_at(bytes, 6));
        let (here, entries) = (u16_at(bytes, 8), u16_at(bytes, 10));
        let end = Self {
            entries,
            directory_bytes: u32_at(bytes, 12),
            directory_at: u32_at(bytes, 16),
        };
        // These values say "see the zip64 record".
        if disk == u16::MAX
            || entries == u16::MAX
            || end.directory_bytes == u32::MAX
            || end.directory_at == u32::MAX
        {
            return Err(ArchiveError::Zip64);
        }
        if disk != 0 || directory_disk != 0 || here != entries {
            return Err(ArchiveError::MultiDisk);
        }
        Ok(end)
    }
}

/// What both headers of an entry say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shared {
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) packed: u32,
    pub(super) unpacked: u32,
}

impl Shared {
    /// Version, flags, method, time, date, checksum, sizes: the same run of bytes in both headers.
    fn parse(bytes: &[u8], at: usize) -> Self {
        Self {
            flags: u16_at(bytes, at + 2),
            method: u16_at(bytes, at + 4),
            crc: u32_at(bytes, at + 10),
            packed: u32_at(bytes, at + 14),
            unpacked: u32_at(bytes, at + 18),
        }
    }
}

/// The fixed part of a directory entry.
pub(super) struct Central {
    pub(super) shared: Shared,
    pub(super) name_bytes: u16,
    pub(super) extra_bytes: u16,
    pub(super) comment_bytes: u16,
    pub(super) disk: u16,
    pub(super) attributes: u32,
    pub(super) local_at: u32,
}

impl Central {
    pub(super) fn parse(bytes: &[u8; CENTRAL_BYTES]) -> Option<Self> {
        bytes.starts_with(CENTRAL_SIGNATURE).then(|| Self {
            shared: Shared::parse(bytes, 6),
            name_bytes: u16_at(bytes, 28),
            extra_bytes: u16_at(bytes, 30),
            comment_bytes: u16_at(bytes, 32),
            disk: u16_at(bytes, 34),
            attributes: u32_at(bytes, 38),
            local_at: u32_at(bytes, 42),
        })
    }
}

/// The fixed part of a local header.
pub(super) struct Local {
    pub(super) shared: Shared,
    pub(super) name_bytes: u16,
    pub(super) extra_bytes: u16,
}

impl Local {
    pub(super) fn parse(bytes: &[u8; LOCAL_BYTES]) -> Option<Self> {
        bytes.starts_with(LOCAL_SIGNATURE).then(|| Self {
            shared: Shared::parse(bytes, 4),
            name_bytes: u16_at(bytes, 26),
            extra_bytes: u16_at(bytes, 28),
        })
    }
}

/// Extra fields that only tell times, owners and alignment. Any other may rename the entry, make it a
/// link, or give it other sizes for the readers that know the field.
const HARMLESS_EXTRAS: [u16; 7] = [
    0x000a, // times, NTFS
    0x5455, // times, Unix
    0x5855, // times and owner, old Unix
    0x7855, // owner, old Unix
    0x7875, // owner, Unix
    0xcafe, // "this is a jar"
    0xd935, // alignment, Android
];

/// The first extra field that is not harmless; a run that does not parse counts as field 0.
pub(super) fn refused_extra(mut extra: &[u8]) -> Option<u16> {
    while !extra.is_empty() {
        let Some((head, rest)) = extra.split_first_chunk::<4>() else {
            return Some(0);
        };
        let (id, bytes) = (u16_at(head, 0), usize::from(u16_at(head, 2)));
        if !HARMLESS_EXTRAS.contains(&id) {
            return Some(id);
        }
        let Some(rest) = rest.get(bytes..) else {
            return Some(0);
        };
        extra = rest;
    }
    None
}
