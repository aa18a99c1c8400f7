//! One tree of files, one archive: whoever packed it, in whatever order, however often.

use std::io::{Cursor, Read as _};

use huidu_core::digest::Digest;
use proptest::prelude::*;

use super::{
    look,
    make::{ZipEntry, end, file, tar_entry, tgz, zip},
};
use crate::archive::{
    ArchiveError, ArchiveFormat, ArchiveLimits, Canonical, CanonicalError, FileEntry, Inventory,
    canonical::length, canonicalise,
};

const FILES: [(&str, &[u8]); 4] = [
    ("package/页面.wxml", "<view>灰度</view>".as_bytes()),
    (
        "package/pages/index.js",
        b"Page({ data: { a: 1, b: 1, c: 1 } })\n",
    ),
    ("package/empty", b""),
    ("package/app.js", b"App({})\n"),
];

fn canonical(archive: &[u8]) -> Result<(Canonical, Vec<u8>), CanonicalError> {
    let mut out = Cursor::new(vec![]);
    let limits = ArchiveLimits::default();
    let made = canonicalise(&mut Cursor::new(archive), &mut out, &limits)?;
    Ok((made, out.into_inner()))
}

fn refused(archive: &[u8]) -> Vec<ArchiveError> {
    match canonical(archive) {
        Err(CanonicalError::Refused { errors }) => errors,
        other => panic!("{other:?}"),
    }
}

/// These bytes were made by another packer, written in Python from the page's description. A change that
/// breaks this test changes the digest of every bundle there is.
#[test]
fn the_smallest_canonical_archive_has_exactly_these_bytes() {
    let golden = concat!(
        "504b0304140000080000000021",
        "00f9efbe71010000000100000001000000",
        "6162",
        "504b01021403140000080000000021",
        "00f9efbe71010000000100000001000000",
        "0000000000000000a48100000000",
        "61",
        "504b0506000000000100",
        "01002f000000200000000000",
    );
    let (made, bytes) = canonical(&zip(&[ZipEntry::deflated("a", b"b")])).unwrap();
    assert_eq!(data_encoding::HEXLOWER.encode(&bytes), golden);
    assert_eq!(
        (made.bytes, made.digest),
        (bytes.len() as u64, Digest::of(&bytes))
    );
}

#[test]
fn the_same_files_give_the_digest_that_another_packer_computed() {
    let zipped = zip(&FILES.map(|(path, bytes)| ZipEntry::deflated(path, bytes).mode(0o100_755)));
    let tarred = tgz(&FILES.map(|(path, bytes)| file(path, bytes)));
    for (archive, from) in [(zipped, ArchiveFormat::Zip), (tarred, ArchiveFormat::TarGz)] {
        let (made, bytes) = canonical(&archive).unwrap();
        assert_eq!(made.from, from);
        assert_eq!(bytes.len(), 526);
        assert_eq!(
            made.digest.to_hex(),
            "ab391f7b5f878076c78d0399143b150cd07382dfd3bed31a2d51035571e68066"
        );
        assert_eq!(look(&bytes).unwrap(), made.inventory);
        assert_eq!(made.inventory.files, look(&archive).unwrap().files);
    }
}

#[test]
fn another_reader_finds_the_same_files_and_nothing_else() {
    let (_, bytes) = canonical(&tgz(&FILES.map(|(path, bytes)| file(path, bytes)))).unwrap();
    let mut archive = ::zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut found = vec![];
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).unwrap();
        let mut data = vec![];
        file.read_to_end(&mut data).unwrap();
        assert_eq!(file.unix_mode(), Some(0o100_644));
        found.push((file.name().unwrap().into_owned(), data));
    }
    let mut expected = FILES.map(|(path, bytes)| (path.to_owned(), bytes.to_vec()));
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn what_is_not_accepted_is_not_packed() {
    for (archive, entry) in [
        (zip(&[ZipEntry::stored("../evil.js", b"x")]), "../evil.js"),
        (
            tgz(&[file("ok.js", b"1"), tar_entry(b"link", b'2', b"")]),
            "link",
        ),
    ] {
        let errors = refused(&archive);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].to_string().contains(entry), "{errors:?}");
    }
    assert_eq!(refused(b"no archive"), [ArchiveError::NotAnArchive]);
}

