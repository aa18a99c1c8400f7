//! One device plane on all cores, by one runtime for each of them or by tokio's multi-thread runtime.
//!
//! `bench-cores per-core` and `bench-cores multi-thread` serve the same service, with the same limits, from
//! the same listener code, and print their port; `benches/bundles.py` asks both. They serve until they are
//! ended. Nothing of this is in the product: it serves per core.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and stops at the first surprise"
)]

use std::{env, sync::Arc, thread};

use arc_swap::{ArcSwap, Guard};
use ed25519_dalek::SigningKey;
use huidu::{
    device::{Bounds, Connections, DevicePlane, Origin, Readiness, Rhythm},
    http::serve::{self, Limits, Plane, Stop},
    metrics::Metrics,
    node::{
        bundles::Bundles,
        counters::Counters,
        live::{Live, LiveApp, Stamper},
    },
    store::memory::MemoryStore,
};
use huidu_core::{
    catalogue::App,
    compile::{Context, compile, no_segments},
    digest::Digest,
    revision::Revision,
    time::Timestamp,
    version::{Bundle, BundleFormat, Life, Version},
};

struct Fixed {
    live: ArcSwap<Live>,
    bundles: Bundles,
    counters: Counters,
    metrics: Arc<Metrics>,
}

impl Origin for Fixed {
    fn live(&self) -> Guard<Arc<Live>> {
        self.live.load()
    }
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000)
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
        let (revision, asof) = (Revision::new(1), Timestamp::EPOCH);
        Readiness {
            revision,
            asof,
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

/// An app with 20 rules that take nearly nobody.
fn app() -> App {
    let mut app = App::new("pingan/travel".parse().unwrap(), "Travel".into());
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
    let rules: String = (0..20)
        .map(|n| {
            format!(
                "[[rule]]\nname = \"rule-{n}\"\nshare = \"0.1%\"\nserve = \"2.4.0\"\n\
                 when = {{ platform = [\"android\", \"harmony\"], host_version = \">=8.{n}\" }}\n"
            )
        })
        .collect();
    let rollout =
        format!("app = \"pingan/travel\"\nhosts = [\"retail-bank\"]\nstable = \"2.3.1\"\n{rules}");
    app.rollout = Some(toml::from_str(&rollout).unwrap());
    app
}

fn origin() -> Arc<Fixed> {
    let metrics = Arc::new(Metrics::new());
    let stamper = Stamper::new(SigningKey::from_bytes(&[7; 32]), 60_000);
    stamper.address("bank/prod");
    let context = Context {
        audience: "bank/prod".into(),
        poll_after_ms: 600_000,
        poll_spread_ms: 60_000,
        keyring: None,
    };
    let compiled = compile(&app(), &context, &no_segments);
    let live_app = LiveApp::new(compiled, &Arc::new(stamper), &metrics).knowing(&app());
    let live = Live::empty().with_apps(Revision::new(1), [Arc::new(live_app)]);
    Arc::new(Fixed {
        live: ArcSwap::from_pointee(live),
        bundles: Bundles::new(Arc::new(MemoryStore::new()), 0, Arc::clone(&metrics)),
        counters: Counters::new(Arc::clone(&metrics)),
        metrics,
    })
}

fn main() {
    let mode = env::args().nth(1).unwrap_or_default();
    let cores = thread::available_parallelism().unwrap().get();
    let origin = origin();
    let plane = Plane::new(Limits::default(), Connections(Arc::clone(&origin.metrics)));
    let service = DevicePlane::new(origin, Bounds::default());
    let (_stopper, stop) = Stop::pair();
    let any = ([127, 0, 0, 1], 0).into();
    match mode.as_str() {
        "per-core" => {
            let listeners = serve::listen_shared(any, cores).unwrap();
            println!("{}", listeners[0].local_addr().unwrap().port());
            let workers = serve::spawn_per_core(listeners, |_| service.clone(), &plane, &stop);
            workers.unwrap().join().unwrap();
        }
        "multi-thread" => {
            let listener = serve::listen(any, false).unwrap();
            println!("{}", listener.local_addr().unwrap().port());
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(cores)
                .enable_all()
                .build()
                .unwrap();
            // On a worker, as whoever writes `tokio::main` and spawns has it.
            let serving = runtime.spawn(serve::serve(listener, service, plane, stop));
            runtime.block_on(serving).unwrap().unwrap();
        }
        other => panic!("`{other}`: say per-core or multi-thread"),
    }
}
