//! Hostile tars in gzip, one a line, each named for its attack, with the exact refusal.

use super::{
    make::{file, gzip, pax, tar_entry, tar_entry_with, tgz},
    name, refused,
};
use crate::archive::{ArchiveError::*, EntryKind, NameFault};

fn one(kind: u8) -> Vec<u8> {
    tgz(&[tar_entry(b"package/x", kind, b"")])
}

fn header(change: impl FnOnce(&mut [u8; 512])) -> Vec<u8> {
    tgz(&[tar_entry_with(b"package/x", b'0', b"data", change)])
}

fn after_pax(records: &[Vec<u8>]) -> Vec<u8> {
    tgz(&[
        tar_entry(b"PaxHeader/x", b'x', &records.concat()),
        file("x", b"data"),
    ])
}

#[test]
pub(super) fn names_that_leave_the_bundle_are_refused_by_their_final_form() {
    let long = tar_entry(b"././@LongLink", b'L', b"../../long\0");
    let prefixed = |prefix: &'static [u8]| {
        header(|block| block[345..345 + prefix.len()].copy_from_slice(prefix))
    };
    for (attack, bytes, error) in [
        (
            "slip",
            tgz(&[file("../x", b"")]),
            name("../x", NameFault::DotDot),
        ),
        (
            "absolute",
            tgz(&[file("/x", b"")]),
            name("/x", NameFault::Absolute),
        ),
        (
            "slip by prefix",
            prefixed(b"../.."),
            name("../../package/x", NameFault::DotDot),
        ),
        (
            "absolute by prefix",
            prefixed(b"/etc"),
            name("/etc/package/x", NameFault::Absolute),
        ),
        (
            "slip by pax",
            after_pax(&[pax("path", "a/../../x")]),
            name("a/../../x", NameFault::DotDot),
        ),
        (
            "slip by long name",
            tgz(&[long, file("x", b"")]),
            name("../../long", NameFault::DotDot),
        ),
        (
            "control by pax",
            after_pax(&[pax("path", "a\x1b[2J")]),
            name("a\\u{1b}[2J", NameFault::Control),
        ),
        (
            "not UTF-8",
            tgz(&[tar_entry(b"caf\xe9", b'0', b"")]),
            name("caf\\xe9", NameFault::NotUtf8),
        ),
        (
            "decomposed",
            tgz(&[file("cafe\u{301}", b"")]),
            name("cafe\u{301}", NameFault::NotNfc),
        ),
        (
            "device",
            tgz(&[file("aux.js", b"")]),
            name("aux.js", NameFault::Reserved),
        ),
        (
            "too long by pax",
            after_pax(&[pax("path", &"long/".repeat(300))]),
            name(&("long/".repeat(24) + "…"), NameFault::PathTooLong),
        ),
    ] {
        assert_eq!(refused(&bytes), vec![error], "{attack}");
    }
}

#[test]
pub(super) fn what_is_not_a_file_or_directory_is_refused() {
    let kind = |kind| Kind {
        name: "package/x".into(),
        kind,
    };
    for (attack, bytes, error) in [
        ("hard link", one(b'1'), kind(EntryKind::HardLink)),
        ("symbolic link", one(b'2'), kind(EntryKind::SymbolicLink)),
        ("character device", one(b'3'), kind(EntryKind::Device)),
        ("block device", one(b'4'), kind(EntryKind::Device)),
        ("pipe", one(b'6'), kind(EntryKind::Pipe)),
        ("contiguous file", one(b'7'), kind(EntryKind::Unknown)),
        ("long link", one(b'K'), kind(EntryKind::SymbolicLink)),
        ("sparse file", one(b'S'), kind(EntryKind::Sparse)),
        ("volume label", one(b'V'), kind(EntryKind::Label)),
        ("unheard-of kind", one(b'Z'), kind(EntryKind::Unknown)),
        (
            "file with a slash",
            tgz(&[file("d/", b"")]),
            UnclearKind { name: "d/".into() },
        ),
        (
            "directory with data",
            tgz(&[tar_entry(b"d/", b'5', b"x")]),
            DirectoryWithData { name: "d/".into() },
        ),
        (
            "same name twice",
            tgz(&[file("a", b"1"), file("a", b"2")]),
            Duplicate { name: "a".into() },
        ),
        (
            "case",
            tgz(&[file("a", b"1"), file("A", b"2")]),
            Collision {
                name: "A".into(),
                other: "a".into(),
            },
        ),
        (
            "inside a file",
            tgz(&[file("a", b""), file("a/b", b"")]),
            FileAndDirectory { name: "a".into() },
        ),
        (
            "link, then through it",
            tgz(&[tar_entry(b"l", b'2', b""), file("l/x", b"")]),
            Kind {
                name: "l".into(),
                kind: EntryKind::SymbolicLink,
            },
        ),
    ] {
        assert_eq!(refused(&bytes), vec![error], "{attack}");
    }
}

