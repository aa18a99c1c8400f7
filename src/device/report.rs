//! What happened on devices: counted per release, never per person.
//!
//! A report has no place for a unit; what else it may hold is ignored and forgotten. An app this node
//! does not know is not counted; a version, rule or arm that the catalogue does not know is counted as
//! `other`, so that no report can make up a series. What a device did not believe is counted by its code
//! alone, out of a fixed list: a stale node or a forger shows there, whoever it was shown to.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Response, StatusCode};
use huidu_core::{limits, name, verify::Doubt};
use hyper::body::Body as HttpBody;
use serde::Deserialize;

use super::{Origin, poll::unread, reply};
use crate::{
    http::{
        body::{self, Body, ReadLimits},
        problem::Problem,
    },
    metrics::OTHER,
    node::counters::{Happened, Series},
};

/// The most that one event may stand for.
const COUNT: u64 = 1_000;
/// The event of something that was not believed.
const DOUBTED: &str = "doubted";

#[derive(Deserialize)]
struct Report<'a> {
    #[serde(borrow)]
    host: Cow<'a, str>,
    #[serde(borrow)]
    events: Vec<Reported<'a>>,
}

#[derive(Deserialize)]
struct Reported<'a> {
    #[serde(borrow, default)]
    app: Cow<'a, str>,
    #[serde(borrow, default)]
    version: Cow<'a, str>,
    #[serde(borrow, default)]
    rule: Cow<'a, str>,
    #[serde(borrow, default)]
    arm: Cow<'a, str>,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    code: Cow<'a, str>,
    #[serde(default = "once")]
    count: u64,
}

const fn once() -> u64 {
    1
}

/// Takes in a report.
pub(super) async fn events<O, B>(origin: &O, body: B, limits: ReadLimits) -> Response<Body>
where
    O: Origin,
    B: HttpBody<Data = Bytes> + Unpin,
{
    let body = match body::read(body, limits).await {
        Ok(body) => body,
        Err(error) => return unread(&error).into_response(),
    };
    match checked(&body) {
        Ok(events) => {
            let accepted = counted(origin, &events);
            reply::json(
                StatusCode::ACCEPTED,
                format!(r#"{{"accepted":{accepted}}}"#).into_bytes(),
            )
        }
        Err(problem) => problem.into_response(),
    }
}

/// What an event says.
enum Said {
    Happened(Happened),
    /// Something was not believed; the code is one of the list, or `other`.
    Doubted(&'static str),
}

fn counted<O: Origin>(origin: &O, events: &[(Reported<'_>, Said)]) -> usize {
    let live = origin.live();
    let mut accepted = 0;
    for (event, said) in events {
        let happened = match said {
            Said::Happened(happened) => happened,
            Said::Doubted(code) => {
                let doubts = origin.metrics().doubts.with_label_values(&[*code]);
                doubts.inc_by(event.count);
                accepted += 1;
                continue;
            }
        };
        let Some(app) = live.app(&event.app) else {
            continue;
        };
        let known_version = app.has_version(&event.version);
        let stated_rule = !(event.rule.is_empty() && event.arm.is_empty());
        let (rule, arm) = match stated_rule && !app.has_arm(&event.rule, &event.arm) {
            true => (OTHER, OTHER),
            false => (&*event.rule, &*event.arm),
        };
        let series = Series {
            app: &event.app,
            version: if known_version { &event.version } else { OTHER },
            rule,
            arm,
            happened: *happened,
        };
        origin.counters().add(series, event.count);
        accepted += 1;
    }
    accepted
}

/// The events of a body, or what is wrong with it: field and remedy, never a value.
fn checked(body: &[u8]) -> Result<Vec<(Reported<'_>, Said)>, Problem> {
    let report: Report<'_> = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    if !name::is_name(&report.host) {
        return Err(wrong("host", "must be the name of a bank app"));
    }
    if report.events.len() > limits::REPORT_EVENTS {
        return Err(wrong(
            "events",
            "has at most 1000 members; send several reports",
        ));
    }
    report.events.into_iter().map(checked_one).collect()
}

fn checked_one(event: Reported<'_>) -> Result<(Reported<'_>, Said), Problem> {
    let is_doubt = event.event == DOUBTED;
    let app = event.app.split_once('/');
    let of_none = is_doubt && event.app.is_empty();
    if !of_none && !app.is_some_and(|(tenant, app)| name::is_name(tenant) && name::is_name(app)) {
        return Err(wrong("events.app", "must be `tenant/app`"));
    }
    let of_none = is_doubt && event.version.is_empty();
    if !of_none && event.version.is_empty() || event.version.len() > limits::UNIT_BYTES {
        return Err(wrong(
            "events.version",
            "must be a version number of at most 128 bytes",
        ));
    }
    for (field, text) in [("events.rule", &event.rule), ("events.arm", &event.arm)] {
        if !text.is_empty() && !name::is_name(text) {
            return Err(wrong(
                field,
                "must be a name as the manifest gave it, or be left out",
            ));
        }
    }
    if !(1..=COUNT).contains(&event.count) {
        return Err(wrong("events.count", "must be 1 to 1000"));
    }
    if is_doubt {
        if !name::is_name(&event.code) {
            return Err(wrong("events.code", "must be the code of a doubt"));
        }
        let code = Doubt::known_code(&event.code).unwrap_or(OTHER);
        return Ok((event, Said::Doubted(code)));
    }
    let happened = Happened::ALL
        .into_iter()
        .find(|known| known.word() == event.event);
    let happened = happened.ok_or_else(|| {
        let words =
            "must be one of download, activate, crash, rollback, conversion, load-failed, doubted";
        wrong("events.event", words)
    })?;
    Ok((event, Said::Happened(happened)))
}

fn bad_report(detail: String) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "bad-report",
        "The report is not understood",
        detail,
    )
}

fn wrong(field: &'static str, problem: &str) -> Problem {
    bad_report(format!("field `{field}` {problem}")).with_field(field)
}

/// serde's own texts quote values, so they are not passed on.
fn not_json(error: &serde_json::Error) -> Problem {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Io | Category::Eof => "it ends too early",
        Category::Syntax => "it is not JSON",
        Category::Data => "a field is missing, given twice, or of the wrong kind",
    };
    let (line, column) = (error.line(), error.column());
    bad_report(format!(
        "the body is not the JSON of a report at line {line} column {column}: {what}"
    ))
}
