//! `Manifest`: the bytes a device is told an outcome with, and the list of what must not run.
//!
//! A body is made once per outcome and revision and never changes: two nodes at one revision make the
//! same bytes, so `ETag`s agree behind any balancer. Freshness travels beside it, in the stamp, never in it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use crate::policy::OnStale;
use crate::{
    binding::Binding,
    catalogue::Catalogue,
    digest::Digest,
    name::{AppId, ArmName, ParamName, Permission, RuleName},
    revision::Revision,
    rollout::Param,
    time::Timestamp,
    version::{Bundle, BundleFormat, Life, Number},
};

/// What a device does with an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Run the version named.
    Run,
    /// There is nothing to offer; what the device has may go on.
    None,
    /// Stop.
    Killed,
}

/// Why a device is told what it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A rule took it.
    Rule,
    /// No rule took it.
    Stable,
    /// Its unit is pinned.
    Pinned,
    /// An update on the way may not be skipped.
    Floor,
    /// It tries a version under review.
    Trial,
    /// Nothing can be served to it.
    None,
    /// The app, or what it runs, is killed.
    Killed,
}

impl Reason {
    /// The word in manifests, metrics and explanations.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Stable => "stable",
            Self::Pinned => "pinned",
            Self::Floor => "floor",
            Self::Trial => "trial",
            Self::None => "none",
            Self::Killed => "killed",
        }
    }
}

/// The archive of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleRef {
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Length in bytes.
    pub len: u64,
    /// How it is packed.
    pub format: BundleFormat,
    /// Where it is, relative to the device plane.
    pub url: String,
}

impl BundleRef {
    /// How a device finds `bundle`.
    pub fn of(bundle: &Bundle) -> Self {
        Self {
            sha256: bundle.sha256,
            len: bundle.bytes,
            format: bundle.format,
            url: format!("/v1/bundles/sha256/{}", bundle.sha256),
        }
    }
}

/// What a device is told about one app. Unknown keys are ignored by readers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of this document: 1.
    pub v: u32,
    /// The installation it speaks for, `bank/environment`.
    pub aud: String,
    /// The app.
    pub app: AppId,
    /// The app's revision it is true at.
    pub rev: Revision,
    /// What to do.
    pub state: State,
    /// The version to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Number>,
    /// Its archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<BundleRef>,
    /// The host APIs and pages it may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<Permission>,
    /// Those it was approved with and may not use any more, whatever a signed release says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<Permission>,
    /// The rule that took the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleName>,
    /// The arm of its split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<ArmName>,
    /// Of a cohort that is counted by steps, or an arm of an experiment: since when. A device that runs the version already says anew that it does
    /// (`activated`), once for each such time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Handed to the mini-program.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<ParamName, Param>,
    /// Apply at once, also while the mini-program is open.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force: bool,
    /// Why.
    pub reason: Reason,
    /// Ask again after this, and a part of the spread that the device takes by its own hash.
    pub poll_after_ms: u64,
    /// See `poll_after_ms`.
    pub poll_spread_ms: u64,
    /// What to do when nobody can be asked.
    pub on_stale: OnStale,
    /// The signed papers it rests on, and whom it is for.
    #[serde(flatten)]
    pub binding: Binding,
}

/// The version of manifests and kill lists.
pub const FORM: u32 = 1;

impl Manifest {
    /// The body as it is sent and signed.
    pub fn to_bytes(&self) -> Bytes {
        encoded(self)
    }
}

/// The `ETag` of a body: the first 32 hexadecimal digits of its SHA-256, quoted.
pub fn etag(digest: &Digest) -> Box<str> {
    format!("\"{}\"", &digest.to_hex()[..32]).into()
}

