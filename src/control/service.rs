//! The private port's routes as the floor under both planes serves them: the same limits on heads,
//! connections and rests as on the public one. A reply is whole before its first byte is sent.

use std::{convert::Infallible, future::Future, pin::Pin};

use axum::{Router, body::to_bytes};
use http::{Request, Response};
use hyper::{body::Incoming, service::Service};
use hyper_util::service::TowerToHyperService;

use crate::http::{body::Body, heads};

/// Routes that the floor can serve.
#[derive(Clone)]
pub struct PrivatePlane(TowerToHyperService<Router>);

impl PrivatePlane {
    /// Serves these routes.
    pub fn new(routes: Router) -> Self {
        Self(TowerToHyperService::new(routes))
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
        let reply = self.0.call(request);
        Box::pin(async move {
            let (head, body) = reply.await?.into_parts();
            // Every body of this plane was made in memory, so it is there and has an end.
            let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
            Ok(Response::from_parts(head, Body::from(bytes)))
        })
    }
}
