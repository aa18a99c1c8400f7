//! Stamps, and what a snapshot shares with the one before.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use ed25519_dalek::SigningKey;
use huidu_core::{
    compile::{Context, compile, no_segments},
    key::{PublicKey, Signer, SignerError},
    manifest::{Manifest, Reason, State},
    rollout::Rollout,
    seal::{self, Stamp},
    version::{Bundle, BundleFormat, Life, Permissions, Version},
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
            permissions: Permissions::default(),
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

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(crate) fn stamper() -> Arc<Stamper> {
    let stamper = Stamper::new(key(), 60_000);
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

fn stamped(answer: &LiveAnswer, app: &str) -> Stamp {
    let value = answer.stamp_value();
    let scope = seal::scope("bank/prod", app);
    Stamp::verify(
        value.to_str().unwrap(),
        &key().verifying_key(),
        answer.body(),
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
    let stamp = stamped(answer, "pingan/travel");
    assert_eq!((stamp.asof.unix_ms(), stamp.lease_ms), (1_000_000, 60_000));
    assert_eq!(stamp.revision, Revision::new(3));

    stamper.prove(Timestamp::from_unix_ms(1_030_000));
    assert_eq!(refresh(&live), 1, "only the answer that was asked for");
    assert_eq!(refresh(&live), 0, "nobody asked since");
    assert_eq!(stamped(answer, "pingan/travel").asof.unix_ms(), 1_030_000);

    let inline = metrics.stamps.with_label_values(&["inline"]);
    assert_eq!(inline.get(), 1);
    stamper.prove(Timestamp::from_unix_ms(1_070_000));
    assert_eq!(
        stamped(answer, "pingan/travel").asof.unix_ms(),
        1_030_000,
        "young enough"
    );
    stamper.prove(Timestamp::from_unix_ms(1_080_000));
    assert_eq!(
        stamped(answer, "pingan/travel").asof.unix_ms(),
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
    stamped(live.kills().unwrap(), KILLS_SCOPE);
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
    let body: Manifest = serde_json::from_slice(app.answers[0].body()).unwrap();
    assert_eq!((body.state, body.reason), (State::None, Reason::None));
}

#[test]
fn an_answer_is_sent_with_its_own_headers_whole_or_not() {
    let (stamper, metrics) = (stamper(), Metrics::new());
    let app = live_app(&travel(), &stamper, &metrics);
    for answer in &app.answers {
        let head = answer.head();
        let head = head.as_ref().unwrap();
        assert_eq!(head.body, answer.body());
        for not_modified in [true, false] {
            let headers = head.headers(not_modified);
            assert_eq!(headers["etag"], answer.etag());
            assert_eq!(headers["huidu-stamp"], head.stamp);
            assert_eq!(headers["vary"], "Huidu-Device");
            assert_eq!(headers["cache-control"], "private, no-cache");
            assert_eq!(headers.contains_key("content-type"), !not_modified);
            assert_eq!(headers.len(), 5 - usize::from(not_modified));
        }
    }
}

#[test]
fn what_was_given_is_told_once_also_by_an_answer_that_goes_away() {
    let (stamper, metrics) = (stamper(), Metrics::new());
    let live = Live::empty().with_app(live_app(&travel(), &stamper, &metrics));
    let served = metrics.served_of("pingan/travel", "1.0.0", "", "");
    let stable = |live: &Live| {
        let app = Arc::clone(live.app("pingan/travel").unwrap());
        let device = Device::new("d");
        let told = app.resolve(
            "retail-bank",
            &device,
            &Installed::default(),
            Timestamp::EPOCH,
        );
        told.count();
        told.count_unchanged();
    };
    stable(&live);
    live.tell();
    live.tell();
    assert_eq!((served.get(), metrics.polls_not_modified.get()), (1, 1));
    stable(&live);
    drop(live);
    assert_eq!((served.get(), metrics.polls_not_modified.get()), (2, 2));
}

/// A key that is not in memory: it fails while it is told to, and whoever waits for it hangs until it is let go.
struct Elsewhere {
    fails: AtomicBool,
    signed: AtomicUsize,
    gate: Mutex<()>,
}

impl Signer for Elsewhere {
    fn public_key(&self) -> PublicKey {
        key().public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        let _open = self.gate.lock().unwrap();
        self.signed.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) {
            return Err(SignerError {
                key: self.public_key().id(),
                detail: "the card is gone".into(),
            });
        }
        Signer::sign(&key(), message)
    }
}

fn elsewhere() -> (Arc<Elsewhere>, Arc<Stamper>) {
    let signer = Arc::new(Elsewhere {
        fails: AtomicBool::new(false),
        signed: AtomicUsize::new(0),
        gate: Mutex::new(()),
    });
    let stamper = Stamper::new(Arc::<Elsewhere>::clone(&signer), 60_000);
    stamper.address("bank/prod");
    stamper.prove(Timestamp::from_unix_ms(1_000_000));
    (signer, Arc::new(stamper))
}

fn stable(live: &Live) -> &LiveAnswer {
    let app = live.app("pingan/travel").unwrap();
    let installed = Installed::default();
    app.resolve(
        "retail-bank",
        &Device::new("d"),
        &installed,
        Timestamp::EPOCH,
    )
}

/// While somebody holds the signer, polls are answered all the same: this test would hang if one waited for it.
#[test]
fn a_slow_signer_holds_up_no_poll() {
    let (signer, stamper) = elsewhere();
    let metrics = Metrics::new();
    let live = Live::empty().with_app(live_app(&travel(), &stamper, &metrics));
    let answer = stable(&live);
    let held = signer.gate.lock().unwrap();
    for _ in 0..3 {
        assert!(answer.head().is_none(), "not signed yet, and nobody waited");
    }
    drop(held);
    assert_eq!(signer.signed.load(Ordering::SeqCst), 0);
    assert!(
        refresh(&live) > 0,
        "signed behind the polls, asked for or not"
    );
    let stamp = stamped(answer, "pingan/travel");
    assert_eq!(stamp.asof.unix_ms(), 1_000_000);

    // Far beyond the age at which a key in memory would sign at once, the old stamp is given.
    stamper.prove(Timestamp::from_unix_ms(1_080_000));
    let held = signer.gate.lock().unwrap();
    assert_eq!(stamped(answer, "pingan/travel").asof.unix_ms(), 1_000_000);
    drop(held);
    assert_eq!(refresh(&live), 1);
    assert_eq!(stamped(answer, "pingan/travel").asof.unix_ms(), 1_080_000);
    assert_eq!(metrics.stamps.with_label_values(&["inline"]).get(), 0);
}

#[test]
fn a_signer_that_fails_leaves_the_old_stamps_and_is_asked_again() {
    let (signer, stamper) = elsewhere();
    let metrics = Metrics::new();
    let live = Live::empty().with_app(live_app(&travel(), &stamper, &metrics));
    let answer = stable(&live);
    refresh(&live);
    let failures = metrics.signer_failures.with_label_values(&["online"]);
    assert_eq!((failures.get(), stamper.is_failing()), (0, false));

    stamper.prove(Timestamp::from_unix_ms(1_080_000));
    signer.fails.store(true, Ordering::SeqCst);
    stamped(answer, "pingan/travel");
    assert_eq!(refresh(&live), 0);
    assert_eq!((failures.get(), stamper.is_failing()), (1, true));
    assert_eq!(
        stamped(answer, "pingan/travel").asof.unix_ms(),
        1_000_000,
        "the old one goes on"
    );
    assert!(answer.challenged(&[1; 32], &Digest::of(b"")).is_none());

    // Nobody needs to ask anew: it was wanted.
    signer.fails.store(false, Ordering::SeqCst);
    assert_eq!(refresh(&live), 1);
    assert!(!stamper.is_failing());
    assert_eq!(stamped(answer, "pingan/travel").asof.unix_ms(), 1_080_000);
}

/// The task wakes up for whoever waits, long before half a lease is over.
#[tokio::test(start_paused = true)]
async fn what_waits_for_a_signature_is_signed_soon() {
    struct Serves(Arc<Live>, Arc<Stamper>);
    impl Served for Serves {
        fn live(&self) -> Arc<Live> {
            Arc::clone(&self.0)
        }
        fn stamper(&self) -> Arc<Stamper> {
            Arc::clone(&self.1)
        }
    }
    let (signer, stamper) = elsewhere();
    let metrics = Metrics::new();
    let live = Arc::new(Live::empty().with_app(live_app(&travel(), &stamper, &metrics)));
    let served: Arc<dyn Served> = Arc::new(Serves(Arc::clone(&live), stamper));
    let task = tokio::spawn(refresh_stamps(Arc::downgrade(&served)));
    let begun = tokio::time::Instant::now();
    assert!(stable(&live).head().is_none());
    while stable(&live).head().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert!(signer.signed.load(Ordering::SeqCst) > 0);
    task.abort();
}
