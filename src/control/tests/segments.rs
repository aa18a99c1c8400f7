//! Segments: units go in and never come out.

use super::*;

const STAFF: &str = "/api/v1/segments/staff";

#[tokio::test]
async fn a_segment_is_uploaded_replaced_with_its_revision_and_removed() {
    let plane = Plane::new().await;
    let put = || plane.maya(&format!("PUT {STAFF}")).header("content-type", "text/plain; charset=utf-8");
    let first = put().bytes("ann\nbob\nann\n").send().await;
    insta::assert_snapshot!(first, @"");
    insta::assert_snapshot!(put().bytes("ann\n").send().await, @"");
    insta::assert_snapshot!(put().header("if-match", "\"1\"").bytes("ann\n").send().await, @"");
    let second = put().header("if-match", first.etag()).bytes("ann\n张三\n").send().await;
    assert_eq!(second.status, StatusCode::OK, "{second}");
    insta::assert_snapshot!(plane.sven(&format!("GET {STAFF}")).send().await, @"");
    insta::assert_snapshot!(plane.sven("GET /api/v1/segments").send().await, @"");
    insta::assert_snapshot!(plane.maya(&format!("DELETE {STAFF}")).send().await, @"");
    insta::assert_snapshot!(plane.maya(&format!("DELETE {STAFF}")).any().send().await, @"");
    insta::assert_snapshot!(plane.maya(&format!("GET {STAFF}")).send().await, @"");
}

#[tokio::test]
async fn a_list_that_is_none_is_refused_without_repeating_it() {
    let plane = Plane::new().await;
    let put = |body: &'static str| plane.maya(&format!("PUT {STAFF}")).bytes(body);
    let reply = put("ann\n  secret-person\n").send().await;
    assert!(!reply.body.contains("secret"), "{reply}");
    insta::assert_snapshot!(reply, @"");
    insta::assert_snapshot!(plane.maya("PUT /api/v1/segments/Big%20Staff").bytes("a").send().await, @"");
    let json = plane.maya(&format!("PUT {STAFF}")).header("content-type", "application/json");
    insta::assert_snapshot!(json.bytes("[]").send().await, @"");
    insta::assert_snapshot!(plane.sven(&format!("PUT {STAFF}")).bytes("a").send().await, @"");
}

#[tokio::test]
async fn a_segment_beyond_its_bytes_is_refused() {
    let plane = Plane::with(|settings| settings.segment_bytes = 10).await;
    insta::assert_snapshot!(plane.maya(&format!("PUT {STAFF}")).bytes("0123456789\n").send().await, @"");
}

#[tokio::test]
async fn a_segment_that_a_rollout_asks_about_stays() {
    let plane = Plane::furnished().await;
    plane.maya(&format!("PUT {STAFF}")).bytes("ann\n").send().await;
    let asking = ROLLOUT.replace("share = \"5%\"", "when = { segment = \"staff\" }");
    let put = plane.maya("PUT /api/v1/apps/pingan/travel/rollout").any().toml(&asking).send().await;
    assert_eq!(put.status, StatusCode::OK, "{put}");
    insta::assert_snapshot!(plane.maya(&format!("DELETE {STAFF}")).any().send().await, @"");
}
