//! Segments: units go in and never come out.

use super::*;

const STAFF: &str = "/api/v1/segments/staff";

#[tokio::test]
async fn a_segment_is_uploaded_replaced_with_its_revision_and_removed() {
    let plane = Plane::new().await;
    let put = || {
        plane
            .maya(&format!("PUT {STAFF}"))
            .header("content-type", "text/plain; charset=utf-8")
    };
    let first = put().bytes("ann\nbob\nann\n").send().await;
    insta::assert_snapshot!(first, @r#"
    201 Created
    content-type: application/json
    etag: "6"

    {
      "op": "<op>",
      "revision": 6,
      "sha256": "75c69e6ccff7ec85d3bbb8ff76c04e789d88c159dfe06d3b908524a8c4ca4cc0",
      "units": 2
    }
    "#);
    insta::assert_snapshot!(put().bytes("ann\n").send().await, @r#"
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
    insta::assert_snapshot!(put().header("if-match", "\"1\"").bytes("ann\n").send().await, @r#"
    412 Precondition Failed
    content-type: application/problem+json

    {
      "code": "stale",
      "detail": "`staff` is at revision 6, not 1; read it again and repeat the change if it still holds",
      "status": 412,
      "title": "Changed meanwhile",
      "type": "urn:huidu:problem:stale"
    }
    "#);
    let second = put()
        .header("if-match", first.etag())
        .bytes("ann\n张三\n")
        .send()
        .await;
    assert_eq!(second.status, StatusCode::OK, "{second}");
    insta::assert_snapshot!(plane.sven(&format!("GET {STAFF}")).send().await, @r#"
    200 OK
    content-type: application/json
    etag: "7"

    {
      "revision": 7,
      "segment": "staff",
      "sha256": "7b7987c8a9d36ca80034164e9cd314771b2afb6b7dec6da809fcf8b7b561632a",
      "units": 2
    }
    "#);
    insta::assert_snapshot!(plane.sven("GET /api/v1/segments").send().await, @r#"
    200 OK
    content-type: application/json

    [
      {
        "revision": 7,
        "segment": "staff",
        "sha256": "7b7987c8a9d36ca80034164e9cd314771b2afb6b7dec6da809fcf8b7b561632a",
        "units": 2
      }
    ]
    "#);
    insta::assert_snapshot!(plane.maya(&format!("DELETE {STAFF}")).send().await, @r#"
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
    insta::assert_snapshot!(plane.maya(&format!("DELETE {STAFF}")).any().send().await, @r#"
    200 OK
    content-type: application/json

    {
      "op": "<op>",
      "revision": 8
    }
    "#);
    insta::assert_snapshot!(plane.maya(&format!("GET {STAFF}")).send().await, @r#"
    404 Not Found
    content-type: application/problem+json

    {
      "code": "unknown-segment",
      "detail": "there is no segment `staff`; `huidu segment list` shows them",
      "status": 404,
      "title": "Not there",
      "type": "urn:huidu:problem:unknown-segment"
    }
    "#);
}

#[tokio::test]
async fn a_repeated_upload_finds_what_it_made() {
    let plane = Plane::new().await;
    let put = || {
        plane
            .maya(&format!("PUT {STAFF}"))
            .header("idempotency-key", "staff 1")
            .bytes("ann\n")
    };
    let (first, second) = (put().send().await, put().send().await);
    let mut expected = first.json();
    expected["repeated"] = true.into();
    assert_eq!(
        (second.status, second.json()),
        (StatusCode::CREATED, expected)
    );
}

#[tokio::test]
async fn a_list_that_is_none_is_refused_without_repeating_it() {
    let plane = Plane::new().await;
    let put = |body: &'static str| plane.maya(&format!("PUT {STAFF}")).bytes(body);
    let reply = put("ann\n  secret-person\n").send().await;
    assert!(!reply.body.contains("secret"), "{reply}");
    insta::assert_snapshot!(reply, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "segment",
      "detail": "line 2 begins or ends with white space; remove it",
      "status": 422,
      "title": "Segment refused",
      "type": "urn:huidu:problem:segment"
    }
    "#);
    insta::assert_snapshot!(plane.maya("PUT /api/v1/segments/Big%20Staff").bytes("a").send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "bad-field",
      "detail": "`Big Staff` is no segment name; use 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit",
      "field": "segment",
      "status": 422,
      "title": "A field does not fit",
      "type": "urn:huidu:problem:bad-field"
    }
    "#);
    let json = plane
        .maya(&format!("PUT {STAFF}"))
        .header("content-type", "application/json");
    insta::assert_snapshot!(json.bytes("[]").send().await, @r#"
    415 Unsupported Media Type
    content-type: application/problem+json

    {
      "code": "media-type",
      "detail": "the body's `Content-Type` must be text/plain",
      "status": 415,
      "title": "Another media type",
      "type": "urn:huidu:problem:media-type"
    }
    "#);
    insta::assert_snapshot!(plane.sven(&format!("PUT {STAFF}")).bytes("a").send().await, @r#"
    403 Forbidden
    content-type: application/problem+json

    {
      "code": "forbidden",
      "detail": "the role SRE may not upload a segment; ask somebody whose role allows it",
      "status": 403,
      "title": "Not allowed",
      "type": "urn:huidu:problem:forbidden"
    }
    "#);
}

#[tokio::test]
async fn a_segment_beyond_its_bytes_is_refused() {
    let plane = Plane::with(|settings| settings.segment_bytes = 10).await;
    insta::assert_snapshot!(plane.maya(&format!("PUT {STAFF}")).bytes("0123456789\n").send().await, @r#"
    413 Payload Too Large
    content-type: application/problem+json

    {
      "code": "too-large",
      "detail": "the body is limited to 10 bytes",
      "status": 413,
      "title": "Too large",
      "type": "urn:huidu:problem:too-large"
    }
    "#);
}

#[tokio::test]
async fn a_segment_that_a_rollout_asks_about_stays() {
    let plane = Plane::furnished().await;
    plane
        .maya(&format!("PUT {STAFF}"))
        .bytes("ann\n")
        .send()
        .await;
    let asking = ROLLOUT.replace("share = \"5%\"", "when = { segment = \"staff\" }");
    let put = plane
        .maya("PUT /api/v1/apps/pingan/travel/rollout")
        .any()
        .toml(&asking)
        .send()
        .await;
    assert_eq!(put.status, StatusCode::OK, "{put}");
    insta::assert_snapshot!(plane.maya(&format!("DELETE {STAFF}")).any().send().await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "segment-in-use",
      "detail": "segment `staff` is asked about by `pingan/travel`; change that rollout first",
      "status": 409,
      "title": "Still asked about",
      "type": "urn:huidu:problem:segment-in-use"
    }
    "#);
}
