//! What is wrong with an uploaded archive, entry by entry, and what its maker should do.
//!
//! A partner reads these, so each names the entry as it stands in the archive. Names come from an
//! attacker: they are shortened and their control characters escaped before they may be printed.

use std::fmt::Write as _;

/// Refusals that are gathered before the archive is put down.
const MOST_ERRORS: usize = 50;
/// Characters of a name that are shown.
const SHOWN_CHARS: usize = 120;

/// Why an archive is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    // The archive as a whole.
    /// The file could not be read.
    #[error("the archive cannot be read ({kind}); send it again")]
    Io {
        /// What the system said.
        kind: std::io::ErrorKind,
    },
    /// Neither format.
    #[error("this is neither a zip nor a tar.gz; pack the mini-program as one of them")]
    NotAnArchive,
    /// Too many bytes as uploaded.
    #[error(
        "the archive is {bytes} bytes, at most {limit} are accepted; remove what devices do not need"
    )]
    PackedTooLarge {
        /// Its bytes.
        bytes: u64,
        /// The most accepted.
        limit: u64,
    },
    /// Too many bytes once unpacked.
    #[error(
        "up to `{name}` the archive unpacks to more than {limit} bytes; remove what devices do not need"
    )]
    UnpackedTooLarge {
        /// The entry that goes beyond.
        name: String,
        /// The most accepted.
        limit: u64,
    },
    /// Too many entries.
    #[error("the archive has more than {limit} entries; remove or bundle small files")]
    TooManyEntries {
        /// The most accepted.
        limit: usize,
    },
    /// No file at all.
    #[error("the archive holds no file; pack the mini-program's files")]
    Empty,
    /// It ends in the middle of something.
    #[error("the archive ends early; upload it again from the beginning")]
    Truncated,
    /// Bytes before the first entry.
    #[error("{bytes} bytes stand before the archive; pack it without a prefix or self-extractor")]
    PrependedData {
        /// How many.
        bytes: u64,
    },
    /// Bytes after the end.
    #[error(
        "data follows the end of the archive; pack it again, in one piece and without a comment"
    )]
    TrailingData,
    /// A zip whose end record is missing.
    #[error("the zip has no end record; upload it again from the beginning")]
    NoEndRecord,
    /// Two readers could take two different directories for the real one.
    #[error("the zip has several end records; pack it again")]
    SeveralEndRecords,
    /// The end record and the directory disagree.
    #[error("the zip's end record does not agree with its directory on the {field}; pack it again")]
    EndRecord {
        /// Which field.
        field: &'static str,
    },
    /// The directory does not parse.
    #[error("entry {index} of the zip's directory does not parse; pack it again")]
    Directory {
        /// Position in the directory, from 0.
        index: usize,
    },
    /// 64-bit extensions.
    #[error("the zip uses zip64; pack it without, no accepted archive needs it")]
    Zip64,
    /// Spread over several files.
    #[error("the zip is spread over several disks; pack it as one file")]
    MultiDisk,
    /// Gzip says that its content is damaged.
    #[error("the gzip stream is damaged at `{name}`; pack and upload it again")]
    CorruptGzip {
        /// The entry that was being read, or nothing before the first.
        name: String,
    },

    // One entry.
    /// A name that some device would take for another path.
    #[error("entry `{name}` {fault}")]
    Name {
        /// The entry.
        name: String,
        /// What is wrong with its name.
        fault: NameFault,
    },
    /// The same name twice.
    #[error("entry `{name}` occurs twice; pack it once")]
    Duplicate {
        /// The entry.
        name: String,
    },
    /// Two names that are one on some device.
    #[error(
        "entries `{name}` and `{other}` differ only in case or form and are one file on some devices; rename one"
    )]
    Collision {
        /// The later entry.
        name: String,
        /// The earlier spelling.
        other: String,
    },
    /// A file that other entries lie in.
    #[error("entry `{name}` is both a file and a directory; rename one")]
    FileAndDirectory {
        /// The path that is both.
        name: String,
    },
    /// Something else than a file or directory.
    #[error("entry `{name}` is a {kind}; only regular files and directories are accepted")]
    Kind {
        /// The entry.
        name: String,
        /// What it is.
        kind: EntryKind,
    },
    /// Its name says one thing and its attributes another.
    #[error(
        "entry `{name}` is a directory by name or attributes and a file by the other; pack it again"
    )]
    UnclearKind {
        /// The entry.
        name: String,
    },
    /// A directory with bytes of its own.
    #[error("directory `{name}` holds data of its own; pack it again")]
    DirectoryWithData {
        /// The entry.
        name: String,
    },
    /// Needs a password.
    #[error("entry `{name}` is encrypted; pack it without a password")]
    Encrypted {
        /// The entry.
        name: String,
    },
    /// Some other compression.
    #[error("entry `{name}` is packed by method {method}; use stored or deflate")]
    Method {
        /// The entry.
        name: String,
        /// The method's number.
        method: u16,
    },
    /// Flags that change how it would be read.
    #[error(
        "entry `{name}` has flags {flags:#06x} that are not accepted; pack it with another tool"
    )]
    Flags {
        /// The entry.
        name: String,
        /// All its flags.
        flags: u16,
    },
    /// An extra field that may change the name, the kind or the sizes.
    #[error(
        "entry `{name}` has the extra field {id:#06x} that is not accepted; pack it with another tool"
    )]
    ExtraField {
        /// The entry.
        name: String,
        /// The field's number.
        id: u16,
    },
    /// Text that nobody reviews.
    #[error("entry `{name}` has a comment; pack it without")]
    Comment {
        /// The entry.
        name: String,
    },
    /// What stands before the data differs from the directory.
    #[error("the two headers of entry `{name}` differ in the {field}; pack it again")]
    LocalHeader {
        /// The entry, as the directory names it.
        name: String,
        /// Which field.
        field: &'static str,
    },
    /// What stands after the data differs from the directory.
    #[error("the record after the data of entry `{name}` does not match; pack it again")]
    Descriptor {
        /// The entry.
        name: String,
    },
    /// Two entries share bytes.
    #[error("entries `{name}` and `{other}` overlap; pack the archive again")]
    Overlap {
        /// The later entry.
        name: String,
        /// The one before it.
        other: String,
    },
    /// Bytes that no entry owns.
    #[error("{bytes} bytes after entry `{name}` belong to nothing; pack the archive again")]
    HiddenData {
        /// The entry before them.
        name: String,
        /// How many.
        bytes: u64,
    },
    /// Grows too much.
    #[error("entry `{name}` unpacks to more than {limit} times its packed size; pack no padding")]
    Ratio {
        /// The entry.
        name: String,
        /// The most accepted.
        limit: u64,
    },
    /// Another number of bytes than declared.
    #[error("entry `{name}` does not unpack to the {declared} bytes it declares; pack it again")]
    Size {
        /// The entry.
        name: String,
        /// What the directory says.
        declared: u64,
    },
    /// Checksum.
    #[error("the bytes of entry `{name}` do not match its checksum; pack and upload it again")]
    Checksum {
        /// The entry.
        name: String,
    },
    /// The compressed bytes do not parse, or go on after their end.
    #[error("the compressed bytes of entry `{name}` are damaged; pack and upload it again")]
    Corrupt {
        /// The entry.
        name: String,
    },
    /// A tar header that readers could understand in two ways.
    #[error("the tar header of entry `{name}` has no clear {field}; pack it again as ustar or pax")]
    TarHeader {
        /// The entry.
        name: String,
        /// Which field.
        field: &'static str,
    },
    /// A pax record that changes what was declared, or does not parse.
    #[error("the pax record `{key}` before entry `{name}` is not accepted; pack it again without")]
    Pax {
        /// The entry that the record is for.
        name: String,
        /// Which record.
        key: String,
    },
}

