//! `OFREP` 0.3: what devices are told, for clients that speak OpenFeature's remote evaluation protocol.
//!
//! `POST /ofrep/v1/evaluate/flags/{key}` answers one flag, `POST /ofrep/v1/evaluate/flags` all of a bank app with an
//! `ETag` of what was answered, `GET /ofrep/v1/events` says when to ask again. What a flag is, is the core's
//! (`huidu_core::flag`). No device learns more here than by its polls, and what it says is forgotten as there; only a key
//! that is written as names of apps are is said back, because the protocol wants it. These answers carry no stamp: what a
//! bank app runs is decided by polls, which do.
//!
//! Nothing here touches the way of a poll. A kill is put off by no pressure, here either.

mod shelf;
mod stream;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use huidu_core::{
    digest::Digest,
    flag::{Bulk, Entry, ErrorCode, Failure, Flag, Stream},
    limits, manifest,
    name::AppId,
    poll::Evaluation,
};
use hyper::body::Body as HttpBody;
use tokio::time::{Instant, timeout_at};

use super::{Origin, feed::Feed, poll, pressure::Pressure, reply, said::Said};
use crate::{
    http::body::{self, Body, ReadLimits},
    node::live::{Live, LiveApp},
};

pub(super) use self::{shelf::Shelf, stream::events};

/// Before the key of one flag.
pub(super) const FLAG: &str = "/ofrep/v1/evaluate/flags/";
/// All flags of a bank app.
pub(super) const FLAGS: &str = "/ofrep/v1/evaluate/flags";
/// Where changes are told.
pub(super) const EVENTS: &str = "/ofrep/v1/events";

const STREAMS: [Stream<'static>; 1] = [Stream::at(EVENTS)];

/// How long a node that has not come to what an event spoke of is waited for.
const CATCHES_UP: Duration = Duration::from_secs(2);

/// Who asks for all flags, but for the body.
pub(super) struct Asking<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) query: Option<&'a str>,
    pub(super) shelf: &'a Shelf,
    pub(super) feed: Option<&'a Arc<Feed>>,
    pub(super) pressure: &'a Pressure,
}

/// The key that a path names: clients write its slash as it is, or percent-encoded. Empty: not the name of an app.
pub(super) fn key(path: &str) -> String {
    let decoded = decoded(path).filter(|text| text.parse::<AppId>().is_ok());
    decoded.unwrap_or_default()
}

fn decoded(path: &str) -> Option<String> {
    let mut pieces = path.split('%');
    let mut text = pieces.next()?.to_owned();
    for piece in pieces {
        let (hex, rest) = piece.split_at_checked(2)?;
        let byte = u8::from_str_radix(hex, 16).ok()?;
        // Names of apps are ASCII.
        text.push(char::from(byte));
        text.push_str(rest);
    }
    Some(text)
}

/// One flag.
pub(super) async fn one<O, B>(
    origin: &O,
    key: &str,
    body: B,
    limits: ReadLimits,
    is_pressed: impl Fn() -> bool,
) -> Response<Body>
where
    O: Origin,
    B: HttpBody<Data = Bytes> + Unpin,
{
    let body = match body::read(body, limits).await {
        Ok(body) => body,
        Err(error) => return poll::unread(&error).into_response(),
    };
    match Evaluation::from_json(&body) {
        Ok(asked) => one_answered(origin, key, &asked, is_pressed()),
        Err(error) => refused(origin, &Failure::of(Some(key), &error)),
    }
}

fn one_answered<O: Origin>(
    origin: &O,
    key: &str,
    asked: &Evaluation<'_>,
    is_pressed: bool,
) -> Response<Body> {
    let live = origin.live();
    let Some(app) = live.app(key) else {
        if !live.is_withdrawn() {
            return refused(origin, &Failure::not_found(key));
        }
        if !live.stops(key) {
            return reply::not_ready(origin.rhythm()).into_response();
        }
        let flag = Flag::killed(key);
        count(origin, [&flag]);
        return reply::json(StatusCode::OK, written(&flag));
    };
    let (flag, may_wait) = resolved(origin, app, asked);
    if is_pressed && may_wait {
        return shed(origin);
    }
    count(origin, [&flag]);
    reply::json(StatusCode::OK, written(&flag))
}

