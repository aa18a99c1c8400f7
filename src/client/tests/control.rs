//! An operator's changes over connections that break.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{
    client::control::{Ask, Content, Control, ControlError},
    settings::Secret,
};

fn operator(server: &Double) -> Control {
    Control::new(&server.url, Some(Secret::new("hd_secret".into()))).unwrap()
}

fn pause() -> Ask<'static> {
    Ask {
        method: "PUT",
        path: "/api/v1/apps/pingan/travel/rollout/rules/ramp/paused".into(),
        content: Content::Json(json!({"paused": true})),
        if_match: Some("17".into()),
    }
}

#[test]
fn a_change_names_its_revision_its_key_and_its_token() {
    let server =
        Double::start(|_| Response::new(200, r#"{"revision":18,"op":"x"}"#).with("etag", "\"18\""));
    let control = operator(&server);
    let reply = control.change(&pause(), "01J", &|_| {}).unwrap();
    assert_eq!(reply.revision.as_deref(), Some("18"));
    let seen = &server.seen()[0];
    assert_eq!(seen.method, "PUT");
    assert_eq!(seen.header("if-match"), Some("\"17\""));
    assert_eq!(seen.header("idempotency-key"), Some("01J"));
    assert_eq!(seen.header("authorization"), Some("Bearer hd_secret"));
    assert_eq!(seen.body, br#"{"paused":true}"#);
    assert!(!format!("{control:?}").contains("hd_secret"));
}

#[test]
fn a_lost_reply_is_asked_for_again_with_the_same_key() {
    let tries = AtomicUsize::new(0);
    let server = Double::start(move |_| {
        if tries.fetch_add(1, Ordering::Relaxed) == 0 {
            return Response {
                hang_up: true,
                ..Response::default()
            };
        }
        Response::new(200, r#"{"revision":18,"op":"x","repeated":true}"#)
    });
    let reply = operator(&server).change(&pause(), "01J", &|_| {}).unwrap();
    assert_eq!(reply.document["repeated"], true);
    let keys: Vec<_> = server
        .seen()
        .iter()
        .map(|r| r.header("idempotency-key").map(ToOwned::to_owned))
        .collect();
    assert_eq!(keys, [Some("01J".to_owned()), Some("01J".to_owned())]);
}

#[test]
fn a_change_of_unknown_end_is_asked_about_until_it_is_known() {
    let asked = AtomicUsize::new(0);
    let server = Double::start(move |request| match request.path() {
        "/api/v1/ops/01J" if asked.fetch_add(1, Ordering::Relaxed) > 0 => {
            Response::new(200, r#"{"op":"01J","state":"committed","revision":18}"#)
        }
        "/api/v1/ops/01J" => Response::new(200, r#"{"op":"01J","state":"unknown"}"#),
        _ => Response::new(202, r#"{"op":"01J","state":"unknown"}"#),
    });
    let reply = operator(&server).change(&pause(), "01J", &|_| {}).unwrap();
    assert_eq!(reply.document["revision"], 18);
}

#[test]
fn a_refusal_tells_the_sentence_and_every_mistake() {
    let server = Double::start(|_| {
        Response::new(
            422,
            json!({"type": "urn:huidu:problem:rollout", "title": "Wrong rollout", "status": 422, "code": "rollout",
                "detail": "the rollout has 2 mistakes", "errors": [
                {"pointer": "/rule/0/serve", "message": "`2.0.0` is not listed", "help": "list it first"},
                {"line": 3, "column": 9, "message": "unknown key `shar`"}]})
            .to_string(),
        )
    });
    let error = operator(&server)
        .change(&pause(), "01J", &|_| {})
        .unwrap_err();
    insta::assert_snapshot!(error, @r"
    the rollout has 2 mistakes
      /rule/0/serve: `2.0.0` is not listed; list it first
      3:9: unknown key `shar`
    ");
}

#[test]
fn nobody_there_is_told_apart_from_an_unknown_end() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let control = Control::new(&format!("http://{port}"), None).unwrap();
    let error = control.change(&pause(), "01J", &|_| {}).unwrap_err();
    assert!(matches!(error, ControlError::Unreachable { .. }), "{error}");
}

#[test]
fn a_file_is_streamed_with_its_length() {
    let server = Double::start(|_| Response::new(201, r#"{"revision":2,"op":"x"}"#));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.zip");
    fs::write(&path, vec![7; 100_000]).unwrap();
    let ask = Ask {
        method: "POST",
        path: "/api/v1/apps/a/b/versions?version=1.0.0".into(),
        content: Content::File {
            path: &path,
            media: "application/octet-stream",
        },
        if_match: None,
    };
    let last = std::cell::Cell::new(0);
    operator(&server)
        .change(&ask, "01J", &|sent| last.set(sent))
        .unwrap();
    assert_eq!(last.get(), 100_000);
    assert_eq!(server.seen()[0].body.len(), 100_000);
}
