//! `Key`: every object that huidu ever writes, one enum, one page.
//!
//! ```text
//! cas/sha256/{hex}               a bundle, named by its bytes; never changes
//! counts/{minute:010}-{life}-{n:010}  what devices reported, as one run of a node summed it up; never changes
//! hook/{receiver}                how far a receiver of webhooks has been told; grows, and losing it tells it again
//! log/{revision:020}             one change of the ledger; created once, never changes
//! probe/{name}                   what the start-up probe leaves behind; worthless afterwards
//! snap/{revision:020}-{hex}      the state after a revision, named by its bytes; never changes
//! ```
//! Nothing else builds a path, so no text from outside can ever become one. Revisions are written
//! with all 20 digits of a `u64`, so that keys sort as their paths do: the order of `list`.

use std::{fmt, str::FromStr};

use huidu_core::{digest::Digest, feedback::Life, name};

/// One object. The variants stand in the order of their paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// Bytes named by their digest.
    Cas(Digest),
    /// What devices reported.
    Counts {
        /// The minute it was written in, since 1970.
        minute: u64,
        /// Who wrote it.
        life: Life,
        /// The how manieth of that life.
        number: u32,
    },
    /// The signed head of the ledger at a revision.
    Head(u64),
    /// How far a receiver of webhooks has been told.
    Webhook(HookName),
    /// One record of the ledger.
    Log(u64),
    /// An object of the start-up probe.
    Probe(ProbeName),
    /// The state after revision `rev`, so that a new node starts in one read.
    Checkpoint {
        /// The last revision it holds.
        rev: u64,
        /// The digest of its bytes.
        digest: Digest,
    },
}

/// A part of the store that can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Folder {
    /// The records of the ledger.
    Log,
    /// What devices reported.
    Counts,
    /// The checkpoints.
    Checkpoints,
    /// What probes left behind.
    Probe,
    /// The signed heads.
    Heads,
}

/// The name of a probe's object; the grammar of all names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProbeName(Box<str>);

/// The name of a receiver of webhooks; the grammar of all names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HookName(Box<str>);

/// What stands before every path in a bucket that several clusters share, such as `bank-a/huidu`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct KeyPrefix(String);

/// Why a text is not the path of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no object of huidu; leave its folders to it alone")]
pub struct KeyError {
    /// What was given.
    pub given: String,
}

/// Why a text is not a key prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a key prefix; write names of a-z 0-9 . _ - with `/` between them")]
pub struct KeyPrefixError {
    /// What was given.
    pub given: String,
}

impl Key {
    /// The path within the store, without a cluster's prefix.
    pub fn path(&self) -> String {
        self.to_string()
    }

    /// The key that sorts before all counts that were written in `minute` or later.
    pub fn before_counts_of(minute: u64) -> Self {
        Self::Counts {
            minute: minute.saturating_sub(1).min(9_999_999_999),
            life: Life::last(),
            number: u32::MAX,
        }
    }

    /// The digest that the name promises, where it promises one.
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::Cas(digest) | Self::Checkpoint { digest, .. } => Some(*digest),
            Self::Log(_)
            | Self::Probe(_)
            | Self::Head(_)
            | Self::Webhook(_)
            | Self::Counts { .. } => None,
        }
    }

    /// The folder in which the key is listed, where it is.
    pub fn folder(&self) -> Option<Folder> {
        match self {
            Self::Cas(_) | Self::Webhook(_) => None,
            Self::Log(_) => Some(Folder::Log),
            Self::Counts { .. } => Some(Folder::Counts),
            Self::Probe(_) => Some(Folder::Probe),
            Self::Checkpoint { .. } => Some(Folder::Checkpoints),
            Self::Head(_) => Some(Folder::Heads),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cas(digest) => write!(f, "cas/sha256/{digest}"),
            Self::Counts {
                minute,
                life,
                number,
            } => write!(f, "counts/{minute:010}-{life}-{number:010}"),
            Self::Webhook(name) => write!(f, "hook/{}", name.0),
            Self::Log(rev) => write!(f, "log/{rev:020}"),
            Self::Probe(name) => write!(f, "probe/{}", name.0),
            Self::Head(rev) => write!(f, "head/{rev:020}"),
            Self::Checkpoint { rev, digest } => write!(f, "snap/{rev:020}-{digest}"),
        }
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(path: &str) -> Result<Self, KeyError> {
        parse(path).ok_or_else(|| KeyError { given: path.into() })
    }
}

fn parse(path: &str) -> Option<Key> {
    let (folder, name) = path.split_once('/')?;
    match folder {
        "cas" => Some(Key::Cas(name.strip_prefix("sha256/")?.parse().ok()?)),
        "counts" => {
            let mut parts = name.split('-');
            let (minute, life, number) = (parts.next()?, parts.next()?, parts.next()?);
            let whole = parts.next().is_none();
            let ten = |digits: &str| {
                let exact = digits.len() == 10 && digits.bytes().all(|b| b.is_ascii_digit());
                exact.then(|| digits.parse::<u64>().ok()).flatten()
            };
            whole.then_some(Key::Counts {
                minute: ten(minute)?,
                life: life.parse().ok()?,
                number: u32::try_from(ten(number)?).ok()?,
            })
        }
        "hook" => Some(Key::Webhook(name.parse().ok()?)),
        "log" => Some(Key::Log(revision(name)?)),
        "head" => Some(Key::Head(revision(name)?)),
        "probe" => Some(Key::Probe(name.parse().ok()?)),
        "snap" => {
            let (rev, digest) = name.split_once('-')?;
            Some(Key::Checkpoint {
                rev: revision(rev)?,
                digest: digest.parse().ok()?,
            })
        }
        _ => None,
    }
}