/// All flags of a bank app, or those that the context names.
pub(super) async fn all<O, B>(
    origin: &O,
    asking: &Asking<'_>,
    body: B,
    limits: ReadLimits,
) -> Response<Body>
where
    O: Origin,
    B: HttpBody<Data = Bytes> + Unpin,
{
    let body = match body::read(body, limits).await {
        Ok(body) => body,
        Err(error) => return poll::unread(&error).into_response(),
    };
    let asked = match Evaluation::from_json(&body) {
        Ok(asked) => asked,
        Err(error) => return refused(origin, &Failure::of(None, &error)),
    };
    if let (Some(revision), Some(feed)) = (told_of(asking.query), asking.feed) {
        catch_up(origin, feed, revision).await;
    }
    all_answered(origin, asking, &asked)
}

/// The revision that an event spoke of, which made the client ask: its tag is that number.
fn told_of(query: Option<&str>) -> Option<u64> {
    let mut pairs = query?.split('&');
    pairs.find_map(|pair| pair.strip_prefix("flagConfigEtag=")?.parse().ok())
}

/// Behind a balancer the node that is asked need not be the one that told of the change: it looks at once, and what it
/// then serves is answered.
async fn catch_up<O: Origin>(origin: &O, feed: &Arc<Feed>, revision: u64) {
    let is_behind = || origin.live().revision.get() < revision;
    if !is_behind() {
        return;
    }
    origin.seen(revision);
    let Some((place, mut beats)) = feed.enter_for_flags() else {
        return;
    };
    let until = Instant::now() + CATCHES_UP;
    while is_behind() {
        let woken = timeout_at(until, beats.changed()).await;
        if !matches!(woken, Ok(Ok(()))) || beats.borrow().over {
            break;
        }
    }
    drop(place);
}

fn all_answered<O: Origin>(
    origin: &O,
    asking: &Asking<'_>,
    asked: &Evaluation<'_>,
) -> Response<Body> {
    let live = origin.live();
    if live.kills().is_none() || live.is_withdrawn() {
        return reply::not_ready(origin.rhythm()).into_response();
    }
    let said = Said::of(asking.headers);
    poll::news(origin, &live, &said);
    let known;
    let keys: Vec<&str> = match asked.apps() {
        Some(apps) => apps,
        None => {
            known = asking.shelf.apps(&live, asked.host());
            known.iter().map(|key| &**key).collect()
        }
    };
    if keys.len() > limits::FLAGS {
        return refused(origin, &Failure::too_many());
    }
    let (flags, may_wait) = entries(origin, &live, &keys, asked);
    let streams: &[Stream<'_>] = match asking.feed {
        Some(_) => &STREAMS,
        None => &[],
    };
    let bulk = Bulk { flags, streams };
    let body = written(&bulk);
    let etag = manifest::etag(&Digest::of(&body));
    let has_it = said.has(etag.as_bytes());
    if !has_it && may_wait && asking.pressure.is_extreme() {
        return shed(origin);
    }
    let given = bulk.flags.iter().filter_map(|entry| match entry {
        Entry::Flag(flag) => Some(flag),
        Entry::Failure(_) => None,
    });
    count(origin, given);
    let mut reply = if has_it {
        let mut reply = Response::new(Body::empty());
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
        reply
    } else {
        reply::json(StatusCode::OK, body)
    };
    let headers = reply.headers_mut();
    let private = HeaderValue::from_static("private, no-cache");
    headers.insert(header::CACHE_CONTROL, private);
    // Hexadecimal digits in quotes are a header value.
    let etag = HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\""));
    headers.insert(header::ETAG, etag);
    reply
}

