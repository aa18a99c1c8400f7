//! Bundles by digest: whole, in part, from a file, from memory or from the store. Immutable, so cached for
//! ever.
//!
//! Where a connection can take them from a file by itself, they never pass through this process.
//! Only bundles of versions that devices may have are served: everything else in the store (segments,
//! bundles of killed versions) is absent here, whatever its name.

use std::{borrow::Cow, sync::Arc};

use data_encoding::{BASE64, HEXLOWER};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
};
use huidu_core::digest::Digest;

use super::{Origin, Rhythm, reply};
use crate::{
    http::{
        body::Body,
        carrier::Carrier,
        conditional::{self, Part},
        problem::Problem,
    },
    node::bundles::{BundleError, OpenBundle, Way},
};

const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// Headers of a reply with a part, besides those that hyper adds.
const HEADERS: usize = 6;
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// What came of looking into memory.
pub(super) enum Found {
    /// The reply.
    Reply(Response<Body>),
    /// It has to be opened.
    Cold(Digest),
}

/// The connection, when a reply of this version of HTTP over it may be a part of a file.
pub(super) fn carrier(over: Option<&Arc<Carrier>>, version: Version) -> Option<&Arc<Carrier>> {
    over.filter(|carrier| {
        carrier.takes_files() && matches!(version, Version::HTTP_10 | Version::HTTP_11)
    })
}

/// What of a request matters here.
pub(super) struct Wants {
    is_head: bool,
    headers: HeaderMap,
    carrier: Option<Arc<Carrier>>,
}

impl Wants {
    /// Of this request: three of its headers.
    pub(super) fn of<B>(request: &Request<B>, carrier: Option<&Arc<Carrier>>) -> Self {
        let mut headers = HeaderMap::new();
        for name in [header::IF_NONE_MATCH, header::RANGE, header::IF_RANGE] {
            for value in request.headers().get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        Self {
            is_head: request.method() == Method::HEAD,
            headers,
            carrier: carrier.cloned(),
        }
    }
}

/// The bundle named `hex`, if nothing has to be waited for.
pub(super) fn hot<O: Origin, B>(
    origin: &O,
    hex: &str,
    request: &Request<B>,
    carrier: Option<&Arc<Carrier>>,
) -> Found {
    let digest = match hex.parse::<Digest>() {
        Ok(digest) if origin.live().knows_bundle(&digest) => digest,
        Ok(_) if origin.live().is_withdrawn() => {
            return Found::Reply(refused(origin, reply::not_ready(origin.rhythm())));
        }
        Ok(_) => return Found::Reply(refused(origin, unknown())),
        Err(error) => return Found::Reply(refused(origin, malformed(error.to_string()))),
    };
    match origin.bundles().ready(&digest, way(carrier)) {
        Some(bundle) => {
            let is_head = request.method() == Method::HEAD;
            let asked = Asked {
                origin,
                digest,
                is_head,
                headers: request.headers(),
                carrier,
            };
            Found::Reply(asked.reply(bundle))
        }
        None => Found::Cold(digest),
    }
}

const fn way(carrier: Option<&Arc<Carrier>>) -> Way {
    match carrier {
        Some(_) => Way::File,
        None => Way::Bytes,
    }
}

/// The bundle named `digest`, opened first.
pub(super) async fn cold<O: Origin>(
    origin: Arc<O>,
    digest: Digest,
    wants: Wants,
) -> Response<Body> {
    let Wants {
        is_head,
        headers,
        carrier,
    } = wants;
    let carrier = carrier.as_ref();
    match origin.bundles().open(digest, way(carrier)).await {
        Ok(bundle) => {
            let asked = Asked {
                origin: &*origin,
                digest,
                is_head,
                headers: &headers,
                carrier,
            };
            let reply = asked.reply(bundle);
            if is_head {
                reply::without_body(reply)
            } else {
                reply
            }
        }
        Err(BundleError::Absent { .. }) => refused(&*origin, unknown()),
        Err(BundleError::Store { .. } | BundleError::Damaged { .. }) => {
            refused(&*origin, store_away(origin.rhythm()))
        }
    }
}

struct Asked<'a, O> {
    origin: &'a O,
    digest: Digest,
    is_head: bool,
    headers: &'a HeaderMap,
    carrier: Option<&'a Arc<Carrier>>,
}

