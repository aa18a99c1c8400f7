//! `huidu rules test`: devices and what they must be told, as data.

use std::path::Path;

use huidu_core::cases::CaseFile;

use super::{
    load::{self, RuleFile},
    local::Local,
};
use crate::cli::output::Failure;

/// Runs every case; how many there are, or every one that fails.
pub(super) fn run(dir: &Path, files: &[RuleFile]) -> Result<usize, Failure> {
    let (mut passed, mut failed) = (0, Vec::new());
    for path in load::cases(dir)? {
        let name = path.display().to_string();
        let cases = CaseFile::parse(&name, &load::text(&path)?)
            .map_err(|problems| Failure::Refused(problems.to_string()))?;
        let Some(file) = files.iter().find(|file| file.rollout.app == cases.app) else {
            failed.push(format!(
                "{name}: there is no rule file of app `{}`",
                cases.app
            ));
            continue;
        };
        let local = Local::new(&file.rollout)?;
        for case in &cases.cases {
            match local.check(&file.rollout, case) {
                Ok(()) => passed += 1,
                Err(why) => failed.push(format!("{name}: case `{}`: {why}", case.name)),
            }
        }
    }
    if failed.is_empty() {
        Ok(passed)
    } else {
        let count = failed.len();
        Err(Failure::Refused(format!(
            "{count} cases fail, {passed} pass\n{}",
            failed.join("\n")
        )))
    }
}
