//! A partner hands a version in; reviewers see what it is, and decide.

use serde_json::json;

use super::{
    office::{Office, VERSIONS},
    zipped,
};

#[tokio::test]
async fn a_reviewer_sees_what_a_version_is_and_how_it_differs() {
    let office = Office::new().await;
    let grades = "[permissions]\nstorage = { grade = \"basic\" }\n\
                  location = { grade = \"sensitive\", title = \"where somebody is\" }\n\
                  \"transfer.confirm\" = { grade = \"critical\", surface = \"page\" }\n";
    office
        .ok(office.sec("PUT /api/v1/permissions").toml(grades))
        .await;
    let first = [("app.json", "{}"), ("old.js", "1"), ("same.js", "2")];
    let given = office
        .submit("1.0.0", "storage,transfer.confirm", &first)
        .await
        .json();
    let grant = "PUT /api/v1/apps/pingan/travel/permissions/transfer.confirm/grant";
    office.ok(office.rui(grant).any()).await;
    office.approve("1.0.0", &given["bundle"]["sha256"]).await;

    let second = [("app.json", "{ }"), ("new.js", "1"), ("same.js", "2")];
    office
        .submit("1.1.0", "storage,location,camera", &second)
        .await;
    insta::assert_snapshot!(office.rui(&format!("GET {VERSIONS}/1.1.0/review")).send().await, @r#"
    200 OK
    content-type: application/json
    etag: "19"

    {
      "app": "pingan/travel",
      "approvals": [],
      "approvals_needed": 1,
      "bundle": "9dd03a706a508a74fc2f97cd4583e78a45d051fa3dad5d9426514d9a295c15b4",
      "files": {
        "added": [
          {
            "len": 1,
            "p": "new.js",
            "sha256": "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
          }
        ],
        "changed": [
          {
            "from": {
              "len": 2,
              "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
            },
            "p": "app.json",
            "to": {
              "len": 3,
              "sha256": "257c1be96ae69f4b01c2c69bdb6d78605f59175819fb007d0bf245bf48444c4a"
            }
          }
        ],
        "removed": [
          {
            "len": 1,
            "p": "old.js",
            "sha256": "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
          }
        ],
        "same": 1
      },
      "filing": "ICP-1",
      "grade": "basic",
      "life": {
        "state": "submitted"
      },
      "may_be_approved": false,
      "permissions": [
        {
          "change": "added",
          "permission": "camera",
          "revoked": false,
          "standing": "unknown"
        },
        {
          "change": "added",
          "grade": "sensitive",
          "permission": "location",
          "revoked": false,
          "standing": "above-grade",
          "surface": "api",
          "title": "where somebody is"
        },
        {
          "change": "kept",
          "grade": "basic",
          "permission": "storage",
          "revoked": false,
          "standing": "within-grade",
          "surface": "api"
        },
        {
          "change": "removed",
          "grade": "critical",
          "permission": "transfer.confirm",
          "revoked": false,
          "standing": "granted",
          "surface": "page"
        }
      ],
      "previous": "1.0.0",
      "submitted_by": "token/467zrAap2hfpTL9yCbQIeM",
      "version": "1.1.0"
    }
    "#);
    insta::assert_snapshot!(office.plane.ping(&format!("GET {VERSIONS}/1.1.0/files")).send().await, @r#"
    200 OK
    content-type: application/json

    {
      "files": [
        {
          "len": 3,
          "p": "app.json",
          "sha256": "257c1be96ae69f4b01c2c69bdb6d78605f59175819fb007d0bf245bf48444c4a"
        },
        {
          "len": 1,
          "p": "new.js",
          "sha256": "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
        },
        {
          "len": 1,
          "p": "same.js",
          "sha256": "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35"
        }
      ],
      "v": 1
    }
    "#);
    insta::assert_snapshot!(office.rui(&format!("GET {VERSIONS}/9.9.9/files")).send().await, @r#"
    404 Not Found
    content-type: application/problem+json

    {
      "code": "unknown-version",
      "detail": "there is no version `pingan/travel@9.9.9`; `huidu version list` shows them",
      "status": 404,
      "title": "Not there",
      "type": "urn:huidu:problem:unknown-version"
    }
    "#);
    let versions = office
        .plane
        .audrey(&format!("GET {VERSIONS}"))
        .send()
        .await
        .json();
    insta::assert_snapshot!(format!("{:#}", versions[1]["dossier"]), @r#"
    {
      "files": "5e5464223e595b5c8b1ecd068835f725dcc8541ff319cb896720d39868a6b941",
      "filing": "ICP-1",
      "origin": {
        "bytes": 297,
        "format": "zip",
        "sha256": "8b9bf43d5fe1f8da04dcb0a3586e41702de4774d8fd7adb98139fd8351e969d9"
      },
      "seq": 2,
      "submitted_by": "token/467zrAap2hfpTL9yCbQIeM"
    }
    "#);
}

#[tokio::test]
async fn only_somebody_else_approves_and_only_what_was_shown() {
    let office = Office::new().await;
    let policy = json!({ "approvals": 2 });
    office
        .ok(office.sec("PUT /api/v1/review-policy").json(policy))
        .await;
    insta::assert_snapshot!(office.plane.ping("GET /api/v1/review-policy").send().await, @r#"
    200 OK
    content-type: application/json

    {
      "approvals": 2,
      "filing_required": false
    }
    "#);
    let given = office.submit("1.0.0", "", &[("a.js", "1")]).await.json();
    let bundle = &given["bundle"]["sha256"];
    let approve = format!("POST {VERSIONS}/1.0.0/approve");
    let body = || json!({ "bundle": bundle });
    let other = json!({ "bundle": "0".repeat(64) });
    insta::assert_snapshot!(office.rui(&approve).any().json(other).send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "other-bundle",
      "detail": "the bundle of version 1.0.0 of `pingan/travel` is 3f066d1753ba0faa80bb60fd2a417e29fa02661abbe78f6c04df6b914bbdc0a4, not the one that was approved; review what is there",
      "status": 409,
      "title": "Another bundle",
      "type": "urn:huidu:problem:other-bundle"
    }
    "#);
    insta::assert_snapshot!(office.plane.root(&approve).any().json(body()).send().await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "not-a-member",
      "detail": "token `1RriqhLRAnR78qQpfJkzB6` belongs to no member, and versions are judged by people; give the reviewer a token with `huidu token add --member`",
      "status": 403,
      "title": "Not a person",
      "type": "urn:huidu:problem:not-a-member"
    }
    "#);
    insta::assert_snapshot!(office.plane.maya(&approve).any().json(body()).send().await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "forbidden",
      "detail": "the role release manager may not approve a version; ask somebody whose role allows it",
      "status": 403,
      "title": "Not allowed",
      "type": "urn:huidu:problem:forbidden"
    }
    "#);
    insta::assert_snapshot!(office.rui(&approve).json(body()).send().await, @r#"
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
    office
        .ok(office.rui(&format!("POST {VERSIONS}/1.0.0/review")))
        .await;
    insta::assert_snapshot!(office.rui(&approve).any().json(body()).send().await, @r#"
    200 OK
    content-type: application/json
    etag: "18"

    {
      "op": "<op>",
      "revision": 18
    }
    "#);
    insta::assert_snapshot!(office.rui(&approve).any().json(body()).send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "same-person",
      "detail": "`member/rui` approved it already: version 1.0.0 of `pingan/travel` is approved by somebody else",
      "status": 409,
      "title": "Not somebody else",
      "type": "urn:huidu:problem:same-person"
    }
    "#);
    let list = format!("POST {VERSIONS}/1.0.0/list");
    insta::assert_snapshot!(office.plane.maya(&list).any().send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "life",
      "detail": "version 1.0.0 of `pingan/travel` is in review and cannot be listed; a reviewer approves it first",
      "status": 409,
      "title": "Not in this state",
      "type": "urn:huidu:problem:life"
    }
    "#);
    office.ok(office.rosa(&approve).any().json(body())).await;
    office.ok(office.plane.maya(&list).any()).await;
}

#[tokio::test]
async fn a_version_that_asks_for_too_much_is_rejected_with_a_reason() {
    let office = Office::new().await;
    let grades = json!({ "permissions": { "location": { "grade": "sensitive" } } });
    office
        .ok(office.sec("PUT /api/v1/permissions").json(grades))
        .await;
    let given = office
        .submit("1.0.0", "location", &[("a.js", "1")])
        .await
        .json();
    let approve = format!("POST {VERSIONS}/1.0.0/approve");
    let body = json!({ "bundle": given["bundle"]["sha256"] });
    insta::assert_snapshot!(office.rui(&approve).any().json(body).send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "not-granted",
      "detail": "version 1.0.0 of `pingan/travel` asks for too much: `location` is above the tenant's grade; grant it to the app, grade the tenant, or reject the version",
      "status": 409,
      "title": "Asks for too much",
      "type": "urn:huidu:problem:not-granted"
    }
    "#);
    let reject = format!("POST {VERSIONS}/1.0.0/reject");
    let why = json!({ "reason": "why does it ask where people are?" });
    office.ok(office.rui(&reject).any().json(why)).await;
    let seen = office
        .plane
        .ping(&format!("GET {VERSIONS}/1.0.0/review"))
        .send()
        .await;
    assert_eq!(
        seen.json()["life"],
        json!({ "state": "rejected", "reason": "why does it ask where people are?" })
    );
    let empty = office
        .sec("PUT /api/v1/permissions")
        .json(json!({ "permissions": {} }));
    insta::assert_snapshot!(empty.send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "permissions",
      "detail": "the catalogue of permissions is empty, and would let nothing stand; name the host's APIs under `[permissions]`",
      "status": 422,
      "title": "Mistakes in the catalogue",
      "type": "urn:huidu:problem:permissions"
    }
    "#);
}

#[tokio::test]
async fn what_was_reviewed_is_what_is_stored_however_it_was_packed() {
    let office = Office::new().await;
    let files = [("b.js", "2"), ("a.js", "1")];
    let one = office.submit("1.0.0", "", &files).await.json();
    let two = office
        .submit("1.0.1", "", &[files[1], files[0]])
        .await
        .json();
    assert_eq!(
        one["bundle"], two["bundle"],
        "the same files are the same bundle"
    );
    let stored = one["bundle"]["sha256"].as_str().unwrap().parse().unwrap();
    let bytes = office.plane.node.bundles().read(stored).await.unwrap();
    assert_eq!(bytes.len() as u64, one["bundle"]["bytes"].as_u64().unwrap());
    let versions = office
        .plane
        .audrey(&format!("GET {VERSIONS}"))
        .send()
        .await
        .json();
    let origins: Vec<_> = (0..2)
        .map(|n| &versions[n]["dossier"]["origin"]["sha256"])
        .collect();
    assert_ne!(origins[0], origins[1], "the uploads were not");
    assert_eq!(office.plane.spooled(), 0);
}

/// Who is the bank's own is said by security, with a reason; what is stopped names what it is filed under.
#[tokio::test]
async fn an_app_of_the_banks_own_is_listed_without_a_filing() {
    let office = Office::new().await;
    let line =
        format!("POST {VERSIONS}?version=1.0.0&platforms=android,harmony&host_version=%3E%3D8.2");
    let first = office
        .plane
        .ping(&line)
        .bytes(zipped(&[("app.json", "{}")]));
    let given = office.ok(first).await;
    office
        .approve("1.0.0", &given.json()["bundle"]["sha256"])
        .await;
    let shown = office
        .ok(office.rui(&format!("GET {VERSIONS}/1.0.0/review")))
        .await;
    assert_eq!(
        shown.json()["reach"],
        json!({ "platforms": ["android", "harmony"], "host_version": ">=8.2" })
    );
    let list = || {
        office
            .plane
            .maya(&format!("POST {VERSIONS}/1.0.0/list"))
            .any()
    };
    assert_eq!(list().send().await.json()["code"], "not-filed");
    let own = |reason: &str| {
        let ask = office.sec("PUT /api/v1/apps/pingan/travel/internal");
        ask.json(json!({ "internal": true, "reason": reason }))
    };
    insta::assert_snapshot!(own(" ").send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "empty",
      "detail": "`reason` must not be empty; say why, for the people who read the history",
      "field": "reason",
      "status": 422,
      "title": "A text is missing",
      "type": "urn:huidu:problem:empty"
    }
    "#);
    office.ok(own("staff only")).await;
    office.ok(list()).await;
    for (asked, field) in [
        ("platforms=Win%20dows", "platforms"),
        ("host_version=new", "query"),
        ("not_after=soon", "query"),
    ] {
        let line = format!("POST {VERSIONS}?version=1.1.0&{asked}");
        let ask = office.plane.ping(&line).bytes(zipped(&[("a", "b")]));
        let wrong = ask.send().await;
        assert_eq!(wrong.json()["field"], field, "{asked}: {wrong}");
    }
    office.submit("1.2.0", "", &[("app.json", "{ }")]).await;
    let kill = office.plane.sven("POST /api/v1/apps/pingan/travel/kill");
    let killed = office.ok(kill.json(json!({ "reason": "R-17" }))).await;
    assert_eq!(killed.json()["filings"], json!(["ICP-1"]));
}
