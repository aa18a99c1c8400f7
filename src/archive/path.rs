//! Which names an entry may have, and which names may stand beside each other.
//!
//! The judge of names knows all the file systems a bundle may meet: some fold case, some compose
//! Unicode, some drop trailing dots, some keep devices under names. A name that any of them would read
//! as another is refused; it must never be repaired, because then what was reviewed is not what runs.

use std::collections::{HashMap, hash_map::Entry};

use unicase::UniCase;
use unicode_normalization::{UnicodeNormalization as _, is_nfc};

use super::{
    ArchiveLimits,
    error::{ArchiveError, NameFault, shown},
};

/// A name that was judged safe: relative, `/` between parts, no `/` at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryPath<'a> {
    pub(super) path: &'a str,
    /// True when the name ends with `/`.
    pub(super) is_directory: bool,
}

impl<'a> EntryPath<'a> {
    /// Judges the bytes of a name.
    pub(super) fn judge(name: &'a [u8], limits: &ArchiveLimits) -> Result<Self, NameFault> {
        let text = std::str::from_utf8(name).map_err(|_| NameFault::NotUtf8)?;
        if text.starts_with('/') {
            return Err(NameFault::Absolute);
        }
        let path = text.strip_suffix('/').unwrap_or(text);
        for char in path.chars() {
            match char {
                '\\' => return Err(NameFault::Backslash),
                ':' => return Err(NameFault::Colon),
                _ if char.is_control() => return Err(NameFault::Control),
                _ if is_invisible(char) => return Err(NameFault::Invisible),
                _ => {}
            }
        }
        path.split('/')
            .try_for_each(|part| judge_part(part, limits))?;
        if path.len() > limits.path_bytes {
            return Err(NameFault::PathTooLong);
        }
        if path.split('/').count() > limits.depth {
            return Err(NameFault::TooDeep);
        }
        if !is_nfc(path) {
            return Err(NameFault::NotNfc);
        }
        Ok(Self {
            path,
            is_directory: path.len() < text.len(),
        })
    }
}

fn judge_part(part: &str, limits: &ArchiveLimits) -> Result<(), NameFault> {
    match part {
        "" => Err(NameFault::EmptyPart),
        "." => Err(NameFault::Dot),
        ".." => Err(NameFault::DotDot),
        _ if part.ends_with(['.', ' ']) => Err(NameFault::TrailingDotOrSpace),
        _ if part.len() > limits.part_bytes => Err(NameFault::PartTooLong),
        _ if is_reserved(part) => Err(NameFault::Reserved),
        _ => Ok(()),
    }
}

