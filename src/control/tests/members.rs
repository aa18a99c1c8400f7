//! People, and their tokens.

use serde_json::json;

use super::{office::Office, *};

#[tokio::test]
async fn people_come_change_and_go_with_their_tokens() {
    let office = Office::new().await;
    let put = |who: &str| format!("PUT /api/v1/members/{who}");
    let lin = json!({ "title": "林", "role": "release-manager",
        "identity": { "issuer": "https://id.bank", "subject": "u-7" } });
    office
        .ok(office.plane.root(&put("lin")).json(lin.clone()))
        .await;
    let wrong = json!({ "role": "reviewer", "member": "lin" });
    insta::assert_snapshot!(office.plane.root("POST /api/v1/tokens").json(wrong).send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "member-role",
      "detail": "member `lin` is a release manager; give the token that role, or change the member's first",
      "field": "role",
      "status": 422,
      "title": "Another role",
      "type": "urn:huidu:problem:member-role"
    }
    "#);
    let right = json!({ "role": "release-manager", "member": "lin" });
    let given = office
        .ok(office.plane.root("POST /api/v1/tokens").json(right))
        .await
        .json();
    let token: Token = given["token"].as_str().unwrap().parse().unwrap();
    insta::assert_snapshot!(office.plane.root(&put("lan")).json(lin).send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "exists",
      "detail": "member `lin` exists already; it has this identity; a person is one member",
      "status": 409,
      "title": "There already",
      "type": "urn:huidu:problem:exists"
    }
    "#);
    insta::assert_snapshot!(office.sec("GET /api/v1/members").send().await, @r#"
    200 OK
    content-type: application/json

    [
      {
        "identity": {
          "issuer": "https://id.bank",
          "subject": "u-7"
        },
        "member": "lin",
        "role": "release-manager",
        "title": "林",
        "tokens": 1
      },
      {
        "member": "rosa",
        "role": "reviewer",
        "title": "",
        "tokens": 1
      },
      {
        "member": "rui",
        "role": "reviewer",
        "title": "",
        "tokens": 1
      },
      {
        "member": "sec",
        "role": "security",
        "title": "",
        "tokens": 1
      }
    ]
    "#);
    insta::assert_snapshot!(office.rui("GET /api/v1/members").send().await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "forbidden",
      "detail": "the role reviewer may not see members; ask somebody whose role allows it",
      "status": 403,
      "title": "Not allowed",
      "type": "urn:huidu:problem:forbidden"
    }
    "#);
    assert_eq!(
        office
            .plane
            .ask(&token, "GET /api/v1/status")
            .send()
            .await
            .status,
        StatusCode::OK
    );
    office.ok(office.sec("DELETE /api/v1/members/lin")).await;
    assert_eq!(
        office
            .plane
            .ask(&token, "GET /api/v1/status")
            .send()
            .await
            .json()["code"],
        "unknown-token"
    );
    insta::assert_snapshot!(office.sec("DELETE /api/v1/members/lin").send().await, @r#"
    404 Not Found
    content-type: application/problem+json

    {
      "code": "unknown-member",
      "detail": "there is no member `lin`; `huidu member list` shows them",
      "status": 404,
      "title": "Not there",
      "type": "urn:huidu:problem:unknown-member"
    }
    "#);
}
