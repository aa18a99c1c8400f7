//! Honest archives pass, whoever packed them; mutated ones never panic and never pass for another.

use std::{
    fs,
    io::{Cursor, Read as _, Write as _},
    sync::LazyLock,
};

use huidu_core::digest::Digest;
use proptest::prelude::*;

use super::{
    look,
    make::{ZipEntry, file, gzip, gzip_at, pax, tar_entry, tar_entry_with, tgz, zip},
};
use crate::archive::{
    ArchiveError, ArchiveFormat, ArchiveLimits, FileEntry, Inventory, UnpackError, inspect,
    unpack_into,
};

const FILES: [(&str, &[u8]); 4] = [
    ("package/app.js", b"App({})\n"),
    ("package/empty", b""),
    (
        "package/pages/index.js",
        b"Page({ data: { a: 1, b: 1, c: 1 } })\n",
    ),
    ("package/页面.wxml", "<view>灰度</view>".as_bytes()),
];

fn expected(format: ArchiveFormat) -> Inventory {
    let entry = |(path, bytes): (&str, &[u8])| FileEntry {
        path: path.into(),
        bytes: bytes.len() as u64,
        digest: Digest::of(bytes),
    };
    Inventory {
        format,
        files: FILES.into_iter().map(entry).collect(),
        unpacked_bytes: FILES.iter().map(|(_, bytes)| bytes.len() as u64).sum(),
    }
}

pub(super) fn plain_zip() -> Vec<u8> {
    let mut entries = vec![
        ZipEntry::stored("package/", b"")
            .mode(0o040_755)
            .with(|entry| entry.attributes |= 16),
        ZipEntry::deflated("package/pages/", b""),
    ];
    entries.extend(
        FILES
            .iter()
            .rev()
            .map(|(path, bytes)| ZipEntry::deflated(path, bytes).mode(0o100_644)),
    );
    zip(&entries)
}

pub(super) fn plain_tgz() -> Vec<u8> {
    let mut entries = vec![
        tar_entry(b"pax_global_header", b'g', &pax("comment", "0123abcd")),
        tar_entry(b"package", b'5', b""),
    ];
    entries.extend(FILES.iter().map(|(path, bytes)| file(path, bytes)));
    tgz(&entries)
}

#[test]
fn a_zip_is_listed_sorted_with_the_digest_of_every_file() {
    assert_eq!(look(&plain_zip()), Ok(expected(ArchiveFormat::Zip)));
}

#[test]
fn a_zip_packed_as_a_stream_is_accepted() {
    for has_signature in [true, false] {
        let entries =
            FILES.map(|(path, bytes)| ZipEntry::deflated(path, bytes).streamed(has_signature));
        assert_eq!(look(&zip(&entries)), Ok(expected(ArchiveFormat::Zip)));
    }
}

#[test]
fn a_zip_with_times_and_owners_in_extra_fields_is_accepted() {
    let extra =
        b"UT\x05\x00\x01\x00\x00\x00\x00ux\x0b\x00\x01\x04\x00\x00\x00\x00\x04\x00\x00\x00\x00"
            .to_vec();
    let entries = FILES.map(|(path, bytes)| {
        ZipEntry::stored(path, bytes).with(|entry| entry.both(|head| head.extra = extra.clone()))
    });
    assert_eq!(look(&zip(&entries)), Ok(expected(ArchiveFormat::Zip)));
}

