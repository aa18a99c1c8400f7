//! What happened on devices: counted per release, never per person.
//!
//! A report has no place for a unit; what else it may hold is ignored and forgotten. An event with a name counts once,
//! for what the catalogue knows; one without is shown in metrics, where `other` stands for what the catalogue does not
//! know. So no report can make up a series. What a device did not believe is counted by its code alone, out of a fixed
//! list: a stale node or a forger shows there, whoever it was shown to.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{Response, StatusCode};
use huidu_core::{
    feedback::{Event, EventId, Fault, Report, Told, What},
    limits,
    verify::Doubt,
};
use hyper::body::Body as HttpBody;

use super::{Origin, poll::unread, reply};
use crate::{
    http::{
        body::{self, Body, ReadLimits},
        problem::Problem,
    },
    metrics::OTHER,
    node::feedback::{Source, Taken},
};

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
    let report = match Report::from_json(&body) {
        Ok(report) => report,
        Err(fault) => return bad_report(&fault).into_response(),
    };
    let mut answer = Answer::default();
    let taken = answer.take(origin, &report);
    answer.tell(origin);
    match taken {
        Ok(()) => reply::json(StatusCode::ACCEPTED, answer.to_json()),
        Err(NoRoom) => {
            origin.metrics().shed.inc();
            reply::overloaded(origin.rhythm()).into_response()
        }
    }
}

/// There is no room for more events; those before are taken, and will be duplicates.
struct NoRoom;

/// What became of the events of a report.
#[derive(Default)]
struct Answer {
    accepted: u64,
    named: u64,
    duplicates: u64,
    refused: Vec<(usize, &'static str)>,
    no_room: u64,
}

impl Answer {
    fn take<O: Origin>(&mut self, origin: &O, report: &Report<'_>) -> Result<(), NoRoom> {
        let (live, now) = (origin.live(), origin.now());
        let mut key = String::with_capacity(160);
        for (index, event) in report.events.iter().enumerate() {
            let told = match event.what() {
                Some(What::Told(told)) => told,
                Some(What::Doubted(code)) => {
                    let code = Doubt::known_code(code).unwrap_or(OTHER);
                    let doubts = origin.metrics().doubts.with_label_values(&[code]);
                    doubts.inc_by(event.count);
                    self.accepted += 1;
                    continue;
                }
                // Checked when it was read.
                None => continue,
            };
            let source = Source {
                live: &live,
                app: &event.app,
                version: &event.version,
                rule: &event.rule,
                arm: &event.arm,
            };
            match event.id() {
                Some(id) => {
                    let taken = take(origin, &mut key, &source, told, id, event, now);
                    self.note(index, taken)?;
                }
                None if live.app(&event.app).is_none() => {}
                None => {
                    origin.feedback().show(&mut key, &source, told, event.count);
                    self.accepted += 1;
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, index: usize, taken: Result<Taken, &'static str>) -> Result<(), NoRoom> {
        match taken {
            Ok(Taken::New) => {
                self.accepted += 1;
                self.named += 1;
            }
            Ok(Taken::Duplicate) => self.duplicates += 1,
            Ok(Taken::NoRoom) => {
                self.no_room += 1;
                return Err(NoRoom);
            }
            Err(code) => self.refused.push((index, code)),
        }
        Ok(())
    }

    /// Tells the metrics: once a report.
    fn tell<O: Origin>(&self, origin: &O) {
        let refused = u64::try_from(self.refused.len()).unwrap_or(0);
        for (outcome, count) in [
            ("taken", self.named),
            ("duplicate", self.duplicates),
            ("refused", refused),
            ("no-room", self.no_room),
        ] {
            if count > 0 {
                origin
                    .metrics()
                    .events
                    .with_label_values(&[outcome])
                    .inc_by(count);
            }
        }
    }

    fn to_json(&self) -> Vec<u8> {
        let mut text = format!(r#"{{"accepted":{}"#, self.accepted);
        if self.duplicates > 0 {
            let _never_fails = write!(text, r#","duplicates":{}"#, self.duplicates);
        }
        for (n, (index, code)) in self.refused.iter().enumerate() {
            let before = if n == 0 { r#","refused":["# } else { "," };
            let _never_fails = write!(text, r#"{before}{{"index":{index},"code":"{code}"}}"#);
        }
        text.push_str(if self.refused.is_empty() { "}" } else { "]}" });
        text.into_bytes()
    }
}

fn take<O: Origin>(
    origin: &O,
    key: &mut String,
    source: &Source<'_>,
    told: Told<'_>,
    id: EventId,
    event: &Event<'_>,
    now: huidu_core::time::Timestamp,
) -> Result<Taken, &'static str> {
    if event
        .sent
        .is_some_and(|sent| sent >= limits::EVENT_WINDOW_MS / 1_000)
    {
        return Err("too-late");
    }
    // Checked when it was read to be a thousand at most.
    let times = u32::try_from(event.count).unwrap_or(u32::MAX);
    let taken = origin
        .feedback()
        .take(key, source, told, id, times, event.ago, now);
    taken.map_err(|unknown| unknown.code())
}

fn bad_report(fault: &Fault) -> Problem {
    let problem = Problem::new(
        StatusCode::BAD_REQUEST,
        "bad-report",
        "The report is not understood",
        fault.to_string(),
    );
    match fault {
        Fault::Json { .. } => problem,
        Fault::Field { field, .. } => problem.with_field(*field),
        Fault::Event { field, .. } => problem.with_field(of_events(field)),
    }
}

/// The field as a path, as for polls.
fn of_events(field: &str) -> &'static str {
    match field {
        "id" => "events.id",
        "app" => "events.app",
        "version" => "events.version",
        "rule" => "events.rule",
        "arm" => "events.arm",
        "event" => "events.event",
        "code" => "events.code",
        "count" => "events.count",
        _ => "events",
    }
}
