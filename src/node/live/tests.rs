//! Stamps, and what a snapshot shares with the one before.

use ed25519_dalek::SigningKey;
use huidu_core::{
    compile::{Context, compile, no_segments},
    manifest::{Manifest, Reason, State},
    rollout::Rollout,
    seal::{self, Stamp},
    version::{Bundle, BundleFormat, Life, Version},
};

use super::*;

/// An app with these listed versions; each bundle's bytes are `bundle of VERSION`.
pub(crate) fn app(id: &str, versions: &[&str], rollout: &str) -> App {
    let mut app = App::new(id.parse().unwrap(), "an app".into());
    app.revision = Revision::new(3);
    for number in versions {
        let bytes = format!("bundle of {number}");
        let version = Version {
            number: number.parse().unwrap(),
            bundle: Bundle {
                sha256: Digest::of(bytes.as_bytes()),
                bytes: bytes.len() as u64,
                format: BundleFormat::Zip,
                files: 1,
                unpacked_bytes: 1,
            },
            permissions: Vec::new(),
            notes: String::new(),
            life: Life::Listed,
            submitted_at: Timestamp::EPOCH,
            dossier: Default::default(),
        };
        app.versions.insert(version.number.clone(), version.into());
    }
    let rollout: Rollout = toml::from_str(&format!("app = \"{id}\"\n{rollout}")).unwrap();
    app.rollout = Some(rollout);
    app
}

pub(crate) fn stamper() -> Arc<Stamper> {
    let stamper = Stamper::new(SigningKey::from_bytes(&[7; 32]), 60_000);
    stamper.address("bank/prod");
    stamper.prove(Timestamp::from_unix_ms(1_000_000));
    Arc::new(stamper)
}

pub(crate) fn live_app(app: &App, stamper: &Arc<Stamper>, metrics: &Metrics) -> Arc<LiveApp> {
    let context = Context {
        audience: "bank/prod".into(),
        poll_after_ms: 600_000,
        poll_spread_ms: 60_000,
        keyring: None,
    };
    let compiled = compile(app, &context, &no_segments);
    Arc::new(LiveApp::new(compiled, stamper, metrics).knowing(&Arc::new(app.clone())))
}

const TRAVEL: &str = r#"
    hosts = ["retail-bank"]
    stable = "1.0.0"
    [[rule]]
    name = "beta"
    when = { tag = "beta" }
    serve = "1.1.0"
"#;

fn travel() -> App {
    app("pingan/travel", &["1.0.0", "1.1.0"], TRAVEL)
}

fn stamped(answer: &LiveAnswer, stamper: &Stamper, app: &str) -> Stamp {
    let value = answer.stamp_value();
    let scope = seal::scope("bank/prod", app);
    Stamp::verify(
        value.to_str().unwrap(),
        &stamper.public_key(),
        &answer.body,
        &scope,
    )
    .unwrap()
}

#[test]
fn a_stamp_tells_when_the_node_knew_everything_and_is_renewed_only_when_asked_for() {
    let (stamper, metrics) = (stamper(), Metrics::new());
    let live = Live::empty().with_app(live_app(&travel(), &stamper, &metrics));
    let app = live.app("pingan/travel").unwrap();
    let answer = app.resolve(
        "retail-bank",
        &Device::new("d"),
        &Installed::default(),
        Timestamp::EPOCH,
    );
    let stamp = stamped(answer, &stamper, "pingan/travel");
    assert_eq!((stamp.asof.unix_ms(), stamp.lease_ms), (1_000_000, 60_000));
    assert_eq!(stamp.revision, Revision::new(3));

    stamper.prove(Timestamp::from_unix_ms(1_030_000));
    assert_eq!(refresh(&live), 1, "only the answer that was asked for");
    assert_eq!(refresh(&live), 0, "nobody asked since");
    assert_eq!(
        stamped(answer, &stamper, "pingan/travel").asof.unix_ms(),
        1_030_000
    );

    let inline = metrics.stamps.with_label_values(&["inline"]);
    assert_eq!(inline.get(), 1);
    stamper.prove(Timestamp::from_unix_ms(1_070_000));
    assert_eq!(
        stamped(answer, &stamper, "pingan/travel").asof.unix_ms(),
        1_030_000,
        "young enough"
    );
    stamper.prove(Timestamp::from_unix_ms(1_080_000));
    assert_eq!(
        stamped(answer, &stamper, "pingan/travel").asof.unix_ms(),
        1_080_000,
        "signed at once"
    );
    assert_eq!(inline.get(), 2);
}

#[test]
fn the_list_of_kills_is_stamped_for_its_own_scope() {
    let (stamper, metrics) = (stamper(), Metrics::new());
    let catalogue = Catalogue {
        audience: "bank/prod".into(),
        ..Catalogue::default()
    };
    assert!(Live::empty().kills().is_none());
    let live = Live::empty().with_kills(&catalogue, &stamper, &metrics);
    stamped(live.kills().unwrap(), &stamper, KILLS_SCOPE);
}

#[test]
fn a_bundle_is_known_while_any_app_has_it() {
    let (stamper, metrics) = (stamper(), Metrics::new());
    let digest = |version: &str| Digest::of(format!("bundle of {version}").as_bytes());
    let other = app(
        "pingan/coffee",
        &["1.1.0"],
        "hosts = [\"retail-bank\"]\nstable = \"1.1.0\"",
    );
    let live = Live::empty()
        .with_app(live_app(&travel(), &stamper, &metrics))
        .with_app(live_app(&other, &stamper, &metrics));
    assert!(live.knows_bundle(&digest("1.0.0")) && live.knows_bundle(&digest("1.1.0")));
    let mut killed = travel();
    for version in killed.versions.values_mut() {
        Arc::make_mut(version).life = Life::Delisted {
            reason: "R".into(),
            killed: true,
            at: Timestamp::EPOCH,
            before: None,
        };
    }
    let live = live.with_app(live_app(&killed, &stamper, &metrics));
    assert!(
        !live.knows_bundle(&digest("1.0.0")),
        "no version has it any more"
    );
    assert!(live.knows_bundle(&digest("1.1.0")), "the other app has it");
    let count: usize = live.apps().map(|app| app.answers.len()).sum();
    assert_eq!((live.app_count(), live.answer_count()), (2, count));
}

#[test]
fn an_app_knows_what_reports_may_name() {
    let app = live_app(&travel(), &stamper(), &Metrics::new());
    assert!(app.has_version("1.0.0") && !app.has_version("9.0.0"));
    assert!(app.has_arm("beta", "") && !app.has_arm("beta", "b") && !app.has_arm("x", ""));
    let body: Manifest = serde_json::from_slice(&app.answers[0].body).unwrap();
    assert_eq!((body.state, body.reason), (State::None, Reason::None));
}
