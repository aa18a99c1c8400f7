//! Versions under review on devices in sandboxes.

use huidu_core::preview::PreviewLink;
use serde_json::json;

use super::{
    office::{Office, VERSIONS},
    *,
};

#[tokio::test]
async fn a_version_under_review_is_tried_in_sandboxes_alone() {
    let office = Office::new().await;
    office.submit("1.0.0", "camera", &[("a.js", "1")]).await;
    let trial = format!("PUT {VERSIONS}/1.0.0/trial");
    let named = |host: &str| json!({ "hosts": [host], "devices": ["t-1"] });
    insta::assert_snapshot!(office.rui(&trial).any().json(named("retail")).send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "not-a-sandbox",
      "detail": "`retail` is no sandbox; what is under review is delivered in sandboxes alone",
      "field": "host",
      "status": 422,
      "title": "Not a sandbox",
      "type": "urn:huidu:problem:not-a-sandbox"
    }
    "#);
    office
        .ok(office.rui(&trial).any().json(named("retail-test")))
        .await;
    let nothing = json!([null, "none", null, null]);
    let on_trial = json!(["1.0.0", "trial", ["camera"], null]);
    assert_eq!(office.told("retail-test", "t-1", None), on_trial);
    assert_eq!(office.told("retail-test", "t-2", None), nothing);
    assert_eq!(office.told("retail", "t-1", None), nothing);

    let until = "2026-11-25T12:00:00Z";
    let invite = format!("POST {VERSIONS}/1.0.0/previews");
    let body = || json!({ "host": "retail-test", "until": until });
    let asked = || {
        office
            .plane
            .maya(&invite)
            .header("idempotency-key", "k")
            .json(body())
    };
    let given = office.ok(asked()).await.json();
    let again = office.ok(asked()).await.json();
    assert_eq!(
        (&again["repeated"], &again["link"]),
        (&json!(true), &Value::Null)
    );
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
    let known = huidu_core::keyring::Keyring::of_key(&(&key).into(), "bank/test");
    let link = given["link"].as_str().unwrap();
    let now = office.plane.node.now();
    let link = PreviewLink::verify(link, &known, now).unwrap();
    assert_eq!(
        (
            link.app.as_str(),
            link.host.as_str(),
            link.until.to_string()
        ),
        ("pingan/travel", "retail-test", until.into())
    );
    assert_eq!(
        office.told("retail-test", "anybody", Some(&link.secret)),
        on_trial
    );
    assert_eq!(
        office.told("retail", "anybody", Some(&link.secret)),
        nothing
    );
    assert_eq!(
        office.told("retail-test", "anybody", Some("guess")),
        nothing
    );
    let page = office
        .plane
        .audrey(&format!("GET {VERSIONS}/1.0.0/trial"))
        .send()
        .await;
    assert!(!page.body.contains(&link.secret), "{page}");
    assert_eq!(page.json()["previews"][0]["id"], given["id"]);

    let id = given["id"].as_str().unwrap();
    let take_back = format!("DELETE {VERSIONS}/1.0.0/previews/{id}");
    office.ok(office.sec(&take_back)).await;
    assert_eq!(
        office.told("retail-test", "anybody", Some(&link.secret)),
        nothing
    );
    assert_eq!(
        office.sec(&take_back).send().await.json()["code"],
        "unknown-preview"
    );
    let late = json!({ "host": "retail-test", "until": "2027-11-25T12:00:00Z" });
    insta::assert_snapshot!(office.plane.maya(&invite).json(late).send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "preview-time",
      "detail": "a preview is open until a time in the future, at most 14 days ahead; choose another",
      "field": "until",
      "status": 422,
      "title": "Another time",
      "type": "urn:huidu:problem:preview-time"
    }
    "#);
}
