//! Connections that dribble, rest, are too many, or are open when the server stops, over real sockets.

use bytes::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;

use super::*;

struct Server {
    addr: SocketAddr,
    plane: Arc<Plane>,
    stopper: Stopper,
    serving: tokio::task::JoinHandle<io::Result<()>>,
}

fn quick() -> Limits {
    Limits {
        head: Duration::from_millis(150),
        idle: Duration::from_millis(150),
        ..Limits::default()
    }
}

fn start(limits: Limits) -> Server {
    let listener = listen(([127, 0, 0, 1], 0).into(), false).unwrap();
    let addr = listener.local_addr().unwrap();
    let plane = Plane::new(limits, ());
    let (stopper, stop) = Stop::pair();
    let service = service_fn(|_| async {
        Ok::<_, Infallible>(Response::new(Body::from(Bytes::from_static(b"hello"))))
    });
    let serving = tokio::spawn(serve(listener, service, Arc::clone(&plane), stop));
    Server {
        addr,
        plane,
        stopper,
        serving,
    }
}

/// What the peer sends until it closes; an error when it does not close within five seconds.
async fn read_to_end(socket: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = timeout(Duration::from_secs(5), socket.read_to_end(&mut text)).await;
    // A reset after the last byte is a close as well.
    let _reset_or_end = read.expect("the server closes the connection");
    String::from_utf8(text).unwrap()
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Reads the reply to [`REQUEST`].
async fn hello(socket: &mut TcpStream) {
    socket.write_all(REQUEST).await.unwrap();
    let mut reply = Vec::new();
    while !reply.ends_with(b"hello") {
        assert!(
            socket.read_buf(&mut reply).await.unwrap() > 0,
            "the reply breaks off"
        );
    }
}

#[tokio::test]
async fn a_head_that_dribbles_is_cut_off() {
    // Only hyper's own timer can cut this off: everything else is patient.
    let patient = Limits {
        head: Duration::from_millis(150),
        ..Limits::default()
    };
    let server = start(patient);
    let mut socket = TcpStream::connect(server.addr).await.unwrap();
    // The first request is whole, so it is hyper's own timer that must be armed for the second.
    hello(&mut socket).await;
    let begun = tokio::time::Instant::now();
    let (mut read, mut write) = socket.split();
    let dribble = async {
        for byte in REQUEST.iter().cycle() {
            if *byte != b'\n' && write.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    let mut rest = Vec::new();
    tokio::select! {
        _ended = read.read_to_end(&mut rest) => {}
        () = dribble => {}
    }
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_millis(100) && took < Duration::from_secs(5),
        "{took:?}"
    );
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_half_a_preface_is_closed() {
    let server = start(quick());
    for said in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n"] {
        let mut socket = TcpStream::connect(server.addr).await.unwrap();
        socket.write_all(said).await.unwrap();
        assert_eq!(read_to_end(&mut socket).await, "");
    }
}

#[tokio::test]
async fn a_connection_that_rests_is_closed() {
    let server = start(quick());
    let mut socket = TcpStream::connect(server.addr).await.unwrap();
    hello(&mut socket).await;
    read_to_end(&mut socket).await;
}

#[tokio::test]
async fn an_http_2_connection_that_rests_is_closed() {
    let idle = Limits {
        idle: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = start(idle);
    let io = TokioIo::new(TcpStream::connect(server.addr).await.unwrap());
    let client = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
    let (mut send, connection) = client.await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("http://a/").body(Body::empty()).unwrap();
    assert_eq!(send.send_request(request).await.unwrap().status(), 200);
    let ended = timeout(Duration::from_secs(5), connection).await;
    ended.expect("the server says good-bye").unwrap().unwrap();
}

#[tokio::test]
async fn a_head_too_large_is_refused() {
    let server = start(Limits::default());
    let mut socket = TcpStream::connect(server.addr).await.unwrap();
    let large = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "y".repeat(20_000)
    );
    let _cut_off_while_writing = socket.write_all(large.as_bytes()).await;
    let reply = read_to_end(&mut socket).await;
    assert!(
        reply.is_empty() || reply.starts_with("HTTP/1.1 431 "),
        "{reply}"
    );
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_the_next_finds_the_place_free() {
    let server = start(Limits {
        connections: 2,
        ..Limits::default()
    });
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(server.addr).await.unwrap();
        hello(&mut socket).await;
        held.push(socket);
    }
    let mut third = TcpStream::connect(server.addr).await.unwrap();
    third.write_all(REQUEST).await.unwrap();
    let reply = read_to_end(&mut third).await;
    assert!(reply.starts_with("HTTP/1.1 503 "), "{reply}");
    assert!(reply.contains("\r\nretry-after: ") && reply.contains("too-many-connections"));
    drop(held);
    let freed = async {
        while server.plane.open() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), freed).await.unwrap();
    hello(&mut TcpStream::connect(server.addr).await.unwrap()).await;
}

#[tokio::test]
async fn one_address_takes_no_more_than_its_part() {
    let server = start(Limits {
        per_address: 2,
        ..Limits::default()
    });
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(server.addr).await.unwrap();
        hello(&mut socket).await;
        held.push(socket);
    }
    let mut third = TcpStream::connect(server.addr).await.unwrap();
    third.write_all(REQUEST).await.unwrap();
    let reply = read_to_end(&mut third).await;
    assert!(reply.starts_with("HTTP/1.1 503 "), "{reply}");
    // Another address has its own part.
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind(([127, 0, 0, 2], 0).into()).unwrap();
    hello(&mut other.connect(server.addr).await.unwrap()).await;
    drop(held);
    let freed = async {
        while server.plane.open() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), freed).await.unwrap();
    assert!(server.plane.by_address.is_empty(), "nobody is remembered");
    hello(&mut TcpStream::connect(server.addr).await.unwrap()).await;
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_ends() {
    let server = start(Limits::default());
    let mut socket = TcpStream::connect(server.addr).await.unwrap();
    hello(&mut socket).await;
    server.stopper.stop();
    timeout(Duration::from_secs(5), server.serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(read_to_end(&mut socket).await, "");
    assert_eq!(server.plane.open(), 0);
}

#[test]
fn several_listeners_share_one_port() {
    let listeners = listen_shared(([127, 0, 0, 1], 0).into(), 3).unwrap();
    let ports: Vec<_> = listeners
        .iter()
        .map(|l| l.local_addr().unwrap().port())
        .collect();
    assert!(
        ports[0] != 0 && ports.iter().all(|port| *port == ports[0]),
        "{ports:?}"
    );
}
