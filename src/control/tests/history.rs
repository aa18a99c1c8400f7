//! History and ops.

use serde_json::json;

use super::*;

#[tokio::test]
async fn history_says_who_what_when_and_why() {
    let plane = Plane::new().await;
    let add = plane
        .maya("POST /api/v1/apps?why=pilot")
        .json(json!({"app": "pingan/travel"}));
    let added = add.send().await.json();
    insta::assert_snapshot!(plane.audrey("GET /api/v1/history?limit=1").send().await, @r#"
    200 OK
    content-type: application/json

    [
      {
        "actor": {
          "id": "7HNB6XUYtUZQEwyK2pP8F5",
          "role": "release-manager"
        },
        "at": "2026-11-24T12:00:00Z",
        "events": [
          {
            "event": "tenant-added",
            "tenant": "pingan",
            "title": "pingan"
          },
          {
            "app": "pingan/travel",
            "event": "app-added",
            "title": ""
          }
        ],
        "op": "<op>",
        "revision": 6,
        "why": "pilot"
      }
    ]
    "#);
    let own = plane
        .ping("GET /api/v1/history?app=pingan/travel")
        .send()
        .await
        .json();
    // A partner is not shown what else the revision did.
    assert_eq!(
        own[0]["events"],
        json!([{"event": "app-added", "app": "pingan/travel", "title": ""}])
    );
    assert_eq!(own.as_array().unwrap().len(), 1);
    let before = plane
        .audrey("GET /api/v1/history?before=3")
        .send()
        .await
        .json();
    assert_eq!(before[0]["revision"], 2);

    let op = added["op"].as_str().unwrap();
    insta::assert_snapshot!(plane.ping(&format!("GET /api/v1/ops/{op}")).send().await, @r#"
    200 OK
    content-type: application/json

    {
      "op": "<op>",
      "revision": 6,
      "state": "committed"
    }
    "#);
}

#[tokio::test]
async fn what_history_does_not_tell() {
    let plane = Plane::new().await;
    insta::assert_snapshot!(plane.ping("GET /api/v1/history").send().await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "forbidden",
      "detail": "the role partner of `pingan` may not read the whole history; ask somebody whose role allows it",
      "status": 403,
      "title": "Not allowed",
      "type": "urn:huidu:problem:forbidden"
    }
    "#);
    insta::assert_snapshot!(plane.maya("GET /api/v1/history?limit=501").send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "bad-field",
      "detail": "`limit` is 1 to 500; ask for older ones with `before`",
      "field": "limit",
      "status": 422,
      "title": "A field does not fit",
      "type": "urn:huidu:problem:bad-field"
    }
    "#);
    insta::assert_snapshot!(plane.maya("GET /api/v1/history?since=1").send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "bad-field",
      "detail": "Failed to deserialize query string: since: unknown field `since`, expected one of `app`, `limit`, `before`",
      "field": "query",
      "status": 422,
      "title": "A field does not fit",
      "type": "urn:huidu:problem:bad-field"
    }
    "#);
    insta::assert_snapshot!(plane.maya("GET /api/v1/history?app=pingan/nothing").send().await, @r#"
    404 Not Found
    content-type: application/problem+json

    {
      "code": "unknown-app",
      "detail": "there is no app `pingan/nothing`; `huidu app list` shows them",
      "status": 404,
      "title": "Not there",
      "type": "urn:huidu:problem:unknown-app"
    }
    "#);
    insta::assert_snapshot!(plane.maya("GET /api/v1/ops/7ZZZZZZZZZZZZZZZZZZZZZZZZZ").send().await, @r#"
    200 OK
    content-type: application/json

    {
      "op": "<op>",
      "state": "absent"
    }
    "#);
    insta::assert_snapshot!(plane.maya("GET /api/v1/ops/mine").send().await, @r#"
    404 Not Found
    content-type: application/problem+json

    {
      "code": "unknown-op",
      "detail": "there is no op `mine`; name the op id of a change's answer, or the `Idempotency-Key` that you asked under",
      "status": 404,
      "title": "Not there",
      "type": "urn:huidu:problem:unknown-op"
    }
    "#);
    insta::assert_snapshot!(plane.nobody("GET /api/v1/ops/mine").send().await, @r#"
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
}