fn encoded(value: &impl Serialize) -> Bytes {
    // Serialising to memory fails only for maps whose keys are no text; there is none here.
    Bytes::from(serde_json::to_vec(value).unwrap_or_else(|error| unreachable!("{error}")))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Everything that must not run, in one short document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillList {
    /// The form of this document: 1.
    pub v: u32,
    /// The installation it speaks for.
    pub aud: String,
    /// The catalogue's revision it is true at.
    pub rev: Revision,
    /// The newest keyring: whoever knows an older one walks there before believing the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyring: Option<u64>,
    /// What must not run, by app and version.
    pub kills: Vec<Kill>,
    /// What must not be used, by app.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<RevokedPermission>,
}

/// A permission that no version of an app has any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedPermission {
    /// The app.
    pub app: AppId,
    /// The permission.
    pub permission: Permission,
    /// Why, in the words of whoever did it.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// One thing that must not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kill {
    /// The app.
    pub app: AppId,
    /// The version; none: every version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Number>,
    /// The version's archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// Why, in the words of whoever did it.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

impl KillList {
    /// What `catalogue` says must not run.
    pub fn of(catalogue: &Catalogue) -> Self {
        let (mut kills, mut permissions) = (Vec::new(), Vec::new());
        for app in catalogue.apps.values() {
            for (permission, revoked) in &app.trust.revoked {
                permissions.push(RevokedPermission {
                    app: app.id.clone(),
                    permission: permission.clone(),
                    reason: revoked.reason.clone(),
                    since: revoked.at,
                });
            }
            if let Some(kill) = &app.killed {
                kills.push(Kill {
                    app: app.id.clone(),
                    version: None,
                    sha256: None,
                    reason: kill.reason.clone(),
                    since: kill.at,
                });
            }
            for version in app.versions.values() {
                if let Life::Delisted {
                    reason,
                    killed: true,
                    at,
                    ..
                } = &version.life
                {
                    kills.push(Kill {
                        app: app.id.clone(),
                        version: Some(version.number.clone()),
                        sha256: Some(version.bundle.sha256),
                        reason: reason.clone(),
                        since: *at,
                    });
                }
            }
        }
        Self {
            v: FORM,
            aud: catalogue.audience.clone(),
            rev: catalogue.revision,
            keyring: catalogue.trust.chain.version(),
            kills,
            permissions,
        }
    }

    /// The digest of what it says, whatever its revision, and whenever each began: a kill begins again when the
    /// ledger has it.
    pub fn says(&self) -> Digest {
        // Serialising to memory fails only for maps whose keys are no text; there is none here.
        Digest::of(&serde_json::to_vec(&self.said()).unwrap_or_default())
    }

    /// True when `other` says the same.
    pub fn says_what(&self, other: &Self) -> bool {
        self.said() == other.said()
    }

    #[expect(clippy::type_complexity, reason = "named nowhere else")]
    fn said(
        &self,
    ) -> (
        &str,
        Vec<(&AppId, Option<&Number>, Option<&Digest>, &str)>,
        Vec<(&AppId, &Permission, &str)>,
    ) {
        let kills = self.kills.iter();
        let kills = kills.map(|one| {
            let (version, sha256) = (one.version.as_ref(), one.sha256.as_ref());
            (&one.app, version, sha256, one.reason.as_str())
        });
        let permissions = self.permissions.iter();
        let permissions = permissions.map(|one| (&one.app, &one.permission, one.reason.as_str()));
        (&self.aud, kills.collect(), permissions.collect())
    }

    /// The same list, true at `revision` too: for a revision that touched no kill.
    #[must_use]
    pub fn at(mut self, revision: Revision) -> Self {
        self.rev = revision;
        self
    }

    /// The body as it is sent and signed.
    pub fn to_bytes(&self) -> Bytes {
        encoded(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::{App, AppKill},
        trust::AppTrust,
        version::{Permissions, Version},
    };

    fn sha() -> Digest {
        Digest::of(b"abc")
    }

    fn manifest() -> Manifest {
        Manifest {
            v: FORM,
            aud: "bank/prod".into(),
            app: "pingan/travel".parse().unwrap(),
            rev: Revision::new(42),
            state: State::Run,
            version: Some(Number::new(2, 4, 0)),
            bundle: Some(BundleRef::of(&Bundle {
                sha256: sha(),
                bytes: 1_048_576,
                format: BundleFormat::TarGz,
                files: 3,
                unpacked_bytes: 9,
            })),
            permissions: vec!["location.coarse".parse().unwrap()],
            revoked: vec![],
            rule: Some("checkout-ab".parse().unwrap()),
            arm: Some("one-page".parse().unwrap()),
            since: None,
            params: BTreeMap::from([
                ("skin".parse().unwrap(), Param::Text("b".into())),
                ("steps".parse().unwrap(), Param::Number(1)),
                ("trial".parse().unwrap(), Param::Flag(true)),
            ]),
            force: true,
            reason: Reason::Rule,
            poll_after_ms: 300_000,
            poll_spread_ms: 60_000,
            on_stale: OnStale::Run,
            binding: Binding::default(),
        }
    }

    #[test]
    fn the_bytes_of_a_manifest_are_these() {
        let body = manifest().to_bytes();
        let expected = concat!(
            r#"{"v":1,"aud":"bank/prod","app":"pingan/travel","rev":42,"state":"run","version":"2.4.0","#,
            r#""bundle":{"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","#,
            r#""len":1048576,"format":"tar-gz","#,
            r#""url":"/v1/bundles/sha256/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},"#,
            r#""permissions":["location.coarse"],"rule":"checkout-ab","arm":"one-page","#,
            r#""params":{"skin":"b","steps":1,"trial":true},"force":true,"reason":"rule","#,
            r#""poll_after_ms":300000,"poll_spread_ms":60000,"on_stale":"run"}"#,
        );
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
        assert_eq!(
            serde_json::from_slice::<Manifest>(&body).unwrap(),
            manifest()
        );
        assert_eq!(&*etag(&sha()), "\"ba7816bf8f01cfea414140de5dae2223\"");
    }

    #[test]
    fn what_is_absent_is_left_out() {
        let nothing = Manifest {
            state: State::None,
            version: None,
            bundle: None,
            permissions: vec![],
            rule: None,
            arm: None,
            params: BTreeMap::new(),
            force: false,
            reason: Reason::None,
            ..manifest()
        };
        let expected = r#"{"v":1,"aud":"bank/prod","app":"pingan/travel","rev":42,"state":"none","reason":"none","poll_after_ms":300000,"poll_spread_ms":60000,"on_stale":"run"}"#;
        assert_eq!(nothing.to_bytes(), expected);
    }

    #[test]
    fn a_revoked_permission_is_in_the_manifest_and_in_the_kill_list() {
        let revoked = Manifest {
            permissions: vec![],
            revoked: vec!["location.coarse".parse().unwrap()],
            ..manifest()
        };
        let text = String::from_utf8(revoked.to_bytes().to_vec()).unwrap();
        assert!(
            text.contains(r#"},"revoked":["location.coarse"],"rule""#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), revoked);

        let mut app = App::new("a/one".parse().unwrap(), String::new());
        let kill = AppKill {
            reason: "leaks".into(),
            at: Timestamp::from_unix_ms(1_767_225_600_000),
        };
        app.trust.revoked.insert("camera".parse().unwrap(), kill);
        let catalogue = Catalogue {
            revision: Revision::new(7),
            audience: "bank/prod".into(),
            apps: BTreeMap::from([(app.id.clone(), app.into())]),
            ..Catalogue::default()
        };
        let list = KillList::of(&catalogue);
        let expected = concat!(
            r#"{"v":1,"aud":"bank/prod","rev":7,"kills":[],"permissions":[{"app":"a/one","#,
            r#""permission":"camera","reason":"leaks","since":"2026-01-01T00:00:00Z"}]}"#,
        );
        assert_eq!(list.to_bytes(), expected);
        assert_eq!(
            serde_json::from_slice::<KillList>(&list.to_bytes()).unwrap(),
            list
        );
    }

    #[test]
    fn the_kill_list_names_apps_and_versions() {
        let at = Timestamp::from_unix_ms(1_767_225_600_000);
        let version = |number: &str, life| {
            let number: Number = number.parse().unwrap();
            let bundle = Bundle {
                sha256: sha(),
                bytes: 1,
                format: BundleFormat::Zip,
                files: 1,
                unpacked_bytes: 1,
            };
            (
                number.clone(),
                Version {
                    number,
                    bundle,
                    permissions: Permissions::default(),
                    notes: String::new(),
                    life,
                    submitted_at: at,
                    dossier: Default::default(),
                },
            )
        };
        let app = |id: &str, versions: Vec<(Number, Version)>, killed| App {
            id: id.parse().unwrap(),
            title: String::new(),
            revision: Revision::new(3),
            versions: (versions.into_iter())
                .map(|(number, version)| (number, version.into()))
                .collect(),
            rollout: None,
            killed,
            ramps: BTreeMap::new(),
            experiments: BTreeMap::new(),
            trust: AppTrust::default(),
        };
        let gone = |killed| Life::Delisted {
            reason: "leaks".into(),
            killed,
            at,
            before: None,
        };
        let apps = [
            app(
                "a/one",
                vec![
                    version("1.0.0", gone(true)),
                    version("1.1.0", gone(false)),
                    version("1.2.0", Life::Listed),
                ],
                None,
            ),
            app(
                "a/two",
                vec![],
                Some(AppKill {
                    reason: "court order".into(),
                    at,
                }),
            ),
        ];
        let catalogue = Catalogue {
            revision: Revision::new(7),
            audience: "bank/prod".into(),
            apps: apps.map(|app| (app.id.clone(), app.into())).into(),
            ..Catalogue::default()
        };
        let list = KillList::of(&catalogue);
        let expected = concat!(
            r#"{"v":1,"aud":"bank/prod","rev":7,"kills":[{"app":"a/one","version":"1.0.0","#,
            r#""sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","#,
            r#""reason":"leaks","since":"2026-01-01T00:00:00Z"},"#,
            r#"{"app":"a/two","reason":"court order","since":"2026-01-01T00:00:00Z"}]}"#,
        );
        assert_eq!(list.to_bytes(), expected);
        assert_eq!(
            serde_json::from_slice::<KillList>(&list.to_bytes()).unwrap(),
            list
        );
        assert_eq!(list.at(Revision::new(9)).rev, Revision::new(9));
    }
}
