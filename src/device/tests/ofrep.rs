//! What OpenFeature clients are answered, whole, without a socket; and what tells them to ask again.

use http_body_util::BodyExt as _;
use huidu_core::catalogue::AppKill;
use tokio::sync::watch;

use super::*;
use crate::device::feed::Feed;

const FLAGS: &str = "/ofrep/v1/evaluate/flags";
const TRAVEL_FLAG: &str = "/ofrep/v1/evaluate/flags/pingan%2Ftravel";
const DEV_1: &str = r#"{"context":{"targetingKey":"dev-1","host":"retail-bank"}}"#;
const BETA: &str = r#"{"context":{"targetingKey":"dev-1","host":"retail-bank","tags":["beta"]}}"#;

fn killed(small: &Small) -> Live {
    let mut known = app("pingan/travel", &["1.0.0", "1.1.0"], TRAVEL);
    known.killed = Some(AppKill {
        reason: "fraud".into(),
        at: Timestamp::from_unix_ms(1),
    });
    let catalogue = Catalogue {
        audience: "bank/prod".into(),
        revision: Revision::new(5),
        apps: [(known.id.clone(), known.clone().into())].into(),
        ..Catalogue::default()
    };
    let live = Live::clone(&small.live.load());
    let stopped = live_app(&known, &stamper(), &small.metrics);
    live.with_apps(Revision::new(5), [stopped])
        .with_kills(&catalogue, &stamper(), &small.metrics)
}

