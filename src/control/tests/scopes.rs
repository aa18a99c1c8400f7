//! Which routes a narrowed credential opens: every route of the document with every scope alone.

use std::{collections::BTreeSet, fmt::Write as _};

use huidu_core::credential::Scope;

use super::{
    matrix::{body, filled},
    *,
};

/// An admin's token, narrowed.
async fn narrowed(plane: &Plane, scopes: &[Scope]) -> Token {
    let name: Vec<_> = scopes.iter().map(|scope| scope.word()).collect();
    let token = Token::generate_for(Kind::Admin, &name.join(" ")).unwrap();
    let mut add = given(&token, Role::Admin, None);
    if let Command::AddToken { scopes: kept, .. } = &mut add {
        kept.extend(scopes);
    }
    plane.change(add).await;
    token
}

#[tokio::test]
async fn every_scope_opens_exactly_this() {
    let plane = Plane::furnished().await;
    let mut tokens = Vec::new();
    for scope in Scope::ALL {
        tokens.push((scope, narrowed(&plane, &[scope]).await));
    }
    let (mut calls, mut refused) = (0, 0);
    let mut table = String::new();
    let document = super::super::document();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation.get("security").is_none() {
                continue;
            }
            let mut open = BTreeSet::new();
            for (scope, token) in &tokens {
                let query = match (method.as_str(), path.rsplit('/').next()) {
                    ("post", Some("versions")) => "?version=9.9.9",
                    _ => "",
                };
                let line = format!(
                    "{} {}{query}",
                    method.to_uppercase(),
                    filled(path, "pingan/travel")
                );
                let (kind, mut body) = body(method, path, "pingan/travel");
                if (method.as_str(), path.as_str()) == ("post", "/api/v1/tokens") {
                    // Not wider than the one it is given out by.
                    let narrow = serde_json::json!({ "role": "sre", "scopes": [scope.word()] });
                    body = narrow.to_string();
                }
                let mut ask = plane.ask(token, &line).any();
                if let Some(kind) = kind {
                    ask = ask.header("content-type", kind);
                }
                let reply = ask.bytes(body).send().await;
                assert!(!reply.status.is_server_error(), "{line}: {reply}");
                let code = serde_json::from_str::<Value>(&reply.body).unwrap_or_default();
                if code["code"] == "scope" {
                    assert_eq!(reply.status, StatusCode::FORBIDDEN);
                    refused += 1;
                } else {
                    open.insert(scope.word());
                }
                calls += 1;
            }
            let open: Vec<_> = open.into_iter().collect();
            let open = if open.len() == Scope::ALL.len() {
                "any".to_owned()
            } else {
                open.join(" ")
            };
            assert!(!open.is_empty(), "{method} {path} is open to no scope");
            writeln!(table, "{open:<14} {} {path}", method.to_uppercase()).unwrap();
        }
    }
    println!("figure: calls by narrowed tokens {calls}, refused {refused}");
    insta::assert_snapshot!(table, @r#"
    read           GET /api/v1/apps
    catalogue      POST /api/v1/apps
    read           GET /api/v1/apps/{tenant}/{app}
    read           GET /api/v1/apps/{tenant}/{app}/at/{revision}
    read           GET /api/v1/apps/{tenant}/{app}/experiments
    read           GET /api/v1/apps/{tenant}/{app}/experiments/{experiment}
    experiment rollout PUT /api/v1/apps/{tenant}/{app}/experiments/{experiment}
    experiment rollout POST /api/v1/apps/{tenant}/{app}/experiments/{experiment}/end
    read           GET /api/v1/apps/{tenant}/{app}/experiments/{experiment}/plan
    experiment-promote rollout POST /api/v1/apps/{tenant}/{app}/experiments/{experiment}/promote
    read           POST /api/v1/apps/{tenant}/{app}/explain
    read           GET /api/v1/apps/{tenant}/{app}/health
    policies       PUT /api/v1/apps/{tenant}/{app}/internal
    kill           POST /api/v1/apps/{tenant}/{app}/kill
    read           GET /api/v1/apps/{tenant}/{app}/permissions
    permissions    DELETE /api/v1/apps/{tenant}/{app}/permissions/{permission}/grant
    permissions    PUT /api/v1/apps/{tenant}/{app}/permissions/{permission}/grant
    unkill         POST /api/v1/apps/{tenant}/{app}/permissions/{permission}/restore
    kill           POST /api/v1/apps/{tenant}/{app}/permissions/{permission}/revoke
    read           POST /api/v1/apps/{tenant}/{app}/plan
    read           GET /api/v1/apps/{tenant}/{app}/policy
    keys           PUT /api/v1/apps/{tenant}/{app}/policy
    read           GET /api/v1/apps/{tenant}/{app}/ramp
    kill ramp-abort rollout POST /api/v1/apps/{tenant}/{app}/ramp/abort
    ramp-resume rollout POST /api/v1/apps/{tenant}/{app}/ramp/approve
    kill ramp-pause rollout POST /api/v1/apps/{tenant}/{app}/ramp/pause
    ramp-resume rollout POST /api/v1/apps/{tenant}/{app}/ramp/resume
    kill ramp-roll-back rollout POST /api/v1/apps/{tenant}/{app}/ramp/roll-back
    read           GET /api/v1/apps/{tenant}/{app}/rollout
    rollout        PUT /api/v1/apps/{tenant}/{app}/rollout
    kill rollout   PUT /api/v1/apps/{tenant}/{app}/rollout/rules/{rule}/paused
    kill rollout   PUT /api/v1/apps/{tenant}/{app}/rollout/rules/{rule}/share
    unkill         POST /api/v1/apps/{tenant}/{app}/unkill
    read           GET /api/v1/apps/{tenant}/{app}/versions
    submit         POST /api/v1/apps/{tenant}/{app}/versions
    review         POST /api/v1/apps/{tenant}/{app}/versions/{version}/approve
    read           GET /api/v1/apps/{tenant}/{app}/versions/{version}/bundle
    kill rollout   POST /api/v1/apps/{tenant}/{app}/versions/{version}/delist
    read           GET /api/v1/apps/{tenant}/{app}/versions/{version}/files
    rollout        POST /api/v1/apps/{tenant}/{app}/versions/{version}/list
    trial          POST /api/v1/apps/{tenant}/{app}/versions/{version}/previews
    trial          DELETE /api/v1/apps/{tenant}/{app}/versions/{version}/previews/{id}
    read           GET /api/v1/apps/{tenant}/{app}/versions/{version}/record
    keys           PUT /api/v1/apps/{tenant}/{app}/versions/{version}/record
    review         POST /api/v1/apps/{tenant}/{app}/versions/{version}/reject
    read           GET /api/v1/apps/{tenant}/{app}/versions/{version}/review
    review         POST /api/v1/apps/{tenant}/{app}/versions/{version}/review
    read           GET /api/v1/apps/{tenant}/{app}/versions/{version}/trial
    trial          PUT /api/v1/apps/{tenant}/{app}/versions/{version}/trial
    read           GET /api/v1/changes
    changes        POST /api/v1/changes/{id}/approve
    changes        POST /api/v1/changes/{id}/withdraw
    read           GET /api/v1/events
    read           GET /api/v1/eyes
    policies       PUT /api/v1/eyes
    read           GET /api/v1/fleet
    read           GET /api/v1/history
    read           GET /api/v1/hosts
    catalogue      POST /api/v1/hosts
    read           GET /api/v1/keyring
    keys           POST /api/v1/keyring
    read           GET /api/v1/kills/{op}
    read           GET /api/v1/members
    members        DELETE /api/v1/members/{member}
    members        PUT /api/v1/members/{member}
    read           GET /api/v1/ops/{op}
    read           GET /api/v1/overview
    read           GET /api/v1/permissions
    permissions    PUT /api/v1/permissions
    read           GET /api/v1/review-policy
    policies       PUT /api/v1/review-policy
    read           GET /api/v1/reviews
    read           GET /api/v1/segments
    segments       DELETE /api/v1/segments/{segment}
    read           GET /api/v1/segments/{segment}
    segments       PUT /api/v1/segments/{segment}
    read           GET /api/v1/status
    read           GET /api/v1/tenants
    catalogue      POST /api/v1/tenants
    permissions    PUT /api/v1/tenants/{tenant}/grade
    read           GET /api/v1/tokens
    tokens         POST /api/v1/tokens
    tokens         DELETE /api/v1/tokens/{id}
    any            GET /api/v1/whoami
    "#);
}

