//! What does a poll cost beside bare hyper? `cargo bench --bench poll`
//!
//! Two servers in one process on one listener code: the device plane with a rollout of 20 rules, and a
//! hyper service that sends the same bytes with the same headers and thinks nothing. Rounds alternate,
//! and only the ratio of the two rates of one round is looked at, so that other load on the machine
//! touches both. Fails when a poll runs at less than 0.6 of bare hyper.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and stops at the first surprise"
)]

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use ed25519_dalek::SigningKey;
use http::Response;
use huidu::{
    device::{Bounds, DevicePlane, Origin, Readiness, Rhythm},
    http::{
        body::Body,
        serve::{self, Answers, Limits, Plane, Stop, Stopper},
    },
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
use hyper::service::service_fn;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const CONNECTIONS: usize = 32;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(1_000);
const DEVICES: usize = 64;
const LOWEST: f64 = 0.6;

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
            signs: true,
            revision,
            asof,
            store: true,
            bus: true,
            from_store: true,
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
            dossier: Default::default(),
        };
        app.versions.insert(version.number.clone(), version.into());
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
    let live_app = LiveApp::new(compiled, &Arc::new(stamper), &metrics).knowing(&Arc::new(app()));
    let live = Live::empty().with_apps(Revision::new(1), [Arc::new(live_app)]);
    Arc::new(Fixed {
        live: ArcSwap::from_pointee(live),
        bundles: Bundles::new(Arc::new(MemoryStore::new()), 0, Arc::clone(&metrics)),
        counters: Counters::new(Arc::clone(&metrics)),
        metrics,
    })
}

/// A server on a thread of its own, stopped when dropped.
struct Server(
    SocketAddr,
    #[expect(dead_code, reason = "stops the server when dropped")] Stopper,
);

fn start<S: Answers>(service: impl Fn(usize) -> S) -> Server {
    let listeners = serve::listen_shared(([127, 0, 0, 1], 0).into(), 1).unwrap();
    let addr = listeners[0].local_addr().unwrap();
    let (stopper, stop) = Stop::pair();
    let plane = Plane::new(Limits::default(), ());
    serve::spawn_per_core(listeners, service, &plane, &stop).unwrap();
    Server(addr, stopper)
}

/// A service that sends what `sample` holds, whatever is asked.
fn bare(sample: &Response<Bytes>) -> Server {
    let (head, body) = (sample.headers().clone(), sample.body().clone());
    start(move |_core| {
        let (head, body) = (head.clone(), body.clone());
        service_fn(move |_request| {
            let mut reply = Response::new(Body::from(body.clone()));
            *reply.headers_mut() = head.clone();
            std::future::ready(Ok::<_, Infallible>(reply))
        })
    })
}

fn request(device: usize) -> Bytes {
    format!(
        "GET /v1/manifest/retail-bank/pingan/travel?u=device-{device:08}&p=android&r=CN-31&hv=8.2.1&ov=14&v=2.3.0\
         HTTP/1.1\r\nhost: m.bank.test\r\naccept: */*\r\nuser-agent: bank/8.2.1\r\n\r\n"
    )
    .replace("2.3.0HTTP", "2.3.0 HTTP")
    .into()
}

async fn connect(addr: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(addr).await.unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// One exchange, read to the end that `content-length` tells.
async fn exchange(socket: &mut TcpStream, request: &[u8]) -> Vec<u8> {
    socket.write_all(request).await.unwrap();
    let mut reply = Vec::new();
    loop {
        assert!(
            socket.read_buf(&mut reply).await.unwrap() > 0,
            "the reply breaks off"
        );
        let text = String::from_utf8_lossy(&reply);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        assert!(head.starts_with("HTTP/1.1 200 "), "{text}");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if length.unwrap().parse() == Ok(body.len()) {
            return reply;
        }
    }
}

/// The headers that the service itself set, and the body.
fn parsed(reply: &[u8]) -> Response<Bytes> {
    let text = String::from_utf8(reply.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut response = Response::new(Bytes::from(body.to_owned()));
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(": ").unwrap();
        if name != "date" && name != "content-length" {
            let name: http::HeaderName = name.parse().unwrap();
            response.headers_mut().insert(name, value.parse().unwrap());
        }
    }
    response
}

/// Requests per second over all connections for one round. Every reply has `reply_bytes` bytes.
async fn rate(addr: SocketAddr, requests: &Arc<Vec<Bytes>>, reply_bytes: usize) -> f64 {
    let begun = Instant::now();
    let tasks = (0..CONNECTIONS).map(|connection| {
        let requests = Arc::clone(requests);
        tokio::spawn(async move {
            let mut socket = connect(addr).await;
            let mut reply = vec![0; reply_bytes];
            let mut count = 0_usize;
            while begun.elapsed() < ROUND {
                for step in 0..8 {
                    let request = &requests[(connection + count + step) % requests.len()];
                    socket.write_all(request).await.unwrap();
                    socket.read_exact(&mut reply).await.unwrap();
                }
                count += 8;
            }
            count
        })
    });
    let mut count = 0;
    for task in tasks.collect::<Vec<_>>() {
        count += task.await.unwrap();
    }
    count as f64 / begun.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn run() -> f64 {
    let origin = origin();
    let poll = start(|_core| DevicePlane::new(Arc::clone(&origin), Bounds::default()));
    let mut socket = connect(poll.0).await;
    let first = exchange(&mut socket, &request(0)).await;
    let bare = bare(&parsed(&first));
    let same = exchange(&mut connect(bare.0).await, &request(0)).await;
    assert_eq!(same.len(), first.len(), "both send the same");
    // Devices that a rule takes get other bytes; the others all get these.
    let mut requests = Vec::new();
    for device in 0.. {
        let request = request(device);
        if exchange(&mut socket, &request).await.len() == first.len() {
            requests.push(request);
        }
        if requests.len() == DEVICES {
            break;
        }
    }
    let requests = Arc::new(requests);
    let (mut polls, mut bares, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let of_poll = rate(poll.0, &requests, first.len()).await;
        let of_bare = rate(bare.0, &requests, first.len()).await;
        // The first round warms up.
        if round > 0 {
            println!(
                "round {round}: poll {of_poll:.0}/s, bare hyper {of_bare:.0}/s, ratio {:.3}",
                of_poll / of_bare
            );
            polls.push(of_poll);
            bares.push(of_bare);
            ratios.push(of_poll / of_bare);
        }
    }
    let ratio = median(ratios);
    println!(
        "poll {:.0}/s · bare hyper {:.0}/s · ratio {ratio:.3} (medians of {ROUNDS} rounds, {CONNECTIONS} connections, one core each for server and loader)",
        median(polls),
        median(bares),
    );
    ratio
}

fn main() {
    let loader = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ratio = loader.block_on(run());
    assert!(
        ratio >= LOWEST,
        "a poll runs at {ratio:.3} of bare hyper; at least {LOWEST} is promised"
    );
}