/// Stored files lie in the open, so a file can be made that ends the archive a second time.
#[test]
fn a_file_that_would_look_like_the_end_of_the_archive_is_refused() {
    let inner = |comment: u16| {
        let mut record = end(0, 0, 0, b"");
        record[20..22].copy_from_slice(&comment.to_le_bytes());
        tgz(&[file("a", &record)])
    };
    // After the record follow one directory entry of 46 bytes and a name of 1, and the end of 22.
    assert_eq!(refused(&inner(47 + 22)), [ArchiveError::SeveralEndRecords]);
    assert!(canonical(&inner(47 + 21)).is_ok());
}

#[test]
fn the_files_together_must_fit_a_bundle() {
    const MIB: u64 = 1 << 20;
    let overhead = 30 + 46 + 2 + 22;
    for (bytes, fits) in [
        (200 * MIB - overhead, true),
        (200 * MIB - overhead + 1, false),
    ] {
        let file = FileEntry {
            path: "a".into(),
            bytes,
            digest: Digest::of(b""),
        };
        let inventory = Inventory {
            format: ArchiveFormat::Zip,
            files: vec![file],
            unpacked_bytes: bytes,
        };
        match length(&inventory) {
            Ok(length) => assert_eq!((length, fits), (200 * MIB, true)),
            Err(error) => assert_eq!(
                (error.to_string(), fits),
                ("unpacked and stored the files make a bundle of 209715201 bytes, at most 209715200 are accepted; remove what devices do not need".into(), false)
            ),
        }
    }
}

#[test]
fn the_place_it_goes_to_must_be_empty() {
    let archive = zip(&[ZipEntry::stored("a", b"b")]);
    let mut out = Cursor::new(vec![0]);
    let result = canonicalise(
        &mut Cursor::new(archive),
        &mut out,
        &ArchiveLimits::default(),
    );
    assert!(matches!(result, Err(CanonicalError::NotEmpty)));
}

/// Files of different paths, none of which is a directory of another.
fn tree() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    // Of three letters some are names of devices somewhere (`nul`), and refused.
    let part = "[a-z页]{1,2}";
    let path = prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("-d/"));
    let data = prop::collection::vec(any::<u8>(), 0..300);
    prop::collection::btree_map(path, data, 1..12).prop_map(|files| files.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_tree_has_one_archive_however_it_was_packed(
        files in tree(),
        shuffled in any::<prop::sample::Index>(),
        stored in any::<bool>(),
        streamed in any::<bool>(),
    ) {
        let mut order = files.clone();
        order.rotate_left(shuffled.index(files.len()));
        let zipped: Vec<_> = order.iter().map(|(path, data)| match (stored, streamed) {
            (true, _) => ZipEntry::stored(path, data),
            (false, false) => ZipEntry::deflated(path, data),
            (false, true) => ZipEntry::deflated(path, data).streamed(true),
        }).collect();
        let tarred: Vec<_> = files.iter().rev().map(|(path, data)| file(path, data)).collect();
        let (of_zip, bytes) = canonical(&zip(&zipped)).unwrap();
        let (of_tar, same) = canonical(&tgz(&tarred)).unwrap();
        prop_assert_eq!(&bytes, &same);
        prop_assert_eq!((of_zip.digest, &of_zip.inventory), (of_tar.digest, &of_tar.inventory));
        let (again, bytes_again) = canonical(&bytes).unwrap();
        prop_assert_eq!(again, of_zip);
        prop_assert_eq!(bytes_again, bytes);
    }
}