impl<O: Origin> Asked<'_, O> {
    fn reply(&self, bundle: OpenBundle) -> Response<Body> {
        let source = match &bundle {
            OpenBundle::Hot(_) => "memory",
            OpenBundle::File(_) => "file",
            OpenBundle::Cold(_) => "store",
        };
        let bytes = bundle.bytes();
        let etag = etag(&self.digest);
        let has_it = conditional::lists_etag(self.headers, &header::IF_NONE_MATCH, &etag);
        // A range is a matter of GET alone.
        let part = match self.is_head {
            true => Part::Whole,
            false => conditional::part(self.headers, &etag, bytes),
        };
        let mut reply = match (has_it, part) {
            (true, _) => {
                let mut reply = Response::new(Body::empty());
                *reply.status_mut() = StatusCode::NOT_MODIFIED;
                reply
            }
            (false, Part::Unsatisfiable) => return self.beyond_the_end(bytes, source),
            (false, Part::Whole) => Response::new(self.body(bundle, 0, bytes)),
            (false, Part::Range { start, last }) => {
                let mut reply = Response::new(self.body(bundle, start, last + 1));
                *reply.status_mut() = StatusCode::PARTIAL_CONTENT;
                let range = value(format!("bytes {start}-{last}/{bytes}").as_bytes());
                reply.headers_mut().insert(header::CONTENT_RANGE, range);
                reply
            }
        };
        let status = reply.status();
        let headers = reply.headers_mut();
        headers.reserve(HEADERS);
        headers.insert(header::ETAG, value(&etag));
        headers.insert(header::CACHE_CONTROL, FOREVER);
        if status != StatusCode::NOT_MODIFIED {
            let octets = HeaderValue::from_static("application/octet-stream");
            headers.insert(header::CONTENT_TYPE, octets);
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            headers.insert(REPR_DIGEST, value(&repr_digest(&self.digest)));
        }
        let sent = if self.is_head {
            0
        } else {
            reply.body().bytes()
        };
        self.origin
            .metrics()
            .bundle_bytes
            .with_label_values(&[source])
            .inc_by(sent);
        count(self.origin, source, status);
        reply
    }

    /// The bytes `start .. end`; none are read for a `HEAD`, whose length is asked all the same.
    fn body(&self, bundle: OpenBundle, start: u64, end: u64) -> Body {
        match bundle {
            // What is in memory is at most 16 MiB long.
            OpenBundle::Hot(bytes) => Body::from(bytes.slice(start as usize..end as usize)),
            OpenBundle::File(file) => match self.carrier {
                Some(carrier) => Body::file(file.into_file(), start..end, Arc::clone(carrier)),
                None => Body::pieces(file.pieces(start..self.until(start, end)), end - start),
            },
            OpenBundle::Cold(cold) => {
                Body::pieces(cold.pieces(start..self.until(start, end)), end - start)
            }
        }
    }

    const fn until(&self, start: u64, end: u64) -> u64 {
        if self.is_head { start } else { end }
    }

    fn beyond_the_end(&self, bytes: u64, source: &str) -> Response<Body> {
        count(self.origin, source, StatusCode::RANGE_NOT_SATISFIABLE);
        let detail = format!("the range lies beyond the end; the bundle has {bytes} bytes");
        Problem::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "bad-range",
            "The range does not exist",
            detail,
        )
        .with_field("Range")
        .with_header(
            header::CONTENT_RANGE,
            value(format!("bytes */{bytes}").as_bytes()),
        )
        .into_response()
    }
}

/// The digest in quotes.
fn etag(digest: &Digest) -> [u8; 66] {
    let mut etag = [b'"'; 66];
    HEXLOWER.encode_mut(digest.as_bytes(), &mut etag[1..65]);
    etag
}

/// The digest as `Repr-Digest` states it.
fn repr_digest(digest: &Digest) -> [u8; 54] {
    let mut text = *b"sha-256=:............................................:";
    BASE64.encode_mut(digest.as_bytes(), &mut text[9..53]);
    text
}

/// A header value of digits, letters and signs made here.
fn value(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static(""))
}

fn count<O: Origin>(origin: &O, source: &str, status: StatusCode) {
    let status = status.as_str();
    origin
        .metrics()
        .bundle_requests
        .with_label_values(&[source, status])
        .inc();
}

fn refused<O: Origin>(origin: &O, problem: Problem) -> Response<Body> {
    count(origin, "none", problem.status());
    problem.into_response()
}

fn malformed(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "bad-digest",
        "The digest is not understood",
        detail,
    )
    .with_field("hex")
}

fn unknown() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-bundle",
        "Unknown bundle",
        "no version that devices may have has this bundle; poll for a manifest and use its bundle",
    )
}

fn store_away(rhythm: Rhythm) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "store-unavailable",
        "The store does not answer",
        "the bundle could not be read; try again after Retry-After seconds, or ask another node",
    )
    .with_retry_after(reply::retry_after(rhythm))
}