#[test]
fn a_zip_written_by_another_library_is_accepted() {
    let mut writer = ::zip::ZipWriter::new(Cursor::new(vec![]));
    let options = ::zip::write::SimpleFileOptions::default()
        .compression_method(::zip::CompressionMethod::Deflated);
    writer.add_directory("package", options).unwrap();
    for (path, bytes) in FILES {
        writer.start_file(path, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();
    assert_eq!(look(&bytes), Ok(expected(ArchiveFormat::Zip)));
}

#[test]
fn a_zip_inside_a_zip_is_a_file_like_any_other() {
    let outer = zip(&[ZipEntry::stored("inner.zip", &plain_zip())]);
    assert_eq!(
        look(&outer).unwrap().files[0].digest,
        Digest::of(&plain_zip())
    );
}

#[test]
fn a_package_as_npm_packs_it_is_accepted() {
    // ustar, no directories, a prefix for a long name, pax for a longer one, its size repeated there.
    let long = format!(
        "package/{}/index.js",
        "component/".repeat(20).trim_end_matches('/')
    );
    let records = [
        pax("path", &long),
        pax("size", "4"),
        pax("mtime", "499162500.123"),
    ]
    .concat();
    let entries = [
        file("package/package.json", b"{}"),
        tar_entry_with(b"index.js", b'0', b"one\n", |block| {
            block[345..356].copy_from_slice(b"package/lib");
        }),
        tar_entry(b"PaxHeader/index.js", b'x', &records),
        tar_entry(&long.as_bytes()[..100], b'0', b"two\n"),
    ];
    let listed = look(&tgz(&entries)).unwrap();
    let paths: Vec<_> = listed.files.iter().map(|file| &*file.path).collect();
    assert_eq!(
        paths,
        [&*long, "package/lib/index.js", "package/package.json"]
    );
}

#[test]
fn a_tar_written_by_another_library_is_accepted() {
    let long = format!("package/{}.js", "x".repeat(200));
    let mut builder = ::tar::Builder::new(vec![]);
    let mut append = |path: &str, bytes: &[u8]| {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, bytes).unwrap();
    };
    FILES.iter().for_each(|(path, bytes)| append(path, bytes));
    append(&long, b"gnu long name");
    let listed = look(&gzip(&builder.into_inner().unwrap())).unwrap();
    assert!(listed.files.iter().any(|file| file.path == long));
    assert_eq!(listed.files.len(), FILES.len() + 1);
}

#[test]
fn a_tar_is_listed_with_the_same_files_as_a_zip() {
    assert_eq!(look(&plain_tgz()), Ok(expected(ArchiveFormat::TarGz)));
}

#[test]
fn limits_hold_to_the_byte() {
    let bytes = plain_zip();
    let with = |change: &dyn Fn(&mut ArchiveLimits)| {
        let mut limits = ArchiveLimits::default();
        change(&mut limits);
        inspect(&mut Cursor::new(&bytes), &limits).is_ok()
    };
    let (packed, unpacked) = (
        bytes.len() as u64,
        expected(ArchiveFormat::Zip).unpacked_bytes,
    );
    for by in [0, 1] {
        let fits = by == 0;
        assert_eq!(with(&|limits| limits.packed_bytes = packed - by), fits);
        assert_eq!(with(&|limits| limits.unpacked_bytes = unpacked - by), fits);
        assert_eq!(with(&|limits| limits.entries = 6 - by as usize), fits);
        assert_eq!(with(&|limits| limits.depth = 3 - by as usize), fits);
        assert_eq!(with(&|limits| limits.part_bytes = 11 - by as usize), fits);
        assert_eq!(with(&|limits| limits.path_bytes = 22 - by as usize), fits);
    }
}

#[test]
fn unpacking_writes_the_files_and_nothing_else() {
    for archive in [plain_zip(), plain_tgz()] {
        let directory = tempfile::tempdir().unwrap();
        let limits = ArchiveLimits::default();
        let listed = unpack_into(&mut Cursor::new(&archive), directory.path(), &limits).unwrap();
        assert_eq!(listed.files.len(), FILES.len());
        for (path, bytes) in FILES {
            assert_eq!(fs::read(directory.path().join(path)).unwrap(), bytes);
        }
        let again = unpack_into(&mut Cursor::new(&archive), directory.path(), &limits);
        assert!(matches!(again, Err(UnpackError::NotEmpty { .. })));
    }
}

#[test]
fn a_refused_archive_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let archive = zip(&[
        ZipEntry::stored("good.js", b"1"),
        ZipEntry::stored("../bad.js", b"2"),
    ]);
    let limits = ArchiveLimits::default();
    let refused = unpack_into(&mut Cursor::new(&archive), directory.path(), &limits);
    assert!(matches!(refused, Err(UnpackError::Refused { errors }) if errors.len() == 1));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_the_directory_is_not_followed() {
    let parent = tempfile::tempdir().unwrap();
    let (target, link) = (parent.path().join("target"), parent.path().join("link"));
    fs::create_dir(&target).unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let refused = unpack_into(
        &mut Cursor::new(&plain_zip()),
        &link,
        &ArchiveLimits::default(),
    );
    assert!(matches!(refused, Err(UnpackError::NotEmpty { .. })));
}

/// What the `zip` crate sees, or nothing where it sees an error.
pub(super) fn by_another_reader(bytes: &[u8]) -> Option<Vec<FileEntry>> {
    let mut archive = ::zip::ZipArchive::new(Cursor::new(bytes)).ok()?;
    let mut files = vec![];
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).ok()?;
        if file.is_dir() {
            continue;
        }
        let mut data = vec![];
        file.read_to_end(&mut data).ok()?;
        let (bytes, digest) = (data.len() as u64, Digest::of(&data));
        files.push(FileEntry {
            path: file.name().ok()?.into_owned(),
            bytes,
            digest,
        });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Some(files)
}

