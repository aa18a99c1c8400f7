//! A partner hands a version in, reviewers see what it is and decide, devices in sandboxes try it.

use huidu_core::{
    command::Command,
    name::MemberId,
    poll::{Device, Installed},
    preview::PreviewLink,
};
use serde_json::json;

use super::*;

const VERSIONS: &str = "/api/v1/apps/pingan/travel/versions";

/// The reviewing plane, and people with names: members with one token each.
struct Office {
    plane: Plane,
    /// A reviewer.
    rui: Token,
    /// Another.
    rosa: Token,
    /// Security.
    sec: Token,
}

impl Office {
    async fn new() -> Self {
        let plane = Plane::reviewing().await;
        let office = Self {
            rui: Token::generate_for(Kind::Reviewer, "rui").unwrap(),
            rosa: Token::generate_for(Kind::Reviewer, "rosa").unwrap(),
            sec: Token::generate_for(Kind::Security, "sec").unwrap(),
            plane,
        };
        for (name, token, role) in [
            ("rui", &office.rui, Role::Reviewer),
            ("rosa", &office.rosa, Role::Reviewer),
            ("sec", &office.sec, Role::Security),
        ] {
            let member: MemberId = name.parse().unwrap();
            let put = Command::PutMember {
                member: member.clone(),
                title: String::new(),
                role: role.clone(),
                identity: None,
            };
            office.plane.change(put).await;
            let add = Command::AddToken {
                id: token.id().to_owned(),
                sha256: token.sha256(),
                role,
                note: String::new(),
                member: Some(member),
            };
            office.plane.change(add).await;
        }
        for (host, sandbox) in [("retail", false), ("retail-test", true)] {
            let add = Command::AddHost {
                host: host.parse().unwrap(),
                title: String::new(),
                sandbox,
            };
            office.plane.change(add).await;
        }
        let add = Command::AddApp {
            app: "pingan/travel".parse().unwrap(),
            title: String::new(),
        };
        office.plane.change(add).await;
        office
    }

    fn rui(&self, line: &str) -> Ask<'_> {
        self.plane.ask(&self.rui, line)
    }

    fn rosa(&self, line: &str) -> Ask<'_> {
        self.plane.ask(&self.rosa, line)
    }

    fn sec(&self, line: &str) -> Ask<'_> {
        self.plane.ask(&self.sec, line)
    }

    async fn submit(&self, version: &str, permissions: &str, files: &[(&str, &str)]) -> Reply {
        let line =
            format!("POST {VERSIONS}?version={version}&permissions={permissions}&filing=ICP-1");
        let reply = self.plane.ping(&line).bytes(zipped(files)).send().await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply}");
        reply
    }

    async fn ok(&self, ask: Ask<'_>) -> Reply {
        let reply = ask.send().await;
        assert!(reply.status.is_success(), "{reply}");
        reply
    }

    async fn approve(&self, version: &str, bundle: &Value) {
        let line = format!("POST {VERSIONS}/{version}/approve");
        let ask = self.rui(&line).any().json(json!({ "bundle": bundle }));
        self.ok(ask).await;
    }

    /// What a device is told: the manifest's version, reason and permissions.
    fn told(&self, host: &str, unit: &str, preview: Option<&str>) -> Value {
        let live = self.plane.node.live();
        let app = live.app("pingan/travel").unwrap();
        let installed = Installed {
            preview,
            ..Installed::default()
        };
        let now = self.plane.node.now();
        let outcome = app
            .compiled
            .resolve(host, &Device::new(unit), &installed, now);
        let manifest: Value = serde_json::from_slice(&outcome.answer.body).unwrap();
        json!([
            manifest["version"],
            manifest["reason"],
            manifest["permissions"],
            manifest["revoked"]
        ])
    }
}

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
    let kills = String::from_utf8(live.kills().unwrap().body.to_vec()).unwrap();
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

#[tokio::test]
async fn a_version_under_review_is_tried_in_sandboxes_alone() {
    let office = Office::new().await;
    office.submit("1.0.0", "camera", &[("a.js", "1")]).await;
    let trial = format!("PUT {VERSIONS}/1.0.0/trial");
    let named = |host: &str| json!({ "hosts": [host], "devices": ["t-1"] });
    insta::assert_snapshot!(office.rui(&trial).any().json(named("retail")).send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "not-a-sandbox",
      "detail": "`retail` is no sandbox; what is under review is delivered in sandboxes alone",
      "field": "host",
      "status": 422,
      "title": "Not a sandbox",
      "type": "urn:huidu:problem:not-a-sandbox"
    }
    "#);
    office
        .ok(office.rui(&trial).any().json(named("retail-test")))
        .await;
    let nothing = json!([null, "none", null, null]);
    let on_trial = json!(["1.0.0", "trial", ["camera"], null]);
    assert_eq!(office.told("retail-test", "t-1", None), on_trial);
    assert_eq!(office.told("retail-test", "t-2", None), nothing);
    assert_eq!(office.told("retail", "t-1", None), nothing);

    let until = "2026-11-25T12:00:00Z";
    let invite = format!("POST {VERSIONS}/1.0.0/previews");
    let body = || json!({ "host": "retail-test", "until": until });
    let asked = || {
        office
            .plane
            .maya(&invite)
            .header("idempotency-key", "k")
            .json(body())
    };
    let given = office.ok(asked()).await.json();
    let again = office.ok(asked()).await.json();
    assert_eq!(
        (&again["repeated"], &again["link"]),
        (&json!(true), &Value::Null)
    );
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
    let link = given["link"].as_str().unwrap();
    let now = office.plane.node.now();
    let link = PreviewLink::verify(link, &key, "bank/test", now).unwrap();
    assert_eq!(
        (
            link.app.as_str(),
            link.host.as_str(),
            link.until.to_string()
        ),
        ("pingan/travel", "retail-test", until.into())
    );
    assert_eq!(
        office.told("retail-test", "anybody", Some(&link.secret)),
        on_trial
    );
    assert_eq!(
        office.told("retail", "anybody", Some(&link.secret)),
        nothing
    );
    assert_eq!(
        office.told("retail-test", "anybody", Some("guess")),
        nothing
    );
    let page = office
        .plane
        .audrey(&format!("GET {VERSIONS}/1.0.0/trial"))
        .send()
        .await;
    assert!(!page.body.contains(&link.secret), "{page}");
    assert_eq!(page.json()["previews"][0]["id"], given["id"]);

    let id = given["id"].as_str().unwrap();
    let take_back = format!("DELETE {VERSIONS}/1.0.0/previews/{id}");
    office.ok(office.sec(&take_back)).await;
    assert_eq!(
        office.told("retail-test", "anybody", Some(&link.secret)),
        nothing
    );
    assert_eq!(
        office.sec(&take_back).send().await.json()["code"],
        "unknown-preview"
    );
    let late = json!({ "host": "retail-test", "until": "2027-11-25T12:00:00Z" });
    insta::assert_snapshot!(office.plane.maya(&invite).json(late).send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "preview-time",
      "detail": "a preview is open until a time in the future, at most 14 days ahead; choose another",
      "field": "until",
      "status": 422,
      "title": "Another time",
      "type": "urn:huidu:problem:preview-time"
    }
    "#);
}

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
