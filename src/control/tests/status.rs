//! How a node says it is.

use super::*;

#[tokio::test]
async fn a_node_says_how_it_is() {
    let plane = Plane::new().await;
    insta::assert_snapshot!(plane.nobody("GET /healthz").send().await, @"");
    insta::assert_snapshot!(plane.nobody("GET /readyz").send().await, @"");
    insta::assert_snapshot!(plane.ping("GET /api/v1/status").send().await, @"");
    insta::assert_snapshot!(plane.nobody("GET /api/v1/status").send().await, @"");
    let metrics = plane.nobody("GET /metrics").send().await;
    assert!(metrics.body.contains("# HELP huidu_"), "{metrics}");
    assert_eq!(metrics.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(plane.nobody("POST /metrics").send().await.headers["allow"], "GET,HEAD");
}

#[tokio::test]
async fn the_document_is_served_as_the_code_makes_it() {
    let plane = Plane::new().await;
    let reply = plane.nobody("GET /api/v1/openapi.json").send().await;
    assert_eq!(reply.json(), super::super::document());
}