#[test]
pub(super) fn a_header_that_readers_understand_differently_is_refused() {
    let unclear = |field| TarHeader {
        name: "package/x".into(),
        field,
    };
    let pax_error = |name: &str, key: &str| Pax {
        name: name.into(),
        key: key.into(),
    };
    let long = |bytes: &[u8]| tar_entry(b"././@LongLink", b'L', bytes);
    let record = |record: Vec<u8>| after_pax(&[record]);
    let wrong_sum = {
        let mut entry = file("package/x", b"");
        entry[0] = b'P';
        tgz(&[entry])
    };
    for (attack, bytes, error) in [
        (
            "checksum",
            wrong_sum,
            TarHeader {
                name: "Package/x".into(),
                field: "checksum",
            },
        ),
        (
            "old dialect",
            header(|block| block[257..265].fill(0)),
            unclear("dialect"),
        ),
        (
            "negative size",
            header(|block| block[124..136].fill(0xff)),
            unclear("size"),
        ),
        (
            "base-256 size",
            header(|block| block[124] = 0x80),
            unclear("size"),
        ),
        (
            "text after the name",
            header(|block| block[50] = b'x'),
            unclear("name"),
        ),
        (
            "two long names",
            tgz(&[long(b"a\0"), long(b"b\0"), file("x", b"")]),
            TarHeader {
                name: "././@LongLink".into(),
                field: "name: two extensions of one kind",
            },
        ),
        (
            "long name without an end",
            tgz(&[long(b"a"), file("x", b"")]),
            TarHeader {
                name: "././@LongLink".into(),
                field: "long name",
            },
        ),
        (
            "long name with two ends",
            tgz(&[long(b"a\0\0"), file("x", b"")]),
            TarHeader {
                name: "././@LongLink".into(),
                field: "long name",
            },
        ),
        (
            "huge long name",
            tgz(&[long(&[b'a'; 70_000]), file("x", b"")]),
            TarHeader {
                name: "././@LongLink".into(),
                field: "size",
            },
        ),
        (
            "long name and pax path",
            tgz(&[
                long(b"a\0"),
                tar_entry(b"p", b'x', &pax("path", "b")),
                file("x", b""),
            ]),
            pax_error("x", "path"),
        ),
        (
            "two pax paths",
            after_pax(&[pax("path", "a"), pax("path", "b")]),
            pax_error("PaxHeader/x", "path"),
        ),
        ("pax size", record(pax("size", "3")), pax_error("x", "size")),
        (
            "pax sparse",
            record(pax("GNU.sparse.major", "1")),
            pax_error("PaxHeader/x", "GNU.sparse.major"),
        ),
        (
            "pax link",
            record(pax("linkpath", "/etc")),
            pax_error("PaxHeader/x", "linkpath"),
        ),
        (
            "pax charset",
            record(pax("hdrcharset", "BINARY")),
            pax_error("PaxHeader/x", "hdrcharset"),
        ),
        (
            "pax garbage",
            record(b"garbage".to_vec()),
            pax_error("PaxHeader/x", ""),
        ),
        (
            "global path",
            tgz(&[tar_entry(b"g", b'g', &pax("path", "evil")), file("x", b"")]),
            pax_error("g", "path"),
        ),
    ] {
        assert_eq!(refused(&bytes)[0], error, "{attack}");
    }
}

#[test]
pub(super) fn what_does_not_end_as_it_should_is_refused() {
    let plain = file("x", b"data");
    let honest = tgz(std::slice::from_ref(&plain));
    let zeros = |blocks: usize| vec![0; 512 * blocks];
    let damaged = {
        let mut bytes = honest.clone();
        let at = bytes.len() - 6;
        bytes[at] ^= 1;
        bytes
    };
    for (attack, bytes, error) in [
        ("appended", [&honest[..], b"x"].concat(), TrailingData),
        (
            "a second member",
            [honest.clone(), honest.clone()].concat(),
            TrailingData,
        ),
        (
            "a zip behind it",
            [&honest[..], b"PK\x05\x06", &[0; 18]].concat(),
            TrailingData,
        ),
        (
            "data after the end marker",
            gzip(&[plain.clone(), zeros(2), plain.clone()].concat()),
            TrailingData,
        ),
        ("no end marker", gzip(&plain), Truncated),
        (
            "half an end marker",
            gzip(&[plain.clone(), zeros(1)].concat()),
            Truncated,
        ),
        (
            "one block of zeros between",
            gzip(&[zeros(1), plain.clone(), zeros(2)].concat()),
            Truncated,
        ),
        ("cut in a file", gzip(&plain[..514]), Truncated),
        ("cut gzip", honest[..honest.len() - 12].to_vec(), Truncated),
        ("damaged gzip", damaged, CorruptGzip { name: "x".into() }),
        (
            "extension without an entry",
            tgz(&[tar_entry(b"p", b'x', &pax("path", "a"))]),
            Truncated,
        ),
        ("no file", tgz(&[tar_entry(b"d", b'5', b"")]), Empty),
        ("no entry", tgz(&[]), Empty),
        (
            "not a tar",
            gzip(&[b'x'; 2048]),
            TarHeader {
                name: "x".repeat(100),
                field: "checksum",
            },
        ),
    ] {
        assert_eq!(refused(&bytes), vec![error], "{attack}");
    }
}

#[test]
pub(super) fn bombs_are_put_down_while_they_go_off() {
    let name = || "package/x".to_owned();
    let huge = header(|block| block[124..136].copy_from_slice(b"77777777777\0"));
    let crowd: Vec<_> = (0..5_001)
        .map(|index| file(&index.to_string(), b""))
        .collect();
    for (attack, bytes, error) in [
        (
            "ratio",
            tgz(&[file("package/x", &vec![0; 8 << 20])]),
            Ratio {
                name: name(),
                limit: 100,
            },
        ),
        (
            "padding after the end",
            gzip(&vec![0; 8 << 20]),
            Ratio {
                name: String::new(),
                limit: 100,
            },
        ),
        (
            "declares eight gigabytes",
            huge,
            UnpackedTooLarge {
                name: name(),
                limit: 80 << 20,
            },
        ),
    ] {
        assert_eq!(refused(&bytes), vec![error], "{attack}");
    }
    let error = refused(&tgz(&crowd)).remove(0);
    assert!(
        matches!(error, TooManyEntries { limit: 5_000 } | Ratio { .. }),
        "{error}"
    );
}
