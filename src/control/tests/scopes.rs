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
                let (kind, body) = body(method, path, "pingan/travel");
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
    insta::assert_snapshot!(table, @"");
}

#[tokio::test]
async fn a_token_without_read_sees_nothing_but_itself_and_its_own_changes() {
    let plane = Plane::furnished().await;
    let ci = narrowed(&plane, &[Scope::Kill]).await;
    insta::assert_snapshot!(plane.ask(&ci, "GET /api/v1/apps").send().await, @"");
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
