//! Uploaded lists of units. Units go in, and nothing here ever shows one.
//!
//! A list is never held as text: each piece is handed to one blocking task as it arrives, which keeps
//! eight bytes a unit, and a full channel is what slows the sender down.

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use huidu_core::{
    command::Command,
    decide::Refusal,
    digest::Digest,
    name::SegmentName,
    revision::Revision,
    segment::{Segment, SegmentText, SegmentTextError},
};
use serde::Deserialize;
use tokio::{sync::mpsc, task::spawn_blocking};
use utoipa::IntoParams;

use super::{
    Control,
    auth::Caller,
    body::{self, At, Pieces},
    error::ApiError,
    openapi::{ChangeRefusals, ReadRefusals},
    precondition::{ChangeParams, IfMatch, Intent, MayMatchParams, WhyParams},
    wire::{self, Changed, SegmentLine, UploadedSegment},
};
use crate::node::OpState;

/// Pieces on their way to the task that reads them.
const PIECES: usize = 8;

/// The segment that a path names.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct SegmentParams {
    /// The segment.
    segment: String,
}

impl SegmentParams {
    /// The name. What is no name cannot exist.
    fn name(&self) -> Result<SegmentName, ApiError> {
        self.segment.parse().map_err(|_| unknown(&self.segment))
    }
}

fn unknown(name: &str) -> ApiError {
    let name = name.chars().take(64).collect();
    ApiError::Unknown {
        kind: "segment",
        name,
        help: "`huidu segment list` shows them",
    }
}

/// The segments, without their units
#[utoipa::path(get, path = "/api/v1/segments", tag = "segments", security(("token" = [])),
    responses((status = 200, body = [SegmentLine]), ReadRefusals))]
pub(super) async fn list(
    State(control): State<Control>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.of_the_bank("see segments")?;
    let catalogue = control.node.catalogue();
    let lines = catalogue
        .segments
        .iter()
        .map(|(name, kept)| SegmentLine::new(name, kept));
    Ok(wire::json(StatusCode::OK, &lines.collect::<Vec<_>>()))
}

/// One segment, without its units
#[utoipa::path(get, path = "/api/v1/segments/{segment}", tag = "segments", security(("token" = [])),
    params(SegmentParams),
    responses((status = 200, body = SegmentLine, headers(("ETag" = String, description = "The segment's revision, for `If-Match`."))), ReadRefusals))]
pub(super) async fn show(
    State(control): State<Control>,
    caller: Caller,
    At(asked): At<SegmentParams>,
) -> Result<Response, ApiError> {
    caller.of_the_bank("see segments")?;
    let name = asked.name()?;
    let catalogue = control.node.catalogue();
    let kept = catalogue
        .segments
        .get(&name)
        .ok_or_else(|| unknown(name.as_str()))?;
    Ok(wire::json_at(
        StatusCode::OK,
        kept.revision,
        &SegmentLine::new(&name, kept),
    ))
}

/// Upload a segment, or replace one: one unit a line
///
/// `If-Match` is required where the segment exists. Units are kept as 64-bit keys; what is stored cannot
/// be read back as a list of people.
#[utoipa::path(put, path = "/api/v1/segments/{segment}", tag = "segments", security(("token" = [])),
    params(SegmentParams, MayMatchParams, WhyParams),
    request_body(content = String, content_type = "text/plain", description = "UTF-8, one unit a line."),
    responses((status = 200, description = "Replaced.", body = UploadedSegment, headers(("ETag" = String))),
        (status = 201, description = "New.", body = UploadedSegment, headers(("ETag" = String))), ChangeRefusals))]
pub(super) async fn put(
    State(control): State<Control>,
    At(asked): At<SegmentParams>,
    intent: Intent,
    request: Request,
) -> Result<Response, ApiError> {
    let segment = asked
        .segment
        .parse::<SegmentName>()
        .map_err(|error| ApiError::field("segment", error.to_string()))?;
    // Whether the caller may is known before a byte is read.
    let unseen = Command::PutSegment {
        segment: segment.clone(),
        sha256: Digest::of(b""),
        units: 0,
    };
    control.may(unseen, &intent.actor)?;
    let is_new = intent.if_match.is_none();
    let exists = control.node.catalogue().segments.contains_key(&segment);
    // A repeat of the request that made it finds what it made.
    if is_new && exists && control.node.op(intent.op).await == OpState::Absent {
        return Err(ApiError::PreconditionRequired);
    }
    let expected = intent
        .if_match
        .map_or(Some(Revision::ZERO), IfMatch::expected);
    body::must_be(&request, "text/plain")?;
    let _place = control.upload()?;
    let read = read(Pieces::of_upload(request, control.settings.segment_bytes)?).await?;
    let units = read.len() as u64;
    let sha256 = control.node.store_segment(read).await?;
    let command = Command::PutSegment {
        segment,
        sha256,
        units,
    };
    let written = control
        .write(intent, expected, command)
        .await
        .map_err(|error| match error {
            // Somebody else has made it meanwhile.
            ApiError::Refused(refusal) if is_new && matches!(*refusal, Refusal::Stale { .. }) => {
                ApiError::PreconditionRequired
            }
            error => error,
        })?;
    let uploaded = UploadedSegment {
        changed: Changed::from(&written),
        units,
        sha256: sha256.to_string(),
    };
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(wire::json_at(status, written.revision, &uploaded))
}

async fn read(mut pieces: Pieces) -> Result<Segment, ApiError> {
    let (sender, mut inbox) = mpsc::channel::<bytes::Bytes>(PIECES);
    let reader = spawn_blocking(move || -> Result<Segment, SegmentTextError> {
        let mut text = SegmentText::new();
        while let Some(piece) = inbox.blocking_recv() {
            text.feed(&piece)?;
        }
        text.finish()
    });
    while let Some(piece) = pieces.next().await? {
        // A reader that has gone has refused the list, and says why below.
        if sender.send(piece).await.is_err() {
            break;
        }
    }
    drop(sender);
    let stopping = |_| ApiError::Unavailable {
        code: "stopping",
        detail: "this node is shutting down; try another".to_owned(),
    };
    Ok(reader.await.map_err(stopping)??)
}

/// Take a segment away
#[utoipa::path(delete, path = "/api/v1/segments/{segment}", tag = "segments", security(("token" = [])),
    params(SegmentParams, ChangeParams, WhyParams),
    responses((status = 200, body = Changed), ChangeRefusals))]
pub(super) async fn remove(
    State(control): State<Control>,
    At(asked): At<SegmentParams>,
    intent: Intent,
) -> Result<Response, ApiError> {
    let command = Command::RemoveSegment {
        segment: asked.name()?,
    };
    control.may(command.clone(), &intent.actor)?;
    let expected = intent.must_match()?;
    let written = control.write(intent, expected, command).await?;
    Ok(wire::json(StatusCode::OK, &Changed::from(&written)))
}
