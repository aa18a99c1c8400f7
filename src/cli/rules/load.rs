//! Reading a directory of rule files: every `.toml` below it but those in `cases/`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use huidu_core::{name::AppId, rollout::Rollout, rulefile};

use crate::cli::output::{Failure, remark};

/// A rule file that is right.
#[derive(Debug)]
pub(super) struct RuleFile {
    pub(super) path: PathBuf,
    pub(super) rollout: Rollout,
}

/// Reads all of them, or tells every mistake of all of them.
pub(super) fn read(dir: &Path) -> Result<Vec<RuleFile>, Failure> {
    let mut paths = Vec::new();
    gather(dir, "cases", &mut paths)?;
    if paths.is_empty() {
        let what = format!("`{}` holds no rule files (*.toml)", dir.display());
        return Err(Failure::Usage(what));
    }
    let (mut files, mut mistakes) = (Vec::new(), Vec::new());
    let mut seen: BTreeMap<AppId, PathBuf> = BTreeMap::new();
    for path in paths {
        match one(&path) {
            Ok(file) => {
                let app = file.rollout.app.clone();
                if let Some(first) = seen.insert(app.clone(), path.clone()) {
                    mistakes.push(format!(
                        "{}: app `{app}` has its rules in `{}` already; keep one file",
                        path.display(),
                        first.display()
                    ));
                }
                files.push(file);
            }
            Err(Failure::Refused(told)) => mistakes.push(told),
            Err(other) => return Err(other),
        }
    }
    if mistakes.is_empty() {
        Ok(files)
    } else {
        Err(Failure::Refused(format!(
            "not every rule file is right\n{}",
            mistakes.join("\n")
        )))
    }
}

/// Reads one rule file.
pub(super) fn one(path: &Path) -> Result<RuleFile, Failure> {
    let text = text(path)?;
    let parsed = rulefile::parse_toml(&path.to_string_lossy(), &text)
        .map_err(|problems| Failure::Refused(problems.to_string()))?;
    for warning in &parsed.warnings {
        remark(&format!("warning: {warning}"));
    }
    Ok(RuleFile {
        path: path.to_owned(),
        rollout: parsed.rollout,
    })
}

pub(super) fn text(path: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(path);
    Ok(text.with_context(|| format!("`{}` cannot be read", path.display()))?)
}

/// The case files of a directory.
pub(super) fn cases(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = Vec::new();
    let cases = dir.join("cases");
    if cases.is_dir() {
        gather(&cases, "", &mut paths)?;
    }
    Ok(paths)
}

/// Every `.toml` below `dir`, sorted, but none below a folder named `but`.
fn gather(dir: &Path, but: &str, paths: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let listed = fs::read_dir(dir).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries = listed.with_context(|| format!("`{}` cannot be listed", dir.display()))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            if entry.file_name() != but {
                gather(&path, but, paths)?;
            }
        } else if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
    }
    Ok(())
}
