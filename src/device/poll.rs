//! Polls: one app by GET, or all apps of a device by POST.
//!
//! A device's words are parsed where they lie, answered, and forgotten. An `ETag` names the answer's bytes,
//! so a 304 is only ever given for the very answer that these attributes lead to.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header, uri::PathAndQuery};
use huidu_core::{
    digest::Digest,
    manifest,
    poll::{BatchPoll, Poll, PollError, Scratch},
    seal,
    time::Timestamp,
};
use hyper::body::Body as HttpBody;
use sha2::{Digest as _, Sha256};

use super::{Origin, pressure::Pressure, reply, said::Said};
use crate::{
    http::{
        body::{self, Body, ReadError, ReadLimits},
        problem::Problem,
    },
    node::live::{HUIDU_STAMP, Live, LiveAnswer},
};

/// Stands for an app this node does not know, where a batch's answers are digested: no digest begins so.
const UNKNOWN_APP: [u8; 16] = *b"unknown-app\0\0\0\0\0";

/// A poll of one app.
pub(super) struct Asked<'a> {
    pub(super) host: &'a str,
    pub(super) app: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) method: &'a Method,
    pub(super) target: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    /// Whatever can wait is put off.
    pub(super) is_pressed: bool,
}

/// A poll of all apps of a device, but for its body.
pub(super) struct Asking<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) pressure: &'a Pressure,
}

/// Answers the poll of one app.
pub(super) fn single<O: Origin>(origin: &O, asked: &Asked<'_>) -> Response<Body> {
    let said = Said::of(asked.headers);
    match stated(asked, &said) {
        Ok(query) => answered(origin, asked, &said, query),
        Err(problem) => refused(origin, problem),
    }
}

fn answered<O: Origin>(
    origin: &O,
    asked: &Asked<'_>,
    said: &Said<'_>,
    query: &str,
) -> Response<Body> {
    let mut scratch = Scratch::default();
    let mut poll = Poll::new();
    if let Err(error) = poll.read(query, &mut scratch) {
        return refused(origin, misunderstood(error));
    }
    let live = origin.live();
    let Some(app) = live.app(asked.app) else {
        if live.is_withdrawn() {
            return reply::not_ready(origin.rhythm()).into_response();
        }
        origin.metrics().polls_unknown_app.inc();
        return unknown_app().into_response();
    };
    let now = if app.compiled.asks_time() {
        origin.now()
    } else {
        Timestamp::EPOCH
    };
    let answer = app.resolve(asked.host, &poll.device, &poll.installed, now);
    if asked.is_pressed && answer.may_wait && !said.has(answer.etag().as_bytes()) {
        return shed(origin);
    }
    answer.count();
    let Some(mut reply) = reply::prepared(answer, said) else {
        return reply::not_signed(origin.rhythm()).into_response();
    };
    news(origin, &live, said);
    if let Some(challenge) = said.challenge
        && let Err(problem) = challenged(origin, asked, said, answer, challenge, &mut reply)
    {
        return refused(origin, problem);
    }
    if reply.status() == StatusCode::NOT_MODIFIED {
        answer.count_unchanged();
    }
    reply
}

/// A device that heard of more than this node knows makes it look: devices carry news between nodes.
pub(super) fn news<O: Origin>(origin: &O, live: &Live, said: &Said<'_>) {
    let Some(seen) = said.seen else {
        return;
    };
    let seen = seen.to_str().ok().and_then(|seen| seen.parse().ok());
    if let Some(seen) = seen.filter(|seen| *seen > live.revision.get()) {
        origin.seen(seen);
    }
}

