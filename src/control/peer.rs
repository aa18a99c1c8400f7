//! What other nodes of this installation say to this one. No token: whoever speaks is known by the signature over
//! every word, and nothing else of the request counts. Bounded, and the same twice is the same once.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, header::CONTENT_TYPE},
    response::Response,
};
use huidu_core::{limits, notice};

use super::{Control, body, error::ApiError};

/// A kill that another node took, before the ledger has it
///
/// The notice, signed by a server. The answer, signed too, says that this node refuses what was killed.
#[utoipa::path(post, path = "/peer/v1/kills", tag = "peers",
    request_body(content = String, content_type = "application/vnd.huidu.kill+json"),
    responses((status = 200, content_type = "application/vnd.huidu.kill-ack+json", body = String),
        super::openapi::PeerRefusals))]
pub(super) async fn kills(
    State(control): State<Control>,
    request: Request,
) -> Result<Response, ApiError> {
    let notice = body::whole(request, limits::NOTICE_BYTES as u64).await?;
    let ack = control.node.hear_kill(notice.into()).await?;
    let mut response = Response::new(Body::from(ack));
    let kind = HeaderValue::from_static(notice::ACK_MEDIA_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}
