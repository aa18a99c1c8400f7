//! Bodies, read under a limit and a deadline.
//!
//! No handler touches a body in another way, so no body can be larger or slower than this page allows.
//! What a body holds may be a person's id: an error says where it does not fit and never repeats it
//! beyond what the parser's own sentence shows to whoever sent it.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{
        header::{CONTENT_LENGTH, CONTENT_TYPE},
        request::Parts,
    },
};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::{Control, error::ApiError};

/// Bytes of a JSON body that is no rollout.
const JSON_BYTES: u64 = 64 * 1024;
/// A whole small body.
const SMALL_BODY: Duration = Duration::from_secs(20);
/// Between two pieces of an upload.
const UPLOAD_PAUSE: Duration = Duration::from_secs(20);
/// A whole upload.
const UPLOAD: Duration = Duration::from_secs(30 * 60);

/// A body as it arrives, piece by piece.
pub(crate) struct Pieces {
    body: Body,
    left: u64,
    limit: u64,
    pause: Duration,
    until: Instant,
}

impl Pieces {
    /// An upload of at most `limit` bytes.
    pub(crate) fn of_upload(request: Request, limit: u64) -> Result<Self, ApiError> {
        Self::new(request, limit, UPLOAD_PAUSE, UPLOAD)
    }

    fn new(
        request: Request,
        limit: u64,
        pause: Duration,
        whole: Duration,
    ) -> Result<Self, ApiError> {
        let stated = request.headers().get(CONTENT_LENGTH);
        let stated = stated.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if stated.is_some_and(|bytes| bytes > limit) {
            return Err(ApiError::TooLarge { limit });
        }
        let until = Instant::now() + whole;
        Ok(Self {
            body: request.into_body(),
            left: limit,
            limit,
            pause,
            until,
        })
    }

    /// The next piece, or nothing after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let until = self.until.min(Instant::now() + self.pause);
            let frame = timeout_at(until, self.body.frame())
                .await
                .map_err(|_| ApiError::Slow)?;
            let Some(frame) = frame else { return Ok(None) };
            let Ok(piece) = frame.map_err(|_| ApiError::BrokenBody)?.into_data() else {
                continue;
            };
            self.left = self
                .left
                .checked_sub(piece.len() as u64)
                .ok_or(ApiError::TooLarge { limit: self.limit })?;
            return Ok(Some(piece));
        }
    }
}

/// The whole of a small body.
pub(crate) async fn whole(request: Request, limit: u64) -> Result<Vec<u8>, ApiError> {
    let mut pieces = Pieces::new(request, limit, SMALL_BODY, SMALL_BODY)?;
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// The media type of a body, without parameters; none when it is not said.
pub(crate) fn media_type(request: &Request) -> Option<String> {
    let value = request.headers().get(CONTENT_TYPE)?.to_str().unwrap_or("?");
    let kind = value.split(';').next().unwrap_or_default();
    Some(kind.trim().to_ascii_lowercase())
}

/// Refuses a body that says it is something else.
pub(crate) fn must_be(request: &Request, wanted: &'static str) -> Result<(), ApiError> {
    match media_type(request) {
        Some(kind) if kind != wanted => Err(ApiError::MediaType { wanted }),
        _ => Ok(()),
    }
}

/// A JSON body of a known shape.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Control> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Control) -> Result<Self, ApiError> {
        must_be(&request, "application/json")?;
        parse(&whole(request, JSON_BYTES).await?).map(Self)
    }
}

/// Reads JSON; an error names the field.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        // The path of what is missing from the whole is a lone dot.
        let path = error.path().to_string();
        let field = if path == "." { "body".to_owned() } else { path };
        let error = error.into_inner();
        if error.is_data() {
            ApiError::field(field, error.to_string())
        } else {
            ApiError::NotJson {
                detail: error.to_string(),
            }
        }
    })?;
    json.end().map_err(|error| ApiError::NotJson {
        detail: error.to_string(),
    })?;
    Ok(value)
}

/// What a path names, in the form of `T`. A path that does not fit leads nowhere.
pub(crate) struct At<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Control> for At<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, control: &Control) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, control).await {
            Ok(Path(names)) => Ok(Self(names)),
            Err(_) => Err(ApiError::NoRoute),
        }
    }
}
