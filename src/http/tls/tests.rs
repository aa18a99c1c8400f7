//! TLS with a real client: what is agreed on, what is refused, and a certificate that changes under way.

use std::{convert::Infallible, fs, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::Response;
use hyper::service::service_fn;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector, client,
    rustls::{ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore},
};

use super::*;
use crate::http::{
    body::Body,
    serve::{self, Limits, Plane, Stop, Stopper},
};

const NAME: &str = "origin.bank.test";

/// A certificate for [`NAME`], new every time, written to `dir`.
fn write_certificate(dir: &Path) -> (TlsFiles, CertificateDer<'static>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
    let files = TlsFiles {
        cert: dir.join("cert.pem"),
        key: dir.join("key.pem"),
    };
    fs::write(&files.cert, cert.pem()).unwrap();
    fs::write(&files.key, signing_key.serialize_pem()).unwrap();
    (files, cert.der().clone())
}

struct Server {
    addr: SocketAddr,
    tls: Arc<Tls>,
    plane: Arc<Plane>,
    _stopper: Stopper,
}

fn start(files: TlsFiles, limits: Limits) -> Server {
    let tls = Tls::open(files).unwrap();
    let listener = serve::listen(([127, 0, 0, 1], 0).into(), false).unwrap();
    let addr = listener.local_addr().unwrap();
    let plane = Plane::over(limits, (), Some(Arc::clone(&tls)));
    let (stopper, stop) = Stop::pair();
    let service = service_fn(|_| async {
        Ok::<_, Infallible>(Response::new(Body::from(Bytes::from_static(b"hello"))))
    });
    tokio::spawn(serve::serve(listener, service, Arc::clone(&plane), stop));
    Server {
        addr,
        tls,
        plane,
        _stopper: stopper,
    }
}

/// A client that trusts one certificate.
fn client(trusted: CertificateDer<'static>, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

async fn connect(
    server: &Server,
    config: &Arc<ClientConfig>,
) -> io::Result<client::TlsStream<TcpStream>> {
    let socket = TcpStream::connect(server.addr).await?;
    let name = NAME.try_into().unwrap();
    TlsConnector::from(Arc::clone(config))
        .connect(name, socket)
        .await
}

/// One request of HTTP/1.
async fn hello(stream: &mut client::TlsStream<TcpStream>) {
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut reply = Vec::new();
    while !reply.ends_with(b"hello") {
        assert!(stream.read_buf(&mut reply).await.unwrap() > 0, "breaks off");
    }
}

#[tokio::test]
async fn a_connection_agrees_on_tls_1_3_and_on_http() {
    let dir = tempfile::tempdir().unwrap();
    let (files, cert) = write_certificate(dir.path());
    let server = start(files, Limits::default());
    let over_1 = client(cert.clone(), &[b"http/1.1"]);
    let mut stream = connect(&server, &over_1).await.unwrap();
    let agreed = stream.get_ref().1;
    assert_eq!(agreed.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(agreed.alpn_protocol(), Some(&b"http/1.1"[..]));
    hello(&mut stream).await;

    let over_2 = client(cert, &[b"h2", b"http/1.1"]);
    let stream = connect(&server, &over_2).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut send, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("https://a/")
        .body(Body::empty())
        .unwrap();
    assert_eq!(send.send_request(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_session_is_taken_up_again_also_after_the_certificate_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (files, cert) = write_certificate(dir.path());
    let server = start(files, Limits::default());
    let config = client(cert, &[]);
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&server, &config).await.unwrap();
        hello(&mut stream).await;
        kinds.push(stream.get_ref().1.handshake_kind().unwrap());
    }
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
    write_certificate(dir.path());
    server.tls.reload().unwrap();
    let mut stream = connect(&server, &config).await.unwrap();
    hello(&mut stream).await;
    let kind = stream.get_ref().1.handshake_kind();
    assert_eq!(kind, Some(HandshakeKind::Resumed));
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (files, before) = write_certificate(dir.path());
    let server = start(files.clone(), Limits::default());
    let trusts_before = client(before, &[]);
    let mut old = connect(&server, &trusts_before).await.unwrap();
    hello(&mut old).await;
    let (_, after) = write_certificate(dir.path());
    // Not before it is told to.
    hello(&mut connect(&server, &trusts_before).await.unwrap()).await;
    server.tls.reload().unwrap();
    let trusts_after = client(after, &[]);
    hello(&mut connect(&server, &trusts_after).await.unwrap()).await;
    hello(&mut old).await;
    // What cannot be read changes nothing.
    fs::write(&files.key, "no key").unwrap();
    assert!(server.tls.reload().is_err());
    hello(&mut connect(&server, &trusts_after).await.unwrap()).await;
}

#[tokio::test]
async fn whoever_does_not_agree_in_time_or_speaks_no_tls_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let (files, _) = write_certificate(dir.path());
    let quick = Limits {
        handshake: Duration::from_millis(150),
        ..Limits::default()
    };
    let server = start(files, quick);
    for said in [
        &b""[..],
        b"\x16\x03\x01",
        b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let mut socket = TcpStream::connect(server.addr).await.unwrap();
        socket.write_all(said).await.unwrap();
        let mut reply = Vec::new();
        let read = timeout(Duration::from_secs(5), socket.read_to_end(&mut reply)).await;
        let _reset_or_end = read.expect("the server closes the connection");
        // An alert of TLS at most.
        assert!(reply.len() < 16, "{reply:?}");
    }
    let ended = async {
        while server.plane.open() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), ended).await.unwrap();
}

