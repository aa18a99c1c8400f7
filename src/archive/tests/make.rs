//! Makes zips and tars byte by byte, so that each can be wrong in one chosen place.

use std::io::Write as _;

use flate2::{Compression, Crc, write::DeflateEncoder, write::GzEncoder};

pub(super) fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn crc(data: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(data);
    crc.sum()
}

/// One header of an entry, honest unless a test changes a field.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) name: Vec<u8>,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) packed: u32,
    pub(super) unpacked: u32,
    pub(super) extra: Vec<u8>,
}

#[derive(Clone)]
pub(super) struct ZipEntry {
    pub(super) local: Head,
    pub(super) central: Head,
    pub(super) attributes: u32,
    pub(super) comment: Vec<u8>,
    pub(super) disk: u16,
    /// Written after the local header.
    pub(super) data: Vec<u8>,
    /// Written after the data.
    pub(super) after: Vec<u8>,
    /// Where the directory says the entry begins, if not where it does.
    pub(super) claimed_at: Option<u32>,
}

impl ZipEntry {
    fn packed(name: &[u8], method: u16, packed: Vec<u8>, data: &[u8]) -> Self {
        let head = Head {
            name: name.to_vec(),
            flags: if name.is_ascii() { 0 } else { 1 << 11 },
            method,
            crc: crc(data),
            packed: packed.len() as u32,
            unpacked: data.len() as u32,
            extra: vec![],
        };
        Self {
            local: head.clone(),
            central: head,
            attributes: 0,
            comment: vec![],
            disk: 0,
            data: packed,
            after: vec![],
            claimed_at: None,
        }
    }

    pub(super) fn stored(name: &str, data: &[u8]) -> Self {
        Self::packed(name.as_bytes(), 0, data.to_vec(), data)
    }

    pub(super) fn deflated(name: &str, data: &[u8]) -> Self {
        Self::packed(name.as_bytes(), 8, deflated(data), data)
    }

    pub(super) fn raw_name(name: &[u8]) -> Self {
        let mut entry = Self::packed(name, 0, vec![], b"");
        entry.both(|head| head.flags = 0);
        entry
    }

    pub(super) fn mode(mut self, mode: u32) -> Self {
        self.attributes = mode << 16;
        self
    }

    /// Changes both headers alike.
    pub(super) fn both(&mut self, change: impl Fn(&mut Head)) {
        change(&mut self.local);
        change(&mut self.central);
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// As tools write that cannot go back: sizes and checksum after the data.
    pub(super) fn streamed(mut self, has_signature: bool) -> Self {
        self.both(|head| head.flags |= 1 << 3);
        let head = &self.central;
        let signature: &[u8] = if has_signature { b"PK\x07\x08" } else { b"" };
        self.after = [
            signature,
            &head.crc.to_le_bytes(),
            &head.packed.to_le_bytes(),
            &head.unpacked.to_le_bytes(),
        ]
        .concat();
        (self.local.crc, self.local.packed, self.local.unpacked) = (0, 0, 0);
        self
    }
}

fn head(signature: &[u8], head: &Head) -> Vec<u8> {
    let mut bytes = signature.to_vec();
    for short in [20, head.flags, head.method, 0, 0x21] {
        bytes.extend(short.to_le_bytes());
    }
    for long in [head.crc, head.packed, head.unpacked] {
        bytes.extend(long.to_le_bytes());
    }
    bytes.extend((head.name.len() as u16).to_le_bytes());
    bytes.extend((head.extra.len() as u16).to_le_bytes());
    bytes
}

pub(super) fn local(entry: &ZipEntry) -> Vec<u8> {
    let mut bytes = head(b"PK\x03\x04", &entry.local);
    bytes.extend(&entry.local.name);
    bytes.extend(&entry.local.extra);
    bytes.extend(&entry.data);
    bytes.extend(&entry.after);
    bytes
}

pub(super) fn end(
    entries: u16,
    directory_bytes: u32,
    directory_at: u32,
    comment: &[u8],
) -> Vec<u8> {
    let mut bytes = b"PK\x05\x06\0\0\0\0".to_vec();
    bytes.extend(entries.to_le_bytes());
    bytes.extend(entries.to_le_bytes());
    bytes.extend(directory_bytes.to_le_bytes());
    bytes.extend(directory_at.to_le_bytes());
    bytes.extend((comment.len() as u16).to_le_bytes());
    bytes.extend(comment);
    bytes
}

/// The entries, their directory and its place, without the end record.
pub(super) fn body(entries: &[ZipEntry]) -> (Vec<u8>, Vec<u8>) {
    let mut bytes = vec![];
    let mut directory = vec![];
    for entry in entries {
        let at = entry.claimed_at.unwrap_or(bytes.len() as u32);
        bytes.extend(local(entry));
        directory.extend(head(b"PK\x01\x02\x14\x03", &entry.central));
        directory.extend((entry.comment.len() as u16).to_le_bytes());
        directory.extend(entry.disk.to_le_bytes());
        directory.extend(0_u16.to_le_bytes());
        directory.extend(entry.attributes.to_le_bytes());
        directory.extend(at.to_le_bytes());
        directory.extend(&entry.central.name);
        directory.extend(&entry.central.extra);
        directory.extend(&entry.comment);
    }
    (bytes, directory)
}

pub(super) fn zip(entries: &[ZipEntry]) -> Vec<u8> {
    let (mut bytes, directory) = body(entries);
    let end = end(
        entries.len() as u16,
        directory.len() as u32,
        bytes.len() as u32,
        b"",
    );
    bytes.extend(directory);
    bytes.extend(end);
    bytes
}

/// A tar header block and its padded data.
pub(super) fn tar_entry(name: &[u8], kind: u8, data: &[u8]) -> Vec<u8> {
    tar_entry_with(name, kind, data, |_| {})
}

/// As [`tar_entry`], with a change that the checksum covers.
pub(super) fn tar_entry_with(
    name: &[u8],
    kind: u8,
    data: &[u8],
    change: impl FnOnce(&mut [u8; 512]),
) -> Vec<u8> {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0000644\0");
    block[124..136].copy_from_slice(format!("{:011o}\0", data.len()).as_bytes());
    block[136..148].copy_from_slice(b"00000000000\0");
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    change(&mut block);
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = block.to_vec();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

pub(super) fn file(name: &str, data: &[u8]) -> Vec<u8> {
    tar_entry(name.as_bytes(), b'0', data)
}

/// `LENGTH KEY=VALUE\n`, the length counting itself.
pub(super) fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let length = (1..)
        .find(|length| length.to_string().len() + rest.len() == *length)
        .unwrap();
    format!("{length}{rest}").into_bytes()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    gzip_at(bytes, Compression::best())
}

pub(super) fn gzip_at(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A whole tar in gzip.
pub(super) fn tgz(entries: &[Vec<u8>]) -> Vec<u8> {
    gzip(&[entries.concat(), vec![0; 1024]].concat())
}
