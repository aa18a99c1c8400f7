//! Ten thousand phones wait for a kill on one node, and all of them hear of it.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;
use crate::support::server::Node;

/// Phones that wait; every second one by a held request, the others by events.
const PHONES: usize = 10_000;
/// Bytes that a node may take with them.
const MOST_BYTES: u64 = 300 << 20;

/// As many open files as the system lets this process, and whoever it starts, have.
fn raise_open_files() {
    let most = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: most,
        maximum: most,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let fits = most.is_none_or(|most| most > PHONES as u64 + 1_000);
    assert!(
        fits,
        "`ulimit -Hn 20000` lets a process have as many open files"
    );
}

/// A phone that waits.
struct Phone {
    stream: TcpStream,
    heard: Vec<u8>,
    by_events: bool,
}

impl Phone {
    fn waits(node: &Node, n: usize, mark: &str) -> Self {
        let by_events = n.is_multiple_of(2);
        let mut stream = TcpStream::connect(node.device).unwrap();
        let request = if by_events {
            format!("GET /v1/kills/events HTTP/1.1\r\nhost: x\r\nlast-event-id: {mark}\r\n\r\n")
        } else {
            format!("GET /v1/kills?after={mark} HTTP/1.1\r\nhost: x\r\n\r\n")
        };
        stream.write_all(request.as_bytes()).unwrap();
        let heard = Vec::new();
        Self {
            stream,
            heard,
            by_events,
        }
    }

    /// Whether it has been told of `app`, by now.
    fn knows(&mut self, app: &str) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => panic!("cut off after {:?}", String::from_utf8_lossy(&self.heard)),
                Ok(read) => self.heard.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        String::from_utf8_lossy(&self.heard).contains(app)
    }
}

fn mark_of(node: &Node) -> String {
    let reply = node.wire().get("/v1/kills?after=0", &[]).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.header("huidu-mark").to_owned()
}

fn listeners(node: &Node) -> usize {
    let mut wire = crate::support::wire::Wire::connect(node.control).unwrap();
    let metrics = wire.get("/metrics", &[]).unwrap().text();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("huidu_kill_listeners "));
    line.unwrap().parse().unwrap()
}

#[test]
fn ten_thousand_idle_listeners_fit_on_a_node_and_all_hear_of_a_kill() {
    raise_open_files();
    let device = format!("max_connections = 12000\nmax_kill_listeners = {PHONES}\n");
    let world = World::with(Backing::Embedded, &device);
    let app = world.app(&[]);
    let node = &world.cluster.nodes[0];
    let mark = mark_of(node);
    let before = node.resident_bytes();
    let mut phones: Vec<Phone> = (0..PHONES).map(|n| Phone::waits(node, n, &mark)).collect();
    until("all of them wait", || listeners(node) == PHONES);
    let with_all = node.resident_bytes();
    // One more is told to come back.
    let more = node
        .wire()
        .get(&format!("/v1/kills?after={mark}"), &[])
        .unwrap();
    assert_eq!(more.status, 503, "{}", more.text());
    assert!(!more.header("retry-after").is_empty());
    // The cacheable list is as it was.
    assert_eq!(node.wire().get("/v1/kills", &[]).unwrap().status, 200);

    let begun = Instant::now();
    let killed = world.kills(&app);
    assert_eq!(killed.status, 200, "{}", killed.text());
    let mut left: Vec<&mut Phone> = phones.iter_mut().collect();
    while !left.is_empty() {
        left.retain_mut(|phone| !phone.knows(&app));
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{} do not know",
            left.len()
        );
    }
    let took = begun.elapsed();
    let peak = node.resident_bytes();
    println!(
        "figure: {PHONES} idle listeners: {} MiB, {} MiB of it theirs; all told of a kill after {} ms, then {} MiB",
        with_all >> 20,
        with_all.saturating_sub(before) >> 20,
        took.as_millis(),
        peak >> 20,
    );
    assert!(
        with_all.max(peak) <= MOST_BYTES,
        "{with_all} then {peak} bytes"
    );
    // Nothing is believed unsigned: each was sent the stamp and the very bytes.
    for phone in phones.iter().step_by(997) {
        let text = String::from_utf8_lossy(&phone.heard);
        if phone.by_events {
            assert!(
                text.contains("text/event-stream") && text.contains("data: v1."),
                "{text}"
            );
        } else {
            assert!(text.contains("huidu-stamp: v1."), "{text}");
        }
    }
}

/// A node that stops tells everybody who waits, and does not wait for them.
#[test]
fn who_waits_does_not_hold_up_a_node_that_stops() {
    let mut world = World::new(Backing::Embedded);
    let node = &world.cluster.nodes[0];
    let mark = mark_of(node);
    let mut phones: Vec<Phone> = (0..20).map(|n| Phone::waits(node, n, &mark)).collect();
    until("all of them wait", || listeners(node) == phones.len());
    let begun = Instant::now();
    world.cluster.nodes[0].terminate();
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    for phone in &mut phones {
        let mut rest = Vec::new();
        phone
            .stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        phone.stream.read_to_end(&mut rest).unwrap();
        let text = String::from_utf8_lossy(&rest);
        assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
        assert!(
            text.ends_with("0\r\n\r\n") || text.contains("\"kills\":[]"),
            "{text}"
        );
    }
}
