//! Messages that two readers could divide differently. Sent over bare sockets, to both ports of a real server:
//! whatever stands in front of it, a request that somebody hid in another is never answered.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::naive;
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

/// Messages of which two readers could make different ones; what would be the second follows each.
fn corpus() -> Vec<(String, String)> {
    let by_hand = by_hand().into_iter();
    let by_hand = by_hand.map(|(name, message)| (name.to_owned(), message));
    by_hand.chain(with_both()).chain(hidden_names()).collect()
}

/// Every spelling of an encoding that some reader takes for chunks and another does not, with and without a
/// length before and behind it.
fn with_both() -> impl Iterator<Item = (String, String)> {
    const SPELLINGS: [&str; 16] = [
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked, identity",
        "transfer-encoding: identity, chunked, identity",
        "transfer-encoding: chunked;q=1",
        "transfer-encoding: \"chunked\"",
        "transfer-encoding: 'chunked'",
        "transfer-encoding: chunk",
        "transfer-encoding: chunkedd",
        "transfer-encoding: chunked\x0b",
        "transfer-encoding: chunked\0",
        "transfer-encoding: c hunked",
        "transfer-encoding: ch\u{fc}nked",
        "transfer-encoding: gzip",
        "transfer-encoding : chunked",
        "transfer-encoding:\r\n chunked",
    ];
    let lengths = [
        ("", ""),
        ("content-length: 5\r\n", ""),
        ("", "content-length: 5\r\n"),
    ];
    SPELLINGS.into_iter().flat_map(move |spelling| {
        lengths.into_iter().map(move |(before, behind)| {
            let message = format!(
                "POST /v1/poll HTTP/1.1\r\nhost: x\r\n{before}{spelling}\r\n{behind}\r\n0\r\n\r\n"
            );
            (
                format!("{before}{spelling} {behind}")
                    .escape_debug()
                    .to_string(),
                message,
            )
        })
    })
}

/// Headers whose names somebody in front would drop, repair or read as another.
fn hidden_names() -> impl Iterator<Item = (String, String)> {
    const NAMES: [&str; 10] = [
        "content-length\0: 5",
        "content\x0blength: 5\r\ncontent-length: 4",
        "\x0bcontent-length: 5",
        "content-length;: 5",
        "content length: 5",
        "[content-length]: 5",
        "content-length@: 5",
        "transfer-encoding\x0c: chunked",
        "transfer-encoding\u{a0}: chunked",
        "\u{feff}transfer-encoding: chunked",
    ];
    NAMES.into_iter().map(|name| {
        let message = format!("POST /v1/poll HTTP/1.1\r\nhost: x\r\n{name}\r\n\r\n0\r\n\r\n");
        (name.escape_debug().to_string(), message)
    })
}

fn by_hand() -> Vec<(&'static str, String)> {
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

/// What of the corpus a server understands as two requests, or answers as if it were one plain one.
fn understood(
    port: &str,
    to: SocketAddr,
    corpus: impl Iterator<Item = (String, String)>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, message) in corpus {
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
    wrong
}

#[test]
fn no_two_readers_find_two_requests_in_one() {
    let world = World::new(Backing::Embedded);
    let node = &world.cluster.nodes[0];
    let wrong = [("public", node.device), ("private", node.control)]
        .into_iter()
        .flat_map(|(port, to)| understood(port, to, corpus().into_iter()))
        .collect::<Vec<_>>();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!(
        "{} ambiguous messages to each of two ports, understood as two: 0",
        corpus().len()
    );
    // An honest pair is two requests, and is answered twice.
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

#[test]
fn the_same_messages_find_a_server_that_knows_lengths_alone() {
    let server = naive::start(naive::reads_lengths_alone);
    // It keeps every connection open, so each message costs the whole patience: a part is enough.
    let wrong = understood("naive", server, corpus().into_iter().step_by(5));
    assert!(wrong.len() > 10, "only {}", wrong.len());
}
