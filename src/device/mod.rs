//! The device plane: what every device on the public port is told.
//!
//! One table of routes, matched on the bytes of the path. A poll of one app is answered at once from
//! prepared bytes: no lock, no copy of a text, no log line, no allocation besides what a reply needs.
//! Whatever must wait (a body, a bundle from the store) is counted and bounded; a core that is asked for more than
//! it answers puts off what is large, then whatever can wait: the 304s and the kills go on. What a device says about itself never
//! reaches a log line, a metric or the text of a problem.

mod bundle;
mod feed;
mod health;
mod key;
mod kills;
mod ofrep;
mod origin;
mod papers;
mod poll;
mod pressure;
mod reply;
mod report;
mod said;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::Guard;
use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header, request::Parts};
use huidu_core::{limits, time::Timestamp};
use hyper::{
    body::{Body as HttpBody, Incoming},
    service::Service,
};

pub use feed::Feed;
pub use health::Readiness;

use self::pressure::Pressure;

use crate::{
    http::{
        body::{Body, ReadLimits},
        carrier::Carrier,
        heads,
        problem::Problem,
        serve::{PerConnection, Watcher},
    },
    metrics::Metrics,
    node::{bundles::Bundles, feedback::Feedback, live::Live},
};

/// What the device plane sees of a node.
pub trait Origin: Send + Sync + 'static {
    /// What is served now.
    fn live(&self) -> Guard<Arc<Live>>;
    /// The time of day.
    fn now(&self) -> Timestamp;
    /// The archives.
    fn bundles(&self) -> &Bundles;
    /// Where reports are counted.
    fn feedback(&self) -> &Feedback;
    /// The metrics.
    fn metrics(&self) -> &Metrics;
    /// Whether a balancer should send devices here.
    fn readiness(&self) -> Readiness;
    /// When devices shall ask again.
    fn rhythm(&self) -> Rhythm;
    /// A device has heard of this revision from somebody. A node that has not looks at once, within reason.
    fn seen(&self, _revision: u64) {}
    /// True when a signature for one request may be made now: they cost a hundred times what a poll does.
    fn may_sign(&self) -> bool {
        true
    }
    /// True when the node is about to stop: whoever is answered is told to come back on another connection.
    fn is_draining(&self) -> bool {
        false
    }
    /// The key that stamps are made with, where anybody may learn it from the server itself: in
    /// development alone.
    fn development_key(&self) -> Option<VerifyingKey> {
        None
    }
}

/// When devices ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// After this many milliseconds,
    pub after_ms: u64,
    /// and a part of this, which each device takes by its own hash.
    pub spread_ms: u64,
}

/// What bounds one core's requests.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Requests that may wait at a time (for a body, for the store); one more is answered 503.
    pub waiting: usize,
    /// How late a core may be, again and again, before it puts off what can wait.
    pub late: Duration,
    /// The longest silence within a request's body.
    pub body_silence: Duration,
    /// The longest time for a request's body.
    pub body_whole: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            waiting: 2_000,
            late: Duration::from_millis(250),
            body_silence: Duration::from_secs(5),
            body_whole: Duration::from_secs(15),
        }
    }
}

/// The device plane as one core answers it. A clone shares the core's bounds.
pub struct DevicePlane<O> {
    origin: Arc<O>,
    bounds: Arc<Bounds>,
    waiting: Arc<AtomicUsize>,
    feed: Option<Arc<Feed>>,
    shelf: Arc<ofrep::Shelf>,
    pressure: Arc<Pressure>,
}