#[derive(Debug, Clone)]
enum Change {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Copy(prop::sample::Index, prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => (index(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        1 => index().prop_map(Change::Cut),
        2 => (index(), index(), 1..60_usize).prop_map(|(from, to, bytes)| Change::Copy(from, to, bytes)),
        1 => (index(), prop::collection::vec(any::<u8>(), 1..30)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        let len = bytes.len();
        match change {
            Change::Set(at, byte) => bytes[at.index(len)] = *byte,
            Change::Cut(at) => bytes.truncate(at.index(len)),
            Change::Copy(from, to, count) => {
                let from = from.index(len);
                let piece = bytes[from..(from + count).min(len)].to_vec();
                let to = to.index(len).min(len - piece.len());
                bytes[to..to + piece.len()].copy_from_slice(&piece);
            }
            Change::Insert(at, piece) => {
                let at = at.index(len);
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}

fn within_limits(outcome: &Result<Inventory, Vec<ArchiveError>>) -> bool {
    match outcome {
        Ok(inventory) => inventory.unpacked_bytes <= 80 << 20 && inventory.files.len() <= 5_000,
        Err(errors) => (1..=50).contains(&errors.len()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_mutated_zip_is_refused_or_read_alike_by_another_reader(
        changes in prop::collection::vec(change(), 1..4),
    ) {
        let bytes = changed(plain_zip(), &changes);
        let outcome = look(&bytes);
        prop_assert!(within_limits(&outcome));
        if let Ok(inventory) = outcome {
            prop_assert_eq!(Some(inventory.files), by_another_reader(&bytes));
        }
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(
        magic in prop::sample::select(vec![&b"PK\x03\x04"[..], b"\x1f\x8b\x08\x00", b""]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        prop_assert!(within_limits(&look(&[magic, &bytes].concat())));
    }
}

/// Made once: packing takes longer than judging.
static TGZ_AND_TAR: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let packed = plain_tgz();
    let mut stream = vec![];
    let mut gzip = flate2::read::GzDecoder::new(&packed[..]);
    gzip.read_to_end(&mut stream).unwrap();
    (packed, stream)
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_mutated_tar_never_panics(changes in prop::collection::vec(change(), 1..4)) {
        let (packed, stream) = &*TGZ_AND_TAR;
        prop_assert!(within_limits(&look(&changed(packed.clone(), &changes))));
        let stream = gzip_at(&changed(stream.clone(), &changes), flate2::Compression::none());
        prop_assert!(within_limits(&look(&stream)));
    }
}
