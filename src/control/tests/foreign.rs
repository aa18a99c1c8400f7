//! What a partner may not see looks exactly as what does not exist: every route, taken from the document.

use super::*;

/// Bodies that fit their routes, so that nothing but the name can be at fault.
fn body(path: &str) -> &'static str {
    let last = path.rsplit('/').next().unwrap_or_default();
    match last {
        "kill" | "unkill" | "delist" => r#"{"reason":"because"}"#,
        "share" => r#"{"share":"1%"}"#,
        "paused" => r#"{"paused":true}"#,
        "explain" => r#"{"host":"retail","device":{"unit":"u"}}"#,
        "plan" => r#"{"rollout":{"app":"cmb/pay","hosts":["retail"],"stable":"1.0.0"}}"#,
        "rollout" => r#"{"app":"cmb/pay","hosts":["retail"],"stable":"1.0.0"}"#,
        _ => "",
    }
}

#[tokio::test]
async fn every_route_of_a_foreign_app_answers_as_if_it_did_not_exist() {
    let plane = Plane::furnished().await;
    let before = plane.node.catalogue().revision;
    let document = super::super::document();
    let mut routes = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        if !path.contains("{app}") {
            continue;
        }
        for method in methods.as_object().unwrap().keys() {
            routes += 1;
            let ask = async |app: &str| {
                let path = path
                    .replace("{tenant}/{app}", app)
                    .replace("{version}", "1.0.0")
                    .replace("{rule}", "ramp");
                let line = format!("{} {path}?version=1.0.0", method.to_uppercase());
                let mut reply = plane.ping(&line).any().bytes(body(&path)).send().await;
                assert_eq!(reply.status, StatusCode::NOT_FOUND, "{line}: {reply}");
                reply.headers.remove("content-length");
                (reply.headers.clone(), reply.body.replace(app, "<app>"))
            };
            let (there, nowhere) = (ask("cmb/pay").await, ask("cmb/nothing").await);
            assert_eq!(there, nowhere, "{method} {path}");
            assert!(
                there.1.contains("unknown-app"),
                "{method} {path}: {}",
                there.1
            );
        }
    }
    assert!(routes >= 12, "only {routes} routes");
    assert_eq!(plane.node.catalogue().revision, before);
}

#[tokio::test]
async fn a_partners_lists_hold_its_own_and_nothing_else() {
    let plane = Plane::furnished().await;
    for path in ["/api/v1/apps", "/api/v1/tenants", "/api/v1/status"] {
        let reply = plane.ping(&format!("GET {path}")).send().await;
        assert_eq!(reply.status, StatusCode::OK);
        assert!(!reply.body.contains("cmb"), "{path}: {reply}");
    }
    assert_eq!(
        plane.ping("GET /api/v1/status").send().await.json()["apps"],
        1
    );
    for path in [
        "/api/v1/segments",
        "/api/v1/segments/staff",
        "/api/v1/tokens",
        "/api/v1/history",
    ] {
        let reply = plane.ping(&format!("GET {path}")).send().await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path}: {reply}");
    }
}

#[tokio::test]
async fn an_own_app_that_does_not_exist_is_told_in_the_same_words() {
    let plane = Plane::furnished().await;
    let own = plane.ping("GET /api/v1/apps/pingan/nothing").send().await;
    let foreign = plane.ping("GET /api/v1/apps/cmb/pay").send().await;
    assert_eq!(
        own.body.replace("pingan/nothing", "<app>"),
        foreign.body.replace("cmb/pay", "<app>")
    );
    let written = plane
        .ping("POST /api/v1/apps/pingan/nothing/versions?version=1.0.0")
        .bytes(bundle("x"))
        .send()
        .await;
    assert_eq!(written.body, own.body);
}
