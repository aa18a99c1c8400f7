//! The catalogue of what a mini-program can be allowed: host APIs and pages, each with a grade.
//!
//! The bank writes it as one document; a tenant has a grade and may be allowed everything up to it, and
//! one app may be granted a single permission above it. Whether a request stands is computed here and
//! nowhere else. While no catalogue was ever put in place, nothing is graded and everything stands: that
//! is development. With a catalogue in place, what it does not name never stands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{limits, name::Permission};

/// How much harm an API or page can do in wrong hands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// None to speak of: storage of its own, the network through the host.
    #[default]
    Basic,
    /// It learns who somebody is, or where.
    Personal,
    /// It learns what somebody would not tell, or acts in their name.
    Sensitive,
    /// It moves money, or opens accounts.
    Critical,
}

impl Grade {
    /// All of them, rising.
    pub const ALL: [Self; 4] = [Self::Basic, Self::Personal, Self::Sensitive, Self::Critical];

    /// The grade's name as people write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Personal => "personal",
            Self::Sensitive => "sensitive",
            Self::Critical => "critical",
        }
    }
}

/// What kind of thing is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Surface {
    /// An API of the host.
    #[default]
    Api,
    /// A page of the host that a mini-program may open.
    Page,
}

/// One API or page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graded {
    /// Its grade.
    pub grade: Grade,
    /// What kind of thing it is.
    #[serde(default, skip_serializing_if = "is_api")]
    pub surface: Surface,
    /// What it does, as reviewers read it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_api(surface: &Surface) -> bool {
    matches!(surface, Surface::Api)
}

/// Every API and page of the bank's apps that a mini-program can be allowed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermissionCatalogue {
    /// By name.
    pub permissions: BTreeMap<Permission, Graded>,
}

/// Why a document is no catalogue of permissions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PermissionCatalogueError {
    /// It does not read.
    #[error("the catalogue of permissions does not read: {detail}")]
    Form {
        /// What is wrong, and where.
        detail: String,
    },
    /// Nothing is in it.
    #[error(
        "the catalogue of permissions is empty, and would let nothing stand; name the host's APIs under `[permissions]`"
    )]
    Empty,
    /// Too much is in it.
    #[error(
        "the catalogue of permissions names {count}, at most {}; drop what no host has",
        limits::CATALOGUE_PERMISSIONS
    )]
    Many {
        /// How many it names.
        count: usize,
    },
    /// A title that nobody would read.
    #[error(
        "the title of `{permission}` is over {} bytes; shorten it",
        limits::GRADED_TITLE_BYTES
    )]
    Title {
        /// Whose.
        permission: Permission,
    },
}

impl PermissionCatalogue {
    /// Reads the document that people write.
    pub fn from_toml(text: &str) -> Result<Self, PermissionCatalogueError> {
        let form = |error: toml::de::Error| PermissionCatalogueError::Form {
            detail: error.to_string(),
        };
        let read: Self = toml::from_str(text).map_err(form)?;
        read.check()?;
        Ok(read)
    }

    /// Holds it against the limits.
    pub fn check(&self) -> Result<(), PermissionCatalogueError> {
        match self.permissions.len() {
            0 => return Err(PermissionCatalogueError::Empty),
            count if count > limits::CATALOGUE_PERMISSIONS => {
                return Err(PermissionCatalogueError::Many { count });
            }
            _ => {}
        }
        let too_long =
            |(_, graded): &(&Permission, &Graded)| graded.title.len() > limits::GRADED_TITLE_BYTES;
        match self.permissions.iter().find(too_long) {
            Some((permission, _)) => Err(PermissionCatalogueError::Title {
                permission: permission.clone(),
            }),
            None => Ok(()),
        }
    }

    /// True while none was ever put in place.
    pub fn is_empty(&self) -> bool {
        self.permissions.is_empty()
    }

    /// How a request for `permission` stands for an app whose tenant has `grade`, and to which
    /// `permission` was `granted` by itself or not.
    pub fn standing(&self, permission: &Permission, grade: Grade, granted: bool) -> Standing {
        if self.is_empty() {
            return Standing::Ungraded;
        }
        match self.permissions.get(permission) {
            None => Standing::Unknown,
            Some(graded) if graded.grade <= grade => Standing::WithinGrade,
            Some(_) if granted => Standing::Granted,
            Some(_) => Standing::AboveGrade,
        }
    }
}

/// How a request for a permission stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Nothing is graded here.
    Ungraded,
    /// The tenant's grade includes it.
    WithinGrade,
    /// It is above the tenant's grade and was granted to this app.
    Granted,
    /// It is above the tenant's grade.
    AboveGrade,
    /// The catalogue does not name it.
    Unknown,
}

impl Standing {
    /// True when a version that asks for it may be approved.
    pub const fn stands(self) -> bool {
        matches!(self, Self::Ungraded | Self::WithinGrade | Self::Granted)
    }

    /// As an error tells it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ungraded => "ungraded",
            Self::WithinGrade => "within the tenant's grade",
            Self::Granted => "granted",
            Self::AboveGrade => "above the tenant's grade",
            Self::Unknown => "not in the catalogue of permissions",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"
[permissions]
storage = { grade = "basic" }
"location.precise" = { grade = "sensitive", title = "Where somebody is, to the metre" }
"transfer.confirm" = { grade = "critical", surface = "page" }
"#;

    #[test]
    fn a_request_stands_by_grade_or_by_grant_and_never_unnamed() {
        use Standing::{AboveGrade, Granted, Unknown, WithinGrade};
        let catalogue = PermissionCatalogue::from_toml(DOCUMENT).unwrap();
        for (permission, grade, granted, expected) in [
            ("storage", Grade::Basic, false, WithinGrade),
            ("location.precise", Grade::Basic, false, AboveGrade),
            ("location.precise", Grade::Personal, false, AboveGrade),
            ("location.precise", Grade::Personal, true, Granted),
            ("location.precise", Grade::Sensitive, false, WithinGrade),
            ("transfer.confirm", Grade::Sensitive, true, Granted),
            ("transfer.confirm", Grade::Critical, true, WithinGrade),
            ("camera", Grade::Critical, true, Unknown),
        ] {
            let permission = permission.parse().unwrap();
            let standing = catalogue.standing(&permission, grade, granted);
            assert_eq!(standing, expected, "{permission} {grade:?} {granted}");
            let nothing = PermissionCatalogue::default().standing(&permission, grade, granted);
            assert_eq!(nothing, Standing::Ungraded);
        }
    }

    #[test]
    fn a_document_says_what_is_wrong_with_it() {
        let long = format!(
            "[permissions]\na = {{ grade = \"basic\", title = \"{}\" }}",
            "x".repeat(201)
        );
        let many: String = (0..=limits::CATALOGUE_PERMISSIONS)
            .map(|n| format!("p{n} = {{ grade = \"basic\" }}\n"))
            .collect();
        for (text, says) in [
            ("", "missing field `permissions`"),
            ("[permissions]", "is empty"),
            (
                "[permissions]\na = { grade = \"high\" }",
                "unknown variant `high`",
            ),
            (
                "[permissions]\na = { grade = \"basic\", grde = 1 }",
                "unknown field `grde`",
            ),
            (
                "[permissions]\n\"A b\" = { grade = \"basic\" }",
                "`A b` is no permission name",
            ),
            (long.as_str(), "title of `a`"),
            (&format!("[permissions]\n{many}"), "at most 2000"),
        ] {
            let error = PermissionCatalogue::from_toml(text)
                .unwrap_err()
                .to_string();
            assert!(error.contains(says), "{says}: {error}");
        }
    }
}
