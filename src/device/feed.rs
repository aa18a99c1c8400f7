//! The feed of kills: who waits is told at once, by one held request after the other or by server-sent events.
//!
//! `GET /v1/kills?after=MARK` answers when the list says something else than what MARK stands for (`0`: at once),
//! and after half a minute or so in any case. `GET /v1/kills/events` goes on for as long as somebody listens. Both
//! send the very list and stamp of `GET /v1/kills`, so nothing is believed that is not signed, and whoever hears of
//! nothing is no worse off than without a feed.
//!
//! OpenFeature clients that wait for a change of flags (`ofrep/stream.rs`) sit in groups of their own, so that a change of
//! anything wakes no device that waits for a kill; places are counted together.
//!
//! A listener costs its connection and one waiter, and nothing else: no timer, no task, no queue, no copy of the
//! list. One that is slow is sent the newest list when it takes something again, or is cut off by the floor under
//! this port; one too many is told to come back. When the node stops, all of them end at once.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use huidu_core::revision::Revision;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{Origin, ofrep::Shelf, reply, said::Said};
use crate::{
    http::{
        body::{Body, Endless},
        problem::Problem,
        serve::Stop,
    },
    metrics::Metrics,
};

/// What the list says, whatever its revision: what `after` and `Last-Event-ID` name.
const HUIDU_MARK: HeaderName = HeaderName::from_static("huidu-mark");
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
pub(super) const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Groups of listeners: each is woken at its own time, so that no beat wakes all of them.
const GROUPS: usize = 16;
/// Between two beats of one group: a held request is answered at the second, an event stream hears a comment at
/// each. Shorter than what balancers allow a silent connection.
const BEAT: Duration = Duration::from_secs(20);
/// Between two changes of anything but kills that those who wait for flags are told of: each of them asks anew then.
const PACE: Duration = Duration::from_secs(1);
/// A comment, so that whoever stands between knows that somebody listens.
pub(super) const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

/// Why a group was woken.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beat {
    /// Beats so far.
    pub(super) beats: u64,
    /// Changes so far.
    pub(super) news: u64,
    /// True when the node stops.
    pub(super) over: bool,
}

type Groups = [watch::Sender<Beat>; GROUPS];

/// Everybody who waits for a change: of the list of kills, or of flags.
pub struct Feed {
    groups: Groups,
    /// Who waits for flags.
    flags: Groups,
    /// What all cores have found out about flags.
    shelf: Arc<Shelf>,
    next: AtomicUsize,
    open: AtomicUsize,
    most: usize,
    metrics: Arc<Metrics>,
    /// The event that all listeners are sent, by the mark and the stamp it was made for.
    event: Mutex<Option<(u64, HeaderValue, Bytes)>>,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

/// A listener's place, given back when dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Feed>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.kill_listeners.dec();
    }
}

