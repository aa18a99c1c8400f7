//! How a node says it is.

use super::*;

#[tokio::test]
async fn a_node_says_how_it_is() {
    let plane = Plane::new().await;
    insta::assert_snapshot!(plane.nobody("GET /healthz").send().await, @r#"
    200 OK
    content-type: text/plain; charset=utf-8

    ok
    "#);
    insta::assert_snapshot!(plane.nobody("GET /readyz").send().await, @r#"
    200 OK
    content-type: application/json

    {
      "asof": "2026-11-24T12:00:00Z",
      "bus": true,
      "from": "store",
      "ready": true,
      "revision": 5,
      "store": true
    }
    "#);
    insta::assert_snapshot!(plane.ping("GET /api/v1/status").send().await, @r#"
    200 OK
    content-type: application/json

    {
      "actor": {
        "id": "467zrAap2hfpTL9yCbQIeM",
        "role": {
          "partner": "pingan"
        }
      },
      "apps": 0,
      "asof": "2026-11-24T12:00:00Z",
      "audience": "bank/test",
      "bus": true,
      "from": "store",
      "ready": true,
      "review": "skipped",
      "revision": 5,
      "store": true,
      "version": "0.1.0"
    }
    "#);
    insta::assert_snapshot!(plane.nobody("GET /api/v1/status").send().await, @r#"
    401 Unauthorized
    content-type: application/problem+json
    www-authenticate: Bearer realm="huidu"

    {
      "code": "no-token",
      "detail": "this needs a token; send `Authorization: Bearer hd_…`",
      "status": 401,
      "title": "Not let in",
      "type": "urn:huidu:problem:no-token"
    }
    "#);
    let metrics = plane.nobody("GET /metrics").send().await;
    assert!(metrics.body.contains("# HELP huidu_"), "{metrics}");
    assert_eq!(
        metrics.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert_eq!(
        plane.nobody("POST /metrics").send().await.headers["allow"],
        "GET,HEAD"
    );
}

#[tokio::test]
async fn the_document_is_served_as_the_code_makes_it() {
    let plane = Plane::new().await;
    let reply = plane.nobody("GET /api/v1/openapi.json").send().await;
    assert_eq!(reply.json(), super::super::document());
}
