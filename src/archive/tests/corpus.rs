//! The whole corpus at once: every hostile archive of the tables beside this file, and ten thousand that are one
//! or a few changes away from one, or from an honest one. Each goes through everything that ever reads an
//! upload; what is written where is looked at on disk, and so is the memory it takes.

use std::{
    fs, io,
    io::Cursor,
    path::{Path, PathBuf},
};

use huidu_core::digest::Digest;

use super::{
    SEEN,
    honest::{by_another_reader, plain_tgz, plain_zip},
    hostile_tar, hostile_zip, look,
    make::{ZipEntry, zip},
};
use crate::archive::{ArchiveFormat, ArchiveLimits, Inventory, canonicalise, unpack_into};

/// The tables of hostile archives.
const TABLES: &[fn()] = &[
    hostile_zip::names_that_leave_the_bundle_are_refused_by_name,
    hostile_zip::entries_that_meet_on_some_device_are_refused,
    hostile_zip::what_is_not_a_file_or_directory_is_refused,
    hostile_zip::what_cannot_be_reviewed_is_refused,
    hostile_zip::what_is_said_twice_must_be_said_alike,
    hostile_zip::every_byte_belongs_to_exactly_one_thing,
    hostile_zip::an_end_record_that_lies_is_refused,
    hostile_zip::bombs_are_put_down_before_and_while_they_go_off,
    hostile_zip::damaged_data_is_refused_by_name,
    hostile_zip::all_mistakes_are_told_at_once_up_to_fifty,
    hostile_tar::names_that_leave_the_bundle_are_refused_by_their_final_form,
    hostile_tar::what_is_not_a_file_or_directory_is_refused,
    hostile_tar::a_header_that_readers_understand_differently_is_refused,
    hostile_tar::what_does_not_end_as_it_should_is_refused,
    hostile_tar::bombs_are_put_down_while_they_go_off,
];
const MUTATED: usize = 10_000;
/// What judging, packing and unpacking any of them may add to the memory in use.
const MOST_MEMORY: u64 = 48 << 20;

/// Every archive that a table holds and that is refused.
fn hand_made() -> Vec<Vec<u8>> {
    SEEN.set(Some(Vec::new()));
    TABLES.iter().for_each(|table| table());
    let seen = SEEN.take().unwrap();
    let mut hostile: Vec<_> = (seen.into_iter())
        .filter(|archive| look(archive).is_err())
        .collect();
    hostile.sort_unstable();
    hostile.dedup();
    hostile
}

/// Up to four changes: a byte, a cut, a piece copied elsewhere, a piece put in.
fn mutated(archive: &[u8], chance: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = archive.to_vec();
    for _ in 0..chance.usize(1..=4) {
        if bytes.is_empty() {
            break;
        }
        let at = chance.usize(..bytes.len());
        match chance.u8(..12) {
            0..8 => bytes[at] = chance.u8(..),
            8 => bytes.truncate(at),
            9 | 10 => {
                let piece = bytes[at..(at + chance.usize(1..60)).min(bytes.len())].to_vec();
                let to = chance.usize(..=bytes.len() - piece.len());
                bytes[to..to + piece.len()].copy_from_slice(&piece);
            }
            _ => drop(bytes.splice(at..at, (0..chance.u8(1..30)).map(|n| n * 7))),
        }
    }
    bytes
}

/// A directory for one archive, among things that nobody may touch.
struct Canary {
    around: tempfile::TempDir,
    before: Vec<(PathBuf, Digest)>,
}

impl Canary {
    fn new() -> Self {
        let around = tempfile::tempdir().unwrap();
        fs::create_dir_all(around.path().join("a/b/inside")).unwrap();
        for place in ["canary", "a/canary", "a/b/canary", "a/b/inside.js"] {
            fs::write(around.path().join(place), place).unwrap();
        }
        let before = files(around.path());
        Self { around, before }
    }

    fn inside(&self) -> PathBuf {
        self.around.path().join("a/b/inside")
    }

    /// How many files are new, gone or changed outside of `inside`.
    fn touched(&self) -> usize {
        let inside = self.inside();
        let now: Vec<_> = (files(self.around.path()).into_iter())
            .filter(|(path, _)| !path.starts_with(&inside))
            .collect();
        let gone = |file: &&(PathBuf, Digest)| !now.contains(file);
        let new = |file: &&(PathBuf, Digest)| !self.before.contains(file);
        self.before.iter().filter(gone).count() + now.iter().filter(new).count()
    }
}

/// Every file below, with the digest of its bytes. A link is followed by nobody.
fn files(below: &Path) -> Vec<(PathBuf, Digest)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(below).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(files(&entry.path())),
            kind if kind.is_file() => {
                found.push((entry.path(), Digest::of(&fs::read(entry.path()).unwrap())));
            }
            _ => found.push((entry.path(), Digest::of(b"a link or a device"))),
        }
    }
    found
}

