//! Rollouts: whole, by one share, by one pause; explained.

use serde_json::json;

use super::*;

const ROLLOUT_PATH: &str = "/api/v1/apps/pingan/travel/rollout";

#[tokio::test]
async fn a_rollout_is_read_changed_and_put_back() {
    let plane = Plane::furnished().await;
    let shown = plane.ping(&format!("GET {ROLLOUT_PATH}")).send().await;
    insta::assert_snapshot!(shown, @"");
    let mut rollout = shown.json();
    rollout["rule"][0]["share"] = "50%".into();
    let put = || plane.maya(&format!("PUT {ROLLOUT_PATH}")).header("if-match", shown.etag()).json(rollout.clone());
    insta::assert_snapshot!(put().send().await, @"");
    insta::assert_snapshot!(put().send().await, @"");
    insta::assert_snapshot!(plane.maya("GET /api/v1/apps/cmb/pay/rollout").send().await, @"");
}

#[tokio::test]
async fn every_mistake_is_told_with_its_place() {
    let plane = Plane::furnished().await;
    let unreadable = ROLLOUT.replace("5%", "500%").replace("serve =", "server =");
    let put = |body: &str| plane.maya(&format!("PUT {ROLLOUT_PATH}")).any().toml(body);
    insta::assert_snapshot!(put(&unreadable).send().await, @"");
    let unlisted = ROLLOUT.replace("1.1.0", "7.0.0").replace("retail", "nowhere");
    insta::assert_snapshot!(put(&unlisted).send().await, @"");
    insta::assert_snapshot!(put(&ROLLOUT.replace("pingan/travel", "cmb/pay")).send().await, @"");
    let json = plane.maya(&format!("PUT {ROLLOUT_PATH}")).any().json(json!({"app": "pingan/travel"}));
    insta::assert_snapshot!(json.send().await, @"");
    let xml = plane.maya(&format!("PUT {ROLLOUT_PATH}")).any().header("content-type", "text/xml");
    insta::assert_snapshot!(xml.bytes("<a/>").send().await, @"");
}

#[tokio::test]
async fn an_sre_lowers_a_share_and_never_raises_it() {
    let plane = Plane::furnished().await;
    let share = |who: &Token, share: &str| {
        let ask = plane.ask(who, &format!("PUT {ROLLOUT_PATH}/rules/ramp/share"));
        ask.any().json(json!({"share": share}))
    };
    insta::assert_snapshot!(share(&plane.sven, "6%").send().await, @"");
    insta::assert_snapshot!(share(&plane.sven, "4%").send().await, @"");
    insta::assert_snapshot!(share(&plane.maya, "4%").send().await, @"");
    insta::assert_snapshot!(share(&plane.maya, "101%").send().await, @"");
    assert_eq!(share(&plane.maya, "12.5%").send().await.status, StatusCode::OK);
    let unknown = plane.maya(&format!("PUT {ROLLOUT_PATH}/rules/other/share")).any();
    insta::assert_snapshot!(unknown.json(json!({"share": "1%"})).send().await, @"");
    let unsaid = plane.maya(&format!("PUT {ROLLOUT_PATH}/rules/ramp/share"));
    insta::assert_snapshot!(unsaid.json(json!({"share": "1%"})).send().await, @"");
}

#[tokio::test]
async fn an_sre_pauses_and_a_manager_resumes() {
    let plane = Plane::furnished().await;
    let pause = |who: &Token, paused: bool| {
        let ask = plane.ask(who, &format!("PUT {ROLLOUT_PATH}/rules/ramp/paused"));
        ask.any().json(json!({"paused": paused}))
    };
    insta::assert_snapshot!(pause(&plane.sven, true).send().await, @"");
    insta::assert_snapshot!(pause(&plane.sven, false).send().await, @"");
    assert_eq!(pause(&plane.maya, false).send().await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_device_is_explained_to_the_bank_and_to_nobody_else() {
    let plane = Plane::furnished().await;
    let explain = |who: &Token, question: Value| {
        plane.ask(who, "POST /api/v1/apps/pingan/travel/explain").json(question)
    };
    let question = json!({"host": "retail", "device": {"unit": "device-7"}, "version": "1.0.0"});
    insta::assert_snapshot!(explain(&plane.sven, question.clone()).send().await, @"");
    insta::assert_snapshot!(explain(&plane.ping, question).send().await, @"");
    insta::assert_snapshot!(explain(&plane.sven, json!({"host": "retail", "device": {}})).send().await, @"");
    insta::assert_snapshot!(explain(&plane.sven, json!({"hots": "retail"})).send().await, @"");
}