/// The flags called `keys`, and whether a client loses nothing by hearing of them later.
fn entries<'a, O: Origin>(
    origin: &O,
    live: &'a Live,
    keys: &[&'a str],
    asked: &Evaluation<'_>,
) -> (Vec<Entry<'a>>, bool) {
    let mut may_all_wait = true;
    let mut entries = Vec::with_capacity(keys.len());
    for &key in keys {
        entries.push(match live.app(key) {
            Some(app) => {
                let (flag, may_wait) = resolved(origin, app, asked);
                may_all_wait &= may_wait;
                Entry::Flag(flag)
            }
            None => {
                let failure = Failure::not_found(key);
                count_refused(origin, &failure);
                Entry::Failure(failure)
            }
        });
    }
    (entries, may_all_wait)
}

/// What the app is for whoever asks, and whether that may wait: as for a poll, what stops may not.
fn resolved<'a, O: Origin>(
    origin: &O,
    app: &'a LiveApp,
    asked: &Evaluation<'_>,
) -> (Flag<'a>, bool) {
    let (device, installed) = (asked.device(), asked.installed());
    let outcome = (app.compiled).resolve(asked.host(), &device, &installed, origin.now());
    let may_wait = app.answers[outcome.index].may_wait;
    (Flag::of(&app.compiled, asked.host(), outcome), may_wait)
}

fn written(document: &impl serde::Serialize) -> Vec<u8> {
    // Serialising to memory fails only for maps whose keys are no text; there is none here.
    serde_json::to_vec(document).unwrap_or_default()
}

fn refused<O: Origin>(origin: &O, failure: &Failure<'_>) -> Response<Body> {
    count_refused(origin, failure);
    let status = match failure.code() {
        ErrorCode::FlagNotFound => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_REQUEST,
    };
    reply::json(status, written(failure))
}

fn count_refused<O: Origin>(origin: &O, failure: &Failure<'_>) {
    let refused = &origin.metrics().flags_refused;
    refused.with_label_values(&[failure.code().word()]).inc();
}

/// Counts flags by reason: once a reason, however many there are.
fn count<'f, 'a: 'f, O: Origin>(origin: &O, flags: impl IntoIterator<Item = &'f Flag<'a>>) {
    let mut by_reason: BTreeMap<&str, u64> = BTreeMap::new();
    for flag in flags {
        *by_reason.entry(flag.reason().word()).or_default() += 1;
    }
    for (reason, given) in by_reason {
        let flags = &origin.metrics().flags;
        flags.with_label_values(&[reason]).inc_by(given);
    }
}

fn shed<O: Origin>(origin: &O) -> Response<Body> {
    origin.metrics().shed.inc();
    reply::overloaded(origin.rhythm()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_name_of_an_app_however_its_slash_is_written() {
        for (path, is) in [
            ("pingan/travel", "pingan/travel"),
            ("pingan%2Ftravel", "pingan/travel"),
            ("pingan%2ftravel", "pingan/travel"),
            ("%70ingan/travel", "pingan/travel"),
            ("", ""),
            ("travel", ""),
            ("a/b/c", ""),
            ("pingan%2", ""),
            ("pingan%zztravel", ""),
            ("pingan%2Ftr%E4%B8%AD", ""),
            ("Pingan/Travel", ""),
        ] {
            assert_eq!(key(path), is, "{path}");
        }
    }

    #[test]
    fn the_tag_of_an_event_is_the_revision_it_spoke_of() {
        assert_eq!(told_of(None), None);
        assert_eq!(told_of(Some("flagConfigEtag=41")), Some(41));
        assert_eq!(told_of(Some("a=b&flagConfigEtag=7&c=")), Some(7));
        assert_eq!(told_of(Some("flagConfigEtag=%22x%22")), None);
    }
}
