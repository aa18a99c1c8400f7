//! A store that does not answer: never a false failure, never a false success.

use serde_json::json;

use super::*;
use crate::store::faulty::{Call, Fault, FaultyStore, Verb};

/// A plane over a store whose next creation of a log record meets `fault` once `armed`.
async fn plane(fault: Fault) -> (Plane, Arc<std::sync::atomic::AtomicBool>) {
    let armed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let script = {
        let armed = Arc::clone(&armed);
        move |call: &Call| {
            let hit = call.verb == Verb::PutNew && armed.load(std::sync::atomic::Ordering::Relaxed);
            if hit { fault } else { Fault::None }
        }
    };
    let store = FaultyStore::scripted(Arc::new(MemoryStore::new()), script);
    let patience = |settings: &mut ControlSettings| settings.patience = Duration::from_millis(50);
    (
        Plane::over(Arc::new(store), Review::Skipped, patience).await,
        armed,
    )
}

#[tokio::test]
async fn a_change_that_the_store_does_not_answer_is_unknown_until_it_does() {
    let (plane, armed) = plane(Fault::RequestLost).await;
    armed.store(true, std::sync::atomic::Ordering::Relaxed);
    let ask = plane
        .maya("POST /api/v1/apps")
        .json(json!({"app": "pingan/travel"}));
    let reply = ask.send().await;
    let location = reply.headers["location"].to_str().unwrap().to_owned();
    insta::assert_snapshot!(covered(&location), @"/api/v1/ops/<op>");
    insta::assert_snapshot!(reply, @r#"
    202 Accepted
    content-type: application/json
    location: /api/v1/ops/<op>

    {
      "op": "<op>",
      "state": "unknown"
    }
    "#);
    armed.store(false, std::sync::atomic::Ordering::Relaxed);
    // Bounded: the node settles it by itself as soon as the store answers.
    for _ in 0..200 {
        let state = plane.maya(&format!("GET {location}")).send().await.json();
        if state["state"] == "committed" {
            assert_eq!(state["revision"], 6);
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let state = plane.maya(&format!("GET {location}")).send().await;
    panic!("the change was never settled: {state}");
}

#[tokio::test]
async fn a_change_whose_reply_was_lost_is_a_success() {
    let (plane, armed) = plane(Fault::ReplyLost).await;
    armed.store(true, std::sync::atomic::Ordering::Relaxed);
    let reply = plane
        .maya("POST /api/v1/apps")
        .json(json!({"app": "pingan/travel"}))
        .send()
        .await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply}");
}

/// The key of a change of which nobody knows yet whether it happened is not free for another one.
#[tokio::test]
async fn a_key_stands_for_a_change_that_is_still_on_its_way() {
    let (plane, armed) = plane(Fault::RequestLost).await;
    armed.store(true, std::sync::atomic::Ordering::Relaxed);
    let ask = |app: &str| {
        let ask = plane
            .maya("POST /api/v1/apps")
            .header("idempotency-key", "k");
        ask.json(json!({ "app": app })).send()
    };
    assert_eq!(ask("pingan/travel").await.status, StatusCode::ACCEPTED);
    assert_eq!(ask("pingan/travel").await.json()["state"], "unknown");
    let other = ask("pingan/other").await;
    assert_eq!(other.json()["code"], "key-reused", "{other}");
}
