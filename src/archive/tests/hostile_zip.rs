//! Hostile zips, one a line, each named for its attack, with the exact refusal.

use super::{
    make::{Head, ZipEntry, body, crc, deflated, end, local, zip},
    name, refused,
};
use crate::archive::{
    ArchiveError::{self, *},
    EntryKind, NameFault,
};

fn a() -> ZipEntry {
    ZipEntry::deflated("a.js", b"let a = 1;\n")
}

fn b() -> ZipEntry {
    ZipEntry::stored("b.js", b"let b = 2;\n")
}

fn honest() -> Vec<u8> {
    zip(&[a(), b()])
}

fn patched(bytes: Vec<u8>, from_end: usize, patch: &[u8]) -> Vec<u8> {
    let mut bytes = bytes;
    let at = bytes.len() - from_end;
    bytes[at..at + patch.len()].copy_from_slice(patch);
    bytes
}

fn named(name: &str) -> Vec<u8> {
    zip(&[ZipEntry::stored(name, b"")])
}

fn differing(change: impl FnOnce(&mut Head)) -> Vec<u8> {
    zip(&[a().with(|entry| change(&mut entry.local)), b()])
}

fn differs(field: &'static str) -> ArchiveError {
    LocalHeader {
        name: "a.js".into(),
        field,
    }
}

fn with_extra(id: u16, bytes: &[u8]) -> Vec<u8> {
    let extra = [
        &id.to_le_bytes(),
        &(bytes.len() as u16).to_le_bytes(),
        bytes,
    ]
    .concat();
    zip(&[a().with(|entry| entry.both(|head| head.extra = extra.clone()))])
}

fn with_flags(flags: u16) -> Vec<u8> {
    zip(&[a().with(|entry| entry.both(|head| head.flags = flags))])
}

#[test]
pub(super) fn names_that_leave_the_bundle_are_refused_by_name() {
    for (attack, bytes, error) in [
        (
            "zip slip",
            named("../../etc/cron.d/x"),
            name("../../etc/cron.d/x", NameFault::DotDot),
        ),
        (
            "zip slip after a directory",
            named("a/../../x"),
            name("a/../../x", NameFault::DotDot),
        ),
        (
            "zip slip by backslash",
            named("..\\..\\x"),
            name("..\\..\\x", NameFault::Backslash),
        ),
        (
            "stripped zip slip",
            named("..././x"),
            name("..././x", NameFault::TrailingDotOrSpace),
        ),
        (
            "absolute",
            named("/etc/passwd"),
            name("/etc/passwd", NameFault::Absolute),
        ),
        ("drive", named("C:/x"), name("C:/x", NameFault::Colon)),
        (
            "alternate stream",
            named("x.js:evil"),
            name("x.js:evil", NameFault::Colon),
        ),
        (
            "share",
            named("//host/x"),
            name("//host/x", NameFault::Absolute),
        ),
        (
            "truncation by NUL",
            named("a.js\0.png"),
            name("a.js\\u{0}.png", NameFault::Control),
        ),
        (
            "terminal escape",
            named("\x1b]0;x\x07"),
            name("\\u{1b}]0;x\\u{7}", NameFault::Control),
        ),
        (
            "turned-around name",
            named("a\u{202e}gnp.js"),
            name("a\\u{202e}gnp.js", NameFault::Invisible),
        ),
        (
            "unseen letter",
            named(".g\u{200d}it/config"),
            name(".g\\u{200d}it/config", NameFault::Invisible),
        ),
        (
            "current directory",
            named("./a.js"),
            name("./a.js", NameFault::Dot),
        ),
        ("empty name", named(""), name("", NameFault::EmptyPart)),
        (
            "empty part",
            named("a//b"),
            name("a//b", NameFault::EmptyPart),
        ),
        (
            "device",
            named("lib/NUL.js"),
            name("lib/NUL.js", NameFault::Reserved),
        ),
        (
            "dropped dot",
            named("a.js."),
            name("a.js.", NameFault::TrailingDotOrSpace),
        ),
        (
            "dropped space",
            named("a /b"),
            name("a /b", NameFault::TrailingDotOrSpace),
        ),
        (
            "decomposed",
            named("cafe\u{301}"),
            name("cafe\u{301}", NameFault::NotNfc),
        ),
        (
            "too deep",
            named(&["d"; 40].join("/")),
            name(&["d"; 40].join("/"), NameFault::TooDeep),
        ),
        (
            "not UTF-8",
            zip(&[ZipEntry::raw_name(b"caf\xe9")]),
            name("caf\\xe9", NameFault::NotUtf8),
        ),
        (
            "guessed encoding",
            zip(&[ZipEntry::raw_name("é".as_bytes())]),
            name("é", NameFault::NotDeclaredUtf8),
        ),
    ] {
        assert_eq!(refused(&bytes), vec![error], "{attack}");
    }
}

