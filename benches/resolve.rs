//! How long does the decision of one poll take? `cargo bench -p huidu-core --bench resolve`
//!
//! A rollout of 20 rules and one of 1 000, none of which takes the device, so that the walk goes to its
//! end. The reference is one hash of 24 bytes by the `murmur3` crate, in the same run: ratios mean the same
//! on every machine, times do not.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark prints, and stops at the first surprise"
)]

#[path = "../tests/rules/world.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared with the tests of rules"
)]
mod world;

use std::{
    hint::black_box,
    io::Cursor,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group};
use huidu_core::{
    compile::CompiledApp,
    poll::{Poll, Scratch},
};

const QUERY: &str = "u=device-00000042&p=android&r=CN-31&hv=8.2.1&ov=14&t=beta&v=2.3.0";
const ROUNDS: usize = 9;

/// `count` rules as people write them: an audience that holds and a share that does not, or the other way.
fn app(count: usize) -> CompiledApp {
    let rule = |n: usize| match n % 4 {
        0 => format!(
            "when = {{ platform = [\"android\", \"harmony\"], host_version = \">=8.{}\" }}\nshare = \"0.1%\"",
            n % 3
        ),
        1 => format!("when = {{ region = \"US-{}\" }}", n % 90),
        2 => "when = { tag = [\"slow\", \"old\"] }".to_owned(),
        _ => "when = { region = { prefix = \"CN\" }, not = { tag = \"beta\" } }\nshare = \"5%\""
            .to_owned(),
    };
    let rules: String = (0..count)
        .map(|n| {
            format!(
                "[[rule]]\nname = \"rule-{n}\"\nserve = \"2.4.0\"\n{}\n",
                rule(n)
            )
        })
        .collect();
    let text =
        format!("app = \"pingan/travel\"\nhosts = [\"retail-bank\"]\nstable = \"2.3.1\"\n{rules}");
    let app = world::app(&["2.3.1", "2.4.0"], Some(world::rollout(&text)));
    world::compiled(&app, &world::Segments::default())
}

fn decide(app: &CompiledApp) -> usize {
    let mut scratch = Scratch::default();
    let poll = Poll::from_query(black_box(QUERY), &mut scratch).unwrap();
    app.resolve("retail-bank", &poll.device, &poll.installed, world::noon())
        .index
}

fn resolve(app: &CompiledApp, poll: &Poll<'_>, now: huidu_core::time::Timestamp) -> usize {
    app.resolve(
        black_box("retail-bank"),
        black_box(&poll.device),
        black_box(&poll.installed),
        now,
    )
    .index
}

fn hash() -> u32 {
    murmur3::murmur3_32(&mut Cursor::new(black_box(b"pingan/travel:device-001")), 0).unwrap()
}

/// Nanoseconds of one call, the least of a few stretches: other load only adds.
fn nanos<T>(mut call: impl FnMut() -> T) -> f64 {
    let stretch = |call: &mut dyn FnMut() -> T| {
        let (begun, mut calls) = (Instant::now(), 0_u32);
        while begun.elapsed() < Duration::from_millis(25) {
            for _ in 0..64 {
                black_box(call());
            }
            calls += 64;
        }
        begun.elapsed().as_nanos() as f64 / f64::from(calls)
    };
    (0..ROUNDS)
        .map(|_| stretch(&mut call))
        .fold(f64::MAX, f64::min)
}

fn ratios() {
    let (twenty, thousand) = (app(20), app(1_000));
    let mut scratch = Scratch::default();
    let poll = Poll::from_query(QUERY, &mut scratch).unwrap();
    let now = world::noon();
    let reference = nanos(hash);
    let one = |what: &str, took: f64| {
        println!(
            "{what:<44}{took:>10.1} ns   {:>7.2} x one hash of 24 bytes",
            took / reference
        );
    };
    one("murmur3 crate, 24 bytes", reference);
    one("resolve, 20 rules", nanos(|| resolve(&twenty, &poll, now)));
    one(
        "read the query and resolve, 20 rules",
        nanos(|| decide(&twenty)),
    );
    let of_thousand = nanos(|| resolve(&thousand, &poll, now));
    one("resolve, 1 000 rules", of_thousand);
    println!(
        "1 000 rules take {:.1} x the time of 20",
        of_thousand / nanos(|| resolve(&twenty, &poll, now))
    );
}

fn criterion(c: &mut Criterion) {
    let (twenty, thousand) = (app(20), app(1_000));
    let mut scratch = Scratch::default();
    let poll = Poll::from_query(QUERY, &mut scratch).unwrap();
    let now = world::noon();
    let mut group = c.benchmark_group("resolve");
    group.bench_function("murmur3 crate, 24 bytes", |b| b.iter(hash));
    group.bench_function("20 rules", |b| b.iter(|| resolve(&twenty, &poll, now)));
    group.bench_function("1000 rules", |b| b.iter(|| resolve(&thousand, &poll, now)));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = criterion
}

fn main() {
    ratios();
    benches();
    Criterion::default().configure_from_args().final_summary();
}
