//! Names people type: tenants, apps, hosts, rules, arms, layers, segments, tags, attributes.
//!
//! One grammar for all of them: 1 to 63 of `a-z 0-9 . _ -`, beginning with a letter or a digit, never
//! containing `..`. So a name is safe in a path, in a URL, in a metric label and in a log line, and
//! never has to be escaped. Titles and reasons are free text and are not names.

use std::{borrow::Borrow, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is no {kind} name; use 1 to {} of a-z 0-9 . _ - beginning with a letter or digit",
    limits::NAME_BYTES
)]
pub struct NameError {
    /// What kind of name was expected (`tenant`, `rule`, …).
    pub kind: &'static str,
    /// What was given, shortened.
    pub given: String,
}

/// True when `text` follows the grammar of names.
pub fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() > limits::NAME_BYTES || !bytes.first().is_some_and(u8::is_ascii_alphanumeric) {
        return false;
    }
    let mut before = 0;
    bytes.iter().all(|byte| {
        let fits = IN_NAMES[usize::from(*byte)] && (before, *byte) != (b'.', b'.');
        before = *byte;
        fits
    })
}

/// The bytes that names hold.
const IN_NAMES: [bool; 256] = {
    let mut fits = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        fits[byte] = matches!(byte as u8, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        byte += 1;
    }
    fits
};

fn shortened(text: &str) -> String {
    text.chars().take(limits::NAME_BYTES).collect()
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,62}$"))]
        pub struct $name(#[schemars(with = "String")] Box<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                if is_name(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(NameError { kind: $kind, given: shortened(text) })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    )*};
}

names! {
    /// A partner merchant.
    TenantId "tenant";
    /// A bank app that runs mini-programs.
    HostId "host";
    /// One rule of a rollout; names the release in the default salt.
    RuleName "rule";
    /// One arm of a split.
    ArmName "arm";
    /// A set of experiments that never share a unit.
    LayerName "layer";
    /// An uploaded list of units.
    SegmentName "segment";
    /// A tag a device carries.
    Tag "tag";
    /// The name of a free attribute.
    AttrName "attribute";
    /// A parameter handed to a mini-program.
    ParamName "parameter";
    /// A person who works with huidu.
    MemberId "member";
    /// A host API or page a version asks to be allowed.
    Permission "permission";
    /// An operating system a release is for.
    Platform "platform";
    /// What devices report and guards watch, such as `crashed`.
    Measure "measure";
    /// An A/B test of an app.
    ExperimentName "experiment";
}

/// A mini-program: `tenant/app`. There is no look-up by the bare second half, so one tenant can never
/// name another's app by accident.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,62}/[a-z0-9][a-z0-9._-]{0,62}$"))]
pub struct AppId(#[schemars(with = "String")] Box<str>);

/// Why a text is not an app.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not an app; write `tenant/app`, each half a name of a-z 0-9 . _ -")]
pub struct AppIdError {
    /// What was given, shortened.
    pub given: String,
}

impl AppId {
    /// The app `name` of `tenant`.
    pub fn new(tenant: &TenantId, name: &str) -> Result<Self, AppIdError> {
        format!("{tenant}/{name}").parse()
    }

    /// `tenant/app` as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tenant's name.
    pub fn tenant(&self) -> &str {
        self.0.split_once('/').map_or("", |(tenant, _)| tenant)
    }

    /// The name within the tenant.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

impl FromStr for AppId {
    type Err = AppIdError;

    fn from_str(text: &str) -> Result<Self, AppIdError> {
        match text.split_once('/') {
            Some((tenant, name)) if is_name(tenant) && is_name(name) => Ok(Self(text.into())),
            _ => Err(AppIdError {
                given: shortened(text),
            }),
        }
    }
}

impl TryFrom<String> for AppId {
    type Error = AppIdError;

    fn try_from(text: String) -> Result<Self, AppIdError> {
        text.parse()
    }
}

impl From<AppId> for String {
    fn from(app: AppId) -> Self {
        app.0.into()
    }
}

impl Borrow<str> for AppId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_safe_in_a_path_a_url_and_a_label() {
        for good in ["a", "pingan", "ramp-2.4", "0.x", &"a".repeat(63)] {
            assert!(good.parse::<RuleName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a..b",
            "-a",
            "A",
            "a/b",
            "a b",
            "é",
            "a:b",
            &"a".repeat(64),
        ] {
            assert!(bad.parse::<RuleName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_app_is_tenant_slash_name() {
        let app: AppId = "pingan/travel".parse().unwrap();
        assert_eq!((app.tenant(), app.name()), ("pingan", "travel"));
        for bad in ["", "travel", "/travel", "pingan/", "a/b/c", "a//b"] {
            assert!(bad.parse::<AppId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_says_what_was_given_and_what_to_write() {
        let error = "Loan App".parse::<HostId>().unwrap_err().to_string();
        insta::assert_snapshot!(error, @"`Loan App` is no host name; use 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit");
    }
}
