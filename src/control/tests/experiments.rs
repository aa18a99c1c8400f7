//! Experiments from the act that begins one to the one that ends it, with devices that report in between.

use std::{
    future::pending,
    sync::atomic::{AtomicU64, Ordering},
};

use huidu_core::{
    feedback::{EventId, Told},
    rulefile,
};
use serde_json::json;

use super::*;
use crate::node::feedback::Source;

const APP: &str = "/api/v1/apps/pingan/travel";
const ONE: &str = "/api/v1/apps/pingan/travel/experiments/copy-1";

const SPLIT: &str = r#"
app = "pingan/travel"
hosts = ["retail"]
stable = "1.0.0"

[[rule]]
name = "copy"
paused = true

[rule.split]
today = { serve = "1.0.0", weight = 50 }
one-page = { serve = "1.1.0", weight = 50 }
"#;

fn design() -> Value {
    json!({
        "rule": "copy",
        "control": "today",
        "primary": { "measure": "converted" },
        "guard": [{ "measure": "crashed" }],
        "at_least": "1d",
        "planned_units": 1_000,
    })
}

/// Names of events, each once.
static NAMES: AtomicU64 = AtomicU64::new(1);

impl Plane {
    /// A plane whose node counts, with a split that nobody is in yet.
    async fn splitting() -> Self {
        let plane = Self::furnished().await;
        drop(plane.node.keep_counting(None, pending()));
        let put = plane.maya(&format!("PUT {APP}/rollout")).any().toml(SPLIT);
        let reply = put.send().await;
        assert_eq!(reply.status, StatusCode::OK, "{reply}");
        plane
    }

    async fn testing() -> Self {
        let plane = Self::splitting().await;
        let begun = plane
            .maya(&format!("PUT {ONE}"))
            .any()
            .json(design())
            .send()
            .await;
        assert_eq!(begun.status, StatusCode::OK, "{begun}");
        plane
    }

    /// Devices of an arm report something.
    fn report(&self, arm: &str, version: &str, told: Told<'_>, devices: u64) {
        let live = self.node.live();
        let source = Source {
            live: &live,
            app: "pingan/travel",
            version,
            rule: "copy",
            arm,
        };
        let mut key = String::new();
        for _ in 0..devices {
            let name = NAMES.fetch_add(1, Ordering::Relaxed);
            let id = EventId::parse(&format!("{name:032x}")).unwrap();
            let taken = self.node.feedback();
            let taken = taken.take(&mut key, &source, told, id, 1, 0, self.node.now());
            taken.unwrap();
        }
    }

    /// Both arms report: arrivals, and how many of them converted.
    fn arms(&self, today: (u64, u64), one_page: (u64, u64)) {
        for (arm, version, (arrivals, converted)) in
            [("today", "1.0.0", today), ("one-page", "1.1.0", one_page)]
        {
            self.report(arm, version, Told::Activated, arrivals);
            self.report(arm, version, Told::Converted, converted);
        }
    }

