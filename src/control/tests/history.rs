//! History and ops.

use serde_json::json;

use super::*;

#[tokio::test]
async fn history_says_who_what_when_and_why() {
    let plane = Plane::new().await;
    let add = plane.maya("POST /api/v1/apps?why=pilot").json(json!({"app": "pingan/travel"}));
    let added = add.send().await.json();
    insta::assert_snapshot!(plane.audrey("GET /api/v1/history?limit=1").send().await, @"");
    let own = plane.ping("GET /api/v1/history?app=pingan/travel").send().await.json();
    // A partner is not shown what else the revision did.
    assert_eq!(own[0]["events"], json!([{"event": "app-added", "app": "pingan/travel", "title": ""}]));
    assert_eq!(own.as_array().unwrap().len(), 1);
    let before = plane.audrey("GET /api/v1/history?before=3").send().await.json();
    assert_eq!(before[0]["revision"], 2);

    let op = added["op"].as_str().unwrap();
    insta::assert_snapshot!(plane.ping(&format!("GET /api/v1/ops/{op}")).send().await, @"");
}

#[tokio::test]
async fn what_history_does_not_tell() {
    let plane = Plane::new().await;
    insta::assert_snapshot!(plane.ping("GET /api/v1/history").send().await, @"");
    insta::assert_snapshot!(plane.maya("GET /api/v1/history?limit=501").send().await, @"");
    insta::assert_snapshot!(plane.maya("GET /api/v1/history?since=1").send().await, @"");
    insta::assert_snapshot!(plane.maya("GET /api/v1/history?app=pingan/nothing").send().await, @"");
    insta::assert_snapshot!(plane.maya("GET /api/v1/ops/7ZZZZZZZZZZZZZZZZZZZZZZZZZ").send().await, @"");
    insta::assert_snapshot!(plane.maya("GET /api/v1/ops/mine").send().await, @"");
    insta::assert_snapshot!(plane.nobody("GET /api/v1/ops/mine").send().await, @"");
}
