//! The device plane over a small node that never changes: whole replies, and the wire itself.

mod doubts;
mod feed;
mod ofrep;

use std::{collections::BTreeMap, net::SocketAddr, sync::Mutex};

use http_body_util::{BodyExt, Full};
use huidu_core::{
    catalogue::Catalogue,
    digest::Digest,
    revision::Revision,
    seal::{self, SignedStamp},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::*;
use crate::{
    http::serve::{self, Limits, Plane, Stop, Stopper},
    node::{
        bundles::MEMORY_OBJECT_BYTES,
        live::tests::{app, live_app, stamper},
    },
    store::{Key, Store, memory::MemoryStore},
};

struct Small {
    live: arc_swap::ArcSwap<Live>,
    bundles: Bundles,
    feedback: Feedback,
    metrics: Arc<Metrics>,
    store: Arc<MemoryStore>,
    key: Option<VerifyingKey>,
}

impl Origin for Small {
    fn live(&self) -> Guard<Arc<Live>> {
        self.live.load()
    }
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(2_000_000)
    }
    fn bundles(&self) -> &Bundles {
        &self.bundles
    }
    fn feedback(&self) -> &Feedback {
        &self.feedback
    }
    fn metrics(&self) -> &Metrics {
        &self.metrics
    }
    fn readiness(&self) -> Readiness {
        Readiness {
            signs: true,
            revision: self.live.load().revision,
            asof: Timestamp::from_unix_ms(1_000_000),
            store: true,
            bus: false,
            from_store: true,
            ready: self.live.load().revision > Revision::ZERO,
            why: vec!["bus-down"],
        }
    }
    fn rhythm(&self) -> Rhythm {
        Rhythm {
            after_ms: 600_000,
            spread_ms: 60_000,
        }
    }
    fn development_key(&self) -> Option<VerifyingKey> {
        self.key
    }
}

const TRAVEL: &str = r#"
    hosts = ["retail-bank"]
    stable = "1.0.0"
    [[rule]]
    name = "beta"
    when = { tag = "beta" }
    serve = "1.1.0"
    [[rule]]
    name = "skins"
    when = { platform = "ios" }
    split = { a = { serve = "1.0.0", weight = 1 }, b = { serve = "1.1.0", weight = 1 } }
"#;

fn bundle(version: &str) -> Digest {
    Digest::of(format!("bundle of {version}").as_bytes())
}

/// A node with `pingan/travel` and `pingan/coffee`, and their bundles.
async fn small() -> Arc<Small> {
    let (metrics, stamper) = (Arc::new(Metrics::new()), stamper());
    let store = Arc::new(MemoryStore::new());
    for version in ["1.0.0", "1.1.0"] {
        let bytes = Bytes::from(format!("bundle of {version}"));
        store
            .put_new(&Key::Cas(bundle(version)), bytes)
            .await
            .unwrap();
    }
    let catalogue = Catalogue {
        audience: "bank/prod".into(),
        revision: Revision::new(4),
        ..Catalogue::default()
    };
    let coffee = "hosts = [\"retail-bank\"]\nstable = \"1.0.0\"";
    let apps = [
        app("pingan/travel", &["1.0.0", "1.1.0"], TRAVEL),
        app("pingan/coffee", &["1.0.0"], coffee),
    ];
    let apps = apps.map(|app| live_app(&app, &stamper, &metrics));
    let live = Live::empty()
        .with_apps(Revision::new(4), apps)
        .with_kills(&catalogue, &stamper, &metrics);
    let as_store: Arc<dyn Store> = store.clone();
    Arc::new(Small {
        live: arc_swap::ArcSwap::from_pointee(live),
        bundles: Bundles::new(as_store, 64 * 1024 * 1024, Arc::clone(&metrics)),
        feedback: Feedback::new(
            Arc::clone(&metrics),
            "01jz0000000000000000000001".parse().unwrap(),
        ),
        metrics,
        store,
        key: None,
    })
}

async fn plane() -> DevicePlane<Small> {
    DevicePlane::new(small().await, Bounds::default())
}

struct Reply {
    status: u16,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// Everything, with stamps and chance replaced.
    fn whole(&self) -> String {
        let headers: BTreeMap<_, _> = self
            .headers
            .iter()
            .map(|(name, value)| {
                let value = match name.as_str() {
                    "huidu-stamp" => "<stamp>",
                    "retry-after" => "<seconds>",
                    _ => value.to_str().unwrap(),
                };
                (name.as_str(), value.to_owned())
            })
            .collect();
        let headers: String = headers.iter().map(|(n, v)| format!("\n{n}: {v}")).collect();
        let mut text = self.text();
        while let Some(at) = text.find("v1.aab53bf186c65dff.") {
            text.replace_range(at..at + seal::HEADER_BYTES, "<stamp>");
        }
        format!("{}{headers}\n\n{text}", self.status)
    }
}

async fn ask<O: Origin>(
    plane: &DevicePlane<O>,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    let reply = plane.answer(request).await.unwrap();
    let (head, body) = reply.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Reply {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
    }
}

const ONE: &str = "/v1/manifest/retail-bank/pingan/travel?u=dev-1";