/// Exactly 20 digits: `parse` alone would also take a sign or fewer digits, and two paths would be one key.
fn revision(digits: &str) -> Option<u64> {
    let exact = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    exact.then(|| digits.parse().ok()).flatten()
}

impl Folder {
    /// All folders.
    pub const ALL: [Self; 5] = [
        Self::Log,
        Self::Counts,
        Self::Checkpoints,
        Self::Probe,
        Self::Heads,
    ];

    /// The path with its closing slash, without a cluster's prefix.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Log => "log/",
            Self::Counts => "counts/",
            Self::Checkpoints => "snap/",
            Self::Probe => "probe/",
            Self::Heads => "head/",
        }
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

impl FromStr for ProbeName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if name::is_name(text) {
            Ok(Self(text.into()))
        } else {
            Err(KeyError { given: text.into() })
        }
    }
}

impl HookName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for HookName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if name::is_name(text) {
            Ok(Self(text.into()))
        } else {
            Err(KeyError { given: text.into() })
        }
    }
}

impl KeyPrefix {
    /// The object's name in the bucket.
    pub fn full(&self, path: &str) -> String {
        if self.0.is_empty() {
            path.into()
        } else {
            format!("{}/{path}", self.0)
        }
    }

    /// The key of an object's name in the bucket; `None` for what is not ours.
    pub fn key_of(&self, full: &str) -> Option<Key> {
        if self.0.is_empty() {
            return parse(full);
        }
        parse(full.strip_prefix(self.0.as_str())?.strip_prefix('/')?)
    }
}

impl FromStr for KeyPrefix {
    type Err = KeyPrefixError;

    fn from_str(text: &str) -> Result<Self, KeyPrefixError> {
        let fits = text.is_empty() || text.split('/').all(name::is_name);
        if fits && text.len() <= 512 {
            Ok(Self(text.into()))
        } else {
            Err(KeyPrefixError { given: text.into() })
        }
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_key() -> impl Strategy<Value = Key> {
        let digest = any::<[u8; 32]>().prop_map(Digest::from_bytes);
        prop_oneof![
            digest.clone().prop_map(Key::Cas),
            (0..10_000_000_000u64, "[0-9a-z]{26}", any::<u32>()).prop_map(
                |(minute, life, number)| {
                    let life = life.parse().unwrap();
                    Key::Counts {
                        minute,
                        life,
                        number,
                    }
                }
            ),
            any::<u64>().prop_map(Key::Log),
            any::<u64>().prop_map(Key::Head),
            "[a-z0-9][a-z0-9_-]{0,62}".prop_map(|name| Key::Webhook(name.parse().unwrap())),
            "[a-z0-9][a-z0-9_-]{0,62}".prop_map(|name| Key::Probe(name.parse().unwrap())),
            (any::<u64>(), digest).prop_map(|(rev, digest)| Key::Checkpoint { rev, digest }),
        ]
    }

    proptest! {
        #[test]
        fn a_path_parses_back_to_its_key(key in any_key()) {
            prop_assert_eq!(key.path().parse::<Key>(), Ok(key.clone()));
            let prefix: KeyPrefix = "bank-a/huidu".parse().unwrap();
            prop_assert_eq!(prefix.key_of(&prefix.full(&key.path())), Some(key));
        }

        #[test]
        fn keys_sort_as_their_paths_do(a in any_key(), b in any_key()) {
            prop_assert_eq!(a.cmp(&b), a.path().cmp(&b.path()));
        }

        #[test]
        fn no_text_parses_to_a_key_of_another_path(text in "(log|snap|cas/sha256|probe|counts|hook)/[0-9a-f+./-]{0,50}") {
            if let Ok(key) = text.parse::<Key>() {
                prop_assert_eq!(key.path(), text);
            }
        }
    }

    #[test]
    fn the_paths_are_as_they_were_written_down() {
        let digest = Digest::of(b"abc");
        let probe = Key::Probe("race-0".parse().unwrap());
        let checkpoint = Key::Checkpoint { rev: 64, digest };
        let hook = Key::Webhook("pager".parse().unwrap());
        let paths: Vec<_> = [Key::Cas(digest), hook, Key::Log(7), probe, checkpoint]
            .iter()
            .map(Key::path)
            .collect();
        insta::assert_snapshot!(paths.join("\n"), @r"
        cas/sha256/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
        hook/pager
        log/00000000000000000007
        probe/race-0
        snap/00000000000000000064-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
        ");
    }

    #[test]
    fn what_is_not_ours_has_no_key() {
        for path in [
            "",
            "log",
            "log/",
            "log/7",
            "log/+0000000000000000007",
            "log/99999999999999999999",
            "log/0000000000000000000７",
            "probe/../log/x",
            "probe/A",
            "snap/00000000000000000064",
            "cas/sha256/BA",
            "/log/00000000000000000007",
            "other/x",
        ] {
            let refused = Err(KeyError { given: path.into() });
            assert_eq!(path.parse::<Key>(), refused, "{path}");
        }
    }

    #[test]
    fn a_prefix_is_names_between_slashes() {
        for good in ["", "a", "bank-a/huidu"] {
            assert!(good.parse::<KeyPrefix>().is_ok(), "{good}");
        }
        for bad in ["/", "a/", "/a", "a//b", "../a", "A", &"a/".repeat(300)] {
            assert!(bad.parse::<KeyPrefix>().is_err(), "{bad}");
        }
        let foreign = "other/log/00000000000000000007";
        assert_eq!("a".parse::<KeyPrefix>().unwrap().key_of(foreign), None);
    }
}
