//! What a reviewer is shown: how a version differs from the one before it, and what stands in the way of
//! approving it.
//!
//! A pure comparison of what the catalogue and two lists of files say. It decides nothing: `decide` does,
//! by the same functions.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    catalogue::{App, Catalogue},
    digest::Digest,
    dossier::{Dossier, Reach, Vote},
    files::{FileList, FilesDifference},
    grade::{Grade, Standing, Surface},
    name::{AppId, Permission},
    version::{Life, Number, Version},
};

/// A version beside the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The app.
    pub app: AppId,
    /// The version.
    pub version: Number,
    /// Its bundle: what an approval names.
    pub bundle: Digest,
    /// Where it stands.
    pub life: Life,
    /// The highest version below it that passed its review; none: it is the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Number>,
    /// Who handed it in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<String>,
    /// The number of its filing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filing: Option<String>,
    /// What changed, in the words of whoever handed it in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// Where and when it may run.
    #[serde(skip_serializing_if = "Reach::is_everywhere")]
    pub reach: Reach,
    /// Who approved it so far.
    pub approvals: Vec<Vote>,
    /// How many approvals it takes.
    pub approvals_needed: u8,
    /// The grade of its tenant.
    pub grade: Grade,
    /// Every permission that one of both versions asks for, by name.
    pub permissions: Vec<PermissionLine>,
    /// True when nothing it asks for stands in the way.
    pub may_be_approved: bool,
    /// What differs in its files; none: a list is missing, as for versions from before there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesDifference>,
}

/// One permission in both versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PermissionLine {
    /// Its name.
    pub permission: Permission,
    /// Whether it is new.
    pub change: Change,
    /// Its grade, where the catalogue names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grade: Option<Grade>,
    /// What kind of thing it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surface: Option<Surface>,
    /// What it does.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// How the request stands.
    pub standing: Standing,
    /// True when it is revoked for this app, whatever is approved.
    pub revoked: bool,
    /// True when it is asked for and those who approved withheld it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub withheld: bool,
}

/// Whether something is in one version or in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The version before did not ask for it.
    Added,
    /// Both ask for it.
    Kept,
    /// Only the version before asked for it.
    Removed,
}

/// The highest version below `number` that passed its review.
pub fn previous<'a>(app: &'a App, number: &Number) -> Option<&'a Version> {
    let below = app.versions.range(..number.clone());
    below
        .map(|(_, version)| &**version)
        .rev()
        .find(|version| version.life.has_passed())
}

/// What a reviewer of `version` is shown. `files` are the lists of this version and of the one before,
/// where both could be read; for the first version the list before is empty.
pub fn difference(
    catalogue: &Catalogue,
    app: &App,
    version: &Version,
    files: Option<(&FileList, &FileList)>,
) -> Difference {
    let before = previous(app, &version.number);
    let permissions = permissions(catalogue, app, version, before);
    let blocked = |line: &PermissionLine| {
        line.change != Change::Removed && !line.withheld && !line.standing.stands()
    };
    let Dossier {
        filing,
        submitted_by,
        approvals,
        reach,
        ..
    } = version.dossier.open();
    Difference {
        app: app.id.clone(),
        version: version.number.clone(),
        bundle: version.bundle.sha256,
        life: version.life.clone(),
        previous: before.map(|before| before.number.clone()),
        submitted_by,
        filing,
        notes: version.notes.clone(),
        reach,
        approvals,
        approvals_needed: catalogue.trust.policy.approvals,
        grade: catalogue.trust.grade_of(app.id.tenant()),
        may_be_approved: version.life.is_under_review() && !permissions.iter().any(blocked),
        permissions,
        files: files.map(|(now, before)| now.since(before)),
    }
}

fn permissions(
    catalogue: &Catalogue,
    app: &App,
    version: &Version,
    before: Option<&Version>,
) -> Vec<PermissionLine> {
    let now: BTreeSet<&Permission> = version.permissions.iter().collect();
    // What the version before asked for and was not granted is as new as if it had not.
    let old: BTreeSet<&Permission> = before.iter().flat_map(|old| old.granted()).collect();
    let known = &catalogue.trust.permissions;
    let withheld = version.dossier.withheld();
    let line = |permission: &&Permission| {
        let graded = known.permissions.get(*permission);
        PermissionLine {
            permission: Permission::clone(permission),
            change: match (old.contains(permission), now.contains(permission)) {
                (false, _) => Change::Added,
                (true, true) => Change::Kept,
                (true, false) => Change::Removed,
            },
            grade: graded.map(|graded| graded.grade),
            surface: graded.map(|graded| graded.surface),
            title: graded
                .map(|graded| graded.title.clone())
                .unwrap_or_default(),
            standing: catalogue.trust.standing(app, permission),
            revoked: app.trust.revoked.contains_key(*permission),
            withheld: withheld.contains(*permission),
        }
    };
    now.union(&old).map(line).collect()
}
