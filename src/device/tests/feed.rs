//! Waiting for kills: held requests and events, without a socket.

use futures_now::now;

use super::*;
use crate::device::feed::Feed;

/// A plane whose devices may wait, and what wakes them.
async fn waiting(
    most: usize,
) -> (
    Arc<Small>,
    DevicePlane<Small>,
    tokio::sync::watch::Sender<u64>,
    Stopper,
) {
    let small = small().await;
    let feed = Feed::new(most, Arc::clone(&small.metrics));
    let (marks, heard) = tokio::sync::watch::channel(small.live.load().kills_mark());
    let (stopper, stop) = Stop::pair();
    tokio::spawn(Arc::clone(&feed).drive(heard, stop));
    let plane = DevicePlane::new(Arc::clone(&small), Bounds::default()).with_feed(feed);
    (small, plane, marks, stopper)
}

mod futures_now {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    /// What a future gives without waiting.
    pub(super) fn now<F: Future>(work: F) -> Option<F::Output> {
        match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(given) => Some(given),
            Poll::Pending => None,
        }
    }
}

/// Something is killed: the list says something else.
fn kills(small: &Small, marks: &tokio::sync::watch::Sender<u64>, reason: &str) {
    let mut known = app("pingan/travel", &["1.0.0", "1.1.0"], TRAVEL);
    known.killed = Some(huidu_core::catalogue::AppKill {
        reason: reason.into(),
        at: Timestamp::from_unix_ms(1),
    });
    let catalogue = Catalogue {
        audience: "bank/prod".into(),
        revision: Revision::new(5),
        apps: [(known.id.clone(), known.into())].into(),
        ..Catalogue::default()
    };
    let live = Live::clone(&small.live.load());
    let live = live.with_kills(&catalogue, &stamper(), &small.metrics);
    let mark = live.kills_mark();
    small.live.store(Arc::new(live));
    marks.send_replace(mark);
}

async fn ask(plane: &DevicePlane<Small>, target: &str) -> Response<Body> {
    let request = Request::get(target).body(Full::new(Bytes::new())).unwrap();
    plane.answer(request).await.unwrap()
}

async fn whole(reply: Response<Body>) -> (u16, String, String) {
    let mark = reply.headers().get("huidu-mark");
    let mark = mark.map_or("", |mark| mark.to_str().unwrap()).to_owned();
    let status = reply.status().as_u16();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    (status, mark, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_request_is_held_until_the_list_says_something_else() {
    let (small, plane, marks, _stopper) = waiting(10).await;
    let (status, mark, list) = whole(ask(&plane, "/v1/kills?after=0").await).await;
    assert_eq!(
        (status, list.contains(r#""kills":[]"#)),
        (200, true),
        "{list}"
    );
    // Not answered now, and all that it waits for is a change.
    let target = format!("/v1/kills?after={mark}");
    assert!(now(ask(&plane, &target)).is_none());
    let held = tokio::spawn({
        let (plane, target) = (plane.clone(), target.clone());
        async move { whole(ask(&plane, &target).await).await }
    });
    while small.metrics.kill_listeners.get() == 0 {
        tokio::task::yield_now().await;
    }
    kills(&small, &marks, "fraud");
    let begun = tokio::time::Instant::now();
    let (status, newer, list) = held.await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO, "no beat was waited for");
    assert!(
        status == 200 && newer != mark && list.contains("fraud"),
        "{list}"
    );
    assert_eq!(small.metrics.kill_listeners.get(), 0);
    // Whoever has that is held in turn, and answered after a while: with its tag, by 304.
    let etag = small.live.load().kills().unwrap().etag().clone();
    let request = Request::get(format!("/v1/kills?after={newer}"));
    let request = request
        .header("if-none-match", etag)
        .body(Full::new(Bytes::new()));
    let reply = plane.answer(request.unwrap()).await.unwrap();
    assert_eq!(reply.status(), 304);
    assert!(
        reply.headers().contains_key("huidu-stamp"),
        "a 304 renews trust"
    );
    let waited = begun.elapsed().as_secs();
    assert!((20..=40).contains(&waited), "{waited} s");
    let refused = ask(&plane, "/v1/kills?after=nonsense").await;
    assert_eq!(refused.status(), 400);
}

#[tokio::test(start_paused = true)]
async fn events_bring_the_signed_list_and_go_on_where_they_left_off() {
    let (small, plane, marks, _stopper) = waiting(10).await;
    let reply = ask(&plane, "/v1/kills/events").await;
    assert_eq!(reply.headers()["content-type"], "text/event-stream");
    let mut body = reply.into_body();
    let mut piece = async || {
        let frame = body.frame().await.unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    };
    let first = piece().await;
    let mark = format!("{:016x}", small.live.load().kills_mark());
    assert!(
        first.starts_with(&format!("id: {mark}\nevent: kills\ndata: v1.")),
        "{first}"
    );
    kills(&small, &marks, "fraud");
    let second = piece().await;
    let lines: Vec<&str> = second.lines().collect();
    let (stamp, list) = (&lines[2]["data: ".len()..], &lines[3]["data: ".len()..]);
    let live = small.live.load();
    assert_eq!(
        list.as_bytes(),
        live.kills().unwrap().body(),
        "the very bytes"
    );
    let stamp = SignedStamp::parse(stamp).unwrap().stamp().unwrap();
    assert_eq!(stamp.body, Digest::of(list.as_bytes()));
    assert_eq!(piece().await, ":\n\n", "and then a comment now and then");
    // Whoever has it already is not sent it again.
    let seen = lines[0]["id: ".len()..].to_owned();
    let request = Request::get("/v1/kills/events").header("last-event-id", seen);
    let reply = plane
        .answer(request.body(Full::new(Bytes::new())).unwrap())
        .await
        .unwrap();
    let frame = reply.into_body().frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), ":\n\n");
}

#[tokio::test(start_paused = true)]
async fn one_too_many_is_told_to_come_back_and_a_stop_ends_all() {
    let (small, plane, _marks, stopper) = waiting(2).await;
    let mark = format!("{:x}", small.live.load().kills_mark());
    let target = format!("/v1/kills?after={mark}");
    let mut stream = ask(&plane, "/v1/kills/events").await.into_body();
    let held = tokio::spawn({
        let (plane, target) = (plane.clone(), target.clone());
        async move { whole(ask(&plane, &target).await).await }
    });
    while small.metrics.kill_listeners.get() < 2 {
        tokio::task::yield_now().await;
    }
    let refused = ask(&plane, &target).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(ask(&plane, "/v1/kills/events").await.status(), 503);
    assert_eq!(
        ask(&plane, "/v1/kills").await.status(),
        200,
        "the list is for everybody"
    );
    let begun = tokio::time::Instant::now();
    stopper.stop();
    assert_eq!(held.await.unwrap().0, 200);
    stream.frame().await.unwrap().unwrap();
    assert!(stream.frame().await.is_none(), "it is over");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    drop(stream);
    assert_eq!(small.metrics.kill_listeners.get(), 0);
    let head = Request::head("/v1/kills/events").body(Full::new(Bytes::new()));
    assert_eq!(plane.answer(head.unwrap()).await.unwrap().status(), 405);
}