#[test]
pub(super) fn entries_that_meet_on_some_device_are_refused() {
    let two = |one, two| zip(&[ZipEntry::stored(one, b"1"), ZipEntry::stored(two, b"2")]);
    let collision = |name: &str, other: &str| Collision {
        name: name.into(),
        other: other.into(),
    };
    for (attack, bytes, error) in [
        (
            "same name twice",
            two("a", "a"),
            Duplicate { name: "a".into() },
        ),
        (
            "case",
            two("App.js", "app.js"),
            collision("app.js", "App.js"),
        ),
        (
            "case of a directory",
            two("Lib/a", "lib/b"),
            collision("lib/b", "Lib"),
        ),
        ("full case folding", two("ß", "SS"), collision("SS", "ß")),
        (
            "file, then inside it",
            two("a", "a/b"),
            FileAndDirectory { name: "a".into() },
        ),
        (
            "inside it, then file",
            two("a/b", "a"),
            FileAndDirectory { name: "a".into() },
        ),
    ] {
        assert_eq!(refused(&bytes), vec![error], "{attack}");
    }
}

#[test]
pub(super) fn what_is_not_a_file_or_directory_is_refused() {
    let mode = |mode| zip(&[a().mode(mode)]);
    let kind = |kind| Kind {
        name: "a.js".into(),
        kind,
    };
    let unclear = |name: &str| UnclearKind { name: name.into() };
    for (attack, bytes, error) in [
        (
            "symbolic link",
            mode(0o120_777),
            kind(EntryKind::SymbolicLink),
        ),
        ("character device", mode(0o020_666), kind(EntryKind::Device)),
        ("block device", mode(0o060_666), kind(EntryKind::Device)),
        ("pipe", mode(0o010_666), kind(EntryKind::Pipe)),
        ("socket", mode(0o140_666), kind(EntryKind::Socket)),
        ("unheard-of kind", mode(0o050_666), kind(EntryKind::Unknown)),
        (
            "volume label",
            zip(&[a().with(|entry| entry.attributes = 8)]),
            kind(EntryKind::Label),
        ),
        ("directory by mode only", mode(0o040_755), unclear("a.js")),
        (
            "directory by DOS only",
            zip(&[a().with(|entry| entry.attributes = 16)]),
            unclear("a.js"),
        ),
        (
            "file by mode, directory by name",
            zip(&[ZipEntry::stored("d/", b"").mode(0o100_644)]),
            unclear("d"),
        ),
        (
            "directory with data",
            zip(&[ZipEntry::stored("d/", b"x")]),
            DirectoryWithData { name: "d".into() },
        ),
        (
            "link by an extra field",
            with_extra(0x756e, b"12345678901234"),
            ExtraField {
                name: "a.js".into(),
                id: 0x756e,
            },
        ),
        (
            "renamed by an extra field",
            with_extra(0x7075, b"\x01....evil"),
            ExtraField {
                name: "a.js".into(),
                id: 0x7075,
            },
        ),
        (
            "torn extra field",
            zip(&[a().with(|entry| entry.both(|head| head.extra = vec![1]))]),
            ExtraField {
                name: "a.js".into(),
                id: 0,
            },
        ),
    ] {
        assert_eq!(refused(&bytes), vec![error], "{attack}");
    }
}

