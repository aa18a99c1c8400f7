//! What HTTP lets somebody try: messages that two readers could divide differently, and thousands of
//! connections that say almost nothing. Sent over bare sockets, to both ports of a real server.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::{
    support::{server::Backing, wire::Wire},
    world::World,
};

/// Everything a server says to these bytes until it closes the connection, or rests for a moment.
fn said(to: SocketAddr, bytes: &[u8]) -> (String, bool) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(700)))
        .unwrap();
    let _may_be_refused_midway = stream.write_all(bytes);
    let (mut all, mut piece) = (Vec::new(), [0; 16 * 1024]);
    let closed = loop {
        match stream.read(&mut piece) {
            Ok(0) => break true,
            Ok(read) => all.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break true,
            Err(_) => break false,
        }
    };
    (String::from_utf8_lossy(&all).into_owned(), closed)
}

/// Messages of which two readers could make different ones. `BODY` stands where the second one would begin.
fn corpus() -> Vec<(&'static str, String)> {
    let post = |headers: &str, rest: &str| {
        format!("POST /v1/poll HTTP/1.1\r\nhost: x\r\n{headers}\r\n{rest}")
    };
    let get = |line: &str, headers: &str| format!("{line}\r\nhost: x\r\n{headers}\r\n");
    vec![
        (
            "a length and chunks, ended early",
            post(
                "content-length: 60\r\ntransfer-encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
        ),
        (
            "chunks and a length, ended late",
            post(
                "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
                "0\r\n\r\n",
            ),
        ),
        (
            "a length of nothing and chunks",
            post(
                "content-length: 0\r\ntransfer-encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
        ),
        (
            "two lengths",
            post("content-length: 2\r\ncontent-length: 0\r\n", "{}"),
        ),
        (
            "two lengths in one line",
            post("content-length: 2, 0\r\n", "{}"),
        ),
        ("a length with a sign", post("content-length: +2\r\n", "{}")),
        ("a negative length", post("content-length: -2\r\n", "{}")),
        (
            "a length in hexadecimal",
            post("content-length: 0x2\r\n", "{}"),
        ),
        (
            "a length with letters",
            post("content-length: 2a\r\n", "{}"),
        ),
        ("a length that is none", post("content-length: \r\n", "{}")),
        (
            "a length beyond any number",
            post("content-length: 99999999999999999999999\r\n", "{}"),
        ),
        (
            "a length with a space in it",
            post("content-length: 2 0\r\n", "{}"),
        ),
        (
            "an encoding nobody knows",
            post("transfer-encoding: xchunked\r\n", "{}"),
        ),
        (
            "chunks that are not the last encoding",
            post("transfer-encoding: chunked, gzip\r\n", "0\r\n\r\n"),
        ),
        (
            "an encoding that is none",
            post("transfer-encoding: identity\r\n", "{}"),
        ),
        (
            "an encoding with a control character",
            post("transfer-encoding: \x0bchunked\r\n", "0\r\n\r\n"),
        ),
        (
            "chunks, the older way",
            "POST /v1/poll HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
                .into(),
        ),
        (
            "a space before the colon",
            post("content-length : 2\r\n", "{}"),
        ),
        (
            "a tab before the colon",
            post("content-length\t: 2\r\n", "{}"),
        ),
        (
            "a header that goes on in the next line",
            post("x-a: b\r\n content-length: 2\r\n", "{}"),
        ),
        (
            "a first header that goes on from nothing",
            post(" content-length: 2\r\n", "{}"),
        ),
        ("a header without a name", post(": 2\r\n", "{}")),
        (
            "a header without a colon",
            post("content-length 2\r\n", "{}"),
        ),
        ("a zero byte in a value", post("x-a: b\0c\r\n", "{}")),
        ("a zero byte in a name", post("x\0a: b\r\n", "{}")),
        (
            "a carriage return in a value",
            post("x-a: b\rcontent-length: 2\r\n", "{}"),
        ),
        (
            "a chunk size with a sign",
            post("transfer-encoding: chunked\r\n", "+2\r\n{}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk size in the other notation",
            post("transfer-encoding: chunked\r\n", "0x2\r\n{}\r\n0\r\n\r\n"),
        ),
        (
            "a negative chunk size",
            post("transfer-encoding: chunked\r\n", "-2\r\n{}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk size beyond any number",
            post(
                "transfer-encoding: chunked\r\n",
                "fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
            ),
        ),
        (
            "a chunk size that is none",
            post("transfer-encoding: chunked\r\n", "\r\n{}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk longer than its size",
            post("transfer-encoding: chunked\r\n", "1\r\n{}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk size that ends in a line feed",
            post("transfer-encoding: chunked\r\n", "2\n{}\r\n0\r\n\r\n"),
        ),
        (
            "an extension with a carriage return",
            post(
                "transfer-encoding: chunked\r\n",
                "2;a\rb\r\n{}\r\n0\r\n\r\n",
            ),
        ),
        (
            "a tab in the request line",
            get("GET\t/healthz HTTP/1.1", ""),
        ),
        (
            "a request line with a word more",
            get("GET /healthz now HTTP/1.1", ""),
        ),
        ("a version nobody knows", get("GET /healthz HTTP/1.2", "")),
        ("a version without its name", get("GET /healthz 1.1", "")),
        (
            "a control character in the target",
            get("GET /health\x01z HTTP/1.1", ""),
        ),
        (
            "a method with a space before it",
            get(" GET /healthz HTTP/1.1", ""),
        ),
    ]
}

/// What would be answered if the rest of a message were taken for another one.
const SECOND: &str = "GET /second-request HTTP/1.1\r\nhost: y\r\n\r\n";

#[test]
fn no_two_readers_find_two_requests_in_one() {
    let world = World::new(Backing::Embedded);
    let node = &world.cluster.nodes[0];
    let (mut tried, mut wrong) = (0, Vec::new());
    for (name, message) in corpus() {
        for (port, to) in [("public", node.device), ("private", node.control)] {
            tried += 1;
            let (reply, closed) = said(to, format!("{message}{SECOND}").as_bytes());
            let answers = reply.matches("HTTP/1.1 ").count() + reply.matches("HTTP/1.0 ").count();
            let refused = answers == 0
                || ["HTTP/1.1 4", "HTTP/1.0 4", "HTTP/1.1 5"]
                    .iter()
                    .any(|begins| reply.starts_with(begins));
            if answers > 1 || !refused || !closed {
                let first = reply.lines().next().unwrap_or_default().to_owned();
                wrong.push(format!(
                    "{port}: {name}: {answers} answer(s), `{first}`, closed: {closed}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{tried} ambiguous messages, understood as two: 0");
    // The search would notice: an honest pair is two requests, and is answered twice.
    let honest = "POST /v1/poll HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    let (reply, _) = said(node.device, format!("{honest}{SECOND}").as_bytes());
    assert_eq!(reply.matches("HTTP/1.1 ").count(), 2, "{reply}");
    assert_eq!(
        Wire::connect(node.device)
            .unwrap()
            .get("/healthz", &[])
            .unwrap()
            .status,
        200
    );
}

/// Connections that say one byte now and then, as many as the server takes and more.
/// Heads are bounded on both ports: in number by the plane, in bytes by the floor.
#[test]
fn a_head_is_bounded_on_both_ports() {
    let world = World::new(Backing::Embedded);
    let node = &world.cluster.nodes[0];
    let with = |count: usize, bytes: usize| {
        let more = (0..count).map(|n| format!("x-{n}: {}\r\n", "a".repeat(bytes)));
        more.collect::<String>()
    };
    for (port, path) in [(node.control, "/readyz"), (node.device, "/v1/kills")] {
        for (headers, status) in [
            (with(60, 1), "200"),
            (with(70, 1), "431"),
            (with(20, 1_000), "431"),
        ] {
            let ask =
                format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
            let (answer, _) = said(port, ask.as_bytes());
            let line = answer.lines().next().unwrap_or_default();
            // Whoever still sends when it is refused may find the connection cut instead.
            let is_cut = status == "431" && line.is_empty();
            assert!(line.contains(status) || is_cut, "{path}: {line}");
        }
    }
}

#[test]
fn thousands_of_connections_that_dribble_slow_nobody_down() {
    const DRIBBLES: usize = 2_000;
    let world = World::new(Backing::Embedded);
    let app = world.app(&["1.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");
    let node = &world.cluster.nodes[0];
    let path = format!("/v1/manifest/{}/{app}?u=phone-0001", crate::world::HOST);
    let polls = || {
        let mut wire = node.wire();
        let mut times: Vec<Duration> = (0..400)
            .map(|_| {
                let since = Instant::now();
                assert_eq!(wire.get(&path, &[]).unwrap().status, 200);
                since.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[times.len() * 99 / 100]
    };
    let idle = polls();
    let mut dribbles: Vec<TcpStream> = (0..DRIBBLES)
        .map(|n| {
            let to = if n % 4 == 0 {
                node.control
            } else {
                node.device
            };
            let mut stream = TcpStream::connect(to).unwrap();
            stream.write_all(b"GET /v1/manifest/x").unwrap();
            stream
        })
        .collect();
    let busy = polls();
    for stream in &mut dribbles {
        let _may_be_cut_off = stream.write_all(b"y");
    }
    let later = polls();
    let worst = busy.max(later);
    println!(
        "99 of 100 polls within {idle:?} alone and {worst:?} beside {DRIBBLES} connections that dribble"
    );
    // A budget in whole milliseconds: far above the noise of a busy machine, far below what a person notices.
    assert!(worst < Duration::from_millis(250), "{worst:?}");
    // They are cut off, and the server forgets them.
    let cut = |stream: &mut TcpStream| {
        stream
            .set_read_timeout(Some(Duration::from_secs(40)))
            .unwrap();
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        ended.is_ok() || !matches!(ended.unwrap_err().kind(), std::io::ErrorKind::WouldBlock)
    };
    assert!(dribbles.iter_mut().step_by(97).all(cut));
}