impl Feed {
    /// A feed for `most` listeners at a time.
    pub fn new(most: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            groups: groups(),
            flags: groups(),
            shelf: Arc::default(),
            next: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            most,
            metrics,
            event: Mutex::new(None),
        })
    }

    /// Wakes listeners whenever `marks` changes, and now and then; ends all of them when told to stop.
    pub async fn drive(self: Arc<Self>, mut marks: watch::Receiver<u64>, mut stop: Stop) {
        let pause = BEAT / u32::try_from(GROUPS).unwrap_or(1);
        let (mut group, mut next) = (0, Instant::now() + pause);
        loop {
            tokio::select! {
                biased;
                () = stop.told() => break,
                changed = marks.changed() => match changed {
                    Ok(()) => wake(&self.groups, |beat| beat.news += 1),
                    Err(_gone) => break,
                },
                () = sleep_until(next) => {
                    self.groups[group].send_modify(|beat| beat.beats += 1);
                    (group, next) = ((group + 1) % GROUPS, next + pause);
                }
            }
        }
        wake(&self.groups, |beat| beat.over = true);
    }

    /// Wakes who waits for flags: at once when the list of kills changes, and when anything else does at once or a moment
    /// after the time before.
    pub async fn drive_flags(
        self: Arc<Self>,
        mut revisions: watch::Receiver<Revision>,
        mut marks: watch::Receiver<u64>,
        mut stop: Stop,
    ) {
        let pause = BEAT / u32::try_from(GROUPS).unwrap_or(1);
        let (mut group, mut next) = (0, Instant::now() + pause);
        let (mut rests_until, mut is_due) = (Instant::now(), false);
        loop {
            let told = tokio::select! {
                biased;
                () = stop.told() => break,
                changed = marks.changed() => match changed {
                    Ok(()) => true,
                    Err(_gone) => break,
                },
                changed = revisions.changed(), if !is_due => match changed {
                    Ok(()) => {
                        is_due = true;
                        false
                    }
                    Err(_gone) => break,
                },
                () = sleep_until(rests_until), if is_due => true,
                () = sleep_until(next) => {
                    self.flags[group].send_modify(|beat| beat.beats += 1);
                    (group, next) = ((group + 1) % GROUPS, next + pause);
                    false
                }
            };
            if told {
                wake(&self.flags, |beat| beat.news += 1);
                (rests_until, is_due) = (Instant::now() + PACE, false);
            }
        }
        wake(&self.flags, |beat| beat.over = true);
    }

    /// What all cores have found out about flags.
    pub(super) fn shelf(&self) -> &Arc<Shelf> {
        &self.shelf
    }

    fn enter(self: &Arc<Self>) -> Option<(Place, watch::Receiver<Beat>)> {
        self.enter_among(&self.groups)
    }

    /// A place among those who wait for flags.
    pub(super) fn enter_for_flags(self: &Arc<Self>) -> Option<(Place, watch::Receiver<Beat>)> {
        self.enter_among(&self.flags)
    }

    /// A place among the listeners, and what wakes it.
    fn enter_among(self: &Arc<Self>, groups: &Groups) -> Option<(Place, watch::Receiver<Beat>)> {
        self.metrics.kill_listeners.inc();
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        // One too many gives its place back by being dropped.
        let place = Place(Arc::clone(self));
        if before >= self.most {
            self.metrics.kill_listeners_refused.inc();
            return None;
        }
        let group = self.next.fetch_add(1, Ordering::Relaxed) % GROUPS;
        Some((place, groups[group].subscribe()))
    }

    /// The list as an event; made once for all who are sent it.
    fn event(&self, origin: &impl Origin) -> Option<(u64, Bytes)> {
        let live = origin.live();
        let kills = live.kills()?;
        let mark = live.kills_mark();
        let head = kills.head();
        let head = head.as_ref()?;
        let mut known = self.event.lock().unwrap_or_else(PoisonError::into_inner);
        let made = known.as_ref();
        let made = made.filter(|(of, stamp, _)| *of == mark && *stamp == head.stamp);
        let event = match made {
            Some((_, _, event)) => event.clone(),
            None => {
                let stamp = head.stamp.to_str().unwrap_or_default();
                let mut event = format!("id: {mark:016x}\nevent: kills\ndata: {stamp}\ndata: ");
                // Compact JSON has no line's end in it.
                event.push_str(&String::from_utf8_lossy(&head.body));
                event.push_str("\n\n");
                let event = Bytes::from(event);
                *known = Some((mark, head.stamp.clone(), event.clone()));
                event
            }
        };
        kills.count();
        self.metrics.kill_events.inc();
        Some((mark, event))
    }
}

fn groups() -> Groups {
    std::array::from_fn(|_| watch::Sender::new(Beat::default()))
}

fn wake(groups: &Groups, change: impl Fn(&mut Beat)) {
    groups.iter().for_each(|group| group.send_modify(&change));
}

/// The mark that a request says the device has, where it asks to be held.
pub(super) fn after(query: Option<&str>) -> Option<Result<u64, Problem>> {
    let pairs = query?.split('&');
    let mut pairs = pairs.filter_map(|pair| pair.strip_prefix("after="));
    let text = pairs.next()?;
    Some(mark(text).ok_or_else(|| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "bad-mark",
            "Not a mark",
            "`after` is the Huidu-Mark of the list that the device has, 16 hexadecimal digits, or 0",
        )
        .with_field("after")
    }))
}