#[tokio::test]
async fn a_poll_is_answered_whole() {
    let reply = ask(&plane().await, "GET", ONE, &[], "").await;
    insta::assert_snapshot!(reply.whole(), @r#"
    200
    cache-control: private, no-cache
    content-type: application/json
    etag: "66a13219cf3b009ba52d3285e4f22319"
    huidu-stamp: <stamp>
    vary: Huidu-Device

    {"v":1,"aud":"bank/prod","app":"pingan/travel","rev":3,"state":"run","version":"1.0.0","bundle":{"sha256":"34ce8c1261e7e721198fd3e1f4a918d085c3444834868983c0d20fd448f45b0b","len":15,"format":"zip","url":"/v1/bundles/sha256/34ce8c1261e7e721198fd3e1f4a918d085c3444834868983c0d20fd448f45b0b"},"reason":"stable","poll_after_ms":600000,"poll_spread_ms":60000,"on_stale":"run"}
    "#);
}

#[tokio::test]
async fn head_tells_the_same_without_a_body() {
    let plane = plane().await;
    let (get, head) = (
        ask(&plane, "GET", ONE, &[], "").await,
        ask(&plane, "HEAD", ONE, &[], "").await,
    );
    assert_eq!(head.header("content-length"), get.body.len().to_string());
    assert_eq!(
        (head.status, head.body.len(), head.header("etag")),
        (200, 0, get.header("etag"))
    );
}

#[tokio::test]
async fn a_304_is_given_for_this_answer_and_for_no_other() {
    let plane = plane().await;
    let first = ask(&plane, "GET", ONE, &[], "").await;
    let etag = first.header("etag");
    let same = ask(&plane, "GET", ONE, &[("if-none-match", etag)], "").await;
    insta::assert_snapshot!(same.whole(), @r#"
    304
    cache-control: private, no-cache
    etag: "66a13219cf3b009ba52d3285e4f22319"
    huidu-stamp: <stamp>
    vary: Huidu-Device
    "#);
    // The same device in the header, and other devices with the same answer: the same bytes.
    let path = "/v1/manifest/retail-bank/pingan/travel";
    let by_header = [
        ("huidu-device", "u=dev-2&p=android"),
        ("if-none-match", etag),
    ];
    assert_eq!(ask(&plane, "GET", path, &by_header, "").await.status, 304);
    // Other attributes lead elsewhere, and what the device has says nothing about that.
    let beta = ask(
        &plane,
        "GET",
        &format!("{ONE}&t=beta"),
        &[("if-none-match", etag)],
        "",
    )
    .await;
    assert_eq!(beta.status, 200);
    assert!(
        beta.text().contains(r#""version":"1.1.0""#) && beta.text().contains(r#""rule":"beta""#)
    );
    // A release that failed on the device is not offered to it again.
    let failed = ask(&plane, "GET", &format!("{ONE}&t=beta&x=1.1.0"), &[], "").await;
    assert!(
        failed.text().contains(r#""version":"1.0.0""#),
        "{}",
        failed.text()
    );
}

#[tokio::test]
async fn polls_are_counted_by_outcome_and_by_what_was_served() {
    let plane = plane().await;
    ask(&plane, "GET", ONE, &[], "").await;
    ask(&plane, "GET", &format!("{ONE}&t=beta"), &[], "").await;
    ask(
        &plane,
        "GET",
        "/v1/manifest/other/pingan/travel?u=d",
        &[],
        "",
    )
    .await;
    plane.origin.live.load().tell();
    let text = plane.origin.metrics.render();
    for line in [
        r#"huidu_polls_total{reason="stable",state="run"} 1"#,
        r#"huidu_polls_total{reason="rule",state="run"} 1"#,
        r#"huidu_polls_total{reason="none",state="none"} 1"#,
        r#"huidu_served_total{app="pingan/travel",arm="",rule="beta",version="1.1.0"} 1"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn refused_single_polls() {
    let plane = plane().await;
    let path = "/v1/manifest/retail-bank/pingan/travel";
    let missing = ask(&plane, "GET", path, &[], "").await;
    insta::assert_snapshot!(missing.whole(), @r#"
    400
    cache-control: no-store
    content-type: application/problem+json

    {"type":"urn:huidu:problem:bad-poll","title":"The poll is not understood","status":400,"detail":"field `u` is missing; every poll states it","code":"bad-poll","field":"u"}
    "#);
    let unknown = ask(
        &plane,
        "GET",
        "/v1/manifest/retail-bank/pingan/nothing?u=d",
        &[],
        "",
    )
    .await;
    insta::assert_snapshot!(unknown.whole(), @r#"
    404
    cache-control: no-store
    content-type: application/problem+json

    {"type":"urn:huidu:problem:unknown-app","title":"Unknown app","status":404,"detail":"this app is not known here; check host, tenant and app in the path","code":"unknown-app"}
    "#);
    let twice = ask(&plane, "GET", ONE, &[("huidu-device", "u=dev-1")], "").await;
    insta::assert_snapshot!(twice.whole(), @r#"
    400
    cache-control: no-store
    content-type: application/problem+json

    {"type":"urn:huidu:problem:bad-poll","title":"The poll is not understood","status":400,"detail":"a device states itself once: in the query string or in one Huidu-Device header","code":"bad-poll","field":"Huidu-Device"}
    "#);
    let posted = ask(&plane, "POST", ONE, &[], "").await;
    insta::assert_snapshot!(posted.whole(), @r#"
    405
    allow: GET, HEAD
    cache-control: no-store
    content-type: application/problem+json

    {"type":"urn:huidu:problem:wrong-method","title":"Wrong method","status":405,"detail":"this path is not served by this method; use one that the Allow header names","code":"wrong-method"}
    "#);
}

const BATCH: &str = r#"{"host":"retail-bank","device":{"unit":"dev-1"},
    "apps":[{"app":"pingan/travel"},{"app":"pingan/none"},{"app":"pingan/coffee"}]}"#;

fn etags(reply: &Reply) -> Vec<(String, String)> {
    let reply: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let apps = reply["apps"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    apps.map(|app| (text(&app["app"]), text(&app["etag"])))
        .collect()
}

#[tokio::test]
async fn a_batch_is_answered_whole_and_again_with_what_differs() {
    let plane = plane().await;
    let all = ask(&plane, "POST", "/v1/poll", &[], BATCH).await;
    insta::assert_snapshot!(all.whole(), @r#"
    200
    cache-control: private, no-cache
    content-type: application/json
    etag: "b02fa74527485212d36dcf6a63e139f3"
    huidu-stamp: <stamp>

    {"v":1,"poll_after_ms":600000,"poll_spread_ms":60000,"apps":[{"app":"pingan/travel","etag":"\"66a13219cf3b009ba52d3285e4f22319\"","stamp":"<stamp>","manifest":{"v":1,"aud":"bank/prod","app":"pingan/travel","rev":3,"state":"run","version":"1.0.0","bundle":{"sha256":"34ce8c1261e7e721198fd3e1f4a918d085c3444834868983c0d20fd448f45b0b","len":15,"format":"zip","url":"/v1/bundles/sha256/34ce8c1261e7e721198fd3e1f4a918d085c3444834868983c0d20fd448f45b0b"},"reason":"stable","poll_after_ms":600000,"poll_spread_ms":60000,"on_stale":"run"}},{"app":"pingan/none","error":"unknown-app"},{"app":"pingan/coffee","etag":"\"858205ed6bd3311b2ff63234a96fe285\"","stamp":"<stamp>","manifest":{"v":1,"aud":"bank/prod","app":"pingan/coffee","rev":3,"state":"run","version":"1.0.0","bundle":{"sha256":"34ce8c1261e7e721198fd3e1f4a918d085c3444834868983c0d20fd448f45b0b","len":15,"format":"zip","url":"/v1/bundles/sha256/34ce8c1261e7e721198fd3e1f4a918d085c3444834868983c0d20fd448f45b0b"},"reason":"stable","poll_after_ms":600000,"poll_spread_ms":60000,"on_stale":"run"}}]}
    "#);

    let single = ask(&plane, "GET", ONE, &[], "").await;
    let known = etags(&all);
    assert_eq!(
        known[0],
        ("pingan/travel".into(), single.header("etag").into())
    );
    assert!(
        all.text().contains(&single.text()),
        "the manifest stands there verbatim"
    );

    let same = ask(
        &plane,
        "POST",
        "/v1/poll",
        &[("if-none-match", all.header("etag"))],
        BATCH,
    )
    .await;
    insta::assert_snapshot!(same.whole(), @r#"
    304
    cache-control: private, no-cache
    etag: "b02fa74527485212d36dcf6a63e139f3"
    huidu-stamp: <stamp>
    "#);

    let bare = known[0].1.trim_matches('"');
    let some = BATCH.replace(
        r#""pingan/travel"}"#,
        &format!(r#""pingan/travel","etag":"{bare}"}}"#),
    );
    let differs = etags(&ask(&plane, "POST", "/v1/poll", &[], &some).await);
    assert_eq!(
        differs
            .iter()
            .map(|(app, _)| app.as_str())
            .collect::<Vec<_>>(),
        ["pingan/none", "pingan/coffee"]
    );

    let quoted = |at: usize| serde_json::to_string(&known[at].1).unwrap();
    let every = format!(
        r#"{{"host":"retail-bank","device":{{"unit":"dev-1"}},"apps":[{{"app":"pingan/travel","etag":{}}},{{"app":"pingan/coffee","etag":{}}}]}}"#,
        quoted(0),
        quoted(2),
    );
    let nothing = ask(&plane, "POST", "/v1/poll", &[], &every).await;
    assert_eq!(
        (nothing.status, nothing.header("huidu-stamp").len()),
        (304, seal::HEADER_BYTES)
    );
    let beta = every.replace(r#""unit":"dev-1""#, r#""unit":"dev-1","tags":["beta"]"#);
    let moved = ask(
        &plane,
        "POST",
        "/v1/poll",
        &[("if-none-match", nothing.header("etag"))],
        &beta,
    )
    .await;
    assert_eq!(
        etags(&moved).len(),
        1,
        "only the app whose answer these attributes change"
    );
}

#[tokio::test]
async fn refused_batches() {
    let plane = plane().await;
    let twice = BATCH.replace("pingan/none", "pingan/travel");
    let reply = ask(&plane, "POST", "/v1/poll", &[], &twice).await;
    insta::assert_snapshot!(reply.whole(), @r#"
    400
    cache-control: no-store
    content-type: application/problem+json

    {"type":"urn:huidu:problem:bad-poll","title":"The poll is not understood","status":400,"detail":"field `apps.app` is given twice; give it once","code":"bad-poll","field":"apps.app"}
    "#);
    let reply = ask(&plane, "POST", "/v1/poll", &[], "{").await;
    insta::assert_snapshot!(reply.whole(), @r#"
    400
    cache-control: no-store
    content-type: application/problem+json

    {"type":"urn:huidu:problem:bad-poll","title":"The poll is not understood","status":400,"detail":"the body is not the JSON of a poll at line 1 column 1: it ends too early","code":"bad-poll"}
    "#);
    let large = " ".repeat(limits::POLL_BODY_BYTES + 1);
    let reply = ask(&plane, "POST", "/v1/poll", &[], &large).await;
    insta::assert_snapshot!(reply.whole(), @r#"
    413
    cache-control: no-store
    content-type: application/problem+json

    {"type":"urn:huidu:problem:body-too-large","title":"The body is too large","status":413,"detail":"the body has more than 262144 bytes; send less","code":"body-too-large"}
    "#);
    let reply = ask(&plane, "GET", "/v1/poll", &[], "").await;
    assert_eq!((reply.status, reply.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn the_list_of_kills() {
    let plane = plane().await;
    let list = ask(&plane, "GET", "/v1/kills", &[], "").await;
    insta::assert_snapshot!(list.whole(), @r#"
    200
    cache-control: public, max-age=2
    content-type: application/json
    etag: "357859b5bde3a88988138dd564f45db9"
    huidu-stamp: <stamp>

    {"v":1,"aud":"bank/prod","rev":4,"kills":[]}
    "#);
    let same = ask(
        &plane,
        "GET",
        "/v1/kills",
        &[("if-none-match", list.header("etag"))],
        "",
    )
    .await;
    assert_eq!(
        (same.status, same.header("huidu-stamp").is_empty()),
        (304, false)
    );
    let posted = ask(&plane, "POST", "/v1/kills", &[], "").await;
    insta::assert_snapshot!(posted.whole(), @r#"
    405
    allow: GET, HEAD
    cache-control: no-store
    content-type: application/problem+json

    {"type":"urn:huidu:problem:wrong-method","title":"Wrong method","status":405,"detail":"this path is not served by this method; use one that the Allow header names","code":"wrong-method"}
    "#);
    plane.origin.live.store(Arc::new(Live::empty()));
    let early = ask(&plane, "GET", "/v1/kills", &[], "").await;
    insta::assert_snapshot!(early.whole(), @r#"
    503
    cache-control: no-store
    content-type: application/problem+json
    retry-after: <seconds>

    {"type":"urn:huidu:problem:not-ready","title":"Not ready","status":503,"detail":"this node has nothing to serve yet; try again after Retry-After seconds","code":"not-ready"}
    "#);
}

#[tokio::test]
async fn a_bundle_whole_from_the_store_then_from_memory() {
    let plane = plane().await;
    let path = format!("/v1/bundles/sha256/{}", bundle("1.0.0"));
    let cold = ask(&plane, "GET", &path, &[], "").await;
    insta::assert_snapshot!(cold.whole(), @r#"
    200
    accept-ranges: bytes
    cache-control: public, max-age=31536000, immutable
    content-type: application/octet-stream
    etag: "34ce8c1261e7e721198fd3e1f4a918d085c3444834868983c0d20fd448f45b0b"
    repr-digest: sha-256=:NM6MEmHn5yEZj9Ph9KkY0IXDREg0homDwNIP1Ej0Wws=:

    bundle of 1.0.0
    "#);
    let hot = ask(&plane, "GET", &path, &[], "").await;
    assert_eq!(hot.whole(), cold.whole());
    let head = ask(&plane, "HEAD", &path, &[], "").await;
    assert_eq!(
        (head.status, head.header("content-length"), head.body.len()),
        (200, "15", 0)
    );
    let same = ask(
        &plane,
        "GET",
        &path,
        &[("if-none-match", cold.header("etag"))],
        "",
    )
    .await;
    insta::assert_snapshot!(same.whole(), @r#"
    304
    cache-control: public, max-age=31536000, immutable
    etag: "34ce8c1261e7e721198fd3e1f4a918d085c3444834868983c0d20fd448f45b0b"
    "#);
}

#[tokio::test]
async fn parts_of_a_bundle() {
    let plane = plane().await;
    let path = format!("/v1/bundles/sha256/{}", bundle("1.0.0"));
    let etag = format!("\"{}\"", bundle("1.0.0"));
    let none = ("accept", "*/*");
    for (range, condition, status, content_range, body) in [
        ("bytes=0-5", none, 206, "bytes 0-5/15", "bundle"),
        ("bytes=10-", none, 206, "bytes 10-14/15", "1.0.0"),
        ("bytes=-5", none, 206, "bytes 10-14/15", "1.0.0"),
        ("bytes=0-99", none, 206, "bytes 0-14/15", "bundle of 1.0.0"),
        ("bytes=0-1,3-4", none, 200, "", "bundle of 1.0.0"),
        ("chapters=1-2", none, 200, "", "bundle of 1.0.0"),
        (
            "bytes=0-5",
            ("if-range", &*etag),
            206,
            "bytes 0-5/15",
            "bundle",
        ),
        (
            "bytes=0-5",
            ("if-range", "\"other\""),
            200,
            "",
            "bundle of 1.0.0",
        ),
        ("bytes=0-5", ("if-none-match", &*etag), 304, "", ""),
    ] {
        let reply = ask(&plane, "GET", &path, &[("range", range), condition], "").await;
        let got = (reply.status, reply.header("content-range"), reply.text());
        assert_eq!(
            got,
            (status, content_range, body.to_owned()),
            "{range} {condition:?}"
        );
    }
    let beyond = ask(&plane, "GET", &path, &[("range", "bytes=15-")], "").await;
    insta::assert_snapshot!(beyond.whole(), @r#"
    416
    cache-control: no-store
    content-range: bytes */15
    content-type: application/problem+json

    {"type":"urn:huidu:problem:bad-range","title":"The range does not exist","status":416,"detail":"the range lies beyond the end; the bundle has 15 bytes","code":"bad-range","field":"Range"}
    "#);
}

#[tokio::test]
async fn a_large_bundle_is_streamed_whole_and_in_part() {
    let origin = small().await;
    let bytes: Bytes = vec![7; MEMORY_OBJECT_BYTES as usize + 100].into();
    let digest = Digest::of(&bytes);
    origin
        .store
        .put_new(&Key::Cas(digest), bytes.clone())
        .await
        .unwrap();
    let mut large = app("pingan/large", &["1.0.0"], "hosts = []\nstable = \"1.0.0\"");
    for version in large.versions.values_mut() {
        Arc::make_mut(version).bundle.sha256 = digest;
    }
    let live = origin
        .live
        .load()
        .with_app(live_app(&large, &stamper(), &origin.metrics));
    origin.live.store(Arc::new(live));
    let plane = DevicePlane::new(origin, Bounds::default());
    let path = format!("/v1/bundles/sha256/{digest}");
    let whole = ask(&plane, "GET", &path, &[], "").await;
    assert!(whole.status == 200 && whole.body == bytes);
    let part = ask(&plane, "GET", &path, &[("range", "bytes=-1000")], "").await;
    assert_eq!((part.status, part.body.len()), (206, 1_000));
    let head = ask(&plane, "HEAD", &path, &[], "").await;
    assert_eq!(head.header("content-length"), bytes.len().to_string());
    plane.origin.live.load().tell();
    let metrics = plane.origin.metrics.render();
    let sent = format!(
        r#"huidu_bundle_bytes_total{{source="store"}} {}"#,
        bytes.len() + 1_000
    );
    assert!(metrics.contains(&sent), "{metrics}");
}

#[tokio::test]
async fn what_no_device_may_have_is_absent() {
    let plane = plane().await;
    // A segment lies in the same store, under a name of the same form.
    let segment = Bytes::from_static(b"units");
    plane
        .origin
        .store
        .put_new(&Key::Cas(Digest::of(&segment)), segment.clone())
        .await
        .unwrap();
    let path = format!("/v1/bundles/sha256/{}", Digest::of(&segment));
    let reply = ask(&plane, "GET", &path, &[], "").await;
    insta::assert_snapshot!(reply.whole(), @r#"
    404
    cache-control: no-store
    content-type: application/problem+json

    {"type":"urn:huidu:problem:unknown-bundle","title":"Unknown bundle","status":404,"detail":"no version that devices may have has this bundle; poll for a manifest and use its bundle","code":"unknown-bundle"}
    "#);
    let reply = ask(&plane, "GET", "/v1/bundles/sha256/ABC", &[], "").await;
    insta::assert_snapshot!(reply.whole(), @r#"
    400
    cache-control: no-store
    content-type: application/problem+json

    {"type":"urn:huidu:problem:bad-digest","title":"The digest is not understood","status":400,"detail":"a digest is 64 lowercase hexadecimal digits (SHA-256), not 3 bytes of something else","code":"bad-digest","field":"hex"}
    "#);
    // Known to the catalogue, lost by the store.
    let lost = app("pingan/lost", &["9.9.9"], "hosts = []\nstable = \"9.9.9\"");
    let live = plane
        .origin
        .live
        .load()
        .with_app(live_app(&lost, &stamper(), &Metrics::new()));
    plane.origin.live.store(Arc::new(live));
    let path = format!("/v1/bundles/sha256/{}", bundle("9.9.9"));
    assert_eq!(ask(&plane, "GET", &path, &[], "").await.status, 404);
}

#[tokio::test]
async fn events_are_counted_under_names_the_catalogue_knows() {
    let plane = plane().await;
    let report = r#"{"host":"retail-bank","unit":"ignored","events":[
        {"app":"pingan/travel","version":"1.1.0","rule":"skins","arm":"b","event":"activate","count":3},
        {"app":"pingan/travel","version":"7.7.7","rule":"made-up","event":"crash"},
        {"app":"pingan/unknown","version":"1.0.0","event":"crash"},
        {"app":"pingan/coffee","version":"1.0.0","event":"load-failed"}]}"#;
    let reply = ask(&plane, "POST", "/v1/events", &[], report).await;
    insta::assert_snapshot!(reply.whole(), @r#"
    202
    cache-control: no-store
    content-type: application/json

    {"accepted":3}
    "#);
    let named = |id: u8, rest: &str| {
        format!(r#"{{"id":"{id:032x}","app":"pingan/travel","version":"1.1.0",{rest}}}"#)
    };
    let events = [
        named(1, r#""rule":"skins","arm":"b","event":"crashed""#),
        named(1, r#""rule":"skins","arm":"b","event":"crashed""#),
        named(2, r#""rule":"skins","arm":"z","event":"crashed""#),
        named(3, r#""event":"converted","sent":3600"#),
        named(4, r#""event":"counter","code":"paid","count":5"#),
    ];
    let report = format!(
        r#"{{"host":"retail-bank","events":[{}]}}"#,
        events.join(",")
    );
    let reply = ask(&plane, "POST", "/v1/events", &[], &report).await;
    assert_eq!(
        reply.text(),
        r#"{"accepted":2,"duplicates":1,"refused":[{"index":2,"code":"unknown-arm"},{"index":3,"code":"too-late"}]}"#
    );
    let counted: Vec<_> = plane
        .origin
        .feedback
        .snapshot()
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    insta::assert_snapshot!(counted.join("\n"), @r"
    pingan/coffee|1.0.0|||load-failed 1
    pingan/travel|1.1.0|skins|b|activated 3
    pingan/travel|1.1.0|skins|b|crashed 1
    pingan/travel|1.1.0|||counter|paid 5
    pingan/travel|other|other|other|crashed 1
    ");
}

#[tokio::test]
async fn refused_reports() {
    let plane = plane().await;
    let event = |event: &str| format!(r#"{{"host":"retail-bank","events":[{event}]}}"#);
    let many = vec![r#"{"app":"a/b","version":"1.0.0","event":"crash"}"#; 1_001].join(",");
    for (body, field) in [
        (
            event(r#"{"app":"travel","version":"1","event":"crash"}"#),
            "events.app",
        ),
        (
            event(r#"{"app":"a/b","version":"","event":"crash"}"#),
            "events.version",
        ),
        (
            event(r#"{"app":"a/b","version":"1","rule":"R","event":"crash"}"#),
            "events.rule",
        ),
        (
            event(r#"{"app":"a/b","version":"1","arm":"!","event":"crash"}"#),
            "events.arm",
        ),
        (
            event(r#"{"app":"a/b","version":"1","event":"explode"}"#),
            "events.event",
        ),
        (
            event(r#"{"app":"a/b","version":"1","event":"crash","count":0}"#),
            "events.count",
        ),
        (
            event(r#"{"app":"a/b","version":"1","event":"crash","count":1001}"#),
            "events.count",
        ),
        (event(&many), "events"),
        (r#"{"host":"Retail Bank","events":[]}"#.to_owned(), "host"),
    ] {
        let reply = ask(&plane, "POST", "/v1/events", &[], &body).await;
        let problem: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(
            (reply.status, problem["field"].as_str()),
            (400, Some(field)),
            "{problem}"
        );
    }
    let reply = ask(
        &plane,
        "POST",
        "/v1/events",
        &[],
        r#"{"host":"b","events":[{}]}"#,
    )
    .await;
    insta::assert_snapshot!(reply.whole(), @r#"
    400
    cache-control: no-store
    content-type: application/problem+json

    {"type":"urn:huidu:problem:bad-report","title":"The report is not understood","status":400,"detail":"the body is not the JSON of a report at line 1 column 24: a field is missing, given twice, or of the wrong kind","code":"bad-report"}
    "#);
    assert!(plane.origin.feedback.snapshot().is_empty());
}

#[tokio::test]
async fn health_and_readiness() {
    let plane = plane().await;
    insta::assert_snapshot!(ask(&plane, "GET", "/healthz", &[], "").await.whole(), @r#"
    200
    cache-control: no-store
    content-type: application/json

    {"status":"ok"}
    "#);
    insta::assert_snapshot!(ask(&plane, "GET", "/readyz", &[], "").await.whole(), @r#"
    200
    cache-control: no-store
    content-type: application/json

    {"ready":true,"revision":4,"asof":"1970-01-01T00:16:40Z","store":true,"bus":false,"from":"store","why":["bus-down"]}
    "#);
    plane.origin.live.store(Arc::new(Live::empty()));
    insta::assert_snapshot!(ask(&plane, "GET", "/readyz", &[], "").await.whole(), @r#"
    503
    cache-control: no-store
    content-type: application/json

    {"ready":false,"revision":0,"asof":"1970-01-01T00:16:40Z","store":true,"bus":false,"from":"store","why":["bus-down"]}
    "#);
    assert_eq!(ask(&plane, "DELETE", "/readyz", &[], "").await.status, 405);
}

#[tokio::test]
async fn only_a_development_server_hands_out_its_key() {
    let production = ask(&plane().await, "GET", "/v1/keys/dev", &[], "").await;
    assert_eq!(production.status, 404, "{}", production.text());
    assert!(production.text().contains("unknown-path"));
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
    let small = Arc::into_inner(small().await).unwrap();
    let small = Small {
        key: Some(key),
        ..small
    };
    let plane = DevicePlane::new(Arc::new(small), Bounds::default());
    insta::assert_snapshot!(ask(&plane, "GET", "/v1/keys/dev", &[], "").await.whole(), @r#"
    200
    cache-control: no-store
    content-type: application/json

    {"kid":"aab53bf186c65dff","pub":"ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c","development":true}
    "#);
    assert_eq!(
        ask(&plane, "POST", "/v1/keys/dev", &[], "").await.status,
        405
    );
}

#[tokio::test]
async fn paths_that_are_not_served() {
    let plane = plane().await;
    insta::assert_snapshot!(ask(&plane, "GET", "/api/v1/status", &[], "").await.whole(), @r#"
    404
    cache-control: no-store
    content-type: application/problem+json

    {"type":"urn:huidu:problem:unknown-path","title":"Unknown path","status":404,"detail":"this path is not served here; the device plane serves /v1/manifest/{host}/{tenant}/{app}, /v1/poll, /v1/kills, /v1/kills/events, /v1/bundles/sha256/{hex} and /v1/events","code":"unknown-path"}
    "#);
    for path in [
        "/",
        "/v1/manifest/",
        "/v1/manifest/h/t",
        "/v1/manifest/h/t/a/b",
        "/v1/bundles/sha256/a/b",
        "/v1/poll/",
        "/v1",
    ] {
        let reply = ask(&plane, "GET", &format!("{path}?u=d"), &[], "").await;
        assert_eq!(
            (reply.status, reply.text().contains("unknown-path")),
            (404, true),
            "{path}"
        );
    }
    let many: Vec<_> = (0..70).map(|_| ("x", "y")).collect();
    insta::assert_snapshot!(ask(&plane, "GET", ONE, &many, "").await.whole(), @r#"
    431
    cache-control: no-store
    content-type: application/problem+json

    {"type":"urn:huidu:problem:too-many-headers","title":"Too many headers","status":431,"detail":"the request has more than 64 headers; send fewer","code":"too-many-headers"}
    "#);
}

#[tokio::test]
async fn under_overload_what_waits_is_refused_and_polls_go_on() {
    let plane = DevicePlane::new(
        small().await,
        Bounds {
            waiting: 1,
            ..Bounds::default()
        },
    );
    let (send, body) = tokio::sync::mpsc::channel(1);
    let slow = Request::post("/v1/poll")
        .body(Body::pieces(body, 5))
        .unwrap();
    let slow = plane.answer(slow);
    let reply = ask(&plane, "POST", "/v1/poll", &[], BATCH).await;
    insta::assert_snapshot!(reply.whole(), @r#"
    503
    cache-control: no-store
    content-type: application/problem+json
    retry-after: <seconds>

    {"type":"urn:huidu:problem:overloaded","title":"Overloaded","status":503,"detail":"this node answers as many requests as it can; try again after Retry-After seconds","code":"overloaded"}
    "#);
    assert!((1..=60).contains(&reply.header("retry-after").parse::<u32>().unwrap()));
    assert_eq!(ask(&plane, "GET", ONE, &[], "").await.status, 200);
    assert_eq!(ask(&plane, "GET", "/v1/kills", &[], "").await.status, 200);
    drop((send, slow));
    assert_eq!(
        ask(&plane, "POST", "/v1/poll", &[], BATCH).await.status,
        200
    );
    assert_eq!(plane.origin.metrics.shed.get(), 1);
}

/// Everything that any code says while the guard lives.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn nothing_personal_is_repeated_or_logged() {
    const MARK: &str = "13800138000";
    let said = Said::default();
    let writer = said.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _heard = tracing::subscriber::set_default(subscriber);
    tracing::info!("the test listens");
    let (server, origin) = start(Limits::default()).await;
    let plane = DevicePlane::new(Arc::clone(&origin), Bounds::default());
    let mut replies = String::new();
    let path = "/v1/manifest/retail-bank/pingan/travel";
    for query in [
        format!("u={MARK}%01"),
        format!("u={}", MARK.repeat(20)),
        format!("u=d&p={MARK}%00"),
        format!("u=d&c={MARK}%ff"),
        format!("u=d&hv={MARK}%01"),
        format!("u=d&v={MARK}%01"),
        format!("u=d&t={MARK},{MARK}!"),
        format!("u=d&x={MARK}!"),
        format!("u=d&a.{MARK}=1&a.{MARK}=2"),
        format!("u=d&a.{MARK}!={MARK}"),
        format!("u=d&a.x={}", MARK.repeat(30)),
        format!("u={MARK}&u={MARK}"),
        format!("u={MARK}"),
    ] {
        let by_query = ask(&plane, "GET", &format!("{path}?{query}"), &[], "").await;
        let by_header = ask(&plane, "GET", path, &[("huidu-device", &query)], "").await;
        let over_the_wire = exchange(
            server.addr,
            &format!("GET {path}?{query} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
        )
        .await;
        replies += &(by_query.whole() + &by_header.whole() + &over_the_wire);
    }
    let device = |field: &str| {
        format!(
            r#"{{"host":"retail-bank","device":{{"unit":"d",{field}}},"apps":[{{"app":"pingan/travel"}}]}}"#
        )
    };
    for body in [
        format!(r#"{{"host":"{MARK}!","device":{{"unit":"d"}},"apps":[]}}"#),
        format!(r#"{{"host":"h","device":{{"unit":"{MARK}\n"}},"apps":[]}}"#),
        format!(r#"{{"host":"h","device":{{"unit":{MARK}}},"apps":[]}}"#),
        format!(r#"{{"host":"h","device":"{MARK}","apps":[]}}"#),
        format!(r#"{{"host":"h","device":{{"unit":"d"}},"apps":[{{"app":"{MARK}"}}]}}"#),
        format!(
            r#"{{"host":"h","device":{{"unit":"d"}},"apps":[{{"app":"a/b","failed":["{MARK}"]}}]}}"#
        ),
        device(&format!(r#""platform":"{MARK}\u0000""#)),
        device(&format!(r#""tags":["{MARK}!"]"#)),
        device(&format!(r#""attr":{{"{MARK}!":"x"}}"#)),
        device(&format!(r#""attr":{{"a":"{MARK}\u0001"}}"#)),
        device(&format!(r#""attr":{{"a":{{"b":"{MARK}"}}}}"#)),
        device(&format!(r#""attr":{{"phone":"{MARK}"}}"#)),
        format!("{{{MARK}"),
    ] {
        replies += &ask(&plane, "POST", "/v1/poll", &[], &body).await.whole();
        replies += &ask(&plane, "POST", "/v1/events", &[], &body).await.whole();
    }
    for body in [
        format!(r#"{{"host":"b","events":[{{"app":"{MARK}","version":"1","event":"crash"}}]}}"#),
        format!(
            r#"{{"host":"b","events":[{{"app":"a/b","version":"1","rule":"{MARK}!","event":"crash"}}]}}"#
        ),
        format!(r#"{{"host":"b","events":[{{"app":"a/b","version":"1","event":"{MARK}"}}]}}"#),
        format!(
            r#"{{"host":"b","events":[{{"app":"pingan/travel","version":"{MARK}","event":"crash"}}]}}"#
        ),
    ] {
        replies += &ask(&plane, "POST", "/v1/events", &[], &body).await.whole();
    }
    replies += &ask(
        &plane,
        "GET",
        &format!("/v1/bundles/sha256/{MARK}"),
        &[],
        "",
    )
    .await
    .whole();
    replies += &ask(&plane, "GET", &format!("/v1/{MARK}"), &[], "")
        .await
        .whole();
    assert!(!replies.contains(MARK), "{replies}");
    assert!(!origin.metrics.render().contains(MARK));
    assert!(
        origin
            .feedback
            .snapshot()
            .iter()
            .all(|(name, _)| !name.contains(MARK))
    );
    let said = String::from_utf8(said.0.lock().unwrap().clone()).unwrap();
    assert!(
        said.contains("the test listens") && !said.contains(MARK),
        "{said}"
    );
}

struct Server {
    addr: SocketAddr,
    _stopper: Stopper,
}

async fn start(limits: Limits) -> (Server, Arc<Small>) {
    let origin = small().await;
    let listener = serve::listen(([127, 0, 0, 1], 0).into(), false).unwrap();
    let addr = listener.local_addr().unwrap();
    let (stopper, stop) = Stop::pair();
    let service = DevicePlane::new(Arc::clone(&origin), Bounds::default());
    let plane = Plane::new(limits, Connections(Arc::clone(&origin.metrics)));
    tokio::spawn(serve::serve(listener, service, plane, stop));
    (
        Server {
            addr,
            _stopper: stopper,
        },
        origin,
    )
}

/// Sends `text` and reads until the server closes.
async fn exchange(addr: SocketAddr, text: &str) -> String {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    let _cut_off_while_writing = socket.write_all(text.as_bytes()).await;
    let mut reply = Vec::new();
    let read = timeout(Duration::from_secs(5), socket.read_to_end(&mut reply)).await;
    let _reset_or_end = read.expect("the server closes the connection");
    String::from_utf8(reply).unwrap()
}

#[tokio::test]
async fn replies_on_the_wire_have_the_right_framing() {
    let (server, _origin) = start(Limits::default()).await;
    let get = |path: &str, more: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{more}\r\n")
    };
    let reply = exchange(server.addr, &get(ONE, "")).await;
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains(&format!("content-length: {}", body.len())),
        "{head}"
    );
    let etag = head
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap();
    let reply = exchange(
        server.addr,
        &get(ONE, &format!("if-none-match: {etag}\r\n")),
    )
    .await;
    assert!(reply.starts_with("HTTP/1.1 304 "), "{reply}");
    assert!(
        reply.ends_with("\r\n\r\n") && !reply.contains("content-length"),
        "{reply}"
    );
    let reply = exchange(server.addr, &get(ONE, "").replace("GET", "HEAD")).await;
    assert!(
        reply.contains(&format!("content-length: {}", body.len())),
        "{reply}"
    );
    assert!(reply.ends_with("\r\n\r\n"), "{reply}");
    let bundle = format!("/v1/bundles/sha256/{}", bundle("1.0.0"));
    let reply = exchange(server.addr, &get(&bundle, "range: bytes=0-5\r\n")).await;
    assert!(
        reply.contains("content-length: 6\r\n") && reply.ends_with("\r\n\r\nbundle"),
        "{reply}"
    );
}

#[tokio::test]
async fn a_poll_over_http_2_without_asking_first() {
    let (server, _origin) = start(Limits::default()).await;
    let socket = TcpStream::connect(server.addr).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(socket);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut send, connection) =
        hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(executor, io)
            .await
            .unwrap();
    tokio::spawn(connection);
    for (method, bytes) in [("GET", true), ("HEAD", false)] {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://device.test{ONE}"))
            .body(Full::default())
            .unwrap();
        let reply = send.send_request(request).await.unwrap();
        assert_eq!(
            (reply.status().as_u16(), reply.version()),
            (200, Version::HTTP_2)
        );
        assert_eq!(reply.headers()["huidu-stamp"].len(), seal::HEADER_BYTES);
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(!body.is_empty(), bytes, "{method}");
    }
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_refused_on_the_wire() {
    let (server, origin) = start(Limits {
        head: Duration::from_millis(200),
        ..Limits::default()
    })
    .await;
    let announced = limits::POLL_BODY_BYTES + 1;
    let request =
        format!("POST /v1/poll HTTP/1.1\r\nhost: a\r\ncontent-length: {announced}\r\n\r\n");
    let reply = exchange(server.addr, &request).await;
    assert!(
        reply.starts_with("HTTP/1.1 413 ") && reply.contains("body-too-large"),
        "{reply}"
    );
    let closed = async {
        while origin.metrics.connections.get() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), closed).await.unwrap();
}

#[tokio::test]
async fn an_answer_to_one_request_is_an_answer_to_no_other() {
    let plane = plane().await;
    let target = "/v1/manifest/retail-bank/pingan/coffee?u=u1";
    let nonce = seal::nonce_to_text(&[9; 32]);
    let headers = [("huidu-challenge", nonce.as_str())];
    let reply = ask(&plane, "GET", target, &headers, "").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("cache-control"), "no-store");
    let signed = SignedStamp::parse(reply.header("huidu-stamp")).unwrap();
    let stamp = signed.stamp().unwrap();
    let request = seal::request("GET", target, "", "");
    assert!(stamp.challenge);
    assert_eq!(stamp.scope, seal::challenge(&[9; 32], &request));
    let online = stamper().public_key();
    assert!(online.verifies(&signed.message(), &signed.signatures()[0].signature));
    // A 304 is answered to the request as well, with its own entity tag in it.
    let etag = reply.header("etag").to_owned();
    let headers = [
        ("huidu-challenge", nonce.as_str()),
        ("if-none-match", etag.as_str()),
    ];
    let reply = ask(&plane, "GET", target, &headers, "").await;
    assert_eq!(reply.status, 304);
    let stamp = SignedStamp::parse(reply.header("huidu-stamp"))
        .unwrap()
        .stamp()
        .unwrap();
    let request = seal::request("GET", target, "", &etag);
    assert_eq!(stamp.scope, seal::challenge(&[9; 32], &request));
    for wrong in ["", "AAAA", &nonce[1..], &format!("{nonce}=")] {
        let reply = ask(&plane, "GET", target, &[("huidu-challenge", wrong)], "").await;
        assert_eq!(reply.status, 400, "{wrong}");
    }
}
