//! Parts of files over real sockets under real hyper: the bytes of the file, in order, and never a placeholder.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io::Write as _,
    net::SocketAddr,
    ops::Range,
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, service::Service};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::*;
use crate::http::{
    body::Body,
    carrier::PIECE_BYTES,
    serve::{self, Limits, PerConnection, Plane, Stop, Stopper},
};

/// Serves `/START-END` of one file.
#[derive(Clone)]
struct Parts(Arc<File>);

struct Connected(Arc<File>, Arc<Carrier>);

impl PerConnection for Parts {
    type Service = Connected;

    fn answering(&self, carrier: &Arc<Carrier>) -> Connected {
        Connected(Arc::clone(&self.0), Arc::clone(carrier))
    }
}

impl Clone for Connected {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0), Arc::clone(&self.1))
    }
}

impl Service<Request<Incoming>> for Connected {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (start, end) = request.uri().path()[1..].split_once('-').unwrap();
        let range = start.parse().unwrap()..end.parse().unwrap();
        let body = Body::file(Arc::clone(&self.0), range, Arc::clone(&self.1));
        ready(Ok(Response::new(body)))
    }
}

/// Bytes of which no stretch repeats nearby, and few are zero.
fn content(bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|n| ((n % 251) ^ (n / 251 % 253)) as u8 | 1)
        .collect()
}

struct Server {
    addr: SocketAddr,
    plane: Arc<Plane>,
    _stopper: Stopper,
}

fn start(content: &[u8], limits: Limits) -> (Server, File) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    let listener = serve::listen(([127, 0, 0, 1], 0).into(), false).unwrap();
    let addr = listener.local_addr().unwrap();
    let plane = Plane::new(limits, ());
    let (stopper, stop) = Stop::pair();
    let service = Parts(Arc::new(file.try_clone().unwrap()));
    tokio::spawn(serve::serve(listener, service, Arc::clone(&plane), stop));
    let server = Server {
        addr,
        plane,
        _stopper: stopper,
    };
    (server, file)
}

fn request(range: &Range<usize>) -> String {
    format!(
        "GET /{}-{} HTTP/1.1\r\nhost: a\r\n\r\n",
        range.start, range.end
    )
}

/// Reads one reply, head and body.
async fn reply(socket: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    socket.read_exact(&mut body).await.unwrap();
    body
}

#[tokio::test]
async fn the_bytes_of_the_file_arrive_in_order_also_when_many_are_asked_for_at_once() {
    let content = content(2 * PIECE_BYTES + 12_345);
    let (server, _file) = start(&content, Limits::default());
    let mut socket = TcpStream::connect(server.addr).await.unwrap();
    let end = content.len();
    let small = (0..40).map(|n| n * 1_000..n * 1_000 + 1 + n * 37);
    let large = [
        0..end,
        1..2,
        PIECE_BYTES - 1..PIECE_BYTES + 1,
        end - 7..end,
        5..5,
        3..end - 3,
    ];
    let ranges: Vec<_> = small.chain(large).collect();
    // All requests are sent before the first reply is read.
    let all: String = ranges.iter().map(request).collect();
    socket.write_all(all.as_bytes()).await.unwrap();
    for range in ranges {
        let body = reply(&mut socket).await;
        assert!(body == content[range.clone()], "{range:?}");
    }
}

#[tokio::test]
async fn a_peer_that_reads_in_sips_gets_all_and_one_that_reads_nothing_is_given_up() {
    let content = content(24 * 1024 * 1024);
    let patience = Limits {
        stall: Duration::from_millis(300),
        ..Limits::default()
    };
    let (server, _file) = start(&content, patience);
    let mut idle = TcpStream::connect(server.addr).await.unwrap();
    idle.write_all(request(&(0..content.len())).as_bytes())
        .await
        .unwrap();
    let mut slow = TcpStream::connect(server.addr).await.unwrap();
    slow.write_all(request(&(0..content.len())).as_bytes())
        .await
        .unwrap();
    let (mut read, mut sip) = (Vec::new(), vec![0; 64 * 1024]);
    while read.len() < content.len() {
        let sipped = slow.read(&mut sip).await.unwrap();
        assert!(sipped > 0, "broken off at {}", read.len());
        read.extend_from_slice(&sip[..sipped]);
        tokio::task::yield_now().await;
    }
    assert!(read[read.len() - 1_000..] == content[content.len() - 1_000..]);
    let given_up = async {
        while server.plane.open() > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), given_up).await.unwrap();
    let mut left = Vec::new();
    let _reset_or_end = idle.read_to_end(&mut left).await;
    assert!(
        left.len() < content.len(),
        "half is never taken for the whole"
    );
}

#[tokio::test]
async fn a_file_that_became_shorter_breaks_the_connection_off() {
    let content = content(3 * PIECE_BYTES);
    let (server, file) = start(&content, Limits::default());
    file.set_len(1_000).unwrap();
    let mut socket = TcpStream::connect(server.addr).await.unwrap();
    let asked = request(&(0..content.len()));
    socket.write_all(asked.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    let read = timeout(Duration::from_secs(5), socket.read_to_end(&mut all)).await;
    let _reset_or_end = read.expect("the server closes the connection");
    assert!(all.len() < 2_000, "{}", all.len());
    let head = all.windows(4).position(|four| four == b"\r\n\r\n");
    if let Some(head) = head {
        let body = &all[head + 4..];
        assert!(body == &content[..body.len()], "no placeholder is sent");
    }
}

#[test]
fn what_is_at_hand_is_known_and_what_is_not_can_be_fetched() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content(100_000)).unwrap();
    assert!(is_at_hand(&file, 0, 100_000) && is_at_hand(&file, 7, 0));
    fetch(&file, 1, 99_999).unwrap();
    let beyond = fetch(&file, 1, 100_000).unwrap_err();
    assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
}