#[test]
pub(super) fn what_cannot_be_reviewed_is_refused() {
    let encrypted = || Encrypted {
        name: "a.js".into(),
    };
    let method = |method: u16| zip(&[a().with(|entry| entry.both(|head| head.method = method))]);
    let flags = |flags| Flags {
        name: "a.js".into(),
        flags,
    };
    let stored_stream = ZipEntry::stored("a.js", b"x").streamed(true);
    for (attack, bytes, error) in [
        ("encrypted", with_flags(1), encrypted()),
        ("strongly encrypted", with_flags(1 << 6), encrypted()),
        ("masked headers", with_flags(1 << 13), encrypted()),
        (
            "AES by an extra field",
            with_extra(0x9901, b"1234567"),
            encrypted(),
        ),
        ("patch data", with_flags(1 << 5), flags(1 << 5)),
        (
            "stored without an end",
            zip(&[stored_stream]),
            flags(1 << 3),
        ),
        (
            "bzip2",
            method(12),
            Method {
                name: "a.js".into(),
                method: 12,
            },
        ),
        (
            "zstd",
            method(93),
            Method {
                name: "a.js".into(),
                method: 93,
            },
        ),
        (
            "zip64 sizes",
            zip(&[a().with(|entry| entry.central.unpacked = u32::MAX)]),
            Zip64,
        ),
        (
            "comment",
            zip(&[a().with(|entry| entry.comment = b"x".to_vec())]),
            Comment {
                name: "a.js".into(),
            },
        ),
        (
            "other disk",
            zip(&[a().with(|entry| entry.disk = 1)]),
            MultiDisk,
        ),
    ] {
        assert_eq!(refused(&bytes)[0], error, "{attack}");
    }
    assert_eq!(refused(&with_extra(1, &[0; 16])), vec![Zip64]);
}

#[test]
pub(super) fn what_is_said_twice_must_be_said_alike() {
    for (attack, bytes, error) in [
        (
            "other name",
            differing(|head| head.name = b"e.js".to_vec()),
            differs("name"),
        ),
        (
            "longer name",
            differing(|head| head.name = b"a.jsx".to_vec()),
            differs("name"),
        ),
        (
            "other flags",
            differing(|head| head.flags = 2),
            differs("flags"),
        ),
        (
            "other method",
            differing(|head| head.method = 0),
            differs("method"),
        ),
        (
            "other packed size",
            differing(|head| head.packed += 1),
            differs("packed size"),
        ),
        (
            "other size",
            differing(|head| head.unpacked -= 1),
            differs("size"),
        ),
        (
            "other checksum",
            differing(|head| head.crc ^= 1),
            differs("checksum"),
        ),
        (
            "zip64 in the local header only",
            differing(|head| head.extra = vec![1, 0, 0, 0]),
            Zip64,
        ),
        (
            "directory points into data",
            zip(&[a(), b().with(|entry| entry.claimed_at = Some(45))]),
            Overlap {
                name: "b.js".into(),
                other: "a.js".into(),
            },
        ),
        (
            "directory points beyond the file",
            zip(&[a(), b().with(|entry| entry.claimed_at = Some(1 << 30))]),
            HiddenData {
                name: "a.js".into(),
                bytes: (1 << 30) - 47,
            },
        ),
        (
            "descriptor says otherwise",
            zip(&[a().streamed(true).with(|entry| entry.after[4] ^= 1)]),
            Descriptor {
                name: "a.js".into(),
            },
        ),
        (
            "descriptor without its signature in its length",
            zip(&[a().streamed(true).with(|entry| entry.after[0] = b'X')]),
            Descriptor {
                name: "a.js".into(),
            },
        ),
        (
            "descriptor missing",
            zip(&[a().streamed(true).with(|entry| entry.after.clear())]),
            Descriptor {
                name: "a.js".into(),
            },
        ),
    ] {
        assert_eq!(refused(&bytes)[0], error, "{attack}");
    }
}

