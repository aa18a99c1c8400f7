//! Kills: stopping is for more people than starting, and does not first read.

use serde_json::json;

use super::*;

const APP: &str = "/api/v1/apps/pingan/travel";

#[tokio::test]
async fn an_sre_kills_without_reading_first_and_a_manager_takes_it_back() {
    let plane = Plane::furnished().await;
    let kill = || {
        plane
            .sven(&format!("POST {APP}/kill"))
            .json(json!({"version": "1.1.0", "reason": "crashes"}))
    };
    insta::assert_snapshot!(kill().send().await, @r#"
    200 OK
    content-type: application/json
    etag: "14"

    {
      "filings": [],
      "op": "<op>",
      "revision": 14
    }
    "#);
    insta::assert_snapshot!(kill().send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "nothing",
      "detail": "nothing to change: version 1.1.0 of `pingan/travel` is killed already",
      "status": 409,
      "title": "Nothing to change",
      "type": "urn:huidu:problem:nothing"
    }
    "#);
    assert!(plane.node.live().kills().is_some());
    let unkill = |who: &Token| {
        let ask = plane.ask(who, &format!("POST {APP}/unkill"));
        ask.json(json!({"version": "1.1.0", "reason": "fixed"}))
    };
    insta::assert_snapshot!(unkill(&plane.maya).send().await, @r#"
    428 Precondition Required
    content-type: application/problem+json

    {
      "code": "if-match-required",
      "detail": "this changes something that exists; read it and send its ETag as `If-Match`, or `*` to change whichever it is at",
      "field": "If-Match",
      "status": 428,
      "title": "If-Match required",
      "type": "urn:huidu:problem:if-match-required"
    }
    "#);
    insta::assert_snapshot!(unkill(&plane.sven).any().send().await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "forbidden",
      "detail": "the role SRE may not take back a kill; ask somebody whose role allows it",
      "status": 403,
      "title": "Not allowed",
      "type": "urn:huidu:problem:forbidden"
    }
    "#);
    insta::assert_snapshot!(unkill(&plane.maya).any().send().await, @r#"
    200 OK
    content-type: application/json
    etag: "15"

    {
      "op": "<op>",
      "revision": 15
    }
    "#);
}

#[tokio::test]
async fn a_kill_for_a_stale_revision_is_refused_where_one_is_named() {
    let plane = Plane::furnished().await;
    let kill = plane
        .sven(&format!("POST {APP}/kill"))
        .header("if-match", "\"1\"");
    insta::assert_snapshot!(kill.json(json!({"reason": "bad"})).send().await, @r#"
    412 Precondition Failed
    content-type: application/problem+json

    {
      "code": "stale",
      "detail": "`pingan/travel` is at revision 13, not 1; read it again and repeat the change if it still holds",
      "status": 412,
      "title": "Changed meanwhile",
      "type": "urn:huidu:problem:stale"
    }
    "#);
}
