//! What measured device planes serve: apps with a rollout each, in place of a ledger.
//!
//! The clock, the counters, the stamps and their renewal are the real ones.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use ed25519_dalek::SigningKey;
use huidu::{
    clock::{Clock as _, System},
    device::{Origin, Readiness, Rhythm},
    metrics::Metrics,
    node::{
        bundles::Bundles,
        feedback::Feedback,
        live::{Live, LiveApp, Stamper},
    },
    store::memory::MemoryStore,
};
use huidu_core::{
    catalogue::{App, Catalogue},
    compile::{Context, compile, no_segments},
    digest::Digest,
    revision::Revision,
    time::Timestamp,
    version::{Bundle, BundleFormat, Life, Permissions, Version},
};

/// Whom it all belongs to.
const AUDIENCE: &str = "bank/prod";

/// A node that never changes.
pub(crate) struct Fixed {
    pub(crate) live: ArcSwap<Live>,
    pub(crate) stamper: Arc<Stamper>,
    bundles: Bundles,
    pub(crate) feedback: Arc<Feedback>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Origin for Fixed {
    fn live(&self) -> Guard<Arc<Live>> {
        self.live.load()
    }
    fn now(&self) -> Timestamp {
        System.now()
    }
    fn bundles(&self) -> &Bundles {
        &self.bundles
    }
    fn feedback(&self) -> &Feedback {
        &self.feedback
    }
    fn metrics(&self) -> &Metrics {
        &self.metrics
    }
    fn readiness(&self) -> Readiness {
        Readiness {
            revision: Revision::new(1),
            asof: self.stamper.asof(),
            store: true,
            bus: true,
            from_store: true,
            signs: true,
            ready: true,
            why: Vec::new(),
        }
    }
    fn rhythm(&self) -> Rhythm {
        Rhythm {
            after_ms: 600_000,
            spread_ms: 60_000,
        }
    }
}

impl Fixed {
    /// Serves `apps`, stamped by `stamper`.
    pub(crate) fn new(apps: impl IntoIterator<Item = App>, stamper: Arc<Stamper>) -> Arc<Self> {
        let metrics = Arc::new(Metrics::new());
        let context = Context {
            audience: AUDIENCE.into(),
            poll_after_ms: 600_000,
            poll_spread_ms: 60_000,
            keyring: None,
        };
        let made = apps.into_iter().map(|app| {
            let app = Arc::new(app);
            let compiled = compile(&app, &context, &no_segments);
            Arc::new(LiveApp::new(compiled, &stamper, &metrics).knowing(&app))
        });
        let catalogue = Catalogue {
            audience: AUDIENCE.into(),
            revision: Revision::new(1),
            ..Catalogue::default()
        };
        let served = Live::empty()
            .with_apps(Revision::new(1), made)
            .with_kills(&catalogue, &stamper, &metrics);
        Arc::new(Self {
            live: ArcSwap::from_pointee(served),
            stamper,
            bundles: Bundles::new(Arc::new(MemoryStore::new()), 0, Arc::clone(&metrics)),
            feedback: Arc::new(Feedback::new(
                Arc::clone(&metrics),
                "01jz0000000000000000000001".parse().unwrap(),
            )),
            metrics,
        })
    }
}

/// A stamper that knows everything up to `now`.
pub(crate) fn stamper(lease_ms: u32, now: Timestamp) -> Arc<Stamper> {
    let stamper = Stamper::new(SigningKey::from_bytes(&[7; 32]), lease_ms);
    stamper.address(AUDIENCE);
    stamper.prove(now);
    Arc::new(stamper)
}

/// An app with two listed versions and `rules`, tables of TOML.
pub(crate) fn app(id: &str, rules: &str) -> App {
    let mut app = App::new(id.parse().unwrap(), "Travel".into());
    for number in ["2.3.1", "2.4.0"] {
        let version = Version {
            number: number.parse().unwrap(),
            bundle: Bundle {
                sha256: Digest::of(format!("{id} {number}").as_bytes()),
                bytes: 364_000,
                format: BundleFormat::Zip,
                files: 120,
                unpacked_bytes: 1_200_000,
            },
            permissions: Permissions::default(),
            notes: String::new(),
            life: Life::Listed,
            submitted_at: Timestamp::EPOCH,
            dossier: Default::default(),
        };
        app.versions.insert(version.number.clone(), version.into());
    }
    let rollout = format!("app = \"{id}\"\nhosts = [\"retail-bank\"]\nstable = \"2.3.1\"\n{rules}");
    app.rollout = Some(toml::from_str(&rollout).unwrap());
    app
}