#[test]
pub(super) fn every_byte_belongs_to_exactly_one_thing() {
    let prefixed = |shift: u32| {
        let (bytes, directory) = body(&[a().with(|entry| entry.claimed_at = Some(shift))]);
        let end = end(1, directory.len() as u32, bytes.len() as u32 + shift, b"");
        [&vec![b'#'; 7][..], &bytes, &directory, &end].concat()
    };
    let unlisted = || {
        let (bytes, directory) = body(&[a(), b()]);
        // The directory forgets the second entry.
        let first = &directory[..46 + 4];
        [
            &bytes[..],
            first,
            &end(1, first.len() as u32, bytes.len() as u32, b""),
        ]
        .concat()
    };
    let rival = || {
        // The second record sits in the "comment" of the first, as far as the first is concerned.
        let (bytes, directory) = body(&[a()]);
        let (d, at) = (directory.len() as u32, bytes.len() as u32);
        let inner = end(1, d, at, b"");
        let outer = end(1, d, at, &inner);
        [&bytes[..], &directory, &outer].concat()
    };
    let shared_data = || {
        let kernel = local(&b());
        let outer = ZipEntry::stored("outer", &kernel);
        zip(&[
            outer,
            b().with(|entry| {
                entry.claimed_at = Some(35);
                entry.data.clear();
            }),
        ])
    };
    for (attack, bytes, error) in [
        (
            "prepended, offsets as they were",
            prefixed(0),
            PrependedData { bytes: 7 },
        ),
        (
            "prepended, offsets repaired",
            prefixed(7),
            PrependedData { bytes: 7 },
        ),
        ("appended", [honest(), b"x".to_vec()].concat(), TrailingData),
        (
            "archive comment",
            {
                let (bytes, directory) = body(&[a()]);
                let end = end(1, directory.len() as u32, bytes.len() as u32, b"hello");
                [bytes, directory, end].concat()
            },
            TrailingData,
        ),
        (
            "two zips in a row",
            [honest(), honest()].concat(),
            PrependedData {
                bytes: honest().len() as u64,
            },
        ),
        ("two end records", rival(), SeveralEndRecords),
        (
            "unlisted entry",
            unlisted(),
            HiddenData {
                name: "a.js".into(),
                bytes: local(&b()).len() as u64,
            },
        ),
        (
            "bytes between entries",
            zip(&[a().with(|entry| entry.after = vec![0; 5]), b()]),
            HiddenData {
                name: "a.js".into(),
                bytes: 5,
            },
        ),
        (
            "bytes before the directory",
            zip(&[a(), b().with(|entry| entry.after = vec![0; 9])]),
            HiddenData {
                name: "b.js".into(),
                bytes: 9,
            },
        ),
        (
            "an entry inside another",
            shared_data(),
            Overlap {
                name: "b.js".into(),
                other: "outer".into(),
            },
        ),
        (
            "one entry under two names",
            {
                let twin = ZipEntry::stored("c.js", b"let b = 2;\n")
                    .with(|entry| entry.claimed_at = Some(0));
                zip(&[b(), twin])
            },
            Overlap {
                name: "c.js".into(),
                other: "b.js".into(),
            },
        ),
    ] {
        assert!(
            refused(&bytes).contains(&error),
            "{attack}: {:?}",
            refused(&bytes)
        );
    }
}

#[test]
pub(super) fn an_end_record_that_lies_is_refused() {
    let zip64 = {
        let (bytes, directory) = body(&[a()]);
        let end = end(1, directory.len() as u32, bytes.len() as u32, b"");
        let locator = [&b"PK\x06\x07"[..], &[0; 16]].concat();
        [bytes, directory, locator, end].concat()
    };
    let count = |count: u8| patched(honest(), 14, &[count, 0, count, 0]);
    let place = EndRecord {
        field: "place of the directory",
    };
    for (attack, bytes, error) in [
        (
            "no end record",
            b"PK\x03\x04 and nothing else follows".to_vec(),
            NoEndRecord,
        ),
        (
            "cut in the directory",
            honest()[..honest().len() - 30].to_vec(),
            NoEndRecord,
        ),
        (
            "cut in the end record",
            honest()[..honest().len() - 1].to_vec(),
            TrailingData,
        ),
        ("too short", b"PK\x03\x04".to_vec(), Truncated),
        ("zip64 locator", zip64, Zip64),
        ("zip64 count", patched(honest(), 14, &[0xff; 4]), Zip64),
        ("zip64 place", patched(honest(), 6, &[0xff; 4]), Zip64),
        ("many disks", patched(honest(), 18, &[1]), MultiDisk),
        ("counts differ", patched(honest(), 14, &[1]), MultiDisk),
        (
            "one entry fewer",
            count(1),
            EndRecord {
                field: "number of entries",
            },
        ),
        ("one entry more", count(3), Directory { index: 2 }),
        (
            "directory elsewhere",
            patched(honest(), 6, &[1, 0, 0, 0]),
            place,
        ),
        ("nothing in it", end(0, 0, 0, b""), Empty),
        (
            "only directories",
            zip(&[ZipEntry::stored("d/", b"")]),
            Empty,
        ),
        (
            "neither zip nor tar.gz",
            b"MZ\x90\x00 and so on, a program".to_vec(),
            NotAnArchive,
        ),
        ("no bytes", vec![], NotAnArchive),
    ] {
        assert_eq!(refused(&bytes).last(), Some(&error), "{attack}");
    }
}

