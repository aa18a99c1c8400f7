//! The files of a version: their paths, digests and lengths, as one document that is kept beside the
//! bundle, and what differs between two versions.
//!
//! The document is a function of the files, like the canonical archive itself, so it has one digest. The
//! ledger names it by that digest; a list of thousands of files is too long for a record.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{digest::Digest, limits};

/// The form of a list of files.
const FORM: u32 = 1;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileLine {
    /// Its path, `/` between parts.
    pub p: String,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Its length in bytes.
    pub len: u64,
}

/// All files of a version, sorted by path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileList {
    v: u32,
    files: Vec<FileLine>,
}

/// Why bytes are not a list of files.
#[derive(Debug, thiserror::Error)]
pub enum FileListError {
    /// Larger than any list may be.
    #[error(
        "a list of files of {bytes} bytes is over the limit of {}",
        limits::FILE_LIST_BYTES
    )]
    TooLarge {
        /// How large.
        bytes: usize,
    },
    /// Not the JSON of it.
    #[error("not the JSON of a list of files: {0}")]
    Json(#[from] serde_json::Error),
    /// Of a form that this build does not know.
    #[error("form {v} of a list of files is unknown to this build; upgrade this node")]
    Form {
        /// The number it carries.
        v: u32,
    },
    /// Not in the order of paths, or a path twice.
    #[error("the list of files is not in order at `{path}`")]
    Order {
        /// Where.
        path: String,
    },
}

impl FileList {
    /// The list of these files, in the order of their paths.
    pub fn new(mut files: Vec<FileLine>) -> Self {
        files.sort_unstable_by(|a, b| a.p.cmp(&b.p));
        Self { v: FORM, files }
    }

    /// The files.
    pub fn files(&self) -> &[FileLine] {
        &self.files
    }

    /// The document and its digest.
    pub fn encode(&self) -> Result<(Digest, Bytes), FileListError> {
        let bytes = Bytes::from(serde_json::to_vec(self)?);
        if bytes.len() > limits::FILE_LIST_BYTES {
            return Err(FileListError::TooLarge { bytes: bytes.len() });
        }
        Ok((Digest::of(&bytes), bytes))
    }

    /// Reads a document.
    pub fn decode(bytes: &[u8]) -> Result<Self, FileListError> {
        if bytes.len() > limits::FILE_LIST_BYTES {
            return Err(FileListError::TooLarge { bytes: bytes.len() });
        }
        let list: Self = serde_json::from_slice(bytes)?;
        if list.v != FORM {
            return Err(FileListError::Form { v: list.v });
        }
        match list.files.windows(2).find(|pair| pair[0].p >= pair[1].p) {
            Some(pair) => Err(FileListError::Order {
                path: pair[1].p.clone(),
            }),
            None => Ok(list),
        }
    }

    /// What differs from `before` to here.
    pub fn since(&self, before: &Self) -> FilesDifference {
        let mut difference = FilesDifference::default();
        let (mut old, mut new) = (before.files.iter().peekable(), self.files.iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return difference,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(old), Some(new)) => old.p.cmp(&new.p),
            };
            match order {
                std::cmp::Ordering::Less => difference.removed.extend(old.next().cloned()),
                std::cmp::Ordering::Greater => difference.added.extend(new.next().cloned()),
                std::cmp::Ordering::Equal => {
                    if let (Some(old), Some(new)) = (old.next(), new.next()) {
                        difference.meet(old, new);
                    }
                }
            }
        }
    }
}

/// What differs between the files of two versions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct FilesDifference {
    /// Files that were not there.
    pub added: Vec<FileLine>,
    /// Files that are not there any more.
    pub removed: Vec<FileLine>,
    /// Files with other bytes.
    pub changed: Vec<FileChange>,
    /// How many files are the same.
    pub same: usize,
}

/// A file with other bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Its path.
    pub p: String,
    /// As it was.
    pub from: Content,
    /// As it is.
    pub to: Content,
}

