//! Credentials: the secret is seen once.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_token_is_shown_once_and_works_until_it_is_revoked() {
    let plane = Plane::new().await;
    let ask = || {
        let ask = plane
            .root("POST /api/v1/tokens")
            .header("idempotency-key", "for cmb");
        ask.json(json!({"role": {"partner": "cmb"}, "note": "招商"}))
    };
    let given = ask().send().await;
    assert_eq!(given.status, StatusCode::CREATED, "{given}");
    let token: Token = given.json()["token"].as_str().unwrap().parse().unwrap();
    assert_eq!(given.json()["id"], token.id());
    let again = ask().send().await.json();
    assert_eq!(
        (&again["id"], &again["token"], &again["repeated"]),
        (&json!(token.id()), &Value::Null, &json!(true))
    );

    assert_eq!(
        plane.ask(&token, "GET /api/v1/apps").send().await.status,
        StatusCode::OK
    );
    let revoke = format!("DELETE /api/v1/tokens/{}", token.id());
    insta::assert_snapshot!(plane.root(&revoke).send().await, @r#"
    200 OK
    content-type: application/json

    {
      "op": "<op>",
      "revision": 7
    }
    "#);
    assert_eq!(
        plane.ask(&token, "GET /api/v1/apps").send().await.json()["code"],
        "unknown-token"
    );
    let list = plane.audrey("GET /api/v1/tokens").send().await;
    assert!(
        !list.body.contains("sha256") && !list.body.contains(token.id()),
        "{list}"
    );
    assert_eq!(list.json().as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn only_an_admin_gives_and_takes_credentials() {
    let plane = Plane::new().await;
    let ask = plane
        .maya("POST /api/v1/tokens")
        .json(json!({"role": "admin"}));
    insta::assert_snapshot!(ask.send().await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "forbidden",
      "detail": "the role release manager may not give out tokens; ask somebody whose role allows it",
      "status": 403,
      "title": "Not allowed",
      "type": "urn:huidu:problem:forbidden"
    }
    "#);
    insta::assert_snapshot!(plane.maya("GET /api/v1/tokens").send().await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "forbidden",
      "detail": "the role release manager may not see tokens; ask somebody whose role allows it",
      "status": 403,
      "title": "Not allowed",
      "type": "urn:huidu:problem:forbidden"
    }
    "#);
    insta::assert_snapshot!(plane.maya("DELETE /api/v1/tokens/x").send().await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "forbidden",
      "detail": "the role release manager may not revoke tokens; ask somebody whose role allows it",
      "status": 403,
      "title": "Not allowed",
      "type": "urn:huidu:problem:forbidden"
    }
    "#);
    insta::assert_snapshot!(plane.root("DELETE /api/v1/tokens/x").send().await, @r#"
    404 Not Found
    content-type: application/problem+json

    {
      "code": "unknown-token-id",
      "detail": "there is no token `x`; `huidu token list` shows them",
      "status": 404,
      "title": "Not there",
      "type": "urn:huidu:problem:unknown-token-id"
    }
    "#);
    let boss = plane
        .root("POST /api/v1/tokens")
        .json(json!({"role": "boss"}));
    insta::assert_snapshot!(boss.send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "bad-field",
      "detail": "unknown variant `boss`, expected one of `admin`, `release-manager`, `sre`, `reviewer`, `security`, `partner`, `auditor` at line 1 column 14",
      "field": "role",
      "status": 422,
      "title": "A field does not fit",
      "type": "urn:huidu:problem:bad-field"
    }
    "#);
}

#[tokio::test]
async fn the_last_admin_stays() {
    let plane = Plane::new().await;
    let path = format!("DELETE /api/v1/tokens/{}", plane.root.id());
    insta::assert_snapshot!(plane.root(&path).send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "limit",
      "detail": "revoking the last admin token is limited to 0; add another admin token first",
      "status": 409,
      "title": "Not the last",
      "type": "urn:huidu:problem:limit"
    }
    "#);
}
