//! What both clients need of HTTP: agents with bounded patience, and URLs that hold any text.

use std::{fmt::Write as _, time::Duration};

use ureq::Agent;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long to wait for the head of an answer, and for each piece of its body.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a device waits, so that nobody who answers slowly or without end holds it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a poll, a report or a paper, from the first byte sent to the last one read.
    pub whole: Duration,
    /// A bundle must bring `rate_bytes` a second within each such period, however it is cut into pieces.
    pub rate_over: Duration,
    /// See `rate_over`.
    pub rate_bytes: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            whole: Duration::from_secs(10),
            rate_over: Duration::from_secs(30),
            rate_bytes: 1_024,
        }
    }
}

impl Patience {
    /// Bytes that must come within one period.
    pub(crate) fn least_bytes(&self) -> u64 {
        let ms = u64::try_from(self.rate_over.as_millis()).unwrap_or(u64::MAX);
        self.rate_bytes.saturating_mul(ms) / 1_000
    }

    /// For what is short: one deadline over all of it.
    pub(crate) fn agent(&self) -> Agent {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(self.whole))
            .timeout_connect(Some(CONNECT.min(self.whole)))
            .user_agent(concat!("huidu/", env!("CARGO_PKG_VERSION")));
        config.build().new_agent()
    }

    /// For bundles: a deadline for the head, and for each piece as long as the rate is measured over.
    pub(crate) fn loading_agent(&self) -> Agent {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT.min(self.whole)))
            .timeout_send_request(Some(self.whole))
            .timeout_recv_response(Some(self.whole))
            .timeout_per_read(Some(self.rate_over))
            .user_agent(concat!("huidu/", env!("CARGO_PKG_VERSION")));
        config.build().new_agent()
    }
}

/// An agent that hands every status to its caller and waits for nothing without end.
pub(crate) fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE))
        .timeout_per_write(Some(PATIENCE))
        .user_agent(concat!("huidu/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

/// `text` as one part of a path, or one value of a query.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A query string of the pairs that have a value.
pub(crate) fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let given: Vec<String> = pairs
        .iter()
        .filter_map(|(name, value)| value.map(|value| format!("{name}={}", escaped(value))))
        .collect();
    given.join("&")
}

/// A header's value as text.
pub(crate) fn header<'a, T>(reply: &'a ::http::Response<T>, name: &str) -> Option<&'a str> {
    reply
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
}

/// True when nothing can have reached the other side: no connection was made.
pub(crate) fn never_arrived(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::BadUri(_)
        | ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => true,
        ureq::Error::Io(error) => matches!(
            error.kind(),
            std::io::ErrorKind::ConnectionRefused
                | std::io::ErrorKind::HostUnreachable
                | std::io::ErrorKind::NetworkUnreachable
                | std::io::ErrorKind::AddrNotAvailable
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_fits_into_a_url() {
        assert_eq!(escaped("a/b c&d=é+%"), "a%2Fb%20c%26d%3D%C3%A9%2B%25");
        assert_eq!(
            query(&[("u", Some("张三")), ("p", None)]),
            "u=%E5%BC%A0%E4%B8%89"
        );
    }
}
