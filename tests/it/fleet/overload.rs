//! A core that is asked for more than it can puts off what can wait, and answers what cannot.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    support::server::{Backing, until},
    world::{HOST, World},
};

/// Connections that ask without a pause.
const CROWD: usize = 48;
/// Requests that each of them sends at a time.
const AT_ONCE: usize = 64;

#[derive(Default)]
struct Seen {
    answered: AtomicUsize,
    put_off: AtomicUsize,
    after: Mutex<BTreeSet<String>>,
    is_over: AtomicBool,
}

impl Seen {
    /// Polls as somebody who has nothing yet, many at a time.
    fn crowd(&self, node: SocketAddr, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").repeat(AT_ONCE);
        let stream = TcpStream::connect(node).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut stream = BufReader::new(stream);
        while !self.is_over.load(Ordering::SeqCst) {
            stream.get_mut().write_all(request.as_bytes()).unwrap();
            for _ in 0..AT_ONCE {
                self.reply(&mut stream);
            }
        }
    }

    fn reply(&self, stream: &mut BufReader<TcpStream>) {
        let (mut status, mut length, mut after) = (String::new(), 0, None);
        stream.read_line(&mut status).unwrap();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            match name {
                "content-length" => length = value.parse().unwrap(),
                "retry-after" => after = Some(value.to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        match (status.contains(" 200 "), after) {
            (true, _) => self.answered.fetch_add(1, Ordering::SeqCst),
            (false, Some(after)) if status.contains(" 503 ") => {
                self.after.lock().unwrap().insert(after);
                self.put_off.fetch_add(1, Ordering::SeqCst)
            }
            (false, _) => panic!("{status}"),
        };
    }
}

/// What was asked beside the crowd: how often it was answered as it should be, and put off.
#[derive(Debug, Default)]
struct Asked {
    unchanged: (usize, usize),
    kills: (usize, usize),
    stops: (usize, usize),
    bundles: (usize, usize),
}

fn under_load(shed_after: &str, looks: impl Fn(&Asked, &Seen) -> bool) -> (Asked, Seen) {
    let settings = format!("cores = 1\nshed_after = \"{shed_after}\"");
    let world = World::with(Backing::Embedded, &settings);
    let (app, killed) = (world.app(&["1.0.0"]), world.app(&["1.0.0"]));
    for app in [&app, &killed] {
        world.rollout(app, "stable = \"1.0.0\"\n");
    }
    let path = format!("/v1/manifest/{HOST}/{app}?u=phone-1");
    let node = &world.cluster.nodes[0];
    let first = node.wire().get(&path, &[]).unwrap();
    let bundle = first.json()["bundle"]["sha256"]
        .as_str()
        .unwrap()
        .to_owned();
    let bundle = format!("/v1/bundles/sha256/{bundle}");
    assert_eq!(node.wire().get(&bundle, &[]).unwrap().status, 200);
    let sven = world.sven.at(0);
    let kill = world.by(&sven, "POST", &format!("/apps/{killed}/kill"));
    world.done(&kill.json(&json!({"reason": "fraud"})).send());
    let stop = format!("/v1/manifest/{HOST}/{killed}?u=phone-1");
    let seen = Seen::default();
    let mut asked = Asked::default();
    std::thread::scope(|scope| {
        for _ in 0..CROWD {
            scope.spawn(|| seen.crowd(node.device, &path));
        }
        let (since, mut wire) = (Instant::now(), node.wire());
        let etag = first.header("etag");
        while !looks(&asked, &seen) && since.elapsed() < Duration::from_secs(60) {
            let mut ask =
                |path: &str, headers: &[(&str, &str)], good: u16, of: &mut (usize, usize)| {
                    let status = wire.get(path, headers).unwrap().status;
                    of.0 += usize::from(status == good);
                    of.1 += usize::from(status == 503);
                    assert!(status == good || status == 503, "{path}: {status}");
                };
            ask(&path, &[("if-none-match", etag)], 304, &mut asked.unchanged);
            ask("/v1/kills", &[], 200, &mut asked.kills);
            ask(&stop, &[], 200, &mut asked.stops);
            ask(&bundle, &[], 200, &mut asked.bundles);
        }
        seen.is_over.store(true, Ordering::SeqCst);
    });
    // When it is over everything is answered.
    until("the crowd has gone", || {
        node.wire().get(&bundle, &[]).unwrap().status == 200
    });
    assert_eq!(node.wire().get(&path, &[]).unwrap().status, 200);
    (asked, seen)
}

#[test]
fn an_overloaded_core_answers_304s_and_kills_and_puts_off_the_rest() {
    let (asked, seen) = under_load("2ms", |asked, seen| {
        asked.unchanged.0 >= 40
            && asked.bundles.1 >= 20
            && seen.put_off.load(Ordering::SeqCst) >= 1_000
    });
    let put_off = seen.put_off.load(Ordering::SeqCst);
    println!(
        "figure: under overload 304s {} and lists of kills {} answered, put off: {}; polls put off {put_off}, bundles put off {}",
        asked.unchanged.0,
        asked.kills.0,
        asked.unchanged.1 + asked.kills.1 + asked.stops.1,
        asked.bundles.1
    );
    assert_eq!(
        asked.unchanged.1 + asked.kills.1 + asked.stops.1,
        0,
        "{asked:?}"
    );
    assert!(asked.unchanged.0 >= 40 && asked.stops.0 >= 40, "{asked:?}");
    assert!(
        put_off >= 1_000 && asked.bundles.1 >= 20,
        "{put_off} {asked:?}"
    );
    let after = seen.after.lock().unwrap().len();
    assert!(
        after > 20,
        "all come back together: {after} different times"
    );
}

#[test]
fn a_core_that_bears_it_puts_nobody_off() {
    let (asked, seen) = under_load("60s", |asked, _| asked.unchanged.0 >= 40);
    assert_eq!(
        (seen.put_off.load(Ordering::SeqCst), asked.bundles.1),
        (0, 0)
    );
    assert!(seen.answered.load(Ordering::SeqCst) > 0);
}
