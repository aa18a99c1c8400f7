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

#[path = "server/apps.rs"]
mod apps;
#[path = "server/origin.rs"]
mod origin;

use std::{env, sync::Arc, thread};

use huidu::{
    device::{Bounds, Connections, DevicePlane},
    http::serve::{self, Limits, Plane, Stop},
};

/// Rules of the app that is polled; they take nearly nobody.
const RULES: usize = 20;

fn main() {
    let mode = env::args().nth(1).unwrap_or_default();
    let cores = thread::available_parallelism().unwrap().get();
    let origin = apps::start(1, RULES);
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