/// What is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Content {
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Its length in bytes.
    pub len: u64,
}

impl From<&FileLine> for Content {
    fn from(line: &FileLine) -> Self {
        Self {
            sha256: line.sha256,
            len: line.len,
        }
    }
}

impl FilesDifference {
    fn meet(&mut self, old: &FileLine, new: &FileLine) {
        if old == new {
            self.same += 1;
        } else {
            self.changed.push(FileChange {
                p: new.p.clone(),
                from: old.into(),
                to: new.into(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn list(files: &[(&str, &str)]) -> FileList {
        let line = |(p, text): &(&str, &str)| FileLine {
            p: (*p).into(),
            sha256: Digest::of(text.as_bytes()),
            len: text.len() as u64,
        };
        FileList::new(files.iter().map(line).collect())
    }

    /// These bytes are in stores out there.
    #[test]
    fn a_list_has_exactly_these_bytes() {
        let (digest, bytes) = list(&[("b.js", "abc"), ("a", "")]).encode().unwrap();
        let golden = concat!(
            r#"{"v":1,"files":[{"p":"a","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","len":0},"#,
            r#"{"p":"b.js","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","len":3}]}"#,
        );
        assert_eq!(bytes, golden);
        assert_eq!(digest, Digest::of(golden.as_bytes()));
        assert_eq!(
            FileList::decode(&bytes).unwrap(),
            list(&[("a", ""), ("b.js", "abc")])
        );
    }

    #[test]
    fn a_list_out_of_order_is_refused() {
        let (_, bytes) = list(&[("a", ""), ("b", "")]).encode().unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        for (wrong, path) in [
            (text.replace(r#""p":"a""#, r#""p":"b""#), "b"),
            (text.replace(r#""p":"a""#, r#""p":"c""#), "b"),
        ] {
            let error = FileList::decode(wrong.as_bytes()).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("the list of files is not in order at `{path}`")
            );
        }
    }

    #[test]
    fn a_difference_names_every_file_once() {
        let before = list(&[("a", "1"), ("b", "1"), ("d", "1")]);
        let after = list(&[("b", "22"), ("c", "1"), ("d", "1")]);
        let difference = after.since(&before);
        assert_eq!(difference.added, list(&[("c", "1")]).files());
        assert_eq!(difference.removed, list(&[("a", "1")]).files());
        assert_eq!(difference.same, 1);
        let [change] = &*difference.changed else {
            panic!("{difference:?}")
        };
        assert_eq!((&*change.p, change.from.len, change.to.len), ("b", 1, 2));
    }

    proptest! {
        #[test]
        fn applying_a_difference_gives_the_later_files(
            before in prop::collection::btree_map("[a-e]", "[01]", 0..6),
            after in prop::collection::btree_map("[a-e]", "[01]", 0..6),
        ) {
            let of = |files: &BTreeMap<String, String>| {
                let files: Vec<_> = files.iter().map(|(p, text)| (&**p, &**text)).collect();
                list(&files)
            };
            let difference = of(&after).since(&of(&before));
            let mut files: BTreeMap<String, Digest> =
                of(&before).files().iter().map(|line| (line.p.clone(), line.sha256)).collect();
            for line in &difference.removed {
                prop_assert!(files.remove(&line.p).is_some());
            }
            for line in &difference.added {
                prop_assert_eq!(files.insert(line.p.clone(), line.sha256), None);
            }
            for change in &difference.changed {
                prop_assert_eq!(files.insert(change.p.clone(), change.to.sha256), Some(change.from.sha256));
            }
            let expected: BTreeMap<String, Digest> =
                of(&after).files().iter().map(|line| (line.p.clone(), line.sha256)).collect();
            prop_assert_eq!(files, expected);
            prop_assert_eq!(
                difference.same + difference.changed.len() + difference.added.len(), after.len()
            );
        }
    }
}
