//! What there is at a glance, over all apps that the caller may see: how many are live, ramping, held and killed,
//! and which versions wait for reviewers. Counted from the catalogue at every request; nothing is kept.

use axum::{extract::State, http::StatusCode, response::Response};
use huidu_core::{
    catalogue::App,
    name::AppId,
    revision::Revision,
    share::Share,
    time::Timestamp,
    version::{Life, Number},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Control, auth::Caller, openapi::ReadRefusals, wire};

/// How an app stands, in one word: the first that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Standing {
    /// The whole app must not run.
    Killed,
    /// A rule is paused.
    Held,
    /// A rule serves a part of its audience.
    Ramping,
    /// Devices get it.
    Live,
    /// It has no rollout yet.
    Idle,
}

impl Standing {
    /// How `app` stands at `now`.
    pub(crate) fn of(app: &App, now: Timestamp) -> Self {
        let Some(rollout) = &app.rollout else {
            return if app.killed.is_some() {
                Self::Killed
            } else {
                Self::Idle
            };
        };
        if app.killed.is_some() {
            return Self::Killed;
        }
        let over = |end: Option<Timestamp>| end.is_some_and(|end| end <= now);
        let mut rules = rollout.rules.iter().filter(|rule| !over(rule.end));
        if rules.clone().any(|rule| rule.paused) {
            return Self::Held;
        }
        let partly = |share: Share| share != Share::NONE && share != Share::ALL;
        if rules.any(|rule| partly(rule.share)) {
            Self::Ramping
        } else {
            Self::Live
        }
    }
}

/// Everything at a glance.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Overview {
    /// The revision that was looked at.
    #[schema(value_type = u64)]
    revision: Revision,
    /// Apps.
    apps: usize,
    /// Apps that devices get, whole.
    live: usize,
    /// Apps of which a rule serves a part of its audience.
    ramping: usize,
    /// Apps of which a rule is paused.
    held: usize,
    /// Apps that must not run.
    killed: usize,
    /// Apps without a rollout.
    idle: usize,
    /// Versions that must stop, of apps that may run.
    killed_versions: usize,
    /// Versions that wait for reviewers.
    reviews: usize,
    /// Changes that wait to be agreed on, or for their time; of the bank alone.
    waits: usize,
}

/// Everything at a glance
#[utoipa::path(get, path = "/api/v1/overview", tag = "status", security(("token" = [])),
    responses((status = 200, body = Overview), ReadRefusals))]
pub(super) async fn overview(State(control): State<Control>, caller: Caller) -> Response {
    let now = control.node.now();
    let catalogue = control.node.catalogue();
    let mut page = Overview {
        revision: catalogue.revision,
        ..Overview::default()
    };
    let seen = catalogue.apps.values();
    for app in seen.filter(|app| caller.sees_tenant(app.id.tenant())) {
        page.apps += 1;
        let count = match Standing::of(app, now) {
            Standing::Killed => &mut page.killed,
            Standing::Held => &mut page.held,
            Standing::Ramping => &mut page.ramping,
            Standing::Live => &mut page.live,
            Standing::Idle => &mut page.idle,
        };
        *count += 1;
        let lives = app.versions.values().map(|version| &version.life);
        page.reviews += lives.clone().filter(|life| life.is_under_review()).count();
        if app.killed.is_none() {
            page.killed_versions += lives.filter(|life| life.is_killed()).count();
        }
    }
    if caller.of_the_bank("see what waits").is_ok() {
        page.waits = catalogue.trust.proposals.len();
    }
    wire::json(StatusCode::OK, &page)
}

/// A version that waits for reviewers.
#[derive(Debug, Serialize, ToSchema)]
struct ReviewLine {
    /// `tenant/app`.
    #[schema(value_type = String)]
    app: AppId,
    /// The app's name as people read it.
    title: String,
    /// The version.
    #[schema(value_type = String)]
    version: Number,
    /// Where it stands.
    #[schema(value_type = Object)]
    life: Life,
    /// When it was handed in.
    #[schema(value_type = String, format = DateTime)]
    submitted_at: Timestamp,
}

/// Versions that wait for reviewers, oldest first
#[utoipa::path(get, path = "/api/v1/reviews", tag = "review", security(("token" = [])),
    responses((status = 200, body = [ReviewLine]), ReadRefusals))]
pub(super) async fn reviews(State(control): State<Control>, caller: Caller) -> Response {
    let catalogue = control.node.catalogue();
    let seen = catalogue.apps.values();
    let seen = seen.filter(|app| caller.sees_tenant(app.id.tenant()));
    let mut lines: Vec<_> = seen
        .flat_map(|app| {
            let waiting = app
                .versions
                .values()
                .filter(|one| one.life.is_under_review());
            waiting.map(|version| ReviewLine {
                app: app.id.clone(),
                title: app.title.clone(),
                version: version.number.clone(),
                life: version.life.clone(),
                submitted_at: version.submitted_at,
            })
        })
        .collect();
    lines.sort_by_key(|line| line.submitted_at);
    wire::json(StatusCode::OK, &lines)
}
