//! Who may call what: every route of the document, every role, on its own tenant's things and on a
//! foreign one's. The table is the whole truth; a new route is refused until it has a line here.

use std::{collections::BTreeSet, fmt::Write as _};

use serde_json::json;

use super::*;

/// A body that fits the route, so that nothing but who asks can be at fault.
pub(super) fn body(method: &str, path: &str, app: &str) -> (Option<&'static str>, String) {
    const JSON: Option<&str> = Some("application/json");
    let json = |value: Value| (JSON, value.to_string());
    let tenant = app.split_once('/').map_or(app, |(tenant, _)| tenant);
    let rollout = json!({ "app": app, "hosts": ["retail"], "stable": "1.0.0" });
    let soon = "2026-11-25T12:00:00Z";
    let last = path.rsplit('/').next().unwrap_or_default();
    match (method, last) {
        ("post", "kill" | "unkill" | "delist" | "reject" | "revoke" | "restore") => {
            json(json!({ "reason": "because" }))
        }
        ("put", "internal") => json(json!({ "internal": true, "reason": "because" })),
        ("put", "share") => json(json!({ "share": "1%" })),
        ("put", "paused") => json(json!({ "paused": true })),
        ("put", "grade") => json(json!({ "grade": "basic" })),
        ("put", "rollout") => json(rollout),
        ("post", "plan") => json(json!({ "rollout": rollout })),
        ("post", "explain") => json(json!({ "host": "retail", "device": { "unit": "u" } })),
        ("post", "pause" | "resume" | "abort" | "roll-back" | "approve")
            if path.contains("/ramp/") =>
        {
            json(json!({ "rule": "ramp", "reason": "because" }))
        }
        ("put", "{experiment}") => json(json!({
            "rule": "ramp", "control": "a", "primary": { "measure": "converted" },
        })),
        ("post", "promote") => json(json!({ "arm": "a", "reason": "because" })),
        ("post", "end") => json(json!({ "reason": "because" })),
        ("post", "approve") if path.contains("/changes/") => {
            json(json!({ "hash": "0".repeat(64) }))
        }
        ("post", "approve") => json(json!({ "bundle": "0".repeat(64) })),
        ("post", "keyring") | ("put", "policy" | "record") => {
            json(json!({ "payloadType": "", "payload": "", "signatures": [] }))
        }
        ("put", "trial") => json(json!({ "hosts": [], "devices": [] })),
        ("post", "previews") => json(json!({ "host": "retail", "until": soon })),
        ("post", "withdraw") => json(json!({ "reason": "because" })),
        ("put", "eyes") => json(json!({ "free_share": "1%" })),
        ("put", "review-policy") => json(json!({ "approvals": 1 })),
        ("put", "permissions") => {
            json(json!({ "permissions": { "camera": { "grade": "basic" } } }))
        }
        ("put", "{member}") => json(json!({ "role": "sre" })),
        ("post", "tokens") => json(json!({ "role": { "partner": tenant } })),
        ("post", "tenants") => json(json!({ "tenant": tenant })),
        ("post", "hosts") => json(json!({ "host": "retail" })),
        ("post", "apps") => json(json!({ "app": app })),
        ("post", "session") => json(json!({ "token": "" })),
        ("post", "token") => json(json!({ "grant": "", "verifier": "" })),
        ("put", "{segment}") => (Some("text/plain"), "unit\n".into()),
        _ => (None, String::new()),
    }
}

/// The path with every name in it filled in.
pub(super) fn filled(path: &str, app: &str) -> String {
    let (tenant, name) = app.split_once('/').unwrap();
    let line = path
        .replace("{tenant}", tenant)
        .replace("{app}", name)
        .replace("{version}", "1.0.0")
        .replace("{rule}", "ramp")
        .replace("{experiment}", "copy")
        .replace("{permission}", "camera")
        .replace("{member}", "nobody")
        .replace("{op}", "01ARZ3NDEKTSV4RRFFQ69G5FAV")
        .replace("{id}", &"0".repeat(64))
        .replace("{revision}", "999")
        .replace("{segment}", "staff");
    assert!(!line.contains('{'), "{line}: what stands here?");
    line
}

/// `+` let in (whatever the state then says), `-` the role does not include it, `0` it does not exist,
/// `?` not even a token is asked for.
fn mark(reply: &Reply) -> char {
    let code = serde_json::from_str::<Value>(&reply.body).unwrap_or_default();
    match code["code"].as_str() {
        Some("forbidden") => '-',
        Some("unknown-app" | "unknown-tenant" | "unknown-op") => '0',
        _ if reply.status.is_server_error() => panic!("{reply}"),
        _ => '+',
    }
}

