//! The servers that `benches/run.py` and `benches/instructions.py` compare, each a process of its own.
//!
//! `bench-server huidu` is the real device plane on the real listeners, with limits, timers, metrics and
//! stamps on, over apps that are made here in place of a ledger. `bench-server bare` is hyper with the
//! same settings of the listener and of both protocols, which sends the bytes and headers of one poll's
//! reply without looking at the request; with `--apps`, those of polls of that many apps in turn. What is measured
//! is never changed for the measurement.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and stops at the first surprise"
)]

mod apps;
mod bare;
mod exchange;
mod origin;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use clap::{Parser, ValueEnum};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use huidu::{
    device::{Bounds, Connections, DevicePlane},
    http::serve::{self, Limits, Plane, Stop},
};

use self::origin::Fixed;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The device plane.
    Huidu,
    /// hyper, which thinks nothing.
    Bare,
}

/// A server to be measured; it prints the address it listens on and serves until it is killed.
#[derive(Debug, Parser)]
struct Arguments {
    kind: Kind,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Apps, named t0/app-0, t1/app-1, …
    #[arg(long, default_value_t = 1)]
    apps: usize,
    /// Rules in the rollout of each.
    #[arg(long, default_value_t = 20)]
    rules: usize,
    /// Threads that serve, each with a listener and a runtime of its own.
    #[arg(long, default_value_t = 1)]
    cores: usize,
    /// `bare` sends the 304 in place of the 200.
    #[arg(long)]
    not_modified: bool,
    /// `bare` reads bodies of events and says that they are taken.
    #[arg(long)]
    takes_events: bool,
    /// `huidu` tells its counts to other nodes over this Redis.
    #[arg(long)]
    redis: Option<String>,
}

fn main() {
    let arguments = Arguments::parse();
    let limits = Limits {
        connections: 20_000,
        ..Limits::default()
    };
    let listeners = serve::listen_shared(arguments.listen, arguments.cores).unwrap();
    let addr = listeners[0].local_addr().unwrap();
    let origin = apps::start(arguments.apps, arguments.rules);
    match arguments.kind {
        Kind::Huidu => {
            let (_stopper, stop) = Stop::pair();
            let plane = Plane::new(limits, Connections(Arc::clone(&origin.metrics)));
            let service = |_core| DevicePlane::new(Arc::clone(&origin), Bounds::default());
            let workers = serve::spawn_per_core(listeners, service, &plane, &stop).unwrap();
            exchange::keep(Arc::clone(&origin.feedback), arguments.redis.as_deref());
            println!("listening {addr}");
            workers.join().unwrap();
        }
        Kind::Bare => {
            let replies = match (arguments.takes_events, arguments.apps) {
                (true, _) => vec![taken().into()],
                (false, 1) => vec![sample(&origin, arguments.not_modified).into()],
                (false, apps) => samples(&origin, apps),
            };
            println!("listening {addr}");
            let threads = listeners.into_iter().map(|listener| {
                let (replies, limits) = (replies.clone(), limits.clone());
                std::thread::spawn(move || match &replies[..] {
                    [reply] if arguments.takes_events => {
                        bare::serve_readers(listener, &limits, reply);
                    }
                    [reply] => bare::serve(listener, &limits, reply),
                    _ => bare::serve_many(listener, &limits, &replies),
                })
            });
            for thread in threads.collect::<Vec<_>>() {
                thread.join().unwrap();
            }
        }
    }
}

/// What the device plane says to four events that are new.
fn taken() -> http::Response<Bytes> {
    let reply = http::Response::builder()
        .status(202)
        .header("content-type", "application/json")
        .header("cache-control", "no-store");
    let body = Bytes::from_static(br#"{"accepted":4}"#);
    reply.body(body).unwrap()
}

/// What the device plane says to one ordinary poll, or to its repetition.
fn sample(origin: &Arc<Fixed>, not_modified: bool) -> http::Response<Bytes> {
    let path = "/v1/manifest/retail-bank/t0/app-0?u=device-00000000";
    let whole = told(origin, path, None);
    assert_eq!(whole.status(), 200);
    if !not_modified {
        return whole;
    }
    let unchanged = told(
        origin,
        path,
        whole.headers().get(http::header::ETAG).cloned(),
    );
    assert_eq!(unchanged.status(), 304);
    unchanged
}

/// What it says to polls of many apps, one after the other as chance has it; each answer is there once.
fn samples(origin: &Arc<Fixed>, apps: usize) -> Vec<Arc<http::Response<Bytes>>> {
    let mut chance = fastrand::Rng::with_seed(1);
    let mut known = BTreeMap::new();
    let drawn = (0..16_384).map(|_| {
        let (app, device) = (chance.usize(..apps), chance.usize(..4_096));
        let path = format!(
            "/v1/manifest/retail-bank/t{}/app-{app}?u=device-{device:08}&p=android&r=CN-31&hv=8.2.1&ov=14&v=2.3.0",
            app % 50
        );
        let reply = told(origin, &path, None);
        let etag = reply.headers()[http::header::ETAG].clone();
        let reply = known.entry(etag).or_insert_with(|| Arc::new(reply));
        Arc::clone(reply)
    });
    drawn.collect()
}

/// What the device plane says to a poll.
fn told(origin: &Arc<Fixed>, path: &str, etag: Option<http::HeaderValue>) -> http::Response<Bytes> {
    let plane = DevicePlane::new(Arc::clone(origin), Bounds::default());
    let mut request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
    if let Some(etag) = etag {
        request
            .headers_mut()
            .insert(http::header::IF_NONE_MATCH, etag);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (head, body) = plane.answer(request).await.unwrap().into_parts();
        let body = body.collect().await.map_err(drop).unwrap().to_bytes();
        http::Response::from_parts(head, body)
    })
}
