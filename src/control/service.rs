//! The private port's routes as the floor under both planes serves them: the same limits on heads,
//! connections and rests as on the public one. A reply is whole before its first byte is sent, but for what flows
//! for as long as somebody listens; that ends when the node stops.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::{Router, body::to_bytes};
use bytes::Bytes;
use http::{Request, Response, header::CONTENT_LENGTH};

use hyper::{
    body::{Body as _, Incoming},
    service::Service,
};
use hyper_util::service::TowerToHyperService;

use crate::http::{
    body::{Body, Endless},
    heads,
    serve::Stop,
};

/// Routes that the floor can serve.
#[derive(Clone)]
pub struct PrivatePlane {
    routes: TowerToHyperService<Router>,
    stop: Stop,
}

/// A body that a handler hands to the floor beside its reply: it goes on for as long as somebody listens.
#[derive(Clone)]
pub(super) struct Flowing(Arc<Mutex<Option<Body>>>);

impl Flowing {
    pub(super) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    fn take(&self) -> Option<Body> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.take()
    }
}

impl PrivatePlane {
    /// Serves these routes; what flows ends when `stop` is told.
    pub fn new(routes: Router, stop: Stop) -> Self {
        let routes = TowerToHyperService::new(routes);
        Self { routes, stop }
    }
}

/// A flowing body that ends when the node stops.
struct Until {
    body: Body,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Endless for Until {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.and_then(|frame| frame.ok()?.into_data().ok()))
    }
}

impl Service<Request<Incoming>> for PrivatePlane {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let headers = request.headers();
        let refused =
            heads::too_many(headers).or_else(|| heads::ambiguous(headers, request.body()));
        if let Some(refused) = refused {
            return Box::pin(async move { Ok(refused.into_response()) });
        }
        let reply = self.routes.call(request);
        let mut stop = self.stop.clone();
        Box::pin(async move {
            let (mut head, body) = reply.await?.into_parts();
            let flowing = head.extensions.remove::<Flowing>();
            if let Some(body) = flowing.and_then(|flowing| flowing.take()) {
                // Of the empty body that stood in its place.
                head.headers.remove(CONTENT_LENGTH);
                let stop = Box::pin(async move { stop.told().await });
                let body = Body::endless(Box::new(Until { body, stop }));
                return Ok(Response::from_parts(head, body));
            }
            // Every other body of this plane was made in memory, so it is there and has an end.
            let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
            Ok(Response::from_parts(head, Body::from(bytes)))
        })
    }
}
