//! Kills: stopping is for more people than starting, and does not first read.

use serde_json::json;

use super::*;

const APP: &str = "/api/v1/apps/pingan/travel";

#[tokio::test]
async fn an_sre_kills_without_reading_first_and_a_manager_takes_it_back() {
    let plane = Plane::furnished().await;
    let kill = || {
        plane
            .sven(&format!("POST {APP}/kill"))
            .json(json!({"version": "1.1.0", "reason": "crashes"}))
    };
    let mut killed = kill().send().await;
    let receipt = without_receipt(&mut killed);
    insta::assert_snapshot!(killed, @r#"
    200 OK
    content-type: application/json
    etag: "14"

    {
      "filings": [],
      "op": "<op>",
      "revision": 14
    }
    "#);
    insta::assert_snapshot!(kill().send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "nothing",
      "detail": "nothing to change: version 1.1.0 of `pingan/travel` is killed already",
      "status": 409,
      "title": "Nothing to change",
      "type": "urn:huidu:problem:nothing"
    }
    "#);
    assert!(plane.node.live().kills().is_some());
    // Where it is in force, at once and again.
    let op = receipt["op"].as_str().unwrap();
    assert_eq!(
        (&receipt["state"], &receipt["revision"]),
        (&json!("committed"), &json!(14))
    );
    assert_eq!(receipt["nodes"][0]["node"], "n1");
    assert_eq!(receipt["unreached"], json!([]));
    assert!(receipt["complete_by"].is_string(), "{receipt}");
    let again = plane
        .audrey(&format!("GET /api/v1/kills/{op}"))
        .send()
        .await;
    assert_eq!(serde_json::from_str::<Value>(&again.body).unwrap(), receipt);
    let foreign = plane
        .ping(&format!("GET /api/v1/kills/{}", op.replace('0', "1")))
        .send()
        .await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND, "{foreign}");
    let unkill = |who: &Token| {
        let ask = plane.ask(who, &format!("POST {APP}/unkill"));
        ask.json(json!({"version": "1.1.0", "reason": "fixed"}))
    };
    insta::assert_snapshot!(unkill(&plane.maya).send().await, @r#"
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
    insta::assert_snapshot!(unkill(&plane.sven).any().send().await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "forbidden",
      "detail": "the role SRE may not take back a kill; ask somebody whose role allows it",
      "status": 403,
      "title": "Not allowed",
      "type": "urn:huidu:problem:forbidden"
    }
    "#);
    insta::assert_snapshot!(unkill(&plane.maya).any().send().await, @r#"
    200 OK
    content-type: application/json
    etag: "15"

    {
      "op": "<op>",
      "revision": 15
    }
    "#);
}

/// Takes the receipt out of a kill's answer.
fn without_receipt(reply: &mut Reply) -> Value {
    let mut document: Value = serde_json::from_str(&reply.body).unwrap();
    let receipt = document.as_object_mut().unwrap().remove("receipt");
    reply.body = document.to_string();
    receipt.unwrap()
}

#[tokio::test]
async fn another_node_is_known_by_its_signature_alone() {
    let plane = Plane::furnished().await;
    let tell = async |bytes: Vec<u8>| {
        plane
            .nobody("POST /peer/v1/kills")
            .bytes(bytes)
            .send()
            .await
    };
    insta::assert_snapshot!(tell(b"{}".to_vec()).await, @r#"
    400 Bad Request
    content-type: application/problem+json

    {
      "code": "bad-notice",
      "detail": "it is no notice of a kill: it is not signed",
      "status": 400,
      "title": "No notice",
      "type": "urn:huidu:problem:bad-notice"
    }
    "#);
    let long = tell(vec![b'{'; 40_000]).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE, "{long}");
    // Signed by somebody, who is no server.
    let actor = Actor {
        id: plane.sven.id().to_owned(),
        role: Role::Sre,
    };
    let command = Command::Kill {
        app: "pingan/travel".parse().unwrap(),
        version: None,
        reason: "because".into(),
    };
    let notice = huidu_core::notice::Notice::of(&command, plane.node.new_op(), &actor);
    let mut notice = notice.unwrap();
    (notice.aud, notice.node) = ("bank/test".into(), "n2".into());
    (notice.at, notice.base) = (plane.node.now(), plane.node.live().revision);
    let sealed = |seed| {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        notice.seal(&key).unwrap().bytes().to_vec()
    };
    let forged = tell(sealed(6)).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN, "{forged}");
    let heard = tell(sealed(5)).await;
    assert_eq!(heard.status, StatusCode::OK, "{heard}");
    assert!(heard.body.contains(r#""node":"n1""#) && heard.body.contains(r#""in_force":true"#));
    // Not in the ledger yet, and the receipt says so.
    let receipt = plane
        .sven(&format!("GET /api/v1/kills/{}", notice.op))
        .send()
        .await;
    assert!(
        receipt.body.contains(r#""state":"provisional""#),
        "{receipt}"
    );
}

#[tokio::test]
async fn a_kill_for_a_stale_revision_is_refused_where_one_is_named() {
    let plane = Plane::furnished().await;
    let kill = plane
        .sven(&format!("POST {APP}/kill"))
        .header("if-match", "\"1\"");
    insta::assert_snapshot!(kill.json(json!({"reason": "bad"})).send().await, @r#"
    412 Precondition Failed
    content-type: application/problem+json

    {
      "code": "stale",
      "detail": "`pingan/travel` is at revision 13, not 1; read it again and repeat the change if it still holds",
      "status": 412,
      "title": "Changed meanwhile",
      "type": "urn:huidu:problem:stale"
    }
    "#);
}
