//! What do stamps add to polls? `cargo bench -p huidu --bench stamps`
//!
//! The real device plane answers polls of 1 000 apps, 5 000 answers in all, every one of them asked for. Rounds
//! without stamps poll and sign nothing. Then all 5 000 are renewed, which a node does twice in a lease of ten
//! minutes, and the rounds after it are timed as well, because fresh heads are cold in the caches: what those
//! cost more than the round before belongs to the renewal. Both come once in the 300 seconds between renewals,
//! and are held against 300 seconds of polls on a core that does nothing else. It counts the kernel's time of
//! this thread on its core, the median of the repetitions. Nothing of sockets is in it, so a poll costs less here
//! than it ever does, and stamps weigh more. Fails above 1.03; a renewal before every round of polls, which is a
//! lease of a second, must be found to cost more than that, or this would find nothing.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and stops at the first surprise"
)]

#[path = "server/origin.rs"]
mod origin;

use std::{fs, hint::black_box, sync::Arc};

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use huidu::{
    device::{Answering, Bounds, DevicePlane},
    node::live::refresh,
};
use huidu_core::time::Timestamp;

use self::origin::Fixed;

const APPS: usize = 1_000;
const ANSWERS: usize = 5_000;
const LEASE_MS: u32 = 600_000;
const HALF_LEASE_S: f64 = 300.0;
const POLLS: usize = 300_000;
const ROUNDS: usize = 9;
/// Rounds after a renewal that count towards what it costs.
const AFTER: usize = 3;
const MOST: f64 = 1.03;

/// Apps of five answers each: nothing, stopped, the stable version, and two that rules give.
fn serving(asof: u64) -> Arc<Fixed> {
    let rules: String = ["beta", "ramp"]
        .map(|rule| {
            format!(
                "[[rule]]\nname = \"{rule}\"\nwhen = {{ tag = \"{rule}\" }}\nserve = \"2.4.0\"\n"
            )
        })
        .concat();
    let apps = (0..APPS).map(|n| origin::app(&format!("pingan/app-{n:04}"), &rules));
    let stamper = origin::stamper(LEASE_MS, Timestamp::from_unix_ms(asof));
    let origin = Fixed::new(apps, stamper);
    assert_eq!(origin.live.load().answer_count(), ANSWERS);
    origin
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
            "/v1/manifest/retail-bank/pingan/app-{app:04}?u=device-{n:06}&p=android&r=CN-31&v=2.3.1{tag}"
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
    let mut asof = 1_800_000_000_000_u64;
    let origin = serving(asof);
    let live = origin.live.load_full();
    let plane = DevicePlane::new(Arc::clone(&origin), Bounds::default());
    let requests = requests();
    let ask_for_all = || {
        let answers = live.apps().flat_map(|app| app.answers.iter());
        answers.for_each(|answer| drop(black_box(answer.head())));
    };
    ask_for_all();
    round(&plane, &requests);
    let (mut ratios, mut each, mut planted) = (Vec::new(), Vec::new(), Vec::new());
    for n in 1..=ROUNDS {
        let alone = round(&plane, &requests);
        asof += 1_000;
        origin.stamper.prove(Timestamp::from_unix_ms(asof));
        ask_for_all();
        let begun = on_core();
        assert_eq!(refresh(&live), ANSWERS);
        let all = on_core() - begun;
        let after: [f64; AFTER] = std::array::from_fn(|_| round(&plane, &requests));
        let colder = after.iter().map(|round| round - alone).sum::<f64>();
        let said = after
            .map(|round| format!("{:.3}", round / alone))
            .join(", ");
        println!(
            "round {n}: a poll {:.0} ns; a stamp {:.1} µs; the rounds after a renewal cost {said} of the one before it",
            alone / POLLS as f64 * 1e9,
            all / ANSWERS as f64 * 1e6
        );
        ratios.push(1.0 + (all + colder) / HALF_LEASE_S);
        planted.push(1.0 + (all + after[0] - alone) / alone);
        each.push(all);
    }
    let (ratio, all, planted) = (median(ratios), median(each), median(planted));
    println!(
        "{ANSWERS} answers stamped twice in {} s add {:.3} % of a core; polls with stamps cost {ratio:.4} of polls without, at most {MOST}",
        LEASE_MS / 1_000,
        all / HALF_LEASE_S * 100.0
    );
    println!("planted, a renewal for every {POLLS} polls: {planted:.4} of polls without");
    assert!(
        planted > MOST,
        "this would not find stamps that cost too much: {planted:.4}"
    );
    assert!(ratio <= MOST, "stamps cost too much: {ratio:.4}");
}
