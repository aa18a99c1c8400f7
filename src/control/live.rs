//! News of the ledger for whoever has a page open: server-sent events that say "revision n", and nothing else.
//!
//! What changed is asked for by the page with its own rights, so a listener is told no more than a number. One that
//! does not keep up is sent the newest number alone. It must never say who changed what, and never hold the node
//! up when it stops.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header::CONTENT_TYPE},
    response::Response,
};
use bytes::Bytes;
use huidu_core::{event::Actor, revision::Revision};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    time::timeout,
};

use super::{Control, auth::Caller, error::ApiError, openapi::ReadRefusals, service::Flowing};
use crate::{
    http::body::{self, Endless},
    node::Node,
};

/// Listeners at a time.
pub(super) const LISTENERS: usize = 400;
/// Between two comments, so that whoever stands between knows that somebody listens.
const BEAT: Duration = Duration::from_secs(15);
const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

/// News of the ledger, for as long as somebody listens
///
/// Server-sent events: `event: revision`, `data: {"revision": n, "kills": mark}`; at once, and whenever this node serves another
/// revision or refuses something else than before. A comment every 15 seconds.
#[utoipa::path(get, path = "/api/v1/events", tag = "status", security(("token" = [])),
    responses((status = 200, body = String, content_type = "text/event-stream"), ReadRefusals))]
pub(super) async fn events(
    State(control): State<Control>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let place = Arc::clone(&control.listeners).try_acquire_owned();
    let place = place.map_err(|_| ApiError::Unavailable {
        code: "busy",
        detail: "as many listen as this node takes; ask again in a moment".to_owned(),
    })?;
    let (send, pieces) = mpsc::channel(4);
    tokio::spawn(tell(Arc::clone(&control.node), caller.actor, send, place));
    let flowing = Flowing::new(body::Body::endless(Box::new(Stream(pieces))));
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(flowing);
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

struct Stream(mpsc::Receiver<Bytes>);

impl Endless for Stream {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.0.poll_recv(cx)
    }
}

fn event(revision: Revision, kills: u64) -> Bytes {
    let text = format!(
        "event: revision\ndata: {{\"revision\":{revision},\"kills\":\"{kills:016x}\"}}\n\n"
    );
    text.into()
}

/// Tells one listener, until it is gone or may not look any more.
async fn tell(
    node: Arc<Node>,
    actor: Actor,
    send: mpsc::Sender<Bytes>,
    _place: OwnedSemaphorePermit,
) {
    let (mut revisions, mut kills) = (node.revisions(), node.kill_marks());
    loop {
        let news = event(*revisions.borrow_and_update(), *kills.borrow_and_update());
        if send.send(news).await.is_err() {
            return;
        }
        while !changed(&mut revisions, &mut kills).await {
            if send.is_closed() || send.send(HEARTBEAT).await.is_err() {
                return;
            }
        }
        // A credential that was taken back hears nothing more.
        let known = node.catalogue().knows(&actor, node.now());
        if !known {
            return;
        }
    }
}

/// True when there is news; false after a while without.
async fn changed(
    revisions: &mut watch::Receiver<Revision>,
    kills: &mut watch::Receiver<u64>,
) -> bool {
    let news = async {
        tokio::select! {
            told = revisions.changed() => told.is_ok(),
            told = kills.changed() => told.is_ok(),
        }
    };
    timeout(BEAT, news).await.unwrap_or(false)
}
