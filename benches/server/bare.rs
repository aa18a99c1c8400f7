//! Bare hyper: the floor under the device plane.
//!
//! The same listener, runtime, protocol detection, limits and timers, all from the settings that the
//! device plane uses; no watch over connections of our own, no look at the request (where events are compared, its body is
//! read, because they are). What is slower here
//! than in the device plane is a gain of the device plane, and what is faster is what it still costs.

use std::{
    convert::Infallible,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use huidu::http::{
    body::Body,
    serve::{self, Limits},
};
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use hyper_util::rt::{TokioExecutor, TokioIo};

/// Sends `reply`, whatever is asked, without a look at it.
pub(crate) fn serve(listener: TcpListener, limits: &Limits, reply: &Response<Bytes>) {
    accept(listener, limits, || {
        let reply = reply.clone();
        service_fn(move |_request| std::future::ready(Ok(sent(&reply))))
    });
}

/// Sends `reply` once the whole body of what is asked is there.
pub(crate) fn serve_readers(listener: TcpListener, limits: &Limits, reply: &Response<Bytes>) {
    accept(listener, limits, || {
        let reply = reply.clone();
        service_fn(move |request: Request<Incoming>| {
            let sent = sent(&reply);
            async move {
                let _whole = request.into_body().collect().await;
                Ok(sent)
            }
        })
    });
}

/// Sends one of `replies` after the other, whatever is asked.
pub(crate) fn serve_many(listener: TcpListener, limits: &Limits, replies: &[Arc<Response<Bytes>>]) {
    let (replies, next) = (Arc::<[_]>::from(replies), Arc::new(AtomicUsize::new(0)));
    let service = || {
        let (replies, next) = (Arc::clone(&replies), Arc::clone(&next));
        service_fn(move |_request: Request<Incoming>| {
            let at = next.fetch_add(1, Ordering::Relaxed) % replies.len();
            std::future::ready(Ok(sent(&replies[at])))
        })
    };
    accept(listener, limits, service);
}

fn sent(reply: &Response<Bytes>) -> Response<Body> {
    let mut sent = Response::new(Body::from(reply.body().clone()));
    *sent.status_mut() = reply.status();
    sent.headers_mut().clone_from(reply.headers());
    sent
}

/// A service for each connection.
fn accept<S>(listener: TcpListener, limits: &Limits, service: impl Fn() -> S)
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let builder = serve::builder(limits, TokioExecutor::new());
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).unwrap();
            let (builder, service) = (builder.clone(), service());
            tokio::spawn(async move {
                let _its_own_affair = builder
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
            });
        }
    });
}
