//! Names of changes: whose they are, what they stand for, and who is told what became of them.

use serde_json::json;

use super::*;

const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const KILL: &str = "POST /api/v1/apps/cmb/pay/kill";

fn code(reply: &Reply) -> String {
    reply.json()["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn nobody_meets_a_change_of_somebody_else_by_repeating_its_name() {
    let plane = Plane::furnished().await;
    let ask = |who: &Token, reason: &str| {
        let ask = plane.ask(who, KILL).header("idempotency-key", ULID);
        ask.json(json!({ "reason": reason })).send()
    };
    let first = ask(&plane.maya, "broken").await;
    assert_eq!(first.status, StatusCode::OK, "{first}");
    assert_ne!(
        first.json()["op"],
        ULID,
        "a name that is chosen is no op id"
    );
    // The very same request of another: a change of its own, which finds the state as it is.
    let other = ask(&plane.sven, "broken").await;
    assert_eq!(other.json()["repeated"], Value::Null, "{other}");
    assert_ne!(other.json()["op"], first.json()["op"]);
    let again = ask(&plane.maya, "broken").await;
    assert_eq!(
        (&again.json()["repeated"], &again.json()["op"]),
        (&json!(true), &first.json()["op"])
    );
}

#[tokio::test]
async fn a_key_that_stands_for_another_change_is_refused() {
    let plane = Plane::furnished().await;
    let before = plane.node.catalogue().revision;
    let ask = |line: &'static str, body: Value| {
        let ask = plane.maya(line).header("idempotency-key", "deploy 7");
        ask.any().json(body).send()
    };
    let first = ask(KILL, json!({ "reason": "broken" })).await;
    assert_eq!(first.status, StatusCode::OK, "{first}");
    insta::assert_snapshot!(ask("POST /api/v1/apps/pingan/travel/kill", json!({ "reason": "broken" })).await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "key-reused",
      "detail": "this `Idempotency-Key` stands for another change already, op `<op>`; use a new key for a new change",
      "field": "Idempotency-Key",
      "status": 422,
      "title": "A key of another change",
      "type": "urn:huidu:problem:key-reused"
    }
    "#);
    for (line, body) in [
        (KILL, json!({ "reason": "another" })),
        (KILL, json!({ "reason": "broken", "version": "1.0.0" })),
        (
            "POST /api/v1/apps/cmb/pay/unkill",
            json!({ "reason": "broken" }),
        ),
        ("POST /api/v1/tenants", json!({ "tenant": "new" })),
    ] {
        let reply = ask(line, body).await;
        assert_eq!(code(&reply), "key-reused", "{line}: {reply}");
    }
    assert_eq!(plane.node.catalogue().revision.get(), before.get() + 1);
    let again = ask(KILL, json!({ "reason": "broken" })).await;
    assert_eq!(again.json()["repeated"], true, "{again}");
}

/// What a server draws at every try makes no other change of it.
#[tokio::test]
async fn what_is_drawn_anew_is_the_same_change() {
    let plane = Plane::furnished().await;
    let ask = |line: &'static str| {
        plane
            .root(line)
            .header("idempotency-key", &format!("k {line}"))
    };
    for again in [false, true] {
        let token = ask("POST /api/v1/tokens").json(json!({ "role": "sre" }));
        let token = token.send().await;
        assert_eq!(token.json()["repeated"] == true, again, "{token}");
        plane.clock.advance_ms(1_000);
        let version = ask("POST /api/v1/apps/pingan/travel/versions?version=3.0.0");
        let version = version.bytes(bundle("3")).send().await;
        assert_eq!(version.json()["repeated"] == true, again, "{version}");
    }
    let other = ask("POST /api/v1/tokens").json(json!({ "role": "auditor" }));
    assert_eq!(code(&other.send().await), "key-reused");
    let other = ask("POST /api/v1/apps/pingan/travel/versions?version=3.0.0");
    assert_eq!(code(&other.bytes(bundle("4")).send().await), "key-reused");
}

#[tokio::test]
async fn what_became_of_a_change_is_told_to_those_it_concerns() {
    let plane = Plane::furnished().await;
    let kill = |app: &str| {
        let line = format!("POST /api/v1/apps/{app}/kill");
        let ask = plane.sven(&line).header("idempotency-key", ULID);
        ask.json(json!({ "reason": "x" }))
    };
    let op = async |reply: Ask<'_>| reply.send().await.json()["op"].as_str().unwrap().to_owned();
    let foreign = op(kill("cmb/pay")).await;
    let ask = |who: &Token, op: &str| plane.ask(who, &format!("GET /api/v1/ops/{op}")).send();
    // By its op id: to whoever asked, and to everybody of the bank.
    for who in [&plane.sven, &plane.maya, &plane.audrey] {
        let reply = ask(who, &foreign).await;
        assert_eq!(reply.json()["state"], "committed", "{reply}");
    }
    // By the key it was asked under: to whoever chose it alone.
    let reply = ask(&plane.sven, ULID).await;
    assert_eq!(
        (&reply.json()["state"], &reply.json()["op"]),
        (&json!("committed"), &json!(foreign))
    );
    assert_eq!(ask(&plane.maya, ULID).await.json()["state"], "absent");
    // A partner is told of its own apps; what is foreign is not there, in the same words.
    let (there, nowhere) = (
        ask(&plane.ping, &foreign).await,
        ask(&plane.ping, ULID).await,
    );
    assert_eq!(there.status, StatusCode::NOT_FOUND, "{there}");
    assert_eq!(
        there.body.replace(&foreign, "…"),
        nowhere.body.replace(ULID, "…")
    );
    let kill = plane
        .sven("POST /api/v1/apps/pingan/travel/kill")
        .json(json!({ "reason": "x" }));
    let own = op(kill).await;
    assert_eq!(ask(&plane.ping, &own).await.json()["state"], "committed");
    // And of what it asked for itself.
    let submit = plane.ping("POST /api/v1/apps/pingan/travel/versions?version=3.0.0");
    let submit = submit.header("idempotency-key", "ours").bytes(bundle("3"));
    let theirs = op(submit).await;
    for name in [theirs.as_str(), "ours"] {
        let reply = ask(&plane.ping, name).await;
        assert_eq!(reply.json()["state"], "committed", "{name}: {reply}");
    }
}