impl<O> Clone for DevicePlane<O> {
    fn clone(&self) -> Self {
        Self {
            origin: Arc::clone(&self.origin),
            bounds: Arc::clone(&self.bounds),
            waiting: Arc::clone(&self.waiting),
            feed: self.feed.clone(),
            shelf: Arc::clone(&self.shelf),
            pressure: Arc::clone(&self.pressure),
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route<'a> {
    Manifest { host: &'a str, app: &'a str },
    Poll,
    Kills,
    KillEvents,
    Bundle { hex: &'a str },
    Events,
    DevelopmentKey,
    Keyring { version: &'a str },
    Release { app: &'a str, hex: &'a str },
    Policy { app: &'a str },
    Flag { key: &'a str },
    Flags,
    FlagEvents,
    Healthz,
    Readyz,
}

impl<'a> Route<'a> {
    /// The table of routes.
    fn of(path: &'a str) -> Option<Self> {
        // Most frequent first.
        if let Some(rest) = path.strip_prefix("/v1/manifest/") {
            // One pass over the bytes: three searches would take three times as long.
            let mut slashes = rest.bytes().enumerate().filter(|(_, b)| *b == b'/');
            let ((host_end, _), _tenant_end) = (slashes.next()?, slashes.next()?);
            let (host, app) = (rest.get(..host_end)?, rest.get(host_end + 1..)?);
            return slashes
                .next()
                .is_none()
                .then_some(Self::Manifest { host, app });
        }
        if let Some(hex) = path.strip_prefix("/v1/bundles/sha256/") {
            return (!hex.contains('/')).then_some(Self::Bundle { hex });
        }
        if let Some(version) = path.strip_prefix("/v1/k/") {
            return Some(Self::Keyring { version });
        }
        if let Some(rest) = path.strip_prefix("/v1/releases/") {
            let (app, hex) = rest.rsplit_once('/')?;
            return Some(Self::Release { app, hex });
        }
        if let Some(app) = path.strip_prefix("/v1/policies/") {
            return Some(Self::Policy { app });
        }
        if let Some(key) = path.strip_prefix(ofrep::FLAG) {
            return Some(Self::Flag { key });
        }
        match path {
            "/v1/poll" => Some(Self::Poll),
            "/v1/kills" => Some(Self::Kills),
            "/v1/kills/events" => Some(Self::KillEvents),
            "/v1/events" => Some(Self::Events),
            ofrep::FLAGS => Some(Self::Flags),
            ofrep::EVENTS => Some(Self::FlagEvents),
            "/v1/keys/dev" => Some(Self::DevelopmentKey),
            "/healthz" => Some(Self::Healthz),
            "/readyz" => Some(Self::Readyz),
            _ => None,
        }
    }

    fn allows(self, method: &Method) -> bool {
        match self {
            Self::Poll | Self::Events | Self::Flag { .. } | Self::Flags => method == Method::POST,
            Self::KillEvents | Self::FlagEvents => method == Method::GET,
            _ => method == Method::GET || method == Method::HEAD,
        }
    }

    const fn allowed(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Poll | Self::Events | Self::Flag { .. } | Self::Flags => "POST",
            Self::KillEvents | Self::FlagEvents => "GET",
            _ => "GET, HEAD",
        })
    }
}

impl<O: Origin> DevicePlane<O> {
    /// The plane of one core.
    pub fn new(origin: Arc<O>, bounds: Bounds) -> Self {
        Self {
            origin,
            bounds: Arc::new(bounds),
            waiting: Arc::default(),
            feed: None,
            shelf: Arc::default(),
            pressure: Arc::default(),
        }
    }

    /// The same, where devices may wait for changes of the list of kills; all cores share one feed.
    #[must_use]
    pub fn with_feed(mut self, feed: Arc<Feed>) -> Self {
        self.shelf = Arc::clone(feed.shelf());
        self.feed = Some(feed);
        self
    }

    /// Answers one request, whatever carries it.
    pub fn answer<B>(&self, request: Request<B>) -> Answering
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    {
        self.answer_over(None, request)
    }

    /// Answers one request that came over a connection.
    fn answer_over<B>(&self, carrier: Option<&Arc<Carrier>>, request: Request<B>) -> Answering
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    {
        let headers = request.headers();
        let refused =
            heads::too_many(headers).or_else(|| heads::ambiguous(headers, request.body()));
        if let Some(refused) = refused {
            return refused.into();
        }
        let method = request.method();
        let Some(route) = Route::of(request.uri().path()) else {
            return no_such_path().into();
        };
        if !route.allows(method) {
            return wrong_method(route).into();
        }
        let origin = &*self.origin;
        let is_head = method == Method::HEAD;
        let reply = match route {
            Route::Manifest { host, app } => {
                let asked = poll::Asked {
                    host,
                    app,
                    query: request.uri().query(),
                    method,
                    target: request.uri(),
                    headers,
                    is_pressed: self.pressure.is_extreme(),
                };
                let reply = poll::single(origin, &asked);
                if !is_head {
                    // Nearly every request: moved once, to where hyper takes it.
                    return Answering::Now(Some(reply));
                }
                reply
            }
            Route::Kills => match (feed::after(request.uri().query()), &self.feed) {
                (Some(Err(refused)), _) => return refused.into(),
                (Some(Ok(after)), Some(feed)) if !is_head => {
                    match feed::hold(&self.origin, feed, after, headers) {
                        feed::Held::Now(reply) => reply,
                        feed::Held::Later(reply) => return Answering::Later(Box::pin(reply)),
                    }
                }
                _ => kills::list(origin, headers),
            },
            Route::KillEvents => match &self.feed {
                Some(feed) => feed::events(&self.origin, feed, &request),
                None => return no_such_path().into(),
            },
            Route::Bundle { .. } | Route::Events if self.pressure.is_high() => {
                return self.shed().into();
            }
            Route::Bundle { hex } => {
                let carrier = bundle::carrier(carrier, request.version());
                match bundle::hot(origin, hex, &request, carrier) {
                    bundle::Found::Reply(reply) => reply,
                    bundle::Found::Cold(digest) => {
                        let origin = Arc::clone(&self.origin);
                        let wants = bundle::Wants::of(&request, carrier);
                        return self.later(bundle::cold(origin, digest, wants));
                    }
                }
            }
            Route::Poll => {
                let (head, body) = request.into_parts();
                let (origin, limits) = (Arc::clone(&self.origin), self.body_limits());
                let pressure = Arc::clone(&self.pressure);
                return self.later(async move {
                    let asked = poll::Asking {
                        headers: &head.headers,
                        pressure: &pressure,
                    };
                    poll::batch(&*origin, &asked, body, limits).await
                });
            }
            Route::Events => {
                let (origin, limits) = (Arc::clone(&self.origin), self.body_limits());
                let body = request.into_body();
                return self.later(async move { report::events(&*origin, body, limits).await });
            }
            Route::Flag { key } => {
                let key = ofrep::key(key);
                let (origin, limits) = (Arc::clone(&self.origin), self.evaluation_limits());
                let (pressure, body) = (Arc::clone(&self.pressure), request.into_body());
                return self.later(async move {
                    let is_pressed = || pressure.is_extreme();
                    ofrep::one(&*origin, &key, body, limits, is_pressed).await
                });
            }
            Route::Flags => {
                let (head, body) = request.into_parts();
                let (plane, limits) = (self.clone(), self.evaluation_limits());
                return self.later(async move { plane.flags(&head, body, limits).await });
            }
            Route::FlagEvents => match &self.feed {
                Some(feed) => ofrep::events(&self.origin, feed, &request),
                None => return no_such_path().into(),
            },
            Route::DevelopmentKey => match key::development(origin) {
                Some(reply) => reply,
                None => return no_such_path().into(),
            },
            Route::Keyring { version } => papers::keyring(origin, version),
            Route::Release { app, hex } => papers::release(origin, app, hex),
            Route::Policy { app } => papers::policy(origin, app),
            Route::Healthz => health::alive(),
            Route::Readyz => health::ready(&origin.readiness()),
        };
        Answering::Now(Some(if is_head {
            reply::without_body(reply)
        } else {
            reply
        }))
    }

    fn body_limits(&self) -> ReadLimits {
        ReadLimits {
            bytes: limits::POLL_BODY_BYTES,
            silence: self.bounds.body_silence,
            whole: self.bounds.body_whole,
        }
    }

    fn evaluation_limits(&self) -> ReadLimits {
        ReadLimits {
            bytes: limits::EVALUATION_BYTES,
            ..self.body_limits()
        }
    }

    /// All flags that an OpenFeature client asks for.
    async fn flags<B>(&self, head: &Parts, body: B, limits: ReadLimits) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    {
        let asked = ofrep::Asking {
            headers: &head.headers,
            query: head.uri.query(),
            shelf: &self.shelf,
            feed: self.feed.as_ref(),
            pressure: &self.pressure,
        };
        ofrep::all(&*self.origin, &asked, body, limits).await
    }

    /// Answers when `reply` is there, if not too many wait already.
    fn later(&self, reply: impl Future<Output = Response<Body>> + Send + 'static) -> Answering {
        match Waiting::take(&self.waiting, self.bounds.waiting) {
            Some(place) => Answering::Later(Box::pin(async move {
                let reply = reply.await;
                drop(place);
                reply
            })),
            None => self.shed().into(),
        }
    }

    fn shed(&self) -> Problem {
        self.origin.metrics().shed.inc();
        reply::overloaded(self.origin.rhythm())
    }
}

/// A place among the requests that wait, given back when dropped.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn take(waiting: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let taken = Self(Arc::clone(waiting));
        // Dropping what was one too many gives it back.
        (waiting.fetch_add(1, Ordering::Relaxed) < most).then_some(taken)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A reply that is there, or one that comes. What is there costs no allocation.
pub enum Answering {
    /// There; taken when it is polled.
    Now(Option<Response<Body>>),
    /// Comes.
    Later(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
}

impl Answering {
    /// The same, on a connection that ends with it.
    fn and_close(self) -> Self {
        let close = |reply: &mut Response<Body>| {
            let value = HeaderValue::from_static("close");
            reply.headers_mut().insert(header::CONNECTION, value);
        };
        match self {
            Self::Now(mut reply) => {
                reply.iter_mut().for_each(close);
                Self::Now(reply)
            }
            Self::Later(reply) => Self::Later(Box::pin(async move {
                let mut reply = reply.await;
                close(&mut reply);
                reply
            })),
        }
    }
}

impl From<Problem> for Answering {
    fn from(problem: Problem) -> Self {
        Self::Now(Some(problem.into_response()))
    }
}

impl Future for Answering {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            // A future is not polled again after it was ready.
            Self::Now(reply) => Poll::Ready(Ok(reply.take().unwrap_or_default())),
            Self::Later(reply) => reply.as_mut().poll(cx).map(Ok),
        }
    }
}

/// The device plane as one connection sees it.
pub struct Connected<O> {
    plane: DevicePlane<O>,
    carrier: Arc<Carrier>,
}

impl<O> Clone for Connected<O> {
    fn clone(&self) -> Self {
        Self {
            plane: self.plane.clone(),
            carrier: Arc::clone(&self.carrier),
        }
    }
}

impl<O: Origin> Service<Request<Incoming>> for Connected<O> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        // HTTP/2 is told by a frame of its own when the ports close.
        let is_last = request.version() < Version::HTTP_2 && self.plane.origin.is_draining();
        let answering = self.plane.answer_over(Some(&self.carrier), request);
        if is_last {
            answering.and_close()
        } else {
            answering
        }
    }
}

impl<O: Origin> PerConnection for DevicePlane<O> {
    type Service = Connected<O>;