#[test]
pub(super) fn bombs_are_put_down_before_and_while_they_go_off() {
    let zeros = vec![0; 8 << 20];
    let sized =
        |declared: u32| zip(&[a().with(|entry| entry.both(|head| head.unpacked = declared))]);
    let size = |declared| Size {
        name: "a.js".into(),
        declared,
    };
    let quine = ZipEntry::deflated("a", &zeros);
    let many: Vec<_> = (0..11)
        .map(|index| {
            ZipEntry::stored(&format!("f{index}"), b"x").with(|entry| {
                entry
                    .both(|head| (head.method, head.packed, head.unpacked) = (8, 8 << 20, 8 << 20));
            })
        })
        .collect();
    let crowd: Vec<_> = (0..5_001)
        .map(|index| ZipEntry::stored(&index.to_string(), b""))
        .collect();
    for (attack, bytes, error) in [
        (
            "ratio",
            zip(&[quine]),
            Ratio {
                name: "a".into(),
                limit: 100,
            },
        ),
        ("declares less than it is", sized(5), size(5)),
        ("declares more than it is", sized(50), size(50)),
        (
            "declares more than all may be",
            zip(&many),
            UnpackedTooLarge {
                name: "f10".into(),
                limit: 80 << 20,
            },
        ),
        (
            "five thousand and one entries",
            zip(&crowd),
            TooManyEntries { limit: 5_000 },
        ),
        (
            "too large as uploaded",
            vec![0; (20 << 20) + 1],
            PackedTooLarge {
                bytes: (20 << 20) + 1,
                limit: 20 << 20,
            },
        ),
    ] {
        assert_eq!(refused(&bytes)[0], error, "{attack}");
    }
}

#[test]
pub(super) fn damaged_data_is_refused_by_name() {
    let text = b"the same bytes, or none at all".repeat(20);
    let entry = || ZipEntry::deflated("a.js", &text);
    let corrupt = || Corrupt {
        name: "a.js".into(),
    };
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        zip(&[entry().with(|entry| {
            change(&mut entry.data);
            let packed = entry.data.len() as u32;
            entry.both(|head| head.packed = packed);
        })])
    };
    for (attack, bytes, error) in [
        (
            "checksum",
            zip(&[b().with(|entry| entry.data[0] ^= 1)]),
            Checksum {
                name: "b.js".into(),
            },
        ),
        ("no deflate", changed(&|data| data.fill(0xff)), corrupt()),
        (
            "cut off",
            changed(&|data| data.truncate(data.len() - 3)),
            corrupt(),
        ),
        (
            "bytes after the end",
            changed(&|data| data.extend(b"hidden")),
            corrupt(),
        ),
        (
            "a second stream after the end",
            changed(&|data| data.extend(deflated(b"evil"))),
            corrupt(),
        ),
    ] {
        assert_eq!(refused(&bytes), vec![error], "{attack}");
    }
    assert_eq!(crc(b"123456789"), 0xcbf4_3926);
}

#[test]
pub(super) fn all_mistakes_are_told_at_once_up_to_fifty() {
    let bad = zip(&[
        ZipEntry::stored("../x", b""),
        a().mode(0o120_777),
        ZipEntry::stored("CON", b""),
        b(),
    ]);
    let told: Vec<_> = refused(&bad).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    entry `../x` has a `..` part; pack only what lies inside the mini-program
    entry `a.js` is a symbolic link; only regular files and directories are accepted
    entry `CON` has a part that names a device on Windows; rename it
    ");
    let many: Vec<_> = (0..200)
        .map(|index| ZipEntry::stored(&format!("../{index}"), b""))
        .collect();
    assert_eq!(refused(&zip(&many)).len(), 50);
}
