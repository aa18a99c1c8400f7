//! What do stamps add to polls? `cargo bench -p huidu --bench stamps`
//!
//! The real device plane answers polls of 1 000 apps, 5 000 answers in all, every one of them asked for. A round
//! without stamps polls and signs nothing. Then all 5 000 are renewed, and a round with stamps is as many polls
//! and the part of that renewal which comes due while they last, on a core that does nothing else: all of it
//! twice in a lease of ten minutes. What counts is the median of the rounds' ratios in time on the core, which
//! the kernel tells to the nanosecond. Nothing of sockets is in it, so a poll costs less here than it ever
//! does, and stamps weigh more. Fails above 1.03.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and stops at the first surprise"
)]

use std::{fmt::Write as _, fs, hint::black_box, sync::Arc};

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use ed25519_dalek::SigningKey;
use http::Request;
use http_body_util::Empty;
use huidu::{
    device::{Answering, Bounds, DevicePlane, Origin, Readiness, Rhythm},
    metrics::Metrics,
    node::{
        bundles::Bundles,
        counters::Counters,
        live::{Live, LiveApp, Stamper, refresh},
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

const APPS: usize = 1_000;
const ANSWERS: usize = 5_000;
const LEASE_MS: u32 = 600_000;
const HALF_LEASE_S: f64 = 300.0;
const POLLS: usize = 300_000;
const ROUNDS: usize = 9;
const MOST: f64 = 1.03;

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
        Readiness {
            revision: Revision::new(1),
            asof: Timestamp::EPOCH,
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

/// An app of five answers: nothing, stopped, the stable version, and two that rules give.
fn app(n: usize) -> App {
    let mut app = App::new(format!("pingan/app-{n:04}").parse().unwrap(), "App".into());
    for number in ["1.0.0", "1.1.0"] {
        let version = Version {
            number: number.parse().unwrap(),
            bundle: Bundle {
                sha256: Digest::of(format!("{n} {number}").as_bytes()),
                bytes: 364_000,
                format: BundleFormat::Zip,
                files: 120,
                unpacked_bytes: 1_200_000,
            },
            permissions: Vec::new(),
            notes: String::new(),
            life: Life::Listed,
            submitted_at: Timestamp::EPOCH,
            dossier: Default::default(),
        };
        app.versions.insert(version.number.clone(), version.into());
    }
    let mut rollout =
        format!("app = \"pingan/app-{n:04}\"\nhosts = [\"bank\"]\nstable = \"1.0.0\"\n");
    for rule in ["beta", "ramp"] {
        write!(
            rollout,
            "[[rule]]\nname = \"{rule}\"\nwhen = {{ tag = \"{rule}\" }}\nserve = \"1.1.0\"\n"
        )
        .unwrap();
    }
    app.rollout = Some(toml::from_str(&rollout).unwrap());
    app
}

fn origin(stamper: &Arc<Stamper>) -> Arc<Fixed> {
    let metrics = Arc::new(Metrics::new());
    let context = Context {
        audience: "bank/prod".into(),
        poll_after_ms: 600_000,
        poll_spread_ms: 60_000,
        keyring: None,
    };
    let apps = (0..APPS).map(|n| {
        let app = Arc::new(app(n));
        let compiled = compile(&app, &context, &no_segments);
        Arc::new(LiveApp::new(compiled, stamper, &metrics).knowing(&app))
    });
    let live = Live::empty().with_apps(Revision::new(1), apps);
    assert_eq!(live.answer_count(), ANSWERS);
    Arc::new(Fixed {
        live: ArcSwap::from_pointee(live),
        bundles: Bundles::new(Arc::new(MemoryStore::new()), 0, Arc::clone(&metrics)),
        counters: Counters::new(Arc::clone(&metrics)),
        metrics,
    })
}

/// Seconds that this thread was on a core.
fn on_core() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn requests() -> Vec<Request<Empty<Bytes>>> {
    let target = |n: usize, tag: &str| {
        let app = n % APPS;
        format!(
            "/v1/manifest/bank/pingan/app-{app:04}?u=device-{n:06}&p=android&r=CN-31&v=1.0.0{tag}"
        )
    };
    (0..4_096)
        .map(|n| target(n, ["", "&t=beta", "&t=ramp"][n % 3]))
        .map(|target| Request::get(target).body(Empty::new()).unwrap())
        .collect()
}

/// Seconds on the core for a round of polls.
fn round(plane: &DevicePlane<Fixed>, requests: &[Request<Empty<Bytes>>]) -> f64 {
    let begun = on_core();
    for n in 0..POLLS {
        let reply = plane.answer(requests[n % requests.len()].clone());
        assert!(matches!(black_box(&reply), Answering::Now(Some(_))));
    }
    on_core() - begun
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let stamper = Arc::new(Stamper::new(SigningKey::from_bytes(&[7; 32]), LEASE_MS));
    stamper.address("bank/prod");
    let mut asof = 1_800_000_000_000_u64;
    stamper.prove(Timestamp::from_unix_ms(asof));
    let origin = origin(&stamper);
    let live = origin.live.load_full();
    let plane = DevicePlane::new(Arc::clone(&origin), Bounds::default());
    let requests = requests();
    let ask_for_all = || {
        let answers = live.apps().flat_map(|app| app.answers.iter());
        answers.for_each(|answer| drop(black_box(answer.head())));
    };
    ask_for_all();
    round(&plane, &requests);
    let (mut ratios, mut each) = (Vec::new(), Vec::new());
    for n in 1..=ROUNDS {
        let alone = round(&plane, &requests);
        // All of them once, and of that the part that comes due while a round lasts.
        asof += 1_000;
        stamper.prove(Timestamp::from_unix_ms(asof));
        ask_for_all();
        let begun = on_core();
        assert_eq!(refresh(&live), ANSWERS);
        let all = on_core() - begun;
        let beside = round(&plane, &requests) + all * alone / HALF_LEASE_S;
        println!(
            "round {n}: a poll {:.0} ns, with stamps {:.0} ns; a stamp {:.1} µs",
            alone / POLLS as f64 * 1e9,
            beside / POLLS as f64 * 1e9,
            all / ANSWERS as f64 * 1e6
        );
        ratios.push(beside / alone);
        each.push(all);
    }
    let (ratio, all) = (median(ratios), median(each));
    println!(
        "{ANSWERS} answers stamped twice in {} s add {:.2} % of a core; polls with stamps cost {ratio:.4} of polls without, at most {MOST}",
        LEASE_MS / 1_000,
        all / HALF_LEASE_S * 100.0
    );
    assert!(ratio <= MOST, "stamps cost too much: {ratio:.4}");
}
