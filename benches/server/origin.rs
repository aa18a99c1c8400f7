//! What the measured device plane serves: apps with a rollout each, in place of a ledger.
//!
//! The clock, the counters, the stamps and their renewal are the real ones.

use std::{sync::Arc, thread, time::Duration};

use arc_swap::{ArcSwap, Guard};
use ed25519_dalek::SigningKey;
use huidu::{
    clock::{Clock as _, System},
    device::{Origin, Readiness, Rhythm},
    metrics::Metrics,
    node::{
        bundles::Bundles,
        counters::Counters,
        live::{self, Live, LiveApp, Served, Stamper},
    },
    store::memory::MemoryStore,
};
use huidu_core::{
    catalogue::{App, Catalogue},
    compile::{Context, compile, no_segments},
    digest::Digest,
    revision::Revision,
    time::Timestamp,
    version::{Bundle, BundleFormat, Life, Version},
};

/// A node that never changes.
pub(crate) struct Fixed {
    live: ArcSwap<Live>,
    stamper: Arc<Stamper>,
    bundles: Bundles,
    counters: Counters,
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
    fn counters(&self) -> &Counters {
        &self.counters
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
        }
    }
    fn rhythm(&self) -> Rhythm {
        Rhythm {
            after_ms: 600_000,
            spread_ms: 60_000,
        }
    }
}

impl Served for Fixed {
    fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }
    fn stamper(&self) -> Arc<Stamper> {
        Arc::clone(&self.stamper)
    }
}

impl Fixed {
    /// Serves `apps` apps with `rules` rules each; its stamps are renewed from a thread of its own.
    pub(crate) fn start(apps: usize, rules: usize) -> Arc<Self> {
        let metrics = Arc::new(Metrics::new());
        let stamper = Arc::new(Stamper::new(SigningKey::from_bytes(&[7; 32]), 60_000));
        stamper.address("bank/prod");
        stamper.prove(System.now());
        let context = Context {
            audience: "bank/prod".into(),
            poll_after_ms: 600_000,
            poll_spread_ms: 60_000,
            keyring: None,
        };
        let made = (0..apps).map(|n| {
            let app = app(&format!("t{}/app-{n}", n % 50), rules);
            let compiled = compile(&app, &context, &no_segments);
            Arc::new(LiveApp::new(compiled, &stamper, &metrics).knowing(&app))
        });
        let catalogue = Catalogue {
            audience: "bank/prod".into(),
            revision: Revision::new(1),
            ..Catalogue::default()
        };
        let served = Live::empty()
            .with_apps(Revision::new(1), made)
            .with_kills(&catalogue, &stamper, &metrics);
        let origin = Arc::new(Self {
            live: ArcSwap::from_pointee(served),
            stamper,
            bundles: Bundles::new(Arc::new(MemoryStore::new()), 0, Arc::clone(&metrics)),
            counters: Counters::new(Arc::clone(&metrics)),
            metrics,
        });
        let behind = Arc::clone(&origin);
        thread::spawn(move || behind.stay_fresh());
        origin
    }

    fn stay_fresh(self: Arc<Self>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let served: Arc<dyn Served> = Arc::clone(&self) as _;
        runtime.block_on(async {
            tokio::spawn(live::refresh_stamps(Arc::downgrade(&served)));
            loop {
                tokio::time::sleep(PROVES_EVERY).await;
                self.stamper.prove(System.now());
            }
        });
    }
}

/// How often a node proves that it knows everything.
const PROVES_EVERY: Duration = Duration::from_secs(1);

/// An app whose rules each ask for a platform and a version, and take one device in a thousand.
fn app(id: &str, rules: usize) -> App {
    let mut app = App::new(id.parse().unwrap(), "Travel".into());
    for number in ["2.3.1", "2.4.0"] {
        let version = Version {
            number: number.parse().unwrap(),
            bundle: Bundle {
                sha256: Digest::of(number.as_bytes()),
                bytes: 364_000,
                format: BundleFormat::Zip,
                files: 120,
                unpacked_bytes: 1_200_000,
            },
            permissions: Vec::new(),
            notes: String::new(),
            life: Life::Listed,
            submitted_at: Timestamp::EPOCH,
            dossier: Box::default(),
        };
        app.versions.insert(version.number.clone(), version);
    }
    let rules: String = (0..rules)
        .map(|n| {
            format!(
                "[[rule]]\nname = \"rule-{n}\"\nshare = \"0.1%\"\nserve = \"2.4.0\"\n\
                 when = {{ platform = [\"android\", \"harmony\"], host_version = \">=8.{} \" }}\n",
                n % 20
            )
        })
        .collect();
    let rollout = format!("app = \"{id}\"\nhosts = [\"retail-bank\"]\nstable = \"2.3.1\"\n{rules}");
    app.rollout = Some(toml::from_str(&rollout).unwrap());
    app
}
