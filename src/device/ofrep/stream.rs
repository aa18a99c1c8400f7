//! When to ask again: server-sent events for clients that keep all flags of a bank app.
//!
//! An event says that what would be answered may have changed, and nothing else: who asks learns it with their own
//! context. It is sent at once when the list of kills changes, within a second of any other change, and within half a
//! minute of an instant at which a rule begins or ends. One is sent to whoever comes, too, unless they say that they have
//! heard of what is served: between a client's question and its listening something may have happened.
//!
//! Listeners share places, beats and the end with those of the feed of kills (`feed.rs`), and cost as little.

use std::{
    fmt::Write as _,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, header};

use super::Shelf;
use crate::{
    device::{
        Origin,
        feed::{self, Beat, Feed, Place, Woken},
    },
    http::body::{Body, Endless},
};

/// What is served, as far as answers depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    revision: u64,
    kills: u64,
    turned: usize,
    withdrawn: bool,
}

impl Mark {
    fn of(origin: &impl Origin, shelf: &Shelf) -> Self {
        let live = origin.live();
        Self {
            revision: live.revision.get(),
            kills: live.kills_mark(),
            turned: shelf.turned(&live, origin.now()),
            withdrawn: live.is_withdrawn(),
        }
    }

    /// What `Last-Event-ID` says again.
    fn id(self) -> String {
        let Self {
            revision,
            kills,
            turned,
            withdrawn,
        } = self;
        let withdrawn = if withdrawn { "w" } else { "" };
        format!("{revision}-{kills:016x}-{turned}{withdrawn}")
    }

    fn event(self) -> Bytes {
        let mut event = format!("id: {}\n", self.id());
        // Without a name it is a `message`, which is what clients of this protocol listen for.
        let _never_fails = write!(
            event,
            "data: {{\"type\":\"refetchEvaluation\",\"etag\":\"{}\"}}\n\n",
            self.revision
        );
        event.into()
    }
}

/// Events from now on.
pub(in crate::device) fn events<O: Origin, B>(
    origin: &Arc<O>,
    feed: &Arc<Feed>,
    request: &Request<B>,
) -> Response<Body> {
    let Some((place, mut beats)) = feed.enter_for_flags() else {
        return feed::too_many(&**origin);
    };
    let at = *beats.borrow_and_update();
    let shelf = Arc::clone(feed.shelf());
    let now = Mark::of(&**origin, &shelf);
    let heard = request.headers().get(feed::LAST_EVENT_ID);
    let knows = heard.is_some_and(|id| id.as_bytes() == now.id().as_bytes());
    let stream = Stream {
        origin: Arc::clone(origin),
        shelf,
        seen: knows.then_some(now),
        at,
        waiting: Box::pin(feed::woken(beats)),
        greeted: false,
        _place: place,
    };
    let mut reply = Response::new(Body::endless(Box::new(stream)));
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, feed::EVENT_STREAM);
    headers.insert(header::CACHE_CONTROL, feed::NO_STORE);
    reply
}

/// One listener's events.
struct Stream<O> {
    origin: Arc<O>,
    shelf: Arc<Shelf>,
    /// What it was told of last, or said that it knows.
    seen: Option<Mark>,
    at: Beat,
    waiting: Woken,
    greeted: bool,
    _place: Place,
}

impl<O: Origin> Stream<O> {
    /// An event, where there is something that the listener was not told of. `certain`: there is, also where it looks the
    /// same: a node that was repaired serves something else at the same revision.
    fn news(&mut self, certain: bool) -> Option<Bytes> {
        let now = Mark::of(&*self.origin, &self.shelf);
        if !certain && self.seen == Some(now) {
            return None;
        }
        self.seen = Some(now);
        self.origin.metrics().flag_events.inc();
        Some(now.event())
    }
}

impl<O: Origin> Endless for Stream<O> {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !self.greeted {
            self.greeted = true;
            // A head leaves with the first piece: whoever knows already is sent a comment.
            return Poll::Ready(Some(self.news(false).unwrap_or(feed::HEARTBEAT)));
        }
        loop {
            let Some(mut beats) = ready!(self.waiting.as_mut().poll(cx)) else {
                return Poll::Ready(None);
            };
            let now = *beats.borrow_and_update();
            self.waiting = Box::pin(feed::woken(beats));
            if now.over {
                return Poll::Ready(None);
            }
            let (beat, news) = (now.beats > self.at.beats, now.news > self.at.news);
            self.at = now;
            if let Some(event) = self.news(news) {
                return Poll::Ready(Some(event));
            }
            if beat {
                return Poll::Ready(Some(feed::HEARTBEAT));
            }
        }
    }
}