/// Puts a stamp for this request alone in the place of the one for everybody.
fn challenged<O: Origin>(
    origin: &O,
    asked: &Asked<'_>,
    said: &Said<'_>,
    answer: &LiveAnswer,
    challenge: &HeaderValue,
    reply: &mut Response<Body>,
) -> Result<(), Problem> {
    let nonce = challenge.to_str().ok().and_then(seal::nonce_of_text);
    let nonce = nonce.ok_or_else(|| {
        bad_poll("the Huidu-Challenge header is 32 bytes in base64url without padding")
            .with_field("Huidu-Challenge")
    })?;
    if !origin.may_sign() {
        return Err(reply::overloaded(origin.rhythm()));
    }
    let target = asked.target.path_and_query();
    let request = seal::request(
        asked.method.as_str(),
        target.map_or("/", PathAndQuery::as_str),
        Said::text(said.device),
        said.condition(),
    );
    let stamp = answer.challenged(&nonce, &request);
    let stamp = stamp.ok_or_else(|| reply::not_signed(origin.rhythm()))?;
    let headers = reply.headers_mut();
    headers.insert(HUIDU_STAMP, stamp);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(())
}

/// What the device says of itself: in the query string or in the header, never in both.
fn stated<'a>(asked: &Asked<'a>, said: &Said<'a>) -> Result<&'a str, Problem> {
    let query = asked.query.filter(|query| !query.is_empty());
    match (query, said.device, said.device_again) {
        (Some(query), None, _) => Ok(query),
        (None, None, _) => Ok(""),
        (None, Some(header), false) => header.to_str().map_err(|_| {
            bad_poll("the Huidu-Device header holds bytes beyond ASCII; percent-encode them")
                .with_field("Huidu-Device")
        }),
        _ => Err(bad_poll(
            "a device states itself once: in the query string or in one Huidu-Device header",
        )
        .with_field("Huidu-Device")),
    }
}

/// All apps of a device, as far as their answers differ from what it has.
pub(super) async fn batch<O, B>(
    origin: &O,
    asked: &Asking<'_>,
    body: B,
    limits: ReadLimits,
) -> Response<Body>
where
    O: Origin,
    B: HttpBody<Data = Bytes> + Unpin,
{
    let body = match body::read(body, limits).await {
        Ok(body) => body,
        Err(error) => return refused(origin, unread(&error)),
    };
    match BatchPoll::from_json(&body) {
        Ok(batch) => batch_answered(origin, asked, &batch),
        Err(error) => refused(origin, misunderstood(error)),
    }
}

fn batch_answered<O: Origin>(
    origin: &O,
    asked: &Asking<'_>,
    batch: &BatchPoll<'_>,
) -> Response<Body> {
    let (live, now, metrics) = (origin.live(), origin.now(), origin.metrics());
    let Some(kills) = live.kills().filter(|_| !live.is_withdrawn()) else {
        return reply::not_ready(origin.rhythm()).into_response();
    };
    let said = Said::of(asked.headers);
    news(origin, &live, &said);
    let device = batch.device();
    let mut digest = Sha256::new();
    let mut differing: Vec<(&str, Option<&LiveAnswer>)> = Vec::with_capacity(batch.apps().len());
    let is_pressed = asked.pressure.is_extreme();
    for asked in batch.apps() {
        let answer = live
            .app(asked.app)
            .map(|app| app.resolve(batch.host(), &device, &asked.installed, now));
        digest.update(answer.map_or(&UNKNOWN_APP, |answer| &answer.tag));
        let has_it = match answer {
            Some(answer) => {
                answer.count();
                (asked.etag).is_some_and(|has| is_same(has, answer.etag().as_bytes()))
            }
            None => {
                metrics.polls_unknown_app.inc();
                (asked.etag).is_some_and(|has| is_same(has, b"unknown-app"))
            }
        };
        if !has_it {
            differing.push((asked.app, answer));
        }
    }
    let etag = manifest::etag(&Digest::from_hasher(digest));
    // Hexadecimal digits in quotes are a header value.
    let etag = HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\""));
    let has_all = said.has(etag.as_bytes()) || (differing.is_empty() && batch.apps().len() > 0);
    let may_wait = || {
        differing
            .iter()
            .all(|(_, answer)| answer.is_none_or(|one| one.may_wait))
    };
    if is_pressed && !has_all && may_wait() {
        return shed(origin);
    }
    let mut reply = if has_all {
        metrics.polls_not_modified.inc_by(batch.apps().len() as u64);
        let mut reply = Response::new(Body::empty());
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
        reply
    } else {
        let json = HeaderValue::from_static("application/json");
        let mut reply = Response::new(Body::from(document(origin, &differing)));
        reply.headers_mut().insert(header::CONTENT_TYPE, json);
        reply
    };
    let private = HeaderValue::from_static("private, no-cache");
    reply.headers_mut().insert(header::CACHE_CONTROL, private);
    reply.headers_mut().insert(header::ETAG, etag);
    reply.headers_mut().insert(HUIDU_STAMP, kills.stamp_value());
    reply
}

