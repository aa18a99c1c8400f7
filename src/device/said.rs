//! `Said`: the headers of a request that polls look at, found in one pass.
//!
//! Looking four names up in a header map hashes four names; a request has few headers, so one pass over
//! them is cheaper. It borrows and never copies.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::http::conditional;

/// Where a device may state itself, in place of the query string.
pub(super) const HUIDU_DEVICE: HeaderName = HeaderName::from_static("huidu-device");
/// What makes an answer an answer to this request alone: 32 bytes that the device chose, base64url.
pub(super) const HUIDU_CHALLENGE: HeaderName = HeaderName::from_static("huidu-challenge");
/// The newest revision that the device has heard of.
pub(super) const HUIDU_SEEN: HeaderName = HeaderName::from_static("huidu-seen");

/// The first value of each header, and whether there are more where that matters.
pub(super) struct Said<'a> {
    headers: &'a HeaderMap,
    pub(super) device: Option<&'a HeaderValue>,
    pub(super) device_again: bool,
    pub(super) challenge: Option<&'a HeaderValue>,
    pub(super) seen: Option<&'a HeaderValue>,
    condition: Option<&'a HeaderValue>,
    condition_again: bool,
}

impl<'a> Said<'a> {
    /// What `headers` say.
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let mut said = Self {
            headers,
            device: None,
            device_again: false,
            challenge: None,
            seen: None,
            condition: None,
            condition_again: false,
        };
        for (name, value) in headers {
            if *name == header::IF_NONE_MATCH {
                said.condition_again = said.condition.is_some();
                said.condition = said.condition.or(Some(value));
            } else if name.as_str().starts_with("huidu-") {
                said.own(name, value);
            }
        }
        said
    }

    fn own(&mut self, name: &HeaderName, value: &'a HeaderValue) {
        if *name == HUIDU_DEVICE {
            self.device_again = self.device.is_some();
            self.device = self.device.or(Some(value));
        } else if *name == HUIDU_CHALLENGE {
            self.challenge = self.challenge.or(Some(value));
        } else if *name == HUIDU_SEEN {
            self.seen = self.seen.or(Some(value));
        }
    }

    /// True when the device has what is tagged `etag` already.
    pub(super) fn has(&self, etag: &[u8]) -> bool {
        match self.condition {
            None => false,
            Some(value) if !self.condition_again => conditional::value_lists_etag(value, etag),
            Some(_) => conditional::lists_etag(self.headers, &header::IF_NONE_MATCH, etag),
        }
    }

    /// The text of `value`, where it is one.
    pub(super) fn text(value: Option<&'a HeaderValue>) -> &'a str {
        let text = value.map(HeaderValue::to_str);
        text.and_then(Result::ok).unwrap_or_default()
    }

    /// The `If-None-Match` as it was sent.
    pub(super) fn condition(&self) -> &'a str {
        Self::text(self.condition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn every_line_of_a_condition_counts_and_the_first_of_the_rest() {
        let lines = headers(&[
            ("accept", "*/*"),
            ("if-none-match", "\"x\""),
            ("if-none-match", "\"y\", W/\"ab\""),
            ("huidu-seen", "7"),
            ("huidu-seen", "8"),
            ("huidu-device", "u=d"),
        ]);
        let said = Said::of(&lines);
        assert!(said.has(b"\"x\"") && said.has(b"\"ab\"") && !said.has(b"\"z\""));
        assert_eq!(Said::text(said.seen), "7");
        assert_eq!((Said::text(said.device), said.device_again), ("u=d", false));
        assert!(said.challenge.is_none());
        let twice = headers(&[("huidu-device", "u=d"), ("huidu-device", "u=e")]);
        assert!(Said::of(&twice).device_again);
        assert!(!Said::of(&HeaderMap::new()).has(b"\"x\""));
    }
}
