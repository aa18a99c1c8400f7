//! How an app does on devices: what they reported, per version, rule and arm, summed over all nodes.
//!
//! Counts and nothing else: whether a difference means anything is for those who compare. Nothing here is about a
//! person, and what devices report is unsigned: an alarm, and no evidence.

use std::collections::BTreeMap;

use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use huidu_core::{
    feedback::{Told, Total},
    name::AppId,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Control,
    auth::{AppParams, NamedApp},
    error::ApiError,
    openapi::ReadRefusals,
    wire,
};

/// How far back is looked where nobody says: a day.
const USUAL_MS: u64 = 24 * 60 * 60 * 1_000;

/// Over which time.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthParams {
    /// From the minute of this instant on, RFC 3339; usually a day ago. Of minutes older than two days whole hours are
    /// kept, for 30 days.
    since: Option<String>,
    /// To the minute of this instant; usually now.
    until: Option<String>,
}

/// What devices reported of an app.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// The app.
    #[schema(value_type = String)]
    app: AppId,
    /// From when on.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// By version, rule and arm; those alone of which something was reported.
    arms: Vec<ArmHealth>,
}

/// What devices reported of one version, as one rule and arm gave it.
#[derive(Debug, Serialize, ToSchema)]
struct ArmHealth {
    /// The version.
    version: String,
    /// The rule that gave it; absent: none.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(required = false, value_type = String)]
    rule: Box<str>,
    /// The arm of its split; absent: none.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(required = false, value_type = String)]
    arm: Box<str>,
    /// Events by what happened: `downloaded`, `activated`, `load-failed`, `script-error`, `crashed`, `rolled-back`,
    /// `converted`.
    events: BTreeMap<&'static str, u64>,
    /// Of `rolled-back`, by why: `crashed`, `script-error`, `load-failed`, `timed-out`, `killed`, `other`.
    rolled_back: BTreeMap<&'static str, u64>,
    /// Counters of the app's own, by name.
    counters: BTreeMap<String, u64>,
}

impl From<Total> for ArmHealth {
    fn from(Total { cell, counts }: Total) -> Self {
        let mut health = Self {
            version: cell.version.to_string(),
            rule: cell.rule,
            arm: cell.arm,
            events: BTreeMap::new(),
            rolled_back: BTreeMap::new(),
            counters: BTreeMap::new(),
        };
        for (register, _) in counts.iter().filter(|(register, _)| !register.withdrawn) {
            let (told, count) = (register.kind.told(), counts.of(&register.kind));
            match told {
                Told::Counter(name) => {
                    health.counters.insert(name.to_owned(), count);
                    continue;
                }
                Told::RolledBack(why) => {
                    health.rolled_back.insert(why.word(), count);
                }
                _ => {}
            }
            *health.events.entry(told.word()).or_default() += count;
        }
        health
    }
}

/// What devices reported of an app: counts per version, rule and arm over all nodes
#[utoipa::path(get, path = "/api/v1/apps/{tenant}/{app}/health", tag = "apps", security(("token" = [])),
    params(AppParams, HealthParams),
    responses((status = 200, body = Health), ReadRefusals))]
pub(super) async fn show(
    State(control): State<Control>,
    named: NamedApp,
    query: Result<Query<HealthParams>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    named.caller.app(&control.node.catalogue(), &named.app)?;
    let Query(asked) = query.map_err(|error| ApiError::field("query", error.body_text()))?;
    let now = control.node.now();
    let until = instant("until", asked.until)?.unwrap_or(now);
    let usual = Timestamp::from_unix_ms(until.unix_ms().saturating_sub(USUAL_MS));
    let since = instant("since", asked.since)?.unwrap_or(usual);
    let totals = control.node.feedback().totals(&named.app, since, until);
    let health = Health {
        app: named.app,
        since,
        until,
        arms: totals.into_iter().map(ArmHealth::from).collect(),
    };
    Ok(wire::json(StatusCode::OK, &health))
}

fn instant(field: &'static str, text: Option<String>) -> Result<Option<Timestamp>, ApiError> {
    let parsed = text.map(|text| text.parse::<Timestamp>());
    (parsed.transpose()).map_err(|error| ApiError::field(field, error.to_string()))
}