#[tokio::test]
async fn a_token_without_read_sees_nothing_but_itself_and_its_own_changes() {
    let plane = Plane::furnished().await;
    let ci = narrowed(&plane, &[Scope::Kill]).await;
    insta::assert_snapshot!(plane.ask(&ci, "GET /api/v1/apps").send().await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "scope",
      "detail": "this token's scopes do not let it read; use one with scope `read`, or one without scopes",
      "status": 403,
      "title": "Not within its scopes",
      "type": "urn:huidu:problem:scope"
    }
    "#);
    let kill = plane
        .ask(&ci, "POST /api/v1/apps/cmb/pay/kill")
        .header("idempotency-key", "stop it");
    let killed = kill.json(serde_json::json!({ "reason": "x" })).send().await;
    assert_eq!(killed.status, StatusCode::OK, "{killed}");
    let whoami = plane.ask(&ci, "GET /api/v1/whoami").send().await;
    assert_eq!(whoami.status, StatusCode::OK, "{whoami}");
    let became = plane.ask(&ci, "GET /api/v1/ops/stop%20it").send().await;
    assert_eq!(became.json()["state"], "committed", "{became}");
    let other = plane
        .ask(&ci, "GET /api/v1/ops/01ARZ3NDEKTSV4RRFFQ69G5FAV")
        .send()
        .await;
    assert_eq!(other.json()["code"], "scope");
}

/// The share of a rule goes down by a token that only stops things, and not up.
#[tokio::test]
async fn a_token_for_stopping_lowers_a_share_and_raises_none() {
    let plane = Plane::furnished().await;
    let ci = narrowed(&plane, &[Scope::Kill]).await;
    for (share, expected) in [("1%", ""), ("2%", "not-lower")] {
        let ask = plane.ask(
            &ci,
            "PUT /api/v1/apps/pingan/travel/rollout/rules/ramp/share",
        );
        let ask = ask.any().json(serde_json::json!({ "share": share }));
        let reply = ask.send().await;
        assert_eq!(
            reply.json()["code"].as_str().unwrap_or_default(),
            expected,
            "{reply}"
        );
    }
}