    fn beside(&self) {
        let pressure = Arc::downgrade(&self.pressure);
        tokio::spawn(pressure::keep_looking(pressure, self.bounds.late));
    }

    fn answering(&self, carrier: &Arc<Carrier>) -> Connected<O> {
        Connected {
            plane: self.clone(),
            carrier: Arc::clone(carrier),
        }
    }
}

fn no_such_path() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-path",
        "Unknown path",
        "this path is not served here; the device plane serves /v1/manifest/{host}/{tenant}/{app}, \
         /v1/poll, /v1/kills, /v1/kills/events, /v1/bundles/sha256/{hex} and /v1/events",
    )
}

fn wrong_method(route: Route<'_>) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong-method",
        "Wrong method",
        "this path is not served by this method; use one that the Allow header names",
    )
    .with_header(header::ALLOW, route.allowed())
}

/// Counts the connections of the device plane.
pub struct Connections(pub Arc<Metrics>);

impl Watcher for Connections {
    fn opened(&self) {
        self.0.connections.inc();
    }

    fn closed(&self) {
        self.0.connections.dec();
    }

    fn refused(&self) {
        self.0.connections_refused.inc();
    }

    fn not_agreed(&self) {
        self.0.tls_failures.inc();
    }
}

#[cfg(test)]
mod tests;
