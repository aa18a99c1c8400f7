//! An app made of a few lines, for tests that ask what a device gets.

use std::{collections::BTreeMap, sync::Arc};

use huidu_core::{
    catalogue::{App, AppKill},
    compile::{CompiledApp, Context, compile},
    digest::Digest,
    name::SegmentName,
    predicate::Membership,
    revision::Revision,
    rollout::Rollout,
    segment::SegmentBuilder,
    time::Timestamp,
    trust::AppTrust,
    version::{Bundle, BundleFormat, Life, Number, Permissions, Version},
};

/// Segments by name.
pub(crate) type Segments = BTreeMap<String, Arc<dyn Membership>>;

/// The time at which tests ask unless they say another.
pub(crate) fn noon() -> Timestamp {
    "2026-11-23T00:00:00Z".parse().unwrap()
}

/// What every manifest of the tests states.
pub(crate) fn context() -> Context {
    Context {
        audience: "bank/test".into(),
        poll_after_ms: 300_000,
        poll_spread_ms: 60_000,
        keyring: None,
    }
}

/// A version with a bundle of its own.
pub(crate) fn version(number: &str, life: Life) -> (Number, Version) {
    let number: Number = number.parse().unwrap();
    let bundle = Bundle {
        sha256: Digest::of(number.to_string().as_bytes()),
        bytes: 1_000,
        format: BundleFormat::Zip,
        files: 1,
        unpacked_bytes: 2_000,
    };
    let version = Version {
        number: number.clone(),
        bundle,
        permissions: Permissions::default(),
        notes: String::new(),
        life,
        submitted_at: noon(),
        dossier: Default::default(),
    };
    (number, version)
}

/// An app with these listed versions and this rollout.
pub(crate) fn app(listed: &[&str], rollout: Option<Rollout>) -> App {
    App {
        id: rollout
            .as_ref()
            .map_or_else(|| "pingan/travel".parse().unwrap(), |r| r.app.clone()),
        title: "Travel".into(),
        revision: Revision::new(7),
        versions: listed
            .iter()
            .map(|number| version(number, Life::Listed))
            .map(|(number, version)| (number, version.into()))
            .collect(),
        rollout,
        killed: None,
        ramps: BTreeMap::new(),
        experiments: Default::default(),
        trust: AppTrust::default(),
    }
}

/// Delists a version of `app`, which it may not have had.
pub(crate) fn delist(app: &mut App, number: &str, killed: bool) {
    let reason = "broken".to_owned();
    let (number, version) = version(
        number,
        Life::Delisted {
            reason,
            killed,
            at: noon(),
            before: None,
        },
    );
    app.versions.insert(number, version.into());
}

/// Kills the whole app.
pub(crate) fn kill(app: &mut App) {
    app.killed = Some(AppKill {
        reason: "court order".into(),
        at: noon(),
    });
}

/// A segment of these units, as a node holds it.
pub(crate) fn segment(units: &[String]) -> Arc<dyn Membership> {
    let mut builder = SegmentBuilder::new();
    units.iter().for_each(|unit| builder.push(unit).unwrap());
    Arc::new(builder.finish().unwrap())
}

/// Compiles with `segments`.
pub(crate) fn compiled(app: &App, segments: &Segments) -> CompiledApp {
    compile(app, &context(), &|name: &SegmentName| {
        segments.get(name.as_str()).cloned()
    })
}

/// A rollout from TOML.
pub(crate) fn rollout(text: &str) -> Rollout {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
