//! Tenants, hosts and apps: admitted, listed, shown.

use serde_json::json;

use super::*;

#[tokio::test]
async fn whoever_shows_no_token_is_told_to() {
    let plane = Plane::new().await;
    insta::assert_snapshot!(plane.nobody("GET /api/v1/apps").send().await, @"");
}

#[tokio::test]
async fn a_typo_in_a_token_is_told_apart_from_a_stranger() {
    let plane = Plane::new().await;
    let typo = plane.root.to_string().replacen("hd_admin_", "hd_admin_0", 1);
    let typo = format!("{}{}", &typo[..30], &typo[31..]);
    let reply = plane.nobody("GET /api/v1/apps").header("authorization", &format!("Bearer {typo}")).send().await;
    insta::assert_snapshot!(reply, @"");
    let stranger = Token::generate(Kind::Admin).unwrap();
    insta::assert_snapshot!(plane.ask(&stranger, "GET /api/v1/apps").send().await, @"");
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
    let ask = || plane.maya("POST /api/v1/tenants").json(json!({"tenant": "pingan", "title": "平安"}));
    insta::assert_snapshot!(ask().send().await, @"");
    insta::assert_snapshot!(ask().send().await, @"");
    insta::assert_snapshot!(plane.audrey("GET /api/v1/tenants").send().await, @"");
}

#[tokio::test]
async fn a_host_is_admitted_by_those_who_may() {
    let plane = Plane::new().await;
    let host = json!({"host": "retail", "title": "手机银行"});
    insta::assert_snapshot!(plane.audrey("POST /api/v1/hosts").json(host.clone()).send().await, @"");
    insta::assert_snapshot!(plane.maya("POST /api/v1/hosts").json(host).send().await, @"");
    insta::assert_snapshot!(plane.ping("GET /api/v1/hosts").send().await, @"");
    insta::assert_snapshot!(plane.nobody("GET /api/v1/hosts").send().await, @"");
}

#[tokio::test]
async fn a_body_that_does_not_fit_names_its_field() {
    let plane = Plane::new().await;
    let ask = || plane.maya("POST /api/v1/apps");
    insta::assert_snapshot!(ask().json(json!({"app": "Travel"})).send().await, @"");
    insta::assert_snapshot!(ask().json(json!({"app": "a/b", "colour": 1})).send().await, @"");
    insta::assert_snapshot!(ask().bytes("{\"app\":").send().await, @"");
    insta::assert_snapshot!(ask().header("content-type", "text/xml").bytes("<app/>").send().await, @"");
    insta::assert_snapshot!(ask().bytes(vec![b' '; 65_537]).send().await, @"");
}

#[tokio::test]
async fn an_app_is_admitted_with_its_tenant_and_shown() {
    let plane = Plane::new().await;
    let ask = plane.maya("POST /api/v1/apps?why=%E5%BC%80%E9%80%9A").json(json!({"app": "pingan/travel", "title": "旅行"}));
    insta::assert_snapshot!(ask.send().await, @"");
    insta::assert_snapshot!(plane.ping("GET /api/v1/apps").send().await, @"");
    insta::assert_snapshot!(plane.sven("GET /api/v1/apps/pingan/travel").send().await, @"");
    insta::assert_snapshot!(plane.sven("GET /api/v1/apps/pingan/hotel").send().await, @"");
}

#[tokio::test]
async fn a_repeated_request_changes_nothing_and_answers_the_same() {
    let plane = Plane::new().await;
    let ask = || {
        let ask = plane.maya("POST /api/v1/apps").header("idempotency-key", "open travel");
        ask.json(json!({"app": "pingan/travel"}))
    };
    let (first, second) = (ask().send().await, ask().send().await);
    let mut expected = first.json();
    expected["repeated"] = true.into();
    assert_eq!((second.status, second.json()), (first.status, expected));
    assert_eq!(second.headers, first.headers);
    // The same key said by somebody else is another want.
    let other = plane.root("POST /api/v1/apps").header("idempotency-key", "open travel");
    assert_eq!(other.json(json!({"app": "pingan/travel"})).send().await.status, StatusCode::CONFLICT);
    let bad = plane.maya("POST /api/v1/apps").header("idempotency-key", "").json(json!({"app": "a/b"}));
    insta::assert_snapshot!(bad.send().await, @"");
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_not_there() {
    let plane = Plane::new().await;
    insta::assert_snapshot!(plane.root("GET /api/v2").send().await, @"");
    insta::assert_snapshot!(plane.root("PATCH /api/v1/apps").send().await, @"");
}