#[tokio::test]
async fn one_address_takes_no_more_than_its_part_and_a_handshake_under_way_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (files, cert) = write_certificate(dir.path());
    let few = Limits {
        per_address: 2,
        ..Limits::default()
    };
    let server = start(files, few);
    let config = client(cert, &[]);
    let mut agreed = connect(&server, &config).await.unwrap();
    hello(&mut agreed).await;
    let silent = TcpStream::connect(server.addr).await.unwrap();
    let taken = async {
        while server.plane.open() < 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), taken).await.unwrap();
    // Closed on, and nothing is said that is not TLS.
    let mut third = TcpStream::connect(server.addr).await.unwrap();
    let mut reply = Vec::new();
    let read = timeout(Duration::from_secs(5), third.read_to_end(&mut reply)).await;
    let _reset_or_end = read.expect("the server closes the connection");
    assert_eq!(reply, b"");
    assert!(connect(&server, &config).await.is_err());
    // Another address has its own part.
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind(([127, 0, 0, 2], 0).into()).unwrap();
    let socket = other.connect(server.addr).await.unwrap();
    let connector = TlsConnector::from(Arc::clone(&config));
    let over = connector.connect(NAME.try_into().unwrap(), socket).await;
    hello(&mut over.unwrap()).await;
    drop((silent, agreed));
    let freed = async {
        while server.plane.open() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), freed).await.unwrap();
    hello(&mut connect(&server, &config).await.unwrap()).await;
}

#[tokio::test]
async fn a_head_that_dribbles_over_tls_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let (files, cert) = write_certificate(dir.path());
    // Only the timer of heads can cut this off: everything else is patient.
    let limits = Limits {
        head: Duration::from_millis(150),
        ..Limits::default()
    };
    let server = start(files, limits);
    let mut stream = connect(&server, &client(cert, &[])).await.unwrap();
    hello(&mut stream).await;
    let (mut read, mut write) = tokio::io::split(stream);
    let dribble = async {
        loop {
            if write.write_all(b"G").await.is_err() || write.flush().await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let mut rest = Vec::new();
    let begun = tokio::time::Instant::now();
    let ended = timeout(Duration::from_secs(5), async {
        tokio::select! {
            _ended = read.read_to_end(&mut rest) => {}
            () = dribble => {}
        }
    });
    ended.await.expect("it is cut off");
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[test]
fn what_is_wrong_with_the_files_is_said() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (files, _) = write_certificate(dir.path());
    let (others, _) = write_certificate(other.path());
    let told = |files: TlsFiles| {
        let told = Tls::open(files).unwrap_err().to_string();
        let told = told.replace(&dir.path().display().to_string(), "DIR");
        told.replace(&other.path().display().to_string(), "OTHER")
    };
    let with = |cert: &Path, key: &Path| TlsFiles {
        cert: cert.to_owned(),
        key: key.to_owned(),
    };
    let absent = dir.path().join("absent.pem");
    insta::assert_snapshot!(told(with(&absent, &files.key)), @"`DIR/absent.pem` holds no certificate that can be read; name a file in PEM that this user may read");
    insta::assert_snapshot!(told(with(&files.key, &files.key)), @"`DIR/key.pem` holds no certificate that can be read; name a file in PEM that this user may read");
    insta::assert_snapshot!(told(with(&files.cert, &files.cert)), @"`DIR/cert.pem` holds no private key that can be read; name a file in PEM that this user may read");
    insta::assert_snapshot!(told(with(&files.cert, &others.key)), @"the key `OTHER/key.pem` does not serve the certificate `DIR/cert.pem`; name the key that the certificate was made for");
}
