//! How this node is: for people with a token, for probes and monitors without one.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use huidu_core::{event::Actor, revision::Revision, time::Timestamp, version::Review};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Control, auth::Caller, openapi::ReadRefusals, wire};
use crate::node::Health;

/// How this node is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!(super::openapi::health_example()))]
struct Readiness {
    /// True when it may be sent requests.
    ready: bool,
    /// The revision it serves.
    #[schema(value_type = u64)]
    revision: Revision,
    /// When it last proved that this was all there is.
    #[schema(value_type = String, format = DateTime)]
    asof: Timestamp,
    /// Whether the store answers.
    store: bool,
    /// Whether the bus is connected.
    bus: bool,
    /// Where what it serves was read: `store` or `last-known-good`.
    from: &'static str,
    /// True when the ledger forked: nothing is written until people have looked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    fork: bool,
    /// What is not as it should be, in words that never change their meaning. With 503: `nothing-loaded`, `quarantined`,
    /// `draining`. With 200: `last-known-good`, `store-down`, `bus-down`, `left-behind`, `forked`, `doubting`,
    /// `not-signing`, `segment-missing`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    why: Vec<&'static str>,
    /// False while the holder of the online key does not sign: answers keep their stamps, and age.
    #[serde(skip_serializing_if = "Clone::clone")]
    #[schema(required = false)]
    signs: bool,
}

impl From<Health> for Readiness {
    fn from(health: Health) -> Self {
        Self {
            ready: health.is_ready(),
            why: health.why(),
            revision: health.revision,
            asof: health.asof,
            store: health.store,
            bus: health.bus,
            from: if health.from_store {
                "store"
            } else {
                "last-known-good"
            },
            fork: health.fork,
            signs: health.signs,
        }
    }
}

/// What there is, at a glance.
#[derive(Debug, Serialize, ToSchema)]
struct StatusPage {
    /// The build.
    version: &'static str,
    /// What manifests are addressed to.
    audience: String,
    /// `required`, or `skipped` where a submitter lists directly.
    #[schema(value_type = String)]
    review: Review,
    /// How this node is.
    #[serde(flatten)]
    health: Readiness,
    /// Who asks: `{"id": …, "role": …}`.
    #[schema(value_type = Object)]
    actor: Actor,
    /// How many apps the caller sees.
    apps: usize,
}

/// What there is, at a glance
#[utoipa::path(get, path = "/api/v1/status", tag = "status", security(("token" = [])),
    responses((status = 200, body = StatusPage), ReadRefusals))]
pub(super) async fn status(State(control): State<Control>, caller: Caller) -> Response {
    let health = control.node.health().into();
    let catalogue = control.node.catalogue();
    let page = StatusPage {
        version: env!("CARGO_PKG_VERSION"),
        audience: catalogue.audience.clone(),
        review: catalogue.review,
        health,
        apps: catalogue
            .apps
            .keys()
            .filter(|app| caller.sees_tenant(app.tenant()))
            .count(),
        actor: caller.actor,
    };
    wire::json(StatusCode::OK, &page)
}

/// Whether the process runs
#[utoipa::path(get, path = "/healthz", tag = "status",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn healthz() -> Response {
    "ok\n".into_response()
}

/// Whether this node may be sent requests
#[utoipa::path(get, path = "/readyz", tag = "status",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(super) async fn readyz(State(control): State<Control>) -> Response {
    let readiness = Readiness::from(control.node.health());
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    wire::json(status, &readiness)
}

/// The metrics, in Prometheus form
#[utoipa::path(get, path = "/metrics", tag = "status",
    responses((status = 200, body = String, content_type = "text/plain; version=0.0.4")))]
pub(super) async fn metrics(State(control): State<Control>) -> Response {
    let mut response = Response::new(Body::from(control.node.render_metrics()));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// The document that describes all this
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "status",
    responses((status = 200, body = Object)))]
pub(super) async fn openapi(State(control): State<Control>) -> Response {
    let mut response = Response::new(Body::from(control.document));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