    /// The experiment, once as many units arrived and as many converted.
    async fn read(&self, units: u64, events: u64) -> Value {
        let sum = |page: &Value, field: &str| -> u64 {
            let arms = page["arms"].as_array().unwrap();
            arms.iter().map(|arm| arm[field].as_u64().unwrap()).sum()
        };
        for _ in 0..600 {
            let page = self.audrey(&format!("GET {ONE}")).send().await;
            assert_eq!(page.status, StatusCode::OK, "{page}");
            let page = page.json();
            if sum(&page, "units") == units && sum(&page, "events") == events {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{units} units with {events} events were not counted within 30 seconds");
    }

    fn days(&self, days: u64) {
        self.clock.advance_ms(days * 24 * 60 * 60 * 1_000);
    }
}

#[tokio::test]
async fn a_test_from_its_beginning_to_the_promotion_of_an_arm() {
    let plane = Plane::splitting().await;
    let begin = || plane.maya(&format!("PUT {ONE}"));
    insta::assert_snapshot!(begin().json(design()).send().await, @r#"
    428 Precondition Required
    content-type: application/problem+json

    {
      "code": "if-match-required",
      "detail": "this changes something that exists; read it and send its ETag as `If-Match`, or `*` to change whichever it is at",
      "field": "If-Match",
      "status": 428,
      "title": "If-Match required",
      "type": "urn:huidu:problem:if-match-required"
    }
    "#);
    let mut wrong = design();
    wrong["at_least"] = "40d".into();
    insta::assert_snapshot!(begin().any().json(wrong).send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "design",
      "detail": "the experiment cannot be: `at_least`: at most 28d; counts are kept for 30 days",
      "field": "at_least",
      "status": 422,
      "title": "No such experiment can be",
      "type": "urn:huidu:problem:design"
    }
    "#);
    let begun = begin().any().json(design()).send().await;
    assert_eq!(begun.status, StatusCode::OK, "{begun}");
    plane.arms((600, 60), (600, 130));
    let page = plane.read(1_200, 190).await;
    assert_eq!(
        (&page["state"], &page["verdict"]),
        (&json!("running"), &json!("too-early"))
    );
    assert_eq!(page["arms"][0]["arm"], "today", "the control comes first");
    let promote = |arm: &str, anyway: bool| {
        let order = json!({ "arm": arm, "reason": "more orders", "anyway": anyway });
        plane.maya(&format!("POST {ONE}/promote")).any().json(order)
    };
    insta::assert_snapshot!(promote("one-page", false).send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "not-shown",
      "detail": "arm `one-page` is not promoted: its least time is not over; end the experiment without it, or say `anyway` to promote it all the same",
      "status": 409,
      "title": "Not shown",
      "type": "urn:huidu:problem:not-shown"
    }
    "#);
    plane.days(2);
    let page = plane.read(1_200, 190).await;
    assert_eq!(page["verdict"], "shown");
    let arm = &page["arms"][1];
    assert_eq!(
        (&arm["says"], &arm["guards"][0]["verdict"]),
        (&json!("better"), &json!("inconclusive"))
    );
    assert!(arm["chance_to_win"].as_f64().unwrap() > 0.999);
    // Whom it would move, before it is done.
    let plan = plane
        .maya(&format!("GET {ONE}/plan?arm=one-page"))
        .send()
        .await;
    assert_eq!(plan.json()["stable"]["to"], "1.1.0", "{plan}");
    let mut csv = plane
        .audrey(&format!("GET {APP}/experiments"))
        .header("accept", "text/csv")
        .send()
        .await;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    csv.body.truncate(csv.body.lines().next().unwrap().len());
    insta::assert_snapshot!(csv.body, @"experiment,rule,since,until,verdict,ratio_p,arm,is_control,version,weight,measure,role,units,events,mean,mean_low,mean_high,difference,difference_low,difference_high,lift,lift_low,lift_high,chance_to_win,expected_loss,says");
    let refused = plane.sven(&format!("POST {ONE}/promote")).any();
    let refused = refused
        .json(json!({ "arm": "one-page", "reason": "r" }))
        .send()
        .await;
    assert_eq!(refused.json()["code"], "forbidden");
    let unknown = promote("two-page", false).send().await;
    assert_eq!(unknown.json()["code"], "experiment", "{unknown}");
    // Asked for twice by one name, it happens once.
    for repeated in [Value::Null, json!(true)] {
        let promoted = promote("one-page", false)
            .header("idempotency-key", "promote it")
            .send()
            .await;
        assert_eq!(
            (promoted.status, &promoted.json()["repeated"]),
            (StatusCode::OK, &repeated),
            "{promoted}"
        );
    }
    let rollout = plane
        .maya(&format!("GET {APP}/rollout"))
        .send()
        .await
        .json();
    assert_eq!(
        (&rollout["stable"], &rollout["rule"]),
        (&json!("1.1.0"), &Value::Null)
    );
    let page = plane.read(1_200, 190).await;
    assert_eq!(
        (&page["state"], &page["verdict"]),
        (&json!("promoted"), &json!("shown"))
    );
    assert_eq!(page["end"]["arm"], "one-page");
}

#[tokio::test]
async fn units_that_do_not_arrive_as_drawn_are_told_before_anything_else() {
    let plane = Plane::testing().await;
    plane.arms((700, 70), (400, 120));
    plane.days(2);
    let page = plane.read(1_100, 190).await;
    assert_eq!(page["verdict"], "ratio-alarm");
    let order = json!({ "arm": "one-page", "reason": "r" });
    let refused = plane
        .maya(&format!("POST {ONE}/promote"))
        .any()
        .json(order)
        .send()
        .await;
    assert!(
        refused
            .body
            .contains("units do not arrive in the arms as they are drawn"),
        "{refused}"
    );
    let ended = plane
        .maya(&format!("POST {ONE}/end"))
        .any()
        .json(json!({ "reason": "broken" }));
    let ended = ended.send().await;
    assert_eq!(ended.status, StatusCode::OK, "{ended}");
    assert_eq!(plane.read(1_100, 190).await["state"], "ended");
}

#[tokio::test]
async fn other_weights_say_whom_they_move_and_wait_for_a_yes() {
    let plane = Plane::testing().await;
    plane.arms((30, 3), (30, 3));
    plane.read(60, 6).await;
    let uneven = SPLIT
        .replace("paused = true", "")
        .replacen("weight = 50", "weight = 25", 1)
        .replacen("weight = 50", "weight = 75", 1);
    let put = |query: &str| {
        plane
            .maya(&format!("PUT {APP}/rollout{query}"))
            .any()
            .toml(&uneven)
    };
    insta::assert_snapshot!(put("").send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "redraws",
      "detail": "this moves 25% of its units to another arm while experiment `copy-1` reads rule `copy`; grow the share of the rule instead, give it a new name, or accept that counting begins anew (`redraw=copy-1`)",
      "status": 409,
      "title": "Units would change arms",
      "type": "urn:huidu:problem:redraws"
    }
    "#);
    let rollout = rulefile::parse_toml("copy.toml", &uneven).unwrap().rollout;
    let plan = plane
        .maya(&format!("POST {APP}/plan"))
        .json(json!({ "rollout": rollout }))
        .send()
        .await;
    let plan = plan.json();
    assert_eq!(
        plan["redraws"][0]["why"],
        "moves 25% of its units to another arm"
    );
    assert!(
        plan["text"]
            .as_str()
            .unwrap()
            .contains("experiment `copy-1` would begin to count anew")
    );
    plane.days(1);
    let done = put("?redraw=copy-1").send().await;
    assert_eq!(done.status, StatusCode::OK, "{done}");
    let page = plane.read(0, 0).await;
    assert_eq!(
        (&page["redrawn"], &page["arms"][1]["weight"]),
        (&json!(1), &json!(75))
    );
    let odd = put("?redraw=Copy").send().await;
    assert_eq!(odd.json()["field"], "redraw", "{odd}");
}