fn mark(text: &str) -> Option<u64> {
    let fits = (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

/// What a held request is answered with, and when.
pub(super) enum Held<F> {
    /// At once.
    Now(Response<Body>),
    /// When there is something to say.
    Later(F),
}

/// The list when it says something else than `after`, or after a while.
pub(super) fn hold<O: Origin>(
    origin: &Arc<O>,
    feed: &Arc<Feed>,
    after: u64,
    headers: &HeaderMap,
) -> Held<impl Future<Output = Response<Body>> + Send + use<O>> {
    if after == 0 || origin.live().kills_mark() != after {
        return Held::Now(list(&**origin, &Said::of(headers)));
    }
    let Some((place, mut beats)) = feed.enter() else {
        return Held::Now(too_many(&**origin));
    };
    let condition = headers.get(header::IF_NONE_MATCH).cloned();
    let origin = Arc::clone(origin);
    Held::Later(async move {
        let until = beats.borrow_and_update().beats + 2;
        loop {
            // What changed before it began to wait is seen here.
            if origin.live().kills_mark() != after {
                break;
            }
            let woken = beats.changed().await;
            let now = *beats.borrow();
            if woken.is_err() || now.over || now.beats >= until {
                break;
            }
        }
        drop(place);
        let mut headers = HeaderMap::new();
        headers.extend(condition.map(|tag| (header::IF_NONE_MATCH, tag)));
        list(&*origin, &Said::of(&headers))
    })
}

/// The list as it is now, or 304, for this device alone.
fn list<O: Origin>(origin: &O, said: &Said<'_>) -> Response<Body> {
    let live = origin.live();
    let Some(kills) = live.kills() else {
        return reply::not_ready(origin.rhythm()).into_response();
    };
    let Some(mut reply) = reply::prepared(kills, said) else {
        return reply::not_signed(origin.rhythm()).into_response();
    };
    kills.count();
    let headers = reply.headers_mut();
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    // Hexadecimal digits are a header value.
    if let Ok(mark) = HeaderValue::try_from(format!("{:016x}", live.kills_mark())) {
        headers.insert(HUIDU_MARK, mark);
    }
    reply
}

pub(super) fn too_many<O: Origin>(origin: &O) -> Response<Body> {
    origin.metrics().shed.inc();
    reply::overloaded(origin.rhythm()).into_response()
}

/// Events from now on: the list at once, unless `Last-Event-ID` names what it says, and whenever it changes.
pub(super) fn events<O: Origin, B>(
    origin: &Arc<O>,
    feed: &Arc<Feed>,
    request: &Request<B>,
) -> Response<Body> {
    let Some((place, mut beats)) = feed.enter() else {
        return too_many(&**origin);
    };
    let seen = request.headers().get(LAST_EVENT_ID);
    let seen = seen.and_then(|id| mark(id.to_str().ok()?)).unwrap_or(0);
    let at = *beats.borrow_and_update();
    let stream = Stream {
        origin: Arc::clone(origin),
        place,
        seen,
        at,
        waiting: Box::pin(woken(beats)),
        greeted: false,
    };
    let mut reply = Response::new(Body::endless(Box::new(stream)));
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, EVENT_STREAM);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    reply
}

pub(super) type Woken = Pin<Box<dyn Future<Output = Option<watch::Receiver<Beat>>> + Send>>;

/// Ends when the group is woken; none: nobody will wake it any more.
pub(super) async fn woken(mut beats: watch::Receiver<Beat>) -> Option<watch::Receiver<Beat>> {
    beats.changed().await.ok().map(|()| beats)
}

/// One listener's events.
struct Stream<O> {
    origin: Arc<O>,
    place: Place,
    /// The mark of what it was sent last, or said that it has.
    seen: u64,
    at: Beat,
    waiting: Woken,
    greeted: bool,
}

impl<O: Origin> Stream<O> {
    /// The list, where it says something that the listener was not sent.
    fn news(&mut self) -> Option<Bytes> {
        if self.origin.live().kills_mark() == self.seen {
            return None;
        }
        let (mark, event) = self.place.0.event(&*self.origin)?;
        self.seen = mark;
        Some(event)
    }
}

impl<O: Origin> Endless for Stream<O> {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !self.greeted {
            self.greeted = true;
            // A head leaves with the first piece: whoever has the list already is sent a comment.
            return Poll::Ready(Some(self.news().unwrap_or(HEARTBEAT)));
        }
        loop {
            let Some(mut beats) = ready!(self.waiting.as_mut().poll(cx)) else {
                return Poll::Ready(None);
            };
            let now = *beats.borrow_and_update();
            self.waiting = Box::pin(woken(beats));
            if now.over {
                return Poll::Ready(None);
            }
            let beat = now.beats > self.at.beats;
            self.at = now;
            if let Some(event) = self.news() {
                return Poll::Ready(Some(event));
            }
            if beat {
                return Poll::Ready(Some(HEARTBEAT));
            }
        }
    }
}