/// What is wrong with a name. Names are refused, never repaired: a repaired name is a name that nobody
/// reviewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Begins with `/`.
    #[error("is an absolute path; pack it relative to the mini-program")]
    Absolute,
    /// A part is `.`.
    #[error("has a `.` part; pack it without")]
    Dot,
    /// A part is `..`.
    #[error("has a `..` part; pack only what lies inside the mini-program")]
    DotDot,
    /// Nothing between two slashes, or nothing at all.
    #[error("has an empty part; pack it without")]
    EmptyPart,
    /// A separator on Windows.
    #[error("holds a backslash; separate directories by `/`")]
    Backslash,
    /// A drive or a stream on Windows.
    #[error("holds a colon; rename it")]
    Colon,
    /// NUL and its like.
    #[error("holds a control character; rename it")]
    Control,
    /// Characters that are not seen, or turn the text around.
    #[error("holds an invisible character; rename it")]
    Invisible,
    /// Some other encoding.
    #[error("is not UTF-8; rename it")]
    NotUtf8,
    /// Not ASCII and not declared to be UTF-8, so that readers would guess.
    #[error("is not declared as UTF-8; pack a tar.gz, or a zip with a tool that sets the flag")]
    NotDeclaredUtf8,
    /// Not in Unicode's composed form.
    #[error("is not in Unicode form NFC; rename it")]
    NotNfc,
    /// Windows drops them.
    #[error("has a part that ends with a dot or a space; rename it")]
    TrailingDotOrSpace,
    /// CON, NUL, COM1 …
    #[error("has a part that names a device on Windows; rename it")]
    Reserved,
    /// A part is too long.
    #[error("has a part that is too long; shorten it")]
    PartTooLong,
    /// The whole is too long.
    #[error("is too long; shorten it")]
    PathTooLong,
    /// Too many parts.
    #[error("lies too deep; flatten the directories")]
    TooDeep,
}