/// True when `has`, quoted or not, is the tag of an answer.
fn is_same(has: &str, etag: &[u8]) -> bool {
    let quoted = etag
        .strip_prefix(b"\"")
        .and_then(|etag| etag.strip_suffix(b"\""));
    has.as_bytes() == etag || Some(has.as_bytes()) == quoted
}

/// The body of a batch's reply: manifests verbatim, because devices check their digests.
fn document<O: Origin>(origin: &O, news: &[(&str, Option<&LiveAnswer>)]) -> Bytes {
    let bodies = news
        .iter()
        .map(|(_, answer)| answer.map_or(0, |answer| answer.body().len() + 400));
    let mut json = Vec::with_capacity(100 + bodies.sum::<usize>() + 160 * news.len());
    let rhythm = origin.rhythm();
    let head = format!(
        r#"{{"v":1,"poll_after_ms":{},"poll_spread_ms":{},"apps":["#,
        rhythm.after_ms, rhythm.spread_ms
    );
    json.extend_from_slice(head.as_bytes());
    for (at, (app, answer)) in news.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        // Names of apps, tags and stamps hold nothing that JSON escapes, save the quotes around a tag.
        json.extend_from_slice(br#"{"app":""#);
        json.extend_from_slice(app.as_bytes());
        match answer {
            Some(answer) => {
                json.extend_from_slice(br#"","etag":"\""#);
                json.extend_from_slice(answer.etag().as_bytes().trim_ascii().trim_quotes());
                json.extend_from_slice(br#"\"","stamp":""#);
                json.extend_from_slice(answer.stamp_value().as_bytes());
                json.extend_from_slice(br#"","manifest":"#);
                json.extend_from_slice(answer.body());
                json.push(b'}');
            }
            None => json.extend_from_slice(br#"","error":"unknown-app"}"#),
        }
    }
    json.extend_from_slice(b"]}");
    json.into()
}

trait TrimQuotes {
    fn trim_quotes(&self) -> &Self;
}

impl TrimQuotes for [u8] {
    fn trim_quotes(&self) -> &Self {
        let open = self.strip_prefix(b"\"").unwrap_or(self);
        open.strip_suffix(b"\"").unwrap_or(open)
    }
}

fn shed<O: Origin>(origin: &O) -> Response<Body> {
    origin.metrics().shed.inc();
    reply::overloaded(origin.rhythm()).into_response()
}

fn refused<O: Origin>(origin: &O, problem: Problem) -> Response<Body> {
    let field = problem.field().unwrap_or("body");
    origin
        .metrics()
        .polls_refused
        .with_label_values(&[field])
        .inc();
    problem.into_response()
}

fn bad_poll(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "bad-poll",
        "The poll is not understood",
        detail,
    )
}

/// The core's errors name fields and never values, so their texts may be sent.
fn misunderstood(error: PollError) -> Problem {
    let problem = bad_poll(error.to_string());
    match error {
        PollError::Field { field, .. } => problem.with_field(field),
        PollError::TooLong { .. } | PollError::Json { .. } => problem,
    }
}

/// Why a body was not read, on every route that reads one.
pub(super) fn unread(error: &ReadError) -> Problem {
    let (status, code, title) = match error {
        ReadError::TooLarge { .. } => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "The body is too large",
        ),
        ReadError::Slow => (
            StatusCode::REQUEST_TIMEOUT,
            "body-too-slow",
            "The body came too slowly",
        ),
        ReadError::Broken => (StatusCode::BAD_REQUEST, "body-broken", "The body broke off"),
    };
    Problem::new(status, code, title, error.to_string())
}

fn unknown_app() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-app",
        "Unknown app",
        "this app is not known here; check host, tenant and app in the path",
    )
}
