//! What the S3 store makes of each answer, seen against a server that gives one answer to all.
//! The contract itself runs against a real server, in `tests/it/s3.rs`.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;

const KEY: Key = Key::Log(1);

fn settings(port: u16) -> S3Settings {
    S3Settings {
        endpoint: format!("http://127.0.0.1:{port}"),
        region: "us-east-1".into(),
        bucket: "huidu".into(),
        prefix: "bank-a".parse().unwrap(),
        access_key: "who-i-am".into(),
        secret_key: "what-i-know".into(),
        timeout: Duration::from_secs(2),
    }
}

/// A server that answers every request with `answer`, or hangs up when there is none, and counts.
async fn server(answer: Option<&'static str>) -> (S3Store, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let store = S3Store::new(settings(listener.local_addr().unwrap().port()));
    let count = Arc::new(AtomicU32::new(0));
    let requests = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = read_request(&mut stream).await;
            assert!(head.contains("bank-a"), "{head}");
            requests.fetch_add(1, Ordering::SeqCst);
            if let Some(status) = answer {
                let close = "Content-Length: 0\r\nConnection: close\r\n\r\n";
                let reply = format!("HTTP/1.1 {status}\r\n{close}");
                let _ = stream.write_all(reply.as_bytes()).await;
            }
        }
    });
    (store, count)
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn only_412_is_a_definite_no_and_a_create_is_sent_exactly_once() {
    let table = [
        (Some("412 Precondition Failed"), true),
        (Some("409 Conflict"), false),
        (Some("304 Not Modified"), false),
        (Some("403 Forbidden"), false),
        (Some("404 Not Found"), false),
        (Some("429 Too Many Requests"), false),
        (Some("500 Internal Server Error"), false),
        (Some("503 Slow Down"), false),
        (None, false),
    ];
    for (answer, definite) in table {
        let (store, requests) = server(answer).await;
        let error = store.put_new(&KEY, Bytes::new()).await.unwrap_err();
        assert_eq!(error.is_already_exists(), definite, "{answer:?}: {error:?}");
        assert_eq!(error.is_unavailable(), !definite, "{answer:?}: {error:?}");
        assert_eq!(requests.load(Ordering::SeqCst), 1, "{answer:?}");
    }
}

#[tokio::test]
async fn what_may_be_repeated_is_tried_three_times() {
    for answer in [Some("503 Slow Down"), None] {
        let (store, requests) = server(answer).await;
        assert!(store.get(&KEY).await.unwrap_err().is_unavailable());
        assert_eq!(requests.load(Ordering::SeqCst), ATTEMPTS, "get, {answer:?}");
        assert!(
            store
                .put(&KEY, Bytes::new())
                .await
                .unwrap_err()
                .is_unavailable()
        );
        assert_eq!(
            requests.load(Ordering::SeqCst),
            2 * ATTEMPTS,
            "put, {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let store = S3Store::new(S3Settings {
        timeout: Duration::from_millis(100),
        ..settings(listener.local_addr().unwrap().port())
    });
    let bound = Duration::from_secs(10);
    let put = tokio::time::timeout(bound, store.put_new(&KEY, Bytes::new())).await;
    assert!(put.unwrap().unwrap_err().is_unavailable());
    let get = tokio::time::timeout(bound, store.get(&KEY)).await;
    assert!(get.unwrap().unwrap_err().is_unavailable());
}

#[tokio::test]
async fn a_bucket_that_nobody_listens_for_is_unavailable() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = unused.local_addr().unwrap().port();
    drop(unused);
    let store = S3Store::new(settings(port));
    assert!(
        store
            .list(Folder::Log, None)
            .await
            .unwrap_err()
            .is_unavailable()
    );
}

#[test]
fn no_secret_is_ever_printed() {
    let store = S3Store::new(settings(1));
    for text in [
        format!("{:?}", settings(1)),
        format!("{store:?}"),
        store.describe(),
    ] {
        assert!(!text.contains("what-i-know"), "{text}");
        assert!(!text.contains("who-i-am"), "{text}");
    }
}
