//! The repository as a map from path to text.
//!
//! Checks are functions over this map and never touch the disk, so that a test can plant a mistake in a
//! map of its own. What git is told to ignore is not part of the repository.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Every file of the repository by its path from the top, `/` between parts. What is no text is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree(pub(crate) BTreeMap<String, String>);

/// Something that does not belong, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    pub(crate) file: String,
    /// From 1; 0 for the file as a whole.
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

impl Tree {
    /// A tree of these files: for planted mistakes.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let owned = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self(owned.collect())
    }

    /// The repository this test was built in.
    pub(crate) fn of_the_repository() -> Self {
        let top = top();
        let ignored = fs::read_to_string(top.join(".gitignore")).unwrap();
        let ignored: Vec<&str> = ignored.lines().collect();
        let mut files = BTreeMap::new();
        walk(&top, "", &ignored, &mut files);
        assert!(files.len() > 200, "only {} files were found", files.len());
        Self(files)
    }

    /// The files that begin with `start` and end with `end`.
    pub(crate) fn files<'a>(
        &'a self,
        start: &'a str,
        end: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let fits = move |path: &&String| path.starts_with(start) && path.ends_with(end);
        let files = self.0.iter().filter(move |(path, _)| fits(path));
        files.map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Every Rust file of the repository.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files("", ".rs")
    }
}

/// The top of the repository.
pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_owned()
}

fn walk(here: &Path, path: &str, ignored: &[&str], files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(here).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}/{name}")
        };
        if name == ".git" || ignored.iter().any(|rule| is_ignored(rule, &path, &name)) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), &path, ignored, files);
        } else {
            let bytes = fs::read(entry.path()).unwrap();
            files.insert(path, String::from_utf8(bytes).unwrap_or_default());
        }
    }
}

/// The part of git's language that our .gitignore speaks: a path from the top, or a name with one `*`.
fn is_ignored(rule: &str, path: &str, name: &str) -> bool {
    match (rule.strip_prefix('/'), rule.split_once('*')) {
        _ if rule.is_empty() || rule.starts_with('#') => false,
        (Some(from_top), _) => from_top.trim_end_matches('/') == path,
        (None, Some((start, end))) => name.starts_with(start) && name.ends_with(end),
        (None, None) => rule.trim_end_matches('/') == name,
    }
}

#[test]
fn what_git_ignores_is_not_looked_at() {
    for (rule, path, ignored) in [
        ("/target", "target", true),
        ("/target", "src/target", false),
        ("node_modules", "console/node_modules", true),
        ("*.snap", "a/b.snap", true),
        ("", "a", false),
        ("# a", "# a", false),
    ] {
        let name = path.rsplit('/').next().unwrap();
        assert_eq!(is_ignored(rule, path, name), ignored, "{rule} {path}");
    }
}