/// Names that Windows gives to devices, whatever their extension.
fn is_reserved(part: &str) -> bool {
    let base = part.split('.').next().unwrap_or(part).trim_end_matches(' ');
    let base = base.to_uppercase();
    let numbered = |device: &str| {
        base.strip_prefix(device).is_some_and(|number| {
            matches!(number, "¹" | "²" | "³")
                || number.len() == 1 && number.bytes().all(|digit| digit.is_ascii_digit())
        })
    };
    matches!(&*base, "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || numbered("COM")
        || numbered("LPT")
}

/// Characters that leave no mark, or turn around what follows: a reviewer cannot see them, and some
/// file systems drop them.
pub(super) const fn is_invisible(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// All paths of an archive, as the most forgetful file system would see them.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: HashMap<(u32, Box<str>), Node>,
}

#[derive(Debug)]
struct Node {
    id: u32,
    /// The part as the archive first spelt it.
    spelling: Box<str>,
    is_directory: bool,
    /// False while only entries inside it have been seen.
    is_listed: bool,
}

impl Tree {
    /// Adds an entry, or says whom it would meet.
    pub(super) fn add(&mut self, entry: EntryPath<'_>) -> Result<(), ArchiveError> {
        let mut parent = 0;
        let mut end = 0;
        for part in entry.path.split('/') {
            let start = end;
            end = start + part.len();
            let here = &entry.path[..end];
            let is_last = end == entry.path.len();
            let is_directory = !is_last || entry.is_directory;
            let id = self.nodes.len() as u32 + 1;
            let node = match self.nodes.entry((parent, collision_key(part))) {
                Entry::Vacant(vacant) => vacant.insert(Node {
                    id,
                    spelling: part.into(),
                    is_directory,
                    is_listed: is_last,
                }),
                Entry::Occupied(occupied) => {
                    let node = occupied.into_mut();
                    if *node.spelling != *part {
                        let other = format!("{}{}", &entry.path[..start], node.spelling);
                        return Err(ArchiveError::Collision {
                            name: shown(entry.path.as_bytes()),
                            other: shown(other.as_bytes()),
                        });
                    }
                    let name = || shown(here.as_bytes());
                    if node.is_directory != is_directory {
                        return Err(ArchiveError::FileAndDirectory { name: name() });
                    }
                    if is_last && node.is_listed {
                        return Err(ArchiveError::Duplicate { name: name() });
                    }
                    node.is_listed |= is_last;
                    node
                }
            };
            parent = node.id;
            end += 1; // The slash.
        }
        Ok(())
    }
}

/// Canonical caseless matching as Unicode defines it: decompose, fold case fully, decompose again.
fn collision_key(part: &str) -> Box<str> {
    let decomposed: String = part.nfd().collect();
    let folded = UniCase::unicode(decomposed).to_folded_case();
    folded.nfd().collect::<String>().into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(name: &str) -> Result<EntryPath<'_>, NameFault> {
        EntryPath::judge(name.as_bytes(), &ArchiveLimits::default())
    }

    #[test]
    fn ordinary_names_are_accepted() {
        for name in [
            "a",
            "package/miniprogram_dist/button/button.wxss",
            ".npmignore",
            "...a",
            "a..b",
            "@scope/x-1.2.3+4",
            "页面/首页.js",
            "caf\u{e9}.js",
            "conx",
            "com10",
            "common.js",
            "console",
            "a b/c",
        ] {
            let accepted = EntryPath {
                path: name,
                is_directory: false,
            };
            assert_eq!(judge(name), Ok(accepted), "{name}");
        }
        assert_eq!(
            judge("a/b/"),
            Ok(EntryPath {
                path: "a/b",
                is_directory: true
            })
        );
    }

    #[test]
    fn a_name_that_some_file_system_reads_differently_is_refused() {
        let deep = ["d"; 33].join("/");
        let long_part = "x".repeat(256);
        let long_path = vec!["x".repeat(200); 6].join("/");
        for (name, fault) in [
            ("", NameFault::EmptyPart),
            ("/", NameFault::Absolute),
            ("/etc/passwd", NameFault::Absolute),
            ("//host/share", NameFault::Absolute),
            ("a//b", NameFault::EmptyPart),
            ("a//", NameFault::EmptyPart),
            (".", NameFault::Dot),
            ("./a", NameFault::Dot),
            ("a/./b", NameFault::Dot),
            ("..", NameFault::DotDot),
            ("../a", NameFault::DotDot),
            ("a/../../b", NameFault::DotDot),
            ("a/..", NameFault::DotDot),
            ("..././a", NameFault::TrailingDotOrSpace),
            ("..\\a", NameFault::Backslash),
            ("C:/a", NameFault::Colon),
            ("a:stream", NameFault::Colon),
            ("a\0.js", NameFault::Control),
            ("a\n", NameFault::Control),
            ("a\u{85}", NameFault::Control),
            ("a\u{202e}sj", NameFault::Invisible),
            ("\u{feff}a", NameFault::Invisible),
            (".g\u{200c}it", NameFault::Invisible),
            ("cafe\u{301}", NameFault::NotNfc),
            ("a.", NameFault::TrailingDotOrSpace),
            ("a /b", NameFault::TrailingDotOrSpace),
            ("CON", NameFault::Reserved),
            ("x/nul.txt", NameFault::Reserved),
            ("aux .js", NameFault::Reserved),
            ("Com1.tar.gz", NameFault::Reserved),
            ("lpt²", NameFault::Reserved),
            (&long_part, NameFault::PartTooLong),
            (&long_path, NameFault::PathTooLong),
            (&deep, NameFault::TooDeep),
        ] {
            assert_eq!(judge(name), Err(fault), "{name:?}");
        }
        let latin1 = EntryPath::judge(b"caf\xe9", &ArchiveLimits::default());
        assert_eq!(latin1, Err(NameFault::NotUtf8));
    }

    #[test]
    fn names_that_are_one_on_some_device_are_found() {
        let add = |names: &[&str]| {
            let mut tree = Tree::default();
            names
                .iter()
                .try_for_each(|name| tree.add(judge(name).unwrap()))
        };
        let collision = |name: &str, other: &str| {
            Err(ArchiveError::Collision {
                name: name.into(),
                other: other.into(),
            })
        };
        for (names, outcome) in [
            (&["a", "b", "c/", "c/a", "d/e", "d/"][..], Ok(())),
            (&["a/x", "b/X"], Ok(())),
            (
                &["a", "a"],
                Err(ArchiveError::Duplicate { name: "a".into() }),
            ),
            (
                &["a/", "a/b", "a/"],
                Err(ArchiveError::Duplicate { name: "a".into() }),
            ),
            (&["App.js", "app.JS"], collision("app.JS", "App.js")),
            (&["p/Lib/a", "p/lib/b"], collision("p/lib/b", "p/Lib")),
            (&["straße", "STRASSE"], collision("STRASSE", "straße")),
            (&["Å", "å"], collision("å", "Å")),
            (&["σ", "ς"], collision("ς", "σ")),
            (
                &["a", "a/b"],
                Err(ArchiveError::FileAndDirectory { name: "a".into() }),
            ),
            (
                &["a/b", "a"],
                Err(ArchiveError::FileAndDirectory { name: "a".into() }),
            ),
            (&["a/b/c", "a/b/"], Ok(())),
        ] {
            assert_eq!(add(names), outcome, "{names:?}");
        }
    }
}