#[tokio::test]
async fn a_flag_is_answered_whole() {
    let plane = plane().await;
    let reply = ask(&plane, "POST", TRAVEL_FLAG, &[], DEV_1).await;
    insta::assert_snapshot!(reply.whole(), @r#"
    200
    cache-control: no-store
    content-type: application/json

    {"key":"pingan/travel","reason":"DEFAULT","variant":"1.0.0","value":"1.0.0","metadata":{"state":"run","cause":"stable","version":"1.0.0"}}
    "#);
    // Not every client encodes the slash, and what the context says counts.
    let path = "/ofrep/v1/evaluate/flags/pingan/travel";
    let beta = ask(&plane, "POST", path, &[], BETA).await;
    assert!(
        beta.text()
            .starts_with(r#"{"key":"pingan/travel","reason":"TARGETING_MATCH","variant":"1.1.0""#),
        "{}",
        beta.text()
    );
    let other = r#"{"context":{"targetingKey":"d","host":"other"}}"#;
    let other = ask(&plane, "POST", path, &[], other).await;
    assert_eq!(
        other.text(),
        r#"{"key":"pingan/travel","reason":"DEFAULT","variant":"none","metadata":{"state":"none","cause":"none"}}"#
    );
    let text = plane.origin.metrics.render();
    assert!(
        text.contains(r#"huidu_flags_total{reason="DEFAULT"} 2"#),
        "{text}"
    );
}

#[tokio::test]
async fn all_flags_of_a_bank_app_are_answered_whole_or_by_304() {
    let plane = plane().await;
    let first = ask(&plane, "POST", FLAGS, &[], DEV_1).await;
    let etag = first.header("etag").to_owned();
    let whole = first.whole().replace(&etag, "<etag>");
    insta::assert_snapshot!(whole, @r#"
    200
    cache-control: private, no-cache
    content-type: application/json
    etag: <etag>

    {"flags":[{"key":"pingan/coffee","reason":"STATIC","variant":"1.0.0","value":"1.0.0","metadata":{"state":"run","cause":"stable","version":"1.0.0"}},{"key":"pingan/travel","reason":"DEFAULT","variant":"1.0.0","value":"1.0.0","metadata":{"state":"run","cause":"stable","version":"1.0.0"}}]}
    "#);
    let condition = [("if-none-match", etag.as_str())];
    let same = ask(&plane, "POST", FLAGS, &condition, DEV_1).await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert_eq!(same.header("etag"), etag);
    // Another context leads elsewhere, and what the client has says nothing about that.
    assert_eq!(
        ask(&plane, "POST", FLAGS, &condition, BETA).await.status,
        200
    );
    // Some of them, and one that there is not.
    let some = r#"{"context":{"targetingKey":"d","host":"retail-bank","apps":["pingan/none","pingan/coffee"]}}"#;
    let some = ask(&plane, "POST", FLAGS, &[], some).await.text();
    assert!(
        some.contains(r#"{"key":"pingan/none","errorCode":"FLAG_NOT_FOUND""#)
            && some.contains("pingan/coffee")
            && !some.contains("pingan/travel"),
        "{some}"
    );
    // A bank app without any.
    let none = r#"{"context":{"targetingKey":"d","host":"other"}}"#;
    assert_eq!(
        ask(&plane, "POST", FLAGS, &[], none).await.text(),
        r#"{"flags":[]}"#
    );
}

#[tokio::test]
async fn what_cannot_be_answered_is_said_in_the_words_of_the_protocol() {
    let plane = plane().await;
    let missing = ask(&plane, "POST", TRAVEL_FLAG, &[], "{}").await;
    insta::assert_snapshot!(missing.whole(), @r#"
    400
    cache-control: no-store
    content-type: application/json

    {"key":"pingan/travel","errorCode":"TARGETING_KEY_MISSING","errorDetails":"field `context.targetingKey` is missing; every poll states it"}
    "#);
    let secret = r#"{"context":{"targetingKey":"13800138000","host":"13800138000 "}}"#;
    for (path, body, status, code) in [
        (TRAVEL_FLAG, "138", 400, r#""errorCode":"PARSE_ERROR""#),
        (TRAVEL_FLAG, secret, 400, r#""errorCode":"INVALID_CONTEXT""#),
        (FLAGS, "{", 400, r#"{"errorCode":"PARSE_ERROR""#),
        (FLAGS, "{}", 400, r#"{"errorCode":"TARGETING_KEY_MISSING""#),
        (FLAGS, secret, 400, r#"{"errorCode":"INVALID_CONTEXT""#),
        (
            "/ofrep/v1/evaluate/flags/pingan/none",
            DEV_1,
            404,
            r#"{"key":"pingan/none","errorCode":"FLAG_NOT_FOUND""#,
        ),
        // What is no name is not said back.
        (
            "/ofrep/v1/evaluate/flags/13800138000",
            DEV_1,
            404,
            r#"{"key":"","errorCode":"FLAG_NOT_FOUND""#,
        ),
    ] {
        let reply = ask(&plane, "POST", path, &[], body).await;
        let text = reply.text();
        assert_eq!(reply.status, status, "{path} {text}");
        assert!(text.contains(code) && !text.contains("138"), "{text}");
        assert!(
            text.contains("errorDetails"),
            "some clients want it: {text}"
        );
    }
    let long = format!("{{\"context\":{{\"x\":\"{}\"}}}}", "x".repeat(70_000));
    assert_eq!(ask(&plane, "POST", FLAGS, &[], &long).await.status, 413);
    for (method, path, allow) in [
        ("GET", FLAGS, "POST"),
        ("GET", TRAVEL_FLAG, "POST"),
        ("POST", "/ofrep/v1/events", "GET"),
    ] {
        let reply = ask(&plane, method, path, &[], "").await;
        assert_eq!(
            (reply.status, reply.header("allow")),
            (405, allow),
            "{path}"
        );
    }
    let text = plane.origin.metrics.render();
    assert!(
        text.contains(r#"huidu_flags_refused_total{code="FLAG_NOT_FOUND"} 2"#)
            && !text.contains("138001"),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_killed_reads_as_disabled_and_no_condition_hides_it() {
    let plane = plane().await;
    let before = ask(&plane, "POST", FLAGS, &[], DEV_1).await;
    let etag = before.header("etag").to_owned();
    plane.origin.live.store(Arc::new(killed(&plane.origin)));
    let disabled = r#"{"key":"pingan/travel","reason":"DISABLED","variant":"killed","metadata":{"state":"killed","cause":"killed"}}"#;
    let one = ask(&plane, "POST", TRAVEL_FLAG, &[], BETA).await;
    assert_eq!((one.status, one.text()), (200, disabled.to_owned()));
    let condition = [("if-none-match", etag.as_str())];
    let all = ask(&plane, "POST", FLAGS, &condition, DEV_1).await;
    assert_eq!(all.status, 200);
    assert!(all.text().contains(disabled), "{}", all.text());
    // A node that serves nothing but kills knows nothing of the others.
    let withdrawn = plane.origin.live.load().withdrawn();
    plane.origin.live.store(Arc::new(withdrawn));
    let one = ask(&plane, "POST", TRAVEL_FLAG, &[], DEV_1).await;
    assert_eq!((one.status, one.text()), (200, disabled.to_owned()));
    let coffee = "/ofrep/v1/evaluate/flags/pingan/coffee";
    assert_eq!(ask(&plane, "POST", coffee, &[], DEV_1).await.status, 503);
    assert_eq!(ask(&plane, "POST", FLAGS, &[], DEV_1).await.status, 503);
}

/// A plane with listeners, and what wakes them.
async fn listening(
    most: usize,
) -> (
    DevicePlane<Small>,
    watch::Sender<Revision>,
    watch::Sender<u64>,
    Stopper,
) {
    let small = small().await;
    let feed = Feed::new(most, Arc::clone(&small.metrics));
    let (marks, hears_marks) = watch::channel(small.live.load().kills_mark());
    let (revisions, hears) = watch::channel(small.live.load().revision);
    let (stopper, stop) = Stop::pair();
    tokio::spawn(Arc::clone(&feed).drive_flags(hears, hears_marks, stop));
    let plane = DevicePlane::new(small, Bounds::default()).with_feed(feed);
    (plane, revisions, marks, stopper)
}

async fn listens(plane: &DevicePlane<Small>, seen: Option<&str>) -> Response<Body> {
    let mut request = Request::get("/ofrep/v1/events");
    if let Some(seen) = seen {
        request = request.header("last-event-id", seen);
    }
    let request = request.body(Full::new(Bytes::new())).unwrap();
    plane.answer(request).await.unwrap()
}

async fn piece(body: &mut Body) -> Option<String> {
    let data = body.frame().await?.unwrap().into_data().unwrap();
    Some(String::from_utf8(data.to_vec()).unwrap())
}

fn id_of(event: &str) -> &str {
    event.lines().next().unwrap().strip_prefix("id: ").unwrap()
}

#[tokio::test(start_paused = true)]
async fn listeners_are_told_of_changes_and_of_a_kill_at_once() {
    let (plane, revisions, marks, stopper) = listening(2).await;
    let flags = ask(&plane, "POST", FLAGS, &[], DEV_1).await.text();
    assert!(
        flags.ends_with(r#""eventStreams":[{"type":"sse","endpoint":{"requestUri":"/ofrep/v1/events"},"inactivityDelaySec":120}]}"#),
        "{flags}"
    );
    let reply = listens(&plane, None).await;
    assert_eq!(reply.headers()["content-type"], "text/event-stream");
    let mut body = reply.into_body();
    let first = piece(&mut body).await.unwrap();
    let message = r#"data: {"type":"refetchEvaluation","etag":"4"}"#;
    assert_eq!(first, format!("id: {}\n{message}\n\n", id_of(&first)));
    // Whoever comes again, and has heard of it, is told nothing.
    let mut again = listens(&plane, Some(id_of(&first))).await.into_body();
    assert_eq!(piece(&mut again).await.unwrap(), ":\n\n");
    assert_eq!(listens(&plane, None).await.status(), 503, "two are most");
    drop(again);
    // A change: at once. One more: a moment later, so that many are few.
    let begun = tokio::time::Instant::now();
    revisions.send_replace(Revision::new(5));
    assert!(
        piece(&mut body)
            .await
            .unwrap()
            .contains("refetchEvaluation")
    );
    assert_eq!(begun.elapsed(), Duration::ZERO);
    revisions.send_replace(Revision::new(6));
    assert!(
        piece(&mut body)
            .await
            .unwrap()
            .contains("refetchEvaluation")
    );
    let waited = begun.elapsed();
    assert!(
        waited > Duration::ZERO && waited <= Duration::from_secs(1),
        "{waited:?}"
    );
    // A kill waits for nothing.
    let begun = tokio::time::Instant::now();
    let live = killed(&plane.origin);
    let mark = live.kills_mark();
    plane.origin.live.store(Arc::new(live));
    marks.send_replace(mark);
    let event = piece(&mut body).await.unwrap();
    assert!(event.contains(&format!("{mark:016x}")), "{event}");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(plane.origin.metrics.flag_events.get(), 4);
    // Then a comment now and then, and the end.
    assert_eq!(piece(&mut body).await.unwrap(), ":\n\n");
    stopper.stop();
    assert!(piece(&mut body).await.is_none());
    drop(body);
    assert_eq!(plane.origin.metrics.kill_listeners.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_behind_what_an_event_spoke_of_is_waited_for_a_moment() {
    let (plane, revisions, _marks, _stopper) = listening(10).await;
    let path = format!("{FLAGS}?flagConfigEtag=5");
    let asked = tokio::spawn({
        let (plane, path) = (plane.clone(), path.clone());
        async move { ask(&plane, "POST", &path, &[], DEV_1).await.text() }
    });
    while plane.origin.metrics.kill_listeners.get() == 0 {
        tokio::task::yield_now().await;
    }
    plane.origin.live.store(Arc::new(killed(&plane.origin)));
    revisions.send_replace(Revision::new(5));
    let answer = asked.await.unwrap();
    assert!(answer.contains("DISABLED"), "{answer}");
    // What never comes is waited for two seconds, and then this is what there is.
    let begun = tokio::time::Instant::now();
    let far = format!("{FLAGS}?flagConfigEtag=6");
    assert_eq!(ask(&plane, "POST", &far, &[], DEV_1).await.status, 200);
    assert_eq!(begun.elapsed().as_secs(), 2);
}