/// How many files `unpack` touches outside of where it was told to write, over all `archives`.
fn escapes<'a>(
    archives: impl Iterator<Item = &'a [u8]>,
    mut unpack: impl FnMut(&[u8], &Path),
) -> usize {
    let mut canary = Canary::new();
    let mut escaped = 0;
    for archive in archives {
        unpack(archive, &canary.inside());
        let touched = canary.touched();
        escaped += touched;
        let empty = fs::read_dir(canary.inside()).unwrap().next().is_none();
        if touched > 0 || !empty {
            canary = Canary::new();
        }
    }
    escaped
}

/// One archive through everything that reads uploads. True when it was accepted.
fn judged(archive: &[u8], inside: &Path) -> bool {
    let limits = ArchiveLimits::default();
    let seen = look(archive);
    let unpacked = unpack_into(&mut Cursor::new(archive), inside, &limits);
    let mut packed = tempfile::tempfile().unwrap();
    let canonical = canonicalise(&mut Cursor::new(archive), &mut packed, &limits);
    let Ok(inventory) = seen else {
        assert!(unpacked.is_err() && canonical.is_err());
        let left = fs::read_dir(inside).unwrap().count();
        assert_eq!(left, 0, "what is refused leaves nothing behind");
        return false;
    };
    if inventory.format == ArchiveFormat::Zip {
        assert_eq!(by_another_reader(archive).as_ref(), Some(&inventory.files));
    }
    assert_eq!(unpacked.unwrap(), inventory);
    assert_eq!(on_disk(inside), listed(&inventory, inside));
    // What is shipped may still be refused: a file can hold what looks like the end of an archive.
    if let Ok(canonical) = canonical {
        assert_eq!(canonical.inventory.files, inventory.files);
    }
    true
}

/// What lies below `inside`, by path.
fn on_disk(inside: &Path) -> Vec<(PathBuf, Digest)> {
    let mut files = files(inside);
    files.sort_unstable();
    files
}

/// What should lie there.
fn listed(inventory: &Inventory, inside: &Path) -> Vec<(PathBuf, Digest)> {
    let files = inventory.files.iter();
    let mut files: Vec<_> = files
        .map(|file| (inside.join(&file.path), file.digest))
        .collect();
    files.sort_unstable();
    files
}

/// A figure of this process's memory in bytes, as the kernel counts it.
fn memory(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.unwrap().trim_start_matches(':').trim();
    kib.trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn no_hostile_archive_and_none_like_it_writes_outside_or_takes_much_memory() {
    let hostile = hand_made();
    assert!(hostile.len() >= 60, "{} hand-made archives", hostile.len());
    // Large ones are read whole once; their neighbours would only be slow.
    let mut seeds: Vec<&[u8]> = hostile.iter().map(Vec::as_slice).collect();
    seeds.retain(|archive| archive.len() < 16 << 10);
    let honest = [plain_zip(), plain_tgz()];
    seeds.extend(std::iter::repeat_n(&*honest[0], seeds.len()));
    seeds.extend(std::iter::repeat_n(&*honest[1], 10));
    let mut chance = fastrand::Rng::with_seed(20_261_126);
    // The kernel forgets the peak of making the corpus.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory("VmRSS");
    let mut accepted = 0;
    let mut judge =
        |archive: &[u8], inside: &Path| accepted += usize::from(judged(archive, inside));
    let mut outside = escapes(hostile.iter().map(Vec::as_slice), &mut judge);
    for _ in 0..MUTATED / 100 {
        let hundred: Vec<_> = (0..100)
            .map(|_| mutated(seeds[chance.usize(..seeds.len())], &mut chance))
            .collect();
        outside += escapes(hundred.iter().map(Vec::as_slice), &mut judge);
    }
    let peak = memory("VmHWM").saturating_sub(before);
    println!(
        "{} hostile archives by hand and {MUTATED} mutated, {accepted} of these harmless; written outside: {outside}",
        hostile.len()
    );
    println!("memory that judging them added: {} KiB", peak >> 10);
    assert_eq!(outside, 0);
    assert!(
        accepted > 100,
        "only {accepted} were accepted: nothing was unpacked"
    );
    assert!(peak <= MOST_MEMORY, "{peak} bytes");
}

#[test]
fn the_same_look_finds_an_unpacker_that_believes_names() {
    let archive = zip(&[
        ZipEntry::stored("good.js", b"1"),
        ZipEntry::stored("../inside.js", b"2"),
        ZipEntry::stored("../../new.js", b"3"),
    ]);
    let found = escapes(std::iter::once(&*archive), |archive, inside| {
        let mut archive = ::zip::ZipArchive::new(Cursor::new(archive)).unwrap();
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).unwrap();
            let name = file.name().unwrap().into_owned();
            let mut out = fs::File::create(inside.join(name)).unwrap();
            io::copy(&mut file, &mut out).unwrap();
        }
    });
    // One file was changed, which is a new one in place of an old one, and one is new.
    assert_eq!(found, 3);
}
