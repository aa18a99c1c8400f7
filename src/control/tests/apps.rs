//! Tenants, hosts and apps: admitted, listed, shown.

use serde_json::json;

use super::*;

#[tokio::test]
async fn whoever_shows_no_token_is_told_to() {
    let plane = Plane::new().await;
    insta::assert_snapshot!(plane.nobody("GET /api/v1/apps").send().await, @r#"
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

#[tokio::test]
async fn a_typo_in_a_token_is_told_apart_from_a_stranger() {
    let plane = Plane::new().await;
    let typo = plane
        .root
        .to_string()
        .replacen("hd_admin_", "hd_admin_0", 1);
    let typo = format!("{}{}", &typo[..30], &typo[31..]);
    let reply = plane
        .nobody("GET /api/v1/apps")
        .header("authorization", &format!("Bearer {typo}"))
        .send()
        .await;
    insta::assert_snapshot!(reply, @r#"
    401 Unauthorized
    content-type: application/problem+json
    www-authenticate: Bearer realm="huidu"

    {
      "code": "bad-token",
      "detail": "this token's checksum is wrong; copy it again, whole",
      "status": 401,
      "title": "Not let in",
      "type": "urn:huidu:problem:bad-token"
    }
    "#);
    let stranger = Token::generate(Kind::Admin).unwrap();
    insta::assert_snapshot!(plane.ask(&stranger, "GET /api/v1/apps").send().await, @r#"
    401 Unauthorized
    content-type: application/problem+json
    www-authenticate: Bearer realm="huidu"

    {
      "code": "unknown-token",
      "detail": "this token is not known; it was revoked, or belongs to another installation",
      "status": 401,
      "title": "Not let in",
      "type": "urn:huidu:problem:unknown-token"
    }
    "#);
}

#[tokio::test]
async fn an_id_with_somebody_elses_secret_is_a_stranger() {
    let plane = Plane::new().await;
    let other = Token::generate_for(Kind::Admin, "root").unwrap();
    assert_eq!(other.id(), plane.root.id());
    let reply = plane.ask(&other, "GET /api/v1/apps").send().await;
    assert_eq!(reply.json()["code"], "unknown-token");
}

#[tokio::test]
async fn a_tenant_is_admitted_once() {
    let plane = Plane::new().await;
    let ask = || {
        plane
            .maya("POST /api/v1/tenants")
            .json(json!({"tenant": "pingan", "title": "平安"}))
    };
    insta::assert_snapshot!(ask().send().await, @r#"
    201 Created
    content-type: application/json

    {
      "op": "<op>",
      "revision": 6
    }
    "#);
    insta::assert_snapshot!(ask().send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "exists",
      "detail": "tenant `pingan` exists already; nothing is left to do",
      "status": 409,
      "title": "There already",
      "type": "urn:huidu:problem:exists"
    }
    "#);
    insta::assert_snapshot!(plane.audrey("GET /api/v1/tenants").send().await, @r#"
    200 OK
    content-type: application/json

    [
      {
        "tenant": "pingan",
        "title": "平安"
      }
    ]
    "#);
}

#[tokio::test]
async fn a_host_is_admitted_by_those_who_may() {
    let plane = Plane::new().await;
    let host = json!({"host": "retail", "title": "手机银行"});
    insta::assert_snapshot!(plane.audrey("POST /api/v1/hosts").json(host.clone()).send().await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "forbidden",
      "detail": "the role auditor may not add a host; ask somebody whose role allows it",
      "status": 403,
      "title": "Not allowed",
      "type": "urn:huidu:problem:forbidden"
    }
    "#);
    insta::assert_snapshot!(plane.maya("POST /api/v1/hosts").json(host).send().await, @r#"
    201 Created
    content-type: application/json

    {
      "op": "<op>",
      "revision": 6
    }
    "#);
    insta::assert_snapshot!(plane.ping("GET /api/v1/hosts").send().await, @r#"
    200 OK
    content-type: application/json

    [
      {
        "host": "retail",
        "title": "手机银行"
      }
    ]
    "#);
    insta::assert_snapshot!(plane.nobody("GET /api/v1/hosts").send().await, @r#"
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

#[tokio::test]
async fn a_body_that_does_not_fit_names_its_field() {
    let plane = Plane::new().await;
    let ask = || plane.maya("POST /api/v1/apps");
    insta::assert_snapshot!(ask().json(json!({"app": "Travel"})).send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "bad-field",
      "detail": "`Travel` is not an app; write `tenant/app`, each half a name of a-z 0-9 . _ - at line 1 column 16",
      "field": "app",
      "status": 422,
      "title": "A field does not fit",
      "type": "urn:huidu:problem:bad-field"
    }
    "#);
    insta::assert_snapshot!(ask().json(json!({"app": "a/b", "colour": 1})).send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "bad-field",
      "detail": "unknown field `colour`, expected `app` or `title` at line 1 column 21",
      "field": "colour",
      "status": 422,
      "title": "A field does not fit",
      "type": "urn:huidu:problem:bad-field"
    }
    "#);
    insta::assert_snapshot!(ask().bytes("{\"app\":").send().await, @r#"
    400 Bad Request
    content-type: application/problem+json

    {
      "code": "bad-json",
      "detail": "the body is not JSON: EOF while parsing a value at line 1 column 7",
      "status": 400,
      "title": "Not JSON",
      "type": "urn:huidu:problem:bad-json"
    }
    "#);
    insta::assert_snapshot!(ask().header("content-type", "text/xml").bytes("<app/>").send().await, @r#"
    415 Unsupported Media Type
    content-type: application/problem+json

    {
      "code": "media-type",
      "detail": "the body's `Content-Type` must be application/json",
      "status": 415,
      "title": "Another media type",
      "type": "urn:huidu:problem:media-type"
    }
    "#);
    insta::assert_snapshot!(ask().bytes(vec![b' '; 65_537]).send().await, @r#"
    413 Payload Too Large
    content-type: application/problem+json

    {
      "code": "too-large",
      "detail": "the body is limited to 65536 bytes",
      "status": 413,
      "title": "Too large",
      "type": "urn:huidu:problem:too-large"
    }
    "#);
}

#[tokio::test]
async fn an_app_is_admitted_with_its_tenant_and_shown() {
    let plane = Plane::new().await;
    let ask = plane
        .maya("POST /api/v1/apps?why=%E5%BC%80%E9%80%9A")
        .json(json!({"app": "pingan/travel", "title": "旅行"}));
    insta::assert_snapshot!(ask.send().await, @r#"
    201 Created
    content-type: application/json
    etag: "6"
    location: /api/v1/apps/pingan/travel

    {
      "op": "<op>",
      "revision": 6
    }
    "#);
    insta::assert_snapshot!(plane.ping("GET /api/v1/apps").send().await, @r#"
    200 OK
    content-type: application/json

    [
      {
        "app": "pingan/travel",
        "killed": false,
        "revision": 6,
        "standing": "idle",
        "title": "旅行",
        "versions": 0
      }
    ]
    "#);
    insta::assert_snapshot!(plane.sven("GET /api/v1/apps/pingan/travel").send().await, @r#"
    200 OK
    content-type: application/json
    etag: "6"

    {
      "app": "pingan/travel",
      "revision": 6,
      "title": "旅行",
      "versions": []
    }
    "#);
    insta::assert_snapshot!(plane.sven("GET /api/v1/apps/pingan/hotel").send().await, @r#"
    404 Not Found
    content-type: application/problem+json

    {
      "code": "unknown-app",
      "detail": "there is no app `pingan/hotel`; `huidu app list` shows them",
      "status": 404,
      "title": "Not there",
      "type": "urn:huidu:problem:unknown-app"
    }
    "#);
}

#[tokio::test]
async fn a_repeated_request_changes_nothing_and_answers_the_same() {
    let plane = Plane::new().await;
    let ask = || {
        let ask = plane
            .maya("POST /api/v1/apps")
            .header("idempotency-key", "open travel");
        ask.json(json!({"app": "pingan/travel"}))
    };
    let (first, second) = (ask().send().await, ask().send().await);
    let mut expected = first.json();
    expected["repeated"] = true.into();
    assert_eq!((second.status, second.json()), (first.status, expected));
    assert_eq!(second.etag(), first.etag());
    assert_eq!(second.headers["location"], first.headers["location"]);
    // The same key said by somebody else is another want.
    let other = plane
        .root("POST /api/v1/apps")
        .header("idempotency-key", "open travel");
    assert_eq!(
        other
            .json(json!({"app": "pingan/travel"}))
            .send()
            .await
            .status,
        StatusCode::CONFLICT
    );
    let bad = plane
        .maya("POST /api/v1/apps")
        .header("idempotency-key", "")
        .json(json!({"app": "a/b"}));
    insta::assert_snapshot!(bad.send().await, @r#"
    400 Bad Request
    content-type: application/problem+json

    {
      "code": "bad-header",
      "detail": "`Idempotency-Key` is one value of 1 to 128 printable ASCII characters",
      "field": "Idempotency-Key",
      "status": 400,
      "title": "A header does not fit",
      "type": "urn:huidu:problem:bad-header"
    }
    "#);
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_not_there() {
    let plane = Plane::new().await;
    insta::assert_snapshot!(plane.root("GET /api/v2").send().await, @r#"
    404 Not Found
    content-type: application/problem+json

    {
      "code": "no-route",
      "detail": "there is nothing here; `/api/v1/openapi.json` lists what there is",
      "status": 404,
      "title": "No such path",
      "type": "urn:huidu:problem:no-route"
    }
    "#);
    insta::assert_snapshot!(plane.root("PATCH /api/v1/apps").send().await, @r#"
    405 Method Not Allowed
    allow: GET,HEAD,POST
    content-type: application/problem+json

    {
      "code": "no-method",
      "detail": "this path does not take that method; `/api/v1/openapi.json` lists those it takes",
      "status": 405,
      "title": "No such method",
      "type": "urn:huidu:problem:no-method"
    }
    "#);
}
