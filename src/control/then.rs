//! An app as it was: its records up to a revision, folded once more.
//!
//! The ledger is the only truth, so what was is read from there and kept nowhere. Bounded: what lies too far back is
//! said to, and never shown in part. It shows what the records say; whether each of them counted is the audit's to find.

use axum::{extract::State, http::StatusCode, response::Response};
use huidu_core::{
    catalogue::{App, Catalogue},
    event::Event,
    name::AppId,
    record::Record,
    revision::Revision,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    Control,
    auth::{AppParams, NamedApp},
    body::At,
    error::ApiError,
    openapi::ReadRefusals,
    wire::{self, AppPage},
};

/// Looks into the history for one answer, of up to two thousand records each.
const LOOKS: usize = 10;
/// Records of one look.
const RECORDS: usize = 500;

/// A revision of the ledger.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ThenParams {
    /// The revision, from 1.
    revision: u64,
}

/// An app as it was at a revision
#[utoipa::path(get, path = "/api/v1/apps/{tenant}/{app}/at/{revision}", tag = "history", security(("token" = [])),
    params(AppParams, ThenParams),
    responses((status = 200, body = AppPage, headers(("ETag" = String, description = "The last revision up to then that changed the app."))), ReadRefusals))]
pub(super) async fn then(
    State(control): State<Control>,
    named: NamedApp,
    At(ThenParams { revision }): At<ThenParams>,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::no_app(named.app.as_str());
    if revision == 0 || i64::try_from(revision).is_err() {
        let detail = "`revision` is that of a change, from 1; take one from the history";
        return Err(ApiError::field("revision", detail));
    }
    let now = {
        let catalogue = control.node.catalogue();
        let app = named.caller.app(&catalogue, &named.app)?;
        (app.revision.get() <= revision).then(|| App::clone(app))
    };
    let app = match now {
        Some(app) => app,
        None => folded(records(&control, &named.app, revision).await?, &named.app)
            .ok_or_else(unknown)?,
    };
    let page = AppPage::from(&app);
    Ok(wire::json_at(StatusCode::OK, app.revision, &page))
}

/// The records of `app` up to `revision`, newest first, back to the one that admitted it.
async fn records(control: &Control, app: &AppId, revision: u64) -> Result<Vec<Record>, ApiError> {
    let mut all = Vec::new();
    let mut before = Some(Revision::new(revision + 1));
    for _ in 0..LOOKS {
        let part = control.node.history(Some(app), before, RECORDS).await?;
        let admitted = part.records.iter().any(|record| admits(record, app));
        all.extend(part.records);
        before = part.next;
        if admitted || before.is_none() {
            return Ok(all);
        }
    }
    let detail = "that lies too far behind what the app is now; `huidu audit` reads a copy of the whole ledger";
    Err(ApiError::field("revision", detail))
}

fn admits(record: &Record, app: &AppId) -> bool {
    let mut events = record.events.iter();
    events.any(|event| matches!(event, Event::AppAdded { app: added, .. } if added == app))
}

fn folded(newest_first: Vec<Record>, app: &AppId) -> Option<App> {
    let mut catalogue = Catalogue::default();
    for record in newest_first.into_iter().rev() {
        let of_app = record
            .events
            .into_iter()
            .filter(|event| event.app() == Some(app));
        catalogue.apply(record.rev, record.at, &of_app.collect::<Vec<_>>());
    }
    catalogue.apps.get(app).map(|app| App::clone(app))
}
