//! Bundles as a thousand slow phones take them, and the public port with a certificate of its own.

use std::{
    fs,
    io::{Cursor, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_rustls::rustls::{
    self, ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring,
    pki_types::CertificateDer,
};

use crate::{
    support::{
        components::{Leash, free_ports},
        server::{Backing, until},
        wire::Wire,
    },
    world::{HOST, World},
};

const READERS: usize = 1_000;
const MIB: u64 = 1024 * 1024;
/// What a thousand connections may take, each with what HTTP needs of its own; a bundle is 19 MiB.
const MOST: u64 = 64 * MIB;

/// Bytes that a process holds in memory.
fn resident(pid: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() * 1024
}

#[test]
fn a_thousand_slow_readers_take_no_memory() {
    let world = World::new(Backing::Embedded);
    let app = world.app(&[]);
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("picture.png", stored).unwrap();
    let mut picture = vec![0; 19 * MIB as usize];
    fastrand::Rng::with_seed(7).fill(&mut picture);
    zip.write_all(&picture).unwrap();
    let archive = zip.finish().unwrap().into_inner();
    let path = format!("/apps/{app}/versions?version=1.0.0&list=true");
    let asking = world.by(&world.ping, "POST", &path);
    world.done(&asking.body("application/zip", archive).send());
    world.rollout(&app, "stable = \"1.0.0\"\n");
    let told = world.told(&app, "phone-0001", "");
    let url = told["bundle"]["url"].as_str().unwrap().to_owned();
    let node = &world.cluster.nodes[0];
    let whole = node.wire().get(&url, &[]).unwrap();
    assert_eq!(whole.status, 200);

    let pid = fs::read_to_string(node.dir.join("huidu.pid")).unwrap();
    let before = resident(pid.trim());
    let request = format!("GET {url} HTTP/1.1\r\nhost: a\r\n\r\n");
    let begin = |_| {
        let mut stream = TcpStream::connect(node.device).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        stream
    };
    let readers: Vec<TcpStream> = (0..READERS).map(begin).collect();
    let during = resident(pid.trim());
    let grown = during.saturating_sub(before);
    println!(
        "{READERS} readers of {} MiB: {} MiB before, {} MiB during",
        whole.body.len() as u64 / MIB,
        before / MIB,
        during / MIB
    );
    assert!(grown < MOST, "{} MiB", grown / MIB);
    // Nobody else waits for them, and what they get in the end is the bundle.
    assert!(node.wire().get(&url, &[]).unwrap().body == whole.body);
    let poll = format!("/v1/manifest/{HOST}/{app}?u=phone-0002");
    assert_eq!(node.wire().get(&poll, &[]).unwrap().status, 200);
    for mut reader in readers.into_iter().step_by(211) {
        let mut rest = vec![0; whole.body.len()];
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            reader.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        reader.read_exact(&mut rest).unwrap();
        assert!(rest == whole.body);
    }
}

/// The same target over HTTP/2.
fn over_http_2(to: SocketAddr, target: &str) -> Bytes {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let socket = tokio::net::TcpStream::connect(to).await.unwrap();
        let (executor, io) = (TokioExecutor::new(), TokioIo::new(socket));
        let (mut send, connection) =
            hyper::client::conn::http2::handshake::<_, _, Empty<Bytes>>(executor, io)
                .await
                .unwrap();
        tokio::spawn(connection);
        let asked = http::Request::get(format!("http://device.test{target}"));
        let reply = send.send_request(asked.body(Empty::new()).unwrap()).await;
        reply
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
    })
}

