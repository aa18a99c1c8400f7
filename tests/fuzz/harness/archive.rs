//! Uploaded archives: the validator never panics and keeps to its limits, and what it lets pass an
//! independent lenient reader sees exactly the same way: the same names, lengths and bytes.
//!
//! Bytes that begin with `T` are a tar whose header sums are set right and that is packed by gzip first:
//! chance alone gets past neither sum. All others are taken as they are.

use std::{
    collections::BTreeMap,
    io::{self, Cursor, Read, Seek, SeekFrom, Write as _},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use huidu_core::digest::Digest;

use crate::archive::{ArchiveFormat, ArchiveLimits, Inventory, inspect};

/// Small, so that a limit is always near.
const LIMITS: ArchiveLimits = ArchiveLimits {
    packed_bytes: 64 * 1024,
    unpacked_bytes: 256 * 1024,
    ratio: 100,
    ratio_free_bytes: 16 * 1024,
    entries: 64,
    part_bytes: 64,
    path_bytes: 128,
    depth: 8,
};

pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((b'T', tar)) => check(&packed(tar)),
        _ => check(data),
    }
}

fn check(bytes: &[u8]) {
    let seen = inspect(&mut Cursor::new(bytes), &LIMITS);
    let trickled = inspect(&mut Trickle(Cursor::new(bytes)), &LIMITS);
    match (&seen, &trickled) {
        (Ok(seen), Ok(trickled)) => assert_eq!(seen, trickled),
        (Err(errors), Err(_)) => {
            assert!((1..=51).contains(&errors.len()), "{}", errors.len());
            assert!(errors.iter().all(|error| error.to_string().len() < 4_096));
        }
        _ => panic!("it matters how many bytes a read gives: {seen:?} {trickled:?}"),
    }
    let Ok(inventory) = seen else { return };
    assert!(!inventory.files.is_empty() && inventory.files.len() <= LIMITS.entries);
    assert!(inventory.unpacked_bytes <= LIMITS.unpacked_bytes);
    assert!(
        inventory
            .files
            .windows(2)
            .all(|pair| pair[0].path < pair[1].path)
    );
    for file in &inventory.files {
        assert!(file.path.len() <= LIMITS.path_bytes && !file.path.starts_with('/'));
        assert!(
            file.path
                .split('/')
                .all(|part| !matches!(part, "" | "." | ".."))
        );
    }
    let others = match inventory.format {
        ArchiveFormat::Zip => by_another_zip(bytes),
        ArchiveFormat::TarGz => by_another_tar(bytes),
    };
    assert_eq!(
        ours(&inventory),
        others.expect("another reader reads what is accepted")
    );
}

type Files = BTreeMap<String, (u64, Digest)>;

fn ours(inventory: &Inventory) -> Files {
    let files = inventory.files.iter();
    files
        .map(|file| (file.path.clone(), (file.bytes, file.digest)))
        .collect()
}

fn put(files: &mut Files, path: String, bytes: &[u8]) -> io::Result<()> {
    let before = files.insert(path, (bytes.len() as u64, Digest::of(bytes)));
    before.map_or(Ok(()), |_| Err(io::Error::other("one name twice")))
}

fn by_another_zip(bytes: &[u8]) -> io::Result<Files> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes))?;
    let mut files = Files::new();
    for at in 0..archive.len() {
        let mut file = archive.by_index(at)?;
        if file.is_file() {
            let name = file.name().map_err(io::Error::other)?.into_owned();
            let mut content = Vec::new();
            file.read_to_end(&mut content)?;
            put(&mut files, name, &content)?;
        }
    }
    Ok(files)
}

fn by_another_tar(bytes: &[u8]) -> io::Result<Files> {
    let mut archive = tar::Archive::new(GzDecoder::new(bytes));
    let mut files = Files::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = String::from_utf8(entry.path_bytes().into_owned()).map_err(io::Error::other)?;
        if entry.header().entry_type().is_file() {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            put(&mut files, path, &content)?;
        }
    }
    Ok(files)
}

/// Gives a few bytes at a time, as a socket does.
struct Trickle<'a>(Cursor<&'a [u8]>);

impl Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = 1 + self.0.position() as usize % 7;
        let most = most.min(into.len());
        self.0.read(&mut into[..most])
    }
}

impl Seek for Trickle<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

/// The tar with the sum of every header set right, in gzip.
fn packed(tar: &[u8]) -> Vec<u8> {
    let mut tar = tar.to_vec();
    let mut at = 0;
    while let Some(block) = tar.get_mut(at..at + 512) {
        if block.iter().any(|byte| *byte != 0) {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let digits = block[124..136]
            .iter()
            .filter(|byte| (b'0'..=b'7').contains(*byte));
        let length = digits.fold(0_u64, |length, digit| {
            length * 8 % (1 << 40) + u64::from(digit - b'0')
        });
        at = usize::try_from(length.next_multiple_of(512))
            .map_or(tar.len(), |length| at + 512 + length);
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&tar).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}
