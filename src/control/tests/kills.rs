//! Kills: stopping is for more people than starting, and does not first read.

use serde_json::json;

use super::*;

const APP: &str = "/api/v1/apps/pingan/travel";

#[tokio::test]
async fn an_sre_kills_without_reading_first_and_a_manager_takes_it_back() {
    let plane = Plane::furnished().await;
    let kill = || plane.sven(&format!("POST {APP}/kill")).json(json!({"version": "1.1.0", "reason": "crashes"}));
    insta::assert_snapshot!(kill().send().await, @"");
    insta::assert_snapshot!(kill().send().await, @"");
    assert!(plane.node.live().kills().is_some());
    let unkill = |who: &Token| {
        let ask = plane.ask(who, &format!("POST {APP}/unkill"));
        ask.json(json!({"version": "1.1.0", "reason": "fixed"}))
    };
    insta::assert_snapshot!(unkill(&plane.maya).send().await, @"");
    insta::assert_snapshot!(unkill(&plane.sven).any().send().await, @"");
    insta::assert_snapshot!(unkill(&plane.maya).any().send().await, @"");
}

#[tokio::test]
async fn a_kill_for_a_stale_revision_is_refused_where_one_is_named() {
    let plane = Plane::furnished().await;
    let kill = plane.sven(&format!("POST {APP}/kill")).header("if-match", "\"1\"");
    insta::assert_snapshot!(kill.json(json!({"reason": "bad"})).send().await, @"");
}