#[tokio::test]
async fn every_role_may_call_exactly_this() {
    let plane = Plane::furnished().await;
    let token = |kind, name| Token::generate_for(kind, name).unwrap();
    let (rui, sec) = (token(Kind::Reviewer, "rui"), token(Kind::Security, "sec"));
    for (token, role) in [(&rui, Role::Reviewer), (&sec, Role::Security)] {
        plane.change(given(token, role, None)).await;
    }
    let people = [
        &plane.root,
        &plane.maya,
        &plane.sven,
        &rui,
        &sec,
        &plane.audrey,
        &plane.ping,
    ];
    let (mut calls, mut leaks) = (0, Vec::new());
    let mut table = String::from(
        "admin manager sre reviewer security auditor partner: own, partner: foreign\n",
    );
    // What each route says, whole, to somebody without a token; the open ones, to a wrong method.
    let (mut strangers, mut misled) = (BTreeSet::new(), BTreeSet::new());
    let document = super::super::document();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let ask = async |who: Option<&Token>, app: &str| {
                let query = match (method.as_str(), path.rsplit('/').next()) {
                    ("post", Some("versions")) => "?version=9.9.9",
                    _ => "",
                };
                let line = filled(path, app);
                let line = format!("{} {line}{query}", method.to_uppercase());
                let (kind, body) = body(method, path, app);
                let mut ask = match who {
                    Some(who) => plane.ask(who, &line),
                    None => plane.nobody(&line),
                };
                if let Some(kind) = kind {
                    ask = ask.header("content-type", kind);
                }
                ask.any().bytes(body).send().await
            };
            let open = operation.get("security").is_none();
            let nobody = ask(None, "pingan/travel").await;
            assert_eq!(
                nobody.status == StatusCode::UNAUTHORIZED,
                !open,
                "{method} {path}: {nobody}"
            );
            let mut marks = String::new();
            if open {
                let wrong = plane.nobody(&format!("DELETE {path}")).send().await;
                misled.insert(wrong.to_string());
                marks.push('?');
            } else {
                strangers.insert(nobody.to_string());
                for who in people {
                    marks.push(mark(&ask(Some(who), "pingan/travel").await));
                }
                if path.contains("{tenant}") {
                    let (there, nowhere) = (
                        ask(Some(&plane.ping), "cmb/pay").await,
                        ask(Some(&plane.ping), "cmc/pay").await,
                    );
                    let is_alike =
                        there.body.replace("cmb", "…") == nowhere.body.replace("cmc", "…");
                    if there.status != StatusCode::NOT_FOUND || !is_alike {
                        leaks.push(format!("{method} {path}: {there}"));
                    }
                    marks.push(mark(&there));
                }
            }
            calls += marks.trim().len();
            writeln!(table, "{marks:<8} {} {path}", method.to_uppercase()).unwrap();
        }
    }
    println!("{calls} calls, leaks: {}", leaks.len());
    assert!(leaks.is_empty(), "{leaks:#?}");
    let strangers: Vec<String> = strangers.into_iter().collect();
    insta::assert_snapshot!(strangers.join("\n\n"), @r#"
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
    let misled: Vec<String> = misled.into_iter().collect();
    insta::assert_snapshot!(misled.join("\n\n"), @r#"
    405 Method Not Allowed
    allow: GET,HEAD
    content-type: application/problem+json

    {
      "code": "no-method",
      "detail": "this path does not take that method; `/api/v1/openapi.json` lists those it takes",
      "status": 405,
      "title": "No such method",
      "type": "urn:huidu:problem:no-method"
    }

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

    405 Method Not Allowed
    allow: POST
    content-type: application/problem+json

    {
      "code": "no-method",
      "detail": "this path does not take that method; `/api/v1/openapi.json` lists those it takes",
      "status": 405,
      "title": "No such method",
      "type": "urn:huidu:problem:no-method"
    }
    "#);
    insta::assert_snapshot!(table, @r#"
    admin manager sre reviewer security auditor partner: own, partner: foreign
    +++++++  GET /api/v1/apps
    ++-----  POST /api/v1/apps
    +++++++0 GET /api/v1/apps/{tenant}/{app}
    +++++++0 GET /api/v1/apps/{tenant}/{app}/at/{revision}
    +++++++0 GET /api/v1/apps/{tenant}/{app}/experiments
    +++++++0 GET /api/v1/apps/{tenant}/{app}/experiments/{experiment}
    ++-----0 PUT /api/v1/apps/{tenant}/{app}/experiments/{experiment}
    ++-----0 POST /api/v1/apps/{tenant}/{app}/experiments/{experiment}/end
    ++++++-0 GET /api/v1/apps/{tenant}/{app}/experiments/{experiment}/plan
    ++-----0 POST /api/v1/apps/{tenant}/{app}/experiments/{experiment}/promote
    ++++++-0 POST /api/v1/apps/{tenant}/{app}/explain
    +++++++0 GET /api/v1/apps/{tenant}/{app}/health
    +---+--0 PUT /api/v1/apps/{tenant}/{app}/internal
    +++-+--0 POST /api/v1/apps/{tenant}/{app}/kill
    +++++++0 GET /api/v1/apps/{tenant}/{app}/permissions
    +--++--0 DELETE /api/v1/apps/{tenant}/{app}/permissions/{permission}/grant
    +--+---0 PUT /api/v1/apps/{tenant}/{app}/permissions/{permission}/grant
    ++--+--0 POST /api/v1/apps/{tenant}/{app}/permissions/{permission}/restore
    +++-+--0 POST /api/v1/apps/{tenant}/{app}/permissions/{permission}/revoke
    ++++++-0 POST /api/v1/apps/{tenant}/{app}/plan
    +++++++0 GET /api/v1/apps/{tenant}/{app}/policy
    +---+--0 PUT /api/v1/apps/{tenant}/{app}/policy
    +++++++0 GET /api/v1/apps/{tenant}/{app}/ramp
    +++----0 POST /api/v1/apps/{tenant}/{app}/ramp/abort
    ++-----0 POST /api/v1/apps/{tenant}/{app}/ramp/approve
    +++-+--0 POST /api/v1/apps/{tenant}/{app}/ramp/pause
    ++-----0 POST /api/v1/apps/{tenant}/{app}/ramp/resume
    +++-+--0 POST /api/v1/apps/{tenant}/{app}/ramp/roll-back
    +++++++0 GET /api/v1/apps/{tenant}/{app}/rollout
    ++-----0 PUT /api/v1/apps/{tenant}/{app}/rollout
    +++----0 PUT /api/v1/apps/{tenant}/{app}/rollout/rules/{rule}/paused
    +++----0 PUT /api/v1/apps/{tenant}/{app}/rollout/rules/{rule}/share
    ++-----0 POST /api/v1/apps/{tenant}/{app}/unkill
    +++++++0 GET /api/v1/apps/{tenant}/{app}/versions
    ++----+0 POST /api/v1/apps/{tenant}/{app}/versions
    +--+---0 POST /api/v1/apps/{tenant}/{app}/versions/{version}/approve
    +++++++0 GET /api/v1/apps/{tenant}/{app}/versions/{version}/bundle
    +++----0 POST /api/v1/apps/{tenant}/{app}/versions/{version}/delist
    +++++++0 GET /api/v1/apps/{tenant}/{app}/versions/{version}/files
    ++----+0 POST /api/v1/apps/{tenant}/{app}/versions/{version}/list
    ++-+---0 POST /api/v1/apps/{tenant}/{app}/versions/{version}/previews
    ++-++--0 DELETE /api/v1/apps/{tenant}/{app}/versions/{version}/previews/{id}
    +++++++0 GET /api/v1/apps/{tenant}/{app}/versions/{version}/record
    +--+---0 PUT /api/v1/apps/{tenant}/{app}/versions/{version}/record
    +--+---0 POST /api/v1/apps/{tenant}/{app}/versions/{version}/reject
    +++++++0 GET /api/v1/apps/{tenant}/{app}/versions/{version}/review
    +--+---0 POST /api/v1/apps/{tenant}/{app}/versions/{version}/review
    +++++++0 GET /api/v1/apps/{tenant}/{app}/versions/{version}/trial
    ++-+---0 PUT /api/v1/apps/{tenant}/{app}/versions/{version}/trial
    ++++++-  GET /api/v1/changes
    +++++--  POST /api/v1/changes/{id}/approve
    +++++--  POST /api/v1/changes/{id}/withdraw
    +++++++  GET /api/v1/events
    +++++++  GET /api/v1/eyes
    +---+--  PUT /api/v1/eyes
    ++++++-  GET /api/v1/fleet
    ++++++-  GET /api/v1/history
    +++++++  GET /api/v1/hosts
    ++-----  POST /api/v1/hosts
    +++++++  GET /api/v1/keyring
    +---+--  POST /api/v1/keyring
    0000000  GET /api/v1/kills/{op}
    +---++-  GET /api/v1/members
    +---+--  DELETE /api/v1/members/{member}
    +------  PUT /api/v1/members/{member}
    ?        GET /api/v1/openapi.json
    ++++++0  GET /api/v1/ops/{op}
    +++++++  GET /api/v1/overview
    +++++++  GET /api/v1/permissions
    +---+--  PUT /api/v1/permissions
    +++++++  GET /api/v1/review-policy
    +---+--  PUT /api/v1/review-policy
    +++++++  GET /api/v1/reviews
    ++++++-  GET /api/v1/segments
    ++-----  DELETE /api/v1/segments/{segment}
    ++++++-  GET /api/v1/segments/{segment}
    ++-----  PUT /api/v1/segments/{segment}
    ?        GET /api/v1/session
    ?        POST /api/v1/session
    ?        GET /api/v1/signin
    ?        GET /api/v1/signin/callback
    ?        POST /api/v1/signin/token
    ?        POST /api/v1/signout
    +++++++  GET /api/v1/status
    +++++++  GET /api/v1/tenants
    ++-----  POST /api/v1/tenants
    +---+--0 PUT /api/v1/tenants/{tenant}/grade
    +---++-  GET /api/v1/tokens
    +------  POST /api/v1/tokens
    +---+--  DELETE /api/v1/tokens/{id}
    +++++++  GET /api/v1/whoami
    ?        GET /healthz
    ?        GET /metrics
    ?        GET /peer/v1/beat
    ?        POST /peer/v1/kills
    ?        GET /readyz
    "#);
}