/// Sent by the kernel from its file, or from memory: nobody can tell but by the metrics.
#[test]
fn a_bundle_is_the_same_by_every_way() {
    let world = World::new(Backing::Embedded);
    let app = world.app(&["1.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");
    let told = world.told(&app, "phone-0001", "");
    let url = told["bundle"]["url"].as_str().unwrap().to_owned();
    let node = &world.cluster.nodes[0];
    let bundle = world.bundle(&app, "1.0.0");
    let mut wire = node.wire();
    let whole = wire.get(&url, &[]).unwrap();
    assert!(whole.status == 200 && whole.body == bundle);
    let etag = whole.header("etag").to_owned();
    assert!(whole.header("repr-digest").starts_with("sha-256=:"));
    let head = wire.ask("HEAD", &url, &[], b"").unwrap();
    assert_eq!(head.header("content-length"), bundle.len().to_string());
    for (range, condition, status, part) in [
        ("bytes=0-0", None, 206, 0..1),
        ("bytes=100000-150000", None, 206, 100_000..150_001),
        ("bytes=-5", None, 206, bundle.len() - 5..bundle.len()),
        ("bytes=7-", Some(("if-range", &*etag)), 206, 7..bundle.len()),
        (
            "bytes=7-",
            Some(("if-range", "\"x\"")),
            200,
            0..bundle.len(),
        ),
        ("bytes=7-", Some(("if-none-match", &*etag)), 304, 0..0),
    ] {
        let headers = std::iter::once(("range", range)).chain(condition);
        let reply = wire.get(&url, &headers.collect::<Vec<_>>()).unwrap();
        assert_eq!(reply.status, status, "{range} {condition:?}");
        assert!(reply.body == bundle[part], "{range} {condition:?}");
    }
    assert!(over_http_2(node.device, &url) == bundle);
    let metrics = Wire::connect(node.control).unwrap().get("/metrics", &[]);
    let metrics = metrics.unwrap().text();
    for line in [
        r#"huidu_bundle_requests_total{source="file",status="206"} 4"#,
        r#"huidu_bundle_requests_total{source="memory",status="200"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

/// A new certificate for `localhost` in `dir`.
fn write_certificate(dir: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(dir.join("cert.pem"), cert.pem()).unwrap();
    fs::write(dir.join("key.pem"), signing_key.serialize_pem()).unwrap();
    cert.der().clone()
}

/// A connection of somebody who trusts this certificate alone.
fn connect(
    to: SocketAddr,
    trusted: &CertificateDer<'static>,
) -> Result<StreamOwned<ClientConnection, TcpStream>, Box<dyn std::error::Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone())?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let client = ClientConnection::new(Arc::new(config), "localhost".try_into()?)?;
    let mut stream = StreamOwned::new(client, stream);
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(stream)
}

/// One request, and how its reply begins.
fn status(stream: &mut impl ReadWrite, path: &str) -> std::io::Result<String> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes())?;
    let mut reply = vec![0; 16 * 1024];
    let read = stream.read(&mut reply)?;
    reply.truncate(read);
    Ok(String::from_utf8_lossy(&reply[..read.min(12)]).into_owned())
}

trait ReadWrite: std::io::Read + std::io::Write {}
impl<T: std::io::Read + std::io::Write> ReadWrite for T {}

#[test]
fn both_ports_speak_tls_and_show_a_new_certificate_when_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let before = write_certificate(dir.path());
    let [device, control] = free_ports().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let pem = |name: &str| dir.path().join(name).display().to_string();
    let mut args = vec!["serve".to_owned(), "--review".into(), "skipped".into()];
    args.extend(["--data-dir".into(), pem("data")]);
    args.extend(["--device-listen".into(), device.to_string()]);
    args.extend(["--control-listen".into(), control.to_string()]);
    for table in ["device", "control"] {
        for (key, file) in [("cert", "cert.pem"), ("key", "key.pem")] {
            args.extend(["--set".into(), format!("{table}.tls.{key}={}", pem(file))]);
        }
    }
    let program = Path::new(env!("CARGO_BIN_EXE_huidu"));
    let leash = Leash::start(program, &args, &dir.path().join("huidu.log"));
    leash.wait("huidu over TLS", || {
        connect(device, &before)
            .and_then(|mut stream| Ok(status(&mut stream, "/readyz")?))
            .is_ok_and(|status| status == "HTTP/1.1 200")
    });
    let mut old = connect(device, &before).unwrap();
    assert_eq!(status(&mut old, "/healthz").unwrap(), "HTTP/1.1 200");
    let mut private = connect(control, &before).unwrap();
    assert_eq!(status(&mut private, "/metrics").unwrap(), "HTTP/1.1 200");

    let after = write_certificate(dir.path());
    leash.signal("HUP");
    until("the new certificate", || {
        [device, control]
            .iter()
            .all(|port| connect(*port, &after).is_ok())
    });
    assert!(connect(device, &before).is_err(), "nobody sees the old one");
    assert_eq!(status(&mut old, "/healthz").unwrap(), "HTTP/1.1 200");
    // Wrong files change nothing, and are told in the log.
    fs::write(dir.path().join("cert.pem"), "nothing").unwrap();
    leash.signal("HUP");
    let told = || fs::read_to_string(dir.path().join("huidu.log")).unwrap();
    until("the refusal", || told().contains("stays in force"));
    assert!(
        told().contains("cert.pem` holds no certificate"),
        "{}",
        told()
    );
    let mut stream = connect(device, &after).unwrap();
    assert_eq!(status(&mut stream, "/healthz").unwrap(), "HTTP/1.1 200");
}