/// Kinds of entries that are not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// Points to a path.
    SymbolicLink,
    /// Points to another entry.
    HardLink,
    /// A block or character device.
    Device,
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A file with holes.
    Sparse,
    /// A volume label.
    Label,
    /// A kind that no standard names.
    Unknown,
}

impl std::fmt::Display for EntryKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::SymbolicLink => "symbolic link",
            Self::HardLink => "hard link",
            Self::Device => "device",
            Self::Pipe => "named pipe",
            Self::Socket => "socket",
            Self::Sparse => "sparse file",
            Self::Label => "volume label",
            Self::Unknown => "thing of unknown kind",
        })
    }
}

/// Reading broke off where no archive explains it: as the end of the file, or as the system says.
impl From<std::io::Error> for ArchiveError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::Truncated,
            kind => Self::Io { kind },
        }
    }
}

/// The refusals so far. Bounded, because an archive of 5 000 bad names is refused just as well by 50.
#[derive(Debug, Default)]
pub(super) struct Report {
    errors: Vec<ArchiveError>,
}

impl Report {
    pub(super) fn add(&mut self, error: ArchiveError) {
        if !self.is_full() {
            self.errors.push(error);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.errors.len() >= MOST_ERRORS
    }

    pub(super) fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    pub(super) fn into_errors(self) -> Vec<ArchiveError> {
        self.errors
    }
}

/// A name as it may be printed.
pub(super) fn shown(name: &[u8]) -> String {
    let mut text = String::new();
    let mut chars = 0;
    for chunk in name.utf8_chunks() {
        for char in chunk.valid().chars() {
            if chars == SHOWN_CHARS {
                return text + "…";
            }
            chars += 1;
            if char.is_control() || super::path::is_invisible(char) || char == '`' {
                text.extend(char.escape_unicode());
            } else {
                text.push(char);
            }
        }
        for byte in chunk.invalid() {
            if chars == SHOWN_CHARS {
                return text + "…";
            }
            chars += 1;
            // Writing to a `String` cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_is_printed_harmlessly() {
        for (name, printed) in [
            (&b"package/a.js"[..], "package/a.js"),
            ("页面/首页.js".as_bytes(), "页面/首页.js"),
            (b"a\x1b[2J\nb", "a\\u{1b}[2J\\u{a}b"),
            (b"a\xffb\x00", "a\\xffb\\u{0}"),
            ("txt.\u{202e}exe".as_bytes(), "txt.\\u{202e}exe"),
        ] {
            assert_eq!(shown(name), printed);
        }
        assert_eq!(shown(&[b'a'; 500]), "a".repeat(120) + "…");
    }
}
