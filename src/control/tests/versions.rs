//! Versions: bundles in, and nothing of a refused one stays.

use serde_json::json;

use super::*;

const VERSIONS: &str = "/api/v1/apps/pingan/travel/versions";

#[tokio::test]
async fn a_partner_hands_in_a_version_and_a_manager_lists_it() {
    let plane = Plane::furnished().await;
    let submit = plane.ping(&format!("POST {VERSIONS}?version=2.0.0&notes=%E6%96%B0&permissions=camera,location"));
    insta::assert_snapshot!(submit.bytes(bundle("2.0.0")).send().await, @"");
    assert_eq!(plane.spooled(), 0);

    let list = format!("POST {VERSIONS}/2.0.0/list");
    insta::assert_snapshot!(plane.ping(&list).any().send().await, @"");
    insta::assert_snapshot!(plane.maya(&list).send().await, @"");
    insta::assert_snapshot!(plane.maya(&list).header("if-match", "\"3\"").send().await, @"");
    let at = plane.maya(&format!("GET {VERSIONS}")).send().await;
    insta::assert_snapshot!(plane.maya(&list).header("if-match", at.etag()).send().await, @"");
    let versions = plane.audrey(&format!("GET {VERSIONS}")).send().await.json();
    let lives: Vec<_> = versions.as_array().unwrap().iter().map(|v| (&v["number"], &v["life"]["state"])).collect();
    assert_eq!(json!(lives), json!([["1.0.0", "listed"], ["1.1.0", "listed"], ["2.0.0", "listed"]]));
}

#[tokio::test]
async fn an_archive_is_refused_for_every_reason_and_leaves_nothing() {
    let plane = Plane::furnished().await;
    let hostile = zipped(&[("../evil.js", "x"), ("a\\b.js", "x"), ("CON", "x")]);
    let submit = plane.ping(&format!("POST {VERSIONS}?version=2.0.0")).bytes(hostile);
    insta::assert_snapshot!(submit.send().await, @"");
    assert_eq!(plane.spooled(), 0);
    insta::assert_snapshot!(plane.ping(&format!("POST {VERSIONS}?version=2.0.0")).bytes("no archive").send().await, @"");
}

#[tokio::test]
async fn a_bundle_beyond_the_limit_is_refused_while_it_comes() {
    let plane = Plane::with(|settings| settings.bundle_bytes = 1_000).await;
    let path = format!("POST {VERSIONS}?version=2.0.0");
    let stated = plane.ping(&path).header("content-length", "1001").bytes("x");
    insta::assert_snapshot!(stated.send().await, @"");
    let pieces = (0..100).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![0; 100])));
    let unstated = Body::new(Pieces(pieces));
    assert_eq!(plane.ping(&path).bytes(unstated).send().await.json()["code"], "too-large");
    let broken = [Ok(bytes::Bytes::from_static(b"PK")), Err(std::io::Error::other("gone"))];
    let broken = Body::new(Pieces(broken.into_iter()));
    insta::assert_snapshot!(plane.ping(&path).bytes(broken).send().await, @"");
    assert_eq!(plane.spooled(), 0);
}

/// An iterator as a body that comes in pieces.
struct Pieces<I>(I);

impl<I: Iterator<Item = std::io::Result<bytes::Bytes>> + Unpin> hyper::body::Body for Pieces<I> {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<std::io::Result<hyper::body::Frame<bytes::Bytes>>>> {
        std::task::Poll::Ready(self.0.next().map(|piece| piece.map(hyper::body::Frame::data)))
    }
}

#[tokio::test]
async fn a_version_never_changes_its_bundle() {
    let plane = Plane::furnished().await;
    let again = |salt| plane.ping(&format!("POST {VERSIONS}?version=1.0.0")).bytes(bundle(salt));
    insta::assert_snapshot!(again("1.0.0").send().await, @"");
    insta::assert_snapshot!(again("other").send().await, @"");
    let build = plane.ping(&format!("POST {VERSIONS}?version=1.2.0%2Bb7")).bytes(bundle("b7"));
    insta::assert_snapshot!(build.send().await, @"");
    insta::assert_snapshot!(plane.ping(&format!("POST {VERSIONS}")).send().await, @"");
    let permission = plane.ping(&format!("POST {VERSIONS}?version=3.0.0&permissions=Take%20Photos"));
    insta::assert_snapshot!(permission.bytes(bundle("3")).send().await, @"");
}

#[tokio::test]
async fn only_so_many_uploads_run_at_the_same_time() {
    let plane = Plane::with(|settings| settings.uploads = 0).await;
    let submit = plane.ping(&format!("POST {VERSIONS}?version=2.0.0")).bytes(bundle("2"));
    insta::assert_snapshot!(submit.send().await, @"");
}

#[tokio::test]
async fn a_listing_upload_that_is_repeated_answers_the_same() {
    let plane = Plane::furnished().await;
    let ask = || {
        let ask = plane.maya(&format!("POST {VERSIONS}?version=2.0.0&list=true"));
        ask.header("idempotency-key", "2.0.0").bytes(bundle("2.0.0"))
    };
    let (first, second) = (ask().send().await, ask().send().await);
    let mut expected = first.json();
    expected["repeated"] = true.into();
    assert_eq!((second.status, second.json()), (StatusCode::CREATED, expected));
    // A partner may submit and not list: the version is there, the refusal says what is missing.
    let partner = plane.ping(&format!("POST {VERSIONS}?version=2.1.0&list=true")).bytes(bundle("2.1.0"));
    insta::assert_snapshot!(partner.send().await, @"");
}

#[tokio::test]
async fn a_version_that_is_served_is_not_delisted() {
    let plane = Plane::furnished().await;
    let delist = |version| plane.maya(&format!("POST {VERSIONS}/{version}/delist")).any();
    insta::assert_snapshot!(delist("1.0.0").json(json!({"reason": "old"})).send().await, @"");
    insta::assert_snapshot!(delist("9.9.9").json(json!({"reason": "old"})).send().await, @"");
    insta::assert_snapshot!(delist("latest").json(json!({"reason": "old"})).send().await, @"");
    plane.maya(&format!("POST {VERSIONS}?version=2.0.0&list=true")).bytes(bundle("2.0.0")).send().await;
    insta::assert_snapshot!(delist("2.0.0").json(json!({"reason": " "})).send().await, @"");
    insta::assert_snapshot!(delist("2.0.0").json(json!({"reason": "old"})).send().await, @"");
}
