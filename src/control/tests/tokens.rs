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

#[tokio::test]
async fn a_token_holds_for_a_while_and_says_so_when_it_is_over() {
    let plane = Plane::new().await;
    let add = async |body: Value| {
        let reply = plane.root("POST /api/v1/tokens").json(body).send().await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply}");
        let token: Token = reply.json()["token"].as_str().unwrap().parse().unwrap();
        (token, reply.json()["expires"].as_str().unwrap().to_owned())
    };
    let (usual, until) = add(json!({ "role": "sre" })).await;
    assert_eq!(until, "2027-02-22T12:00:00Z", "90 days");
    let (short, _) = add(json!({ "role": "sre", "expires": "2026-11-24T12:00:10Z" })).await;
    for at in ["2026-11-24T12:00:00Z", "2027-11-26T12:00:00Z"] {
        let ask = plane
            .root("POST /api/v1/tokens")
            .json(json!({ "role": "sre", "expires": at }));
        let reply = ask.send().await;
        assert_eq!(
            (
                reply.json()["code"].as_str(),
                reply.json()["field"].as_str()
            ),
            (Some("bad-field"), Some("expires")),
            "{reply}"
        );
    }
    let whoami = |token: &Token| plane.ask(token, "GET /api/v1/whoami").send();
    assert_eq!(whoami(&short).await.status, StatusCode::OK);
    plane.clock.advance_ms(9_999);
    assert_eq!(whoami(&short).await.status, StatusCode::OK);
    plane.clock.advance_ms(1);
    insta::assert_snapshot!(whoami(&short).await, @r#"
    401 Unauthorized
    content-type: application/problem+json
    www-authenticate: Bearer realm="huidu"

    {
      "code": "token-expired",
      "detail": "this token expired at 2026-11-24T12:00:10Z; an administrator gives out the next one with `huidu token add`",
      "status": 401,
      "title": "Not let in",
      "type": "urn:huidu:problem:token-expired"
    }
    "#);
    assert_eq!(whoami(&usual).await.status, StatusCode::OK);
    // Nobody learns from a wrong secret that a token is over.
    let wrong = Token::generate_for(Kind::Sre, "guessed").unwrap();
    assert_eq!(whoami(&wrong).await.json()["code"], "unknown-token");
}

/// What was let in at the door is looked at once more where it is decided: the time may be over in between.
#[tokio::test]
async fn a_token_that_expires_on_the_way_changes_nothing() {
    let plane = Plane::new().await;
    let token = Token::generate_for(Kind::Sre, "short").unwrap();
    let mut add = given(&token, Role::Admin, None);
    let end = plane.node.now().plus_ms(10);
    if let Command::AddToken { expires, .. } = &mut add {
        *expires = Expiry::At(end);
    }
    plane.change(add).await;
    let change = |op| Change {
        actor: Actor {
            id: token.id().to_owned(),
            role: Role::Admin,
        },
        command: Command::AddTenant {
            tenant: "late".parse().unwrap(),
            title: String::new(),
        },
        op,
        expected: None,
        enact_at: None,
        why: None,
        patience: Duration::from_secs(5),
    };
    plane.clock.advance_ms(10);
    let late = plane.node.write(change(plane.node.new_op())).await;
    let told = late.unwrap_err().to_string();
    assert!(told.contains("expired at"), "{told}");
    assert!(plane.node.catalogue().tenants.is_empty());
}

#[tokio::test]
async fn the_list_shows_what_a_token_may_until_when_and_when_it_was_used() {
    let plane = Plane::new().await;
    let add = plane.root("POST /api/v1/tokens");
    let add = add.json(json!({ "role": "sre", "scopes": ["kill", "read"], "note": "ci", "expires": "2026-12-01T00:00:00Z" }));
    let token: Token = add.send().await.json()["token"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let line = async || {
        let list = plane.audrey("GET /api/v1/tokens").send().await.json();
        let lines = list.as_array().unwrap().clone();
        let own = lines.into_iter().find(|line| line["id"] == token.id());
        let mut own = own.unwrap();
        own["id"] = json!("<id>");
        own
    };
    assert_eq!(
        line().await,
        json!({ "id": "<id>", "role": "sre", "note": "ci", "scopes": ["read", "kill"],
            "expires": "2026-12-01T00:00:00Z", "state": "expires-soon" })
    );
    let metrics = || plane.node.render_metrics();
    assert!(
        metrics().contains("\nhuidu_tokens_expiring 1\n"),
        "{}",
        metrics()
    );
    plane.clock.advance_ms(5_000);
    plane.ask(&token, "GET /api/v1/whoami").send().await;
    assert_eq!(line().await["last_used"], "2026-11-24T12:00:05Z");
    plane.clock.set("2026-12-01T00:00:00Z".parse().unwrap());
    assert_eq!(line().await["state"], "expired");
    assert!(
        metrics().contains("\nhuidu_tokens_expired 1\n"),
        "{}",
        metrics()
    );
    // The very first has no end, and says so by naming none.
    let list = plane.audrey("GET /api/v1/tokens").send().await.json();
    let root = list
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["id"] == plane.root.id());
    assert_eq!(root.unwrap()["expires"], Value::Null);
}

#[tokio::test]
async fn a_scope_that_does_not_exist_is_refused() {
    let plane = Plane::new().await;
    let ask = plane
        .root("POST /api/v1/tokens")
        .json(json!({ "role": "sre", "scopes": ["everything"] }));
    let reply = ask.send().await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{reply}");
}
