//! What an app may do, and what it has no more.

use serde_json::json;

use super::office::{Office, VERSIONS};

#[tokio::test]
async fn one_permission_of_one_app_is_revoked_live() {
    let office = Office::new().await;
    let given = office
        .submit("1.0.0", "camera,storage", &[("a.js", "1")])
        .await
        .json();
    office.approve("1.0.0", &given["bundle"]["sha256"]).await;
    office
        .ok(office
            .plane
            .maya(&format!("POST {VERSIONS}/1.0.0/list"))
            .any())
        .await;
    let rollout = "app = \"pingan/travel\"\nhosts = [\"retail\"]\nstable = \"1.0.0\"";
    let put = office.plane.maya("PUT /api/v1/apps/pingan/travel/rollout");
    office.ok(put.any().toml(rollout)).await;
    let told = || office.told("retail", "u", None);
    assert_eq!(
        told(),
        json!(["1.0.0", "stable", ["camera", "storage"], null])
    );

    let revoke = "POST /api/v1/apps/pingan/travel/permissions/camera/revoke";
    let why = || json!({ "reason": "it films" });
    insta::assert_snapshot!(office.plane.sven(revoke).json(why()).send().await, @r#"
    200 OK
    content-type: application/json
    etag: "19"

    {
      "op": "<op>",
      "revision": 19
    }
    "#);
    assert_eq!(told(), json!(["1.0.0", "stable", ["storage"], ["camera"]]));
    let live = office.plane.node.live();
    let kills = String::from_utf8(live.kills().unwrap().body().to_vec()).unwrap();
    insta::assert_snapshot!(kills, @r#"{"v":1,"aud":"bank/test","rev":19,"kills":[],"permissions":[{"app":"pingan/travel","permission":"camera","reason":"it films","since":"2026-11-24T12:00:00Z"}]}"#);
    insta::assert_snapshot!(office.plane.ping("GET /api/v1/apps/pingan/travel/permissions").send().await, @r#"
    200 OK
    content-type: application/json
    etag: "19"

    {
      "app": "pingan/travel",
      "grade": "basic",
      "grants": [],
      "revoked": [
        {
          "at": "2026-11-24T12:00:00Z",
          "permission": "camera",
          "reason": "it films"
        }
      ]
    }
    "#);
    insta::assert_snapshot!(office.plane.sven(revoke).json(why()).send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "nothing",
      "detail": "nothing to change: `camera` is revoked for `pingan/travel` already",
      "status": 409,
      "title": "Nothing to change",
      "type": "urn:huidu:problem:nothing"
    }
    "#);
    let restore = "POST /api/v1/apps/pingan/travel/permissions/camera/restore";
    insta::assert_snapshot!(office.plane.sven(restore).any().json(why()).send().await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "forbidden",
      "detail": "the role SRE may not restore a permission; ask somebody whose role allows it",
      "status": 403,
      "title": "Not allowed",
      "type": "urn:huidu:problem:forbidden"
    }
    "#);
    insta::assert_snapshot!(office.sec(restore).json(why()).send().await, @r#"
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
    office.ok(office.sec(restore).any().json(why())).await;
    assert_eq!(
        told(),
        json!(["1.0.0", "stable", ["camera", "storage"], null])
    );
}
