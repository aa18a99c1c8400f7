//! The fleet: every node that this one heard of, for people; and this node's own last words, for other nodes.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use huidu_core::{beat::Forms, fingerprint::Fingerprint, revision::Revision, time::Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Control, auth::Caller, error::ApiError, openapi::ReadRefusals, wire};
use crate::node::fleet::Member;

/// Every node that was heard of within the hour.
#[derive(Debug, Serialize, ToSchema)]
struct FleetPage {
    /// The node that answers.
    node: String,
    /// The furthest revision that any of them serves.
    #[schema(value_type = u64)]
    revision: Revision,
    /// False while nodes came to different states at one revision: an alarm.
    agrees: bool,
    /// The builds among those that are heard.
    versions: Vec<String>,
    /// The nodes, by name.
    nodes: Vec<NodeLine>,
}

/// One node, as it last said that it is.
#[derive(Debug, Serialize, ToSchema)]
struct NodeLine {
    /// Its name.
    node: String,
    /// How it stands: `ready`, `degraded`, `doubting`, `quarantined`, `draining`, `nothing-loaded`; or `silent`, when
    /// it was not heard for ten seconds.
    standing: String,
    /// True of the node that answers.
    #[serde(rename = "self")]
    is_self: bool,
    /// Its build.
    version: String,
    /// Forms of records that it reads.
    reads_records: Vec<u64>,
    /// Forms of records that it writes.
    writes_records: Vec<u64>,
    /// Forms of checkpoints that it reads.
    reads_checkpoints: Vec<u64>,
    /// Forms of checkpoints that it writes.
    writes_checkpoints: Vec<u64>,
    /// True when it does not read what the node that answers writes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    left_behind: bool,
    /// The revision it serves.
    #[schema(value_type = u64)]
    revision: Revision,
    /// By how many revisions it is behind the one that is furthest.
    behind: u64,
    /// When it last proved that it served all there was.
    #[schema(value_type = String, format = DateTime)]
    asof: Timestamp,
    /// The revision of its newest fingerprint.
    #[schema(value_type = Option<u64>)]
    state_revision: Option<Revision>,
    /// The fingerprint of what was true there: equal on all nodes.
    #[schema(value_type = Option<String>)]
    state: Option<String>,
    /// Whether that is what the node that answers came to as well; absent: the two cannot be compared yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    agrees: Option<bool>,
    /// The revision up to which it last went through the whole ledger to see whether it was right.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    verified_revision: Option<Revision>,
    /// Whether it signed what it said.
    signed: bool,
    /// When it was started.
    #[schema(value_type = String, format = DateTime)]
    started: Timestamp,
    /// How long ago it was heard, in milliseconds.
    heard_ms_ago: u64,
    /// Its control plane.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    address: Option<String>,
}

impl NodeLine {
    fn new(member: Member, furthest: Revision) -> Self {
        let Member {
            beat,
            is_self,
            is_signed,
            heard_ago,
            is_silent,
            agrees,
            is_left_behind,
        } = member;
        let newest: Option<&Fingerprint> = beat.states.last();
        let (
            Forms {
                records: reads_records,
                checkpoints: reads_checkpoints,
            },
            writes,
        ) = (beat.reads, beat.writes);
        Self {
            standing: if is_silent {
                "silent".to_owned()
            } else {
                beat.standing
            },
            behind: furthest.get().saturating_sub(beat.revision.get()),
            state_revision: newest.map(|state| state.rev),
            state: newest.map(|state| state.hash.to_string()),
            verified_revision: beat.verified.map(|state| state.rev),
            heard_ms_ago: u64::try_from(heard_ago.as_millis()).unwrap_or(u64::MAX),
            writes_records: writes.records,
            writes_checkpoints: writes.checkpoints,
            node: beat.node,
            version: beat.version,
            revision: beat.revision,
            asof: beat.asof,
            started: beat.started,
            address: beat.address,
            left_behind: is_left_behind,
            signed: is_signed,
            is_self,
            reads_records,
            reads_checkpoints,
            agrees,
        }
    }
}

/// Every node that was heard of within the hour
#[utoipa::path(get, path = "/api/v1/fleet", tag = "status", security(("token" = [])),
    responses((status = 200, body = FleetPage), ReadRefusals))]
pub(super) async fn fleet(
    State(control): State<Control>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.of_the_bank("see the nodes")?;
    let members = control.node.fleet().members();
    let heard = || members.iter().filter(|member| !member.is_silent);
    let furthest = heard().map(|member| member.beat.revision).max();
    let furthest = furthest.unwrap_or_default();
    let mut versions: Vec<String> = heard().map(|one| one.beat.version.clone()).collect();
    versions.sort();
    versions.dedup();
    let page = FleetPage {
        node: control.node.settings().name.clone(),
        revision: furthest,
        agrees: heard().all(|member| member.agrees != Some(false)),
        versions,
        nodes: members
            .into_iter()
            .map(|member| NodeLine::new(member, furthest))
            .collect(),
    };
    Ok(wire::json(StatusCode::OK, &page))
}

/// What this node last said of itself, signed by its log key
#[utoipa::path(get, path = "/peer/v1/beat", tag = "status",
    responses((status = 200, body = String, content_type = "text/plain"), (status = 503, description = "It has not said anything yet.", body = super::wire::ProblemSchema)))]
pub(super) async fn beat(State(control): State<Control>) -> Result<Response, ApiError> {
    let text = control.node.fleet().last_words();
    let text = text.ok_or_else(|| ApiError::Unavailable {
        code: "nothing-said",
        detail: "this node has not said anything of itself yet; ask again in a second".to_owned(),
    })?;
    let mut response = Response::new(Body::from(text));
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}
