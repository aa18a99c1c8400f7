//! Versions: bundles in, and nothing of a refused one stays.

use serde_json::json;

use super::*;

const VERSIONS: &str = "/api/v1/apps/pingan/travel/versions";

#[tokio::test]
async fn a_partner_hands_in_a_version_and_a_manager_lists_it() {
    let plane = Plane::furnished().await;
    let submit = plane.ping(&format!(
        "POST {VERSIONS}?version=2.0.0&notes=%E6%96%B0&permissions=camera,location"
    ));
    insta::assert_snapshot!(submit.bytes(bundle("2.0.0")).send().await, @r#"
    201 Created
    content-type: application/json
    etag: "14"
    location: /api/v1/apps/pingan/travel/versions

    {
      "bundle": {
        "bytes": 231,
        "files": 2,
        "format": "zip",
        "sha256": "d917f93f5ed3652edb2cb79bbc804c1d2e7d462d280a3a40a6c736cf58a623e6",
        "unpacked_bytes": 13
      },
      "listed": false,
      "op": "<op>",
      "revision": 14,
      "version": "2.0.0"
    }
    "#);
    assert_eq!(plane.spooled(), 0);

    let list = format!("POST {VERSIONS}/2.0.0/list");
    insta::assert_snapshot!(plane.audrey(&list).any().send().await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "forbidden",
      "detail": "the role auditor may not list a version; ask somebody whose role allows it",
      "status": 403,
      "title": "Not allowed",
      "type": "urn:huidu:problem:forbidden"
    }
    "#);
    insta::assert_snapshot!(plane.maya(&list).send().await, @r#"
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
    insta::assert_snapshot!(plane.maya(&list).header("if-match", "\"3\"").send().await, @r#"
    412 Precondition Failed
    content-type: application/problem+json

    {
      "code": "stale",
      "detail": "`pingan/travel` is at revision 14, not 3; read it again and repeat the change if it still holds",
      "status": 412,
      "title": "Changed meanwhile",
      "type": "urn:huidu:problem:stale"
    }
    "#);
    let at = plane.maya(&format!("GET {VERSIONS}")).send().await;
    insta::assert_snapshot!(plane.maya(&list).header("if-match", at.etag()).send().await, @r#"
    200 OK
    content-type: application/json
    etag: "15"

    {
      "op": "<op>",
      "revision": 15
    }
    "#);
    let versions = plane.audrey(&format!("GET {VERSIONS}")).send().await.json();
    let lives: Vec<_> = versions
        .as_array()
        .unwrap()
        .iter()
        .map(|v| (&v["number"], &v["life"]["state"]))
        .collect();
    assert_eq!(
        json!(lives),
        json!([
            ["1.0.0", "listed"],
            ["1.1.0", "listed"],
            ["2.0.0", "listed"]
        ])
    );
}

#[tokio::test]
async fn an_archive_is_refused_for_every_reason_and_leaves_nothing() {
    let plane = Plane::furnished().await;
    let hostile = zipped(&[("../evil.js", "x"), ("a\\b.js", "x"), ("CON", "x")]);
    let submit = plane
        .ping(&format!("POST {VERSIONS}?version=2.0.0"))
        .bytes(hostile);
    insta::assert_snapshot!(submit.send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "archive",
      "detail": "the bundle is refused for 3 reason(s)",
      "errors": [
        {
          "message": "entry `../evil.js` has a `..` part; pack only what lies inside the mini-program"
        },
        {
          "message": "entry `a\\b.js` holds a backslash; separate directories by `/`"
        },
        {
          "message": "entry `CON` has a part that names a device on Windows; rename it"
        }
      ],
      "status": 422,
      "title": "Bundle refused",
      "type": "urn:huidu:problem:archive"
    }
    "#);
    assert_eq!(plane.spooled(), 0);
    insta::assert_snapshot!(plane.ping(&format!("POST {VERSIONS}?version=2.0.0")).bytes("no archive").send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "archive",
      "detail": "the bundle is refused for 1 reason(s)",
      "errors": [
        {
          "message": "this is neither a zip nor a tar.gz; pack the mini-program as one of them"
        }
      ],
      "status": 422,
      "title": "Bundle refused",
      "type": "urn:huidu:problem:archive"
    }
    "#);
}

#[tokio::test]
async fn a_bundle_beyond_the_limit_is_refused_while_it_comes() {
    let plane = Plane::with(|settings| settings.bundle_bytes = 1_000).await;
    let path = format!("POST {VERSIONS}?version=2.0.0");
    let stated = plane
        .ping(&path)
        .header("content-length", "1001")
        .bytes("x");
    insta::assert_snapshot!(stated.send().await, @r#"
    413 Payload Too Large
    content-type: application/problem+json

    {
      "code": "too-large",
      "detail": "the body is limited to 1000 bytes",
      "status": 413,
      "title": "Too large",
      "type": "urn:huidu:problem:too-large"
    }
    "#);
    let pieces = (0..100).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![0; 100])));
    let unstated = Body::new(Pieces(pieces));
    assert_eq!(
        plane.ping(&path).bytes(unstated).send().await.json()["code"],
        "too-large"
    );
    let broken = [
        Ok(bytes::Bytes::from_static(b"PK")),
        Err(std::io::Error::other("gone")),
    ];
    let broken = Body::new(Pieces(broken.into_iter()));
    insta::assert_snapshot!(plane.ping(&path).bytes(broken).send().await, @r#"
    400 Bad Request
    content-type: application/problem+json

    {
      "code": "broken-body",
      "detail": "the body broke off; send it again",
      "status": 400,
      "title": "Body broke off",
      "type": "urn:huidu:problem:broken-body"
    }
    "#);
    assert_eq!(plane.spooled(), 0);
}

/// An iterator as a body that comes in pieces.
struct Pieces<I>(I);

impl<I: Iterator<Item = std::io::Result<bytes::Bytes>> + Unpin> hyper::body::Body for Pieces<I> {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<std::io::Result<hyper::body::Frame<bytes::Bytes>>>> {
        std::task::Poll::Ready(
            self.0
                .next()
                .map(|piece| piece.map(hyper::body::Frame::data)),
        )
    }
}

#[tokio::test]
async fn a_version_never_changes_its_bundle() {
    let plane = Plane::furnished().await;
    let again = |salt| {
        plane
            .ping(&format!("POST {VERSIONS}?version=1.0.0"))
            .bytes(bundle(salt))
    };
    insta::assert_snapshot!(again("1.0.0").send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "exists",
      "detail": "version `pingan/travel@1.0.0` exists already; its bundle is this very one",
      "status": 409,
      "title": "There already",
      "type": "urn:huidu:problem:exists"
    }
    "#);
    insta::assert_snapshot!(again("other").send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "exists",
      "detail": "version `pingan/travel@1.0.0` exists already; a version never changes its bundle; use the next number",
      "status": 409,
      "title": "There already",
      "type": "urn:huidu:problem:exists"
    }
    "#);
    let build = plane
        .ping(&format!("POST {VERSIONS}?version=1.2.0%2Bb7"))
        .bytes(bundle("b7"));
    insta::assert_snapshot!(build.send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "build-metadata",
      "detail": "version `1.2.0+b7` has build metadata, which has no order; drop everything from `+` on",
      "field": "version",
      "status": 422,
      "title": "No order among versions",
      "type": "urn:huidu:problem:build-metadata"
    }
    "#);
    insta::assert_snapshot!(plane.ping(&format!("POST {VERSIONS}")).send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "bad-field",
      "detail": "Failed to deserialize query string: missing field `version`",
      "field": "query",
      "status": 422,
      "title": "A field does not fit",
      "type": "urn:huidu:problem:bad-field"
    }
    "#);
    let permission = plane.ping(&format!(
        "POST {VERSIONS}?version=3.0.0&permissions=Take%20Photos"
    ));
    insta::assert_snapshot!(permission.bytes(bundle("3")).send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "bad-field",
      "detail": "`Take Photos` is no permission name; use 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit",
      "field": "permissions",
      "status": 422,
      "title": "A field does not fit",
      "type": "urn:huidu:problem:bad-field"
    }
    "#);
}

#[tokio::test]
async fn only_so_many_uploads_run_at_the_same_time() {
    let plane = Plane::with(|settings| settings.uploads = 0).await;
    let submit = plane
        .ping(&format!("POST {VERSIONS}?version=2.0.0"))
        .bytes(bundle("2"));
    insta::assert_snapshot!(submit.send().await, @r#"
    503 Service Unavailable
    content-type: application/problem+json
    retry-after: 2

    {
      "code": "busy",
      "detail": "as many uploads as this node takes are under way; try again in a moment",
      "status": 503,
      "title": "Not now",
      "type": "urn:huidu:problem:busy"
    }
    "#);
}

#[tokio::test]
async fn a_listing_upload_that_is_repeated_answers_the_same() {
    let plane = Plane::furnished().await;
    let ask = || {
        let ask = plane.maya(&format!("POST {VERSIONS}?version=2.0.0&list=true"));
        ask.header("idempotency-key", "2.0.0")
            .bytes(bundle("2.0.0"))
    };
    let (first, second) = (ask().send().await, ask().send().await);
    let mut expected = first.json();
    expected["repeated"] = true.into();
    assert_eq!(
        (second.status, second.json()),
        (StatusCode::CREATED, expected)
    );
}

#[tokio::test]
async fn where_versions_are_reviewed_a_partner_submits_and_does_not_list() {
    let plane = Plane::reviewing().await;
    let add = plane.maya("POST /api/v1/apps");
    add.json(json!({"app": "pingan/travel"})).send().await;
    // It is told before anything is kept.
    let partner = plane
        .ping(&format!("POST {VERSIONS}?version=2.1.0&list=true"))
        .bytes(bundle("2.1.0"));
    insta::assert_snapshot!(partner.send().await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "forbidden",
      "detail": "the role partner of `pingan` may not list a version; ask somebody whose role allows it",
      "status": 403,
      "title": "Not allowed",
      "type": "urn:huidu:problem:forbidden"
    }
    "#);
    let versions = plane.ping(&format!("GET {VERSIONS}")).send().await;
    assert!(!versions.body.contains("2.1.0"), "{versions}");
}

#[tokio::test]
async fn a_version_that_is_served_is_not_delisted() {
    let plane = Plane::furnished().await;
    let delist = |version| {
        plane
            .maya(&format!("POST {VERSIONS}/{version}/delist"))
            .any()
    };
    insta::assert_snapshot!(delist("1.0.0").json(json!({"reason": "old"})).send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "served",
      "detail": "version 1.0.0 of `pingan/travel` is served by `stable`; serve another version there first, or kill it",
      "status": 409,
      "title": "Still served",
      "type": "urn:huidu:problem:served"
    }
    "#);
    insta::assert_snapshot!(delist("9.9.9").json(json!({"reason": "old"})).send().await, @r#"
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
    insta::assert_snapshot!(delist("latest").json(json!({"reason": "old"})).send().await, @r#"
    404 Not Found
    content-type: application/problem+json

    {
      "code": "unknown-version",
      "detail": "there is no version `pingan/travel@latest`; `huidu version list` shows them",
      "status": 404,
      "title": "Not there",
      "type": "urn:huidu:problem:unknown-version"
    }
    "#);
    plane
        .maya(&format!("POST {VERSIONS}?version=2.0.0&list=true"))
        .bytes(bundle("2.0.0"))
        .send()
        .await;
    insta::assert_snapshot!(delist("2.0.0").json(json!({"reason": " "})).send().await, @r#"
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
    insta::assert_snapshot!(delist("2.0.0").json(json!({"reason": "old"})).send().await, @r#"
    200 OK
    content-type: application/json
    etag: "16"

    {
      "filings": [],
      "op": "<op>",
      "revision": 16
    }
    "#);
}

#[tokio::test]
async fn where_versions_are_reviewed_nobody_lists_while_handing_in() {
    let plane = Plane::reviewing().await;
    plane
        .change(Command::AddApp {
            app: "pingan/travel".parse().unwrap(),
            title: String::new(),
        })
        .await;
    let submit = plane
        .maya(&format!("POST {VERSIONS}?version=2.0.0&list=true"))
        .bytes(bundle("2"));
    insta::assert_snapshot!(submit.send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "bad-field",
      "detail": "versions are reviewed here before they are listed; hand it in without `list`",
      "field": "list",
      "status": 422,
      "title": "A field does not fit",
      "type": "urn:huidu:problem:bad-field"
    }
    "#);
    let submit = plane
        .maya(&format!("POST {VERSIONS}?version=2.0.0"))
        .bytes(bundle("2"));
    assert_eq!(submit.send().await.status, StatusCode::CREATED);
    insta::assert_snapshot!(plane.maya(&format!("POST {VERSIONS}/2.0.0/list")).any().send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "life",
      "detail": "version 2.0.0 of `pingan/travel` is submitted and cannot be listed; a reviewer approves it first",
      "status": 409,
      "title": "Not in this state",
      "type": "urn:huidu:problem:life"
    }
    "#);
}
